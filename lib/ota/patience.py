"""How long the network may take, and when it is worth asking again.

Layer 4, no I/O but the clock of ticks. One object for each check or download. Time is looked at only
where nothing came: what comes without a pause is not slow.
"""

import binascii
from time import ticks_diff, ticks_ms

from micropython import const

from .errors import ImageError, OtaError, SignatureError, SourceError, error

RETRY = (
    "unreachable",
    "link-lost",
    "timeout",
    "too-slow",
    "short-body",
    "changed",
    "server-busy",
    "tls",
)
"""Codes of failures that can pass by themselves."""

EXPIRED = ("denied", "http-status")
"""Codes of an address that may have been good for a while only."""

_FAILURES = (SourceError, ImageError, SignatureError)  # of others, not of the device
_WINDOW_S = const(30)  # least throughput is judged over so long
_FIRST_MS = const(1000)
_LONGEST_MS = const(300000)


class Pause:
    """Yielded by a generator that waits for time to pass.

    Attributes:
        nap_ms: how long to sleep before the generator is resumed.
    """

    nap_ms = 250

    def wait(self) -> None:
        """Sleep so long."""
        from time import sleep_ms

        sleep_ms(self.nap_ms)


class Patience:
    """Limits of time, and pauses between attempts.

    Attributes:
        failures: in a row, without anything of use between them.
        is_moving: set by whoever gets something of use in an attempt.
        is_noisy: bytes may be wrong by chance: nothing below has a checksum.
    """

    def __init__(self, config, device_id: bytes) -> None:
        """Args:
        config: timeout_s, total_s, least_rate and tries are used.
        device_id: pauses differ from device to device by it, so that not all ask at once.
        """
        self._idle_ms = config.timeout_s * 1000
        self._total_ms = config.total_s * 1000
        self._least = config.least_rate * _WINDOW_S
        self._tries = config.tries
        self._device_id = device_id
        self._start = ticks_ms()
        self.failures = 0
        self.is_moving = False
        self.is_noisy = False
        self.phase()

    def phase(self) -> None:
        """Something new is waited for: silence and throughput count from now."""
        self._since = self._window = ticks_ms()
        self._count = self._got = 0
        self._is_body = self._came = False

    def again(self, count: int, is_body: bool = False) -> "OtaError | None":
        """Nothing came this time. What is wrong with that: `timeout`, `too-slow`, or None: wait on.

        Args:
            count: what came in this phase.
            is_body: of the bytes that are of use, from here on; heads and handshakes are not.
        """
        now = ticks_ms()
        if is_body and not self._is_body:
            self._is_body = True
            self._count = 0
        if count != self._count:
            if is_body:
                self._got += count - self._count
            self._count = count
            self._since = now
            self._came = True
        if self._is_over(now):
            return error("timeout", "more than %d s in all" % (self._total_ms // 1000))
        if ticks_diff(now, self._since) > self._idle_ms:
            return error("timeout", "silent for %d s" % (self._idle_ms // 1000))
        window_ms = ticks_diff(now, self._window)
        if window_ms > _WINDOW_S * 1000:
            # Where nothing came it is silence; where nobody looked it is not the network's fault.
            if self._came and self._got < self._least and window_ms < _WINDOW_S * 2000:
                return error("too-slow", "%d bytes in %d s" % (self._got, _WINDOW_S))
            self._window = now
            self._got = 0
            self._came = False
        return None

    def in_turn(self, attempt, count: int, close):
        """Generator: what `attempt(number)` gives, a generator itself, for the first number below
        `count` that works; after all have failed, from the beginning, as long as that can help.

        Args:
            close: called after each failure.
        Raises the failure that gives most hope, to whoever can find fresh addresses or try later.
        """
        number = failed = 0
        hope = expired = None
        while True:
            self.is_moving = False
            try:
                return (yield from attempt(number))
            except _FAILURES as e:
                close()
                can_pass = self._can_pass(e)
                if self.is_moving:
                    self.failures = 0
                    hope = expired = None
                if can_pass or not hope:
                    hope = e
                expired = e if e.code in EXPIRED else expired
                if self.is_moving and can_pass and self._tries > 1:
                    failed = count  # the same one again: another may have another file
                else:
                    number = (number + 1) % count
                    failed += 1
                if failed == count:
                    try:
                        yield from self.pause(hope)
                    except _FAILURES:
                        raise expired or hope
                    failed = 0
                    hope = expired = None

    def pause(self, failure: OtaError):
        """Generator: wait until it is worth trying again, or raise `failure` where it never is.

        Pauses double from one second to five minutes, up to half of each by chance; a server that
        says when to come back is believed as long as all limits allow.
        """
        self.failures += 1
        if not self._can_pass(failure) or self.failures >= self._tries:
            raise failure
        seed = self._device_id + bytes((self.failures, ticks_ms() & 0xFF))
        longest = min(_FIRST_MS << self.failures, _LONGEST_MS)
        wait_ms = longest // 2 + binascii.crc32(seed) % (longest // 2)
        wait_ms = max(wait_ms, failure.wait_s * 1000)
        start = ticks_ms()
        if wait_ms > self._total_ms - ticks_diff(start, self._start):
            raise failure
        pause = Pause()
        while ticks_diff(ticks_ms(), start) < wait_ms:
            yield pause

    def _can_pass(self, failure: OtaError) -> bool:
        return failure.code in RETRY or (self.is_noisy and failure.code == "digest-mismatch")

    def _is_over(self, now: int) -> bool:
        return ticks_diff(now, self._start) > self._total_ms
