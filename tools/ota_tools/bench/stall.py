"""Goal 11: how long other asyncio tasks wait while an image comes and is written. 64-bit VM."""

from ota_tools.bench.context import KIB, Bench, printed, sample
from ota_tools.bench.result import Result
from ota_tools.board.flash import SECTOR, Operation

SIZE = 128 * KIB
_RUNS, _QUICK_RUNS = 5, 3
_BESIDE = {
    "lookup": "name look-up",
    "handshake": "one step of the TLS handshake",
    "signature": "the manifest's signature",
    "activation": "activation, the 45 ms in it that otadata's sector is erased",
}


def measure(bench: Bench) -> Result:
    """Goal 11."""
    bench.say("asyncio stall while downloading over TLS into slow flash")
    served = bench.secure(bench.workshop.publish(SIZE).folder)
    root = bench.workshop.secure_root(served.port, served.authority)
    runs = []
    for _ in range(_QUICK_RUNS if bench.quick else _RUNS):
        words = printed(bench.vm.run("stall", root, SIZE))
        runs.append({name: float(ms) for name, ms in words})
    waits = sample([run["data"] for run in runs])
    # Other programs on this machine only add: the least of the runs.
    least = {name: min(run[name] for run in runs) for name in ("data", "before", *_BESIDE)}
    erase = Operation("erase", 0, SECTOR).ms
    beyond = least["data"] - erase
    parts = ", ".join(f"{text} {least[name]:.1f}" for name, text in _BESIDE.items())
    note = (
        f"AsyncUpdater.download over real TLS into flash that takes its time, every sector erased: a"
        f" task that sleeps for 5 ms waits at most {least['data']:.1f} ms longer (the best of"
        f" {len(runs)} runs), {beyond:+.1f} ms beside one sector erase of {erase:.0f} ms. Before the"
        f" first bytes, the check included, at most {least['before']:.1f} ms. What no pump can cut, the"
        f" longest of each in ms on this machine: {parts}. On a chip the signature takes some 0.2 s,"
        " a name as long as the DNS server."
    )
    details = {f"ms {name}": value for name, value in least.items()}
    return Result(140.0, beyond, beyond, beyond <= 5, note, waits.spread, details)
