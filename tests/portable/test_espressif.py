"""Secure Boot v2: what espsecure signed is taken, and a sector with anything else in it is not.

The sectors are espsecure's own (tests/data/espsecure). A signature covers a digest and nothing else of
its sector, so a fault with a right CRC-32 around it needs no key.
"""

import binascii
import hashlib
import struct

from fakes import code_of, noise, raises, read_data

from ota.errors import SignatureError
from ota.espressif import SECTOR, verify_sector
from ota.trust import EcKey, RsaKey

CONTENT = read_data("espsecure/content.bin")
PADDED = CONTENT + b"\xff" * (SECTOR - len(CONTENT))
DIGEST = hashlib.sha256(PADDED).digest()
BLOCK = 1216
CRC = 1196


def sector(name):
    return read_data("espsecure/" + name + ".sector")


def key_of(name, text):
    if name.startswith("rsa"):
        return RsaKey(int(text, 16))
    return EcKey(int(text[:64], 16), int(text[64:], 16))


KEYS = {}
for _line in read_data("espsecure/keys.txt").decode().split("\n")[:-1]:
    _name, _, _text = _line.partition(" ")
    KEYS[_name] = key_of(_name, _text)

RSA_1, RSA_2, RSA_3 = [sector("rsa-" + n) for n in "123"]
P256_1 = sector("p256-1")


def keys(*names):
    return {name: KEYS[name] for name in names}


class Willing:
    """A key that finds every signature good, and remembers what it was asked."""

    def __init__(self, value):
        self.value = value
        self.asked = []

    def verify(self, digest, signature):
        self.asked.append((digest, signature))
        return True


def willing(*names):
    return {name: Willing(KEYS[name].value) for name in names}


def mended(data):
    """The sector with the CRC-32 of each block made right."""
    data = bytearray(data)
    for at in range(0, 3 * BLOCK, BLOCK):
        if data[at] == 0xE7:
            struct.pack_into("<I", data, at + CRC, binascii.crc32(data[at : at + CRC]))
    return bytes(data)


def changed(data, at, new):
    """The sector with other bytes at an offset, and a right CRC-32."""
    assert data[at : at + len(new)] != new
    return mended(data[:at] + new + data[at + len(new) :])


def flipped(data, at):
    return changed(data, at, bytes((data[at] ^ 1 << at % 8,)))


def code(data, threshold=1, known=None):
    """What a sector is refused for, by keys that find every signature good."""
    known = willing("rsa1", "rsa2", "rsa3", "p256-1") if known is None else known
    return code_of(verify_sector, data, known, threshold)


# What espsecure makes


def test_one_two_and_three_rsa_signatures_are_good():
    names = ("rsa1", "rsa2", "rsa3")
    for n, data in ((1, RSA_1), (2, RSA_2), (3, RSA_3)):
        assert verify_sector(data, keys(*names[:n]), n) == DIGEST, n
        assert verify_sector(data, keys(*names), n) == DIGEST, n
        for name in names[:n]:
            assert verify_sector(data, keys(name), 1) == DIGEST, (n, name)
        for name in names[n:]:
            assert code_of(verify_sector, data, keys(name), 1) == "signature", (n, name)


def test_one_two_and_three_p256_signatures_are_good():
    names = ("p256-1", "p256-2", "p256-3")
    for n in (1, 2, 3):
        data = sector("p256-%d" % n)
        assert verify_sector(data, keys(*names), n) == DIGEST, n
        assert verify_sector(data, keys(names[n - 1]), 1) == DIGEST, n
        for name in names[n:]:
            assert code_of(verify_sector, data, keys(name), 1) == "signature", (n, name)


def test_rsa_and_p256_stand_side_by_side():
    data = sector("mixed")
    assert verify_sector(data, keys("rsa1"), 1) == DIGEST
    assert verify_sector(data, keys("p256-1"), 1) == DIGEST
    assert verify_sector(data, keys("rsa1", "p256-1"), 2) == DIGEST
    assert code_of(verify_sector, data, keys("rsa2", "p256-2"), 1) == "signature"


def test_an_appended_signature_counts():
    assert verify_sector(sector("appended"), keys("rsa1", "rsa2"), 2) == DIGEST


def test_a_sector_is_bytes_or_a_view_of_them():
    for data in (RSA_1, bytearray(RSA_1), memoryview(PADDED + RSA_1)[SECTOR:]):
        found = verify_sector(data, keys("rsa1"), 1)
        assert found == DIGEST and type(found) is bytes and len(found) == 32


