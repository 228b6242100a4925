"""Boot, trial, confirm, rollback: each row of the state table, on the board's model."""

import hashlib
import sys
import time

import pytest
from virtual import BLANK, FACTORY_OTA_TABLE, FACTORY_TABLE, IMAGE_A, IMAGE_B, Virtual

import ota
from ota import journal as jr
from ota import otadata, start, trial
from ota.errors import OtaError, error
from ota.memory import forget, history, save_journal
from ota.situation import Situation
from ota_tools.board.model import DEEP_SLEEP, HARD, POWER_ON, SOFT, WATCHDOG, BoardReset

DIGEST = hashlib.sha256(IMAGE_B).digest()
SEQUENCE = 2


@pytest.fixture
def v(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "b")
    made.power_on()
    return made


def remembered(v: Virtual) -> jr.Journal:
    return Situation(v.port()).journal


def install(v: Virtual, state: int = jr.ACTIVATED) -> None:
    """Image B in the next slot, selected, with the journal that the updater leaves."""
    v.put("ota_1", IMAGE_B)
    journal = remembered(v)
    journal.start(1, SEQUENCE, DIGEST, IMAGE_B[:16], "1.1")
    v.port().select(v.esp32.Partition("ota_1"))
    journal.state = state
    save_journal(v.port(), journal)


def boot(v: Virtual) -> int:
    """boot.py, with every reset that it asks for."""
    trial.fault = ""
    resets = v.until_quiet(lambda: _boot(v))
    assert trial.fault == ""
    return resets


def _boot(v: Virtual) -> None:
    # BoardReset is no Exception, so it comes through `boot()` as a reset would.
    start.boot(port=v.port())


def on_trial(v: Virtual) -> bool:
    return Situation(v.port()).on_trial()


def start_trial(v: Virtual) -> None:
    install(v)
    v.reset()
    boot(v)
    assert v.running() == "ota_1" and on_trial(v)


def self_test(v: Virtual, checks: list) -> int:
    return v.until_quiet(lambda: trial.self_test(checks, port=v.port()))


# VALID, RUNNING = BOOT


def test_a_confirmed_image_boots_without_writing_anything(v):
    v.board.flash.operations.clear()
    assert boot(v) == 0
    assert v.board.flash.operations == []
    assert v.board.nvs.content == {}
    assert v.board.watchdog_at is None


def test_a_confirmed_image_returns_from_its_self_test_at_once(v):
    assert self_test(v, [("never asked", lambda: 1 / 0)]) == 0


# PENDING, RUNNING = BOOT


def test_a_new_image_is_on_trial_under_the_watchdog(v, capsys):
    start_trial(v)
    assert remembered(v).state == jr.TRIAL
    assert v.board.watchdog_at is not None
    assert "trial" in capsys.readouterr().out


def test_a_passed_self_test_confirms(v):
    start_trial(v)
    assert self_test(v, [("network", lambda: True), ("app", lambda: 1)]) == 0
    assert v.entries() == ["1 VALID", "2 VALID"]
    found = remembered(v)
    assert (found.state, found.outcome, found.highest) == (jr.NONE, jr.CONFIRMED, SEQUENCE)
    assert not on_trial(v)
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_1"


def test_an_async_check_is_awaited(v):
    async def good():
        return True

    async def bad():
        return False

    start_trial(v)
    assert self_test(v, [("good", good), ("bad", bad)]) == 1
    assert v.running() == "ota_0"
    assert remembered(v).reason == "bad: failed"


@pytest.mark.parametrize("check", [lambda: False, lambda: None, lambda: 1 / 0])
def test_a_failed_self_test_rolls_back_and_refuses_the_image(v, check):
    start_trial(v)
    assert self_test(v, [("fine", lambda: True), ("sensor", check)]) == 1
    boot(v)
    assert v.running() == "ota_0" and not on_trial(v)
    found = remembered(v)
    assert (found.outcome, found.version) == (jr.TEST_FAILED, "1.1")
    assert found.reason.startswith("sensor: ")
    assert found.is_refused(DIGEST, SEQUENCE) and not found.is_refused(DIGEST, SEQUENCE + 1)
    assert found.highest == 0


