"""The commands `ota board …`: make, run and look at virtual boards."""

from pathlib import Path

import rich_click as click

from ota import image as app_images
from ota_tools import firmware
from ota_tools.failures import Refused
from ota_tools.terminal import (
    PATH,
    as_json_option,
    console,
    open_board,
    read_as,
    read_store,
    read_table,
    show,
)


@click.group()
def board() -> None:
    """Virtual boards: an ESP32 in a folder, run by the real MicroPython VM."""


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
@click.option("--image", type=PATH, help="App image or firmware.bin. Default: the example app.")
@click.option("--partitions", type=PATH, help="Partition table. Default: by --flash.")
@click.option("--flash", type=click.Choice(["4", "8", "16"]), default="4", help="Flash size, MiB.")
@click.option("--product", default="demo", show_default=True)
@click.option("--board", "board_name", default="virtual", show_default=True)
@click.option("--trust", type=PATH, required=True, help="Trust store number 1.")
@click.option("--version", default="1.0", show_default=True, help="Version of the image.")
@click.option(
    "--sequence",
    type=click.IntRange(0, 10**15 - 1),
    default=0,
    show_default=True,
    help="Sequence of the image; every release is newer than 0.",
)
@as_json_option
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
    from ota_tools.board import maker
    from ota_tools.board.model import Settings
    from ota_tools.board.show import describe
    from ota_tools.release import check_names

    check_names(product, board_name, version)
    store = read_store(trust)
    if image:
        app = read_as(image, firmware.app_image)
    else:
        app = maker.application_image(version, True, 1 << 20)
    chip_id = app_images.inspect(lambda offset, n: app[offset : offset + n], len(app)).chip_id
    files = maker.application_files(store, product, board_name)
    table = read_table(partitions, int(flash))
    made = maker.make_board(
        folder,
        table,
        app,
        files,
        Settings(chip_id=chip_id),
        flash_size=int(flash) << 20,
        receipt=(version, sequence),
    )
    show(describe(made), as_json)
    made.close()


@board.command("run")
@click.argument("folder", type=PATH)
@click.option("--seconds", default=60.0, show_default=True, help="Longest time under power.")
def board_run(folder: Path, seconds: float) -> None:
    """Power for the board in FOLDER, until its main.py ends; resets on the way boot again.

    \b
    Example:  ota board run myboard
    """
    from ota_tools.board import interpreter, runner

    opened = open_board(folder)
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
@click.argument("folder", type=PATH)
@as_json_option
def board_show(folder: Path, as_json: bool) -> None:
    """Look into the board in FOLDER without running it: slots, otadata, NVS, files.

    \b
    Example:  ota board show myboard
    """
    from ota_tools.board.show import describe

    opened = open_board(folder)
    show(describe(opened), as_json)
    opened.close()
