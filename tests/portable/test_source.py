"""The source: redirects, parts of one version, kept connections, posts, and nothing but what was asked for."""

from fakes import Clock, code_of, raises

from ota.errors import OtaError, error
from ota.http import Url
from ota.net import Link
from ota.source import Source

URL = Url("https://here/x")
FILE = bytes(range(256)) * 64


class Server:
    """A network with servers on it: `answers` are bytes, one per request, in their order.

    Attributes:
        asked: requests, each as (connection number, its range).
        requests: the same, each as (authority, text).
        open, connections: that are open now, that there were.
        most: bytes that a call gives or takes, 0 for as many as there are.
        gaps: every other call gives and takes nothing.
        end: what comes behind the last byte: b"" the end, None nothing yet, or an OSError.
        nap_ms: how long nothing comes where it does not, 0 for a millisecond in a gap.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.requests = []
        self.connections = 0
        self.open = 0
        self.most = 0
        self.gaps = False
        self.nap_ms = 0
        self.end = b""
        self.clock = Clock()
        self.patience = self.clock.patience()

    def connect(self, url, patience):
        yield
        patience.phase()
        self.connections += 1
        self.open += 1
        nap_ms = self.nap_ms or (1 if self.gaps else 250)
        return Wired(Connection(self, self.connections, url), patience, nap_ms)

    def handshake_error(self, url, e):
        return error("tls", "%s" % e)


class Connection:
    """A TLS stream to `Server`, which never blocks."""

    def __init__(self, server, number, url):
        self.server = server
        self.number = number
        self.authority = url.authority()
        self.request = b""
        self.rest = b""
        self.calls = 0

    def write(self, data):
        if self._is_gap():
            return None
        data = data[: self._most(len(data))]
        self.request += data
        head, end, body = self.request.partition(b"\r\n\r\n")
        if end and len(body) == int(field(head.decode(), "Content-Length") or 0):
            text, self.request = self.request.decode(), b""
            self.answer(text)
        return len(data)

    def answer(self, text):
        server = self.server
        server.asked.append((self.number, field(text, "Range")))
        server.requests.append((self.authority, text))
        answer = server.answers.pop(0) if server.answers else b""
        if answer is None:
            raise OSError(104)
        self.rest += answer

    def readline(self, limit):
        return self._take(self.rest.find(b"\n", 0, limit) + 1 or limit)

    def readinto(self, buf):
        data = self._take(len(buf))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def close(self):
        self.server.open -= 1

    def _take(self, size):
        if self._is_gap():
            return None
        size = self._most(size)
        data, self.rest = self.rest[:size], self.rest[size:]
        if not data and isinstance(self.server.end, OSError):
            raise self.server.end
        return data or self.server.end

    def _most(self, size):
        return min(size, self.server.most or size)

    def _is_gap(self):
        self.calls += 1
        return self.server.gaps and self.calls % 2 == 1


class Wired(Link):
    """A link whose stream is no socket."""

    def __init__(self, stream, patience, nap_ms=250):
        self.stream = stream
        self._sock = None
        self.patience = patience
        self.nap_ms = nap_ms

    def wait(self):
        """Nobody is waited for."""


def field(text, name):
    """The header of a request, "" where it is missing."""
    found = [line for line in text.split("\r\n") if line.startswith(name + ": ")]
    assert len(found) <= 1, text
    return found[0][len(name) + 2 :] if found else ""


def source_of(server, secret=""):
    return Source(server, server.patience, "User-Agent: test\r\n", secret)


def get(source, *args):
    """What `Source.get` gives."""
    return source._network.clock.drive(source.get(*args))


def read(source, body, limit=16384):
    """All bytes of a body."""
    return source._network.clock.drive(body.read(limit))


def fetch(source, *args):
    """All bytes of what `Source.get` gives."""
    return read(source, get(source, *args))


def failure(source, *args):
    """The code of the error that `fetch` raises."""
    return code_of(fetch, source, *args)


def refusal(answer, *args):
    """The code of the error for this answer; no connection stays open."""
    server = Server(answer)
    source = source_of(server)
    code = code_of(get, source, URL, *args)
    source.close()
    assert server.open == 0
    return code


def outcome(call, *args):
    """The code of the error, "" where there is none."""
    try:
        call(*args)
    except OtaError as e:
        return e.code
    return ""


def whole(data=FILE, more=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(data), more, data)


def part(start, end, data=None, total=16384, more=b""):
    data = FILE[start:end] if data is None else data
    return (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (start, end - 1, total, len(data), more, data)
    )


def status(number, more=b"", body=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (number, len(body), more, body)


def moved(location, number=302, body=b""):
    return status(number, b"Location: " + location + b"\r\n", body)


def chunks(*pieces, more=b"", end=b"0\r\n\r\n"):
    lines = b"".join([b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + more + b"\r\n" + lines + end


def numbers(server):
    """The connection of each request."""
    return [number for number, _ in server.asked]


def test_parts_come_over_one_connection():
    server = Server(part(0, 10), part(100, 200))
    source = source_of(server)
    body = get(source, URL, 0, 10)
    assert (body.start, body.size, body.total) == (0, 10, len(FILE))
    assert read(source, body) == FILE[:10]
    assert fetch(source, URL, 100, 200) == FILE[100:200]
    assert server.asked == [(1, "bytes=0-9"), (1, "bytes=100-199")]
    source.close()
    assert server.open == 0


def test_any_pieces_of_a_stream_give_the_same():
    answers = (
        part(5, 5000),
        whole(FILE[:300]),
        chunks(FILE[:10], FILE[10:300]),
        b"HTTP/1.0 200 OK\r\n\r\n" + FILE[:300],
        b"HTTP/1.1 103 X\r\nA: b\r\n\r\n" + whole(FILE[:300]),
    )
    for answer in answers:
        for most in (0, 1, 2, 7):
            for gaps in (False, True):
                server = Server(answer)
                server.most, server.gaps = most, gaps
                source = source_of(server)
                wanted = FILE[5:5000] if answer is answers[0] else FILE[:300]
                where = (5, 5000) if answer is answers[0] else ()
                assert fetch(source, URL, *where) == wanted, (answer[:40], most, gaps)
                assert server.requests[0][1].startswith("GET /x HTTP/1.1\r\nHost: here\r\n")


def test_a_body_that_was_not_read_ends_the_connection():
    server = Server(part(0, 10), part(100, 200))
    source = source_of(server)
    get(source, URL, 0, 10)
    assert fetch(source, URL, 100, 200) == FILE[100:200]
    assert numbers(server) == [1, 2]
    assert server.open == 1


def test_a_connection_that_the_server_closes_is_not_used_again():
    server = Server(part(0, 10, more=b"Connection: close\r\n"), part(100, 200))
    source = source_of(server)
    fetch(source, URL, 0, 10)
    fetch(source, URL, 100, 200)
    assert numbers(server) == [1, 2]


def test_a_connection_may_be_closed_by_a_later_answer():
    close = b"Connection: close\r\n"
    server = Server(part(0, 10), part(10, 20, more=close), part(100, 200))
    source = source_of(server)
    for start, end in ((0, 10), (10, 20), (100, 200)):
        fetch(source, URL, start, end)
    assert numbers(server) == [1, 1, 2]


def test_another_host_gets_its_own_connection():
    for other in ("https://there/x", "https://here:8443/x"):
        server = Server(whole(), whole())
        source = source_of(server)
        fetch(source, URL)
        fetch(source, Url(other))
        assert numbers(server) == [1, 2]
        assert server.open == 1


def test_a_kept_connection_that_is_gone_is_opened_again():
    server = Server(whole(), None, whole())
    source = source_of(server)
    fetch(source, URL)
    assert fetch(source, URL) == FILE
    assert server.connections == 2
    assert server.open == 1


def test_a_fresh_connection_is_not_tried_twice():
    server = Server(None, whole())
    source = source_of(server)
    assert failure(source, URL) == "tls"
    assert server.connections == 1
    source.close()
    assert server.open == 0


def test_a_connection_that_breaks_before_the_answer_has_its_code():
    for most in (0, 1):  # in the middle of the request, and behind it
        server = Server(b"")
        server.most = most
        server.end = OSError(104, "reset")
        assert failure(source_of(server), URL) == "link-lost"
        assert server.connections == 1


def test_what_breaks_before_anything_was_sent_is_a_failed_handshake():
    server = Server()
    source = source_of(server)
    for trouble in (OSError(-0x7780, "x"), ValueError("x")):

        def write(data):
            raise trouble  # noqa: B023 - it is called at once

        def connect(url, patience, write=write):
            yield
            link = Wired(Connection(server, 1, url), patience)
            link.stream.write = write
            return link

        server.connect = connect
        assert failure(source, URL) == "tls"


def test_a_server_may_send_the_whole_file_instead_of_a_part():
    body = get(source_of(Server(whole())), URL, 100, 200)
    assert (body.start, body.size, body.total) == (0, len(FILE), len(FILE))


def test_a_part_may_be_shorter_than_asked_for():
    body = get(source_of(Server(part(100, 4196))), URL, 100, 9000)
    assert (body.start, body.size) == (100, 4096)


def test_a_tiny_part_is_refused_unless_so_little_was_asked_for():
    # A server that gives a byte at a time would be asked for ever.
    for start, stop, end in ((100, 4195, 9000), (100, 101, 9000), (100, 199, 200)):
        assert refusal(part(start, stop), start, end) == "http-format", (start, stop, end)
    assert get(source_of(Server(part(100, 101))), URL, 100, 101).size == 1


def test_another_part_than_asked_for_is_refused():
    for answer in (
        part(101, 200),  # starts later
        part(0, 100),  # starts earlier
        part(100, 201),  # is longer
        part(100, 200, data=FILE[100:199]),  # says one thing and sends another
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\n\r\n",  # does not say where
        whole(more=b"Content-Range: bytes 0-9/16384\r\n"),  # a whole file has no range
    ):
        assert refusal(answer, 100, 200) == "http-format", answer[:120]


def test_a_part_that_nobody_asked_for_is_refused():
    assert refusal(part(0, 10)) == "http-status"


def test_other_answers_have_their_code():
    for number in (204, 206, 300, 304, 305, 306, 400, 404, 405, 410, 412, 451, 501, 505, 999):
        assert refusal(status(number)) == "http-status", number
    assert refusal(status(204), 0, 10) == "http-status"


def test_who_is_not_let_in_is_told_so():
    for number in (401, 403, 407):
        assert refusal(status(number)) == refusal(status(number), 0, 10) == "denied", number


def test_a_server_that_has_no_time_says_when_to_come_back():
    for number in (408, 425, 429, 500, 502, 503, 504):
        source = source_of(Server(status(number, b"Retry-After: 17\r\n")))
        e = raises(OtaError, get, source, URL)
        assert (e.code, e.wait_s) == ("server-busy", 17), number
    e = raises(OtaError, get, source_of(Server(status(503))), URL)
    assert (e.code, e.wait_s) == ("server-busy", 0)


def test_an_error_shows_the_path_and_no_query():
    url = Url("https://here/x?token=secret")
    e = raises(OtaError, get, source_of(Server(status(404))), url)
    assert "/x" in str(e) and "404" in str(e) and "secret" not in str(e)


def test_a_connection_that_breaks_when_it_is_closed_does_no_harm():
    source = source_of(Server(whole()))
    fetch(source, URL)

    def close():
        raise OSError(104, "reset")

    source._links[0].stream.close = close
    source.close()


def test_a_file_that_ends_before_the_part_is_not_the_one_that_was_signed():
    answer = status(416, b"Content-Range: bytes */50\r\n")
    assert refusal(answer, 100, 200) == "size-mismatch"
    assert refusal(answer) == "http-status"


def test_an_error_of_the_server_is_not_taken_for_a_lost_connection():
    server = Server(whole(), status(404))
    source = source_of(server)
    fetch(source, URL)
    assert failure(source, URL) == "http-status"
    assert server.connections == 1


def test_what_the_network_says_comes_through():
    class Nowhere(Server):
        def connect(self, url, patience):
            yield
            raise error("unreachable", "no route")

    assert failure(source_of(Nowhere()), URL) == "unreachable"


def test_a_server_that_stops_answering_has_its_code():
    server = Server(b"HTTP/1.1 200 OK\r\n")
    server.end = None
    source = source_of(server)
    assert failure(source, URL) == "timeout"
    assert 20 <= server.clock.seconds() < 21
    source.close()
    assert server.open == 0


def test_a_server_that_takes_nothing_has_its_code():
    class Deaf(Connection):
        def write(self, data):
            return None

    server = Server()
    source = source_of(server)
    steps = source._exchange(Wired(Deaf(server, 1, URL), server.patience), URL, b"x")
    assert code_of(server.clock.drive, steps) == "timeout"


def test_a_kept_connection_that_falls_silent_or_breaks_is_opened_again():
    for end, answers in ((None, (whole(), b"", whole())), (b"", (whole(), None, whole()))):
        server = Server(*answers)
        server.end = end
        source = source_of(server)
        fetch(source, URL)
        assert outcome(get, source, URL) == ""
        assert numbers(server) == [1, 1, 2]


def test_an_answer_is_not_asked_for_again_on_a_new_connection():
    server = Server(whole(), status(404, body=b"never"), whole())
    source = source_of(server)
    fetch(source, URL)
    assert outcome(get, source, URL) == "http-status"
    # and what it said is still in that connection, which is of no use any more
    assert outcome(get, source, URL) == ""
    assert numbers(server) == [1, 1, 2]
    server = Server(whole(), b"no HTTP\r\n\r\n", whole())
    source = source_of(server)
    fetch(source, URL)
    assert outcome(get, source, URL) == "http-format"
    assert numbers(server) == [1, 1]


def test_a_body_that_was_read_in_part_ends_the_connection():
    server = Server(part(0, 10), part(100, 200))
    source = source_of(server)
    body = get(source, URL, 0, 10)
    body.readinto(bytearray(4))
    body.taken(4)
    assert outcome(get, source, URL, 100, 200) == ""
    assert numbers(server) == [1, 2]


def test_a_part_that_does_not_say_where_it_belongs_is_refused_at_the_start_too():
    for n in (0, 10):
        answer = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % n + FILE[:n]
        assert refusal(answer, 0, 10) == "http-format", n


def test_a_part_of_a_file_of_any_size_is_refused():
    assert get(source_of(Server(part(0, 10, total=9999999999))), URL, 0, 10).size == 10
    assert refusal(part(0, 10, total=10000000000), 0, 10) == "http-format"


def test_a_compressed_body_is_refused():
    for coding in (b"gzip", b"br", b"deflate"):
        assert refusal(whole(more=b"Content-Encoding: " + coding + b"\r\n")) == "http-format"


def test_every_request_says_the_same_about_the_device():
    server = Server(moved(b"/y"), whole())
    fetch(source_of(server), URL)
    for _, text in server.requests:
        assert field(text, "User-Agent") == "test"
        assert field(text, "Accept-Encoding") == "identity"


# Bodies


def body_code(answer, *args):
    """The code of the error that fetching a body raises, whatever its pieces."""
    codes = []
    for most, gaps in ((0, False), (1, False), (0, True), (3, True)):
        server = Server(answer)
        server.most, server.gaps = most, gaps
        codes.append(outcome(fetch, source_of(server), URL, *args))
    assert codes == codes[:1] * len(codes), codes
    return codes[0]


def test_a_body_in_chunks_is_their_bytes():
    for pieces in ((), (b"a",), (b"abc", b"d" * 300, b"ef"), (FILE,)):
        source = source_of(Server(chunks(*pieces)))
        body = get(source, URL)
        assert (body.start, body.size, body.total) == (0, -1, -1)
        assert read(source, body) == b"".join(pieces)
        assert body.is_read()


def test_extensions_and_trailers_of_chunks_are_passed_over():
    start = chunks(end=b"")
    for rest in (
        b"5\r\nhello\r\n0\r\n\r\n",
        b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n',
        b"5 ;a\r\nhello\r\n0\t\r\n\r\n",
        b"00000005\r\nhello\r\n000\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n",
        b"5;" + b"x" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
    ):
        for most, gaps in ((0, False), (1, True)):
            server = Server(start + rest)
            server.most, server.gaps = most, gaps
            assert fetch(source_of(server), URL) == b"hello", rest[:40]


def test_chunks_that_are_no_chunks_are_refused():
    start = chunks(end=b"")
    for rest in (
        b"\r\n",
        b"x\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5" + b" " * 70 + b"junk\r\nhello\r\n0\r\n\r\n",
        b";a\r\nhello\r\n0\r\n\r\n",
        b"000000005\r\nhello\r\n0\r\n\r\n",
        b"100000000\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
    ):
        assert body_code(start + rest) == "http-format", rest


def test_chunks_that_end_too_early_are_a_short_body():
    answer = chunks(b"hello", b"you")
    first = answer.find(b"\r\n\r\n") + 4
    for end in range(first, len(answer)):
        server = Server(answer[:end])
        assert failure(source_of(server), URL) == "short-body", answer[first:end]


def test_framing_without_end_is_refused():
    for rest in (b"5;" + b"x" * 20000, b"1" * 20000, b"0\r\n" + b"A: b\r\n" * 5000):
        for most, gaps in ((0, False), (300, True)):
            server = Server(chunks(end=b"") + rest)
            server.most, server.gaps = most, gaps
            assert failure(source_of(server), URL) == "http-format", (rest[:10], most)
    # What belongs to each chunk is limited, not all of it together.
    pieces = [b"x"] * 4000
    assert fetch(source_of(Server(chunks(*pieces))), URL) == b"x" * 4000


def test_chunks_after_which_the_server_keeps_the_connection():
    server = Server(chunks(b"hello"), chunks(b"you"))
    source = source_of(server)
    assert fetch(source, URL) == b"hello"
    assert fetch(source, URL) == b"you"
    assert numbers(server) == [1, 1]


def test_trailers_do_not_become_the_next_answer():
    server = Server(chunks(b"hello", end=b"0\r\nA: b\r\nC: d\r\n\r\n"), chunks(b"you"))
    source = source_of(server)
    assert fetch(source, URL) == b"hello"
    assert fetch(source, URL) == b"you"
    assert numbers(server) == [1, 1]


def test_chunks_whose_end_was_not_read_end_the_connection():
    answer = part(0, 10).replace(b"Content-Length: 10", b"Transfer-Encoding: chunked")
    answer = answer.replace(FILE[:10], b"a\r\n" + FILE[:10] + b"\r\n0\r\n\r\n")
    server = Server(answer, whole())
    source = source_of(server)
    assert fetch(source, URL, 0, 10) == FILE[:10]
    fetch(source, URL)
    assert numbers(server) == [1, 2]


def test_a_body_without_a_length_ends_with_the_connection():
    for head in (b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"):
        server = Server(head + b"\r\n" + FILE, whole())
        source = source_of(server)
        body = get(source, URL)
        assert (body.start, body.size, body.total) == (0, -1, -1)
        assert read(source, body) == FILE
        assert fetch(source, URL) == FILE
        assert numbers(server) == [1, 2]


def test_a_body_without_a_length_ends_the_connection_even_where_it_should_be_kept():
    server = Server(b"HTTP/1.1 200 OK\r\n\r\n" + FILE, whole())
    source = source_of(server)
    assert fetch(source, URL) == FILE
    fetch(source, URL)
    assert numbers(server) == [1, 2]


def test_a_part_without_a_length_ends_the_connection_too():
    # The range says how much it is, but only the end of the connection ends it.
    server = Server(part(0, 10).replace(b"Content-Length: 10\r\n", b"") + b"more", whole())
    source = source_of(server)
    assert fetch(source, URL, 0, 10) == FILE[:10]
    assert fetch(source, URL) == FILE
    assert numbers(server) == [1, 2]


def test_only_a_part_has_a_range():
    more = b"Content-Range: bytes 0-3/16384\r\n"
    page = b"HTTP/1.1 302 X\r\nLocation: /y\r\nContent-Length: 5\r\n" + more + b"\r\nmoved"
    server = Server(page, whole())
    assert fetch(source_of(server), URL) == FILE
    assert numbers(server) == [1, 1]


def test_a_body_shorter_than_its_length_has_its_code():
    for n in (0, 1, len(FILE) - 1):
        answer = whole()[: len(whole()) - len(FILE) + n]
        assert body_code(answer) == "short-body", n
        for end, code in (
            (None, "timeout"),
            (OSError(104, "x"), "link-lost"),
            (OSError(110, "x"), "timeout"),
        ):
            server = Server(answer)
            server.end = end
            assert failure(source_of(server), URL) == code, (n, code)


def test_a_body_longer_than_the_limit_is_refused():
    for answer in (
        whole(FILE[:101]),
        chunks(FILE[:101]),
        chunks(FILE[:50], FILE[:51]),
        chunks(*[b"x"] * 101),
        b"HTTP/1.0 200 OK\r\n\r\n" + FILE[:101],
    ):
        source = source_of(Server(answer))
        body = get(source, URL)
        assert code_of(read, source, body, 100) == "envelope-format", answer[:60]
    for answer in (whole(FILE[:100]), chunks(FILE[:100]), chunks(FILE[:50], FILE[50:100])):
        source = source_of(Server(answer))
        assert read(source, get(source, URL), 100) == FILE[:100]


# Redirects


def test_a_redirect_is_followed_to_where_it_leads():
    for number in (301, 302, 303, 307, 308):
        for location, authority, path in (
            (b"https://there/y?z=1", "there", "/y?z=1"),
            (b"https://there:8443/y", "there:8443", "/y"),
            (b"//there/y", "there", "/y"),
            (b"/y", "here", "/y"),
            (b"y", "here", "/a/y"),
            (b"../y#z", "here", "/y"),
            (b"?y", "here", "/a/x?y"),
        ):
            server = Server(moved(location, number), whole())
            assert fetch(source_of(server), Url("https://here/a/x")) == FILE
            there, text = server.requests[1]
            assert there == authority
            assert text.startswith("GET %s HTTP/1.1\r\nHost: %s\r\n" % (path, authority)), location


def test_five_redirects_are_followed_and_no_more():
    hops = [moved(b"/%d" % i) for i in range(6)]
    assert fetch(source_of(Server(*hops[:5] + [whole()])), URL) == FILE
    server = Server(*hops + [whole()])
    assert failure(source_of(server), URL) == "redirect"
    assert len(server.asked) == 6


def test_a_circle_of_redirects_is_refused():
    for hops in ((b"/x",), (b"/y", b"/x"), (b"/y", b"/z", b"/y"), (b"",), (b"#top",)):
        server = Server(*[moved(hop) for hop in hops] * 3)
        assert failure(source_of(server), URL) == "redirect", hops
        assert len(server.asked) == len(hops)


def test_a_redirect_never_leaves_https():
    for location in (
        b"http://here/y",
        b"http://there/y",
        b"HTTP://there/y",
        b"ftp://there/y",
        b"file:///etc/x",
        b"javascript:x",
        b"https://user@there/y",
        b"https://there:0/y",
        b"https://",
        b"//",
        b"/y\tz",
        b"/y z",
        b"/\xe9",
        b"/\xc3\xa9",
        b"/y\rX: y",
        b"/" + b"y" * 4100,
    ):
        server = Server(moved(location), whole())
        assert failure(source_of(server), URL) == "redirect", location[:40]
        assert len(server.asked) == 1


def test_a_redirect_without_a_place_is_refused():
    assert refusal(status(302)) == "redirect"


def test_each_hop_is_asked_for_the_same_part():
    server = Server(moved(b"https://there/y"), moved(b"z"), part(100, 200))
    assert fetch(source_of(server), URL, 100, 200) == FILE[100:200]
    assert [there for there, _ in server.requests] == ["here", "there", "there"]
    assert [asked for _, asked in server.asked] == ["bytes=100-199"] * 3


def test_a_secret_goes_home_only():
    secret = "Authorization: Bearer key\r\n"
    for location, authority, told in (
        (b"/y", "here", True),
        (b"https://here:443/y", "here", True),
        (b"https://there/y", "there", False),
        (b"https://here:8443/y", "here:8443", False),
        (b"https://sub.here/y", "sub.here", False),
        (b"https://here.example/y", "here.example", False),
    ):
        server = Server(moved(location), whole(), whole())
        source = source_of(server, secret)
        source.home = "here"
        fetch(source, URL)
        assert field(server.requests[0][1], "Authorization") == "Bearer key"
        there, text = server.requests[1]
        assert there == authority
        assert ("key" in text) == told, location
    server = Server(whole())
    fetch(source_of(server, secret), URL)
    assert "key" not in server.requests[0][1]  # nobody is at home


def test_a_redirect_with_a_small_page_keeps_the_connection_on_the_same_host():
    for body, used in ((b"", [1, 1]), (b"moved", [1, 1]), (b"x" * 1024, [1, 1])):
        server = Server(moved(b"/y", body=body), whole())
        assert fetch(source_of(server), URL) == FILE
        assert numbers(server) == used
    for location, body in ((b"/y", b"x" * 1025), (b"https://there/y", b"moved")):
        server = Server(moved(location, body=body), whole())
        source = source_of(server)
        assert fetch(source, URL) == FILE
        assert numbers(server) == [1, 2]
        assert server.open == 1


def test_the_next_part_is_asked_for_where_redirects_led_over_the_kept_connection():
    server = Server(moved(b"https://there/y"), part(0, 100), part(100, 200))
    source = source_of(server)
    fetch(source, URL, 0, 100)
    fetch(source, URL, 100, 200)
    assert [there for there, _ in server.requests] == ["here", "there", "there"]
    assert server.requests[2][1].startswith("GET /y ")


def test_without_that_connection_the_next_part_begins_at_the_original_address():
    for close in (b"Connection: close\r\n", b""):
        server = Server(moved(b"https://there/y"), part(0, 100, more=close))
        server.answers += [moved(b"https://there/z"), part(100, 200)]
        source = source_of(server)
        fetch(source, URL, 0, 100)
        if not close:
            source.close()
        assert fetch(source, URL, 100, 200) == FILE[100:200]
        assert [there for there, _ in server.requests] == ["here", "there", "here", "there"]


def test_an_address_that_expired_is_asked_for_again_at_the_original_one():
    for number in (401, 403, 404, 410, 500):
        server = Server(moved(b"https://there/y?t=1"), part(0, 100), status(number))
        server.answers += [moved(b"https://there/y?t=2"), part(100, 200)]
        source = source_of(server)
        fetch(source, URL, 0, 100)
        assert fetch(source, URL, 100, 200) == FILE[100:200]
        firsts = [(there, text.split(" ")[1]) for there, text in server.requests]
        assert firsts[2:] == [("there", "/y?t=1"), ("here", "/x"), ("there", "/y?t=2")], number


def test_an_address_that_expired_for_good_has_its_code():
    server = Server(moved(b"https://there/y"), part(0, 100), status(403))
    server.answers += [moved(b"https://there/y"), status(403)]
    source = source_of(server)
    fetch(source, URL, 0, 100)
    assert failure(source, URL, 100, 200) == "denied"
    assert server.answers == []


def test_another_file_is_not_asked_for_where_redirects_led():
    server = Server(moved(b"https://there/y"), whole(), whole())
    source = source_of(server)
    fetch(source, URL)
    fetch(source, Url("https://here/other"))
    assert server.requests[2][0] == "here"


# Versions


def tagged(tag):
    return b"ETag: " + tag + b"\r\n"


def second_part(first, then, second):
    """The server after it gave two parts; each with its ETag, or answers of its own."""
    server = Server(part(0, 100, more=tagged(first)), then)
    source = source_of(server)
    fetch(source, URL, 0, 100)
    return server, outcome(fetch, source, URL, *second)


def test_a_part_is_asked_for_of_the_version_of_the_part_before():
    server, code = second_part(b'"1"', part(100, 200, more=tagged(b'"1"')), (100, 200))
    assert code == ""
    assert [field(text, "If-Range") for _, text in server.requests] == ["", '"1"']


def test_a_tag_that_is_weak_or_none_asks_for_nothing():
    for tag in (b'W/"1"', b"1", b'"1', b"", b'"a b"', b'"' + b"x" * 200 + b'"'):
        server, code = second_part(tag, part(100, 200, more=tagged(tag)), (100, 200))
        assert code == "", tag
        assert field(server.requests[1][1], "If-Range") == "", tag


def test_a_part_of_another_version_is_refused():
    for tag in (b'"2"', b'W/"1"', b'"1', b""):
        _, code = second_part(b'"1"', part(100, 200, more=tagged(tag)), (100, 200))
        assert code == "changed", tag
    _, code = second_part(b'"1"', part(100, 200), (100, 200))
    assert code == "changed"


def test_after_a_change_the_next_part_is_of_any_version():
    server = Server(part(0, 100, more=tagged(b'"1"')), part(100, 200, more=tagged(b'"2"')))
    server.answers += [part(100, 200, more=tagged(b'"2"')), part(200, 300, more=tagged(b'"2"'))]
    source = source_of(server)
    fetch(source, URL, 0, 100)
    assert failure(source, URL, 100, 200) == "changed"
    assert fetch(source, URL, 100, 200) == FILE[100:200]
    assert fetch(source, URL, 200, 300) == FILE[200:300]
    asked = [field(text, "If-Range") for _, text in server.requests]
    assert asked == ["", '"1"', "", '"2"']


def test_another_version_comes_whole():
    server, code = second_part(b'"1"', whole(more=tagged(b'"2"')), (100, 200))
    assert code == ""
    assert field(server.requests[1][1], "If-Range") == '"1"'


def test_another_file_has_another_version():
    server = Server(part(0, 100, more=tagged(b'"1"')), part(0, 100, more=tagged(b'"2"')))
    source = source_of(server)
    fetch(source, URL, 0, 100)
    fetch(source, Url("https://here/other"), 0, 100)
    assert field(server.requests[1][1], "If-Range") == ""


def test_what_did_not_change_is_not_sent_again():
    for tag in (b'"1"', b'W/"1"'):
        server = Server(whole(more=tagged(tag)), b"HTTP/1.1 304 X\r\n\r\n", whole())
        source = source_of(server)
        body = get(source, URL)
        assert body.head.tag == tag
        read(source, body)
        assert get(source, URL, 0, 0, body.head.tag) is None
        assert field(server.requests[1][1], "If-None-Match") == tag.decode()
        assert field(server.requests[1][1], "If-Range") == ""
        fetch(source, URL)
        assert numbers(server) == [1, 1, 1]  # such an answer has no body
        assert field(server.requests[2][1], "If-None-Match") == ""


def test_what_did_not_change_may_say_how_long_it_would_be():
    server = Server(b'HTTP/1.1 304 X\r\nContent-Length: 900\r\nETag: "1"\r\n\r\n', whole())
    source = source_of(server)
    assert get(source, URL, 0, 0, b'"1"') is None
    assert fetch(source, URL) == FILE
    assert numbers(server) == [1, 1]


def test_nothing_is_unchanged_that_nobody_asked_about():
    assert refusal(status(304)) == "http-status"
    assert refusal(status(304), 0, 10) == "http-status"
    _, code = second_part(b'"1"', status(304), (100, 200))
    assert code == "http-status"


# Posts

REPORT = b'{"outcome": "confirmed"}'


def post(source, url=URL):
    source._network.clock.drive(source.post(url, REPORT))


def test_what_is_posted_arrives_once_in_any_pieces():
    for most in (0, 1, 2, 7):
        for gaps in (False, True):
            server = Server(status(204, body=b""))
            server.most, server.gaps = most, gaps
            post(source_of(server))
            ((_, text),) = server.requests
            head, _, body = text.partition("\r\n\r\n")
            assert head.startswith("POST /x HTTP/1.1\r\nHost: here\r\n")
            assert field(head, "User-Agent") == "test"
            assert field(head, "Content-Length") == "24"
            assert body.encode() == REPORT


def test_every_2xx_is_an_answer_to_a_post():
    for number in (200, 201, 202, 204, 299):
        assert (
            outcome(post, source_of(Server(status(number, body=b"" if number == 204 else b"ok"))))
            == ""
        )


def test_any_other_answer_to_a_post_is_an_error():
    for number, code in (
        (300, "http-status"),
        (301, "http-status"),
        (304, "http-status"),
        (307, "http-status"),
        (308, "http-status"),
        (400, "http-status"),
        (404, "http-status"),
        (416, "http-status"),
        (501, "http-status"),
        (401, "denied"),
        (403, "denied"),
        (429, "server-busy"),
        (500, "server-busy"),
        (503, "server-busy"),
    ):
        server = Server(moved(b"/y", number), whole())
        assert code_of(post, source_of(server)) == code, number
        assert len(server.requests) == 1, number


def test_a_post_takes_no_part_in_the_versions_of_a_file():
    server = Server(
        part(0, 100, more=tagged(b'"1"')), status(200), part(100, 200, more=tagged(b'"1"'))
    )
    source = source_of(server)
    fetch(source, URL, 0, 100)
    post(source)
    fetch(source, URL, 100, 200)
    ranges = [field(text, "If-Range") for _, text in server.requests]
    assert ranges == ["", "", '"1"']
    assert server.asked[1] == (1, "")


def test_a_post_leaves_the_connection_to_the_next_request_where_little_comes_back():
    for answer, used in (
        (status(204), [1, 1]),
        (b"HTTP/1.1 204 X\r\n\r\n", [1, 1]),
        (b"HTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n", [1, 1]),
        (status(200, body=b"x"), [1, 1]),
        (status(200, body=b"x" * 1024), [1, 1]),
        (status(200, body=b"x" * 1025), [1, 2]),
        (status(200, b"Connection: close\r\n"), [1, 2]),
        (b"HTTP/1.1 200 X\r\n\r\nuntil the end", [1, 2]),
        (chunks(b"ok"), [1, 2]),
    ):
        server = Server(answer, whole())
        source = source_of(server)
        post(source)
        assert fetch(source, URL) == FILE
        assert numbers(server) == used, answer


def test_a_page_that_204_announces_is_not_waited_for():
    server = Server(b"HTTP/1.1 204 X\r\nContent-Length: 9\r\n\r\n")
    server.end = None
    post(source_of(server))
    assert server.clock.seconds() == 0


def test_a_post_whose_page_breaks_off_was_delivered():
    server = Server(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nok", whole())
    source = source_of(server)
    assert outcome(post, source) == ""
    assert fetch(source, URL) == FILE
    assert numbers(server) == [1, 2]


def test_a_post_whose_answer_is_lost_is_not_sent_again():
    for kept in (False, True):
        for end, code in (
            (OSError(104, "reset"), "link-lost"),
            (b"", "link-lost"),
            (None, "timeout"),
        ):
            server = Server(status(204), b"", whole()) if kept else Server(b"", whole())
            source = source_of(server)
            if kept:
                post(source)
            server.end = end
            assert code_of(post, source) == code
            assert len(server.requests) == kept + 1
            assert fetch(source, URL) == FILE, "the next request has a connection of its own"
            source.close()
            assert server.open == 0


def test_a_post_that_nobody_answers_ends_after_the_silence_that_is_allowed():
    server = Server(b"HTTP/1.1 ")
    server.end = None
    assert code_of(post, source_of(server)) == "timeout"
    assert 20 <= server.clock.seconds() < 22


def test_a_secret_is_posted_home_only():
    for url, told in (
        ("https://here/r", True),
        ("https://there/r", False),
        ("https://here:1/r", False),
    ):
        server = Server(status(204))
        source = source_of(server, "Authorization: Bearer key\r\n")
        source.home = "here"
        post(source, Url(url))
        assert ("key" in server.requests[0][1]) == told, url


# Patience


def test_a_body_that_comes_too_slowly_has_its_code():
    class Trickle(Connection):
        """A byte a second."""

        def readinto(self, buf):
            if self.server.clock.ms < self.server.next_ms:
                return None
            self.server.next_ms = self.server.clock.ms + 1000
            return Connection.readinto(self, buf)

    class Trickling(Server):
        next_ms = 0
        most = 1

        def connect(self, url, patience):
            yield
            return Wired(Trickle(self, 1, url), patience)

    server = Trickling(whole())
    server.most = 1
    assert failure(source_of(server), URL) == "too-slow"
    assert 30 <= server.clock.seconds() < 32


def test_time_that_was_spent_elsewhere_does_not_make_the_next_part_slow():
    # Flash is slower than the network: nothing was waited for in the first part.
    server = Server(part(0, 5000), part(5000, 10000))
    source = source_of(server)
    fetch(source, URL, 0, 5000)
    server.clock.ms += 40000
    server.gaps = True
    assert outcome(fetch, source, URL, 5000, 10000) == ""
    assert numbers(server) == [1, 1]


def test_time_that_was_spent_elsewhere_does_not_make_the_body_slow():
    server = Server(part(0, 10000))
    source = source_of(server)
    body = get(source, URL, 0, 10000)
    for _ in range(8):
        assert body.readinto(bytearray(1000)) == 1000
        body.taken(1000)
        server.clock.ms += 5000
    assert server.clock.keep(body.lost, None, 8000) is None


def test_without_a_least_rate_nothing_is_too_slow():
    for n in (0, 1, 1000):
        server = Server(whole()[: len(whole()) - len(FILE) + n])
        server.gaps, server.end, server.nap_ms = True, None, 250
        server.patience = server.clock.patience(least_rate=0, timeout_s=120)
        assert failure(source_of(server), URL) == "timeout", n


def test_new_patience_is_that_of_the_open_connection_too():
    server = Server(whole(), whole()[:-1])
    server.end = None
    source = source_of(server)
    fetch(source, URL)
    source.renew(server.clock.patience(timeout_s=1))
    start = server.clock.seconds()
    assert failure(source, URL) == "timeout"
    assert server.clock.seconds() - start < 2
    assert numbers(server) == [1, 1]


def test_a_part_is_not_slower_than_a_whole_file():
    server = Server(part(5000, 15000))
    server.gaps, server.most, server.nap_ms = True, 300, 1000
    assert fetch(source_of(server), URL, 5000, 15000) == FILE[5000:15000]
