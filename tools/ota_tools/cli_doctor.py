"""The command `ota doctor`, and how findings are shown, those of a board too."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import rich_click as click
from rich.markup import escape
from rich.table import Table as Grid

from ota import __version__
from ota_tools.doctor import BAD, FINE, NOTE, Finding
from ota_tools.failures import Refused
from ota_tools.terminal import PATH, as_json_option, console, read_bytes, read_table

_DAY_S = 86400
_MARKS = {FINE: "[green]ok[/green]", NOTE: "[yellow]note[/yellow]", BAD: "[red]BAD[/red]"}


def beside(now: int, version: str) -> Iterator[Finding]:
    """What only the host can compare: the board's clock (Unix seconds) and its library."""
    ahead = now - int(time.time())
    if abs(ahead) > _DAY_S:
        yield (
            "clock",
            NOTE,
            f"{abs(ahead) // _DAY_S} days {'ahead of' if ahead > 0 else 'behind'} this machine",
            "ntp in /ota.json sets it at the next check",
        )
    if version != __version__:
        yield (
            "library",
            NOTE,
            f"the board has ota {version}, this is {__version__}",
            "`ota device setup` brings this one; a frozen one comes with the firmware",
        )


@click.command()
@click.option("--trust", type=PATH, help="The devices' trust store.")
@click.option("--url", "urls", multiple=True, help="Of a manifest. Default: the trust store's.")
@click.option("--partitions", type=PATH, help="The devices' partitions.csv. Default: 4 MB.")
@click.option("--image", "image_file", type=PATH, help="App image or firmware.bin to be released.")
@as_json_option
def doctor(
    trust: Path | None,
    urls: tuple[str, ...],
    partitions: Path | None,
    image_file: Path | None,
    as_json: bool,
) -> None:
    """Examine this machine, the trust store, the server and an image, as devices would.

    Tools that are missing; dates, keys and roots of the trust store; TLS to the server by the store's
    own roots, its certificate, the manifest there and its signature; whether the image fits the table.
    Exit code 1 if something will not work. For a board: `ota device doctor`.

    \b
    Example:  ota doctor --trust ota_trust.json --image firmware.bin
    """
    from ota_tools.doctor import examine

    store = read_bytes(trust) if trust else None
    table = read_table(partitions) if partitions or image_file else None
    firmware_file = read_bytes(image_file) if image_file else None
    report(examine(store, urls, table, firmware_file), as_json)


def report(findings: list[Finding], as_json: bool) -> None:
    """A table, or one JSON object. Raises Refused where something will not work."""
    bad = sum(level == BAD for _, level, _, _ in findings)
    if as_json:
        names = ("check", "level", "text", "advice")
        rows = [dict(zip(names, row, strict=True)) for row in findings]
        print(json.dumps({"bad": bad, "findings": rows}, indent=1))
    else:
        grid = Grid.grid(padding=(0, 2))
        grid.add_column()
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for check, level, text, advice in findings:
            grid.add_row(_MARKS[level], check, escape(text))
            if advice:
                grid.add_row("", "", f"[dim]{escape(advice)}[/dim]")
        console.print(grid)
    if bad:
        raise Refused(f"{bad} of {len(findings)} findings will not work")
