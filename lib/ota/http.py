"""HTTP: URLs, the request, the head of the response. No I/O.

Layer 4. Whoever has a connection feeds it line by line. Limits hold before anything is kept: lines
that matter are at most `LINE_LIMIT` bytes, all of them together `HEAD_LIMIT`. Source: RFC 9110, 9112.
"""

from micropython import const

from .errors import error

LINE_LIMIT = const(2048)
HEAD_LIMIT = const(16384)

_URL_LIMIT = const(1024)
_LENGTH_DIGITS = const(10)


class Url:
    """An https URL taken apart: host, port, path with query."""

    def __init__(self, text: str) -> None:
        """Raises SourceError `url`."""
        if not 1 <= len(text) <= _URL_LIMIT:
            raise error("url", "%d characters, at most %d" % (len(text), _URL_LIMIT))
        for char in text:
            if not "!" <= char <= "~":
                raise error("url", "not printable ASCII")
        if not text.startswith("https://"):
            raise error("url", "does not start with https://")
        authority, _, path = text[8:].split("#")[0].partition("/")
        if "?" in authority:
            raise error("url", "no path before the query")
        self.path = "/" + path
        self.host, colon, port = authority.partition(":")
        self.port = 443
        if colon:
            if not (port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
                raise error("url", "port out of range")
            self.port = int(port)
        if not self.host:
            raise error("url", "no host name")
        for char in self.host:
            if not (char.isalpha() or char.isdigit() or char in ".-_"):
                raise error("url", "a host name of other characters")

    def join(self, reference: str) -> "Url":
        """The URL that `reference` means here: absolute, from the root, or beside this path."""
        if "://" in reference.split("?")[0]:
            return Url(reference)
        if not reference.startswith("/"):
            reference = self.path.split("?")[0].rpartition("/")[0] + "/" + reference
        return Url("https://%s%s" % (self.authority(), reference))

    def authority(self) -> str:
        """host, and the port where it is not 443."""
        return self.host if self.port == 443 else "%s:%d" % (self.host, self.port)


def request(url: Url, agent: str, start: int = 0, end: int = 0) -> bytes:
    """A GET request, whole: it goes out in one write. `end` 0 asks for everything, else for
    the bytes from `start` up to, not including, `end`.
    """
    part = "Range: bytes=%d-%d\r\n" % (start, end - 1) if end else ""
    return (
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept-Encoding: identity\r\n%s\r\n"
        % (url.path, url.authority(), agent, part)
    ).encode()


class Head:
    """Status and the headers that matter, from lines.

    Attributes:
        status: 0 until the first line came.
        length: of the body in bytes, -1 where not announced.
        start, stop, total: by Content-Range, first byte of the body in the file, the one behind
            its last, and the file's size; 0, 0 and -1 without.
        keeps: the connection may serve another request.
        done: the empty line came.
    """

    def __init__(self) -> None:
        self.status = 0
        self.length = -1
        self.start = 0
        self.stop = 0
        self.total = -1
        self.keeps = False
        self.done = False
        self._total = 0
        self._skipping = False

    def feed(self, piece: bytes) -> None:
        """Take a line with its end, or a piece of `LINE_LIMIT` bytes of a longer one.

        The rest of a longer line is dropped: other people's headers may be long, ours not.
        Raises SourceError `http-format`.
        """
        self._total += len(piece)
        if self._total > HEAD_LIMIT:
            raise error("http-format", "head of more than %d bytes" % HEAD_LIMIT)
        ended = piece.endswith(b"\n")
        if self._skipping:
            self._skipping = not ended
            return
        self._skipping = not ended
        line = piece[:-1] if ended else piece
        if line.endswith(b"\r"):
            line = line[:-1]
        if self.status == 0:
            self._status(line)
        elif line:
            self._header(line, ended)
        else:
            self.done = ended

    def _status(self, line: bytes) -> None:
        parts = line.split(b" ", 2)
        if len(parts) < 2 or parts[0] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise error("http-format", "not an HTTP/1 status line")
        if len(parts[1]) != 3 or not parts[1].isdigit() or parts[1] < b"100":
            raise error("http-format", "status is not three digits")
        self.status = int(parts[1])
        self.keeps = parts[0] == b"HTTP/1.1"

    def _header(self, line: bytes, whole: bool) -> None:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise error("http-format", "header without a name")
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            if not whole or self.length >= 0 or _number(value) < 0:
                raise error("http-format", "Content-Length")
            self.length = _number(value)
        elif name == b"content-range":
            if not whole or self.total >= 0:
                raise error("http-format", "Content-Range")
            self._range(value)
        elif name == b"connection" and value.lower() != b"keep-alive":
            self.keeps = False
        elif name == b"transfer-encoding":
            raise error("http-format", "Transfer-Encoding")
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise error("http-format", "Content-Encoding")

    def _range(self, value: bytes) -> None:
        # bytes FIRST-LAST/SIZE, RFC 9110 section 14.4; an unknown size is of no use here. */SIZE
        # comes with the answer that there is no such part.
        unit, _, rest = value.partition(b" ")
        span, _, total = rest.partition(b"/")
        if span == b"*":
            return
        first, _, last = span.partition(b"-")
        numbers = [_number(text) for text in (first, last, total)]
        self.start, self.stop, self.total = numbers[0], numbers[1] + 1, numbers[2]
        if unit.lower() != b"bytes" or not 0 <= self.start < self.stop <= self.total:
            raise error("http-format", "Content-Range")


def _number(text: bytes) -> int:
    # -1 for what is not a decimal number of a length that can be.
    return int(text) if text.isdigit() and len(text) <= _LENGTH_DIGITS else -1
