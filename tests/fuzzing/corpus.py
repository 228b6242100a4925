"""What a search leaves behind: the inputs that reach something of their own, and its figures."""

import datetime
import fcntl
import json
import runpy
import sys

from . import DATA, ROOT

KEPT = DATA / "corpus" / "fuzzed"
FIGURES = KEPT / "figures.json"
MOST_KEPT = 600
LEAST_EXECUTIONS = 1_000_000
LEAST_QUIET_S = 600
_LIB = str(ROOT / "lib" / "ota")


def kept(name: str) -> list:
    """The inputs of a target: a line of hexadecimal each."""
    path = KEPT / f"{name}.hex"
    return [bytes.fromhex(line) for line in path.read_text().splitlines()] if path.exists() else []


def cases(target) -> list:
    """Hard cases that were written by hand, in the form of a target's inputs."""
    expand = runpy.run_path(str(DATA / "corpus" / "make.py"))["expand"]
    made = []
    for parser, (before, behind) in target.cases.items():
        kept = json.loads((DATA / "corpus" / f"{parser}.json").read_text())
        made += [before + data + behind for data in expand(kept)]
    return made


def keep(target, inputs: list) -> int:
    """Write the inputs that reach something which no smaller one reaches; how many."""
    seen: set = set()
    chosen = []
    for data in sorted({*kept(target.name), *inputs}, key=lambda d: (len(d), d)):
        reached = trace(target, data)
        if reached - seen and len(chosen) < MOST_KEPT:
            seen |= reached
            chosen.append(data)
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{target.name}.hex").write_text("".join(data.hex() + "\n" for data in chosen))
    return len(chosen)


def trace(target, data: bytes) -> set:
    """What an input reaches: steps between instructions of lib/ota, and the kind of its outcome.

    Nothing where it is a finding.
    """
    reached = set()

    def enter(frame, event, _):
        if not frame.f_code.co_filename.startswith(_LIB):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        code = frame.f_code
        last = [-1]

        def step(frame, event, _):
            if event == "opcode":
                reached.add((code.co_filename, code.co_firstlineno, last[0], frame.f_lasti))
                last[0] = frame.f_lasti
            return step

        return step

    sys.settrace(enter)
    try:
        kind = target.check(data)
    except Exception:
        return set()
    finally:
        sys.settrace(None)
    return {*reached, kind}


def read_figures() -> dict:
    """Of the last search of each target."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def write_figures(name: str, figures: dict) -> None:
    """Those of one target; other searches may write theirs at the same time."""
    KEPT.mkdir(exist_ok=True)
    with FIGURES.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        everything = read_figures() if FIGURES.stat().st_size else {}
        everything[name] = {"date": str(datetime.date.today()), **figures}
        FIGURES.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")


_COLUMNS = (
    "executions seconds edges features kept quiet_seconds quiet_features_seconds findings".split()
)


def table() -> str:
    """The figures of all targets, for people."""
    rows = [["target", "date", *_COLUMNS, "per_second"]]
    for name, found in sorted(read_figures().items()):
        speed = found["executions"] // max(1, found["seconds"])
        rows.append([name, found["date"], *[str(found[c]) for c in _COLUMNS], str(speed)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths)) for row in rows]
    return "\n".join(lines)


def shortfall(name: str) -> str:
    """Why the figures of a target are not those of a whole search, "" where they are."""
    found = read_figures().get(name)
    if found is None:
        return "no search"
    if found["findings"]:
        return "%d findings" % found["findings"]
    if found["executions"] < LEAST_EXECUTIONS:
        return "%d executions" % found["executions"]
    if found["quiet_seconds"] < LEAST_QUIET_S:
        return "quiet for %d s" % found["quiet_seconds"]
    if found["kept"] != len(kept(name)):
        return "another corpus than the kept one"
    return ""
