"""Espressif's signature sector: docs/format.md section 11, read a second time. Keys are stand-ins."""

import struct
import zlib

import verdicts_searched as V  # noqa: N812

from .target import Target, agreed

SECTOR = 4096
BLOCK = 1216
CRC = 1196
RSA, ECDSA = 2, 3
VALUES = (*V.RSA_VALUES, *V.EC_VALUES)
KNOWN = [key.value for key in V.BLOCK_KEYS.values()]
SCHEME = "signature-scheme"


class SignatureBlock(Target):
    """How many must have signed, and the sector."""

    name = "signature_block"
    longest = 1 + SECTOR + 1
    words = (
        b"\xe7\x02\0\0",
        b"\xe7\x03\0\0",
        b"\x01\0\x01\0",
        b"\xff" * 8,
        bytes(8),
        b"\x02",
        b"\x03",
    )
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        options = data[0] if data else 0
        sector = data[1:] if options & V.AS_IT_IS else data[1 : 1 + SECTOR].ljust(SECTOR, b"\xff")
        codes, digest = judge(sector, options & V.THRESHOLD)
        return agreed(self, data, codes, digest)

    def change(self, data, random):
        blocks = [data[at : at + BLOCK] for at in range(1, len(data), BLOCK)]
        kind = random.randrange(6)
        at = random.randrange(len(blocks) + 1)
        digest = blocks[0][4:36] if blocks else bytes(32)
        if kind == 0 or at == len(blocks):
            blocks.insert(at, block(random.choice(VALUES), digest))
        elif kind == 1:
            del blocks[at]
        elif kind == 2:
            blocks[at] = block(
                random.choice(VALUES), random.choice((digest, random.randbytes(32)))
            )
        elif kind == 3:
            blocks[at:at] = blocks[at : at + 1]
        elif kind == 4:
            return bytes((random.randrange(16),)) + data[1:]
        else:
            one = bytearray(blocks[at])
            fields = (
                0,
                1,
                2,
                3,
                4,
                35,
                36,
                37,
                69,
                101,
                165,
                420,
                424,
                808,
                812,
                1195,
                1196,
                1200,
                1215,
            )
            place = random.choice((*fields, random.randrange(BLOCK)))
            if place < len(one):
                one[place] = random.choice((0, 1, 2, 3, 4, 0xE7, 0xFF, random.randrange(256)))
            blocks[at] = bytes(one)
        return data[:1] + b"".join(blocks)

    def mend(self, data, random):
        blocks = [data[at : at + BLOCK] for at in range(1, len(data), BLOCK)]
        digest = blocks[0][4:36] if blocks and random.random() < 0.7 else None
        return data[:1] + b"".join(mended(one, digest, random) for one in blocks)


def number(block: bytes, at: int, size: int) -> int:
    return int.from_bytes(block[at : at + size], "little")


def value_of(block: bytes):
    """The key's numbers: n, or x and y."""
    if block[1] == RSA:
        return number(block, 36, 384)
    return number(block, 37, 32), number(block, 69, 32)


def judge(sector: bytes, threshold: int) -> tuple:
    """The codes by one of which a sector is refused, none where it is good; the digest."""
    if len(sector) != SECTOR:
        return {"signature"}, None
    blocks = []
    while len(blocks) < 3 and sector[len(blocks) * BLOCK] == 0xE7:
        blocks.append(sector[len(blocks) * BLOCK :][:BLOCK])
    if not blocks:
        return {SCHEME}, None
    codes = set()
    for one in blocks:
        codes |= judge_block(one)
    if sector[len(blocks) * BLOCK :].strip(b"\xff"):
        codes.add("signature")
    digest = blocks[0][4:36]
    values = [value_of(one) for one in blocks]
    if any(one[4:36] != digest for one in blocks) or len(set(values)) < len(values):
        codes.add("signature")
    good = [
        v
        for v, one in zip(values, blocks)
        if v in KNOWN and signature(one) == V.long_tag(v, digest)
    ]
    if not 1 <= threshold <= len(good):
        codes.add("signature")
    return codes, digest


