"""otadata step by step, as official firmware and the real bootloader wrote it (docs/board.md)."""

import binascii
import random
import struct

import pytest
from virtual import BLANK, IMAGE_B, Virtual

from ota import otadata
from ota_tools.board.flash import PowerCut
from ota_tools.board.model import SOFT

NEW, PENDING, VALID, INVALID, ABORTED = range(5)


def record(text: str) -> str:
    """`2 NEW` -> the 32 bytes of the record in hex, built without the code under test."""
    if text == "-":
        return "ff" * 32
    seq, name = text.split()
    state = ("NEW", "PENDING", "VALID", "INVALID", "ABORTED").index(name)
    crc = binascii.crc32(struct.pack("<I", int(seq)), 0xFFFFFFFF)
    return struct.pack("<I20sII", int(seq), b"\xff" * 20, state, crc).hex()


# step, action, runs, BOOT, entry 0, entry 1; set_boot of the older ESP-IDF. Steps with a colon lead from
# one that was measured to the next.
STEPS = [
    ("1 first boot", "power", "ota_0", "ota_0", "1 VALID", "-"),
    ("2 ota_1 written", "write", "ota_0", "ota_0", "1 VALID", "-"),
    ("3 set_boot(ota_1)", "set ota_1", "ota_0", "ota_1", "1 VALID", "2 NEW"),
    ("4 reset", "reset", "ota_1", "ota_1", "1 VALID", "2 PENDING"),
    ("5 reset without mark", "reset", "ota_0", "ota_0", "1 VALID", "2 ABORTED"),
    ("5b mark on ota_0", "mark", "ota_0", "ota_0", "1 VALID", "2 ABORTED"),
    ("5c another reset", "reset", "ota_0", "ota_0", "1 VALID", "2 ABORTED"),
    ("6 set_boot(ota_1) again", "set ota_1", "ota_0", "ota_1", "1 VALID", "2 NEW"),
    ("7 reset", "reset", "ota_1", "ota_1", "1 VALID", "2 PENDING"),
    ("7b soft reset: no rollback", "soft reset", "ota_1", "ota_1", "1 VALID", "2 PENDING"),
    ("8 mark valid", "mark", "ota_1", "ota_1", "1 VALID", "2 VALID"),
    ("8b twice", "mark", "ota_1", "ota_1", "1 VALID", "2 VALID"),
    ("9 reset", "reset", "ota_1", "ota_1", "1 VALID", "2 VALID"),
    ("9b power cycle", "power", "ota_1", "ota_1", "1 VALID", "2 VALID"),
    ("10 set_boot(running)", "set ota_1", "ota_1", "ota_1", "2 NEW", "2 VALID"),
    ("10b reset", "reset", "ota_1", "ota_1", "2 PENDING", "2 VALID"),
    ("10c reset without mark", "reset", "ota_1", "ota_1", "2 ABORTED", "2 VALID"),
    ("11: back", "set ota_0", "ota_1", "ota_0", "3 NEW", "2 VALID"),
    ("11: reset", "reset", "ota_0", "ota_0", "3 PENDING", "2 VALID"),
    ("11 mark", "mark", "ota_0", "ota_0", "3 VALID", "2 VALID"),
    ("12 set_boot(ota_1)", "set ota_1", "ota_0", "ota_1", "3 VALID", "4 NEW"),
    ("12b set_boot(ota_0) to cancel", "set ota_0", "ota_0", "ota_0", "5 NEW", "4 NEW"),
    ("12c reset", "reset", "ota_0", "ota_0", "5 PENDING", "4 NEW"),
    ("12d reset without mark", "reset", "ota_1", "ota_1", "5 ABORTED", "4 PENDING"),
    ("13: mark", "mark", "ota_1", "ota_1", "5 ABORTED", "4 VALID"),
    ("13: back", "set ota_0", "ota_1", "ota_0", "5 NEW", "4 VALID"),
    ("13: reset", "reset", "ota_0", "ota_0", "5 PENDING", "4 VALID"),
    ("13: mark", "mark", "ota_0", "ota_0", "5 VALID", "4 VALID"),
    ("13 set_boot(ota_1)", "set ota_1", "ota_0", "ota_1", "5 VALID", "6 NEW"),
    ("13b power cut, power on", "power", "ota_1", "ota_1", "5 VALID", "6 PENDING"),
    ("13c power cut while pending", "power", "ota_0", "ota_0", "5 VALID", "6 ABORTED"),
    ("14: set_boot(ota_1)", "set ota_1", "ota_0", "ota_1", "5 VALID", "6 NEW"),
    ("14 a bit of ota_1 flips", "flip", "ota_0", "ota_1", "5 VALID", "6 NEW"),
    ("14b power on", "power", "ota_0", "ota_1", "5 VALID", "6 PENDING"),
    ("14c reset", "reset", "ota_0", "ota_0", "5 VALID", "6 ABORTED"),
    ("15 set_boot(corrupt)", "refused ota_1", "ota_0", "ota_0", "5 VALID", "6 ABORTED"),
]


