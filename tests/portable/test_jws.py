"""The envelope: nothing is handed out that enough trusted keys did not sign, as this type, whole."""

import binascii
import hashlib
import json

from fakes import code_of, noise, read_data

from ota.errors import OtaError
from ota.jws import (
    HEADER_LIMIT,
    MANIFEST,
    TRUST,
    read_signatures,
    signing_digest,
    split,
    verify,
)
from ota.strict import b64url_encode
from ota.trust import load

LIMIT = 6144
PAYLOAD = b'{"format":1}'


class Stamp:
    """A key that signs with a digest: the rules of the envelope need no RSA."""

    alg = "PS256"

    def __init__(self, name):
        self.kid = binascii.hexlify(hashlib.sha256(name.encode()).digest()).decode()

    def sign(self, digest):
        return hashlib.sha256(self.kid.encode() + digest).digest()

    def verify(self, digest, signature):
        return signature == self.sign(digest)


A = Stamp("a")
B = Stamp("b")
STRANGER = Stamp("stranger")
KEYS = {A.kid: A, B.kid: B}


def text(raw):
    return b64url_encode(raw).decode()


def protected_of(key, **changes):
    fields = {"alg": "PS256", "kid": key.kid, "typ": MANIFEST}
    fields.update(changes)
    return json.dumps(fields).encode()


def entry(key, payload=PAYLOAD, protected=None, **changes):
    protected = b64url_encode(protected or protected_of(key, **changes))
    signature = key.sign(signing_digest(protected, payload))
    return {"protected": protected.decode(), "signature": text(signature)}


def line_of(*entries):
    return json.dumps({"signatures": list(entries)}).encode()


def envelope(*keys):
    return line_of(*[entry(key) for key in keys]) + b"\n" + PAYLOAD


def code(data, threshold=1, typ=MANIFEST, keys=KEYS):
    """The code of the error, or "good" where the payload is handed out."""
    try:
        payload = verify(data, typ, LIMIT, keys, threshold)
    except OtaError as e:
        return e.code
    assert bytes(payload) == data[data.find(b"\n") + 1 :]
    return "good"


def line_code(line):
    return code(line + b"\n" + PAYLOAD)


# By OpenSSL


def openssl_keys():
    return load(read_data("openssl/trust.json")).release.keys


def test_an_envelope_by_openssl_is_good_and_gives_its_payload():
    data = read_data("openssl/release.manifest")
    payload = verify(data, MANIFEST, LIMIT, openssl_keys(), 1)
    assert bytes(payload) == read_data("openssl/manifest.payload")


def test_an_envelope_by_a_stranger_is_refused():
    data = read_data("openssl/stranger.manifest")
    assert code(data, keys=openssl_keys()) == "signature"


def test_a_strangers_signature_beside_a_good_one_is_passed_over():
    assert code(read_data("openssl/both.manifest"), keys=openssl_keys()) == "good"
    assert code(read_data("openssl/both.manifest"), 2, keys=openssl_keys()) == "signature"


def test_what_was_signed_as_another_type_is_refused():
    keys = openssl_keys()
    assert code(read_data("openssl/release.manifest"), typ=TRUST, keys=keys) == "signature"
    assert code(read_data("openssl/wrong-typ.manifest"), keys=keys) == "signature"
    assert code(read_data("openssl/wrong-typ.manifest"), typ=TRUST, keys=keys) == "good"


def test_every_flipped_byte_of_an_envelope_by_openssl_is_refused():
    data = read_data("openssl/release.manifest")
    keys = openssl_keys()
    for at in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 7
        found = code(bytes(flipped), keys=keys)
        assert found in ("signature", "envelope-format"), (at, found)


# The signing input


