"""The command `ota`: arguments in, tables or JSON out; the work is done elsewhere."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import rich_click as click
from click.core import ParameterSource
from click.exceptions import NoArgsIsHelpError
from rich_click.utils import CommandGroupDict

from ota import trust as device_trust
from ota_tools import certificates, firmware
from ota_tools.cli_bench import bench
from ota_tools.cli_board import board
from ota_tools.cli_cut import cut
from ota_tools.cli_device import device
from ota_tools.cli_doctor import doctor
from ota_tools.cli_flash import convert, flash
from ota_tools.cli_keys import Keyring, keygen, signer_options
from ota_tools.cli_trust import trust as trust_group
from ota_tools.failures import Failure, Refused, Usage
from ota_tools.terminal import (
    PATH,
    SEQUENCE,
    as_json_option,
    complain,
    console,
    read_as,
    read_store,
    read_table,
    show,
    warn,
)
from ota_tools.trust_files import read_complete

GROUPS: list[CommandGroupDict] = [
    {"name": "Make", "commands": ["keygen", "trust", "release", "inspect"]},
    {"name": "Publish", "commands": ["serve"]},
    {"name": "Board", "commands": ["flash", "convert", "device", "doctor"]},
    {"name": "Try", "commands": ["demo", "board"]},
    {"name": "Prove", "commands": ["bench", "cut"]},
    {"name": "Shell", "commands": ["completion"]},
]
"""What `ota --help` shows. The command's own: esptool sets the groups of the whole process."""


def main() -> None:
    """Run the command; a Failure becomes one line and its exit code, an OSError that names a file too."""
    try:
        cli.main(prog_name="ota", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough; what is still buffered must not complain at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Failure.exit_code)
    except Failure as e:
        complain(str(e))
        sys.exit(e.exit_code)
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        complain(where + (e.strerror or str(e)))
        sys.exit((Usage if where else Failure).exit_code)
    except NoArgsIsHelpError as e:
        e.show()
        sys.exit(e.exit_code)
    except click.ClickException as e:
        context = getattr(e, "ctx", None)
        command = context.command_path if context else "ota"
        complain(f"{e.format_message()} `{command} --help` shows how")
        sys.exit(2)
    except click.Abort:
        sys.exit(130)


@click.group()
@click.rich_config(
    help_config=click.RichHelpConfiguration(
        command_groups={"ota": GROUPS},
        force_terminal="FORCE_COLOR" in os.environ or None,  # not where a log is taken for one
    )
)
@click.version_option(package_name="esp32-ota")
def cli() -> None:
    """Signed firmware updates for ESP32 boards that run MicroPython.

    Begin with `ota demo`: a virtual board updates itself, fails, goes back, loses power and recovers.

    \b
    Example:  ota demo
              ota release --help
    """


cli.add_command(bench)
cli.add_command(board)
cli.add_command(cut)
cli.add_command(convert)
cli.add_command(device)
cli.add_command(doctor)
cli.add_command(flash)
cli.add_command(keygen)
cli.add_command(trust_group)


