"""The line of a virtual board in serial download mode: unmodified esptool talks to it over a
pseudo-terminal.

SLIP frames go in and out here, `rom_commands` answers them. Rule: what comes in may be anything; no
byte of it ends the service, and an answer that nobody reads is lost, as on a UART.

NVS is not in this flash (`nvs.json`), so no erase reaches it.
"""

import contextlib
import hashlib
import json
import os
import re
import select
import threading
import time
from pathlib import Path

from ota_tools.board.flash import Flash
from ota_tools.board.folder import open_chip
from ota_tools.board.rom_commands import LARGEST_BLOCK, SIZES, Rom
from ota_tools.board.settings import Settings
from ota_tools.failures import Refused, Usage
from ota_tools.firmware import CHIPS

_LONGEST_FRAME = 2 * (LARGEST_BLOCK + 64)
_BAD_ESCAPE = re.compile(rb"\xdb(?![\xdc\xdd])")
_PATIENCE_S = 1.0  # for an answer to be read


def serve(fd: int, board_folder: Path, stop: threading.Event) -> None:
    """Be the ROM of the board in a folder, at the master's end `fd` of a pseudo-terminal.

    Returns when `stop` is set; `fd` stays open until then. Whoever is at the other end may come and go.
    Raises Usage where the folder holds no board, Refused where it is of an unknown chip.
    """
    rom, flash = power_up(board_folder)
    with contextlib.closing(flash):
        answer(fd, rom, stop)


def power_up(board_folder: Path) -> tuple[Rom, Flash]:
    """A board's ROM, and its flash for whoever has to close it. Raises Usage, Refused."""
    settings, flash = open_chip(board_folder)
    mac = bytes([2, *hashlib.sha256(str(board_folder).encode()).digest()[:5]])
    try:
        return Rom(settings.chip_id, flash, mac), flash
    except Refused:
        flash.close()
        raise


def answer(fd: int, rom: Rom, stop: threading.Event) -> None:
    """Answer what comes in at `fd`, until `stop` is set."""
    os.set_blocking(fd, False)
    pending = b""
    while not stop.is_set():
        try:
            if not select.select([fd], [], [], 0.05)[0]:
                continue
            pending += os.read(fd, 1 << 16)
        except BlockingIOError:
            continue
        except OSError:  # EIO: nobody has the other end open
            pending = b""
            time.sleep(0.02)
            continue
        *frames, pending = pending.split(b"\xc0")
        if len(pending) > _LONGEST_FRAME:
            pending = b""
        for frame in frames:
            for packet in rom.answer(_unescaped(frame)):
                _send(fd, _framed(packet), stop)


def blank(folder: Path, chip_id: int, flash_size: int) -> None:
    """Make the folder of a factory-new chip: blank flash, empty NVS. Raises Usage.

    Args:
        chip_id: as in an image's header, one of `firmware.CHIPS`.
        flash_size: bytes, one of SIZES.
    """
    if (folder / "flash.bin").exists():
        raise Usage(f"{folder} holds a board already")
    if chip_id not in [chip.id for chip in CHIPS.values()]:
        raise Usage(f"no chip has the id {chip_id}")
    if flash_size not in SIZES:
        raise Usage(f"no flash chip has {flash_size} bytes")
    folder.mkdir(parents=True, exist_ok=True)
    Flash.create(folder / "flash.bin", flash_size)
    settings = Settings(chip_id=chip_id)
    (folder / "board.json").write_text(json.dumps(settings.__dict__, indent=1) + "\n")
    (folder / "nvs.json").unlink(missing_ok=True)


def _unescaped(frame: bytes) -> bytes:
    # b"" for a frame that is none.
    if len(frame) > _LONGEST_FRAME or _BAD_ESCAPE.search(frame):
        return b""
    return frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


def _framed(packet: bytes) -> bytes:
    escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


def _send(fd: int, data: bytes, stop: threading.Event) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while data and not stop.is_set() and time.monotonic() < give_up:
        with contextlib.suppress(OSError):  # full, or nobody is there
            if select.select([], [fd], [], 0.05)[1]:
                data = data[os.write(fd, data) :]
