"""The commands `ota flash` and `ota convert`: a stock build becomes a board, or a file, with two slots."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from ota_tools import backup, builds, compose, firmware, layout, library, provision
from ota_tools.failures import Refused, Usage
from ota_tools.files import replace
from ota_tools.partitions import Table, parse_csv
from ota_tools.ports import BOARD
from ota_tools.terminal import (
    PATH,
    as_json_option,
    bar,
    console,
    quiet_option,
    read_bytes,
    read_store,
    show,
)

if TYPE_CHECKING:
    from ota_tools.loader import Loader

SIZES = {f"{mib}MB": mib << 20 for mib in (4, 8, 16, 32)}

_partitions_option = click.option(
    "--partitions",
    type=PATH,
    help="Partition table. Default: the shipped one of the flash size, or one computed for the image.",
)


def _size_option(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--flash-size", type=click.Choice([*SIZES]), help=f"Of the board. Default: {default}."
    )


@click.command()
@click.argument("firmware_file", metavar="FIRMWARE", type=PATH)
@click.option("-o", "--output", type=PATH, help="Write the whole flash into this file.")
@click.option("--app", "app_file", type=PATH, help="Write the bare app image into this file.")
@_size_option("what the bootloader says")
@_partitions_option
@as_json_option
def convert(
    firmware_file: Path,
    output: Path | None,
    app_file: Path | None,
    flash_size: str | None,
    partitions: Path | None,
    as_json: bool,
) -> None:
    """Put a merged FIRMWARE.bin into a flash with two OTA slots, or take its app image out.

    Bootloader and application stay what they are; otadata is blank, so the first slot boots, and
    MicroPython makes its file system at the first start. `ota flash` also puts the library in.

    \b
    Example:  ota convert ESP32_GENERIC-20250415-v1.25.0.bin -o two-slots.bin --app app.bin
    """
    if output is None and app_file is None:
        raise Usage("nothing to write: name a file with -o, or with --app")
    parsed = _parse(firmware_file)
    about = _about(parsed)
    if output:
        size = _size_of(parsed, firmware_file, flash_size, "")
        composed = compose.compose(parsed, _table(partitions, size, parsed.app), size)
        notes = [note for note in (_too_old(parsed.app), *_left_out(parsed)) if note]
        about = _about_flash(parsed, composed, notes)
        _write_new(output, composed.data)
        about |= {"file": str(output), "write it with": _command(composed, output)}
    if app_file:
        _write_new(app_file, parsed.app)
        about["app"] = str(app_file)
    _tell(about, as_json)


@click.command()
@click.argument("firmware_file", metavar="FIRMWARE", type=PATH)
@click.option("--port", help="Of the board: /dev/ttyUSB0, socket://host:port, board:FOLDER.")
@click.option("-o", "--output", type=PATH, help="Write the whole flash into this file instead.")
@click.option("--product", required=True, help="Into /ota.json; must equal that of its releases.")
@click.option("--board", required=True, help="Into /ota.json; must equal that of its releases.")
@click.option("--trust", type=PATH, required=True, help="Trust store that the board begins with.")
@click.option("--version", help="Version of FIRMWARE, for people. Default: MicroPython's.")
@click.option(
    "--sequence",
    type=click.IntRange(0, 10**15 - 1),
    default=0,
    show_default=True,
    help="Sequence of FIRMWARE; every release is newer than 0.",
)
@click.option("--files", type=PATH, help="Folder laid over the file system: your application.")
@click.option("--bootloader", type=PATH, help="Bootloader, where FIRMWARE is an app image.")
@_partitions_option
@_size_option("the chip's; with -o what the bootloader says")
@click.option("--no-library", is_flag=True, help="FIRMWARE carries ota frozen: no /lib/ota.")
@click.option("--py", "as_source", is_flag=True, help="The library as .py, not compiled.")
@click.option("--backup", "backup_to", type=PATH, help="Save table, files and NVS here first.")
@click.option("--erase", is_flag=True, help="Erase the whole flash first.")
@click.option(
    "--baud",
    type=click.IntRange(9600),
    default=460800,
    show_default=True,
    help="Of a serial port; lower it where a cable is bad.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@quiet_option
@as_json_option
def flash(
    firmware_file: Path,
    port: str | None,
    output: Path | None,
    product: str,
    board: str,
    trust: Path,
    version: str | None,
    sequence: int,
    files: Path | None,
    bootloader: Path | None,
    partitions: Path | None,
    flash_size: str | None,
    no_library: bool,
    as_source: bool,
    backup_to: Path | None,
    erase: bool,
    baud: int,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make a board that updates itself out of a stock FIRMWARE: a merged firmware.bin, or an app image.

    Writes bootloader, a table with two slots, the firmware into the first, and a file system with the
    library, boot.py, main.py, /ota.json and the trust store. What the board held is shown first, and
    you are asked. If the cable is pulled half-way the board does not boot: run the same command again.

    \b
    Example:  ota flash ESP32_GENERIC-20250415-v1.25.0.bin --port /dev/ttyUSB0 \\
                  --product sensor --board v2 --trust ota_trust.json --files app --backup saved

    An app image goes onto a board that has a bootloader for its flash size, which is never written
    over, or takes --bootloader: a bootloader.bin, or the merged firmware.bin of the same chip. --files
    has your app.py, wifi.json, and whatever else; its main.py, boot.py and ota.json count in place of
    the shipped ones, hidden files stay out.
    `--files DIR/files` gets the files of a --backup DIR back; a backup is never written over.
    """
    from ota_tools.release import check_names

    if (port is None) == (output is None):
        raise Usage("where to? name a --port, or a file with --output")
    if output and (backup_to or erase or yes):
        raise Usage("--backup, --erase and --yes need --port")
    if no_library and as_source:
        raise Usage("--py and --no-library contradict each other")
    parsed = _parse(firmware_file)
    if bootloader:
        parsed = _with_bootloader(parsed, bootloader)
    if old := _too_old(parsed.app):
        raise Refused(f"{firmware_file}: {old}")
    found = builds.version(parsed.app)
    version = version or (str(found) if found else "0")
    check_names(product, board, version)
    identity = provision.Identity(product, board, read_store(trust))
    content, notes = _content(parsed, identity, files, no_library, as_source)
    notes += _left_out(parsed)
    content |= provision.receipt(parsed.app, version, sequence)

    def put_together(whole: firmware.Firmware, size: int) -> compose.Composed:
        return compose.compose(whole, _table(partitions, size, whole.app), size, content)

    if output:
        size = _size_of(parsed, firmware_file, flash_size, "name one with --bootloader, or ")
        composed = put_together(parsed, size)
        _write_new(output, composed.data)
        about = _about_flash(parsed, composed, notes)
        about |= {"file": str(output), "write it with": _command(composed, output)}
        _tell(about, as_json)
        return
    assert port
    from ota_tools import flashing
    from ota_tools.loader import connect

    talk = not (as_json or quiet)
    with connect(port, baud) as loader:
        size = flashing.flash_size_for(loader, parsed, SIZES[flash_size] if flash_size else None)
        whole = flashing.with_bootloader(loader, parsed, size)
        composed = put_together(whole, size)
        before = backup.look(loader)
        rows = backup.losses(before, composed.table, erase)
        _ask(rows, backup.summary(before, composed.table), yes, as_json)
        saved = _save(backup_to, loader, before, notes, talk) if backup_to else {}
        with bar("written", talk) as progress:
            flashing.write(loader, composed, erase, not parsed.bootloader, progress)
        if not (loader.can_reset or port.startswith(BOARD)):
            notes.append("this port cannot reset the board: press EN")
    about = _about_flash(whole, composed, notes)
    _tell(about | {"port": port, "lost": rows, **saved}, as_json)


