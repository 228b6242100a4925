"""A virtual board under power in a thread of its own, with its serial line open to other programs.

Rules: one command at a time powers a board. What the board fails with (nothing boots) is raised where the
context is entered or left, never lost in the thread.
"""

import contextlib
import fcntl
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ota_tools.board import interpreter, runner
from ota_tools.board.folder import load_board
from ota_tools.board.line import Line
from ota_tools.failures import Failure, Unreachable, Usage


class Powered:
    """A board under power.

    Attributes:
        path: of its pseudo-terminal.
    """

    def __init__(self, line: Line, work: Callable[[], object]) -> None:
        self.path = line.path
        self._line = line
        self._work = work
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until it ends by itself, which is a failure of it; that is raised where the context is left."""
        self._thread.join()

    def check(self) -> None:
        """Raises what it failed with."""
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as e:  # raised again by check(), in the thread of the user
            self._failure = e
        finally:
            self._line.hang_up()


@contextlib.contextmanager
def running(folder: Path, on_line: Callable[[str], None] | None = None) -> Iterator[Powered]:
    """The board in this folder runs its image.

    Args:
        on_line: gets the console's lines.
    Raises Usage, Refused, Unreachable, MissingTool.
    """
    found = interpreter.find()
    with claim(folder), contextlib.closing(load_board(folder)) as board:

        def live() -> None:
            result = runner.run(board, found, on_line, math.inf, line)
            if result.end == "exit":
                raise Failure(f"the VM ended by itself: {' '.join(result.console[-1:])}")

        with contextlib.closing(Line()) as line:
            powered = Powered(line, live)
            try:
                line.wait()
                if line.is_open:
                    yield powered
            finally:
                line.stop()
                powered.wait()
                powered.check()


@contextlib.contextmanager
def download_mode(folder: Path) -> Iterator[Powered]:
    """The board in this folder in its ROM's download mode. Raises Usage, Unreachable."""
    from ota_tools.board import rom

    stop = threading.Event()
    with claim(folder), contextlib.closing(Line()) as line:
        powered = Powered(line, lambda: rom.serve(line.master, folder, stop))
        try:
            yield powered
        finally:
            stop.set()
            powered.wait()
            powered.check()


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """The board in this folder is ours. Raises Usage where there is none, Unreachable where it is taken."""
    try:
        descriptor = os.open(folder / "board.json", os.O_RDONLY)
    except OSError:
        raise Usage(f"{folder} is no board: make one with `ota board new`") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unreachable(f"{folder} is busy: another command powers this board") from None
        yield
    finally:
        os.close(descriptor)
