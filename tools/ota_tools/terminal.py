"""What the commands share: options, files read with errors that name them, tables and JSON out."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.progress import TransferSpeedColumn as Speed
from rich.table import Table as Grid

from ota import trust as device_trust
from ota.errors import OtaError
from ota_tools import resources
from ota_tools.failures import Refused, Usage
from ota_tools.partitions import Table, check, parse_csv

console = Console(highlight=False)
FLASH_SIZES = {4: "partitions.csv", 8: "partitions-8MiB.csv", 16: "partitions-16MiB.csv"}
"""MiB -> the shipped table."""

PATH = click.Path(path_type=Path)
SEQUENCE = click.IntRange(1, 10**15 - 1)  # digits that strict JSON has
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on standard output."
)


def complain(text: str) -> None:
    """One line on standard error."""
    line = escape(" ".join(text.split()))
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]ota:[/red] {line}")


def warn(text: str) -> None:
    """One line on standard error; the command goes on."""
    line = escape(" ".join(text.split()))
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[yellow]ota: warning:[/yellow] {line}"
    )


Told = Callable[..., None]
"""told(done, total), and a new text where there is one."""


@contextlib.contextmanager
def bar(what: str, shown: bool, parts: bool = False) -> Iterator[Told]:
    """A bar with what is done, its rate, and the time that is left; on a terminal only.

    Args:
        what: is done.
        shown: somebody wants to see it.
        parts: `done` counts parts of the work, not bytes.
    """
    columns = (MofNCompleteColumn(),) if parts else (DownloadColumn(), Speed())
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeLeft(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    ) as progress:
        task = progress.add_task(what, total=None)

        def told(done: int, total: int, text: str = what) -> None:
            progress.update(task, completed=done, total=total, description=text)

        yield told


def show(fields: dict[str, Any], as_json: bool) -> None:
    """Facts by name: a table, or one JSON object."""
    if as_json:
        print(json.dumps(fields, indent=1))
        return
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        lines = value if isinstance(value, list) else [value]
        for index, line in enumerate(lines):
            grid.add_row("" if index else name, escape(str(line)))
    console.print(grid)


def read_table(path: Path | None, flash_mib: int | None = None) -> Table:
    """A checked partition table, the shipped one where no path is given. Raises Usage, Refused.

    Without a flash size it must be right in itself, on whatever chip it fits.
    """
    source = path or resources.device_file(FLASH_SIZES[flash_mib or 4])
    try:
        table = parse_csv(read_bytes(source).decode())
    except UnicodeDecodeError as e:
        raise Refused(f"{source} is not text, expected a table like partitions.csv") from e
    check(table, flash_mib << 20 if flash_mib else 1 << 32)
    return table


def read_as(path: Path, read: Callable[[bytes], bytes]) -> bytes:
    """What `read` makes of a file; a refusal names the file."""
    try:
        return read(read_bytes(path))
    except Refused as e:
        raise Refused(f"{path}: {e}") from e


def read_bytes(path: Path) -> bytes:
    """The file. Raises Usage."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e


def read_store(path: Path) -> bytes:
    """A trust store that devices would accept. Raises Usage, Refused."""
    data = read_bytes(path)
    try:
        device_trust.load(data)
    except OtaError as e:
        raise Refused(f"the trust store {path} is none: {e}") from e
    return data
