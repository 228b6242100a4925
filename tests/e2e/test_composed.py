"""A flash that `ota flash` composed: the real VM starts it, and it updates itself over HTTPS.

The firmware is synthetic and carries no modules, as a stock build does; library and application come
out of the file system, compiled as they go onto a board.
"""

import json
import sys

import pytest
from site_of import BOARD, PRODUCT

from ota_tools import cli
from ota_tools.board import rom, synthetic
from ota_tools.board.folder import load_board
from ota_tools.board.model import describe_entries
from ota_tools.board.runner import run
from ota_tools.firmware import CHIPS

STATUS = b"""
import json, sys
import ota, ota.p256
print("core", ota.p256.core(), ota.__file__)
print("status", json.dumps(ota.status()))
"""

APP = """
def ready():
    return True


def run():
    print("app of 1.26")
"""


def flashed(site, folder, monkeypatch, chip="esp32", *, by_port=False, **files):
    """A board whose flash was composed by the command, into its file or through a port."""
    (folder / "files").mkdir(parents=True)
    (folder / "firmware.bin").write_bytes(synthetic.merged(chip))
    (folder / "ota_trust.json").write_bytes(site.trust)
    config = {"product": PRODUCT, "board": BOARD, "timeout_s": 5, "ntp": ""}
    wifi = {"ssid": "virtual", "key": "virtual"}
    files = {
        "ota.json": json.dumps(config).encode(),
        "wifi.json": json.dumps(wifi).encode(),
    } | files
    for name, data in files.items():
        (folder / "files" / name).write_bytes(data)
    made = folder / "board"
    rom.blank(made, CHIPS[chip].id, 4 << 20)
    where = ["--port", f"board:{made}", "--yes"] if by_port else ["-o", made / "new.bin"]
    argv = ["ota", "flash", folder / "firmware.bin", *where, "--product", PRODUCT]
    argv += ["--board", BOARD, "--trust", folder / "ota_trust.json", "--files", folder / "files"]
    monkeypatch.setattr(sys, "argv", [*map(str, argv), "--sequence", "3"])
    cli.main()
    if not by_port:
        (made / "new.bin").replace(made / "flash.bin")
    return load_board(made)


@pytest.mark.parametrize("chip", synthetic.CHIPS)
def test_it_boots_and_knows_itself(site, vm, tmp_path, monkeypatch, chip):
    board = flashed(site, tmp_path / "b", monkeypatch, chip, **{"main.py": STATUS})
    result = run(board, vm)
    assert (result.boots, result.end) == (["ota_0"], "idle"), result.console
    said = dict(line.split(" ", 1) for line in result.console)
    assert said["core"] == "portable /lib/ota/__init__.mpy"
    status = json.loads(said["status"])
    assert (status["version"], status["sequence"]) == ("1.25.0", 3), status


@pytest.mark.parametrize("by_port", [False, True])
def test_the_shipped_main_py_installs_a_release_and_confirms_it(
    site, vm, tmp_path, monkeypatch, by_port
):
    board = flashed(site, tmp_path / "b", monkeypatch, by_port=by_port)
    fresh = synthetic.app(modules={"app.py": APP.encode()}, seed="fresh", version="1.26.0")
    site.publish(fresh, "1.26", sequence=4)
    result = run(board, vm)
    console = "\n".join(result.console)
    assert "installed 1.26 -" in console, console
    assert result.boots == ["ota_0", "ota_1"]
    assert console.endswith("app of 1.26") and result.end == "idle"
    slot = board.table.ota_slots[1]
    assert board.flash.read(slot.offset, len(fresh)) == fresh
    assert any("VALID" in entry for entry in describe_entries(board))
