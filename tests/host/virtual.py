"""A virtual board in this process: the model that the VM talks to, called directly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes import make_image

from ota import otadata
from ota.port import Port
from ota_tools.board.folder import create
from ota_tools.board.model import HARD, POWER_ON, BoardReset
from ota_tools.board.settings import Settings
from ota_tools.partitions import parse_csv

STOCK_TABLE = """
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  0x180000
ota_1,    app,  ota_1, 0x190000, 0x180000
vfs,      data, fat,   0x310000, 0xF0000
"""
"""MicroPython's own partitions-4MiB-ota.csv: the table of the measured firmware."""

FACTORY_TABLE = """
nvs,      data, nvs,     0x9000,   0x6000
phy_init, data, phy,     0xf000,   0x1000
factory,  app,  factory, 0x10000,  0x1F0000
vfs,      data, fat,     0x200000, 0x200000
"""

FACTORY_OTA_TABLE = """
nvs,      data, nvs,     0x9000,   0x4000
otadata,  data, ota,     0xd000,   0x2000
phy_init, data, phy,     0xf000,   0x1000
factory,  app,  factory, 0x10000,  0x100000
ota_0,    app,  ota_0,   0x110000, 0x100000
ota_1,    app,  ota_1,   0x210000, 0x100000
vfs,      data, fat,     0x310000, 0xF0000
"""

IMAGE_A = make_image(9000, seed=1)
IMAGE_B = make_image(9000, seed=2)


class Virtual:
    """A board with image A in its first app partition, switched off."""

    def __init__(self, folder: Path, table: str = STOCK_TABLE, **settings: Any) -> None:
        self.board = create(folder, parse_csv(table), 4 << 20, Settings(**settings))
        first = next(p for p in self.board.table.partitions if p.type == 0)
        self.board.flash.load(first.offset, IMAGE_A)
        self.root = folder / "root"
        self.root.mkdir()
        modules = self.board.modules()
        self.esp32 = modules["esp32"]
        self.machine = modules["machine"]

    def power_on(self) -> None:
        self.board.boot(POWER_ON)

    def reset(self, cause: int = HARD) -> None:
        self.board.boot(cause)

    def port(self) -> Port:
        return Port(self.esp32, self.machine, str(self.root))

    def running(self) -> str:
        assert self.board.running is not None
        return self.board.running.name

    def selected(self) -> str:
        return self.esp32.Partition(self.esp32.Partition.BOOT).info()[4]

    def entries(self) -> list[str]:
        return [otadata.describe(entry) for entry in self.board.entries()]

    def raw(self) -> list[str]:
        return [entry.hex() for entry in self.board.entries()]

    def put(self, slot: str, image: bytes) -> None:
        """Write an image as a cable would."""
        part = self.board.table.find(slot)
        assert part is not None
        self.board.flash.load(part.offset, b"\xff" * part.size)
        self.board.flash.load(part.offset, image)

    def flip(self, slot: str, at: int) -> None:
        """Another bit in a slot, behind everybody's back."""
        part = self.board.table.find(slot)
        assert part is not None
        (byte,) = self.board.flash.read(part.offset + at, 1)
        self.board.flash.load(part.offset + at, bytes([byte ^ 1]))

    def set_entries(self, first: bytes, second: bytes) -> None:
        """Both otadata records, behind everybody's back."""
        part = self.board.table.otadata
        assert part is not None
        self.board.flash.load(part.offset, first.ljust(4096, b"\xff"))
        self.board.flash.load(part.offset + 4096, second.ljust(4096, b"\xff"))

    def until_quiet(self, boot: Callable[[], None]) -> int:
        """Run `boot` after each reset that it causes; how many resets there were."""
        for resets in range(10):
            try:
                boot()
                return resets
            except BoardReset as e:
                self.board.boot(e.cause)
        raise AssertionError("resets again and again")


BLANK = b"\xff" * 32
