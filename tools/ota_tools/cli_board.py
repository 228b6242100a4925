"""The commands `ota board …`: make, run and look at virtual boards."""

import contextlib
import signal
from pathlib import Path

import rich_click as click

from ota_tools import firmware
from ota_tools.failures import Refused, Usage
from ota_tools.terminal import (
    PATH,
    as_json_option,
    console,
    show,
)


@click.group()
def board() -> None:
    """Virtual boards: an ESP32 in a folder, run by the real MicroPython VM.

    \b
    Example:  ota board new myboard
    """


@board.command("vm")
@as_json_option
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
    show({"version": version, "source": found.source, "command": " ".join(found.argv)}, as_json)


@board.command("new")
@click.argument("folder", type=PATH)
@click.option(
    "--chip",
    type=click.Choice(list(firmware.CHIPS)),
    default="esp32",
    show_default=True,
    help="What kind of chip.",
)
@click.option(
    "--flash-size",
    type=click.Choice([f"{size}MB" for size in (4, 8, 16, 32)]),
    default="4MB",
    show_default=True,
    help="Of its flash chip.",
)
@as_json_option
def board_new(folder: Path, chip: str, flash_size: str, as_json: bool) -> None:
    """A virtual chip in FOLDER as it leaves the factory: blank flash, blank NVS. `ota flash` fills it.

    \b
    Example:  ota board new myboard
              ota board image firmware.bin
              ota flash firmware.bin --port board:myboard \\
                  --product sensor --board v2 --trust ota_trust.json
    """
    from ota_tools.board import rom

    rom.blank(folder, firmware.CHIPS[chip].id, int(flash_size[:-2]) << 20)
    about = {"board": str(folder), "chip": chip, "flash": flash_size, "port": f"board:{folder}"}
    if as_json:
        show(about, True)
    else:
        text = f"{folder}: a blank {chip} with {flash_size} of flash; its port is board:{folder}"
        console.print(text, markup=False, soft_wrap=True)


@board.command("image")
@click.argument("file", type=PATH)
@click.option("--version", default="1.0", show_default=True, help="What its application says.")
@click.option("--broken", is_flag=True, help="Its self-test fails, so it will be rolled back.")
@click.option(
    "--chip",
    type=click.Choice(["esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"]),
    default="esp32",
    show_default=True,
    help="What kind of chip it is for.",
)
@as_json_option
def board_image(file: Path, version: str, broken: bool, chip: str, as_json: bool) -> None:
    """Write a firmware.bin that a virtual board can run: the library and the example app are in it.

    It has the shape of MicroPython's own: bootloader, one factory partition, application. Where
    firmware has machine code it has filler: no chip could run it.

    \b
    Example:  ota board image next.bin --version 1.1
              ota board image bad.bin --version 1.2 --broken
    """
    from ota_tools.board import maker, synthetic

    if file.exists():
        raise Usage(f"{file} exists; name another file")
    modules = maker.application_modules(version, not broken)
    app = synthetic.app(chip, modules, 1 << 20, seed=version)
    file.write_bytes(synthetic.merged(chip, app=app))
    about = {"file": str(file), "version": version, "chip": chip, "works": not broken}
    if as_json:
        show(about, True)
    else:
        console.print(f"{file}: firmware {version} for a virtual {chip}", soft_wrap=True)


@board.command("run")
@click.argument("folder", type=PATH)
@click.option("--seconds", default=60.0, show_default=True, help="Longest time under power.")
@click.option("--line", is_flag=True, help="With a serial line for other programs, until Ctrl-C.")
def board_run(folder: Path, seconds: float, line: bool) -> None:
    """Power for the board in FOLDER, until its main.py ends; resets on the way boot again.

    With --line the board has its serial line: a pseudo-terminal with the REPL, for mpremote and
    every other program that opens a port.

    \b
    Example:  ota board run myboard
              ota board run myboard --line
    """
    from ota_tools.board import interpreter, power, runner
    from ota_tools.board.folder import load_board

    if line:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # the VM ends, too
        with power.running(folder, _print_line) as powered:
            console.print(f"serial line: {powered.path}", soft_wrap=True)
            console.print(f"Example: mpremote connect {powered.path} repl", soft_wrap=True)
            with contextlib.suppress(KeyboardInterrupt):
                powered.wait()
        return
    with power.claim(folder):
        opened = load_board(folder)
        try:
            found = interpreter.find(progress=console.print)
            result = runner.run(opened, found, _print_line, seconds)
        finally:
            opened.close()
    console.print(
        f"[dim]{result.end} after {result.seconds:.1f} s; booted {', '.join(result.boots)};"
        f" {len(opened.flash.operations)} flash operations[/dim]"
    )
    if result.end == "exit":
        raise Refused("the VM ended by itself: see the last lines")


def _print_line(text: str) -> None:
    console.print(text, markup=False)


@board.command("show")
@click.argument("folder", type=PATH)
@as_json_option
def board_show(folder: Path, as_json: bool) -> None:
    """Look into the board in FOLDER without running it: slots, otadata, NVS, files.

    \b
    Example:  ota board show myboard
    """
    from ota_tools.board.folder import load_board
    from ota_tools.board.show import describe

    opened = load_board(folder)
    show(describe(opened), as_json)
    opened.close()
