"""The worked examples of RFC 7515 and RFC 7520: the signing input, encoded piece by piece, and ES256."""

import hashlib
import json

from fakes import read_data

from ota.jws import signing_digest
from ota.p256 import verify
from ota.strict import b64url_decode, b64url_encode


def hmac_sha256(key, message):
    pad = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in pad]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in pad]))
    outer.update(inner.digest())
    return outer.digest()


VECTORS = json.loads(read_data("rfc/jws.json"))


def test_the_signing_input_is_the_one_of_the_rfcs():
    for vector in VECTORS:
        protected, text = vector["protected"].encode(), vector["payload"].encode()
        if "key" in vector:
            # The vectors are the RFCs': their own signatures say so.
            wanted = b64url_decode(vector["signature"])
            assert hmac_sha256(b64url_decode(vector["key"]), protected + b"." + text) == wanted
        payload = b64url_decode(vector["payload"])
        assert b64url_encode(payload) == text
        assert (
            signing_digest(protected, payload) == hashlib.sha256(protected + b"." + text).digest()
        )


def test_the_es256_signature_of_the_rfc_is_good_and_nothing_near_it():
    (vector,) = [vector for vector in VECTORS if "x" in vector]
    x, y = [int.from_bytes(b64url_decode(vector[name]), "big") for name in "xy"]
    payload, signature = [b64url_decode(vector[name]) for name in ("payload", "signature")]
    digest = signing_digest(vector["protected"].encode(), payload)
    assert verify(x, y, digest, signature)
    for at in (0, 31, 32, 63):
        near = bytearray(signature)
        near[at] ^= 1
        assert not verify(x, y, digest, bytes(near)), at
    assert not verify(x, y, signing_digest(b"e30", payload), signature)


def test_base64url_of_rfc_7515_appendix_c():
    assert b64url_encode(bytes((3, 236, 255, 224, 193))) == b"A-z_4ME"
    assert b64url_decode("A-z_4ME") == bytes((3, 236, 255, 224, 193))