def lower_by_two(step: tuple) -> tuple:
    """The step where two set_boot calls before it took no seq of their own."""
    first, second = (f"{int(text[0]) - 2}{text[1:]}" for text in step[4:])
    return (*step[:4], first, second)


# Newer ESP-IDF rewrites the record of the slot that is selected already, so 10 keeps the update's seq, and
# with it the rollback of 10c leaves ota_1. From 12 on both do the same.
IN_PLACE = [
    *STEPS[:14],
    ("10 set_boot(running)", "set ota_1", "ota_1", "ota_1", "1 VALID", "2 NEW"),
    ("10b reset", "reset", "ota_1", "ota_1", "1 VALID", "2 PENDING"),
    ("10c reset without mark", "reset", "ota_0", "ota_0", "1 VALID", "2 ABORTED"),
    ("11: set_boot(running)", "set ota_0", "ota_0", "ota_0", "1 NEW", "2 ABORTED"),
    ("11: reset", "reset", "ota_0", "ota_0", "1 PENDING", "2 ABORTED"),
    ("11 mark", "mark", "ota_0", "ota_0", "1 VALID", "2 ABORTED"),
    *map(lower_by_two, STEPS[20:]),
]


@pytest.mark.parametrize("in_place", [False, True])
def test_otadata_goes_through_the_measured_steps_byte_by_byte(tmp_path, in_place):
    v = Virtual(tmp_path / "b", in_place=in_place)
    assert v.raw() == [record("-"), record("-")]
    partition = v.esp32.Partition

    def refused() -> None:
        with pytest.raises(OSError, match="-5379") as e:
            partition("ota_1").set_boot()
        assert e.value.args == (-5379, "ESP_ERR_OTA_VALIDATE_FAILED")

    actions = {
        "power": v.power_on,
        "reset": v.reset,
        "soft reset": lambda: v.reset(SOFT),
        "write": lambda: v.put("ota_1", IMAGE_B),
        "mark": partition.mark_app_valid_cancel_rollback,
        "set ota_0": lambda: partition("ota_0").set_boot(),
        "set ota_1": lambda: partition("ota_1").set_boot(),
        "flip": lambda: v.flip("ota_1", 5000),
        "refused ota_1": refused,
    }
    refusal = "E boot: OTA app partition slot 1 is not bootable"
    for step, action, runs, boot, first, second in IN_PLACE if in_place else STEPS:
        v.board.messages.clear()
        actions[action]()
        found = (v.running(), v.selected(), v.raw())
        assert found == (runs, boot, [record(first), record(second)]), step
        assert (refusal in v.board.messages) == step.startswith("14b"), step


# Further cases, the same in both variants of set_boot


@pytest.fixture(params=[False, True], ids=["other record", "in place"])
def v(request, tmp_path) -> Virtual:
    """Image B in ota_1, ota_0 running for the first time."""
    made = Virtual(tmp_path / "b", in_place=request.param)
    made.put("ota_1", IMAGE_B)
    made.power_on()
    return made


def updated(v: Virtual) -> None:
    """5 VALID / 6 NEW, ota_0 running: step 13 of the measurement."""
    v.set_entries(otadata.encode(5, VALID), BLANK)
    v.esp32.Partition("ota_1").set_boot()
    assert v.raw() == [record("5 VALID"), record("6 NEW")]


