"""One board for all tests of this folder: a real one with --port, else a virtual one made for it.

The board is one for the desk: its /ota.json, trust store, journal and receipts are replaced, and both of
its slots are written. `ota flash` or `ota device setup` has put the library on it.
"""

import datetime
import json
from pathlib import Path

import pytest
from desk import Desk, own_address, read_firmware

from ota_tools import firmware as firmwares
from ota_tools import library, provision, resources
from ota_tools.board import maker
from ota_tools.device import connect
from ota_tools.partitions import parse_csv
from ota_tools.terminal import read_as

ABOUT: dict[str, str] = {}
"""Chip, board and firmware, once they are known."""

WHAT = """
import sys
return {"board": sys.implementation._machine, "firmware": sys.version}
"""


def pytest_addoption(parser):
    group = parser.getgroup("device", "the board that tests/device runs on")
    group.addoption("--port", help="of a real board: /dev/ttyUSB0, socket://host:port")
    group.addoption("--wifi", metavar="NAME:KEY", help="network; default: its own /wifi.json")
    group.addoption("--host", help="address of this machine for the board; default: found out")
    group.addoption(
        "--firmware", type=Path, help="what the board runs, a .bin; default: read from it, slowly"
    )


def virtual_board(folder: Path) -> tuple[str, bytes]:
    """Port and image of a board with stock firmware and the library in its file system."""
    from ota_tools.board import synthetic

    app = synthetic.app(modules={}, size=300_000)
    table = parse_csv(resources.device_file("partitions.csv").read_text())
    identity = provision.Identity("desk", "desk", b"")
    files = provision.base_files(identity) | library.compiled("esp32")
    files["/wifi.json"] = json.dumps({"ssid": "virtual", "key": "virtual"}).encode()
    del files["/main.py"]  # the tests are the application
    maker.make_board(folder, table, app, files).close()
    return f"board:{folder}", app


@pytest.fixture(scope="session")
def desk(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    option = request.config.getoption
    port, image = option("--port", None), None
    host = "localhost"
    if port is None:
        port, image = virtual_board(folder / "board")
    else:
        host = option("--host") or own_address()
        if option("--firmware"):
            image = read_as(option("--firmware"), firmwares.app_image)
    with connect(port) as device:
        if option("--wifi", None):
            ssid, _, key = option("--wifi").partition(":")
            device.write("/wifi.json", json.dumps({"ssid": ssid, "key": key}).encode())
        made = Desk(device, folder, host, image or read_firmware(device))
        made.prepare()
        ABOUT.update(device.run(WHAT), chip=firmwares.chip_name(made.chip_id))
        yield made
        made.close()


@pytest.fixture
def board(desk):
    """The desk with a confirmed image running."""
    if desk.status()["trial"]:
        desk.device.ask("ota.confirm()")
    return desk


def pytest_terminal_summary(terminalreporter, config):
    """A row for docs/tested.md, where a real board was tried."""
    if not config.getoption("--port", None) or not ABOUT:
        return
    passed, failed = (len(terminalreporter.stats.get(kind, ())) for kind in ("passed", "failed"))
    when = datetime.date.today().isoformat()
    terminalreporter.section("a row for docs/tested.md")
    terminalreporter.line(
        f"| {ABOUT['chip']} | {ABOUT['board']}, {ABOUT['firmware']} | tests/device: {passed} passed,"
        f" {failed} failed | {when} |"
    )
