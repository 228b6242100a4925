"""`ota convert`: a merged firmware into a flash with two slots, and what can be known of a build."""

import independent
import pytest

from ota_tools import builds, firmware, library
from ota_tools.board import synthetic
from ota_tools.partitions import parse_csv, to_binary

TWO_SLOTS = """
nvs,     data, nvs,   0x9000,   0x4000
otadata, data, ota,   0xd000,   0x2000
ota_0,   app,  ota_0, 0x10000,  0x180000
ota_1,   app,  ota_1, 0x190000, 0x180000
vfs,     data, fat,   0x310000, 0xF0000
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def merged(home):
    (home / "firmware.bin").write_bytes(synthetic.merged())
    return home / "firmware.bin"


@pytest.mark.parametrize("chip", synthetic.CHIPS)
@pytest.mark.parametrize("whole", [True, False])
def test_a_stock_firmware_becomes_a_flash_with_two_slots(ota, home, chip, whole):
    (home / "firmware.bin").write_bytes(synthetic.merged(chip, whole=whole))
    said = ota("convert", "firmware.bin", "-o", "two.bin", "--app", "app.bin", "--json").json()
    assert (said["chip"], said["micropython"], said["flash"]) == (chip, "1.25.0", "4MB")
    assert said["rollback"]["verdict"] == "yes"
    assert said["bootloader"] == f"{len(synthetic.bootloader(chip))} bytes, ESP-IDF v5.2.2"
    assert said["write it with"] == f"esptool --chip {chip} write-flash 0 two.bin"
    assert (home / "app.bin").read_bytes() == synthetic.app(chip)
    flash = (home / "two.bin").read_bytes()
    assert [row[0] for row in independent.table(flash)] == [r["name"] for r in said["partitions"]]
    app = synthetic.app(chip)
    assert flash[0x10000 : 0x10000 + len(app)] == app
    assert flash[0x1C0000:].strip(b"\xff") == b"", "nothing in the other slot and in vfs"
    assert flash[0x9000:0x10000].strip(b"\xff") == b""


def test_text_has_the_rows_of_the_table(ota, merged):
    call = ota("convert", merged, "-o", "two.bin")
    assert call.code == 0
    assert "ota_1     0x1c0000  0x1b0000" in call.out
    assert "yes: MicroPython 1.25.0" in call.out


@pytest.mark.parametrize("size", ["4MB", "8MB", "16MB", "32MB"])
def test_size_of_the_flash_may_be_named(ota, home, merged, size):
    assert ota("convert", merged, "-o", "two.bin", "--flash-size", size).code == 0
    flash = (home / "two.bin").read_bytes()
    assert len(flash) == int(size[:-2]) << 20
    name, *_, offset, length = independent.table(flash)[-1]
    assert (name, offset + length) == ("vfs", len(flash))
    (home / "boot.bin").write_bytes(flash[0x1000:0x8000])
    assert f"Flash size: {size}\n" in independent.image_info(home / "boot.bin")


def test_size_of_the_flash_is_the_bootloaders_by_default(ota, home):
    boot = synthetic.bootloader("esp32s3", flash_size="8MB")
    (home / "f.bin").write_bytes(synthetic.merged("esp32s3", bootloader=boot))
    assert ota("convert", "f.bin", "-o", "two.bin", "--json").json()["flash"] == "8MB"


def test_a_table_of_ones_own(ota, home, merged):
    (home / "own.csv").write_text(TWO_SLOTS)
    assert ota("convert", merged, "-o", "two.bin", "--partitions", "own.csv").code == 0
    rows = independent.table((home / "two.bin").read_bytes())
    assert rows[3] == ("ota_1", 0, 0x11, 0x190000, 0x180000)


def test_an_app_image_alone_gives_itself(ota, home):
    (home / "app.bin").write_bytes(synthetic.app() + b"\xff" * 999)
    said = ota("convert", "app.bin", "--app", "bare.bin", "--json").json()
    assert (home / "bare.bin").read_bytes() == synthetic.app()
    assert (said["bootloader"], said["rollback"]["verdict"]) == ("none", "unknown")
    assert "partitions" not in said


def test_what_else_the_firmware_holds_is_told_to_be_left_out(ota, home):
    table = synthetic.STOCK.replace("0x1F0000", "0x1D0000")
    table += "romfs, data, 0x8f, 0x1E0000, 0x20000"
    merged = synthetic.merged(table=table).ljust(0x1E0000 - 0x1000, b"\xff")
    (home / "blank.bin").write_bytes(merged)
    (home / "f.bin").write_bytes(merged + b"\xd2\xcd\x31 a romfs")
    note = "left out, for of FIRMWARE only bootloader and application are taken: romfs"
    assert ota("convert", "f.bin", "-o", "two.bin", "--json").json()["notes"] == [note]
    assert "romfs" in ota("convert", "f.bin", "-o", "two.bin").out
    assert "notes" not in ota("convert", "blank.bin", "-o", "two.bin", "--json").json()


@pytest.mark.parametrize(
    ("version", "noted"),
    [("1.24.1", True), ("1.25.0", False), ("1.25.0-preview.9.g1", False), ("", False)],
)
def test_a_micropython_that_is_too_old_for_the_library_is_noted(ota, home, version, noted):
    (home / "f.bin").write_bytes(synthetic.merged(app=synthetic.app(version=version)))
    said = ota("convert", "f.bin", "-o", "two.bin", "--json").json()
    note = f"MicroPython {version}, the library needs 1.25: take a newer build"
    assert said.get("notes", []) == [note] * noted


def test_a_file_that_exists_is_kept_and_the_same_again_is_no_harm(ota, home, merged):
    assert ota("convert", merged, "-o", "two.bin").code == 0
    assert ota("convert", merged, "-o", "two.bin").code == 0
    (home / "two.bin").write_bytes(b"something else")
    said = ota("convert", merged, "-o", "two.bin").line()
    assert "two.bin exists and holds something else: remove it" in said
    assert (home / "two.bin").read_bytes() == b"something else"


def table_of(text):
    return to_binary(parse_csv(text)).ljust(4096, b"\xff")


def changed(data, at, new):
    return data[:at] + new + data[at + len(new) :]


BAD = {
    "an empty file": (lambda f: b"", "not an application image: an empty file"),
    "UF2": (lambda f: b"UF2\nWQ]\x9e" + bytes(504), "a UF2 file: take the micropython.bin"),
    "an app image": (lambda f: synthetic.app(), "an app image has no bootloader: take the merged"),
    "a bootloader": (lambda f: synthetic.bootloader(), "a bootloader image, or a merged firmware"),
    "no table": (lambda f: changed(f, 0x7000, b"\xff" * 4096), "without a partition table"),
    "a damaged table": (lambda f: changed(f, 0x7020, b"\x00"), "partition table, row 1: magic"),
    "a flipped bit in the table": (lambda f: changed(f, 0x7028, b"\x01"), "partition table: MD5"),
    "a damaged bootloader": (
        lambda f: changed(f, 600, b"\1\2\3"),
        "the bootloader is truncated or",
    ),
    "a damaged app": (
        lambda f: changed(f, 0x10000, b"\1\2\3"),
        "factory in the merged firmware is",
    ),
    "half a bootloader": (
        lambda f: f[:3000],
        "a bootloader image, or a merged firmware that ends",
    ),
    "no app": (
        lambda f: f[:0xF000],
        "truncated: factory starts at 0xf000, the file ends at 0xf000",
    ),
    "half an app": (lambda f: f[: len(f) // 2], "factory in the merged firmware is truncated"),
    "all but a byte": (lambda f: f[:-1], "factory in the merged firmware is truncated"),
    "a changed chip": (
        lambda f: changed(f, 0xF000 + 12, b"\x4d"),
        "factory in the merged firmware is truncated or damaged: image-format: the appended SHA-256",
    ),
    "another chip's bootloader": (
        lambda f: changed(f, 0, synthetic.bootloader("esp32s2")),
        "a bootloader for esp32s2, the application is for esp32",
    ),
    "a table without an app": (
        lambda f: changed(f, 0x7000, table_of("nvs, data, nvs, 0x9000, 0x6000")),
        "whose partition table has no application",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_firmware_is_named_in_one_line_and_nothing_is_written(ota, home, name, snapshot):
    make, fact = BAD[name]
    (home / "bad.bin").write_bytes(make(synthetic.merged()))
    before = snapshot(home)
    call = ota("convert", "bad.bin", "-o", "two.bin")
    assert call.code == 1 and "bad.bin: " in call.line()
    assert fact in call.line()
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("args", "code", "fact"),
    [
        (["firmware.bin"], 2, "nothing to write: name a file with -o, or with --app"),
        (["nowhere.bin", "-o", "x"], 2, "nowhere.bin: No such file"),
        (["firmware.bin", "-o", "no/folder"], 2, "No such file or directory"),
        (
            ["firmware.bin", "-o", "x", "--partitions", "nowhere.csv"],
            2,
            "nowhere.csv: No such file",
        ),
        (["firmware.bin", "-o", "x", "--partitions", "firmware.bin"], 1, "is not text"),
    ],
)
def test_a_wrong_call_is_one_line(ota, merged, args, code, fact):
    call = ota("convert", *args)
    assert (call.code, fact in call.line()) == (code, True), call.err


def test_an_image_that_no_table_holds_twice_shows_the_sum(ota, home):
    (home / "f.bin").write_bytes(
        synthetic.merged(
            app=synthetic.app(size=0x1E4000),
            table=TWO_SLOTS.replace("0x180000", "0x200000")
            .replace("0x190000", "0x210000")
            .replace("0x310000", "0x410000"),
        )
    )
    said = ota("convert", "f.bin", "-o", "two.bin").line()
    assert "2 slots x 0x200000 + 0x10000 + vfs 0x10000 = 0x420000 > flash 0x400000" in said
    assert ota("convert", "f.bin", "-o", "two.bin", "--flash-size", "8MB").code == 0


# What the bytes of a build tell


def parts(**changes):
    return firmware.parse(synthetic.merged(**changes))


def verdict(**changes):
    return builds.rollback(parts(**changes)).verdict


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.20.0", "no"),
        ("1.21.0", "yes"),
        ("1.25.0", "yes"),
        ("1.26.0-preview.12.gabc1234", "yes"),
        ("2.0.0", "yes"),
        ("1.9.4", "no"),
        ("", "unknown"),
    ],
)
def test_rollback_by_the_version_of_micropython(version, expected):
    assert verdict(app=synthetic.app(version=version)) == expected


def test_an_old_build_with_two_slots_has_rollback():
    assert verdict(app=synthetic.app(version="1.20.0"), table=TWO_SLOTS) == "yes"


def test_rollback_is_unknown_where_bootloader_and_app_are_of_different_builds():
    answer = builds.rollback(parts(bootloader=synthetic.bootloader(idf="v5.4.2")))
    assert answer == ("unknown", "the bootloader is of ESP-IDF v5.4.2, the application of v5.2.2")


def test_rollback_is_unknown_where_the_bootloader_came_from_elsewhere():
    alone = firmware.parse(synthetic.app())
    assert builds.rollback(alone).verdict == "unknown"
    with_other = alone._replace(bootloader=synthetic.bootloader())
    assert builds.rollback(with_other).verdict == "unknown"


def test_the_bootloaders_esp_idf_is_that_of_esptool(home):
    boot = synthetic.bootloader("esp32s3", idf="v5.4.2")
    (home / "boot.bin").write_bytes(boot)
    assert "ESP-IDF: v5.4.2\n" in independent.image_info(home / "boot.bin")
    assert builds.bootloader_idf(boot) == "v5.4.2"
    assert builds.bootloader_idf(synthetic.bootloader(idf="")) == ""


def test_two_versions_in_an_image_are_none():
    app = b"MicroPython v1.25.0 on\0MicroPython v1.24.1 on\0"
    assert builds.version(app) is None
    assert str(builds.version(app[:23] * 2)) == "1.25.0"
    assert str(builds.version(b"MicroPython v1.29.0-preview.1.g1 on")) == "1.29.0-preview"


def test_a_frozen_library_is_seen_by_the_names_of_its_modules():
    assert builds.library(synthetic.app()).verdict == "unknown"
    names = b"\0".join(path[5:-3].encode() + b".py" for path in library.source())
    assert builds.library(synthetic.app() + names).verdict == "yes"
    modules = {"ota/journal.py": b"", "ota/__init__.py": b""}
    assert builds.library(synthetic.app(modules=modules)).verdict == "yes"
    assert builds.library(synthetic.app() + b"\0ota/__init__.py\0") == (
        "no",
        "another package named ota is in the image, and hides /lib/ota",
    )
