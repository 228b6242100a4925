"""What a board holds, read from its files without running it."""

import hashlib
from typing import Any

from ota import image, journal
from ota.errors import OtaError
from ota_tools.board import bootloader, filesystem
from ota_tools.board.model import Board, describe_entries
from ota_tools.failures import Refused
from ota_tools.partitions import Partition


def describe(board: Board) -> dict[str, Any]:
    """Slots, otadata, journal and files, for people and for `--json`."""
    chosen = bootloader.selected(bootloader.read_entries(board.flash, board.table), board.table)
    return {
        "board": board.name,
        "slots": [_slot(board, slot) for slot in board.table.ota_slots],
        "otadata": describe_entries(board),
        "boots": chosen.name if chosen else "nothing",
        "journal": _journal(board),
        "files": _files(board),
    }


def _files(board: Board) -> list[str]:
    vfs = board.table.find("vfs")
    if vfs is None:
        return []
    try:
        files = filesystem.read(board.flash.read(vfs.offset, vfs.size))
    except Refused as e:
        return [str(e)]
    return [f"{path}  {len(data)} bytes" for path, data in sorted(files.items())]


def _slot(board: Board, slot: Partition) -> str:
    where = f"{slot.name} at {slot.offset:#x}, {slot.size} bytes"

    def read(offset: int, n: int) -> bytes:
        return board.flash.read(slot.offset + offset, n)

    try:
        info = image.verify(read, slot.size)
    except OtaError:
        return f"{where}: no image"
    digest = hashlib.sha256(read(0, info.size)).hexdigest()
    return f"{where}: image of {info.size} bytes, SHA-256 {digest[:16]}…"


def _journal(board: Board) -> str:
    blob = board.nvs.get("ota", "journal")
    record = journal.decode(bytes.fromhex(blob)) if isinstance(blob, str) else None
    if record is None:
        return "none" if not blob else "unreadable"
    outcome = journal.EVENTS[record.outcome]
    text = f"highest sequence {record.highest}, last outcome: {outcome} {record.version}"
    return f"{text} ({record.reason})" if record.reason else text
