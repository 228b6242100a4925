"""Take one check out of the library at a time: a test must turn red each time.

    .venv/bin/python tests/mutate.py [-k TEXT] [-j WORKERS]

tests/mutants has a file for each module of lib/ota: rows of (which protection is gone, its text, what
stands there instead, the test that holds it). Every mutant is tried alone, in a private copy of what the
tests need; its test must fail, not just stop. Exit code 1 if a mutant survives, an entry no longer applies,
or a test is red without any mutant.

Speed: the packages that the tests import are imported once, then each pytest is a fork of that; and the
copies hold bytecode: of lib/ with the hash of its source, which a mutant does not match, of the rest as
Python and pytest write it.
"""

import argparse
import compileall
import contextlib
import itertools
import multiprocessing
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("lib", "tests", "tools", "docs", "examples", "*.py", "*.csv", "pyproject.toml")
TIMEOUT_S = 60
WHOLE_TIMEOUT_S = 600
SHM = Path("/dev/shm")
"""Virtual boards sync their flash to the disk all the time: where there is RAM, they go there."""
ROOM = 1 << 30

FAILED = int(pytest.ExitCode.TESTS_FAILED)
ELSEWHERE = 90
"""Exit code of a run that imported another `ota` than the copy's."""


@dataclass(frozen=True)
class Mutant:
    """file in lib/ota; name: the protection that is gone; old: its text, once in it; new; red test."""

    file: str
    name: str
    old: str
    new: str
    red: str


MUTANTS = [
    Mutant(path.name, *row)
    for path in sorted((ROOT / "tests" / "mutants").glob("*.py"))
    for row in runpy.run_path(str(path))["MUTANTS"]
]


def not_applicable(mutants: list[Mutant]) -> list[str]:
    """What is wrong with the entries themselves."""
    wrong = []
    for mutant in mutants:
        count = (ROOT / "lib" / "ota" / mutant.file).read_text().count(mutant.old)
        if count != 1:
            wrong.append(f"{mutant.name}: its text stands {count} times in {mutant.file}")
    names = [mutant.name for mutant in mutants]
    return wrong + [
        f"{name}: stands twice" for name in sorted(set(names)) if names.count(name) > 1
    ]


def make_copy(folder: Path) -> None:
    """What the tests need. No bytecode of the checkout: it could be stale."""
    folder.mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    for path in [path for pattern in COPIED for path in sorted(ROOT.glob(pattern))]:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=ignore)
        else:
            shutil.copy2(path, folder)
    hashed = PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder / "lib", quiet=1, invalidation_mode=hashed)


def warm_up() -> None:
    """Import what takes long and is none of ours."""
    for name in "asyncio cryptography.x509 hypothesis esptool littlefs rich_click".split():
        with contextlib.suppress(ImportError):
            __import__(name)
    assert "ota" not in sys.modules and "ota_tools" not in sys.modules


def run_pytest(folder: Path, arguments: list[str], timeout_s: int) -> tuple[int, str]:
    """Exit code and output of `pytest -x -q` in a copy, in a process of its own."""
    log = folder / "pytest.log"
    pid = os.fork()
    if pid:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, log.read_text(errors="replace")
    code = 1 << 7  # unless pytest says something
    try:
        signal.alarm(timeout_s)  # a mutant that hangs is not one that a test noticed
        os.chdir(folder)
        with log.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            # The last of these collects garbage, which takes as long as many a test.
            options = ["-pno:cacheprovider", "-pno:timeout", "-pno:unraisableexception"]
            code = int(pytest.main(["-x", "-q", f"--basetemp={folder}/tmp", *options, *arguments]))
            ota = sys.modules.get("ota")
            if ota is None or not str(ota.__file__).startswith(str(folder)):
                code = ELSEWHERE
            sys.stdout.flush()
    finally:
        os._exit(code)


_copy = Path()


def _begin_worker(whole: Path) -> None:
    global _copy
    _copy = whole.with_name(f"copy-{os.getpid()}")
    shutil.copytree(whole, _copy)
    write_bytecode(False)  # a mutant's


def write_bytecode(yes: bool) -> None:
    """Whether this process and those that it starts keep what they compile."""
    sys.dont_write_bytecode = not yes
    os.environ["PYTHONDONTWRITEBYTECODE"] = "" if yes else "1"


def run_without_any(nodes: list[str]) -> str:
    """Tests of one file in this worker's copy: what they say if one is red."""
    code, output = run_pytest(_copy, nodes, WHOLE_TIMEOUT_S)
    return f"{output}\nwithout any mutant: exit code {code}" if code else ""


def judge(mutant: Mutant) -> tuple[Mutant, str]:
    """Try one mutant in this worker's copy: "" where its test turned red, else what happened."""
    file = _copy / "lib" / "ota" / mutant.file
    text = file.read_text()
    file.write_text(text.replace(mutant.old, mutant.new))
    try:
        code, output = run_pytest(_copy, [f"tests/{mutant.red}"], TIMEOUT_S)
    finally:
        file.write_text(text)
    if code == FAILED and "\nFAILED " in output:  # an error of a fixture says ERROR
        return mutant, ""
    return mutant, f"exit code {code}: " + (output.strip().splitlines() or ["no output"])[-1]


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Take one check out at a time")
    parser.add_argument(
        "-k", metavar="TEXT", default="", help="only mutants with TEXT in the name"
    )
    parser.add_argument("-j", metavar="WORKERS", type=int, default=2)
    options = parser.parse_args()
    start = time.monotonic()
    mutants = [m for m in MUTANTS if options.k.lower() in f"{m.name} ({m.file})".lower()]
    problems = not_applicable(mutants)
    if problems or not mutants:
        print("\n".join(problems) or "no such mutant")
        return 1
    roomy = SHM.is_dir() and shutil.disk_usage(SHM).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=SHM if roomy else None)).resolve()
    try:
        warm_up()
        survivors = try_all(mutants, folder, options.j)
    finally:
        shutil.rmtree(folder)
    print(
        f"{len(mutants)} mutants, {len(mutants) - survivors} red, {survivors} survived"
        f" ({time.monotonic() - start:.0f} s)"
    )
    return 1 if survivors else 0


def try_all(mutants: list[Mutant], folder: Path, workers: int) -> int:
    """How many survived; a line for each. Nothing is tried where a test is red by itself."""
    whole = folder / "whole"
    make_copy(whole)
    nodes = sorted({f"tests/{mutant.red}" for mutant in mutants})
    files = [list(of) for _, of in itertools.groupby(nodes, lambda node: node.split("::")[0])]
    write_bytecode(True)
    code, output = run_pytest(whole, ["--collect-only", *nodes], WHOLE_TIMEOUT_S)
    if code:
        sys.exit(f"{output}\nthe tests cannot be collected: exit code {code}")
    survivors = 0
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, _begin_worker, (whole,)) as pool:
        for complaint in pool.imap_unordered(run_without_any, files):
            if complaint:
                sys.exit(complaint)
        for mutant, complaint in pool.imap_unordered(judge, mutants):
            if complaint:
                survivors += 1
                print(f"SURVIVED {mutant.name} ({mutant.file}): {mutant.red}: {complaint}")
    return survivors


if __name__ == "__main__":
    sys.exit(main())
