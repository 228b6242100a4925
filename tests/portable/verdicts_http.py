"""One line for what the network's side makes of a case: a server's bytes, a URL, a certificate.

In the device's dialect; no test module. `main(file)` prints a verdict for each line `target hex` of a
file. How the bytes of a case are read:

http: the first byte says what is asked for and how the server ends (`ASK_...`), the second in which
    pieces everything comes, the rest is what the server sends, one connection after the other,
    with `NEXT` between two. `RUN`, n, c stands for 32 * n times the byte c: limits are far away.
url: a URL, a byte 0, a reference that is read beside it.
pins: a certificate.
"""

import binascii
import hashlib

# `from ota import x` does not find modules on MicroPython: the package has __getattr__.
import ota.http as http
import ota.pins as pins
import ota.source as source
from ota.errors import OtaError, error

BUG = "raised "
"""How the verdict begins where another exception came out than an OtaError."""
CUT = "differs "
"""How it begins where it depends on how the bytes were cut."""

ASK_PART = 1  # a Range, else all of it
ASK_TAG = 2  # If-None-Match, only without a Range
ASK_TWICE = 4
ASK_MUCH = 8  # parts of 5000 bytes, else of 16: a server may give less than was asked for
AS_WRITER = 16  # into a buffer again and again, as a slot's writer reads, else all at once
END_SHIFT = 5  # then: how a connection ends
CLOSED, SILENT, RESET, LATE = range(4)
CRASHES = 128  # an end that is an error takes along what the same call had read, and stops writes

NEXT = b"\xfe"
RUN = b"\xff"
RUN_UNIT = 32

LONGEST = 40000
"""Bytes that a server sends, at most: more than all limits on a head and on what is between chunks."""
LIMIT = 6000
"""Bytes of a body that are read at once."""
ROOM = 512
TAG = b'"kept"'
URL = "https://a.example/d/f?q"
AGENT = "User-Agent: t\r\n"
SECRET = "Authorization: Basic s\r\n"


def expand(data):
    """What the server of a `http` case sends, whole."""
    out = b""
    at = 0
    while at < len(data) and len(out) < LONGEST:
        end = data.find(RUN, at)
        if end < 0 or end + 2 >= len(data):
            end = len(data)
        out += data[at:end]
        if end < len(data):
            out += data[end + 2 : end + 3] * (data[end + 1] * RUN_UNIT)
        at = end + 3
    return out[:LONGEST]


class Cuts:
    """Sizes of pieces, and how often nothing comes before them; `seed` 0: everything at once.

    Pieces become larger after a while: there is a body now, and not all the time of the world.
    """

    def __init__(self, seed):
        self._state = seed
        self._longest = (3, 40, 700, 5000)[seed & 3]
        self._count = 0

    def piece(self):
        self._count += 1
        if self._count % 128 == 0:
            self._longest *= 4
        return 1 + self._next() % self._longest if self._state else 1 << 20

    def silences(self):
        return self._next() % 3 if self._state else 0

    def _next(self):
        self._state = (self._state * 75 + 74) % 65537 or 1
        return self._state >> 3


class Patience:
    """As `ota.patience.Patience`; no clock: a server is too late once it has nothing more to send.

    Attributes:
        streams: of the network.
    """

    failures = 0

    def __init__(self, streams):
        self._streams = streams

    def phase(self):
        pass

    def again(self, count, is_body=False):
        assert count >= 0, "less than nothing came"
        late = self._streams and self._streams[-1].is_late
        return error("timeout", "silent") if late else None


class Network:
    """As `ota.net.Network`: every connection is to a server that sends the next of `parts`.

    Attributes:
        streams: all that were opened, in their order.
        answers: for each body that was read, its stream and where there its head begins.
    """

    def __init__(self, parts, ending, crashes, seed):
        self._parts = parts
        self._ending = ending
        self._crashes = crashes
        self._cuts = Cuts(seed)
        self.streams = []
        self.answers = []

    def connect(self, url, patience):
        patience.phase()
        yield None
        if len(self.streams) == len(self._parts):
            raise error("unreachable", url.authority())
        data = self._parts[len(self.streams)]
        self.streams.append(Stream(data, self._ending, self._crashes, self._cuts, url))
        return Link(self.streams[-1], patience)

    def handshake_error(self, url, e):
        return error("tls", str(e))


