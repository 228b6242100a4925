"""The ESP-IDF partition table: CSV to rows, rows to the bytes at flash offset 0x8000, and back.

Rule: reading and writing say only what the format is; whether a board can live with the table is
`check`'s business. Every refusal names the row and shows the sum that does not come out.
Source: gen_esp32part.py, esp_flash_partitions.h, flash_partitions.c (ESP-IDF 5.x). Little-endian:

    0   u16  magic AA 50            4   u32  offset in the flash    12  16 B  name, NUL padded
    2   u8   type, 3 u8 subtype     8   u32  size                   28  u32   flags

Then EB EB, 14 times FF, MD5 of the rows before; then FF to the end of 0xC00 bytes.
"""

import hashlib
import re
import struct
from dataclasses import dataclass

from ota_tools.failures import Refused

TABLE_OFFSET = 0x8000
"""Where MicroPython's bootloaders look for the table."""

TABLE_SIZE = 0xC00
"""Bytes that the table takes, of its sector of 4096."""

OTADATA_SIZE = 0x2000
APP, DATA = 0, 1
NVS = "nvs"
"""Name of the partition that settings and the library's journal are in; others are an application's."""

_FIRST_OFFSET = TABLE_OFFSET + 0x1000
_ROW = struct.Struct("<2sBBII16sI")
_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_END = b"\xff" * _ROW.size
_MAX_ROWS = TABLE_SIZE // _ROW.size - 2  # the MD5 and the end marker are rows too
_MAX_NAME = 16
_SECTOR = 0x1000
_ALIGNMENT = {APP: 0x10000}  # of the offset; everything else: a sector

_TYPES = {"app": APP, "data": DATA}
_SUBTYPES = {
    APP: {"factory": 0x00, "test": 0x20} | {f"ota_{n}": 0x10 + n for n in range(16)},
    DATA: {
        "ota": 0x00,
        "phy": 0x01,
        "nvs": 0x02,
        "coredump": 0x03,
        "nvs_keys": 0x04,
        "efuse": 0x05,
        "undefined": 0x06,
        "esphttpd": 0x80,
        "fat": 0x81,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
_FLAGS = {"": 0, "encrypted": 1, "readonly": 2}
_UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}
_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|[0-9]+)([kKmM]?)")


@dataclass(frozen=True)
class Partition:
    """One row; offset and size are bytes in the flash."""

    name: str
    type: int
    subtype: int
    offset: int
    size: int
    encrypted: bool = False
    readonly: bool = False

    @property
    def end(self) -> int:
        """Flash offset of the first byte behind it."""
        return self.offset + self.size


@dataclass(frozen=True)
class Table:
    """A partition table, rows in their own order."""

    partitions: tuple[Partition, ...]

    def find(self, name: str) -> Partition | None:
        """The partition of that name."""
        return next((p for p in self.partitions if p.name == name), None)

    @property
    def ota_slots(self) -> list[Partition]:
        """Application partitions ota_0 to ota_15, by number and not by place or name."""
        slots = [p for p in self.partitions if p.type == APP and 0x10 <= p.subtype <= 0x1F]
        return sorted(slots, key=lambda p: p.subtype)

    @property
    def otadata(self) -> Partition | None:
        """The partition that says which slot boots."""
        return next((p for p in self.partitions if (p.type, p.subtype) == (DATA, 0)), None)


def parse_csv(text: str) -> Table:
    """Read a table in ESP-IDF's CSV: `name, type, subtype, offset, size, flags`.

    Numbers are decimal or 0x, with K or M. An empty offset is the next one aligned for the type;
    a negative size means "up to that address". Raises Refused with the number of the line.
    """
    rows: list[Partition] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        fields = [field.strip() for field in line.split(",")]
        try:
            rows.append(_row(fields, rows[-1].end if rows else _FIRST_OFFSET))
        except ValueError as e:
            raise Refused(f"partition table, line {number} ({fields[0]}): {e}") from None
    return Table(tuple(rows))


def check(table: Table, flash_size: int) -> None:
    """Refuse a table that does not boot, or that an update could not live with.

    Args:
        table: from CSV or from flash.
        flash_size: bytes of the chip.
    """
    last: Partition | None = None
    for part in sorted(table.partitions, key=lambda p: p.offset):
        _check_place(part, flash_size)
        if last and part.offset < last.end:
            raise Refused(
                f"partition {part.name} starts at {part.offset:#x}, inside {last.name}: "
                f"{last.offset:#x} + {last.size:#x} = {last.end:#x}"
            )
        last = part
    names = [p.name for p in table.partitions]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"partition {name}: {names.count(name)} rows bear this name")
    _check_ota(table)
    if "vfs" not in names:
        raise Refused(
            "no partition is named vfs: MicroPython would place its files behind the last one, "
            "and lose them when the table changes"
        )


def to_binary(table: Table) -> bytes:
    """The 0xC00 bytes that belong at flash offset 0x8000. Raises Refused for more than 94 rows."""
    if len(table.partitions) > _MAX_ROWS:
        raise Refused(f"{len(table.partitions)} partitions, room for {_MAX_ROWS}")
    rows = b"".join(_pack(p) for p in table.partitions)
    md5 = hashlib.md5(rows, usedforsecurity=False).digest()
    return (rows + _MD5_MAGIC + md5).ljust(TABLE_SIZE, b"\xff")


