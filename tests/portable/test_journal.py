"""The journal: its layout for ever, its state table whole, damage noticed."""

import binascii
import struct

from ota.journal import (
    ACTIVATED,
    CANCELLED,
    CONFIRMED,
    CONFIRMING,
    CRASH_LOOP,
    CRASHED,
    DROP,
    EVENTS,
    EVENTS_KEPT,
    KEPT_WAKING,
    LEAVING,
    MAX_CRASHES,
    MAX_TRIES,
    MAX_WAKES,
    NO_RECORD,
    NONE,
    NORMAL,
    NOT_LOADABLE,
    NOT_LOADED,
    ON_TRIAL,
    OTHER,
    POWER_LOST,
    REPAIR,
    RESET,
    ROLLED_BACK,
    SELECTED,
    SIZE,
    SOFT_TRIAL,
    STATE_TABLE,
    TEST_FAILED,
    TORN,
    TRIAL,
    WATCHDOG,
    WRITING,
    Journal,
    action,
    decode,
    encode,
)
from ota.otadata import ABORTED, INVALID, NEW, PENDING_VERIFY, UNDEFINED, VALID

DIGEST = bytes(range(32))
HEAD = bytes(range(0xE0, 0xF0))
NAMES = (
    "generation highest state tries crashes resets wakes slot sequence digest head outcome version "
    "untold reason refused log highest_epoch epoch"
).split()


