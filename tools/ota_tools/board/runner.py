"""Power for a board: the real MicroPython VM runs what the bootloader chose, reset by reset.

The VM is a child process that sees two pipes and its console. Reset, panic, watchdog and power cut
kill it from outside, so that no `finally` of the program under test runs.
"""

import contextlib
import json
import math
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
from typing import Any, NoReturn

from ota_tools.board import clock
from ota_tools.board.flash import PowerCut
from ota_tools.board.image_maker import find_romfs
from ota_tools.board.interpreter import Interpreter
from ota_tools.board.line import Line, is_deaf, unread
from ota_tools.board.model import POWER_ON, SOFT, WATCHDOG, Board, BoardReset
from ota_tools.failures import Failure

_STUBS = Path(__file__).parent / "vm"
_CHUNK = 65536

_TICK_S = 0.002
_QUIET_S = 0.005
_PATIENCE_S = 0.5
"""A Ctrl-C waits for so long without a request, and no longer than this."""

_DEAF_S = 1.5
"""A VM that is busy for so long after a Ctrl-C, and asks for nothing, did not survive it."""

_FILE_SYSTEMS = ("vfs", "ffat")


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
    line: Line | None = None,
) -> Run:
    """Switch the board on and let it run until main.py ends, the power is cut or time is up.

    Resets on the way boot again. With a line the REPL follows main.py, and the power stays on until the
    line is stopped; `timeout_s` may be infinite. The flash file is left as the last instant left it.
    Raises Refused where nothing boots, Failure where the board keeps resetting, MissingTool where the
    board has a clock of its own and libfaketime is not there.
    """
    if board.settings.clock_unset:
        clock.check(interpreter)
    result = Run()
    start = time.monotonic()
    cause = POWER_ON
    resets = 0
    while not result.end:
        if resets > 20 and not line:
            raise Failure("the board resets again and again")
        resets += 1
        try:
            part = board.boot(cause)
        except PowerCut:
            result.end = "cut"
            break
        if cause != SOFT:
            result.boots.append(part.name)
        if line:
            line.begin(soft=cause == SOFT)
        child = _Child(board, interpreter, result, on_line, line)
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
        line: Line | None,
    ) -> None:
        self._line = line
        self._answered = 0.0
        self._sent = math.inf
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
            stdin=line.stdin if line else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,  # a group of its own: whatever wraps the VM dies with it
        )
        os.close(self._vm_in)
        os.close(self._vm_out)
        self._requests = os.fdopen(requests, "rb", buffering=0)
        self._answers = os.fdopen(answers, "wb", buffering=0)
        assert self._process.stdout is not None
        self._console = self._process.stdout
        os.set_blocking(self._console.fileno(), False)

    def say(self, text: str) -> None:
        """A line on the console, not of the VM."""
        self._note(text)
        if self._line:
            self._line.say(text)

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
            if self._clock:
                self._clock.forget(self._process.pid)
            self._listen()
            if self._partial:
                self._note(self._partial.decode(errors="replace"))
            self._requests.close()
            self._answers.close()
            self._console.close()
            self._folder.cleanup()

    def _serve(self, deadline: float) -> int:
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._console, selectors.EVENT_READ)
            if self._line:
                self._line.attach(selector)
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
                if self._line and self._line.stopped:
                    self._result.end = "stopped"
                    return POWER_ON
                wait = min(deadline, watchdog or deadline, now + self._tick()) - now
                for key, _ in selector.select(wait if wait < math.inf else None):
                    if key.fileobj is self._console:
                        if not self._listen():
                            selector.unregister(self._console)
                    elif key.fileobj is not self._requests:
                        assert self._line is not None
                        self._line.serve(key.fileobj)
                    elif not self._answer():
                        self._result.end = "exit"
                        return POWER_ON

    def _tick(self) -> float:
        # What the line has left to do; seconds until it should be asked again.
        line = self._line
        if line is None:
            return math.inf
        if time.monotonic() > self._sent + _DEAF_S:
            self._sent = math.inf
            if is_deaf(self._process.pid):
                self._stop("collecting garbage")
        if not line.is_waiting:
            return _TICK_S if self._sent < math.inf else math.inf
        line.tick()
        if line.is_due and self._is_apart():
            self._send_interrupt(line)
        return _TICK_S

    def _send_interrupt(self, line: Line) -> None:
        line.wanted = False
        self._sent = time.monotonic()
        os.killpg(self._process.pid, signal.SIGINT)

    def _is_apart(self) -> bool:
        # In no request, so in no littlefs operation: the VM's Ctrl-C leaves C code where it is.
        if any(unread(pipe.fileno()) for pipe in (self._requests, self._answers)):
            return False
        return time.monotonic() > self._answered + _QUIET_S

    def _interrupt_here(self, op: str, args: list[Any]) -> None:
        # In a request of a program that makes one after the other. One of its own may be left, one of
        # littlefs may not: what a reset would leave behind is right, too.
        line = self._line
        if not line or not line.is_due or time.monotonic() < line.wanted_at + _PATIENCE_S:
            return
        if op in ("read", "program", "erase") and args[0] not in _FILE_SYSTEMS:
            self._send_interrupt(line)
        elif op in ("read", "program", "erase"):
            self._stop("in its file system")

    def _stop(self, where: str) -> NoReturn:
        # A prompt at any rate: with a new VM that runs neither boot.py nor main.py.
        assert self._line is not None
        self._line.is_stopped_program = True
        self.say(f"KeyboardInterrupt: it found the VM {where}, which only a soft reset ends")
        raise BoardReset(SOFT, "interrupt")

    def _answer(self) -> bool:
        # One request; False when the VM is gone. After `idle` it waits for an answer for ever.
        prefix = self._read(2)
        if len(prefix) < 2:
            return False
        (size,) = struct.unpack("<H", prefix)
        number, op, args, length = json.loads(self._read(size))
        data = self._read(length)
        if op == "idle":
            self._idle = True
            return True
        self._sent = math.inf
        self._interrupt_here(op, args)
        try:
            value, reply = self._call(op, args, data)
            answer = json.dumps([number, None, value, len(reply)])
        except OSError as e:
            answer, reply = json.dumps([number, list(e.args), None, 0]), b""
        self._write(struct.pack("<H", len(answer)) + answer.encode() + reply)
        self._answered = time.monotonic()
        return True

    def _call(self, op: str, args: list[Any], data: bytes) -> tuple[Any, bytes]:
        if op == "rom_size":
            return len(self._rom), b""
        if op == "rom":
            return None, self._rom
        if op in ("line", "interrupt", "mode", "soft_reset", "lost"):
            return self._call_line(op, args), b""
        answer = self._board.call(op, args, data)
        if self._clock and op in ("set_clock", "ntp"):
            self._clock.set(self._board.clock_ahead)
        return answer

    def _call_line(self, op: str, args: list[Any]) -> list[bool] | bool | None:
        line = self._line
        if op == "soft_reset":
            raise BoardReset(SOFT, "soft reset")
        if line is None:
            return None
        if op == "lost":
            self._stop("collecting garbage")
        if op == "line":
            stopped, line.is_stopped_program = line.is_stopped_program, False
            return [line.raw, stopped]
        self._listen()  # what was said before is said in the old mode
        if op == "interrupt":
            late = line.is_due  # for a program that has ended meanwhile
            line.set_interrupt(args[0])
            return late
        line.raw = args[0]
        return None

    def _read(self, size: int) -> bytes:
        # No more than that: the next request is to wake the selector.
        data = b""
        while len(data) < size:
            more = self._requests.read(size - len(data))
            if not more:
                break
            data += more
        return data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._answers.write(view) :]

    def _listen(self) -> bool:
        # What lies in the console's pipe; False at its end.
        while True:
            try:
                data = os.read(self._console.fileno(), _CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        if self._line:
            self._line.write(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for text in lines:
            self._note(text.decode(errors="replace").rstrip("\r"))

    def _note(self, text: str) -> None:
        self._result.console.append(text)
        if self._on_line:
            self._on_line(text)
