"""Signing keys, judged by espsecure and by the openssl command line."""

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ota_tools import certificates, keys
from ota_tools.failures import Refused, Usage

MESSAGE = b"what is signed"
SCRIPT = Path(sys.executable).parent / "ota"
PASSPHRASE = "correct horse battery staple"


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


def at_a_terminal(folder, lines, *args):
    """Run `ota` at a terminal of its own, where these lines are typed: (exit code, what it said)."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.environ.pop(keys.PASSPHRASE, None)
        os.execv(SCRIPT, ["ota", *map(str, args)])
    said = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while data := os.read(terminal, 1000):
            said += data
            if said.endswith(b": ") and lines:
                os.write(terminal, lines.pop(0).encode() + b"\n")
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), said.decode()


def verified_by_openssl(public, message, signature, folder):
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss"]
    command += ["-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256"]
    command += ["-verify", public, "-signature", folder / "signature", folder / "message"]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


@pytest.fixture(scope="module", params=["rsa", "p256"])
def made(tmp_path_factory, request):
    """A key made by us."""
    path = tmp_path_factory.mktemp("made") / f"{request.param}.pem"
    keys.generate(path, request.param)
    return path


def test_key_made_here_has_the_name_that_espsecure_gives_it(made, tmp_path):
    assert keys.kid(keys.load_private(made).public_key()) == espressif_digest(made, tmp_path)


@pytest.mark.parametrize("scheme", ["rsa3072", "ecdsa256"])
def test_key_made_by_espsecure_signs_and_has_the_name_that_espsecure_gives_it(scheme, tmp_path):
    path = tmp_path / "espressif.pem"
    espsecure("generate-signing-key", "--version", "2", "--scheme", scheme, path)
    # PKCS#1 and SEC1: the forms of old.
    assert path.read_bytes().startswith(
        {"rsa3072": b"-----BEGIN RSA PRIVATE", "ecdsa256": b"-----BEGIN EC PRIVATE"}[scheme]
    )
    key = keys.load_private(path)
    assert keys.kid(key.public_key()) == espressif_digest(path, tmp_path)
    if scheme == "rsa3072":
        (tmp_path / "espressif.pub").write_bytes(keys.public_pem(key.public_key()))
        signature = keys.sign(key, MESSAGE)
        assert verified_by_openssl(tmp_path / "espressif.pub", MESSAGE, signature, tmp_path)


def test_key_of_openssl_ecparam_is_read_with_the_parameters_before_it(tmp_path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", tmp_path / "key.pem")
    assert b"EC PARAMETERS" in (tmp_path / "key.pem").read_bytes()
    assert keys.kid(keys.load_public(tmp_path / "key.pem"))


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


def test_new_key_is_what_was_asked_for_in_the_eyes_of_openssl(made):
    text = openssl("pkey", "-in", made, "-noout", "-text", "-check")
    assert "Key is valid" in text
    if made.name == "rsa.pem":
        assert "3072 bit" in text and "65537 (0x10001)" in text
    else:
        assert "NIST CURVE: P-256" in text
    assert made.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_p256_is_told_with_its_algorithm(ota, tmp_path):
    said = ota("keygen", tmp_path / "key.pem", "--alg", "p256", "--json").json()
    assert (said["alg"], said["encrypted"]) == ("ES256", False)
    assert said["kid"] == espressif_digest(tmp_path / "key.pem.pub", tmp_path)


def test_p256_signature_verifies_with_openssl(tmp_path):
    key = keys.generate(tmp_path / "key.pem", "p256")
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "key.pub").write_bytes(keys.public_pem(key.public_key()))
    signature = keys.sign(key, MESSAGE)
    assert len(signature) == 64
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    (tmp_path / "signature").write_bytes(encode_dss_signature(r, s))
    check = ("-signature", tmp_path / "signature", tmp_path / "message")
    assert "OK" in openssl("dgst", "-sha256", "-verify", tmp_path / "key.pub", *check)


def test_keygen_says_how_to_keep_a_root_key(ota, tmp_path):
    for text in (ota("keygen", tmp_path / "k").out, ota("keygen", "--help").out):
        for words in ("off line", "--encrypt", "copy in another place"):
            assert words in " ".join(text.replace("│", "").split())


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
    genpkey("p384", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384")
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
        ("p384", "or EC P-256"),
        ("ed25519", "or EC P-256"),
        ("odd-curve", "no key that can be read"),
        ("encrypted", "is encrypted: set OTA_KEY_PASSPHRASE"),
        ("garbage", "no key that can be read"),
        ("empty", "no key that can be read"),
        ("hollow", "no key that can be read"),
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
        ("p384.pub", "or EC P-256"),
        ("odd-curve.pub", "no key"),
        ("ed25519.pub", "or EC P-256"),
        ("encrypted.pem", "is encrypted"),
        ("garbage.pem", "holds no key"),
        ("empty.pem", "holds no key"),
    ],
)
def test_other_public_keys_are_refused(wrong, name, fact):
    with pytest.raises(Refused, match=fact):
        keys.load_public(wrong / name)


def test_public_key_is_no_private_one(pem, release_key, tmp_path):
    (tmp_path / "key.pub").write_bytes(keys.public_pem(release_key.public_key()))
    with pytest.raises(Refused, match="only the public key"):
        keys.load_private(tmp_path / "key.pub")
    assert keys.load_public(tmp_path / "key.pub") == release_key.public_key()
    assert keys.load_public(pem("release")) == release_key.public_key()


@pytest.mark.parametrize("load", [keys.load_private, keys.load_public])
def test_missing_file_and_folder_are_wrong_usage(load, tmp_path):
    with pytest.raises(Usage, match="No such file"):
        load(tmp_path / "missing.pem")
    with pytest.raises(Usage, match="directory"):
        load(tmp_path)


# Passphrases


def test_passphrase_is_asked_for_twice_and_never_shown(tmp_path):
    code, said = at_a_terminal(tmp_path, [PASSPHRASE] * 2, "keygen", "key.pem", "--encrypt")
    assert code == 0, said
    assert "Passphrase for key.pem" in said and PASSPHRASE not in said
    assert (tmp_path / "key.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    openssl("pkey", "-in", tmp_path / "key.pem", "-passin", f"pass:{PASSPHRASE}", "-noout")


def test_two_different_passphrases_are_asked_for_again(tmp_path):
    lines = ["one", "another", PASSPHRASE, PASSPHRASE]
    code, said = at_a_terminal(tmp_path, lines, "keygen", "k", "--encrypt", "--alg", "p256")
    assert code == 0 and lines == [], said
    openssl("pkey", "-in", tmp_path / "k", "-passin", f"pass:{PASSPHRASE}", "-noout")


@pytest.fixture(scope="module")
def locked(tmp_path_factory, pem):
    """An encrypted key, made by openssl."""
    path = tmp_path_factory.mktemp("locked") / "locked.pem"
    path.touch(0o600)
    openssl("pkey", "-in", pem("root"), "-aes256", "-passout", f"pass:{PASSPHRASE}", "-out", path)
    return path


def init(locked):
    return ("trust", "init", "--single-key", "--root", locked, "--release", "release.pub")


def test_encrypted_key_asks_once_and_names_its_file(tmp_path, locked, release_key):
    (tmp_path / "release.pub").write_bytes(keys.public_pem(release_key.public_key()))
    code, said = at_a_terminal(tmp_path, [PASSPHRASE], *init(locked))
    assert code == 0, said
    assert said.count(f"Passphrase of {locked}: ") == 1 and PASSPHRASE not in said
    assert (tmp_path / "ota_trust.json").exists()
    (tmp_path / "ota_trust.json").unlink()
    code, said = at_a_terminal(tmp_path, ["wrong guess"], *init(locked))
    assert code == 1 and "the passphrase does not open" in said and "wrong guess" not in said
    assert not (tmp_path / "ota_trust.json").exists()


def test_passphrase_of_a_script_stands_in_the_environment(ota, tmp_path, monkeypatch, locked):
    monkeypatch.setenv(keys.PASSPHRASE, PASSPHRASE)
    said = ota("keygen", tmp_path / "key.pem", "--encrypt", "--alg", "p256", "--json").json()
    assert said["encrypted"]
    assert keys.load_private(tmp_path / "key.pem") and keys.load_public(locked)
    monkeypatch.setenv(keys.PASSPHRASE, PASSPHRASE + "!")
    with pytest.raises(Refused, match="does not open") as caught:
        keys.load_private(locked)
    assert PASSPHRASE not in str(caught.value)
    for empty in ("", "  "):
        monkeypatch.setenv(keys.PASSPHRASE, empty)
        call = ota("keygen", tmp_path / "empty.pem", "--encrypt")
        assert call.code == 2 and "empty passphrase" in call.line()
    assert not (tmp_path / "empty.pem").exists()


def test_without_a_terminal_the_way_out_is_named(tmp_path, locked, pem):
    for args in (
        ("keygen", tmp_path / "k", "--encrypt"),
        ("trust", "init", "--single-key", "--root", locked, "--release", pem("release")),
    ):
        done = subprocess.run(
            [SCRIPT, *args],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
        )
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "no terminal to ask at: set OTA_KEY_PASSPHRASE" in done.stderr
    assert list(tmp_path.iterdir()) == []


# Who may read them


def test_private_key_that_others_may_read_is_warned_of(
    ota, tmp_path, monkeypatch, release_key, pem
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "release.pub").write_bytes(keys.public_pem(release_key.public_key()))
    (tmp_path / "root.pem").write_bytes(pem("root").read_bytes())
    for mode, exposed in ((0o600, False), (0o640, True), (0o604, True), (0o400, False)):
        (tmp_path / "root.pem").chmod(mode)
        call = ota(*init("root.pem"), "-o", f"{mode:o}.json", "--json")
        assert call.json()["complete"]
        warning = f"ota: warning: root.pem may be read by others (mode {mode:04o}): chmod 600"
        assert call.err.startswith(warning) if exposed else call.err == ""


def test_key_files_are_closed_from_their_first_moment(ota, tmp_path, monkeypatch):
    opened = {}
    real = os.open

    def watched(path, flags, mode=0o777, **more):
        handle = real(path, flags, mode, **more)
        opened[Path(path).name] = os.fstat(handle).st_mode & 0o777
        return handle

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        assert ota("keygen", tmp_path / "key.pem").code == 0
        certificates.ensure(tmp_path / "tls", ["localhost"])
    finally:
        os.umask(before)
    private = {"key.pem", "ca.key", "server.key"}
    assert {name: opened[name] for name in private} == dict.fromkeys(private, 0o600)
    # Every other file that is there holds no private key.
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert (b"PRIVATE" in path.read_bytes()) == (path.name in private)
        assert (path.stat().st_mode & 0o077 == 0) == (path.name in private)


def test_key_that_could_not_be_written_is_not_left_in_part(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keys.generate(tmp_path / "key.pem", "p256")
    assert list(tmp_path.iterdir()) == []
