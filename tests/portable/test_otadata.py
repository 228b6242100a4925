"""otadata: the records are ESP-IDF's, byte for byte and rule for rule."""

import binascii
import json
import struct

from fakes import raises, read_data

from ota.otadata import (
    ABORTED,
    ENTRY_SIZE,
    INVALID,
    NEW,
    PENDING_VERIFY,
    SECTOR,
    STATE_NAMES,
    UNDEFINED,
    VALID,
    active,
    describe,
    encode,
    is_invalid,
    is_valid,
    next_seq,
    seq_crc,
    seq_of,
    slot_of,
    state_of,
)

BLANK = b"\xff" * 32
LABEL = "ff" * 20
STATES = (NEW, PENDING_VERIFY, VALID, INVALID, ABORTED, UNDEFINED)
BAD_CRC = encode(5, VALID)[:28] + b"\x00\x00\x00\x00"


def test_crcs_are_those_of_the_bootloader():
    for seq, crc in json.loads(read_data("otadata/crcs.json"))["vectors"]:
        assert seq_crc(seq) == crc, seq
        assert struct.unpack("<I", encode(seq, VALID)[28:])[0] == crc, seq


def test_records_are_those_of_official_firmware():
    for seq, state, hex_digits in (
        (1, VALID, "01000000" + LABEL + "02000000" + "9a984347"),
        (2, NEW, "02000000" + LABEL + "00000000" + "7437f655"),
        (2, PENDING_VERIFY, "02000000" + LABEL + "01000000" + "7437f655"),
        (2, ABORTED, "02000000" + LABEL + "04000000" + "7437f655"),
        (1, UNDEFINED, "01000000" + LABEL + "ffffffff" + "9a984347"),
    ):
        record = binascii.unhexlify(hex_digits)
        assert len(record) == ENTRY_SIZE
        assert encode(seq, state) == record
        assert seq_of(record) == seq and state_of(record) == state
        assert is_valid(record) == (state != ABORTED)


def test_the_states_have_the_numbers_of_esp_idf():
    assert (NEW, PENDING_VERIFY, VALID, INVALID, ABORTED) == (0, 1, 2, 3, 4)
    assert UNDEFINED == 0xFFFFFFFF
    assert STATE_NAMES == ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED")
    assert ENTRY_SIZE == 32 and SECTOR == 4096


def test_a_record_is_read_from_any_buffer():
    sector = bytearray(encode(7, NEW) + BLANK)
    for entry in (sector, memoryview(sector), memoryview(sector)[:32], bytes(sector)):
        assert (seq_of(entry), state_of(entry), is_valid(entry)) == (7, NEW, True)


def test_empty_and_given_up_records_are_invalid():
    assert is_invalid(BLANK) and not is_valid(BLANK)
    for state in STATES:
        assert is_invalid(encode(3, state)) == (state in (INVALID, ABORTED)), state
        assert is_valid(encode(3, state)) == (state not in (INVALID, ABORTED)), state
        assert is_invalid(encode(0xFFFFFFFF, state)), state
        assert not is_valid(encode(0xFFFFFFFF, state)), state


def test_any_other_state_counts_as_bootable():
    for state in (5, 6, 0xFF, 0x100, 0x102, 0x80000003, 0xFFFFFFFE, 0xFFFFFF00):
        assert is_valid(encode(3, state)), state


def test_a_wrong_crc_is_not_valid_and_says_nothing_of_the_state():
    assert not is_valid(BAD_CRC)
    assert not is_invalid(BAD_CRC)
    zlib_crc = struct.pack("<I", binascii.crc32(struct.pack("<I", 5)))
    assert not is_valid(encode(5, VALID)[:28] + zlib_crc)
    assert not is_valid(bytes(32))
    assert not is_valid(encode(5, VALID)[:28] + b"\xff\xff\xff\xff")


