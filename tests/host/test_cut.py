"""The power-cut engine: it cuts everywhere, rebuilds what is really left, and can fail."""

import dataclasses
import hashlib
import json
import random
import subprocess
import sys

import pytest

from ota import otadata
from ota.journal import Journal, encode
from ota_tools.board.flash import Flash, Operation
from ota_tools.cut import campaign
from ota_tools.cut.explore import Explorer
from ota_tools.cut.judge import Judge
from ota_tools.cut.life import Failed
from ota_tools.cut.result import Effort
from ota_tools.cut.scenarios import BY_NAME, SCENARIOS
from ota_tools.cut.state import NvsWrite, State
from ota_tools.cut.tear import cuts, lost_nvs
from ota_tools.cut.vfs import mount
from ota_tools.cut.world import make_world, small_table

QUICK = Effort(subsets=1, pairs=0.01, others=0, weak=0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def explore(world, name: str, effort: Effort = QUICK):
    return Explorer(world, BY_NAME[name], effort).run()


# What the campaign of `ota cut` does with all scenarios, with a few and at less effort

QUICKLY = "first same give-up fails hangs broken by-hand loops tells config".split()


@pytest.mark.parametrize("name", QUICKLY)
def test_no_cut_breaks_what_no_cut_may_break(world, name):
    found = explore(world, name)
    assert [f"{f.where}: {f.what}" for f in found.failed] == []
    assert found.cut == found.operations
    assert len(found.states) > 2 * sum(found.cut.values())


def test_a_cell_that_fails_is_noticed(world):
    found = explore(world, "first", Effort(subsets=0, pairs=0, others=0, weak=1))
    assert found.failed == [] and found.weak > 20


def test_an_update_writes_nvs_five_times_and_once_more_where_nobody_was_told(world):
    assert explore(world, "first").nvs_writes == 5
    assert explore(world, "second").nvs_writes == 6


def test_a_big_image_is_cut_at_samples(world):
    explorer = Explorer(world, BY_NAME["big"], QUICK, (3, 40))
    found = explorer.run()
    assert found.failed == [] and found.states


def test_what_decides_is_cut_in_a_big_image_too(world):
    explorer = Explorer(world, BY_NAME["big"], QUICK)
    life = explorer._life(explorer.start())
    life.run(BY_NAME["big"].act)
    critical = {at for at, step in enumerate(life.log) if explorer._is_critical(step)}
    shards = [Explorer(world, BY_NAME["big"], QUICK, (n, 3))._chosen(life.log) for n in range(3)]
    assert critical <= set().union(*shards)
    assert sum(map(len, shards)) == len(set().union(*shards)) < len(life.log) / 4


@pytest.mark.parametrize("variant", ["old", "new"])
def test_set_boot_is_cut_in_the_same_engine_and_leaves_what_no_cut_may_leave(world, variant):
    found = explore(world, "dead", Effort(subsets=3, pairs=0, others=0, weak=0, set_boot=variant))
    assert found.cut == found.operations
    assert any("resets again and again" in each.what for each in found.failed)


def test_an_outcome_that_is_never_told_is_seen(world, monkeypatch):
    monkeypatch.setattr("ota.memory.untold", lambda port: None)
    assert {each.what for each in explore(world, "tells").failed} == {
        "nobody was told how the update ended"
    }


def test_a_board_that_does_not_get_to_where_the_cuts_begin_is_a_failure(world, monkeypatch):
    def never(self, main):
        raise Failed("it resets again and again")

    monkeypatch.setattr("ota_tools.cut.life.Life.run", never)
    (found,) = explore(world, "same").failed
    assert (found.where, found.what) == ("before any cut", "it resets again and again")


def test_every_scenario_has_a_name_of_its_own_and_a_story():
    assert len(BY_NAME) == len(SCENARIOS)
    assert all(each.story for each in SCENARIOS)


def test_shards_cut_each_operation_once(world):
    whole = explore(world, "by-hand", Effort(subsets=1, pairs=0, others=0, weak=0))
    total = campaign.Total()
    for number in range(2):
        shard = Explorer(
            world, BY_NAME["by-hand"], Effort(subsets=1, pairs=0, others=0, weak=0), (number, 2)
        )
        total.add("by-hand", shard.run())
    assert total.result.cut == whole.cut == whole.operations == total.result.operations
    assert set(total.result.states) == set(whole.states)


# States are what a cut really leaves


@pytest.fixture(scope="module")
def lived(world):
    """The first update: start, log, and the board's own flash and NVS at its end."""
    explorer = Explorer(world, BY_NAME["first"], QUICK)
    start = explorer.start()
    life = explorer._life(start.copy())
    life.run(BY_NAME["first"].act)
    return start, life


def test_the_log_rebuilds_what_the_board_holds(lived):
    start, life = lived
    state = start.copy()
    for step in life.log:
        state.apply(step)
    assert state.flash == life.state.flash and state.nvs == life.state.nvs


def test_a_torn_program_clears_nothing_that_was_not_to_be_cleared(lived):
    start, life = lived
    state = start.copy()
    for step in life.log:
        if isinstance(step, Operation) and step.kind == "program":
            span = slice(step.address, step.address + step.size)
            before = int.from_bytes(state.flash[span], "little")
            whole = before & int.from_bytes(step.data, "little")
            for how, torn in cuts(state, step, random.Random(1), 4):
                left = int.from_bytes(torn.flash[span], "little")
                assert left & ~before == 0 and whole & ~left == 0, how
        state.apply(step)


def test_every_kind_of_cut_is_made():
    state = State(bytearray(range(256)) * 512, {"ota": {"journal": "00" * 512}})
    chance = random.Random(1)
    program = Operation("program", 0, 32, bytes(32))
    kinds = [how for how, _ in cuts(state, program, chance, 3)]
    assert kinds[0] == "before" and kinds[-1] == "nvs wiped"
    assert len([kind for kind in kinds if kind.startswith("torn")]) >= 3
    assert len([kind for kind in kinds if kind.startswith("some bits")]) == 3
    assert [how for how, _ in cuts(state, Operation("erase", 0, 65536), chance, 1)] == [
        "before",
        "first half erased",
        "second half erased",
        "garbage",
        "bits half erased",
        "few bits erased: 0",
        "nearly erased",
        "first sector erased",
        "last sector left",
        "nvs wiped",
    ]
    write = NvsWrite("ota", "journal", "ff" * 512)
    assert [how for how, _ in cuts(state, write, chance, 1)] == [
        "before",
        "nvs torn",
        "nvs garbage",
        "nvs garbage",
        "nvs wiped",
    ]


def test_a_cut_leaves_the_state_before_it_as_it_was():
    state = State(bytearray(b"\xff" * 8192), {"ota": {"journal": "00" * 512}})
    before = state.copy()
    for _ in cuts(state, Operation("program", 0, 300, bytes(300)), random.Random(2), 4):
        pass
    assert state == before


def test_what_nvs_held_is_lost_with_it():
    assert lost_nvs("nvs wiped") and lost_nvs("nvs torn") and lost_nvs("nvs garbage")
    assert not lost_nvs("before") and not lost_nvs("garbage")


# The judge: each invariant can be broken


@pytest.fixture
def judged(world):
    """A judge and a board with 1.0 confirmed in slot 0 and 1.1 whole in slot 1."""
    table = small_table(False)
    judge = Judge(table, world.apps, world.stores)
    explorer = Explorer(world, BY_NAME["first"], QUICK)
    state = explorer.start()
    put(state, 0xD000, otadata.encode(1, otadata.VALID))
    put(state, 0x30000, world.apps["1.1"].data)
    return judge, state


def put(state: State, address: int, data: bytes) -> None:
    state.flash[address : address + len(data)] = data


def journal_of(board: State, **fields) -> None:
    made = Journal()
    for name, value in fields.items():
        setattr(made, name, value)
    board.nvs = {"ota": {"journal": encode(made).hex()}}


def test_a_sound_board_is_not_accused(judged):
    judge, state = judged
    assert judge.wrong(state) == []
    assert judge.is_confirmed(state, judge.table.find("ota_0"))


def test_a_header_over_something_else_is_seen(judged):
    judge, state = judged
    state.flash[0x31000] ^= 1
    assert "ota_1 has a header" in judge.wrong(state)[0]


def test_a_journal_that_claims_too_much_is_seen(judged, world):
    judge, state = judged
    digest = hashlib.sha256(world.apps["1.2"].data).digest()
    journal_of(state, state=2, slot=1, sequence=3, digest=digest)
    assert "journal" in judge.wrong(state)[0]
    journal_of(state, state=1, slot=1, sequence=3, digest=digest)
    assert judge.wrong(state) == []


def test_a_receipt_of_what_is_not_there_is_seen(judged):
    judge, state = judged
    state.flash[0x10000:0x20000] = b"\xff" * 0x10000
    assert "receipt of slot 0" in judge.wrong(state)[0]


def test_a_file_system_that_does_not_mount_is_seen(judged):
    judge, state = judged
    state.flash[0x50000:0x60000] = bytes(0x10000)
    assert "file system" in judge.wrong(state)[0]


def test_the_images_that_otadata_calls_confirmed_are_seen(judged, world):
    judge, state = judged
    state.flash[0x30000:0x50000] = b"\xff" * 0x20000
    put(state, 0x30000, world.apps["2.0-fails"].data)
    put(state, 0xE000, otadata.encode(2, otadata.PENDING_VERIFY))
    assert judge.blessed(state) == {"1.0"}
    put(state, 0xE000, otadata.encode(2, otadata.VALID))
    assert judge.blessed(state) == {"1.0", "2.0-fails"}


def test_the_highest_sequence_is_that_of_journal_or_receipt(judged):
    judge, state = judged
    part = judge.table.find("ota_0")
    assert judge.highest(state, part) == (0, 1)  # the receipt's
    journal_of(state, highest=7)
    assert judge.highest(state, part) == (0, 7)
    journal_of(state, highest=3, highest_epoch=2)
    assert judge.highest(state, part) == (2, 3)


def test_the_number_of_the_accepted_trust_store_is_seen(judged, world):
    judge, state = judged
    assert judge.accepted(state) == 1
    part = judge.table.find("vfs")
    for data, number in ((world.stores[2], 3), (world.stores[2][:-1], 0)):
        fs = mount(Flash(state.flash), part)
        with fs.open("/ota_trust.json.current", "wb") as file:
            file.write(data)
        assert judge.accepted(state) == number
    assert judge.wrong(state) == ["the accepted trust store is none that was published"]


def test_the_judge_reads_of_the_library_otadata_only():
    program = (
        "import sys, ota_tools.cut.judge; print(*[m for m in sys.modules if m[:4] == 'ota.'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["ota.otadata"], done.stderr


# The command


def test_cut_says_what_it_did(ota):
    said = ota("cut", "by-hand", "refused", "--json").json()
    assert said["failures"] == 0 and said["failed"] == []
    assert said["operations"] == said["cuts"] != {}
    assert said["states"] == sum(said["states by kind"].values()) > 50
    assert set(said["scenarios"]) == {"by-hand", "refused"}


def test_cut_lists_its_scenarios(ota):
    assert set(ota("cut", "--list", "--json").json()) == set(BY_NAME)


def test_an_unknown_scenario_is_a_usage_error(ota):
    call = ota("cut", "nothing")
    assert call.code == 2 and "--list" in call.line()


def test_failures_are_told_kept_and_an_exit_code(ota, tmp_path, monkeypatch):
    wrong = dataclasses.replace(BY_NAME["by-hand"], ends=("1.3",))
    monkeypatch.setitem(BY_NAME, "by-hand", wrong)
    call = ota("cut", "by-hand", "--jobs", 1, "--json", "--keep", tmp_path)
    assert call.code == 1
    said = json.loads(call.out)
    assert said["failures"] > 0 and "by-hand" in said["failed"][0]["scenario"]
    assert ota("board", "show", tmp_path / "by-hand-0").code == 0
