"""Espressif's Secure Boot v2: the signature sector behind an image, the verifying half.

Layer 1, pure: 4096 bytes in, the digest that they sign out. `espsecure sign-data --version 2` makes
them: 1 to 3 blocks of 1216 bytes, then 0xFF. Numbers in a block are little-endian; offsets:
docs/format.md section 11. Source: secure_boot_signatures_app.c (ESP-IDF 5.x), espsecure 5.6.
"""

import binascii
import struct

from micropython import const

from .errors import error

SECTOR = const(4096)
"""Bytes of the signature sector, and what the content is a multiple of."""

_BLOCK = const(1216)
_BLOCKS = const(3)
_MAGIC = const(0xE7)
_CRC = const(1196)
_RSA = const(2)
_ECDSA = const(3)
_P256 = const(2)
_EXPONENT = const(65537)


def verify_sector(sector, keys: dict, threshold: int) -> bytes:
    """The SHA-256 of the content that enough of `keys` signed, 32 bytes.

    Two things are the caller's: the content has this SHA-256, and is a multiple of 4096 bytes, which
    espsecure can be told to forgo. Every block must be whole, those by unknown keys too; then they
    are passed over. RSA and P-256 may stand side by side. rinv and m' of RSA are not used: nothing
    but n is compared, and n decides.

    Args:
        sector: the last 4096 bytes of the file, bytes-like; no copy of it is made.
        keys: name -> object with `value` (n, or x and y) and `verify(digest, signature) -> bool`.
        threshold: different keys that must have signed, at least 1.
    Raises SignatureError `signature-scheme`, `signature`.
    """
    blocks = _read_blocks(memoryview(sector))
    digest = blocks[0][0]
    good = 0
    for _, value, signature in blocks:
        for key in keys.values():
            if key.value == value:
                if key.verify(digest, signature):
                    good += 1
                break  # a value counts once, whatever names it has
    if threshold < 1 or good < threshold:
        raise error("signature", "%d good signatures, expected %d" % (good, threshold))
    return digest


def _read_blocks(sector) -> list:
    # All blocks, well-formed and not verified.
    if len(sector) != SECTOR:
        raise error("signature", "signature sector of %d bytes, expected 4096" % len(sector))
    if sector[0] != _MAGIC:
        raise error("signature-scheme", "no Secure Boot v2: %02x, expected e7" % sector[0])
    blocks: list = []
    end = 0
    while end < _BLOCKS * _BLOCK and sector[end] == _MAGIC:
        where = "signature block %d: " % len(blocks)
        found = _read_block(sector[end : end + _BLOCK], where)
        for digest, value, _ in blocks:
            if found[0] != digest:
                raise error("signature", where + "other content than in the one before")
            if found[1] == value:
                raise error("signature", where + "a key that has signed already")
        blocks.append(found)
        end += _BLOCK
    # Nothing may hide where nobody reads.
    if min(sector[end:]) != 0xFF:
        raise error("signature", "bytes other than ff behind the blocks, from %d" % end)
    return blocks


def _read_block(block, where: str) -> tuple:
    # Digest, the key's value, signature as `key.verify` takes it.
    (crc,) = struct.unpack_from("<I", block, _CRC)
    computed = binascii.crc32(block[:_CRC])
    if crc != computed:
        raise error("signature", where + "CRC-32 %08x, computed %08x" % (crc, computed))
    version = block[1]
    if version == _RSA:
        blank = not any(block[2:4])
        exponent = _number(block, 420, 4)
        if exponent != _EXPONENT:
            raise error("signature", where + "exponent %d, expected 65537" % exponent)
        value: "int | tuple" = _number(block, 36, 384)
        signature = _big_endian(block, 812, 384)
    elif version == _ECDSA:
        if block[2]:  # 1 is SHA-384, for P-384; the curve's number then stands elsewhere
            raise error("signature-scheme", where + "hash %d, expected 0 (SHA-256)" % block[2])
        if block[36] != _P256:
            raise error("signature-scheme", where + "curve %d, expected 2 (P-256)" % block[36])
        blank = not (block[3] or any(block[165:_CRC]))
        value = _number(block, 37, 32), _number(block, 69, 32)
        signature = _big_endian(block, 101, 32) + _big_endian(block, 133, 32)
    else:
        raise error("signature-scheme", where + "version %d, expected 2 or 3" % version)
    if not blank or any(block[_CRC + 4 :]):
        raise error("signature", where + "not zero where nothing stands")
    return bytes(block[4:36]), value, signature


def _number(block, at: int, n: int) -> int:
    return int.from_bytes(block[at : at + n], "little")


def _big_endian(block, at: int, n: int) -> bytes:
    return _number(block, at, n).to_bytes(n, "big")
