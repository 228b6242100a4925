"""The slot of all three alike: a block device in memory outside the Python heap.

The memory is mapped below 2^30, where addresses are small integers, and copied by libc: as on the
chip, reading and writing a block allocates nothing and runs no bytecode per byte. An erase and a
program are one copy; whether anything had to be erased is counted on the virtual board, not here.
"""

import ffi
from micropython import const

SECTOR = const(4096)

_LOWEST = const(0x10000000)
_READ_WRITE = const(3)  # PROT_READ | PROT_WRITE
_FIXED = const(0x100022)  # MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, linux/mman.h
_ERASE = const(6)  # ioctl of a block device

_libc = ffi.open("libc.so.6")
_copy = _libc.func("v", "memmove", "PPL")
_fill = _libc.func("v", "memset", "PiL")
_next = _LOWEST


class RamPart:
    """`esp32.Partition` over RAM: info, readblocks, writeblocks, ioctl; bounds as there."""

    def __init__(self, size, info=()):
        """Args:
        size: bytes, a multiple of 4096; blank.
        info: what `info()` returns.
        """
        global _next
        self._base = _next
        self._size = size
        self._info = info
        mapped = _libc.func("P", "mmap", "LLiiii")(_next, size, _READ_WRITE, _FIXED, -1, 0)
        if mapped != _next:
            raise OSError(12)
        _next += size
        self.blank()

    def info(self):
        return self._info

    def readblocks(self, block, buf, offset=0):
        n = len(buf)
        at = self._at(block, offset, n)
        _copy(buf, at, n)

    def writeblocks(self, block, buf, offset=0):
        n = len(buf)
        at = self._at(block, offset, n)
        _copy(at, buf, n)

    def ioctl(self, op, arg):
        if op == _ERASE:
            _fill(self._base + arg * SECTOR, 255, SECTOR)
            return 0
        return SECTOR if op == 5 else self._size // SECTOR

    def _at(self, block, offset, n):
        at = block * SECTOR + offset
        if at < 0:
            raise OSError(-258)
        if at + n > self._size:
            raise OSError(-260)
        return self._base + at

    def blank(self):
        """Erase everything."""
        _fill(self._base, 255, self._size)

    def load(self, path):
        """Put a file at the start, as a cable would."""
        buf = bytearray(SECTOR)
        at = self._base
        with open(path, "rb") as file:
            while n := file.readinto(buf):
                _copy(at, buf, n)
                at += n