def judge_block(one: bytes) -> set:
    codes = set()
    if number(one, CRC, 4) != zlib.crc32(one[:CRC]) or any(one[1200:]):
        codes.add("signature")
    if one[1] == RSA:
        is_whole = not any(one[2:4]) and number(one, 420, 4) == 65537
    elif one[1] == ECDSA:
        is_whole = not any(one[2:4]) and not any(one[165:CRC])
        if one[2] or one[36] != 2:
            codes.add(SCHEME)
    else:
        return {*codes, SCHEME}
    return codes if is_whole else {*codes, "signature"}


def signature(one: bytes) -> bytes:
    """Big-endian, as JWS has it."""
    if one[1] == RSA:
        return one[812:1196][::-1]
    return one[101:133][::-1] + one[133:165][::-1]


def block(value, digest: bytes) -> bytes:
    """A good one."""
    is_rsa = type(value) is int
    body = bytearray(CRC)
    body[:2] = 0xE7, RSA if is_rsa else ECDSA
    body[4:36] = digest
    if is_rsa:
        body[36:420] = value.to_bytes(384, "little")
        body[420:424] = struct.pack("<I", 65537)
    else:
        body[36] = 2
        body[37:69], body[69:101] = (part.to_bytes(32, "little") for part in value)
    return sealed(bytes(body), value)


def sealed(body: bytes, value) -> bytes:
    """With signature and CRC."""
    body = bytearray(body)
    made = V.long_tag(value, bytes(body[4:36]))
    if body[1] == RSA:
        body[812:1196] = made[::-1]
    else:
        body[101:165] = made[:32][::-1] + made[32:][::-1]
    return bytes(body) + struct.pack("<I", zlib.crc32(body)) + bytes(16)


def mended(one: bytes, digest, random) -> bytes:
    if len(one) != BLOCK or one[0] != 0xE7:
        return one
    body = one[:4] + (digest or one[4:36]) + one[36:CRC]
    if random.random() < 0.6 and body[1] in (RSA, ECDSA):
        return sealed(body, value_of(body))[:1200] + one[1200:]
    return body + struct.pack("<I", zlib.crc32(body)) + one[1200:]


def seeds() -> list:
    digest = bytes(range(32))
    rsa, strange, x, y = (block(v, digest) for v in (*V.RSA_VALUES[:2], *V.EC_VALUES[:2]))
    other = block(V.EC_VALUES[1], bytes(32))

    def patched(one, at, *values):
        body = bytearray(one)
        body[at : at + len(values)] = values
        return bytes(body[:CRC]) + struct.pack("<I", zlib.crc32(body[:CRC])) + bytes(body[1200:])

    made = [
        *(b"\1" + one for one in (rsa, strange, x, y, b"", b"\xff", rsa + b"\0", rsa + b"\xff\0")),
        *(bytes((n,)) + x for n in (0, 2)),
        *(b"\1" + pair for pair in (x + strange, strange + x, x + x, x + other, x + y, rsa + x)),
        *(bytes((n,)) + x + y + rsa for n in (2, 3, 4)),
        b"\3" + x + y + rsa + b"\xe7",
        *(
            b"\1" + patched(x, at, v)
            for at in (1, 2, 3, 36, 165, 1195, 1215)
            for v in (0, 1, 3, 4)
        ),
        *(b"\1" + patched(rsa, at, v) for at in (1, 2, 3, 420, 424, 808, 1200) for v in (0, 2, 3)),
        *(b"\1" + x[:at] + b"\x55" + x[at + 1 :] for at in (0, 40, 120, CRC)),
    ]
    whole = b"\1" + (x + y).ljust(SECTOR, b"\xff")
    return [
        *made,
        whole,
        bytes((9,)) + whole[1:],
        bytes((9,)) + whole[1:-1],
        bytes((9,)) + whole[1:] + b"\xff",
    ]
