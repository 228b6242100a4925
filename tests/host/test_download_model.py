"""A download against a model: random servers, power cuts and slots, attempt after attempt.

The engine's own way of the bytes, the source, patience and both writers run over a slot with the rules
of NOR flash and a server that may do anything. Proven for each story: an attempt that ended well leaves
the image; a valid header stands over the old or a new image, whole, and over nothing else; nothing
behind the image changes, nothing at all before the head was accepted; every failure has its code; no
socket stays open; no attempt takes longer than it may, or asks without end; an honest attempt at the end
succeeds. Time is a model, too. A story is made from its seed alone, and a failure names it.
"""

import struct
from random import Random
from types import SimpleNamespace

import pytest
from fakes import SECTOR, Clock, PowerCut, config_of, make_release

from ota import engine, patience, transfer
from ota.engine import Engine
from ota.errors import OtaError, error
from ota.image import DESCRIPTOR, HEAD_SIZE, check_head
from ota.journal import Journal, decode, encode
from ota.manifest import BLOCK
from ota.reader import BLANK_HEADER, HEADER

STORIES = 150  # in a test
FAIR = ("part", "short", "whole", "moved")
WILD = ("break", "flip", "lie", "garbage", "tiny", "busy")
ROUGH = ("part", "part", "short", "break")
MANNERS = (("part",), FAIR, ROUGH, ("short", "tiny"), FAIR + WILD, FAIR * 6 + WILD)
HONEST = (("part",), ("whole",), FAIR[:3], FAIR)
TAGS = (b"", b'"1"', b'W/"1"', b"junk")
TOTAL_S = 1000


class StrictSlot:
    """NOR flash. Power goes in operation `cut_at`, the chip fails from `dies_at` on; 0: never."""

    def __init__(self, data: bytes, random: Random) -> None:
        self.data = bytearray(data)
        self.limit = len(data)  # nothing is touched from here on
        self.is_allowed = lambda: True
        self.operations = self.cut_at = self.dies_at = 0
        self._random = random

    def readblocks(self, block: int, buf, offset: int = 0) -> None:
        at = block * SECTOR + offset
        assert 0 <= at <= at + len(buf) <= len(self.data)
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block: int, buf, offset: "int | None" = None) -> None:
        at = start = block * SECTOR + (offset or 0)
        end = at + len(buf)
        while offset is None and start < end:  # ESP-IDF: 64 KiB where they are left and aligned
            size = BLOCK if start % BLOCK == 0 and end - start >= BLOCK else SECTOR
            self._change(start, b"\xff" * size)
            start += size
        new, old = bytes(buf), self.data[at:end]
        if old.count(0xFF) != len(old):
            pairs = list(zip(old, new, strict=True))
            if any(new):  # cleared: the same, whatever was there
                assert all(0xFF in pair for pair in pairs), "programmed twice"
            new = bytes([one & two for one, two in pairs])
        self._change(at, new)

    def ioctl(self, op: int, arg: int = 0) -> None:
        assert op == 6
        self._change(arg * SECTOR, b"\xff" * SECTOR)

    def is_dead(self) -> bool:
        return 0 < self.dies_at <= self.operations

    def _change(self, at: int, new: bytes) -> None:
        assert 0 <= at <= at + len(new) <= self.limit, "behind the image"
        assert self.is_allowed(), "before the head was accepted"
        self.operations += 1
        if self.is_dead():
            raise OSError(-1, "flash")
        if self.operations == self.cut_at:
            new = new[: int(len(new) * self._random.choice((0, 0.5, 1, self._random.random())))]
        self.data[at : at + len(new)] = new
        if self.operations == self.cut_at:
            raise PowerCut


