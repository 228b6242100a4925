"""Envelopes sealed on the host, read by lib/ota and by openssl."""

import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ota import jws
from ota import trust as device
from ota.errors import ImageError, SignatureError
from ota.strict import Malformed
from ota_tools import keys
from ota_tools import trust as trust_store
from ota_tools.envelope import encode_json, public_keys, seal
from ota_tools.failures import Refused, Usage

PAYLOAD = encode_json({"format": 1, "text": 'a "quoted" text', "list": [1, 2, {"deep": True}]})
LIMIT = 6144


def b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def opened(envelope, signers, typ=jws.MANIFEST, threshold=1):
    return bytes(jws.verify(envelope, typ, LIMIT, public_keys(signers), threshold))


def openssl_accepts(envelope, index, public, folder):
    """RFC 7515 section 5.2 without a line of ours: the signing input again, and openssl's word."""
    line, _, payload = envelope.partition(b"\n")
    entry = json.loads(line)["signatures"][index]
    coded = base64.urlsafe_b64encode(payload).rstrip(b"=")
    (folder / "input").write_bytes(entry["protected"].encode() + b"." + coded)
    (folder / "signature").write_bytes(b64url(entry["signature"]))
    (folder / "public.pem").write_bytes(keys.public_pem(public))
    command = ["openssl", "dgst", "-sha256"]
    if isinstance(public, rsa.RSAPublicKey):
        command += ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_mgf1_md:sha256"]
        command += ["-sigopt", "rsa_pss_saltlen:32"]
    else:
        raw = b64url(entry["signature"])
        r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
        (folder / "signature").write_bytes(encode_dss_signature(r, s))
    command += ["-verify", "public.pem", "-signature", "signature", "input"]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def sealed(release_key):
    return seal(jws.MANIFEST, PAYLOAD, [release_key], LIMIT)


def test_device_reads_what_was_sealed(sealed, release_key):
    assert opened(sealed, [release_key]) == PAYLOAD


def test_openssl_accepts_what_was_sealed(sealed, release_key, tmp_path):
    assert openssl_accepts(sealed, 0, release_key.public_key(), tmp_path)


def test_openssl_accepts_every_one_of_several_signatures(root_key, release_key, tmp_path):
    signers = [root_key, release_key]
    envelope = seal(jws.TRUST, PAYLOAD, signers, LIMIT)
    assert opened(envelope, signers, jws.TRUST, threshold=2) == PAYLOAD
    for index, signer in enumerate(signers):
        assert openssl_accepts(envelope, index, signer.public_key(), tmp_path)
    assert not openssl_accepts(envelope, 0, release_key.public_key(), tmp_path)


@pytest.fixture(scope="module")
def p256_key(tmp_path_factory):
    return keys.generate(tmp_path_factory.mktemp("p256") / "key.pem", "p256")


def test_es256_stands_beside_ps256(release_key, p256_key, tmp_path):
    signers = [release_key, p256_key]
    envelope = seal(jws.MANIFEST, PAYLOAD, signers, LIMIT)
    assert opened(envelope, signers, threshold=2) == PAYLOAD
    assert opened(envelope, [p256_key]) == PAYLOAD
    for index, signer in enumerate(signers):
        assert openssl_accepts(envelope, index, signer.public_key(), tmp_path)
    entry = json.loads(envelope.partition(b"\n")[0])["signatures"][1]
    header = json.loads(b64url(entry["protected"]))
    kid = keys.kid(p256_key.public_key())
    assert header == {"alg": "ES256", "kid": kid, "typ": "ota-manifest+1"}
    assert len(b64url(entry["signature"])) == 64  # r and s, RFC 7518 section 3.4
    for at in (10, len(envelope) - 1):
        bad = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        with pytest.raises((SignatureError, ImageError)):
            opened(bad, signers, threshold=2)


def test_header_names_algorithm_key_and_type_and_nothing_else(sealed, release_key):
    entry = json.loads(sealed.partition(b"\n")[0])["signatures"][0]
    header = json.loads(b64url(entry["protected"]))
    kid = keys.kid(release_key.public_key())
    assert header == {"alg": "PS256", "kid": kid, "typ": "ota-manifest+1"}
    assert set(entry) == {"protected", "signature"}


