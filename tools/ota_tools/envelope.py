"""Making envelopes: the signing half of lib/ota/jws.py. Format: docs/format.md section 2."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from ota import jws, strict
from ota.trust import RsaKey
from ota_tools import keys


def encode_json(fields: dict[str, Any]) -> bytes:
    """JSON in the strict subset that devices read; indented, for people. Raises strict.Malformed."""
    data = json.dumps(fields, indent=1).encode()
    strict.loads(data, len(data))
    return data


def seal(typ: str, payload: bytes, signers: list[rsa.RSAPrivateKey], limit: int) -> bytes:
    """A signed envelope, verified by the device's own code before it is returned.

    Args:
        typ: `jws.MANIFEST` or `jws.TRUST`.
        payload: bytes to be signed, as they will travel.
        signers: every one signs.
        limit: most bytes of payload that devices accept.
    Raises ota.errors.OtaError where a device would refuse the result.
    """
    signatures = []
    for signer in signers:
        header = {"alg": RsaKey.alg, "kid": keys.kid(signer.public_key()), "typ": typ}
        protected = strict.b64url_encode(json.dumps(header).encode())
        signature = keys.sign(signer, protected + b"." + strict.b64url_encode(payload))
        signatures.append(
            {
                "protected": protected.decode(),
                "signature": strict.b64url_encode(signature).decode(),
            }
        )
    line = json.dumps({"signatures": signatures}, separators=(",", ":")).encode()
    envelope = line + b"\n" + payload
    jws.verify(envelope, typ, limit, public_keys(signers), len(signers))
    return envelope


def public_keys(signers: list[rsa.RSAPrivateKey]) -> dict[str, RsaKey]:
    """The signers' public halves as the device's verifier wants them."""
    publics = [signer.public_key() for signer in signers]
    return {keys.kid(public): RsaKey(public.public_numbers().n) for public in publics}
