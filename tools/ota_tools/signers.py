"""Who signs: a key in a file, or a program that knows where the key is (HSM, KMS, PKCS#11).

Rule: a signature from outside is verified with the device's own code before anybody sees it, and
what a program answers is never shown: only how it ended, the last line of its stderr, and how its
signature differs from what devices expect.
"""

import contextlib
import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from ota_tools import keys
from ota_tools.failures import MissingTool, Refused, Usage

TIMEOUT = 120  # seconds; somebody may have to type a PIN or touch a token

_HASHED_AGAIN = (
    "the digest was hashed again: sign the message on stdin, or OTA_DIGEST as it is"
    " (openssl pkeyutl -pkeyopt digest:sha256)"
)
_TEXT_SIGNED = "the text of OTA_DIGEST was signed: make 32 bytes of it, and do not hash them again"
_RSA_SIZE = keys.BITS // 8
_RAW_SIZE = 2 * keys.COORDINATE
_HASH = 32
_DB = _RSA_SIZE - _HASH - 1
# Of an environment variable that holds a secret.
_SECRET_NAME = re.compile(r"PASS|PIN|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"[0-9A-Fa-f]{32,}|[A-Za-z0-9+][A-Za-z0-9+/_-]{39,}={0,2}")


class Signer(Protocol):
    """One key that signs."""

    @property
    def public(self) -> keys.PublicKey:
        """The public half."""

    @property
    def alg(self) -> str:
        """`PS256` or `ES256`."""

    @property
    def kid(self) -> str:
        """Its name: `keys.kid`."""

    def sign(self, message: bytes) -> bytes:
        """384 bytes (PS256), or r and s (ES256, 64 bytes). Raises Failure."""


AnySigner = Signer | keys.PrivateKey
"""A private key signs by itself."""


class _Key:
    # What the two kinds have in common: the public half and its names.

    def __init__(self, public: keys.PublicKey) -> None:
        self.public = public
        self.kid = keys.kid(public)
        self.device_key = keys.device_key(public)
        self.alg: str = self.device_key.alg


class PemSigner(_Key):
    """A private key in this process."""

    def __init__(self, key: keys.PrivateKey) -> None:
        super().__init__(key.public_key())
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """See Signer."""
        return keys.sign(self._key, message)


class CommandSigner(_Key):
    """A program that signs. It is called without a shell, for every signature once.

    It gets the message on stdin, OTA_DIGEST (hexadecimal SHA-256 of the message) and OTA_ALG in its
    environment, and answers the signature on stdout, binary: 384 bytes of RSA; DER, or r and s of
    32 bytes each, of P-256.
    """

    def __init__(self, public: keys.PublicKey, command: str) -> None:
        """Raises Usage for a command that cannot be split into words."""
        super().__init__(public)
        try:
            self._argv = shlex.split(command)
        except ValueError as e:
            raise Usage(f"a signer's command: {e}") from e
        if not self._argv:
            raise Usage("a signer's command is empty, expected a program and its arguments")
        # The arguments may hold a PIN: only the program is ever named.
        self._name = f"the signer {Path(self._argv[0]).name}"

    def sign(self, message: bytes) -> bytes:
        """See Signer. Raises Refused, MissingTool."""
        digest = hashlib.sha256(message).digest()
        answer = self._run(message, digest)
        signature = self._raw(answer)
        if not self.device_key.verify(digest, signature):
            raise Refused(f"{self._name}: {_diagnose(self.public, digest, signature)}")
        return signature

    def _run(self, message: bytes, digest: bytes) -> bytes:
        environment = {**os.environ, "OTA_DIGEST": digest.hex(), "OTA_ALG": self.alg}
        environment.pop(keys.PASSPHRASE, None)
        pipe = subprocess.PIPE
        try:
            # In this session: a PIN may be asked for at the terminal.
            process = subprocess.Popen(
                self._argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
            )
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else "no name of a program"
            raise MissingTool(f"{self._name} cannot be run: {reason}") from e
        try:
            answer, said = process.communicate(message, TIMEOUT)
        except subprocess.TimeoutExpired as e:
            raise Refused(f"{self._name} did not answer within {TIMEOUT} seconds") from e
        finally:
            # Not `with`: what it started may still hold the pipes, nobody waits for that.
            process.kill()
            for end in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    if end:
                        end.close()
            process.wait()
        if process.returncode:
            how = f"ended with exit code {process.returncode}"
            if process.returncode < 0:
                how = f"was ended by signal {-process.returncode}"
            last = _last_line(said)
            raise Refused(f"{self._name} {how}" + (f": {last}" if last else ""))
        return answer

    def _raw(self, answer: bytes) -> bytes:
        if isinstance(self.public, rsa.RSAPublicKey):
            if len(answer) != _RSA_SIZE:
                expected = f"{_RSA_SIZE} bytes of RSA"
                raise Refused(self._other(answer, expected))
            return answer
        # 64 bytes are taken as raw: DER is that short once in 2^40 signatures.
        if len(answer) == _RAW_SIZE:
            return answer
        try:
            return keys.raw_of(answer)
        except ValueError as e:
            expected = f"{_RAW_SIZE} bytes (r, s) or their DER form"
            raise Refused(self._other(answer, expected)) from e

    def _other(self, answer: bytes, expected: str) -> str:
        text = f"{self._name} answered {len(answer)} bytes on stdout, expected {expected}"
        if answer and all(byte in b"\r\n\t" or 32 <= byte < 127 for byte in answer):
            text += "; that is text: it must be binary, neither base64 nor hexadecimal"
        return text


def signer_of(signer: AnySigner) -> Signer:
    """A signer, whatever was given."""
    return PemSigner(signer) if isinstance(signer, keys.PrivateKey) else signer


def signers_of(signers: Sequence[AnySigner]) -> list[Signer]:
    """Signers, each key once. Raises Usage."""
    found = [signer_of(signer) for signer in signers]
    kids = [signer.kid for signer in found]
    for kid in kids:
        if kids.count(kid) > 1:
            raise Usage(f"the key {kid} is given twice: one key signs once")
    return found


def _last_line(said: bytes) -> str:
    # For people; without control characters, and without what may be a secret.
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    text = "".join(c if c.isprintable() else " " for c in (lines or [""])[-1]).strip()
    for name, value in os.environ.items():
        if len(value) >= 4 and _SECRET_NAME.search(name):
            text = text.replace(value, "…")
    text = _SECRET_TEXT.sub("…", text)
    return text[:200] + "…" * (len(text) > 200)


# What is wrong with a signature that does not verify. Not for trust: the verifier has spoken.


def _diagnose(public: keys.PublicKey, digest: bytes, signature: bytes) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        found = _diagnose_rsa(public, digest, signature)
    else:
        found = _diagnose_ec(public, digest, signature)
    return found or "the signature is not one of this message by the key of its PUBLIC.pem"


def _instead(digest: bytes) -> list[tuple[bytes, str]]:
    # What is signed by mistake in the place of the message.
    return [
        (hashlib.sha256(digest).digest(), _HASHED_AGAIN),
        (hashlib.sha256(digest.hex().encode()).digest(), _TEXT_SIGNED),
    ]


def _diagnose_rsa(public: rsa.RSAPublicKey, digest: bytes, signature: bytes) -> str:
    numbers = public.public_numbers()
    number = int.from_bytes(signature, "big")
    if number >= numbers.n:
        return ""
    encoded = pow(number, numbers.e, numbers.n).to_bytes(_RSA_SIZE, "big")
    # RFC 8017 section 9.2: 00 01 FF … FF 00, at least eight FF.
    if encoded.startswith(b"\x00\x01" + b"\xff" * 8):
        return (
            "the signature is PKCS#1 v1.5, expected PSS: openssl -sigopt rsa_padding_mode:pss"
            " -sigopt rsa_pss_saltlen:32"
        )
    # RFC 8017 section 9.1.2: masked DB, hash, BC.
    if encoded[-1] != 0xBC:
        return ""
    inner = encoded[_DB:-1]
    mask = b"".join(
        hashlib.sha256(inner + count.to_bytes(4, "big")).digest()
        for count in range(_DB // _HASH + 1)
    )
    db = bytearray(a ^ b for a, b in zip(encoded[:_DB], mask, strict=False))
    db[0] &= 0x7F
    rest = db.lstrip(b"\x00")
    if rest[:1] != b"\x01":
        return ""
    salt = bytes(rest[1:])

    def signs(digest: bytes) -> bool:
        return hashlib.sha256(bytes(8) + digest + salt).digest() == inner

    if signs(digest):
        return (
            f"the signature has a salt of {len(salt)} bytes, expected {keys.SALT}:"
            f" openssl -sigopt rsa_pss_saltlen:{keys.SALT}"
        )
    return next((text for other, text in _instead(digest) if signs(other)), "")


def _diagnose_ec(public: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> str:
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    der = utils.encode_dss_signature(r, s)
    for other, text in _instead(digest):
        try:
            public.verify(der, other, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except InvalidSignature:
            continue
        return text
    return ""
