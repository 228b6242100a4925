"""The source: one connection for many requests, parts of files, and nothing but what was asked for."""

from fakes import code_of

from ota.errors import OtaError, error
from ota.http import Url
from ota.source import Source

URL = Url("https://here/x")
FILE = bytes(range(256)) * 4


class Server:
    """A network with one server on it: `answers` are bytes, one per request, in their order.

    Attributes:
        asked: requests, each on (connection number, first line and Range).
        open: connections that are open now.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.connections = 0
        self.open = 0

    def connect(self, url):
        self.connections += 1
        self.open += 1
        return Connection(self, self.connections)


class Connection:
    """A TLS stream to `Server`."""

    def __init__(self, server, number):
        self.server = server
        self.number = number
        self.rest = b""

    def write(self, data):
        part = ""
        for line in data.decode().split("\r\n"):
            if line.startswith("Range: "):
                part = line[7:]
        self.server.asked.append((self.number, part))
        answer = self.server.answers.pop(0)
        if answer is None:
            raise OSError(104)
        self.rest += answer
        return len(data)

    def readline(self, limit):
        end = self.rest.find(b"\n") + 1
        line, self.rest = self.rest[:end], self.rest[end:]
        return line

    def readinto(self, buf):
        n = min(len(buf), len(self.rest))
        buf[:n] = self.rest[:n]
        self.rest = self.rest[n:]
        return n

    def close(self):
        self.server.open -= 1


def whole(data=FILE, more=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(data), more, data)


def part(start, end, data=None, total=1024, more=b""):
    data = FILE[start:end] if data is None else data
    return (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (start, end - 1, total, len(data), more, data)
    )


def test_parts_come_over_one_connection():
    server = Server(part(0, 10), part(100, 200))
    source = Source(server, "test")
    body = source.get(URL, 0, 10)
    assert (body.start, body.size, body.total) == (0, 10, len(FILE))
    assert body.read() == FILE[:10]
    assert source.get(URL, 100, 200).read() == FILE[100:200]
    assert server.asked == [(1, "bytes=0-9"), (1, "bytes=100-199")]
    source.close()
    assert server.open == 0


def test_a_body_that_was_not_read_ends_the_connection():
    server = Server(part(0, 10), part(100, 200))
    source = Source(server, "test")
    source.get(URL, 0, 10)
    assert source.get(URL, 100, 200).read() == FILE[100:200]
    assert [number for number, _ in server.asked] == [1, 2]
    assert server.open == 1


def test_a_connection_that_the_server_closes_is_not_used_again():
    server = Server(part(0, 10, more=b"Connection: close\r\n"), part(100, 200))
    source = Source(server, "test")
    source.get(URL, 0, 10).read()
    source.get(URL, 100, 200).read()
    assert [number for number, _ in server.asked] == [1, 2]


def test_a_connection_may_be_closed_by_a_later_answer():
    close = b"Connection: close\r\n"
    server = Server(part(0, 10), part(10, 20, more=close), part(100, 200))
    source = Source(server, "test")
    for start, end in ((0, 10), (10, 20), (100, 200)):
        body = source.get(URL, start, end)
        body.read()
    assert [number for number, _ in server.asked] == [1, 1, 2]


def test_another_host_gets_its_own_connection():
    server = Server(whole(), whole())
    source = Source(server, "test")
    source.get(URL).read()
    source.get(Url("https://there/x")).read()
    assert [number for number, _ in server.asked] == [1, 2]
    assert server.open == 1


def test_a_kept_connection_that_is_gone_is_opened_again():
    server = Server(whole(), None, whole())
    source = Source(server, "test")
    source.get(URL).read()
    assert source.get(URL).read() == FILE
    assert server.connections == 2
    assert server.open == 1


def test_a_fresh_connection_is_not_tried_twice():
    server = Server(None, whole())
    assert code_of(Source(server, "test").get, URL) == "link-lost"
    assert server.connections == 1
    assert server.open == 0


def test_a_server_may_send_the_whole_file_instead_of_a_part():
    body = Source(Server(whole()), "test").get(URL, 100, 200)
    assert (body.start, body.size, body.total) == (0, len(FILE), len(FILE))


def test_a_part_may_be_shorter_than_asked_for():
    body = Source(Server(part(100, 150)), "test").get(URL, 100, 200)
    assert (body.start, body.size) == (100, 50)


def test_another_part_than_asked_for_is_refused():
    for answer in (
        part(101, 200),  # starts later
        part(0, 100),  # starts earlier
        part(100, 201),  # is longer
        part(100, 200, data=FILE[100:199]),  # says one thing and sends another
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\n\r\n",  # does not say where
        whole(more=b"Content-Range: bytes 0-9/1024\r\n"),  # a whole file has no range
    ):
        server = Server(answer)
        assert code_of(Source(server, "test").get, URL, 100, 200) == "http-format", answer[:120]
        assert server.open == 0


def test_a_part_that_nobody_asked_for_is_refused():
    assert code_of(Source(Server(part(0, 10)), "test").get, URL) == "http-status"


def test_other_answers_have_their_code():
    for status in (204, 301, 404, 500):
        answer = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
        assert code_of(Source(Server(answer), "test").get, URL, 0, 10) == "http-status", status


def test_a_connection_that_breaks_when_it_is_closed_does_no_harm():
    server = Server(whole())
    source = Source(server, "test")
    source.get(URL).read()

    def close():
        raise OSError(104, "reset")

    source._streams[0].close = close
    source.close()


def test_a_file_that_ends_before_the_part_is_not_the_one_that_was_signed():
    answer = b"HTTP/1.1 416 X\r\nContent-Range: bytes */50\r\nContent-Length: 0\r\n\r\n"
    assert code_of(Source(Server(answer), "test").get, URL, 100, 200) == "size-mismatch"
    assert code_of(Source(Server(answer), "test").get, URL) == "http-status"


def test_an_error_of_the_server_is_not_taken_for_a_lost_connection():
    server = Server(whole(), b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
    source = Source(server, "test")
    source.get(URL).read()
    assert code_of(source.get, URL) == "http-status"
    assert server.connections == 1
    assert server.open == 0


def test_what_the_network_says_comes_through():
    class Nowhere:
        def connect(self, url):
            raise error("unreachable", "no route")

    assert code_of(Source(Nowhere(), "test").get, URL) == "unreachable"


class Silent(Server):
    """A server that says nothing more, instead of closing, where it has no answer left."""

    def connect(self, url):
        self.connections += 1
        self.open += 1
        return Quiet(self, self.connections)


class Quiet(Connection):
    def readline(self, limit):
        return Connection.readline(self, limit) or None


def test_a_server_that_stops_answering_has_its_code():
    server = Silent(b"HTTP/1.1 200 OK\r\n")
    assert code_of(Source(server, "test").get, URL) == "timeout"
    assert server.open == 0


def outcome(call, *args):
    """The code of the error, "" where there is none."""
    try:
        call(*args)
    except OtaError as e:
        return e.code
    return ""


def test_a_kept_connection_that_falls_silent_or_breaks_is_opened_again():
    for server in (Silent(whole(), b"", whole()), Server(whole(), None, whole())):
        source = Source(server, "test")
        source.get(URL).read()
        assert outcome(source.get, URL) == ""
        assert [number for number, _ in server.asked] == [1, 1, 2]


def test_an_answer_is_not_asked_for_again_on_a_new_connection():
    missing = b"HTTP/1.1 404 X\r\nContent-Length: 5\r\n\r\nnever"
    server = Server(whole(), missing, whole())
    source = Source(server, "test")
    source.get(URL).read()
    assert outcome(source.get, URL) == "http-status"
    # and what it said is still in that connection, which is of no use any more
    assert outcome(source.get, URL) == ""
    assert [number for number, _ in server.asked] == [1, 1, 2]


def test_a_body_that_was_read_in_part_ends_the_connection():
    server = Server(part(0, 10), part(100, 200))
    source = Source(server, "test")
    body = source.get(URL, 0, 10)
    body.readinto(bytearray(4))
    body.taken(4)
    assert outcome(source.get, URL, 100, 200) == ""
    assert [number for number, _ in server.asked] == [1, 2]


def test_a_part_that_does_not_say_where_it_belongs_is_refused_at_the_start_too():
    answer = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n"
    assert code_of(Source(Server(answer), "test").get, URL, 0, 10) == "http-format"


def test_an_answer_without_a_length_is_refused():
    assert code_of(Source(Server(b"HTTP/1.1 200 OK\r\n\r\n"), "test").get, URL) == "http-format"


def test_a_part_of_a_file_of_any_size_is_refused():
    assert Source(Server(part(0, 10, total=9999999999)), "test").get(URL, 0, 10).size == 10
    server = Server(part(0, 10, total=10000000000))
    assert code_of(Source(server, "test").get, URL, 0, 10) == "http-format"
