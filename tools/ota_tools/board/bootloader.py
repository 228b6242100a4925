"""The ESP-IDF second-stage bootloader and the otadata half of esp_ota_ops, step by step.

Source: bootloader_utility.c, bootloader_common_loader.c, esp_ota_ops.c (ESP-IDF 5.x), compared with
official firmware on an emulated ESP32 (docs/board.md). otadata records are read by lib/ota itself.
"""

from dataclasses import dataclass, field

from ota import image, otadata
from ota.errors import OtaError
from ota_tools.board.flash import SECTOR, Flash
from ota_tools.partitions import Partition, Table


@dataclass
class Boot:
    """What the bootloader decided: the partition that runs (None: nothing boots) and its log."""

    partition: Partition | None
    log: list[str] = field(default_factory=list)


def read_entries(flash: Flash, table: Table) -> tuple[bytes, bytes] | None:
    """Both otadata records, None where the table has no otadata."""
    part = table.otadata
    if part is None:
        return None
    first = flash.read(part.offset, otadata.ENTRY_SIZE)
    second = flash.read(part.offset + SECTOR, otadata.ENTRY_SIZE)
    return first, second


def write_entry(flash: Flash, table: Table, index: int, entry: bytes) -> None:
    """Erase the record's sector, then program 32 bytes: a cut between leaves it blank."""
    part = table.otadata
    assert part is not None
    flash.erase(part.offset + index * SECTOR, SECTOR)
    flash.program(part.offset + index * SECTOR, entry)


def with_state(entry: bytes, state: int) -> bytes:
    """The record with another state; label and crc as they were."""
    return entry[:24] + state.to_bytes(4, "little") + entry[28:]


def is_bootable(flash: Flash, part: Partition, chip_id: int) -> bool:
    """`esp_image_verify`: header, chip, segments, checksum, SHA-256. Says nothing of who signed."""

    def read(offset: int, n: int) -> bytes:
        return flash.read(part.offset + offset, n)

    try:
        return bool(image.verify(read, part.size).chip_id == chip_id)
    except OtaError:
        return False


def boot(flash: Flash, table: Table, chip_id: int, rollback: bool = True) -> Boot:
    """Choose and load an image as after a reset; otadata is changed as the bootloader changes it.

    Args:
        rollback: built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE, as MicroPython is since v1.21.
    """
    result = Boot(None)
    slots = table.ota_slots
    factory = next((p for p in table.partitions if p.type == 0 and p.subtype == 0), None)
    index, fresh = -1, False
    if read_entries(flash, table) is not None:
        index, fresh = _select(flash, table, factory is not None, rollback, result)
    for candidate in _order(index, len(slots)):
        part = factory if candidate < 0 else slots[candidate]
        if part is None:
            continue
        if is_bootable(flash, part, chip_id):
            result.partition = part
            if fresh and candidate >= 0:
                write_entry(flash, table, 0, otadata.encode(candidate + 1, otadata.VALID))
            return result
        result.log.append(f"E boot: OTA app partition slot {candidate} is not bootable")
    result.log.append("E boot: No bootable app partitions in the partition table")
    return result


def _select(
    flash: Flash, table: Table, factory: bool, rollback: bool, result: Boot
) -> tuple[int, bool]:
    # Index of the slot to try first, and whether otadata gets its first record afterwards.
    entries = list(read_entries(flash, table) or ())
    if rollback:
        for i in range(2):
            if otadata.state_of(entries[i]) == otadata.PENDING_VERIFY:
                entries[i] = with_state(entries[i], otadata.ABORTED)
                write_entry(flash, table, i, entries[i])
    count = len(table.ota_slots)
    if all(otadata.is_invalid(entry) for entry in entries) or count == 0:
        if factory:
            return -1, False
        return 0, all(_is_initial(entry) for entry in entries)
    active = otadata.active(entries)
    if active < 0:
        # bootloader_utility_get_selected_boot_partition; seen without a factory image only
        told = (" and no factory, will try all partitions", ", falling back to factory")[factory]
        result.log.append(f"E boot: ota data partition invalid{told}")
        return -1, False
    index = otadata.slot_of(entries[active], count)
    if rollback and otadata.state_of(entries[active]) == otadata.NEW:
        pending = with_state(entries[active], otadata.PENDING_VERIFY)
        write_entry(flash, table, active, pending)
    return index, False


def _is_initial(entry: bytes) -> bool:
    seq = otadata.seq_of(entry)
    return seq == 0xFFFFFFFF or entry[28:32] != otadata.seq_crc(seq).to_bytes(4, "little")


def _order(index: int, count: int) -> list[int]:
    return [*range(index, -2, -1), *range(index + 1, count)]


def selected(entries: tuple[bytes, bytes] | None, table: Table) -> Partition | None:
    """`esp_ota_get_boot_partition`: what otadata predicts, no image is looked at."""
    slots = table.ota_slots
    if entries is not None:
        active = otadata.active(entries)
        if active >= 0:
            return slots[otadata.slot_of(entries[active], len(slots))]
        factory = next((p for p in table.partitions if p.type == 0 and p.subtype == 0), None)
        return factory or (slots[0] if slots else None)
    return None


def set_boot(flash: Flash, table: Table, slot: int, in_place: bool) -> None:
    """The otadata half of `esp_ota_set_boot_partition`; the image was verified before.

    Args:
        slot: index of the OTA slot to select.
        in_place: newer ESP-IDF rewrites the active record where it names this slot already; older
            writes the other record with the same seq.
    """
    entries = read_entries(flash, table)
    assert entries is not None
    count = len(table.ota_slots)
    active = otadata.active(entries)
    seq = otadata.next_seq(entries, slot, count)
    target = 0 if active < 0 else 1 - active
    if in_place and active >= 0 and otadata.slot_of(entries[active], count) == slot:
        target = active
    label = entries[target][4:24]
    entry = otadata.encode(seq, otadata.NEW)
    write_entry(flash, table, target, entry[:4] + label + entry[24:])


def mark_valid(flash: Flash, table: Table) -> bool:
    """`esp_ota_mark_app_valid_cancel_rollback`: the *active* record becomes VALID.

    Returns: False where no record is active (ESP_FAIL).
    """
    entries = read_entries(flash, table)
    assert entries is not None
    active = otadata.active(entries)
    if active < 0:
        return False
    if otadata.state_of(entries[active]) != otadata.VALID:
        write_entry(flash, table, active, with_state(entries[active], otadata.VALID))
    return True
