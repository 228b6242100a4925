"""Goal 6: what the library adds to a request over TLS, beside the least that is possible.

Real TLS on loopback, ota's own server. The bare client opens, writes the request at once with
TCP_NODELAY set, and reads; both take turns in one VM. Each asks twice over one connection, so that a
request is seen with the handshake and without it.
"""

import statistics
from typing import Any

from ota_tools.bench.context import Bench, printed, sample
from ota_tools.bench.result import Result

_TURNS, _QUICK_TURNS = 60, 20
_BUSY_MS = 4.0
"""Quartiles farther apart tell of this machine, not of us: a tenth of what a mistake would cost."""


def measure(bench: Bench) -> Result:
    """Goal 6: medians of the differences in milliseconds; met where both are within their spread."""
    bench.say("TLS requests")
    folder = bench.folder / "small"
    folder.mkdir(exist_ok=True)
    (folder / "small").write_bytes(b"x" * 32)
    served = bench.secure(folder)
    turns = _QUICK_TURNS if bench.quick else _TURNS
    output = bench.vm.run("request", served.port, served.authority, turns)
    found = [[float(word) / 1000 for word in words] for words in printed(output)][1:]
    first, second = [turn[:2] for turn in found], [turn[2:] for turn in found]
    added, spread_ms = _added(second)
    opened, opened_spread = _added(first)
    ours = sample([turn[1] for turn in second])
    bare = sample([turn[0] for turn in second])
    details: dict[str, Any] = {"ms bare": bare.median, "ms ours": ours.median, "ms added": added}
    details |= {f"ms {name}, handshake included": value for name, value in _medians(first).items()}
    details["ms added, handshake included"] = opened
    note = (
        f"{added:+.3f} ms per request on an open connection, {spread_ms:.3f} between the quartiles,"
        f" over {len(found)} turns: bare {bare.median:.2f} ms, ours {ours.median:.2f} ms. With the"
        f" handshake {opened:+.3f} ms, {opened_spread:.3f} between the quartiles: bare"
        f" {details['ms bare, handshake included']:.2f} ms, ours"
        f" {details['ms ours, handshake included']:.2f} ms. A delayed acknowledgement would add 40 ms."
    )
    met = added <= spread_ms and opened <= opened_spread
    if max(spread_ms, opened_spread) > _BUSY_MS:
        note = f"VOID: this machine is too busy to tell. {note}"
        return Result(0.0, added, None, None, note, ours.spread, details)
    return Result(0.0, added, None, met, note, ours.spread, details)


def _added(turns: list[list[float]]) -> tuple[float, float]:
    # Median of ours less bare, and the distance of the quartiles.
    differences = [ours - bare for bare, ours in turns]
    low, _, high = statistics.quantiles(differences, n=4)
    return statistics.median(differences), high - low


def _medians(turns: list[list[float]]) -> dict[str, float]:
    return {
        name: statistics.median(turn[at] for turn in turns)
        for at, name in enumerate(("bare", "ours"))
    }
