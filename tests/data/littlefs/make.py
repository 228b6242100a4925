"""Makes the images of this folder with littlefs-python 0.19, and what they hold as contents.json.

They are committed; run it only to replace all of them. Our code takes no part.
"""

import hashlib
import json
from pathlib import Path

from littlefs import LittleFS

HERE = Path(__file__).parent
BLOCKS = 20  # of 4096 bytes
DISK_VERSIONS = {"2.0": 0x00020000, "2.1": 0x00020001}


def data(n: int, seed: int) -> bytes:
    """Bytes that do not repeat with the size of a block."""
    return bytes((at * 7 + at // 251 + seed) % 256 for at in range(n))


def fill(fs: LittleFS) -> dict[str, bytes]:
    """Files of every kind, also with a history; what is there in the end."""
    files = {
        "/main.py": b"import ota\n",
        "/empty": b"",
        "/log": b"",
        "/inline.bin": data(300, 1),
        "/block.bin": data(4096, 2),
        "/blocks.bin": data(9001, 3),
        "/a/b/c/deep.txt": b"deep",
        "/" + "n" * 255: b"longest name",
    }
    for path, content in files.items():
        fs.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
        with fs.open(path, "wb") as file:
            file.write(content)
    with fs.open("/gone", "wb") as file:
        file.write(data(5000, 4))
    fs.remove("/gone")
    with fs.open("/store.new", "wb") as file:
        file.write(b"number 2")
    fs.rename("/store.new", "/main.py")  # over a file that is there
    for _ in range(40):
        with fs.open("/log", "ab") as file:
            file.write(b"one line more\n")
    return {**files, "/main.py": b"number 2", "/log": b"one line more\n" * 40}


def main() -> None:
    """Write all files of this folder."""
    for name, disk_version in DISK_VERSIONS.items():
        fs = LittleFS(
            block_size=4096,
            block_count=BLOCKS,
            read_size=32,
            prog_size=32,
            disk_version=disk_version,
        )
        files = fill(fs)
        (HERE / f"{name}.img").write_bytes(fs.context.buffer)
    told = {path: [len(c), hashlib.sha256(c).hexdigest()] for path, c in sorted(files.items())}
    (HERE / "contents.json").write_text(json.dumps(told, indent=0) + "\n")


if __name__ == "__main__":
    main()
