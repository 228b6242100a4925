"""`ota inspect`: what a file is, and that it does not praise what a device would refuse."""

import json
from pathlib import Path

import pytest

from ota_tools import keys
from ota_tools.board.image_maker import make_image
from ota_tools.envelope import encode_json, seal
from ota_tools.failures import Refused, Usage
from ota_tools.firmware import CHIPS
from ota_tools.inspection import inspect_file
from ota_tools.partitions import parse_csv, to_binary
from ota_tools.release import Target, make_release

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "openssl"
TABLE = parse_csv((ROOT / "partitions.csv").read_text())


@pytest.fixture
def put(tmp_path):
    def write(data, name="file"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.fixture
def release(tmp_path, app, release_key):
    target = Target("sensor", "v2", TABLE)
    return make_release(app, target, "1.0", release_key, tmp_path, notes="first", expires=86400)


def refusal(path, *trust):
    with pytest.raises(Refused) as caught:
        inspect_file(path, *trust)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_manifest_is_told_field_by_field(release, put, trust, release_key, app):
    said = inspect_file(release.manifest_path, put(trust, "trust.json"))
    assert said["kind"] == "manifest" and said["file"] == "v2-esp32.manifest"
    assert said["verified"] == "signed for trust.json"
    assert (said["product"], said["board"], said["chip"]) == ("sensor", "v2", "esp32")
    assert (said["version"], said["sequence"], said["size"]) == ("1.0", 1, len(app))
    assert said["expires"] == "1970-01-02 00:00:00 UTC"
    assert said["payloads"] == [f"plain {len(app)} bytes: {release.payload_path.name}"]
    assert said["signatures"][0]["kid"] == keys.kid(release_key.public_key())
    assert said["trust"] == "names no trust store"


def test_manifest_tells_the_trust_store_that_it_names(put, trust, app, release_key, tmp_path):
    target = Target("sensor", "v2", TABLE)
    made = make_release(app, target, "1.0", [release_key], tmp_path / "new", trust=trust)
    assert inspect_file(made.manifest_path)["trust"] == 1


def test_manifest_without_a_trust_store_is_told_as_unchecked(release):
    assert inspect_file(release.manifest_path)["verified"].startswith("not checked")


def test_manifest_by_openssl_is_read():
    said = inspect_file(DATA / "both.manifest", DATA / "trust.json")
    assert said["verified"] == "signed for trust.json"
    assert len(said["signatures"]) == 2


@pytest.mark.parametrize("name", ["stranger.manifest", "wrong-typ.manifest"])
def test_manifest_by_a_stranger_or_of_another_type_is_refused(name):
    assert refusal(DATA / name, DATA / "trust.json").startswith(name)


def test_altered_manifest_is_refused_with_a_trust_store(release, put, trust):
    data = release.manifest_path.read_bytes().replace(b'"first"', b'"worst"')
    assert "0 good signatures" in refusal(put(data), put(trust, "trust.json"))


def test_signed_payload_of_an_unknown_type_is_no_manifest(put, release, release_key):
    payload = release.manifest_path.read_bytes().partition(b"\n")[2]
    other = seal("ota-other+1", payload, [release_key], 6144)
    assert "signed as ota-other+1, not as ota-manifest+1" in refusal(put(other))
    assert "no signatures" in refusal(put(b'{"signatures":[]}\n' + payload))


def test_manifest_payload_of_a_trust_envelope_is_no_trust_store():
    assert "wrong-typ.manifest" in refusal(DATA / "wrong-typ.manifest")


def test_dates_of_any_size_are_told(put, release, release_key):
    fields = json.loads(release.manifest_path.read_bytes().partition(b"\n")[2])
    fields |= {"created": 10**15 - 1, "expires": 10**15 - 1}
    path = put(seal("ota-manifest+1", encode_json(fields), [release_key], 6144))
    assert inspect_file(path)["created"]


def test_trust_store_is_told(put, trust, root_key, release_key):
    said = inspect_file(put(trust))
    assert said["kind"] == "trust store" and said["number"] == 1
    assert said["root"] == f"1 of {keys.kid(root_key.public_key())}"
    assert said["release"] == f"1 of {keys.kid(release_key.public_key())}"
    assert (said["sequence_epoch"], said["bare_images"], said["expires"]) == (0, False, "never")
    assert "ota trust show" in said["more"]


def test_trust_store_that_its_root_did_not_sign_is_refused():
    text = refusal(DATA / "trust-one-signature.json")
    assert "signature" in text and "`ota trust show` tells" in text
    assert inspect_file(DATA / "trust.json")["kind"] == "trust store"


def test_trust_option_with_anything_but_a_manifest_is_refused(put, trust, app):
    store = put(trust, "trust.json")
    assert "a trust store" in refusal(put(trust, "other.json"), store)
    assert "no manifest" in refusal(put(app, "app.bin"), store)


def test_trust_option_with_a_file_that_is_no_trust_store_names_that_file(release, put, app):
    assert "other.bin is none" in refusal(release.manifest_path, put(app, "other.bin"))
    assert "other.json is none" in refusal(release.manifest_path, put(b"{}\n{}", "other.json"))


def test_app_image_is_told(put, app):
    said = inspect_file(put(app))
    assert said["kind"] == "app image" and said["chip"] == "esp32"
    assert said["size"] == len(app)
    assert "0x3f400020" in said["segments"][0] and "0x400d0020" in said["segments"][-1]


@pytest.mark.parametrize("start", sorted({0, CHIPS["esp32"].bootloader_offset}))
def test_merged_firmware_is_told_wherever_it_starts(put, app, start):
    merged = b"\xff" * 0x1000 + (b"\xe9" + bytes(100)).ljust(0x7000, b"\xff")
    merged = (merged + to_binary(TABLE)).ljust(0x10000, b"\xff") + app
    said = inspect_file(put(merged[start:]))
    assert said["kind"] == "firmware with an app image inside"
    assert said["size"] == len(app)


def test_damaged_image_is_refused(put):
    data = bytearray(make_image({}, 5000, "x"))
    data[3000] ^= 1
    assert "checksum" in refusal(put(bytes(data)))


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "an empty file"),
        (b"hello", "starts with"),
        (b"\x7fELF" + bytes(60), "an ELF file"),
        (b"{", "no first line"),
        (b'{"product":"x"}\n{}', "envelope-format"),
        (b'{"signatures":[]}\n', "payload of 0 bytes"),
        (b'{"signatures":[]}\n' + b"x" * 8193, "at most 8192"),
        (b"\xe9\x01", "truncated"),
    ],
)
def test_other_files_are_refused_by_name(put, data, fact):
    text = refusal(put(data))
    assert text.startswith("file: ") and fact in text


def test_missing_file_and_folder_are_wrong_usage(tmp_path, release):
    with pytest.raises(Usage, match="No such file"):
        inspect_file(tmp_path / "missing")
    with pytest.raises(Usage, match="directory"):
        inspect_file(tmp_path)
    with pytest.raises(Usage, match="No such file"):
        inspect_file(release.manifest_path, tmp_path / "missing")
