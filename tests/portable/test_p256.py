"""ECDSA over P-256: the RFCs' signatures are good, and nothing that departs from the standard is.

Signatures with scalars of our choice need no private key: R = u1 G + u2 Q gives r, and s = r / u2 and
digest = u1 s follow. The points come from the schoolbook's formulas, one inversion for each addition.
"""

import binascii
import hashlib

from fakes import noise

from ota.p256 import core, is_on_curve, verify
from ota.strict import b64url_decode

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# RFC 6979 appendix A.2.5, SHA-256.
KEY = (
    0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
    0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
)
SAMPLE = binascii.unhexlify(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)
TEST = binascii.unhexlify(
    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
)
DIGEST = hashlib.sha256(b"sample").digest()


def add(a, b):
    """The sum of two points; None is infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if a[1] != b[1]:
            return None
        slope = 3 * (a[0] * a[0] - 1) * pow(2 * a[1], P - 2, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], P - 2, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    """k times a point, k possibly negative."""
    if k < 0:
        return times(-k, (point[0], P - point[1]))
    total = None
    while k:
        if k & 1:
            total = add(total, point)
        point = add(point, point)
        k >>= 1
    return total


def packed(number):
    return number.to_bytes(32, "big")


def made(u1, u2, x):
    """Digest and signature for which the verifier's scalars are u1 and u2; x: that of u1 G + u2 Q."""
    r = x % N
    s = r * pow(u2, N - 2, N) % N
    return packed(u1 * s % N), packed(r) + packed(s)


def is_good(digest, r, s, key=KEY):
    return verify(key[0], key[1], digest, packed(r) + packed(s))


def numbers(signature):
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def with_s_of_3():
    """Key, digest and signature; 7 G is R."""
    point = times(7, G)
    u2 = point[0] * pow(3, N - 2, N) % N
    digest, signature = made(2, u2, point[0])
    return times(5 * pow(u2, N - 2, N) % N, G), digest, signature


