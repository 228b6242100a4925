"""The board's file system for the library in this process: littlefs over the model's flash.

Each erase and program of littlefs is one of the board, so it can be cut. Sizes as MicroPython's
VfsLfs2 has them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from littlefs import LittleFS, LittleFSError, UserContext

from ota_tools.board.flash import SECTOR, Flash
from ota_tools.failures import Refused
from ota_tools.partitions import Partition

_UNIT = 32
_CACHE = 128  # four units, extmod/vfs_lfs.c
_CYCLES = 100
_ERRNO = {-2: errno.ENOENT, -28: errno.ENOSPC, -5: errno.EIO, -84: errno.EIO}


class _Chip(UserContext):
    """A partition as littlefs sees it."""

    def __init__(self, flash: Flash, start: int) -> None:
        self._flash = flash
        self._start = start

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        """`size` bytes."""
        return bytearray(self._flash.read(self._start + block * SECTOR + off, size))

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        """Clear bits."""
        # littlefs may program what is not blank, behind a cut: it reads back, and moves on.
        self._flash.program(self._start + block * SECTOR + off, bytes(data), strict=False)
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        """A sector."""
        self._flash.erase(self._start + block * SECTOR, SECTOR)
        return 0

    def sync(self, cfg: Any) -> int:
        """Nothing is kept back."""
        return 0


def mount(flash: Flash, part: Partition, fresh: bool = False) -> LittleFS:
    """The littlefs in a partition; `fresh` formats it first. Raises Refused where there is none."""
    fs = LittleFS(
        context=_Chip(flash, part.offset),
        mount=False,
        block_size=SECTOR,
        block_count=part.size // SECTOR,
        read_size=_UNIT,
        prog_size=_UNIT,
        cache_size=_CACHE,
        lookahead_size=_UNIT,
        block_cycles=_CYCLES,
    )
    try:
        if fresh:
            fs.format()
        fs.mount()
    except LittleFSError as e:
        raise Refused(f"the file system does not mount: {e}") from e
    return fs


@contextmanager
def root(fs: LittleFS) -> Iterator[None]:
    """Let the library's file functions work on `fs`, in the place of this machine's files."""
    import ota.files  # here, for the judge mounts, too, and imports nothing of the library
    import ota.port

    calls = SimpleNamespace(
        stat=_translated(lambda path: (0,) * 6 + (fs.stat(path).size,)),
        rename=_translated(fs.rename),
        statvfs=_translated(lambda _: _statvfs(fs)),
    )
    files: Any = ota.files
    port: Any = ota.port
    before = files.os, port.os, vars(files).get("open", open)  # one board may run within another
    files.os = port.os = calls
    files.open = _translated(lambda path, mode: _File(fs.open(path, mode)))
    try:
        yield
    finally:
        files.os, port.os, files.open = before


def read_all(fs: LittleFS) -> dict[str, bytes]:
    """Every file in the root: `/name` -> contents."""
    found = {}
    for name in fs.listdir("/"):
        with fs.open(f"/{name}", "rb") as file:
            found[f"/{name}"] = file.read()
    return found


class _File:
    """An open file, whose errors are those of MicroPython."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.read = _translated(file.read)
        self.write = _translated(file.write)
        self.close = _translated(file.close)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _statvfs(fs: LittleFS) -> tuple[int, ...]:
    free = fs.block_count - fs.used_block_count
    return (SECTOR, SECTOR, fs.block_count, free, free)


def _translated(call: Any) -> Any:
    # With the numbers of MicroPython's errors.
    def called(*args: Any) -> Any:
        try:
            return call(*args)
        except FileNotFoundError as e:
            raise OSError(errno.ENOENT, str(e)) from e
        except LittleFSError as e:
            raise OSError(_ERRNO.get(e.code, errno.EIO), str(e)) from e

    return called
