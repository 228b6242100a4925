"""The application image: ESP-IDF's esp_app_format.h, read a second time."""

import functools
import hashlib
import operator
import struct

from fakes import make_image

from .target import Target, agreed

DESCRIPTOR = b"\x32\x54\xcd\xab"
HEAD = 24
DESCRIPTION = 80
SIZES = (0, 1, 3, 4, 5, 8, 32, 256, 1020, 1024, 1028)
LENGTHS = (*SIZES, 0xFFFFFC, 0x1000000, 0x7FFFFFFC, 0xFFFFFFFC)
WORDS = (
    b"\xe9",
    b"\xe9\x01",
    b"\x10",
    b"\x11",
    DESCRIPTOR,
    b"\xfc\xff\xff\x00",
    bytes(4),
    b"\xff" * 4,
)


class Head(Target):
    """A chip id, and the first bytes of a file."""

    name = "image_head"
    cases = {"image_head": (b"\0\0", b"")}
    longest = 2 + DESCRIPTION + 8
    words = WORDS
    is_structured = True

    def seeds(self):
        heads = [make_image(600, chip)[:DESCRIPTION] for chip in (0, 9)]
        heads += [
            heads[0][:32] + bytes(48),
            b"\xe9\x11" + heads[0][2:],
            heads[0][:36],
            b"",
            b"\xe9",
        ]
        texts = (b"1.2\0x", b"x" * 32, b"\x80", b"a\x1f\0", b"~ !\0", bytes(32))
        heads += [heads[0][:36] + struct.pack("<I", 7) + bytes(8) + text for text in texts]
        return [chip + head for head in heads for chip in (b"\0\0", b"\x09\0")]

    def check(self, data):
        codes, wanted = judge_head(data[:2].ljust(2, b"\0"), data[2:].ljust(DESCRIPTION, b"\xff"))
        return agreed(self, data, codes, wanted)

    def mend(self, data, random):
        data = bytearray(data[: 2 + DESCRIPTION].ljust(2 + DESCRIPTION, b"\0"))
        rest = data[2:]
        rest[0] = 0xE9
        if not 1 <= rest[1] <= 16:
            rest[1] = 1 + rest[1] % 16
        rest[12:14] = data[:2]
        rest[28:32] = struct.pack("<I", struct.unpack_from("<I", rest, 28)[0] & 0xFFFFFC)
        rest[32:36] = DESCRIPTOR
        return bytes(data[:2] + rest)


def judge_head(chip: bytes, head: bytes) -> tuple:
    codes = set()
    length = int.from_bytes(head[28:32], "little")
    if head[12:14] != chip:
        codes.add("wrong-chip")
    if head[0] != 0xE9 or head[1] not in range(1, 17) or head[32:36] != DESCRIPTOR:
        codes.add("image-format")
    if length % 4 or length >= 1 << 24:
        codes.add("image-format")
    text = head[48:80].partition(b"\0")[0][:24].decode("latin-1")
    is_shown = text and all(" " <= char <= "~" for char in text)
    return codes, [int.from_bytes(head[36:40], "little"), text if is_shown else "-"]


class Image(Target):
    """How much room there is, and a whole file."""

    name = "image"
    cases = {"image": (b"\0", b"")}
    longest = 2600
    words = WORDS
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        more = struct.unpack("b", data[:1] or b"\0")[0]
        body = data[1:]
        limit = max(0, len(body) + more)
        info = walk(body, limit)
        if info is None:
            return agreed(self, data, {"image-format"}, None)
        is_good = is_whole(body[:limit], info)
        wanted = [*info, "good" if is_good else "image-format"]
        return agreed(self, data, set(), wanted) + wanted[-1]

    def change(self, data, random):
        if random.random() < 0.1:
            return struct.pack("b", random.choice((0, 0, 1, -1, 32, -32, 127))) + data[1:]
        head, segments = parts(data[1:])
        change_segments(segments, random)
        at = random.choice((0, 1, 12, 13, 23, random.randrange(HEAD)))
        if random.random() < 0.3:
            head[at] = random.choice((0, 1, 2, 16, 17, 0xE9, 0xFF, random.randrange(256)))
        else:
            head[1] = len(segments) & 0xFF
        if random.random() < 0.5:
            head[23] = random.choice((0, 1, 1, 2))
        return data[:1] + built(head, segments)

    def mend(self, data, random):
        return data[:1] + mended(data[1:], random)


