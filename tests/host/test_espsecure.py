"""What espsecure signs during the test is what the device takes."""

import hashlib
import re
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fakes import make_image

from ota.errors import SignatureError
from ota.espressif import SECTOR, verify_sector
from ota.trust import EcKey, RsaKey
from ota_tools import keys

IMAGE = make_image(5000)
PADDED = IMAGE + b"\xff" * (-len(IMAGE) % SECTOR)
DIGEST = hashlib.sha256(PADDED).digest()


def espsecure(*args):
    command = [sys.executable, "-m", "espsecure", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two RSA keys and a P-256 key by espsecure, and an image."""
    path = tmp_path_factory.mktemp("espsecure")
    for name, scheme in (("one", "rsa3072"), ("two", "rsa3072"), ("curve", "ecdsa256")):
        arguments = ("--version", "2", "--scheme", scheme)
        espsecure("generate-signing-key", *arguments, path / f"{name}.pem")
    (path / "app.bin").write_bytes(IMAGE)
    return path


def public(path, name):
    """The key as the device has it."""
    pem = (path / f"{name}.pem").read_bytes()
    numbers = load_pem_private_key(pem, None).public_key().public_numbers()
    return EcKey(numbers.x, numbers.y) if name == "curve" else RsaKey(numbers.n)


def signed(path, *names, source="app.bin", more=()):
    """The path of that file, signed."""
    out = path / "-".join(["signed", *names, source])
    pems = [path / f"{name}.pem" for name in names]
    espsecure(
        "sign-data", "--version", "2", "--output", out, path / source, *more, "--keyfile", *pems
    )
    return out


def parts(file):
    """Content and signature sector."""
    data = file.read_bytes()
    return data[:-SECTOR], data[-SECTOR:]


@pytest.mark.parametrize(
    "names", [["one"], ["curve"], ["one", "two"], ["curve", "two"], ["one", "two", "curve"]]
)
def test_every_key_that_espsecure_signed_with_counts(folder, names):
    known = {name: public(folder, name) for name in names}
    content, sector = parts(signed(folder, *names))
    assert content == PADDED
    assert verify_sector(sector, known, len(names)) == DIGEST
    for name in names:
        assert verify_sector(sector, {name: known[name]}, 1) == DIGEST
    with pytest.raises(SignatureError, match=f"{len(names)} good signatures"):
        verify_sector(sector, known, len(names) + 1)


def test_another_key_of_the_same_kind_does_not_count(folder):
    _, sector = parts(signed(folder, "one"))
    with pytest.raises(SignatureError, match="0 good signatures, expected 1"):
        verify_sector(sector, {"two": public(folder, "two")}, 1)


def test_a_signature_that_is_appended_later_counts(folder):
    first = signed(folder, "one")
    _, sector = parts(signed(folder, "two", source=first.name, more=["--append-signatures"]))
    known = {name: public(folder, name) for name in ("one", "two")}
    assert verify_sector(sector, known, 2) == DIGEST


def test_the_keys_have_the_names_that_espsecure_gives_them(folder):
    said = espsecure("signature-info-v2", signed(folder, "one", "two"))
    digests = re.findall(r"(?:[0-9a-f]{2}\s+){31}[0-9a-f]{2}", said)
    found = [re.sub(r"\s", "", digest) for digest in digests]
    loaded = [keys.load_public(folder / f"{name}.pem") for name in ("one", "two")]
    assert found == [keys.kid(key) for key in loaded]


def test_a_change_of_the_content_is_another_digest(folder):
    content, sector = parts(signed(folder, "one"))
    found = verify_sector(sector, {"one": public(folder, "one")}, 1)
    assert found == hashlib.sha256(content).digest()
    assert found != hashlib.sha256(content[:-1] + b"\xfe").digest()