def test_an_image_that_asks_for_rollback_is_refused(v):
    start_trial(v)
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    assert v.running() == "ota_0"
    found = remembered(v)
    assert (found.outcome, found.reason) == (jr.ROLLED_BACK, "by hand")
    assert found.is_refused(DIGEST, SEQUENCE)


@pytest.mark.parametrize(
    ("cause", "outcome", "boots"),
    [(HARD, jr.CRASHED, 2), (WATCHDOG, jr.WATCHDOG, 2), (POWER_ON, jr.POWER_LOST, 3)],
)
def test_an_image_that_resets_unconfirmed_is_refused_after_its_tries(v, cause, outcome, boots):
    for tries in range(1, boots + 1):
        start_trial(v)
        v.reset(cause)
        boot(v)
        assert v.running() == "ota_0"
        found = remembered(v)
        assert (found.outcome, found.tries, found.state) == (outcome, tries, jr.NONE)
        assert found.is_refused(DIGEST, SEQUENCE) == (tries == boots)


def test_an_image_that_dies_before_boot_py_counts_as_tried(v):
    install(v)
    v.reset()  # the new image starts and never reaches boot.py
    v.reset(HARD)
    boot(v)
    assert v.running() == "ota_0"
    assert (remembered(v).outcome, remembered(v).crashes) == (jr.CRASHED, 1)


def test_a_soft_reset_neither_ends_nor_prolongs_the_trial(v):
    start_trial(v)
    armed = v.board.watchdog_at
    v.board.cause = SOFT
    boot(v)
    assert on_trial(v) and v.board.watchdog_at == armed


def test_confirm_twice_is_harmless(v):
    start_trial(v)
    trial.confirm(v.port())
    generation = remembered(v).generation
    trial.confirm(v.port())
    assert remembered(v).generation == generation


def test_confirm_parks_the_watchdog(v):
    start_trial(v)
    before = v.board.watchdog_at
    trial.confirm(v.port())
    assert v.board.watchdog_at > before + 3600


# A confirm that was cut


def test_a_confirm_cut_before_the_mark_is_finished_by_the_next_attempt(v):
    start_trial(v)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.reset(POWER_ON)  # the bootloader makes it ABORTED and boots the old image
    assert v.running() == "ota_0"
    assert boot(v) == 1
    assert v.running() == "ota_1" and not on_trial(v)
    assert v.entries()[1] == "2 VALID"
    assert (remembered(v).highest, remembered(v).tries) == (SEQUENCE, 0)


def test_a_confirm_cut_while_marking_costs_no_try(v):
    start_trial(v)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.set_entries(otadata.encode(1, otadata.VALID), BLANK)  # erased, not yet written
    v.reset(POWER_ON)
    boot(v)
    assert v.running() == "ota_1" and not on_trial(v)
    assert remembered(v).outcome == jr.CONFIRMED


def test_a_confirm_cut_after_the_mark_is_closed_at_the_next_boot(v):
    start_trial(v)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.port().mark_valid()
    v.reset()
    boot(v)
    assert v.running() == "ota_1"
    assert (remembered(v).state, remembered(v).highest) == (jr.NONE, SEQUENCE)


def test_an_image_that_somebody_else_marked_valid_counts_as_confirmed(v):
    start_trial(v)
    v.port().mark_valid()
    v.reset()
    boot(v)
    assert (remembered(v).outcome, remembered(v).highest) == (jr.CONFIRMED, SEQUENCE)


def test_a_selection_whose_record_was_lost_costs_no_try(v):
    install(v)
    v.set_entries(otadata.encode(1, otadata.VALID), BLANK)  # cut in the bootloader's own write
    v.reset(POWER_ON)
    boot(v)
    assert v.running() == "ota_0"
    assert (remembered(v).tries, remembered(v).state) == (0, jr.NONE)


# NEW, RUNNING = BOOT: a bootloader without rollback


@pytest.fixture
def old(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "old", rollback=False)
    made.power_on()
    return made


