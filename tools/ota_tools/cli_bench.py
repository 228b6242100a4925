"""The command `ota bench`: what the library costs, and whether a change made it cost more."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console

from ota_tools.failures import Refused, Usage
from ota_tools.terminal import PATH, as_json_option, console, quiet_option

if TYPE_CHECKING:
    from ota_tools.bench.context import Bench
    from ota_tools.bench.goals import Extra, Goal

LIMITS = Path("tests/bench-limits.json")


@click.command()
@quiet_option
@as_json_option
@click.option("--only", metavar="N,N", default="", help="Only these goals, poll, resume, asyncio.")
@click.option("--quick", is_flag=True, help="Fewer repetitions: a look, no figures to publish.")
@click.option(
    "--report", type=PATH, metavar="FOLDER", help="Write performance.md and its plots there."
)
@click.option("--limits", type=PATH, metavar="FILE", help="Only the gate: compare with this file.")
@click.option(
    "--write-limits", is_flag=True, help=f"Measure the gate and write --limits, else {LIMITS}."
)
def bench(
    quiet: bool,
    as_json: bool,
    only: str,
    quick: bool,
    report: Path | None,
    limits: Path | None,
    write_limits: bool,
) -> None:
    """Measure the library beside the least that is possible and the nearest peer.

    13 goals, each beside its reference on this machine: time, instructions, heap, flash, size; and
    three figures without a goal: poll (bytes of a check), resume (bytes that broken links cost),
    asyncio (time beside blocking). The real library runs on the real MicroPython VM, over plain HTTP
    or TLS from loopback, into RAM. Times and ratios are of the 64-bit VM; heap and instructions of
    the one with 32-bit words, as on the chip. A goal that cannot be measured is null, never met.

    \b
    Example:  ota bench                                     all goals, about a minute
              ota bench --only 5,13,poll                    three of them
              ota bench --report docs                       docs/performance.md, with plots
              ota bench --limits tests/bench-limits.json    the gate: is anything worse?
              ota bench --write-limits                      accept what is: commit the file

    The gate compares what has no noise (bytes on the wire, allocations, sizes, flash operations, least
    heap, instructions) with the most that is allowed. Exit code 1, and one line for each number that is
    over. It needs no network. Instructions need valgrind: apt-get install valgrind.
    """
    from ota_tools.bench.context import Bench

    goals, extras = _chosen(only)
    if (limits or write_limits) and (only or report or as_json):
        raise Usage("--limits and --write-limits go alone: the gate measures what it measures")
    if report:
        from ota_tools.bench import plots

        plots.check()
    err = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        if not quiet:
            err.print(text, style="dim", markup=False)

    with Bench(quick or bool(limits) or write_limits, say) as scene:
        if limits or write_limits:
            _gate(scene, limits or LIMITS, write_limits)
        else:
            _measure(scene, goals, extras, as_json, report, curve=bool(report) or not only)


def _chosen(only: str) -> "tuple[list[Goal], list[Extra]]":
    from ota_tools.bench.goals import select, select_extras

    words = [word.strip() for word in only.split(",") if word.strip()]
    numbers = [int(word) for word in words if word.isdecimal()]
    keys = [word for word in words if not word.isdecimal()]
    try:
        goals = select(numbers) if numbers or not words else []
        extras = select_extras(keys) if keys or not words else []
    except ValueError as e:
        raise Usage(f"--only {only}: {e}") from e
    return goals, extras


def _gate(scene: "Bench", path: Path, write: bool) -> None:
    from ota_tools.bench import limits

    allowed = {} if write else limits.read(path)
    found = limits.measure(scene)
    if write:
        limits.write(path, limits.with_headroom(found))
        console.print(f"{path}: {len(found)} limits")
        return
    lines = limits.compare(found, allowed)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if lines:
        raise Refused(f"{len(lines)} of {len(found)} numbers are not within {path}")
    console.print(f"[green]All {len(found)} numbers are within[/green] {path}.")


def _measure(
    scene: "Bench",
    goals: "list[Goal]",
    extras: "list[Extra]",
    as_json: bool,
    report: Path | None,
    curve: bool,
) -> None:
    from ota_tools.bench import report as reports
    from ota_tools.bench.goals import run as measure

    judged, also = [], []
    for goal in goals:
        scene.say(f"goal {goal.number}: {goal.name}")
        judged.append((goal, measure(goal, scene)))
    for extra in extras:
        scene.say(f"{extra.key}: {extra.name}")
        also.append((extra, extra.measure(scene)))
    by_size = None
    if curve:
        from ota_tools.bench.wall import by_size as measure_by_size

        by_size = measure_by_size(scene)
    run = reports.as_object(judged, also, scene, by_size)
    if as_json:
        print(json.dumps(run, indent=1, ensure_ascii=False))
    else:
        console.print(reports.table(run))
        for line in ["", *reports.notes(run)]:
            console.print(line, markup=False, style="dim")
    if report:
        for path in reports.write(report, run):
            scene.say(f"wrote {path}")
