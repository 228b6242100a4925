"""Images of the virtual board, judged by esptool; their ROMFS is read by a reader of its own."""

import subprocess
import sys

import pytest

from ota import image as device
from ota_tools import resources
from ota_tools.board.image_maker import find_romfs, library_modules, make_image, make_romfs
from ota_tools.board.maker import application_image
from ota_tools.firmware import app_image

MODULES = {"app.py": b"print(1)\n", "ota/slot.py": b"x = 1\n" * 400, "ota/__init__.py": b""}


def image_info(data, folder):
    """What the real `esptool image-info` says."""
    (folder / "app.bin").write_bytes(data)
    command = [sys.executable, "-m", "esptool", "image-info", str(folder / "app.bin")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def unpack(romfs):
    """path -> contents; docs.micropython.org/en/latest/reference/romfs.html, read here again."""

    def number(at):
        value = 0
        while True:
            value = value << 7 | romfs[at] & 0x7F
            at += 1
            if not romfs[at - 1] & 0x80:
                return value, at

    def record(at):
        kind, at = number(at)
        size, at = number(at)
        return kind, at, at + size

    def walk(at, end, path):
        while at < end:
            kind, start, at = record(at)
            if kind in (4, 5):  # directory, file: name, then nested records
                length, start = number(start)
                name = path + romfs[start : start + length].decode()
                start += length
                if kind == 4:
                    walk(start, at, name + "/")
                else:
                    found[name] = content(start, at)

    def content(at, end):
        while at < end:
            kind, start, at = record(at)
            if kind == 2:
                return romfs[start:at]
            if kind == 3:  # elsewhere
                length, start = number(start)
                offset, _ = number(start)
                return romfs[offset : offset + length]
        return b""

    found = {}
    assert romfs[:3] == b"\xd2\xcd\x31"
    _, start, end = record(0)
    walk(start, end, "")
    return found


@pytest.fixture(scope="module")
def large():
    return make_image(MODULES, 1 << 20, "large")


def test_esptool_finds_an_esp32_image_with_valid_checksum_and_hash(large, tmp_path):
    said = image_info(large, tmp_path)
    assert "Detected image type: ESP32" in said and "ESP32-" not in said.split("Segments")[0]
    lines = [line for line in said.splitlines() if "hecksum" in line or "alidation" in line]
    assert [line.endswith("(valid)") for line in lines] == [True, True], said
    assert "virtual board" in said


@pytest.mark.parametrize("size", [1 << 20, 1_100_003, 1_536_000])
def test_image_is_about_as_large_as_asked(size):
    data = make_image(MODULES, size, "x")
    # esptool lets the second segment begin at a page of 64 KiB, as the chip's cache wants it.
    assert size <= len(data) < size + 65536 + 256


def test_image_is_never_smaller_than_what_it_carries():
    data = make_image({"app.py": bytes(50_000)}, 1000, "x")
    assert len(data) > 50_000
    assert unpack(find_romfs(data)) == {"app.py": bytes(50_000)}


def test_device_and_host_take_the_image(large):
    info = device.verify(lambda offset, n: large[offset : offset + n], len(large))
    assert info.size == len(large)
    assert info.has_descriptor and info.has_digest and info.chip_id == 0
    device.check_head(large[: device.HEAD_SIZE], 0)
    assert app_image(large) == large


def test_romfs_is_found_again_with_everything_in_it(large):
    found = find_romfs(large)
    assert found.startswith(make_romfs(MODULES))
    assert unpack(found) == MODULES


def test_image_without_a_romfs_has_none():
    large = make_image({}, 10_000, "x")
    assert unpack(find_romfs(large)) == {}
    at = large.index(b"\xd2\xcd\x31")
    assert find_romfs(large[:at] + b"xxx" + large[at + 3 :]) == b""


def test_same_modules_size_and_seed_give_the_same_image(large):
    assert make_image(MODULES, 1 << 20, "large") == large


def test_another_seed_gives_another_image(large):
    other = make_image(MODULES, 1 << 20, "other")
    assert len(other) == len(large) and other != large
    same = [
        start
        for start in range(0, len(large), 65536)
        if large[start : start + 65536] == other[start : start + 65536]
    ]
    assert same == [0], "an update has something to write; what is common stands in front"


def test_application_image_carries_library_and_application():
    found = unpack(find_romfs(application_image("2.5", False, 1 << 20)))
    source = found.pop("app.py").decode()
    assert 'VERSION = "2.5"\n' in source and "WORKS = False\n" in source
    compile(source, "app.py", "exec")
    library = resources.library_dir()
    assert found == library_modules(library)
    assert found["ota/__init__.py"] == (library / "__init__.py").read_bytes()


@pytest.mark.parametrize("version", ['a"b', "a\\b", "\\g<0>", "a\nb"])
def test_version_is_a_string_of_the_application_whatever_stands_in_it(version):
    source = unpack(find_romfs(application_image(version, True, 1000)))["app.py"]
    names = {}
    exec(source, names)
    assert names["VERSION"] == version and names["WORKS"] is True
