"""The device files that the command copies, found beside the source or inside the wheel.

Rule: nobody else knows where they lie. An editable install runs from a checkout and reads the
files that are edited there; a wheel carries copies of them in `ota_tools/data`.
"""

import importlib.util
from pathlib import Path
from typing import Any

from ota_tools.failures import MissingTool

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def device_file(name: str) -> Path:
    """A file that goes onto the board: boot.py, main.py, partitions.csv, app.py ...

    Raises MissingTool when the installation lacks it.
    """
    if (_CHECKOUT / "lib" / "ota").is_dir():
        folders = [_CHECKOUT, _CHECKOUT / "examples"]
    else:
        folders = [_PACKAGE / "data"]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise MissingTool(
        f"{name} is not in this installation: pip install --force-reinstall esp32-ota"
    )


def library_dir() -> Path:
    """The folder of the `ota` package, the library that runs on the board."""
    spec = importlib.util.find_spec("ota")
    if spec is None or spec.origin is None:
        raise MissingTool("the package ota is not installed: pip install esp32-ota")
    return Path(spec.origin).parent


def load_script(path: Path) -> Any:
    """A script for the VM that runs here, too, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