def test_the_signing_input_is_protected_dot_payload_in_base64url():
    for n in list(range(1, 150)) + [191, 192, 193, 1024, 6144]:
        payload = noise(n)
        wanted = hashlib.sha256(b"abc." + b64url_encode(payload)).digest()
        assert signing_digest(b"abc", payload) == wanted, n
        assert signing_digest(b"abc", memoryview(payload)) == wanted, n
    assert signing_digest(b"abc", b"") == hashlib.sha256(b"abc.").digest()


# Who signed


def test_a_good_signature_is_enough_where_one_is_asked_for():
    assert code(envelope(A)) == "good"
    assert code(envelope(A, B)) == "good"


def test_two_different_keys_must_sign_where_two_are_asked_for():
    assert code(envelope(A, B), 2) == "good"
    assert code(envelope(B, A), 2) == "good"
    assert code(envelope(A), 2) == "signature"
    assert code(envelope(A, STRANGER), 2) == "signature"
    assert code(envelope(A, B), 3) == "signature"


def test_the_same_key_never_counts_twice():
    assert code(envelope(A, A), 2) == "envelope-format"
    assert code(envelope(A, A)) == "envelope-format"
    again = entry(A, protected=protected_of(A) + b" ")
    assert line_code(line_of(entry(A), again)) == "envelope-format"


def test_unknown_keys_are_passed_over():
    assert code(envelope(STRANGER)) == "signature"
    assert code(envelope(STRANGER, A)) == "good"
    assert code(envelope(A, STRANGER)) == "good"
    assert code(envelope(A), keys={}) == "signature"


def test_a_bad_signature_by_a_trusted_key_does_not_count():
    bad = entry(A, b"another payload")
    assert line_code(line_of(bad)) == "signature"
    assert line_code(line_of(bad, entry(B))) == "good"
    assert code(line_of(bad, entry(B)) + b"\n" + PAYLOAD, 2) == "signature"


def test_a_signature_counts_for_the_key_that_it_names_only():
    stolen = entry(A)
    stolen["signature"] = entry(B)["signature"]
    assert line_code(line_of(stolen)) == "signature"
    renamed = entry(STRANGER, kid=A.kid)
    assert line_code(line_of(renamed)) == "signature"


def test_no_threshold_below_one_is_obeyed():
    for threshold in (0, -1):
        assert code(envelope(A), threshold) == "signature"
        assert code(envelope(STRANGER), threshold) == "signature"


def test_an_envelope_without_signatures_is_refused():
    for threshold in (0, 1):
        assert code(line_of() + b"\n" + PAYLOAD, threshold) == "envelope-format"


def test_the_algorithm_is_the_one_of_the_key():
    for alg in ("ES256", "RS256", "none", "HS256", "ps256", "PS384"):
        assert line_code(line_of(entry(A, alg=alg))) == "signature", alg
        assert line_code(line_of(entry(B), entry(A, alg=alg))) == "signature", alg


def test_the_type_is_the_one_asked_for_whoever_signed():
    for typ in (TRUST, "ota-manifest+2", "ota-manifest", "JOSE"):
        assert line_code(line_of(entry(A, typ=typ))) == "signature", typ
        assert line_code(line_of(entry(A), entry(B, typ=typ))) == "signature", typ
        assert line_code(line_of(entry(A), entry(STRANGER, typ=typ))) == "signature", typ
    assert code(line_of(entry(A, typ=TRUST)) + b"\n" + PAYLOAD, typ=TRUST) == "good"


# Structure


def test_the_protected_header_has_alg_kid_and_typ_in_any_order():
    for names in (("alg", "kid", "typ"), ("typ", "kid", "alg"), ("kid", "alg", "typ")):
        values = {"alg": "PS256", "kid": A.kid, "typ": MANIFEST}
        protected = ",".join(['"%s":"%s"' % (name, values[name]) for name in names])
        good = entry(A, protected=("{%s}" % protected).encode())
        assert line_code(line_of(good)) == "good", names


