"""The way of the bytes: from a source through the slot writer into a slot, until it is proven.

Layer 6. A broken connection is taken up where it broke, at a URL that brought something; what the
slot holds already is not asked for.
"""

import gc

from micropython import const

from .errors import ImageError, error
from .manifest import BLOCK, Manifest
from .patience import Patience
from .port import Port
from .reader import SECTOR
from .slot import SlotWriter

_TLS_NEEDS = const(49152)  # bytes in one piece that TLS wants of the ESP-IDF heap
_PROGRESS = const(1024)  # bytes; an attempt that brought so many was no failure
_WORTH_BORROWING = const(4)  # blocks: each saves 0.4 s, and it takes a second connection


def make_writer(port: Port, device, release: Manifest, on_head, split: bool) -> SlotWriter:
    """A writer with the buffer that memory allows: 64 KiB beside what TLS needs, else 4 KiB.

    Looks after allocating: the buffer may be taken from the memory that TLS needs.
    """
    gc.collect()
    if not split and port.largest_block():
        try:
            buffer = bytearray(BLOCK)
            if port.largest_block() >= _TLS_NEEDS:
                from .wide import WideWriter

                return WideWriter(device, release, buffer, on_head)
            del buffer
        except MemoryError:
            pass
        gc.collect()
    return SlotWriter(device, release, on_head, split)


class Transfer:
    """One payload on its way.

    Attributes:
        urls: where it can be had, each a base and what to join with it; to be set.

    Args:
        writer: surveyed, not yet begun.
        size: bytes of the payload's file; what the writer does not want of it is not read.
        source: where it comes from; its owner closes it in the end.
        patience: how long it may take.
        part_size: bytes to ask for at once at most, 0 for no limit.
        split: no step may take longer than one sector erase.
    """

    def __init__(
        self,
        writer: SlotWriter,
        size: int,
        source,
        patience: Patience,
        part_size: int,
        split: bool,
    ) -> None:
        self._writer = writer
        self._size = size
        self._source = source
        self._patience = patience
        self.urls: list = []
        self._part_size = part_size or writer.size
        self._ahead = not split and writer.count_to_erase() >= _WORTH_BORROWING

    def run(self, number: int):
        """Generator: ask the URL of this number for what the writer wants, until it has all.

        Raises what `Source.get` and `SlotWriter.copy` raise; the next call goes on from there.
        """
        writer = self._writer
        source = self._source
        size = self._size
        first = writer.at
        try:
            base, name = self.urls[number]
            url = base.join(name)
            run = writer.wanted()
            while run:
                start, end = run
                end = min(end, start + self._part_size)
                if self._ahead:
                    end = min(end, start // SECTOR * SECTOR + SECTOR)  # nothing is erased unseen
                body = yield from source.get(url, start, 0 if end - start == size else end)
                if 0 <= body.total != size:
                    raise error("size-mismatch", "%d bytes, signed %d" % (body.total, size))
                writer.seek(body.start)
                if 0 <= body.size < size:
                    end = min(end, body.start + body.size)
                elif not self._ahead:
                    end = writer.size  # parts are not served: all of it comes
                before = writer.at
                try:
                    yield from writer.copy(body, end)
                except ImageError:
                    writer.rewind()
                    raise
                body.taken(writer.at - before)
                if self._ahead:
                    source.close()  # TLS needs the memory
                    yield from self._erase_ahead()
                run = writer.wanted()
        finally:
            self._patience.is_moving = writer.at - first >= _PROGRESS

    def _erase_ahead(self):
        self._ahead = False
        gc.collect()
        try:
            blank = b"\xff" * BLOCK
        except MemoryError:
            return  # sector by sector, then
        yield from self._writer.erase_ahead(blank)
        del blank
        gc.collect()
