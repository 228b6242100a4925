"""Boot, trial, confirm, rollback, on the board's model; row by row: test_states.py."""

import contextlib
import hashlib
import json
import sys
import time
from types import SimpleNamespace

import pytest
from fakes import make_image, make_release
from virtual import BLANK, FACTORY_OTA_TABLE, FACTORY_TABLE, IMAGE_A, IMAGE_B, Virtual

import ota
from ota import guard, otadata, recovery, start, trial
from ota import journal as jr
from ota.activation import activate, announce
from ota.errors import OtaError, error
from ota.health import status
from ota.memory import forget, history, outcome, save_journal
from ota.receipt import FILE, Receipt, load_receipts, save_receipts
from ota.situation import Situation
from ota_tools.board.flash import PowerCut
from ota_tools.board.model import DEEP_SLEEP, HARD, POWER_ON, SOFT, WATCHDOG, BoardReset

DIGEST = hashlib.sha256(IMAGE_B).digest()
SEQUENCE = 2


@pytest.fixture
def v(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "b")
    made.power_on()
    return made


@pytest.fixture(autouse=True)
def no_fault(monkeypatch):
    """What one test leaves there is nothing to another."""
    monkeypatch.setattr(recovery, "fault", "")


def put_receipts(v: Virtual, **images: bytes) -> None:
    """Receipts of these images, by slot: `ota_0=IMAGE_A`."""
    known = {IMAGE_A: ("1.0", 1), IMAGE_B: ("1.1", SEQUENCE)}
    slots = {}
    for name, image in images.items():
        version, sequence = known[image]
        slots[int(name[-1])] = Receipt(
            hashlib.sha256(image).digest(), len(image), version, sequence
        )
    save_receipts(v.port().path(FILE), slots)


def remembered(v: Virtual) -> jr.Journal:
    return Situation(v.port()).journal


def install(v: Virtual, state: int = jr.ACTIVATED) -> None:
    """Image B in the next slot, selected, with the journal that the updater leaves."""
    v.put("ota_1", IMAGE_B)
    journal = remembered(v)
    journal.start(1, SEQUENCE, DIGEST, IMAGE_B[:16], "1.1")
    v.port().select(1)
    journal.state = state
    journal.news = jr.SELECTED
    save_journal(v.port(), journal)


def boot(v: Virtual) -> int:
    """boot.py, with every reset that it asks for."""
    recovery.fault = ""
    resets = v.until_quiet(lambda: _boot(v))
    assert recovery.fault == ""
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


MIXED = [
    (HARD, WATCHDOG),
    (WATCHDOG, HARD),
    (POWER_ON, HARD, WATCHDOG),
    (HARD, POWER_ON, WATCHDOG),
    (POWER_ON, HARD, POWER_ON),
    (HARD, POWER_ON, POWER_ON),
    (POWER_ON, POWER_ON, HARD),
]
"""Resets in one trial after the other: two that blame the image are enough, three of any kind are."""


@pytest.mark.parametrize("causes", MIXED)
def test_resets_of_several_causes_are_counted_together(either, causes):
    v = either
    for tries, cause in enumerate(causes, 1):
        start_trial(v)
        v.reset(cause)
        boot(v)
        assert v.running() == "ota_0" and remembered(v).tries == tries
        assert remembered(v).is_refused(DIGEST, SEQUENCE) == (tries == len(causes))


def test_a_server_out_of_reach_counts_with_the_resets(either):
    def unreachable():
        raise error("unreachable", "server restarts")

    v = either
    for tries, ends in enumerate((POWER_ON, None, HARD), 1):
        start_trial(v)
        if ends is None:
            assert self_test(v, [("server", unreachable)]) == 1
        else:
            v.reset(ends)
        boot(v)
        assert v.running() == "ota_0"
        assert remembered(v).is_refused(DIGEST, SEQUENCE) == (tries == 3)


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
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
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
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.set_entries(otadata.encode(1, otadata.VALID), BLANK)  # erased, not yet written
    v.reset(POWER_ON)
    boot(v)
    assert v.running() == "ota_1" and not on_trial(v)
    assert remembered(v).outcome == jr.CONFIRMED


def test_an_image_that_passed_and_dies_before_it_is_marked_costs_its_tries(v):
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.set_entries(otadata.encode(1, otadata.VALID), BLANK)
    starts = 0
    v.reset(POWER_ON)
    while True:
        if v.running() == "ota_1":
            starts += 1
            assert starts < 9
            v.reset(HARD)  # before boot.py
        try:
            _boot(v)
            break
        except BoardReset as e:
            v.reset(e.cause)
    assert (v.running(), starts) == ("ota_0", 3)
    assert (remembered(v).state, remembered(v).outcome) == (jr.NONE, jr.CRASHED)


def test_a_confirm_is_not_finished_for_another_image_in_the_slot(v):
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.put("ota_1", IMAGE_A)  # by a cable
    v.reset(POWER_ON)
    boot(v)
    assert v.running() == v.selected() == "ota_0" and remembered(v).highest == 0


def test_a_confirm_that_cannot_be_finished_leaves_the_watchdog(v):
    start_trial(v)
    journal = remembered(v)
    journal.state = jr.CONFIRMING
    save_journal(v.port(), journal)
    v.board.watchdog_at = None
    v.board.cause = SOFT
    port = v.port()
    port.mark_valid = lambda: None
    start.boot(port=port)
    assert "not-confirmed" in recovery.fault and v.board.watchdog_at is not None


def test_before_a_record_is_dropped_the_running_slot_has_one_of_its_own(v):
    """Slot 0 stops loading; slot 1, whose record was given up, runs: an update must find its way back."""
    v.put("ota_1", IMAGE_B)
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, otadata.ABORTED))
    slot = v.board.table.find("ota_0")
    v.board.flash.load(slot.offset + 5000, bytes(4))
    v.reset()
    assert v.running() == "ota_1"
    boot(v)
    assert v.selected() == "ota_1" and v.entries()[1] == "2 VALID"
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_1"


def test_an_image_that_came_by_a_cable_is_not_the_one_that_was_being_written(v):
    journal = remembered(v)
    journal.start(1, 9, bytes(32), bytes(16), "9.0")
    save_journal(v.port(), journal)
    v.put("ota_1", IMAGE_B)
    v.port().select(1)
    v.reset()
    boot(v)
    trial.confirm(v.port())
    assert remembered(v).highest == 0 and v.entries()[1] == "2 VALID"


