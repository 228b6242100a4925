"""Trust stores and manifests as anybody could sign them: nothing is checked, everything can be wrong."""

import hashlib
import json
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from ota.strict import b64url_encode
from ota_tools import keys

MANIFEST = "ota-manifest+1"
TRUST = "ota-trust+1"


def key_of(path: Path) -> rsa.RSAPrivateKey:
    """The private key of a file of tests/data/openssl. Checking that it is one would take most of the
    time of many tests.
    """
    data = path.read_bytes()
    return serialization.load_pem_private_key(data, None, unsafe_skip_rsa_key_validation=True)


def _text(raw: bytes) -> str:
    return b64url_encode(raw).decode()


class Rsa:
    """An RSA key of tests/data/openssl."""

    alg = "PS256"

    def __init__(self, path) -> None:
        self._key = key_of(path)
        self.n = self._key.public_key().public_numbers().n
        self.kid = keys.kid(self._key.public_key())
        self.entry = {
            "kid": self.kid,
            "alg": self.alg,
            "n": _text(keys.modulus(self._key.public_key())),
        }

    def sign(self, message: bytes) -> bytes:
        return keys.sign(self._key, message)

    def sign_salted(self, message: bytes, salt: int) -> bytes:
        """PSS with a salt of another length."""
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        return self._key.sign(message, pss, hashes.SHA256())

    def sign_v15(self, message: bytes) -> bytes:
        """PKCS #1 v1.5, which is RS256."""
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())


class Ec:
    """A P-256 key: a new one, or the one of this secret."""

    alg = "ES256"

    def __init__(self, secret: int = 0) -> None:
        curve = ec.SECP256R1()
        self._key = (
            ec.derive_private_key(secret, curve) if secret else ec.generate_private_key(curve)
        )
        self.secret = self._key.private_numbers().private_value
        numbers = self._key.public_key().public_numbers()
        x, y = self.x, self.y = numbers.x, numbers.y
        block = b"\x02" + x.to_bytes(32, "little") + y.to_bytes(32, "little")
        self.kid = hashlib.sha256(block).hexdigest()
        self.entry = {
            "kid": self.kid,
            "alg": self.alg,
            "x": _text(x.to_bytes(32, "big")),
            "y": _text(y.to_bytes(32, "big")),
        }

    def sign(self, message: bytes) -> bytes:
        r, s = utils.decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Forged:
    """A key of which something is not as it should be."""

    def __init__(self, key, sign=None, kid: str = "", alg: str = "", **entry) -> None:
        self.kid = kid or key.kid
        self.alg = alg or key.alg
        self.sign = sign or key.sign
        self.entry = {**key.entry, "kid": self.kid, **entry}


def envelope(typ: str, payload: bytes, signers, **changes) -> bytes:
    """Signed by each of `signers`; `changes` of the protected header."""
    entries = []
    for key in signers:
        header = {"alg": key.alg, "kid": key.kid, "typ": typ, **changes}
        protected = b64url_encode(json.dumps(header).encode())
        signature = key.sign(protected + b"." + b64url_encode(payload))
        entries.append({"protected": protected.decode(), "signature": _text(signature)})
    return json.dumps({"signatures": entries}).encode() + b"\n" + payload


def role(*members, threshold: int = 1) -> dict:
    """Of a trust store."""
    return {"keys": [key.kid for key in members], "threshold": threshold}


def store(number: int, roots, releases, signers, **fields) -> bytes:
    """A trust store with thresholds of 1, but for what `fields` say."""
    known = {key.kid: key.entry for key in [*roots, *releases]}
    content = {
        "format": 1,
        "number": number,
        "keys": list(known.values()),
        "root": role(*roots),
        "release": role(*releases),
        **fields,
    }
    return envelope(TRUST, json.dumps(content).encode(), signers)
