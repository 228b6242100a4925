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
from ota_tools.bench.goals import Extra, Goal
from ota_tools.bench.result import Result

_MARKS = {True: "met", False: "missed", None: "null"}
_COLOURS = {True: "green", False: "red", None: "dim"}


Goals = list[tuple[Goal, Result]]
Extras = list[tuple[Extra, Result]]


def as_object(goals: Goals, extras: Extras, bench: Bench, curve: Any = None) -> dict[str, Any]:
    """The run as JSON shows it."""
    spreads = {str(goal.number): result.spread for goal, result in goals}
    spreads |= {extra.key: result.spread for extra, result in extras}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(),
        "versions": versions(bench, any(goal.measure for goal, _ in goals) or bool(extras)),
        "quick": bench.quick,
        "goals": [_goal_object(goal, result) for goal, result in goals],
        "also": [_extra_object(extra, result) for extra, result in extras],
        "spreads": {name: round(spread, 4) for name, spread in spreads.items()},
        "by size": curve,
    }


def _goal_object(goal: Goal, result: Result) -> dict[str, Any]:
    return {
        "number": goal.number,
        "name": goal.name,
        "unit": goal.unit,
        "beside": goal.beside,
        "limit": goal.limit,
        **_figures(result),
        "met": result.met,
    }


def _extra_object(extra: Extra, result: Result) -> dict[str, Any]:
    return {
        "key": extra.key,
        "name": extra.name,
        "unit": extra.unit,
        "beside": extra.beside,
        **_figures(result),
    }


def _figures(result: Result) -> dict[str, Any]:
    return {
        "reference": result.reference,
        "ours": result.ours,
        "ratio": None if result.ratio is None else round(result.ratio, 4),
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


def versions(bench: Bench, is_measured: bool) -> dict[str, str]:
    """Of everything that counts; the VMs only where one ran."""
    found = {"ota": _own_version(), "python": platform.python_version()}
    if is_measured:
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
    """Goals, and what else was measured, for a terminal."""
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
    for extra in run["also"]:
        grid.add_row(
            "",
            f"{escape(extra['name'])} [dim]beside {escape(extra['beside'])}[/dim]",
            _figure(extra["ours"], extra["unit"]),
            _figure(extra["reference"], extra["unit"]),
            _figure(extra["ratio"], ""),
            "",
        )
    return grid


def notes(run: dict[str, Any]) -> list[str]:
    """Why, a line for each goal and for what else was measured."""
    lines = [f"{goal['number']:>2}  {goal['note']}" for goal in run["goals"]]
    return lines + [f"{extra['key']}  {extra['note']}" for extra in run["also"]]


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
    from ota_tools.bench.goals import EXTRAS, GOALS

    told = {goal.number: goal for goal in GOALS}
    told_also = {extra.key: extra for extra in EXTRAS}
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
    lines += _also(run["also"])
    for path in drawn:
        lines += [f"![{path.stem}]({path.name})", ""]
    for goal in run["goals"]:
        lines += [f"## {goal['number']}. {goal['name']}", "", told[goal["number"]].text, ""]
        word = _MARKS[goal["met"]].capitalize()
        lines += [f"**{word}** (limit: {goal['limit']}). {goal['note']}", ""]
        lines += _details(goal["details"], ("mpy ", "import "))
    for extra in run["also"]:
        lines += [f"## {extra['name'].capitalize()}", "", told_also[extra["key"]].text, ""]
        lines += [extra["note"], "", *_details(extra["details"], ())]
    lines += _modules(run["goals"]) + _by_size(run["by size"])
    return "\n".join(lines).rstrip() + "\n"


def _also(extras: list[dict[str, Any]]) -> list[str]:
    if not extras:
        return []
    lines = ["Also measured, without a goal:", "", "| what | ours | beside | ratio |"]
    lines.append("|---|---|---|---|")
    for extra in extras:
        reference = f"{_figure(extra['reference'], extra['unit'])} ({extra['beside']})"
        cells = [extra["name"], _figure(extra["ours"], extra["unit"]), reference]
        lines.append("| " + " | ".join([*cells, _figure(extra["ratio"], "")]) + " |")
    return [*lines, ""]


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
