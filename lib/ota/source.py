"""Where bytes come from: one door, behind it GETs, and a POST, over verified TLS.

Layer 4. What may wait is a generator: it yields None after a step, a `Link` where it waits for the
network. A body never gives more than it should.
"""

from micropython import const

from .errors import OtaError, SourceError, error
from .http import HEAD_LIMIT, Head, Url, chunk_size, request
from .net import Link, Network, link_error
from .patience import Patience

_OK = const(200)
_PARTIAL = const(206)
_NOT_MODIFIED = const(304)
_NO_SUCH_PART = const(416)
_BODILESS = (204, _NOT_MODIFIED)
_MOVED = (301, 302, 303, 307, 308)
_DENIED = (401, 403, 407)
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_HOPS = const(5)
_PIECE = const(128)  # bytes; MicroPython's readline allocates what is asked for, each time
_LEAST_PART = const(4096)  # bytes; a server that gives less at a time would be asked for ever
_LINE_START = const(64)  # bytes of a line between chunks that are looked at
_DRAINED = const(1024)  # bytes of a page that nobody reads, on a connection that may be of use

_SIZE = const(0)  # what a chunked body has next: a size, the end of a chunk, a trailer
_CHUNK_END = const(1)
_TRAILER = const(2)


class Body:
    """A response body, to be read before the next request of its source.

    Attributes:
        start: where its first byte stands in the file; 0 where the server sends the whole file,
            also when a part was asked for.
        size: bytes that come, -1 where the server does not say.
        total: bytes of the whole file, -1 where the server does not say.
        head: of the response.
        link: what to wait for where nothing came yet.
        readinto: readinto(buf) gives bytes that came, 0 at the end, None where none came yet, or
            raises OSError. Whoever calls it asks for no more than `size` bytes in all, calls `lost`
            where none came, and says by `taken` how many did.
    """

    def __init__(self, link, head: Head) -> None:
        self.readinto = link.stream.readinto  # no layer between: nothing is spent per block
        self.size = head.length
        self.start = head.start
        self.total = head.length
        self.head = head
        if head.status == _PARTIAL and head.total >= 0:
            self.size = head.stop - head.start
            self.total = head.total
        self.link = link
        self._left = self.size
        self._ended = self.size == 0 or head.status in _BODILESS
        self._chunked = head.chunked
        if head.chunked:
            self.readinto = self._read_chunk
            self._ended = False
            self._chunk = 0  # bytes left of it
            self._next = _SIZE
            self._line = b""
            self._framing = 0

    def taken(self, n: int) -> None:
        """`n` more bytes were read."""
        self._left -= n
        if not self._left and not self._chunked:
            self._ended = True

    def is_read(self) -> bool:
        """Nothing is left to be read: the connection may serve another request."""
        return self._ended

    def lost(self, what, at: int = 0) -> "OtaError | None":
        """What is wrong where `readinto` raised or returned this: SourceError `short-body`,
        `timeout`, `too-slow`, `link-lost`; None: wait, and read again.

        Args:
            at: where in the file the next byte belongs.
        """
        if what is None:
            return self.link.patience.again(at - self.start, True)
        if what == 0:
            return error("short-body", "ended too early")
        return link_error("link-lost", "while reading", what)

    def read(self, limit: int):
        """Generator: all of it at once, as bytes. Raises what `lost` gives; ImageError
        `envelope-format` where there is more than `limit`.
        """
        if self.size > limit:
            raise error("envelope-format", "%d bytes, at most %d" % (self.size, limit))
        data = bytearray(limit + 1 if self.size < 0 else self.size)
        view = memoryview(data)
        at = 0
        while at < len(data):
            try:
                n = self.readinto(view[at:])
            except OSError as e:
                raise link_error("link-lost", "while reading", e)
            if n:
                at += n
                self.taken(n)
                continue
            if n == 0 and self.size < 0 and self._ended == self._chunked:
                break  # the last chunk, or the end of a connection that says nothing else
            wrong = self.lost(n, self.start + at)
            if wrong:
                raise wrong
            yield self.link
        if at > limit:
            raise error("envelope-format", "more than %d bytes" % limit)
        return bytes(view[:at])

    def _read_chunk(self, room) -> "int | None":
        # RFC 9112 section 7.1: size line, bytes, CRLF, ...; size 0, trailers, empty line.
        while not self._chunk:
            if self._ended:
                return 0
            piece = self.link.stream.readline(_PIECE)
            if piece is None:
                return None
            if not piece:
                return 0
            self._framing += len(piece)
            if self._framing > HEAD_LIMIT:
                raise error("http-format", "%d bytes between chunks" % self._framing)
            if len(self._line) < _LINE_START:
                self._line = (self._line + piece)[:_LINE_START]
            if piece.endswith(b"\n"):
                line = self._line  # without its end, where that is not cut off
                if line.endswith(b"\n"):
                    line = line[: -2 if line.endswith(b"\r\n") else -1]
                self._end_line(line)
        n = self.link.stream.readinto(room if len(room) <= self._chunk else room[: self._chunk])
        if n:
            self._chunk -= n
        return n

    def _end_line(self, line: bytes) -> None:
        self._line = b""
        if self._next == _SIZE:
            if len(line) == _LINE_START and b";" not in line:
                raise error("http-format", "chunk size")
            self._chunk = chunk_size(line)
            self._next = _CHUNK_END if self._chunk else _TRAILER
        elif self._next == _TRAILER:
            self._ended = not line
        elif line:
            raise error("http-format", "a chunk is longer than its size")
        else:
            self._next = _SIZE
            self._framing = 0


