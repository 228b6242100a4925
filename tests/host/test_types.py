"""The type check of the device library sees mistakes, tests/types/mistakes.py has some; an editor completes it."""

import re
import subprocess
import sys
from pathlib import Path

import jedi
import pytest

ROOT = Path(__file__).parents[2]
MISTAKES = ROOT / "tests" / "types" / "mistakes.py"


def test_every_mistake_is_reported_and_nothing_else(tmp_path):
    assert (ROOT / ".venv" / "typings").is_dir(), "the device's stubs: run tools/dev setup"
    assert _reported(tmp_path) == _expected()


@pytest.mark.parametrize(
    "typed, offered",
    [
        ("ota.", {"boot", "self_test", "Updater", "AsyncUpdater", "OtaError"}),
        ("ota.Updater.from_config().", {"check", "download", "update", "reason"}),
        ("ota.AsyncUpdater.from_config().", {"check", "download", "update", "reason"}),
        ("ota.Updater.from_config().check().", {"version", "sequence", "size", "notes"}),
        ("ota.status()['", {"'running'", "'trial'", "'version'"}),
        ("ota.outcome()['", {"'outcome'", "'reason'"}),
    ],
)
def test_an_editor_completes_the_public_calls(typed, offered):
    project = jedi.Project(ROOT / "lib", environment_path=sys.executable)
    script = jedi.Script(f"import ota\n{typed}", project=project)
    assert offered <= {each.name for each in script.complete(2, len(typed))}


def _expected():
    lines = enumerate(MISTAKES.read_text().splitlines(), 1)
    marked = ((number, re.search(r"# expect: ([\w-]+)$", line)) for number, line in lines)
    expected = [(MISTAKES.name, number, mark[1]) for number, mark in marked if mark]
    assert expected
    return expected


def _reported(cache):
    command = [sys.executable, "-m", "mypy", "--config-file", "lib/mypy.ini", "--no-pretty"]
    command += ["--hide-error-context", "--cache-dir", str(cache), str(MISTAKES)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert not output.stderr, output.stderr
    errors = re.findall(r"(?m)^(\S+?):(\d+): error: .*\[([\w-]+)\]$", output.stdout)
    return [(Path(path).name, int(line), code) for path, line, code in errors]
