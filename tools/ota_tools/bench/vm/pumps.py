"""The same download over real TLS into RAM, by each of the two pumps in turns.

Arguments: folder that stands for `/`, image size in bytes, how often. Prints microseconds for each
turn: `Updater`, `Updater` in split mode, `AsyncUpdater`, which is always in split mode.
"""

import asyncio
import gc
import sys
import time

from ours import Updater, make

import ota


def _main(root, size, times):
    made = [make(root, int(size), secure=True, kind=k) for k in (Updater, ota.AsyncUpdater)]
    for _ in range(int(times)):
        took = []
        for name in ("blocking", "split", "asyncio"):
            chip, updater = made[name == "asyncio"]
            chip.forget()
            chip.Partition.slots[1].blank()
            waits = name == "asyncio"
            release = asyncio.run(updater.check()) if waits else updater.check()
            gc.collect()
            start = time.ticks_us()
            if waits:
                asyncio.run(updater.download(release))
            else:
                updater.download(release, split=name == "split")
            took.append(time.ticks_diff(time.ticks_us(), start))
        print("#", *took)


_main(*sys.argv[1:])
