"""From whatever a MicroPython build leaves behind to its parts: bootloader, table, application.

Rule: what comes out was walked, checked, and is as long as the image itself; everything else is
refused under its own name. The walk is `ota.image`, the code that the board runs.
"""

from typing import NamedTuple

from ota import image
from ota.errors import OtaError
from ota_tools import partitions
from ota_tools.failures import Refused


class Chip(NamedTuple):
    """Chip id in the image header, and where in the flash the bootloader lies."""

    id: int
    bootloader_offset: int


# Source: IMAGE_CHIP_ID and BOOTLOADER_FLASH_OFFSET of esptool 5.6.0; a test compares them.
CHIPS = {
    "esp32": Chip(0, 0x1000),
    "esp32s2": Chip(2, 0x1000),
    "esp32c3": Chip(5, 0),
    "esp32s3": Chip(9, 0),
    "esp32c2": Chip(12, 0),
    "esp32c6": Chip(13, 0),
    "esp32h2": Chip(16, 0),
    "esp32p4": Chip(18, 0x2000),
    "esp32c61": Chip(20, 0),
    "esp32c5": Chip(23, 0x2000),
    "esp32h21": Chip(25, 0),
    "esp32h4": Chip(28, 0x2000),
}


class Firmware(NamedTuple):
    """The parts of a file, each exactly as long as its own headers say.

    Attributes:
        chip: `esp32s3`; one of `CHIPS`.
        app: the application image.
        bootloader: b"" where the file is an application alone.
        table: None where the file is an application alone.
        others: names of the other partitions that the file has something for.
    """

    chip: str
    app: bytes
    bootloader: bytes = b""
    table: partitions.Table | None = None
    others: tuple[str, ...] = ()


# What users hand in by mistake, by its first bytes.
_KNOWN = {
    b"UF2\n": "a UF2 file: take the micropython.bin of the same build",
    b"\x7fELF": "an ELF file: take the micropython.bin of the same build",
    b"\xaa\x50": "a partition table",
    b"\x1f\x8b": "a gzip file: unpack it first",
    b"PK\x03\x04": "a zip file: unpack it first",
}
_APP_MAGIC = bytes.fromhex("3254cdab")  # 0xABCD5432, the descriptor of an application
_APP_MAGIC_AT = 32
_SIGNATURE_BLOCK = b"\xe7\x02"  # ets_secure_boot_sig_block_t: magic and version
_SECTOR = 4096


def chip_name(chip_id: int) -> str:
    """`esp32s3` for 9; `chip id 77` where nobody knows the chip."""
    return next((name for name, chip in CHIPS.items() if chip.id == chip_id), f"chip id {chip_id}")


def app_image(data: bytes) -> bytes:
    """The application image in `data`, exactly as long as its own headers say.

    Args:
        data: a micropython.bin, blank flash (0xFF) behind it allowed, or a merged firmware.bin
            that starts at the bootloader or at flash offset 0. Of a merged file it is the
            application with the lowest flash offset.
    Raises Refused, saying what it is instead.
    """
    if _starts_app(data):
        app = _verified(data, "the image")
        _check_rest(data, len(app))
        return app
    return _app_of(data, *_merged(data))


def parse(data: bytes) -> Firmware:
    """Every part of a micropython.bin or of a merged firmware.bin.

    Raises Refused, naming the part that is missing, damaged or for another chip.
    """
    if _starts_app(data):
        app = app_image(data)
        return Firmware(chip_of(app), app)
    table, start = _merged(data)
    app = _app_of(data, table, start)
    chip = chip_of(app)
    at = CHIPS[chip].bootloader_offset - start
    if at < 0:
        raise Refused(
            f"a merged firmware that starts at flash offset {start:#x}, the bootloader of {chip} "
            f"lies at {CHIPS[chip].bootloader_offset:#x}"
        )
    region = data[at : partitions.TABLE_OFFSET - start]
    return Firmware(
        chip, app, _bootloader(region, chip), table, tuple(_others(data, table, start))
    )


def bootloader_image(data: bytes, chip: str) -> bytes:
    """The bootloader for `chip` in a bootloader.bin, or in a merged firmware.bin. Raises Refused."""
    if _starts_app(data):
        raise Refused("an application, not a bootloader")
    if len(data) > partitions.TABLE_OFFSET - CHIPS[chip].bootloader_offset:
        found = parse(data)
        if found.chip != chip:
            raise Refused(f"a bootloader for {found.chip}, the application is for {chip}")
        return found.bootloader
    return _bootloader(data, chip)


