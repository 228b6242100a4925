"""One line for what a parser makes of a case of tests/fuzz.py: equal on all interpreters.

In the device's dialect; no test module. `main(file)` prints a verdict for each line `target hex` of a
file. Most targets are a parser and its bytes as in verdicts.py, or a case of verdicts_http.py. Keys are
stand-ins that sign with a digest, so that a search can sign a million times. What stands before the
parser's bytes:

envelope: a byte: the threshold, `AS_TRUST`, `SHORT`.
manifest: the device that reads it: `DEVICE`, which is chip id, highest confirmed sequence, floor, time, size of the slot.
trust: a byte: `SUCCEEDS`, then whether `OWN[0]` or `OWN[1]` is the store before.
signature_block: a byte: the threshold, `AS_IT_IS`. The sector is filled up with 0xFF, else.
image_head: the device's chip id, u16. Heads are filled up with 0xFF.
image: a byte, signed: how much longer the slot is than the file.
otadata: a byte: the number of slots, less one, and 16 times a slot. Records are filled up with 0xFF.
"""

import binascii
import hashlib
import json
import struct

import verdicts
import verdicts_http
from verdicts import code

# `from ota import x` does not find modules on MicroPython: the package has __getattr__.
import ota.espressif as espressif
import ota.image as image
import ota.jws as jws
import ota.manifest as manifest
import ota.otadata as otadata
import ota.strict as strict
import ota.trust as trust
from ota.errors import OtaError

THRESHOLD = 7
AS_TRUST = 8
SHORT = 16
LIMIT = 1024
SHORT_LIMIT = 64

DEVICE = "<HQQQI"
DEVICE_SIZE = 30
PRODUCT = "demo"
BOARD = "virtual"

SUCCEEDS = 1
OWN_SHIFT = 1

AS_IT_IS = 8

RSA_VALUES = [(0x80 << 3064) + 2 * i + 1 for i in range(3)]
"""Of 3072 bits and odd; nobody knows their factors, nor needs them."""

EC_VALUES = [
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    (
        0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978,
        0x07775510DB8ED040293D9AC69F7430DBBA7DADE63CE982299E04B79D227873D1,
    ),
    (
        0x5ECBE4D1A6330A44C8F7EF951D4BF165E6C6B721EFADA985FB41661BC6E7FD6C,
        0x8734640C4998FF7E374B06CE1A64A2ECD82AB036384FB83D9A79B127A27D5032,
    ),
]
"""Points of P-256."""


class Key:
    """A stand-in: what it signed is a tag of its value and the digest.

    Attributes:
        value: as of `trust.RsaKey` or `trust.EcKey`, or any bytes for a key that has no numbers.
    """

    def __init__(self, value):
        self.value = value
        self.alg = "ES256" if type(value) is tuple or value == b"ec" else "PS256"

    def verify(self, digest, signature):
        return signature == tag(self.value, digest)


class BlockKey(Key):
    """Its tag is as long as a signature, for there is a place for it in a block."""

    def verify(self, digest, signature):
        return signature == long_tag(self.value, digest)


def tag(value, digest):
    """What the key with this value signs a digest with."""
    return hashlib.sha256(_bytes(value) + digest).digest()[:8]


def long_tag(value, digest):
    """The same, 384 bytes for RSA, 64 for P-256."""
    return tag(value, digest) + bytes((384 if type(value) is int else 64) - 8)


def _bytes(value):
    if type(value) is int:
        return value.to_bytes(384, "big")
    if type(value) is tuple:
        return value[0].to_bytes(32, "big") + value[1].to_bytes(32, "big")
    return value


KEYS = {"a": Key(b"a"), "b": Key(b"b"), "ec": Key(b"ec")}

BLOCK_KEYS = {
    "r": BlockKey(RSA_VALUES[0]),
    "x": BlockKey(EC_VALUES[0]),
    "y": BlockKey(EC_VALUES[1]),
    "again": BlockKey(EC_VALUES[0]),
}
"""By no means a second key."""


def kid_of(value):
    """The name of a key in a trust store: any 64 digits."""
    return binascii.hexlify(hashlib.sha256(tag(value, b"")).digest()).decode()


def key_entry(value):
    """A key as a trust store has it."""
    if type(value) is int:
        return {"kid": kid_of(value), "alg": "PS256", "n": _text(value, 384)}
    x, y = value
    return {"kid": kid_of(value), "alg": "ES256", "x": _text(x, 32), "y": _text(y, 32)}


def _text(number, size):
    return strict.b64url_encode(number.to_bytes(size, "big")).decode()