@cli.command()
@click.argument("image", type=PATH)
@click.option("--product", required=True, help="Must equal the devices' /ota.json.")
@click.option("--board", required=True, help="Must equal the devices' /ota.json.")
@click.option("--version", required=True, help="For people; devices never compare it.")
@signer_options("Release key")
@click.option(
    "--trust",
    "store",
    type=PATH,
    help="The newest trust store: the keys must be in it, and its number goes into the manifest.",
)
@click.option(
    "--first",
    type=PATH,
    help="Trust store number 1, which --trust number 2 must follow. Default: ota_trust.json beside it.",
)
@click.option(
    "--sequence", type=SEQUENCE, help="Default: one more than the manifest in the folder."
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
@click.option("--partitions", type=PATH, help="The devices' partitions.csv. Default: 4 MB.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("published"),
    show_default=True,
    help="Folder for manifest and payload.",
)
@as_json_option
def release(
    image: Path,
    product: str,
    board: str,
    version: str,
    key_files: tuple[Path, ...],
    commands: tuple[tuple[Path, str], ...],
    store: Path | None,
    first: Path | None,
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

    Several release keys, where the trust store asks for that: repeat --key. --signer is for keys that
    lie in an HSM or KMS: `ota trust sign --help`. With a store of number 2 or more the folder must hold
    trust-2.json and so on: devices take one after the other. The store given is copied there.
    """
    import time

    from ota_tools.inspection import inspect_file
    from ota_tools.release import Target, make_release

    trust = read_complete(store) if store else None
    signers = Keyring().signers(key_files, commands)
    if not signers:
        raise Usage("nobody signs: name a release key with --key, or --signer")
    made = make_release(
        read_as(image, firmware.app_image),
        Target(product, board, read_table(partitions)),
        version,
        signers,
        output,
        sequence,
        min_sequence,
        int(time.time()) + expires_days * 86400 if expires_days else 0,
        notes,
        trust,
        _first(trust, store, first),
    )
    about = inspect_file(made.manifest_path, store)
    show({**about, "file": str(made.manifest_path), "payload": str(made.payload_path)}, as_json)


def _first(trust: bytes | None, store: Path | None, first: Path | None) -> bytes | None:
    # Trust store number 1, where another one is published.
    if trust is None or store is None or device_trust.load(trust).number == 1:
        return None
    path = first or store.with_name("ota_trust.json")
    if first or path.is_file():
        return read_store(path)
    warn(
        f"{path} is not there: whether number 2 follows number 1 was not checked; --first names it"
    )
    return None


@cli.command()
@click.argument("file", type=PATH)
@click.option("--trust", type=PATH, help="Check a manifest's signature with this trust store.")
@as_json_option
def inspect(file: Path, trust: Path | None, as_json: bool) -> None:
    """Say what FILE is: manifest, trust store, app image, merged firmware; and whether it is right.

    \b
    Example:  ota inspect published/v2-esp32.manifest --trust ota_trust.json
    """
    from ota_tools.inspection import inspect_file

    show(inspect_file(file, trust), as_json)


@cli.command()
@click.argument("folder", type=PATH)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="Name or address of this machine, for its certificate; repeat. Default: localhost.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8443,
    show_default=True,
    help="0: any that is free.",
)
@click.option("--tls", type=PATH, default=Path("tls"), show_default=True, help="Own CA and keys.")
@click.option("--reports", type=PATH, help="Append devices' reports to this file.")
@click.option("--serial", help="Serve over this serial port instead, without TLS.")
@click.option(
    "--baud", type=click.IntRange(300), default=115200, show_default=True, help="Of --serial."
)
@click.pass_context
def serve(
    context: click.Context,
    folder: Path,
    hosts: tuple[str, ...],
    port: int,
    tls: Path,
    reports: Path | None,
    serial: str | None,
    baud: int,
) -> None:
    """Publish FOLDER over HTTPS with a certificate of an own CA (EC P-256), made on first use.

    Devices need TLS/ca.der as their root: `ota trust init --tls-root tls/ca.der`. For the desk and
    for tests; any static web server with a certificate does the same.

    With --reports devices may tell how their updates ended: to any path that ends in /reports, their
    `report_url`. The file gets a line of JSON for each.

    With --serial it is plain HTTP over a serial line, one request after the other, for devices that
    update through `ota.Wire(uart)`.

    \b
    Example:  ota serve published --host 192.168.1.10
              ota serve published --serial /dev/ttyUSB1
    """
    from ota_tools.request_log import Request
    from ota_tools.serve import Server

    unfit = ("hosts", "port", "tls", "reports") if serial else ("baud",)
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in unfit and source is not ParameterSource.DEFAULT:
            raise Usage(f"{option.opts[0]} {'goes without' if serial else 'needs'} --serial")

    folder.mkdir(parents=True, exist_ok=True)

    def log(request: Request) -> None:
        console.print(str(request), markup=False, soft_wrap=True)

    if serial:
        from ota_tools.serial_line import SerialServer

        with SerialServer(folder, serial, baud, log) as line:
            about = f"{serial}  serves {folder} at {baud} baud, without TLS"
            console.print(about, markup=False, soft_wrap=True)
            console.print("[dim]Ctrl-C ends it[/dim]")
            with contextlib.suppress(KeyboardInterrupt):
                line.serve_forever()
        return

    names = list(hosts) or ["localhost", "127.0.0.1"]
    paths = certificates.ensure(tls, names)
    with Server(
        folder,
        paths.server_pem,
        paths.server_key,
        host="0.0.0.0",  # noqa: S104
        port=port,
        on_request=log,
        reports=reports,
    ):
        console.print(f"https://{names[0]}:{port}/  serves {folder}; root: {paths.ca_der}")
        console.print("[dim]Ctrl-C ends it[/dim]")
        try:
            import threading

            threading.Event().wait()
        except KeyboardInterrupt:
            pass


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes `ota`: commands, options, files.

    \b
    Example:  ota completion bash > ~/.local/share/bash-completion/completions/ota
              ota completion zsh > ~/.zfunc/_ota
              ota completion fish > ~/.config/fish/completions/ota.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    print(made(cli, {}, "ota", "_OTA_COMPLETE").source())


@cli.command()
@click.option("--keep", type=PATH, help="Keep keys, releases and board in this folder.")
@click.option("--quiet", is_flag=True, help="Only the steps, not what the board says.")
@as_json_option
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
