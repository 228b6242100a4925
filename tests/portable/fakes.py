"""What the portable tests need on both interpreters: a slot in RAM, images, releases, files.

In the device's dialect; no fixtures, no mocks. The slot is stricter than flash: a byte is programmed
once between two erases.
"""

import binascii
import hashlib
import json
import os
import struct
import time

import ota.patience
from ota.config import Config
from ota.image import DESCRIPTOR
from ota.manifest import BLOCK, DIGEST, parse
from ota.strict import b64url_encode

DATA = __file__.rpartition("/")[0] + "/../data/"
BASE = os.getenv("TMPDIR") or "/tmp"
"""Where `scratch()` makes its folders; who runs the tests clears it."""

SECTOR = 4096


class PowerCut(BaseException):
    """No handler of the library may catch it."""


class RamSlot:
    """A slot of an `esp32.Partition`, in RAM, with the rules of NOR flash.

    Attributes:
        data: the contents.
        log: list of ("erase" | "program", offset, length).
        reads: calls of readblocks.
        cut_after: operations until the power goes, half-way through the next; None: never.
    """

    def __init__(self, size=128 * 1024, fill=b"\xff"):
        self.data = bytearray(fill * size)
        self.log = []
        self.cut_after = None
        self.reads = 0

    def info(self):
        return (0, 16, 65536, len(self.data), "ota_0", False)

    def readblocks(self, block, buf, offset=0):
        self.reads += 1
        at = self._at(block, buf, offset)
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            if len(buf) % SECTOR:
                raise OSError(-260, "ESP_ERR_INVALID_SIZE")
            at = self._at(block, buf, 0)
            end = at + len(buf)
            start = at
            while start < end:  # ESP-IDF: 64 KiB where that much is left from an aligned address
                size = BLOCK if start % BLOCK == 0 and end - start >= BLOCK else SECTOR
                self._erase(start, size)
                start += size
        else:
            at = self._at(block, buf, offset)
        if bytes(buf) != bytes(len(buf)):  # cleared: the same, whatever was there
            for i in range(len(buf)):
                assert self.data[at + i] == 0xFF or buf[i] == 0xFF, "programmed twice"
        half = self._note("program", at, len(buf))
        n = len(buf) // 2 if half else len(buf)
        for i in range(n):
            self.data[at + i] &= buf[i]
        if half:
            raise PowerCut

    def ioctl(self, op, arg=0):
        if op == 4:
            return len(self.data) // SECTOR
        if op == 5:
            return SECTOR
        if op == 6:
            self._erase(arg * SECTOR, SECTOR)
            return 0
        return None

    def erases(self):
        return len([kind for kind, _, _ in self.log if kind == "erase"])

    def _at(self, block, buf, offset):
        at = block * SECTOR + offset
        if at < 0:
            raise OSError(-258, "ESP_ERR_INVALID_ARG")
        if at + len(buf) > len(self.data):
            raise OSError(-260, "ESP_ERR_INVALID_SIZE")
        return at

    def _erase(self, at, size):
        half = self._note("erase", at, size)
        n = size // 2 if half else size
        self.data[at : at + n] = b"\xff" * n
        if half:
            raise PowerCut

    def _note(self, kind, at, n):
        self.log.append((kind, at, n))
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        return self.cut_after < 0


def noise(n, seed=1):
    """n bytes that repeat only after a long while, the same on both interpreters."""
    out = bytearray(n)
    state = seed * 2654435761 % 4294967296 or 1
    for i in range(n):
        state = (state * 1103515245 + 12345) % 2147483648
        out[i] = state >> 16 & 0xFF
    return bytes(out)


