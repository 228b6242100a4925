"""Project Wycheproof: every vector for RSA-PSS with 3072 bits, SHA-256 and a salt of 32 bytes."""

import binascii
import hashlib
import json

from fakes import read_data

from ota.rsa import verify


def test_all_wycheproof_vectors_for_rsa_pss_3072_sha256():
    suite = json.loads(read_data("wycheproof/rsa_pss_3072_sha256_mgf1_32_test.json"))
    verdicts = {"valid": 0, "invalid": 0}
    for group in suite["testGroups"]:
        assert (group["keySize"], group["sha"], group["sLen"]) == (3072, "SHA-256", 32)
        n = int(group["publicKey"]["modulus"], 16)
        for test in group["tests"]:
            digest = hashlib.sha256(binascii.unhexlify(test["msg"])).digest()
            good = verify(n, digest, binascii.unhexlify(test["sig"]))
            assert good == (test["result"] == "valid"), test["tcId"]
            verdicts[test["result"]] += 1
    assert sum(verdicts.values()) == suite["numberOfTests"] == 108
    assert verdicts["valid"] == 63