def from_binary(data: bytes) -> Table:
    """Read a table from flash; bytes behind its first 0xC00 are not looked at.

    Raises Refused where the bootloader would not take it: magic, MD5, end marker, limits.
    """
    data = data[:TABLE_SIZE]
    rows: list[Partition] = []
    for offset in range(0, len(data) - _ROW.size + 1, _ROW.size):
        row = data[offset : offset + _ROW.size]
        if row.startswith(_MD5_MAGIC):
            _check_end(data, offset)
            return Table(tuple(rows))
        rows.append(_unpack(row, len(rows)))
    raise Refused(f"partition table: no MD5 row in {len(data)} bytes")


def _row(fields: list[str], last_end: int) -> Partition:
    if not 5 <= len(fields) <= 6:
        raise ValueError(
            f"{len(fields)} fields, expected name, type, subtype, offset, size, flags"
        )
    name, type_text, subtype_text, offset_text, size_text = fields[:5]
    if not name or "\0" in name or len(name.encode()) > _MAX_NAME:
        raise ValueError(f"a name has 1 to {_MAX_NAME} bytes, none of them zero")
    kind = _lookup(type_text, _TYPES)
    if not subtype_text and kind == APP:
        raise ValueError("an app needs a subtype")
    subtype = _lookup(subtype_text or "6", _SUBTYPES.get(kind, {}))
    alignment = _ALIGNMENT.get(kind, _SECTOR)
    offset = _number(offset_text) if offset_text else -(-last_end // alignment) * alignment
    size = _number(size_text)
    if size < 0:
        size = -size - offset
    if not (0 <= offset and 0 < size and offset + size <= 1 << 32):
        raise ValueError(f"offset {offset:#x} and size {size:#x} are not a place in a flash")
    flags = fields[5].split(":") if len(fields) == 6 else []
    if not set(flags) <= set(_FLAGS):
        raise ValueError(f"flags {fields[5]!r}, known: encrypted, readonly")
    return Partition(name, kind, subtype, offset, size, "encrypted" in flags, "readonly" in flags)


def _lookup(text: str, names: dict[str, int]) -> int:
    value = names[text] if text in names else _number(text, f", known: {', '.join(names)}")
    if not 0 <= value <= 0xFE:
        raise ValueError(f"{text} is not in 0 to 0xfe")
    return value


def _number(text: str, known: str = "") -> int:
    found = _NUMBER.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a number{known}")
    sign, digits, unit = found.groups()
    value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10) * _UNITS[unit.upper()]
    return -value if sign else value


def _check_place(part: Partition, flash_size: int) -> None:
    alignment = _ALIGNMENT.get(part.type, _SECTOR)
    if part.offset < _FIRST_OFFSET:
        raise Refused(
            f"partition {part.name} starts at {part.offset:#x}, before the end of the table: "
            f"{TABLE_OFFSET:#x} + {_SECTOR:#x} = {_FIRST_OFFSET:#x}"
        )
    for what, value, unit in (("offset", part.offset, alignment), ("size", part.size, _SECTOR)):
        if value % unit:
            raise Refused(
                f"partition {part.name}: {what} {value:#x} is not a multiple of {unit:#x}, "
                f"{value % unit:#x} too many"
            )
    if part.end > flash_size:
        raise Refused(
            f"partition {part.name} ends behind the flash: "
            f"{part.offset:#x} + {part.size:#x} = {part.end:#x}, flash {flash_size:#x}"
        )


def _check_ota(table: Table) -> None:
    otadata = [p for p in table.partitions if (p.type, p.subtype) == (DATA, 0)]
    if len(otadata) > 1:
        raise Refused(f"partition {otadata[1].name}: {otadata[0].name} is the otadata already")
    if table.ota_slots and not otadata:
        raise Refused(f"partition {table.ota_slots[0].name}: no otadata (data, ota) in the table")
    for part in otadata:
        if part.size != OTADATA_SIZE or part.readonly:
            raise Refused(
                f"partition {part.name}: otadata is {OTADATA_SIZE:#x} bytes and writable, "
                f"got {part.size:#x}{' readonly' if part.readonly else ''}"
            )
    for index, part in enumerate(table.ota_slots):
        if part.subtype != 0x10 + index:
            raise Refused(
                f"partition {part.name} is ota_{part.subtype - 0x10}, expected ota_{index}: "
                "slots count from 0 without a gap, each once"
            )


def _pack(part: Partition) -> bytes:
    flags = _FLAGS["encrypted"] * part.encrypted | _FLAGS["readonly"] * part.readonly
    name = part.name.encode()
    return _ROW.pack(_MAGIC, part.type, part.subtype, part.offset, part.size, name, flags)


def _unpack(row: bytes, index: int) -> Partition:
    magic, kind, subtype, offset, size, label, flags = _ROW.unpack(row)
    if magic != _MAGIC:
        raise Refused(f"partition table, row {index}: magic {magic.hex()}, expected aa50")
    if flags & ~3:
        raise Refused(f"partition table, row {index}: unknown flags {flags:#x}")
    try:
        name = label.split(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise Refused(f"partition table, row {index}: the name is not UTF-8") from None
    return Partition(name, kind, subtype, offset, size, bool(flags & 1), bool(flags & 2))


def _check_end(data: bytes, offset: int) -> None:
    stored = data[offset + len(_MD5_MAGIC) : offset + _ROW.size]
    computed = hashlib.md5(data[:offset], usedforsecurity=False).digest()
    if stored != computed:
        raise Refused(f"partition table: MD5 {stored.hex()}, computed {computed.hex()}")
    if data[offset + _ROW.size : offset + 2 * _ROW.size] != _END:
        raise Refused("partition table: no end marker behind the MD5")
