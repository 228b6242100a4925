"""The flash of a board, put together: bootloader, table, application, file system, blank where it counts.

Rule: esptool does what is esptool's, the flash size in the bootloader's header and its SHA-256. Then
everything is read back from the composed bytes, by the code that reads it on a board, and compared.
"""

from dataclasses import dataclass

from ota import image
from ota.errors import OtaError
from ota_tools.board import filesystem
from ota_tools.failures import Refused
from ota_tools.firmware import CHIPS, Firmware
from ota_tools.partitions import (
    DATA,
    NVS,
    TABLE_OFFSET,
    TABLE_SIZE,
    Partition,
    Table,
    from_binary,
    to_binary,
)

SECTOR = 4096
VFS = "vfs"

_SIZE_AT = 3  # of the image header: the flash size is its high nibble, the speed the low one
_MIB = 1 << 20
_SIZES = 8  # 1 MiB to 128 MiB
_BELIEVED = (0x00, 0x01)  # otadata, phy
_RUN = 16  # blank sectors that are rather written than start another region


@dataclass(frozen=True)
class Piece:
    """Bytes at a flash offset, whole sectors; `what` they are for people."""

    offset: int
    data: bytes
    what: str


@dataclass(frozen=True)
class Composed:
    """A flash from offset 0 to its end.

    Attributes:
        chip: `esp32s3`.
        data: all bytes of the flash, 0xFF where nothing is.
        table: its partitions.
        pieces: what of it has to be written, by offset; apart from `blank`, the rest does not matter.
        blank: (offset, size) of what must be erased, for what it held would be believed.
    """

    chip: str
    data: bytes
    table: Table
    pieces: list[Piece]
    blank: list[tuple[int, int]]


def compose(
    firmware: Firmware, table: Table, flash_size: int, files: dict[str, bytes] | None = None
) -> Composed:
    """Bootloader, table, blank otadata and NVS, the application in slot 0, slot 1 empty, files in vfs.

    Args:
        table: checked, with two slots that hold the application.
        flash_size: bytes, a power of two from 1 MiB on.
        files: path -> contents; None leaves vfs blank, and MicroPython makes a file system there.
    Raises Refused where the files do not fit, or esptool does not know the size.
    """
    slot = table.ota_slots[0]
    parts = {
        CHIPS[firmware.chip].bootloader_offset: (firmware.bootloader, "bootloader"),
        TABLE_OFFSET: (to_binary(table), "partition table"),
        slot.offset: (firmware.app, "application"),
    }
    vfs = table.find(VFS)
    if files is not None:
        assert vfs is not None
        parts[vfs.offset] = (_file_system(vfs, files), "files")
    data = _merge(firmware.chip, flash_size, {at: part[0] for at, part in parts.items()})
    _check(data, firmware, table, flash_size)
    if files is not None and vfs is not None:
        _check_files(data, vfs, files)
    pieces = [
        Piece(start, data[start:end], what)
        for at, (part, what) in sorted(parts.items())
        for start, end in _runs(data, at, at + len(part))
    ]
    return Composed(firmware.chip, data, table, pieces, _blank(table))


def flash_size_of(bootloader: bytes) -> int:
    """Bytes of flash that a bootloader's header names. Raises Refused for an unknown code."""
    code = bootloader[_SIZE_AT] >> 4
    if code >= _SIZES:
        raise Refused(
            f"the bootloader's header has the flash size {code}: name it with --flash-size"
        )
    return _MIB << code


def size_name(size: int) -> str:
    """`4MB` for 4 MiB, as esptool says it."""
    return f"{size // _MIB}MB"


def _file_system(vfs: Partition, files: dict[str, bytes]) -> bytes:
    try:
        return filesystem.build(vfs.size, files)
    except Refused as e:
        raise Refused(
            f"{e}: freeze the library (--no-library), take files away, or give vfs more in --partitions"
        ) from e


def _merge(chip: str, flash_size: int, parts: dict[int, bytes]) -> bytes:
    import esptool
    from esptool.logger import log

    log.set_verbosity("silent")
    name = size_name(flash_size)
    try:
        merged = esptool.merge_bin(sorted(parts.items()), chip, flash_size=name, pad_to_size=name)
    except esptool.FatalError as e:
        raise Refused(f"esptool cannot compose a flash of {name} for {chip}: {e}") from e
    assert isinstance(merged, bytes)
    return merged


def _check(data: bytes, firmware: Firmware, table: Table, flash_size: int) -> None:
    if len(data) != flash_size:
        raise Refused(f"the composed flash has {len(data):#x} bytes, expected {flash_size:#x}")
    if from_binary(data[TABLE_OFFSET:][:TABLE_SIZE]) != table:
        raise Refused("the composed partition table reads differently")
    start = CHIPS[firmware.chip].bootloader_offset
    boot = _image_at(data, start, TABLE_OFFSET, "bootloader")
    if flash_size_of(boot) != flash_size:
        raise Refused(
            f"the bootloader's header says {size_name(flash_size_of(boot))} and "
            f"esptool did not change it to {size_name(flash_size)}"
        )
    slot = table.ota_slots[0]
    if _image_at(data, slot.offset, slot.end, "application") != firmware.app:
        raise Refused("the composed application reads differently")


def _image_at(data: bytes, start: int, end: int, what: str) -> bytes:
    def read(offset: int, n: int) -> bytes:
        return data[start + offset : start + offset + n]

    try:
        return read(0, image.verify(read, end - start).size)
    except OtaError as e:
        raise Refused(f"the composed {what} is damaged: {e.args[0]}") from e


def _check_files(data: bytes, vfs: Partition, files: dict[str, bytes]) -> None:
    if filesystem.read(data[vfs.offset : vfs.end]) != files:
        raise Refused("the composed file system reads differently")


def _runs(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    # Whole sectors that hold something, as few stretches as there are.
    runs: list[tuple[int, int]] = []
    for at in range(start, end, SECTOR):
        if not data[at : at + SECTOR].strip(b"\xff"):
            continue
        if runs and at - runs[-1][1] <= _RUN * SECTOR:
            runs[-1] = runs[-1][0], at + SECTOR
        else:
            runs.append((at, at + SECTOR))
    return runs


def _blank(table: Table) -> list[tuple[int, int]]:
    # Of the other slots the sector that says whether there is an image. All of vfs: in a block that
    # littlefs has not written yet it would believe an older file system. The application's own
    # partitions stay.
    found = [(slot.offset, SECTOR) for slot in table.ota_slots[1:]]
    for part in table.partitions:
        if part.name in (NVS, VFS) or (part.type == DATA and part.subtype in _BELIEVED):
            found.append((part.offset, part.size))
    return sorted(found)