class Server:
    """Serves an image in one of its manners per request: network, link and stream in one."""

    def __init__(self, image: bytes, random: Random, hostile: bool, clock: Clock) -> None:
        self.image = image
        self.random = random
        self.is_open = False
        self.answers = 0
        self.nap_ms = random.choice((1, 250)) if hostile else 1
        self.stream = self
        self._hostile = hostile
        self._clock = clock
        self._trickles = random.choice((0, 0.1, 0.7))
        self._gaps = random.choice((0, 0.05, 0.3))
        self._manners = random.choice(MANNERS if hostile else HONEST)
        self._framings = random.choice((("length",), ("length", "chunks", "close"), ("chunks",)))
        self._tag = random.choice(TAGS)

    def connect(self, url, patience):
        assert not self.is_open, "two sockets"
        patience.phase()
        for _ in range(self.random.randrange(3)):
            yield self
        if self._happens(0.03):
            raise error("unreachable", url.host)
        self.is_open = True
        self.patience = patience
        self._request = self._rest = b""
        self._end = None
        return self

    def handshake_error(self, url, e) -> OtaError:
        return error("tls", f"{e}")

    def close(self) -> None:
        self.is_open = False

    def write(self, data: bytes) -> "int | None":
        if self._happens(0.02):
            raise OSError(104, "reset")
        if self._is_gap():
            return None
        if self.random.random() < 0.1:
            data = data[: self.random.randint(1, len(data))]
        self._request += data
        if self._request.endswith(b"\r\n\r\n"):
            self._rest += self._answer(self._request.decode())
            self._request = b""
            ends = [b"", None, *(OSError(n, "x") for n in (104, -104, 116))]
            self._end = self.random.choice(ends) if self._hostile else b""
        return len(data)

    def readline(self, limit: int) -> "bytes | None":
        return self._take(self._rest.find(b"\n", 0, limit) + 1 or limit)

    def readinto(self, buf) -> "int | None":
        data = self._take(len(buf))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def _happens(self, often: float) -> bool:
        return self._hostile and self.random.random() < often

    def _is_gap(self) -> bool:
        return self.random.random() < self._gaps

    def _take(self, size: int) -> "bytes | None":
        if self._is_gap():
            return None
        if self.random.random() < self._trickles:
            size = self.random.randint(1, size)
        data, self._rest = self._rest[:size], self._rest[size:]
        if not data and isinstance(self._end, OSError):
            raise self._end
        return data or self._end

    def _answer(self, request: str) -> bytes:
        random, image = self.random, self.image
        lines = dict(line.split(": ") for line in request.split("\r\n")[1:] if line)
        start, end = 0, 0
        if "Range" in lines:
            start, end = map(int, lines["Range"][6:].split("-"))
            end = min(end + 1, len(image))
        manner = random.choice(self._manners)
        self.answers += 1
        # A redirect and an attempt for every sector, and more for failures: not one per byte.
        assert self.answers <= 20 * (len(image) // SECTOR + 20), "asked without end"
        if manner == "garbage":
            return random.randbytes(random.randint(0, 200))
        if manner == "lie":
            return self._lie(start, end or len(image))
        if manner == "busy":
            wait = random.choice((b"0", b"1", b"100", b"100000", b"soon"))
            return response(random.choice((408, 429, 503)), 0, b"Retry-After: " + wait)
        if manner == "moved" and "moved" not in request:
            where = random.choice((b"/moved", b"https://there/moved", b"moved?x=1#y"))
            body = random.randbytes(random.choice((0, 100, 2000)))
            return (
                response(random.choice((301, 302, 307)), len(body), b"Location: " + where) + body
            )
        if self._happens(0.05):
            self._tag = random.choice(TAGS)
        if manner == "short" and end:
            least = min(end, start + SECTOR)
            end = random.randint(least, end)
        if manner == "tiny" and end:
            end = min(end, start + random.choice((1, 2, 35, 36, 100, 4095)))
        fields = [b"Connection: close"] if random.random() < 0.3 else []
        if self._tag:
            fields.append(b"ETag: " + self._tag)
        changed = lines.get("If-Range", self._tag.decode()) != self._tag.decode()
        status = 206
        if manner == "whole" or not end or (changed and not self._happens(0.3)):
            status, start, end = 200, 0, len(image)
        else:
            fields.append(span(start, end, len(image)))
        body = bytearray(image[start:end])
        if manner == "flip":
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
        framing = random.choice(self._framings)
        answer = self._framed(framing, status, bytes(body), fields)
        if manner == "break":
            return answer[: len(answer) - random.randrange(len(body) + 1)]
        return answer + random.randbytes(50) if self._happens(0.03) else answer

    def _framed(self, framing: str, status: int, body: bytes, fields: list[bytes]) -> bytes:
        if framing == "length":
            return response(status, len(body), *fields) + body
        if framing == "close":
            return response(status, -1, *fields, b"Connection: close") + body
        pieces = []
        at = 0
        while at < len(body):
            piece = body[at : at + self.random.choice((1, 100, 5000, 70000))]
            pieces.append(
                b"%x%s\r\n%s\r\n" % (len(piece), b";x" * self.random.randrange(2), piece)
            )
            at += len(piece)
        trailer = self.random.choice((b"", b"A: b\r\n"))
        fields = [*fields, b"Transfer-Encoding: chunked"]
        return response(status, -1, *fields) + b"".join(pieces) + b"0\r\n" + trailer + b"\r\n"

    def _lie(self, start: int, end: int) -> bytes:
        image, size = self.image, len(self.image)
        before = max(0, start - 1)
        lies = (
            response(206, end - before, span(before, end, size)),
            response(206, end - start, span(start, end, size + 1)),
            response(206, size, span(0, size, size)),
            response(206, end - start),
            response(200, 9999999999),
            response(416, 0, b"Content-Range: bytes */3"),
            response(302, 0, b"Location: " + self.random.choice((b"", b"http://h/", b"/x"))),
            response(self.random.choice((100, 204, 301, 304, 403, 404, 500)), 0),
        )
        return self.random.choice(lies) + image


def response(status: int, length: int, *lines: bytes) -> bytes:
    first = [b"HTTP/1.1 %d X" % status]
    if length >= 0:
        first.append(b"Content-Length: %d" % length)
    return b"\r\n".join((*first, *lines, b"", b""))


def span(start: int, end: int, total: int) -> bytes:
    return b"Content-Range: bytes %d-%d/%d" % (start, end - 1, total)


class Download(Engine):
    """An engine behind its checks; trust, receipts and otadata are left out."""

    def __init__(self, board: SimpleNamespace, server: Server, fresh, **fields) -> None:
        config = config_of(manifest_url="https://h/m", total_s=TOTAL_S, **fields)
        super().__init__(config, board, server)
        board.accepted = False
        self.progress = None
        self._checked = object()
        self._fresh = fresh

    def _fetch_manifest(self, trust, tag):
        yield
        return self._fresh


def run(download: Download, steps, clock: Clock) -> None:
    """The pump: waiting takes as long as it says."""
    try:
        for waiting in steps:
            if waiting:
                clock.ms += waiting.nap_ms
            if download.progress:
                download._report(steps, download.progress)
    finally:
        steps.close()


def found_on(board: SimpleNamespace) -> SimpleNamespace:
    """In the place of `Situation`: the journal."""
    return SimpleNamespace(journal=decode(board.nvs) if board.nvs else Journal())


def announce(board: SimpleNamespace, found, release, head: bytes) -> None:
    """The head was accepted: what comes of it in the journal."""
    board.accepted = True
    found.journal.start(1, release.sequence, release.sha256, head, release.version)
    keep(board, found.journal)


def keep(board: SimpleNamespace, journal: Journal) -> None:
    board.nvs = encode(journal)


def make_image(random: Random, size: int) -> bytes:
    """Random bytes behind a head that passes, perhaps with a blank part."""
    image = bytearray(random.randbytes(max(size, HEAD_SIZE)))
    image[0], image[1] = 0xE9, 1
    image[12:14] = bytes(2)
    struct.pack_into("<II", image, 28, 64, DESCRIPTOR)
    if size > 5000 and random.random() < 0.3:
        start = random.randrange(HEAD_SIZE, size)
        end = min(size, start + random.randrange(3 * SECTOR))
        image[start:end] = b"\xff" * (end - start)
    return bytes(image[:size])


def change(random: Random, data: bytearray, new=None) -> bytes:
    """Some pieces behind the head replaced, by `new` or by anything."""
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(data))
        size = min(len(data) - start, random.choice((1, 16, 5000)))
        if start >= HEAD_SIZE:
            data[start : start + size] = new * size if new else random.randbytes(size)
    return bytes(data)


