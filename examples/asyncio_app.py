"""An asyncio application that measures on while it updates itself.

Copy it to the board as main.py, with wifi.py. `measure` and `send` are yours.
"""

import asyncio
import time

from wifi import join

import ota

VERSION = "1.0"
MEASURE_S = 1
UPDATE_S = 3600


def measure():
    """Yours: what the sensor says."""
    return time.ticks_ms() % 100


async def send(value):
    """Yours: MQTT, HTTP, a display."""
    print(VERSION, "measured", value)


async def server():
    """Is the update server within reach? An image that cannot get there cannot be replaced."""
    return await ota.AsyncUpdater.from_config().reachable()


async def measuring():
    """The application."""
    while True:
        await send(measure())
        await asyncio.sleep(MEASURE_S)


async def updating():
    """Beside it: install what the server offers, then start it."""
    updater = ota.AsyncUpdater.from_config()
    while True:
        try:
            if await updater.update():
                ota.reset()
            print("no update:", updater.reason)
        except ota.OtaError as e:
            print("update failed:", e)
        await asyncio.sleep(UPDATE_S)


async def main():
    """Both, for ever."""
    await asyncio.gather(measuring(), updating())


join()
# Checks may be async. On trial: all of them, and the image is confirmed; else the old one comes back.
ota.self_test([("server", server), ("sensor", lambda: measure() is not None)])
asyncio.run(main())