def test_a_wake_behind_the_last_one_writes_nothing(v):
    start_trial(v)
    journal = remembered(v)
    journal.wakes = jr.MAX_WAKES
    save_journal(v.port(), journal)
    v.set_entries(BLANK, v.board.entries()[1])  # nothing to go back to
    recovery.has_way_back, real = lambda *_: False, recovery.has_way_back
    try:
        before = v.board.nvs.content["ota"]["journal"]
        v.reset(DEEP_SLEEP)
        _boot(v)
    finally:
        recovery.has_way_back = real
    assert v.board.nvs.content["ota"]["journal"] == before and v.board.watchdog_at is not None


def test_nvs_that_cannot_be_read_is_not_taken_for_an_empty_one(v):
    start_trial(v)
    port = v.port()

    def nvs_read(key, buf):
        raise OSError(-4353, "ESP_ERR_NVS_BASE")

    before = v.board.nvs.content["ota"]["journal"]
    port.nvs_read = nvs_read
    start.boot(port=port)
    assert "nvs" in recovery.fault
    assert v.board.nvs.content["ota"]["journal"] == before


def test_what_a_rollback_by_hand_follows_is_told_too(v):
    confirmed(v)
    v.until_quiet(lambda: _rollback_once(v))
    boot(v)
    told = [outcome(v.port())["outcome"], outcome(v.port())["outcome"], outcome(v.port())]
    assert told == ["confirmed", "rolled back", None]


def test_a_record_that_says_valid_before_any_trial_began_was_torn(v):
    install(v)
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, otadata.VALID))
    v.reset(POWER_ON)
    assert v.running() == "ota_1"
    assert boot(v) == 1
    assert v.running() == "ota_0" and remembered(v).highest == 0
    assert (remembered(v).state, remembered(v).tries) == (jr.NONE, 0)


@pytest.mark.parametrize("spent", [0, 1], ids=["at once", "after a reset that was needed"])
def test_an_image_whose_record_did_not_come_out_well_is_not_blessed(v, spent):
    install(v)
    journal = remembered(v)
    journal.resets = spent
    save_journal(v.port(), journal)
    v.reset()
    assert v.running() == "ota_1"
    wrong = otadata.encode(2, otadata.PENDING_VERIFY)[:31] + b"\x00"
    v.set_entries(otadata.encode(1, otadata.VALID), wrong)
    assert boot(v) == 1
    assert v.running() == "ota_0" and v.entries()[0] == "1 VALID"
    assert (remembered(v).state, remembered(v).highest) == (jr.NONE, 0)


def test_what_came_by_a_cable_bears_no_name_of_another_attempt(v):
    journal = remembered(v)
    journal.start(0, 9, bytes(32), bytes(16), "9.9")
    save_journal(v.port(), journal)
    v.put("ota_1", IMAGE_B)
    v.port().select(1)
    v.reset()
    boot(v)
    self_test(v, [("app", lambda: False)])
    assert (remembered(v).outcome, remembered(v).version) == (jr.TEST_FAILED, "")


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
    old.reset(DEEP_SLEEP)
    assert boot(old) == 0
    found = remembered(old)
    assert on_trial(old) and (found.state, found.tries, found.wakes) == (jr.TRIAL, 0, 1)
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
    assert v.entries()[1] == "2 VALID" and start.is_settled(v.port())


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
    found = remembered(v)
    assert v.board.watchdog_at is not None
    assert (found.state, found.tries, found.wakes) == (jr.TRIAL, 0, 1)
    assert found.generation == generation + 1  # one write per wake


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
    assert boot(v) == 0
    assert v.running() == "ota_0" and not on_trial(v)
    assert v.entries()[0] == "1 VALID" and v.selected() == "ota_0"
    v.reset()
    v.board.flash.operations.clear()
    assert boot(v) == 0 and v.board.flash.operations == []


def test_a_factory_board_boots_and_is_never_on_trial(tmp_path):
    v = Virtual(tmp_path / "f", FACTORY_TABLE)
    v.power_on()
    recovery.fault = ""
    start.boot(port=v.port())
    assert "no-slots" in recovery.fault
    trial.self_test([("never asked", lambda: 1 / 0)], port=v.port())


# Double faults and old stories, found by review


def test_an_unconfirmed_image_without_any_record_is_not_blessed(v):
    start_trial(v)
    trial.confirm(v.port())  # ota_1 runs; a second release goes to ota_0
    v.put("ota_0", IMAGE_A)
    journal = remembered(v)
    journal.start(0, 3, hashlib.sha256(IMAGE_A).digest(), IMAGE_A[:16], "1.2")
    v.port().select(0)
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
    v.port().select(0)
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
    journal.state = jr.LEAVING
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
    assert "nvs" in recovery.fault
    recovery.fault = ""


def test_the_window_comes_from_the_configuration(v):
    (v.root / "ota.json").write_text('{"product":"p","board":"b","trial_window_s":40}')
    start_trial(v)
    assert 39 < v.board.watchdog_at - time.monotonic() <= 40


def test_a_confirm_that_boot_finishes_starts_no_watchdog(v):
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
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
        journal.news = jr.SELECTED
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


def test_the_log_is_in_the_journal_and_nowhere_else(v):
    start_trial(v)
    trial.confirm(v.port())
    assert [e["event"] for e in history(v.port())] == ["confirmed", "activated"]
    assert list(v.board.nvs.content["ota"]) == ["journal"]


def test_a_damaged_journal_has_an_empty_log(v):
    start_trial(v)
    v.esp32.NVS("ota").set_blob("journal", b"\x01" * 512)
    assert history(v.port()) == []


def test_an_event_of_a_later_library_is_told_by_its_number(v):
    journal = remembered(v)
    journal.news = 200
    save_journal(v.port(), journal)
    assert history(v.port())[0]["event"] == "200"


def test_a_refused_image_can_be_forgotten(v):
    start_trial(v)
    self_test(v, [("app", lambda: False)])
    assert not forget("00" * 32, v.port())
    assert forget(DIGEST.hex(), v.port())
    assert not remembered(v).is_refused(DIGEST, SEQUENCE) and remembered(v).tries == 0
    assert not forget(DIGEST.hex()[:32], v.port())


# boot() never raises


