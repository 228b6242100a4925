"""A server without a network: files behind the calls of a stream, for counts that never vary.

Runs on both interpreters. GET and a single range are understood; the body is read straight from the
file. `readinto` is a Python call that counts, the same for everybody whose instructions are counted.
"""

import os


class Stream:
    """A connection to a folder: write, readline, readinto, close. It never keeps anybody waiting.

    Attributes:
        taken: bytes of bodies so far.
    """

    def __init__(self, folder):
        self._folder = folder
        self._file = None
        self._lines = []
        self.taken = 0

    def open(self, name):
        """The body of a file alone, from its start."""
        self._file = open(self._folder + "/" + name, "rb")
        return self

    def write(self, asked):
        """One whole request."""
        lines = asked.decode().split("\r\n")
        name = lines[0].split(" ")[1][1:]
        try:
            size = os.stat(self._folder + "/" + name)[6]
        except OSError:
            self._lines = [b"HTTP/1.1 404 Not Found\r\n", b"Content-Length: 0\r\n", b"\r\n"]
            return len(asked)
        first, last, ranged = 0, size - 1, False
        for line in lines[1:]:
            if line.lower().startswith("range: bytes="):
                first, end = line[13:].split("-")
                first, ranged = int(first), True
                last = min(int(end or last), last)
        head = ["HTTP/1.1 %s" % ("206 Partial Content" if ranged else "200 OK")]
        head.append("Content-Length: %d" % (last - first + 1))
        if ranged:
            head.append("Content-Range: bytes %d-%d/%d" % (first, last, size))
        self._lines = [(line + "\r\n").encode() for line in head + [""]]
        self.close()
        self.open(name)._file.seek(first)
        return len(asked)

    def readline(self, limit=-1):
        return self._lines.pop(0)

    def readinto(self, buf):
        n = self._file.readinto(buf)
        self.taken += n
        return n

    def close(self):
        if self._file:
            self._file.close()
            self._file = None


class Link:
    """In the place of `ota.net.Link`: there is nothing to wait for."""

    nap_ms = 0

    def __init__(self, stream, patience):
        self.stream = stream
        self.patience = patience

    def wait(self):
        pass

    def close(self):
        self.stream.close()


class Files:
    """Opens such connections, in the place of `ota.net.Network`."""

    def __init__(self, folder):
        self._folder = folder

    def connect(self, url, patience):
        """Generator: a `Link`."""
        yield from ()
        return Link(Stream(self._folder), patience)

    def handshake_error(self, url, e):
        """What sending raised, as it is: there is no handshake here."""
        return e
