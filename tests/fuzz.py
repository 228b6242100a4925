"""Search for inputs that the network's side gets wrong, led by what they reach in lib/ota.

    .venv/bin/python tests/fuzz.py [TARGET ...] [--seconds N] [--quiet-seconds N] [--executions N]

Targets are those of tests/portable/verdicts_http.py; what must hold for each input is in `check`.
Each target runs until nothing new was reached for --quiet-seconds and --executions inputs were tried,
at most --seconds. Then the inputs that reach something of their own are kept in
tests/data/corpus/fuzzed, where tests/host/test_verdicts_http.py gives them to all interpreters, and
the figures in figures.json beside them. Exit code 1 where something was found.

Needs atheris, the extra `fuzz`.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "lib" / "ota"
KEPT = ROOT / "tests" / "data" / "corpus" / "fuzzed"
FIGURES = KEPT / "figures.json"
OPENSSL = ROOT / "tests" / "data" / "openssl"
MOST_KEPT = 600
LONGEST_INPUT = {"http": 2048, "url": 256, "pins": 2048}
MOST_FINDINGS = 20
REPORT_EVERY = 2000


def load():
    """The targets, and what they test; `ota_tools` has the stand-ins for `micropython` and `tls`."""
    global V, http
    sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "tests/portable")]
    import ota_tools  # noqa: F401, I001
    import verdicts_http as V  # noqa: N812

    from ota import http


# What must hold. `load` comes first.


def check(target: str, data: bytes) -> str:
    """The verdict for an input; raises AssertionError, or what came out, where something is wrong."""
    return {"http": check_http, "url": check_url, "pins": check_pins}[target](data)


REQUEST = re.compile(
    rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\nHost: ([A-Za-z0-9._-]+(?::[0-9]+)?)\r\n"
    rb"Accept-Encoding: identity\r\nUser-Agent: t\r\n(Authorization: Basic s\r\n)?"
    rb'(?:Range: bytes=[0-9]+-[0-9]+\r\n)?(?:If-(?:Range|None-Match): (?:W/)?"[!-~]*"\r\n)?\r\n'
)
MOST_REQUESTS = 6  # five redirects
MOST_IN_ALL = (
    14  # and the address that was found before; each again where a kept connection is gone
)


def check_http(data: bytes) -> str:
    outcomes, network = V.serve(data, 0)
    verdict = V.text_of(outcomes)
    requests = 0
    for stream in network.streams:
        end = None
        for request, at in stream.asked:
            requests += 1
            parts = REQUEST.fullmatch(request)
            assert parts, "a request of another form"
            assert parts[2].decode() == stream.url.authority(), "asked of another host"
            assert bool(parts[3]) == (parts[2] == b"a.example"), "the secret is for its host"
            assert end is None or at == end, "the connection is not at the end of the answer"
            answer = read_answer(stream.data, at)
            end = answer.end if answer and answer.is_strict else None
    assert requests <= MOST_IN_ALL * len(outcomes), "too many requests"
    if len(outcomes) == 1:
        check_requests([[request for request, _ in stream.asked] for stream in network.streams])
    answers = iter(network.answers)
    for i, outcome in enumerate(outcomes):
        if type(outcome[0]) is int:
            check_body(data[0], i, outcome, *next(answers))
    first = read_answer(network.streams[0].data, 0)
    if first and first.is_plain and len(first.body) <= V.LIMIT and not data[0] & V.AS_WRITER:
        assert outcomes[0][0] == 200, "a good answer is refused"
    if first and outcomes[0][0] == "server-busy" and requests == 1:
        assert first.wait_s in (None, outcomes[0][1]), "back too early or late"
    seed = data[1] if len(data) > 1 else 0
    if seed:
        found = V.either(V.serve(data, seed), (outcomes, network))
        long = any(len(line) > http.LINE_LIMIT for line in V.expand(data[2:]).split(b"\n"))
        limit = "over" if long else "under"
        assert not found.startswith(V.CUT), f"it matters how it is cut, lines {limit} the limit"
    return verdict


def check_requests(asked: list) -> None:
    """Those of one file, by connection: none twice, but where a connection that was kept is gone."""
    once = []
    for requests in asked:
        again = once and requests and requests[0] == once[-1]
        once += requests[1:] if again else requests
    assert len(set(once)) == len(once) <= MOST_REQUESTS, "asked for the same again, or too often"


RANGE = re.compile(rb"(?i:bytes) ([0-9]{1,10})-([0-9]{1,10})/([0-9]{1,10})")


def check_body(options: int, number: int, outcome: tuple, stream, at: int) -> None:
    """Is it the body of the answer at `at` of a stream, as a reader with another mind reads it?"""
    status, start, size, total, tag, body = outcome
    body = bytes(body)
    fields, end = read_fields(stream.data, at)
    values = {name: [v for n, v in fields if n == name] for name, _ in fields}
    coding = values.get(b"transfer-encoding", [])
    lengths = values.get(b"content-length", [])
    assert not coding or (not lengths and [v.lower() for v in coding] == [b"chunked"]), "framing"
    assert len(lengths) < 2 and all(re.fullmatch(rb"[0-9]{1,10}", v) for v in lengths), "length"
    assert all(v.lower() == b"identity" for v in values.get(b"content-encoding", [])), "coding"
    assert not tag or (values[b"etag"][-1] == tag and re.fullmatch(rb'(W/)?"[!-~]*"', tag)), "tag"
    ranges = values.get(b"content-range", [])
    if status == 206:
        part = 5000 if options & V.ASK_MUCH else 16
        first, last, all_of_it = map(int, RANGE.fullmatch(ranges[0]).groups())
        assert (start, start + size, total) == (first, last + 1, all_of_it), "another range"
        assert options & V.ASK_PART and start == number * part and 0 < size <= part, (
            "not asked for"
        )
        assert not lengths or int(lengths[0]) == size, "two lengths"
        request = next(text for text, begin in stream.asked if begin == at)
        wanted = re.search(rb"If-Range: (.*)\r\n", request)
        assert not wanted or wanted[1] == tag, "another version"
    else:
        assert (status, start) == (200, 0) and not any(map(RANGE.fullmatch, ranges)), "status"
        assert size == total == (int(lengths[0]) if lengths else -1), "size"
    if coding:
        sent = read_loose_chunks(stream.data, end)
        short = size != -1 or options & V.AS_WRITER
        assert sent is not None or short, "chunks"
        assert sent is None or sent == body or (short and sent.startswith(body)), "other bytes"
    else:
        assert body == stream.data[end : end + len(body)], "other bytes"
        assert options & V.AS_WRITER or size != -1 or end + len(body) == len(stream.data), "fewer"


def read_fields(data: bytes, at: int) -> tuple:
    """Names and values of the head at `at`, and where it ends; as lenient as can be."""
    while True:
        end = data.index(b"\n", at) + 1
        status = int(data[at:end].split()[1])
        fields = []
        while True:
            at, end = end, data.index(b"\n", end) + 1
            line = data[at:end].rstrip(b"\n").rstrip(b"\r")
            if not line:
                break
            name, colon, value = line.partition(b":")
            assert name and colon and name == name.strip(), "a line that is no header"
            fields.append((name.lower(), value.strip()))
        at = end
        if status >= 200:
            return fields, at


LOOSE_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r*\n")
LOOSE_END = re.compile(rb"\r*\n")
LOOSE_TRAILER = re.compile(rb"(?:[^\n]*\n)*?\r*\n")


def read_loose_chunks(data: bytes, at: int) -> "bytes | None":
    """A whole chunked body, None where there is none."""
    body = b""
    while True:
        line = LOOSE_CHUNK.match(data, at)
        if not line:
            return None
        size = int(line[1], 16)
        at = line.end() + size
        if not size:
            return body if LOOSE_TRAILER.match(data, at) else None
        body += data[at - size : at]
        line = LOOSE_END.match(data, at)
        if not line:
            return None
        at = line.end()


STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2}) [\t -~\x80-\xff]*\r\n")
FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?|)"
    rb"[ \t]*\r\n"
)
CHUNK = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
DATE = "%a, %d %b %Y %H:%M:%S GMT"
IMF_DATE = re.compile(rb"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} (197|198|199|20.)[0-9] .{8} GMT")
FREE = (b"server", b"x", b"vary", b"accept-ranges", b"last-modified", b"cache-control", b"via")


class Answer:
    """A response as RFC 9112 has it, to the letter, read without the library.

    Attributes:
        status; body: the bytes of it that are there.
        is_whole: all of it is there, and a length said so.
        is_cut: it has a length, and ends before that.
        is_strict: as far as it is there, it is to the letter.
        end: where the next answer begins, -1 where the connection has to end, or did.
        wait_s: seconds after which to ask again, None where that is not clear.
        has_range: it says which part it is.
        is_plain: an answer to anything, in all limits: the library has to take it.
    """

    def __init__(self, status, keeps, fields, data, at):
        self.status = status
        names = [name for name, _ in fields]
        self.has_range = b"content-range" in names
        lengths = [value for name, value in fields if name == b"content-length"]
        coding = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        self.end = -1
        self.is_whole = self.is_cut = False
        self.is_strict = True
        long = False
        if coding:
            self.body, end, long = read_chunks(data, at)
            self.is_whole = end > 0
            self.is_cut = end < 0
            self.is_strict = end != 0
            self.end = end if end > 0 else -1
        elif lengths:
            size = int(lengths[0])
            self.body = data[at : at + size]
            self.is_whole = len(self.body) == size
            self.is_cut = not self.is_whole
            self.end = at + size if self.is_whole else -1
        else:
            self.body = data[at:]
        if status in (204, 304):
            self.end = -1 if coding else at
        if not keeps or any(v.lower() == b"close" for n, v in fields if n == b"connection"):
            self.end = -1
        self.wait_s = wait_of(fields)
        self.is_plain = (
            status == 200
            and self.is_whole
            and not long
            and not set(names) - {*FREE, b"content-length", b"transfer-encoding", b"connection"}
        )


def read_answer(data: bytes, at: int) -> "Answer | None":
    """The answer that begins at `at`; None where there is none, or one that may be refused."""
    begin = at
    is_odd = False
    while True:
        line = STATUS.match(data, at)
        if not line:
            return None
        status = int(line[1])
        keeps = line[0].startswith(b"HTTP/1.1")
        at = line.end()
        fields = []
        lines = [line]
        while True:
            line = FIELD.match(data, at)
            if not line:
                break
            lines.append(line)
            fields.append((line[1].lower(), line[2]))
            at = line.end()
        if data[at : at + 2] != b"\r\n" or len(fields) > http.HEADERS_LIMIT:
            return None
        at += 2
        if at - begin > http.HEAD_LIMIT or max(len(line[0]) for line in lines) > http.LINE_LIMIT:
            return None
        if status >= 200:
            break
        is_odd = is_odd or fields  # whatever they say there
    lengths = [value for name, value in fields if name == b"content-length"]
    coding = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(coding) > 1 or coding not in ([], [b"chunked"]):
        return None
    if lengths and not re.fullmatch(rb"[0-9]{1,10}", lengths[0]):
        return None
    answer = Answer(status, keeps, fields, data, at)
    answer.is_plain = answer.is_plain and not is_odd
    return answer


def wait_of(fields: list) -> "int | None":
    """By Retry-After, RFC 9110 section 10.2.3, with a Date to begin from where it is a date."""
    values = [[v for n, v in fields if n == name] for name in (b"retry-after", b"date")]
    after, dates = values
    if len(after) != 1 or len(dates) > 1:
        return None
    if re.fullmatch(rb"[0-9]{1,10}", after[0]):
        return int(after[0])
    if not dates or not all(IMF_DATE.fullmatch(v[0]) for v in values):
        return None
    try:
        end, start = [datetime.datetime.strptime(v[0].decode(), DATE) for v in values]
    except ValueError:
        return None
    return max(0, int((end - start).total_seconds()))


def read_chunks(data: bytes, at: int) -> tuple:
    """Bytes of a chunked body; where it ends, -1 where it is cut short, 0 where it may be refused;
    whether a limit may be exceeded."""
    body = b""
    long = False
    while True:
        line = CHUNK.match(data, at)
        if not line:
            return body, 0 if b"\n" in data[at:] else -1, long
        size = int(line[1], 16)
        long = long or len(line[1]) > 8 or len(line[0]) > http.LINE_LIMIT
        at = line.end()
        if not size:
            break
        body += data[at : at + size]
        at += size
        if data[at : at + 2] != b"\r\n":
            return body, -1 if b"\r\n".startswith(data[at : at + 2]) else 0, long
        at += 2
    begin = at
    line = FIELD.match(data, at)
    while line:
        at = line.end()
        line = FIELD.match(data, at)
    end = at + 2 if data[at : at + 2] == b"\r\n" else 0 if b"\n" in data[at:] else -1
    return body, end, long or at - begin > http.LINE_LIMIT


NAME = re.compile(r"[A-Za-z0-9._-]+")


def check_url(data: bytes) -> str:
    text, _, reference = data.partition(b"\0")
    try:
        text, reference = text.decode(), reference.decode()
    except ValueError:
        return V.verdict("url", data)
    base = url_or_none(http.Url, text)
    if base:
        check_one_url(base)
        parts = urllib.parse.urlsplit(text)
        assert (parts.scheme, parts.hostname) == ("https", base.host.lower()), "another host"
        assert (parts.port or 443) == base.port, "another port"
        query = "?" + parts.query if "?" in text.split("#")[0] else ""
        assert (parts.path or "/") + query == base.path, "another path"
    base = base or http.Url(V.URL)
    joined = url_or_none(base.join, reference)
    if joined:
        check_one_url(joined)
        wanted = resolve(base, reference)
        assert joined.path == wanted[1] and joined.authority() == wanted[0], "RFC 3986"
        if reference[:2] == "//" or re.match(r"[^/?#]*:", reference):
            assert vars(joined) == vars(base.join(whole(joined)))
        else:
            assert joined.authority() == base.authority(), "beside, on another host"
    return V.verdict("url", data)


def url_or_none(call, text):
    try:
        return call(text)
    except V.OtaError as e:
        assert e.code == "url"
        return None


def whole(url) -> str:
    return "https://" + url.authority() + url.path


def check_one_url(url) -> None:
    assert NAME.fullmatch(url.host) and 1 <= url.port <= 65535, "host and port"
    assert url.path[0] == "/" and "#" not in url.path
    assert all("!" <= char <= "~" for char in url.path), "path"
    for again in (http.Url(whole(url)), url.join(whole(url))):
        assert vars(again) == vars(url), "its own text is another URL"
    there = url.join("")
    assert vars(there.join("")) == vars(there), "joined twice"
    request = http.request(url, V.AGENT)
    assert REQUEST.fullmatch(request) and request.count(b"\r\n") == 5, "request"


def resolve(base, reference: str) -> tuple:
    """Host with port, and path with query: RFC 3986 section 5.2, from its text."""
    reference = reference.split("#")[0]
    match = re.fullmatch(r"(?:([^:/?]*):)?(?://([^/?]*))?([^?]*)(\?.*)?", reference)
    scheme, authority, path, query = match.groups()
    base_path, mark, base_query = base.path.partition("?")
    if scheme is not None or authority is not None:
        host, colon, port = authority.partition(":")
        if colon and int(port) == 443:
            colon, port = "", ""
        elif colon:
            port = str(int(port))
        # An absolute URL goes out as it stands: removing its dots is left to the server.
        return host + colon + port, (path or "/") + (query or "")
    if not path:
        return base.authority(), without_dots(base_path) + (query or mark + base_query)
    if path[0] != "/":
        path = base_path[: base_path.rindex("/") + 1] + path
    return base.authority(), without_dots(path) + (query or "")


def without_dots(path: str) -> str:
    """Section 5.2.4, step by step."""
    out = ""
    while path:
        if path.startswith("/./") or path == "/.":
            path = "/" + path[3:]
        elif path.startswith("/../") or path == "/..":
            path = "/" + path[4:]
            out = out[: max(0, out.rfind("/"))]
        else:
            end = path.find("/", 1)
            end = len(path) if end < 0 else end
            out += path[:end]
            path = path[end:]
    return out


def check_pins(data: bytes) -> str:
    verdict = V.TARGETS["pins"](data)
    key, _, results = verdict.partition(" ")
    good, bad = 0, -0x3000
    if key[0] != "x":
        assert key == "tls"
        assert results == str([bad, bad, bad, bad, bad, bad])
    else:
        assert results == str([good, 0, 0, good, bad, bad]), "a chain with the pinned key, only"
        whole = bytes.fromhex(key[1:])
        assert element(whole)[1] == whole and len(whole) - len(element(whole)[2]) <= 5, "a piece"
    wanted = strict_key(data)
    assert wanted is None or key == "x" + wanted.hex(), "another key than the certificate's"
    return verdict


def strict_key(data: bytes):
    """The SubjectPublicKeyInfo of what `cryptography` takes for a certificate, else None."""
    from cryptography import x509

    try:
        rest = x509.load_der_x509_certificate(data).tbs_certificate_bytes
    except Exception:
        return None
    rest = element(rest)[2]
    found = []
    while rest:
        tag, one, _ = element(rest)
        rest = rest[len(one) :]
        if tag != 0xA0:  # the version
            found.append(one)
    return found[5]  # serial, algorithm, issuer, validity, subject


def element(data: bytes) -> tuple:
    """The first DER element: its tag, all of it, its contents."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    assert at + size <= len(data), "an element cut short"
    return data[0], data[: at + size], data[at : at + size]


