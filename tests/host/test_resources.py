"""The device's files, from a checkout and from a wheel."""

import re
from pathlib import Path

import pytest

from ota_tools import resources, terminal
from ota_tools.failures import MissingTool

ROOT = Path(__file__).parents[2]
SHIPPED = ["boot.py", "main.py", "app.py", *terminal.FLASH_SIZES.values()]


@pytest.mark.parametrize("name", SHIPPED)
def test_checkout_gives_the_file_that_is_edited_there(name):
    found = resources.device_file(name)
    assert found in (ROOT / name, ROOT / "examples" / name)


@pytest.mark.parametrize("name", SHIPPED)
def test_wheel_carries_every_file_that_is_asked_for(name):
    text = (ROOT / "pyproject.toml").read_text()
    included = dict(re.findall(r'^"(.+)" = "ota_tools/data/(.+)"$', text, re.M))
    assert [ROOT / source for source, target in included.items() if target == name] == [
        resources.device_file(name)
    ]


def test_wheel_gives_its_copies(monkeypatch, tmp_path):
    package = tmp_path / "site-packages" / "ota_tools"
    (package / "data").mkdir(parents=True)
    (package / "data" / "boot.py").write_text("a copy")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(resources, "_CHECKOUT", package.parents[1])
    assert resources.device_file("boot.py") == package / "data" / "boot.py"
    with pytest.raises(MissingTool, match=r"main\.py is not in this installation: pip install"):
        resources.device_file("main.py")


def test_library_is_the_package_that_runs_on_the_board():
    assert resources.library_dir() == ROOT / "lib" / "ota"
