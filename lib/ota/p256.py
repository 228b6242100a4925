"""ECDSA over P-256 with SHA-256: the verifying half.

Layer 1, pure: key, digest and signature in, True or False out; nothing is raised for bad input.
Sources: FIPS 186-5 section 6.4.2; SP 800-186 section 3.2.1.3 for the curve; SEC 1 section 4.1.4.
Nothing here is secret: the time may depend on everything.

u1 G + u2 Q is one run of doublings, with signed odd digits of both scalars (interleaved wNAF). Two
cores can do that: big integers, below, or native code, `p256_viper`, where the firmware runs it.
"""

import gc

from micropython import const

_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)

_SIZE = const(32)  # bytes of a number
_BITS = const(257)  # digits of a scalar: a signed one may carry
_WINDOW = const(5)  # bits of a digit of u1, which is at most 15 either way
_OWN_WINDOW = const(4)  # of u2 in this core: a table of 4 points keeps the heap small

# G, 3G, 5G .. 15G: x and y, big-endian.
_TABLE = (
    b"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2"
    b"\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96"
    b"\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16"
    b"\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5"
    b"\x5e\xcb\xe4\xd1\xa6\x33\x0a\x44\xc8\xf7\xef\x95\x1d\x4b\xf1\x65"
    b"\xe6\xc6\xb7\x21\xef\xad\xa9\x85\xfb\x41\x66\x1b\xc6\xe7\xfd\x6c"
    b"\x87\x34\x64\x0c\x49\x98\xff\x7e\x37\x4b\x06\xce\x1a\x64\xa2\xec"
    b"\xd8\x2a\xb0\x36\x38\x4f\xb8\x3d\x9a\x79\xb1\x27\xa2\x7d\x50\x32"
    b"\x51\x59\x0b\x7a\x51\x51\x40\xd2\xd7\x84\xc8\x56\x08\x66\x8f\xdf"
    b"\xef\x8c\x82\xfd\x1f\x5b\xe5\x24\x21\x55\x4a\x0d\xc3\xd0\x33\xed"
    b"\xe0\xc1\x7d\xa8\x90\x4a\x72\x7d\x8a\xe1\xbf\x36\xbf\x8a\x79\x26"
    b"\x0d\x01\x2f\x00\xd4\xd8\x08\x88\xd1\xd0\xbb\x44\xfd\xa1\x6d\xa4"
    b"\x8e\x53\x3b\x6f\xa0\xbf\x7b\x46\x25\xbb\x30\x66\x7c\x01\xfb\x60"
    b"\x7e\xf9\xf8\xb8\xa8\x0f\xef\x5b\x30\x06\x28\x70\x31\x87\xb2\xa3"
    b"\x73\xeb\x1d\xbd\xe0\x33\x18\x36\x6d\x06\x9f\x83\xa6\xf5\x90\x00"
    b"\x53\xc7\x36\x33\xcb\x04\x1b\x21\xc5\x5e\x1a\x86\xc1\xf4\x00\xb4"
    b"\xea\x68\xd7\xb6\xfe\xdf\x0b\x71\x87\x89\x38\xd5\x1d\x71\xf8\x72"
    b"\x9e\x0a\xcb\x8c\x2c\x6d\xf8\xb3\xd7\x9e\x8a\x4b\x90\x94\x9e\xe0"
    b"\x2a\x27\x44\xc9\x72\xc9\xfc\xe7\x87\x01\x4a\x96\x4a\x8e\xa0\xc8"
    b"\x4d\x71\x4f\xea\xa4\xde\x82\x3f\xe8\x5a\x22\x4a\x4d\xd0\x48\xfa"
    b"\x3e\xd1\x13\xb7\x88\x3b\x4c\x59\x06\x38\x37\x9d\xb0\xc2\x1c\xda"
    b"\x16\x74\x2e\xd0\x25\x50\x48\xbf\x43\x33\x91\xd3\x74\xbc\x21\xd1"
    b"\x90\x99\x20\x9a\xcc\xc4\xc8\xa2\x24\xc8\x43\xaf\xa4\xf4\xc6\x8a"
    b"\x09\x0d\x04\xda\x5e\x98\x89\xda\xe2\xf8\xee\xfc\xe8\x2a\x37\x40"
    b"\x17\x7c\x83\x7a\xe0\xac\x49\x5a\x61\x80\x5d\xf2\xd8\x5e\xe2\xfc"
    b"\x79\x2e\x28\x4b\x65\xea\xd5\x8a\x98\xe1\x5d\x9d\x46\x07\x2c\x01"
    b"\x63\xbb\x58\xcd\x4e\xbe\xa5\x58\xa2\x40\x91\xad\xb4\x0f\x4e\x72"
    b"\x26\xee\x14\xc3\xa1\xfb\x4d\xf3\x9c\x43\xbb\xe2\xef\xc7\xbf\xd8"
    b"\xf0\x45\x4d\xc6\x97\x1a\xba\xe7\xad\xfb\x37\x89\x99\x88\x82\x65"
    b"\xae\x03\xaf\x92\xde\x3a\x0e\xf1\x63\x66\x8c\x63\xe5\x9b\x9d\x5f"
    b"\xb5\xb9\x3e\xe3\x59\x2e\x2d\x1f\x4e\x65\x94\xe5\x1f\x96\x43\xe6"
    b"\x2a\x3b\x21\xce\x75\xb5\xfa\x3f\x47\xe5\x9c\xde\x0d\x03\x4f\x36"
)

