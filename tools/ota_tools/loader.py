"""Flash of a board in download mode: esptool does the talking, here is the judgement over it.

Rule: every failure has a name and a way out in one line, and what esptool prints stays inside. What
is written is read back as a digest by the chip, piece by piece, so a failure can tell how far it
came. Nothing is written to a chip with secure boot or flash encryption on: it would not start again.

A local serial port gets esptool's stub, for speed, and the higher baud rate. A pseudo-terminal
(`board:DIR`, and whatever else has one) is the ROM of a virtual board: no stub, no lines that reset.
"""

import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serial  # type: ignore[import-untyped]
from esptool import cmds
from esptool.loader import ESPLoader
from esptool.util import FatalError, flash_size_bytes, strip_chip_name

from ota_tools import ports
from ota_tools.failures import Failure, Refused, Unreachable, Usage
from ota_tools.firmware import CHIPS
from ota_tools.quiet_esptool import BROKEN, Progress, heard, nothing, reason, silence

SECTOR = 4096
PIECE = 256 << 10
"""Bytes that are written and then compared by digest; a multiple of what a chip erases at once."""

READ_PIECE = 64 << 10

AGAIN = "run the same command again, which is safe"

_ATTEMPTS = 7  # to connect: each resets the chip and takes 1 s
_ATTEMPTS_WITHOUT_RESET = 3
_ABSENT = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_BUSY = (errno.EBUSY, errno.EAGAIN)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
_CABLE = f"check the cable, press EN and {AGAIN}"
_SLOWER = "press EN, then run this again with --baud 115200 or another cable"
_BOOT = "put it into download mode: hold BOOT (GPIO0), press EN, let BOOT go; then run this again"


@dataclass(frozen=True)
class Region:
    """What belongs where: byte offset in flash, a multiple of 4096; `what` names it to people."""

    offset: int
    data: bytes
    what: str


