"""From micropython.bin or firmware.bin to the image of a slot; merged files are made by esptool."""

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from esptool.targets import CHIP_DEFS

from ota_tools.failures import Refused
from ota_tools.firmware import CHIPS, app_image, bootloader_image, chip_name, parse
from ota_tools.partitions import Partition, Table, parse_csv, to_binary

ROOT = Path(__file__).parents[2]
TABLE = parse_csv((ROOT / "partitions.csv").read_text())
BOOTLOADER_DESCRIPTOR = b"\x50" + bytes(79)


def image(chip="esp32", first=None, lengths=(1256, 2048, 3000), digest=True):
    """A valid image by esp_app_format.h; `first` begins the first segment, an app descriptor."""
    if first is None:
        text = b"1.2.3".ljust(32, b"\0") + b"ota test".ljust(32, b"\0")
        text += b"12:00:00".ljust(16, b"\0") + b"Jan  1 2026".ljust(16, b"\0")
        first = (
            struct.pack("<II8x", 0xABCD5432, 0) + text + b"v5.5.1".ljust(32, b"\0") + bytes(112)
        )
    head = struct.pack("<BBBBI", 0xE9, len(lengths), 2, 0x20, 0x40080000)
    head += struct.pack("<B3xHBHH4xB", 0xEE, CHIPS[chip].id, 0, 0, 0xFFFF, digest)
    out, data = bytearray(head), b""
    for index, length in enumerate(lengths):
        piece = bytes((index * 7 + n * 13) & 0xFF for n in range(length))
        piece = first + piece[len(first) :] if index == 0 else piece
        out += struct.pack("<II", 0x3F400020 + 0x10000 * index, length) + piece
        data += piece
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    out += bytes(15 - len(out) % 16) + bytes([checksum])
    return bytes(out + hashlib.sha256(out).digest()) if digest else bytes(out)


APP = image()
BOOTLOADER = image(first=BOOTLOADER_DESCRIPTOR, lengths=(512, 400))