def test_a_file_signed_twice_is_content_with_a_sector_of_its_own():
    # The outer signature covers the inner sector: that file is installed, not the image within.
    found = verify_sector(sector("twice"), keys("rsa1"), 1)
    assert found == hashlib.sha256(PADDED + RSA_1).digest() != DIGEST


def test_content_that_was_not_filled_up_has_a_digest_of_its_own():
    # The sector cannot tell; that the file's length is a multiple of 4096 is the caller's to see.
    assert verify_sector(sector("unpadded"), keys("rsa1"), 1) == hashlib.sha256(CONTENT).digest()


def test_unsigned_content_has_no_block():
    for data in (PADDED, b"\xff" * SECTOR, bytes(SECTOR), b"\xe9" + noise(SECTOR - 1)):
        assert code(data) == "signature-scheme"
    e = raises(SignatureError, verify_sector, PADDED, keys("rsa1"), 1)
    assert "%02x" % PADDED[0] in str(e) and "e7" in str(e)


def test_secure_boot_v1_is_refused():
    data = (PADDED + read_data("espsecure/secure-boot-v1.bin"))[-SECTOR:]
    assert code(data) == "signature-scheme"


def test_p192_is_refused():
    e = raises(SignatureError, verify_sector, sector("p192"), keys("p256-1"), 1)
    assert e.code == "signature-scheme" and "curve 1" in str(e)


def test_p384_is_refused():
    e = raises(SignatureError, verify_sector, sector("p384"), keys("p256-1"), 1)
    assert e.code == "signature-scheme" and "hash 1" in str(e)


def test_a_good_signature_does_not_excuse_a_scheme_beside_it():
    e = raises(SignatureError, verify_sector, sector("mixed-p384"), keys("rsa1"), 1)
    assert e.code == "signature-scheme" and "block 1" in str(e)


def test_two_blocks_by_one_key_are_refused():
    assert code_of(verify_sector, sector("same-key"), keys("rsa1"), 1) == "signature"
    assert code_of(verify_sector, sector("same-key"), keys("rsa1"), 2) == "signature"
    first, second, blank = RSA_2[:BLOCK], RSA_2[BLOCK : 2 * BLOCK], b"\xff" * BLOCK
    rest = b"\xff" * (SECTOR - 3 * BLOCK)
    for data in (
        first + second + first + rest,
        first + second + second + rest,  # by a stranger
        P256_1[:BLOCK] * 2 + blank + rest,
    ):
        assert code(data, 1, willing("rsa1", "p256-1")) == "signature"
    assert verify_sector(first + second + blank + rest, willing("rsa1"), 1) == DIGEST


# The keys


def test_keys_are_told_by_value():
    known = {"b": KEYS["rsa2"], "any name": RsaKey(KEYS["rsa1"].value)}
    assert verify_sector(RSA_2, known, 2) == DIGEST
    assert code(RSA_1, 1, {"rsa1": Willing(KEYS["rsa2"].value)}) == "signature"
    x, y = KEYS["p256-1"].value
    assert verify_sector(P256_1, {"k": Willing((x, y))}, 1) == DIGEST
    for value in ((y, x), (x, y ^ 1), (x ^ 1, y), x, None):
        assert code(P256_1, 1, {"k": Willing(value)}) == "signature"


def test_a_threshold_of_two_wants_two_keys():
    both = keys("rsa1", "rsa2")
    assert verify_sector(RSA_2, both, 2) == DIGEST
    for data, known in ((RSA_1, both), (RSA_2, keys("rsa1")), (RSA_2, keys("rsa1", "rsa3"))):
        e = raises(SignatureError, verify_sector, data, known, 2)
        assert e.code == "signature" and "1 good signatures, expected 2" in str(e)


def test_one_key_under_two_names_counts_once():
    known = {"a": KEYS["rsa1"], "b": RsaKey(KEYS["rsa1"].value)}
    assert verify_sector(RSA_1, known, 1) == DIGEST
    assert code_of(verify_sector, RSA_1, known, 2) == "signature"


def test_a_threshold_is_at_least_one():
    for threshold in (0, -1):
        assert code(RSA_1, threshold) == "signature"
        assert code(RSA_1, threshold, {}) == "signature"


def test_without_keys_nothing_is_good():
    assert code(RSA_1, 1, {}) == "signature"


