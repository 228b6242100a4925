"""The command `ota`: arguments in, tables or JSON out; the work is done elsewhere."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from ota import image as app_images
from ota import trust as device_trust
from ota.errors import OtaError
from ota_tools import certificates, firmware, keys, resources
from ota_tools import trust as trust_store
from ota_tools.failures import Failure, Refused, Usage
from ota_tools.partitions import Table, check, parse_csv

if TYPE_CHECKING:
    from ota_tools.board.model import Board

click.rich_click.COMMAND_GROUPS = {
    "ota": [
        {"name": "Make", "commands": ["keygen", "trust", "release", "inspect"]},
        {"name": "Publish", "commands": ["serve"]},
        {"name": "Try", "commands": ["demo", "board"]},
    ]
}

console = Console(highlight=False)
FLASH_SIZES = {4: "partitions.csv", 8: "partitions-8MiB.csv", 16: "partitions-16MiB.csv"}
_PATH = click.Path(path_type=Path)
_SEQUENCE = click.IntRange(1, 10**15 - 1)  # digits that strict JSON has
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


def main() -> None:
    """Run the command; a Failure becomes one line and its exit code, an OSError that names a file too."""
    try:
        cli.main(standalone_mode=False)
    except Failure as e:
        _complain(str(e))
        sys.exit(e.exit_code)
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        _complain(where + (e.strerror or str(e)))
        sys.exit((Usage if where else Failure).exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)


def _complain(text: str) -> None:
    line = escape(" ".join(text.split()))
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]ota:[/red] {line}")


def _show(fields: dict[str, Any], as_json: bool) -> None:
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


def _table(path: Path | None, flash_mib: int | None = None) -> Table:
    # Without a flash size the table must be right in itself, on whatever chip it fits.
    source = path or resources.device_file(FLASH_SIZES[flash_mib or 4])
    try:
        table = parse_csv(_bytes(source).decode())
    except UnicodeDecodeError as e:
        raise Refused(f"{source} is not text, expected a table like partitions.csv") from e
    check(table, flash_mib << 20 if flash_mib else 1 << 32)
    return table


def _board(folder: Path) -> "Board":
    from ota_tools.board.model import Board

    try:
        return Board(folder)
    except NotADirectoryError as e:
        raise Usage(f"{folder} is no folder") from e
    except (ValueError, TypeError) as e:
        raise Refused(f"{folder}: board.json or flash.bin is damaged: {e}") from e


def _named(path: Path, read: Callable[[bytes], bytes]) -> bytes:
    """What `read` makes of a file; a refusal names the file."""
    try:
        return read(_bytes(path))
    except Refused as e:
        raise Refused(f"{path}: {e}") from e


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e


def _store(path: Path) -> bytes:
    data = _bytes(path)
    try:
        device_trust.load(data)
    except OtaError as e:
        raise Refused(f"the trust store {path} is none: {e}") from e
    return data


@click.group()
@click.version_option(package_name="esp32-ota")
def cli() -> None:
    """Signed firmware updates for ESP32 boards that run MicroPython.

    Begin with `ota demo`: a virtual board updates itself, fails, goes back, loses power and recovers.
    """


@cli.command()
@click.argument("path", type=_PATH)
@_json
def keygen(path: Path, as_json: bool) -> None:
    """Make a signing key: RSA-3072, in PATH (PEM, mode 0600) and PATH.pub.

    \b
    Example:  ota keygen root.pem
              ota keygen release.pem

    The root key changes the trust store and is needed rarely: keep it off line, with a copy. The
    release key signs every release.
    """
    public = path.with_name(path.name + ".pub")
    if public.exists():
        raise Usage(f"{public} exists: a key is never written over")
    key = keys.generate(path)
    public.write_bytes(keys.public_pem(key.public_key()))
    _show(
        {"private": str(path), "public": str(public), "kid": keys.kid(key.public_key())}, as_json
    )


@cli.group()
def trust() -> None:
    """The trust store: which keys a device believes."""


@trust.command("init")
@click.option("--root", "roots", type=_PATH, multiple=True, required=True, help="Root key, PEM.")
@click.option(
    "--release", "releases", type=_PATH, multiple=True, required=True, help="Release key, PEM."
)
@click.option(
    "--threshold", default=1, show_default=True, help="Root keys that must sign changes."
)
@click.option("--url", "urls", multiple=True, help="Manifest URL for devices that are told none.")
@click.option(
    "--tls-root", "tls_roots", type=_PATH, multiple=True, help="Root certificate, DER or PEM."
)
@click.option("-o", "--output", type=_PATH, default=Path("ota_trust.json"), show_default=True)
@_json
def trust_init(
    roots: tuple[Path, ...],
    releases: tuple[Path, ...],
    threshold: int,
    urls: tuple[str, ...],
    tls_roots: tuple[Path, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Make trust store number 1, which is flashed with the device.

    \b
    Example:  ota trust init --root root.pem --release release.pem.pub \\
                  --url https://updates.example/v2-esp32.manifest --tls-root ca.pem

    Root keys must be private ones, they sign; of release keys the public half is enough. Without --url
    and --tls-root the devices' /ota.json must name them.
    """
    if output.exists():
        raise Usage(f"{output} exists: devices may carry it; remove it yourself if they do not")
    envelope = trust_store.make_first(
        [keys.load_private(path) for path in roots],
        [keys.load_public(path) for path in releases],
        threshold,
        list(urls),
        [_named(path, certificates.to_der) for path in tls_roots],
    )
    output.write_bytes(envelope)
    from ota_tools.inspection import inspect_file

    _show(inspect_file(output), as_json)


