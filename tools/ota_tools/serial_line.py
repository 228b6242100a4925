"""One folder over a serial line: the HTTP of `serve`, without TLS, for a board with `ota.Wire`.

Rule: bytes get lost and others turn up (a boot message of the board). Only a whole and right request
is answered; after anything else the line has to fall silent first. A board that hears nothing asks
again, and checks signatures as ever.
"""

import contextlib
import errno
import io
import os
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import serial  # type: ignore[import-untyped]

from ota_tools.failures import Unreachable, Usage
from ota_tools.request_log import Request, RequestLog
from ota_tools.serve import Handler

TORN_S = 0.5
"""A request that pauses for longer is not one; a board waits for an answer for a second at least."""

QUIET_S = 0.1
"""After so long without a byte a request may begin; a board is silent for 0.2 s before each first one."""

STUCK_S = 30.0
"""A board that does not take 1 KiB in this time has gone; it is waited for with the next request."""

_PIECE = 1024
_BUSY = (errno.EAGAIN, errno.EBUSY)


class SerialServer:
    """Serves `folder` over a line, one request after the other; a context manager.

    Attributes:
        log: what it was asked for, and what was no request: status 400 and the like.
    """

    def __init__(
        self,
        folder: Path,
        port: str,
        baud: int = 115200,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        """Open the line. Raises Usage; Unreachable where the port is not there or busy.

        Args:
            folder: what is served; symbolic links that lead out of it are not.
            port: of this machine, such as /dev/ttyUSB0.
            baud: as the board has it; 8 bits, no parity.
            on_request: called after every answer.
        """
        if not folder.is_dir():
            raise Usage(f"{folder} is not a folder")
        self.folder = folder.resolve()
        self.log = RequestLog(on_request)
        self._port = port
        self._closing = False
        try:
            self._line = serial.Serial(port, baud, write_timeout=STUCK_S, exclusive=True)
        except serial.SerialException as e:
            raise Unreachable(f"{port}: {_why(e)}") from None
        except ValueError as e:
            raise Usage(f"{port} with {baud} baud: {e}") from None

    def serve_forever(self) -> None:
        """Until `close()` in another thread. Raises Unreachable where the line goes away."""
        try:
            while not self._closing:
                self._line.timeout = None
                first = self._line.read(1)
                if first:
                    self._serve(first)
        except (serial.SerialException, OSError, TypeError) as e:  # TypeError: closed meanwhile
            if not self._closing:
                raise Unreachable(f"{self._port}: {_why(e)}") from None

    def close(self) -> None:
        """Stop and give the line back. Harmless when repeated."""
        self._closing = True
        with contextlib.suppress(Exception):  # the line is gone; termios.error is no OSError
            self._line.cancel_read()
            self._line.cancel_write()
            self._line.reset_output_buffer()  # else closing waits for a board that does not read
        self._line.close()

    def __enter__(self) -> "SerialServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, first: bytes) -> None:
        # What begins with this byte: a request, or nothing of use.
        self._line.timeout = TORN_S
        reader = _Reader(self._line, first)
        streams: Any = (reader, _Writer(self._line))
        server: Any = self
        try:
            handler = _LineHandler(streams, (self._port, 0), server)
        except serial.SerialTimeoutException:
            return  # noted: the board does not read
        if reader.torn:
            self.log.begin()
            self.log.note(Request(self._port, "", "", HTTPStatus.REQUEST_TIMEOUT, 0, None))
        elif handler.is_noise:
            self._line.timeout = QUIET_S
            while self._line.read(_PIECE):
                pass


class _LineHandler(Handler):
    # For one request; silent where there is none.

    is_noise = False

    def setup(self) -> None:
        self.rfile, self.wfile = self.request

    def handle(self) -> None:
        self.handle_one_request()

    def finish(self) -> None:
        pass

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        self.is_noise = True
        self.server.log.begin()
        self._note(code, 0)


class _Reader:
    """The two ways in which http.server reads: a line, from a port that gives up after a while."""

    def __init__(self, line: serial.Serial, first: bytes) -> None:
        self._line = line
        self._first = first
        self.torn = False

    def readline(self, limit: int = -1) -> bytes:
        data = bytearray(self._first)
        self._first = b""
        while not data.endswith(b"\n") and len(data) != limit:
            byte = self._line.read(1)
            if not byte:
                self.torn = True
                raise TimeoutError
            data += byte
        return bytes(data)


class _Writer(io.RawIOBase):
    """Writes all, in pieces that each have their time."""

    def __init__(self, line: serial.Serial) -> None:
        self._line = line

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        for at in range(0, len(data), _PIECE):
            self._line.write(data[at : at + _PIECE])
        return len(data)


def _why(e: Exception) -> str:
    number = getattr(e, "errno", None)
    if number in _BUSY:
        return "busy: another program has it open"
    return os.strerror(number) if number else str(e)
