"""Start, trial, confirm and rollback on a bench: records and journals that a board rarely has."""

from benches import BLANK, OLD, Bench, Reset, Shelf, booted, on_trial, received
from desks import IMAGE
from fakes import RamSlot, code_of, make_release, raises

from ota.chip import DEEP_SLEEP, HARD, POWER_ON, SOFT
from ota.health import status
from ota.journal import (
    ACTIVATED,
    CANCELLED,
    CONFIRMED,
    CONFIRMING,
    KEPT_WAKING,
    LEAVING,
    NONE,
    SIZE,
    TRIAL,
    WRITING,
)
from ota.otadata import ABORTED, NEW, PENDING_VERIFY, UNDEFINED, VALID, active
from ota.otadata import encode as entry
from ota.receipt import FILE, Receipt, save_receipts
from ota.situation import Situation
from ota.start import boot
from ota.trial import confirm, rollback


def test_a_torn_record_is_no_trial_where_the_journal_is_about_the_other_slot():
    torn = entry(2, UNDEFINED)
    assert Situation(Bench(1, OLD, torn, slot=1, state=TRIAL)).on_trial()
    assert not Situation(Bench(1, OLD, torn, slot=0, state=TRIAL)).on_trial()


def test_the_way_back_is_a_valid_record_of_the_other_slot():
    new = entry(4, NEW)
    assert Situation(Bench(1, OLD, new)).can_return()
    assert not Situation(Bench(1, OLD[:28] + bytes(4), new)).can_return()
    assert not Situation(Bench(1, entry(2, VALID), new)).can_return()


def test_without_a_record_there_is_no_way_back():
    for running in (0, 1):
        found = Situation(Bench(running, BLANK, BLANK))
        assert not found.can_return() and found.confirmed_elsewhere() == -1


def test_a_slot_is_confirmed_elsewhere_by_a_valid_record_only():
    dropped = OLD[:28] + bytes(4)
    assert Situation(Bench(1, OLD, entry(2, VALID))).confirmed_elsewhere() == 0
    assert Situation(Bench(1, entry(2, VALID), OLD)).confirmed_elsewhere() == 0
    for other in (BLANK, dropped, entry(1, NEW), entry(1, ABORTED), entry(2, VALID)):
        for has_factory in (False, True):
            bench = Bench(1, other, entry(4, VALID))
            bench.has_factory = lambda has_factory=has_factory: has_factory
            assert Situation(bench).confirmed_elsewhere() == -1


def test_a_spare_record_is_a_valid_one_of_that_slot_that_does_not_decide():
    found = Situation(Bench(1, OLD, entry(2, VALID)))
    assert (found.spare_record(0), found.spare_record(1)) == (0, -1)
    assert Situation(Bench(1, OLD[:28] + bytes(4), entry(2, VALID))).spare_record(0) == -1
    assert Situation(Bench(1, entry(2, VALID), entry(4, VALID))).spare_record(0) == -1


def test_an_aborted_record_is_about_its_own_slot():
    found = Situation(Bench(0, OLD, entry(2, ABORTED)))
    assert found.was_aborted(1) and not found.was_aborted(0)


def test_without_a_record_a_board_is_repaired_once_without_a_reset():
    for running in (0, 1):
        bench = Bench(running, BLANK, BLANK)
        assert booted(bench) == ["select %d VALID" % running]
        assert booted(bench) == ["select %d VALID" % running]


def test_how_a_trial_ended_is_noted_whatever_the_records_say():
    tried = {"slot": 1, "sequence": 2, "state": TRIAL}
    for record, done in ((entry(1, UNDEFINED), "mark in state 3"), (BLANK, "select 0 VALID")):
        bench = Bench(0, record, BLANK, **tried)
        assert booted(bench) == [done]
        assert (bench.journal().tries, bench.journal().state) == (1, NONE)


def test_a_selection_that_the_journal_does_not_know_costs_no_try():
    bench = Bench(0, OLD, entry(2, NEW), slot=1, sequence=2, state=WRITING, resets=1)
    assert booted(bench) == ["drop 1"]
    assert (bench.journal().tries, bench.journal().state) == (0, WRITING)


def test_a_confirm_that_is_given_up_costs_a_try():
    bench = Bench(0, OLD, BLANK, slot=1, sequence=2, state=CONFIRMING)
    assert booted(bench) == []
    assert (bench.journal().tries, bench.journal().state) == (1, NONE)


def test_before_the_last_way_to_the_running_image_is_dropped_there_is_another():
    bench = Bench(1, OLD, entry(3, VALID))
    assert booted(bench) == ["select 1 VALID", "drop 1"]


def test_where_nothing_goes_on_nothing_is_written():
    bench = Bench(-1, BLANK, BLANK, slot=0, sequence=2, state=WRITING)
    before = bench.record
    assert booted(bench) == []
    assert bench.record == before


def test_without_rollback_a_hard_reset_ends_a_trial_and_a_soft_one_does_not():
    new = entry(2, NEW)
    trying = {"slot": 1, "sequence": 2, "state": TRIAL}
    assert booted(Bench(1, OLD, new, HARD, **trying)) == ["drop 1", "reset"]
    assert booted(Bench(1, OLD, new, SOFT, **trying)) == []


