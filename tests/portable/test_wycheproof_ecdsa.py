"""Project Wycheproof: every vector for ECDSA with P-256 and SHA-256, r and s of 32 bytes (P1363)."""

import binascii
import hashlib
import json

from fakes import read_data

from ota.p256 import is_on_curve, verify


def test_all_wycheproof_vectors_for_ecdsa_p256_sha256():
    suite = json.loads(read_data("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json"))
    verdicts = {"valid": 0, "invalid": 0}  # there is no "acceptable"
    for group in suite["testGroups"]:
        key = group["publicKey"]
        assert (key["curve"], group["sha"]) == ("secp256r1", "SHA-256")
        x, y = int(key["wx"], 16), int(key["wy"], 16)
        assert is_on_curve(x, y)
        for test in group["tests"]:
            digest = hashlib.sha256(binascii.unhexlify(test["msg"])).digest()
            good = verify(x, y, digest, binascii.unhexlify(test["sig"]))
            assert good == (test["result"] == "valid"), test["tcId"]
            verdicts[test["result"]] += 1
    assert sum(verdicts.values()) == suite["numberOfTests"] == 252
    assert verdicts["valid"] == 169
