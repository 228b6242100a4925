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

# What is known of a block.
_WRONG = const(0)
_RIGHT = const(1)
_DOUBTFUL = const(2)  # a cut may have left bits that read right today only
_BLANK = const(3)  # wrong, and erased a moment ago


class SlotWriter:
    """Takes an image in any chunking and writes it into a slot. OSError of the device comes through.

    Use: drive `survey()`; while `wanted()` names bytes, `seek()` to where they begin and drive
    `copy()`, or `write()`; drive `prove()`; `seal()`. After an exception the writer is spent.

    Attributes:
        at: bytes of the image that went by; a position in it.
        size: bytes of the image.
        begun: the head of the image was accepted; flash may have been touched.
    """

    def __init__(self, device, release: Manifest, on_head=None, split=False, buffer=None) -> None:
        """Allocates 4096 bytes, and the buffer where none is given; per 64 KiB a hash and its digest.

        Args:
            device: the slot: readblocks, writeblocks, ioctl; it must not be the running one.
            release: what the slot shall hold; size, sha256, blocks and chip_id are used. Without block
                digests every block is wanted, and only the whole is judged.
            on_head: on_head(first 16 bytes), called when the head of the image was accepted and
                nothing was erased yet; what it raises ends the writing.
            split: program 1 KiB in a step, not 4.
            buffer: bytearray of 4096 bytes, the writer's while it lives; by default its own.
        """
        self._device = device
        self.size = release.size
        self._release = release
        self._on_head = on_head
        self._buffer = buffer or bytearray(SECTOR)
        self._view = memoryview(self._buffer)
        ends = range(_PIECE, SECTOR + 1, _PIECE) if split else ()
        self._pieces = [self._view[end - _PIECE : end] for end in ends]
        self._slot = Reader(device, release)
        self._state = bytearray((release.size + BLOCK - 1) // BLOCK)
        self._sha: "hashlib.sha256 | None" = None
        self.begun = False
        self.at = 0

    def survey(self, head: bytes = b"", interrupted: bool = False):
        """Generator, a step per 16 KiB: find the 64 KiB blocks that are right and stay untouched.

        A slot without a header is not read at all, unless an attempt is known of: nothing in it can
        be expected to be right, and sectors that are will be found when their bytes came.

        Args:
            head: first 16 bytes of this image from an earlier attempt, or empty.
            interrupted: a write into this slot was cut. Every wrong block is then in doubt: it is
                erased and written whatever it reads.
        """
        state = self._state
        slot = self._slot
        slot.head = head
        if not (head or interrupted or slot.read_head() != BLANK_HEADER):
            return
        for index in range(len(state)):
            if (yield from slot.look(index)):
                state[index] = _RIGHT
            elif interrupted:
                state[index] = _DOUBTFUL
        if not self.wanted():
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
            if self.at % BLOCK and self._state[self.at // BLOCK] == _BLANK:
                self._state[self.at // BLOCK] = _WRONG  # it was begun
            self._start(start)

    def _start(self, at: int) -> None:
        self.at = at
        self._sha = None
        if not at and self._state[0] != _RIGHT:
            self.begun = False  # another head may come

    def rewind(self) -> None:
        """The bytes since the start of a block were of no use: they are wanted again."""
        index = max(self.at - 1, 0) // BLOCK
        if self._state[index] == _BLANK:
            self._state[index] = _WRONG  # it was begun
        self._start(index * BLOCK)

    def copy(self, body, end: int):
        """Generator: bytes from `at` up to `end` go from a body to flash, a step per flash operation.

        This is the way of all bytes: it allocates nothing but one hash and its digest per 64 KiB,
        and views where a sector is not filled at once.

        Args:
            body: readinto(view) puts bytes there and says how many. Where it raises OSError or puts
                none, lost(what it raised or returned, at) gives the exception to be raised, or None
                to wait for `link`, which is yielded.
            end: `wanted()` names it.
        After an exception of `lost` the next copy goes on from `at`; after another one `rewind()`.
        Raises ImageError `image-format`, `wrong-chip`, `digest-mismatch`, and what `on_head` raises.
        """
        device = self._device
        slot = self._slot
        scratch, tail, front = slot.sector, slot.tail, slot.front
        data = self._buffer
        view = whole = self._view
        pieces = self._pieces
        readinto = body.readinto
        readblocks, writeblocks = device.readblocks, device.writeblocks
        size = self.size
        begun = self.begun
        at = self.at
        fill = at % _SECTOR
        while at < end:
            block = at // _BLOCK
            state = self._state[block]
            unknown = state == _WRONG  # the others are erased already, or will be
            sha = self._sha = self._sha or hashlib.sha256()  # kept where the connection breaks
            limit = min(end, (block + 1) * _BLOCK)
            while at < limit:
                room = whole
                if fill or limit - at < _SECTOR:
                    room = view[fill : fill + min(_SECTOR - fill, limit - at)]
                try:
                    n = readinto(room)
                except OSError as e:
                    raise body.lost(e)
                if not n:
                    wrong = body.lost(n, at)
                    if wrong:
                        raise wrong
                    yield body.link
                    continue
                self.at = at = at + n
                fill += n
                if fill < _SECTOR and at < size:
                    yield
                    continue
                if state != _RIGHT:
                    index = (at - 1) // _SECTOR
                    if fill == _SECTOR and index and begun:  # as nearly all
                        sha.update(data)
                    else:
                        sha.update(view[:fill])
                        if not begun:
                            yield from self._accept(index == 0, fill)
                            begun = True
                        if index == 0:
                            self._blank_header()
                        if fill < _SECTOR:
                            self._pad(fill)
                    blank = state == _BLANK
                    if unknown:
                        readblocks(index, scratch)
                        blank = scratch[0] == 0xFF and tail == front
                    if not unknown or scratch != data:
                        if not blank:
                            device.ioctl(_ERASE, index)
                            yield
                        if pieces:
                            for piece in range(len(pieces)):
                                device.writeblocks(index, pieces[piece], piece * _PIECE)
                                yield
                        else:
                            writeblocks(index, data, 0)
                fill = 0
                yield
            if at % _BLOCK == 0 or at == size:
                self._sha = None
                if state != _RIGHT:
                    self._judge(block, sha)
                    self._state[block] = _RIGHT

    def write(self, buf) -> None:
        """Take bytes in any chunking, without a pause. Raises as `copy`; ImageError `size-mismatch`."""
        left = self.size - self.at
        if len(buf) > left:
            raise error("size-mismatch", "%d bytes more than signed" % (len(buf) - left))
        for _ in self.copy(_Pushed(buf), self.at + len(buf)):
            pass

    def erase_ahead(self, blank):
        """Generator, a step per block: erase what will be written, 64 KiB in one operation.

        Once the first sector was written. Leaves the first block, the one in progress and a short
        last one to sector erases.

        Args:
            blank: 65536 bytes of 0xFF, borrowed until the end.
        """
        for index in range(1, self.size // BLOCK):
            if self._is_to_erase(index, _PER_BLOCK):
                self._device.writeblocks(index * _PER_BLOCK, blank)
                self._state[index] = _BLANK
                yield

    def count_to_erase(self) -> int:
        """How many blocks `erase_ahead` would erase, by the first sector of each."""
        return sum([self._is_to_erase(index, 1) for index in range(1, self.size // BLOCK)])

    def prove(self):
        """Generator, a step per 16 KiB: the slot's SHA-256 is the signed one, the header from RAM.

        Raises SourceError `short-body`; ImageError `digest-mismatch`; SlotError `readback`.
        """
        wanted = self.wanted()
        if wanted:
            raise error("short-body", "%d bytes missing" % (self.size - wanted[0]))
        sha = hashlib.sha256(self._slot.head)
        yield from self._slot.hash(sha, HEADER, self.size)
        if sha.digest() == self._release.sha256:
            return
        if self._release.blocks:
            for index in range(len(self._state)):
                if not (yield from self._slot.look(index)):
                    raise error("readback", "block %d is not as written" % index)
        raise error("digest-mismatch", "not the signed image")

    def append(self, data):
        """Generator, a step per flash operation: what follows the image, in sectors of its own.

        Args:
            data: 4096 bytes; the image ends where a sector does.
        Raises SlotError `readback`.
        """
        index = self.size // _SECTOR
        device = self._device
        held = self._slot.sector
        device.readblocks(index, held)
        if held == data:
            return
        device.ioctl(_ERASE, index)
        yield
        device.writeblocks(index, data, 0)
        yield
        device.readblocks(index, held)
        if held != data:
            raise error("readback", "sector %d is not as written" % index)

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
            raise error("readback", "header does not read back")

    # Writing

    def _is_to_erase(self, index: int, sectors: int) -> bool:
        state = self._state[index]
        if self.at // BLOCK == index and self.at % BLOCK:
            return False  # in progress
        first = index * _PER_BLOCK
        return state == _DOUBTFUL or (
            state == _WRONG and not self._slot.are_blank(first, first + sectors)
        )

    def _judge(self, block: int, sha) -> None:
        # All bytes of a block went into the hash.
        if self._release.blocks and sha.digest()[:DIGEST] != self._slot.signed(block):
            raise error("digest-mismatch", "block %d is not what was signed" % block)

    def _accept(self, from_buffer: bool, fill: int):
        # Generator, a step per flash operation: the head of the image, in the buffer or (its block is
        # right) in flash. Before anything else the slot's header goes: no mixture may look like an
        # image. Clearing bits is one short operation; after a cut the header is not one.
        slot = self._slot
        blank = slot.read_head() == BLANK_HEADER
        data = self._view
        if from_buffer:
            if fill < HEAD_SIZE:
                raise error("image-format", "%d bytes are no image" % fill)
        else:
            data = slot.view
            self._device.readblocks(0, data)
            data[:HEADER] = slot.first()
        check_head(data, self._release.chip_id)
        slot.head = bytes(data[:HEADER])
        if self._on_head:
            self._on_head(slot.head)
        if not blank:
            self._device.writeblocks(0, bytes(HEADER), 0)
            yield
            if not from_buffer:
                data[:HEADER] = BLANK_HEADER
                self._device.ioctl(_ERASE, 0)
                yield
                self._device.writeblocks(0, data, 0)
                yield
        self.begun = True

    def _blank_header(self) -> None:
        for at in range(HEADER):
            self._buffer[at] = 0xFF

    def _pad(self, fill: int) -> int:
        # Sectors in the buffer, the last one filled up with 0xFF.
        if fill % _SECTOR == 0:
            return fill // _SECTOR
        count = fill // _SECTOR + 1
        for at in range(fill, count * _SECTOR):
            self._buffer[at] = 0xFF
        return count


class _Pushed:
    # Bytes that somebody gives, as a body.

    link = None

    def __init__(self, buf) -> None:
        self._view = memoryview(buf)
        self._at = 0

    def readinto(self, room) -> int:
        at = self._at
        self._at = at + len(room)
        room[:] = self._view[at : self._at]
        return len(room)

    def lost(self, what, at=0):
        return what