def test_the_wake_after_sixteen_ends_a_trial_with_and_without_rollback():
    for state in (PENDING_VERIFY, NEW):
        for wakes in range(16):
            bench = Bench(1, OLD, entry(2, state), DEEP_SLEEP, slot=1, state=TRIAL, wakes=wakes)
            assert booted(bench) == ["watchdog"], wakes
            found = bench.journal()
            assert (found.wakes, found.tries, found.state) == (wakes + 1, 0, TRIAL)
        bench = Bench(1, OLD, entry(2, state), DEEP_SLEEP, slot=1, state=TRIAL, wakes=16)
        assert booted(bench) == ["drop 1", "reset"]
        found = bench.journal()
        assert (found.outcome, found.tries, found.state) == (KEPT_WAKING, 1, LEAVING)
        assert found.untold


def test_only_a_wake_of_the_same_trial_is_counted():
    new = entry(2, PENDING_VERIFY)
    for cause in (POWER_ON, SOFT, HARD):
        bench = Bench(1, OLD, new, cause, slot=1, state=TRIAL, wakes=16)
        booted(bench)
        assert (bench.journal().wakes, bench.journal().tries) == (16, 0), cause
    bench = Bench(1, OLD, new, DEEP_SLEEP, slot=0, state=TRIAL, wakes=16)
    assert booted(bench) == ["watchdog"]
    assert (bench.journal().slot, bench.journal().wakes) == (1, 0)


def test_without_rollback_a_trial_goes_on_where_nothing_is_left():
    new = entry(2, NEW)
    bench = Bench(1, BLANK, new, HARD, slot=1, sequence=2, state=TRIAL)
    assert booted(bench) == ["watchdog"]
    assert bench.journal().tries == 1
    confirm(bench)
    assert bench.journal().highest == 2


def test_without_a_way_back_a_trial_is_not_left():
    bench = Bench(1, BLANK, entry(2, NEW), slot=1, sequence=2, state=TRIAL)
    before = bench.record
    assert code_of(rollback, "", bench) == "no-rollback"
    assert bench.log == [] and bench.record == before


def test_where_only_the_bootloader_goes_back_it_is_asked_to():
    bench = Bench(1, BLANK, entry(2, PENDING_VERIFY), slot=1, sequence=2, state=TRIAL)
    raises(Reset, rollback, "", bench)
    assert bench.log == ["reset"]
    assert bench.journal().state == LEAVING


def test_of_three_slots_the_one_before_is_gone_back_to():
    shelf = Shelf(1, BLANK, BLANK, HARD, slot=1, sequence=2, state=TRIAL)
    shelf.parts.append(RamSlot())
    shelf.parts[0].data[: len(IMAGE)] = IMAGE
    receipt = Receipt(make_release(IMAGE).sha256, len(IMAGE), "1", 1)
    save_receipts(shelf.path(FILE), {0: receipt})
    assert booted(shelf) == ["select 0 VALID", "reset"]


def test_leaving_names_the_running_slot():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(1, OLD, new, slot=0, sequence=7, digest=b"\x07" * 32, state=ACTIVATED)
    raises(Reset, rollback, "", bench)
    found = bench.journal()
    assert (found.slot, found.sequence, found.state) == (1, 0, LEAVING)
    assert found.refused == []


def test_a_confirm_does_not_use_the_journal_of_the_other_slot():
    new = entry(2, PENDING_VERIFY)
    for slot, state in ((0, ACTIVATED), (1, NONE)):
        bench = Bench(1, OLD, new, slot=slot, sequence=7, state=state)
        confirm(bench)
        found = bench.journal()
        assert (found.slot, found.sequence, found.highest) == (1, 0, 0)


def test_a_trial_does_not_use_the_journal_of_the_other_slot():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(1, OLD, new, slot=0, sequence=7, state=CONFIRMING)
    assert booted(bench) == ["watchdog"]
    found = bench.journal()
    assert (found.slot, found.sequence, found.state) == (1, 0, TRIAL)


def test_an_image_that_did_not_load_is_not_taken_for_the_one_before():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(0, OLD, new, slot=1, sequence=7, state=NONE, outcome=CONFIRMED)
    assert booted(bench) == ["drop 1"]
    assert bench.journal().refused == []
    assert bench.journal().outcome == CONFIRMED


def test_a_confirm_is_in_the_journal_before_the_mark():
    bench = on_trial(sequence=2)
    confirm(bench)
    assert bench.log == ["mark in state %d" % CONFIRMING, "park"]


def test_a_mark_that_otadata_does_not_show_is_no_confirm():
    bench = on_trial(sequence=2)
    bench.marks = False
    assert code_of(confirm, bench) == "not-confirmed"
    assert bench.journal().highest == 0


def test_a_confirm_never_lowers_the_highest_sequence_and_clears_the_count():
    bench = on_trial(sequence=2, highest=5, tries=2, crashes=1)
    confirm(bench)
    found = bench.journal()
    assert (found.highest, found.tries, found.crashes) == (5, 0, 0)


