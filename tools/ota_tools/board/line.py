"""A board's serial line: a pseudo-terminal for programs of this machine, stdin and console for the VM.

Rules of a UART bridge: the line outlives every reset; what comes while nobody reads is lost. The driver
that the chip has in C is here: the interrupt character becomes KeyboardInterrupt while a program runs
and is handed on while the REPL reads; a program's line ends become \\r\\n in friendly mode.
"""

import contextlib
import fcntl
import os
import selectors
import struct
import termios
import threading
import time
import tty
from pathlib import Path

_CHUNK = 4096
_GONE_S = 1.0
"""After so long with a full terminal nobody reads."""

_FLOOD = 1 << 22
"""Bytes that no program read; with more input is lost."""


class Line:
    """One line, for the time a board has power.

    Attributes:
        path: of the pseudo-terminal that programs open.
        master: file descriptor of the board's end, not blocking.
        raw: the REPL is in raw mode; it stays so through a soft reset.
        interrupt: the interrupt character while it is active, else -1.
        wanted: it came, and the VM does not know yet; wanted_at: monotonic time of that.
        is_open: not hung up.
        is_stopped_program: the VM that starts next runs no program, its forerunner's was interrupted.
        stdin: file descriptor that the VM reads; a soft reset keeps what lies in it.
    """

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)
        self._stopped, self._stop = os.pipe()
        self._ends: tuple[int, int] | None = None
        self._out = bytearray()
        self._in = bytearray()
        self._moved = 0.0
        self.raw = False
        self.interrupt = -1
        self.wanted = False
        self.wanted_at = 0.0
        self.is_stopped_program = False
        self._starting = True
        self.stopped = False
        self._begun = threading.Event()
        self.is_open = True

    @property
    def stdin(self) -> int:
        """See above."""
        assert self._ends is not None
        return self._ends[0]

    def begin(self, soft: bool) -> None:
        """The VM starts: after a hard reset in friendly mode, with nothing typed."""
        self._begun.set()
        self.interrupt = -1
        self.wanted = False
        self._starting = True
        if soft:
            return
        self.raw = False
        self._in.clear()
        self._close_stdin()
        self._ends = os.pipe()
        os.set_blocking(self._ends[1], False)

    def set_interrupt(self, character: int) -> None:
        """What the running program asks for, with `micropython.kbd_intr`."""
        self.interrupt = character
        self._starting = False
        if character == -1:
            self.wanted = False

    def stop(self) -> None:
        """Ask for the end, from another thread."""
        os.write(self._stop, b"x")

    def wait(self) -> None:
        """Until a VM starts or the line hangs up; for another thread."""
        self._begun.wait()

    def hang_up(self) -> None:
        """Nobody will answer any more. Harmless when repeated."""
        self._begun.set()
        if self.is_open:
            self.is_open = False
            self._close_stdin()
            os.close(self.master)
            os.close(self._slave)

    def close(self) -> None:
        """Give all back."""
        self.hang_up()
        os.close(self._stopped)
        os.close(self._stop)

    # For the loop of the runner

    def attach(self, selector: selectors.BaseSelector) -> None:
        """From now on this selector wakes when `serve` has something to do."""
        selector.register(self.master, selectors.EVENT_READ)
        selector.register(self._stopped, selectors.EVENT_READ)

    def serve(self, ready: object) -> None:
        """Something is ready: maybe one of ours."""
        if ready == self._stopped:
            self.stopped = True
        elif ready == self.master:
            with contextlib.suppress(BlockingIOError):
                self._take(os.read(self.master, _CHUNK))
            self._flush()

    @property
    def is_due(self) -> bool:
        """The program that runs is to be interrupted."""
        return self.wanted and self.interrupt != -1

    @property
    def is_waiting(self) -> bool:
        """Something is to be done again within milliseconds."""
        return bool(self._in or self._out or self.wanted)

    def tick(self) -> None:
        """Hand on what is left."""
        self._feed()
        self._flush()

    def say(self, text: str) -> None:
        """A line that is not the VM's."""
        self._send(text.encode() + b"\r\n")

    def write(self, data: bytes) -> None:
        """Console output, as the VM gave it."""
        if self.interrupt != -1 and not self.raw:
            data = data.replace(b"\n", b"\r\n")
        self._send(data)

    def _send(self, data: bytes) -> None:
        if not self._out:
            self._moved = time.monotonic()
        self._out += data
        self._flush()

    def _take(self, data: bytes) -> None:
        character = 3 if self._starting else self.interrupt
        if character != -1 and character in data:
            self.wanted = True
            self.wanted_at = time.monotonic()
            data = data.replace(bytes((character,)), b"")
        if len(self._in) < _FLOOD:
            self._in += data
        self._feed()

    def _feed(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._in and self._ends:
                del self._in[: os.write(self._ends[1], self._in[:_CHUNK])]

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: os.write(self.master, self._out[:_CHUNK])]
                self._moved = time.monotonic()
        if self._out and time.monotonic() > self._moved + _GONE_S:
            self._out.clear()

    def _close_stdin(self) -> None:
        if self._ends:
            for descriptor in self._ends:
                os.close(descriptor)
        self._ends = None


def unread(pipe: int) -> int:
    """Bytes that lie in a pipe, by either of its ends."""
    count = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", count)[0])


def is_deaf(pid: int) -> bool:
    """A VM that a Ctrl-C hit in its collector or allocator: it waits for its own lock, or runs in a circle."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state == "R" or "futex" in (process / "wchan").read_text()
    except OSError:
        return False
