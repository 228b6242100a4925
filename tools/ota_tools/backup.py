"""What a board holds before it is flashed: what will be lost of it, and a copy to get it back from.

Rule: looking changes nothing, and reads no more than it needs. Where the table names no vfs, MicroPython
1.26 and later keep their files behind the last partition, up to the end of the flash: so it is looked for
there.
"""

import filecmp
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from littlefs import LittleFS
from littlefs.context import UserContext

from ota_tools.board import filesystem
from ota_tools.failures import Failure, Refused
from ota_tools.partitions import (
    APP,
    DATA,
    NVS,
    TABLE_OFFSET,
    TABLE_SIZE,
    Partition,
    Table,
    from_binary,
)

_BLOCK = 4096
_UNIT = 32  # read and program size of MicroPython's VfsLfs2
_VFS = ("vfs", "ffat")
_FAT = 0x81
_TABLE, _NVS_FILE, _VFS_FILE, _FILES = "table.bin", "nvs.bin", "vfs.bin", "files/"


class Flash(Protocol):
    """A flash that can be read: of a board at a port."""

    flash_size: int

    def read(
        self, offset: int, size: int, progress: Callable[[int, int], None] | None = None
    ) -> bytes:
        """`size` bytes from `offset` on."""


@dataclass(frozen=True)
class Found:
    """What lies in a flash.

    Attributes:
        table: None where none is readable.
        vfs: where the files are, or would be.
        files: path -> bytes of each; None where no littlefs is readable there.
        empty: nothing at all is where the file system would begin.
    """

    table: Table | None
    vfs: Partition | None = None
    files: dict[str, int] | None = None
    empty: bool = True

    @property
    def nvs(self) -> Partition | None:
        """The partition of the settings."""
        return self.table.find(NVS) if self.table else None


def look(flash: Flash) -> Found:
    """Table and file names of a board. Raises Unreachable."""
    try:
        table = from_binary(flash.read(TABLE_OFFSET, TABLE_SIZE))
    except Refused:
        return Found(None)
    vfs = _vfs_of(table, flash.flash_size)
    if vfs is None:
        return Found(table)
    empty = not flash.read(vfs.offset, _BLOCK).strip(b"\xff")
    return Found(table, vfs, None if empty else _list(flash, vfs), empty)


def losses(found: Found, table: Table, erase: bool) -> list[dict[str, Any]]:
    """What goes when `table` and its contents are written: partition, bytes, and what is in it.

    Args:
        erase: the whole flash, before.
    """
    if found.table is None:
        return [
            {"partition": "-", "size": 0, "lost": "no readable table: whatever is in the flash"}
        ]
    rows = [
        {"partition": part.name, "size": part.size, "lost": _loss(part, found, table, erase)}
        for part in found.table.partitions
        if part != found.vfs
    ]
    if found.vfs:
        rows.append(
            {"partition": found.vfs.name, "size": found.vfs.size, "lost": _files(found, table)}
        )
    return [row for row in rows if row["lost"]]


def summary(found: Found, table: Table) -> str:
    """What goes with the files, in a few words for a refusal."""
    return _files(found, table) or "what is in its flash"


def save(
    folder: Path, flash: Flash, found: Found, progress: Callable[[int, int], None] | None = None
) -> bool:
    """Copy table, vfs and NVS into a new folder; False where it holds such a backup already.

    `files/` holds the files by themselves where the littlefs is readable. A board without a table was
    left half-way, after its backup. Raises Refused where the folder holds something else, or there is
    no table to save by; Unreachable.
    """
    is_taken = folder.exists() and any(folder.iterdir())
    taken = Refused(f"{folder} is not empty and is never written over: name another folder")
    if is_taken and not (folder / _TABLE).exists():
        raise taken
    if found.table is None:
        if is_taken:
            return False
        raise Refused("no backup without a readable partition table: leave --backup out")
    fresh = Path(f"{folder.absolute()}.incomplete")
    shutil.rmtree(fresh, ignore_errors=True)
    _copy(fresh, flash, found, progress)
    if is_taken:
        is_same = _is_same(fresh, folder)
        shutil.rmtree(fresh)
        if not is_same:
            raise taken
        return False
    if folder.exists():
        folder.rmdir()
    fresh.rename(folder)
    return True


