"""Eyes on the connections of the library itself: what goes through each and how long it blocks.

`watch` puts them there, over real TLS; nothing of the library is restated.
"""

import socket
import time

import ota.net


class Seen:
    """What was seen since `watch`.

    Attributes:
        sent, received: bytes of HTTP, by connection.
        longest_us: by what it was: `lookup`, `handshake`.
    """

    def __init__(self):
        self.sent = []
        self.received = []
        self.longest_us = {}

    def timed(self, name, call):
        """`call`, with its longest duration under `name`."""

        def run(*args):
            start = time.ticks_us()
            try:
                return call(*args)
            finally:
                took = time.ticks_diff(time.ticks_us(), start)
                self.longest_us[name] = max(self.longest_us.get(name, 0), took)

        return run


class _Stream:
    # In the place of a TLS stream. The handshake happens in the calls of `write` up to the first one
    # that takes something.

    def __init__(self, stream, seen):
        self._stream = stream
        self._seen = seen
        self._handshake = seen.timed("handshake", stream.write)
        self._is_open = False
        self.close = stream.close
        seen.sent.append(0)
        seen.received.append(0)
        self._at = len(seen.sent) - 1

    def write(self, data):
        if self._is_open:
            n = self._stream.write(data)
        else:
            n = self._handshake(data)
            self._is_open = n is not None
        self._seen.sent[self._at] += n or 0
        return n

    def readline(self, limit):
        line = self._stream.readline(limit)
        self._seen.received[self._at] += len(line or b"")
        return line

    def readinto(self, room):
        n = self._stream.readinto(room)
        self._seen.received[self._at] += n or 0
        return n


class _Sockets:
    # In the place of the module `socket`.

    AF_INET = socket.AF_INET
    SOCK_STREAM = socket.SOCK_STREAM
    socket = socket.socket

    def __init__(self, seen):
        self.getaddrinfo = seen.timed("lookup", socket.getaddrinfo)


def watch():
    """From here on every connection is looked at: a `Seen`."""
    seen = Seen()
    link = ota.net.Link

    class Link(link):
        def __init__(self, stream, events, patience, *more):
            super().__init__(stream, events, patience, *more)
            if not hasattr(stream, "connect"):  # a bare socket before the handshake has it
                self.stream = _Stream(stream, seen)

    ota.net.Link = Link
    ota.net.socket = _Sockets(seen)
    return seen
