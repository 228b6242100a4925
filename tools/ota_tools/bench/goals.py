"""The goals: one literal table, numbers as in the project's performance plan, section 6.

A goal without a way to measure it is null, never met; the table says what is missing. What is
measured without a goal stands in a table of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ota_tools.bench import (
    counts,
    flashtime,
    latency,
    memory,
    pumps,
    signature,
    stall,
    traffic,
    wall,
)
from ota_tools.bench.context import Bench
from ota_tools.bench.result import Result


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        number: 1 to 13.
        name: what is measured, in one line.
        unit: of the figures `reference` and `ours`.
        beside: the reference, in words.
        limit: in words; the judging stands in the measuring function.
        text: what it says and why it matters, for docs/performance.md.
        measure: None where there is nothing to measure yet.
        missing: why not.
    """

    number: int
    name: str
    unit: str
    beside: str
    limit: str
    text: str
    measure: Callable[[Bench], Result] | None
    missing: str = ""


@dataclass(frozen=True)
class Extra:
    """Something that is measured without a goal: a figure to watch.

    Attributes:
        key: its name for `--only`.
        name, unit, beside, text, measure: as of a `Goal`.
    """

    key: str
    name: str
    unit: str
    beside: str
    text: str
    measure: Callable[[Bench], Result]


GOALS = [
    Goal(
        1,
        "full download with read-back, wall time",
        "µs",
        "ceiling with read-back",
        "<= 1.05 of the ceiling",
        "A whole download, from the signed manifest to the proven slot, beside a loop that only"
        " reads, hashes, writes, reads back and hashes. 1.5 MB over plain HTTP from loopback into"
        " RAM, 64-bit VM, medians of alternating runs. On a device flash and radio add to both.",
        wall.measure,
    ),
    Goal(
        2,
        "Python instructions per 4 KiB",
        "Ir",
        "ceiling with read-back",
        "<= 1.5 of the ceiling",
        "Instructions in the VM's own object: what the interpreter spends around each 4 KiB, without"
        " SHA-256 and copying. 32-bit VM, callgrind, slope over the image size.",
        counts.instructions,
    ),
    Goal(
        3,
        "heap growth per 4 KiB",
        "bytes",
        "peer, verify on",
        "0",
        "Bytes allocated and not freed at once while an image passes. A collector that never runs"
        " neither stalls nor splits the heap. 32-bit VM, slope over the image size.",
        counts.growth,
    ),
    Goal(
        4,
        "smallest heap for check and download",
        "KiB",
        "peer 34 KiB, without signatures",
        "<= 24 KiB",
        "The smallest heap with which check and download of 1.5 MB succeed: manifest of 2 KiB, RSA"
        " verified, 4 KiB buffers, plain HTTP, all code as .mpy in the heap. 32-bit VM.",
        memory.least_heap,
    ),
    Goal(
        5,
        "modelled flash time, 1.5 MB",
        "ms",
        "each 4 KiB sector erased and programmed by itself",
        "<= 0.4 with a 64 KiB buffer, <= 0.6 borrowed, <= 0.1 unchanged",
        "Erases and programs that the virtual board counts, each with its data-sheet duration. A model,"
        " not a measurement.",
        flashtime.measure,
    ),
    Goal(
        6,
        "latency that is added to a TLS request",
        "ms",
        "bare TLS client",
        "0 within the spread",
        "A request in one write with TCP_NODELAY needs no delayed acknowledgement. Real TLS on"
        " loopback; judged on a connection that is open, and with the handshake.",
        latency.measure,
    ),
    Goal(
        7,
        "RSA-3072-PSS verify",
        "Ir",
        "pow(s, 65537, n) alone",
        "<= 1.1 of pow, <= 4 KiB of heap",
        "One verify beside the one operation in it that cannot be avoided. 32-bit VM.",
        signature.measure,
    ),
    Goal(
        8,
        "P-256 verify, in bytecode",
        "Ir",
        "best peer",
        "1.3x faster in bytecode, 3x in viper",
        "One ES256 signature beside the pattern of the best pure-Python peer, restated; an RSA verify of"
        " the same run says whether it costs as much as the real one. Judged by instructions, which"
        " no other load changes; times, the fastest of alternating runs, stand beside. 32-bit VM.",
        signature.measure_p256,
    ),
    Goal(
        9,
        "delta size",
        "",
        "bsdiff4",
        "<= 0.95 at a 4 KiB window",
        "Patches in the place of whole images.",
        None,
        "the library has no deltas yet",
    ),
    Goal(
        10,
        "delta decode",
        "",
        "full download",
        ">= 0.35x, <= 13 KiB",
        "Speed and heap of applying a patch.",
        None,
        "the library has no deltas yet",
    ),
    Goal(
        11,
        "worst asyncio stall beyond one sector erase",
        "ms",
        "peer +140 ms",
        "<= +5 ms",
        "How long other tasks wait while an image comes over real TLS and is written into flash that"
        " takes as long as a data sheet says.",
        stall.measure,
    ),
    Goal(
        12,
        "heap kept after ota.boot() on a confirmed image",
        "KiB",
        "peer 1.2 KiB",
        "<= 2 KiB",
        "What every boot pays although there is no update. 32-bit VM, .mpy, collected before and after;"
        " esp32, machine and MicroPython's own modules are there before.",
        memory.kept_after_boot,
    ),
    Goal(
        13,
        "the library as .mpy",
        "KiB",
        "peer 9 KiB, without trust and resume",
        "<= 40 KiB, core <= 24 KiB",
        "Bytes on flash, mpy-cross -O3. The core is what is in memory after boot, self-test, confirm,"
        " rollback and status; the VM is asked which modules those are.",
        memory.flash_size,
    ),
]


EXTRAS = [
    Extra(
        "poll",
        "bytes of a check that finds nothing new",
        "bytes",
        "a check without ETag",
        "What a device that polls pays on the wire each time. Real TLS against ota's own server, a relay"
        " between them counts.",
        traffic.poll,
    ),
    Extra(
        "resume",
        "bytes that breaking every 64 KiB adds",
        "%",
        "an uncut download",
        "What a bad link costs beyond the bytes of the image: a relay cuts each connection after so many"
        " bytes, until the image is there. Pauses between attempts are shortened.",
        traffic.resume,
    ),
    Extra(
        "asyncio",
        "download by AsyncUpdater, wall time",
        "µs",
        "the same by Updater",
        "What it costs to let other tasks run: the same download over real TLS into RAM, by both in"
        " turns. 64-bit VM.",
        pumps.measure,
    ),
]


def select(numbers: list[int]) -> list[Goal]:
    """The goals with these numbers, all for none. Raises ValueError for an unknown number."""
    known = {goal.number: goal for goal in GOALS}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise ValueError(f"no goal {', '.join(map(str, unknown))}; there are 1 to {len(GOALS)}")
    return [known[number] for number in dict.fromkeys(numbers)] if numbers else list(GOALS)


def select_extras(keys: list[str]) -> list[Extra]:
    """The extras with these keys, all for none. Raises ValueError for an unknown key."""
    known = {extra.key: extra for extra in EXTRAS}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(f"no {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[key] for key in dict.fromkeys(keys)] if keys else list(EXTRAS)


def run(goal: Goal, bench: Bench) -> Result:
    """Measure one goal; where that is not possible yet, its null."""
    if goal.measure is None:
        return Result(note=goal.missing)
    return goal.measure(bench)