def chip_of(app: bytes) -> str:
    """Name of the chip that a verified image is for. Raises Refused where nobody knows it."""
    found = chip_name(int.from_bytes(app[12:14], "little"))
    if found not in CHIPS:
        raise Refused(f"an image for {found}; known are {', '.join(CHIPS)}")
    return found


def _bootloader(region: bytes, chip: str) -> bytes:
    if region[:1] != b"\xe9":
        raise Refused(f"no bootloader: {_describe(region)}")
    found = _verified(region, "the bootloader")
    if found[12:14] != CHIPS[chip].id.to_bytes(2, "little"):
        other = chip_name(int.from_bytes(found[12:14], "little"))
        raise Refused(f"a bootloader for {other}, the application is for {chip}")
    if _starts_app(found):
        raise Refused("an application in the place of the bootloader")
    if region[len(found) :].strip(b"\xff"):
        raise Refused(
            f"something follows the bootloader of {len(found)} bytes: a signature of Secure Boot, "
            "which MicroPython's builds do not have, or another file"
        )
    return found


def _app_of(data: bytes, table: partitions.Table, start: int) -> bytes:
    part = _app_part(table)
    slot = data[part.offset - start : part.end - start]
    if not slot:
        raise Refused(
            f"a merged firmware that is truncated: {part.name} starts at {part.offset - start:#x}, "
            f"the file ends at {len(data):#x}"
        )
    if not _starts_app(slot):
        raise Refused(
            f"a merged firmware without an application in {part.name}: {_describe(slot)}"
        )
    return _verified(slot, f"{part.name} in the merged firmware")


def _others(data: bytes, table: partitions.Table, start: int) -> list[str]:
    taken = _app_part(table)
    return [
        part.name
        for part in table.partitions
        if part != taken and data[part.offset - start : part.end - start].strip(b"\xff")
    ]


def _app_part(table: partitions.Table) -> partitions.Partition:
    apps = [p for p in table.partitions if p.type == partitions.APP]
    if not apps:
        raise Refused("a merged firmware whose partition table has no application")
    return min(apps, key=lambda p: p.offset)


def _starts_app(data: bytes) -> bool:
    return data[:1] == b"\xe9" and data[_APP_MAGIC_AT:].startswith(_APP_MAGIC)


def _merged(data: bytes) -> tuple[partitions.Table, int]:
    # The table of a merged file, and the flash offset of the file's first byte.
    damage = ""
    for start in sorted({chip.bootloader_offset for chip in CHIPS.values()}):
        found = data[partitions.TABLE_OFFSET - start :][: partitions.TABLE_SIZE]
        try:
            return partitions.from_binary(found), start
        except Refused as e:
            if found.startswith(b"\xaa\x50"):
                damage = str(e)
    if damage:
        raise Refused(f"a merged firmware that is truncated or damaged: {damage}")
    raise Refused(f"not an application image: {_describe(data)}")


def _verified(data: bytes, what: str) -> bytes:
    def read(offset: int, n: int) -> bytes:
        return data[offset : offset + n]

    try:
        return data[: image.verify(read, len(data)).size]
    except OtaError as e:
        raise Refused(f"{what} is truncated or damaged: {e.args[0]}") from None


def _check_rest(data: bytes, size: int) -> None:
    rest = data[size:]
    if not rest.strip(b"\xff"):
        return
    if data[-(-size // _SECTOR) * _SECTOR :].startswith(_SIGNATURE_BLOCK):
        raise Refused(
            f"a Secure Boot signature follows the image of {size} bytes: take the unsigned build"
        )
    raise Refused(
        f"{len(rest)} bytes follow the image of {size}, and not blank flash: "
        "another file was appended, or the wrong one was read"
    )


def _describe(data: bytes) -> str:
    if not data:
        return "an empty file"
    if not data.strip(b"\xff"):
        return "blank flash"
    if data[:1] == b"\xe9":
        if len(data) < _APP_MAGIC_AT + len(_APP_MAGIC):
            return f"truncated after {len(data)} bytes"
        if len(data) > partitions.TABLE_OFFSET:
            return "a merged firmware without a partition table at 0x8000"
        return "a bootloader image, or a merged firmware that ends before its partition table"
    known = [what for magic, what in _KNOWN.items() if data.startswith(magic)]
    return known[0] if known else f"starts with {data[:4].hex(' ')}, expected e9"