def test_a_downgrade_without_a_mark_rolls_back_to_the_upgrade(v):
    partition = v.esp32.Partition
    partition("ota_1").set_boot()
    v.reset()
    partition.mark_app_valid_cancel_rollback()
    v.reset()
    assert (v.running(), v.raw()) == ("ota_1", [record("1 VALID"), record("2 VALID")])
    partition("ota_0").set_boot()
    v.reset()
    assert (v.running(), v.raw()) == ("ota_0", [record("3 PENDING"), record("2 VALID")])
    v.reset()
    assert (v.running(), v.raw()) == ("ota_1", [record("3 ABORTED"), record("2 VALID")])


def test_a_cut_in_the_copy_keeps_what_was_written_and_the_old_image(v):
    part = v.board.table.find("ota_1")
    image = random.Random(3).randbytes(384 * 4096)
    before = v.raw()

    def copy() -> None:
        for block in range(384):
            data = image[block * 4096 : (block + 1) * 4096]
            v.esp32.Partition("ota_1").writeblocks(block, data)

    behind = part.offset + 201 * 4096
    v.board.flash.cut_before = lambda operation: operation.address == behind
    with pytest.raises(PowerCut):
        copy()
    v.board.flash.cut_before = None
    v.power_on()
    assert (v.running(), v.raw()) == ("ota_0", before)
    assert v.board.flash.read(part.offset, 201 * 4096) == image[: 201 * 4096]


def test_a_mark_after_a_fallback_marks_the_corrupt_slot(v):
    updated(v)
    v.put("ota_1", b"")
    v.power_on()
    v.esp32.Partition.mark_app_valid_cancel_rollback()
    assert v.raw()[1] == record("6 VALID")
    v.reset()
    assert v.running() == "ota_0"


def test_two_aborted_records_boot_the_first_slot_and_stay(v):
    updated(v)
    v.set_entries(otadata.encode(3, ABORTED), otadata.encode(2, ABORTED))
    v.power_on()
    assert (v.running(), v.raw()) == ("ota_0", [record("3 ABORTED"), record("2 ABORTED")])


def test_when_the_active_record_is_erased_the_older_one_wins(v):
    updated(v)
    v.set_entries(otadata.encode(5, VALID), BLANK)
    v.power_on()
    assert v.running() == "ota_0"


def test_when_the_older_record_is_erased_the_active_one_stays(v):
    updated(v)
    v.set_entries(BLANK, otadata.encode(6, VALID))
    v.power_on()
    assert (v.running(), v.raw()) == ("ota_1", [record("-"), record("6 VALID")])


def test_when_both_records_are_erased_the_first_slot_boots_and_gets_a_record(v):
    updated(v)
    v.set_entries(BLANK, BLANK)
    v.power_on()
    assert (v.running(), v.raw()) == ("ota_0", [record("1 VALID"), record("-")])


def test_a_record_with_a_wrong_crc_loses(v):
    updated(v)
    v.set_entries(otadata.encode(5, VALID), otadata.encode(6, VALID)[:28] + bytes(4))
    v.power_on()
    assert v.running() == "ota_0"
    v.set_entries(otadata.encode(5, VALID), otadata.encode(6, VALID)[:4] + b"\xff" * 28)
    v.power_on()
    assert v.running() == "ota_0"


def test_two_wrong_crcs_try_all_partitions_and_are_not_repaired(v):
    updated(v)
    broken = [otadata.encode(5, VALID)[:28] + bytes(4), otadata.encode(6, VALID)[:28] + bytes(4)]
    v.set_entries(*broken)
    v.power_on()
    assert (v.running(), v.raw()) == ("ota_0", [entry.hex() for entry in broken])
    told = "E boot: ota data partition invalid and no factory, will try all partitions"
    assert v.board.messages[-1] == told
    with pytest.raises(OSError, match="ESP_FAIL") as e:
        v.esp32.Partition.mark_app_valid_cancel_rollback()
    assert e.value.args == (1, "ESP_FAIL")
    v.esp32.Partition("ota_1").set_boot()
    assert v.raw()[0] == record("2 NEW")
    v.reset()
    assert (v.running(), v.raw()[0]) == ("ota_1", record("2 PENDING"))
    v.reset()
    assert (v.running(), v.raw()[0]) == ("ota_0", record("2 ABORTED"))


