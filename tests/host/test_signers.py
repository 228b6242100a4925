"""Signers: keys in files, and programs that sign, which here is the real openssl."""

import hashlib
import json
import shlex
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ota import jws
from ota_tools import keys, signers
from ota_tools.envelope import public_keys, seal
from ota_tools.failures import MissingTool, Refused, Usage
from ota_tools.signers import CommandSigner, PemSigner

MESSAGE = b"eyJhbGciOiJQUzI1NiJ9.cGF5bG9hZA"
PSS = "-sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:sha256"
DIGEST = """printf %s "$OTA_DIGEST" | perl -ne 'print pack "H*", $_'"""
ALGS = ("rsa", "p256")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pem):
    """rsa.pem and p256.pem, as a stand-in for what lies in a token."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "rsa.pem").write_bytes(pem("release").read_bytes())
    keys.generate(folder / "p256.pem", "p256")
    for alg in ALGS:
        public = keys.public_pem(keys.load_private(folder / f"{alg}.pem").public_key())
        (folder / f"{alg}.pub").write_bytes(public)
    return folder


@pytest.fixture
def command(folder):
    """alg, command -> the signer; {key} in the command is the file of the private key."""

    def make(alg, line):
        return CommandSigner(
            keys.load_public(folder / f"{alg}.pub"),
            line.replace("{key}", str(folder / f"{alg}.pem")),
        )

    return make


@pytest.fixture
def shell(command):
    """The same for a line of sh."""
    return lambda alg, line: command(alg, f"sh -c {shlex.quote(line)}")


@pytest.fixture
def python(command):
    """The same for a line of Python."""
    return lambda alg, code: command(alg, f"{sys.executable} -c {shlex.quote(code)}")


def refusal(signer, kind=Refused):
    with pytest.raises(kind) as caught:
        signer.sign(MESSAGE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_good(signer, signature):
    digest = hashlib.sha256(MESSAGE).digest()
    return keys.device_key(signer.public).verify(digest, signature)


GOOD = [
    ("rsa", f"openssl dgst -sha256 -sign {{key}} {PSS} -sigopt rsa_pss_saltlen:32"),
    ("rsa", f"openssl dgst -sha256 -sign {{key}} {PSS} -sigopt rsa_pss_saltlen:digest"),
    ("p256", "openssl dgst -sha256 -sign {key}"),
]


@pytest.mark.parametrize(("alg", "line"), GOOD)
def test_openssl_signs_the_message_on_stdin(command, alg, line):
    signer = command(alg, line)
    signature = signer.sign(MESSAGE)
    assert len(signature) == {"rsa": 384, "p256": 64}[alg]
    assert is_good(signer, signature)


@pytest.mark.parametrize(("alg", "line"), GOOD)
def test_devices_read_what_a_program_signed(command, alg, line):
    signer = command(alg, line)
    envelope = seal(jws.MANIFEST, b"{}", [signer], 100)
    assert bytes(jws.verify(envelope, jws.MANIFEST, 100, public_keys([signer]), 1)) == b"{}"


def test_openssl_pkeyutl_signs_the_digest_of_the_environment(shell):
    options = "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32"
    line = f"{DIGEST} | openssl pkeyutl -sign -inkey {{key}} -pkeyopt digest:sha256"
    for signer in (shell("rsa", f"{line} {options}"), shell("p256", line)):
        assert is_good(signer, signer.sign(MESSAGE))


def test_program_may_answer_r_and_s_as_they_are(python, folder):
    code = (
        "import sys; from pathlib import Path; from ota_tools import keys;"
        "key = keys.load_private(Path('{key}'));"
        "sys.stdout.buffer.write(keys.sign(key, sys.stdin.buffer.read()))"
    )
    for alg in ALGS:
        signer = python(alg, code)
        assert is_good(signer, signer.sign(MESSAGE))


def test_key_in_a_file_is_a_signer_too(folder):
    for alg in ALGS:
        signer = PemSigner(keys.load_private(folder / f"{alg}.pem"))
        assert signer.kid == keys.kid(keys.load_public(folder / f"{alg}.pub"))
        assert signer.alg == {"rsa": "PS256", "p256": "ES256"}[alg]
        assert is_good(signer, signer.sign(MESSAGE))


def test_program_gets_message_digest_and_algorithm_and_no_passphrase(
    python, monkeypatch, tmp_path
):
    monkeypatch.setenv(keys.PASSPHRASE, "of another key")
    code = (
        "import json, os, sys; names = ['OTA_DIGEST', 'OTA_ALG', 'OTA_KEY_PASSPHRASE'];"
        f"seen = [os.environ.get(name) for name in names] + [sys.stdin.read()];"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(seen))"
    )
    refusal(python("rsa", code))
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen == [hashlib.sha256(MESSAGE).hexdigest(), "PS256", None, MESSAGE.decode()]


def test_program_is_called_without_a_shell(python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import sys; open('seen', 'w').write(repr(sys.argv[1:]))"
    signer = python("rsa", code)
    signer = CommandSigner(signer.public, shlex.join(signer._argv) + " '$HOME' ';' touch x '>' y")
    refusal(signer)
    assert (tmp_path / "seen").read_text() == repr(["$HOME", ";", "touch", "x", ">", "y"])
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


# What is wrong with a signature


@pytest.mark.parametrize(("option", "salt"), [("0", 0), ("20", 20), ("33", 33), ("max", 350)])
def test_salt_of_another_length_is_named(command, option, salt):
    line = f"openssl dgst -sha256 -sign {{key}} {PSS} -sigopt rsa_pss_saltlen:{option}"
    fact = f"a salt of {salt} bytes, expected 32: openssl -sigopt rsa_pss_saltlen:32"
    assert fact in refusal(command("rsa", line))


def test_salt_that_openssl_takes_by_itself_is_named(command):
    text = refusal(command("rsa", "openssl dgst -sha256 -sign {key} -sigopt rsa_padding_mode:pss"))
    assert "a salt of 350 bytes, expected 32" in text


def test_pkcs1_in_the_place_of_pss_is_named(command):
    text = refusal(command("rsa", "openssl dgst -sha256 -sign {key}"))
    assert "PKCS#1 v1.5, expected PSS: openssl -sigopt rsa_padding_mode:pss" in text


@pytest.mark.parametrize("alg", ALGS)
def test_digest_that_was_hashed_again_is_named(shell, alg):
    more = f"{PSS} -sigopt rsa_pss_saltlen:32" if alg == "rsa" else ""
    sign = f"openssl dgst -sha256 -sign {{key}} {more}"
    assert "was hashed again" in refusal(shell(alg, f"{DIGEST} | {sign}"))
    assert "was hashed again" in refusal(shell(alg, f"openssl dgst -sha256 -binary | {sign}"))
    assert "the text of OTA_DIGEST" in refusal(shell(alg, f'printf %s "$OTA_DIGEST" | {sign}'))


@pytest.mark.parametrize(("alg", "line"), GOOD)
def test_other_message_and_other_key_do_not_pass(shell, command, alg, line, tmp_path, pem):
    text = "not one of this message by the key"
    assert text in refusal(shell(alg, f"echo other | {line}"))
    stranger = pem("stranger")
    if alg == "p256":
        stranger = tmp_path / "stranger.pem"
        keys.generate(stranger, alg)
    assert text in refusal(command(alg, line.replace("{key}", str(stranger))))


def test_other_digest_does_not_pass(command):
    line = f"openssl dgst -sha512 -sign {{key}} {PSS} -sigopt rsa_pss_saltlen:32"
    assert "not one of this message" in refusal(command("rsa", line))
    assert "not one of this message" in refusal(
        command("p256", "openssl dgst -sha512 -sign {key}")
    )


@pytest.mark.parametrize("number", [0, 1, (1 << 3072) - 1])
def test_number_in_the_place_of_a_signature_does_not_pass(python, number):
    code = f"import sys; sys.stdout.buffer.write(({number}).to_bytes(384, 'big'))"
    assert "not one of this message" in refusal(python("rsa", code))


def test_answer_of_another_size_is_refused(shell):
    sign = "openssl dgst -sha256 -sign {key}"
    assert "answered 0 bytes on stdout, expected 384 bytes of RSA" in refusal(shell("rsa", "true"))
    assert "answered 0 bytes on stdout, expected 64 bytes" in refusal(shell("p256", "true"))
    text = refusal(shell("p256", f"{sign}; echo"))
    assert "expected 64 bytes (r, s) or their DER form" in text and "text" not in text
    for alg in ALGS:
        assert "neither base64 nor hexadecimal" in refusal(shell(alg, f"{sign} | openssl base64"))


R, S = 5, 0x80
BAD_DER = {
    "empty": b"",
    "something follows": encode_dss_signature(R, S) + b"\0",
    "cut": encode_dss_signature(R, S)[:-1],
    "r is 0": encode_dss_signature(0, S),
    "s is 0": encode_dss_signature(R, 0),
    "r is the order": encode_dss_signature(keys.ORDER, S),
    "s is larger": encode_dss_signature(R, 1 << 256),
    "negative": bytes.fromhex("3006020105020180"),
    "leading zero": bytes.fromhex("300802020005020200 80".replace(" ", "")),
    "long length": bytes.fromhex("308107020105020200 80".replace(" ", "")),
    "a third": bytes.fromhex("300a020105020200 80020101".replace(" ", "")),
}


@pytest.mark.parametrize("name", BAD_DER)
def test_der_has_one_form(name):
    with pytest.raises(ValueError):
        keys.raw_of(BAD_DER[name])


def test_der_of_short_numbers_is_filled_up():
    assert keys.raw_of(encode_dss_signature(R, S)) == R.to_bytes(32, "big") + S.to_bytes(32, "big")


# How a program ends


def test_exit_code_and_last_line_of_stderr_are_told(shell):
    line = 'printf "one\\ntwo\\033[31m\\n\\n" >&2; printf secret; exit 7'
    text = refusal(shell("rsa", line))
    assert text == "the signer sh ended with exit code 7: two [31m"
    assert refusal(shell("rsa", "exit 3")) == "the signer sh ended with exit code 3"
    assert refusal(shell("rsa", "kill -9 $$")) == "the signer sh was ended by signal 9"


def test_exit_code_counts_also_beside_a_good_signature(shell):
    line = f"{GOOD[0][1]}; exit 1"
    assert "exit code 1" in refusal(shell("rsa", line))


def test_program_that_is_not_there_is_a_missing_tool(command, tmp_path):
    assert "none-such cannot be run: No such file" in refusal(
        command("rsa", "/none-such --pin 1234"), MissingTool
    )
    (tmp_path / "closed").write_text("no program")
    assert "Permission denied" in refusal(command("rsa", str(tmp_path / "closed")), MissingTool)


@pytest.mark.parametrize("line", ["", "  ", "'", "a 'b"])
def test_command_that_is_none_is_wrong_usage(command, line):
    with pytest.raises(Usage, match="command"):
        command("rsa", line)


def test_program_that_does_not_end_is_ended_with_all_that_holds_its_pipes(shell, monkeypatch):
    assert signers.TIMEOUT == 120
    monkeypatch.setattr(signers, "TIMEOUT", 0.3)
    start = time.monotonic()
    assert "did not answer within" in refusal(shell("rsa", "sleep 20 & sleep 20"))
    assert time.monotonic() - start < 5


def test_neither_arguments_nor_secrets_on_stderr_are_shown(shell, command, monkeypatch):
    monkeypatch.setenv("HSM_PIN", "open sesame")
    base64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    for secret in ("open sesame", base64, "0123456789abcdef" * 4):
        text = refusal(shell("rsa", f"echo 'bad key {secret} given' >&2; exit 1"))
        assert text.endswith("bad key … given") and secret not in text
    assert "1234" not in refusal(command("rsa", "false --pin 1234"))


def test_same_key_twice_is_wrong_usage(folder, command):
    pair = [keys.load_private(folder / "rsa.pem"), command("rsa", "true")]
    with pytest.raises(Usage, match="given twice"):
        seal(jws.MANIFEST, b"{}", pair, 100)


# On the command line


@pytest.mark.parametrize(("alg", "line"), GOOD)
def test_release_is_signed_by_a_program(ota, command, alg, line, app, tmp_path, folder):
    (tmp_path / "app.bin").write_bytes(app)
    line = line.replace("{key}", str(folder / f"{alg}.pem"))
    said = ota(
        *("release", tmp_path / "app.bin", "--product", "p", "--board", "b", "--version", "1"),
        *("--signer", folder / f"{alg}.pub", line, "-o", tmp_path / "out", "--json"),
    ).json()
    assert [s["kid"] for s in said["signatures"]] == [command(alg, "true").kid]


def test_what_is_not_right_is_not_published(ota, folder, app, tmp_path):
    (tmp_path / "app.bin").write_bytes(app)
    call = ota(
        *("release", tmp_path / "app.bin", "--product", "p", "--board", "b", "--version", "1"),
        *("--signer", folder / "rsa.pub", f"openssl dgst -sha256 -sign {folder / 'rsa.pem'}"),
        *("-o", tmp_path / "out"),
    )
    assert call.code == 1 and "PKCS#1" in call.line()
    assert [path.name for path in Path(tmp_path).iterdir()] == ["app.bin"]