def test_any_other_protected_header_is_refused():
    for protected in (
        protected_of(A, crit=["b64"]),
        protected_of(A, crit=[]),
        protected_of(A, b64=False),
        protected_of(A, jwk={}),
        protected_of(A, x=None),
        protected_of(A, alg=None),
        protected_of(A, kid=None),
        protected_of(A, typ=None),
        protected_of(A, alg=1),
        protected_of(A, kid=1),
        protected_of(A, typ=[MANIFEST]),
        protected_of(A, alg=""),
        protected_of(A, kid=""),
        protected_of(A, typ=""),
        protected_of(A, alg="x" * 65),
        protected_of(A, kid=A.kid + "0"),
        protected_of(A, typ="x" * 65),
        b'{"alg":"PS256","typ":"ota-manifest+1"}',
        b'{"alg":"PS256","kid":"%s"}' % A.kid.encode(),
        b'{"kid":"%s","typ":"ota-manifest+1"}' % A.kid.encode(),
        b'{"alg":"PS256","kid":"%s","crit":"typ"}' % A.kid.encode(),
        b'{"Alg":"PS256","kid":"%s","typ":"ota-manifest+1"}' % A.kid.encode(),
        b'{"alg":"PS256","alg":"PS256","kid":"%s","typ":"ota-manifest+1"}' % A.kid.encode(),
        b"{}",
        b"[]",
        b"x",
        b"\x00",
    ):
        assert line_code(line_of(entry(A, protected=protected))) == "envelope-format", protected
        both = line_of(entry(B), entry(A, protected=protected))
        assert line_code(both) == "envelope-format", protected
    for name in ("alg", "kid", "typ"):
        for n in (1, 64):
            assert line_code(line_of(entry(A, **{name: "x" * n}))) == "signature", (name, n)


def test_a_protected_header_has_at_most_256_characters():
    longest = protected_of(A)
    longest += b" " * (192 - len(longest))
    assert line_code(line_of(entry(A, protected=longest))) == "good"
    assert line_code(line_of(entry(A, protected=longest + b" "))) == "envelope-format"


def test_a_signature_has_1_to_1024_characters():
    for size, wanted in ((1, "signature"), (768, "signature"), (769, "envelope-format")):
        changed = entry(A)
        changed["signature"] = text(bytes(size))
        assert line_code(line_of(changed)) == wanted, size


def test_an_entry_has_exactly_protected_and_signature():
    good = entry(A)
    for changes in (
        {"header": {}},
        {"header": {"kid": B.kid}},
        {"payload": "AA"},
        {"x": None},
        {"protected": ""},
        {"signature": ""},
        {"protected": None},
        {"signature": None},
        {"protected": 1},
        {"signature": ["AA"]},
        {"protected": good["protected"] + "="},
        {"signature": good["signature"] + "="},
        {"signature": good["signature"][:-1]},
        {"protected": good["protected"][:-1]},
        {"signature": good["signature"][:-1] + "/"},
        {"signature": " " + good["signature"]},
        {"protected": "e30\n"},
    ):
        changed = dict(good)
        changed.update(changes)
        assert line_code(line_of(changed)) == "envelope-format", changes
    for name in ("protected", "signature"):
        assert line_code(line_of({name: good[name]})) == "envelope-format", name
        swapped = {name: good[name], "header": "AA"}
        assert line_code(line_of(swapped)) == "envelope-format", name