def test_a_mark_of_another_slot_is_no_confirm():
    bench = on_trial(sequence=2)

    def mark():
        bench.entries[0] = entry(3, VALID)

    bench.mark_valid = mark
    assert code_of(confirm, bench) == "not-confirmed"
    assert bench.journal().highest == 0


def test_a_confirm_is_a_mark_whichever_record_decides():
    bench = Bench(1, entry(2, PENDING_VERIFY), OLD, slot=1, state=TRIAL, sequence=2)
    confirm(bench)
    assert bench.log == ["mark in state %d" % CONFIRMING, "park"]


def test_what_is_called_off_has_a_reason():
    for reason, told in (("", "on request"), ("not now", "not now")):
        bench = Bench(0, OLD, entry(2, NEW), slot=1, sequence=2, state=ACTIVATED)
        rollback(reason, bench)
        assert (bench.journal().outcome, bench.journal().reason) == (CANCELLED, told)


def test_a_slot_that_was_lost_costs_resets_where_the_running_image_waits_for_its_trial():
    lost = entry(3, VALID)  # slot 0 is selected, slot 1 runs
    waiting = {"slot": 1, "state": ACTIVATED}
    for resets in (0, 1):
        assert booted(Bench(1, OLD, lost, resets=resets, **waiting)) == ["reset"]
    dropped = ["select 1 VALID", "drop 1"]
    assert booted(Bench(1, OLD, lost, resets=2, **waiting)) == dropped
    assert booted(Bench(1, OLD, lost, slot=0, state=ACTIVATED)) == dropped


def test_an_image_that_did_not_load_costs_no_reset_and_blames_nobody_else():
    new = entry(2, PENDING_VERIFY)
    for state in (ACTIVATED, TRIAL, CONFIRMING):
        bench = Bench(0, OLD, new, slot=0, sequence=7, digest=b"\x07" * 32, state=state)
        assert booted(bench) == ["drop 1"]
        assert (bench.journal().refused, bench.journal().outcome) == ([], NONE)


def test_status_tells_of_a_bad_configuration_and_of_a_lost_journal():
    bench = on_trial()
    assert status(bench)["journal"] is True
    assert status(bench)["config"].startswith("config: ")
    bench.record = bytes(SIZE)
    assert status(bench)["journal"] is False


def test_a_trial_of_the_second_slot_can_be_left_for_the_first():
    shelf = Shelf(1, BLANK, entry(2, NEW), slot=1, sequence=2, state=TRIAL)
    received(shelf, 0, IMAGE)
    raises(Reset, rollback, "", shelf)
    assert shelf.log == ["select 0 VALID", "reset"]


def test_after_two_updates_the_image_before_can_be_rolled_back_to():
    shelf = Shelf(0, entry(3, VALID), entry(2, VALID))  # the first record decides
    received(shelf, 1, IMAGE)
    raises(Reset, rollback, "", shelf)
    assert shelf.log == ["drop 0", "reset"]


def test_what_was_confirmed_before_its_trial_stays_where_no_record_leads_back():
    shelf = Shelf(1, BLANK, entry(2, VALID), slot=1, sequence=2, state=ACTIVATED)
    received(shelf, 0, IMAGE)
    assert booted(shelf) == []
    assert (shelf.journal().highest, shelf.journal().state) == (2, NONE)


def test_a_trial_has_the_time_that_boot_was_told():
    for seconds, wanted in ((7, 7), (0, 300)):
        shelf = Shelf(1, OLD, entry(2, PENDING_VERIFY), slot=1, state=ACTIVATED)
        shelf.watchdog = shelf.log.append
        boot(seconds, port=shelf)
        assert shelf.log == [wanted]


def test_a_mark_that_was_cut_brings_back_no_other_image():
    lost = {"slot": 1, "sequence": 2, "state": CONFIRMING}
    shelf = Shelf(0, OLD, BLANK, digest=make_release(IMAGE).sha256, **lost)
    received(shelf, 1, IMAGE)
    assert booted(shelf) == ["select 1 NEW", "reset"]
    shelf = Shelf(0, OLD, BLANK, digest=b"\x07" * 32, **lost)
    received(shelf, 1, IMAGE)
    assert booted(shelf) == []
    assert (shelf.journal().tries, shelf.journal().state) == (1, NONE)


def test_an_attempt_that_was_cut_at_its_selection_is_known_by_its_receipt():
    new = entry(2, PENDING_VERIFY)
    for slot, digest, known in ((1, b"\x07", 7), (1, b"\x08", 0), (0, b"\x07", 0)):
        shelf = Shelf(1, OLD, new, slot=slot, sequence=7, digest=b"\x07" * 32, state=WRITING)
        received(shelf, 1, IMAGE, digest * 32)
        assert booted(shelf) == ["watchdog"]
        found = shelf.journal()
        assert (found.slot, found.sequence, found.state) == (1, known, TRIAL)


def test_a_factory_image_has_no_record_in_its_way_when_one_is_called_off():
    bench = Bench(-1, OLD, entry(2, NEW), slot=1, sequence=2, state=ACTIVATED)
    rollback("", bench)
    assert active(bench.entries) == -1