def test_boot_survives_a_corrupt_journal(v):
    for size in (256, 512):  # 256: a record of the format before
        v.esp32.NVS("ota").set_blob("journal", b"\x01" * size)
        recovery.fault = ""
        v.reset()
        assert boot(v) == 0
    v.esp32.NVS("ota").set_blob("journal", b"short")
    assert boot(v) == 0


def test_boot_survives_a_journal_erased_in_the_trial(v):
    start_trial(v)
    v.esp32.NVS("ota").erase_key("journal")
    assert boot(v) == 0 and on_trial(v)
    trial.confirm(v.port())
    assert v.entries()[1] == "2 VALID"
    assert outcome(v.port()) is None and start.is_settled(v.port())  # nobody knows what it is


def test_boot_keeps_whatever_goes_wrong_for_status(v):
    class Broken:
        def slots(self):
            raise RuntimeError("nothing works")

    recovery.fault = ""
    start.boot(port=Broken())
    assert recovery.fault == "RuntimeError nothing works"
    recovery.fault = ""


# Rollback by hand


def test_rollback_by_hand_returns_to_the_other_image_and_refuses_this_one(v):
    start_trial(v)
    trial.confirm(v.port())
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    assert v.running() == "ota_0" and not on_trial(v)
    found = remembered(v)
    assert found.is_refused(DIGEST, SEQUENCE) and found.highest == SEQUENCE
    assert (found.outcome, found.version) == (jr.ROLLED_BACK, "1.1")


def _rollback_once(v: Virtual) -> None:
    if v.running() == "ota_1":
        trial.rollback("by hand", port=v.port())


def test_rollback_names_the_image_of_the_receipt_whatever_the_journal_says(v):
    confirmed(v)
    v.esp32.NVS("ota").erase_key("journal")
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    told = outcome(v.port())
    assert (told["version"], told["sequence"], told["sha256"]) == ("1.1", SEQUENCE, DIGEST.hex())


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


# Rollback by hand: what it relies on


def confirmed(v: Virtual) -> None:
    """Image B runs, confirmed; image A is in the other slot; both have their receipts."""
    start_trial(v)
    trial.confirm(v.port())
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    v.reset(POWER_ON)
    assert boot(v) == 0 and v.running() == "ota_1"


def everything(v: Virtual) -> tuple:
    """All that outlives a reset, files aside."""
    return v.raw(), json.dumps(v.board.nvs.content)


def code_of_rollback(v: Virtual) -> str:
    """The code of a rollback that is refused, and changes nothing."""
    before = everything(v)
    with pytest.raises(OtaError) as e:
        trial.rollback("by hand", port=v.port())
    assert everything(v) == before
    return e.value.code


@pytest.mark.parametrize("at", [0, 24, 5000, len(IMAGE_A) - 1])
def test_rollback_is_refused_where_one_byte_of_the_other_slot_was_altered(v, at):
    confirmed(v)
    altered = bytearray(IMAGE_A)
    altered[at] ^= 1
    v.put("ota_0", bytes(altered))
    assert code_of_rollback(v) == "no-rollback"
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_1"
    v.put("ota_0", IMAGE_A)
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    assert v.running() == "ota_0"


@pytest.mark.parametrize("receipts", [{}, {"ota_1": IMAGE_B}, {"ota_0": IMAGE_B}])
def test_rollback_is_refused_where_the_other_slot_has_no_receipt_of_its_image(v, receipts):
    confirmed(v)
    put_receipts(v, **receipts)
    assert code_of_rollback(v) == "no-rollback"


def test_rollback_is_refused_where_the_other_slot_cannot_be_read(v, monkeypatch):
    confirmed(v)
    real = v.esp32.Partition.readblocks

    def dead(self, *args):
        if self.info()[4] == "ota_0":
            raise OSError(-261, "dead")
        real(self, *args)

    monkeypatch.setattr(v.esp32.Partition, "readblocks", dead)
    assert code_of_rollback(v) == "no-rollback"


def test_rollback_of_a_confirmed_image_is_leaving_in_the_journal_until_the_other_one_runs(v):
    confirmed(v)
    with pytest.raises(BoardReset):
        trial.rollback("by hand", port=v.port())
    v.reset()
    assert v.running() == "ota_0" and remembered(v).state == jr.LEAVING
    assert not on_trial(v)
    assert boot(v) == 0
    found = remembered(v)
    assert (found.state, found.outcome, found.reason) == (jr.NONE, jr.ROLLED_BACK, "by hand")
    v.reset()
    assert start.is_settled(v.port())


def test_rollback_remembers_the_epoch_of_what_is_left(v):
    confirmed(v)
    path = v.port().path(FILE)
    receipts = load_receipts(path)
    receipts[1].epoch = 7
    save_receipts(path, receipts)
    with pytest.raises(BoardReset):
        trial.rollback("by hand", port=v.port())
    v.reset()
    assert (remembered(v).epoch, remembered(v).sequence) == (7, SEQUENCE)


def test_rollback_is_refused_where_no_record_says_that_the_other_slot_was_confirmed(v):
    confirmed(v)
    for record in (BLANK, otadata.encode(1, otadata.ABORTED), otadata.encode(1, otadata.NEW)):
        v.set_entries(record, otadata.encode(2, otadata.VALID))
        with pytest.raises(OtaError) as e:
            trial.rollback(port=v.port())
        assert e.value.code == "no-rollback"
        assert v.selected() == "ota_1" and not remembered(v).is_refused(DIGEST, SEQUENCE)


class Cutter:
    """Cuts the power at one operation on flash, counted from 0: before it, or half-way through it."""

    def __init__(self, v: Virtual, number: int, half: bool) -> None:
        self.left = number
        self.half = half
        v.board.flash.cut_before = self.cut

    def cut(self, _) -> bool:
        self.left -= 1
        if self.left < 0 and not self.half:
            raise PowerCut
        return self.left < 0


def cut_in(v: Virtual, number: int, half: bool, call) -> bool:
    """Call it, and cut; then the power is back. False where it has not so many operations."""
    Cutter(v, number, half)
    try:
        call()
    except (PowerCut, BoardReset) as e:
        was_cut = isinstance(e, PowerCut)
    else:
        was_cut = False
    v.board.flash.cut_before = None
    v.reset(POWER_ON)
    return was_cut


