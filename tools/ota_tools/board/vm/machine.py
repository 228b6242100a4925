"""`machine` of the ESP32 port, as far as it concerns resets, the watchdog and the clock."""

from link import call

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


def reset():
    """A hard reset: the process ends here, no `finally` runs."""
    call("reset")


def soft_reset():
    """A new VM under the same power; `finally` runs, as on the chip."""
    raise SystemExit


def deepsleep(time_ms=0):
    """Wakes at once: the time is not modelled, the way back into the same image is."""
    call("deep_sleep")


def unique_id():
    """Six bytes that no other chip has: the MAC address of its station."""
    return bytes(call("unique_id"))


def reset_cause():
    """Why the board last started."""
    return call("cause")


class WDT:
    """The task watchdog: constructing it again sets a new timeout, nothing stops it."""

    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError("WDT(%d) doesn't exist" % id)
        self._timeout = timeout
        call("watchdog", timeout)

    def feed(self):
        call("watchdog", self._timeout)


class RTC:
    """The clock that `time` reads, too."""

    def datetime(self, fields=None):
        """(year, month, day, weekday, hours, minutes, seconds, microseconds); with it: set them."""
        if fields is None:
            return tuple(call("clock"))
        if len(fields) != 8:
            raise ValueError("requested length 8 but object has length %d" % len(fields))
        call("set_clock", *[int(field) for field in fields])

    def memory(self, data=None):
        """What the part of the chip that stays on holds, at most 2048 bytes; with `data`: set it."""
        if data is not None:
            call("set_rtc_memory", data=bytes(data))
            return None
        held = bytearray(call("rtc_memory_size"))
        if held:
            call("rtc_memory", into=held)
        return bytes(held)
