"""The trust store: signed by its own root role, or nothing."""

import hashlib
import json

from fakes import code_of, raises, read_data
from test_jws import Stamp
from test_rsa import PrivateKey

from ota.errors import ImageError, SignatureError
from ota.jws import MANIFEST, TRUST, signing_digest
from ota.rsa import verify as rsa_verify
from ota.strict import b64url_encode
from ota.trust import FORMAT, LIMIT, EcKey, Role, RsaKey, Trust, load, read

STORE = read_data("openssl/trust.json")
PAYLOAD = read_data("openssl/trust.payload")
MESSAGE = hashlib.sha256(read_data("openssl/message.txt")).digest()
FIELDS = json.loads(PAYLOAD)
KIDS = [key["kid"] for key in FIELDS["keys"]]  # root, root2, release


def fields_of(**changes):
    """The fields of OpenSSL's store, changed."""
    fields = json.loads(PAYLOAD)
    fields.update(changes)
    return fields


def envelope(payload, signatures):
    """A store: signatures is a list of (kid, typ, PrivateKey or None for a bad signature)."""
    entries = []
    for kid, typ, key in signatures:
        header = json.dumps({"alg": "PS256", "kid": kid, "typ": typ}).encode()
        protected = b64url_encode(header)
        signature = key.sign(signing_digest(protected, payload)) if key else bytes(384)
        entries.append(
            {"protected": protected.decode(), "signature": b64url_encode(signature).decode()}
        )
    return json.dumps({"signatures": entries}).encode() + b"\n" + payload


def signed(fields, keys=(("root", 0),), typ=TRUST):
    """A store that these keys signed well."""
    signers = [(KIDS[index], typ, PrivateKey(name)) for name, index in keys]
    return envelope(json.dumps(fields).encode(), signers)


def payload_code(payload):
    """What the schema says: `signature` where it is content, for nobody signed this."""
    return code_of(load, envelope(payload, [(KIDS[0], TRUST, None)]))


def fields_code(fields):
    return payload_code(json.dumps(fields).encode())


def key_entry(kid="0" * 64, n=None, alg="PS256"):
    return {"kid": kid, "alg": alg, "n": n or b64url_encode(modulus(1)).decode()}


def modulus(i):
    return b"\x80" + bytes(381) + bytes((i, 1))


ONE_ROOT = {"keys": [KIDS[0]], "threshold": 1}


def test_a_store_by_openssl_is_read():
    trust = load(STORE)
    assert isinstance(trust, Trust)
    assert trust.number == 1
    assert trust.sequence_floor == 0
    assert trust.manifest_urls == [] and trust.tls_roots == []
    assert sorted(trust.root.keys) == sorted(KIDS[:2]) and trust.root.threshold == 2
    assert list(trust.release.keys) == KIDS[2:] and trust.release.threshold == 1
    assert isinstance(trust.root, Role)
    bare = Trust(3, trust.root, trust.release)
    assert (bare.number, bare.sequence_floor, bare.manifest_urls, bare.tls_roots) == (3, 0, [], [])


def test_its_keys_verify_what_openssl_signed():
    trust = load(STORE)
    key = trust.release.keys[KIDS[2]]
    assert isinstance(key, RsaKey) and key.alg == "PS256"
    assert key.value == int(read_data("openssl/release.modulus").decode().strip(), 16)
    signature = read_data("openssl/pss-salt-32.bin")
    assert key.verify(MESSAGE, signature) is True
    assert key.verify(MESSAGE, read_data("openssl/pss-salt-20.bin")) is False
    assert trust.root.keys[KIDS[0]].verify(MESSAGE, signature) is False
    assert rsa_verify(key.value, MESSAGE, signature) is True


def test_fewer_root_keys_than_the_threshold_are_not_enough():
    e = raises(SignatureError, load, read_data("openssl/trust-one-signature.json"))
    assert e.code == "signature"


def test_only_the_root_role_signs_a_store():
    fields = fields_of(root=ONE_ROOT)
    del fields["sequence_floor"]
    trust = load(signed(fields))
    assert trust.root.threshold == 1 and trust.sequence_floor == 0
    assert code_of(load, signed(fields, (("release", 2),))) == "signature"
    assert code_of(load, signed(fields, (("root2", 1),))) == "signature"
    assert code_of(load, signed(fields, (("stranger", 0),))) == "signature"


