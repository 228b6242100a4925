"""The flash chip: a file with the rules of NOR, counted, timed, and cut where a test says so.

An erase sets 4096 or 65536 bytes to 0xFF, a program only clears bits. ESP-IDF erases 64 KiB where
that much is asked for from an aligned address, else 4 KiB, nothing between (esp_flash_erase_region).
Strict mode is harsher than the chip: programming a byte that is not blank is an error. One thing is
let through, clearing a field to zero: it gives zeros whatever was there, and otadata records are
made invalid by it.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 4096
BLOCK = 65536

TIMES = {
    # kind, bytes: milliseconds, typical values of the data sheets of 4 MB chips on ESP32 modules.
    ("erase", SECTOR): 45.0,
    ("erase", BLOCK): 150.0,
    ("program", 1024): 2.5,
}
"""All that ESP-IDF does to flash: it erases 64 KiB where that much is asked for in one call from an
aligned address, else 4 KiB, nothing between (esp_flash_erase_region); it programs any length.
"""


class PowerCut(BaseException):
    """The supply is gone. Not an Exception: nothing in the code under test may catch it."""


class StrictError(AssertionError):
    """Something that real flash would take, and that no code of ours may do."""


@dataclass(frozen=True)
class Operation:
    """One erase or program: kind `erase` or `program`, byte address, length in bytes; `data` is what
    was to be programmed.
    """

    kind: str
    address: int
    size: int
    data: bytes = field(default=b"", repr=False, compare=False)

    @property
    def ms(self) -> float:
        """Modelled duration."""
        if self.kind == "program":
            return TIMES["program", 1024] * self.size / 1024
        return TIMES["erase", self.size]


class Flash:
    """A NOR flash in a file or in memory.

    Attributes:
        bytes: the contents; whoever writes there does what no cable could.
        size: bytes.
        operations: every erase and program since the object was made.
        cut_before: called with each operation before it happens; True cuts the power half-way.
        strict: see above.
    """

    def __init__(self, contents: bytearray | mmap.mmap, strict: bool = True) -> None:
        self.bytes = contents
        self.size = len(contents)
        self.operations: list[Operation] = []
        self.cut_before: Callable[[Operation], bool] | None = None
        self.strict = strict

    @classmethod
    def open(cls, path: Path, strict: bool = True) -> "Flash":
        """The one in a file, which is changed with it."""
        with path.open("r+b") as file:
            return cls(mmap.mmap(file.fileno(), 0), strict)

    @staticmethod
    def create(path: Path, size: int) -> None:
        """A blank chip."""
        path.write_bytes(b"\xff" * size)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        return bytes(self.bytes[address : address + size])

    def erase(self, address: int, size: int) -> None:
        """Erase whole sectors; both numbers are multiples of 4096."""
        end = address + size
        while address < end:
            step = BLOCK if address % BLOCK == 0 and end - address >= BLOCK else SECTOR
            blank = b"\xff" * step
            if self._note(Operation("erase", address, step)):
                self.bytes[address : address + step // 2] = blank[: step // 2]
                raise PowerCut
            self.bytes[address : address + step] = blank
            address += step

    def program(self, address: int, data: bytes, strict: bool = True) -> None:
        """Clear the bits that are 0 in `data`. `strict`: as strictly as the chip is."""
        old = self.bytes[address : address + len(data)]
        if strict and self.strict and any(data) and old.count(0xFF) < len(old):
            for at, (before, wanted) in enumerate(zip(old, data, strict=True)):
                if before != 0xFF and wanted != 0xFF:
                    raise StrictError(f"byte {address + at:#x} is programmed a second time")
        merged = int.from_bytes(old, "little") & int.from_bytes(data, "little")
        fresh = merged.to_bytes(len(data), "little")
        if self._note(Operation("program", address, len(data), bytes(data))):
            half = len(data) // 2
            self.bytes[address : address + half] = fresh[:half]
            raise PowerCut
        self.bytes[address : address + len(data)] = fresh

    def load(self, address: int, data: bytes) -> None:
        """Write as a cable would, erasing first; not counted."""
        self.bytes[address : address + len(data)] = data

    def close(self) -> None:
        """Give the file back."""
        if isinstance(self.bytes, mmap.mmap):
            self.bytes.close()

    def _note(self, operation: Operation) -> bool:
        cut = self.cut_before is not None and self.cut_before(operation)
        self.operations.append(operation)
        return cut