def full():
    """A journal in which no two fields are equal."""
    journal = Journal()
    journal.state, journal.tries, journal.crashes, journal.resets = TRIAL, 2, 1, 7
    journal.wakes, journal.untold = 6, True
    journal.generation = 0x04030201
    journal.highest = 0x1817161514131211
    journal.sequence = 0x2827262524232221
    journal.digest, journal.head = DIGEST, HEAD
    journal.slot, journal.outcome = 9, CRASHED
    journal.refused = [(bytes((0x40 + i,)) * 16, 0x51 + i) for i in range(4)]
    journal.version, journal.reason = "1.2", "boom"
    journal.highest_epoch, journal.epoch = 0x7271, 0x7473
    journal.log = bytes([0x60 + i // 16 for i in range(256)])
    return journal


def values(journal):
    return [getattr(journal, name) for name in NAMES]


def sealed(record):
    """The record with its CRC put right."""
    body = bytes(record[: SIZE - 4])
    return body + struct.pack("<I", binascii.crc32(body))


def changed(at, new):
    """A good record with other bytes at an offset, and the CRC right."""
    record = bytearray(encode(full()))
    record[at : at + len(new)] = new
    return sealed(record)


# The record


def test_the_layout_is_the_one_of_the_format():
    golden = (
        b"\x02\x03\x02\x01"
        b"\x01\x02\x03\x04"
        b"\x11\x12\x13\x14\x15\x16\x17\x18"
        b"\x21\x22\x23\x24\x25\x26\x27\x28"
        + DIGEST
        + HEAD
        + b"\x09\x04\x07\x06"
        + b"\x40" * 16
        + b"\x51\x00\x00\x00\x00\x00\x00\x00"
        + b"\x41" * 16
        + b"\x52\x00\x00\x00\x00\x00\x00\x00"
        + b"\x42" * 16
        + b"\x53\x00\x00\x00\x00\x00\x00\x00"
        + b"\x43" * 16
        + b"\x54\x00\x00\x00\x00\x00\x00\x00"
        + b"1.2"
        + bytes(21)
        + b"\x01"
        + b"boom"
        + bytes(47)
        + b"\x71\x72\x73\x74"
        + b"".join([bytes((0x60 + i,)) * 16 for i in range(16)])
    )
    assert len(golden) == 508
    record = encode(full())
    assert record[:508] == golden
    assert record[508:] == struct.pack("<I", binascii.crc32(golden)) == b"\x41\x49\xec\x26"
    assert len(record) == SIZE == 512


def test_a_record_gives_back_what_was_put_in():
    for journal in (full(), Journal()):
        assert values(decode(encode(journal))) == values(journal)


def test_every_field_goes_there_and_back_alone():
    for name, value in (
        ("generation", 0xFFFFFFFF),
        ("highest", (1 << 64) - 1),
        ("state", LEAVING),
        ("tries", 255),
        ("crashes", 255),
        ("resets", 255),
        ("wakes", 255),
        ("slot", 15),
        ("sequence", (1 << 64) - 1),
        ("digest", b"\xff" * 32),
        ("head", b"\xff" * 16),
        ("outcome", CRASH_LOOP),
        ("untold", True),
        ("log", b"\x01" * 256),
        ("version", "x" * 24),
        ("reason", "y" * 51),
        ("highest_epoch", 0xFFFF),
        ("epoch", 0xFFFF),
        ("refused", [(b"\x01" * 16, 1)]),
    ):
        journal = Journal()
        setattr(journal, name, value)
        again = decode(encode(journal))
        assert getattr(again, name) == value, name
        setattr(again, name, getattr(Journal(), name))
        assert values(again) == values(Journal()), name


def test_counts_stop_at_255():
    for name in ("tries", "crashes", "wakes"):
        journal = Journal()
        setattr(journal, name, 256)
        assert getattr(decode(encode(journal)), name) == 255, name


def test_the_defaults_of_a_device_that_remembers_nothing():
    journal = Journal()
    assert (journal.state, journal.outcome, journal.generation, journal.highest) == (0, 0, 0, 0)
    assert (journal.tries, journal.crashes, journal.resets, journal.slot) == (0, 0, 0, 0)
    assert (journal.sequence, journal.digest, journal.head) == (0, bytes(32), bytes(16))
    assert (journal.version, journal.reason, journal.refused) == ("", "", [])
    assert (journal.wakes, journal.untold, journal.news) == (0, False, 0)
    assert journal.events() == [] and journal.log == bytes(256)
    assert Journal().refused is not journal.refused


def test_a_record_is_read_from_any_buffer():
    record = encode(full())
    for buf in (record, bytearray(record), memoryview(record)):
        assert values(decode(buf)) == values(full())


def test_every_flipped_bit_is_noticed():
    record = encode(full())
    for at in range(SIZE):
        for bit in range(8):
            flipped = bytearray(record)
            flipped[at] ^= 1 << bit
            assert decode(flipped) is None, (at, bit)


def test_every_other_length_is_noticed():
    record = encode(full())
    for n in range(SIZE):
        assert decode(record[:n]) is None, n
    for more in (b"\x00", b"\xff", record):
        assert decode(record + more) is None
    # Also where the CRC would fit.
    for n in (252, 256, 508, 516):
        body = (record + bytes(8))[: n - 4]
        assert decode(body + struct.pack("<I", binascii.crc32(body))) is None, n


def test_blank_and_zero_records_are_none():
    for record in (b"", bytes(SIZE), b"\xff" * SIZE):
        assert decode(record) is None


def test_another_format_is_none():
    for number in range(256):
        assert (decode(changed(0, bytes((number,)))) is None) == (number != 2), number


def test_a_state_or_outcome_of_a_later_library_reads_as_none_and_the_rest_counts():
    for at, name, highest in ((1, "state", LEAVING), (73, "outcome", CRASH_LOOP)):
        for number in range(256):
            journal = decode(changed(at, bytes((number,))))
            assert getattr(journal, name) == (number if number <= highest else 0), (name, number)
            setattr(journal, name, getattr(full(), name))
            assert values(journal) == values(full())


def test_a_record_of_the_format_before_is_none():
    body = b"\x01" + bytes(251)
    record = body + struct.pack("<I", binascii.crc32(body))
    assert decode(record) is None
    assert decode(sealed(record + bytes(256))) is None


def test_only_one_says_that_nobody_was_told():
    for number in range(256):
        assert decode(changed(196, bytes((number,)))).untold == (number == 1), number
    for untold in (True, False):
        journal = full()
        journal.untold = untold
        assert encode(journal)[196] == untold


def test_text_is_printable_ascii_and_the_rest_is_shown_as_question_marks():
    for new, shown in ((b"\xff", "?"), (b"\xc3\xa9", "??"), (b"a\x1fb", "a?b"), (b"\x7f~", "?~")):
        found = decode(changed(172, new + bytes(24 - len(new))))
        assert found.version == shown, new
    journal = Journal()
    journal.reason = "caf\xe9"
    assert decode(encode(journal)).reason == "caf??"


def test_texts_are_cut_to_their_fields():
    journal = Journal()
    for text, version, reason in (
        ("x" * 100, "x" * 24, "x" * 51),
        ("", "", ""),
        ("a b", "a b", "a b"),
    ):
        journal.version = journal.reason = text
        again = decode(encode(journal))
        assert (again.version, again.reason) == (version, reason)


def test_unused_places_of_the_ring_are_not_read():
    journal = Journal()
    journal.refused = [(b"\x01" * 16, 7), (b"\x02" * 16, 8)]
    record = encode(journal)
    assert record[76 + 48 : 172] == bytes(48)
    assert decode(record).refused == journal.refused
    # A place without a sequence is none.
    assert len(decode(changed(76 + 24 + 16, bytes(8))).refused) == 3


# Names and limits


def test_states_and_outcomes_have_the_numbers_of_the_format():
    assert (NONE, WRITING, ACTIVATED, TRIAL, CONFIRMING, LEAVING) == (0, 1, 2, 3, 4, 5)
    assert (CONFIRMED, TEST_FAILED, ROLLED_BACK, CRASHED) == (1, 2, 3, 4)
    assert (WATCHDOG, POWER_LOST, NOT_LOADED, CANCELLED) == (5, 6, 7, 8)
    assert (SELECTED, KEPT_WAKING, CRASH_LOOP) == (9, 10, 11)
    assert EVENTS == (
        "none",
        "confirmed",
        "self-test failed",
        "rolled back",
        "crashed",
        "watchdog",
        "lost power",
        "did not load",
        "cancelled",
        "activated",
        "did not confirm",
        "crash loop",
    )
    assert (MAX_TRIES, MAX_CRASHES, MAX_WAKES) == (3, 2, 16)


# What boot() does


def test_the_state_table_is_whole():
    for state, same, wanted in (
        (VALID, True, NORMAL),
        (PENDING_VERIFY, True, ON_TRIAL),
        (NEW, True, SOFT_TRIAL),
        (UNDEFINED, True, TORN),
        (INVALID, True, TORN),
        (ABORTED, True, TORN),
        (0x1234, True, TORN),
        (NEW, False, RESET),
        (PENDING_VERIFY, False, NOT_LOADABLE),
        (VALID, False, DROP),
        (UNDEFINED, False, DROP),
        (INVALID, False, DROP),
        (ABORTED, False, DROP),
        (0x1234, False, DROP),
        (NO_RECORD, True, NORMAL),
        (NO_RECORD, False, REPAIR),
    ):
        assert action(state, same) == wanted, (state, same)


def test_every_action_differs_and_every_row_can_be_reached():
    assert len({NORMAL, ON_TRIAL, SOFT_TRIAL, TORN, RESET, NOT_LOADABLE, DROP, REPAIR}) == 8
    assert len(STATE_TABLE) == 10
    assert len({NEW, PENDING_VERIFY, VALID, OTHER, NO_RECORD}) == 5


# Refused images


def test_a_refused_image_is_refused_under_its_sequence_and_below():
    journal = Journal()
    journal.refuse(DIGEST, 5)
    assert journal.refused == [(DIGEST[:16], 5)]
    for sequence, wanted in ((1, True), (4, True), (5, True), (6, False), (1 << 40, False)):
        assert journal.is_refused(DIGEST, sequence) == wanted, sequence
    assert not journal.is_refused(bytes(32), 5)
    assert not journal.is_refused(b"\x01" + DIGEST[1:], 5)
    assert not journal.is_refused(DIGEST[:15] + b"\x00" + DIGEST[16:], 5)


def test_nothing_is_refused_at_first():
    assert not Journal().is_refused(DIGEST, 0)
    assert not Journal().is_refused(bytes(32), 1)


def test_the_same_image_is_kept_once():
    journal = Journal()
    for sequence in (5, 5, 4, 1):
        journal.refuse(DIGEST, sequence)
        assert journal.refused == [(DIGEST[:16], 5)], sequence


def test_a_higher_sequence_of_the_same_image_is_refused_anew():
    journal = Journal()
    journal.refuse(DIGEST, 5)
    journal.refuse(DIGEST, 6)
    assert journal.is_refused(DIGEST, 6) and not journal.is_refused(DIGEST, 7)


def test_an_attempt_without_an_image_refuses_nothing():
    journal = Journal()
    journal.refuse(bytes(32), 0)
    journal.refuse(bytes(32), 5)
    assert journal.refused == []


def test_an_image_without_a_sequence_is_refused_until_a_sequence_comes():
    journal = Journal()
    journal.refuse(DIGEST, 0)
    again = decode(encode(journal))
    assert again.is_refused(DIGEST, 0) and again.is_refused(DIGEST, 1)
    assert not again.is_refused(DIGEST, 2)


def confirmed(highest, epoch, sequence, of_epoch):
    """Highest sequence and its epoch, once an attempt with these was confirmed."""
    journal = Journal()
    journal.highest, journal.highest_epoch = highest, epoch
    journal.start(1, sequence, DIGEST, HEAD, "1", of_epoch)
    journal.confirm()
    return journal.highest, journal.highest_epoch


def test_the_highest_sequence_rises_within_an_epoch():
    assert confirmed(10, 0, 11, 0) == (11, 0)
    assert confirmed(10, 2, 9, 2) == (10, 2)
    assert confirmed(10, 2, 11, 1) == (10, 2)


def test_a_higher_epoch_begins_with_its_own_sequence():
    assert confirmed(1000000, 0, 42, 1) == (42, 1)


def test_a_confirm_tells_what_was_attempted():
    journal = Journal()
    journal.start(1, 0, DIGEST, HEAD, "1")
    journal.confirm()
    assert journal.outcome == CONFIRMED and journal.untold
    journal = Journal()
    journal.confirm()
    assert journal.outcome == 0 and not journal.untold


def test_four_images_are_kept_newest_first():
    journal = Journal()
    digests = [bytes((i,)) * 32 for i in range(1, 7)]
    for i in range(6):
        journal.refuse(digests[i], i + 1)
        assert len(journal.refused) == min(i + 1, 4)
        assert journal.refused[0] == (digests[i][:16], i + 1)
    assert [sequence for _, sequence in journal.refused] == [6, 5, 4, 3]
    assert not journal.is_refused(digests[1], 2)
    assert journal.is_refused(digests[2], 3)
    assert decode(encode(journal)).refused == journal.refused


# An attempt


def test_a_start_names_the_attempt():
    journal = full()
    journal.start(1, 12, b"\x07" * 32, b"\x08" * 16, "2.0")
    assert (journal.state, journal.slot, journal.sequence) == (WRITING, 1, 12)
    assert (journal.digest, journal.head, journal.version) == (b"\x07" * 32, b"\x08" * 16, "2.0")
    assert (journal.outcome, journal.reason, journal.resets) == (0, "", 0)
    assert (journal.wakes, journal.untold) == (0, False)
    assert (journal.tries, journal.crashes) == (0, 0)
    assert journal.highest == full().highest and journal.generation == full().generation
    assert journal.refused == full().refused and journal.log == full().log


def test_an_image_that_was_tried_before_keeps_its_count():
    journal = full()
    journal.start(0, journal.sequence, DIGEST, HEAD, "2.0")
    assert (journal.tries, journal.crashes, journal.resets) == (2, 1, 0)
    assert journal.wakes == 0
    assert (journal.state, journal.slot, journal.outcome, journal.reason) == (WRITING, 0, 0, "")


def test_another_image_or_sequence_counts_anew():
    for digest, step in ((b"\x07" * 32, 0), (DIGEST, 1)):
        journal = full()
        journal.start(0, journal.sequence + step, digest, HEAD, "2.0")
        assert (journal.tries, journal.crashes) == (0, 0)


def test_an_attempt_is_about_one_image_under_one_sequence():
    journal = full()
    assert journal.is_about(DIGEST, journal.sequence)
    assert not journal.is_about(DIGEST, journal.sequence + 1)
    assert not journal.is_about(DIGEST, 0)
    assert not journal.is_about(bytes(32), journal.sequence)
    assert not journal.is_about(DIGEST[:16], journal.sequence)
    journal.end(CONFIRMED, "")
    assert journal.is_about(DIGEST, journal.sequence)
    journal.clear_attempt()
    assert not journal.is_about(DIGEST, full().sequence)


def test_an_outcome_is_news_until_the_log_has_it():
    journal = full()
    assert journal.news == 0
    journal.end(WATCHDOG, "late")
    assert journal.news == WATCHDOG
    # The record does not keep it.
    assert decode(encode(journal)).news == 0
    journal.note(7)
    assert journal.news == 0
    assert journal.events()[0] == (7, WATCHDOG, 9, full().sequence)


def test_an_event_has_its_place_at_the_head_of_the_log():
    journal = full()
    journal.news = SELECTED
    journal.note(0x74737271)
    wanted = b"\x71\x72\x73\x74" + b"\x09\x09\x00\x00" + b"\x21\x22\x23\x24\x25\x26\x27\x28"
    record = encode(journal)
    assert record[252:268] == wanted
    assert record[268:508] == full().log[:240]


def test_without_news_the_log_stays_as_it_is():
    journal = full()
    journal.note(7)
    assert journal.log == full().log


def test_sixteen_events_are_kept_newest_first():
    journal = Journal()
    for count in range(1, 20):
        journal.slot, journal.sequence = count % 2, 100 + count
        journal.end(1 + count % 8, "")
        journal.note(count)
        found = journal.events()
        assert len(found) == min(count, EVENTS_KEPT) and EVENTS_KEPT == 16
        assert found[0] == (count, 1 + count % 8, count % 2, 100 + count)
        assert [time for time, _, _, _ in found] == list(range(count, max(count - 16, 0), -1))
        assert decode(encode(journal)).events() == found


def test_an_event_of_a_later_library_is_an_event():
    assert decode(changed(252 + 4, b"\xc8")).events()[0][1] == 200
    # One without a kind is none.
    assert len(decode(changed(252 + 4, b"\x00")).events()) == 15


def test_an_end_keeps_how_it_ended():
    journal = full()
    journal.end(WATCHDOG, "late")
    assert (journal.state, journal.outcome, journal.reason) == (NONE, WATCHDOG, "late")
    assert journal.untold
    wanted = full()
    for name in NAMES:
        if name not in ("state", "outcome", "reason"):
            assert getattr(journal, name) == getattr(wanted, name), name


def test_how_an_attempt_ended_is_untold_until_the_next_one_begins():
    journal = Journal()
    assert not journal.untold
    journal.end(CONFIRMED, "")
    assert journal.untold
    journal.clear_attempt()
    assert journal.untold
    journal.start(1, 12, b"\x07" * 32, b"\x08" * 16, "2.0")
    assert not journal.untold


def test_forgetting_the_attempt_keeps_outcome_refused_and_highest():
    journal = full()
    journal.clear_attempt()
    kept = "generation highest highest_epoch outcome version untold reason refused log".split()
    for name in NAMES:
        wanted = full() if name in kept else Journal()
        assert getattr(journal, name) == getattr(wanted, name), name