def test_what_was_signed_as_a_manifest_is_no_store():
    assert code_of(load, signed(fields_of(root=ONE_ROOT), typ=MANIFEST)) == "signature"
    assert code_of(load, read_data("openssl/wrong-typ.manifest")) == "envelope-format"
    assert code_of(load, read_data("openssl/release.manifest")) == "envelope-format"


def test_all_fields_are_read():
    fields = fields_of(
        number=7,
        root=ONE_ROOT,
        release={"keys": [KIDS[2], KIDS[1]], "threshold": 2},
        sequence_floor=41,
        manifest_urls=["https://a.example/m", "https://b.example/m"],
        tls_roots=["MIIB", "MIIC"],
        expires=1,
        bare_images=True,
        unknown={"a": [1]},
    )
    trust = load(signed(fields))
    assert trust.number == 7
    assert trust.sequence_floor == 41
    assert trust.manifest_urls == ["https://a.example/m", "https://b.example/m"]
    assert trust.tls_roots == [b"\x30\x82\x01", b"\x30\x82\x02"]
    assert sorted(trust.release.keys) == sorted(KIDS[1:]) and trust.release.threshold == 2


def test_every_flipped_byte_of_the_payload_is_refused():
    start = STORE.index(b"\n") + 1
    for at in range(start, len(STORE), 31):
        flipped = bytearray(STORE)
        flipped[at] ^= 1 << at % 7
        code = code_of(load, bytes(flipped))
        assert code in ("signature", "envelope-format", "format-unknown"), (at, code)


def test_every_flipped_byte_of_the_signatures_is_refused():
    for at in range(0, STORE.index(b"\n") + 1, 17):
        flipped = bytearray(STORE)
        flipped[at] ^= 1 << at % 7
        assert code_of(load, bytes(flipped)) in ("signature", "envelope-format"), at


def test_every_truncation_is_refused():
    for n in range(0, len(STORE), 13):
        assert code_of(load, STORE[:n]) == "envelope-format", n
    assert code_of(load, STORE[:-1]) == "envelope-format"


def test_one_byte_more_is_refused():
    assert code_of(load, STORE + b" ") == "signature"
    assert code_of(load, STORE + b"x") == "envelope-format"


# The schema: a store that nobody signed is refused for its first fault, or as unsigned.


def test_a_well_formed_store_that_nobody_signed_is_unsigned():
    assert payload_code(PAYLOAD) == "signature"
    assert fields_code(FIELDS) == "signature"


def test_another_format_number_is_unknown():
    assert FORMAT == 1
    for number in (0, 2, 999):
        assert fields_code(fields_of(format=number)) == "format-unknown", number
    e = raises(ImageError, load, envelope(b'{"format":2}', []))
    assert e.code == "format-unknown"


def test_another_key_algorithm_is_unknown():
    for alg in ("es256", "ps256", "RS256", "x", "x" * 16):
        keys = FIELDS["keys"] + [key_entry(alg=alg)]
        assert fields_code(fields_of(keys=keys)) == "format-unknown", alg


def ec_entry(x, y, kid="1" * 64):
    texts = [b64url_encode(number.to_bytes(32, "big")).decode() for number in (x, y)]
    return {"kid": kid, "alg": "ES256", "x": texts[0], "y": texts[1]}


# The base point, SP 800-186 section 3.2.1.3.
GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def test_a_p256_key_is_a_point_of_the_curve():
    keys = FIELDS["keys"] + [ec_entry(GX, GY)]
    release = {"keys": ["1" * 64], "threshold": 1}
    trust = load(signed(fields_of(keys=keys, release=release, root=ONE_ROOT)))
    key = trust.release.keys["1" * 64]
    assert isinstance(key, EcKey) and (key.alg, key.value) == ("ES256", (GX, GY))
    for x, y in ((GX, GY + 1), (GX + 1, GY), (0, 0), (GX, 0), (2**256 - 1, GY)):
        keys = FIELDS["keys"] + [ec_entry(x, y)]
        assert fields_code(fields_of(keys=keys)) == "envelope-format", (x, y)