def test_without_a_rollback_bootloader_the_library_watches(old):
    start_trial(old)
    assert old.entries()[1] == "2 NEW"
    assert self_test(old, [("app", lambda: True)]) == 0
    assert old.entries()[1] == "2 VALID" and remembered(old).highest == SEQUENCE


@pytest.mark.parametrize("cause", [POWER_ON, HARD, WATCHDOG])
def test_without_a_rollback_bootloader_one_unconfirmed_reset_goes_back(old, cause):
    start_trial(old)
    old.reset(cause)
    assert old.running() == "ota_1"
    assert boot(old) == 1
    assert old.running() == "ota_0" and not on_trial(old)
    assert remembered(old).tries == 1


def test_without_a_rollback_bootloader_a_wake_from_deep_sleep_is_no_failure(old):
    start_trial(old)
    generation = remembered(old).generation
    old.reset(DEEP_SLEEP)
    assert boot(old) == 0
    assert on_trial(old) and remembered(old).generation == generation
    assert old.board.watchdog_at is not None


def test_without_a_rollback_bootloader_a_failed_self_test_goes_back(old):
    start_trial(old)
    assert self_test(old, [("app", lambda: False)]) == 1
    assert old.running() == "ota_0" and remembered(old).is_refused(DIGEST, SEQUENCE)


# Anything else, RUNNING = BOOT: a torn record


def torn(v: Virtual) -> None:
    record = otadata.encode(2, otadata.UNDEFINED)
    v.set_entries(otadata.encode(1, otadata.VALID), record)


def test_a_torn_record_is_a_trial_where_the_journal_knows_the_image(v):
    install(v)
    torn(v)
    v.reset()
    boot(v)
    assert v.running() == "ota_1" and on_trial(v)
    trial.confirm(v.port())
    assert v.entries()[1] == "2 VALID"


def test_a_torn_record_is_normal_where_the_journal_knows_nothing(v):
    v.put("ota_1", IMAGE_B)
    torn(v)
    v.reset()
    assert boot(v) == 0
    assert v.running() == "ota_1" and not on_trial(v)


# RUNNING and BOOT differ


def test_a_wake_from_deep_sleep_after_an_install_is_led_into_the_new_image(v):
    install(v)
    with pytest.raises(BoardReset) as e:
        v.machine.deepsleep(1000)
    v.reset(e.value.cause)
    assert v.running() == "ota_0" and v.selected() == "ota_1"
    assert boot(v) == 1
    assert v.running() == "ota_1" and on_trial(v)


def test_a_trial_goes_on_after_deep_sleep(v):
    start_trial(v)
    generation = remembered(v).generation
    v.reset(DEEP_SLEEP)
    assert boot(v) == 0
    assert v.running() == "ota_1" and on_trial(v)
    assert v.board.watchdog_at is not None and remembered(v).generation == generation


def test_a_selected_image_that_was_not_booted_gets_one_reset(v):
    install(v)
    assert v.running() == "ota_0" and v.selected() == "ota_1"  # deep sleep, or a soft reset
    assert boot(v) == 1
    assert v.running() == "ota_1" and on_trial(v)


def test_a_selection_that_a_reset_does_not_boot_is_dropped(v):
    install(v)
    journal = remembered(v)
    journal.resets = 1
    save_journal(v.port(), journal)
    assert boot(v) == 0
    assert v.selected() == "ota_0"


def test_an_image_that_does_not_load_is_refused_and_its_record_dropped(v):
    install(v)
    slot = v.board.table.find("ota_1")
    v.board.flash.load(slot.offset + 5000, bytes(4))
    v.reset()
    assert v.running() == "ota_0" and v.selected() == "ota_1"
    boot(v)
    assert v.selected() == "ota_0"
    found = remembered(v)
    assert found.outcome == jr.NOT_LOADED and found.is_refused(DIGEST, SEQUENCE)
    v.reset()
    assert v.running() == "ota_0" and boot(v) == 0


@pytest.mark.parametrize("state", [otadata.VALID, otadata.UNDEFINED])
def test_an_old_breakage_is_dropped(v, state):
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, state))
    v.reset()
    assert v.running() == "ota_0" and v.selected() == "ota_1"
    boot(v)
    assert v.selected() == "ota_0"