@pytest.mark.parametrize("half", [False, True])
def test_a_rollback_that_was_cut_is_finished_at_the_next_boot(tmp_path, half):
    number = 0
    while True:
        v = Virtual(tmp_path / str(number))
        v.power_on()
        confirmed(v)
        was_cut = cut_in(v, number, half, lambda v=v: trial.rollback("by hand", port=v.port()))
        boot(v)
        assert v.running() == "ota_0", number
        found = remembered(v)
        assert (found.outcome, found.state) == (jr.ROLLED_BACK, jr.NONE), number
        assert found.is_refused(DIGEST, SEQUENCE) and found.untold
        v.reset()
        assert boot(v) == 0 and v.running() == "ota_0" and start.is_settled(v.port())
        v.board.close()
        if not was_cut:
            break
        number += 1
    assert number == 1


@pytest.mark.parametrize("half", [False, True])
def test_a_selection_that_was_cut_leaves_the_old_one_or_a_trial(tmp_path, half):
    for before in ((otadata.encode(1, 2), BLANK), (otadata.encode(3, 2), otadata.encode(2, 2))):
        number = 0
        while True:
            v = Virtual(tmp_path / f"{number} {before[1] == BLANK}")
            v.put("ota_1", IMAGE_B)
            v.set_entries(*before)
            v.power_on()
            was_cut = cut_in(v, number, half, lambda v=v: v.port().select(1))
            assert v.board.entries()[0] == before[0]
            if was_cut:
                assert v.running() == v.selected() == "ota_0", number
            else:
                assert v.running() == "ota_1" and on_trial(v)
                assert v.entries()[1].endswith("PENDING_VERIFY")
            v.board.close()
            if not was_cut:
                break
            number += 1
        assert number == (3 if before[1] == BLANK else 4)  # the old crc first


def test_leaving_that_finds_nothing_sound_any_more_stays(v):
    confirmed(v)
    cut_in(v, 0, False, lambda: trial.rollback(port=v.port()))
    v.set_entries(BLANK, otadata.encode(2, otadata.VALID))
    v.put("ota_0", b"")
    assert v.running() == "ota_1"
    assert boot(v) == 0
    assert v.running() == "ota_1" and remembered(v).state == jr.NONE


def test_leaving_that_finds_no_other_record_any_more_stays(v):
    confirmed(v)
    cut_in(v, 0, False, lambda: trial.rollback(port=v.port()))
    v.set_entries(BLANK, otadata.encode(2, otadata.VALID))
    assert boot(v) == 0
    assert v.running() == v.selected() == "ota_1" and remembered(v).state == jr.NONE


def test_leaving_that_the_bootloader_finishes_costs_one_try(v):
    start_trial(v)
    assert cut_in(v, 0, False, lambda: trial.self_test([("app", lambda: False)], v.port()))
    assert boot(v) == 0 and v.running() == "ota_0"
    found = remembered(v)
    assert (found.outcome, found.tries, found.state) == (jr.TEST_FAILED, 1, jr.NONE)


def test_rollback_of_an_image_without_a_receipt_refuses_no_other(v):
    confirmed(v)
    put_receipts(v, ota_0=IMAGE_A)
    journal = remembered(v)
    journal.start(0, 9, hashlib.sha256(b"another").digest(), b"", "1.9")
    save_journal(v.port(), journal)
    assert v.until_quiet(lambda: _rollback_once(v)) == 1
    assert v.running() == "ota_0"
    assert remembered(v).refused == [] and remembered(v).slot == 1


# Rollback before the first boot


