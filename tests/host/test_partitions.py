"""The partition table: what ESP-IDF takes, what we refuse, and the tables that we ship."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from ota_tools.failures import Refused
from ota_tools.partitions import Partition, Table, check, from_binary, parse_csv, to_binary

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
SHIPPED = {"partitions.csv": 4, "partitions-8MiB.csv": 8, "partitions-16MiB.csv": 16}

# partitions-4MiB-ota.csv of MicroPython v1.26. The digests are those of the file that
# gen_esp32part.py 1.5 (ESP-IDF) makes of it.
STOCK_OTA = """
# Name,   Type, SubType, Offset,   Size,     Flags
nvs,      data, nvs,     0x9000,   0x4000,
otadata,  data, ota,     0xd000,   0x2000,
phy_init, data, phy,     0xf000,   0x1000,
ota_0,    app,  ota_0,   0x10000,  0x180000,
ota_1,    app,  ota_1,   0x190000, 0x180000,
"""
STOCK_MD5 = "6f91ac1bb2b49e61a1daefd12de800a2"
STOCK_SHA256 = "0241fa0d2e573dee86756e39fb4181e61ff7218087619cab565b602df55954d6"

GOOD = parse_csv((ROOT / "partitions.csv").read_text())


def changed(row, **fields):
    return Table(tuple(replace(p, **fields) if p.name == row else p for p in GOOD.partitions))


def refusal(call, *args):
    with pytest.raises(Refused) as caught:
        call(*args)
    return str(caught.value)


def row(text):
    return parse_csv(text).partitions[-1]


def test_stock_table_has_the_bytes_of_gen_esp32part():
    data = to_binary(parse_csv(STOCK_OTA))
    assert len(data) == 0xC00
    assert data[0xB0:0xC0].hex() == STOCK_MD5
    assert hashlib.sha256(data).hexdigest() == STOCK_SHA256
    assert data[96:128] == bytes.fromhex("aa500010 00000100 00001800 6f74615f30") + bytes(15)


def test_binary_and_rows_are_the_same_table():
    table = Table(
        (
            Partition("nvs", 1, 2, 0x9000, 0x4000, encrypted=True),
            Partition("sixteen_bytes_ok", 0x40, 0xFE, 0xD000, 0x3000, readonly=True),
            Partition("both", 1, 0x83, 0x10000, 0x1000, encrypted=True, readonly=True),
        )
    )
    assert from_binary(to_binary(table)) == table


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_table_is_good_and_fills_its_flash(name):
    table = parse_csv((ROOT / name).read_text())
    check(table, SHIPPED[name] * MIB)
    assert [p.name for p in table.ota_slots] == ["ota_0", "ota_1"]
    first, second = table.ota_slots
    assert first.size == second.size and first.size % 0x10000 == 0
    assert table.find("vfs").end == SHIPPED[name] * MIB
    for part, following in zip(table.partitions, table.partitions[1:], strict=False):
        assert part.end == following.offset
    assert from_binary(to_binary(table)) == table


def test_four_mib_table_is_the_one_that_boards_carry():
    assert [(p.name, p.type, p.subtype, p.offset, p.size) for p in GOOD.partitions] == [
        ("nvs", 1, 2, 0x9000, 0x4000),
        ("otadata", 1, 0, 0xD000, 0x2000),
        ("phy_init", 1, 1, 0xF000, 0x1000),
        ("ota_0", 0, 0x10, 0x10000, 0x1B0000),
        ("ota_1", 0, 0x11, 0x1C0000, 0x1B0000),
        ("vfs", 1, 0x81, 0x370000, 0x90000),
    ]


def test_names_find_partitions():
    assert GOOD.find("ota_1").offset == 0x1C0000
    assert GOOD.find("factory") is None
    assert GOOD.otadata.offset == 0xD000
    assert Table(()).otadata is None


def test_slots_are_sorted_by_number_not_by_place():
    table = parse_csv("b, app, ota_1, 0x10000, 64K\na, app, ota_0, 0x20000, 64K")
    assert [p.name for p in table.ota_slots] == ["a", "b"]


def test_csv_takes_units_and_numbers_and_flags():
    assert row("a, data, nvs, 36K, 0x4000") == Partition("a", 1, 2, 0x9000, 0x4000)
    assert row("a, 0x40, 7, 1M, 2m, encrypted:readonly") == Partition(
        "a", 0x40, 7, MIB, 2 * MIB, True, True
    )
    assert row("a, data, , 0x9000, 4K").subtype == 6, "undefined, as in gen_esp32part"


def test_empty_offset_is_the_next_one_aligned():
    table = parse_csv("a, data, nvs, , 0x4000\nb, app, ota_0, , 1M\nc, data, fat, , 4K")
    assert [p.offset for p in table.partitions] == [0x9000, 0x10000, 0x110000]


def test_negative_size_means_up_to_that_address():
    assert row("a, data, fat, 0x370000, -4M").size == 0x90000


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("a, data, nvs, 0x9000", "4 fields"),
        ("a, data, nvs, 0x9000, 4K, , x", "7 fields"),
        (", data, nvs, 0x9000, 4K", "1 to 16 bytes"),
        ("seventeen_bytes_x, data, nvs, 0x9000, 4K", "1 to 16 bytes"),
        ("a, date, nvs, 0x9000, 4K", "'date' is not a number, known: app, data"),
        ("a, data, nws, 0x9000, 4K", "'nws' is not a number, known: ota, phy"),
        ("a, app, , 0x9000, 4K", "needs a subtype"),
        ("a, 0xff, 0, 0x9000, 4K", "not in 0 to 0xfe"),
        ("a, data, nvs, $START, 4K", "'$START' is not a number"),
        ("a, data, nvs, 0x9000, ", "'' is not a number"),
        ("a, data, nvs, 0x9000, 0", "not a place"),
        ("a, data, nvs, 0x9000, 4096M", "not a place"),
        ("a, data, nvs, 0x9000, 4K, hidden", "flags 'hidden'"),
    ],
)
def test_bad_csv_is_refused_with_its_line(line, fact):
    message = refusal(parse_csv, "# a comment\n\n" + line)
    assert "line 3" in message and fact in message


@pytest.mark.parametrize(
    ("table", "facts"),
    [
        (changed("ota_1", offset=0x1B0000), ["ota_1", "ota_0", "0x10000 + 0x1b0000 = 0x1c0000"]),
        (changed("ota_0", offset=0x11000), ["ota_0", "0x11000", "multiple of 0x10000"]),
        (changed("nvs", size=0x3F00), ["nvs", "0x3f00", "multiple of 0x1000"]),
        (changed("nvs", offset=0x8000), ["nvs", "0x8000 + 0x1000 = 0x9000"]),
        (changed("vfs", size=0x91000), ["vfs", "0x370000 + 0x91000 = 0x401000", "0x400000"]),
        (changed("phy_init", name="nvs"), ["nvs", "2 rows"]),
        (changed("vfs", name="files"), ["named vfs"]),
        (changed("otadata", size=0x1000), ["otadata", "0x2000", "0x1000"]),
        (changed("otadata", readonly=True), ["otadata", "readonly"]),
        (changed("otadata", subtype=6), ["no otadata"]),
        (changed("phy_init", subtype=0), ["phy_init", "otadata already"]),
        (changed("ota_1", subtype=0x12), ["ota_1", "expected ota_1", "is ota_2"]),
        (changed("ota_1", subtype=0x10), ["ota_1", "expected ota_1", "is ota_0"]),
    ],
)
def test_table_that_an_update_could_not_live_with_is_refused(table, facts):
    message = refusal(check, table, 4 * MIB)
    assert [fact for fact in facts if fact not in message] == [], message


def test_larger_table_does_not_fit_a_smaller_flash():
    table = parse_csv((ROOT / "partitions-8MiB.csv").read_text())
    assert "ends behind the flash" in refusal(check, table, 4 * MIB)


def test_every_flipped_byte_of_the_rows_is_noticed():
    data = to_binary(GOOD)
    rows = len(GOOD.partitions) * 32 + 32
    for offset in range(rows + 32):
        with pytest.raises(Refused):
            from_binary(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])


def test_every_truncation_before_the_end_marker_is_noticed():
    data = to_binary(GOOD)
    for size in range(0, (len(GOOD.partitions) + 2) * 32, 8):
        with pytest.raises(Refused):
            from_binary(data[:size])


def test_bytes_behind_the_table_do_not_matter():
    assert from_binary(to_binary(GOOD) + b"\0" * 1024) == GOOD


def test_table_holds_94_rows_as_gen_esp32part_says():
    rows = [Partition(f"p{n}", 1, 6, 0x9000 + n * 0x1000, 0x1000) for n in range(95)]
    assert len(from_binary(to_binary(Table(tuple(rows[:94])))).partitions) == 94
    assert "95 partitions, room for 94" in refusal(to_binary, Table(tuple(rows)))


def test_blank_flash_is_no_table():
    assert "magic ffff" in refusal(from_binary, b"\xff" * 0xC00)
