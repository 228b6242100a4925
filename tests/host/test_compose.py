"""A composed flash, read back by readers that share no code with what composed it."""

import random

import independent
import pytest

from ota_tools import compose, firmware, layout
from ota_tools.board import synthetic
from ota_tools.failures import Refused
from ota_tools.partitions import parse_csv

MIB = 1 << 20
FILES = {"/main.py": b"print('main')\n", "/lib/ota/x.mpy": bytes(9000), "/empty": b""}


def composed(chip="esp32", size=4 * MIB, files=FILES, **parts):
    parsed = firmware.parse(synthetic.merged(chip, **parts))
    return compose.compose(parsed, layout.pick(size, len(parsed.app)), size, files)


def written(flash, before):
    """The flash that has the pieces of `flash` over what it held, and is blank where it must be."""
    data = bytearray(before)
    for offset, size in flash.blank:
        data[offset : offset + size] = b"\xff" * size
    for piece in flash.pieces:
        data[piece.offset : piece.offset + len(piece.data)] = piece.data
    return bytes(data)


@pytest.mark.parametrize("chip", synthetic.CHIPS)
def test_flash_of_each_chip_reads_as_it_should(chip, tmp_path):
    flash = composed(chip).data
    offset = 0x1000 if chip in ("esp32", "esp32s2") else 0
    assert len(flash) == 4 * MIB and flash[:offset].strip(b"\xff") == b""
    assert independent.table(flash) == [
        ("nvs", 1, 2, 0x9000, 0x4000),
        ("otadata", 1, 0, 0xD000, 0x2000),
        ("phy_init", 1, 1, 0xF000, 0x1000),
        ("ota_0", 0, 0x10, 0x10000, 0x1B0000),
        ("ota_1", 0, 0x11, 0x1C0000, 0x1B0000),
        ("vfs", 1, 0x81, 0x370000, 0x90000),
    ]
    for name, start, original in (
        ("bootloader", offset, synthetic.bootloader(chip)),
        ("app", 0x10000, synthetic.app(chip)),
    ):
        image = flash[start : start + len(original)]
        assert image == original
        (tmp_path / name).write_bytes(image)
        said = independent.image_info(tmp_path / name).replace("ESP32-", "ESP32")
        assert f"Detected image type: {chip.upper()}\n" in said
    assert independent.files(flash[0x370000:]) == FILES
    assert flash[0x9000:0x10000].strip(b"\xff") == b"", "nvs, otadata and phy are blank"
    assert flash[0x1C0000:0x370000].strip(b"\xff") == b"", "the other slot is blank"


@pytest.mark.parametrize(("mib", "text"), [(4, "4MB"), (8, "8MB"), (16, "16MB"), (32, "32MB")])
def test_bootloader_is_told_the_size_of_the_flash(mib, text, tmp_path):
    flash = composed(
        "esp32s3", mib * MIB, bootloader=synthetic.bootloader("esp32s3", flash_size="2MB")
    )
    assert len(flash.data) == mib * MIB
    (tmp_path / "boot").write_bytes(flash.data[:0x8000])
    said = independent.image_info(tmp_path / "boot")
    assert f"Flash size: {text}" in said
    assert compose.flash_size_of(flash.data[:24]) == mib * MIB


def test_only_the_size_and_the_digest_of_the_bootloader_change():
    before = synthetic.bootloader("esp32c3", flash_size="4MB")
    after = composed("esp32c3", 16 * MIB).data[: len(before)]
    changed = [at for at in range(len(before)) if before[at] != after[at]]
    assert changed[0] == 3 and all(at >= len(before) - 32 for at in changed[1:])
    assert after[3] & 0x0F == before[3] & 0x0F, "the speed stays"


def test_pieces_over_any_old_flash_give_the_same_board():
    flash = composed()
    noise = random.Random(1).randbytes(4 * MIB)
    data = written(flash, noise)
    assert independent.table(data) == independent.table(flash.data)
    assert independent.files(data[0x370000:]) == FILES
    assert data[0x370000:] == flash.data[0x370000:], "no block of an older file system stays"
    assert data[0x9000:0x10000] == flash.data[0x9000:0x10000]
    size = len(synthetic.app())
    assert data[0x10000 : 0x10000 + size] == synthetic.app()
    assert data[0x1C0000:0x1C1000] == b"\xff" * 4096, "no old image is believed"


def test_pieces_are_whole_sectors_that_do_not_meet():
    flash = composed(files={f"/f{n}": bytes([n]) * 7000 for n in range(20)})
    end = 0
    for piece in flash.pieces:
        assert piece.offset % 4096 == len(piece.data) % 4096 == 0 and piece.offset >= end
        end = piece.offset + len(piece.data)
    assert [piece.what for piece in flash.pieces[:3]] == [
        "bootloader",
        "partition table",
        "application",
    ]
    assert sum(len(piece.data) for piece in flash.pieces) < MIB


def test_partitions_of_the_application_are_left_alone():
    own = layout.pick(4 * MIB, 1 << 18)
    rows = "\n".join(
        f"{p.name}, {p.type}, {p.subtype}, {p.offset}, {p.size}" for p in own.partitions[:-1]
    )
    table = parse_csv(
        f"{rows}\nmine, data, 0x40, 0x370000, 0x10000\nvfs, data, fat, 0x380000, 0x80000"
    )
    flash = compose.compose(firmware.parse(synthetic.merged()), table, 4 * MIB, FILES)
    noise = random.Random(2).randbytes(4 * MIB)
    assert written(flash, noise)[0x370000:0x380000] == noise[0x370000:0x380000]


def test_equal_input_gives_equal_bytes():
    assert composed() == composed()


def test_without_files_the_file_system_is_left_to_micropython():
    flash = composed(files=None)
    assert flash.data[0x370000:].strip(b"\xff") == b""
    assert (0x370000, 0x90000) in flash.blank


def test_files_that_do_not_fit_are_refused_with_a_way_out():
    with pytest.raises(Refused) as caught:
        composed(files={"/a": bytes(0x90000)})
    said = str(caught.value)
    assert "/a does not go into the file system" in said and "589824 of file system" in said
    assert "--no-library" in said and "--partitions" in said


def test_a_size_that_esptool_has_no_code_for_is_refused():
    parsed = firmware.parse(synthetic.merged())
    with pytest.raises(Refused, match="esptool cannot compose a flash of 5MB for esp32"):
        compose.compose(parsed, layout.pick(5 * MIB, len(parsed.app)), 5 * MIB)


def test_an_unknown_size_in_the_bootloaders_header_is_named():
    with pytest.raises(Refused, match="has the flash size 9: name it with --flash-size"):
        compose.flash_size_of(b"\xe9\x02\x02\x90")


@pytest.mark.parametrize(
    ("places", "fact"),
    [
        ([0x1000 + 500], "the composed bootloader is damaged"),
        ([0x8000 + 40], "partition table: MD5"),
        ([0x10000 + 5000], "the composed application is damaged"),
        ([0x370000 + 40, 0x371000 + 40], "littlefs"),
    ],
)
def test_what_was_composed_is_read_back(monkeypatch, places, fact):
    merge = compose._merge

    def damaged(*args):
        data = bytearray(merge(*args))
        for at in places:
            data[at] ^= 1
        return bytes(data)

    monkeypatch.setattr(compose, "_merge", damaged)
    with pytest.raises(Refused, match=fact):
        composed()
