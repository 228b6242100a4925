"""Goal 1: wall time of a download, beside ceiling and peer; and time and heap by image size.

64-bit VM. Every round runs each variant once and is compared in itself: a machine that is slow for a
while is slow for all of them. Only ratios are worth keeping.
"""

import statistics
from typing import Any

from ota_tools.bench import flashtime
from ota_tools.bench.context import (
    IMAGE,
    KIB,
    LARGE_BUFFER,
    MIB,
    SMALL_BUFFER,
    Bench,
    Sample,
    printed,
    sample,
)
from ota_tools.bench.result import Result
from ota_tools.bench.variants import VARIANTS, peer_off

Rounds = dict[str, list[float]]
"""Microseconds by variant: of each round the median."""

_ENDS = ("ceiling+back", "ours")
# Ours once more, into a slot that holds: the seed of an image; 1 is the image that is sent.
_HELD = {"ours, slot other image": 2, "ours, slot same image": 1}
_ROUNDS, _QUICK_ROUNDS, _TIMES = 25, 5, 3
_SIZES = [256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB]


def measure(bench: Bench) -> Result:
    """Goal 1."""
    rounds: Rounds = bench.fact("wall", lambda: _alternate(bench, IMAGE))
    times = {name: sample(values) for name, values in rounds.items()}
    small: Rounds = bench.fact("wall-small", lambda: _alternate(bench, 256 * KIB, names=_ENDS))
    _, fixed = _line([256 * KIB, IMAGE], [sample(r["ours"]).median for r in (small, rounds)])
    ceiling, ours = times["ceiling+back"], times["ours"]
    compared = _paired(rounds, "ours", "ceiling+back")
    ratio = compared.median
    peer = tuple(_paired(rounds, name, "ceiling").median for name in ("peer+back", "peer"))
    off = peer_off("wall", (peer[0], peer[1]))
    details: dict[str, Any] = {f"us {name}": round(t.median) for name, t in times.items()}
    details |= {f"spread {name}": round(t.spread, 3) for name, t in times.items()}
    details |= {"peer, verify on, to ceiling": round(peer[0], 3)}
    details |= {"peer, verify off, to ceiling": round(peer[1], 3)}
    details["peer to ceiling+back"] = round(_paired(rounds, "peer+back", "ceiling+back").median, 3)
    least = min(rounds["ours"]) / min(rounds["ceiling+back"])
    details["ratio of the fastest rounds"] = round(least, 3)
    for state in ("other image", "same image"):
        name = f"ours, slot {state}"
        details[f"ratio {name}"] = round(_paired(rounds, name, "ceiling+back").median, 3)
    large: Rounds = bench.fact("wall-large", lambda: _alternate(bench, IMAGE, LARGE_BUFFER))
    details["us ceiling+back, 64 KiB"] = round(sample(large["ceiling+back"]).median)
    for name in ("peer+back", "ours"):
        ratio_large = round(_paired(large, name, "ceiling+back").median, 3)
        details[f"ratio {name}, 64 KiB"] = ratio_large
    read = times["ceiling+back"].median - times["ceiling"].median
    note = (
        f"{off}blank slot, 4 KiB buffers: {ours.median / 1000:.1f} ms against"
        f" {ceiling.median / 1000:.1f} ms; the ratio is the median over {compared.runs} rounds, each"
        f" compared in itself (spread {compared.spread:.2f}; of the fastest rounds {least:.2f}). Reading and hashing the slot once takes"
        f" {read / 1000:.1f} ms ({read / ceiling.median:.2f} of the ceiling). Of ours"
        f" {fixed / 1000:.1f} ms are fixed, by the straight line through 256 KiB and 1.5 MB: otadata,"
        " journal, receipts and file system are looked at, and written."
        f" The library reads the image's sectors {flashtime.reads_of_full_image(bench):.2f} times on a"
        " blank slot, the ceiling once: it looks before it erases or programs."
    )
    met = None if off else ratio <= 1.05
    return Result(ceiling.median, ours.median, ratio, met, note, compared.spread, details)


def by_size(bench: Bench) -> dict[str, Any]:
    """Time and smallest heap against image size; the slope of a straight line, and what it misses."""
    sizes = _SIZES[:4] if bench.quick else _SIZES
    times, ceilings, heaps = [], [], []
    for size in sizes:
        bench.say(f"by size: {size // KIB} KiB")
        rounds = 3 if bench.quick else 9
        found = _alternate(bench, size, names=_ENDS, rounds=rounds)
        times.append(sample(found["ours"]).median)
        ceilings.append(sample(found["ceiling+back"]).median)
        heaps.append(_live_heap(bench, size))
    slope, base = _line(sizes, times)
    worst = max(abs(t - base - slope * size) / t for size, t in zip(sizes, times, strict=True))
    ceiling_slope, _ = _line(sizes, ceilings)
    return {
        "sizes": sizes,
        "us": [round(t) for t in times],
        "us ceiling+back": [round(t) for t in ceilings],
        "us per MiB": round(slope * MIB),
        "us fixed": round(base),
        "ratio of slopes": round(slope / ceiling_slope, 3),
        "worst residual": round(worst, 4),
        "live heap": heaps,
    }


def _alternate(
    bench: Bench,
    size: int,
    buffer: int = SMALL_BUFFER,
    names: tuple[str, ...] = (*VARIANTS, *_HELD),
    rounds: int = 0,
) -> Rounds:
    # Each round runs every variant once, so that a slow minute of the machine meets all of them.
    rounds = rounds or (_QUICK_ROUNDS if bench.quick else _ROUNDS)
    bench.say(f"wall: {size // KIB} KiB image, {buffer // KIB} KiB buffers, {rounds} rounds")
    times: Rounds = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            times[name].append(statistics.median(_timed(bench, name, size, buffer)))
    return times


def _timed(bench: Bench, name: str, size: int, buffer: int) -> list[float]:
    published = bench.workshop.publish(size)
    port = bench.server(published).port
    held = "blank"
    if name in _HELD:
        held = str(bench.workshop.publish(size, _HELD[name]).folder / "image.bin")
    script, back = VARIANTS[name.partition(",")[0]]
    root = bench.workshop.root(port)
    output = bench.vm.run("transfer", script, port, root, size, buffer, back, held, _TIMES, "no")
    return [float(words[0]) for words in printed(output)]


def _paired(rounds: Rounds, name: str, base: str) -> Sample:
    return sample([a / b for a, b in zip(rounds[name], rounds[base], strict=True)])


def _live_heap(bench: Bench, size: int) -> int:
    published = bench.workshop.publish(size)
    port = bench.server(published).port
    output = bench.narrow.run("heap", port, bench.workshop.root(port), size)
    return int({words[0]: words[1] for words in printed(output)}["download"])


def _line(xs: list[int], ys: list[float]) -> tuple[float, float]:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )
    return slope, mean_y - slope * mean_x
