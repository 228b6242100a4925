"""Files of the device and a serial line, in the place of the network."""

import io
import os
import time

from fakes import code_of, config_of, scratch

from ota.http import Url
from ota.local import Files, FileUrl, Wire
from ota.patience import Patience
from ota.source import Source

FILE = bytes(range(256)) * 40


def result(steps):
    """What a generator of the library returns; waits as the pump does."""
    end = time.time() + 10  # s; the line's own clock is the real one
    while time.time() < end:
        try:
            waiting = next(steps)
        except StopIteration as e:
            return e.value
        if waiting:
            waiting.wait()
    raise AssertionError("no end")


def patience(**fields):
    return Patience(config_of(**fields), b"device")


# FileUrl


def test_a_file_url_is_a_path_of_the_device():
    assert FileUrl("file:///sd/a/x.manifest").path == "/sd/a/x.manifest"
    assert FileUrl("file:///x.manifest").path == "/x.manifest"
    assert FileUrl("file:///x").authority() == ""


def test_other_urls_are_no_file_urls():
    for text in ("file:/x", "file://sd/x", "file:x", "https://h/x", "FILE:///x", "/x", ""):
        assert code_of(FileUrl, text) == "url", text


def test_a_file_names_its_neighbours():
    base = FileUrl("file:///sd/a/x.manifest")
    rows = (
        ("app.bin", "/sd/a/app.bin"),
        ("b/app.bin", "/sd/a/b/app.bin"),
        ("a b?c=d", "/sd/a/a b?c=d"),
        ("..app.bin", "/sd/a/..app.bin"),
    )
    for reference, path in rows:
        assert base.join(reference).path == path, reference
    assert FileUrl("file:///x.manifest").join("app.bin").path == "/app.bin"


def test_a_file_names_nothing_outside_its_folder():
    base = FileUrl("file:///sd/a/x.manifest")
    for reference in (
        "../app.bin",
        "b/../../app.bin",
        "b/..",
        "..",
        "/app.bin",
        "//host/app.bin",
        "/sd/a/app.bin",
        "https://host/app.bin",
        "http://host/app.bin",
        "file:///sd/a/app.bin",
        "c:app.bin",
    ):
        assert code_of(base.join, reference) == "url", reference


# Files


def placed(data=FILE):
    """A file of the device, by its URL."""
    folder = scratch()
    with open(folder + "/app.bin", "wb") as file:
        file.write(data)
    return FileUrl("file://" + folder + "/app.bin")


def test_a_file_is_read_whole_or_in_part():
    url = placed()
    files = Files()
    body = result(files.get(url))
    assert (body.start, body.size, body.total) == (0, len(FILE), len(FILE))
    assert body.head.tag == b""
    assert result(body.read(len(FILE))) == FILE
    for start, end in ((0, 10), (100, 4196), (len(FILE) - 1, len(FILE)), (0, len(FILE))):
        body = result(files.get(url, start, end))
        assert (body.start, body.size, body.total) == (start, end - start, len(FILE))
        assert result(body.read(len(FILE))) == FILE[start:end], (start, end)
    files.close()


def test_an_empty_file_is_a_body_without_bytes():
    body = result(Files().get(placed(b"")))
    assert (body.size, body.is_read()) == (0, True)
    assert result(body.read(10)) == b""


def test_a_body_in_the_file_system_is_no_longer_than_it_may_be():
    body = result(Files().get(placed()))
    assert code_of(result, body.read(len(FILE) - 1)) == "envelope-format"


def test_a_file_that_is_not_there_has_its_code():
    url = placed()
    assert code_of(result, Files().get(url.join("other.bin"))) == "unreachable"
    assert code_of(result, Files().get(url.join("no/other.bin"))) == "unreachable"


def test_a_file_that_ends_before_the_part_is_not_the_one_that_was_signed():
    files = Files()
    assert code_of(result, files.get(placed(), 0, len(FILE) + 1)) == "size-mismatch"
    files.close()


def test_a_file_that_shrinks_while_it_is_read_is_too_short():
    url = placed()
    files = Files()
    body = result(files.get(url))
    with open(url.path, "wb") as file:
        file.write(FILE[:100])
    assert code_of(result, body.read(len(FILE))) == "short-body"
    files.close()


def test_files_are_closed_with_the_next_one_and_at_the_end():
    url = placed()
    files = Files()
    first = result(files.get(url))
    result(files.get(url))
    assert is_closed(first)
    second = result(files.get(url))
    files.close()
    files.close()
    assert is_closed(second)


