"""The gate: quantities without noise, compared with the most that is allowed.

The same on every run of the same source and toolchain, so that a change for the worse is seen in the
change that makes it. No times are in here. A key is `group/name`; a limit is the largest value that
passes. A quantity without a limit, and a limit without a quantity, are refused too: nothing may slip
out of the gate by a new name.
"""

import json
import math
from pathlib import Path

from ota_tools.bench import counts, flashtime, memory, signature
from ota_tools.bench.context import IMAGE, KIB, LARGE_BUFFER, Bench
from ota_tools.failures import Refused, Usage

Numbers = dict[str, float]

HEADROOM = {"instructions": 0.02, "min heap": KIB, "allocated": 0.1}
"""By group: a part of the value, or bytes of heap; nothing for all others."""


def measure(bench: Bench) -> Numbers:
    """Every quantity of the gate. Under a minute, without network and without root."""
    found: Numbers = {}
    for name, size in bench.module_sizes.items():
        found[f"mpy/{name}"] = size
    found["mpy/all"] = sum(bench.module_sizes.values())
    plain = memory.plain_modules(bench)
    found["mpy/plain update over HTTPS"] = sum(bench.module_sizes[name] for name in plain)
    for name, cost in memory.import_costs(bench).items():
        found[f"import/{name}"] = cost
    found["heap/kept after boot"] = memory.kept_after(bench)[0]
    found["min heap/check and download"] = memory.min_heap(bench, "ours", 1)
    for name, added in signature.added_heap(bench).items():
        found[f"heap/{name} adds"] = added
    grown = counts.grow_all(bench)
    found["allocated/per 4 KiB sector"] = round(grown["ours per sector"], 2)
    found["allocated/per 64 KiB block"] = round(grown["ours per block"], 1)
    bench.say("instructions")
    found["instructions/per 4 KiB"] = round(counts.count(bench, "ours", "blank"))
    verified = [bench.narrow.count("verify", "verify", signature.VECTOR, n).total for n in (1, 3)]
    found["instructions/RSA verify"] = (verified[1] - verified[0]) // 2
    found |= _flash(bench)
    found |= _wire(bench)
    return found


def _flash(bench: Bench) -> Numbers:
    bench.say("flash operations")
    found: Numbers = {}
    for name, largest in (("borrowed", flashtime.BORROWED), ("wide", flashtime.WIDE)):
        for held in ("blank", "other", "near", "same", "cut"):
            done = flashtime.download(bench, held, largest)
            where = f"{held}, {name}"
            found[f"flash operations/{where}"] = len(done.operations)
            found[f"flash ms/{where}"] = round(done.ms, 1)
    return found


def _wire(bench: Bench) -> Numbers:
    # Requests and answers of check and download, as the server counts them.
    bench.say("bytes on the wire")
    published = bench.workshop.publish(IMAGE)
    server = bench.server(published)
    root = bench.workshop.root(server.port)
    near = bench.folder / "near.bin"
    near.write_bytes(flashtime.near(published.image))
    half = bench.folder / "half.bin"
    half.write_bytes(published.image[: IMAGE // 2 // LARGE_BUFFER * LARGE_BUFFER])
    found: Numbers = {}
    for name, held in (
        ("full image", "blank"),
        ("resume at half", str(half)),
        ("10 % change", str(near)),
    ):
        server.counts()
        bench.narrow.run("transfer", "ours", server.port, root, IMAGE, 4096, 1, held, 1, "no")
        found[f"bytes sent/{name}"] = server.counts()
    return found


def with_headroom(found: Numbers) -> Numbers:
    """Limits for what was measured."""
    limits = {}
    for key, value in found.items():
        room = HEADROOM.get(key.partition("/")[0], 0)
        limits[key] = (
            value + room if room >= 1 else math.ceil(value * (1 + room)) if room else value
        )
    return limits


def compare(found: Numbers, limits: Numbers) -> list[str]:
    """One line for each number that is over its limit, or that only one of the two knows."""
    lines = []
    for key, value in sorted(found.items()):
        if key not in limits:
            lines.append(f"{key}: {_text(value)}, and no limit: run --write-limits")
        elif value > limits[key]:
            lines.append(f"{key}: {_text(value)}, at most {_text(limits[key])}")
    lines += [
        f"{key}: a limit of {_text(limits[key])}, and nothing measured: run --write-limits"
        for key in sorted(limits.keys() - found.keys())
    ]
    return lines


def read(path: Path) -> Numbers:
    """The file. Raises Usage where it is missing, Refused where it is not one of numbers."""
    try:
        loaded = json.loads(path.read_text())
    except FileNotFoundError as e:
        raise Usage(f"{path}: no such file; ota bench --write-limits makes one") from e
    except ValueError as e:
        raise Refused(f"{path} is not JSON: {e}") from e
    if not isinstance(loaded, dict) or not all(_is_number(value) for value in loaded.values()):
        raise Refused(f"{path}: expected one object of numbers")
    return loaded


def write(path: Path, limits: Numbers) -> None:
    """Write the file, keys sorted: a diff shows what changed."""
    path.write_text(json.dumps(dict(sorted(limits.items())), indent=1) + "\n")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: float) -> str:
    return f"{value:.10g}"
