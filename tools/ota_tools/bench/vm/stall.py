"""How long other asyncio tasks wait while an image comes over real TLS into flash that takes its time.

Arguments: folder that stands for `/`, image size in bytes. The flash is as slow as a data sheet says:
45 ms to erase a sector, 2.5 ms to program 1 KiB, and nothing else runs meanwhile, as on the chip. The
slot is full of something else before, so that each sector is erased.

Prints `name milliseconds`. `data`: the longest that a task which sleeps for 5 ms waits beyond these
while the image comes and is proven; `before`: until its first bytes came, the check included. Then
the longest of what cannot be cut into steps, by itself: `lookup`, `handshake` (one step), `signature`,
`activation`: receipt, journal, and the record in otadata, one sector that is erased and 12 bytes.
"""

import asyncio
import os
import sys
import time

import probe
from ours import make
from ram import SECTOR, RamPart

import ota
import ota.engine

_SLEEP_MS = 5
_ERASE_MS = 45


class _Slow(RamPart):
    def writeblocks(self, block, buf, offset=0):
        time.sleep_us(2500 * len(buf) // 1024)
        super().writeblocks(block, buf, offset)

    def ioctl(self, op, arg):
        if op == 6:
            time.sleep_ms(_ERASE_MS)
        return super().ioctl(op, arg)


async def _tick(updater, waits):
    def is_data():
        return updater._writer is not None and updater._writer.at > 0

    while True:
        was_data = is_data()
        start = time.ticks_us()
        await asyncio.sleep_ms(_SLEEP_MS)
        waited = time.ticks_diff(time.ticks_us(), start) - 1000 * _SLEEP_MS
        phase = "data" if was_data or is_data() else "before"
        waits[phase] = max(waits[phase], waited)


async def _main(root, size):
    seen = probe.watch()
    chip, updater = make(root, size, secure=True, kind=ota.AsyncUpdater, part=_Slow)
    slot = chip.Partition.slots[1]
    for sector in range(size // SECTOR):
        RamPart.writeblocks(slot, sector, bytes(SECTOR))
    ota.engine.verify = seen.timed("signature", ota.engine.verify)
    ota.engine.activate = seen.timed("activation", ota.engine.activate)
    waits = {"before": 0, "data": 0}
    ticker = asyncio.create_task(_tick(updater, waits))
    await asyncio.sleep_ms(0)  # it sleeps from here on
    release = await updater.check()
    await updater.download(release)
    ticker.cancel()
    await updater.activate(release)
    os.remove(root + "/ota_receipts.json")
    for found in (waits, seen.longest_us):
        for name in found:
            print("#", name, found[name] / 1000)


asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