# No valid record


def test_without_a_valid_record_the_running_slot_is_selected_again(v):
    broken = otadata.encode(5, otadata.VALID)[:28] + bytes(4)
    v.set_entries(broken, broken)
    v.reset()
    assert boot(v) == 1
    assert v.running() == "ota_0" and not on_trial(v)
    assert "VALID" in v.entries()[0]
    v.reset()
    assert boot(v) == 0


def test_a_factory_board_boots_and_is_never_on_trial(tmp_path):
    v = Virtual(tmp_path / "f", FACTORY_TABLE)
    v.power_on()
    trial.fault = ""
    start.boot(port=v.port())
    assert "no-slots" in trial.fault
    trial.self_test([("never asked", lambda: 1 / 0)], port=v.port())


# Double faults and old stories, found by review


def test_an_unconfirmed_image_without_any_record_is_not_blessed(v):
    start_trial(v)
    trial.confirm(v.port())  # ota_1 runs; a second release goes to ota_0
    v.put("ota_0", IMAGE_A)
    journal = remembered(v)
    journal.start(0, 3, hashlib.sha256(IMAGE_A).digest(), IMAGE_A[:16], "1.2")
    v.port().select(v.esp32.Partition("ota_0"))
    journal.state = jr.ACTIVATED
    save_journal(v.port(), journal)
    v.reset()
    boot(v)
    assert v.running() == "ota_0" and on_trial(v)
    first = v.board.entries()[0]
    v.set_entries(first, BLANK)  # the old image's record is lost
    v.reset(WATCHDOG)
    boot(v)
    assert v.running() == "ota_0" and on_trial(v)
    assert remembered(v).crashes == 1 and remembered(v).highest == SEQUENCE


def test_a_torn_selection_is_a_trial_even_before_the_journal_says_activated(v):
    install(v, jr.WRITING)
    torn(v)
    v.reset()
    boot(v)
    assert v.running() == "ota_1" and on_trial(v)
    assert v.board.watchdog_at is not None


@pytest.fixture
def factory(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "factory", FACTORY_OTA_TABLE)
    made.power_on()
    return made


def install_first(v: Virtual) -> None:
    v.put("ota_0", IMAGE_B)
    journal = remembered(v)
    journal.start(0, SEQUENCE, DIGEST, IMAGE_B[:16], "1.1")
    v.port().select(v.esp32.Partition("ota_0"))
    journal.state = jr.ACTIVATED
    save_journal(v.port(), journal)
    v.reset()
    boot(v)
    assert v.running() == "ota_0" and on_trial(v)


def test_a_factory_image_gets_control_back_from_a_failed_self_test(factory):
    install_first(factory)
    assert self_test(factory, [("app", lambda: False)]) == 1
    assert factory.running() == "factory"
    boot(factory)
    assert remembered(factory).is_refused(DIGEST, SEQUENCE)


def test_a_factory_image_notes_how_a_trial_ended(factory):
    for crashes in (1, 2):
        install_first(factory)
        factory.reset(WATCHDOG)
        assert factory.running() == "factory"
        boot(factory)
        assert remembered(factory).crashes == crashes
    assert remembered(factory).is_refused(DIGEST, SEQUENCE)


def test_a_factory_image_has_nothing_to_roll_back_to(factory):
    with pytest.raises(OtaError) as e:
        trial.rollback(port=factory.port())
    assert e.value.code == "no-rollback"


def test_leaving_that_was_cut_short_is_finished_at_the_next_boot(old):
    start_trial(old)
    journal = remembered(old)
    journal.refuse(DIGEST, SEQUENCE)
    journal.end(jr.TEST_FAILED, "cut before the record was dropped")
    save_journal(old.port(), journal)
    old.reset(POWER_ON)
    assert old.running() == "ota_1"
    assert boot(old) == 1
    assert old.running() == "ota_0"


def test_an_image_that_cannot_load_counts_as_tried_without_a_rollback_bootloader(old):
    install(old)
    slot = old.board.table.find("ota_1")
    old.board.flash.load(slot.offset + 5000, bytes(4))
    old.reset()
    assert boot(old) == 1
    assert old.running() == "ota_0" and old.selected() == "ota_0"
    assert remembered(old).tries == 1


