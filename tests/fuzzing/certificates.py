"""Pins: the public key of a certificate, found without reading all of it."""

import verdicts_http as V  # noqa: N812

from . import DATA
from .target import Target


class Pins(Target):
    """The key is the one that `cryptography` finds."""

    name = "pins"
    words = (b"\x30\x82", b"\x30\x81", b"\x30\x00", b"\xa0\x03", b"\x30\x80", b"\x83\xff\xff\xff")

    def seeds(self):
        return seeds()

    def check(self, data):
        return check_pins(data)[:4]


def check_pins(data: bytes) -> str:
    """The verdict for an input, where all of it is right."""
    verdict = V.TARGETS["pins"](data)
    key, _, results = verdict.partition(" ")
    good, bad = 0, -0x3000
    if key[0] != "x":
        assert key == "tls"
        assert results == str([bad, bad, bad, bad, bad, bad])
    else:
        assert results == str([good, 0, 0, good, bad, bad]), "a chain with the pinned key, only"
        whole = bytes.fromhex(key[1:])
        assert element(whole)[1] == whole and len(whole) - len(element(whole)[2]) <= 5, "a piece"
    wanted = strict_key(data)
    assert wanted is None or key == "x" + wanted.hex(), "another key than the certificate's"
    return verdict


def strict_key(data: bytes):
    """The SubjectPublicKeyInfo of what `cryptography` takes for a certificate, else None."""
    from cryptography import x509

    try:
        rest = x509.load_der_x509_certificate(data).tbs_certificate_bytes
    except Exception:
        return None
    rest = element(rest)[2]
    found = []
    while rest:
        tag, one, _ = element(rest)
        rest = rest[len(one) :]
        if tag != 0xA0:  # the version
            found.append(one)
    return found[5]  # serial, algorithm, issuer, validity, subject


def element(data: bytes) -> tuple:
    """The first DER element: its tag, all of it, its contents."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    assert at + size <= len(data), "an element cut short"
    return data[0], data[: at + size], data[at : at + size]


def seeds() -> list:
    from cryptography.hazmat.primitives.serialization import Encoding

    from ota_tools import certificates

    authority = certificates.make_authority("a fuzzer's own")
    server = certificates.issue(authority, ["a.example", "192.0.2.1"])
    ders = [identity.certificate.public_bytes(Encoding.DER) for identity in (authority, server)]
    ders += [path.read_bytes() for path in sorted((DATA / "openssl").glob("tls-*.der"))]
    short = bytes.fromhex("3016 3014 a000 0200 3000 3000 3000 3000 3004 3000 0300 3000")
    plain = bytes.fromhex("300e 300c 0200 3000 3000 3000 3000 3000")
    long = bytes.fromhex("308110 3082000c 0200 3000 3000 3000 3000 3000")
    empty = bytes.fromhex("3002 3000")
    return [
        *ders,
        *(der[: len(der) // 2] for der in ders),
        short,
        plain,
        long,
        empty,
        b"",
        b"\x30",
    ]
