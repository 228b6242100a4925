"""The slot writer: an image goes into a slot, header last, and is proven by reading it back.

Layer 2, over any block device of 4096-byte blocks with the calls of `esp32.Partition`. The order of
the steps and what a cut at each leaves stand in docs/format.md section 8. What takes long is cut into
steps, at most one flash operation each, so that whoever drives the writer can do something in
between. Nothing behind the image is touched; nothing is erased that already holds what is wanted.
"""

import hashlib

from micropython import const

from .errors import error
from .image import HEAD_SIZE, check_head
from .manifest import BLOCK, DIGEST, Manifest
from .reader import BLANK_HEADER, HEADER, SECTOR, Reader

_SECTOR = const(4096)  # the compiler folds these, not those of other modules
_BLOCK = const(65536)
_PER_BLOCK = const(16)  # sectors
_PIECE = const(1024)  # bytes programmed in one step for those who must not stall
_ERASE = const(6)  # ioctl of a block device: erase one block

_WRONG = const(0)
_RIGHT = const(1)
_DOUBTFUL = const(2)  # a cut may have left bits that read right today only

# Typical milliseconds of 4 MB chips (data sheets; the table of the virtual board): what one 64 KiB
# erase with 16 programs costs, against sector by sector.
_ERASE_MS = const(45)
_PROGRAM_MS = const(10)
_WHOLE_BLOCK_MS = const(310)