def _parse(path: Path) -> firmware.Firmware:
    try:
        return firmware.parse(read_bytes(path))
    except Refused as e:
        raise Refused(f"{path}: {e}") from e


def _with_bootloader(parsed: firmware.Firmware, path: Path) -> firmware.Firmware:
    if parsed.bootloader:
        raise Usage("--bootloader is for an app image: this firmware brings its own")
    try:
        return parsed._replace(bootloader=firmware.bootloader_image(read_bytes(path), parsed.chip))
    except Refused as e:
        raise Refused(f"{path}: {e}") from e


def _size_of(parsed: firmware.Firmware, path: Path, asked: str | None, way: str) -> int:
    # Bytes of a flash in a file; only a bootloader makes one, and says how large by default.
    if not parsed.bootloader:
        raise Refused(
            f"{path}: an app image has no bootloader: {way}take the merged firmware.bin of the build"
        )
    return SIZES[asked] if asked else compose.flash_size_of(parsed.bootloader)


def _content(
    parsed: firmware.Firmware,
    identity: provision.Identity,
    folder: Path | None,
    no_library: bool,
    as_source: bool,
) -> tuple[dict[str, bytes], list[str]]:
    # Files of the board, and what should be known about them.
    carried = builds.library(parsed.app)
    modules: dict[str, bytes] = {}
    if not no_library:
        modules = library.source() if as_source else library.compiled(parsed.chip)
    files, notes = provision.board_files(identity, modules, folder)
    if carried.verdict == builds.NO:
        notes.insert(0, carried.why)
    elif carried.verdict == builds.YES and modules:
        notes.insert(
            0, f"the firmware carries the library ({carried.why}): --no-library saves room"
        )
    elif carried.verdict == builds.UNKNOWN and not modules and "/lib/ota/__init__.py" not in files:
        notes.insert(0, f"no /lib/ota, and {carried.why}: without it boot.py fails")
    return files, notes


