"""What a run says: one JSON object, a table for the terminal, docs/performance.md with plots.

Every figure comes from the run's object; the words around them stand here and in goals.py. Nothing of
the output is written by hand.
"""

import datetime
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ota_tools.bench import callgrind
from ota_tools.bench.context import Bench
from ota_tools.bench.goals import Goal
from ota_tools.bench.result import Result

_MARKS = {True: "met", False: "missed", None: "null"}
_COLOURS = {True: "green", False: "red", None: "dim"}


def as_object(pairs: list[tuple[Goal, Result]], bench: Bench, curve: Any = None) -> dict[str, Any]:
    """The run as JSON shows it."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(),
        "versions": versions(bench, pairs),
        "quick": bench.quick,
        "goals": [_goal_object(goal, result) for goal, result in pairs],
        "spreads": {str(goal.number): round(result.spread, 4) for goal, result in pairs},
        "by size": curve,
    }


def _goal_object(goal: Goal, result: Result) -> dict[str, Any]:
    return {
        "number": goal.number,
        "name": goal.name,
        "unit": goal.unit,
        "beside": goal.beside,
        "limit": goal.limit,
        "reference": result.reference,
        "ours": result.ours,
        "ratio": None if result.ratio is None else round(result.ratio, 4),
        "met": result.met,
        "note": result.note,
        "details": asdict(result)["details"],
    }


def machine() -> str:
    """Processor and system of this machine, without its name."""
    model = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    release = ".".join(platform.release().split(".")[:2])
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {release}"


def versions(bench: Bench, pairs: list[tuple[Goal, Result]]) -> dict[str, str]:
    """Of everything that counts; the VMs only where one ran."""
    found = {"ota": _own_version(), "python": platform.python_version()}
    if any(goal.measure for goal, _ in pairs):
        found["valgrind"] = callgrind.version().removeprefix("valgrind-")
        for name, word in (("vm", "micropython"), ("narrow", "micropython, 32 bits")):
            if name in vars(bench):
                vm = getattr(bench, name)
                found[word] = ".".join(map(str, vm.interpreter.version))
    return found


def _own_version() -> str:
    import ota

    return ota.__version__


def table(run: dict[str, Any]) -> Table:
    """The goals for a terminal."""
    grid = Table(show_edge=False, pad_edge=False, box=None, padding=(0, 2, 0, 0))
    grid.add_column("#", justify="right")
    grid.add_column("goal", overflow="fold")
    for name in ("ours", "beside", "ratio"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("")
    for goal in run["goals"]:
        grid.add_row(
            str(goal["number"]),
            f"{escape(goal['name'])} [dim]{escape(goal['limit'])}[/dim]",
            _figure(goal["ours"], goal["unit"]),
            _figure(goal["reference"], goal["unit"]),
            _figure(goal["ratio"], ""),
            f"[{_COLOURS[goal['met']]}]{_MARKS[goal['met']]}[/]",
        )
    return grid


def notes(run: dict[str, Any]) -> list[str]:
    """Why, a line for each goal."""
    return [f"{goal['number']:>2}  {goal['note']}" for goal in run["goals"]]


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:,.0f}".replace(",", " ") if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text} {unit}".strip()


def write(folder: Path, run: dict[str, Any]) -> list[Path]:
    """performance.md, its plots, and the run as performance.json. Raises MissingTool."""
    from ota_tools.bench import plots

    folder.mkdir(parents=True, exist_ok=True)
    drawn = plots.draw(folder, run)
    page = folder / "performance.md"
    page.write_text(page_text(run, drawn))
    raw = folder / "performance.json"
    raw.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    return [page, raw, *drawn]


def page_text(run: dict[str, Any], drawn: list[Path]) -> str:
    """docs/performance.md."""
    from ota_tools.bench.goals import GOALS

    told = {goal.number: goal for goal in GOALS}
    kinds = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    quick = "; a quick run, few repetitions" if run["quick"] else ""
    lines = [
        "# Performance",
        "",
        "Written by `ota bench --report docs`; do not edit. Ratios carry over to a device, times do not.",
        "",
        f"Measured {run['date']} on {run['machine']}; {kinds}{quick}.",
        "",
        "| # | what | ours | beside | ratio | limit | |",
        "|---|---|---|---|---|---|---|",
    ]
    for goal in run["goals"]:
        cells = [
            str(goal["number"]),
            goal["name"],
            _figure(goal["ours"], goal["unit"]),
            f"{_figure(goal['reference'], goal['unit'])} ({goal['beside']})",
            _figure(goal["ratio"], ""),
            goal["limit"],
            _MARKS[goal["met"]],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "`null`: not judged, because what it needs is missing or the run is void.", ""]
    for path in drawn:
        lines += [f"![{path.stem}]({path.name})", ""]
    for goal in run["goals"]:
        lines += [f"## {goal['number']}. {goal['name']}", "", told[goal["number"]].text, ""]
        word = _MARKS[goal["met"]].capitalize()
        lines += [f"**{word}** (limit: {goal['limit']}). {goal['note']}", ""]
        lines += _details(goal["details"], ("mpy ", "import "))
    lines += _modules(run["goals"]) + _by_size(run["by size"])
    return "\n".join(lines).rstrip() + "\n"


def _modules(goals: list[dict[str, Any]]) -> list[str]:
    # Each module's size and what it costs to import it, from the details of goals 13 and 4.
    found: dict[str, dict[str, float]] = {"mpy": {}, "import": {}}
    for goal in goals:
        for name, value in goal["details"].items():
            kind, _, module = name.partition(" ")
            if kind in found and goal["number"] in (4, 13):
                found[kind][module] = value
    names = sorted(found["mpy"].keys() & found["import"].keys())
    if not names:
        return []
    rows = [f"| {name} | {found['mpy'][name]} | {found['import'][name]} |" for name in names]
    text = (
        "Bytes on flash as .mpy, and bytes of heap when it is imported after all that it imports."
    )
    return ["## Modules", "", text, "", "| module | .mpy | heap |", "|---|---|---|", *rows, ""]


def _details(details: dict[str, Any], elsewhere: tuple[str, ...]) -> list[str]:
    rows = [
        f"| {name} | {value if isinstance(value, str) else _figure(value, '')} |"
        for name, value in details.items()
        if not name.startswith(elsewhere)
    ]
    if not rows:
        return []
    return ["| figure | value |", "|---|---|", *rows, ""]


def _by_size(curve: dict[str, Any] | None) -> list[str]:
    if not curve:
        return []
    text = (
        f"{curve['us per MiB']} µs per MiB and {curve['us fixed']} µs fixed; the straight line is off"
        f" by {curve['worst residual']:.1%} at the most. Slope against the ceiling's with read-back:"
        f" {curve['ratio of slopes']}. Live heap is that of the download, beyond code and manifest."
    )
    lines = [
        "## Time and heap against image size",
        "",
        text,
        "",
        "| KiB | ours, µs | ceiling with read-back, µs | live heap, bytes |",
        "|---|---|---|---|",
    ]
    columns = ("sizes", "us", "us ceiling+back", "live heap")
    for size, ours, ceiling, heap in zip(*(curve[name] for name in columns), strict=True):
        lines.append(f"| {size // 1024} | {ours} | {ceiling} | {heap} |")
    return [*lines, ""]