class SlotWriter:
    """Takes an image in any chunking and writes it into a slot. OSError of the device comes through.

    Use: drive `survey()`; while `wanted()` names bytes, `seek()` to where they begin and give them by
    `write()`, or by `room()`, `advance()`, `step()`, which copy and allocate nothing; drive `prove()`;
    `seal()`. After an exception the writer is spent.

    Attributes:
        at: bytes of the image that went by; a position in it.
        size: bytes of the image.
    """

    def __init__(self, device, release: Manifest, buffer=None, on_head=None, split=False) -> None:
        """Allocates 4096 bytes, and the buffer where none is given; per 64 KiB a hash and its digest.

        Args:
            device: the slot: readblocks, writeblocks, ioctl; it must not be the running one.
            release: what the slot shall hold; size, sha256, blocks and chip_id are used.
            buffer: bytearray of 4096 or 65536 bytes, the writer's while it lives. With 65536 a block
                is checked before it is written, and erased in one operation where that is faster.
            on_head: on_head(first 16 bytes), called when the head of the image was accepted and
                nothing was erased yet; what it raises ends the writing.
            split: program 1 KiB in a step, not 4; for buffers of 4096 bytes.
        """
        self._device = device
        self.size = release.size
        self._release = release
        self._on_head = on_head
        self._buffer = buffer or bytearray(SECTOR)
        self._unit = len(self._buffer)
        self._view = memoryview(self._buffer)
        self._sectors = [self._view[at : at + SECTOR] for at in range(0, self._unit, SECTOR)]
        step = _PIECE if split else SECTOR
        self._pieces = [self._view[at : at + step] for at in range(0, self._unit, step)]
        self._slot = Reader(device, release)
        self._state = bytearray((release.size + BLOCK - 1) // BLOCK)
        self._sha: "hashlib.sha256 | None" = None
        self._fill = 0
        self._begun = False
        self._steps = self._run()
        self.at = 0

    def survey(self, head: bytes = b"", interrupted: bool = False):
        """Generator, a step per sector: find the 64 KiB blocks that are right and stay untouched.

        A slot without a header is not read at all, unless an attempt is known of: nothing in it can
        be expected to be right, and sectors that are will be found when their bytes came.

        Args:
            head: first 16 bytes of this image from an earlier attempt, or empty.
            interrupted: a write into this slot was cut. With `head` it was this image, and the blocks
                that it was at are in doubt; without, every wrong block is. A doubtful block is
                erased and written whatever it reads.
        """
        state = self._state
        slot = self._slot
        slot.head = head
        if not (head or interrupted or slot.read_head() != BLANK_HEADER):
            return
        wrong = -1
        erased = -1  # the last blank one before any that is not: a cut erase may have left it
        written = False
        for index in range(len(state)):
            right, blank = yield from self._slot.look(index)
            if right:
                state[index] = _RIGHT
            elif wrong < 0:
                wrong = index
            elif blank and not written:
                erased = index
            else:
                written = True
            if interrupted and not (right or head):
                state[index] = _DOUBTFUL
        if interrupted and wrong >= 0:
            state[wrong] = _DOUBTFUL
            if erased >= 0:
                state[erased] = _DOUBTFUL
        if wrong < 0:
            slot.head = slot.first()

    def adopt(self) -> None:
        """Take the slot as it is, header included: only `prove()` is left."""
        self._slot.head = self._slot.read_head()
        for index in range(len(self._state)):
            self._state[index] = _RIGHT

    def wanted(self) -> "tuple | None":
        """(start, end) of the bytes to give next, up to the next block that is right; None: no more."""
        state = self._state
        index = self.at // BLOCK
        start = self.at
        while index < len(state) and state[index] == _RIGHT:
            index += 1
            start = index * BLOCK
        end = index
        while end < len(state) and state[end] != _RIGHT:
            end += 1
        return (start, min(end * BLOCK, self.size)) if start < self.size else None

    def seek(self, start: int) -> None:
        """The bytes that come next stand at `start`: where `wanted()` began, or at a block's start."""
        if start != self.at:
            if start % BLOCK:
                raise ValueError("not the start of a block")
            self.at = start
            self._fill = 0
            self._sha = None

    def room(self) -> memoryview:
        """Where the next bytes go, at most a sector, at least one byte until the image is complete.

        Allocates only where a sector is partly filled.
        """
        fill = self._fill
        if fill & (_SECTOR - 1) == 0 and self.size - self.at >= _SECTOR:
            return self._sectors[fill // _SECTOR]
        return self._view[fill : fill + min(_SECTOR - fill % _SECTOR, self.size - self.at)]

    def advance(self, n: int) -> None:
        """Take over `n` bytes that were put into `room()`; then call `step()` until it is False."""
        self._fill += n
        self.at += n

    def step(self) -> bool:
        """Do what the bytes given so far allow, one flash operation at most; False: nothing is left.

        Raises ImageError `image-format`, `wrong-chip`, `digest-mismatch`, and what `on_head` raises.
        """
        if not self._fill or (self._fill < self._unit and self.at < self.size):
            return False
        return next(self._steps)

    def write(self, buf) -> None:
        """Take bytes in any chunking, without a pause. Raises as `step`; ImageError `size-mismatch`."""
        view = memoryview(buf)
        if len(view) > self.size - self.at:
            extra = len(view) - (self.size - self.at)
            raise error("size-mismatch", "%d bytes more than signed" % extra)
        while len(view):
            room = self.room()
            n = min(len(room), len(view))
            room[:n] = view[:n]
            view = view[n:]
            self.advance(n)
            while self.step():
                pass

    def erase_ahead(self, blank):
        """Generator, a step per block: erase what will be written, 64 KiB in one operation.

        For a buffer of 4096 bytes, once the first sector was written. Leaves the first block, the
        one in progress and a short last one to sector erases.

        Args:
            blank: 65536 bytes of 0xFF, borrowed until the end.
        """
        for index in range(1, self.size // BLOCK):
            if self._is_to_erase(index):
                self._device.writeblocks(index * _PER_BLOCK, blank)
                self._state[index] = _WRONG
                yield

    def needs_erase_ahead(self) -> bool:
        """Is there a block that `erase_ahead` would erase? Reads until it found one."""
        if self._unit == BLOCK:
            return False  # writes erase as fast
        for index in range(1, self.size // BLOCK):
            if self._is_to_erase(index):
                return True
        return False

    def _is_to_erase(self, index: int) -> bool:
        state = self._state[index]
        if self.at // BLOCK == index and self.at % BLOCK:
            return False  # in progress
        return state == _DOUBTFUL or (state == _WRONG and not self._slot.is_blank_block(index))

    def prove(self):
        """Generator, a step per sector: the slot's SHA-256 is the signed one, the header from RAM.

        Raises SourceError `short-body`; ImageError `digest-mismatch`; SlotError `readback`.
        """
        wanted = self.wanted()
        if wanted:
            raise error("short-body", "%d bytes missing" % (self.size - wanted[0]))
        sha = hashlib.sha256(self._slot.head)
        yield from self._slot.hash(sha, HEADER, self.size)
        if sha.digest() == self._release.sha256:
            return
        for index in range(len(self._state)):
            right, _ = yield from self._slot.look(index)
            if not right:
                raise error("readback", "the flash does not hold block %d as written" % index)
        raise error("digest-mismatch", "the image is not the one that was signed")

    def seal(self) -> None:
        """Program the header and read it again: from here on the slot holds an image.

        Raises SlotError `readback`.
        """
        slot = self._slot
        head = slot.read_head()
        if head == slot.head:
            return
        if head != BLANK_HEADER:
            # Torn by a cut. Bits are programmed once, so the sector is written again around it.
            data = slot.view
            self._device.readblocks(0, data)
            data[:HEADER] = BLANK_HEADER
            self._device.ioctl(_ERASE, 0)
            self._device.writeblocks(0, data, 0)
        self._device.writeblocks(0, slot.head, 0)
        if slot.read_head() != slot.head:
            raise error("readback", "the header does not read back")

    # Writing

    def _run(self):
        # One turn of the loop per buffer of bytes; each flash operation ends with a yield of True.
        device = self._device
        slot = self._slot
        scratch = slot.sector
        sectors = self._sectors
        pieces = self._pieces
        per_sector = len(pieces) // len(sectors)
        while True:
            start = self.at - self._fill
            block = start // _BLOCK
            state = self._state[block]
            if state != _RIGHT:
                if start == 0:
                    self._check_head()
                self._hash(block)
                if not self._begun:
                    self._begin(start == 0)
                first = start // _SECTOR
                count = self._pad()
                changed = dirty = cost = 0  # changed, dirty: a bit for each sector
                for k in range(count):
                    if state != _DOUBTFUL:
                        device.readblocks(first + k, scratch)
                        if scratch == sectors[k]:
                            continue
                    changed |= 1 << k
                    cost += _PROGRAM_MS
                    if state == _DOUBTFUL or not slot.is_blank():
                        dirty |= 1 << k
                        cost += _ERASE_MS
                if cost > _WHOLE_BLOCK_MS and count == _PER_BLOCK:
                    device.writeblocks(first, self._buffer)
                    yield True
                    changed = 0
                k = 0
                while changed >> k:
                    if changed >> k & 1:
                        if dirty >> k & 1:
                            device.ioctl(_ERASE, first + k)
                            yield True
                        for piece in range(k * per_sector, (k + 1) * per_sector):
                            at = piece % per_sector * (_SECTOR // per_sector)
                            device.writeblocks(first + k, pieces[piece], at)
                            yield True
                    k += 1
                if self.at % _BLOCK == 0 or self.at == self.size:
                    self._state[block] = _RIGHT
            self._fill = 0
            yield False

    def _check_head(self) -> None:
        if self._fill < HEAD_SIZE:
            raise error("image-format", "%d bytes are no image" % self._fill)
        check_head(self._view, self._release.chip_id)

    def _begin(self, from_buffer: bool) -> None:
        # Before anything else the header goes, even where its block is right: no mixture may look
        # like an image. Clearing bits is one short operation; after a cut the header is not one.
        slot = self._slot
        blank = slot.read_head() == BLANK_HEADER
        data = self._view
        if not from_buffer:
            data = slot.view
            self._device.readblocks(0, data)
            data[:HEADER] = slot.first()
            check_head(data, self._release.chip_id)
        slot.head = bytes(data[:HEADER])
        if self._on_head:
            self._on_head(slot.head)
        data[:HEADER] = BLANK_HEADER
        if not blank:
            self._device.writeblocks(0, bytes(HEADER), 0)
            if not from_buffer:
                self._device.ioctl(_ERASE, 0)
                self._device.writeblocks(0, data, 0)
        self._begun = True

    def _hash(self, block: int) -> None:
        sha = self._sha or hashlib.sha256()
        fill = self._fill
        sha.update(self._buffer if fill == self._unit else self._view[:fill])
        self._sha = sha
        if self.at % _BLOCK == 0 or self.at == self.size:
            if sha.digest()[:DIGEST] != self._slot.signed(block):
                raise error("digest-mismatch", "block %d is not what was signed" % block)
            self._sha = None

    def _pad(self) -> int:
        # Sectors in the buffer, the last one filled up with 0xFF.
        fill = self._fill
        if fill % _SECTOR == 0:
            return fill // _SECTOR
        count = fill // _SECTOR + 1
        for at in range(fill, count * _SECTOR):
            self._buffer[at] = 0xFF
        return count