def test_seq_0_is_valid_as_in_esp_idf_and_names_the_last_slot():
    assert is_valid(encode(0, VALID))
    for slots in (1, 2, 4, 16):
        assert slot_of(encode(0, VALID), slots) == 0xFFFFFFFF % slots == slots - 1


def test_every_flipped_bit_of_seq_or_crc_is_noticed():
    for state in STATES:
        good = encode(2, state)
        for at in list(range(4)) + list(range(28, 32)):
            for bit in range(8):
                flipped = bytearray(good)
                flipped[at] ^= 1 << bit
                assert not is_valid(flipped), (state, at, bit)


def test_every_flipped_bit_of_the_state_shows_in_the_state():
    good = encode(2, VALID)
    for at in range(24, 28):
        for bit in range(8):
            flipped = bytearray(good)
            flipped[at] ^= 1 << bit
            assert state_of(flipped) == VALID ^ 1 << bit + 8 * (at - 24)


def test_the_label_means_nothing():
    for at in range(4, 24):
        entry = bytearray(encode(2, VALID))
        entry[at] = 0
        assert is_valid(entry) and seq_of(entry) == 2 and state_of(entry) == VALID


def test_every_truncation_is_an_error():
    good = encode(2, VALID)
    for n in range(32):
        raises((ValueError, struct_error()), is_valid, good[:n])
        raises((ValueError, struct_error()), active, (good[:n], BLANK))


def struct_error():
    # MicroPython has ValueError alone.
    return getattr(struct, "error", ValueError)


def test_the_higher_of_two_valid_records_decides():
    for first, second, index in (
        (encode(1, VALID), encode(2, VALID), 1),
        (encode(3, VALID), encode(2, VALID), 0),
        (encode(9, VALID), encode(10, VALID), 1),
        (encode(255, VALID), encode(256, VALID), 1),
        (encode(1, VALID), encode(0x80000000, VALID), 1),
        (encode(0xFFFFFFFE, VALID), encode(1, VALID), 0),
        (encode(0, VALID), encode(1, VALID), 1),
    ):
        assert active((first, second)) == index
        assert active((second, first)) == 1 - index


def test_of_two_equal_records_the_first_decides():
    assert active((encode(2, VALID), encode(2, NEW))) == 0
    assert active((encode(2, NEW), encode(2, VALID))) == 0


def test_the_only_valid_record_decides():
    for other in (BLANK, BAD_CRC, encode(9, INVALID), encode(9, ABORTED), bytes(32)):
        assert active((encode(2, VALID), other)) == 0
        assert active((other, encode(2, VALID))) == 1


def test_without_a_valid_record_none_decides():
    bad = (BLANK, BAD_CRC, encode(9, INVALID), encode(9, ABORTED), bytes(32))
    for first in bad:
        for second in bad:
            assert active((first, second)) == -1


def test_records_of_a_life_decide_as_in_the_bootloader():
    # Rows of facts.md 1.3 and 1.8 by simulation of ESP-IDF: records, index, slot of two.
    torn = encode(2, UNDEFINED)
    half = encode(2, 0xFFFF0000)
    for first, second, index, slot in (
        (BLANK, BLANK, -1, None),
        (encode(1, VALID), BLANK, 0, 0),
        (encode(1, VALID), encode(2, NEW), 1, 1),
        (encode(1, VALID), encode(2, PENDING_VERIFY), 1, 1),
        (encode(1, VALID), encode(2, ABORTED), 0, 0),
        (encode(1, VALID), encode(2, VALID), 1, 1),
        (encode(3, ABORTED), encode(2, ABORTED), -1, None),
        (encode(3, NEW), encode(2, VALID), 0, 0),
        (encode(3, PENDING_VERIFY), encode(2, VALID), 0, 0),
        (encode(3, ABORTED), encode(2, VALID), 1, 1),
        (BAD_CRC, BLANK, -1, None),
        (encode(3, VALID), encode(2, VALID), 0, 0),
        (BLANK, encode(2, VALID), 1, 1),
        # set_boot cut: after the erase, before the crc, before the state.
        (encode(1, VALID), encode(2, NEW)[:4] + BLANK[4:], 0, 0),
        (encode(1, VALID), torn, 1, 1),
        (encode(1, VALID), half, 1, 1),
    ):
        assert active((first, second)) == index
        if index >= 0:
            assert slot_of((first, second)[index], 2) == slot


