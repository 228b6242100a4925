"""A time server on loopback: SNTP as RFC 4330 has it, and every way to be a bad one."""

import contextlib
import socket
import struct
import threading
import time

UNIX_TO_NTP = 2208988800
ORIGINATE, TRANSMIT = 24, 40
LENGTH = 48

BAD = (
    "silent",
    "short",
    "empty",
    "wrong mode",
    "wrong originate",
    "zero originate",
    "kiss of death",
    "stratum 16",
    "leap 3",
)
"""How it can misbehave; what comes then is no answer."""


class TimeServer:
    """Answers from a thread until `close()`; a context manager.

    Attributes:
        host: name and port, as `ntp` of /ota.json has them.
        asked: packets that came, oldest first.
        now: what time it tells: Unix seconds, None for the host's.
        manner: "good", or one of `BAD`: nothing but that comes.
        before: manners of packets that come before the answer.
    """

    def __init__(
        self, manner: str = "good", now: float | None = None, before: tuple[str, ...] = ()
    ) -> None:
        self.manner = manner
        self.now = now
        self.before = before
        self.asked: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.host = "127.0.0.1:%d" % self._socket.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop. Whoever asks then is told that nobody listens."""
        self._closing = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> "TimeServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(1024)
            if self._closing:
                return
            self.asked.append(question)
            if len(question) != LENGTH or question[0] & 7 != 3:
                continue  # no client's question: never answered, so that a test sees it
            now = time.time() if self.now is None else self.now
            for manner in (*self.before, self.manner):
                if manner != "silent":
                    with contextlib.suppress(OSError):
                        self._socket.sendto(packet(question, now, manner), client)


def packet(question: bytes, now: float, manner: str = "good") -> bytes:
    """The answer of a server of this manner to a question, at a time in Unix seconds."""
    seconds = int(now) + UNIX_TO_NTP
    stamp = struct.pack(">II", seconds % (1 << 32), int(now % 1 * (1 << 32)))  # from 2036: era 1
    version = question[0] & 0b111000
    leap, mode, stratum = 0, 4, 2
    originate = question[TRANSMIT:LENGTH]
    if manner == "wrong mode":
        mode = 5  # broadcast: nobody asked
    elif manner == "wrong originate":
        originate = bytes([originate[0] ^ 1]) + originate[1:]
    elif manner == "zero originate":
        originate = bytes(8)
    elif manner == "kiss of death":
        stratum = 0
    elif manner == "stratum 16":
        stratum = 16
    elif manner == "leap 3":
        leap = 3
    header = struct.pack(">BBbb", leap << 6 | version | mode, stratum, 6, -20)
    reference = b"RATE" if stratum == 0 else b"LOCL"
    answer = header + bytes(8) + reference + stamp + originate + stamp + stamp
    return {"short": answer[:47], "empty": b""}.get(manner, answer)