@cli.command()
@click.argument("image", type=_PATH)
@click.option("--product", required=True, help="Must equal the devices' /ota.json.")
@click.option("--board", required=True, help="Must equal the devices' /ota.json.")
@click.option("--version", required=True, help="For people; devices never compare it.")
@click.option("--key", type=_PATH, required=True, help="Release key, private, PEM.")
@click.option("--trust", type=_PATH, help="The devices' trust store: the key must be in it.")
@click.option(
    "--sequence", type=_SEQUENCE, help="Default: one more than the manifest in the folder."
)
@click.option(
    "--min-sequence",
    type=click.IntRange(0),
    default=0,
    help="Devices below must install an earlier one first.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, 36500),
    help="After so many days devices refuse it. Default: never.",
)
@click.option("--notes", default="", help="Shown to the application.")
@click.option("--partitions", type=_PATH, help="The devices' partitions.csv. Default: 4 MB.")
@click.option("-o", "--output", type=_PATH, default=Path("published"), show_default=True)
@_json
def release(
    image: Path,
    product: str,
    board: str,
    version: str,
    key: Path,
    trust: Path | None,
    sequence: int | None,
    min_sequence: int,
    expires_days: int | None,
    notes: str,
    partitions: Path | None,
    output: Path,
    as_json: bool,
) -> None:
    """Sign IMAGE as a release and write it into a folder that any web server can publish.

    IMAGE is an app image (MicroPython calls it .app-bin) or a merged firmware.bin, whose app is taken
    out. What a device would refuse is refused here.

    \b
    Example:  ota release firmware.bin --product sensor --board v2 --version 1.1 \\
                  --key release.pem --trust ota_trust.json
    """
    import time

    from ota_tools.inspection import inspect_file
    from ota_tools.release import Target, make_release

    made = make_release(
        _named(image, firmware.app_image),
        Target(product, board, _table(partitions)),
        version,
        keys.load_private(key),
        output,
        sequence,
        min_sequence,
        int(time.time()) + expires_days * 86400 if expires_days else 0,
        notes,
        _store(trust) if trust else None,
    )
    about = inspect_file(made.manifest_path, trust)
    _show({**about, "file": str(made.manifest_path), "payload": str(made.payload_path)}, as_json)


@cli.command()
@click.argument("file", type=_PATH)
@click.option("--trust", type=_PATH, help="Check a manifest's signature with this trust store.")
@_json
def inspect(file: Path, trust: Path | None, as_json: bool) -> None:
    """Say what FILE is: manifest, trust store, app image, merged firmware; and whether it is right.

    \b
    Example:  ota inspect published/v2-esp32.manifest --trust ota_trust.json
    """
    from ota_tools.inspection import inspect_file

    _show(inspect_file(file, trust), as_json)


@cli.command()
@click.argument("folder", type=_PATH)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="Name or address of this machine, for its certificate; repeat. Default: localhost.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8443, show_default=True)
@click.option("--tls", type=_PATH, default=Path("tls"), show_default=True, help="Own CA and keys.")
def serve(folder: Path, hosts: tuple[str, ...], port: int, tls: Path) -> None:
    """Publish FOLDER over HTTPS with a certificate of an own CA (EC P-256), made on first use.

    Devices need TLS/ca.der as their root: `ota trust init --tls-root tls/ca.der`. For the desk and
    for tests; any static web server with a certificate does the same.

    \b
    Example:  ota serve published --host 192.168.1.10
    """
    from ota_tools.serve import Request, Server

    folder.mkdir(parents=True, exist_ok=True)

    def log(request: Request) -> None:
        console.print(str(request), markup=False)

    names = list(hosts) or ["localhost", "127.0.0.1"]
    paths = certificates.ensure(tls, names)
    with Server(
        folder,
        paths.server_pem,
        paths.server_key,
        host="0.0.0.0",  # noqa: S104
        port=port,
        on_request=log,
    ):
        console.print(f"https://{names[0]}:{port}/  serves {folder}; root: {paths.ca_der}")
        console.print("[dim]Ctrl-C ends it[/dim]")
        try:
            import threading

            threading.Event().wait()
        except KeyboardInterrupt:
            pass


@cli.group()
def board() -> None:
    """Virtual boards: an ESP32 in a folder, run by the real MicroPython VM."""


@board.command("vm")
@_json
def board_vm(as_json: bool) -> None:
    """Find the MicroPython VM, or install it from the distribution's signed packages.

    Nothing of the system is changed: the packages are unpacked into your cache folder. Set
    OTA_MICROPYTHON to use a VM of your own.

    \b
    Example:  ota board vm
    """
    from ota_tools.board import interpreter

    found = interpreter.find(progress=lambda text: None if as_json else console.print(text))
    version = ".".join(map(str, found.version))
    _show({"version": version, "source": found.source, "command": " ".join(found.argv)}, as_json)


