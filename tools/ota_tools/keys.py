"""Signing keys: RSA-3072 in PEM files, named by the digest that Espressif's tools give them."""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ota_tools.failures import Refused, Usage

BITS = 3072
EXPONENT = 65537
SALT = 32


def generate(path: Path) -> rsa.RSAPrivateKey:
    """A new private key in `path` (mode 0600), never over an existing file. Raises Usage."""
    key = rsa.generate_private_key(EXPONENT, BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as e:
        raise Usage(f"{path} exists: a key is never written over") from e
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
    return key


def load_private(path: Path) -> rsa.RSAPrivateKey:
    """The signing key in a PEM file, ours or espsecure's. Raises Usage, Refused."""
    try:
        key = serialization.load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise Refused(f"{path} holds no unencrypted private key") from e
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Refused(f"{path} is no RSA key")
    _check(path, key.public_key())
    return key


def load_public(path: Path) -> rsa.RSAPublicKey:
    """The public key in a PEM file, which may hold the private one. Raises Usage, Refused."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        return load_private(path).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise Refused(f"{path} holds no key") from e
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused(f"{path} is no RSA key")
    _check(path, key)
    return key


def public_pem(key: rsa.RSAPublicKey) -> bytes:
    """SubjectPublicKeyInfo in PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def modulus(key: rsa.RSAPublicKey) -> bytes:
    """n, 384 bytes, big-endian."""
    return key.public_numbers().n.to_bytes(BITS // 8, "big")


def kid(key: rsa.RSAPublicKey) -> str:
    """The key's name: SHA-256 over n, e, rinv, m' as a Secure Boot v2 block holds them, in hex.

    Little-endian each, 384 + 4 + 384 + 4 bytes. Source: espsecure digest-sbv2-public-key, which
    gives the same (tests/host/test_keys.py).
    """
    n = key.public_numbers().n
    rinv = pow(2, 2 * BITS, n)
    m = -pow(n, -1, 1 << 32) % (1 << 32)
    size = BITS // 8
    block = n.to_bytes(size, "little") + EXPONENT.to_bytes(4, "little")
    block += rinv.to_bytes(size, "little") + m.to_bytes(4, "little")
    return hashlib.sha256(block).hexdigest()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """PS256 over `message`: 384 bytes, big-endian."""
    mask = padding.MGF1(hashes.SHA256())
    return key.sign(message, padding.PSS(mask, SALT), hashes.SHA256())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e


def _check(path: Path, key: rsa.RSAPublicKey) -> None:
    if key.key_size != BITS or key.public_numbers().e != EXPONENT:
        raise Refused(f"{path}: expected RSA-{BITS} with exponent {EXPONENT}")