def esptool(*args):
    command = [sys.executable, "-m", "esptool", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def merge(folder, chip, *options, app=None, table=TABLE):
    """What `esptool merge-bin` makes of bootloader, partition table and application."""
    offset = CHIPS[chip].bootloader_offset
    parts = {
        offset: image(chip, BOOTLOADER_DESCRIPTOR, (512, 400)),
        0x8000: to_binary(table),
        0x10000: image(chip) if app is None else app,
    }
    places = []
    for address, data in parts.items():
        (folder / f"{address:x}.bin").write_bytes(data)
        places += [hex(address), folder / f"{address:x}.bin"]
    esptool("--chip", chip, "merge-bin", "-o", folder / "firmware.bin", *options, *places)
    return (folder / "firmware.bin").read_bytes()


def refusal(data):
    with pytest.raises(Refused) as caught:
        app_image(data)
    return str(caught.value)


def test_esptool_accepts_the_image_of_these_tests(tmp_path):
    (tmp_path / "app.bin").write_bytes(APP)
    said = esptool("image-info", tmp_path / "app.bin")
    assert "(valid)" in said and "invalid" not in said
    for fact in ("ota test", "1.2.3", "v5.5.1"):
        assert fact in said


def test_chips_are_those_of_esptool():
    ours = {name: (chip.id, chip.bootloader_offset) for name, chip in CHIPS.items()}
    theirs = {
        name: (rom.IMAGE_CHIP_ID, rom.BOOTLOADER_FLASH_OFFSET)
        for name, rom in CHIP_DEFS.items()
        if name in CHIPS
    }
    assert ours == theirs


def test_chip_has_a_name_even_when_nobody_knows_it():
    assert chip_name(0) == "esp32"
    assert chip_name(9) == "esp32s3"
    assert chip_name(77) == "chip id 77"


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("last", range(0, 36, 4))
def test_bare_image_comes_back_as_it_is(last, digest):
    app = image(lengths=(1256, 4 + last), digest=digest)
    assert app_image(app) == app


@pytest.mark.parametrize("padding", [1, 15, 4096, 100_000])
def test_blank_flash_behind_a_bare_image_is_removed(padding):
    assert app_image(APP + b"\xff" * padding) == APP


def test_other_bytes_behind_a_bare_image_are_refused():
    assert "17 bytes follow the image of 6400" in refusal(APP + b"\xff" * 16 + b"\0")


def test_secure_boot_signature_is_named():
    signed = APP.ljust(8192, b"\xff") + b"\xe7\x02" + bytes(4094)
    assert "Secure Boot signature" in refusal(signed)


@pytest.mark.parametrize("chip", CHIPS)
def test_merged_file_that_starts_at_flash_offset_0_gives_its_app(tmp_path, chip):
    assert app_image(merge(tmp_path, chip)) == image(chip)


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3", "esp32c5", "esp32p4"])
def test_merged_file_that_starts_at_the_bootloader_gives_its_app(tmp_path, chip):
    merged = merge(tmp_path, chip, "--target-offset", hex(CHIPS[chip].bootloader_offset))
    assert merged[0] == 0xE9, "as MicroPython's firmware.bin"
    assert app_image(merged) == image(chip)


def test_merged_file_padded_to_the_flash_gives_its_app(tmp_path):
    assert app_image(merge(tmp_path, "esp32", "--pad-to-size", "4MB")) == APP


def test_what_stands_behind_the_app_of_a_merged_file_is_not_taken(tmp_path):
    merged = merge(tmp_path, "esp32")
    assert app_image(merged + b"a file system") == APP


def test_merged_file_with_a_factory_app_gives_it(tmp_path):
    table = Table(
        (
            Partition("nvs", 1, 2, 0x9000, 0x6000),
            Partition("factory", 0, 0, 0x10000, 0x1F0000),
        )
    )
    assert app_image(merge(tmp_path, "esp32", table=table)) == APP


def test_app_larger_than_its_partition_is_refused(tmp_path):
    table = Table((Partition("factory", 0, 0, 0x10000, 0x1000),))
    assert "factory in the merged firmware" in refusal(merge(tmp_path, "esp32", table=table))


def test_merged_file_without_an_app_is_refused(tmp_path):
    merged = merge(tmp_path, "esp32", app=b"\xff" * 4096)
    assert "without an application in ota_0: blank flash" in refusal(merged)
    merged = merge(tmp_path, "esp32", table=Table(TABLE.partitions[:3]))
    assert "no application" in refusal(merged)


@pytest.mark.parametrize(
    ("size", "fact"),
    [
        (0x1000, "a bootloader image, or a merged firmware that ends before"),
        (0x8000, "a merged firmware that is truncated: ota_0 starts at 0xf000"),
        (0xF000, "a merged firmware that is truncated"),
        (0xF000 + 6399, "ota_0 in the merged firmware is truncated"),
    ],
)
def test_truncated_merged_file_is_refused(tmp_path, size, fact):
    assert fact in refusal(merge(tmp_path, "esp32", "--target-offset", "0x1000")[:size])


def test_merged_file_with_a_damaged_table_is_refused(tmp_path):
    merged = bytearray(merge(tmp_path, "esp32", "--target-offset", "0x1000"))
    merged[0x7000 + 40] ^= 1
    assert "damaged: partition table: MD5" in refusal(bytes(merged))


def test_bootloader_is_refused_by_name():
    assert "a bootloader image" in refusal(BOOTLOADER)


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", "an empty file"),
        (b"\xff" * 4096, "blank flash"),
        (b"UF2\nWQ]\x9e" + bytes(504), "a UF2 file"),
        (b"\x7fELF" + bytes(64), "an ELF file"),
        (to_binary(TABLE), "a partition table"),
        (b"import machine\n", "starts with 69 6d 70 6f, expected e9"),
    ],
)
def test_other_files_are_refused_by_name(data, fact):
    assert f"not an application image: {fact}" in refusal(data)


@pytest.mark.parametrize("size", [1, 24, 35, 36, 288, 6351, 6368, 6399])
def test_truncated_image_is_refused(size):
    assert "truncated" in refusal(APP[:size])


@pytest.mark.parametrize(
    ("offset", "fact"),
    [(300, "checksum"), (6367, "checksum"), (4, "SHA-256"), (6399, "SHA-256")],
)
def test_damaged_image_is_refused(offset, fact):
    bad = APP[:offset] + bytes([APP[offset] ^ 0x40]) + APP[offset + 1 :]
    assert fact in refusal(bad)


# The parts of a firmware


