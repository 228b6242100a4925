"""Goal 7: RSA-3072-PSS verify against `pow` alone, on the 32-bit VM."""

from pathlib import Path

from ota_tools.bench.context import Bench, printed, sample
from ota_tools.bench.result import Result
from ota_tools.bench.vm import smallest

VECTOR = Path(__file__).parent / "signature.txt"
"""Modulus, digest and signature, a line of hex each, made once by ota_tools.keys: the instructions of
`pow` depend on the bits, and a count is to be the same on every machine."""


def measure(bench: Bench) -> Result:
    """Goal 7."""
    bench.say("RSA verify: time, instructions, heap")
    times = 5 if bench.quick else 25
    runs: dict[str, list[list[str]]] = {"pow": [], "verify": []}
    for _ in range(5):
        for what in runs:
            runs[what] += printed(bench.narrow.run("verify", what, VECTOR, times))
    us = {what: sample([float(took) for took, _ in lines]) for what, lines in runs.items()}
    heap = {what: max(int(used) for _, used in lines) for what, lines in runs.items()}
    need = {what: _need(bench, what) for what in ("nothing", "pow", "verify")}
    needed = need["verify"] - need["nothing"]
    counts = {}
    for what in runs:
        low, high = (bench.narrow.count("verify", what, VECTOR, n).total for n in (1, 3))
        counts[what] = (high - low) / 2
    ratio = counts["verify"] / counts["pow"]
    note = (
        f"{counts['verify'] / 1e6:.2f} M instructions against {counts['pow'] / 1e6:.2f} M of pow,"
        f" all objects; {us['verify'].median / 1000:.2f} ms against {us['pow'].median / 1000:.2f} ms"
        f" ({us['verify'].median / us['pow'].median:.2f}x). The smallest heap with which it runs is"
        f" {needed} bytes larger with the verify than without ({need['pow'] - need['nothing']} with"
        f" pow); allocated in passing: {heap['verify']} bytes."
    )
    details = {
        "Ir pow": counts["pow"],
        "Ir verify": counts["verify"],
        "us pow": us["pow"].median,
        "us verify": us["verify"].median,
        "heap needed": needed,
        "allocated in passing": heap["verify"],
    }
    met = ratio <= 1.1 and needed <= 4096
    spread = max(found.spread for found in us.values())
    return Result(counts["pow"], counts["verify"], ratio, met, note, spread, details)


def _need(bench: Bench, what: str) -> int:
    # Bytes of the smallest heap with which one run succeeds, the key and the signature loaded.
    def fits(heap: int) -> bool:
        return bench.narrow.fits("verify", what, VECTOR, 1, 1, heap=heap)

    return smallest(fits, 2048, 65536, 64)