class Link:
    """As `ota.net.Link`."""

    nap_ms = 0

    def __init__(self, stream, patience):
        self.stream = stream
        self.patience = patience

    def close(self):
        self.stream.close()


class Stream:
    """A MicroPython stream over a TLS socket that does not block.

    `readline` gives pieces of lines, all calls give None where nothing is there; an error may take
    along what was read before it in the same call, as it does on the device.

    Attributes:
        at: bytes that were taken.
        asked: for each request its bytes, and `at` when it was sent.
        is_late: everything was taken, and more was asked for.
        limit: bytes of lines that may be taken, in a row.
        has_lost: an error took bytes along. Which ones, depends on how they are cut.
    """

    def __init__(self, data, ending, crashes, cuts, url):
        self.data = data
        self.url = url
        self.at = 0
        self.asked = []
        self.is_open = True
        self.is_late = False
        self.has_lost = False
        self.limit = self._lines = 0
        self._request = b""
        self._ending = ending
        self._crashes = crashes
        self._cuts = cuts
        self._there = 0  # bytes up to here have arrived
        self._silences = 0

    def write(self, data):
        assert self.is_open and data
        n = min(len(data), self._cuts.piece())
        if self._silences == 0 and self._cuts.silences():
            self._silences = 1
            return None
        self._silences = 0
        if self.at == len(self.data) and self._ending == RESET:
            self._crash()
        if not self._request:
            self.asked.append([b"", self.at])
            self.limit = http.HEAD_LIMIT + http.LINE_LIMIT
            self._lines = 0
        self._request += bytes(data[:n])
        self.asked[-1][0] = self._request
        return n

    def readline(self, limit):
        assert 1 <= limit <= http.LINE_LIMIT
        there = self._arrived()
        if not there:
            return self._nothing(b"")
        end = self.data.find(b"\n", self.at, there) + 1 or there
        end = min(end, self.at + limit)
        line = self.data[self.at : end]
        self._lines += end - self.at
        assert self._lines <= self.limit, "nobody is listened to for ever"
        self.at = end
        if end == len(self.data) and not line.endswith(b"\n") and len(line) < limit:
            self._crash()
        return line

    def readinto(self, room):
        assert 1 <= len(room) <= LIMIT + 1
        there = self._arrived()
        if not there:
            return self._nothing(0)
        n = min(len(room), there - self.at)
        room[:n] = self.data[self.at : self.at + n]
        self._lines = 0
        self.at += n
        if self.at == len(self.data) and n < len(room):
            self._crash()
        return n

    def close(self):
        assert self.is_open, "closed twice"
        self.is_open = False

    def _arrived(self):
        # Up to where bytes can be taken now, 0 for nowhere.
        assert self.is_open
        self._request = b""
        if self.at == self._there < len(self.data):
            if self._silences:
                self._silences -= 1
                return 0
            self._there = min(len(self.data), self.at + self._cuts.piece())
            self._silences = self._cuts.silences()
        return self._there if self.at < self._there else 0

    def _nothing(self, end):
        if self.at < len(self.data):
            return None
        if self._ending == CLOSED:
            return end
        self._error()
        self.is_late = True
        return None

    def _crash(self):
        if self._crashes and self._ending in (RESET, LATE):
            self.has_lost = True
            self._error()

    def _error(self):
        if self._ending == RESET:
            raise OSError(104, "reset")
        if self._ending == LATE:
            raise OSError(-116, "late")  # the ESP32 negates the numbers of TLS streams


def steps(generator):
    """Drive a generator of the library: its result."""
    while True:
        try:
            next(generator)
        except StopIteration as e:
            return e.value


def serve(data, seed):
    """Play a case, its bytes cut by `seed`: outcomes, and the network.

    An outcome is a code, or the fields of a body and its bytes, for each file or part asked for.
    """
    options = data[0] if data else 0
    parts = expand(data[2:]).split(NEXT)
    network = Network(parts, options >> END_SHIFT & 3, options & CRASHES, seed)
    client = source.Source(network, Patience(network.streams), AGENT, SECRET)
    client.home = "a.example"
    size = 5000 if options & ASK_MUCH else 16
    outcomes = []
    for i in range(2 if options & ASK_TWICE else 1):
        start, end, tag = 0, 0, b""
        if options & ASK_PART:
            start, end = i * size, (i + 1) * size
        elif options & ASK_TAG:
            tag = TAG
        try:
            outcomes.append(steps(_get(client, network, start, end, tag, options & AS_WRITER)))
        except OtaError as e:
            outcomes.append((e.code, e.wait_s))
            client.close()
    client.close()
    for stream in network.streams:
        assert not stream.is_open, "left open"
    return outcomes, network


