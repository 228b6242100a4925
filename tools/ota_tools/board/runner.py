"""Power for a board: the real MicroPython VM runs what the bootloader chose, reset by reset.

The VM is a child process that sees two pipes and its console. Reset, panic, watchdog and power cut
kill it from outside, so that no `finally` of the program under test runs.
"""

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ota_tools.board import clock
from ota_tools.board.flash import PowerCut
from ota_tools.board.image_maker import find_romfs
from ota_tools.board.interpreter import Interpreter
from ota_tools.board.model import POWER_ON, WATCHDOG, Board, BoardReset
from ota_tools.failures import Failure

_STUBS = Path(__file__).parent / "vm"
_CHUNK = 65536


@dataclass
class Run:
    """How a board's time under power ended, and what it said.

    Attributes:
        end: `idle` (main.py ended), `cut`, `timeout`, or `exit` (the VM ended by itself).
        boots: slot label of every image that was started.
        console: lines.
        seconds: under power.
    """

    end: str = ""
    boots: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(
    board: Board,
    interpreter: Interpreter,
    on_line: Callable[[str], None] | None = None,
    timeout_s: float = 60.0,
) -> Run:
    """Switch the board on and let it run until main.py ends, the power is cut or time is up.

    Resets on the way boot again. The flash file is left as the last instant left it. Raises Refused
    where nothing boots, Failure where the board keeps resetting, MissingTool where the board has a clock
    of its own and libfaketime is not there.
    """
    if board.settings.clock_unset:
        clock.check(interpreter)
    result = Run()
    start = time.monotonic()
    cause = POWER_ON
    while not result.end:
        if len(result.boots) > 20:
            raise Failure("the board resets again and again")
        try:
            part = board.boot(cause)
        except PowerCut:
            result.end = "cut"
            break
        result.boots.append(part.name)
        child = _Child(board, interpreter, result, on_line)
        cause = child.serve(start + timeout_s)
        for message in board.messages:
            child.say(message)
        board.messages.clear()
    board.running = None
    board.watchdog_at = None
    result.seconds = time.monotonic() - start
    return result


class _Child:
    """One life of the VM, between two resets."""

    def __init__(
        self,
        board: Board,
        interpreter: Interpreter,
        result: Run,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._board = board
        self._result = result
        self._on_line = on_line
        self._partial = b""
        self._idle = False
        part = board.running
        assert part is not None
        self._rom = find_romfs(board.flash.read(part.offset, part.size))
        requests, self._vm_out = os.pipe()
        self._vm_in, answers = os.pipe()
        self._folder = tempfile.TemporaryDirectory()
        environment = {"MICROPYPATH": f"{_STUBS}:.frozen"}
        self._clock: clock.Clock | None = None
        if board.settings.clock_unset:
            self._clock = clock.Clock(Path(self._folder.name) / "clock", board.clock_ahead)
            environment |= self._clock.environment
        self._process = subprocess.Popen(
            [*interpreter.argv, str(_STUBS / "start.py"), str(self._vm_in), str(self._vm_out)],
            pass_fds=(self._vm_in, self._vm_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,  # a group of its own: whatever wraps the VM dies with it
        )
        os.close(self._vm_in)
        os.close(self._vm_out)
        self._requests = os.fdopen(requests, "rb")
        self._answers = os.fdopen(answers, "wb", buffering=0)
        assert self._process.stdout is not None
        self._console = self._process.stdout

    def say(self, line: str) -> None:
        """A line on the console."""
        self._result.console.append(line)
        if self._on_line:
            self._on_line(line)

    def serve(self, deadline: float) -> int:
        """Answer the VM until it resets or ends: the cause of the next boot, or `end` is set."""
        try:
            return self._serve(deadline)
        except BoardReset as e:
            return e.cause
        except PowerCut:
            self._result.end = "cut"
            return POWER_ON
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._hear(self._console.read())
            if self._partial:
                self._hear(b"\n")
            self._requests.close()
            self._answers.close()
            self._console.close()
            self._folder.cleanup()

    def _serve(self, deadline: float) -> int:
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._console, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                watchdog = self._board.watchdog_at
                if watchdog is not None and now >= watchdog:
                    self._board.messages.append("E task_wdt: Task watchdog got triggered")
                    return WATCHDOG
                if self._idle and (watchdog is None or watchdog > deadline):
                    self._result.end = "idle"
                    return POWER_ON
                if now >= deadline:
                    self._result.end = "timeout"
                    return POWER_ON
                wait = min(deadline, watchdog or deadline) - now
                for key, _ in selector.select(wait):
                    if key.fileobj is self._console:
                        data = os.read(self._console.fileno(), _CHUNK)
                        self._hear(data)
                        if not data:
                            selector.unregister(self._console)
                    elif not self._answer():
                        self._result.end = "exit"
                        return POWER_ON

    def _answer(self) -> bool:
        # One request; False when the VM is gone. After `idle` it waits for an answer for ever.
        prefix = self._requests.read(2)
        if len(prefix) < 2:
            return False
        (size,) = struct.unpack("<H", prefix)
        op, args, length = json.loads(self._requests.read(size))
        data = self._requests.read(length)
        if op == "idle":
            self._idle = True
            return True
        try:
            value, reply = self._call(op, args, data)
            answer = json.dumps([value, len(reply)])
        except OSError as e:
            answer, reply = json.dumps([list(e.args)]), b""
        self._write(struct.pack("<H", len(answer)) + answer.encode() + reply)
        return True

    def _call(self, op: str, args: list[Any], data: bytes) -> tuple[Any, bytes]:
        if op == "rom_size":
            return len(self._rom), b""
        if op == "rom":
            return None, self._rom
        answer = self._board.call(op, args, data)
        if self._clock and op in ("set_clock", "ntp"):
            self._clock.set(self._board.clock_ahead)
        return answer

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._answers.write(view) :]

    def _hear(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self.say(line.decode(errors="replace").rstrip("\r"))
