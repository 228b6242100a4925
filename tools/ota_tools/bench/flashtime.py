"""Goal 5: modelled flash time of an update, on the virtual board in this process.

The library runs under CPython against the board's model, which lists every erase and program with
its data-sheet duration (ota_tools.board.flash). Nothing here is a measured time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ota.config import load_config
from ota.port import Port
from ota.updater import Updater
from ota_tools.bench.context import IMAGE, Bench
from ota_tools.bench.job import make_image, reseal
from ota_tools.bench.result import Result
from ota_tools.bench.vm import SCRIPTS
from ota_tools.board.flash import SECTOR, Operation
from ota_tools.board.folder import create
from ota_tools.board.settings import Settings
from ota_tools.partitions import parse_csv
from ota_tools.resources import load_script

READ_MS_PER_SECTOR = 1.0
"""performance.md section 1: reading 4 KiB costs about 1 ms; shown beside, not in the goal."""

_TABLE = """
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  0x180000
ota_1,    app,  ota_1, 0x190000, 0x180000
vfs,      data, fat,   0x310000, 0xF0000
"""

WIDE, BORROWED = 110592, 28672
"""Bytes of the largest free piece of the ESP-IDF heap: room for TLS beside a 64 KiB buffer, or not."""


@dataclass(frozen=True)
class Flashed:
    """What one download did to the slot: operations, their modelled time, sectors read."""

    operations: list[Operation]
    reads: int

    @property
    def ms(self) -> float:
        """Erases and programs."""
        return sum(operation.ms for operation in self.operations)

    def of(self, kind: str, size: int = 0) -> int:
        """Operations of a kind, of one size where it is given."""
        return sum(o.kind == kind and size in (0, o.size) for o in self.operations)


def baseline_ms(size: int) -> float:
    """Every 4 KiB sector erased and programmed one by one."""
    each = Operation("erase", 0, SECTOR).ms + Operation("program", 0, SECTOR).ms
    return size / SECTOR * each


def download(bench: Bench, held: str, largest: int = BORROWED) -> Flashed:
    """One download of the standard image into a slot that holds `blank`, `other`, `same`, `near`,
    `cut` (the first half was written, then the download was cancelled).

    Args:
        largest: `WIDE` or `BORROWED`.
    """
    return bench.fact(f"flash {held} {largest}", lambda: _download(bench, held, largest))  # type: ignore[no-any-return]


def _download(bench: Bench, held: str, largest: int) -> Flashed:
    published = bench.workshop.publish(IMAGE)
    folder = bench.folder / f"board-{held}-{largest}"
    board = create(folder, parse_csv(_TABLE), 4 << 20, Settings(idf_largest=largest))
    try:
        board.flash.load(0x10000, make_image(8192, 9))
        contents: dict[str, Callable[[], bytes]] = {
            "blank": lambda: b"",
            "cut": lambda: make_image(IMAGE, 2),
            "other": lambda: make_image(IMAGE, 2),
            "same": lambda: published.image,
            "near": lambda: near(published.image),
        }
        board.flash.load(0x190000, contents[held]())
        board.boot()
        modules = board.modules()
        port = Port(modules["esp32"], modules["machine"], str(bench.workshop.root(1)))
        # From the published folder: the network is not what is looked at.
        network = load_script(SCRIPTS / "wire.py").Files(str(published.folder))
        updater = Updater(load_config(port.path("/ota.json")), port, network)
        release = updater.check()
        assert release is not None
        if held == "cut":
            _cut(updater, release)
        del board.flash.operations[:]
        reads = _count_reads(board.flash)
        updater.download(release)
        part = board.table.find("ota_1")
        assert part is not None
        inside = [o for o in board.flash.operations if o.address >= part.offset]
        return Flashed(inside, reads[0] // SECTOR)
    finally:
        board.close()


def near(image: bytes) -> bytes:
    """An image that differs from `image` in one run of a tenth of its bytes."""
    start, size = len(image) // 2, len(image) // 10 // 16 * 16
    changed = bytes(byte ^ 0x55 for byte in image[start : start + size])
    return reseal(image[:start] + changed + image[start + size :])


def _cut(updater: Updater, release: Any) -> None:
    from ota.errors import SlotError

    try:
        updater.download(release, lambda done, total: done < total // 2)
    except SlotError as e:
        if e.code != "cancelled":
            raise


def _count_reads(flash: Any) -> list[int]:
    # Bytes read from the slot that is written; the model itself does not count reads.
    counted = [0]
    read = flash.read

    def counting(address: int, size: int) -> bytes:
        if address >= 0x190000 and address < 0x310000:
            counted[0] += size
        return read(address, size)  # type: ignore[no-any-return]

    flash.read = counting
    return counted


def reads_of_full_image(bench: Bench) -> float:
    """How often each sector of the image is read in a download into a blank slot."""
    return download(bench, "blank").reads * SECTOR / IMAGE


def measure(bench: Bench) -> Result:
    """Goal 5."""
    bench.say("modelled flash time on the virtual board")
    base = baseline_ms(IMAGE)
    details: dict[str, Any] = {"ms 4 KiB writes": base}
    for held in ("blank", "other", "near", "same"):
        done = download(bench, held)
        details |= _described(held, done, base)
    same = download(bench, "same")
    unchanged = same.ms / base
    large, borrowed = (download(bench, "other", size) for size in (WIDE, BORROWED))
    details |= _described("64 KiB buffer", large, base)
    details |= _described("64 KiB borrowed", borrowed, base)
    ratios = (large.ms / base, borrowed.ms / base, unchanged)
    met = ratios[0] <= 0.4 and ratios[1] <= 0.6 and ratios[2] <= 0.1
    note = (
        f"64 KiB buffer {ratios[0]:.3f} (limit 0.4), 64 KiB borrowed for erasing {ratios[1]:.3f}"
        f" (limit 0.6), unchanged image {ratios[2]:.3f} (limit 0.1)."
    )
    return Result(base, large.ms, ratios[0], met, note, 0.0, details)


def _described(name: str, done: Flashed, base: float) -> dict[str, Any]:
    return {
        f"ratio {name}": round(done.ms / base, 4),
        f"ms {name}": round(done.ms, 1),
        f"erases {name}": done.of("erase"),
        f"programs {name}": done.of("program"),
        f"read ms {name}": done.reads * READ_MS_PER_SECTOR,
    }
