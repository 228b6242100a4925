"""Signing keys, judged by espsecure and by the openssl command line."""

import subprocess
import sys

import pytest

from ota_tools import keys
from ota_tools.failures import Refused, Usage

MESSAGE = b"what is signed"


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def espsecure(*args):
    return run(sys.executable, "-m", "espsecure", *args)


def openssl(*args):
    return run("openssl", *args)


def espressif_digest(key, folder):
    """What Espressif's tool calls a key."""
    out = folder / "digest.bin"
    out.unlink(missing_ok=True)
    espsecure("digest-sbv2-public-key", "--keyfile", key, "--output", out)
    return out.read_bytes().hex()


def verified_by_openssl(public, message, signature, folder):
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss"]
    command += ["-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256"]
    command += ["-verify", public, "-signature", folder / "signature", folder / "message"]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A key made by us."""
    path = tmp_path_factory.mktemp("made") / "key.pem"
    keys.generate(path)
    return path


def test_key_made_here_has_the_name_that_espsecure_gives_it(made, tmp_path):
    assert keys.kid(keys.load_private(made).public_key()) == espressif_digest(made, tmp_path)


def test_key_made_by_espsecure_signs_and_has_the_name_that_espsecure_gives_it(tmp_path):
    path = tmp_path / "espressif.pem"
    espsecure("generate-signing-key", "--version", "2", "--scheme", "rsa3072", path)
    key = keys.load_private(path)
    assert keys.kid(key.public_key()) == espressif_digest(path, tmp_path)
    (tmp_path / "espressif.pub").write_bytes(keys.public_pem(key.public_key()))
    signature = keys.sign(key, MESSAGE)
    assert verified_by_openssl(tmp_path / "espressif.pub", MESSAGE, signature, tmp_path)


def test_keygen_tells_files_and_name(ota, tmp_path):
    said = ota("keygen", tmp_path / "key.pem", "--json").json()
    assert said["private"] == str(tmp_path / "key.pem")
    assert said["public"] == str(tmp_path / "key.pem.pub")
    private = keys.load_private(tmp_path / "key.pem")
    public = keys.load_public(tmp_path / "key.pem.pub")
    assert private.public_key() == public
    assert said["kid"] == keys.kid(public)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (tmp_path / "key.pem.pub").read_bytes()


def test_new_key_is_rsa_3072_for_openssl(made):
    text = openssl("rsa", "-in", made, "-noout", "-text", "-check")
    assert "3072 bit" in text and "65537 (0x10001)" in text and "RSA key ok" in text


def test_key_file_is_for_its_owner_only(made):
    assert made.stat().st_mode & 0o777 == 0o600


def test_key_is_never_written_over(made):
    before = made.read_bytes()
    with pytest.raises(Usage, match="never written over"):
        keys.generate(made)
    assert made.read_bytes() == before


def test_public_half_is_never_written_over_either(ota, tmp_path):
    (tmp_path / "key.pem.pub").write_text("of the key that lies off line")
    assert "never written over" in ota("keygen", tmp_path / "key.pem").line()
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem.pub"]
    assert (tmp_path / "key.pem.pub").read_text() == "of the key that lies off line"


def test_key_is_not_written_through_a_dangling_link(tmp_path):
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Usage):
        keys.generate(tmp_path / "key.pem")
    assert not (tmp_path / "elsewhere").exists()


def test_signature_verifies_with_openssl(pem, release_key, tmp_path):
    openssl("rsa", "-in", pem("release"), "-pubout", "-out", tmp_path / "pub")
    signature = keys.sign(release_key, MESSAGE)
    assert len(signature) == 384
    assert verified_by_openssl(tmp_path / "pub", MESSAGE, signature, tmp_path)
    assert not verified_by_openssl(tmp_path / "pub", MESSAGE + b"!", signature, tmp_path)


def test_modulus_is_the_one_that_openssl_prints(pem, release_key):
    printed = openssl("rsa", "-in", pem("release"), "-noout", "-modulus")
    assert keys.modulus(release_key.public_key()).hex().upper() in printed


@pytest.fixture(scope="module")
def wrong(tmp_path_factory, pem):
    """Keys that nobody may use here, made by openssl."""
    folder = tmp_path_factory.mktemp("wrong")

    def genpkey(name, *options):
        openssl("genpkey", *options, "-out", folder / f"{name}.pem")
        openssl("pkey", "-in", folder / f"{name}.pem", "-pubout", "-out", folder / f"{name}.pub")

    genpkey("rsa2048", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    exponent = ("-pkeyopt", "rsa_keygen_bits:3072", "-pkeyopt", "rsa_keygen_pubexp:3")
    genpkey("exponent3", "-algorithm", "RSA", *exponent)
    genpkey("p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    genpkey("odd-curve", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp112r1")
    genpkey("ed25519", "-algorithm", "ED25519")
    encrypted = ("-aes256", "-passout", "pass:secret", "-out", folder / "encrypted.pem")
    openssl("pkey", "-in", pem("release"), *encrypted)
    (folder / "garbage.pem").write_bytes(bytes(range(256)))
    (folder / "empty.pem").touch()
    block = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    (folder / "hollow.pem").write_text(block)
    return folder


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("rsa2048", "expected RSA-3072"),
        ("exponent3", "exponent 65537"),
        ("p256", "no RSA key"),
        ("ed25519", "no RSA key"),
        ("odd-curve", "no unencrypted private key"),
        ("encrypted", "no unencrypted private key"),
        ("garbage", "no unencrypted private key"),
        ("empty", "no unencrypted private key"),
        ("hollow", "no unencrypted private key"),
    ],
)
def test_other_private_keys_are_refused(wrong, name, fact):
    with pytest.raises(Refused, match=fact):
        keys.load_private(wrong / f"{name}.pem")


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("rsa2048.pub", "expected RSA-3072"),
        ("rsa2048.pem", "expected RSA-3072"),
        ("exponent3.pub", "exponent 65537"),
        ("p256.pub", "no RSA key"),
        ("odd-curve.pub", "no key"),
        ("ed25519.pub", "no RSA key"),
        ("encrypted.pem", "no unencrypted private key"),
        ("garbage.pem", "holds no key"),
        ("empty.pem", "holds no key"),
    ],
)
def test_other_public_keys_are_refused(wrong, name, fact):
    with pytest.raises(Refused, match=fact):
        keys.load_public(wrong / name)


def test_public_key_is_no_private_one(pem, release_key, tmp_path):
    (tmp_path / "key.pub").write_bytes(keys.public_pem(release_key.public_key()))
    with pytest.raises(Refused, match="no unencrypted private key"):
        keys.load_private(tmp_path / "key.pub")
    assert keys.load_public(tmp_path / "key.pub") == release_key.public_key()
    assert keys.load_public(pem("release")) == release_key.public_key()


@pytest.mark.parametrize("load", [keys.load_private, keys.load_public])
def test_missing_file_and_folder_are_wrong_usage(load, tmp_path):
    with pytest.raises(Usage, match="No such file"):
        load(tmp_path / "missing.pem")
    with pytest.raises(Usage, match="directory"):
        load(tmp_path)