class Source:
    """GETs and POSTs, over one connection for as long as the server keeps it. Close it, whatever happens.

    Attributes:
        home: who may see `secret`: a host, with its port where that is not 443.
    """

    def __init__(self, network: Network, patience: Patience, agent: str, secret: str = "") -> None:
        """Args:
        network: opens connections.
        patience: how long each may take.
        agent: header lines of all requests, each with its CRLF.
        secret: more of them, for the host `home` only.
        """
        self.home = ""
        self._network = network
        self._patience = patience
        self._agent = agent
        self._secret = secret
        self._host = ""
        self._links: list = []  # the open one
        self._kept: "Body | None" = None  # after this one the connection may serve another request
        self._name = ""  # the file that was asked for last
        self._found: "Url | None" = None  # where redirects for it led
        self._tag = b""  # its ETag

    def get(self, url: Url, start: int = 0, end: int = 0, tag: bytes = b""):
        """Generator: GET `url`, or with `end` its bytes from `start` up to `end`, which the server may
        ignore. A `Body`; None where `tag` is still the file's.

        Redirects are followed, at most five. Parts are of one version, by its ETag; where there is
        another one now, the whole file comes.

        Raises SourceError as `Network.connect`, and `tls-verify`, `clock-not-set`, `http-status`,
        `denied`, `server-busy`, `http-format`, `redirect`, `changed`, `timeout`, `too-slow`,
        `link-lost`; ImageError `size-mismatch` where the file ends before `start`.
        """
        name = url.authority() + url.path
        if name != self._name:
            self._name = name
            self._found = None
            self._tag = b""
        if end:
            tag = self._tag if self._tag[:1] == b'"' else b""
        # A redirect may have been to an address that expires: it is used again on the connection
        # that it led to, and no longer than it works.
        found = self._found
        here = found if found and self._is_open_to(found) else url
        seen: list = []
        while True:
            body = yield from self._ask(here, start, end, tag)
            head = body.head
            if head.status in _MOVED:
                here = yield from self._follow(here, body, seen)
            elif head.status >= 400 and here is found:
                here = url
            else:
                break
        self._found = here if here is not url else None
        if head.status == _NOT_MODIFIED and tag and not end:
            return None
        _judge(here, body, start, end)
        if head.status == _PARTIAL and tag and head.tag != tag:
            self._tag = b""
            raise error("changed", "another version than that of the part before")
        self._tag = head.tag
        return body

    def post(self, url: Url, data: bytes):
        """Generator: POST `data`, which is JSON, once. Redirects are not followed, no answer is read.

        Raises SourceError as `get`; `http-status`, `denied`, `server-busy` for all but 2xx.
        """
        body = yield from self._ask(url, 0, 0, b"", data)
        if not 200 <= body.head.status < 300:
            _judge(url, body, 0, 0)
        if not body.is_read() and 0 < body.size <= _DRAINED:
            yield from self._drain(body)

    def renew(self, patience: Patience) -> None:
        """Something else is fetched from here on, with patience of its own."""
        self._patience = patience
        for link in self._links:
            link.patience = patience

    def close(self) -> None:
        """Give the connection back."""
        self._kept = None
        while self._links:
            self._links.pop().close()

    def _is_open_to(self, url: Url) -> bool:
        kept = self._kept
        return kept is not None and kept.is_read() and url.authority() == self._host

    def _follow(self, here: Url, body: Body, seen: list):
        # Generator: where a redirect leads.
        seen.append(here.authority() + here.path)
        try:
            there = here.join(body.head.location.decode())
        except (SourceError, ValueError):
            raise error("redirect", "from %s to what is no https URL" % here.authority())
        if there.authority() + there.path in seen:
            raise error("redirect", "in a circle")
        if len(seen) > _HOPS:
            raise error("redirect", "more than %d" % _HOPS)
        if 0 < body.size <= _DRAINED and there.authority() == here.authority():
            yield from self._drain(body)  # cheaper than a new connection
        return there

    def _drain(self, body: Body):
        try:
            yield from body.read(_DRAINED)
        except SourceError:
            pass  # it takes a new connection then

    def _ask(self, url: Url, start: int, end: int, tag: bytes, data: bytes = b""):
        # Generator: the answer to one request.
        fields = self._agent
        if url.authority() == self.home:
            fields += self._secret
        asked = request(url, fields, start, end, tag, data)
        if self._is_open_to(url):
            try:
                return (yield from self._exchange(self._links[0], url, asked))
            except SourceError as e:
                # The server may have closed a connection that was kept; a fresh one will tell.
                if e.code not in ("link-lost", "timeout", "unreachable"):
                    raise
                if data:
                    raise  # it may have arrived: whoever posts decides
        self.close()
        link = yield from self._network.connect(url, self._patience)
        self._links.append(link)
        self._host = url.authority()
        return (yield from self._exchange(link, url, asked))

    def _exchange(self, link: Link, url: Url, asked: bytes):
        # Generator: a request goes out, the head of its answer comes in.
        fresh = self._kept is None
        self._kept = None
        patience = self._patience
        patience.phase()
        stream = link.stream
        sent = 0
        head = Head()
        while not head.done:
            try:
                if sent < len(asked):
                    got = stream.write(asked[sent:])
                else:
                    got = stream.readline(_PIECE)
            except (OSError, ValueError) as e:
                if fresh and not sent:  # the first bytes bring the handshake about
                    raise self._network.handshake_error(url, e)
                raise link_error("link-lost", "while reading", e)
            if got is None:
                late = patience.again(sent + head.size)
                if late:
                    raise late
                yield link
            elif sent < len(asked):
                sent += got
            elif got:
                head.feed(got)
            else:
                raise error("link-lost", "ended in the head")
        body = Body(link, head)
        # Without a length it is the end of the connection that ends a body.
        if head.keeps and (head.length >= 0 or head.chunked or head.status in _BODILESS):
            self._kept = body
        return body


def _judge(url: Url, body: Body, start: int, end: int) -> None:
    # Is this an answer that can be used?
    head = body.head
    status = head.status
    if status == _NO_SUCH_PART and end:
        raise error("size-mismatch", "ends before byte %d" % start)
    if status != _OK and not (status == _PARTIAL and end):
        code = "http-status"
        if status in _DENIED:
            code = "denied"
        elif status in _BUSY:
            code = "server-busy"
        failure = error(code, "%d for %s" % (status, url.path.split("?")[0]))
        failure.wait_s = head.wait_s
        raise failure
    if status == _OK:
        if head.total >= 0:
            raise error("http-format", "Content-Range")
    elif (
        head.total < 0
        or head.start != start
        or not min(end - start, _LEAST_PART) <= body.size <= end - start
        or (head.length >= 0 and head.length != body.size)
    ):
        raise error("http-format", "another range")