def role(values, threshold):
    """A role as a trust store has it."""
    return {"keys": [kid_of(value) for value in values], "threshold": threshold}


def store(number, values, threshold, **changes):
    """The fields of a trust store with these keys, in both roles."""
    both = role(values, threshold)
    keys = [key_entry(value) for value in values]
    fields = {"format": 1, "number": number, "keys": keys, "root": both, "release": both}
    fields.update(changes)
    return fields


OWN = [
    trust.read(b"\n" + json.dumps(fields).encode())
    for fields in (
        store(1, EC_VALUES[:2], 2),
        store(7, [RSA_VALUES[0], EC_VALUES[0]], 1, sequence_epoch=3),
    )
]
"""What a device has, before what follows comes."""


def _envelope(data):
    options = data[0] if data else 0
    typ = jws.TRUST if options & AS_TRUST else jws.MANIFEST
    limit = SHORT_LIMIT if options & SHORT else LIMIT
    return bytes(jws.verify(data[1:], typ, limit, KEYS, options & THRESHOLD))


def _manifest(data):
    chip_id, highest, floor, now, slot_size = struct.unpack(DEVICE, _filled(data, DEVICE_SIZE, 0))
    found = manifest.parse(data[DEVICE_SIZE:])
    try:
        newer = manifest.is_newer(found, highest, floor)
    except OtaError as e:
        newer = e.code
    return [
        verdicts.fields_of_manifest(found),
        code(manifest.check_target, found, PRODUCT, BOARD, chip_id),
        newer,
        code(manifest.check_limits, found, now, slot_size),
    ]


def _trust(data):
    options = data[0] if data else 0
    real = trust.RsaKey.verify, trust.EcKey.verify
    trust.RsaKey.verify = trust.EcKey.verify = Key.verify
    try:
        if options & SUCCEEDS:
            found = trust.succeed(OWN[options >> OWN_SHIFT & 1], data[1:])
        else:
            found = trust.load(data[1:])
    finally:
        trust.RsaKey.verify, trust.EcKey.verify = real
    return verdicts.fields_of_trust(found)


def _signature_block(data):
    options = data[0] if data else 0
    sector = data[1:]
    if not options & AS_IT_IS:
        sector = _filled(sector, espressif.SECTOR, 0xFF)
    return espressif.verify_sector(sector, BLOCK_KEYS, options & THRESHOLD)


def _image_head(data):
    (chip_id,) = struct.unpack("<H", _filled(data, 2, 0))
    head = _filled(data[2:], image.DESCRIPTION, 0xFF)
    image.check_head(head, chip_id)
    return [image.secure_version(head), image.version_text(head)]


def _image(data):
    more = data[0] if data else 0
    data = data[1:]
    limit = max(0, len(data) + more - (more & 128) * 2)

    def read(offset, n):
        assert offset >= 0 and 0 <= n <= 1024 and offset + n <= limit
        return data[offset : offset + n]

    found = image.inspect(read, limit)
    flags = [found.has_descriptor, found.has_digest]
    checked = code(image.verify, read, limit)
    segments = [list(segment) for segment in found.segments]
    return [found.size, found.chip_id, segments, flags, checked]


def _otadata(data):
    options = data[0] if data else 0
    slots = (options & 15) + 1
    slot = (options >> 4) % slots
    records = _filled(data[1:], 64, 0xFF)
    entries = (records[:32], records[32:])
    named = [otadata.slot_of(entry, slots) for entry in entries]
    texts = [otadata.describe(entry) for entry in entries]
    valid = [otadata.is_valid(entry) for entry in entries]
    return [otadata.active(entries), named, valid, texts, otadata.next_seq(entries, slot, slots)]


def _filled(data, size, byte):
    return data[:size] + bytes((byte,)) * (size - len(data))


TARGETS = {
    "envelope": _envelope,
    "manifest": _manifest,
    "trust": _trust,
    "signature_block": _signature_block,
    "image_head": _image_head,
    "image": _image,
    "otadata": _otadata,
    "journal": verdicts.PARSERS["journal"],
    "receipts": verdicts.PARSERS["receipts"],
    "config": verdicts.PARSERS["config"],
}

NAMES = list(TARGETS) + list(verdicts_http.TARGETS)


def verdict(target, data):
    """The line for a case."""
    if target in verdicts_http.TARGETS:
        return verdicts_http.verdict(target, data)
    return verdicts.judge(TARGETS[target], data)


def main(path):
    """Print the verdicts on a file of cases."""
    with open(path) as file:
        for line in file:
            target, digits = line.rstrip("\n").split(" ")
            print(verdict(target, binascii.unhexlify(digits)))