def _get(client, network, start, end, tag, as_writer):
    body = yield from client.get(http.Url(URL), start, end, tag)
    if body is None:
        return ("not-modified",)
    stream = network.streams[-1]
    begin = stream.asked[-1][1]
    assert stream.at - begin == body.head.size <= http.HEAD_LIMIT
    stream.limit += http.HEAD_LIMIT  # for what is between chunks
    if as_writer:
        data = yield from _write(body, end)
    else:
        data = yield from body.read(LIMIT)
        assert len(data) <= LIMIT and body.size in (-1, len(data))
    if not body.head.chunked and body.size >= 0:
        assert stream.at == begin + body.head.size + len(data), "read too far"
        assert body.is_read() == (len(data) == body.size)
    network.answers.append((stream, begin))
    return (body.head.status, body.start, body.size, body.total, body.head.tag, data)


def _write(body, end):
    # As `ota.slot.SlotWriter.copy` does: up to an end, which is known; a file has LIMIT bytes.
    end = end or LIMIT
    if 0 <= body.size:
        end = min(end, body.start + body.size)
    size = max(0, end - body.start)
    data = bytearray(size)
    view = memoryview(data)
    at = 0
    while at < size:
        try:
            n = body.readinto(view[at : at + min(ROOM, size - at)])
        except OSError as e:
            raise body.lost(e)
        if not n:
            wrong = body.lost(n, body.start + at)
            if wrong:
                raise wrong
            yield body.link
            continue
        at += n
    body.taken(at)
    return data


def _http(data):
    seed = data[1] if len(data) > 1 else 0
    return either(serve(data, seed), serve(data, 0))


def either(cut, whole):
    """The text of what `serve` gave, where it is the same however the bytes were cut."""
    text, wanted = text_of(cut[0]), text_of(whole[0])
    for stream in cut[1].streams + whole[1].streams:
        if stream.has_lost:
            return wanted
    return wanted if text == wanted else CUT + text + " and " + wanted


def text_of(outcomes):
    """On one line, equal where the outcomes are."""
    return "; ".join([" ".join([_short(field) for field in fields]) for fields in outcomes])


def _short(data):
    if not isinstance(data, (bytes, bytearray)):
        return str(data)
    if len(data) <= 20:
        return "x" + binascii.hexlify(data).decode()
    return "%d:%s" % (len(data), binascii.hexlify(hashlib.sha256(data).digest()[:8]).decode())


def _url(data):
    text, _, reference = data.partition(b"\0")
    try:
        text, reference = text.decode(), reference.decode()
    except ValueError:
        return "no text"
    base = code_or(_parts, http.Url, text)
    beside = http.Url(text if base != "url" else URL)
    return base + "; " + code_or(_parts, beside.join, reference)


def code_or(show, call, *args):
    """The code of the OtaError that the call raises, else `show(result)`."""
    try:
        return show(call(*args))
    except OtaError as e:
        return e.code


def _parts(url):
    return "%s %d %s" % (url.host, url.port, url.path)


def _pins(data):
    key = code_or(_whole, pins.public_key, data)
    digest = hashlib.sha256(binascii.unhexlify(key[1:])).digest() if key[:1] == "x" else bytes(32)
    pinned, other = pins.Pins([digest]), pins.Pins([bytes(32)])
    # in a chain of three: alone, as the root of others, behind a chain that was not pinned
    results = [pinned.check(data, 0), pinned.check(data, 2), pinned.check(b"", 1)]
    results += [pinned.check(b"", 0), pinned.check(b"", 0), other.check(data, 0)]
    return "%s %s" % (key, results)


def _whole(data):
    return "x" + binascii.hexlify(data).decode()


TARGETS = {"http": _http, "url": _url, "pins": _pins}


def verdict(target, data):
    """The line for a case."""
    try:
        return TARGETS[target](data)
    except Exception as e:
        return BUG + type(e).__name__


def main(path):
    """Print the verdicts on a file of cases."""
    with open(path) as file:
        for line in file:
            target, digits = line.rstrip("\n").split(" ")
            print(verdict(target, binascii.unhexlify(digits)))
