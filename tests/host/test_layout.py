"""Which table a board gets, and what a table of one's own must have."""

import re
from pathlib import Path

import pytest

from ota_tools import layout
from ota_tools.failures import Refused
from ota_tools.partitions import Partition, Table, check, parse_csv

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
SIZES = [4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB]
OWN = """
nvs,     data, nvs,   0x9000,   0x4000
otadata, data, ota,   0xd000,   0x2000
ota_0,   app,  ota_0, 0x10000,  0x100000
ota_1,   app,  ota_1, 0x110000, 0x100000
vfs,     data, fat,   0x210000, 0x1F0000
"""


def shipped(name):
    return parse_csv((ROOT / name).read_text())


def refusal(call, *args):
    with pytest.raises(Refused) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mib", "name"),
    [(4, "partitions.csv"), (8, "partitions-8MiB.csv"), (16, "partitions-16MiB.csv")],
)
def test_an_image_of_stock_size_gets_the_shipped_table(mib, name):
    assert layout.pick(mib * MIB, 0x1A2180) == shipped(name)


def test_32_mib_have_the_slots_of_16_and_the_rest_for_files():
    wide, narrow = layout.pick(32 * MIB, 0x1A2180), layout.pick(16 * MIB, 0x1A2180)
    assert wide.partitions[:-1] == narrow.partitions[:-1]
    assert wide.partitions[-1].end == 32 * MIB


def test_shipped_slots_must_leave_room_to_grow():
    slot = shipped("partitions.csv").ota_slots[0].size
    assert layout.pick(4 * MIB, slot - layout.GROWTH) == shipped("partitions.csv")
    grown = layout.pick(4 * MIB, slot - layout.GROWTH + 1)
    assert grown.ota_slots[0].size == slot + 0x10000


@pytest.mark.parametrize("flash", SIZES)
@pytest.mark.parametrize("share", range(5, 100, 5))
def test_every_table_fits_its_flash_to_the_last_byte_or_the_sum_is_shown(flash, share):
    image = flash * share // 200
    try:
        table = layout.pick(flash, image)
    except Refused as e:
        assert 2 * (-(-image // 0x10000) * 0x10000) + 0x20000 > flash, str(e)
        return
    check(table, flash)
    slots, vfs = table.ota_slots, table.partitions[-1]
    assert [slot.size % 0x10000 for slot in slots] == [0, 0]
    assert slots[0].size == slots[1].size >= image
    assert (vfs.name, vfs.end) == ("vfs", flash) and vfs.size >= layout.LEAST_VFS
    assert slots[0].offset == 0x10000 and slots[1].offset == slots[0].end


def test_slots_are_as_large_as_needed_where_the_room_to_grow_is_not_there():
    table = layout.pick(4 * MIB, 0x1F0000)
    assert [part.size for part in table.partitions[-3:]] == [0x1F0000, 0x1F0000, 0x10000]


def test_refusal_shows_the_sum():
    said = refusal(layout.pick, 4 * MIB, 0x1F0001)
    assert "2 slots x 0x200000 + 0x10000 + vfs 0x10000 = 0x420000 > flash 0x400000" in said
    numbers = [int(n, 16) for n in re.findall(r"0x[0-9a-f]+", said)]
    assert 2 * numbers[0] + numbers[1] + numbers[2] == numbers[3] > numbers[4]


def test_a_flash_of_2_mib_is_too_small_for_a_stock_image_twice():
    assert "> flash 0x200000" in refusal(layout.pick, 2 * MIB, 0x1A2180)


@pytest.mark.parametrize("vfs", ["fat", "spiffs", "littlefs"])
def test_a_table_of_ones_own_may_leave_out_what_nobody_needs(vfs):
    layout.check_ota(parse_csv(OWN.replace("fat", vfs)), 4 * MIB, 0x100000)


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("0x110000, 0x100000", "0x100000, 0x100000", "ota_1 starts at 0x100000, inside ota_0"),
        ("0x110000,", "0x118000,", "offset 0x118000 is not a multiple of 0x10000"),
        ("0x9000,   0x4000", "0x9000,   0x4100", "size 0x4100 is not a multiple of 0x1000"),
        ("0x210000, 0x1F0000", "0x210000, 0x200000", "0x210000 + 0x200000 = 0x410000, flash"),
        ("ota_1,   app,  ota_1, 0x110000, 0x100000", "", "1 OTA slots in the partition table"),
        ("otadata, data, ota,   0xd000,   0x2000", "", "no otadata"),
        ("vfs, ", "user,", "no partition is named vfs"),
        ("nvs,     data, nvs,   0x9000,   0x4000", "", "no partition nvs (data, nvs)"),
        ("0x210000, 0x1F0000", "0x210000, 0x1F0000, encrypted", "vfs is encrypted"),
        ("0x210000, 0x1F0000", "0x210000, 0x1F0000, readonly", "vfs is readonly, and is written"),
        ("0x110000, 0x100000", "0x110000, 0x100000, readonly", "ota_1 is readonly, and is writ"),
        ("0x9000,   0x4000", "0x9000,   0x4000, readonly", "nvs is readonly, and is written"),
        ("0x9000,   0x4000", "0x9000,   0x2000", "nvs has 0x2000 bytes, and needs 0x3000"),
        ("nvs,     data, nvs,", "mine,    data, nvs,", "no partition nvs (data, nvs)"),
        ("nvs,     data, nvs,", "nvs,     data, fat,", "no partition nvs (data, nvs)"),
        ("data, fat,", "data, nvs,", "vfs is no file system: make it data, fat"),
        ("data, fat,", "data, phy,", "vfs is no file system: make it data, fat"),
        ("data, fat,", "data, 0x40,", "vfs is no file system: make it data, fat"),
        ("data, fat,", "0x40, 0x81,", "vfs is no file system: make it data, fat"),
    ],
)
def test_a_table_that_updates_could_not_live_with_is_refused(old, new, fact):
    assert old in OWN
    table = parse_csv(OWN.replace(old, new))
    assert fact in refusal(layout.check_ota, table, 4 * MIB, 0x100000)


def test_a_factory_application_is_refused_since_it_would_boot_first():
    rows = [*parse_csv(OWN).partitions[:-1], Partition("factory", 0, 0, 0x210000, 0x10000)]
    rows.append(Partition("vfs", 1, 0x81, 0x220000, 0x1E0000))
    assert "factory: with a blank otadata" in refusal(
        layout.check_ota, Table(tuple(rows)), 4 * MIB, 0x10000
    )


def test_an_image_larger_than_a_slot_is_refused_with_the_difference():
    said = refusal(layout.check_ota, parse_csv(OWN), 4 * MIB, 0x100004)
    assert "image of 0x100004 bytes, ota_0 has 0x100000: 0x4 too many" in said


def test_rows_say_what_each_partition_is_for_and_the_room_to_grow():
    rows = layout.rows(shipped("partitions.csv"), 0x1B0000 - 20 * 1024)
    assert [row["name"] for row in rows] == ["nvs", "otadata", "phy_init", "ota_0", "ota_1", "vfs"]
    assert all(row["what"] for row in rows)
    assert rows[3]["what"] == "the application, 20 KiB to grow"
