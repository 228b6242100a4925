"""The command `ota cut`: power cuts at every operation of an update, and what they lead to."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from ota_tools.failures import Refused, Usage
from ota_tools.terminal import PATH, as_json_option, bar, console, quiet_option, show

if TYPE_CHECKING:
    from ota_tools.cut.campaign import Total
    from ota_tools.cut.scenarios import Scenario

_SHOWN = 10
_LEAST = 10_000
"""Distinct states of a whole run that is worth its name."""


@click.command()
@click.argument("names", nargs=-1, metavar="[SCENARIO]...")
@click.option("--list", "listed", is_flag=True, help="Only say which scenarios there are.")
@click.option("--deep", is_flag=True, help="More tears, and many more second cuts: an hour.")
@click.option("--seed", type=int, default=1, show_default=True, help="For what is left to chance.")
@click.option("--jobs", type=click.IntRange(1), help="Processes. Default: one per processor.")
@click.option("--keep", "kept", type=PATH, metavar="FOLDER", help="Write failing states there.")
@click.option(
    "--report", type=PATH, metavar="FOLDER", help="Write reliability.json there, for docs/make.py."
)
@click.option(
    "--set-boot",
    type=click.Choice(["old", "new"]),
    help="Activate by Partition.set_boot() instead, as older or newer ESP-IDF has it: to compare.",
)
@quiet_option
@as_json_option
def cut(
    names: tuple[str, ...],
    listed: bool,
    deep: bool,
    seed: int,
    jobs: int | None,
    kept: Path | None,
    report: Path | None,
    set_boot: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Cut the power at every flash and NVS operation of an update, and let the board live on.

    A clean run of each scenario is recorded. For every operation of it the power goes right before,
    in the middle (a part of the bytes, some of the bits, a sector half erased or full of garbage) and
    right after; then once more while the board recovers. Boot and recovery are really executed: the
    model of chip and bootloader, littlefs, signatures, digests, the library as it is on the device.
    After each start what boots, the slots, the journal and the receipts are judged from flash and NVS
    alone. docs/reliability.md says what that covers.

    Exit code 0 only where nothing was broken.

    \b
    Example:  ota cut                          all scenarios, some minutes
              ota cut --list                   what they are
              ota cut first fails --seed 7     two of them, with other tears
              ota cut --keep failed            and then: ota board show failed/first-0
    """
    from dataclasses import replace

    from ota_tools.cut import campaign
    from ota_tools.cut.result import DEEP, NORMAL
    from ota_tools.cut.scenarios import SCENARIOS

    if listed:
        show({each.name: each.story for each in SCENARIOS}, as_json)
        return
    chosen = _chosen(names)
    effort = replace(DEEP if deep else NORMAL, seed=seed, set_boot=set_boot or "")
    workers = jobs or campaign.processors()
    start = time.monotonic()
    shards = min(8, 2 * workers) if deep else 1
    with bar("cutting", not (quiet or as_json), parts=True) as told_parts:
        done = 0

        def told(name: str, total: "Total") -> None:
            nonlocal done
            done += 1
            found = total.result
            text = f"{len(found.states)} states, {len(found.failed)} failures; done: {name}"
            told_parts(done, len(chosen) * shards, text)

        total = campaign.run(chosen, effort, workers, shards, told)
    facts = total.facts() | {"seed": seed, "seconds": round(time.monotonic() - start)}
    show(facts, True) if as_json else _print(facts)
    if kept:
        for path in campaign.keep(total.result.failed, kept):
            if not as_json:
                console.print(f"kept: {path}", markup=False)
    if report:
        campaign.publish(facts, "deep" if deep else "normal", report)
    if not names and len(total.result.states) < _LEAST:
        raise Refused(f"only {len(total.result.states)} states were tried, at least {_LEAST}")
    if total.result.failed:
        raise Refused(f"{len(total.result.failed)} states broke what no cut may break")


def _chosen(names: tuple[str, ...]) -> "list[Scenario]":
    from ota_tools.cut.scenarios import BY_NAME

    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise Usage(f"no scenario {', '.join(unknown)}; `ota cut --list` says which there are")
    return [BY_NAME[name] for name in names] if names else list(BY_NAME.values())


def _print(facts: dict[str, Any]) -> None:
    shown = dict(facts)
    for name in ("operations", "cuts", "states by kind", "big"):
        shown[name] = [f"{count:>7}  {what}" for what, count in facts[name].items()]
    writes = shown.pop("NVS writes")
    shown["scenarios"] = [
        f"{count:>7} states, NVS written {writes[name]} times: {name}"
        for name, count in facts["scenarios"].items()
    ]
    failed = shown.pop("failed")
    show(shown, False)
    for each in failed[:_SHOWN]:
        console.print(
            f"\n{each['scenario']}: {each['where']}\n  {each['what']}", style="red", markup=False
        )
