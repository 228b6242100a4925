"""The trust store: which keys may sign manifests, and which may change the trust store.

Layer 1, pure: bytes in, a `Trust` out. A key's arithmetic is loaded when it is needed. Format:
docs/format.md section 4.
"""

from micropython import const

from .errors import error
from .jws import TRUST, split, verify
from .strict import Malformed, b64url_decode, field, hex_decode, list_field, loads, text_field

LIMIT = const(8192)
"""Bytes of payload."""

FORMAT = const(1)

_KEYS = const(8)
_EPOCHS = const(0xFFFF)


class RsaKey:
    """A public key for PS256. `value`: its modulus, what tells keys apart."""

    alg = "PS256"

    def __init__(self, n: int) -> None:
        self.value = n

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Does the signature (384 bytes, big-endian) belong to the SHA-256 digest?"""
        from .rsa import verify

        return verify(self.value, digest, signature)


class EcKey:
    """A public key for ES256. `value`: (x, y), what tells keys apart; a point of P-256."""

    alg = "ES256"

    def __init__(self, x: int, y: int) -> None:
        self.value = x, y

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Does the signature (r and s, 32 bytes each, big-endian) belong to the SHA-256 digest?"""
        from .p256 import verify

        return verify(self.value[0], self.value[1], digest, signature)


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
        sequence_epoch: what was confirmed under a lower one does not count.
        bare_images: images with no more than Espressif's signature may be installed.
        expires: Unix seconds, 0 for never; nothing but a warning.
        manifest_urls: list of str.
        tls_roots: list of DER certificates as bytes.
    """

    def __init__(self, number: int, root: Role, release: Role) -> None:
        self.number = number
        self.root = root
        self.release = release
        self.sequence_floor = 0
        self.sequence_epoch = 0
        self.bare_images = False
        self.expires = 0
        self.manifest_urls: list = []
        self.tls_roots: list = []


def load(envelope: bytes) -> Trust:
    """Read a trust store that is trusted because of where it lies.

    Raises ImageError `envelope-format`, `format-unknown`; SignatureError `signature`, also where the
    store is not signed by its own root role.
    """
    trust = read(envelope)
    verify(envelope, TRUST, LIMIT, trust.root.keys, trust.root.threshold)
    return trust


def succeed(trust: Trust, envelope: bytes) -> Trust:
    """The trust store that follows `trust`: its root role and the new one's own have both signed.

    Raises ImageError `envelope-format`, `format-unknown`; SignatureError `signature`, `trust-number`.
    """
    found = read(envelope)
    if found.number != trust.number + 1:
        raise error("trust-number", "%d follows %d" % (found.number, trust.number))
    if found.sequence_epoch < trust.sequence_epoch:
        raise error("trust-number", "sequence_epoch falls to %d" % found.sequence_epoch)
    for root in (trust.root, found.root):
        verify(envelope, TRUST, LIMIT, root.keys, root.threshold)
    return found


def read(envelope: bytes) -> Trust:
    """What an envelope says, its signatures not verified: for `load` and `succeed`, or to be shown.

    Raises ImageError `envelope-format`, `format-unknown`.
    """
    try:
        return _parse(bytes(split(envelope, LIMIT)[1]))
    except Malformed as e:
        raise error("envelope-format", "trust store: " + str(e))


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
    trust.sequence_epoch = field(fields, "sequence_epoch", int, 0)
    if trust.sequence_epoch > _EPOCHS:
        raise Malformed("sequence_epoch is too large")
    trust.bare_images = field(fields, "bare_images", bool, False)
    trust.expires = field(fields, "expires", int, 0)
    trust.manifest_urls = list_field(fields, "manifest_urls", str, 4, [])
    trust.tls_roots = [b64url_decode(root) for root in list_field(fields, "tls_roots", str, 4, [])]
    return trust


def _add_key(keys: dict, entry: dict) -> None:
    kid = text_field(entry, "kid", 64, 64)
    hex_decode(kid, 32)
    alg = text_field(entry, "alg", 1, 16)
    if alg == RsaKey.alg:
        key: "RsaKey | EcKey" = _rsa_key(entry)
    elif alg == EcKey.alg:
        key = _ec_key(entry)
    else:
        raise error("format-unknown", "key algorithm %s, expected PS256 or ES256" % alg)
    # One key under two names would count twice.
    if kid in keys or key.value in [known.value for known in keys.values()]:
        raise Malformed("a key stands twice")
    keys[kid] = key


def _rsa_key(entry: dict) -> RsaKey:
    modulus = b64url_decode(text_field(entry, "n", 512, 512))
    if modulus[0] < 0x80 or not modulus[-1] & 1:
        raise Malformed("n is not odd with 3072 bits")
    return RsaKey(int.from_bytes(modulus, "big"))


def _ec_key(entry: dict) -> EcKey:
    from .p256 import is_on_curve

    x, y = [
        int.from_bytes(b64url_decode(text_field(entry, name, 43, 43)), "big")
        for name in ("x", "y")
    ]
    if not is_on_curve(x, y):
        raise Malformed("no point of P-256")
    return EcKey(x, y)


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