def test_a_key_is_asked_for_the_digest_as_it_is_and_big_endian():
    known = willing("rsa1", "p256-1")
    data = sector("mixed")
    assert verify_sector(data, known, 2) == DIGEST
    (asked,) = known["rsa1"].asked
    assert asked == (DIGEST, bytes(reversed(data[812:CRC])))
    (asked,) = known["p256-1"].asked
    r, s = [bytes(reversed(data[BLOCK + at : BLOCK + at + 32])) for at in (101, 133)]
    assert asked == (DIGEST, r + s)


def test_a_bad_signature_of_a_known_key_does_not_count():
    for at in (812, 1000, 1195):
        bad = flipped(RSA_2, at)
        assert code_of(verify_sector, bad, keys("rsa1"), 1) == "signature", at
        assert code_of(verify_sector, bad, keys("rsa1", "rsa2"), 2) == "signature", at
        assert verify_sector(bad, keys("rsa1", "rsa2"), 1) == DIGEST, at
    for at in (101, 164):
        assert code_of(verify_sector, flipped(P256_1, at), keys("p256-1"), 1) == "signature", at


def test_another_digest_is_not_what_was_signed():
    for data, name in ((RSA_1, "rsa1"), (P256_1, "p256-1")):
        for at in (4, 20, 35):
            assert code_of(verify_sector, flipped(data, at), keys(name), 1) == "signature", at


def test_another_modulus_or_point_is_another_key():
    for at in range(36, 420, 7):
        assert code(flipped(RSA_1, at)) == "signature", at
    for at in range(37, 101, 7):
        assert code(flipped(P256_1, at)) == "signature", at


# The sector


def test_a_sector_has_4096_bytes():
    assert SECTOR == 4096
    for n in (0, 1, 36, BLOCK - 1, BLOCK, SECTOR - 1):
        assert code(RSA_1[:n]) == "signature", n
    assert code(RSA_1 + b"\xff") == "signature"


def test_every_flipped_byte_is_refused():
    for data in (RSA_1, RSA_3, sector("mixed")):
        for at in range(SECTOR):
            wrong = bytearray(data)
            wrong[at] ^= 1 << at % 8
            wanted = "signature" if at else "signature-scheme"
            assert code(wrong) == wanted, at


def test_a_flipped_byte_with_a_right_crc_is_refused():
    # All of them but rinv and m'; where it costs arithmetic, some.
    rsa = list(range(1, 4)) + list(range(4, 36, 5)) + list(range(36, 424))
    rsa += list(range(812, CRC, 31)) + list(range(CRC + 4, SECTOR))
    p256 = list(range(1, 4)) + list(range(4, 36, 9)) + list(range(36, 101))
    p256 += list(range(101, 165, 13)) + list(range(165, CRC)) + list(range(CRC + 4, SECTOR))
    for data, name, offsets in ((RSA_1, "rsa1", rsa), (P256_1, "p256-1", p256)):
        for at in offsets:
            found = code_of(verify_sector, flipped(data, at), keys(name), 1)
            scheme = at == 1 or (data is P256_1 and at in (2, 36))
            assert found == ("signature-scheme" if scheme else "signature"), (name, at)


def test_what_was_computed_from_the_modulus_is_not_read():
    for at in (424, 600, 807, 808, 811):
        assert verify_sector(flipped(RSA_1, at), keys("rsa1"), 1) == DIGEST, at
    # Two keys that differ in nothing else are one.
    twin = changed(RSA_1[:BLOCK] * 2 + RSA_1[2 * BLOCK :], BLOCK + 424, bytes(388))
    assert code(twin) == "signature"


def test_nothing_hides_behind_the_blocks():
    for data, end in ((RSA_1, BLOCK), (RSA_2, 2 * BLOCK), (RSA_3, 3 * BLOCK)):
        assert data[end:] == b"\xff" * (SECTOR - end)
        for at in range(end, SECTOR):
            wrong = bytearray(data)
            wrong[at] = 0xFE
            assert code(wrong) == "signature", at
        assert code(data[:end] + bytes(SECTOR - end)) == "signature"


def test_a_block_behind_a_gap_is_not_read_and_not_hidden():
    blank = b"\xff" * BLOCK
    assert code(RSA_1[:BLOCK] + blank + RSA_2[BLOCK : 2 * BLOCK] + RSA_1[-448:]) == "signature"
    assert code(blank + RSA_1[:BLOCK] + RSA_1[2 * BLOCK :]) == "signature-scheme"


def test_there_are_three_blocks_at_most():
    # What stands at 3648 is no block, whatever it begins with.
    assert code(RSA_3[: 3 * BLOCK] + RSA_1[: SECTOR - 3 * BLOCK]) == "signature"


