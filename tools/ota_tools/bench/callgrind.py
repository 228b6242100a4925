"""Instructions, counted by valgrind's callgrind: exact, the same on every run.

"Own" instructions are those in the VM's own object, which callgrind names in its `ob=` lines: the
interpreter with its garbage collector, and neither SHA-256 (libmbedcrypto) nor memcpy (libc) nor the
loader. They stand for what Python costs on the chip, where hash and flash are hardware or ROM.
Source: callgrind's manual, chapter on the output format.
"""

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ota_tools.board.interpreter import Interpreter
from ota_tools.failures import MissingTool

_OBJECT = re.compile(r"c?ob=\((\d+)\)(?: (.*))?")

# Two paddings of binutils 2.38 and newer that valgrind before 3.20 does not know on x86, and for each
# the older no-operation of the same length: one instruction in the place of one.
_PADDINGS = {
    bytes.fromhex("2e8db42600000000"): bytes.fromhex("0f1f840000000000"),
    bytes.fromhex("2e8d742600"): bytes.fromhex("0f1f440000"),
}


@dataclass(frozen=True)
class Instructions:
    """Instructions executed: in the VM's own object, and in all objects."""

    own: int
    total: int


@functools.cache
def countable(interpreter: Interpreter, folder: Path) -> Interpreter:
    """The VM as this machine's valgrind can run it: itself, or a copy in `folder` with other padding.

    Raises MissingTool where valgrind is missing or cannot run it at all.
    """
    if shutil.which("valgrind") is None:
        raise MissingTool("valgrind is missing: apt-get install valgrind")
    if _runs(interpreter):
        return interpreter
    copy = _repadded(interpreter, folder)
    if not _runs(copy):
        raise MissingTool("this valgrind cannot run the 32-bit VM: a newer one is needed")
    return copy


def version() -> str:
    """valgrind's own words, "" where it is missing."""
    if shutil.which("valgrind") is None:
        return ""
    done = subprocess.run(["valgrind", "--version"], capture_output=True, text=True)
    return done.stdout.strip()


def command(interpreter: Interpreter, out: Path) -> list[str]:
    """What runs the VM and leaves the counts in `out`."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *interpreter.argv]


def read(text: str, binary: str) -> Instructions:
    """Sums over a callgrind file: cost lines under `ob=` of the VM's binary, and all of them.

    A cost line is `position cost`; the one after `calls=` is the callee's, which stands there, too.
    """
    names: dict[str, str] = {}
    own = total = 0
    inside = called = False
    for line in text.splitlines():
        if line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            if not called:
                cost = int(line.split()[1])
                total += cost
                own += cost if inside else 0
            called = False
        elif line.startswith("calls="):
            called = True
        elif match := _OBJECT.match(line):
            if match[2] is not None:
                names[match[1]] = match[2]
            if line.startswith("ob="):
                inside = names[match[1]] == binary
    return Instructions(own, total)


def _runs(interpreter: Interpreter) -> bool:
    tool = ["valgrind", "--tool=none", "-q", *interpreter.argv, "-c", "print(1)"]
    return subprocess.run(tool, capture_output=True).returncode == 0


def _repadded(interpreter: Interpreter, folder: Path) -> Interpreter:
    # argv is loader, --library-path, folders, binary: as board.interpreter unpacks a VM.
    if len(interpreter.argv) != 4:
        raise MissingTool("this valgrind cannot run the 32-bit VM: a newer one is needed")
    loader, option, folders, binary = interpreter.argv
    folder.mkdir(exist_ok=True)
    files = [Path(loader), Path(binary)]
    for name in folders.split(":"):
        files += [path for path in Path(name).glob("*.so*") if path.is_file()]
    for path in files:
        data = path.read_bytes()
        for old, new in _PADDINGS.items():
            data = data.replace(old, new)
        (folder / path.name).write_bytes(data)
        (folder / path.name).chmod(0o755)
    argv = (str(folder / Path(loader).name), option, str(folder), str(folder / Path(binary).name))
    return Interpreter(argv, interpreter.version, interpreter.source)
