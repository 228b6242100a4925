"""Also measured: what asyncio adds to the time of a download. 64-bit VM, real TLS, into RAM."""

from typing import Any

from ota_tools.bench.context import IMAGE, KIB, Bench, printed, sample
from ota_tools.bench.result import Result

_TURNS, _QUICK_TURNS = 15, 5
_NAMES = ("Updater", "Updater, split", "AsyncUpdater")


def measure(bench: Bench) -> Result:
    """Wall time of `AsyncUpdater` beside `Updater`."""
    size = 512 * KIB if bench.quick else IMAGE
    turns = _QUICK_TURNS if bench.quick else _TURNS
    bench.say(f"asyncio beside blocking: {size // KIB} KiB over TLS, {turns} turns")
    served = bench.secure(bench.workshop.publish(size).folder)
    root = bench.workshop.secure_root(served.port, served.authority)
    output = bench.vm.run("pumps", root, size, turns + 1)
    found = [
        [float(word) for word in words] for words in printed(output)[1:]
    ]  # the first warms up
    times = {name: sample([turn[at] for turn in found]) for at, name in enumerate(_NAMES)}
    ratio = sample([turn[2] / turn[0] for turn in found])
    split = sample([turn[2] / turn[1] for turn in found])
    details: dict[str, Any] = {f"us {name}": round(t.median) for name, t in times.items()}
    details["ratio to Updater, split"] = round(split.median, 3)
    blocking, waits = times["Updater"].median, times["AsyncUpdater"].median
    note = (
        f"{size // KIB} KiB in {waits / 1000:.1f} ms against {blocking / 1000:.1f} ms, handshake"
        f" included; the ratio is the median of {len(found)} turns, each compared in itself (spread"
        f" {ratio.spread:.2f}); {split.median:.2f} beside `Updater` in split mode, which"
        " `AsyncUpdater` is always in. No other task runs. Known of a bare loop of 4 KiB reads: 1.2"
        " to 1.4."
    )
    return Result(blocking, waits, ratio.median, None, note, ratio.spread, details)