def test_a_check_that_the_network_failed_costs_one_of_three_tries(v):
    def unreachable():
        raise error("unreachable", "server restarts")

    for tries in (1, 2, 3):
        start_trial(v)
        assert self_test(v, [("server", unreachable)]) == 1
        boot(v)
        assert v.running() == "ota_0"
        assert remembered(v).reason.startswith("server: unreachable")
        assert remembered(v).is_refused(DIGEST, SEQUENCE) == (tries == 3)


def test_the_watchdog_runs_before_anything_is_written(v):
    install(v)
    v.reset()
    v.esp32.NVS.set_blob = lambda *args: (_ for _ in ()).throw(OSError(-4357, "NVS full"))
    start.boot(port=v.port())
    assert v.board.watchdog_at is not None
    assert "nvs" in trial.fault
    trial.fault = ""


def test_the_window_comes_from_the_configuration(v):
    (v.root / "ota.json").write_text('{"product":"p","board":"b","trial_window_s":40}')
    start_trial(v)
    assert 39 < v.board.watchdog_at - time.monotonic() <= 40


def test_a_confirm_that_boot_finishes_starts_no_watchdog(v):
    start_trial(v)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.reset(POWER_ON)
    boot(v)
    assert v.running() == "ota_1" and v.board.watchdog_at is None


# What people can see and do


def test_the_last_sixteen_events_are_kept_newest_first(v):
    assert history(v.port()) == []
    for sequence in range(2, 12):
        journal = remembered(v)
        journal.start(1, sequence, DIGEST, IMAGE_B[:16], "1.1")
        journal.state = jr.ACTIVATED
        save_journal(v.port(), journal)
        journal.end(jr.CRASHED, "")
        save_journal(v.port(), journal)
    found = history(v.port())
    assert len(found) == 16
    assert [(e["event"], e["sequence"]) for e in found[:3]] == [
        ("crashed", 11),
        ("activated", 11),
        ("crashed", 10),
    ]
    assert found[0]["slot"] == 1 and abs(found[0]["time"] - time.time()) < 60


def test_a_damaged_log_is_an_empty_one(v):
    start_trial(v)
    trial.confirm(v.port())
    assert [e["event"] for e in history(v.port())] == ["confirmed", "activated"]
    v.esp32.NVS("ota").set_blob("log", b"\x01" * 260)
    assert history(v.port()) == []


def test_a_refused_image_can_be_forgotten(v):
    start_trial(v)
    self_test(v, [("app", lambda: False)])
    assert not forget("00" * 32, v.port())
    assert forget(DIGEST.hex(), v.port())
    assert not remembered(v).is_refused(DIGEST, SEQUENCE) and remembered(v).tries == 0
    assert not forget(DIGEST.hex()[:32], v.port())


# boot() never raises


def test_boot_survives_a_corrupt_journal(v):
    v.esp32.NVS("ota").set_blob("journal", b"\x01" * 256)
    assert boot(v) == 0
    v.esp32.NVS("ota").set_blob("journal", b"short")
    assert boot(v) == 0


def test_boot_survives_a_journal_erased_in_the_trial(v):
    start_trial(v)
    v.esp32.NVS("ota").erase_key("journal")
    assert boot(v) == 0 and on_trial(v)
    trial.confirm(v.port())
    assert v.entries()[1] == "2 VALID"


def test_boot_keeps_whatever_goes_wrong_for_status(v):
    class Broken:
        def slots(self):
            raise RuntimeError("nothing works")

    trial.fault = ""
    start.boot(port=Broken())
    assert trial.fault == "RuntimeError nothing works"
    trial.fault = ""


# Rollback by hand


def test_rollback_by_hand_returns_to_the_other_image_and_refuses_this_one(v):
    start_trial(v)
    trial.confirm(v.port())
    (v.root / "ota_receipts.json").write_text(
        '{"format":1,"slots":{"1":{"sha256":"%s","size":9000,"version":"1.1","sequence":2}}}'
        % DIGEST.hex()
    )
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    assert v.running() == "ota_0" and not on_trial(v)
    found = remembered(v)
    assert found.is_refused(DIGEST, SEQUENCE) and found.highest == SEQUENCE
    assert (found.outcome, found.version) == (jr.ROLLED_BACK, "1.1")