def test_parts_of_a_merged_firmware(tmp_path):
    for chip in ("esp32", "esp32s3", "esp32p4"):
        for options in ((), ("--target-offset", hex(CHIPS[chip].bootloader_offset))):
            parts = parse(merge(tmp_path, chip, *options))
            assert parts.chip == chip and parts.table == TABLE
            assert parts.app == image(chip)
            assert parts.bootloader == image(chip, BOOTLOADER_DESCRIPTOR, (512, 400))


def test_an_app_image_has_no_other_parts():
    assert parse(APP + b"\xff" * 100) == ("esp32", APP, b"", None, ())


def parts_refused(data):
    with pytest.raises(Refused) as caught:
        parse(data)
    return str(caught.value)


def test_each_damaged_part_is_named(tmp_path):
    merged = merge(tmp_path, "esp32", "--target-offset", "0x1000")
    for at, fact in (
        (300, "the bootloader is truncated or damaged: image-format: checksum"),
        (0x7000 + 40, "truncated or damaged: partition table: MD5"),
        (
            0xF000 + 300,
            "ota_0 in the merged firmware is truncated or damaged: image-format: checksum",
        ),
        (0, "no bootloader: starts with"),
    ):
        damaged = bytearray(merged)
        damaged[at] ^= 0x40
        assert fact in parts_refused(bytes(damaged))


def test_a_merged_file_without_a_table_is_named(tmp_path):
    merged = bytearray(merge(tmp_path, "esp32", "--target-offset", "0x1000"))
    merged[0x7000:0x8000] = b"\xff" * 4096
    assert "a merged firmware without a partition table at 0x8000" in parts_refused(bytes(merged))


def test_a_bootloader_of_another_chip_is_refused(tmp_path):
    merged = bytearray(merge(tmp_path, "esp32", "--target-offset", "0x1000"))
    other = image("esp32s2", BOOTLOADER_DESCRIPTOR, (512, 400))
    merged[: len(other)] = other
    assert "a bootloader for esp32s2, the application is for esp32" in parts_refused(bytes(merged))


def test_an_application_in_the_place_of_the_bootloader_is_refused(tmp_path):
    merged = bytearray(b"\xff" * 0x1000 + merge(tmp_path, "esp32", "--target-offset", "0x1000"))
    merged[0x1000 : 0x1000 + len(APP)] = APP
    assert "an application in the place of the bootloader" in parts_refused(bytes(merged))


def test_a_signed_bootloader_is_refused(tmp_path):
    merged = bytearray(merge(tmp_path, "esp32", "--target-offset", "0x1000"))
    merged[0x1000:0x1002] = b"\xe7\x02"
    assert "a signature of Secure Boot" in parts_refused(bytes(merged))


def test_firmware_of_an_unknown_chip_is_refused():
    unknown = bytearray(image(digest=False))
    unknown[12] = 77
    assert "an image for chip id 77; known are esp32, " in parts_refused(bytes(unknown))


def test_a_merged_file_that_lost_its_bootloader_is_refused(tmp_path):
    merged = merge(tmp_path, "esp32s3")
    said = parts_refused(merged[0x1000:])
    assert "starts at flash offset 0x1000, the bootloader of esp32s3 lies at 0x0" in said


def test_bootloader_alone_or_out_of_a_merged_file(tmp_path):
    merged = merge(tmp_path, "esp32")
    expected = image("esp32", BOOTLOADER_DESCRIPTOR, (512, 400))
    assert bootloader_image(expected, "esp32") == expected
    assert bootloader_image(expected + b"\xff" * 99, "esp32") == expected
    assert bootloader_image(merged, "esp32") == expected


@pytest.mark.parametrize(
    ("make", "fact"),
    [
        (lambda folder: APP, "an application, not a bootloader"),
        (lambda folder: BOOTLOADER[:500], "the bootloader is truncated or damaged"),
        (lambda folder: b"UF2\nWQ]\x9e" + bytes(504), "no bootloader: a UF2 file"),
        (lambda folder: merge(folder, "esp32s3"), "a bootloader for esp32s3, the application"),
        (lambda folder: image("esp32s2", BOOTLOADER_DESCRIPTOR), "a bootloader for esp32s2"),
    ],
)
def test_what_is_no_bootloader_for_the_chip_is_refused(tmp_path, make, fact):
    with pytest.raises(Refused) as caught:
        bootloader_image(make(tmp_path), "esp32")
    assert fact in str(caught.value)