# Where the search begins.


def response(status=b"200 OK", *fields: bytes, body: bytes = b"", length: bool = True) -> bytes:
    if length:
        fields = (*fields, b"Content-Length: %d" % len(body))
    return b"HTTP/1.1 %s\r\n%s\r\n" % (status, b"".join(f + b"\r\n" for f in fields)) + body


def chunked(body: bytes, *fields: bytes, status=b"200 OK") -> bytes:
    return response(status, b"Transfer-Encoding: chunked", *fields, body=body, length=False)


def run(count: int, char: bytes) -> bytes:
    """At least `count` times a character, as `verdicts_http.expand` reads it, and the rest plain."""
    units, rest = divmod(count, 32)
    out = b""
    while units:
        out += b"\xff" + bytes((min(units, 255),)) + char
        units -= min(units, 255)
    return out + char * rest


def http_seeds() -> list:
    part, tag, twice, much, writer = V.ASK_PART, V.ASK_TAG, V.ASK_TWICE, V.ASK_MUCH, V.AS_WRITER
    silent, reset, late = (end << V.END_SHIFT for end in (V.SILENT, V.RESET, V.LATE))
    body = b"0123456789abcdef"
    etag = b'ETag: "v1"'
    ranged = response(b"206 P", b"Content-Range: bytes 0-15/99", etag, body=body)
    second = response(b"206 P", b"Content-Range: bytes 16-31/99", etag, body=body)
    other = response(b"206 P", b"Content-Range: bytes 16-31/99", b'ETag: "v2"', body=body)
    moved = b"Location: https://b.example/x?s=1"
    plain = response(body=body, length=True)
    big = run(5000, b"z")
    of_5000 = b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-4999/9000\r\n\r\n" + big
    head = b"HTTP/1.1 200 OK\r\n"
    text = [
        (0, plain),
        (0, response(b"200 OK", b"Server: x", b"Date: y", b"Connection: close", body=body)),
        (0, response(b"200 OK", body=body, length=False)),
        (0, response(b"200 OK", body=b"")),
        (0, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok"),
        (0, b"HTTP/1.1 200\nContent-Length:2\n\nok"),
        (writer, plain),
        (writer, response(b"200 OK", body=body, length=False)),
        (writer, head + b"Content-Length: 6000\r\n\r\n" + run(6000, b"a")),
        (0, head + b"Content-Length: 6001\r\n\r\n" + run(6001, b"a")),
        (0, head + b"Content-Length: 6000\r\n\r\n" + run(6000, b"a")),
        (0, head + b"Content-Length: 9999999999\r\n\r\nx"),
        (0, head + b"Content-Length: 10000000000\r\n\r\nx"),
        (0, head + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        (0, head + b"Content-Length: +5\r\n\r\nhello"),
        (0, head + b"Content-Length: 5, 5\r\n\r\nhello"),
        (0, head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (0, head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
        (0, head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (0, head + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
        (0, head + b"Content-Encoding: Identity\r\nContent-Length: 1\r\n\r\nx"),
        (0, head + b"X: a\r\n folded: b\r\nContent-Length: 1\r\n\r\nx"),
        (0, head + b"Content-Length : 1\r\n\r\nx"),
        (0, head + b"no colon\r\n\r\n"),
        (0, chunked(b"5\r\nhello\r\n0\r\n\r\n")),
        (0, chunked(b"5;a=b\r\nhello\r\nA \t;c\r\n0123456789\r\n0;x\r\nTrailer: 1\r\nB: 2\r\n\r\n")),
        (0, chunked(b"5\nhello\n000\n\n")),
        (0, chunked(b"00000005\r\nhello\r\n0\r\n\r\n")),
        (0, chunked(b"000000005\r\nhello\r\n0\r\n\r\n")),
        (0, chunked(b"5\r\nhelloX\r\n0\r\n\r\n")),
        (0, chunked(b"-1\r\n\r\n")),
        (0, chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
        (0, chunked(b"\r\n0\r\n\r\n")),
        (0, chunked(b"FFFFFFFF\r\nhello")),
        (0, chunked(b"1000\r\n" + run(4096, b"c") + b"\r\n10\r\n" + body + b"\r\n0\r\n\r\n")),
        (0, chunked(b"5;" + run(4300, b"e") + b"\r\nhello\r\n0\r\n\r\n")),
        (0, chunked(b"1\r\nx\r\n0\r\n" + (b"T: " + run(4000, b"t") + b"\r\n") * 5 + b"\r\n")),
        (writer, chunked(b"1000\r\n" + run(4096, b"c") + b"\r\n770\r\n" + run(1904, b"d") + b"\r\n")),
        (twice, chunked(b"5\r\nhello\r\n0\r\n\r\n") * 2),
        (twice, plain * 2),
        (twice, plain + V.NEXT + plain),
        (twice, response(b"200 OK", b"Connection: close", body=body) + V.NEXT + plain),
        (twice, response(b"404 N", body=b"none") + V.NEXT + plain),
        (twice, plain.replace(b"1.1", b"1.0") * 2),
        (tag | twice, chunked(b"0\r\n\r\n", status=b"304 N") + plain),
        (0, response(b"302 F", b"Location: /d/f?q") + plain),
        (0, response(b"302 F", b"Location: /y") + response(b"302 F", b"Location: /d/f?q") + plain),
        (0, response(b"200 OK", b"Content-Range: bytes 0-15/16", body=body)),
        (0, response(b"200 OK", b"Content-Length: 3", body=body)),
        (0, response(b"200 OK", b'ETag: "a b"', body=body)),
        (0, head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        (twice, chunked(b"5\r\nhello\r\n0\r\nT: 1\r\nU: 2\r\n\r\n") + plain),
        (0, chunked(b"1\r\nx\r\n0\r\n" + (b"T: " + run(4000, b"t") + b"\r\n") * 10 + b"\r\n")),
        (0, response(b"200 OK", b'ETag: "a b"', b'etag: W/"c"', body=body)),
        (0, chunked(b"g\r\n0123456789abcdef\r\n0\r\n\r\n")),
        (0, chunked(b"3\r\nabc\r\r\n0\r\nT: 1\r\n\r\n")),
        (writer, chunked(b"5\r\nhelloX\r\n0\r\n\r\n")),
        (0, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + plain),
        (0, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        (part, ranged),
        (part | writer, ranged),
        (part | twice, ranged + second),
        (part | twice | writer, ranged + second),
        (part | twice, ranged + V.NEXT + second),
        (part | twice, ranged + other),
        (part | twice, ranged + response(b"200 OK", b'ETag: "v2"', body=body)),
        (part | twice, ranged.replace(b'"v1"', b'W/"v1"') + second),
        (part | twice, ranged + response(b"416 R", b"Content-Range: bytes */16")),
        (part, chunked(b"10\r\n" + body + b"\r\n0\r\n\r\n", b"Content-Range: bytes 0-15/99", status=b"206 P")),
        (part, plain),
        (part | writer, response(body=body * 3)),
        (part, response(b"206 P", b"Content-Range: bytes 0-14/99", body=body[:15])),
        (part, response(b"206 P", b"Content-Range: bytes 0-15/*", body=body)),
        (part, response(b"206 P", b"Content-Range: items 0-15/99", body=body)),
        (part, response(b"206 P", b"Content-Range: bytes 16-31/99", body=body)),
        (part, response(b"206 P", b"Content-Range: bytes 0-15/10", body=body)),
        (part, response(b"206 P", b"Content-Range: bytes 0-15/99", body=body[:9])),
        (part | much, of_5000),
        (part | much | writer, of_5000),
        (part | much, of_5000.replace(b"4999", b"4095")),
        (part | much, of_5000.replace(b"4999", b"4094")),
        (0, response(b"301 M", moved) + V.NEXT + plain),
        (twice, response(b"302 F", moved, body=b"a page") + V.NEXT + plain + plain),
        (part | twice, response(b"307 T", moved) + V.NEXT + ranged + response(b"403 F") + V.NEXT + second),
        (0, response(b"302 F", b"Location: /y", body=b"a page") + plain),
        (0, response(b"302 F", b"Location: /y", body=b"a page", length=False) + V.NEXT + plain),
        (0, b"".join(response(b"308 P", b"Location: %d" % i) for i in range(5)) + plain),
        (0, b"".join(response(b"303 S", b"Location: ?%d" % i) for i in range(6)) + plain),
        (0, response(b"301 M", b"Location: ?q") + plain),
        (0, response(b"301 M", b"Location: //c.example:8443/z") + V.NEXT + plain),
        (0, response(b"301 M", b"Location: http://a.example/") + V.NEXT + plain),
        (0, response(b"301 M", b"Location: /\xc3\xa9") + plain),
        (0, response(b"301 M", b"Location: /\xff") + plain),
        (0, response(b"301 M") + plain),
        (0, response(b"301 M", b"Location: /" + run(4085, b"l")) + plain),
        (0, response(b"301 M", b"Location: /" + run(4300, b"l")) + plain),
        (tag, response(b"304 N", b'ETag: "kept"', length=False)),
        (tag | twice, b"HTTP/1.1 304 N\r\nContent-Length: 99\r\n\r\n" + plain),
        (tag, response(b"200 OK", b'ETag: W/"new"', body=body)),
        (0, response(b"304 N", length=False)),
        (0, response(b"200 OK", b'ETag: W/"', body=body)),
        (0, response(b"200 OK", b'ETag: ""', body=body)),
        (0, response(b"200 OK", b"ETag: none", body=body)),
        (0, response(b"401 U", b"WWW-Authenticate: Basic", body=b"who?")),
        (0, response(b"503 S", b"Retry-After: 120")),
        (0, response(b"429 T", b"Date: Sun, 06 Nov 1994 08:49:37 GMT", b"Retry-After: Sun, 06 Nov 1994 08:59:37 GMT")),
        (0, response(b"503 S", b"Retry-After: Sun, 06 Nov 1994 08:59:37 GMT")),
        (0, response(b"503 S", b"Retry-After: Sun, 06 Nov 1994 08:59:37 GMT", b"Date: Sun, 06 Nov 1994 08:49:37 GMT")),
        (0, response(b"204 N", length=False)),
        (0, response(b"301 M", b"Location: /y", b"Content-Range: bytes 0-9/20", body=body) + plain),
        (0, response(b"301 M", b"Location: /y", b"Content-Range: bytes 0-9/20", body=body[:10], length=False) + plain),
        (0, b"HTTP/2 200 OK\r\n\r\n"),
        (0, b"HTTP/1.1 2000 OK\r\n\r\n"),
        (0, b"HTTP/1.1 099 OK\r\n\r\n"),
        (0, b"220 mail.example ESMTP\r\n"),
        (0, b""),
        (silent, head),
        (silent, response(body=body)[:-4]),
        (reset, head + b"Conten"),
        (reset | V.CRASHES, head + b"Content-Length: 9\r\n\r\n123"),
        (reset | V.CRASHES, b""),
        (reset | V.CRASHES | twice, plain + V.NEXT + plain),
        (reset | V.CRASHES | twice, plain),
        (late, chunked(b"5\r\nhel")),
        (late | writer | V.CRASHES, chunked(b"5\r\nhel")),
        (0, head + b"X: " + run(4219, b"x") + b"\r\nContent-Length: 2\r\n\r\nok"),
        (0, head + b"X: " + run(8000, b"x") + b"\r\nContent-Length: 2\r\n\r\nok"),
        (0, head + b"Content-Length:" + run(4300, b" ") + b"2\r\n\r\nok"),
        (0, head + b"Connection: keep-alive" + run(4300, b" ") + b", close\r\nContent-Length: 2\r\n\r\nok"),
        (0, head + b"Transfer-Encoding: chunked" + run(4300, b" ") + b", gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (0, head + (b"X: " + run(4000, b"x") + b"\r\n") * 4 + b"Content-Length: 2\r\n\r\nok"),
        (0, head + (b"X: " + run(4000, b"x") + b"\r\n") * 5 + b"Content-Length: 2\r\n\r\nok"),
        (0, head + b"X: y\r\n" * 99 + b"Content-Length: 2\r\n\r\nok"),
        (0, head + b"X: y\r\n" * 100 + b"Content-Length: 2\r\n\r\nok"),
        (0, head + b"ETag: \"" + b"e" * 126 + b"\"\r\nContent-Length: 2\r\n\r\nok"),
        (0, head + b"ETag: \"" + b"e" * 127 + b"\"\r\nContent-Length: 2\r\n\r\nok"),
    ]  # fmt: skip
    return [bytes((options, seed)) + sent for options, sent in text for seed in (0, 4)]


def url_seeds() -> list:
    bases = (
        "https://a.example/d/f?q https://a.example https://a:8443/b/c/?x https://h//p/./q/../r#s"
    )
    references = (
        "g ./g g/ /g //g.example/h ?y g?y #s g#s g?y#s ;x . ./ .. ../ ../g ../.. ../../../g /./g "
        "/../g g. .g g.. ..g ./../g ./g/. g/./h g/../h https://b/x HTTPS://b/ http://b/ https: a:b "
        "g?y/./x g#s/../x //h:443/ //h:0443/x //h:99999/ /a:b ./a:b //u@h/ //[::1]/ // /// ////x "
        "https://h:443 https://h? %2e%2e/x \\\\x"
    )
    cases = [(base, "") for base in bases.split(" ")]
    cases += [(base, text) for base in bases.split(" ")[:2] for text in references.split(" ")]
    return [base.encode() + b"\0" + text.encode() for base, text in cases]


def pins_seeds() -> list:
    from cryptography.hazmat.primitives.serialization import Encoding

    from ota_tools import certificates

    authority = certificates.make_authority("a fuzzer's own")
    server = certificates.issue(authority, ["a.example", "192.0.2.1"])
    ders = [identity.certificate.public_bytes(Encoding.DER) for identity in (authority, server)]
    ders += [path.read_bytes() for path in sorted(OPENSSL.glob("tls-*.der"))]
    short = bytes.fromhex("3016 3014 a000 0200 3000 3000 3000 3000 3004 3000 0300 3000")
    plain = bytes.fromhex("300e 300c 0200 3000 3000 3000 3000 3000")
    long = bytes.fromhex("308110 3082000c 0200 3000 3000 3000 3000 3000")
    empty = bytes.fromhex("3002 3000")
    return [
        *ders,
        *(der[: len(der) // 2] for der in ders),
        short,
        plain,
        long,
        empty,
        b"",
        b"\x30",
    ]


SEEDS = {"http": http_seeds, "url": url_seeds, "pins": pins_seeds}

WORDS = {
    "http": [
        *b"HTTP/1.1 |HTTP/1.0 |200|206|304|301|307|416|503|401|100|\r\n|\r\n\r\n|: |0\r\n\r\n".split(b"|"),
        *b"Content-Length: |Content-Range: bytes 0-15/99|Content-Range: bytes */9".split(b"|"),
        *b"Transfer-Encoding: chunked\r\n|Content-Encoding: |Connection: close\r\n".split(b"|"),
        *b'ETag: "v1"\r\n|ETag: W/|Location: |https://|Retry-After: |Date: |identity'.split(b"|"),
        *b"Sun, 06 Nov 1994 08:49:37 GMT|keep-alive|bytes|;a=b|10\r\n".split(b"|"),
        *(b"\xfe", b"\xff\x84", b"\xff\x10 ", b"\xff\xffx"),
    ],
    "url": [b"https://", b"//", b"/../", b"/./", b"..", b"\0", b":443", b"?", b"#", b"@", b"a.example"],
    "pins": [b"\x30\x82", b"\x30\x81", b"\x30\x00", b"\xa0\x03", b"\x30\x80", b"\x83\xff\xff\xff"],
}  # fmt: skip


# The search: a process of its own, because libFuzzer ends it.


def search(target: str, folder: Path) -> None:
    """Until somebody ends it: inputs of their own in folder/corpus, findings in folder/findings."""
    import atheris

    with atheris.instrument_imports(include=["ota"]):
        load()
    for i, data in enumerate([*kept(target), *SEEDS[target]()]):
        (folder / "corpus" / f"seed-{i}").write_bytes(data)
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in WORDS[target]]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in quoted))
    seen = set()
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % REPORT_EVERY == 0:
            print("ran", count, flush=True)
        try:
            check(target, data)
        except Exception as e:
            where = described(e)
            if where not in seen and len(seen) < MOST_FINDINGS:
                seen.add(where)
                (folder / "findings" / str(len(seen))).write_text(f"{where}\n{data.hex()}\n")

    arguments = [f"-dict={folder / 'words'}", f"-max_len={LONGEST_INPUT[target]}", "-timeout=20"]
    arguments += [f"-artifact_prefix={folder}/findings/", "-verbosity=1", str(folder / "corpus")]
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def described(e: Exception) -> str:
    """Kind and message, and the last line of the library that it went through."""
    lines = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.startswith(str(LIB))]
    where = f" at {Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else ""
    return f"{type(e).__name__} {str(e).splitlines()[:1]}{where}"


PROGRESS = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)/")


class Search:
    """Runs `search` and follows it.

    Attributes:
        figures: of what it did until now.
    """

    def __init__(self, target: str, folder: Path) -> None:
        self.figures = {"executions": 0, "edges": 0, "features": 0, "inputs": 0}
        self._start = self._edge = self._feature = time.monotonic()
        command = [sys.executable, __file__, "--search", str(folder), target]
        self._child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._last = []
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def quiet(self) -> float:
        """Seconds since an edge was reached that had not been."""
        return time.monotonic() - self._edge

    def quiet_features(self) -> float:
        """Seconds since an edge was reached so or so often."""
        return time.monotonic() - self._feature

    def has_ended(self) -> str:
        """What it said last, where it ended by itself."""
        return "" if self._child.poll() is None else "\n".join(self._last) or "nothing"

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()

    def _follow(self) -> None:
        figures = self.figures
        for line in self._child.stdout:
            self._last = [*self._last[-20:], line.rstrip()]
            match = PROGRESS.match(line)
            if match:
                executions, edges, features, inputs = map(int, match.groups())
                if edges > figures["edges"]:
                    self._edge = time.monotonic()
                if features > figures["features"]:
                    self._feature = time.monotonic()
                figures["edges"] = max(edges, figures["edges"])
                figures["features"] = max(features, figures["features"])
                figures["inputs"] = inputs
            elif line.startswith("ran "):
                executions = int(line.split()[1])
            else:
                continue
            figures["executions"] = max(executions, figures["executions"])


def fuzz(target: str, options) -> list:
    """Search, keep, write figures; what was found, each a line and an input."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        (folder / "findings").mkdir()
        search = Search(target, folder)
        figures = search.figures
        try:
            while not search.has_ended() and search.seconds() < options.seconds:
                if figures["executions"] >= options.executions:
                    if search.quiet() >= options.quiet_seconds:
                        break
                time.sleep(1)
                if int(search.seconds()) % 30 == 0:
                    print(f"{target}: {int(search.seconds())} s, {figures}, quiet", end=" ")
                    print(
                        f"{int(search.quiet())} s, features {int(search.quiet_features())} s",
                        flush=True,
                    )
            said = search.has_ended()
        finally:
            search.end()
        found = []
        for path in sorted((folder / "findings").iterdir()):
            if path.name.isdigit():
                found.append(path.read_text().splitlines())
            else:  # libFuzzer's own: too slow, too much memory, a crash of the interpreter
                found.append([path.name, path.read_bytes().hex()])
        if said:
            found.append([f"it ended by itself:\n{said}", ""])
        figures["seconds"] = int(search.seconds())
        figures["quiet_seconds"] = int(search.quiet())
        figures["quiet_features_seconds"] = int(search.quiet_features())
        figures["findings"] = len(found)
        inputs = [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    figures["kept"] = keep(target, inputs)
    write_figures(target, figures)
    print(f"{target}: {figures}", flush=True)
    return found


def write_figures(target: str, figures: dict) -> None:
    everything = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    everything[target] = {"date": str(datetime.date.today()), **figures}
    FIGURES.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")


# The kept inputs: a line of hexadecimal each.


def kept(target: str) -> list:
    path = KEPT / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(target: str, inputs: list) -> int:
    """Write the inputs that reach something which no smaller one reaches; how many."""
    seen: set = set()
    chosen = []
    for data in [*dict.fromkeys(kept(target)), *sorted(set(inputs), key=lambda d: (len(d), d))]:
        reached = trace(target, data)
        if reached - seen and data not in chosen and len(chosen) < MOST_KEPT:
            seen |= reached
            chosen.append(data)
    KEPT.mkdir(exist_ok=True)
    lines = sorted((data.hex() for data in chosen), key=lambda line: (len(line), line))
    (KEPT / f"{target}.hex").write_text("".join(line + "\n" for line in lines))
    return len(chosen)


def trace(target: str, data: bytes) -> set:
    """What an input reaches: steps between instructions of lib/ota, and its verdict without digits.

    Nothing where it is a finding.
    """
    reached = set()
    lib = str(LIB)

    def enter(frame, event, _):
        if not frame.f_code.co_filename.startswith(lib):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        code = frame.f_code
        last = [-1]

        def step(frame, event, _):
            if event == "opcode":
                reached.add((code.co_filename, code.co_firstlineno, last[0], frame.f_lasti))
                last[0] = frame.f_lasti
            return step

        return step

    sys.settrace(enter)
    try:
        verdict = check(target, data)
    except Exception:
        return set()
    finally:
        sys.settrace(None)
    reached.add(re.sub(r"[0-9a-f]{2,}", "", verdict) if target == "http" else verdict[:4])
    return reached


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Search for inputs that are read wrongly")
    parser.add_argument("target", nargs="*", help=", ".join(SEEDS))
    parser.add_argument("--seconds", type=int, default=7200, help="at most")
    parser.add_argument("--quiet-seconds", type=int, default=600, help="without anything new")
    parser.add_argument("--executions", type=int, default=1_000_000, help="at least")
    parser.add_argument("--search", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = options.target or list(SEEDS)
    if set(targets) - set(SEEDS):
        parser.error("targets are " + ", ".join(SEEDS))
    if options.search:
        search(targets[0], Path(options.search))
    load()
    found = [(target, *finding) for target in targets for finding in fuzz(target, options)]
    for target, where, digits in found:
        print(f"FOUND in {target}: {where}\n  {digits}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