def test_the_crc_is_that_of_the_block():
    for at in range(CRC, CRC + 4):
        wrong = bytearray(RSA_1)
        wrong[at] ^= 0x10
        assert code(wrong) == "signature", at
    wrong = bytearray(RSA_1)
    wrong[600] ^= 1  # in rinv: nothing else would miss it
    e = raises(SignatureError, verify_sector, wrong, keys("rsa1"), 1)
    assert e.code == "signature" and "CRC-32" in str(e) and "block 0" in str(e)
    stored, computed = struct.unpack("<I", wrong[CRC : CRC + 4])[0], binascii.crc32(wrong[:CRC])
    assert "%08x" % stored in str(e) and "%08x" % computed in str(e)


def test_the_version_is_that_of_rsa_or_ecdsa():
    for version in range(256):
        wanted = "signature-scheme"
        if version == 2:
            continue
        if version == 3:
            # Byte 36 is then the curve, and the digits of n are no zeros.
            wanted = "signature" if RSA_1[36] == 2 else "signature-scheme"
        assert code(changed(RSA_1, 1, bytes((version,)))) == wanted, version
    assert code(changed(P256_1, 1, b"\x02")) == "signature"  # its exponent would be 0
    e = raises(SignatureError, verify_sector, changed(RSA_1, 1, b"\x04"), keys("rsa1"), 1)
    assert "version 4" in str(e)


def test_another_hash_or_curve_is_another_scheme():
    for number in range(1, 256):
        assert code(changed(P256_1, 2, bytes((number,)))) == "signature-scheme", number
    for number in list(range(2)) + list(range(3, 256)):
        assert code(changed(P256_1, 36, bytes((number,)))) == "signature-scheme", number


def test_the_exponent_is_65537():
    for exponent in (0, 1, 3, 65535, 65536, 65539, 0x80010001, 0xFFFFFFFF):
        assert code(changed(RSA_1, 420, struct.pack("<I", exponent))) == "signature", exponent
    e = raises(SignatureError, verify_sector, changed(RSA_1, 420, b"\3\0\0\0"), keys("rsa1"), 1)
    assert "exponent 3, expected 65537" in str(e)


def test_bytes_2_and_3_of_an_rsa_block_are_zero():
    for at in (2, 3):
        assert code(changed(RSA_1, at, b"\x01")) == "signature", at
        assert code(changed(RSA_2, BLOCK + at, b"\x80")) == "signature", at


def test_byte_3_of_an_ecdsa_block_is_zero():
    assert code(changed(P256_1, 3, b"\x01")) == "signature"


def test_an_ecdsa_block_is_zero_behind_its_signature():
    for at in range(165, CRC):
        assert code(changed(P256_1, at, b"\x01")) == "signature", at


def test_a_block_ends_with_16_zeros():
    for data in (RSA_3, sector("mixed")):
        for start in (0, BLOCK):
            for at in range(start + CRC + 4, start + BLOCK):
                assert code(changed(data, at, b"\x40")) == "signature", at


def test_all_blocks_name_the_same_digest():
    for start in (0, BLOCK, 2 * BLOCK):
        for at in (4, 19, 35):
            assert code(flipped(RSA_3, start + at), 1) == "signature", (start, at)
    # A sector pieced together of two contents' is nobody's, even where enough keys signed either.
    pieced = RSA_1[:BLOCK] + sector("twice")[:BLOCK] + RSA_1[2 * BLOCK :]
    assert code_of(verify_sector, pieced, keys("rsa1"), 1) == "signature"


def test_every_block_is_whole_that_of_an_unknown_key_too():
    known = keys("rsa1")
    assert verify_sector(RSA_2, known, 1) == DIGEST
    for at, new in (
        (1, b"\x04"),
        (2, b"\x01"),
        (4, noise(32)),
        (420, b"\x03"),
        (CRC + 4, b"\x01"),
    ):
        wrong = changed(RSA_2, BLOCK + at, new)
        assert code_of(verify_sector, wrong, known, 1).startswith("signature"), at


def test_a_faulty_block_costs_no_arithmetic():
    known = willing("rsa1", "rsa2", "rsa3")
    assert code(changed(RSA_3, 2 * BLOCK + 3, b"\x01"), 1, known) == "signature"
    assert code(RSA_3[:-1] + b"\0", 1, known) == "signature"
    assert [key.asked for key in known.values()] == [[], [], []]
