"""The board as a scenario finds it, before anything ran on it."""

import hashlib

from ota import receipt
from ota_tools.board.flash import Flash
from ota_tools.cut import vfs
from ota_tools.cut.scenarios import CONFIG, Scenario
from ota_tools.cut.state import State
from ota_tools.cut.world import FLASH_SIZE, World
from ota_tools.partitions import TABLE_OFFSET, Table, to_binary


def fresh_state(world: World, scenario: Scenario, table: Table) -> State:
    """A board as a cable leaves it: table, images with their receipts, records, file system; blank NVS."""
    size = max(part.end for part in table.partitions) if scenario.big else FLASH_SIZE
    memory = bytearray(b"\xff" * size)
    flash = Flash(memory)
    flash.load(TABLE_OFFSET, to_binary(table))
    first = next(part for part in table.partitions if part.type == 0)
    slots = {first.name: "1.0"} | dict(scenario.holds)
    for slot, version in slots.items():
        part = table.find(slot)
        assert part is not None
        flash.load(part.offset, world.apps[version].data)
    if scenario.records and table.otadata:
        for index, record in enumerate(scenario.records):
            flash.load(table.otadata.offset + index * 4096, record)
    _fill_vfs(world, scenario, table, flash, slots)
    return State(memory, {})


def _fill_vfs(
    world: World, scenario: Scenario, table: Table, flash: Flash, slots: dict[str, str]
) -> None:
    part = table.find("vfs")
    assert part is not None
    fs = vfs.mount(flash, part, fresh=True)
    files = {"/ota.json": CONFIG, "/ota_trust.json": world.trust}
    receipts = {}
    for index, slot in enumerate(table.ota_slots):
        if slot.name in slots:
            app = world.apps[slots[slot.name]]
            digest = hashlib.sha256(app.data).digest()
            receipts[index] = receipt.Receipt(digest, len(app.data), app.version, app.sequence)
    if receipts:
        files[receipt.FILE] = receipt.encode(receipts)
    if scenario.vfs_full:
        files["/full"] = bytes((fs.block_count - fs.used_block_count - 4) * 4096)
    for name, data in files.items():
        with fs.open(name, "wb") as file:
            file.write(data)
