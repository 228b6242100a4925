"""Release folders: payload, manifest, and everything that must not come out of them."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ota import manifest as device
from ota.http import Url
from ota_tools import release as maker
from ota_tools import trust as trust_store
from ota_tools.board.image_maker import make_image
from ota_tools.envelope import encode_json, seal
from ota_tools.failures import Refused
from ota_tools.partitions import Table, parse_csv, to_binary
from ota_tools.release import Target, make_release

ROOT = Path(__file__).parents[2]
TABLE = parse_csv((ROOT / "partitions.csv").read_text())
TARGET = Target("sensor", "v2", TABLE)
MANIFEST = "v2-esp32.manifest"


def payload_of(path):
    """The signed fields, read with the standard library."""
    return json.loads(path.read_bytes().partition(b"\n")[2])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "published"


@pytest.fixture
def publish(folder, app, release_key):
    def run(data=app, target=TARGET, version="1.0", **more):
        return make_release(data, target, version, more.pop("key", release_key), folder, **more)

    return run


@pytest.fixture
def refusal(publish, folder, snapshot):
    """What a release is refused with; the folder must be as it was."""

    def run(*args, **more):
        outside = folder.parent
        before = snapshot(outside)
        with pytest.raises(Refused) as caught:
            publish(*args, **more)
        assert snapshot(outside) == before
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return run


def test_manifest_says_what_the_image_is(publish, folder, app):
    before = int(time.time())
    made = publish(version="1.4", notes="two\nlines", min_sequence=0, expires=4102444800)
    fields = payload_of(folder / MANIFEST)
    assert before <= fields.pop("created") <= time.time()
    digest = hashlib.sha256(app).hexdigest()
    # Blocks again, the long way.
    blocks, rest = b"", app
    while rest:
        block, rest = rest[:65536], rest[65536:]
        blocks += hashlib.sha256(block).digest()[:16]
    assert len(blocks) == 16 * (len(app) // 65536 + 1) and len(app) % 65536
    assert fields == {
        "format": 1,
        "product": "sensor",
        "board": "v2",
        "chip_id": 0,
        "version": "1.4",
        "sequence": 1,
        "min_sequence": 0,
        "expires": 4102444800,
        "image": {
            "size": len(app),
            "sha256": digest,
            "blocks": base64.urlsafe_b64encode(blocks).decode().rstrip("="),
        },
        "payloads": [
            {
                "urls": [f"sensor-1.4-v2-{digest[:8]}.bin"],
                "encoding": "plain",
                "size": len(app),
            }
        ],
        "library": [1],
        "notes": "two\nlines",
    }
    assert made.manifest.sequence == 1 and made.manifest.sha256.hex() == digest


def test_folder_holds_manifest_and_payload_and_nothing_else(publish, folder, app):
    made = publish()
    assert made.manifest_path == folder / MANIFEST
    assert made.payload_path.read_bytes() == app
    assert sorted(folder.iterdir()) == sorted([made.manifest_path, made.payload_path])


def test_whole_blocks_have_no_short_one_behind():
    assert len(base64.urlsafe_b64decode(maker.block_digests(bytes(131072)) + "=")) == 32
    assert len(base64.urlsafe_b64decode(maker.block_digests(bytes(131073)))) == 48


def test_merged_firmware_gives_the_payload_of_its_app_image(publish, app, tmp_path):
    parts = {0x1000: b"\xe9" + bytes(4095), 0x8000: to_binary(TABLE), 0x10000: app}
    command = [sys.executable, "-m", "esptool", "--chip", "esp32", "merge-bin"]
    command += ["-o", str(tmp_path / "firmware.bin")]
    for address, data in parts.items():
        (tmp_path / f"{address:x}").write_bytes(data)
        command += [hex(address), str(tmp_path / f"{address:x}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    bare = publish()
    merged = publish((tmp_path / "firmware.bin").read_bytes())
    assert merged.payload_path == bare.payload_path
    assert merged.payload_path.read_bytes() == app
    assert merged.manifest.blocks == bare.manifest.blocks
    assert merged.manifest.sequence == bare.manifest.sequence + 1


def test_payload_url_leads_a_device_from_the_manifest_to_the_file(publish):
    made = publish(target=Target("My Sensor", "v2", TABLE), version="1.0+rc 2")
    assert made.payload_path.name.startswith("My Sensor-1.0+rc 2-v2-")
    reference = made.manifest.payloads[0].urls[0]
    url = Url("https://host/updates/v2-esp32.manifest").join(reference)
    assert re.fullmatch(r"/updates/My%20Sensor-1\.0%2Brc%202-v2-[0-9a-f]{8}\.bin", url.path)


# Sequences


def test_sequence_is_one_more_than_the_manifest_in_the_folder(publish):
    sequences = [publish(version=f"1.{n}").manifest.sequence for n in range(3)]
    assert sequences == [1, 2, 3]
    assert publish(sequence=10).manifest.sequence == 10
    assert publish().manifest.sequence == 11


def test_sequence_counts_for_each_board_and_chip(publish):
    publish()
    assert publish(target=Target("sensor", "v3", TABLE)).manifest.sequence == 1
    assert publish().manifest.sequence == 2


def test_first_sequence_may_be_any(publish):
    assert publish(sequence=20260101).manifest.sequence == 20260101


@pytest.mark.parametrize("sequence", [-1, 0, 4, 5])
def test_sequence_that_is_not_higher_is_refused(publish, refusal, sequence):
    publish(sequence=5)
    assert f"sequence {sequence}: {MANIFEST} has 5 already" in refusal(sequence=sequence)


def test_sequence_that_devices_would_find_too_far_ahead_is_refused(publish, refusal):
    publish(sequence=5)
    assert "sequence-jump" in refusal(sequence=5 + (1 << 20) + 1)
    assert publish(sequence=5 + (1 << 20))


def test_sequence_below_the_floor_of_the_trust_store_is_refused(refusal, publish, root_key, trust):
    fields = json.loads(trust.partition(b"\n")[2])
    raised = seal("ota-trust+1", encode_json({**fields, "sequence_floor": 7}), [root_key], 8192)
    assert "downgrade: sequence 6, least is 7" in refusal(sequence=6, trust=raised)
    assert publish(sequence=7, trust=raised)


def test_release_that_no_device_could_come_to_is_refused(publish, refusal):
    assert "step-needed" in refusal(sequence=4, min_sequence=4)
    publish(sequence=4, min_sequence=3)
    assert "step-needed" in refusal(min_sequence=5)
    assert publish(min_sequence=4)


# Size, key, names


def test_image_that_fills_the_slot_is_taken_and_a_larger_one_refused_with_the_sum(
    publish, refusal
):
    def table(size):
        rows = f"otadata,data,ota,,8K\na,app,ota_0,0x10000,{size}\nb,app,ota_1,,{size + 65536}\n"
        return Target("sensor", "v2", parse_csv(rows))

    data = make_image({}, 196608 - 1024, "large")
    slot = len(data)
    assert publish(data, table(slot))
    text = refusal(data, table(slot - 4096), version="2")
    assert text == f"image of {slot} bytes, the slots have {slot - 4096}: 4096 too many"


def test_table_without_slots_is_refused(refusal):
    assert "no OTA slots" in refusal(target=Target("sensor", "v2", Table(())))


def test_key_that_is_not_in_the_trust_store_is_refused(publish, refusal, trust, stranger_key):
    assert "no release key" in refusal(key=stranger_key, trust=trust)
    publish(trust=trust)
    assert "no release key" in refusal(key=stranger_key, trust=trust, version="2")


def test_root_key_signs_no_release(refusal, trust, root_key):
    assert "no release key" in refusal(key=root_key, trust=trust)


def test_file_that_is_no_trust_store_is_refused(refusal):
    assert "envelope-format" in refusal(trust=b"{}")


def test_data_that_is_no_image_is_refused(refusal, app):
    assert "an empty file" in refusal(b"")
    assert "truncated" in refusal(app[:-1])


BAD_NAMES = [
    "",
    "../x",
    "a/b",
    "/x",
    "..",
    ".",
    ".x",
    "-x",
    "a\\b",
    "a\0b",
    "a\nb",
    " a",
    "a ",
    "a.",
]
BAD_NAMES += ["a:b", "a*b", "\u00e4", "\U0001f600", "100%", "a?b", "a#b", 'a"b']


@pytest.mark.parametrize("name", [*BAD_NAMES, "x" * 65])
@pytest.mark.parametrize("what", ["product", "board"])
def test_name_that_cannot_be_part_of_a_file_name_is_refused(refusal, what, name):
    target = Target(**{"product": "sensor", "board": "v2", "table": TABLE, what: name})
    assert refusal(target=target).startswith(f"{what} {name!r}: expected 1 to 64 ")


@pytest.mark.parametrize("name", [*BAD_NAMES, "x" * 25])
def test_version_that_cannot_be_part_of_a_file_name_is_refused(refusal, name):
    assert refusal(version=name).startswith(f"version {name!r}: expected 1 to 24 ")


def test_longest_names_are_taken(publish):
    made = publish(target=Target("p" * 64, "b" * 64, TABLE), version="v" * 24)
    assert made.payload_path.exists() and made.manifest_path.exists()


@pytest.mark.parametrize(
    "more",
    [
        {"notes": "x" * 1025},
        {"notes": "\U0001f600"},
        {"notes": "\0"},
        {"expires": -1},
        {"expires": 10**15},
        {"min_sequence": -1},
        {"sequence": 10**15},
    ],
)
def test_what_a_device_could_not_read_is_refused(refusal, more):
    assert "a device would refuse this release" in refusal(**more)


# What lies in the folder


def test_payload_is_never_replaced_by_another_image_of_its_name(publish, refusal, folder):
    made = publish()
    made.payload_path.write_bytes(b"something else with the same eight digits")
    assert "a payload is never replaced" in refusal()


def test_payload_that_is_there_already_is_not_touched(publish):
    made = publish()
    os.utime(made.payload_path, (1, 1))
    again = publish()
    assert again.payload_path == made.payload_path
    assert made.payload_path.stat().st_mtime == 1


def test_manifest_of_another_product_is_not_replaced(publish, refusal):
    publish()
    text = refusal(target=Target("heater", "v2", TABLE))
    assert "is for the product sensor" in text


@pytest.mark.parametrize("content", [b"", b"junk", b'{"signatures":[]}\njunk'])
def test_file_in_the_place_of_the_manifest_is_not_replaced(folder, refusal, content):
    folder.mkdir()
    (folder / MANIFEST).write_bytes(content)
    assert "is not a manifest" in refusal()


def test_manifest_is_replaced_last_and_by_rename(publish, folder, monkeypatch):
    first = publish()
    old = first.manifest_path.read_bytes()
    seen = []
    replace = os.replace

    def watched(source, target):
        seen.append(Path(target).name)
        # Until this very moment readers see the old manifest, whole, and all that it names.
        assert first.manifest_path.read_bytes() == old
        assert first.payload_path.exists()
        assert Path(source).parent == Path(target).parent == folder
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    second = publish(make_image({}, 100_000, "other"), version="1.1")
    assert seen == [second.payload_path.name, MANIFEST]
    assert first.manifest_path.read_bytes() != old
    assert not list(folder.glob("*.new"))


def test_old_payloads_stay_for_devices_that_are_under_way(publish):
    first = publish()
    publish(make_image({}, 100_000, "other"), version="1.1")
    assert first.payload_path.exists()


def test_stopped_before_the_manifest_the_old_release_stands(publish, monkeypatch):
    first = publish()
    old = first.manifest_path.read_bytes()
    replace = os.replace

    def stop(source, target):
        if Path(target).name == MANIFEST:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        publish(make_image({}, 100_000, "other"), version="1.1")
    assert first.manifest_path.read_bytes() == old
    monkeypatch.undo()
    assert publish(make_image({}, 100_000, "other"), version="1.1").manifest.sequence == 2


def test_release_is_the_one_that_devices_parse(publish, trust, app):
    made = publish(trust=trust)
    parsed = device.parse(made.manifest_path.read_bytes().partition(b"\n")[2])
    device.check_target(parsed, "sensor", "v2", 0)
    device.check_limits(parsed, int(time.time()), 0x180000)
    assert parsed.plain().size == len(app)


def test_trust_store_of_two_release_keys_takes_either(
    publish, root_key, release_key, stranger_key
):
    both = [release_key.public_key(), stranger_key.public_key()]
    trust = trust_store.make_first([root_key], both)
    assert publish(trust=trust).manifest.sequence == 1
    assert publish(trust=trust, key=stranger_key).manifest.sequence == 2
