"""New virtual boards, as a factory would flash them: table, image, file system, first receipt."""

import json
import re
from pathlib import Path

from ota_tools import provision, resources
from ota_tools.board import filesystem
from ota_tools.board.folder import create
from ota_tools.board.image_maker import library_modules, make_image
from ota_tools.board.model import Board
from ota_tools.board.settings import Settings
from ota_tools.failures import Refused
from ota_tools.partitions import APP, Table

VFS = "vfs"


def make_board(
    folder: Path,
    table: Table,
    app: bytes,
    files: dict[str, bytes],
    settings: Settings | None = None,
    flash_size: int = 4 << 20,
    receipt: tuple[str, int] | None = None,
) -> Board:
    """A board with `app` in its first app partition and `files` in its file system.

    Args:
        receipt: version and sequence of `app`, if they are to be known to the device.
    Raises Refused where the image or the files do not fit, Usage where a board is there already.
    """
    first = next((part for part in table.partitions if part.type == APP), None)
    vfs = table.find(VFS)
    if first is None or vfs is None:
        raise Refused("the partition table needs an app partition and a partition named vfs")
    if len(app) > first.size:
        raise Refused(f"image of {len(app)} bytes, {first.name} has {first.size}")
    if receipt:
        files = {**files, **provision.receipt(app, *receipt)}
    filled = filesystem.build(vfs.size, files)
    board = create(folder, table, flash_size, settings or Settings())
    board.flash.load(first.offset, app)
    board.flash.load(vfs.offset, filled)
    return board


def application_files(trust: bytes, product: str, board: str) -> dict[str, bytes]:
    """boot.py, main.py, configuration, trust store and network credentials of the shipped example."""
    return {
        **provision.base_files(provision.Identity(product, board, trust)),
        "/wifi.json": json.dumps({"ssid": "virtual", "key": "virtual"}).encode(),
    }


def application_image(version: str, works: bool, size: int) -> bytes:
    """An image that carries the library and the shipped example with this version.

    Args:
        works: what its `ready()` says.
        size: bytes, about.
    """
    return make_image(application_modules(version, works), size, seed=version)


def application_modules(version: str, works: bool) -> dict[str, bytes]:
    """Path -> contents of the library, and of the shipped example with this version."""
    source = resources.device_file("app.py").read_text()
    line = f"VERSION = {json.dumps(version)}"
    source = re.sub(r"^VERSION = .*$", lambda _: line, source, flags=re.M)
    source = re.sub(r"^WORKS = .*$", f"WORKS = {works}", source, flags=re.M)
    modules = library_modules(resources.library_dir())
    modules["app.py"] = source.encode()
    return modules
