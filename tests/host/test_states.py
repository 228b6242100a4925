"""Every row of the state table, entered by the bootloader: in this process, and on the real VM."""

from dataclasses import dataclass

import pytest
from virtual import BLANK, FACTORY_OTA_TABLE, STOCK_TABLE, Virtual

from ota import journal as jr
from ota import recovery, start
from ota.otadata import NEW, PENDING_VERIFY, UNDEFINED, VALID, encode
from ota.situation import Situation
from ota_tools import resources
from ota_tools.board import filesystem, image_maker, interpreter
from ota_tools.board.model import POWER_ON
from ota_tools.board.runner import run

MAIN = """
import esp32, machine, ota
if SLEEPS and machine.reset_cause() == machine.PWRON_RESET:
    esp32.Partition("ota_1").set_boot()
    machine.deepsleep(1)
found = ota.status()
print([found["trial"], found["fault"]])
"""


@dataclass
class Row:
    """How a row is entered, and what is seen once the board is quiet.

    Attributes:
        action: in the table.
        records: of otadata, when the power comes; no journal.
        boots: what is started, one after the other.
        after: records at the end.
        trial: the image that runs is on trial then.
        broken: ota_1 does not load.
        sleeps: ota_1 is selected in the first start, and deep sleep follows.
    """

    action: int
    records: tuple[bytes, bytes]
    boots: list[str]
    after: list[str]
    trial: bool = False
    broken: bool = False
    sleeps: bool = False
    rollback: bool = True
    table: str = STOCK_TABLE


FIRST = encode(1, VALID)
NO_CRC = encode(1, VALID)[:28] + bytes(4)

ROWS = {
    (VALID, True): Row(jr.NORMAL, (FIRST, BLANK), ["ota_0"], ["1 VALID", "blank"]),
    (PENDING_VERIFY, True): Row(
        jr.ON_TRIAL,
        (FIRST, encode(2, NEW)),
        ["ota_1"],
        ["1 VALID", "2 PENDING_VERIFY"],
        trial=True,
    ),
    (NEW, True): Row(
        jr.SOFT_TRIAL,
        (FIRST, encode(2, NEW)),
        ["ota_1"],
        ["1 VALID", "2 NEW"],
        trial=True,
        rollback=False,
    ),
    (jr.OTHER, True): Row(
        jr.TORN, (FIRST, encode(2, UNDEFINED)), ["ota_1"], ["1 VALID", "2 VALID"]
    ),
    (NEW, False): Row(
        jr.RESET,
        (FIRST, BLANK),
        ["ota_0", "ota_0", "ota_1"],
        ["1 VALID", "2 PENDING_VERIFY"],
        trial=True,
        sleeps=True,
    ),
    (PENDING_VERIFY, False): Row(
        jr.NOT_LOADABLE,
        (FIRST, encode(2, NEW)),
        ["ota_0"],
        ["1 VALID", "2 PENDING_VERIFY crc wrong"],
        broken=True,
    ),
    (VALID, False): Row(
        jr.DROP,
        (FIRST, encode(2, VALID)),
        ["ota_0"],
        ["1 VALID", "2 VALID crc wrong"],
        broken=True,
    ),
    (jr.OTHER, False): Row(
        jr.DROP,
        (FIRST, encode(2, UNDEFINED)),
        ["ota_0"],
        ["1 VALID", "2 UNDEFINED crc wrong"],
        broken=True,
    ),
    (jr.NO_RECORD, True): Row(
        jr.NORMAL, (BLANK, BLANK), ["factory"], ["blank", "blank"], table=FACTORY_OTA_TABLE
    ),
    (jr.NO_RECORD, False): Row(
        jr.REPAIR, (NO_CRC, NO_CRC), ["ota_0"], ["1 VALID", "1 VALID crc wrong"]
    ),
}


@pytest.fixture(scope="module")
def image() -> bytes:
    """With the library in its ROMFS."""
    modules = image_maker.library_modules(resources.library_dir())
    return image_maker.make_image(modules, 1 << 17, "states")


def board(folder, row: Row, image: bytes) -> Virtual:
    made = Virtual(folder, row.table, rollback=row.rollback)
    for part in made.board.table.partitions:
        if part.type == 0:
            made.put(part.name, image)
    if row.broken:
        made.flip("ota_1", 5000)
    made.set_entries(*row.records)
    return made


def test_every_row_of_the_table_is_here():
    assert {key: row.action for key, row in ROWS.items()} == jr.STATE_TABLE


@pytest.mark.parametrize("key", ROWS, ids=str)
def test_a_row_is_entered_and_left(tmp_path, monkeypatch, image, key):
    row = ROWS[key]
    v = board(tmp_path / "b", row, image)
    monkeypatch.setattr(recovery, "fault", "")
    boots, entered = [], []

    def started() -> None:
        boots.append(v.running())
        found = Situation(v.port())
        same = found.selected == found.running
        known = (found.state, same) in jr.STATE_TABLE
        entered.append((found.state if known else jr.OTHER, same))
        assert found.action == jr.STATE_TABLE[entered[-1]]
        start.boot(port=v.port())
        if row.sleeps and v.board.cause == POWER_ON:
            v.esp32.Partition("ota_1").set_boot()
            v.machine.deepsleep(1)

    v.power_on()
    v.until_quiet(started)
    assert key in entered and recovery.fault == ""
    assert (boots, v.entries()) == (row.boots, row.after)
    assert Situation(v.port()).on_trial() == row.trial
    assert (v.board.watchdog_at is not None) == row.trial


@pytest.mark.parametrize("key", ROWS, ids=str)
def test_a_row_is_left_in_the_same_way_on_the_vm(tmp_path, image, key):
    row = ROWS[key]
    v = board(tmp_path / "b", row, image)
    files = {
        "/boot.py": resources.device_file("boot.py").read_bytes(),
        "/main.py": MAIN.replace("SLEEPS", str(row.sleeps)).encode(),
    }
    v.put("vfs", filesystem.build(v.board.table.find("vfs").size, files))
    result = run(v.board, interpreter.find())
    assert result.boots == row.boots, result.console
    assert v.entries() == row.after
    assert f"[{row.trial}, '']" in result.console
