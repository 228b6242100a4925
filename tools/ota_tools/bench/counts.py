"""Goals 2, 3: instructions and heap of moving an image, exact, on the 32-bit VM.

Both are slopes over the image size, so that what happens once for an image is left out.

A count is exact, and yet a new name anywhere can change it by some percent: the VM finds names by way
of a small cache whose places go by the numbers of the interned names, and two that are looked up in
turn may share one. So each count is the median over several numberings.
"""

import itertools
import statistics

from ota_tools.bench import flashtime
from ota_tools.bench.context import KIB, LARGE_BUFFER, SMALL_BUFFER, Bench, printed
from ota_tools.bench.result import Result
from ota_tools.bench.variants import SECTOR, VARIANTS, peer_off

_SHIFTS, _QUICK_SHIFTS = (0, 1, 2, 3, 5, 7, 11), (0, 3, 7)
"""How many names are interned before all others."""


def instructions(bench: Bench) -> Result:
    """Goal 2."""
    counts: dict[str, float] = bench.fact("instructions", lambda: count_all(bench))
    ratio = counts["ours"] / counts["ceiling+back"]
    off = peer_off("instructions", (counts["peer+back"], counts["peer"]))
    # A slot that holds the image is read twice: the look before, the proof after, nothing between.
    looking = bench.fact("looking", lambda: count(bench, "ours", "same"))
    proof = looking / 2
    counts = {**counts, "ours, slot same image": looking}
    details = {f"Ir {name}": round(value) for name, value in counts.items()}
    least, most = bench.facts["instructions ours blank"]
    note = (
        f"{off}own instructions of the VM per 4 KiB, slope over the image size: ours"
        f" {counts['ours']:.0f} ({least:.0f} to {most:.0f}, by the numbers of interned names),"
        f" ceiling with read-back {counts['ceiling+back']:.0f}, without"
        f" {counts['ceiling']:.0f} (known: 13.3 k, 7.7 k). Of ours {proof:.0f} are the read-back (the"
        f" ceiling's {counts['ceiling+back'] - counts['ceiling']:.0f}), {counts['ours'] - proof:.0f}"
        f" are receiving, comparing and writing; a slot that holds the image costs {looking:.0f}, for"
        f" two looks at it. On a blank slot the library reads each sector {flashtime.reads_of_full_image(bench):.2f}"
        " times: what differs is erased and programmed, what matches is left alone, and a read of 1 ms"
        " is the price of an erase of 45 ms that is not needed."
    )
    met = None if off else ratio <= 1.5
    return Result(counts["ceiling+back"], counts["ours"], ratio, met, note, 0.0, details)


def growth(bench: Bench) -> Result:
    """Goal 3."""
    grown: dict[str, float] = bench.fact("growth", lambda: grow_all(bench))
    off = peer_off("growth", (grown["peer+back"], grown["peer"]))
    ours = grown["ours"]
    note = (
        f"{off}bytes allocated and not freed, collector off: {ours:.1f} per 4 KiB over whole 64 KiB"
        f" blocks ({grown['ours per sector']:.1f} for each sector within a block,"
        f" {grown['ours per block']:.0f} for each block of 64 KiB). None of it is kept:"
        " the collector takes it. A hash of MicroPython cannot go on after its digest was taken, and each"
        " block has a signed digest, so each costs a hash object and its digest."
    )
    met = None if off else ours == 0
    return Result(grown["peer+back"], ours, ours, met, note, 0.0, dict(grown))


def count_all(bench: Bench) -> dict[str, float]:
    """Own instructions per 4 KiB by variant: slope over the image size."""
    counts = {}
    for name in VARIANTS:
        bench.say(f"instructions of {name}")
        counts[name] = count(bench, name, "blank")
    return counts


def count(bench: Bench, name: str, held: str) -> float:
    """Own instructions per 4 KiB of one variant; the slot holds `blank` or the `same` image before.

    Of ours without check(): how long a signature takes to verify depends on its bits.
    """
    script, back = VARIANTS[name]
    low, high = (256 * KIB, 512 * KIB) if bench.quick else (512 * KIB, 1024 * KIB)

    def own(size: int, shift: int) -> int:
        image = held
        if held == "same":
            image = str(bench.workshop.publish(size).folder / "image.bin")
        arguments = _from_file(bench, script, size, back, image)
        counted = bench.narrow.count("transfer", *arguments, "count", shift).own
        if script == "ours":
            counted -= bench.narrow.count("transfer", *arguments, "check", shift).own
        return counted

    shifts = _QUICK_SHIFTS if bench.quick else _SHIFTS
    slopes = [(own(high, shift) - own(low, shift)) * SECTOR / (high - low) for shift in shifts]
    bench.facts[f"instructions {name} {held}"] = (min(slopes), max(slopes))
    return statistics.median(slopes)


def grow_all(bench: Bench) -> dict[str, float]:
    """Bytes of heap per 4 KiB by variant, collector off; ours also within and between blocks."""
    bench.say("heap growth")
    grown = {}
    for name, (script, back) in VARIANTS.items():
        grown[name] = _slope(bench, script, back, 512 * KIB, 1024 * KIB) * SECTOR
    grown["ours per sector"] = _step(bench, 256 * KIB + SECTOR, SECTOR)
    grown["ours per block"] = _step(bench, 512 * KIB, LARGE_BUFFER)
    grown["ours"] = grown["ours per block"] * SECTOR / LARGE_BUFFER
    return grown


def _slope(bench: Bench, script: str, back: int, low: int, high: int) -> float:
    kept = [_kept(bench, script, back, size) for size in (low, high)]
    return (kept[1] - kept[0]) / (high - low)


def _step(bench: Bench, start: int, step: int) -> float:
    # Bytes that each `step` of a longer image adds, the median of eight: what the signature of the
    # trust store leaves behind differs by some objects from one run to the next.
    kept = [_kept(bench, "ours", 1, start + at * step) for at in range(9)]
    return statistics.median(b - a for a, b in itertools.pairwise(kept))


def _kept(bench: Bench, script: str, back: int, size: int) -> int:
    # Bytes of heap that one transfer leaves behind, collector off.
    arguments = _from_file(bench, script, size, back, "blank")
    return int(printed(bench.narrow.run("transfer", *arguments, "count"))[-1][1])


def _from_file(bench: Bench, script: str, size: int, back: int, held: str) -> tuple[object, ...]:
    folder = bench.workshop.publish(size).folder
    root = bench.workshop.root(1)  # the server that it names is not asked
    return (script, folder, root, size, SMALL_BUFFER, back, held, 1)
