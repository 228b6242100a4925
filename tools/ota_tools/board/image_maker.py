"""Images for the virtual board: real ESP32 application images that carry Python in a ROMFS.

esptool writes headers, checksum and SHA-256; mpremote writes the ROMFS. The first segment holds the
application descriptor, then the ROMFS; the second is filler in the place of the firmware's code.
Stock firmware has no ROMFS: it stands for modules that are frozen into the image.
"""

import random
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from esptool.bin_image import ELFSection, ESP32FirmwareImage
from mpremote.romfs import VfsRomWriter

from ota import image

DESCRIPTOR_SIZE = 256
_DROM = 0x3F400020
_IROM = 0x400D0020


def make_image(modules: dict[str, bytes], size: int, seed: str) -> bytes:
    """An app image for the ESP32 of about `size` bytes.

    Args:
        modules: path (`app.py`, `ota/slot.py`) -> contents of the ROMFS.
        size: bytes; the filler is as long as is missing.
        seed: equal seeds give equal fillers.
    """
    data = _descriptor() + make_romfs(modules)
    data += bytes(-len(data) % 4)
    filler = random.Random(seed).randbytes(max(4, (size - len(data)) // 4 * 4))  # noqa: S311
    return _save(
        [
            ELFSection(b".flash.rodata", _DROM, data, 0),
            ELFSection(b".flash.text", _IROM, filler, 0),
        ]
    )


def make_small_image(size: int, seed: str) -> bytes:
    """An app image of exactly `size` bytes, a multiple of 16 from 400 on, in one segment: nothing in
    it runs. Two segments would lie 64 KiB apart.
    """
    # header 24, its segment's 8, padding with the checksum 16, SHA-256 32
    filler = random.Random(seed).randbytes(size - 80 - DESCRIPTOR_SIZE)  # noqa: S311
    return _save([ELFSection(b".flash.rodata", _DROM, _descriptor() + filler, 0)])


def _save(segments: list[ELFSection]) -> bytes:
    app = ESP32FirmwareImage()
    app.entrypoint = _IROM
    app.segments = segments
    with TemporaryDirectory() as folder:
        path = Path(folder) / "app.bin"
        app.save(str(path))
        return path.read_bytes()


def make_romfs(modules: dict[str, bytes]) -> bytes:
    """A ROMFS with these files, folders one level deep."""
    writer = VfsRomWriter()
    folders = sorted({name.split("/")[0] for name in modules if "/" in name})
    for folder in folders:
        writer.opendir(folder)
        for name in sorted(n for n in modules if n.startswith(folder + "/")):
            writer.mkfile(name.split("/")[1], modules[name])
        writer.closedir()
    for name in sorted(n for n in modules if "/" not in n):
        writer.mkfile(name, modules[name])
    return bytes(writer.finalise())


def library_modules(folder: Path) -> dict[str, bytes]:
    """The files of lib/ota as they go into an image."""
    return {f"ota/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}


def find_romfs(data: bytes) -> bytes:
    """The ROMFS inside an image, b"" where there is none."""
    info = image.inspect(lambda offset, n: data[offset : offset + n], len(data))
    offset, _, length = info.segments[0]
    found = data[offset + DESCRIPTOR_SIZE : offset + length]
    return found if found.startswith(VfsRomWriter.ROMFS_HEADER) else b""


def _descriptor() -> bytes:
    # esp_app_desc_t; MicroPython's builds leave version and project name without meaning, too.
    head = struct.pack("<II8s", image.DESCRIPTOR, 0, b"")
    texts = struct.pack("<32s32s16s16s32s", b"", b"virtual board", b"", b"", b"none")
    return (head + texts).ljust(DESCRIPTOR_SIZE, b"\x00")
