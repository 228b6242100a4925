"""The board itself: chip, flash, partitions, NVS, watchdog, as the calls of MicroPython see them.

One model, in the host's process. The VM's `esp32` and `machine` reach it over a pipe, unit tests
reach the same modules directly (`Board.modules`). Results and error codes are those of official
firmware, call by call (docs/board.md).
"""

import calendar
import functools
import hashlib
import sys
import time
import types
from pathlib import Path
from typing import Any

from ota import otadata
from ota_tools.board import bootloader
from ota_tools.board.flash import SECTOR, Flash, PowerCut
from ota_tools.board.nvs import Nvs
from ota_tools.board.settings import Settings
from ota_tools.failures import Refused
from ota_tools.partitions import TABLE_OFFSET, TABLE_SIZE, Partition, Table, from_binary

POWER_ON, HARD, WATCHDOG, DEEP_SLEEP, SOFT = 1, 2, 3, 4, 5
"""machine.reset_cause()."""

RTC_MEMORY = 2048
"""Bytes that outlive every reset but power-on."""

POWER_ON_TIME = 946684800
"""Unix time of 2000-01-01: what an ESP32's clock says at power-on."""

_ESP_ERRORS = {
    -258: "ESP_ERR_INVALID_ARG",
    -260: "ESP_ERR_INVALID_SIZE",
    -261: "ESP_ERR_NOT_FOUND",
    -4354: "ESP_ERR_NVS_NOT_FOUND",
    -4357: "ESP_ERR_NVS_NOT_ENOUGH_SPACE",
    -4364: "ESP_ERR_NVS_INVALID_LENGTH",
    -5379: "ESP_ERR_OTA_VALIDATE_FAILED",
    1: "ESP_FAIL",
}


class BoardReset(BaseException):
    """The chip resets now: nothing of the running program is executed any more."""

    def __init__(self, cause: int, why: str) -> None:
        super().__init__(why)
        self.cause = cause
        self.why = why