@board.command("new")
@click.argument("folder", type=_PATH)
@click.option("--image", type=_PATH, help="App image or firmware.bin. Default: the example app.")
@click.option("--partitions", type=_PATH, help="Partition table. Default: by --flash.")
@click.option("--flash", type=click.Choice(["4", "8", "16"]), default="4", help="Flash size, MiB.")
@click.option("--product", default="demo", show_default=True)
@click.option("--board", "board_name", default="virtual", show_default=True)
@click.option("--trust", type=_PATH, required=True, help="Trust store number 1.")
@click.option("--version", default="1.0", show_default=True, help="Version of the image.")
@click.option(
    "--sequence",
    type=click.IntRange(0, 10**15 - 1),
    default=0,
    show_default=True,
    help="Sequence of the image; every release is newer than 0.",
)
@_json
def board_new(
    folder: Path,
    image: Path | None,
    partitions: Path | None,
    flash: str,
    product: str,
    board_name: str,
    trust: Path,
    version: str,
    sequence: int,
    as_json: bool,
) -> None:
    """Make a board in FOLDER: flash with table, image and file system, blank NVS.

    The file system holds the shipped boot.py and main.py, /ota.json and the trust store.

    \b
    Example:  ota board new myboard --trust ota_trust.json
    """
    from ota_tools import firmware
    from ota_tools.board import maker, show
    from ota_tools.board.model import Settings
    from ota_tools.release import check_names

    check_names(product, board_name, version)
    store = _store(trust)
    if image:
        app = _named(image, firmware.app_image)
    else:
        app = maker.application_image(version, True, 1 << 20)
    chip_id = app_images.inspect(lambda offset, n: app[offset : offset + n], len(app)).chip_id
    files = maker.application_files(store, product, board_name)
    table = _table(partitions, int(flash))
    made = maker.make_board(
        folder,
        table,
        app,
        files,
        Settings(chip_id=chip_id),
        flash_size=int(flash) << 20,
        receipt=(version, sequence),
    )
    _show(show.describe(made), as_json)
    made.close()


@board.command("run")
@click.argument("folder", type=_PATH)
@click.option("--seconds", default=60.0, show_default=True, help="Longest time under power.")
def board_run(folder: Path, seconds: float) -> None:
    """Power for the board in FOLDER, until its main.py ends; resets on the way boot again.

    \b
    Example:  ota board run myboard
    """
    from ota_tools.board import interpreter, runner

    opened = _board(folder)
    try:
        found = interpreter.find(progress=console.print)
        result = runner.run(opened, found, lambda line: console.print(line, markup=False), seconds)
    finally:
        opened.close()
    console.print(
        f"[dim]{result.end} after {result.seconds:.1f} s; booted {', '.join(result.boots)};"
        f" {len(opened.flash.operations)} flash operations[/dim]"
    )
    if result.end == "exit":
        raise Refused("the VM ended by itself: see the last lines")


@board.command("show")
@click.argument("folder", type=_PATH)
@_json
def board_show(folder: Path, as_json: bool) -> None:
    """Look into the board in FOLDER without running it: slots, otadata, NVS, files.

    \b
    Example:  ota board show myboard
    """
    from ota_tools.board import show

    opened = _board(folder)
    _show(show.describe(opened), as_json)
    opened.close()


@cli.command()
@click.option("--keep", type=_PATH, help="Keep keys, releases and board in this folder.")
@click.option("--quiet", is_flag=True, help="Only the steps, not what the board says.")
@_json
def demo(keep: Path | None, quiet: bool, as_json: bool) -> None:
    """Watch a virtual ESP32 update itself over HTTPS, fail, go back, lose power and recover.

    The real library runs on the real MicroPython VM. Each step is judged from the flash file after
    the VM has ended. Exit code 0 only if all are as they should be.

    \b
    Example:  ota demo
    """
    from ota_tools.board import interpreter
    from ota_tools.demo import Step, as_json_text, run_demo

    if keep and keep.exists():
        raise Usage(f"{keep} exists: name a folder that does not")
    talk = not (as_json or quiet)
    found = interpreter.find(progress=console.print if talk else None)

    def say(line: str) -> None:
        if talk:
            console.print(f"    {line}", style="dim", markup=False)

    def on_step(step: Step) -> None:
        if as_json:
            return
        mark = "[green]ok  [/green]" if step.ok else "[red]FAIL[/red]"
        console.print(f"{mark} {step.name} [dim]({step.seconds:.1f} s)[/dim]")
        console.print(f"     {step.reason or step.outcome}")

    with tempfile.TemporaryDirectory() as scratch:
        steps = run_demo(found, say, on_step, keep or Path(scratch) / "demo")
    if as_json:
        print(as_json_text(steps))
    if not all(step.ok for step in steps):
        raise Refused("the demo did not go as it should")
    if not as_json:
        console.print("[green]All steps as they should be[/green], judged from the flash file.")
