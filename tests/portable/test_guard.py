"""Counting crashes: which starts are the last of too many, and what stands in NVS."""

import struct

from fakes import raises

# `from ota import x` does not find modules on MicroPython: the package has __getattr__.
import ota.guard as guard
from ota.chip import HARD, POWER_ON
from ota.otadata import ABORTED, NEW, PENDING_VERIFY, VALID, encode

BLANK = b"\xff" * 32
TWO = (encode(1, VALID), encode(2, VALID))


class Chip:
    """NVS with this blob, and the module `time`.

    Attributes:
        blob: under the key `crashes`, None for none.
        writes: how often it was written.
        now: what the clock says.
        cause: of the reset.
    """

    def __init__(self, blob=None, now=1000):
        self.blob = blob
        self.writes = 0
        self.now = now
        self.cause = HARD

    def reset_cause(self):
        return self.cause

    def nvs_read(self, key, buf):
        assert key == "crashes"
        if self.blob is None or len(self.blob) > len(buf):
            return 0
        buf[: len(self.blob)] = self.blob
        return len(self.blob)

    def nvs_store(self, key, blob):
        assert key == "crashes"
        self.blob = bytes(blob)
        self.writes += 1

    def time(self):
        return self.now

    def crashed(self, entries=TWO, limit=8, window_s=600, slots=2):
        """Is this crash the last of too many?"""
        real = guard.time
        guard.time = self
        try:
            return guard.is_crash_loop(self, entries, slots, limit, window_s)
        finally:
            guard.time = real


def test_the_eighth_crash_is_one_too_many_and_then_it_starts_anew():
    chip = Chip()
    for _ in range(3):
        assert [chip.crashed() for _ in range(8)] == [False] * 7 + [True]


def test_any_number_of_crashes_can_be_too_many():
    for limit in (1, 2, 3, 100):
        chip = Chip()
        assert [chip.crashed(limit=limit) for _ in range(limit)] == [False] * (limit - 1) + [True]


def test_every_crash_is_counted_with_one_write():
    chip = Chip()
    for count in range(1, 8):
        chip.now = 1000 + count
        chip.crashed()
        assert chip.writes == count
        assert chip.blob == struct.pack("<III", count, 1001, 2)
    chip.crashed()
    assert chip.blob[:4] == bytes(4)


def test_each_image_has_crashes_of_its_own():
    chip = Chip()
    for _ in range(7):
        chip.crashed()
    successor = (encode(3, VALID), encode(2, VALID))
    assert [chip.crashed(successor) for _ in range(8)] == [False] * 7 + [True]


def test_only_crashes_within_the_window_count():
    for apart, wanted in ((0, True), (85, True), (86, False), (600, False), (601, False)):
        chip = Chip()
        found = False
        for _ in range(8):
            found = chip.crashed()
            chip.now += apart
        assert found == wanted, apart


def test_the_last_second_of_the_window_is_in_it():
    for late, wanted in ((599, True), (600, True), (601, False)):
        chip = Chip()
        for _ in range(7):
            chip.crashed()
        chip.now += late
        assert chip.crashed() == wanted, late
        if not wanted:
            assert chip.blob == struct.pack("<III", 1, chip.now, 2)


def test_a_clock_that_goes_back_begins_a_new_window():
    chip = Chip()
    for _ in range(7):
        chip.crashed()
    chip.now -= 1
    assert not chip.crashed()
    assert chip.blob == struct.pack("<III", 1, 999, 2)


def test_without_another_image_nothing_is_counted():
    torn = encode(1, VALID)[:28] + bytes(4)
    for other in (BLANK, torn, encode(1, ABORTED), encode(4, VALID)):
        for entries in ((other, encode(2, VALID)), (encode(2, VALID), other)):
            chip = Chip()
            assert [chip.crashed(entries) for _ in range(20)] == [False] * 20
            assert chip.writes == 0


def test_every_record_that_the_bootloader_would_take_is_another_image():
    for state in (NEW, PENDING_VERIFY, VALID):
        chip = Chip()
        entries = (encode(1, state), encode(2, VALID))
        assert [chip.crashed(entries) for _ in range(8)][-1]


def test_whether_two_records_name_one_slot_depends_on_the_number_of_slots():
    entries = (encode(1, VALID), encode(4, VALID))
    assert not Chip().crashed(entries, limit=1, slots=3)
    assert Chip().crashed(entries, limit=1, slots=2)


def test_a_count_that_cannot_be_read_is_none():
    begun = struct.pack("<III", 7, 1000, 2)
    for blob in (b"", b"short", begun[:8], bytes(11), bytes(13), begun + begun):
        chip = Chip(blob)
        assert not chip.crashed()
        assert chip.blob == struct.pack("<III", 1, 1000, 2)


def test_nvs_that_fails_comes_through():
    chip = Chip()

    def full(key, blob):
        raise OSError(-4357, "NVS full")

    chip.nvs_store = full
    raises(OSError, chip.crashed)


def test_a_power_on_starts_anew():
    chip = Chip(struct.pack("<III", 7, 1000, 2))
    chip.cause = POWER_ON
    assert not chip.crashed()
    chip.cause = HARD
    assert not chip.crashed()
    assert struct.unpack("<III", chip.blob) == (1, 1000, 2)