_ROOM = const(49152)  # bytes of heap that must be free: native code and its numbers take 25 KiB

_core = None


def verify(x: int, y: int, digest: bytes, signature: bytes) -> bool:
    """Does `signature` belong to `digest` under the key (x, y)?

    Args:
        x, y: a point that `is_on_curve`; the caller has asked once, when it read the key.
        digest: SHA-256 of the message, 32 bytes.
        signature: r and s, 32 bytes each, big-endian (RFC 7518 section 3.4).
    """
    if len(signature) != 2 * _SIZE or len(digest) != _SIZE:
        return False
    r = int.from_bytes(signature[:_SIZE], "big")
    s = int.from_bytes(signature[_SIZE:], "big")
    if not (0 < r < _N and 0 < s < _N):
        return False
    w = _inverse(s)
    u1 = _digits(int.from_bytes(digest, "big") * w % _N, _WINDOW)
    u2 = r * w % _N
    # r is x modulo n, and x may be n or more.
    wanted = (r, r + _N) if r + _N < _P else (r,)
    _, has_x, window = _load()
    if window != _OWN_WINDOW:
        try:
            return has_x(_TABLE, x, y, u1, _digits(u2, window), wanted)
        except MemoryError:
            pass  # it wants 6 KiB in one piece
    return _has_x(_TABLE, x, y, u1, _digits(u2, _OWN_WINDOW), wanted)


def is_on_curve(x: int, y: int) -> bool:
    """Is (x, y) a point of P-256, both below p? The point at infinity has no such form."""
    return 0 <= x < _P and 0 <= y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0


def core() -> str:
    """Which core verifies here: `viper` or `portable`."""
    return _load()[0]


def _load():
    global _core
    if _core is None:
        try:
            if gc.mem_free() < _ROOM:
                raise MemoryError
            from .p256_viper import WINDOW, has_x

            _core = "viper", has_x, WINDOW
        except Exception:
            # CPython, words of 64 bits, a firmware without native code, an .mpy for another
            # processor, little memory, the file left out: all the same here.
            _core = "portable", _has_x, _OWN_WINDOW
    return _core


def _inverse(s: int) -> int:
    # Euclid's algorithm: n is prime, and pow(s, -1, n) is 0 on MicroPython.
    m = _N
    u = 0
    v = 1
    while s:
        q, rest = divmod(m, s)
        m = s
        s = rest
        u, v = v, u - q * v
    return u


def _digits(k: int, window: int) -> bytearray:
    # Lowest first, a byte each: 0, or odd with a sign as in two's complement.
    digits = bytearray(_BITS)
    size = 1 << window
    at = 0
    while k:
        if k & 1:
            digit = k & (size - 1)
            if digit > size >> 1:
                digit -= size
            digits[at] = digit & 0xFF
            k = (k - digit) >> window
            at += window
        else:
            k >>= 1
            at += 1
    return digits


def _has_x(table: bytes, x: int, y: int, u1: bytearray, u2: bytearray, wanted) -> bool:
    # Is the x of u1 G + u2 Q one of those wanted?
    point = x, y, 1
    odd = [(x, y, 1, 1, 1)]
    x2, y2, z2 = _double(point)
    zz = z2 * z2 % _P
    zzz = zz * z2 % _P
    for _ in range(3):
        x, y, z = point = _add(point, x2, y2, z2, zz, zzz)
        square = z * z % _P
        # Shifting by nothing copies a number without the room that % leaves in it.
        odd.append((x >> 0, y >> 0, z >> 0, square >> 0, (square * z % _P) >> 0))
    total = None
    for i in range(_BITS - 1, -1, -1):
        if total:
            total = _double(total)
        digit = u1[i]
        if digit:
            at = ((256 - digit if digit > 127 else digit) >> 1) * 2 * _SIZE
            x = int.from_bytes(table[at : at + _SIZE], "big")
            y = int.from_bytes(table[at + _SIZE : at + 2 * _SIZE], "big")
            total = _add(total, x, -y if digit > 127 else y, 1, 1, 1)
        digit = u2[i]
        if digit:
            x, y, z, zz, zzz = odd[(256 - digit if digit > 127 else digit) >> 1]
            total = _add(total, x, -y if digit > 127 else y, z, zz, zzz)
    if not total:
        return False
    zz = total[2] * total[2]
    for x in wanted:
        if (x * zz - total[0]) % _P == 0:
            return True
    return False


def _double(point):
    # (x / z^2, y / z^3); y is never 0, for the order is odd.
    x, y, z = point
    yy = y * y % _P
    zz = z * z % _P
    b = 4 * x * yy % _P
    slope = 3 * (x - zz) * (x + zz) % _P
    x = (slope * slope - b - b) % _P
    return x, (slope * (b - x) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(point, x2, y2, z2, zz2, zzz2):
    # None is the point at infinity; the second point is never that. y2 may be negative.
    if not point:
        return x2, y2, z2
    x, y, z = point
    zz = z * z % _P
    h = x2 * zz
    slope = y2 * (zz * z % _P)
    if z2 != 1:
        x = x * zz2 % _P
        y = y * zzz2 % _P
        z = z * z2 % _P
    h = (h - x) % _P
    slope = (slope - y) % _P
    if not h:
        return None if slope else _double((x, y, z))
    hh = h * h % _P
    v = x * hh % _P
    hh = h * hh % _P
    x = (slope * slope - hh - v - v) % _P
    return x, (slope * (v - x) - y * hh) % _P, z * h % _P
