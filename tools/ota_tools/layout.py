"""Which partition table a board gets: a shipped one where the image fits, else a computed one.

Rule: every table starts like the shipped ones (nvs, otadata, phy_init, first slot at 0x10000), has two
equal slots on multiples of 64 KiB, and names vfs last. A refusal shows the sum that does not come out.
The bootloader's place differs from chip to chip, the table's and the partitions' do not.
"""

from dataclasses import replace

from ota_tools import resources
from ota_tools.failures import Refused
from ota_tools.partitions import APP, DATA, NVS, Partition, Table, check, parse_csv
from ota_tools.terminal import FLASH_SIZES

GROWTH = 0x8000
"""Bytes that a slot should have left for the next releases."""

LEAST_VFS = 0x10000
"""Bytes of files that a computed table has at least."""

_STEP = 0x10000
_FIRST_SLOT = 0x10000
_MIB = 1 << 20
_NVS = 0x02
_LEAST_NVS = 0x3000  # NVS keeps a page free; with less ESP-IDF only reads
_FILE_SYSTEMS = (0x81, 0x82, 0x83)  # fat, spiffs, littlefs


def pick(flash_size: int, app_size: int) -> Table:
    """A table for a flash of `flash_size` bytes and an image of `app_size` bytes, for any chip.

    The shipped table where its slots hold the image and `GROWTH` more; from 16 MiB on the slots of
    the largest one, the files get the rest. Else slots as large as that needs; without `GROWTH`
    where there is no room for it. Raises Refused with the sum.
    """
    table = _shipped(flash_size)
    if table is None or app_size + GROWTH > table.ota_slots[0].size:
        table = _computed(flash_size, app_size)
    check(table, flash_size)
    return table


def check_ota(table: Table, flash_size: int, app_size: int) -> None:
    """Refuse a table that `ota flash` cannot fill, or that updates could not live with.

    Beyond `partitions.check`: two slots that hold the image, an nvs and a vfs that can be written, no
    factory application, nothing encrypted.
    """
    check(table, flash_size)
    for part in table.partitions:
        if part.encrypted:
            raise Refused(f"partition {part.name} is encrypted, which MicroPython cannot write")
        if part.type == APP and part not in table.ota_slots:
            raise Refused(
                f"partition {part.name}: with a blank otadata the bootloader would start it and not "
                f"ota_0; leave it out, the image goes into the slots"
            )
    slots = table.ota_slots
    if len(slots) < 2:
        raise Refused(f"{len(slots)} OTA slots in the partition table, updates need two")
    _check_nvs(table.find(NVS))
    _check_vfs(table.find("vfs"))
    for part in table.partitions:
        if part.readonly and (part in slots or part.name in (NVS, "vfs")):
            raise Refused(
                f"partition {part.name} is readonly, and is written by every update: take the flag away"
            )
    for slot in slots:
        if app_size > slot.size:
            raise Refused(
                f"image of {app_size:#x} bytes, {slot.name} has {slot.size:#x}: "
                f"{app_size - slot.size:#x} too many"
            )


def _check_nvs(part: Partition | None) -> None:
    if part is None or (part.type, part.subtype) != (DATA, _NVS):
        raise Refused(
            "no partition nvs (data, nvs) in the table: the library keeps its journal there"
        )
    if part.size < _LEAST_NVS:
        raise Refused(
            f"partition nvs has {part.size:#x} bytes, and needs {_LEAST_NVS:#x} to be written"
        )


def _check_vfs(part: Partition | None) -> None:
    if part is None or part.type != DATA or part.subtype not in _FILE_SYSTEMS:
        raise Refused("partition vfs is no file system: make it data, fat, as MicroPython has it")


def rows(table: Table, app_size: int) -> list[dict[str, object]]:
    """Rows for people and `--json`: name, offset, size in bytes, what it is for."""
    return [
        {"name": p.name, "offset": p.offset, "size": p.size, "what": _what(p, table, app_size)}
        for p in table.partitions
    ]


def _shipped(flash_size: int) -> Table | None:
    name = FLASH_SIZES.get(min(flash_size // _MIB, max(FLASH_SIZES)))
    if name is None:
        return None
    table = parse_csv(resources.device_file(name).read_text())
    *others, vfs = table.partitions
    return Table((*others, replace(vfs, size=flash_size - vfs.offset)))


def _computed(flash_size: int, app_size: int) -> Table:
    exact = -(-app_size // _STEP) * _STEP
    roomy = -(-(app_size + GROWTH) // _STEP) * _STEP
    slot = roomy if _FIRST_SLOT + 2 * roomy + LEAST_VFS <= flash_size else exact
    vfs = _FIRST_SLOT + 2 * slot
    if vfs + LEAST_VFS > flash_size:
        raise Refused(
            f"2 slots x {slot:#x} + {_FIRST_SLOT:#x} + vfs {LEAST_VFS:#x} = {vfs + LEAST_VFS:#x} > "
            f"flash {flash_size:#x}: an image of {app_size:#x} bytes needs a smaller build or a larger chip"
        )
    shipped = parse_csv(resources.device_file(FLASH_SIZES[4]).read_text())
    places = {"ota_0": (_FIRST_SLOT, slot), "ota_1": (_FIRST_SLOT + slot, slot)}
    places["vfs"] = (vfs, flash_size - vfs)
    return Table(tuple(_placed(part, places) for part in shipped.partitions))


def _placed(part: Partition, places: dict[str, tuple[int, int]]) -> Partition:
    offset, size = places.get(part.name, (part.offset, part.size))
    return replace(part, offset=offset, size=size)


def _what(part: Partition, table: Table, app_size: int) -> str:
    if part in table.ota_slots:
        left = f"{(part.size - app_size) // 1024} KiB to grow"
        return (
            f"the application, {left}" if part == table.ota_slots[0] else f"the next one, {left}"
        )
    if part == table.otadata:
        return "which slot boots"
    if part.name == "vfs":
        return "files"
    known = {_NVS: "settings, and the library's journal", 0x01: "calibration of the radio"}
    return known.get(part.subtype, "") if part.type == DATA else ""
