"""Where bytes come from: one door, behind it a GET over verified TLS.

Layer 4. A body knows its size before its first byte and never gives more or less.
"""

from micropython import const

from .errors import error
from .http import LINE_LIMIT, Head, Url, request
from .net import Network, link_error

_OK = const(200)


class Body:
    """A response body of known size. Close it, whatever happens.

    Attributes:
        size: bytes in all.
    """

    def __init__(self, stream, size: int) -> None:
        self._stream = stream
        self._left = size
        self.size = size

    def readinto(self, buf) -> int:
        """Bytes put into `buf`, at least one; 0 only after the last. Allocates a view at the end only.

        Raises SourceError `short-body`, `timeout`, `link-lost`.
        """
        if not self._left:
            return 0
        if len(buf) > self._left:
            buf = memoryview(buf)[: self._left]
        n = _io(self._stream.readinto, buf)
        if not n:
            raise error("short-body", "%d of %d bytes missing" % (self._left, self.size))
        self._left -= n
        return n

    def read(self) -> bytes:
        """All of it at once; the caller has looked at `size`."""
        data = bytearray(self.size)
        view = memoryview(data)
        at = 0
        while at < self.size:
            at += self.readinto(view[at:])
        return bytes(data)

    def close(self) -> None:
        """Give the connection back."""
        self._stream.close()


def open_url(network: Network, url: Url, agent: str) -> Body:
    """GET `url`.

    Raises SourceError as `Network.connect`, and `http-status`, `http-format`, `timeout`, `link-lost`.
    """
    stream = network.connect(url)
    try:
        _io(stream.write, request(url, agent))
        head = Head()
        while not head.done:
            piece = _io(stream.readline, LINE_LIMIT)
            if not piece:
                raise error("link-lost", "the connection ended in the head")
            head.feed(piece)
        if head.status != _OK:
            raise error("http-status", "%d for %s" % (head.status, url.path.split("?")[0]))
        if head.length < 0:
            raise error("http-format", "no Content-Length")
    except BaseException:  # a socket is never left open, whatever was raised
        stream.close()
        raise
    return Body(stream, head.length)


def _io(call, arg):
    # None is what a timed-out TLS stream gives on MicroPython.
    try:
        result = call(arg)
    except OSError as e:
        raise link_error("link-lost", "while reading", e)
    if result is None:
        raise error("timeout", "the server stopped answering")
    return result
