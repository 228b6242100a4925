"""Signing keys: RSA-3072 or EC P-256 in PEM files, named by the digest that Espressif's tools give them.

Rule: no text made here, also of a failure, holds anything of a private key or of a passphrase.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, overload

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from ota import strict
from ota.trust import EcKey, RsaKey
from ota_tools.failures import Refused, Usage
from ota_tools.files import write_new

BITS = 3072
EXPONENT = 65537
SALT = 32
COORDINATE = 32
"""Bytes of X, Y, r and s of P-256."""

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256. Source: FIPS 186-4, D.1.2.3."""

PASSPHRASE = "OTA_KEY_PASSPHRASE"  # noqa: S105 - its name
"""Environment variable with the passphrase of encrypted keys."""

_CURVE = 2  # P-256 in a Secure Boot v2 block
_EXPECTED = f"expected RSA-{BITS} with exponent {EXPONENT}, or EC P-256"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Ask = Callable[[Path], str]
"""Asks for the passphrase of a file."""


@overload
def generate(
    path: Path, alg: Literal["rsa"] = "rsa", passphrase: str | None = None
) -> rsa.RSAPrivateKey: ...
@overload
def generate(path: Path, alg: str, passphrase: str | None = None) -> PrivateKey: ...
def generate(path: Path, alg: str = "rsa", passphrase: str | None = None) -> PrivateKey:
    """A new private key in `path` (PKCS#8, mode 0600), never over an existing file. Raises Usage.

    Args:
        alg: "rsa" for RSA-3072, "p256" for EC P-256.
        passphrase: the file is encrypted with it.
    """
    key: PrivateKey
    if alg == "p256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(EXPONENT, BITS)
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    write_new(path, pem, "a key is never written over", 0o600)
    return key


def load_private(path: Path, ask: Ask | None = None) -> PrivateKey:
    """The signing key in a PEM file: PKCS#8, or espsecure's PKCS#1 and SEC1. Raises Usage, Refused.

    Args:
        ask: asked where the file is encrypted and the environment has no `PASSPHRASE`.
    """
    data = _read(path)
    try:
        key = _open(data, None)
    except TypeError:  # what cryptography raises for a key that is encrypted
        key = _unlock(path, data, ask)
    except (ValueError, UnsupportedAlgorithm) as e:
        what = "only the public key" if b"PUBLIC KEY" in data else "no key that can be read"
        raise Refused(f"{path} holds {what}, expected a private key in PEM") from e
    if not isinstance(key, PrivateKey):
        raise Refused(f"{path}: {_EXPECTED}")
    _check(path, key.public_key())
    return key


def load_public(path: Path, ask: Ask | None = None) -> PublicKey:
    """The public key in a PEM file, which may hold the private one. Raises Usage, Refused."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        return load_private(path, ask).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise Refused(f"{path} holds no key, expected one in PEM") from e
    if not isinstance(key, PublicKey):
        raise Refused(f"{path}: {_EXPECTED}")
    _check(path, key)
    return key


def is_exposed(path: Path) -> bool:
    """May others than its owner read or write the file?"""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def public_pem(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo in PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def modulus(key: rsa.RSAPublicKey) -> bytes:
    """n, 384 bytes, big-endian."""
    return key.public_numbers().n.to_bytes(BITS // 8, "big")


def kid(key: PublicKey) -> str:
    """The key's name: SHA-256 over the key as a Secure Boot v2 block holds it, in hex.

    Little-endian: n, e, rinv, m' (384 + 4 + 384 + 4 bytes), or the curve's number and X, Y
    (1 + 32 + 32 bytes). Source: espsecure digest-sbv2-public-key, which gives the same
    (tests/host/test_keys.py).
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        x, y = (value.to_bytes(COORDINATE, "little") for value in (point.x, point.y))
        return hashlib.sha256(bytes((_CURVE,)) + x + y).hexdigest()
    n = key.public_numbers().n
    rinv = pow(2, 2 * BITS, n)
    m = -pow(n, -1, 1 << 32) % (1 << 32)
    size = BITS // 8
    block = n.to_bytes(size, "little") + EXPONENT.to_bytes(4, "little")
    block += rinv.to_bytes(size, "little") + m.to_bytes(4, "little")
    return hashlib.sha256(block).hexdigest()


def device_key(key: PublicKey) -> RsaKey | EcKey:
    """The key as devices verify with it."""
    numbers = key.public_numbers()
    if isinstance(numbers, ec.EllipticCurvePublicNumbers):
        return EcKey(numbers.x, numbers.y)
    return RsaKey(numbers.n)


def entry(key: PublicKey) -> dict[str, str]:
    """The key as a trust store names it: docs/format.md section 4."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = {"n": modulus(key)}
    else:
        point = key.public_numbers()
        numbers = {
            name: value.to_bytes(COORDINATE, "big")
            for name, value in (("x", point.x), ("y", point.y))
        }
    coded = {name: strict.b64url_encode(value).decode() for name, value in numbers.items()}
    return {"kid": kid(key), "alg": device_key(key).alg, **coded}


def from_entry(fields: dict[str, str]) -> PublicKey:
    """The key that a trust store names. Raises ValueError, strict.Malformed."""
    numbers = {
        name: int.from_bytes(strict.b64url_decode(fields[name]), "big")
        for name in ("n", "x", "y")
        if name in fields
    }
    if fields["alg"] == EcKey.alg:
        return ec.EllipticCurvePublicNumbers(
            numbers["x"], numbers["y"], ec.SECP256R1()
        ).public_key()
    return rsa.RSAPublicNumbers(EXPONENT, numbers["n"]).public_key()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """PS256 (384 bytes) or ES256 (r and s, 64 bytes) over `message`, big-endian."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return raw_of(key.sign(message, ec.ECDSA(hashes.SHA256())))
    mask = padding.MGF1(hashes.SHA256())
    return key.sign(message, padding.PSS(mask, SALT), hashes.SHA256())


def raw_of(der: bytes) -> bytes:
    """r and s of P-256, 32 bytes each, out of their one DER form. Raises ValueError.

    Source: RFC 3279 section 2.2.3 (ECDSA-Sig-Value), RFC 7518 section 3.4.
    """
    r, s = utils.decode_dss_signature(der)
    if not (0 < r < ORDER and 0 < s < ORDER) or utils.encode_dss_signature(r, s) != der:
        raise ValueError("not the DER form of a P-256 signature")
    return r.to_bytes(COORDINATE, "big") + s.to_bytes(COORDINATE, "big")


def _unlock(path: Path, data: bytes, ask: Ask | None) -> object:
    passphrase = os.environ.get(PASSPHRASE)
    if passphrase is None:
        if ask is None:
            raise Refused(f"{path} is encrypted: set {PASSPHRASE}")
        passphrase = ask(path)
    try:
        return _open(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise Refused(f"the passphrase does not open {path}, or the file is damaged") from e


def _open(data: bytes, passphrase: str | None) -> object:
    return serialization.load_pem_private_key(
        data, None if passphrase is None else passphrase.encode()
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e


def _check(path: Path, key: PublicKey) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        fits = isinstance(key.curve, ec.SECP256R1)
    else:
        fits = key.key_size == BITS and key.public_numbers().e == EXPONENT
    if not fits:
        raise Refused(f"{path}: {_EXPECTED}")
