"""How long another asyncio task waits while an image is written in split mode.

Argument: size of the image in bytes. The flash takes as long as a data sheet says: 45 ms to erase a
sector, 2.5 ms to program 1 KiB, and nothing else runs meanwhile, as on the chip. The image comes from
memory. Prints milliseconds: the longest wait of a task that sleeps for 5 ms, beyond these.
"""

import asyncio
import hashlib
import io
import struct
import sys
import time

from ram import SECTOR, RamPart

from ota.slot import SlotWriter

_SLEEP_MS = 5


class _Slow(RamPart):
    def writeblocks(self, block, buf, offset=0):
        time.sleep_us(2500 * len(buf) // 1024)
        super().writeblocks(block, buf, offset)

    def ioctl(self, op, arg):
        if op == 6:
            time.sleep_ms(45)
        return super().ioctl(op, arg)


class _Release:
    chip_id = 0

    def __init__(self, image):
        self.size = len(image)
        self.sha256 = hashlib.sha256(image).digest()
        self.blocks = b""
        for at in range(0, len(image), 65536):
            self.blocks += hashlib.sha256(image[at : at + 65536]).digest()[:16]


class _Body:
    def __init__(self, image):
        self.readinto = io.BytesIO(image).readinto

    def lost(self, what):
        return ValueError("more was asked for than there is")


async def _tick(waits):
    while True:
        start = time.ticks_us()
        await asyncio.sleep_ms(_SLEEP_MS)
        waits[0] = max(waits[0], time.ticks_diff(time.ticks_us(), start) - 1000 * _SLEEP_MS)


async def _write(image):
    device = _Slow(len(image))
    for sector in range(len(image) // SECTOR):
        RamPart.writeblocks(device, sector, bytes(SECTOR))
    writer = SlotWriter(device, _Release(image), split=True)
    waits = [0]
    ticker = asyncio.create_task(_tick(waits))
    for steps in (writer.survey(), writer.copy(_Body(image), len(image)), writer.prove()):
        for _ in steps:
            await asyncio.sleep_ms(0)
    writer.seal()
    ticker.cancel()
    print("#", waits[0] / 1000)


def _main(size):
    image = bytearray(b"\x5a" * int(size))
    struct.pack_into("<BB10sH", image, 0, 0xE9, 1, b"", 0)
    struct.pack_into("<III", image, 24, 0x3F400020, 4096, 0xABCD5432)
    asyncio.run(_write(bytes(image)))


_main(*sys.argv[1:])