def _rollback_once(v: Virtual) -> None:
    if v.running() == "ota_1":
        trial.rollback("by hand", port=v.port())


def test_rollback_is_refused_where_nothing_sound_is_left(v):
    with pytest.raises(OtaError) as e:
        trial.rollback(port=v.port())
    assert e.value.code == "no-rollback"
    start_trial(v)
    trial.confirm(v.port())
    v.put("ota_0", IMAGE_A[:-1])
    with pytest.raises(OtaError) as e:
        trial.rollback(port=v.port())
    assert e.value.code == "no-rollback"
    v.reset()
    assert v.running() == "ota_1"


def test_the_state_table_has_an_action_for_everything():
    states = [*range(6), otadata.UNDEFINED, jr.NO_RECORD, jr.OTHER]
    for state in states:
        for same in (True, False):
            assert jr.action(state, same) in range(8)


def test_a_reset_is_nothing_that_the_library_could_catch():
    assert not issubclass(BoardReset, Exception)


# An ordinary start


def test_an_ordinary_start_is_recognised_without_the_trial_module(v):
    assert start.is_settled(v.port())
    boot(v)
    v.reset()
    assert start.is_settled(v.port())


def test_whatever_is_not_ordinary_is_left_to_the_trial(v):
    install(v)
    assert not start.is_settled(v.port())  # selected, not booted yet
    v.reset()
    assert not start.is_settled(v.port())  # on trial
    boot(v)
    trial.confirm(v.port())
    assert start.is_settled(v.port())


def test_a_journal_in_the_middle_of_something_is_not_ordinary(v):
    for state in (jr.ACTIVATED, jr.TRIAL, jr.CONFIRMING):
        journal = remembered(v)
        journal.start(1, SEQUENCE, DIGEST, IMAGE_B[:16], "1.1")
        journal.state = state
        save_journal(v.port(), journal)
        assert not start.is_settled(v.port()), state
    journal = remembered(v)
    journal.state = jr.WRITING  # a download that was cut: the next install goes on
    save_journal(v.port(), journal)
    assert start.is_settled(v.port())


def test_where_the_journal_keeps_its_state_is_where_start_looks(v):
    journal = remembered(v)
    for state in (jr.NONE, jr.WRITING, jr.ACTIVATED, jr.TRIAL, jr.CONFIRMING):
        journal.state = state
        assert jr.encode(journal)[start._STATE] == state
    assert start._ACTIVATED == jr.ACTIVATED
    assert start._RECORD == jr.SIZE


def test_a_trial_is_not_ordinary_even_without_a_journal(v):
    start_trial(v)
    v.esp32.NVS("ota").erase_key("journal")
    assert not start.is_settled(v.port())


def test_a_confirmed_image_beside_the_running_one_is_not_ordinary(v):
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, otadata.VALID))
    v.reset()
    assert v.running() == "ota_0" and v.selected() == "ota_1"
    assert not start.is_settled(v.port())


def test_records_that_are_not_valid_are_not_ordinary(v):
    broken = otadata.encode(5, otadata.VALID)[:28] + bytes(4)
    v.set_entries(broken, broken)
    v.reset()
    assert not start.is_settled(v.port())


def test_the_code_of_an_ordinary_start_leaves_the_memory(v, monkeypatch):
    names = ("start", "chip", "otadata")
    for name in names:  # put back at the end, whatever is gone then
        module = sys.modules[f"ota.{name}"]
        monkeypatch.setitem(sys.modules, f"ota.{name}", module)
        monkeypatch.setattr(ota, name, module)
    assert boot(v) == 0
    assert all(f"ota.{name}" in sys.modules for name in names)  # somebody uses the library
    port = v.port()
    monkeypatch.delitem(sys.modules, "ota.port")
    start.boot(port=port)
    assert not [name for name in names if f"ota.{name}" in sys.modules or hasattr(ota, name)]