class Board:
    """A board, put together from its parts; folder.py has those on disk.

    Attributes:
        name: what tells it from others; its MAC address comes of it.
        nvs: what NVS holds.
        flash: with its list of operations.
        table: the partition table, read from flash.
        running: partition of the image that runs, None while there is no power.
        cause: of the last reset.
        watchdog_at: monotonic time at which the watchdog resets, None where it is off.
        messages: what bootloader and panic handler would print on the console.
        clock_ahead: seconds by which its clock is ahead of the host's.
        clock_settings: Unix seconds that its clock was set to, oldest first.
    """

    def __init__(self, name: str, settings: Settings, flash: Flash, nvs: Nvs) -> None:
        self.name = name
        self.settings = settings
        self.flash = flash
        self.nvs = nvs
        self.table: Table = from_binary(self.flash.read(TABLE_OFFSET, TABLE_SIZE))
        self.running: Partition | None = None
        self.cause = POWER_ON
        self.watchdog_at: float | None = None
        self.messages: list[str] = []
        self.clock_ahead = 0.0
        self.clock_settings: list[float] = []
        self._rtc_memory = b""
        self._ended: BoardReset | PowerCut | None = None

    def boot(self, cause: int = POWER_ON) -> Partition:
        """Reset or power up: the bootloader chooses and starts an image. Raises Refused for none.

        A wake from deep sleep starts what ran before, unseen: otadata is not read, the image not
        verified (CONFIG_BOOTLOADER_SKIP_VALIDATE_IN_DEEP_SLEEP, on in MicroPython since v1.21).
        The clock goes on through every reset but power-on. A soft reset is none of the chip's: the same
        image goes on, and so does the watchdog.
        """
        self.cause = cause
        self._ended = None
        if cause == SOFT and self.running is not None:
            return self.running
        self.watchdog_at = None
        if cause == POWER_ON:
            self._rtc_memory = b""
            unset = self.settings.clock_unset
            self.clock_ahead = POWER_ON_TIME - time.time() if unset else 0.0
        if cause == DEEP_SLEEP and self.running is not None:
            return self.running
        self.running = None
        result = bootloader.boot(
            self.flash, self.table, self.settings.chip_id, self.settings.rollback
        )
        self.messages += result.log
        if result.partition is None:
            raise Refused("nothing on this board boots: " + result.log[-1])
        self.running = result.partition
        return result.partition

    def entries(self) -> tuple[bytes, bytes]:
        """Both otadata records as they are in flash."""
        entries = bootloader.read_entries(self.flash, self.table)
        if entries is None:
            raise Refused("this board has no otadata partition")
        return entries

    def close(self) -> None:
        """Give the files back."""
        self.flash.close()

    def modules(self) -> dict[str, Any]:
        """The VM's own `esp32` and `machine`, bound to this board in this process."""
        link: Any = types.ModuleType("link")
        link.call = self._direct
        made: dict[str, Any] = {}
        before = sys.modules.get("link")
        sys.modules["link"] = link
        try:
            for name in ("esp32", "machine"):
                module = types.ModuleType(name)
                exec(_stub(name), module.__dict__)  # noqa: S102
                made[name] = module
        finally:
            del sys.modules["link"]
            if before is not None:
                sys.modules["link"] = before
        return made

    def _direct(self, op: str, *args: Any, data: Any = None, into: Any = None) -> Any:
        value, reply = self.call(op, list(args), bytes(data) if data is not None else b"")
        if into is not None:
            memoryview(into)[: len(reply)] = reply
        return value

    # The calls

    def call(self, op: str, args: list[Any], data: bytes) -> tuple[Any, bytes]:
        """One call of the stubs: (value, bytes for the caller's buffer).

        Raises OSError as the firmware does; BoardReset; flash.PowerCut.
        """
        if self._ended:
            raise self._ended  # whatever still runs in this process, the chip does not
        handler = getattr(self, "_do_" + op)
        try:
            result: tuple[Any, bytes] = handler(data, *args)
        except (BoardReset, PowerCut) as e:
            self._ended = e
            raise
        return result

    def _part(self, name: str) -> Partition:
        part = self.table.find(name)
        assert part is not None
        return part

    @staticmethod
    def _info(part: Partition) -> list[Any]:
        return [part.type, part.subtype, part.offset, part.size, part.name, part.encrypted]

    def _do_find(
        self, _: bytes, kind: int, subtype: int, label: str | None
    ) -> tuple[list[list[Any]], bytes]:
        found = [
            self._info(part)
            for part in self.table.partitions
            if part.type == kind and subtype in (0xFF, part.subtype) and label in (None, part.name)
        ]
        return found, b""

    def _do_named(self, _: bytes, label: str) -> tuple[list[Any], bytes]:
        for kind in (0, 1):
            for part in self.table.partitions:
                if part.type == kind and part.name == label:
                    return self._info(part), b""
        raise OSError(2)

    def _do_running(self, _: bytes) -> tuple[list[Any], bytes]:
        assert self.running is not None
        return self._info(self.running), b""

    def _do_boot(self, _: bytes) -> tuple[list[Any], bytes]:
        part = bootloader.selected(bootloader.read_entries(self.flash, self.table), self.table)
        if part is None:
            raise OSError(2)
        return self._info(part), b""

    def _do_next(self, _: bytes, name: str) -> tuple[list[Any], bytes]:
        slots = self.table.ota_slots
        if not slots:
            raise OSError(2)
        part = self._part(name)
        index = slots.index(part) if part in slots else -1
        return self._info(slots[(index + 1) % len(slots)]), b""

    def _do_read(self, _: bytes, name: str, offset: int, size: int) -> tuple[None, bytes]:
        part = self._part(name)
        _bounds(part, offset, size)
        return None, self.flash.read(part.offset + offset, size)

    def _do_erase(self, _: bytes, name: str, offset: int, size: int) -> tuple[int, bytes]:
        part = self._part(name)
        _bounds(part, offset, size)
        if size % SECTOR:
            raise _error(-260)
        if offset % SECTOR:
            raise _error(-258)
        self._guard_running(part)
        self.flash.erase(part.offset + offset, size)
        return 0, b""

    def _do_program(self, data: bytes, name: str, offset: int) -> tuple[None, bytes]:
        part = self._part(name)
        _bounds(part, offset, len(data))
        self._guard_running(part)
        self.flash.program(part.offset + offset, data)
        return None, b""

    def _guard_running(self, part: Partition) -> None:
        if part == self.running:
            self.messages.append("abort() was called: write to the running app partition")
            raise BoardReset(HARD, "abort: write to the running app partition")

    def _do_set_boot(self, _: bytes, name: str) -> tuple[None, bytes]:
        part = self._part(name)
        slots = self.table.ota_slots
        if part.type != 0 or not bootloader.is_bootable(self.flash, part, self.settings.chip_id):
            raise _error(-5379)
        if part not in slots or self.table.otadata is None:
            raise _error(-261)
        bootloader.set_boot(self.flash, self.table, slots.index(part), self.settings.in_place)
        return None, b""

    def _do_mark_valid(self, _: bytes) -> tuple[None, bytes]:
        if self.table.otadata is None:
            raise _error(-261)
        if not bootloader.mark_valid(self.flash, self.table):
            raise _error(1)
        return None, b""

    # NVS

    def _do_nvs_set(
        self, data: bytes, space: str, key: str, value: int | None
    ) -> tuple[None, bytes]:
        if self.settings.nvs_full:
            raise _error(-4357)
        self.nvs.set(space, key, data.hex() if value is None else value)
        return None, b""

    def _do_nvs_int(self, _: bytes, space: str, key: str) -> tuple[int, bytes]:
        value = self.nvs.get(space, key)
        if not isinstance(value, int):
            raise _error(-4354)
        return value, b""

    def _do_nvs_blob(self, _: bytes, space: str, key: str, room: int) -> tuple[int, bytes]:
        value = self.nvs.get(space, key)
        if not isinstance(value, str):
            raise _error(-4354)
        blob = bytes.fromhex(value)
        if len(blob) > room:
            raise _error(-4364)
        return len(blob), blob

    def _do_nvs_erase(self, _: bytes, space: str, key: str) -> tuple[None, bytes]:
        if self.nvs.get(space, key) is None:
            raise _error(-4354)
        self.nvs.set(space, key, None)
        return None, b""

    # Resets and the watchdog

    def _do_idf_heap(self, _: bytes) -> tuple[list[list[int]], bytes]:
        # One region: total, free, largest free piece, least that was ever free.
        largest = self.settings.idf_largest
        return [[4 * largest, 2 * largest, largest, largest]], b""

    def _do_reset(self, _: bytes) -> tuple[None, bytes]:
        raise BoardReset(HARD, "machine.reset()")

    def _do_deep_sleep(self, _: bytes) -> tuple[None, bytes]:
        raise BoardReset(DEEP_SLEEP, "machine.deepsleep()")

    def _do_cause(self, _: bytes) -> tuple[int, bytes]:
        return self.cause, b""

    def _do_unique_id(self, _: bytes) -> tuple[list[int], bytes]:
        # A locally administered MAC address, of the board's place on this machine.
        return [2, *hashlib.sha256(self.name.encode()).digest()[:5]], b""

    # The clock and RTC memory. machine_rtc.c of v1.25.0: the weekday is not looked at.

    def _do_clock(self, _: bytes) -> tuple[list[int], bytes]:
        seconds = time.time() + self.clock_ahead
        now = time.gmtime(seconds)
        micros = int(seconds % 1 * 1_000_000)
        return [*now[:3], now.tm_wday, *now[3:6], micros], b""

    def _do_set_clock(self, _: bytes, *fields: int) -> tuple[None, bytes]:
        year, month, day, _weekday, hour, minute, second, micros = fields
        seconds = calendar.timegm((year, month, day, hour, minute, second))
        self._set_clock(seconds + micros / 1_000_000)
        return None, b""

    def _do_rtc_memory_size(self, _: bytes) -> tuple[int, bytes]:
        return len(self._rtc_memory), b""

    def _do_rtc_memory(self, _: bytes) -> tuple[None, bytes]:
        return None, self._rtc_memory

    def _do_set_rtc_memory(self, data: bytes) -> tuple[None, bytes]:
        if len(data) > RTC_MEMORY:
            raise ValueError("buffer too long")
        self._rtc_memory = data
        return None, b""

    def _do_ntp(self, _: bytes) -> tuple[None, bytes]:
        self._set_clock(time.time())
        return None, b""

    def _set_clock(self, seconds: float) -> None:
        self.clock_settings.append(seconds)
        if self.settings.clock_unset:
            self.clock_ahead = seconds - time.time()

    def _do_watchdog(self, _: bytes, timeout_ms: int) -> tuple[None, bytes]:
        self.watchdog_at = time.monotonic() + timeout_ms / 1000
        return None, b""


def describe_entries(board: Board) -> list[str]:
    """Both otadata records for people."""
    return [otadata.describe(entry) for entry in board.entries()]


@functools.cache
def _stub(name: str) -> types.CodeType:
    source = Path(__file__).parent / "vm" / f"{name}.py"
    return compile(source.read_text(), str(source), "exec")


def _bounds(part: Partition, offset: int, size: int) -> None:
    if offset < 0 or offset > part.size:
        raise _error(-258 if offset < 0 else -260)
    if offset + size > part.size:
        raise _error(-260)


def _error(number: int) -> OSError:
    return OSError(number, _ESP_ERRORS[number])