def test_the_first_line_has_signatures_and_nothing_else():
    good = json.dumps(entry(A)).encode()
    assert line_code(b'{"signatures":[' + good + b"]}") == "good"
    for line in (
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" + good + b"]",
        good,
        b'{"signatures":' + good + b"}",
        b'{"signatures":null}',
        b'{"signatures":"x"}',
        b'{"signatures":[1]}',
        b'{"signatures":[[]]}',
        b'{"signatures":[{}]}',
        b'{"signatures":[' + good + b",1]}",
        b'{"signatures":[' + good + b",]}",
        b'{"signatures":[' + good + b" " + good + b"]}",
        b'{"signatures":[' + good + b'],"payload":"AA"}',
        b'{"payload":"AA","signatures":[' + good + b"]}",
        b'{"signatures":[' + good + b'],"signatures":[' + good + b"]}",
        b'{"Signatures":[' + good + b"]}",
        b'{"signatures":[' + good + b"]}x",
        b'\xef\xbb\xbf{"signatures":[' + good + b"]}",
        b'{"signatures":[' + good + b"]}\r",
    ):
        assert line_code(line) == "envelope-format", line


def test_there_are_at_most_four_signatures():
    four = [entry(Stamp(name)) for name in "wxy"] + [entry(A)]
    assert line_code(line_of(*four)) == "good"
    assert line_code(line_of(*(four + [entry(B)]))) == "envelope-format"


def test_signatures_are_read_in_order_as_they_travel():
    protected = protected_of(A) + b" "
    found = read_signatures(line_of(entry(B), entry(A, protected=protected)))
    assert [header["kid"] for _, header, _ in found] == [B.kid, A.kid]
    assert found[1][0] == b64url_encode(protected)
    assert found[1][1] == {"alg": "PS256", "kid": A.kid, "typ": MANIFEST}
    assert found[1][2] == A.sign(signing_digest(found[1][0], PAYLOAD))
    assert code_of(read_signatures, b"{}") == "envelope-format"


# Limits


def test_the_first_line_has_at_most_3072_bytes():
    line = line_of(entry(A))
    line += b" " * (HEADER_LIMIT - len(line))
    assert HEADER_LIMIT == 3072
    assert line_code(line) == "good"
    assert line_code(line + b" ") == "envelope-format"
    assert code_of(split, line + b" \n" + PAYLOAD, LIMIT) == "envelope-format"


def test_the_first_line_ends_with_a_line_feed():
    for data in (b"", b"x", b"x" * 10000, line_of(entry(A)), line_of(entry(A)) + PAYLOAD):
        assert code_of(split, data, LIMIT) == "envelope-format"
        assert code(data) == "envelope-format"


def test_the_payload_has_one_byte_to_the_limit():
    for n in (1, 2, 99, 100):
        line, payload = split(b"line\n" + bytes(n), 100)
        assert line == b"line" and bytes(payload) == bytes(n)
    assert code_of(split, b"line\n", 100) == "envelope-format"
    assert code_of(split, b"line\n" + bytes(101), 100) == "envelope-format"


def test_the_payload_begins_behind_the_first_line_feed_whatever_it_holds():
    line, payload = split(b"line\n\n\x00\nmore\n", 100)
    assert line == b"line" and bytes(payload) == b"\n\x00\nmore\n"


def test_the_limit_holds_for_verify_too():
    data = line_of(entry(A, b"x" * 100)) + b"\n" + b"x" * 100
    assert bytes(verify(data, MANIFEST, 100, KEYS, 1)) == b"x" * 100
    assert code_of(verify, data, MANIFEST, 99, KEYS, 1) == "envelope-format"


# Standing properties


def test_every_truncation_is_refused():
    data = envelope(A, B)
    for n in range(len(data)):
        assert code(data[:n]) in ("signature", "envelope-format"), n


def test_every_byte_more_is_refused():
    for more in (b"\x00", b"\n", b" "):
        assert code(envelope(A) + more) == "signature"
    for more in (b"\x00", b"\n", b"x", b"{}"):
        assert code(more + envelope(A)) == "envelope-format"


def test_every_flipped_byte_is_refused_where_all_signatures_are_needed():
    data = envelope(A, B)
    assert code(data, 2) == "good"
    for at in range(len(data)):
        for bit in (0, 2, 5, 7):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            found = code(bytes(flipped), 2)
            assert found in ("signature", "envelope-format"), (at, bit, found)
