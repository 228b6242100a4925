"""Readers of a flash that share no code with `ota_tools`: struct by ESP-IDF's documents, esptool, littlefs.

Source of the table: "Partition Tables" and esp_flash_partitions.h of ESP-IDF.
"""

import hashlib
import struct
import subprocess
import sys

from littlefs import LittleFS


def table(flash):
    """Rows at 0x8000: (name, type, subtype, offset, size), with the MD5 behind them checked."""
    rows, at = [], 0x8000
    while flash[at : at + 2] == b"\xaa\x50":
        kind, subtype, offset, size, name, flags = struct.unpack(
            "<BBII16sI", flash[at + 2 : at + 32]
        )
        assert flags == 0
        rows.append((name.rstrip(b"\0").decode(), kind, subtype, offset, size))
        at += 32
    assert flash[at : at + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert flash[at + 16 : at + 32] == hashlib.md5(flash[0x8000:at]).digest()
    assert flash[at + 32 : 0x9000].strip(b"\xff") == b""
    return rows


def files(data):
    """path -> contents of a littlefs, as MicroPython's VfsLfs2 mounts it."""
    fs = LittleFS(
        block_size=4096, block_count=len(data) // 4096, read_size=32, prog_size=32, mount=False
    )
    fs.context.buffer = bytearray(data)
    fs.mount()
    found = {}
    for root, _, names in fs.walk("/"):
        for name in names:
            path = root.rstrip("/") + "/" + name
            with fs.open(path, "rb") as file:
                found[path] = file.read()
    return found


def image_info(path):
    """What `esptool image-info` says of a file; it must not call anything invalid."""
    command = [sys.executable, "-m", "esptool", "image-info", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("(valid)") == 2 and "nvalid" not in done.stdout, done.stdout
    return done.stdout
