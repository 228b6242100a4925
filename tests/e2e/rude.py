"""A misbehaving HTTPS server, and the table of everything that it does.

Each row has a port of its own, so that it can be rude before a byte was said. TLS runs in memory: what
goes over TCP, and how it ends, is up to the row. `tests/e2e/test_rude.py` runs the table.
"""

import contextlib
import hashlib
import json
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fakes import make_image, manifest_fields
from site_of import Site, signed

SIZE = 72 << 10
"""About, of each row's image: two blocks, the second a short one."""

TCP = "tcp"
MANIFEST = "manifest"
PAYLOAD = "payload"
ALL = "all"

_PATIENCE_S = 8  # of the server; every client is gone by then
_ENDLESS = 1 << 24  # bytes: far over every limit of the library


class Wire:
    """A connection of the server: TLS that can be broken anywhere."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        sock.settimeout(_PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._heard = b""

    def shake(self, limit: int | None = None) -> None:
        """The handshake, or only its first bytes."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                flight = self._out.read()
                self.sock.sendall(flight[:limit])
                if flight and limit is not None:
                    return
                self._hear()
            else:
                self.sock.sendall(self._out.read())
                return

    def ask(self) -> "list[str] | None":
        """The lines of the next request, None where none comes."""
        while b"\r\n\r\n" not in self._heard:
            try:
                self._heard += self._tls.read(65536)
            except ssl.SSLWantReadError:
                if not self._hear():
                    return None
            except ssl.SSLError:
                return None
        asked, self._heard = self._heard.split(b"\r\n\r\n", 1)
        return asked.decode().split("\r\n")

    def send(self, data: bytes) -> None:
        """In records as large as can be."""
        self.sock.sendall(self._sealed(data))

    def trickle(self, data: bytes, pause_s: float = 0) -> None:
        """A record for each byte."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if pause_s:
                time.sleep(pause_s)

    def half(self, data: bytes) -> None:
        """A record that is not sent to its end."""
        record = self._sealed(data)
        self.sock.sendall(record[: len(record) // 2])

    def stall(self) -> None:
        """Nothing more, until the other side gives up."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def end(self) -> None:
        """Close as one should: close_notify, FIN."""
        with contextlib.suppress(OSError):
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the answer to it is not waited for
            self.sock.sendall(self._out.read())
        self.fin()

    def fin(self) -> None:
        """FIN, without a word of TLS."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.stall()

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _sealed(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._out.read()

    def _hear(self) -> bool:
        data = self.sock.recv(65536)
        self._in.write(data)
        return bool(data)


class Asked:
    """A request, and the honest answer to it.

    Attributes:
        stage: what the row is about.
        path: with its query.
        count: of requests for this path before this one.
        file: what stands there.
        start, end: the part that is asked for; all of it without a range.
    """

    def __init__(self, stage: "Stage", lines: list[str]) -> None:
        self.stage = stage
        self.path = lines[0].split(" ")[1]
        self.fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        self.is_payload = ".bin" in self.path
        self.count = stage.counts.get(self.path, 0)
        stage.counts[self.path] = self.count + 1
        self.file = stage.image if self.is_payload else stage.manifest()
        self.start, self.end = 0, len(self.file)
        self.ranged = "range" in self.fields
        if self.ranged:
            first, last = self.fields["range"].removeprefix("bytes=").split("-")
            self.start, self.end = int(first), int(last) + 1

    @property
    def data(self) -> bytes:
        """The bytes asked for."""
        return self.file[self.start : self.end]

    def bare(self, *lines: str, status: str = "") -> bytes:
        """A head with these headers only."""
        status = status or ("206 Partial Content" if self.ranged else "200 OK")
        return "\r\n".join(["HTTP/1.1 " + status, *lines, "", ""]).encode("latin-1")

    def head(self, *lines: str, status: str = "") -> bytes:
        """The honest head, and these headers."""
        return self.bare(*self.range(), f"Content-Length: {len(self.data)}", *lines, status=status)

    def range(self) -> list[str]:
        """The header that says which part comes."""
        if not self.ranged:
            return []
        return [f"Content-Range: bytes {self.start}-{self.end - 1}/{len(self.file)}"]

    def chunked(self, *lines: str) -> bytes:
        """The head of a chunked answer."""
        return self.bare(*self.range(), "Transfer-Encoding: chunked", *lines)

    def part(self, start: int, end: int, of: int | None = None) -> bytes:
        """A part, asked for or not."""
        data = self.file[start:end].ljust(end - start, b"\0")
        span = f"Content-Range: bytes {start}-{end - 1}/{of or len(self.file)}"
        return self.bare(span, f"Content-Length: {len(data)}", status="206 Partial Content") + data


def honest(wire: Wire, a: Asked) -> bool:
    """What a good server answers; the connection stays."""
    wire.send(a.head() + a.data)
    return True


# Acts: each answers one request; True: the connection serves another one.

Act = Callable[[Wire, Asked], "bool | None"]
Make = Callable[[Asked], bytes]


def say(make: Make) -> Act:
    """Send this, close as one should."""
    return lambda wire, a: wire.send(make(a))


def keep(make: Make) -> Act:
    """Send this, keep the connection."""
    return lambda wire, a: wire.send(make(a)) or True


def stall(make: Make) -> Act:
    """Send this, then nothing."""
    return lambda wire, a: wire.send(make(a)) or wire.stall()


def fin(make: Make) -> Act:
    """Send this, close TCP under TLS."""
    return lambda wire, a: wire.send(make(a)) or wire.fin()


def rst(make: Make) -> Act:
    """Send this, reset."""
    return lambda wire, a: wire.send(make(a)) or wire.reset()


def endless(make: Make, more: bytes) -> Act:
    """Send this, then the same for ever."""

    def act(wire: Wire, a: Asked) -> None:
        wire.send(make(a))
        piece = more * (8192 // len(more) + 1)
        for _ in range(_ENDLESS // len(piece)):
            wire.send(piece)

    return act


def bytewise(pause_s: float = 0, head_only: bool = False) -> Act:
    """The honest answer, a byte at a time."""

    def act(wire: Wire, a: Asked) -> bool:
        if head_only:
            wire.trickle(a.head(), pause_s)
            wire.send(a.data)
        else:
            wire.trickle(a.head() + a.data, pause_s)
        return True

    return act


def first(act: Act, count: int = 1) -> Act:
    """This for so many requests of a file, honest answers from then on."""
    return lambda wire, a: (act if a.count < count else honest)(wire, a)


def after(act: Act, count: int = 1) -> Act:
    """Honest answers to so many requests of a file, then this."""
    return lambda wire, a: (honest if a.count < count else act)(wire, a)


def headers(*lines: str) -> Act:
    """Honest but for these headers, on top."""
    return keep(lambda a: a.head(*lines) + a.data)


def bare(*lines: str, status: str = "") -> Act:
    """Only these headers, with the honest body behind."""
    return say(lambda a: a.bare(*lines, status=status) + a.data)


def raw(start: bytes) -> Act:
    """A head that starts otherwise."""
    return say(lambda a: start + b"Content-Length: %d\r\n\r\n" % len(a.data) + a.data)


def chunks(data: bytes, size: int = 4096, more: str = "") -> bytes:
    """Data in chunks, without the last one."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), more.encode(), p) for p in pieces)