def lifted(x):
    """A point with the least x from here on that has one."""
    while True:
        y = pow(x * x * x - 3 * x + B, (P + 1) // 4, P)
        if is_on_curve(x, y):
            return x, y
        x += 1


def test_the_core_has_a_name():
    assert core() in ("portable", "viper")


def test_signatures_of_rfc_6979_are_good():
    assert is_on_curve(KEY[0], KEY[1]) is True
    assert verify(KEY[0], KEY[1], DIGEST, SAMPLE) is True
    assert verify(KEY[0], KEY[1], hashlib.sha256(b"test").digest(), TEST) is True


def test_the_signature_of_rfc_7515_appendix_a_3_is_good():
    x = int.from_bytes(b64url_decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), "big")
    y = int.from_bytes(b64url_decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"), "big")
    signed = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = b64url_decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    assert is_on_curve(x, y)
    assert verify(x, y, hashlib.sha256(signed).digest(), signature) is True
    assert verify(x, y, hashlib.sha256(signed + b".").digest(), signature) is False


def test_another_message_or_key_is_refused():
    assert verify(KEY[0], KEY[1], DIGEST, TEST) is False
    assert verify(G[0], G[1], DIGEST, SAMPLE) is False
    assert verify(KEY[0], P - KEY[1], DIGEST, SAMPLE) is False
    for at in range(0, 32, 3):
        flipped = bytearray(DIGEST)
        flipped[at] ^= 1 << at % 8
        assert verify(KEY[0], KEY[1], bytes(flipped), SAMPLE) is False, at


def test_a_signature_has_64_bytes():
    for signature in (b"", SAMPLE[:63], SAMPLE + b"\x00", b"\x00" + SAMPLE, SAMPLE[:32]):
        assert verify(KEY[0], KEY[1], DIGEST, signature) is False, len(signature)
    # A leading zero is no padding to be left out: s is 3 here.
    key, digest, signature = with_s_of_3()
    assert signature[32:] == packed(3)
    assert verify(key[0], key[1], digest, signature) is True
    assert verify(key[0], key[1], digest, signature[:32] + signature[33:]) is False
    assert verify(key[0], key[1], digest, signature[:32] + b"\x00" + signature[32:]) is False


def test_a_digest_has_32_bytes():
    for digest in (b"", DIGEST[:31], DIGEST + b"\x00", b"\x00" + DIGEST):
        assert verify(KEY[0], KEY[1], digest, SAMPLE) is False, len(digest)


def test_r_is_from_1_to_n_minus_1():
    r, s = numbers(SAMPLE)
    for wrong in (0, N, N + 1, P, 2**256 - 1):
        assert is_good(DIGEST, wrong, s) is False, wrong
    # r + n is r modulo n, and fits into 32 bytes where r is small.
    point = lifted(2)
    key = add(point, times(-5, G))
    digest, signature = made(5, 1, point[0])
    assert verify(key[0], key[1], digest, signature) is True
    r, s = numbers(signature)
    assert r == point[0]
    assert is_good(digest, r + N, s, key) is False


def test_s_is_from_1_to_n_minus_1():
    r, s = numbers(SAMPLE)
    for wrong in (0, N, N + 1, 2**256 - 1):
        assert is_good(DIGEST, r, wrong) is False, wrong
    assert is_good(DIGEST, r, N - s) is True  # the other s of every signature: not ruled out
    # s + n is s modulo n, and fits into 32 bytes where s is small.
    key, digest, signature = with_s_of_3()
    assert verify(key[0], key[1], digest, signature) is True
    assert is_good(digest, numbers(signature)[0], N + 3, key) is False


def test_r_and_s_are_in_this_order():
    assert verify(KEY[0], KEY[1], DIGEST, SAMPLE[32:] + SAMPLE[:32]) is False


def test_numbers_are_big_endian():
    r, s = numbers(SAMPLE)
    little = r.to_bytes(32, "little") + s.to_bytes(32, "little")
    assert verify(KEY[0], KEY[1], DIGEST, little) is False


def test_a_digest_of_0_modulo_n_is_as_good_as_any():
    # u1 is 0: R = u2 Q.
    key = times(9, G)
    for u2 in (1, 2, 8, N - 1):
        digest, signature = made(0, u2, times(u2, key)[0])
        assert digest == bytes(32)
        assert verify(key[0], key[1], digest, signature) is True, u2
        assert verify(key[0], key[1], packed(N), signature) is True, u2
        assert verify(key[0], key[1], packed(1), signature) is False, u2


def test_a_digest_counts_modulo_n():
    point = times(3, G)
    u1 = pow(point[0], N - 2, N)  # with u2 = 1 the digest is 1
    key = add(point, times(-u1, G))
    digest, signature = made(u1, 1, point[0])
    assert digest == packed(1)
    assert verify(key[0], key[1], digest, signature) is True
    assert verify(key[0], key[1], packed(N + 1), signature) is True


def test_sums_that_meet_themselves_or_infinity():
    # Q = d G: wherever u1 = +-u2 d in the digits read so far, an addition meets the same point, or its
    # opposite.
    multiples = {}
    seen = {"sum": 0, "infinity": 0}
    for d in (1, -1, 2, -2, 3, -7, 15):
        key = times(d, G)
        for u1 in (0, 1, 2, 3, 15, 16, 33):
            for u2 in (1, 2, 3, 7, 8, 32):
                k = u1 + u2 * d
                if abs(k) not in multiples:
                    multiples[abs(k)] = times(abs(k), G)
                point = multiples[abs(k)]
                seen["sum" if point else "infinity"] += 1
                digest, signature = made(u1, u2, point[0] if point else G[0])
                good = verify(key[0], key[1], digest, signature)
                assert good is (point is not None), (d, u1, u2)
    assert seen["sum"] + seen["infinity"] == 294 and seen["infinity"] == 5


def test_a_sum_at_infinity_is_refused_for_any_r():
    key = times(-1, G)
    for u in (1, 5, N // 2, N - 1):
        for r in (1, 2, N - 1, P - N - 1, G[0]):
            digest, signature = made(u, u, r)
            assert verify(key[0], key[1], digest, signature) is False, (u, r)


def test_large_scalars_meet_too():
    for d, u1, u2 in (
        (1, N - 1, 1),
        (1, N - 2, 1),
        (1, N // 2, N // 2),
        (-1, N // 2, N // 2),
        (2, N - 2, 1),
        (2, 2**255, 2**254),
        (-2, 2**255 + 5, 2**254),
        (-1, 2**200 + 1, 2**200),
        (N // 3, N - 1, N - 1),
    ):
        key = times(d, G)
        point = add(times(u1, G), times(u2, key))
        digest, signature = made(u1, u2, point[0] if point else 1)
        assert verify(key[0], key[1], digest, signature) is (point is not None), (d, u1, u2)


def test_an_x_of_n_and_more_counts_modulo_n():
    point = lifted(N)
    assert N <= point[0] < P
    key = add(point, times(-5, G))
    digest, signature = made(5, 1, point[0])
    r, s = numbers(signature)
    assert r < P - N
    assert is_good(digest, r, s, key) is True
    assert is_good(digest, point[0], s, key) is False  # it must have been reduced


def test_an_x_counts_modulo_n_and_not_modulo_p():
    # r + n is over p here, and the same as x only modulo p.
    point = lifted(1)
    r = point[0] + P - N
    key = add(point, times(-5, G))
    digest, signature = made(5, 1, r)
    assert verify(key[0], key[1], digest, signature) is False


def test_every_flipped_byte_is_refused():
    for at in range(0, 64, 3):
        flipped = bytearray(SAMPLE)
        flipped[at] ^= 1 << at % 8
        assert verify(KEY[0], KEY[1], DIGEST, bytes(flipped)) is False, at


def test_garbage_is_refused_and_nothing_is_raised():
    for seed in range(1, 12):
        assert verify(KEY[0], KEY[1], DIGEST, noise(64, seed)) is False, seed


def test_random_scalars_are_right():
    key = KEY
    for seed in range(1, 4):
        u1 = int.from_bytes(noise(32, seed), "big") % N
        u2 = int.from_bytes(noise(32, seed + 100), "big") % N
        point = add(times(u1, G), times(u2, key))
        digest, signature = made(u1, u2, point[0])
        assert verify(key[0], key[1], digest, signature) is True, seed
        key = point


def test_a_buffer_is_as_good_as_bytes():
    assert verify(KEY[0], KEY[1], bytearray(DIGEST), memoryview(SAMPLE)) is True


def test_points_of_the_curve_are_known():
    for point in (G, KEY, times(2, G), lifted(0), lifted(N)):
        assert is_on_curve(point[0], point[1]) is True
        assert is_on_curve(point[0], P - point[1]) is True
        assert is_on_curve(point[0], (point[1] + 1) % P) is False
        assert is_on_curve((point[0] + 1) % P, point[1]) is False
        assert is_on_curve(point[1], point[0]) is False


def test_a_point_has_coordinates_from_0_to_p_minus_1():
    x, y = lifted(0)
    assert is_on_curve(x, y)
    for wrong in ((x + P, y), (x, y + P), (x - P, y), (x, y - P), (x, -y), (x + P, y + P)):
        assert is_on_curve(wrong[0], wrong[1]) is False, wrong


def test_zeros_are_no_point():
    assert is_on_curve(0, 0) is False


def test_a_point_of_another_curve_is_refused():
    # The generators of secp256k1 (SEC 2 section 2.4.1) and P-224 (SP 800-186 section 3.2.1.2).
    assert not is_on_curve(
        0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
        0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    )
    assert not is_on_curve(
        0xB70E0CBD6BB4BF7F321390B94A03C1D356C21122343280D6115C1D21,
        0xBD376388B5F723FB4C22DFE6CD4375A05A07476444D5819985007E34,
    )
