"""The network's side: what is made of anything that a server may send."""

import re

import verdicts_http as V  # noqa: N812

from ota import http

from .answers import read_answer, read_fields, read_loose_chunks
from .target import Target


class Http(Target):
    """Requests, their secrets, the ends of bodies, limits; RFC 9112 read a second time."""

    name = "http"
    words = (
        *b"HTTP/1.1 |HTTP/1.0 |200|206|304|301|307|416|503|401|100|\r\n|\r\n\r\n|: |0\r\n\r\n".split(b"|"),
        *b"Content-Length: |Content-Range: bytes 0-15/99|Content-Range: bytes */9".split(b"|"),
        *b"Transfer-Encoding: chunked\r\n|Content-Encoding: |Connection: close\r\n".split(b"|"),
        *b'ETag: "v1"\r\n|ETag: W/|Location: |https://|Retry-After: |Date: |identity'.split(b"|"),
        *b"Sun, 06 Nov 1994 08:49:37 GMT|keep-alive|bytes|;a=b|10\r\n".split(b"|"),
        *(b"\xfe", b"\xff\x84", b"\xff\x10 ", b"\xff\xffx"),
    )  # fmt: skip

    def seeds(self):
        return seeds()

    def check(self, data):
        return re.sub(r"[0-9a-f]{2,}", "", check_http(data))


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
    """The verdict for an input, where all of it is right."""
    outcomes, network = V.serve(data, 0)
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
    return V.text_of(outcomes)


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


def seeds() -> list:
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
