"""Each example, as it stands in examples/, updates itself on the virtual board and is confirmed."""

import re

import pytest

from ota import otadata
from ota_tools import resources
from ota_tools.board import bootloader, image_maker, maker
from ota_tools.board.flash import PowerCut
from ota_tools.board.runner import run

EXAMPLES = resources.library_dir().parents[1] / "examples"
SIZE = 1 << 17

SHORTER = {
    "sensor_node": {"MEASURE_S": 0.1},
    "deep_sleep_node": {"EVERY": 2},
    "asyncio_app": {"MEASURE_S": 0.05},
}
"""Example -> its numbers that a test has no time for."""


def image(name: str, version: str) -> bytes:
    """An image with the library, the example as its main.py, and wifi.py."""
    source = (EXAMPLES / f"{name}.py").read_text()
    for field, value in {"VERSION": f'"{version}"', **SHORTER[name]}.items():
        source, changed = re.subn(rf"(?m)^{field} = .*$", f"{field} = {value}", source)
        assert changed == 1, field
    modules = image_maker.library_modules(resources.library_dir())
    modules["main.py"] = source.encode()
    modules["wifi.py"] = (EXAMPLES / "wifi.py").read_bytes()
    return image_maker.make_image(modules, SIZE, seed=name + version)


def power(made, vm, enough: str) -> list[str]:
    """Run the board until a line of its console says so, or for 30 s."""

    def hear(line):
        if line.startswith(enough):
            raise PowerCut

    result = run(made, vm, hear, timeout_s=30)
    assert result.end == "cut", "\n".join(result.console)
    return result.console


@pytest.fixture(params=sorted(SHORTER))
def example(request, site, tmp_path):
    """Its name, and a board with its version 1.0 whose publisher has 1.1."""
    name = request.param
    files = site.files()
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/wifi.json"] = b'{"ssid": "virtual", "key": "virtual"}'
    table = site.target.table
    site.publish(image(name, "1.0"), "1.0")
    made = maker.make_board(
        tmp_path / "board", table, image(name, "1.0"), files, receipt=("1.0", 1)
    )
    site.publish(image(name, "1.1"), "1.1")
    return name, made


def test_an_example_installs_the_next_release_and_confirms_it(example, vm):
    _, made = example
    console = power(made, vm, "no update: ")
    first = next(n for n, line in enumerate(console) if line.startswith("1.1 measured"))
    assert any(line.startswith("1.0 measured") for line in console[:first])
    assert not any(line.startswith("1.0 measured") for line in console[first:])
    entries = bootloader.read_entries(made.flash, made.table)
    assert bootloader.selected(entries, made.table).name == "ota_1"
    assert otadata.describe(entries[1]) == "2 VALID"


def test_an_example_measures_on_where_the_server_is_gone(example, site, vm):
    _, made = example
    site.server.close()
    console = power(made, vm, "update failed: unreachable")
    assert any(line.startswith("1.0 measured") for line in console)


def test_every_example_is_tried():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names - set(SHORTER) == {"app", "wifi"}  # main.py runs the one, the examples the other