@pytest.mark.parametrize("at", [0, 1, len(PAYLOAD) // 2, len(PAYLOAD) - 1])
def test_altered_payload_does_not_verify(sealed, release_key, tmp_path, at):
    at += len(sealed) - len(PAYLOAD)
    bad = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    with pytest.raises(SignatureError, match="0 good signatures"):
        opened(bad, [release_key])
    assert not openssl_accepts(bad, 0, release_key.public_key(), tmp_path)


@pytest.mark.parametrize("change", [lambda p: p + b"\n", lambda p: p[:-1]])
def test_longer_and_shorter_payload_does_not_verify(sealed, release_key, change):
    line, _, payload = sealed.partition(b"\n")
    with pytest.raises(SignatureError):
        opened(line + b"\n" + change(payload), [release_key])


def test_altered_signature_does_not_verify(sealed, release_key):
    fields = json.loads(sealed.partition(b"\n")[0])
    text = fields["signatures"][0]["signature"]
    for at in (0, 100, 511):
        other = "A" if text[at] != "A" else "B"
        fields["signatures"][0]["signature"] = text[:at] + other + text[at + 1 :]
        with pytest.raises(SignatureError):
            opened(json.dumps(fields).encode() + b"\n" + PAYLOAD, [release_key])


def test_another_key_or_type_does_not_verify(sealed, release_key, stranger_key):
    with pytest.raises(SignatureError):
        opened(sealed, [stranger_key])
    with pytest.raises(SignatureError, match="signed as"):
        opened(sealed, [release_key], jws.TRUST)


def test_payload_over_the_limit_is_not_sealed(release_key):
    with pytest.raises(ImageError, match="at most 6144"):
        seal(jws.MANIFEST, bytes(LIMIT + 1), [release_key], LIMIT)
    with pytest.raises(ImageError):
        seal(jws.MANIFEST, b"", [release_key], LIMIT)


@pytest.mark.parametrize(
    "fields",
    [
        {"a": -1},
        {"a": 0.5},
        {"a": 10**15},
        {"a": "\U0001f600"},
        {"a": "\0"},
        {"a" * 33: 1},
        {"": 1},
        {"a": [[[[[[1]]]]]]},
    ],
)
def test_what_devices_could_not_read_is_not_encoded(fields):
    with pytest.raises(Malformed):
        encode_json(fields)


def test_trust_store_is_signed_by_every_root(root_key, pem, release_key, tmp_path):
    second = keys.load_private(pem("root2"))
    envelope = trust_store.make_first([root_key, second], [release_key.public_key()], 2)
    store = device.load(envelope)
    assert store.number == 1 and store.root.threshold == 2
    assert list(store.release.keys) == [keys.kid(release_key.public_key())]
    for index, key in enumerate((root_key, second)):
        assert openssl_accepts(envelope, index, key.public_key(), tmp_path)


def test_trust_store_with_a_key_twice_or_an_idle_threshold_is_refused(root_key, release_key):
    public = release_key.public_key()
    with pytest.raises(Usage, match="given twice"):
        trust_store.make_first([root_key], [root_key.public_key()])
    with pytest.raises(Usage, match="given twice"):
        trust_store.make_first([root_key], [public, public])
    for threshold in (0, -1, 2):
        with pytest.raises(Usage, match=f"threshold {threshold} of 1 root keys"):
            trust_store.make_first([root_key], [public], threshold)


@pytest.mark.parametrize(
    ("more", "fact"),
    [
        ({"manifest_urls": [f"https://host/{n}" for n in range(5)]}, "at most 4"),
        ({"manifest_urls": ["http://host/a.manifest"]}, "https://"),
        ({"manifest_urls": ["host/a.manifest"]}, "https://"),
        ({"manifest_urls": ["https://host/\u00e4.manifest"]}, "ASCII"),
        ({"tls_roots": [b"certificate"] * 5}, "at most 4"),
        ({"tls_roots": [bytes(8000)]}, "at most 8192"),
    ],
)
def test_trust_store_that_devices_would_refuse_is_refused(root_key, release_key, more, fact):
    with pytest.raises(Refused, match=fact):
        trust_store.make_first([root_key], [release_key.public_key()], **more)


def test_trust_store_without_release_keys_is_refused(root_key):
    with pytest.raises(Usage, match="no release key"):
        trust_store.make_first([root_key], [])
