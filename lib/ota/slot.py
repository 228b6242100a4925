"""The slot writer: an image goes into a slot, header last, and is proven by reading it back.

Layer 2, over any block device of 4096-byte blocks with the calls of `esp32.Partition`. The order of
the steps and what a cut at each leaves stand in docs/format.md section 8. Two buffers serve for all
blocks; nothing behind the image is touched; nothing is erased that already holds what is wanted.
"""

import hashlib

from micropython import const

from .errors import error
from .image import HEAD_SIZE, check_head
from .manifest import BLOCK, DIGEST, Manifest

SECTOR = const(4096)
HEADER = const(16)
"""Bytes at the start that are programmed last: without them a slot holds no image."""

_PER_BLOCK = const(16)  # sectors in a block of BLOCK bytes
_ERASE = const(6)  # ioctl of a block device: erase one block


class SlotWriter:
    """Takes an image in any chunking and writes it into a slot. OSError of the device comes through.

    Owns two buffers of 4096 bytes, allocated here once. Use: `survey()`, then `write()` (or `room()`
    and `advance()`, which copy nothing) until all bytes were given, then `prove()`, `seal()`.
    """

    def __init__(self, device, release: Manifest, on_head=None) -> None:
        """Args:
        device: the slot: readblocks, writeblocks, ioctl; it must not be the running one.
        release: what the slot shall hold; size, sha256, blocks and chip_id are used.
        on_head: on_head(first 16 bytes), called when the head of the image was accepted and
            nothing was erased yet; what it raises ends the writing.
        """
        self._device = device
        self._release = release
        self._block = bytearray(SECTOR)
        self._view = memoryview(self._block)
        self._scratch = bytearray(SECTOR)
        self._scratch_view = memoryview(self._scratch)
        self._fill = 0
        self._index = 0
        self._left = release.size
        self._right = bytearray((release.size + BLOCK - 1) // BLOCK)
        self._doubt = range(0)
        self._sha = hashlib.sha256()
        self.head = b""
        self._on_head = on_head

    def survey(self, head: bytes = b"", interrupted: bool = False) -> bool:
        """Find the 64 KiB blocks that are right already; they will not be touched.

        Args:
            head: first 16 bytes of this image from an earlier attempt, or empty.
            interrupted: a write into this slot was cut. With `head` it was this image, and the first
                wrong block is in doubt; without, every wrong block is. A doubtful block is written
                whatever it reads.
        Returns: True when every block is right; then `prove()` and `seal()` are all that is left.
        """
        self.head = head
        wrong = -1
        for index in range(len(self._right)):
            self._right[index] = self._is_right(index)
            if not self._right[index] and wrong < 0:
                wrong = index
        if interrupted and wrong >= 0:
            self._doubt = range(wrong, wrong + 1 if head else len(self._right))
        if wrong < 0:
            self.head = self._first()
            self._left = 0
        return wrong < 0

    def adopt(self) -> None:
        """Take the slot as it is, header included: only `prove()` is left."""
        self.head = self._read_head()
        self._left = 0

    def room(self) -> memoryview:
        """Where the next bytes go: a view of the free part of the block, at least one byte long
        until the image is complete. Allocates only where the block is partly filled.
        """
        if self._fill == 0 and self._left >= SECTOR:
            return self._view
        return self._view[self._fill : self._fill + min(SECTOR - self._fill, self._left)]

    def advance(self, n: int) -> None:
        """Take over `n` bytes that were put into `room()`.

        Raises ImageError `image-format`, `wrong-chip`, `digest-mismatch`, and what `on_head` raises.
        """
        self._fill += n
        self._left -= n
        if self._fill == SECTOR or (self._left == 0 and self._fill):
            self._store()
            self._fill = 0
            self._index += 1

    def write(self, buf) -> None:
        """Take bytes in any chunking. Raises as `advance`; ImageError `size-mismatch` for too many."""
        view = memoryview(buf)
        if len(view) > self._left:
            raise error("size-mismatch", "%d bytes more than signed" % (len(view) - self._left))
        at = 0
        while at < len(view):
            room = self.room()
            n = min(len(room), len(view) - at)
            room[:n] = view[at : at + n]
            self.advance(n)
            at += n

    def prove(self) -> None:
        """Read the slot back and compare its SHA-256 with the signed one, the header taken from RAM.

        Raises SourceError `short-body`; ImageError `digest-mismatch`; SlotError `readback`.
        """
        if self._left:
            raise error("short-body", "%d bytes missing" % self._left)
        sha = hashlib.sha256(self.head)
        self._hash_slot(sha, HEADER, self._release.size)
        if sha.digest() == self._release.sha256:
            return
        for index in range(len(self._right)):
            if not self._is_right(index):
                raise error("readback", "the flash does not hold block %d as written" % index)
        raise error("digest-mismatch", "the image is not the one that was signed")

    def seal(self) -> None:
        """Program the header and read it again: from here on the slot holds an image.

        Raises SlotError `readback`.
        """
        head = self._read_head()
        if head == self.head:
            return
        if head != b"\xff" * HEADER:
            # Torn by a cut. Bits are programmed once, so the sector is written again around it.
            self._device.readblocks(0, self._block)
            self._device.ioctl(_ERASE, 0)
            self._device.writeblocks(0, self._view[HEADER:], HEADER)
        self._device.writeblocks(0, self.head, 0)
        if self._read_head() != self.head:
            raise error("readback", "the header does not read back")

    # Steps

    def _store(self) -> None:
        data = self._view
        fill = self._fill
        self._sha.update(data if fill == SECTOR else data[:fill])
        for at in range(fill, SECTOR):
            self._block[at] = 0xFF
        if self._index == 0:
            self._begin(fill)
        block = self._index // _PER_BLOCK
        if self._index and not self._right[block]:
            self._store_sector(self._index, block in self._doubt)
        if self._left == 0 or self._index % _PER_BLOCK == _PER_BLOCK - 1:
            self._check_block(block)

    def _begin(self, fill: int) -> None:
        if fill < HEAD_SIZE:
            raise error("image-format", "%d bytes are no image" % fill)
        check_head(self._view, self._release.chip_id)
        self.head = bytes(self._view[:HEADER])
        if self._on_head:
            self._on_head(self.head)
        # Even where the block is right the header goes first: no mixture may look like an image.
        for at in range(HEADER):
            self._block[at] = 0xFF
        doubt = 0 in self._doubt
        self._device.readblocks(0, self._scratch)
        if doubt or self._scratch != self._block:
            if doubt or not self._is_blank():
                self._device.ioctl(_ERASE, 0)
            self._device.writeblocks(0, self._view[HEADER:], HEADER)

    def _store_sector(self, index: int, doubt: bool) -> None:
        if not doubt:
            self._device.readblocks(index, self._scratch)
            if self._scratch == self._block:
                return
        if self._block.count(b"\xff") == SECTOR:
            self._device.ioctl(_ERASE, index)
        elif not doubt and self._is_blank():
            self._device.writeblocks(index, self._block, 0)
        else:
            self._device.writeblocks(index, self._block)

    def _check_block(self, index: int) -> None:
        if self._sha.digest()[:DIGEST] != self._signed(index):
            raise error("digest-mismatch", "block %d is not what was signed" % index)
        self._sha = hashlib.sha256()

    # Looking

    def _is_blank(self) -> bool:
        return self._scratch.count(b"\xff") == SECTOR

    def _signed(self, index: int) -> bytes:
        return self._release.blocks[index * DIGEST : index * DIGEST + DIGEST]

    def _is_right(self, index: int) -> bool:
        sha = hashlib.sha256()
        start = index * BLOCK
        if index == 0:
            sha.update(self._first())
            start = HEADER
        self._hash_slot(sha, start, min((index + 1) * BLOCK, self._release.size))
        return sha.digest()[:DIGEST] == self._signed(index)

    def _first(self) -> bytes:
        # The header as the image has it: from memory where the slot does not hold it yet.
        return self.head or self._read_head()

    def _read_head(self) -> bytes:
        head = self._scratch_view[:HEADER]
        self._device.readblocks(0, head)
        return bytes(head)

    def _hash_slot(self, sha, start: int, end: int) -> None:
        while start < end:
            n = min(SECTOR - start % SECTOR, end - start)
            piece = self._scratch if n == SECTOR else self._scratch_view[:n]
            self._device.readblocks(start // SECTOR, piece, start % SECTOR)
            sha.update(piece)
            start += n
