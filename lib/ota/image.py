"""The ESP32 application image: header, descriptor, segments, checksum, appended SHA-256.

Layer 1, no I/O: the caller hands in `read(offset, n)`, over a file or over a slot, and every length
is checked against `limit` before it is used.
Source: esp_app_format.h, esp_app_desc.h, esp_image_format.c (ESP-IDF 5.x).

    0   u8   magic 0xE9            segments, each:
    1   u8   segment count, 1-16       u32 load address
    12  u16  chip id                   u32 length, multiple of 4, < 16 MiB
    23  u8   1: SHA-256 appended       data
    24       segments              zeros up to 15 bytes into a 16-byte block, checksum u8
    32  u32  0xABCD5432, the descriptor's magic   [SHA-256 of all before, 32 bytes]
    36  u32  secure_version
    48  32 bytes  version, ends with a zero
"""

import hashlib
import struct

from micropython import const

from .errors import error

HEAD_SIZE = const(36)
"""Bytes from the start that `check_head` needs."""

DESCRIPTION = const(80)
"""Bytes from the start that `secure_version` and `version_text` need."""

DESCRIPTOR = const(0xABCD5432)
"""Magic of an application's descriptor."""

MAGIC = const(0xE9)
_MAX_SEGMENTS = const(16)
_MAX_SEGMENT = const(0x1000000)
_CHECKSUM_SEED = const(0xEF)
_PIECE = const(1024)


class Info:
    """What an image says of itself.

    Attributes:
        size: bytes, checksum and appended SHA-256 included.
        chip_id: as in esp_chip_id_t; ESP32 is 0.
        segments: list of (offset of the data in the file, load address, length).
        has_descriptor: an application, not a bootloader.
        has_digest: a SHA-256 is appended.
    """

    def __init__(self, size: int, chip_id: int, segments: list, descriptor: bool, digest: bool):
        self.size = size
        self.chip_id = chip_id
        self.segments = segments
        self.has_descriptor = descriptor
        self.has_digest = digest


def check_head(head: bytes | bytearray | memoryview, chip_id: int) -> None:
    """Refuse what is not an application image for this chip, from its first `HEAD_SIZE` bytes.

    A merged firmware.bin and a bootloader share the magic of an application; the descriptor tells
    them apart. Raises ImageError `image-format` or `wrong-chip`.
    """
    if head[0] != MAGIC or not 1 <= head[1] <= _MAX_SEGMENTS:
        raise error("image-format", "starts with %02x %02x" % (head[0], head[1]))
    (chip,) = struct.unpack_from("<H", head, 12)
    if chip != chip_id:
        raise error("wrong-chip", "for chip id %d, this is %d" % (chip, chip_id))
    (magic,) = struct.unpack_from("<I", head, 32)
    if magic != DESCRIPTOR:
        raise error("image-format", "no descriptor: a bootloader or a merged file?")
    (length,) = struct.unpack_from("<I", head, 28)
    if length % 4 or length >= _MAX_SEGMENT:
        raise error("image-format", "first segment of %d bytes" % length)


def secure_version(head: bytes | bytearray | memoryview) -> int:
    """The descriptor's `secure_version`, of an application's first `DESCRIPTION` bytes."""
    return struct.unpack_from("<I", head, 36)[0]


def version_text(head: bytes | bytearray | memoryview) -> str:
    """The descriptor's version, at most 24 characters; "-" where it is not printable ASCII."""
    text = bytes(head[48:DESCRIPTION]).split(b"\x00")[0][:24]
    for byte in text:
        if not 0x20 <= byte <= 0x7E:
            return "-"
    return text.decode() or "-"


def inspect(read, limit: int) -> Info:
    """Walk the headers of an image.

    Args:
        read: read(offset, n) gives n bytes (bytes-like), fewer at the end of the source.
        limit: bytes that the source can hold; nothing behind it is asked for.
    Raises ImageError `image-format`: magic, segment count or length, or an image over the limit.
    """
    head = _exactly(read, 0, 24, limit)
    if head[0] != MAGIC:
        raise error("image-format", "magic %02x, expected e9" % head[0])
    count = head[1]
    if not 1 <= count <= _MAX_SEGMENTS:
        raise error("image-format", "%d segments, expected 1 to 16" % count)
    (chip_id,) = struct.unpack_from("<H", head, 12)
    has_digest = head[23] == 1
    segments = []
    offset = 24
    for _ in range(count):
        address, length = struct.unpack("<II", _exactly(read, offset, 8, limit))
        if length % 4 or length >= _MAX_SEGMENT:
            raise error("image-format", "segment of %d bytes at offset %d" % (length, offset))
        offset += 8
        segments.append((offset, address, length))
        offset += length
        if offset > limit:
            raise error("image-format", "segment ends at %d, behind %d" % (offset, limit))
    size = (offset + 16) & ~15
    if has_digest:
        size += 32
    if size > limit:
        raise error("image-format", "image of %d bytes, room for %d" % (size, limit))
    first, _, length = segments[0]
    descriptor = length >= 4 and bytes(_exactly(read, first, 4, limit)) == struct.pack(
        "<I", DESCRIPTOR
    )
    return Info(size, chip_id, segments, descriptor, has_digest)


def verify(read, limit: int) -> Info:
    """`inspect`, then checksum and appended SHA-256, as `esp_image_verify` does.

    Reads the whole image in pieces of 1 KiB. Raises ImageError `image-format`.
    """
    info = inspect(read, limit)
    checksum = _CHECKSUM_SEED
    for start, _, length in info.segments:
        for offset in range(start, start + length, _PIECE):
            checksum ^= _xor(_exactly(read, offset, min(_PIECE, start + length - offset), limit))
    end = info.size - 32 if info.has_digest else info.size
    stored = _exactly(read, end - 1, 1, limit)[0]
    if stored != checksum:
        raise error("image-format", "checksum %02x, computed %02x" % (stored, checksum))
    if info.has_digest:
        sha = hashlib.sha256()
        for offset in range(0, end, _PIECE):
            sha.update(_exactly(read, offset, min(_PIECE, end - offset), limit))
        if sha.digest() != bytes(_exactly(read, end, 32, limit)):
            raise error("image-format", "the appended SHA-256")
    return info


def _exactly(read, offset: int, n: int, limit: int):
    if offset + n > limit:
        raise error("image-format", "ends at %d, expected %d bytes more" % (limit, n))
    data = read(offset, n)
    if len(data) != n:
        raise error("image-format", "truncated at offset %d" % (offset + len(data)))
    return data


def _xor(data) -> int:
    # A multiple of 4 bytes folded as one integer: the xor of all bytes without a loop over them.
    value = int.from_bytes(data, "little")
    bits = 8 * _PIECE
    while bits > 8:
        bits >>= 1
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value
