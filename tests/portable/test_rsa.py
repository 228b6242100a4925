"""RSASSA-PSS: OpenSSL's signatures are good, and nothing that departs from the standard is.

The private keys of tests/data/openssl sign here what OpenSSL would not: encodings with one fault.
"""

import binascii
import hashlib

from fakes import noise, read_data

from ota.rsa import KEY_SIZE, verify

MESSAGE = hashlib.sha256(read_data("openssl/message.txt")).digest()
MODULUS = int(read_data("openssl/release.modulus").decode().strip(), 16)
GOOD = read_data("openssl/pss-salt-32.bin")


class PrivateKey:
    """A key from a PEM file (PKCS #8) of tests/data/openssl; made for tests, public."""

    def __init__(self, name):
        lines = read_data("openssl/" + name + ".pem").decode().split("\n")
        der = binascii.a2b_base64("".join([line for line in lines if "-" not in line]))
        at = _inside(der, 0)[0]
        for _ in range(2):  # version and algorithm
            start, length = _inside(der, at)
            at = start + length
        at = _inside(der, _inside(der, at)[0])[0]  # OCTET STRING, SEQUENCE
        numbers = []
        for _ in range(9):
            start, length = _inside(der, at)
            at = start + length
            numbers.append(int.from_bytes(der[start:at], "big"))
        self.n = numbers[1]
        self._crt = numbers[4:]

    def sign_encoded(self, encoded):
        """The signature that opens to these 384 bytes."""
        p, q, dp, dq, inverse = self._crt
        m = int.from_bytes(encoded, "big")
        assert m < self.n
        low = pow(m, dq, q)
        high = inverse * (pow(m, dp, p) - low) % p
        return (low + high * q).to_bytes(KEY_SIZE, "big")

    def sign(self, digest, salt=b"\x5a" * 32):
        """A good signature."""
        return self.sign_encoded(encode(digest, salt))


def _inside(der, at):
    # Start and length of what the element at `at` holds.
    length = der[at + 1]
    at += 2
    if length & 0x80:
        n = length & 0x7F
        length = int.from_bytes(der[at : at + n], "big")
        at += n
    return at, length


def encode(digest, salt, padding=None, separator=1, trailer=0xBC, top=0, prefix=bytes(8)):
    """EMSA-PSS of RFC 8017 section 9.1.1, with a fault where one is asked for."""
    size = KEY_SIZE - 34 - len(salt)
    padding = bytes(size) if padding is None else padding + bytes(size - len(padding))
    h = hashlib.sha256(prefix + digest + salt).digest()
    data = padding + bytes((separator,)) + salt
    masked = bytearray(data)
    mask = mask_of(h)
    for i in range(len(data)):
        masked[i] = data[i] ^ mask[i]
    masked[0] = masked[0] & 0x7F | top
    return bytes(masked) + h + bytes((trailer,))


def mask_of(seed):
    mask = b""
    for counter in range(12):
        mask += hashlib.sha256(seed + bytes((0, 0, 0, counter))).digest()
    return mask


def salts():
    for i in range(256):
        yield hashlib.sha256(bytes((i,))).digest()


KEY = PrivateKey("release")


def is_good(encoded, digest=MESSAGE):
    return verify(MODULUS, digest, KEY.sign_encoded(encoded))


def test_a_signature_by_openssl_is_good():
    assert verify(MODULUS, MESSAGE, GOOD) is True


def test_a_salt_of_another_length_is_refused():
    for salt in ("0", "20", "max"):
        signature = read_data("openssl/pss-salt-" + salt + ".bin")
        assert len(signature) == KEY_SIZE
        assert verify(MODULUS, MESSAGE, signature) is False, salt
    for n in (31, 33):
        assert not is_good(encode(MESSAGE, b"\x01" * n)), n


def test_another_message_or_key_is_refused():
    other = hashlib.sha256(b"another message").digest()
    assert verify(MODULUS, other, GOOD) is False
    assert verify(PrivateKey("root").n, MESSAGE, GOOD) is False
    for at in range(32):
        flipped = bytearray(MESSAGE)
        flipped[at] ^= 1 << at % 8
        assert verify(MODULUS, bytes(flipped), GOOD) is False, at