def test_a_p256_key_never_stands_twice():
    keys = FIELDS["keys"] + [ec_entry(GX, GY), ec_entry(GX, GY, "2" * 64)]
    assert fields_code(fields_of(keys=keys)) == "envelope-format"


def test_numbers_of_a_p256_key_have_32_bytes():
    for name in ("x", "y"):
        number = {"x": GX, "y": GY}[name]
        longer = b64url_encode(number.to_bytes(33, "big")).decode()  # a zero in front of it
        for text in ("", "A" * 42, "A" * 44, longer, 1, None):
            entry = ec_entry(GX, GY)
            entry[name] = text
            keys = FIELDS["keys"] + [entry]
            assert fields_code(fields_of(keys=keys)) == "envelope-format", (name, text)


def test_an_epoch_has_16_bits():
    fields = fields_of(root=ONE_ROOT, sequence_epoch=0xFFFF)
    assert load(signed(fields)).sequence_epoch == 0xFFFF
    assert fields_code(fields_of(sequence_epoch=0x10000)) == "envelope-format"


def test_what_a_store_says_can_be_read_without_its_signatures():
    trust = read(envelope(json.dumps(fields_of(number=9)).encode(), [(KIDS[0], TRUST, None)]))
    assert (trust.number, trust.sequence_epoch, trust.bare_images, trust.expires) == (
        9,
        0,
        False,
        0,
    )


def test_a_payload_has_at_most_8192_bytes():
    assert LIMIT == 8192
    assert payload_code(PAYLOAD + b" " * (LIMIT - len(PAYLOAD))) == "signature"
    assert payload_code(PAYLOAD + b" " * (LIMIT - len(PAYLOAD) + 1)) == "envelope-format"


def test_a_payload_is_strict_json():
    for payload in (
        b"x",
        b"[]",
        b"{}",
        PAYLOAD + b"x",
        PAYLOAD[:-1],
        PAYLOAD[:-1] + b',"number":1}',
        PAYLOAD.replace(b'"number":1', b'"number":01'),
        PAYLOAD.replace(b'"number":1', b'"number":1.0'),
        PAYLOAD.replace(b'"number":1', b'"number":1\t'),
    ):
        assert payload != PAYLOAD
        assert payload_code(payload) == "envelope-format", payload


def test_every_required_field_is_required_and_has_its_type():
    for name in ("format", "number", "keys", "root", "release"):
        fields = fields_of()
        del fields[name]
        assert fields_code(fields) == "envelope-format", name
        for value in (None, "x", True, [1], {"a": 1}):
            assert fields_code(fields_of(**{name: value})) == "envelope-format", (name, value)


def test_every_optional_field_has_its_type_and_limit():
    for name, value in (
        ("sequence_floor", "1"),
        ("sequence_floor", True),
        ("sequence_floor", [1]),
        ("manifest_urls", "https://a.example/m"),
        ("manifest_urls", [1]),
        ("manifest_urls", ["a", None]),
        ("manifest_urls", ["a"] * 5),
        ("tls_roots", "MIIB"),
        ("tls_roots", [1]),
        ("tls_roots", ["MIIB"] * 5),
        ("tls_roots", ["MIIB", "MII="]),
        ("tls_roots", ["MI IB"]),
    ):
        assert fields_code(fields_of(**{name: value})) == "envelope-format", (name, value)
    for name in ("manifest_urls", "tls_roots"):
        assert fields_code(fields_of(**{name: ["MIIB"] * 4})) == "signature", name


def test_the_number_begins_with_one():
    assert fields_code(fields_of(number=0)) == "envelope-format"
    assert fields_code(fields_of(number=1)) == "signature"


def test_there_are_at_most_eight_keys():
    more = []
    for i in range(6):
        more.append(key_entry(Stamp(str(i)).kid, b64url_encode(modulus(i)).decode()))
    assert fields_code(fields_of(keys=FIELDS["keys"] + more[:5])) == "signature"
    assert fields_code(fields_of(keys=FIELDS["keys"] + more)) == "envelope-format"


