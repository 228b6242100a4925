"""SYNTHETIC firmware: files shaped like MicroPython's releases, with nothing in them that a chip could run.

esptool's image classes write headers, checksums and digests, its merge_bin the merged file; the descriptors
are by esp_app_desc.h and esp_bootloader_desc.h. A board flashed with one of these would not start.
"""

import random
import struct

import esptool
from esptool.bin_image import ELFSection
from esptool.logger import log
from esptool.targets import CHIP_DEFS

from ota_tools.board.image_maker import make_romfs
from ota_tools.partitions import parse_csv, to_binary

CHIPS = ("esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6")
"""Chips that it can be made for."""

RAM = {  # of data and of code, as esptool's memory maps have them
    "esp32": (0x3FFF0000, 0x40080000),
    "esp32s2": (0x3FFE0000, 0x40030000),
    "esp32s3": (0x3FCD0000, 0x40380000),
    "esp32c3": (0x3FCD0000, 0x40380000),
    "esp32c6": (0x40860000, 0x40868000),
}
IDF = "v5.2.2"

STOCK = """
nvs,      data, nvs,     0x9000,   0x6000
phy_init, data, phy,     0xf000,   0x1000
factory,  app,  factory, 0x10000,  0x1F0000
vfs,      data, fat,     0x200000, 0x200000
"""
"""The table of a stock build for 4 MB, up to MicroPython 1.25."""


def app(
    chip: str = "esp32",
    modules: dict[str, bytes] | None = None,
    size: int = 200_000,
    version: str = "1.25.0",
    idf: str = IDF,
    seed: str = "app",
) -> bytes:
    """An application that says which MicroPython it is.

    Args:
        modules: of its ROMFS, path -> contents: these run on the virtual board. None: no ROMFS.
        size: bytes, about.
        version: of MicroPython; "": it says nothing.
        idf: text of the descriptor.
        seed: equal seeds give equal fillers.
    """
    texts = struct.pack("<32s32s16s16s32s", b"", b"SYNTHETIC", b"", b"", idf.encode())
    first = (struct.pack("<II8s", 0xABCD5432, 0, b"") + texts).ljust(256, b"\0")
    first += make_romfs(modules or {}) if modules is not None else b""
    banner = f"MicroPython v{version} on 2025-04-15\0".encode() if version else b""
    first += bytes(-len(first) % 4)
    second = banner.ljust(64, b"\0")
    second += random.Random(seed).randbytes(  # noqa: S311
        max(4, size - len(first) - len(second)) // 4 * 4
    )
    rom = CHIP_DEFS[chip]
    drom, irom = rom.DROM_MAP_START + 0x20, rom.IROM_MAP_START + 0x20
    if drom // 0x10000 == irom // 0x10000:
        irom += 0x200000
    return _image(
        chip,
        irom,
        ELFSection(b".flash.appdesc", drom, first, 0),
        ELFSection(b".flash.text", irom, second, 0),
    )


def bootloader(
    chip: str = "esp32", idf: str = IDF, flash_size: str = "4MB", seed: str = "bootloader"
) -> bytes:
    """A bootloader, with its descriptor where an ESP-IDF is named."""
    dram, iram = RAM[chip]
    noise = random.Random(seed)  # noqa: S311
    head = struct.pack("<B3xI32s24s16x", 0x50, 1, idf.encode(), b"Nov 29 2024") if idf else b""
    first = ELFSection(b".dram0.bootdesc", dram, head + noise.randbytes(400), 0)
    code = ELFSection(b".iram.text", iram, noise.randbytes(6000), 0)
    return _image(chip, iram, first, code, flash_size=flash_size)


def merged(chip: str = "esp32", table: str = STOCK, whole: bool = False, **parts: bytes) -> bytes:
    """A firmware.bin as MicroPython publishes it: from the bootloader on, or from flash offset 0.

    Args:
        whole: begins at flash offset 0.
        parts: `app` and `bootloader` other than the default ones.
    """
    start = CHIP_DEFS[chip].BOOTLOADER_FLASH_OFFSET
    places = [
        (start, parts.get("bootloader") or bootloader(chip)),
        (0x8000, to_binary(parse_csv(table))),
        (0x10000, parts.get("app") or app(chip)),
    ]
    log.set_verbosity("silent")
    made: bytes = esptool.merge_bin(places, chip, target_offset=0 if whole else start)
    return made


def _image(chip: str, entry: int, *sections: ELFSection, flash_size: str = "4MB") -> bytes:
    image = CHIP_DEFS[chip].BOOTLOADER_IMAGE()
    image.entrypoint = entry
    image.flash_size_freq = image.ROM_LOADER.parse_flash_size_arg(flash_size)
    image.flash_mode = 2
    image.max_rev_full = 0xFFFF
    image.segments = list(sections)
    made: bytes = image.save(None)
    return made
