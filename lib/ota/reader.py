"""What a slot holds now: its header, whether a 64 KiB block is right, or blank.

Layer 2, over any block device of 4096-byte blocks. Reads, changes nothing. Generators do a sector in
a step, so that whoever drives them can do something in between.
"""

import hashlib

from micropython import const

from .manifest import BLOCK, DIGEST, Manifest

SECTOR = const(4096)
HEADER = const(16)
"""Bytes at the start that are programmed last: without them a slot holds no image."""

BLANK_HEADER = b"\xff" * HEADER

_SECTORS = const(4)  # read in one step: some milliseconds
_SECTOR = const(4096)  # the compiler folds constants with an underscore


class Reader:
    """Reads a slot beside the release that it holds or shall hold. OSError comes through.

    Attributes:
        head: the image's first 16 bytes, empty until they are known; the slot may not hold them yet.
        sector, view: 4096 bytes to work with, allocated once; any call overwrites them.
        tail, front: of these, without the first byte, without the last; equal where all are equal.
    """

    def __init__(self, device, release: Manifest) -> None:
        self._device = device
        self._release = release
        self.head = b""
        self.sector = bytearray(SECTOR)
        self.view = memoryview(self.sector)
        self.tail = self.view[1:]
        self.front = self.view[:-1]

    def read_head(self) -> bytes:
        """The header as flash has it. Leaves `sector` alone."""
        head = bytearray(HEADER)
        self._device.readblocks(0, head)
        return bytes(head)

    def first(self) -> bytes:
        """The header as the image has it: `head`, or from flash where that is empty."""
        return self.head or self.read_head()

    def signed(self, index: int) -> bytes:
        """The digest that block `index` shall have."""
        return self._release.blocks[index * DIGEST : index * DIGEST + DIGEST]

    def is_blank(self) -> bool:
        """Is all of `sector` 0xFF? It is at the start, and every byte is like its neighbour."""
        return self.sector[0] == 0xFF and self.tail == self.front

    def are_blank(self, first: int, end: int) -> bool:
        """Are the sectors from `first` up to `end` all 0xFF? Reads until one is not."""
        for sector in range(first, end):
            self._device.readblocks(sector, self.sector)
            if not self.is_blank():
                return False
        return True

    def look(self, index: int):
        """Generator that returns whether a block is right, by its signed digest."""
        if not self._release.blocks:
            return False
        sha = hashlib.sha256()
        start = index * BLOCK
        if index == 0:
            sha.update(self.first())
            start = HEADER
        yield from self.hash(sha, start, min((index + 1) * BLOCK, self._release.size))
        return sha.digest()[:DIGEST] == self.signed(index)

    def hash(self, sha, start: int, end: int):
        """Generator, a step per 16 KiB at most: flash from `start` to `end` into `sha`."""
        device = self._device
        readblocks, update = device.readblocks, sha.update
        sector = self.sector
        index = start // _SECTOR
        if start % _SECTOR:
            piece = self.view[start % _SECTOR : min(_SECTOR, end - index * _SECTOR)]
            device.readblocks(index, piece, start % _SECTOR)
            sha.update(piece)
            index += 1
            yield
        last = end // _SECTOR
        while index < last:
            stop = min(index + _SECTORS, last)
            for at in range(index, stop):
                readblocks(at, sector)
                update(sector)
            index = stop
            yield
        if index == last and end % _SECTOR:
            piece = self.view[: end % _SECTOR]
            device.readblocks(index, piece)
            sha.update(piece)
            yield