def chunked(body: Make) -> Act:
    """A chunked head, this body, and a good end of TLS."""
    return say(lambda a: a.chunked() + body(a))


def status(line: str, *lines: str, body: bytes = b"no\n") -> Act:
    """An answer that is none."""
    return keep(lambda a: a.bare(*lines, f"Content-Length: {len(body)}", status=line) + body)


def moved(location: str, line: str = "302 Found", body: bytes = b"", length: int = -1) -> Act:
    """The first address leads there; other ones are served."""
    text = f"Content-Length: {len(body) if length < 0 else length}"

    def act(wire: Wire, a: Asked) -> bool:
        if not a.path.startswith(("/d/m", "/d/app.bin")):
            return honest(wire, a)
        there = location.replace("PORT", str(a.stage.port))
        wire.send(a.bare(f"Location: {there}", text, status=line) + body)
        return True

    return act


def hops(count: int) -> Act:
    """So many redirects, then the file."""

    def act(wire: Wire, a: Asked) -> bool:
        number = int(a.path.rpartition("hop")[2] or 0) if "hop" in a.path else 0
        if number == count:
            return honest(wire, a)
        return status("302 Found", f"Location: hop{number + 1}")(wire, a)

    return act


def circle(wire: Wire, a: Asked) -> bool:
    """From one to the other and back."""
    there = "/d/m" if a.path == "/d/other" else "/d/other"
    return status("302 Found", f"Location: {there}")(wire, a)


def expiring(parts: int) -> Act:
    """Each address serves so many parts, then 403."""

    def act(wire: Wire, a: Asked) -> bool:
        if a.is_payload and a.count >= parts:
            return status("403 Forbidden")(wire, a)
        return honest(wire, a)

    return act


def expiring_redirect(wire: Wire, a: Asked) -> bool:
    """The payload's address leads to ones that serve two parts each."""
    if a.path == "/d/app.bin":
        return status("302 Found", f"Location: /signed-{a.count}.bin")(wire, a)
    return expiring(2)(wire, a)


def two_answers(wire: Wire, a: Asked) -> bool:
    """Another answer that nobody asked for comes with the first one."""
    wire.send(a.head() + a.data)
    if a.count == 0:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\njunk\n")
    return True


def tagged(*tags: str, asks: bool = False) -> Act:
    """Parts with these tags in turn, the last one for ever; `asks`: If-Range is honoured."""

    def act(wire: Wire, a: Asked) -> bool:
        tag = tags[min(a.count, len(tags) - 1)]
        known = a.fields.get("if-range")
        if asks and known and known != tag:
            a.ranged, a.start, a.end = False, 0, len(a.file)
        wire.send(a.head(f"ETag: {tag}") + a.data)
        return True

    return act


# Acts before TLS


def in_handshake(count: int, how: Callable[[Wire], None]) -> Callable[[Wire], None]:
    """So many bytes of the server's first flight, then this."""

    def act(wire: Wire) -> None:
        wire.shake(count)
        how(wire)

    return act


def after_handshake(how: Callable[[Wire], None]) -> Callable[[Wire], None]:
    """TLS is there, then this."""

    def act(wire: Wire) -> None:
        wire.shake()
        how(wire)

    return act


def instead(data: bytes) -> Callable[[Wire], None]:
    """These bytes, whatever was said."""

    def act(wire: Wire) -> None:
        wire.sock.recv(65536)
        wire.sock.sendall(data)
        wire.fin()

    return act


def hello_then_reset(wire: Wire) -> None:
    """RST once the client has said hello."""
    wire.sock.recv(65536)
    wire.reset()


@dataclass(frozen=True)
class Row:
    """One way to be rude.

    Attributes:
        name: for people.
        code: of the failure; None: the update completes with the right image. Several where it is a
            matter of who is faster, or of the board.
        act: what is done, with the connection and a request; with `TCP` before TLS.
        to: which requests it is for; the others get honest answers.
        config: fields of /ota.json that matter here.
        urls: of the payload; {n} is how often the manifest was asked for.
        seconds: it may take.
    """

    name: str
    code: "str | tuple[str, ...] | None"
    act: Callable
    to: str = PAYLOAD
    config: dict = field(default_factory=dict)
    urls: "tuple[str, ...]" = ("app.bin",)
    seconds: float = 20

    def is_right(self, code: "str | None") -> bool:
        """Is this how it should end?"""
        return code in self.code if isinstance(self.code, tuple) else code == self.code


