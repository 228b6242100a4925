"""Judges a board from outside: the flash file after the power has gone, and nothing else.

Neither the updater nor what it says takes part; of lib/ota only otadata records and the image walk
are read, by the model of the bootloader.
"""

import hashlib
import tempfile
from pathlib import Path

from ota_tools.board import bootloader
from ota_tools.board.flash import Flash
from ota_tools.partitions import TABLE_OFFSET, TABLE_SIZE, Table, from_binary


class Judge:
    """The flash file of a board that has no power: facts, read without the library's updater."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "flash.bin"
        self._flash = self._path.read_bytes()
        self.table: Table = from_binary(self._flash[TABLE_OFFSET : TABLE_OFFSET + TABLE_SIZE])

    def boots(self) -> str:
        """Name of the slot that the bootloader picks, tried on a copy of the flash."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "flash.bin"
            copy.write_bytes(self._flash)
            flash = Flash.open(copy)
            chosen = bootloader.boot(flash, self.table, 0).partition
            flash.close()
        return chosen.name if chosen else "nothing"

    def sha256(self, name: str, size: int) -> str:
        """SHA-256 of the first `size` bytes of a partition, in hex."""
        return hashlib.sha256(self.read(name, size)).hexdigest()

    def read(self, name: str, size: int) -> bytes:
        """The first `size` bytes of a partition."""
        part = self.table.find(name)
        assert part is not None
        return self._flash[part.offset : part.offset + size]

    def otadata(self) -> tuple[str, str]:
        """Both records, in hex."""
        part = self.table.otadata
        assert part is not None
        first = self._flash[part.offset : part.offset + 32]
        second = self._flash[part.offset + 4096 : part.offset + 4096 + 32]
        return first.hex(), second.hex()
