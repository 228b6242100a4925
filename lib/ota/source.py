"""Where bytes come from: one door, behind it GETs over verified TLS.

Layer 4. A body knows its size before its first byte and never gives more or less.
"""

from micropython import const

from .errors import OtaError, SourceError, error
from .http import LINE_LIMIT, Head, Url, request
from .net import Network, link_error

_OK = const(200)
_PARTIAL = const(206)
_NO_SUCH_PART = const(416)


class Body:
    """A response body of known size, to be read before the next request of its source.

    Attributes:
        start: where its first byte stands in the file; 0 where the server sends the whole file,
            also when a part was asked for.
        size: bytes that come.
        total: bytes of the whole file.
        readinto: the stream's own readinto(buf); whoever calls it asks for no more than `size` bytes
            in all, calls `lost` where none came, and says by `taken` how many did.
    """

    def __init__(self, stream, head: Head) -> None:
        self.readinto = stream.readinto  # no layer between: nothing is spent per block
        self.size = head.length
        self.start = head.start
        self.total = head.length if head.total < 0 else head.total
        self._left = head.length

    def taken(self, n: int) -> None:
        """`n` more bytes were read."""
        self._left -= n

    def lost(self, what) -> OtaError:
        """The error for what `readinto` raised or returned: SourceError `short-body`, `timeout`,
        `link-lost`.
        """
        if what is None:
            return _silent()
        if what == 0:
            return error("short-body", "ended before its %d bytes" % self.size)
        return link_error("link-lost", "while reading", what)

    def read(self) -> bytes:
        """All of it at once; the caller has looked at `size`. Raises what `lost` gives."""
        data = bytearray(self.size)
        view = memoryview(data)
        at = 0
        while at < self.size:
            try:
                n = self.readinto(view[at:])
            except OSError as e:
                raise self.lost(e)
            if not n:
                raise self.lost(n)
            at += n
        self._left = 0
        return bytes(data)

    def is_read(self) -> bool:
        """Nothing is left to be read."""
        return not self._left


class Source:
    """GETs, over one connection for as long as the server keeps it. Close it, whatever happens."""

    def __init__(self, network: Network, agent: str) -> None:
        """Args:
        network: opens connections.
        agent: User-Agent of all requests.
        """
        self._network = network
        self._agent = agent
        self._host = ""
        self._streams: list = []  # the open one
        self._kept: "Body | None" = None  # after this one the connection may serve another request

    def get(self, url: Url, start: int = 0, end: int = 0) -> Body:
        """GET `url`, or with `end` its bytes from `start` up to `end`, which the server may ignore.

        Raises SourceError as `Network.connect`, and `http-status`, `http-format`, `timeout`,
        `link-lost`; ImageError `size-mismatch` where the file ends before `start`.
        """
        asked = request(url, self._agent, start, end)
        if self._kept and self._kept.is_read() and url.authority() == self._host:
            try:
                return self._ask(self._streams[0], asked, url, start, end)
            except SourceError as e:
                # The server may have closed a connection that was kept; a fresh one will tell.
                if e.code not in ("link-lost", "timeout"):
                    self.close()
                    raise
        self.close()
        stream = self._network.connect(url)
        self._streams.append(stream)
        self._host = url.authority()
        try:
            return self._ask(stream, asked, url, start, end)
        except BaseException:  # a socket is never left open, whatever was raised
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._kept = None
        while self._streams:
            try:
                self._streams.pop().close()
            except OSError:
                pass  # it was broken already

    def _ask(self, stream, asked: bytes, url: Url, start: int, end: int) -> Body:
        self._kept = None
        _io(stream.write, asked)
        head = Head()
        while not head.done:
            piece = _io(stream.readline, LINE_LIMIT)
            if not piece:
                raise error("link-lost", "ended in the head")
            head.feed(piece)
        if head.status == _NO_SUCH_PART and end:
            raise error("size-mismatch", "ends before byte %d" % start)
        if head.status != (_PARTIAL if end and head.status != _OK else _OK):
            raise error("http-status", "%d for %s" % (head.status, url.path.split("?")[0]))
        if head.length < 0:
            raise error("http-format", "no Content-Length")
        if head.status == _PARTIAL:
            size = head.stop - head.start
            if head.start != start or not 0 < size <= end - start or size != head.length:
                raise error("http-format", "another range")
        elif head.total >= 0:
            raise error("http-format", "Content-Range")
        body = Body(stream, head)
        if head.keeps:
            self._kept = body
        return body


def _io(call, arg):
    try:
        result = call(arg)
    except OSError as e:
        raise link_error("link-lost", "while reading", e)
    if result is None:
        raise _silent()
    return result


def _silent():
    # None is what a timed-out TLS stream gives on MicroPython.
    return error("timeout", "no answer in time")
