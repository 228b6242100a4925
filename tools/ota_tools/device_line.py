"""mpremote's serial transport, unmodified, with an end to every wait and a name for every failure.

Rule: mpremote asks a pseudo-terminal without looking, prints what it did not expect, and says only that
it could not open a port; all three are put right here.
"""

import contextlib
import io
import os
import time
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports  # type: ignore[import-untyped]

from ota_tools.failures import Unreachable

READ_S = 2
"""One read of the line."""

_WRITE_S = 30


def attach(path: str, name: str, baud: int) -> tuple[Any, "Line"]:
    """The transport on an open port, and the line under it.

    Args:
        path: what pyserial opens; name: the same, as the user typed it.
    Raises Unreachable.
    """
    try:
        with silenced():
            # A port that is there gets a second: its last program may just be leaving it.
            wait = 1 if os.path.exists(path) else 0
            transport = SerialTransport(path, baud, wait, timeout=READ_S)
    except (OSError, TransportError, ValueError) as e:
        raise Unreachable(f"{name}: {_why_not(path)}") from e
    transport.serial.write_timeout = _WRITE_S
    line = Line(transport.serial)
    transport.serial = line
    return transport, line


def silenced() -> contextlib.redirect_stdout[io.StringIO]:
    """For calls of mpremote that print what they did not expect."""
    return contextlib.redirect_stdout(io.StringIO())


class Line:
    """pyserial's port, with a `deadline` (monotonic seconds) at which everybody who waits gives up."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.deadline = 0.0

    def _look(self) -> None:
        if time.monotonic() > self.deadline:
            raise TransportError("no end")

    def read(self, size: int = 1) -> bytes:
        """What pyserial's does; so the others."""
        self._look()
        return bytes(self._port.read(size))

    def write(self, data: bytes) -> None:
        """All of it, or an error."""
        self._look()
        self._port.write(data)

    def inWaiting(self) -> int:  # noqa: N802
        """Bytes that can be read at once."""
        self._look()
        return int(self._port.in_waiting)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_port", "deadline"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._port, name, value)


def _why_not(path: str) -> str:
    # mpremote says only that it could not.
    if "://" in path:
        return "nobody answers there; is the address right, is the server running?"
    if not os.path.exists(path):
        known = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
        return f"no such port; is the board plugged in? There are: {known}"
    if not os.access(path, os.R_OK | os.W_OK):
        return "no permission; join the group that owns it (dialout), and log in again"
    return "busy; close the other program that has it: a terminal, mpremote, an IDE"