def is_closed(body):
    try:
        body.readinto(bytearray(1))
    except (OSError, ValueError):
        return True
    return False


# Wire


class Uart(io.IOBase):
    """A serial port that never blocks, with `ota serve --serial` at the other end.

    Attributes:
        coming: bytes on the line; each request adds the next of `answers`.
        late: calls that give nothing before the line has what it has.
        asked: requests.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.coming = b""
        self.late = 0
        self.most = 1 << 20
        self.request = b""
        self.asked = []
        self.closed_by = 0

    def readinto(self, buf):
        if not self._is_there():
            return None
        n = min(len(buf), len(self.coming), self.most)
        buf[:n] = self.coming[:n]
        self.coming = self.coming[n:]
        return n

    def readline(self, limit=-1):
        if not self._is_there():
            return None
        end = self.coming.find(b"\n") + 1 or len(self.coming)
        n = min(end, limit, self.most)
        line, self.coming = self.coming[:n], self.coming[n:]
        return line

    def write(self, data):
        n = min(len(data), self.most)
        self.request += bytes(data[:n])
        if self.request.endswith(b"\r\n\r\n"):
            self.asked.append(self.request.decode())
            self.request = b""
            self.coming += self.answers.pop(0) if self.answers else b""
        return n or None

    def close(self):
        self.closed_by += 1

    def ioctl(self, request, argument):
        return argument & 5 if request == 3 else 0  # MicroPython polls so; always ready

    def fileno(self):
        # CPython polls so; always ready.
        if not hasattr(self, "null"):
            self.null = os.open("/dev/null", os.O_RDWR)
        return self.null

    def _is_there(self):
        if self.late:
            self.late -= 1
            return False
        return bool(self.coming)


def ok(data):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data)


URL = Url("https://here/x")


def source(uart, **fields):
    return Source(Wire(uart), patience(**fields), "Agent: test\r\n")


def get(reader):
    body = yield from reader.get(URL)
    return (yield from body.read(1 << 16))


def test_requests_go_over_the_line_one_after_the_other():
    uart = Uart(ok(FILE), ok(b"second"))
    reader = source(uart)
    assert result(get(reader)) == FILE
    assert result(get(reader)) == b"second"
    assert [text.split("\r\n")[0] for text in uart.asked] == ["GET /x HTTP/1.1"] * 2


def test_what_is_on_the_line_before_the_first_request_passes_unread():
    uart = Uart(ok(b"right"))
    uart.coming = b"HTTP/1.1 404 Not Found\r\n" + bytes(1000)
    assert result(get(source(uart))) == b"right"


def test_what_an_earlier_answer_left_does_not_become_the_next():
    uart = Uart(ok(FILE), ok(b"second"))
    reader = source(uart)
    result(reader.get(URL))  # nobody reads it
    assert result(get(reader)) == b"second"


def test_the_line_stays_open_when_a_source_is_closed():
    uart = Uart(ok(b"first"), ok(b"second"))
    reader = source(uart)
    result(get(reader))
    reader.close()
    assert uart.closed_by == 0
    assert result(get(source(uart))) == b"second"


def test_the_line_may_give_and_take_a_byte_at_a_time_and_nothing_between():
    uart = Uart(ok(FILE[:300]))
    uart.most = 1
    uart.late = 5
    assert result(get(source(uart))) == FILE[:300]


def test_a_line_that_is_silent_has_its_code():
    assert code_of(result, get(source(Uart(), timeout_s=1))) == "timeout"
    assert code_of(result, get(source(Uart(b"HTTP/1.1 200 OK\r\n"), timeout_s=1))) == "timeout"


def test_bytes_that_got_lost_are_waited_for_in_vain():
    uart = Uart(ok(FILE)[:-7], ok(b"second"))
    reader = source(uart, timeout_s=1)
    assert code_of(result, get(reader)) == "timeout"
    reader.close()
    reader.renew(patience())
    assert result(get(reader)) == b"second"


class Chatter(Uart):
    """A line on which something never falls silent."""

    def readinto(self, buf):
        return len(buf)


def test_a_line_that_never_falls_silent_is_given_up_when_time_is_up():
    class Limits:
        timeout_s = total_s = 1
        least_rate = 0
        tries = 1

    reader = Source(Wire(Chatter()), Patience(Limits, b"x"), "Agent: test\r\n")
    assert code_of(result, get(reader)) == "timeout"


def test_a_line_that_breaks_has_its_code():
    class Broken(Uart):
        def write(self, data):
            raise OSError(5, "gone")

    assert code_of(result, get(source(Broken()))) == "link-lost"
