"""ECDSA from other hands: Wycheproof's vectors in DER, and signatures of other curves and hashes.

DER is no format of ours. It is read here as strictly as it can be, so that what is left of a vector, r and
s, is `ota.p256`'s to judge.
"""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from ota.p256 import is_on_curve, verify
from ota_tools import keys

VECTORS = Path(__file__).parents[1] / "data" / "wycheproof" / "ecdsa_secp256r1_sha256_test.json"
MESSAGE = b"a message for many curves"


def strict(der: bytes) -> bytes | None:
    """r and s of 32 bytes each, or None where the bytes are not the one DER form of such numbers."""
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        return None
    if r < 0 or s < 0 or encode_dss_signature(r, s) != der:
        return None
    if max(r, s) >> 256:
        return None
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw(der: bytes) -> bytes | None:
    """What the tools make of it."""
    try:
        return keys.raw_of(der)
    except ValueError:
        return None


def test_all_wycheproof_vectors_in_der_have_their_verdict():
    suite = json.loads(VECTORS.read_text())
    verdicts = {"valid": 0, "invalid": 0}  # there is no "acceptable"
    read = refused = 0
    for group in suite["testGroups"]:
        assert (group["publicKey"]["curve"], group["sha"]) == ("secp256r1", "SHA-256")
        x, y = int(group["publicKey"]["wx"], 16), int(group["publicKey"]["wy"], 16)
        assert is_on_curve(x, y)
        for test in group["tests"]:
            digest = hashlib.sha256(bytes.fromhex(test["msg"])).digest()
            signature = strict(bytes.fromhex(test["sig"]))
            good = signature is not None and verify(x, y, digest, signature)
            # What signers give back goes through our own reader; it lets nothing pass that is not read here.
            assert raw(bytes.fromhex(test["sig"])) in (None, signature)
            assert good is (good and raw(bytes.fromhex(test["sig"])) == signature)
            assert good is (test["result"] == "valid"), (test["tcId"], test["comment"])
            verdicts[test["result"]] += 1
            read += signature is not None
            refused += signature is not None and not good
    assert sum(verdicts.values()) == suite["numberOfTests"] == 471
    assert verdicts["valid"] == 170
    assert read == 170 + refused
    assert refused > 20  # not all were left to the reader


def numbers_of(key: ec.EllipticCurvePrivateKey) -> tuple[int, int]:
    numbers = key.public_key().public_numbers()
    return numbers.x, numbers.y


def signed(key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm, size: int) -> bytes:
    """r and s, `size` bytes each."""
    r, s = decode_dss_signature(key.sign(MESSAGE, ec.ECDSA(algorithm)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def digest_of(algorithm: hashes.HashAlgorithm) -> bytes:
    context = hashes.Hash(algorithm)
    context.update(MESSAGE)
    return context.finalize()


def test_signatures_by_openssl_are_good():
    for _ in range(20):
        key = ec.generate_private_key(ec.SECP256R1())
        x, y = numbers_of(key)
        assert is_on_curve(x, y)
        digest = digest_of(hashes.SHA256())
        assert verify(x, y, digest, signed(key, hashes.SHA256(), 32)) is True


@pytest.mark.parametrize(
    "curve",
    [ec.SECP192R1, ec.SECP224R1, ec.SECP256K1, ec.BrainpoolP256R1, ec.SECP384R1, ec.SECP521R1],
    ids=lambda curve: curve.name,
)
def test_other_curves_are_refused(curve):
    key = ec.generate_private_key(curve())
    x, y = numbers_of(key)
    assert is_on_curve(x, y) is False
    # Were the key taken all the same, its signature is still none.
    size = (key.key_size + 7) // 8
    digest = digest_of(hashes.SHA256())
    signature = signed(key, hashes.SHA256(), max(size, 32))
    assert verify(x, y, digest, signature) is False
    assert verify(x, y, digest, signed(key, hashes.SHA256(), size)[:64]) is False


@pytest.mark.parametrize(
    "algorithm",
    [
        hashes.SHA1(),
        hashes.SHA224(),
        hashes.SHA384(),
        hashes.SHA512(),
        hashes.SHA512_256(),
        hashes.SHA3_256(),
        hashes.SHA3_512(),
    ],
    ids=lambda algorithm: algorithm.name,
)
def test_other_hashes_are_refused(algorithm):
    key = ec.generate_private_key(ec.SECP256R1())
    x, y = numbers_of(key)
    signature = signed(key, algorithm, 32)
    assert verify(x, y, digest_of(hashes.SHA256()), signature) is False
    digest = digest_of(algorithm)
    # A digest of 32 bytes is taken for what it is; whoever hashes decides. No other one is cut or filled.
    assert verify(x, y, digest, signature) is (len(digest) == 32)


def test_an_unknown_signature_of_another_key_is_refused():
    key, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    x, y = numbers_of(stranger)
    signature = signed(key, hashes.SHA256(), 32)
    assert verify(x, y, digest_of(hashes.SHA256()), signature) is False
