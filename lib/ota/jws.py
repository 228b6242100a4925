"""The signed envelope: a JWS with detached payload, RFC 7515 appendix F, as one file.

Layer 1, pure. One line of JSON with the signatures, a line feed, the payload. Limits, structure and
every signature are judged before the payload is handed out. Format: docs/format.md section 2.
"""

import hashlib

from micropython import const

from .errors import error
from .strict import Malformed, b64url_decode, b64url_encode, list_field, loads, text_field

HEADER_LIMIT = const(3072)
"""Bytes of the first line, without its line feed."""

MANIFEST = "ota-manifest+1"
TRUST = "ota-trust+1"

_SIGNATURES = const(4)
_PROTECTED_LIMIT = const(256)
_PIECE = const(48)  # a multiple of 3, so that the pieces join without padding


def split(envelope: bytes, limit: int):
    """First line and payload of an envelope: (bytes, memoryview). Nothing is verified.

    Args:
        envelope: the whole file; the payload is a view of it.
        limit: most bytes of payload.
    Raises ImageError `envelope-format`.
    """
    end = envelope.find(b"\n", 0, HEADER_LIMIT + 1)
    if end < 0:
        raise error("envelope-format", "no first line within %d bytes" % HEADER_LIMIT)
    payload = memoryview(envelope)[end + 1 :]
    if not 1 <= len(payload) <= limit:
        raise error("envelope-format", "payload of %d bytes, at most %d" % (len(payload), limit))
    return envelope[:end], payload


def verify(envelope: bytes, typ: str, limit: int, keys: dict, threshold: int):
    """The payload of an envelope that enough of `keys` signed, as a memoryview of `envelope`.

    Args:
        envelope: the whole file.
        typ: `MANIFEST` or `TRUST`: what the caller is ready to read.
        limit: most bytes of payload.
        keys: kid (hex) -> object with `alg` and `verify(digest, signature) -> bool`.
        threshold: different keys that must have signed, at least 1.
    Raises ImageError `envelope-format`; SignatureError `signature`.
    """
    line, payload = split(envelope, limit)
    good = 0
    for protected, header, signature in read_signatures(line):
        if header["typ"] != typ:
            raise error("signature", "signed as %s, expected %s" % (header["typ"], typ))
        key = keys.get(header["kid"])
        if key is None:
            continue
        if header["alg"] != key.alg:
            raise error("signature", "signed by %s, the key is for %s" % (header["alg"], key.alg))
        if key.verify(signing_digest(protected, payload), signature):
            good += 1
    if threshold < 1 or good < threshold:
        raise error("signature", "%d good signatures, expected %d" % (good, threshold))
    return payload


def signing_digest(protected: bytes, payload) -> bytes:
    """SHA-256 of the JWS signing input, encoded piece by piece: no copy of the payload is made."""
    sha = hashlib.sha256(protected)
    sha.update(b".")
    view = memoryview(payload)
    for start in range(0, len(view), _PIECE):
        sha.update(b64url_encode(view[start : start + _PIECE]))
    return sha.digest()


def read_signatures(line: bytes) -> list:
    """The signatures in the first line of an envelope, well-formed and not verified.

    Returns: list of (protected as it travels, its header as a dict, signature).
    Raises ImageError `envelope-format`.
    """
    try:
        return _entries(line)
    except Malformed as e:
        raise error("envelope-format", str(e))


def _entries(line: bytes) -> list:
    fields = loads(line, HEADER_LIMIT)
    if len(fields) != 1:
        raise Malformed("more than signatures")
    entries = []
    kids = set()
    for entry in list_field(fields, "signatures", dict, _SIGNATURES):
        if len(entry) != 2:
            raise Malformed("a signature has protected, signature")
        protected = text_field(entry, "protected", 1, _PROTECTED_LIMIT)
        signature = b64url_decode(text_field(entry, "signature", 1, 1024))
        header = loads(b64url_decode(protected), _PROTECTED_LIMIT)
        if len(header) != 3:
            raise Malformed("a protected header has alg, kid, typ")
        for name in ("alg", "kid", "typ"):
            text_field(header, name, 1, 64)
        if header["kid"] in kids:
            raise Malformed("two signatures by one key")
        kids.add(header["kid"])
        entries.append((protected.encode(), header, signature))
    if not entries:
        raise Malformed("no signatures")
    return entries