def test_selecting_the_old_slot_from_a_pending_one_and_never_marking_ends_in_the_first_slot(v):
    v.esp32.Partition("ota_1").set_boot()
    v.reset()
    v.esp32.Partition("ota_0").set_boot()
    assert v.raw() == [record("3 NEW"), record("2 PENDING")]
    v.reset()
    assert (v.running(), v.raw()) == ("ota_0", [record("3 PENDING"), record("2 ABORTED")])
    v.reset()
    assert (v.running(), v.raw()) == ("ota_0", [record("3 ABORTED"), record("2 ABORTED")])


@pytest.mark.parametrize("pending", [False, True])
def test_clearing_the_crc_of_a_record_makes_the_other_one_boot(v, pending):
    updated(v)
    if pending:
        v.reset()
        assert v.running() == "ota_1"
    part = v.esp32.Partition.find(1, subtype=0)[0]
    part.writeblocks(1, bytes(4), 28)
    assert v.selected() == "ota_0"
    v.reset()
    assert v.running() == "ota_0"
    state = ABORTED if pending else NEW
    assert v.raw()[1] == otadata.encode(6, state)[:28].hex() + "00000000"


def test_a_record_programmed_seq_last_changes_nothing_until_seq_is_there(v):
    part = v.esp32.Partition.find(1, subtype=0)[0]
    wanted = otadata.encode(2, NEW)
    part.ioctl(6, 1)
    part.writeblocks(1, wanted[24:], 24)
    assert v.selected() == "ota_0"
    part.writeblocks(1, wanted[:4], 0)
    assert v.selected() == "ota_1"
    v.reset()
    assert (v.running(), v.raw()[1]) == ("ota_1", record("2 PENDING"))


def test_a_bootloader_without_rollback_leaves_the_record_new(tmp_path):
    v = Virtual(tmp_path / "b", rollback=False)
    v.put("ota_1", IMAGE_B)
    v.power_on()
    v.esp32.Partition("ota_1").set_boot()
    v.reset()
    assert (v.running(), v.raw()[1]) == ("ota_1", record("2 NEW"))
    v.reset()
    assert v.running() == "ota_1"


def cut_while(v: Virtual, kind: str, call) -> None:
    """Do something and lose power half-way through its first otadata operation of this kind."""
    part = v.board.table.otadata
    v.board.flash.cut_before = lambda o: o.kind == kind and part.offset <= o.address < part.end
    with pytest.raises(PowerCut):
        call()
    v.board.flash.cut_before = None


@pytest.mark.parametrize("kind", ["erase", "program"])
def test_a_cut_in_set_boot_leaves_the_old_image(v, kind):
    cut_while(v, kind, v.esp32.Partition("ota_1").set_boot)
    v.power_on()
    assert v.running() == "ota_0"


@pytest.mark.parametrize("kind", ["erase", "program"])
def test_a_cut_in_mark_valid_loses_the_update(v, kind):
    updated(v)
    v.reset()
    assert v.running() == "ota_1"
    cut_while(v, kind, v.esp32.Partition.mark_app_valid_cancel_rollback)
    v.power_on()
    assert v.running() == "ota_0" and v.entries()[1] in ("blank", "6 UNDEFINED crc wrong")


@pytest.mark.parametrize("kind", ["erase", "program"])
def test_a_cut_while_the_bootloader_writes_pending_leaves_the_old_image(v, kind):
    updated(v)
    cut_while(v, kind, v.power_on)
    v.power_on()
    assert v.running() == "ota_0"


@pytest.mark.parametrize("kind", ["erase", "program"])
def test_a_cut_while_the_bootloader_writes_aborted_leaves_the_old_image(v, kind):
    updated(v)
    v.reset()
    cut_while(v, kind, v.power_on)
    v.power_on()
    assert v.running() == "ota_0"
