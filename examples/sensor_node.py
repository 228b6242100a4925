"""A sensor node on mains power: measures every ten seconds, asks for updates every hour.

Copy it to the board as main.py, with wifi.py. `measure` and `send` are yours.
"""

import time

import machine
from wifi import join

import ota

VERSION = "1.0"
MEASURE_S = 10
UPDATE_S = 3600
WATCHDOG_MS = 60000


def measure():
    """Yours: what the sensor says."""
    return time.ticks_ms() % 100


def send(value):
    """Yours: MQTT, HTTP, a display."""
    print(VERSION, "measured", value)


def server():
    """Is the update server within reach? An image that cannot get there cannot be replaced."""
    return ota.Updater.from_config().reachable()


def update(feed):
    """Install what the server offers; whatever fails, the node goes on measuring."""
    try:
        updater = ota.Updater.from_config()
        if updater.update(feed=feed):
            ota.reset()
        print("no update:", updater.reason)
    except ota.OtaError as e:
        print("update failed:", e)


join()
# On trial: all of them, and the image is confirmed; one fails, and the old image comes back.
ota.self_test([("server", server), ("sensor", lambda: measure() is not None)])
watchdog = machine.WDT(timeout=WATCHDOG_MS)  # not before: a trial has its own
asked = time.ticks_add(time.ticks_ms(), -UPDATE_S * 1000)
while True:
    send(measure())
    watchdog.feed()
    if time.ticks_diff(time.ticks_ms(), asked) >= UPDATE_S * 1000:
        update(watchdog.feed)
        asked = time.ticks_ms()
    time.sleep(MEASURE_S)
