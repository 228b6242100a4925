"""A clock of its own for a VM that runs as a child: libfaketime between it and the host's clock.

Rule: the VM is told by how much its clock is ahead, in a file that libfaketime reads each time. So
time goes on by itself, and the host may set it while the VM runs. Ticks are the host's.
Source: libfaketime's README, "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE".
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from ota_tools.board.interpreter import Interpreter
from ota_tools.failures import MissingTool

_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
_NAME = "faketime/libfaketime.so.1"


class Clock:
    """The file and what the child's environment needs for it.

    Attributes:
        environment: variables for the VM.
    """

    def __init__(self, file: Path, ahead: float) -> None:
        """Raises MissingTool where there is no libfaketime."""
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.10
            "NO_FAKE_STAT": "1",
        }
        self.set(ahead)

    def set(self, ahead: float) -> None:
        """From now on the VM is so many seconds ahead of the host."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+.6f}\n")
        os.replace(fresh, self._file)

    def forget(self, pid: int) -> None:
        """Remove what libfaketime leaves of a process that was killed."""
        for name in ("faketime_shm_", "sem.faketime_sem_"):
            Path(f"/dev/shm/{name}{pid}").unlink(missing_ok=True)  # noqa: S108


def check(interpreter: Interpreter) -> None:
    """Raises MissingTool where this VM cannot have a clock of its own."""
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock(Path(folder) / "clock", -time.time())
        command = [*interpreter.argv, "-c", "import time; print(int(time.time()))"]
        done = subprocess.run(command, env=clock.environment, capture_output=True, text=True)
    said = done.stdout.strip()
    if not said.lstrip("-").isdigit() or abs(int(said)) > 600:
        reason = (done.stderr.strip() or "its time is the host's").splitlines()[0]
        raise MissingTool(f"libfaketime has no effect on {interpreter.argv[-1]}: {reason}")


def _library() -> Path:
    for folder in _FOLDERS:
        for pattern in (_NAME, f"*/{_NAME}"):
            for path in sorted(Path(folder).glob(pattern)):
                return path
    raise MissingTool("a board whose clock can be set needs libfaketime: apt-get install faketime")