def test_the_slot_is_seq_less_one_modulo_the_slots():
    for slots in (1, 2, 3, 4, 16):
        for seq in range(1, 50):
            assert slot_of(encode(seq, VALID), slots) == (seq - 1) % slots
    assert slot_of(encode(0xFFFFFFFE, VALID), 2) == 1
    assert slot_of(encode(0xFFFFFFFD, VALID), 3) == 0xFFFFFFFC % 3
    assert slot_of(bytearray(encode(4, NEW)), 2) == 1


def test_set_boot_writes_the_seq_of_esp_idf():
    # Rows of facts.md 1.5: records, slot, slots, seq.
    for first, second, slot, slots, seq in (
        (BLANK, BLANK, 0, 2, 1),
        (BLANK, BLANK, 1, 2, 2),
        (encode(3, ABORTED), encode(2, INVALID), 0, 2, 1),
        (BAD_CRC, BLANK, 1, 2, 2),
        (encode(1, VALID), BLANK, 1, 2, 2),
        (encode(1, VALID), encode(2, VALID), 0, 2, 3),
        (encode(3, VALID), encode(2, VALID), 1, 2, 4),
        # The selected slot again: the same seq.
        (encode(1, VALID), BLANK, 0, 2, 1),
        (encode(1, VALID), encode(2, VALID), 1, 2, 2),
        (encode(3, VALID), encode(2, VALID), 0, 2, 3),
        # After a fallback from slot 1 the running slot 0 is selected.
        (encode(1, VALID), encode(2, PENDING_VERIFY), 0, 2, 3),
        (encode(1, VALID), encode(2, ABORTED), 1, 2, 2),
        # More slots: the smallest one that is not below.
        (encode(1, VALID), BLANK, 2, 3, 3),
        (encode(3, VALID), encode(2, VALID), 0, 3, 4),
        (encode(3, VALID), encode(2, VALID), 1, 3, 5),
        (encode(4, VALID), encode(3, VALID), 2, 3, 6),
        (encode(1, VALID), BLANK, 0, 1, 1),
        (encode(16, VALID), BLANK, 0, 16, 17),
    ):
        assert next_seq((first, second), slot, slots) == seq, (slot, slots, seq)


def test_the_next_seq_is_the_smallest_one_that_names_the_slot_and_is_not_below():
    for slots in (1, 2, 3, 5, 16):
        for current in list(range(1, 40)) + [65535, 65536, 1 << 31]:
            entries = (BLANK, encode(current, VALID))
            for slot in range(slots):
                seq = next_seq(entries, slot, slots)
                assert slot_of(encode(seq, NEW), slots) == slot
                assert current <= seq < current + slots


def test_records_are_described_for_people():
    for entry, text in (
        (BLANK, "blank"),
        (encode(2, NEW), "2 NEW"),
        (encode(2, PENDING_VERIFY), "2 PENDING_VERIFY"),
        (encode(1, VALID), "1 VALID"),
        (encode(3, INVALID), "3 INVALID"),
        (encode(3, ABORTED), "3 ABORTED"),
        (encode(3, 5), "3 UNDEFINED"),
        (encode(3, UNDEFINED), "3 UNDEFINED"),
        (encode(0, VALID), "0 VALID"),
        (BAD_CRC, "5 VALID crc wrong"),
        (encode(0xFFFFFFFF, VALID), "blank"),
    ):
        assert describe(entry) == text
