"""`ota bench`: the table of goals, the gate's judgement, the ceiling's size, the shape of the JSON."""

import json
from dataclasses import fields

import pytest

from ota_tools.bench import callgrind, limits, memory, report, signature, variants, vm
from ota_tools.bench.context import Bench, sample
from ota_tools.bench.goals import EXTRAS, GOALS, run, select, select_extras
from ota_tools.bench.result import Result
from ota_tools.bench.server import Server
from ota_tools.cli import cli
from ota_tools.failures import Refused, Usage

FOUND = {"mpy/slot": 2485, "instructions/verify": 1000, "min heap/download": 20480}


def test_goals_are_1_to_13_in_order():
    assert [goal.number for goal in GOALS] == list(range(1, 14))


def test_a_goal_without_a_measurement_says_why_and_is_null():
    missing = [goal for goal in GOALS if goal.measure is None]
    assert [goal.number for goal in missing] == [9, 10]
    for goal in missing:
        result = run(goal, None)
        assert result.note
        assert result.met is None and result.ratio is None


def test_unknown_goals_are_refused():
    assert [goal.number for goal in select([13, 2, 13])] == [13, 2]
    with pytest.raises(ValueError, match="no goal 14"):
        select([14])


def test_unknown_extras_are_refused():
    assert [extra.key for extra in select_extras([])] == ["poll", "resume", "asyncio"]
    assert [extra.key for extra in select_extras(["asyncio", "poll"])] == ["asyncio", "poll"]
    with pytest.raises(ValueError, match="no speed; there are poll, resume, asyncio"):
        select_extras(["speed"])
    with pytest.raises(Usage, match="no goal 14"):
        cli.main(["bench", "--only", "poll,14"], standalone_mode=False)
    with pytest.raises(Usage, match="no speed"):
        cli.main(["bench", "--only", "5,speed"], standalone_mode=False)


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


@pytest.mark.parametrize("only", ["5", "poll"])
def test_the_gate_takes_no_goals_and_no_extras(only):
    with pytest.raises(Usage):
        cli.main(["bench", "--limits", "x", "--only", only], standalone_mode=False)


def test_the_ceiling_has_at_most_15_lines():
    assert len((vm.SCRIPTS / "ceiling.py").read_text().splitlines()) <= 15


def test_a_peer_that_is_off_makes_the_run_void():
    assert variants.peer_off("growth", (325, 185)) == ""
    assert variants.peer_off("growth", (325, 185 * 1.14)) == ""
    assert variants.peer_off("growth", (325, 185 * 1.16)).startswith("VOID")
    assert variants.peer_off("growth", (325 * 0.84, 185)).startswith("VOID")


def test_a_p256_peer_that_is_off_makes_the_run_void():
    assert signature.peer_off(6.6 / 2.4) == ""
    assert signature.peer_off(6.6 / 2.4 * 1.14) == ""
    assert signature.peer_off(6.6 / 2.4 * 1.16).startswith("VOID")
    assert signature.peer_off(6.6 / 2.4 * 0.84).startswith("VOID")


def test_the_p256_peer_has_at_most_60_lines():
    assert len((vm.SCRIPTS / "ecpeer.py").read_text().splitlines()) <= 65


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


def test_extras_stand_in_table_notes_and_page_beside_the_goals():
    goal, extra = GOALS[4], EXTRAS[0]
    pairs = [(goal, Result(2.0, 1.0, 0.5, True, "why so", 0.0, {"ms x": 1}))]
    also = [(extra, Result(4265, 2233, 0.5236, None, "what it is", 0.0, {"bytes y": 167}))]
    with Bench(True) as bench:
        shown = report.as_object(pairs, also, bench)
    assert [found["key"] for found in shown["also"]] == ["poll"]
    assert set(shown["spreads"]) == {"5", "poll"}
    assert report.table(shown).row_count == 2
    assert report.notes(shown) == [" 5  why so", "poll  what it is"]
    page = report.page_text(shown, [])
    assert "Also measured, without a goal:" in page
    assert f"| {extra.name} | 2 233 bytes | 4 265 bytes (a check without ETag) | 0.5236 |" in page
    assert "what it is" in page and "| bytes y | 167 |" in page


def test_a_run_without_extras_has_no_table_of_them():
    with Bench(True) as bench:
        page = report.page_text(report.as_object([(GOALS[8], Result())], [], bench), [])
    assert "Also measured" not in page


@pytest.fixture(scope="module")
def scene():
    with Bench(True) as bench:
        yield bench


def test_a_plain_update_over_https_never_loads_what_few_devices_need(scene):
    loaded = memory.plain_modules(scene)
    assert scene.module_sizes.keys() - set(loaded) >= {"aio", "clock", "local", "pins"}
    assert {"engine", "net", "source", "transfer", "updater", "wide"} <= set(loaded)


def test_a_check_that_finds_nothing_costs_less_than_the_manifest(scene):
    found = select_extras(["poll"])[0].measure(scene)
    details = found.details
    assert details["HTTP request with ETag"] < 300 and details["HTTP answer with ETag"] < 300
    assert details["HTTP answer without ETag"] > 2048  # the manifest
    assert found.ours == details["bytes sent with ETag"] + details["bytes received with ETag"]
    # TLS alone is the rest of it: the manifest makes the difference.
    assert 1900 < found.reference - found.ours < 2200


def test_a_download_that_breaks_every_64_kib_ends_and_costs_more(scene):
    details = select_extras(["resume"])[0].measure(scene).details
    assert details["bytes uncut"] > 512 * 1024
    assert details["connections cut every 64 KiB"] >= 9
    assert details["connections cut every 256 KiB"] == 3
    assert 50 > details["percent more, cut every 64 KiB"] > 0
    assert (
        details["percent more, cut every 64 KiB"] > details["percent more, cut every 256 KiB"] > 0
    )


def test_a_task_beside_a_download_over_tls_waits_for_one_sector_erase_at_most(scene):
    result = run(select([11])[0], scene)
    assert result.details["ms data"] > 30  # the flash was slow
    assert result.ours <= 5
    for name in ("lookup", "handshake", "signature", "activation"):
        assert result.details[f"ms {name}"] > 0


def test_one_extra_as_json(capsys):
    cli.main(["bench", "--only", "asyncio", "--quick", "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    assert shown["goals"] == [] and shown["by size"] is None
    (found,) = shown["also"]
    assert found["key"] == "asyncio"
    assert found["ours"] > 0 and found["reference"] > 0
    assert "us Updater, split" in found["details"]


def test_one_goal_as_json(capsys):
    cli.main(["bench", "--only", "7", "--quick", "--json"], standalone_mode=False)
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) >= {"goals", "machine", "date", "versions", "spreads", "quick"}
    (goal,) = shown["goals"]
    assert goal["number"] == 7
    assert shown["also"] == []
    assert set(goal) >= {"name", "reference", "ours", "ratio", "met", "note"}
    assert goal["ours"] > goal["reference"] > 1e7
    assert 1.0 < goal["ratio"] < 1.2
    assert shown["quick"] is True
