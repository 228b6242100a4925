"""A node on a battery: awake for seconds, asleep for minutes, asks for updates every twelfth time.

Copy it to the board as main.py, with wifi.py. `measure` and `send` are yours. An update that does
not end within AWAKE_MS goes on at the next wake: what the slot holds is not asked for again.
"""

import time

import machine
from wifi import join

import ota

VERSION = "1.0"
SLEEP_MS = 300000
AWAKE_MS = 60000
EVERY = 12


def measure():
    """Yours: what the sensor says."""
    return time.ticks_ms() % 100


def send(value):
    """Yours: MQTT, HTTP."""
    print(VERSION, "measured", value)


def server():
    """Is the update server within reach? An image that cannot get there cannot be replaced."""
    return ota.Updater.from_config().reachable()


def update():
    """True when the server was asked and there is nothing left to fetch."""
    start = time.ticks_ms()

    def awake(done, total):
        return time.ticks_diff(time.ticks_ms(), start) < AWAKE_MS

    try:
        updater = ota.Updater.from_config()
        if updater.update(progress=awake):
            ota.reset()  # not deepsleep(): the bootloader would wake the old image
        print("no update:", updater.reason)
    except ota.OtaError as e:
        print("update failed:", e)
        return e.code != "cancelled"
    return True


join()
# Returns at once unless this image is on trial. 16 wakes without a confirm end a trial.
ota.self_test([("server", server), ("sensor", lambda: measure() is not None)])
send(measure())

# Wakes until the server is asked, kept by the part of the chip that stays on; blank after power-on.
memory = machine.RTC()
left = memory.memory()[0] if memory.memory() else 0
if left == 0:
    left = EVERY if update() else 1
memory.memory(bytes((left - 1,)))
machine.deepsleep(SLEEP_MS)
