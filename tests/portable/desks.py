"""Updaters to which an image is offered, and the servers that have it."""

from benches import BLANK, OLD, Shelf
from fakes import RamSlot, config_of, make_image, make_release
from test_source import Connection, Server, part, whole

from ota.http import Url
from ota.manifest import BLOCK
from ota.trust import Role, Trust
from ota.updater import Updater


def announced(body, size):
    """The answer whose body should have so many bytes."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


class Desk(Updater):
    """An updater to which this image is offered, signed by whom it may concern."""

    def __init__(self, shelf, image, network=None, **changes):
        config = config_of(manifest_url="https://here/x.manifest", tries=1)
        super().__init__(config, shelf, network or Shop(self))
        self.shelf = shelf
        self.served = image
        self.release = make_release(image, **changes)
        self.announced = len(image)
        self.trust = Trust(1, Role({}, 1), Role({}, 1))
        self._seen = b""

    def _trust(self):
        return self.trust

    def _fetch_manifest(self, trust, tag):
        yield
        return self.release


class Shop(Server):
    """A network on which one server has what the desk serves."""

    def __init__(self, desk):
        super().__init__()
        self.desk = desk

    def connect(self, url, patience):
        self.answers.append(announced(self.desk.served, self.desk.announced))
        return super().connect(url, patience)


class Reader(Desk):
    """A desk that reads what the server sends as its manifest."""

    def _fetch_manifest(self, trust, tag):
        return Updater._fetch_manifest(self, trust, tag)


IMAGE = make_image(9000)


def desk(image=IMAGE, **changes):
    return Desk(Shelf(0, OLD, BLANK), image, **changes)


class Site(Server):
    """A network with one server that has this file.

    Attributes:
        parts: it serves ranges; otherwise always the whole file.
        largest: bytes of a part at most, whatever was asked for.
        missing: it has no file at all.
        expired: paths that it denies.
        least: bytes of a body after which the connection breaks, 0 for all.
        noise: answers whose last byte is wrong.
        ranges: those asked for, "" for everything.
        paths, texts: those asked for, and the requests.
    """

    is_noisy = False

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.parts = True
        self.largest = len(file)
        self.missing = False
        self.expired = ()
        self.least = self.noise = 0
        self.ranges = []
        self.paths = []
        self.texts = []

    def connect(self, url, patience):
        link = yield from Server.connect(self, url, patience)
        link.stream = Line(self, self.connections, url)
        return link


class Line(Connection):
    """A TLS stream to `Site`."""

    def answer(self, text):
        site = self.server
        asked = ""
        for line in text.split("\r\n"):
            if line.startswith("Range: bytes="):
                asked = line[13:]
        site.ranges.append(asked)
        site.paths.append(text.split(" ")[1])
        site.texts.append(text)
        if site.missing:
            self.rest = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
        elif site.paths[-1] in site.expired:
            self.rest = b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"
        elif asked and site.parts:
            first, last = [int(number) for number in asked.split("-")]
            end = min(last + 1, first + site.largest)
            self.rest = part(first, end, site.file[first:end], len(site.file))
        else:
            self.rest = whole(site.file)
        if site.least:
            self.rest = self.rest[: self.rest.find(b"\r\n\r\n") + 4 + site.least]
        if site.noise:
            site.noise -= 1
            self.rest = self.rest[:-1] + bytes((self.rest[-1] ^ 1,))


class Watched(RamSlot):
    """A slot that notes how many connections are open while 64 KiB are erased."""

    def _erase(self, at, size):
        if size == BLOCK:
            self.seen.append(self.site.open)
        RamSlot._erase(self, at, size)


class Depot(Desk):
    """An updater whose payload comes from a `Site`, into a slot full of something else."""

    def __init__(self, image):
        self.site = Site(image)
        super().__init__(Shelf(0, OLD, BLANK), image, self.site)
        self.slot = Watched(len(image) + BLOCK & -4096, b"\x0f")
        self.slot.site = self.site
        self.slot.seen = []
        self.shelf.parts[1] = self.slot


BIG = make_image(3 * BLOCK + 100)
LARGE = make_image(5 * BLOCK + 100)  # enough to erase for borrowing memory


def wrong_in(*places):
    """A depot whose slot holds the image, but for these bytes."""
    asked = Depot(BIG)
    asked.slot.data[: len(BIG)] = BIG
    for at in places:
        asked.slot.data[at] ^= 1
    return asked


class Tagged(Desk):
    """A desk whose server gives its manifest again only where the tag is another one."""

    etag = b'"1"'

    def _fetch_manifest(self, trust, tag):
        yield
        self.asked = tag
        self._seen = self.etag
        return None if tag == self.etag else self.release


class Kept(Depot):
    """A depot whose manifest comes over a connection."""

    def _fetch_manifest(self, trust, tag):
        yield from self._open(trust, Url("https://here/x.manifest"))
        body = yield from self._sources[0].get(Url("https://here/x.manifest"))
        yield from body.read(1 << 20)
        self._seen = b""
        return self.release