def make_contents(random: Random, image: bytes, size: int) -> bytes:
    """What a slot of `size` bytes may hold before the first attempt."""
    data = bytearray(image + b"\xff" * (size - len(image)))
    head = random.choice((0, 0, random.randrange(1, 13)))  # bytes of the header that are there
    return random.choice(
        (
            *(fill * size for fill in (b"\xff", b"\x00", b"\x0f")),
            make_image(random, size),
            bytes(data),
            data[:head] + BLANK_HEADER[head:] + data[HEADER:],
            change(random, data[:]),
            change(random, data[:], b"\xff"),
        )
    )


class Story:
    """A slot, one or two releases for it, and attempts to download them."""

    def __init__(self, seed: int) -> None:
        random = self.random = Random(seed)
        few, blocks = random.randint(1, 40), BLOCK * random.randint(1, 5)
        some = [random.randint(1, most) for most in (3 * SECTOR, 2 * BLOCK, 6 * BLOCK)]
        sizes = (few, blocks, blocks + few, SECTOR * random.randint(1, 90), *some)
        image = make_image(random, random.choice(sizes))
        other = make_image(random, random.randint(1, 4 * BLOCK))
        others = ((), (), (other,), (change(random, bytearray(image)),))
        self.images = (image, *random.choice(others))
        self.releases: dict = {}
        size = -(-max(map(len, self.images)) // BLOCK) * BLOCK
        self.old = make_contents(random, image, size + random.choice((0, SECTOR, BLOCK)))
        self.slot = StrictSlot(self.old, random)
        self.clock = Clock()
        self.board = SimpleNamespace(
            nvs=b"", free=0, device_id=lambda: b"model", running=lambda: 0
        )
        self.board.largest_block = lambda: self.board.free
        self.board.path = lambda name: "/nowhere" + name
        self.current = 0

    def attempt(self, honest: bool) -> str:
        """One download, with everything that must hold after it. How it ended."""
        random, slot, board = self.random, self.slot, self.board
        if random.random() < 0.3:
            self.current = random.randrange(len(self.images))
        image = self.images[self.current]
        if random.random() < 0.1:
            board.nvs = b""
        found = found_on(board)
        way = random.choice(("wide", "borrowing", "sectors", "split"))
        board.free = 1 << 20 if way == "wide" else 0
        server = Server(image, random, not honest and random.random() < 0.7, self.clock)
        release = self.named(*random.choice((["a.bin"], ["a.bin", "https://other/b.bin"])))
        fresh = random.choice((release, self.named("c.bin")))
        parts = random.choice((0, 0, 4, 64))
        download = Download(board, server, fresh, tries=random.randint(1, 4), part_kib=parts)
        slot.can_borrow = way == "borrowing"
        slot.operations = slot.cut_at = slot.dies_at = 0
        if not honest:
            if random.random() < 0.7:
                slot.cut_at = random.randint(1, random.choice((4, 31, 401)))
            if random.random() < 0.05:
                slot.dies_at = random.randint(1, 61)
            if random.random() < 0.1:
                stop = random.randint(0, len(image))
                download.progress = lambda at, size: at < stop
        before = bytes(slot.data)
        is_there = before[HEADER : len(image)] == image[HEADER:]  # only its header may be missing
        slot.limit = -(-len(image) // SECTOR) * SECTOR
        slot.is_allowed = lambda: board.accepted or is_there
        ended = "well"
        start = self.clock.seconds()
        try:
            steps = download._fill(release, found, 1, slot, way == "split")
            run(download, steps, self.clock)
        except PowerCut:
            ended = "cut"
        except OtaError as e:
            ended = e.code
        assert ended != "flash" or slot.is_dead(), "an OSError that is not the flash's"
        assert not server.is_open, "a socket is open"
        assert self.clock.seconds() - start <= TOTAL_S + 1, "longer than it may take"
        now = bytes(slot.data)
        assert now[slot.limit :] == before[slot.limit :], "behind the image"
        assert now.startswith(image) or ended != "well", "ended well without the image"
        if now != self.old and not any(map(now.startswith, self.images)):
            assert not self.has_header(now), f"a valid header over a mixture, after: {ended}"
        if honest and len(image) >= HEAD_SIZE:
            assert ended == "well", ended
        return ended

    def named(self, *urls: str):
        """The current release, with its payload at these URLs."""
        key = (self.current, *urls)
        if key not in self.releases:
            image = self.images[self.current]
            payload = {"urls": list(urls), "encoding": "plain", "size": len(image)}
            sequence = 2 + self.current
            self.releases[key] = make_release(image, sequence=sequence, payloads=[payload])
        return self.releases[key]

    def has_header(self, data: bytes) -> bool:
        try:
            check_head(data, 0)
        except OtaError:
            return False
        return data[:HEADER] in [one[:HEADER] for one in (self.old, *self.images)]


@pytest.fixture
def quick(monkeypatch):
    """Collecting garbage is slow under pytest; whether memory can be borrowed is the slot's to say,
    and the journal is kept in the model's board.
    """
    monkeypatch.setattr(engine, "announce", announce)
    monkeypatch.setattr(engine, "Situation", found_on)
    monkeypatch.setattr(engine, "save_journal", keep)
    garbage = SimpleNamespace(collect=lambda: None, threshold=lambda *amount: -1)
    for module in (engine, transfer):
        monkeypatch.setattr(module, "gc", garbage)
    borrow = transfer.Transfer._erase_ahead

    def erase_ahead(self):
        if self._writer._device.can_borrow:
            yield from borrow(self)
        self._ahead = False

    monkeypatch.setattr(transfer.Transfer, "_erase_ahead", erase_ahead)


@pytest.mark.parametrize("first", range(0, 8 * STORIES, STORIES))
def test_whatever_server_and_power_do_the_slot_holds_a_whole_image_or_none(
    first, monkeypatch, quick
):
    ends = set()
    for seed in range(first, first + STORIES):
        try:
            story = Story(seed)
            monkeypatch.setattr(patience, "ticks_ms", story.clock.ticks_ms)
            monkeypatch.setattr(patience, "ticks_diff", story.clock.ticks_diff)
            borrowing = story.random.choice((1, 1, 2, 4))
            monkeypatch.setattr(transfer, "_WORTH_BORROWING", borrowing)
            for left in range(story.random.randint(1, 5), -1, -1):
                ends.add(story.attempt(honest=not left))
        except Exception as e:
            raise AssertionError(f"seed {seed}: {e}") from e
    assert ends >= {"well", "cut", "cancelled", "http-format"}


def test_the_slot_of_the_model_is_as_strict_as_flash():
    slot = StrictSlot(b"\xff" * 2 * BLOCK, Random(1))
    slot.writeblocks(0, b"\x0f" * SECTOR, 0)
    with pytest.raises(AssertionError, match="programmed twice"):
        slot.writeblocks(0, b"\x0e" * 16, 0)
    slot.writeblocks(0, bytes(16), 0)
    slot.ioctl(6, 0)
    slot.limit = BLOCK
    for call in (lambda: slot.ioctl(6, 16), lambda: slot.writeblocks(16, b"\x00", 0)):
        with pytest.raises(AssertionError, match="behind the image"):
            call()
    slot.is_allowed = lambda: False
    for call in (lambda: slot.ioctl(6, 1), lambda: slot.writeblocks(1, b"\x00", 0)):
        with pytest.raises(AssertionError, match="before the head"):
            call()
    assert slot.data == b"\xff" * 2 * BLOCK