class Stage:
    """A row on its port: its files and what was asked for.

    Attributes:
        counts: path -> requests.
        port: of the server.
    """

    def __init__(self, row: Row, number: int, site: Site, plain: bytes) -> None:
        self.row = row
        self.port = 0
        self.counts: dict[str, int] = {}
        data = bytearray(plain[:-32])  # an image of its own: none finds its payload in the slot
        data[1000] ^= number % 255 + 1
        data[1001] ^= number // 255 + 1
        data[-1] ^= (number % 255 + 1) ^ (number // 255 + 1)  # the checksum is the xor of all data
        self.image = bytes(data) + hashlib.sha256(data).digest()
        self._site = site
        self._manifests: dict[tuple, bytes] = {}

    @property
    def url(self) -> str:
        """Where its manifest is."""
        return f"https://localhost:{self.port}/d/m"

    def manifest(self) -> bytes:
        """Signed, with the addresses of now."""
        number = self.counts.get("/d/m", 0)
        urls = tuple(url.replace("{n}", str(number)) for url in self.row.urls)
        if urls not in self._manifests:
            payloads = [{"urls": list(urls), "encoding": "plain", "size": len(self.image)}]
            fields = manifest_fields(self.image, sequence=20, payloads=payloads)
            text = json.dumps(fields).encode()
            self._manifests[urls] = signed(self._site.signer, text)
        return self._manifests[urls]

    def serve(self, wire: Wire) -> None:
        """One connection."""
        row = self.row
        if row.to == TCP:
            row.act(wire)
            return
        wire.shake()
        stays = True
        while stays:
            lines = wire.ask()
            if lines is None:
                break
            a = Asked(self, lines)
            is_its = row.to == ALL or a.is_payload == (row.to == PAYLOAD)
            stays = bool((row.act if is_its else honest)(wire, a))
        wire.end()


class Rude:
    """The server: a port for each row, a thread for each connection."""

    def __init__(self, site: Site, rows: list[Row]) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(site.paths.server_pem, site.paths.server_key)
        self._selector = selectors.DefaultSelector()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Lock()
        self.stages: list[Stage] = []
        plain = make_image(SIZE, seed=66)
        for number, row in enumerate(rows):
            stage = Stage(row, number, site, plain)
            listener = socket.create_server(("127.0.0.1", 0))
            stage.port = listener.getsockname()[1]
            self._selector.register(listener, selectors.EVENT_READ, stage)
            self.stages.append(stage)
        self._wake, end = socket.socketpair()
        self._selector.register(end, selectors.EVENT_READ, None)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def calm(self) -> None:
        """Until nobody is connected any more."""
        with self._accepting:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(_PATIENCE_S)
            assert not thread.is_alive(), "a connection is still open"

    def close(self) -> None:
        """Stop listening."""
        self._wake.close()
        self._acceptor.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _accept(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with self._accepting:
                    sock, _ = key.fileobj.accept()
                    args = (sock, key.data)
                    thread = threading.Thread(target=self._serve, args=args, daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _serve(self, sock: socket.socket, stage: Stage) -> None:
        with sock, contextlib.suppress(OSError):
            stage.serve(Wire(sock, self._context))


# The table

PARTS = {"part_kib": 16}
AGAIN = {"tries": 2}
JUNK = ("image-format", "digest-mismatch")  # a buffer of 64 KiB: the digest is seen first
PAGE = b"<html><body><form>Please log in</form></body></html>\n"

STATUSES = {
    "201 Created": "http-status",
    "204 No Content": "http-status",
    "205 Reset Content": "http-status",
    "226 IM Used": "http-status",
    "300 Multiple Choices": "http-status",
    "304 Not Modified": "http-status",
    "305 Use Proxy": "http-status",
    "400 Bad Request": "http-status",
    "401 Unauthorized": "denied",
    "403 Forbidden": "denied",
    "404 Not Found": "http-status",
    "407 Proxy Authentication Required": "denied",
    "408 Request Timeout": "server-busy",
    "410 Gone": "http-status",
    "416 Range Not Satisfiable": "http-status",
    "425 Too Early": "server-busy",
    "429 Too Many Requests": "server-busy",
    "500 Internal Server Error": "server-busy",
    "501 Not Implemented": "http-status",
    "502 Bad Gateway": "server-busy",
    "503 Service Unavailable": "server-busy",
    "504 Gateway Timeout": "server-busy",
    "511 Network Authentication Required": "http-status",
    "999 Whatever": "http-status",
}

BUSY = "503 Service Unavailable"


def _mixed(a: Asked) -> bytes:
    # multipart/byteranges, RFC 9110 section 14.6.
    span = a.range()[0].encode()
    body = b"--x\r\n%s\r\n\r\n%s\r\n--x--\r\n" % (span, a.data)
    kind = "Content-Type: multipart/byteranges; boundary=x"
    return a.bare(kind, f"Content-Length: {len(body)}") + body


def _good_chunks(a: Asked) -> bytes:
    # A size in capitals, with zeros, extensions, trailers: RFC 9112 section 7.1.
    data = a.data
    middle = chunks(data[10:], 3000, ';name=value;other="a;b"')
    begin = b"000A ; x\r\n" + data[:10] + b"\r\n"
    return begin + middle + b"0;last\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n"


def _of_other_parts(wire: Wire, a: Asked) -> bool:
    # The header of the part asked for, the bytes of another one.
    wire.send(a.head() + a.file[a.start + 1 : a.end + 1].ljust(a.end - a.start, b"\0"))
    return True


def _garbage_record(wire: Wire, a: Asked) -> None:
    wire.send(a.head() + a.data[:9000])
    wire.sock.sendall(b"\x17\x03\x03\x00\x40" + b"rude" * 16)
    wire.stall()


def _never_again(wire: Wire, a: Asked) -> bool:
    # A connection that is kept, and where nobody answers any more.
    honest(wire, a)
    if a.count == 0:
        wire.stall()
        return False
    return True


def _half_record(wire: Wire, a: Asked) -> None:
    wire.send(a.head() + a.data[:5000])
    wire.half(a.data[5000:9000])
    wire.stall()


def _dies_at(limit: int) -> Act:
    # The first address never gives more than so many bytes of the file.
    def act(wire: Wire, a: Asked) -> "bool | None":
        if "first" not in a.path:
            return honest(wire, a)
        wire.send(a.head() + a.data[: max(0, limit - a.start)])
        return None

    return act


def _bad_second_block(wire: Wire, a: Asked) -> bool:
    if "first" not in a.path:
        return honest(wire, a)
    wire.send(a.head() + a.data[:-40] + bytes(40))
    return True


def _body_cut(at: int) -> Make:
    return lambda a: a.head() + a.data[:at]


def _in_head(a: Asked) -> bytes:
    return a.head()[:40]


def _nothing(a: Asked) -> bytes:
    return b""


def _rows() -> Iterator[Row]:
    # Rows that differ in one word.
    for line, code in STATUSES.items():
        yield Row(f"status {line} for the manifest", code, status(line), MANIFEST)
    for line in ("204 No Content", "304 Not Modified", "404 Not Found", "403 Forbidden", BUSY):
        yield Row(f"status {line} for the payload", STATUSES[line], status(line))
    for line in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
        yield Row(f"redirect {line}", None, moved("/x", line), MANIFEST)
    for where, make in {
        "after the request": _nothing,
        "in the status line": lambda a: b"HTTP/1.1 2",
        "in the head": _in_head,
        "in a header's line end": lambda a: a.head()[:-3],
    }.items():
        yield Row(f"stalls {where}", "timeout", stall(make))
        yield Row(f"close {where}", "link-lost", say(make))
        yield Row(f"FIN {where}", "link-lost", fin(make))
        yield Row(f"RST {where}", "link-lost", rst(make))
    for where, make in {
        "after the head": _body_cut(0),
        "in the body, at byte 1": _body_cut(1),
        "in the body, at the end of a sector": _body_cut(4096),
        "in the body, in a sector": _body_cut(10000),
        "in the body, at the end of a block": _body_cut(65536),
        "in the body, before the last byte": _body_cut(-1),
    }.items():
        yield Row(f"stalls {where}", "timeout", stall(make))
        yield Row(f"close {where}", "short-body", say(make))
        yield Row(f"FIN {where}", "short-body", fin(make))
        yield Row(f"RST {where}", ("link-lost", "short-body"), rst(make))  # OpenSSL: an end
    for what, line in {
        "empty": "",
        "of blanks": "  ",
        "-1": "-1",
        "+10": "+10",
        "0x10": "0x10",
        "1_0": "1_0",
        "of no digits": "xyz",
        "with a blank before": " 1000",
        "of nine digits": "000001000",
        "of twenty digits": "f" * 20,
    }.items():
        body = line.encode() + b"\r\n"
        yield Row(
            f"chunk size {what}",
            "http-format",
            chunked(lambda a, body=body: body + chunks(a.data)),
        )
    for what, line in {
        "negative": "-1",
        "with a plus": "+73728",
        "empty": "",
        "hexadecimal": "0x12000",
        "a list": "5, 5",
        "of eleven digits": "00000000005",
        "of forty digits": "9" * 40,
        "of a bare CR": "7\r3",
        "of a NUL": "7\x003",
    }.items():
        yield Row(f"Content-Length {what}", "http-format", bare(f"Content-Length: {line}"))
    for what, line in {
        "without a version": b"200 OK\r\n",
        "of HTTP/2": b"HTTP/2 200 OK\r\n",
        "of another protocol": b"ICY 200 OK\r\n",
        "of two digits": b"HTTP/1.1 20 OK\r\n",
        "of four digits": b"HTTP/1.1 2000 OK\r\n",
        "below 100": b"HTTP/1.1 099 OK\r\n",
        "with two blanks": b"HTTP/1.1  200 OK\r\n",
        "with a NUL": b"HTTP/1.1\x00 200 OK\r\n",
        "behind an empty line": b"\r\nHTTP/1.1 200 OK\r\n",
        "that is missing": b"",
    }.items():
        yield Row(f"status line {what}", "http-format", raw(line))
    for what, line in {
        "folded": "X-Long: begins\r\n and goes on",
        "folded with a colon": "X-Long: begins\r\n\tContent-Length: 5",
        "with a blank before the colon": "X-Blank : 1",
        "without a colon": "Nothing",
        "without a name": ": nameless",
        "that is a NUL": "\x00",
    }.items():
        yield Row(f"header {what}", "http-format", headers(line))
    for what, line in {
        "with a bare CR": "X-Bare: a\rContent-Length: 5",
        "with a NUL": "X-Nul: a\x00b",
        "of other people's letters": "X-Latin: \xe4\xff",
        "of 8 kB": "X-Long: " + "x" * 8000,
        "without a value": "X-Empty:",
    }.items():
        yield Row(f"header {what}", None, headers(line))
    for what, there in {
        "to http": "http://localhost:PORT/x",
        "to ftp": "ftp://localhost/x",
        "to javascript": "javascript:alert(1)",
        "to a URL with blanks": "/a b",
        "to a URL with a bare CR": "/a\rb",
        "to a URL with a NUL": "/a\x00b",
        "to a URL in UTF-8": "/\xc3\xa4",
        "to a URL in Latin-1": "/\xe4",
        "to a URL of 4100 characters": "/" + "x" * 4100,
        "to a user's name": "https://user@localhost:PORT/x",
        "to no host": "https:///x",
        "to no host but a port": "//:1/x",
        "to port 0": "//localhost:0/x",
        "to port 70000": "//localhost:70000/x",
        "to itself": "m",
        "to its own fragment": "#here",
        "to nothing": "",
    }.items():
        yield Row(f"redirect {what}", "redirect", moved(there), MANIFEST)
    for what, there in {
        "to a path": "/x",
        "to a neighbour": "x",
        "to ./": "./x",
        "to ../": "../x",
        "to too many ../": "../../../../x",
        "to a host": "//localhost:PORT/x",
        "to a URL": "https://localhost:PORT/x?y=/../z#here",
        "to a URL of 4000 characters": "/" + "x" * 4000,
        "to a URL with CRLF, which ends there": "/x\r\nX-Split: y",
    }.items():
        yield Row(f"redirect {what}", None, moved(there), MANIFEST)


ROWS = [
    # Before a request
    Row("TCP and then nothing", "timeout", Wire.stall, TCP),
    Row("stalls in the handshake, after 1 byte", "timeout", in_handshake(1, Wire.stall), TCP),
    Row("stalls in the handshake, after 60 bytes", "timeout", in_handshake(60, Wire.stall), TCP),
    Row("stalls in the handshake, after 600 bytes", "timeout", in_handshake(600, Wire.stall), TCP),
    Row("stalls after the handshake", "timeout", after_handshake(Wire.stall), TCP),
    Row("close before the handshake", "tls", Wire.fin, TCP),
    Row("close in the handshake, after 1 byte", "tls", in_handshake(1, Wire.fin), TCP),
    Row("close in the handshake, after 600 bytes", "tls", in_handshake(600, Wire.fin), TCP),
    Row("close after the handshake", "link-lost", after_handshake(Wire.end), TCP),
    Row("FIN after the handshake", "link-lost", after_handshake(Wire.fin), TCP),
    Row("RST before the handshake", ("tls", "unreachable"), Wire.reset, TCP),
    Row("RST after the client's hello", "tls", hello_then_reset, TCP),
    Row("RST in the handshake", "tls", in_handshake(60, Wire.reset), TCP),
    Row("RST after the handshake", ("tls", "link-lost"), after_handshake(Wire.reset), TCP),
    Row("plain HTTP instead of TLS", "tls", instead(b"HTTP/1.1 400 No\r\n\r\n"), TCP),
    Row("a fatal alert instead of TLS", "tls", instead(b"\x15\x03\x03\x00\x02\x02\x28"), TCP),
    Row("zeros instead of TLS", "tls", instead(bytes(500)), TCP),
    # All stages of an answer, and much else that differs in one word
    *_rows(),
    Row("stalls in a TLS record", "timeout", _half_record),
    Row("garbage for a TLS record", "link-lost", _garbage_record),
    Row("stalls in a chunk size", "timeout", stall(lambda a: a.chunked() + b"10")),
    Row("stalls in a chunk", "timeout", stall(lambda a: a.chunked() + b"9000\r\n" + a.data[:99])),
    Row(
        "stalls behind a chunk",
        "timeout",
        stall(lambda a: a.chunked() + chunks(a.data[:5000])[:-2]),
    ),
    Row(
        "stalls in the trailers of a manifest",
        "timeout",
        stall(lambda a: a.chunked() + chunks(a.data) + b"0\r\nX-Sum: 1\r\n"),
        MANIFEST,
    ),
    Row(
        "stalls in the trailers of a payload",
        None,
        stall(lambda a: a.chunked() + chunks(a.data) + b"0\r\nX-Sum: 1\r\n"),
    ),
    Row("a manifest without its last chunk", "short-body", chunked(lambda a: chunks(a.data)), ALL),
    Row("a payload without its last chunk", None, chunked(lambda a: chunks(a.data))),
    # One byte at a time
    Row("a manifest byte by byte", None, bytewise(), MANIFEST, seconds=40),
    Row("a head byte by byte", None, bytewise(0.002, head_only=True)),
    Row("a head that drips for ever", "timeout", bytewise(0.3), config={"total_s": 2}),
    Row(
        "a body that drips for ever",
        "timeout",
        lambda wire, a: wire.send(a.head()) or wire.trickle(a.data, 0.3),
        config={"total_s": 2},
    ),
    # Parts
    Row("parts as asked for", None, honest, config=PARTS),
    Row(
        "the whole for a part", None, say(lambda a: a.bare(status="200 OK") + a.file), config=PARTS
    ),
    Row(
        "the whole for a part, with its length",
        None,
        say(lambda a: a.bare(f"Content-Length: {len(a.file)}", status="200 OK") + a.file),
        config=PARTS,
    ),
    Row("another part", "http-format", keep(lambda a: a.part(4096, 20480)), config=PARTS),
    Row(
        "another second part",
        "http-format",
        after(keep(lambda a: a.part(0, 16384))),
        config=PARTS,
    ),
    Row(
        "a part that overlaps",
        "http-format",
        after(keep(lambda a: a.part(a.start - 1, a.end))),
        config=PARTS,
    ),
    Row("a longer part", "http-format", keep(lambda a: a.part(0, a.end + 1)), config=PARTS),
    Row(
        "shorter parts",
        None,
        keep(lambda a: a.part(a.start, min(a.end, a.start + 5000))),
        config=PARTS,
    ),
    Row(
        "parts of one byte",
        "http-format",
        keep(lambda a: a.part(a.start, a.start + 1)),
        config=PARTS,
    ),
    Row(
        "a part of a larger file",
        "size-mismatch",
        keep(lambda a: a.part(a.start, a.end, len(a.file) + 1)),
        config=PARTS,
    ),
    Row(
        "a part of a smaller file",
        "size-mismatch",
        keep(lambda a: a.part(a.start, a.end, len(a.file) - 1)),
        config=PARTS,
    ),
    Row(
        "a part without its range", "http-format", keep(lambda a: a.bare() + a.data), config=PARTS
    ),
    Row(
        "a part of a file of unknown size",
        "http-format",
        bare("Content-Range: bytes 0-16383/*", "Content-Length: 16384"),
        config=PARTS,
    ),
    Row(
        "a part in other units",
        "http-format",
        bare("Content-Range: items 0-16383/73728", "Content-Length: 16384"),
        config=PARTS,
    ),
    Row(
        "a part that ends before it starts",
        "http-format",
        bare("Content-Range: bytes 16383-0/73728", "Content-Length: 16384"),
        config=PARTS,
    ),
    Row(
        "a part behind the end",
        "http-format",
        bare("Content-Range: bytes 0-16383/16383", "Content-Length: 16384"),
        config=PARTS,
    ),
    Row(
        "a part of negative numbers",
        "http-format",
        bare("Content-Range: bytes -1-16383/73728", "Content-Length: 16384"),
        config=PARTS,
    ),
    Row(
        "a part with two ranges",
        "http-format",
        keep(lambda a: a.head(*a.range()) + a.data),
        config=PARTS,
    ),
    Row(
        "a part and another length",
        "http-format",
        keep(lambda a: a.bare(*a.range(), f"Content-Length: {len(a.data) + 1}") + a.data + b"x"),
        config=PARTS,
    ),
    Row("a part that holds other bytes", "digest-mismatch", after(_of_other_parts), config=PARTS),
    Row("multipart/byteranges", "http-format", keep(_mixed), config=PARTS),
    Row(
        "a range in an answer of the whole",
        "http-format",
        say(lambda a: a.head("Content-Range: bytes 0-73727/73728") + a.data),
    ),
    Row("206 that was not asked for", "http-status", keep(lambda a: a.part(0, len(a.file)))),
    Row(
        "416 for a part",
        "size-mismatch",
        status("416 Range Not Satisfiable", "Content-Range: bytes */5"),
        config=PARTS,
    ),
    Row(
        "416 with the right size",
        "size-mismatch",
        status("416 Range Not Satisfiable", f"Content-Range: bytes */{SIZE}"),
        config=PARTS,
    ),
    Row("416 without a size", "size-mismatch", status("416 Range Not Satisfiable"), config=PARTS),
    Row(
        "416 with a range that is none",
        "http-format",
        status("416 Range Not Satisfiable", "Content-Range: bytes 9-1/x"),
        config=PARTS,
    ),
    Row(
        "parts in chunks",
        None,
        keep(lambda a: a.chunked() + chunks(a.data) + b"0\r\n\r\n"),
        config=PARTS,
    ),
    Row(
        "a part in chunks that ends early",
        "short-body",
        keep(lambda a: a.chunked() + chunks(a.data[:9000]) + b"0\r\n\r\n"),
        config=PARTS,
    ),
    Row(
        "a part in chunks that goes on",
        None,
        keep(lambda a: a.chunked() + chunks(a.data + bytes(5000)) + b"0\r\n\r\n"),
        config=PARTS,
    ),
    Row(
        "junk between two parts",
        "http-format",
        keep(lambda a: a.head() + a.data + b"junk\r\n"),
        config=PARTS,
    ),
    Row("an answer too many", "size-mismatch", two_answers, config=PARTS),
    Row("kept connections that close", None, say(lambda a: a.head() + a.data), config=PARTS),
    Row("kept connections that reset", None, rst(lambda a: a.head() + a.data), config=PARTS),
    Row("a kept connection that falls silent", None, _never_again, config=PARTS),
    # Lengths
    Row(
        "a longer length for the payload",
        "size-mismatch",
        say(lambda a: a.bare(f"Content-Length: {len(a.data) + 1}") + a.data),
    ),
    Row(
        "a shorter length for the payload",
        "size-mismatch",
        say(lambda a: a.bare(f"Content-Length: {len(a.data) - 1}") + a.data),
    ),
    Row(
        "a longer length for the manifest",
        "short-body",
        say(lambda a: a.bare(f"Content-Length: {len(a.data) + 1}") + a.data),
        MANIFEST,
    ),
    Row(
        "a shorter length for the manifest",
        "signature",
        say(lambda a: a.bare(f"Content-Length: {len(a.data) - 1}") + a.data),
        MANIFEST,
    ),
    Row("no length and no chunks", None, bare()),
    Row("no length and no chunks for the manifest", None, bare(), MANIFEST),
    Row("a length of ten digits", "size-mismatch", bare("Content-Length: 9999999999")),
    Row(
        "a length of ten digits for the manifest",
        "envelope-format",
        bare("Content-Length: 9999999999"),
        MANIFEST,
    ),
    Row(
        "Content-Length of 0 for the manifest",
        "envelope-format",
        bare("Content-Length: 0"),
        MANIFEST,
    ),
    Row("Content-Length of 0 for the payload", "size-mismatch", bare("Content-Length: 0")),
    Row(
        "the same length twice",
        "http-format",
        say(lambda a: a.head(f"Content-Length: {len(a.data)}") + a.data),
    ),
    Row("two lengths", "http-format", headers("Content-Length: 5")),
    Row("two lengths, the first in doubt", "http-format", headers("Content-Length: junk")),
    Row("a length, then chunks", "http-format", headers("Transfer-Encoding: chunked")),
    Row(
        "chunks, then a length",
        "http-format",
        say(lambda a: a.chunked("Content-Length: 5") + chunks(a.data) + b"0\r\n\r\n"),
    ),
    Row("Transfer-Encoding gzip", "http-format", bare("Transfer-Encoding: gzip")),
    Row(
        "Transfer-Encoding gzip, chunked", "http-format", bare("Transfer-Encoding: gzip, chunked")
    ),
    Row("Transfer-Encoding identity", "http-format", bare("Transfer-Encoding: identity")),
    Row(
        "Transfer-Encoding twice",
        "http-format",
        say(lambda a: a.chunked("Transfer-Encoding: chunked") + chunks(a.data) + b"0\r\n\r\n"),
    ),
    # Heads
    Row("a header of 20 kB", "http-format", headers("X-Long: " + "x" * 20000)),
    Row("200 headers", "http-format", headers(*["X-Many: 1"] * 200)),
    Row("90 headers", None, headers(*["X-Many: 1"] * 90)),
    Row("an endless header", "http-format", endless(lambda a: a.head()[:-2] + b"X: ", b"x")),
    Row("endless headers", "http-format", endless(lambda a: a.head()[:-2], b"X: y\r\n")),
    Row("an endless status line", "http-format", endless(lambda a: b"HTTP/1.1 200 ", b"x")),
    Row("an endless line of nothing", "http-format", endless(_nothing, b"\x00")),
    Row("endless line ends", "http-format", endless(_nothing, b"\r\n")),
    Row(
        "a length in a header that is too long",
        "http-format",
        bare("Content-Length: " + "0" * 5000 + "5"),
    ),
    Row("line ends without CR", None, say(lambda a: a.head().replace(b"\r", b"") + a.data)),
    Row(
        "names in odd letters",
        None,
        say(lambda a: a.head().replace(b"Content-Length", b"cONTENT-lENGTH") + a.data),
    ),
    Row("a status without a reason", None, raw(b"HTTP/1.1 200\r\n")),
    Row("HTTP/1.0", None, raw(b"HTTP/1.0 200 OK\r\n")),
    Row("a bare CR in the status line", None, raw(b"HTTP/1.1 200 OK\rX: y\r\n")),
    Row("Content-Encoding gzip", "http-format", headers("Content-Encoding: gzip")),
    Row("Content-Encoding br", "http-format", headers("Content-Encoding: br")),
    Row(
        "Content-Encoding gzip, identity",
        "http-format",
        headers("Content-Encoding: gzip, identity"),
    ),
    Row("Content-Encoding identity", None, headers("Content-Encoding: identity")),
    Row(
        "interim answers first",
        None,
        keep(
            lambda a: (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                b"Link: </x>\r\nContent-Length: 5\r\n\r\n" + a.head() + a.data
            )
        ),
        ALL,
    ),
    Row(
        "a switch of protocols",
        "timeout",
        stall(lambda a: a.bare("Upgrade: h2c", status="101 Switching Protocols")),
    ),
    Row(
        "endless interim answers",
        "http-format",
        endless(_nothing, b"HTTP/1.1 100 Continue\r\n\r\n"),
    ),
    # Chunks
    Row(
        "chunks with extensions and trailers",
        None,
        keep(lambda a: a.chunked() + _good_chunks(a)),
        ALL,
    ),
    Row(
        "Transfer-Encoding in odd letters",
        None,
        say(lambda a: a.bare("transfer-encoding:  CHUNKED ") + chunks(a.data) + b"0\r\n\r\n"),
    ),
    Row(
        "a chunk without its line end",
        "http-format",
        chunked(lambda a: b"10\r\n" + a.data[:16] + chunks(a.data[16:]) + b"0\r\n\r\n"),
    ),
    Row(
        "a chunk that is longer than its size",
        "http-format",
        chunked(lambda a: b"10\r\n" + a.data[:17] + b"\r\n" + chunks(a.data[17:])),
    ),
    Row(
        "an extension of 20 kB",
        "http-format",
        chunked(lambda a: chunks(a.data, 4096, ";" + "x" * 20000)),
    ),
    Row("an endless chunk size", "http-format", endless(lambda a: a.chunked(), b"0")),
    Row(
        "endless trailers of a manifest",
        "http-format",
        endless(lambda a: a.chunked() + chunks(a.data) + b"0\r\n", b"X: y\r\n"),
        MANIFEST,
    ),
    Row(
        "endless trailers of a payload",
        None,
        endless(lambda a: a.chunked() + chunks(a.data) + b"0\r\n", b"X: y\r\n"),
    ),
    Row(
        "an early last chunk",
        "short-body",
        chunked(lambda a: chunks(a.data[:9000]) + b"0\r\n\r\n"),
    ),
    Row("no chunk at all", "short-body", chunked(lambda a: b"0\r\n\r\n")),
    Row(
        "endless tiny chunks for the manifest",
        "envelope-format",
        endless(lambda a: a.chunked(), b"1\r\nx\r\n"),
        MANIFEST,
    ),
    Row(
        "a payload in tiny chunks, and no end",
        None,
        endless(lambda a: a.chunked() + chunks(a.data, 16), b"1\r\nx\r\n"),
    ),
    Row(
        "a chunk larger than the payload",
        None,
        say(lambda a: a.chunked() + b"7fffffff\r\n" + a.data + bytes(5000)),
    ),
    # Redirects
    Row("redirects in a circle", "redirect", circle, MANIFEST),
    Row(
        "a redirect to a query",
        None,
        lambda wire, a: (honest if "?q" in a.path else moved("?q"))(wire, a),
        MANIFEST,
    ),
    Row("six redirects", "redirect", hops(6), MANIFEST),
    Row("five redirects", None, hops(5), MANIFEST),
    Row("a redirect of the payload", None, moved("/x.bin")),
    Row("a redirect without Location", "redirect", status("302 Found"), MANIFEST),
    Row(
        "a redirect to two places",
        "http-format",
        status("302 Found", "Location: /x", "Location: /y"),
        MANIFEST,
    ),
    Row("a redirect to 5 kB", "http-format", moved("/" + "x" * 5000), MANIFEST),
    Row("a redirect with a page", None, moved("/x", body=PAGE), MANIFEST),
    Row("a redirect with a large page", None, moved("/x", body=PAGE * 1000), MANIFEST),
    Row(
        "a redirect with a page that does not come",
        None,
        moved("/x", length=900),
        MANIFEST,
    ),
    Row(
        "a redirect with a page that does not end",
        None,
        lambda wire, a: (
            honest(wire, a)
            if a.path == "/x"
            else endless(lambda a: a.bare("Location: /x", status="302 Found"), PAGE)(wire, a)
        ),
        MANIFEST,
    ),
    Row("a redirect to where nobody is", "unreachable", moved("//localhost:1/x"), MANIFEST),
    Row("a redirect whose address expires", None, expiring_redirect, ALL, PARTS),
    # Bodies without an end, or with one too soon; mbedTLS does not tell FIN from close_notify
    Row("an endless body", None, endless(lambda a: a.bare() + a.data, b"x")),
    Row("an endless body of junk", JUNK, endless(lambda a: a.bare(), b"x")),
    Row(
        "an endless manifest",
        "envelope-format",
        endless(lambda a: a.bare() + a.data, b"x"),
        MANIFEST,
    ),
    Row("FIN behind a body with its length", None, fin(lambda a: a.head() + a.data), ALL),
    Row("FIN behind a payload without a length", None, fin(lambda a: a.bare() + a.data)),
    Row(
        "FIN in a payload without a length", "short-body", fin(lambda a: a.bare() + a.data[:9000])
    ),
    Row(
        "FIN in a manifest without a length",
        "signature",
        fin(lambda a: a.bare() + a.data[:900]),
        MANIFEST,
    ),
    Row(
        "FIN behind a manifest without a length", None, fin(lambda a: a.bare() + a.data), MANIFEST
    ),
    Row(
        "close in a payload without a length",
        "short-body",
        say(lambda a: a.bare() + a.data[:9000]),
    ),
    # Captive portals
    Row("a login page for the manifest", "envelope-format", status("200 OK", body=PAGE), MANIFEST),
    Row("a login page for the payload", "size-mismatch", status("200 OK", body=PAGE)),
    Row("a login page without a length", "short-body", say(lambda a: a.bare() + PAGE)),
    Row(
        "a large login page in chunks",
        JUNK,
        chunked(lambda a: chunks(PAGE * 2000) + b"0\r\n\r\n"),
    ),
    Row("a redirect to a login page", "redirect", moved("http://login.example/"), ALL),
    # When to come back
    Row("busy once", None, first(status(BUSY)), MANIFEST, AGAIN),
    Row("busy once, for a second", None, first(status(BUSY, "Retry-After: 1")), PAYLOAD, AGAIN),
    Row(
        "busy for three years",
        "server-busy",
        status(BUSY, "Retry-After: 99999999"),
        ALL,
        AGAIN,
        seconds=10,
    ),
    Row(
        "busy for ten digits",
        "server-busy",
        status(BUSY, "Retry-After: 9999999999"),
        ALL,
        AGAIN,
        seconds=10,
    ),
    Row(
        "busy until a date of long after",
        "server-busy",
        status(
            BUSY,
            "Date: Sun, 06 Nov 2033 08:49:37 GMT",
            "Retry-After: Mon, 07 Nov 2033 08:49:37 GMT",
        ),
        ALL,
        AGAIN,
        seconds=10,
    ),
    Row(
        "busy until a date of long ago",
        None,
        first(
            status(
                BUSY,
                "Date: Sun, 06 Nov 2033 08:49:37 GMT",
                "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT",
            )
        ),
        PAYLOAD,
        AGAIN,
    ),
    Row("busy for a negative time", None, first(status(BUSY, "Retry-After: -5")), PAYLOAD, AGAIN),
    Row("busy for junk", None, first(status(BUSY, "Retry-After: soon\x00")), PAYLOAD, AGAIN),
    Row("a date of junk", None, headers("Date: Sun, 99 Nov 9999 99:99:99 GMT", "Retry-After: 5")),
    # More than one attempt
    Row("a link that is lost once", None, first(say(_body_cut(20000))), PAYLOAD, AGAIN),
    Row("a link that is lost once, by RST", None, first(rst(_body_cut(20000))), PAYLOAD, AGAIN),
    Row(
        "an address that always fails, and a good one",
        None,
        lambda wire, a: (status("404 Not Found") if "first" in a.path else honest)(wire, a),
        urls=("first.bin", "app.bin"),
    ),
    Row(
        "an address that is busy, and a good one",
        None,
        lambda wire, a: (status(BUSY) if "first" in a.path else honest)(wire, a),
        urls=("first.bin", "app.bin"),
    ),
    Row(
        "an address that closes in the head, and a good one",
        None,
        lambda wire, a: (say(_in_head) if "first" in a.path else honest)(wire, a),
        urls=("first.bin", "app.bin"),
    ),
    Row(
        "an address that breaks in the middle, and a good one",
        None,
        _dies_at(20000),
        config=AGAIN,
        urls=("first.bin", "app.bin"),
    ),
    Row(
        "an address that breaks in the middle, and a good one, in one round",
        None,
        _dies_at(20000),
        urls=("first.bin", "app.bin"),
    ),
    Row(
        "an address with other bytes, and a good one",
        None,
        _bad_second_block,
        urls=("first.bin", "app.bin"),
    ),
    Row("a tag that changes", "changed", tagged('"1"', '"2"'), config=PARTS),
    Row("a tag that goes away", "changed", first(tagged('"1"')), config=PARTS),
    Row("a tag that changes once", None, tagged('"1"', '"2"'), PAYLOAD, {**PARTS, **AGAIN}),
    Row("a tag that changes, and If-Range", None, tagged('"1"', '"2"', asks=True), config=PARTS),
    Row("a weak tag that changes", None, tagged('W/"1"', 'W/"2"'), config=PARTS),
    Row("a tag of junk", None, tagged('"1', "2\x00"), config=PARTS),
    Row(
        "a signed address that expires, and fresh ones",
        None,
        expiring(2),
        ALL,
        PARTS,
        urls=("app-{n}.bin",),
    ),
    Row("a signed address that expires, and no fresh one", "denied", expiring(2), ALL, PARTS),
    Row(
        "signed addresses that never work",
        "denied",
        expiring(0),
        ALL,
        PARTS,
        urls=("app-{n}.bin",),
    ),
]
