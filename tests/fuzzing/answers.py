"""HTTP answers, read a second time: as lenient as can be, and to the letter of RFC 9112."""

import datetime
import re

from ota import http


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