def walk(body: bytes, limit: int) -> "list | None":
    """Size, chip, segments and flags, None where it is no image within `limit`."""
    there = body[:limit]
    if len(there) < HEAD or there[0] != 0xE9 or not 1 <= there[1] <= 16:
        return None
    at = HEAD
    segments = []
    for _ in range(there[1]):
        if at + 8 > len(there):
            return None
        address, length = struct.unpack_from("<II", there, at)
        if length % 4 or length >= 1 << 24 or at + 8 + length > limit:
            return None
        segments.append([at + 8, address, length])
        at += 8 + length
    has_digest = there[23] == 1
    size = at // 16 * 16 + 16 + 32 * has_digest
    start, _, length = segments[0]
    if size > limit or (length >= 4 and start + 4 > len(there)):
        return None
    has_descriptor = length >= 4 and there[start : start + 4] == DESCRIPTOR
    chip = int.from_bytes(there[12:14], "little")
    return [size, chip, segments, [has_descriptor, has_digest]]


def is_whole(there: bytes, info: list) -> bool:
    """Checksum and digest, as esp_image_verify judges them."""
    size, _, segments, (_, has_digest) = info
    if len(there) < size:
        return False
    end = size - 32 * has_digest
    data = b"".join(there[start : start + length] for start, _, length in segments)
    if there[end - 1] != functools.reduce(operator.xor, data, 0xEF):
        return False
    return not has_digest or hashlib.sha256(there[:end]).digest() == there[end:size]


def parts(body: bytes) -> tuple:
    """Head, and segments as (address, length field, data), as far as they are there."""
    head = bytearray(body[:HEAD].ljust(HEAD, b"\0"))
    segments = []
    at = HEAD
    while at + 8 <= len(body) and len(segments) < max(1, min(head[1], 17)):
        address, length = struct.unpack_from("<II", body, at)
        segments.append([address, length, body[at + 8 : at + 8 + length]])
        at += 8 + length
    return head, segments


def change_segments(segments: list, random) -> None:
    at = random.randrange(len(segments) + 1)
    kind = random.randrange(5)
    size = random.choice(SIZES)
    data = random.choice((b"", DESCRIPTOR)) + random.randbytes(1) * size
    if kind == 0 or at == len(segments):
        segments.insert(at, [random.getrandbits(32), len(data), data])
    elif kind == 1:
        del segments[at]
    elif kind == 2:
        segments[at][1:] = len(data), data
    elif kind == 3:
        segments[at][1] = random.choice(LENGTHS)
    else:
        segments[at:] = segments[at : at + 1] * random.choice((2, 15, 16, 17))


def built(head: bytes, segments: list) -> bytes:
    """A file with padding, checksum and digest."""
    body = bytes(head)
    for address, length, data in segments:
        body += struct.pack("<II", address, length) + data
    body += bytes(15 - len(body) % 16)
    checksum = functools.reduce(operator.xor, b"".join(s[2] for s in segments), 0xEF)
    body += bytes((checksum,))
    return body + hashlib.sha256(body).digest() if head[23] == 1 else body


def mended(body: bytes, random) -> bytes:
    """With its checksum and digest right; now and then its lengths, or the end of the file."""
    head, segments = parts(body)
    if random.random() < 0.5 and segments:
        head[0], head[1] = 0xE9, len(segments)
        for segment in segments:
            segment[1] = len(segment[2]) & ~3
            segment[2] = segment[2][: segment[1]]
    info = walk(built(head, segments), 1 << 30)
    return built(head, segments) if info else body


def seeds() -> list:
    app = make_image(600)
    head = bytearray(app[:HEAD])
    plain = bytearray(head)
    plain[23] = 0
    two = [[0x3F400020, 32, DESCRIPTOR + bytes(28)], [0x40080000, 64, bytes(range(64))]]
    good = built(b"\xe9\x02" + head[2:], two)
    files = [
        *(
            app,
            make_image(1400),
            good,
            built(b"\xe9\x02" + plain[2:], two),
            b"",
            b"\xe9",
            good[:23],
        ),
        *(
            built(head, [[0, length, data]])
            for length, data in ((0, b""), (4, b"abcd"), (3, b"abc"))
        ),
        *(built(head, [[0, length, b""]]) for length in LENGTHS),
        *(built(bytes((0xE9, n)) + plain[2:], [[0, 0, b""]] * n) for n in (16, 17)),
        *(good[:1] + bytes((n,)) + good[2:] for n in (0, 1, 3, 255)),
        *(good[:23] + bytes((n,)) + good[24:] for n in (0, 2, 255)),
        *(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :] for at in (0, 12, 40, -1, -33)),
        *(good[:n] for n in (24, 31, 32, 36, 100, -33, -32, -1)),
    ]
    return [bytes((more,)) + file for file in files for more in (0, 255, 1)]
