"""Public-key pins: which keys a server's chain of certificates may have, whatever signed them.

Layer 4, pure. A pin is the SHA-256 of a SubjectPublicKeyInfo (RFC 7469 section 2.4), so that it
outlives the certificate. Pin the current key and the next one.
"""

import hashlib

from micropython import const

from .errors import error

_REFUSED = const(-0x3000)  # MBEDTLS_ERR_X509_FATAL_ERROR


class Pins:
    """Judges the certificates of one TLS context as they are verified, the server's own one last.

    Args:
        digests: 32 bytes each.
    """

    def __init__(self, digests: list) -> None:
        self._digests = digests
        self.begin()

    def begin(self) -> None:
        """A handshake begins; the one before may have ended anywhere."""
        self._seen = False

    def check(self, der, depth: int) -> int:
        """For `SSLContext.verify_callback`: 0 lets the handshake go on."""
        try:
            self._seen = self._seen or hashlib.sha256(public_key(der)).digest() in self._digests
        except Exception:
            return _REFUSED  # what cannot be read is not trusted; nothing may be raised through mbedTLS
        if depth:
            return 0
        seen, self._seen = self._seen, False
        return 0 if seen else _REFUSED


def public_key(der) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, DER (RFC 5280 section 4.1). Raises SourceError `tls`."""
    at, _ = _element(der, 0, len(der))  # Certificate
    at, end = _element(der, at, len(der))  # TBSCertificate
    # Version (it may be left out), serial, algorithm, issuer, validity, subject.
    skipped = 6 if der[at : at + 1] == b"\xa0" else 5
    for _ in range(skipped):
        at = _element(der, at, end)[1]
    return bytes(der[at : _element(der, at, end)[1]])


def _element(der, at: int, limit: int) -> tuple:
    # Where the contents of the element at `at` begin and end.
    if at + 2 > limit:
        raise error("tls", "certificate cut short")
    size = der[at + 1]
    at += 2
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 3:
            raise error("tls", "certificate with a strange length")
        size = int.from_bytes(bytes(der[at : at + count]), "big")
        at += count
    if at + size > limit:
        raise error("tls", "certificate cut short")
    return at, at + size