def test_a_key_has_kid_alg_and_a_modulus_of_384_bytes():
    good = b64url_encode(modulus(1)).decode()
    assert fields_code(fields_of(keys=FIELDS["keys"] + [key_entry(n=good)])) == "signature"
    for changes in (
        {"kid": "0" * 63},
        {"kid": "0" * 65},
        {"kid": "A" * 64},
        {"kid": "g" * 64},
        {"kid": ""},
        {"kid": None},
        {"kid": 1},
        {"alg": None},
        {"alg": 1},
        {"alg": ""},
        {"alg": "x" * 17},
        {"n": None},
        {"n": 1},
        {"n": ""},
        {"n": good[:-1]},
        {"n": good[:-4]},
        {"n": good + "AAAA"},
        {"n": "gAAA" + good},
        {"n": good[:-1] + "="},
        {"n": good[:-1] + "+"},
        {"n": good[:-1] + " "},
    ):
        key = key_entry()
        key.update(changes)
        assert fields_code(fields_of(keys=FIELDS["keys"] + [key])) == "envelope-format", changes
    assert fields_code(fields_of(keys=FIELDS["keys"] + [1])) == "envelope-format"


def test_a_modulus_is_an_odd_number_of_3072_bits():
    for raw, wanted in (
        (b"\x80" + bytes(382) + b"\x01", "signature"),
        (b"\xff" * 384, "signature"),
        (b"\x7f" + b"\xff" * 383, "envelope-format"),
        (b"\x00" + b"\xff" * 383, "envelope-format"),
        (b"\xff" * 383 + b"\xfe", "envelope-format"),
        (b"\x80" + bytes(383), "envelope-format"),
    ):
        key = key_entry(n=b64url_encode(raw).decode())
        assert fields_code(fields_of(keys=FIELDS["keys"] + [key])) == wanted, raw


def test_a_key_never_stands_twice():
    n = FIELDS["keys"][0]["n"]
    for key in (key_entry(kid=KIDS[0]), key_entry(n=n), FIELDS["keys"][0]):
        assert fields_code(fields_of(keys=FIELDS["keys"] + [key])) == "envelope-format"
        assert fields_code(fields_of(keys=[key] + FIELDS["keys"])) == "envelope-format"


def test_one_key_under_two_names_does_not_reach_a_threshold_of_two():
    n = FIELDS["keys"][0]["n"]
    other = "0" * 64
    fields = fields_of(
        keys=FIELDS["keys"] + [key_entry(kid=other, n=n)],
        root={"keys": [KIDS[0], other], "threshold": 2},
    )
    root = PrivateKey("root")
    data = envelope(json.dumps(fields).encode(), [(KIDS[0], TRUST, root), (other, TRUST, root)])
    assert code_of(load, data) == "envelope-format"


def test_a_role_has_keys_of_the_store_and_a_threshold_that_they_can_reach():
    for name in ("root", "release"):
        for role in (
            {"keys": [KIDS[0]], "threshold": 1},
            {"keys": KIDS, "threshold": 3},
            {"keys": KIDS, "threshold": 1, "unknown": 1},
        ):
            assert fields_code(fields_of(**{name: role})) == "signature", role
        for role in (
            {},
            {"keys": KIDS},
            {"threshold": 1},
            {"keys": [], "threshold": 0},
            {"keys": [], "threshold": 1},
            {"keys": KIDS, "threshold": 0},
            {"keys": KIDS, "threshold": 4},
            {"keys": KIDS, "threshold": True},
            {"keys": KIDS, "threshold": "1"},
            {"keys": [KIDS[0], KIDS[0]], "threshold": 2},
            {"keys": ["0" * 64], "threshold": 1},
            {"keys": [KIDS[0], "0" * 64], "threshold": 1},
            {"keys": [1], "threshold": 1},
            {"keys": KIDS[0], "threshold": 1},
            {"keys": KIDS * 3, "threshold": 1},
        ):
            assert fields_code(fields_of(**{name: role})) == "envelope-format", (name, role)
