"""A slot writer with a buffer of 64 KiB, for boards that have the memory.

Layer 2. A block is judged before anything of it is written, and erased in one operation where that is
faster: ESP-IDF erases 64 KiB or 4 KiB, nothing between.
"""

import hashlib

from micropython import const

from .manifest import Manifest
from .reader import SECTOR
from .slot import SlotWriter

_SECTOR = const(4096)  # the compiler folds constants with an underscore
_BLOCK = const(65536)
_PER_BLOCK = const(16)
_WRONG = const(0)  # what is known of a block, as in `slot`
_RIGHT = const(1)
_DOUBTFUL = const(2)
_ERASE = const(6)  # ioctl of a block device: erase one block

# Typical milliseconds of 4 MB chips (data sheets; the table of the virtual board): what one 64 KiB
# erase with 16 programs costs, against sector by sector.
_ERASE_MS = const(45)
_PROGRAM_MS = const(10)
_WHOLE_BLOCK_MS = const(310)


class WideWriter(SlotWriter):
    """A `SlotWriter` that writes 64 KiB at a time."""

    def __init__(self, device, release: Manifest, buffer: bytearray, on_head=None) -> None:
        """Arguments as of `SlotWriter`, with a `buffer` of 65536 bytes, its own while it lives."""
        super().__init__(device, release, on_head, False, buffer)
        starts = range(0, _BLOCK, _SECTOR)
        self._sectors = [self._view[start : start + SECTOR] for start in starts]

    def count_to_erase(self) -> int:
        """None: writing erases as fast."""
        return 0

    def copy(self, body, end: int):
        """As `SlotWriter.copy`, with a step per 4 KiB that came, too."""
        device = self._device
        slot = self._slot
        sectors = self._sectors
        at = self.at
        while at < end:
            block = at // _BLOCK
            fill = at % _BLOCK
            state = self._state[block]
            limit = min(end, (block + 1) * _BLOCK)
            while at < limit:
                if fill % _SECTOR or limit - at < _SECTOR:
                    room = self._view[fill : fill + min(_SECTOR - fill % _SECTOR, limit - at)]
                else:
                    room = sectors[fill // _SECTOR]
                try:
                    n = body.readinto(room)
                except OSError as e:
                    raise body.lost(e)
                if n:
                    at += n
                    fill += n
                    self.at = at
                else:
                    wrong = body.lost(n, at)
                    if wrong:
                        raise wrong
                    yield body.link
                    continue
                yield
            if at % _BLOCK and at < self.size:
                return
            if state == _RIGHT:
                continue
            self._judge(block, hashlib.sha256(self._view[:fill]))
            if not self.begun:
                yield from self._accept(block == 0, fill)
            self._state[block] = _RIGHT
            if block == 0:
                self._blank_header()
            count = self._pad(fill)
            first = block * _PER_BLOCK
            if count == _PER_BLOCK and (state == _DOUBTFUL or self._is_faster_at_once(first)):
                device.writeblocks(first, self._buffer)
                yield
                continue
            for k in range(count):
                if state == _WRONG:
                    device.readblocks(first + k, slot.sector)
                    if slot.sector == sectors[k]:
                        continue
                if state == _DOUBTFUL or not slot.is_blank():
                    device.ioctl(_ERASE, first + k)
                    yield
                device.writeblocks(first + k, sectors[k], 0)
                yield

    def _is_faster_at_once(self, first: int) -> bool:
        # One erase of 64 KiB with 16 programs, or only what differs, sector by sector?
        cost = 0
        for k in range(_PER_BLOCK):
            self._device.readblocks(first + k, self._slot.sector)
            if self._slot.sector != self._sectors[k]:
                cost += _PROGRAM_MS if self._slot.is_blank() else _PROGRAM_MS + _ERASE_MS
        return cost > _WHOLE_BLOCK_MS
