"""RSASSA-PSS with SHA-256 and a 3072-bit key: the verifying half.

Layer 1, pure: digest, modulus and signature in, True or False out; nothing is raised for bad input.
Public exponent 65537, MGF1 with SHA-256, salt of exactly 32 bytes. Source: RFC 8017 sections 8.1.2
and 9.1.2. The work is one `pow`.
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
    # MGF1 over the hash gives the mask; below it stand zeros, a one, and the salt.
    salt = bytearray(_HASH)
    seed = bytearray(_HASH + 4)
    seed[:_HASH] = encoded[_DB : _DB + _HASH]
    for at in range(0, _DB, _HASH):
        seed[_HASH + 3] = at // _HASH
        mask = hashlib.sha256(seed).digest()
        if 0 < at < _PADDING - _HASH:
            if encoded[at : at + _HASH] != mask:
                return False
            continue
        for i in range(at, min(at + _HASH, _DB)):
            byte = encoded[i] ^ mask[i - at]
            if i == 0:
                byte &= 0x7F
            if i > _PADDING:
                salt[i - _PADDING - 1] = byte
            elif byte != (i == _PADDING):
                return False
    sha = hashlib.sha256(b"\x00" * 8)
    sha.update(digest)
    sha.update(salt)
    return sha.digest() == seed[:_HASH]
