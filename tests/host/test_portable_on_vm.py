"""The portable suite on CPython and on every VM of this machine: the same tests ran, all passed."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from ota_tools.board import interpreter

RUNNER = Path(__file__).parents[1] / "portable" / "run.py"
SYSTEM = platform.freedesktop_os_release() if sys.platform == "linux" else {}


def commands() -> dict[str, list[str]]:
    """What runs a script, by the interpreter's name for people."""
    named = {f"CPython {platform.python_version()}": [sys.executable]}
    for leg, vm in interpreter.legs().items():
        version = ".".join(map(str, vm.version))
        named[f"MicroPython {version} ({leg})"] = [*vm.argv, "-X", "heapsize=20m"]
    return named


def run_all(named: dict[str, list[str]], folder: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of commands that run at the same time, by name."""
    running = {}
    try:
        for i, (name, command) in enumerate(named.items()):
            # Files: a full pipe would stop a process that nobody reads yet.
            with (folder / f"{i}.out").open("w") as out, (folder / f"{i}.err").open("w") as err:
                env = {**os.environ, "TMPDIR": str(folder)}
                running[name] = subprocess.Popen(command, stdout=out, stderr=err, env=env)
        codes = [process.wait(300) for process in running.values()]
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    texts = [
        [(folder / f"{i}.{end}").read_text() for end in ("out", "err")] for i in range(len(codes))
    ]
    return {name: (code, *text) for name, code, text in zip(running, codes, texts, strict=True)}


def ran(code: int, out: str, err: str) -> list[str]:
    """The names of the tests that ran and passed."""
    lines = out.splitlines()
    assert lines and lines[-1].startswith("{"), out + err
    found = json.loads(lines[-1])
    assert found["failed"] == [], out + err
    assert code == 0
    return found["ran"]


def test_the_portable_suite_passes_on_every_interpreter_with_equal_counts(tmp_path, capsys):
    named = {name: [*command, str(RUNNER)] for name, command in commands().items()}
    if SYSTEM.get("ID") == "debian":
        assert len(named) == 4
    results = {name: ran(*result) for name, result in run_all(named, tmp_path).items()}
    with capsys.disabled():
        print()
        for name, tests in results.items():
            print(f"portable tests: {len(tests)} on {name}")
        if len(named) < 4:
            print("not on the VM of 32 bits, nor on the newest: they come from Debian's archive")
    here = next(iter(results.values()))
    assert len(here) > 20
    assert len(set(here)) == len(here)
    for name, there in results.items():
        assert there == here, name