def contents(folder: Path) -> list[str]:
    """What a backup holds: `table.bin`, `files/`."""
    return [name for name in (_TABLE, _NVS_FILE, _VFS_FILE, _FILES) if (folder / name).exists()]


def _copy(
    folder: Path, flash: Flash, found: Found, progress: Callable[[int, int], None] | None
) -> None:
    folder.mkdir(0o700, parents=True)  # NVS has the key of the WiFi
    (folder / _TABLE).write_bytes(flash.read(TABLE_OFFSET, TABLE_SIZE))
    if found.nvs:
        (folder / _NVS_FILE).write_bytes(flash.read(found.nvs.offset, found.nvs.size))
    if found.vfs:
        data = flash.read(found.vfs.offset, found.vfs.size, progress)
        (folder / _VFS_FILE).write_bytes(data)
        if found.files is not None:
            _unpack(folder / _FILES, filesystem.read(data))


def _is_same(fresh: Path, folder: Path) -> bool:
    names = [name for name in contents(fresh) if name != _FILES]
    return filecmp.cmpfiles(fresh, folder, names, shallow=False)[0] == names


def _vfs_of(table: Table, flash_size: int) -> Partition | None:
    for part in table.partitions:
        if part.name in _VFS:
            return part
    start = max((p.end for p in table.partitions), default=flash_size)
    if start >= flash_size:
        return None
    return Partition("vfs", DATA, _FAT, start, flash_size - start)


def _list(flash: Flash, vfs: Partition) -> dict[str, int] | None:
    # Names and sizes, from the blocks that littlefs asks for. None where it is none, or damaged.
    cable = _OverCable(flash, vfs)
    fs = LittleFS(
        context=cable,
        block_size=_BLOCK,
        block_count=vfs.size // _BLOCK,
        read_size=_UNIT,
        prog_size=_UNIT,
        mount=False,
    )
    files: dict[str, int] | None = {}
    try:
        fs.mount()
        files = {path: fs.stat(path).size for path in filesystem.paths(fs)}
    except filesystem.ERRORS:
        files = None
    if cable.failure:
        raise cable.failure
    return files


class _OverCable(UserContext):
    """Blocks of a partition, read once each, never written.

    Attributes:
        failure: why the flash could not be read; littlefs sees blank blocks from there on.
    """

    def __init__(self, flash: Flash, part: Partition) -> None:
        super().__init__(0)
        self._flash = flash
        self._part = part
        self._blocks: dict[int, bytes] = {}
        self.failure: Failure | None = None

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        """A piece of a block."""
        if block not in self._blocks:
            self._blocks[block] = self._fetch(self._part.offset + block * _BLOCK)
        return bytearray(self._blocks[block][off : off + size])

    def _fetch(self, at: int) -> bytes:
        # An exception would end in littlefs, which prints it and goes on with what is in its buffer.
        if self.failure is None:
            try:
                return self._flash.read(at, _BLOCK)
            except Failure as e:
                self.failure = e
        return b"\xff" * _BLOCK


def _loss(part: Partition, found: Found, table: Table, erase: bool) -> str:
    if part == found.nvs:
        return "settings, and the calibration of WiFi"
    if part.type == APP:
        return "the firmware in it"
    if (part.type, part.subtype) in ((DATA, 0), (DATA, 1)):
        return ""
    if part in table.partitions:
        return "all of it: --erase blanks the whole flash" if erase else ""
    return "all of it: the new table has no such partition"


def _files(found: Found, table: Table) -> str:
    if found.empty or found.vfs is None:
        return ""
    what = "files that are no littlefs"
    if found.files is not None:
        what = f"{len(found.files)} files, {sum(found.files.values())} bytes"
    new = table.find("vfs")
    if new and new.offset != found.vfs.offset:
        return f"{what}; vfs moves from {found.vfs.offset:#x} to {new.offset:#x}"
    return what


def _unpack(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        parts = PurePosixPath(name).parts[1:]
        if ".." in parts or any("\\" in part for part in parts):
            continue  # vfs.bin has it
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
