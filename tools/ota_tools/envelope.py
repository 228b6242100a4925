"""Making envelopes: the signing half of lib/ota/jws.py. Format: docs/format.md section 2."""

import json
from collections.abc import Sequence
from typing import Any

from ota import jws, strict
from ota.trust import EcKey, RsaKey
from ota_tools import keys
from ota_tools.signers import AnySigner, Signer, signer_of, signers_of

SIGNATURES = 4
"""The most that devices read."""

Signature = dict[str, str]
"""An entry of the first line: `protected` and `signature`."""


def encode_json(fields: dict[str, Any]) -> bytes:
    """JSON in the strict subset that devices read; indented, for people. Raises strict.Malformed."""
    data = json.dumps(fields, indent=1).encode()
    strict.loads(data, len(data))
    return data


def seal(typ: str, payload: bytes, signers: Sequence[AnySigner], limit: int) -> bytes:
    """A signed envelope, verified by the device's own code before it is returned.

    Args:
        typ: `jws.MANIFEST` or `jws.TRUST`.
        payload: bytes to be signed, as they will travel.
        signers: every one signs.
        limit: most bytes of payload that devices accept.
    Raises Failure where a signer fails; ota.errors.OtaError where a device would refuse the result.
    """
    everyone = signers_of(signers)
    envelope = join([sign(typ, payload, signer) for signer in everyone], payload)
    jws.verify(envelope, typ, limit, public_keys(everyone), len(everyone))
    return envelope


def sign(typ: str, payload: bytes, signer: Signer) -> Signature:
    """One signature over a payload. Raises Failure."""
    header = {"alg": signer.alg, "kid": signer.kid, "typ": typ}
    protected = strict.b64url_encode(json.dumps(header).encode())
    signature = signer.sign(protected + b"." + strict.b64url_encode(payload))
    return {
        "protected": protected.decode(),
        "signature": strict.b64url_encode(signature).decode(),
    }


def join(signatures: list[Signature], payload: bytes) -> bytes:
    """An envelope of these parts. Without signatures no device reads it: a draft."""
    line = json.dumps({"signatures": signatures}, separators=(",", ":")).encode()
    return line + b"\n" + payload


def public_keys(signers: Sequence[AnySigner]) -> dict[str, RsaKey | EcKey]:
    """The signers' public halves as the device's verifier wants them."""
    everyone = [signer_of(signer) for signer in signers]
    return {signer.kid: keys.device_key(signer.public) for signer in everyone}