def make_image(size=70000, chip_id=0, seed=1):
    """A valid ESP32 application image of about `size` bytes, checksum and SHA-256 right."""
    body = struct.pack("<I", DESCRIPTOR) + bytes(252)
    body += noise((size - len(body)) // 4 * 4, seed)
    header = bytearray(24)
    header[0], header[1], header[23] = 0xE9, 1, 1
    struct.pack_into("<H", header, 12, chip_id)
    data = bytes(header) + struct.pack("<II", 0x3F400020, len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    data += bytes(15 - len(data) % 16) + bytes((checksum,))
    return data + hashlib.sha256(data).digest()


def with_version(image, version):
    """The image with another version in its descriptor, checksum and SHA-256 made right."""
    changed = bytearray(image)
    check = 0
    for at, new in enumerate(struct.pack("32s", version.encode()), 48):
        check ^= changed[at] ^ new
        changed[at] = new
    changed[-33] ^= check
    changed[-32:] = hashlib.sha256(changed[:-32]).digest()
    return bytes(changed)


def manifest_fields(image, **changes):
    """The fields of a manifest for `image`, ready to be changed."""
    digests = b""
    for start in range(0, len(image), BLOCK):
        digests += hashlib.sha256(image[start : start + BLOCK]).digest()[:DIGEST]
    fields = {
        "format": 1,
        "product": "demo",
        "board": "virtual",
        "chip_id": 0,
        "version": "1.1",
        "sequence": 2,
        "created": 1790000000,
        "image": {
            "size": len(image),
            "sha256": binascii.hexlify(hashlib.sha256(image).digest()).decode(),
            "blocks": b64url_encode(digests).decode(),
        },
        "payloads": [{"urls": ["app.bin"], "encoding": "plain", "size": len(image)}],
        "library": [1],
    }
    fields.update(changes)
    return fields


MOST_STEPS = 100000
"""Far more than a generator takes in any test: one that does not end is an error, not a test that hangs."""


def run(steps):
    """Drive a generator of the library to its end; how many steps that took."""
    count = 0
    for _ in steps:
        count += 1
        assert count < MOST_STEPS, "no end"
    return count


class Clock:
    """Ticks that go on only where somebody waits. They wrap, as on the device, after a few seconds.

    Attributes:
        ms: how many there were, without wrapping.
    """

    _WRAP = 1 << 30

    def __init__(self):
        self.start = self.ms = self._WRAP - 5000

    def ticks_ms(self):
        return self.ms % self._WRAP

    def ticks_diff(self, end, start):
        half = self._WRAP // 2
        return (end - start + half) % self._WRAP - half

    def seconds(self):
        """How many have passed."""
        return (self.ms - self.start) / 1000

    def keep(self, call, *args):
        """Call it where `ota.patience` goes by this clock."""
        module = ota.patience
        real = module.ticks_ms, module.ticks_diff
        module.ticks_ms, module.ticks_diff = self.ticks_ms, self.ticks_diff
        try:
            return call(*args)
        finally:
            module.ticks_ms, module.ticks_diff = real

    def patience(self, device_id=b"device", **fields):
        """Patience by this clock, configured as by these fields of /ota.json."""
        return self.keep(ota.patience.Patience, config_of(**fields), device_id)

    def drive(self, steps):
        """Drive a generator of the library to its end, waiting as long as it says. Its result."""
        return self.keep(self._drive, steps)

    def _drive(self, steps):
        for _ in range(MOST_STEPS):
            try:
                waiting = next(steps)
            except StopIteration as e:
                return e.value
            if waiting:
                self.ms += waiting.nap_ms
        raise AssertionError("no end")


def config_of(**fields):
    """A configuration with these fields of /ota.json."""
    fields["product"] = "demo"
    fields["board"] = "virtual"
    return Config(fields)


def make_release(image, **changes):
    """A parsed manifest for `image`."""
    return parse(json.dumps(manifest_fields(image, **changes)).encode())


def read_data(name):
    """A file of tests/data."""
    with open(DATA + name, "rb") as file:
        return file.read()


def scratch():
    """A new empty folder."""
    while True:
        path = "%s/%d" % (BASE, time.time_ns())
        try:
            os.mkdir(path)
            return path
        except OSError as e:
            if e.errno != 17:
                raise  # EEXIST: another interpreter took the name


def raises(kind, call, *args):
    """The exception of this kind that the call raises; anything else fails the test."""
    try:
        call(*args)
    except kind as e:
        return e
    raise AssertionError("nothing was raised")


def code_of(call, *args):
    """The code of the OtaError that the call raises."""
    from ota.errors import OtaError

    return raises(OtaError, call, *args).code
