"""Making trust stores. Format: docs/format.md section 4; the reader is lib/ota/trust.py."""

from cryptography.hazmat.primitives.asymmetric import rsa

from ota import jws, strict
from ota import trust as device
from ota.errors import OtaError
from ota.http import Url
from ota_tools import keys
from ota_tools.envelope import encode_json, seal
from ota_tools.failures import Refused, Usage


def make_first(
    roots: list[rsa.RSAPrivateKey],
    releases: list[rsa.RSAPublicKey],
    threshold: int = 1,
    manifest_urls: list[str] | None = None,
    tls_roots: list[bytes] | None = None,
) -> bytes:
    """Trust store number 1, signed by every root key.

    Args:
        roots: may change the trust store later; `threshold` of them must then sign.
        releases: may sign manifests, one is enough.
        manifest_urls: for devices that are not told one.
        tls_roots: DER certificates.
    Raises Usage where a key would stand twice or the threshold cannot be reached, Refused where a
    device would refuse the result: too many keys, URLs or certificates.
    """
    everyone = [root.public_key() for root in roots] + releases
    kids = [keys.kid(key) for key in everyone]
    if len(set(kids)) != len(kids):
        raise Usage("a key is given twice; root and release keys must differ")
    if not 1 <= threshold <= len(roots):
        raise Usage(f"threshold {threshold} of {len(roots)} root keys")
    fields = {
        "format": device.FORMAT,
        "number": 1,
        "keys": [
            {"kid": kid, "alg": "PS256", "n": strict.b64url_encode(keys.modulus(key)).decode()}
            for kid, key in zip(kids, everyone, strict=True)
        ],
        "root": {"keys": kids[: len(roots)], "threshold": threshold},
        "release": {"keys": kids[len(roots) :], "threshold": 1},
        "sequence_floor": 0,
        "manifest_urls": manifest_urls or [],
        "tls_roots": [strict.b64url_encode(root).decode() for root in tls_roots or []],
    }
    try:
        for url in manifest_urls or []:
            Url(url)
        envelope = seal(jws.TRUST, encode_json(fields), roots, device.LIMIT)
        device.load(envelope)
    except (OtaError, strict.Malformed) as e:
        raise Refused(f"a device would refuse this trust store: {e}") from e
    return envelope