def test_the_topmost_bit_of_the_mask_does_not_matter():
    # It is cleared by the signer; half of all good signatures have it set in their mask.
    seen = set()
    for salt in salts():
        h = hashlib.sha256(bytes(8) + MESSAGE + salt).digest()
        bit = mask_of(h)[0] & 0x80
        if bit not in seen:
            seen.add(bit)
            assert is_good(encode(MESSAGE, salt)), bit
    assert len(seen) == 2


def test_the_topmost_bit_of_the_encoding_is_zero():
    for salt in salts():
        encoded = encode(MESSAGE, salt, top=0x80)
        if int.from_bytes(encoded, "big") < MODULUS:
            assert not is_good(encoded)
            return
    raise AssertionError("no salt fits")


def test_the_trailer_is_bc():
    for trailer in (0xCC, 0xBD, 0):
        assert not is_good(encode(MESSAGE, b"\x5a" * 32, trailer=trailer)), trailer


def test_the_padding_is_zeros_from_first_to_last():
    salt = b"\x5a" * 32
    for padding in (b"\x01", b"\x40", bytes(150) + b"\x80", bytes(317) + b"\x01"):
        assert not is_good(encode(MESSAGE, salt, padding)), padding


def test_a_one_stands_between_padding_and_salt():
    for separator in (0, 2, 0x81):
        assert not is_good(encode(MESSAGE, b"\x5a" * 32, separator=separator)), separator


def test_eight_zeros_are_hashed_before_the_digest():
    salt = b"\x5a" * 32
    for prefix in (b"", bytes(7), bytes(9), b"\x01" * 8):
        assert not is_good(encode(MESSAGE, salt, prefix=prefix)), prefix


def test_a_digest_has_32_bytes():
    for digest in (b"", MESSAGE[:31], MESSAGE + b"\x00"):
        assert not is_good(encode(digest, b"\x5a" * 32), digest), len(digest)


def test_a_signature_has_384_bytes():
    for signature in (b"", b"\x00", GOOD[:-1], GOOD + b"\x00", b"\x00" + GOOD, GOOD + GOOD):
        assert verify(MODULUS, MESSAGE, signature) is False, len(signature)
    # With this salt a good signature begins with a zero; it may not come without it.
    signature = KEY.sign(MESSAGE, bytes(31) + b"\x05")
    assert signature[0] == 0
    assert verify(MODULUS, MESSAGE, signature) is True
    assert verify(MODULUS, MESSAGE, signature[1:]) is False


def test_a_signature_is_less_than_the_modulus():
    limit = 1 << 8 * KEY_SIZE
    for salt in salts():
        s = int.from_bytes(KEY.sign(MESSAGE, salt), "big")
        if s + MODULUS < limit:
            assert verify(MODULUS, MESSAGE, s.to_bytes(KEY_SIZE, "big"))
            assert not verify(MODULUS, MESSAGE, (s + MODULUS).to_bytes(KEY_SIZE, "big"))
            return
    raise AssertionError("no salt fits")


def test_special_numbers_are_refused():
    for s in (0, 1, 2, MODULUS - 1, MODULUS, MODULUS + 1, (1 << 8 * KEY_SIZE) - 1):
        assert verify(MODULUS, MESSAGE, s.to_bytes(KEY_SIZE, "big")) is False, s


def test_every_flipped_byte_is_refused():
    for at in range(0, KEY_SIZE, 3):
        flipped = bytearray(GOOD)
        flipped[at] ^= 1 << at % 8
        assert verify(MODULUS, MESSAGE, bytes(flipped)) is False, at


def test_garbage_is_refused_and_nothing_is_raised():
    for seed in range(1, 40):
        assert verify(MODULUS, MESSAGE, noise(KEY_SIZE, seed)) is False, seed


def test_the_encoding_of_the_tests_is_the_one_of_openssl():
    opened = pow(int.from_bytes(GOOD, "big"), 65537, MODULUS).to_bytes(KEY_SIZE, "big")
    h = opened[351:383]
    mask = mask_of(h)
    salt = bytes([opened[i] ^ mask[i] for i in range(319, 351)])
    assert encode(MESSAGE, salt) == opened
