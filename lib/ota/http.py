"""HTTP/1.1 as far as a download needs it: URLs, requests, heads of responses, chunk lines.

Layer 4, no I/O: bytes are handed in, in any chunking. Sources: RFC 3986 section 5 (references), RFC
9110 sections 10.2.3 (Retry-After), 13 (conditions), 14 (ranges), RFC 9112. Every length is limited
before it is used.
"""

from micropython import const

from .dates import http_date
from .errors import OtaError, error

LINE_LIMIT = const(4224)
HEAD_LIMIT = const(16384)
HEADERS_LIMIT = const(100)
URL_LIMIT = const(4096)

_LENGTH_DIGITS = const(10)
_TAG_LIMIT = const(128)
_CHUNK_DIGITS = const(8)


class Url:
    """An https URL taken apart: host, port, path with query."""

    def __init__(self, text: str) -> None:
        """Raises SourceError `url`."""
        if not 1 <= len(text) <= URL_LIMIT:
            raise error("url", "%d characters, at most %d" % (len(text), URL_LIMIT))
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
        if not self.host:
            raise error("url", "no host name")
        for char in self.host:
            if not (char.isalpha() or char.isdigit() or char in ".-_"):
                raise error("url", "a host name of other characters")
        if colon:
            if not (port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
                raise error("url", "port out of range")
            self.port = int(port)

    def join(self, reference: str) -> "Url":
        """The URL that `reference` means here: absolute, with a host, from the root, or beside."""
        scheme, colon, _ = reference.partition(":")
        if colon and not ("/" in scheme or "?" in scheme or "#" in scheme):
            return Url(reference)
        if reference.startswith("//"):
            return Url("https:" + reference)
        path, mark, query = self.path.partition("?")
        if reference[:1] not in ("", "?", "#"):
            beside, mark, query = reference.split("#")[0].partition("?")
            path = beside if beside[:1] == "/" else path[: path.rfind("/") + 1] + beside
        elif reference[:1] == "?":
            query = reference[1:]
            mark = "?"
        return Url("https://" + self.authority() + _without_dots(path) + mark + query)

    def authority(self) -> str:
        """host, and the port where it is not 443."""
        return self.host if self.port == 443 else "%s:%d" % (self.host, self.port)


def _without_dots(path: str) -> str:
    kept: list = []
    names = path.split("/")
    for name in names[1:]:
        if name == "..":
            kept = kept[:-1]
        elif name != ".":
            kept.append(name)
    if names[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def request(
    url: Url, fields: str, start: int = 0, end: int = 0, tag: bytes = b"", body: bytes = b""
) -> bytes:
    """A GET request, or with a body a POST, whole: it goes out in one write.

    Args:
        url: what is asked for.
        fields: further header lines, each with its CRLF.
        start, end: `end` 0 asks for everything, else for the bytes from `start` up to, not
            including, `end`.
        tag: an ETag: a part of this version only, or with `end` 0 only another version.
        body: JSON.
    """
    text = "%s %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: identity\r\n%s" % (
        "POST" if body else "GET",
        url.path,
        url.authority(),
        fields,
    )
    if end:
        text += "Range: bytes=%d-%d\r\n" % (start, end - 1)
    if tag:
        text += "%s: %s\r\n" % ("If-Range" if end else "If-None-Match", tag.decode())
    if body:
        text += "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return (text + "\r\n").encode() + body


class Head:
    """Status and the headers that matter, from pieces of lines.

    Attributes:
        status: 0 until the first line came.
        length: of the body in bytes, -1 where not announced.
        chunked: the body comes in chunks.
        start, stop, total: by Content-Range, first byte of the body in the file, the one behind
            its last, and the file's size; 0, 0 and -1 without.
        keeps: the connection may serve another request.
        tag: ETag as it stands in the header, b"" where there is none that can be used.
        location: where else to ask, b"" without.
        wait_s: seconds by Retry-After, 0 without.
        done: the empty line came.
        size: bytes that came.
    """

    def __init__(self) -> None:
        self.size = 0
        self._clear()

    def _clear(self) -> None:
        self.status = 0
        self.length = -1
        self.chunked = False
        self.start = 0
        self.stop = 0
        self.total = -1
        self.keeps = False
        self.tag = b""
        self.location = b""
        self.wait_s = 0
        self.done = False
        self._line = b""
        self._skipping = False
        self._count = 0
        self._ranged = False
        self._date = 0
        self._until = 0

    def feed(self, piece: bytes) -> None:
        """Take a line with its end, or a piece of one.

        Of a line over `LINE_LIMIT` the rest is dropped: other people's headers may be long, ours not.
        Interim responses (1xx) are passed over. Raises SourceError `http-format`.
        """
        self.size += len(piece)
        if self.size > HEAD_LIMIT:
            raise _bad("head of more than %d bytes" % HEAD_LIMIT)
        ended = piece.endswith(b"\n")
        if self._skipping:
            self._skipping = not ended
            return
        line = self._line + piece if self._line else piece
        if not ended and len(line) < LINE_LIMIT:
            self._line = line
            return
        self._skipping = not ended
        self._line = b""
        ended = ended and len(line) <= LINE_LIMIT
        line = line[: -1 if ended else LINE_LIMIT]
        if line.endswith(b"\r"):
            line = line[:-1]
        if self.status == 0:
            self._status(line)
        elif line:
            self._header(line, ended)
        elif self.status < 200:
            self._clear()
        else:
            if self._until and self._date:  # the device's own clock is not asked
                self.wait_s = max(0, self._until - self._date)
            self.done = True

    def _status(self, line: bytes) -> None:
        parts = line.split(b" ", 2)
        if len(parts) < 2 or parts[0] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise _bad("not an HTTP/1 status line")
        if len(parts[1]) != 3 or not parts[1].isdigit() or parts[1] < b"100":
            raise _bad("status is not three digits")
        self.status = int(parts[1])
        self.keeps = parts[0] == b"HTTP/1.1"

    def _header(self, line: bytes, whole: bool) -> None:
        self._count += 1
        if self._count > HEADERS_LIMIT:
            raise _bad("more than %d headers" % HEADERS_LIMIT)
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise _bad("header without a name")
        name = name.lower()
        value = value.strip()
        if name == b"content-length":
            if not whole or self.chunked or self.length >= 0 or _number(value) < 0:
                raise _bad("Content-Length")
            self.length = _number(value)
        elif name == b"content-range":
            if not whole or self._ranged:
                raise _bad("Content-Range")
            self._ranged = True
            self._range(value)
        elif name == b"connection":
            self.keeps = self.keeps and whole and value.lower() == b"keep-alive"
        elif name == b"transfer-encoding":
            # With a length beside it somebody could be fooled about where the body ends.
            if not whole or self.chunked or self.length >= 0 or value.lower() != b"chunked":
                raise _bad("Transfer-Encoding")
            self.chunked = True
        elif name == b"content-encoding":
            if not whole or value.lower() != b"identity":
                raise _bad("Content-Encoding")
        elif name == b"etag":
            self.tag = value if whole and _is_tag(value) else b""
        elif name == b"location":
            if not whole or self.location:
                raise _bad("Location")
            self.location = value
        elif name == b"date":
            self._date = http_date(value)
        elif name == b"retry-after":
            self.wait_s = max(0, _number(value))
            self._until = http_date(value)

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
            raise _bad("Content-Range")


def chunk_size(line: bytes) -> int:
    """Bytes of the chunk that this line announces, without its line end; 0 is the last one.

    Hexadecimal, then perhaps an extension, which is passed over (RFC 9112 section 7.1). Raises
    SourceError `http-format`.
    """
    digits = line.partition(b";")[0].rstrip(b" \t").lower()
    if not 1 <= len(digits) <= _CHUNK_DIGITS:
        raise _bad("chunk size")
    size = 0
    for digit in digits:
        value = b"0123456789abcdef".find(bytes((digit,)))
        if value < 0:
            raise _bad("chunk size")
        size = size * 16 + value
    return size


def _is_tag(value: bytes) -> bool:
    if not 2 <= len(value) <= _TAG_LIMIT or value[-1:] != b'"':
        return False
    for byte in value:
        if not 0x21 <= byte <= 0x7E:
            return False
    return value[:1] == b'"' or (value[:3] == b'W/"' and len(value) > 3)


def _number(text: bytes) -> int:
    # -1 for what is not a decimal number of a length that can be.
    return int(text) if text.isdigit() and len(text) <= _LENGTH_DIGITS else -1


def _bad(what: str) -> OtaError:
    return error("http-format", what)
