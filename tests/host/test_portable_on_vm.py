"""The portable suite on both interpreters: the same tests ran, and all passed."""

import json
import subprocess
import sys
from pathlib import Path

from ota_tools.board import interpreter

RUNNER = Path(__file__).parent.parent / "portable" / "run.py"


def results(command: list[str]) -> dict:
    done = subprocess.run([*command, str(RUNNER)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines and lines[-1].startswith("{"), done.stdout + done.stderr
    found = json.loads(lines[-1])
    assert found["failed"] == [], "\n".join(lines[:-1])
    assert done.returncode == 0
    return found


def test_the_portable_suite_passes_on_both_interpreters_with_equal_counts(capsys):
    vm = interpreter.find()
    here = results([sys.executable])["ran"]
    there = results([*vm.argv, "-X", "heapsize=32m"])["ran"]
    with capsys.disabled():
        version = ".".join(map(str, vm.version))
        print(f"\nportable tests: {len(here)} on CPython, {len(there)} on MicroPython {version}")
    assert here == there
    assert len(here) > 20