class Loader:
    """A chip that takes commands; made by `connect`.

    Attributes:
        name: of the chip, as in firmware.CHIPS.
        flash_size: bytes, by the JEDEC id of the flash chip.
        mac: such as `02:1c:32:2f:32:41`.
        can_reset: the line has RTS; else somebody has to press EN.
    """

    def __init__(self, port: str, esp: Any, flash_size: int, can_reset: bool) -> None:
        self.name: str = strip_chip_name(esp.CHIP_NAME)
        self.flash_size = flash_size
        self.mac: str = ":".join(f"{byte:02x}" for byte in esp.read_mac("BASE_MAC"))
        self.can_reset = can_reset
        self._port = port
        self._esp = esp
        self._was_reset = False

    def read(self, offset: int, size: int, progress: Progress | None = None) -> bytes:
        """`size` bytes from `offset`, equal to the chip's own digest of them.

        Raises Refused past the end of the flash, Unreachable.
        """
        self._check_range(offset, size, "what is to be read")
        tell = progress or nothing
        found: list[bytes] = []
        done = 0
        while done < size:
            wanted = min(READ_PIECE, size - done)
            try:
                found.append(self._read_piece(offset + done, wanted, done, size, tell))
            except BROKEN as e:
                raise Unreachable(
                    f"{self._port}: {_died(e)} after {done} of {size} bytes were read: {AGAIN}"
                ) from None
            done += wanted
            tell(done, size)
        return b"".join(found)

    def _read_piece(self, at: int, size: int, done: int, total: int, tell: Progress) -> bytes:
        # The chip tells a blank piece in one answer; 64 KiB through a ROM take 1000.
        digest = self._esp.flash_md5sum(at, size)
        data: bytes = b"\xff" * size
        if digest != _md5(data):
            data = self._esp.read_flash(at, size, lambda n, *_: tell(done + n, total))
            if digest != _md5(data):
                raise FatalError("what came is not what the chip has")
        return data

    def write(self, regions: list[Region], progress: Progress | None = None) -> None:
        """Erase and write each region as it is, in this order, and compare the chip's digest of it.

        The rest of a region's last sector is blank afterwards. Raises ValueError for regions that
        are unaligned or share a sector; Refused past the end of the flash, or where the flash does
        not hold what was written; Unreachable.
        """
        _check_apart(regions)
        for region in regions:
            self._check_range(region.offset, len(region.data), region.what)
        tell = progress or nothing
        total = sum(len(region.data) for region in regions)
        done = 0
        for region in regions:
            for start in range(0, len(region.data), PIECE):
                piece = region.data[start : start + PIECE]
                self._write_piece(region, start, piece, (done, total), tell)
                done += len(piece)
                tell(done, total)

    def _write_piece(
        self, region: Region, start: int, piece: bytes, count: tuple[int, int], tell: Progress
    ) -> None:
        done, total = count
        begun = False

        def note(part: int, parts: int) -> None:  # of the compressed bytes
            nonlocal begun
            begun = True
            tell(done + len(piece) * part // max(parts, 1), total)

        try:
            with heard(note):
                cmds.write_flash(self._esp, [(region.offset + start, piece)], compress=True)
        except BROKEN as e:
            raise self._not_written(e, region, count, begun) from None

    def _not_written(
        self, e: BaseException, region: Region, count: tuple[int, int], begun: bool
    ) -> Failure:
        done, total = count
        state = f"{done} of {total} bytes are in flash, and the board does not start"
        if not isinstance(e, FatalError) or not _answers(self._esp):
            return Unreachable(
                f"{self._port}: {_died(e)} while {region.what} was written; {state}: "
                f"check the cable and {AGAIN}"
            )
        if begun:
            return Refused(
                f"the flash does not hold what was written of {region.what} ({reason(e)}); "
                f"{state}: {AGAIN}, with --baud 115200 or another cable; if it fails at the same "
                "place, the flash chip is worn"
            )
        return Refused(f"{region.what} at {region.offset:#x}: {reason(e)}")

    def erase(self, offset: int, size: int) -> None:
        """Blank whole sectors. Raises ValueError for others, Refused past the end, Unreachable."""
        if offset % SECTOR or size % SECTOR:
            raise ValueError(f"erase of {size} bytes at {offset:#x}: sectors have {SECTOR}")
        self._check_range(offset, size, "what is to be erased")
        try:
            cmds.erase_region(self._esp, offset, size)
        except BROKEN as e:
            raise Unreachable(
                f"{self._port}: {_died(e)} while {size} bytes at {offset:#x} were erased: {AGAIN}"
            ) from None

    def reset(self) -> None:
        """Start what is in flash, where `can_reset`; else nothing. Raises Unreachable.

        At the end of `connect` it happens by itself, unless it did already.
        """
        if self.can_reset and not self._was_reset:
            self._was_reset = True
            with _named(f"{self._port}: the chip was not reset", "press EN"):
                cmds.reset_chip(self._esp, "hard-reset")

    def _check_range(self, offset: int, size: int, what: str) -> None:
        if offset < 0 or size < 0:
            raise ValueError(f"{size} bytes at {offset}")
        if offset + size > self.flash_size:
            raise Refused(
                f"{what} ends at {offset + size:#x}, the flash of this {self.name} at "
                f"{self.flash_size:#x} ({self.flash_size >> 20} MiB)"
            )


@contextlib.contextmanager
def connect(port: str, baud: int = 460800) -> Iterator[Loader]:
    """The chip at a port, in download mode for as long as the context lasts.

    Args:
        port: as a user types it: /dev/ttyUSB0, socket://host:port, board:DIR.
        baud: once connected; serial ports of this machine only.
    Raises Unreachable where the port is absent, busy or silent; Refused for a chip or flash chip
    that is not known, and for secure boot or flash encryption; Usage for no port at all.
    """
    silence()
    if port.startswith(ports.BOARD):
        _check_board(Path(port[len(ports.BOARD) :]))
    with ports.open_port(port, download=True) as device:
        line = _open(device, port)
        try:
            found = _prepared(line, device, port, baud)
            try:
                yield found
            finally:
                with contextlib.suppress(Unreachable):
                    found.reset()
        finally:
            with contextlib.suppress(*BROKEN):
                line.close()


def _check_board(folder: Path) -> None:
    # Here, since in the thread that serves it nobody would hear of it. Raises Usage, Refused.
    from ota_tools.board import rom

    rom.power_up(folder)[1].close()


def _open(device: str, port: str) -> Any:
    try:
        line = serial.serial_for_url(device, exclusive=True, do_not_open=True)
        if sys.platform == "win32":  # opening would reset the chip
            line.rts = line.dtr = False
        line.open()
    except ValueError as e:
        raise Usage(f"{port} is no port: {e}") from None
    except BROKEN as e:
        raise Unreachable(f"{port}: {_why_closed(e)}") from None
    return line


def _why_closed(e: BaseException) -> str:
    number, text = getattr(e, "errno", None), str(e)
    if number in _BUSY or "Access is denied" in text:
        return "busy: another program has it open (a terminal, mpremote, an editor): close that"
    if number in _FORBIDDEN:
        return "permission denied: join the group dialout (uucp on Arch), then log in again"
    if number in _ABSENT or "FileNotFoundError" in text:
        return "there is no such port: plug the board in, with a cable that carries data"
    return os.strerror(number) if number else " ".join(text.split())


def _prepared(line: Any, device: str, port: str, baud: int) -> Loader:
    is_virtual = os.path.realpath(device).startswith("/dev/pts/") or port.startswith(ports.BOARD)
    is_local = "://" not in device and not is_virtual
    has_rts = is_local or device.startswith("rfc2217:")
    esp = _detected(line, port, has_rts)
    _refuse_secured(esp, port)
    with _named(f"{port}: the chip answers but does not run esptool's stub", _SLOWER):
        if not is_virtual:
            esp = cmds.run_stub(esp)
        if is_local and baud > esp.get_baud():
            esp.change_baud(baud)
    with _named(f"{port}: the chip stopped answering", _CABLE):
        esp.WRITE_FLASH_ATTEMPTS = 1  # a new connection would find no stub
        cmds.attach_flash(esp)
        size = cmds.detect_flash_size(esp)
        if size is None:
            raise Refused(
                f"the flash chip of this board has the id {esp.flash_id():#08x}, which esptool "
                "does not know: its size cannot be told"
            )
        esp.flash_set_parameters(flash_size_bytes(size))
        return Loader(port, esp, flash_size_bytes(size), has_rts)


def _detected(line: Any, port: str, has_rts: bool) -> Any:
    # Two steps, since esptool has one exception for "nobody there" and "nobody I know".
    try:
        first = ESPLoader(line, ESPLoader.ESP_ROM_BAUD)
        first.USES_RFC2217 = port.startswith("rfc2217:")
        if has_rts:
            first.connect("default-reset", _ATTEMPTS, detecting=True)
        else:
            first.connect("no-reset", _ATTEMPTS_WITHOUT_RESET, detecting=True)
    except BROKEN as e:
        if isinstance(e, FatalError):
            raise Unreachable(f"{port}: no answer from a chip: {_BOOT}") from None
        raise Unreachable(f"{port}: {_died(e)}: {_CABLE}") from None
    try:
        esp = cmds.detect_chip(
            line, connect_mode="no-reset", connect_attempts=_ATTEMPTS_WITHOUT_RESET
        )
    except BROKEN as e:
        if isinstance(e, FatalError) and _answers(first):
            raise Refused(f"{port}: no chip that esptool knows: {reason(e)}") from None
        raise Unreachable(f"{port}: {_died(e)}: {_CABLE}") from None
    if strip_chip_name(esp.CHIP_NAME) not in CHIPS:
        raise Refused(f"the chip is an {esp.CHIP_NAME}; known: {', '.join(CHIPS)}")
    return esp


def _answers(esp: Any) -> bool:
    try:
        esp.flush_input()
        esp.read_reg(ESPLoader.CHIP_DETECT_MAGIC_REG_ADDR)
    except BROKEN:
        return False
    return True


def _refuse_secured(esp: Any, port: str) -> None:
    checks = {
        "secure download mode": lambda: esp.secure_download_mode,
        "secure boot": esp.get_secure_boot_enabled,
        "flash encryption": esp.get_flash_encryption_enabled,
    }
    with _named(f"{port}: the chip stopped answering", _CABLE):
        on = next((name for name, is_on in checks.items() if is_on()), None)
    if on:
        raise Refused(
            f"this chip has {on} on and would not start with what is written here: only whoever "
            "has its keys can write to it"
        )


@contextlib.contextmanager
def _named(what: str, way_out: str) -> Iterator[None]:
    try:
        yield
    except BROKEN as e:
        raise Unreachable(f"{what} ({reason(e)}): {way_out}") from None


def _check_apart(regions: list[Region]) -> None:
    end = 0
    for region in sorted(regions, key=lambda region: region.offset):
        if region.offset % SECTOR or region.offset < end:
            raise ValueError(
                f"{region.what} at {region.offset:#x}: unaligned, or in another's place"
            )
        end = region.offset + -(-len(region.data) // SECTOR) * SECTOR


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324 the protocol's


def _died(e: BaseException) -> str:
    return f"the line failed ({reason(e)})"
