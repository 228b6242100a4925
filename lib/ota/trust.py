"""The trust store: which keys may sign manifests, and which may change the trust store.

Layer 1, pure: bytes in, a `Trust` out. Format: docs/format.md section 4.
"""

from micropython import const

from .errors import error
from .jws import TRUST, split, verify
from .rsa import KEY_SIZE
from .rsa import verify as rsa_verify
from .strict import Malformed, b64url_decode, field, hex_decode, list_field, loads, text_field

LIMIT = const(8192)
"""Bytes of payload."""

FORMAT = const(1)

_KEYS = const(8)


class RsaKey:
    """A public key for PS256."""

    alg = "PS256"

    def __init__(self, n: int) -> None:
        self.n = n

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Does the signature (384 bytes, big-endian) belong to the SHA-256 digest?"""
        return rsa_verify(self.n, digest, signature)


class Role:
    """Keys by kid, and how many different ones must sign."""

    def __init__(self, keys: dict, threshold: int) -> None:
        self.keys = keys
        self.threshold = threshold


class Trust:
    """A trust store that its own root role signed.

    Attributes:
        number: version of the store.
        root, release: Role.
        sequence_floor: nothing below it is installed.
        manifest_urls: list of str.
        tls_roots: list of DER certificates as bytes.
    """

    def __init__(self, number: int, root: Role, release: Role) -> None:
        self.number = number
        self.root = root
        self.release = release
        self.sequence_floor = 0
        self.manifest_urls: list = []
        self.tls_roots: list = []


def load(envelope: bytes) -> Trust:
    """Read a trust store that is trusted because of where it lies.

    Raises ImageError `envelope-format`, `format-unknown`; SignatureError `signature`, also where the
    store is not signed by its own root role.
    """
    unverified = split(envelope, LIMIT)[1]
    try:
        trust = _parse(bytes(unverified))
    except Malformed as e:
        raise error("envelope-format", "trust store: " + str(e))
    verify(envelope, TRUST, LIMIT, trust.root.keys, trust.root.threshold)
    return trust


def _parse(payload: bytes) -> Trust:
    fields = loads(payload, LIMIT)
    number = field(fields, "format", int)
    if number != FORMAT:
        raise error("format-unknown", "trust store format %d, expected %d" % (number, FORMAT))
    keys: dict = {}
    for entry in list_field(fields, "keys", dict, _KEYS):
        _add_key(keys, entry)
    trust = Trust(
        field(fields, "number", int), _role(fields, "root", keys), _role(fields, "release", keys)
    )
    if trust.number < 1:
        raise Malformed("number is 0")
    trust.sequence_floor = field(fields, "sequence_floor", int, 0)
    trust.manifest_urls = list_field(fields, "manifest_urls", str, 4, [])
    trust.tls_roots = [b64url_decode(root) for root in list_field(fields, "tls_roots", str, 4, [])]
    return trust


def _add_key(keys: dict, entry: dict) -> None:
    kid = text_field(entry, "kid", 64, 64)
    hex_decode(kid, 32)
    alg = text_field(entry, "alg", 1, 16)
    if alg != RsaKey.alg:
        raise error("format-unknown", "key algorithm %s, expected %s" % (alg, RsaKey.alg))
    modulus = b64url_decode(text_field(entry, "n", 512, 512))
    if len(modulus) != KEY_SIZE or modulus[0] < 0x80 or not modulus[-1] & 1:
        raise Malformed("n is not odd with 3072 bits")
    n = int.from_bytes(modulus, "big")
    # One key under two names would count twice.
    if kid in keys or n in [key.n for key in keys.values()]:
        raise Malformed("a key stands twice")
    keys[kid] = RsaKey(n)


def _role(fields: dict, name: str, keys: dict) -> Role:
    entry = field(fields, name, dict)
    members = {}
    for kid in list_field(entry, "keys", str, _KEYS):
        if kid not in keys:
            raise Malformed("%s names a key that is not there" % name)
        members[kid] = keys[kid]
    threshold = field(entry, "threshold", int)
    if not 1 <= threshold <= len(members):
        raise Malformed("%s: threshold %d of %d keys" % (name, threshold, len(members)))
    return Role(members, threshold)
