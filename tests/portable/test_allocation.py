"""No sector allocates on its way from the stream to flash: shown with the heap locked on the VM."""

import io

import micropython
from fakes import config_of, make_image, make_release, run

from ota.http import Head
from ota.manifest import BLOCK
from ota.patience import Patience
from ota.reader import SECTOR
from ota.slot import SlotWriter
from ota.source import Body
from ota.wide import WideWriter

IMAGE = make_image(3 * BLOCK)
RELEASE = make_release(IMAGE)


class QuietSlot:
    """A slot that allocates nothing itself, and does not care what is programmed twice."""

    def __init__(self, fill):
        self.file = io.BytesIO(fill * (4 * BLOCK))
        self.blank = b"\xff" * SECTOR

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * SECTOR + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self.file.seek(block * SECTOR + offset)
        self.file.write(buf)

    def ioctl(self, op, arg):
        self.writeblocks(arg, self.blank)


class Pipe:
    """A link with its stream: these bytes, and every other time none where it has gaps."""

    def __init__(self, data, gaps):
        self.stream = self
        self.file = io.BytesIO(data)
        self.patience = Patience(config_of(), b"device")
        self.gap = self.gaps = gaps
        if not gaps:
            self.readinto = self.file.readinto

    def readinto(self, room):
        self.gap = not self.gap
        return self.file.readinto(room) if self.gap else None


def body_of(start, end, gaps=False):
    head = Head()
    head.status = 206
    head.start, head.stop, head.total = start, end, len(IMAGE)
    head.length = end - start
    return Body(Pipe(IMAGE[start:end], gaps), head)


def locked(call, arg):
    """Call it while nothing can be allocated; CPython has no such lock and just calls."""
    lock = getattr(micropython, "heap_lock", None)
    if not lock:
        return call(arg)
    lock()
    try:
        return call(arg)
    finally:
        micropython.heap_unlock()


class Pump:
    """What gives a whole image to a writer. No closures: calls of those may allocate."""

    def __init__(self, fill, size=SECTOR, split=False, feed=None, progress=None, gaps=False):
        slot = QuietSlot(fill)
        self.writer = SlotWriter(slot, RELEASE, split=split)
        if size == BLOCK:
            self.writer = WideWriter(slot, RELEASE, bytearray(BLOCK))
        self.body = body_of(0, len(IMAGE), gaps)
        self.feed = feed
        self.progress = progress
        self.steps = self.writer.copy(self.body, len(IMAGE))

    def until(self, end):
        for _ in self.steps:
            if self.feed:
                self.feed()
            if self.progress:
                self.progress(self.writer.at, len(IMAGE))
            if self.writer.at >= end:
                return

    def run(self):
        """All sectors but the first, and those at the ends of blocks, with the heap locked."""
        self.until(SECTOR)
        writer = self.writer
        while writer.at < len(IMAGE):
            last = min((writer.at // BLOCK + 1) * BLOCK, len(IMAGE) // SECTOR * SECTOR) - SECTOR
            if writer.at < last:
                locked(self.until, last)
            self.until(min(writer.at + 2 * SECTOR, len(IMAGE)))
        run(self.steps)
        run(writer.prove())
        assert writer.wanted() is None


def test_no_sector_allocates_in_a_blank_slot():
    Pump(b"\xff").run()


def test_no_sector_allocates_in_a_slot_that_must_be_erased():
    Pump(b"\x0f").run()


def test_no_sector_allocates_with_a_buffer_of_64_kib():
    Pump(b"\x0f", BLOCK).run()


def test_no_sector_allocates_in_split_mode_with_feed_and_progress():
    fed = bytearray(1)

    def feed():
        fed[0] = fed[0] + 1 & 0x7F

    def progress(done, total):
        return done <= total

    Pump(b"\x0f", split=True, feed=feed, progress=progress).run()
    assert fed[0]


def test_waiting_allocates_nothing():
    for size in (SECTOR, BLOCK):
        Pump(b"\x0f", size, gaps=True).run()


def five(steps):
    for _ in range(5):  # of 16 KiB
        next(steps)


def test_reading_back_does_not_allocate_per_sector():
    slot = QuietSlot(b"\xff")
    writer = SlotWriter(slot, RELEASE)
    writer.write(IMAGE)
    steps = writer.prove()
    next(steps)  # the piece behind the header is shorter than a sector

    locked(five, steps)
    run(steps)
