"""`ota bench`: the table of goals, the gate's judgement, the ceiling's size, the shape of the JSON."""

import json
from dataclasses import fields

import pytest

from ota_tools.bench import callgrind, limits, variants, vm
from ota_tools.bench.context import sample
from ota_tools.bench.goals import GOALS, run, select
from ota_tools.bench.server import Server
from ota_tools.cli import cli
from ota_tools.failures import Refused, Usage

FOUND = {"mpy/slot": 2485, "instructions/verify": 1000, "min heap/download": 20480}


def test_goals_are_1_to_13_in_order():
    assert [goal.number for goal in GOALS] == list(range(1, 14))


def test_a_goal_without_a_measurement_says_why_and_is_null():
    missing = [goal for goal in GOALS if goal.measure is None]
    assert [goal.number for goal in missing] == [8, 9, 10]
    for goal in missing:
        result = run(goal, None)
        assert result.note
        assert result.met is None and result.ratio is None


def test_unknown_goals_are_refused():
    assert [goal.number for goal in select([13, 2, 13])] == [13, 2]
    with pytest.raises(ValueError, match="no goal 14"):
        select([14])


def test_numbers_at_and_under_their_limit_pass():
    assert limits.compare(FOUND, FOUND) == []
    assert limits.compare(FOUND, {key: value + 1 for key, value in FOUND.items()}) == []


def test_a_number_over_its_limit_is_one_line_with_both():
    worse = {**FOUND, "mpy/slot": 2486}
    assert limits.compare(worse, FOUND) == ["mpy/slot: 2486, at most 2485"]


def test_a_number_without_a_limit_is_refused():
    lines = limits.compare({**FOUND, "mpy/new": 1}, FOUND)
    assert len(lines) == 1 and lines[0].startswith("mpy/new: 1, and no limit")


def test_a_limit_without_a_number_is_refused():
    lines = limits.compare(FOUND, {**FOUND, "mpy/gone": 1})
    assert len(lines) == 1 and lines[0].startswith("mpy/gone: a limit of 1, and nothing")


def test_headroom_is_exact_but_for_instructions_and_heap():
    assert limits.with_headroom(FOUND) == {
        "mpy/slot": 2485,
        "instructions/verify": 1020,
        "min heap/download": 21504,
    }


def test_limits_come_back_from_their_file(tmp_path):
    path = tmp_path / "limits.json"
    limits.write(path, FOUND)
    assert limits.read(path) == FOUND


@pytest.mark.parametrize("text", ["[]", "{", '{"mpy/slot": "2485"}', '{"mpy/slot": true}'])
def test_a_file_that_holds_no_numbers_is_refused(tmp_path, text):
    path = tmp_path / "limits.json"
    path.write_text(text)
    with pytest.raises(Refused):
        limits.read(path)


def test_a_missing_limits_file_is_a_wrong_call(tmp_path):
    with pytest.raises(Usage, match="--write-limits"):
        limits.read(tmp_path / "none.json")


def test_a_made_up_worse_number_is_refused_by_the_command(tmp_path, monkeypatch, capsys):
    path = tmp_path / "limits.json"
    limits.write(path, FOUND)
    monkeypatch.setattr(limits, "measure", lambda scene: {**FOUND, "mpy/slot": 9999})
    with pytest.raises(Refused, match="1 of 3 numbers"):
        cli.main(["bench", "--limits", str(path)], standalone_mode=False)
    assert "mpy/slot: 9999, at most 2485" in capsys.readouterr().out


def test_the_gate_takes_no_goals():
    with pytest.raises(Usage):
        cli.main(["bench", "--limits", "x", "--only", "5"], standalone_mode=False)


def test_the_ceiling_has_at_most_15_lines():
    assert len((vm.SCRIPTS / "ceiling.py").read_text().splitlines()) <= 15


def test_a_peer_that_is_off_makes_the_run_void():
    assert variants.peer_off("growth", (325, 185)) == ""
    assert variants.peer_off("growth", (325, 185 * 1.14)) == ""
    assert variants.peer_off("growth", (325, 185 * 1.16)).startswith("VOID")
    assert variants.peer_off("growth", (325 * 0.84, 185)).startswith("VOID")


def test_only_lines_of_the_own_object_are_own_instructions():
    text = """\
fl=(1) ???
ob=(1) /x/micropython
fn=(1) main
0 10
cob=(2) /x/libc.so.6
cfn=(2) memcpy
calls=1 0
0 500
+3 5
ob=(2)
fn=(2)
* 500
"""
    assert callgrind.read(text, "/x/micropython") == callgrind.Instructions(15, 515)


def test_the_smallest_heap_is_found_by_halving():
    assert vm.smallest(lambda heap: heap >= 10_000, 4096, 1 << 19) == 10240
    with pytest.raises(Exception, match="does not run"):
        vm.smallest(lambda heap: False, 4096, 8192)


def test_a_sample_has_median_and_spread():
    assert sample([3.0]).spread == 0
    found = sample([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median, found.runs) == (3.0, 5)
    assert found.spread > 0
    assert [field.name for field in fields(found)] == ["median", "spread", "runs"]


def test_the_server_counts_and_serves_ranges(tmp_path):
    import http.client

    (tmp_path / "image.bin").write_bytes(bytes(range(100)))
    with Server(tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/image.bin", headers={"Range": "bytes=10-19"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (206, bytes(range(10, 20)))
        connection.request("GET", "/image.bin")
        assert len(connection.getresponse().read()) == 100
        connection.close()
        counted = server.counts()
    assert 110 < counted < 800


def test_one_goal_as_json(capsys):
    cli.main(["bench", "--only", "7", "--quick", "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) >= {"goals", "machine", "date", "versions", "spreads", "quick"}
    (goal,) = shown["goals"]
    assert goal["number"] == 7
    assert set(goal) >= {"name", "reference", "ours", "ratio", "met", "note"}
    assert goal["ours"] > goal["reference"] > 1e7
    assert 1.0 < goal["ratio"] < 1.2
    assert shown["quick"] is True
