"""RSASSA-PSS with SHA-256 and a 3072-bit key: the verifying half.

Layer 1, pure: digest, modulus and signature in, True or False out; nothing is raised for bad input.
Public exponent 65537, MGF1 with SHA-256, salt of exactly 32 bytes. Source: RFC 8017 sections 8.1.2
and 9.1.2. The work is one `pow`; the rest allocates about 3 KiB.
"""

import hashlib

from micropython import const

KEY_SIZE = const(384)

_EXPONENT = const(65537)
_HASH = const(32)
_DB = const(351)  # KEY_SIZE - _HASH - 1
_PADDING = const(318)  # _DB - 1 - salt


def verify(n: int, digest: bytes, signature: bytes) -> bool:
    """Does `signature` belong to `digest` under the modulus `n`?

    Args:
        n: modulus of exactly 3072 bits; the caller has checked it once, when it read the key.
        digest: SHA-256 of the message, 32 bytes.
        signature: 384 bytes, big-endian.
    """
    if len(signature) != KEY_SIZE or len(digest) != _HASH:
        return False
    s = int.from_bytes(signature, "big")
    if s >= n:
        return False
    encoded = pow(s, _EXPONENT, n).to_bytes(KEY_SIZE, "big")
    if encoded[KEY_SIZE - 1] != 0xBC or encoded[0] & 0x80:
        return False
    h = encoded[_DB : _DB + _HASH]
    db = bytearray(_unmask(encoded, h))
    db[0] &= 0x7F
    if db[:_PADDING].count(b"\x00") != _PADDING or db[_PADDING] != 1:
        return False
    sha = hashlib.sha256(b"\x00" * 8)
    sha.update(digest)
    sha.update(db[_PADDING + 1 :])
    return sha.digest() == h


def _unmask(encoded: bytes, seed: bytes) -> bytes:
    mask = b""
    for counter in range((_DB + _HASH - 1) // _HASH):
        mask += hashlib.sha256(seed + counter.to_bytes(4, "big")).digest()
    masked = int.from_bytes(encoded[:_DB], "big")
    return (masked ^ int.from_bytes(mask[:_DB], "big")).to_bytes(_DB, "big")