def test_rollback_before_the_first_boot_calls_the_update_off(v):
    install(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    trial.rollback("not now", port=v.port())  # no reset
    assert v.running() == v.selected() == "ota_0"
    found = remembered(v)
    assert (found.outcome, found.reason, found.state) == (jr.CANCELLED, "not now", jr.NONE)
    assert found.refused == [] and found.tries == 0
    assert [e["event"] for e in history(v.port())] == ["cancelled", "activated"]
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_0"
    start_trial(v)  # the same release again


def test_an_update_that_is_called_off_says_so_without_a_reason(v):
    install(v)
    trial.rollback(port=v.port())
    assert outcome(v.port())["reason"] == "on request"


@pytest.mark.parametrize("half", [False, True])
def test_calling_off_that_was_cut_leaves_the_update_or_the_old_image(v, half):
    install(v)
    assert cut_in(v, 0, half, lambda: trial.rollback(port=v.port()))
    boot(v)
    assert v.running() == ("ota_0" if half else "ota_1")
    assert on_trial(v) == (not half)
    assert remembered(v).tries == 0 and remembered(v).refused == []


def test_calling_off_that_lost_its_journal_costs_no_try(v):
    install(v)
    v.board.settings.nvs_full = True
    with pytest.raises(OtaError) as e:
        trial.rollback(port=v.port())
    assert e.value.code == "nvs" and v.selected() == "ota_0"
    v.board.settings.nvs_full = False
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_0"
    found = remembered(v)
    assert (found.state, found.tries, found.refused) == (jr.NONE, 0, [])


# Nobody may come into an image that is not confirmed without a trial


def test_rollback_does_not_go_to_an_image_that_failed_its_self_test(v):
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    assert self_test(v, [("app", lambda: False)]) == 1
    boot(v)
    assert v.running() == "ota_0"
    assert code_of_rollback(v) == "no-rollback"


def test_rollback_does_not_go_to_an_image_that_was_called_off(v):
    install(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    trial.rollback(port=v.port())
    assert code_of_rollback(v) == "no-rollback"


@pytest.mark.parametrize("cause", [POWER_ON, HARD])
def test_rollback_does_not_go_to_an_image_that_never_confirmed_itself(v, cause):
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    v.reset(cause)
    boot(v)
    assert v.running() == "ota_0"
    assert code_of_rollback(v) == "no-rollback"


def test_rollback_where_only_the_waiting_image_has_a_record_starts_no_image_without_a_trial(v):
    install(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    v.set_entries(BLANK, otadata.encode(2, otadata.NEW))
    v.until_quiet(lambda: _rollback_from(v, "ota_0"))
    boot(v)
    assert v.running() == "ota_0" or on_trial(v)


def test_a_release_is_activated_again_where_only_the_first_record_is_left(v):
    v.set_entries(otadata.encode(2, otadata.NEW), BLANK)  # ota_0 runs on: a wake from deep sleep
    v.put("ota_1", IMAGE_B)
    release = make_release(IMAGE_B, sequence=3)
    announce(v.port(), Situation(v.port()), release, IMAGE_B[:16])
    activate(v.port(), release)
    assert v.selected() == "ota_1"


def test_what_is_activated_is_what_the_journal_is_about(v):
    v.put("ota_1", IMAGE_B)
    announce(v.port(), Situation(v.port()), make_release(IMAGE_B, sequence=9), IMAGE_B[:16])
    activate(v.port(), make_release(IMAGE_B, sequence=3))
    assert (remembered(v).sequence, remembered(v).state) == (3, jr.ACTIVATED)


def test_an_activation_that_was_cut_has_its_receipt_before_its_selection(v):
    v.put("ota_1", IMAGE_B)
    release = make_release(IMAGE_B, sequence=3)
    assert cut_in(v, 0, False, lambda: activate(v.port(), release))
    assert v.selected() == "ota_0"
    assert load_receipts(v.port().path(FILE))[1].sequence == 3


def _rollback_from(v: Virtual, name: str) -> None:
    if v.running() == name:
        with contextlib.suppress(OtaError):
            trial.rollback("by hand", port=v.port())


# Wakes from deep sleep


@pytest.fixture(params=[True, False], ids=["rollback", "no rollback"])
def either(request, tmp_path) -> Virtual:
    """With and without a bootloader that goes back."""
    made = Virtual(tmp_path / "either", rollback=request.param)
    made.power_on()
    return made


def wake(v: Virtual) -> int:
    v.reset(DEEP_SLEEP)
    return boot(v)


def test_the_seventeenth_wake_ends_a_trial(either):
    v = either
    for tries in (1, 2, 3):
        start_trial(v)
        for wakes in range(1, 17):
            generation = remembered(v).generation
            assert wake(v) == 0 and on_trial(v)
            found = remembered(v)
            assert (found.wakes, found.generation) == (wakes, generation + 1)
            assert v.board.watchdog_at is not None
        assert wake(v) == 1
        assert v.running() == "ota_0" and not on_trial(v)
        found = remembered(v)
        assert (found.outcome, found.tries, found.state) == (jr.KEPT_WAKING, tries, jr.NONE)
        assert found.reason == "16 wakes without a confirm"
        assert found.is_refused(DIGEST, SEQUENCE) == (tries == 3)
        assert outcome(v.port())["outcome"] == "did not confirm"
        v.reset()
        assert boot(v) == 0 and v.running() == "ota_0"


def test_a_trial_that_confirms_after_sixteen_wakes_is_confirmed(either):
    v = either
    start_trial(v)
    for _ in range(16):
        wake(v)
    assert self_test(v, [("app", lambda: True)]) == 0
    assert not on_trial(v) and remembered(v).highest == SEQUENCE
    generation = remembered(v).generation
    for _ in range(20):
        assert wake(v) == 0 and v.running() == "ota_1"
    assert remembered(v).generation == generation


def test_every_trial_has_its_own_wakes(either):
    v = either
    for _ in range(2):
        start_trial(v)
        assert remembered(v).wakes == 0
        for _ in range(9):
            assert wake(v) == 0
        v.reset(POWER_ON)
        boot(v)
        assert v.running() == "ota_0"


def test_soft_resets_are_no_wakes(either):
    v = either
    start_trial(v)
    for _ in range(40):
        v.board.cause = SOFT
        assert boot(v) == 0 and on_trial(v)
    assert remembered(v).wakes == 0


def test_the_watchdog_runs_in_every_wake_of_a_trial_even_where_nothing_is_left(old):
    alone(old)
    for _ in range(16):
        assert wake(old) == 0 and on_trial(old)
        assert old.board.watchdog_at is not None


def test_a_trial_that_keeps_waking_where_nothing_is_left_stays_under_the_watchdog(old):
    alone(old)
    for _ in range(17):
        old.reset(DEEP_SLEEP)
        _boot(old)
    recovery.fault = ""
    assert old.running() == "ota_1" and on_trial(old)
    assert old.board.watchdog_at is not None


def alone(v: Virtual) -> None:
    """On trial, with no image and no record beside it."""
    start_trial(v)
    v.set_entries(BLANK, otadata.encode(2, otadata.NEW))
    v.put("ota_0", b"")


# No valid record, and the running image may be unconfirmed

TORN_RECORD = otadata.encode(5, otadata.VALID)[:28] + bytes(4)


def without_records(v: Virtual, cause: int, state: int = jr.TRIAL) -> None:
    """Image A in ota_0 never confirmed itself; image B in ota_1 did; all records are lost."""
    confirmed(v)
    digest = hashlib.sha256(IMAGE_A).digest()
    journal = remembered(v)
    journal.start(0, 3, digest, IMAGE_A[:16], "1.2")
    journal.state = state
    save_journal(v.port(), journal)
    v.set_entries(TORN_RECORD, TORN_RECORD)
    v.reset(cause)
    assert v.running() == "ota_0"


@pytest.mark.parametrize(
    ("cause", "wanted"),
    [(HARD, jr.CRASHED), (WATCHDOG, jr.WATCHDOG), (POWER_ON, jr.POWER_LOST)],
)
def test_an_unconfirmed_image_without_any_record_goes_back_to_the_slot_that_verifies(
    v, cause, wanted
):
    without_records(v, cause)
    put_receipts(v, ota_1=IMAGE_B)
    assert boot(v) == 1
    assert v.running() == v.selected() == "ota_1" and not on_trial(v)
    found = remembered(v)
    assert (found.outcome, found.tries, found.highest) == (wanted, 1, SEQUENCE)
    v.reset()
    v.board.flash.operations.clear()
    assert boot(v) == 0 and v.board.flash.operations == []


@pytest.mark.parametrize("receipts", [{}, {"ota_1": IMAGE_A}])
def test_an_unconfirmed_image_without_any_record_can_confirm_itself(v, receipts):
    without_records(v, POWER_ON, jr.ACTIVATED)
    put_receipts(v, **receipts)
    assert boot(v) == 0
    assert v.running() == "ota_0" and on_trial(v) and v.board.watchdog_at is not None
    trial.confirm(v.port())
    assert not on_trial(v) and v.selected() == "ota_0" and remembered(v).highest == 3
    v.reset()
    assert boot(v) == 0 and v.running() == "ota_0" and start.is_settled(v.port())


@pytest.mark.parametrize("cause", [HARD, WATCHDOG, POWER_ON])
def test_an_unconfirmed_image_with_nothing_to_go_back_to_stays_on_trial(v, cause):
    without_records(v, cause)
    put_receipts(v)
    for _ in range(3):
        assert boot(v) == 0
        assert v.running() == "ota_0" and on_trial(v)
        assert not [entry for entry in v.entries() if entry.endswith("VALID")]
        v.reset(cause)
    boot(v)
    trial.confirm(v.port())
    assert not on_trial(v) and remembered(v).highest == 3


def test_a_failed_self_test_without_any_record_goes_back_to_the_slot_that_verifies(v):
    without_records(v, POWER_ON, jr.ACTIVATED)
    put_receipts(v, ota_1=IMAGE_B)
    boot(v)
    assert v.running() == "ota_0" and on_trial(v)
    assert self_test(v, [("app", lambda: False)]) == 1
    assert v.running() == v.selected() == "ota_1" and not on_trial(v)
    assert remembered(v).outcome == jr.TEST_FAILED


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("number", [0, 1])
def test_going_back_without_any_record_that_was_cut_blesses_nothing(v, number, half):
    without_records(v, WATCHDOG)
    put_receipts(v, ota_1=IMAGE_B)
    assert cut_in(v, number, half, lambda: _boot(v))
    boot(v)
    assert v.running() == "ota_1" or on_trial(v)


def test_going_back_from_a_torn_record_that_was_cut_blesses_nothing(v):
    install(v)
    torn(v)
    v.reset()
    boot(v)
    assert v.running() == "ota_1" and on_trial(v)
    v.reset(WATCHDOG)
    assert cut_in(v, 0, False, lambda: _boot(v))
    boot(v)
    assert v.running() == "ota_0" or on_trial(v)


def test_a_confirm_without_any_record_is_finished(v):
    without_records(v, POWER_ON, jr.CONFIRMING)
    put_receipts(v, ota_1=IMAGE_B)
    assert boot(v) == 0
    assert v.running() == "ota_0" and not on_trial(v) and v.selected() == "ota_0"
    assert (remembered(v).outcome, remembered(v).highest) == (jr.CONFIRMED, 3)


@pytest.mark.parametrize("half", [False, True])
def test_a_repair_that_was_cut_is_made_at_the_next_boot(tmp_path, half):
    number = 0
    while True:
        v = Virtual(tmp_path / str(number))
        v.power_on()
        v.set_entries(TORN_RECORD, TORN_RECORD)
        v.reset(POWER_ON)
        was_cut = cut_in(v, number, half, lambda v=v: _boot(v))
        assert boot(v) == 0
        assert v.running() == v.selected() == "ota_0" and not on_trial(v)
        v.board.close()
        if not was_cut:
            break
        number += 1
    assert number == 3


# A factory image beside the slots, and a bootloader without rollback


@pytest.fixture
def old_factory(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "old_factory", FACTORY_OTA_TABLE, rollback=False)
    made.power_on()
    return made


@pytest.mark.parametrize(
    ("cause", "wanted"),
    [(HARD, jr.CRASHED), (WATCHDOG, jr.WATCHDOG), (POWER_ON, jr.POWER_LOST)],
)
def test_without_rollback_an_unconfirmed_image_goes_back_to_the_factory_image(
    old_factory, cause, wanted
):
    v = old_factory
    install_first(v)
    assert v.entries()[0] == "1 NEW"
    v.reset(cause)
    assert v.running() == "ota_0"
    assert boot(v) == 1
    assert v.running() == "factory" and not on_trial(v)
    assert (remembered(v).outcome, remembered(v).tries) == (wanted, 1)
    v.reset(cause)
    assert boot(v) == 0 and v.running() == "factory"


def test_without_rollback_a_failed_self_test_goes_back_to_the_factory_image(old_factory):
    install_first(old_factory)
    assert self_test(old_factory, [("app", lambda: False)]) == 1
    assert boot(old_factory) == 0 and old_factory.running() == "factory"
    assert remembered(old_factory).is_refused(DIGEST, SEQUENCE)


def test_without_rollback_an_image_that_keeps_waking_goes_back_to_the_factory_image(old_factory):
    install_first(old_factory)
    for _ in range(16):
        assert wake(old_factory) == 0 and old_factory.running() == "ota_0"
    assert wake(old_factory) == 1
    assert old_factory.running() == "factory"
    assert remembered(old_factory).outcome == jr.KEPT_WAKING


def test_without_rollback_a_first_image_is_confirmed_beside_the_factory_image(old_factory):
    install_first(old_factory)
    trial.confirm(old_factory.port())
    for cause in (HARD, POWER_ON, DEEP_SLEEP):
        old_factory.reset(cause)
        assert boot(old_factory) == 0 and old_factory.running() == "ota_0"
    assert remembered(old_factory).highest == SEQUENCE


def test_an_update_of_a_factory_board_is_called_off(old_factory, factory):
    for v in (old_factory, factory):
        install(v)
        trial.rollback(port=v.port())
        v.reset()
        assert boot(v) == 0 and v.running() == "factory"
        assert remembered(v).outcome == jr.CANCELLED


def test_a_factory_image_is_nothing_to_roll_back_to_by_hand(factory):
    install_first(factory)
    trial.confirm(factory.port())
    put_receipts(factory, ota_0=IMAGE_B)
    assert code_of_rollback(factory) == "no-rollback"


# A confirmed image that crashes again and again


def crash(v: Virtual, cause: int = HARD, **settings) -> int:
    """One reset by this cause, and boot.py: how many resets that one caused."""
    v.reset(cause)
    recovery.fault = ""
    return v.until_quiet(lambda: start.boot(port=v.port(), **settings))


def writes(v: Virtual) -> list:
    """Keys that are written to NVS from here on."""
    keys: list = []
    v.board.nvs.on_write = lambda space, key, value: keys.append(key)
    return keys


@pytest.mark.parametrize("cause", [HARD, WATCHDOG])
def test_the_eighth_crash_falls_back_to_the_other_image(v, cause):
    confirmed(v)
    outcome(v.port())
    for _ in range(7):
        assert crash(v, cause) == 0 and v.running() == "ota_1"
    assert crash(v, cause) == 1
    assert v.running() == v.selected() == "ota_0" and not on_trial(v)
    found = remembered(v)
    assert (found.outcome, found.state) == (jr.CRASH_LOOP, jr.NONE)
    assert found.is_refused(DIGEST, SEQUENCE) and found.highest == SEQUENCE
    assert history(v.port())[0]["event"] == "crash loop"
    told = outcome(v.port())
    assert (told["outcome"], told["reason"]) == ("crash loop", "8 resets in 600 s")
    assert (told["version"], told["sequence"]) == ("1.1", SEQUENCE)


def test_the_crashes_of_an_image_do_not_count_for_its_successor(v):
    confirmed(v)
    for _ in range(7):
        assert crash(v) == 0
    mended = make_image(9000, seed=3)
    release = make_release(mended, sequence=SEQUENCE + 1, version="1.2")
    port = v.port()
    announce(port, Situation(port), release, mended[:16])
    v.put("ota_0", mended)
    activate(port, release)
    v.reset()
    boot(v)
    trial.confirm(v.port())
    for _ in range(7):
        assert crash(v) == 0 and v.running() == "ota_0"
    assert not remembered(v).refused


def test_a_crash_loop_falls_back_once_only(v):
    confirmed(v)
    for _ in range(8):
        crash(v)
    assert v.running() == "ota_0"
    keys = writes(v)
    for _ in range(40):
        assert crash(v) == 0 and v.running() == "ota_0"
    assert keys == []


def test_crashes_and_watchdog_resets_are_counted_together(v):
    confirmed(v)
    for number in range(7):
        crash(v, (HARD, WATCHDOG)[number % 2])
    assert crash(v, WATCHDOG) == 1 and v.running() == "ota_0"


@pytest.mark.parametrize("cause", [POWER_ON, DEEP_SLEEP, SOFT])
def test_an_ordinary_start_is_no_crash_and_writes_nothing(v, cause):
    confirmed(v)
    keys = writes(v)
    v.board.flash.operations.clear()
    for _ in range(40):
        assert crash(v, cause) == 0 and v.running() == "ota_1"
    assert keys == [] and v.board.flash.operations == []


def test_ordinary_starts_between_the_crashes_are_not_counted(v):
    confirmed(v)
    for _ in range(7):
        crash(v)
        for cause in (DEEP_SLEEP, SOFT):
            assert crash(v, cause) == 0
    assert v.running() == "ota_1"
    assert crash(v) == 1 and v.running() == "ota_0"


def test_a_power_on_starts_the_count_of_crashes_anew(v):
    confirmed(v)
    for _ in range(2):
        for _ in range(7):
            crash(v)
        crash(v, POWER_ON)
    assert v.running() == "ota_1"


def test_a_power_on_starts_the_count_of_crashes_anew_once(v):
    confirmed(v)
    crash(v)
    keys = writes(v)
    for _ in range(3):
        crash(v, POWER_ON)
        assert keys == ["crashes"]


@pytest.mark.parametrize(("apart_s", "runs"), [(0, "ota_0"), (85, "ota_0"), (86, "ota_1")])
def test_only_crashes_within_the_window_count(v, monkeypatch, apart_s, runs):
    confirmed(v)
    now = 1_790_000_000
    monkeypatch.setattr(guard, "time", SimpleNamespace(time=lambda: now))
    for _ in range(8):
        crash(v)
        now += apart_s
    assert v.running() == runs


def test_one_reset_after_each_power_on_is_no_crash_loop_where_nobody_sets_the_clock(
    v, monkeypatch
):
    confirmed(v)
    now = 0
    monkeypatch.setattr(guard, "time", SimpleNamespace(time=lambda: now))
    for _ in range(8):  # days apart: the clock begins anew at power-on
        now = 946684800 + 1
        crash(v, POWER_ON)
        now += 5
        crash(v, HARD)
    assert v.running() == "ota_1"


def test_after_a_loop_the_count_starts_anew_with_a_smaller_limit_too(v):
    confirmed(v)
    altered(v)
    for _ in range(7):
        crash(v, crashes=8)
    for _ in range(2):
        crash(v, crashes=3)
    assert recovery.fault == ""  # the first of the two was one too many, the second is not


def test_how_many_crashes_in_which_time_is_the_application_s_to_say(v):
    confirmed(v)
    outcome(v.port())
    for _ in range(2):
        assert crash(v, crashes=3, within_s=60) == 0
    assert crash(v, crashes=3, within_s=60) == 1
    assert v.running() == "ota_0" and outcome(v.port())["reason"] == "3 resets in 60 s"


def test_no_crashes_at_all_switches_the_fall_back_off(v, capsys):
    confirmed(v)
    keys = writes(v)
    capsys.readouterr()
    for _ in range(40):
        assert crash(v, crashes=0) == 0 and v.running() == "ota_1"
    assert keys == [] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "other",
    [BLANK, otadata.encode(1, otadata.ABORTED), otadata.encode(4, otadata.VALID)],
    ids=["none", "given up", "of the same slot"],
)
def test_crashes_are_not_counted_where_no_other_record_leads_back(v, other):
    confirmed(v)
    v.set_entries(other, v.board.entries()[1])
    v.reset()
    assert v.running() == "ota_1"
    keys = writes(v)
    for _ in range(20):
        assert crash(v) == 0 and v.running() == "ota_1"
    assert keys == []


def test_crashes_of_a_board_that_was_never_updated_are_not_counted(v):
    keys = writes(v)
    for _ in range(20):
        assert crash(v) == 0 and v.running() == "ota_0"
    assert keys == []


def altered(v: Virtual) -> None:
    v.put("ota_0", IMAGE_A[:5000] + b"\x00" + IMAGE_A[5001:])


def without_receipt(v: Virtual) -> None:
    put_receipts(v, ota_1=IMAGE_B)


@pytest.mark.parametrize("spoil", [altered, without_receipt])
def test_a_crash_loop_stays_where_the_other_slot_does_not_verify(v, spoil):
    confirmed(v)
    spoil(v)
    before = v.raw()
    generation = remembered(v).generation
    for _ in range(7):
        crash(v)
    assert recovery.fault == ""
    assert crash(v) == 0
    assert v.running() == "ota_1" and v.raw() == before
    assert "no-rollback" in recovery.fault  # ota.status() tells
    found = remembered(v)
    assert found.refused == [] and found.generation == generation
    for _ in range(7):  # it counts anew
        crash(v)
        assert recovery.fault == ""
    recovery.fault = ""


def test_a_trial_is_no_crash_loop(either):
    v = either
    start_trial(v)
    put_receipts(v, ota_0=IMAGE_A, ota_1=IMAGE_B)
    keys = writes(v)
    for _ in range(20):
        v.reset(HARD)
        boot(v)
    assert v.running() == "ota_0" and "crashes" not in keys
    assert remembered(v).outcome == jr.CRASHED


@pytest.mark.parametrize("half", [False, True])
def test_a_fall_back_that_was_cut_is_finished_at_the_next_boot(v, half):
    confirmed(v)
    for _ in range(7):
        crash(v)
    v.reset(HARD)
    assert cut_in(v, 0, half, lambda: start.boot(port=v.port()))
    assert v.running() == ("ota_0" if half else "ota_1")
    boot(v)
    assert v.running() == "ota_0"
    assert (remembered(v).outcome, remembered(v).state) == (jr.CRASH_LOOP, jr.NONE)


def test_boot_survives_a_count_that_cannot_be_written_or_read(v):
    confirmed(v)
    v.esp32.NVS("ota").set_blob("crashes", b"short")
    assert crash(v) == 0
    v.board.settings.nvs_full = True
    for _ in range(20):
        assert crash(v) == 0 and v.running() == "ota_1"


# How the last attempt ended, told once

CONFIRMED = {
    "outcome": "confirmed",
    "reason": "",
    "version": "1.1",
    "sequence": SEQUENCE,
    "sha256": DIGEST.hex(),
}


def test_an_outcome_is_told_once(v):
    assert outcome(v.port()) is None
    start_trial(v)
    assert outcome(v.port()) is None
    trial.confirm(v.port())
    assert outcome(v.port()) == CONFIRMED
    keys = writes(v)
    assert outcome(v.port()) is None
    v.reset(POWER_ON)
    assert boot(v) == 0
    assert outcome(v.port()) is None and keys == []
    assert status(v.port())["outcome"] == "confirmed"  # there it stays


@pytest.mark.parametrize("cause", [POWER_ON, HARD, DEEP_SLEEP])
def test_an_outcome_that_was_not_told_survives_a_reset(v, cause):
    start_trial(v)
    assert self_test(v, [("lamp", lambda: False)]) == 1
    for _ in range(3):
        boot(v)
        v.reset(cause)
    found = outcome(v.port())
    assert (found["outcome"], found["reason"]) == ("self-test failed", "lamp: failed")
    assert found["sha256"] == DIGEST.hex()


def test_an_outcome_whose_telling_cannot_be_noted_is_told_again(v):
    start_trial(v)
    trial.confirm(v.port())
    v.board.settings.nvs_full = True
    with pytest.raises(OtaError) as e:
        outcome(v.port())
    assert e.value.code == "nvs"
    v.board.settings.nvs_full = False
    assert outcome(v.port()) == CONFIRMED


def attempt(v: Virtual, sequence: int) -> None:
    """Another attempt, as an updater makes it: announced, activated, booted."""
    release = make_release(IMAGE_B, sequence=sequence, version="1.%d" % sequence)
    v.put("ota_1", IMAGE_B)
    announce(v.port(), Situation(v.port()), release, IMAGE_B[:16])
    activate(v.port(), release)
    v.reset()
    boot(v)
    assert v.running() == "ota_1" and on_trial(v)


def test_an_attempt_that_begins_before_the_last_outcome_was_told_keeps_it(v):
    attempt(v, 3)
    assert self_test(v, [("lamp", lambda: False)]) == 1
    boot(v)
    keys = writes(v)
    attempt(v, 4)
    assert keys.count("untold") == 1 and keys[0] == "untold"
    v.reset(POWER_ON)
    boot(v)
    found = outcome(v.port())
    assert (found["outcome"], found["sequence"], found["version"]) == (
        "self-test failed",
        3,
        "1.3",
    )
    found = outcome(v.port())
    assert (found["outcome"], found["sequence"], found["version"]) == ("lost power", 4, "1.4")
    assert outcome(v.port()) is None


def test_what_was_told_is_not_kept_when_the_next_attempt_begins(v):
    attempt(v, 3)
    self_test(v, [("lamp", lambda: False)])
    boot(v)
    assert outcome(v.port())["sequence"] == 3
    attempt(v, 4)
    assert "untold" not in v.board.nvs.content["ota"]
    assert outcome(v.port()) is None
    trial.confirm(v.port())
    assert outcome(v.port())["sequence"] == 4


def test_a_kept_outcome_that_cannot_be_read_is_none(v):
    v.esp32.NVS("ota").set_blob("untold", b"\x01" * 512)
    assert outcome(v.port()) is None
    start_trial(v)
    trial.confirm(v.port())
    assert outcome(v.port()) == CONFIRMED


def test_an_update_writes_nvs_five_times_and_once_more_where_its_outcome_is_told(v):
    keys = writes(v)
    attempt(v, 3)
    trial.confirm(v.port())
    assert keys == ["journal"] * 5
    outcome(v.port())
    assert keys == ["journal"] * 6


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
    for state in (jr.ACTIVATED, jr.TRIAL, jr.CONFIRMING, jr.LEAVING):
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
    for state in (jr.NONE, jr.WRITING, jr.ACTIVATED, jr.TRIAL, jr.CONFIRMING, jr.LEAVING):
        journal.state = state
        assert jr.encode(journal)[start._STATE] == state
    assert start._ACTIVATED == jr.ACTIVATED
    assert start._RECORD == jr.SIZE


def test_a_journal_that_cannot_be_read_is_in_the_middle_of_nothing(v):
    journal = remembered(v)
    journal.start(1, SEQUENCE, DIGEST, IMAGE_B[:16], "1.1")
    journal.state = jr.TRIAL
    good = jr.encode(journal)
    v.esp32.NVS("ota").set_blob("journal", good)
    assert not start.is_settled(v.port())
    flipped = (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in (1, 8, 300, 511))
    for bad in (*flipped, b"\xff" * 512, b"\x03" * 512):
        v.esp32.NVS("ota").set_blob("journal", bad)
        assert start.is_settled(v.port())
        assert boot(v) == 0


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
    names = ("start", "guard", "chip", "otadata")
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