def _too_old(app: bytes) -> str:
    # Why the library would not run there; "" also for a build that does not tell its version.
    found = builds.version(app)
    if found is None or found >= library.OLDEST:
        return ""
    oldest = ".".join(map(str, library.OLDEST))
    return f"MicroPython {found}, the library needs {oldest}: take a newer build"


def _left_out(parsed: firmware.Firmware) -> list[str]:
    if not parsed.others:
        return []
    names = ", ".join(parsed.others)
    return [f"left out, for of FIRMWARE only bootloader and application are taken: {names}"]


def _table(path: Path | None, flash_size: int, app: bytes) -> Table:
    if path is None:
        return layout.pick(flash_size, len(app))
    try:
        table = parse_csv(read_bytes(path).decode())
        layout.check_ota(table, flash_size, len(app))
    except UnicodeDecodeError as e:
        raise Refused(f"{path} is not text, expected a table like partitions.csv") from e
    except Refused as e:
        raise Refused(f"{path}: {e}") from e
    return table


def _ask(rows: list[dict[str, Any]], summary: str, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise Refused(
            f"nobody to ask, and this would be lost: {summary}; --yes goes on, "
            "with --backup FOLDER it is saved first"
        )
    console.print("What will be lost:")
    show({row["partition"]: f"{row['size']:>8} bytes  {row['lost']}" for row in rows}, False)
    if not click.confirm("Write the board?"):
        raise Refused("nothing was written")


def _save(
    folder: Path, loader: "Loader", before: backup.Found, notes: list[str], talk: bool
) -> dict[str, Any]:
    with bar("saved", talk) as progress:
        if not backup.save(folder, loader, before, progress):
            notes.append(f"{folder} holds a backup already: it is kept as it is")
    names = backup.contents(folder)
    about: dict[str, Any] = {"backup": [f"{folder}/{name}" for name in names]}
    if "files/" in names:
        about["files come back with"] = f"--files {folder}/files"
    return about


def _write_new(path: Path, data: bytes) -> None:
    # Never over another file; the same again is no harm.
    if path.exists():
        if path.is_file() and path.read_bytes() == data:
            return
        raise Refused(f"{path} exists and holds something else: remove it, or name another file")
    replace(path, data, 0o600)  # the files in it may be secret: the key of the WiFi


def _about(parsed: firmware.Firmware) -> dict[str, Any]:
    found = builds.version(parsed.app)
    answer = builds.rollback(parsed)
    boot, idf = "none", builds.app_idf(parsed.app) or "unknown"
    if parsed.bootloader:
        older = "before 5.1, or not told"  # where descriptors came
        boot = f"{len(parsed.bootloader)} bytes, ESP-IDF {builds.bootloader_idf(parsed.bootloader) or older}"
    return {
        "chip": parsed.chip,
        "micropython": str(found) if found else "unknown",
        "application": f"{len(parsed.app)} bytes, ESP-IDF {idf}",
        "bootloader": boot,
        "rollback": {"verdict": answer.verdict, "why": answer.why},
    }


def _about_flash(
    parsed: firmware.Firmware, composed: compose.Composed, notes: list[str]
) -> dict[str, Any]:
    about = _about(parsed)
    about["flash"] = compose.size_name(len(composed.data))
    about["partitions"] = layout.rows(composed.table, len(parsed.app))
    return about | ({"notes": notes} if notes else {})


def _command(composed: compose.Composed, path: Path) -> str:
    return f"esptool --chip {composed.chip} write-flash 0 {path}"


def _tell(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show(about, True)
        return
    lines = dict(about)
    lines["rollback"] = f"{about['rollback']['verdict']}: {about['rollback']['why']}"
    if "partitions" in about:
        lines["partitions"] = [
            f"{row['name']:<9} {row['offset']:#8x} {row['size']:#9x}  {row['what']}"
            for row in about["partitions"]
        ]
    if "lost" in about:
        lines["lost"] = [
            f"{row['partition']}: {row['lost']}" for row in about["lost"]
        ] or "nothing"
    show(lines, False)
