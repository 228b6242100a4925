"""The board: with `chip` below it the only module that touches `esp32` and `machine`.

Layer 3. An object of this class is handed to whoever needs the hardware. otadata is read here:
`esp32.Partition` does not tell the state of a slot, and its mark-valid marks the active record,
whichever slot is running.
"""

import os
import struct
import time

from micropython import const

from .chip import Chip
from .dates import build_date
from .errors import OtaError, error
from .otadata import (
    CRC_OFFSET,
    ENTRY_SIZE,
    NEW,
    STATE_OFFSET,
    active,
    encode,
    has_crc,
    next_seq,
    seq_of,
)

_FREE_BLOCKS = const(4)  # a small file, its replacement, and littlefs' own two
_EPOCH_2000 = const(946684800)  # Unix time of MicroPython's epoch on the ESP32
_DAY_S = const(86400)
_ERASE = const(6)  # ioctl of a block device: erase one block
_DATE = const(128)  # of the build: header 24, segment header 8, in the descriptor 96
_PARKED_MS = const(1000000000)  # 11 days; the task watchdog's counter allows little more


class Port(Chip):
    """The ESP32 as this library needs it: what `Chip` reads, judged, and all that changes it."""

    BUILT = 1767225600
    """Unix seconds of 2026-01-01, before this library was written."""

    _guessed = False  # the clock was set to a date that has passed, for want of a better one

    # Slots

    def slots(self) -> list:
        """The OTA slots by index, as partitions of 4096-byte blocks.

        Raises SlotError `no-slots` where there are fewer than two.
        """
        found = self.find_slots()
        if len(found) < 2 or sorted(found) != list(range(len(found))):
            raise error("no-slots", "OTA slots: %s" % sorted(found))
        return [found[index] for index in range(len(found))]

    def running_image(self, offset: int, size: int) -> bytes:
        """Bytes of the image that runs. Raises SlotError `flash`."""
        partition = self._esp32.Partition
        buf = bytearray(size)
        try:
            partition(partition.RUNNING).readblocks(0, buf, offset)
        except OSError as e:
            raise error("flash", "running slot: %s" % e)
        return bytes(buf)

    def chip_id(self) -> int:
        """The chip id that the running image carries: it runs, so it is this chip's."""
        return struct.unpack("<H", self.running_image(12, 2))[0]

    # otadata

    def otadata(self) -> tuple:
        """Both records, 32 bytes each. Raises SlotError `no-otadata`, `flash`."""
        part = self._otadata()
        entries = (bytearray(ENTRY_SIZE), bytearray(ENTRY_SIZE))
        try:
            for index in range(2):
                part.readblocks(index, entries[index])
        except OSError as e:
            raise error("flash", "otadata: %s" % e)
        return entries

    def drop_entry(self, index: int) -> None:
        """Make one otadata record invalid, so that the other one decides.

        One program of four zero bytes over its crc, no erase: after a cut it is dropped or as before.
        """
        try:
            self._otadata().writeblocks(index, bytes(4), CRC_OFFSET)
        except OSError as e:
            raise error("flash", "otadata: %s" % e)

    def select(self, slot: int, state: int = NEW) -> None:
        """Let the bootloader take this slot next, by a record in place of the one that does not decide.

        Erased, then state and crc, seq last: a cut leaves a record that is not valid, or the whole
        one. `Partition.set_boot` programs all at once and can leave one that boots without the
        bootloader's watch (docs/adr/0005). The image is not looked at: whoever calls this has proven it.

        Args:
            state: `NEW`: on trial; `VALID`: an image that is confirmed.
        Raises SlotError `no-slots`, `no-otadata`, `flash`, `not-activated`.
        """
        entries = self.otadata()
        slots = len(self.slots())
        deciding = active(entries)
        index = 1 if deciding == 0 else 0
        seq = next_seq(entries, slot, slots)
        if deciding >= 0 and seq == seq_of(entries[deciding]):
            seq += slots  # of two equal ones the first record would win
        record = encode(seq, state)
        part = self._otadata()
        try:
            if has_crc(entries[index]):  # half erased it could come to life again
                part.writeblocks(index, bytes(4), CRC_OFFSET)
            part.ioctl(_ERASE, index)
            part.writeblocks(index, record[STATE_OFFSET:], STATE_OFFSET)
            part.writeblocks(index, record[:4], 0)
        except OSError as e:
            raise error("flash", "otadata: %s" % e)
        if self.otadata()[index] != record or active(self.otadata()) != index:
            raise error("not-activated", "the record of slot %d does not read back" % slot)

    def mark_valid(self) -> None:
        """Make the *active* record VALID. The caller has checked that it names the running slot."""
        try:
            self._esp32.Partition.mark_app_valid_cancel_rollback()
        except OSError as e:
            raise error("flash", "mark valid: %s" % e)

    def _otadata(self):
        found = self.find_otadata()
        if not found:
            raise error("no-otadata", "no otadata in the partition table")
        return found[0]

    def has_factory(self) -> bool:
        """Is there a factory image, which boots where no record is valid?"""
        partition = self._esp32.Partition
        return bool(partition.find(partition.TYPE_APP, subtype=0))

    # What outlives a reset

    def nvs_write(self, key: str, blob: bytes) -> None:
        """Write a blob and read it back. Raises SlotError `nvs`."""
        back = bytearray(len(blob))
        try:
            self.nvs_store(key, blob)
            same = self.nvs_read(key, back) == len(blob) and back == blob
        except OSError as e:
            raise error("nvs", "%s: %s" % (key, e))
        if not same:
            raise error("nvs", "%s does not read back" % key)

    def path(self, name: str) -> str:
        """The absolute path `name` (`/ota.json`) in the device's file system."""
        return self._root + name

    def check_file_system(self) -> None:
        """Refuse what an update could not rely on.

        FAT, where a power cut can destroy every file: MicroPython mounts the partition named vfs, else
        the one named ffat, and a FAT boot sector ends in 55 AA. And a file system without room for a
        receipt. Raises SlotError `file-system`, `files`.
        """
        partition = self._esp32.Partition
        end = bytearray(2)
        try:
            about = os.statvfs(self._root or "/")
            if about[4] < _FREE_BLOCKS:
                raise error("files", "%d blocks free, needs %d" % (about[4], _FREE_BLOCKS))
            for label in ("vfs", "ffat"):
                for part in partition.find(partition.TYPE_DATA, label=label):
                    part.readblocks(0, end, 510)
                    if end == b"\x55\xaa":
                        raise error("file-system", "%s is FAT" % label)
                    return
        except OSError as e:
            raise error("files", "file system: %s" % e)

    def largest_block(self) -> int:
        """Bytes of the largest free piece of the ESP-IDF heap, where TLS lives; 0 where nobody tells."""
        try:
            regions = self._esp32.idf_heap_info(self._esp32.HEAP_DATA)
        except AttributeError:
            return 0
        return max([region[2] for region in regions])  # total, free, largest, least free

    # Time and resets

    def now(self) -> int:
        """Unix seconds; MicroPython counts from 2000 on the chip and from 1970 elsewhere."""
        seconds = int(time.time())
        return seconds + _EPOCH_2000 if time.gmtime(0)[0] == 2000 else seconds

    def clock_is_set(self) -> bool:
        """Has anybody who knew set the clock since power-on?"""
        return self.now() >= self.built() and not self._guessed

    def built(self) -> int:
        """Unix seconds of the day before the running image was built (in whatever time zone that was),
        `BUILT` at least: a clock that says less was never set. By the image's descriptor
        (esp_app_desc_t, `date` at offset 96).
        """
        try:
            date = self.running_image(_DATE, 11)
        except OtaError:
            return self.BUILT
        return max(self.BUILT, build_date(date) - _DAY_S)

    def set_clock(self, seconds: int, guessed: bool = False) -> None:
        """Set the clock to Unix seconds; `guessed`: it is this late at least."""
        if time.gmtime(0)[0] == 2000:
            seconds -= _EPOCH_2000
        now = time.gmtime(seconds)
        self._machine.RTC().datetime((now[0], now[1], now[2], now[6], now[3], now[4], now[5], 0))
        Port._guessed = guessed  # the clock is everybody's

    def device_id(self) -> bytes:
        """What tells this chip from others."""
        return self._machine.unique_id()

    def watchdog(self, seconds: int) -> None:
        """Reset the board after so many seconds, whatever runs then; nobody feeds it."""
        self._machine.WDT(timeout=seconds * 1000)

    def park_watchdog(self) -> None:
        """Put the watchdog off for days: once started it cannot be stopped."""
        self._machine.WDT(timeout=_PARKED_MS)

    def reset(self) -> None:
        """A hard reset: the only one that loads another image. Does not return on a board."""
        self._machine.reset()
