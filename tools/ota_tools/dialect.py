"""What MicroPython has and CPython lacks, so that lib/ota runs on the host as it stands.

Importing `ota_tools` installs these stand-ins; import it before `ota`. Each is as strict as the
original: `tls` verifies, and its streams have the few calls that both interpreters share.
"""

import errno
import gc
import socket
import ssl
import sys
import time
import types
from typing import Any


def install() -> None:
    """Make `micropython` and `tls` importable, give `time` its ticks and `gc` its threshold. Harmless when repeated."""
    if "micropython" not in sys.modules:
        micropython: Any = types.ModuleType("micropython")
        micropython.const = lambda value: value
        sys.modules["micropython"] = micropython
    if "tls" not in sys.modules:
        tls: Any = types.ModuleType("tls")
        tls.SSLContext = TlsContext
        tls.PROTOCOL_TLS_CLIENT = ssl.PROTOCOL_TLS_CLIENT
        tls.CERT_REQUIRED = ssl.CERT_REQUIRED
        sys.modules["tls"] = tls
    collector: Any = gc
    if not hasattr(collector, "threshold"):
        collector.threshold = lambda *amount: -1  # CPython counts objects, not bytes
    clock: Any = time
    if not hasattr(clock, "ticks_ms"):
        clock.ticks_ms = lambda: time.monotonic_ns() // 1_000_000
        clock.ticks_diff = lambda end, start: end - start


class TlsContext:
    """`tls.SSLContext` of MicroPython, over CPython's."""

    def __init__(self, protocol: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.verify_mode = ssl.CERT_REQUIRED

    def load_verify_locations(self, cadata: bytes) -> None:
        """DER as bytes, or PEM ones in a row."""
        pem = bytes(cadata).startswith(b"-----BEGIN ")
        self._context.load_verify_locations(cadata=cadata.decode() if pem else cadata)

    def wrap_socket(self, sock: socket.socket, server_hostname: str) -> "TlsStream":
        """Handshake; ValueError where the certificate is not accepted, as on MicroPython."""
        return TlsStream(self._context.wrap_socket(sock, server_hostname=server_hostname))


class TlsStream:
    """A MicroPython stream: readinto fills the buffer unless the peer ends."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._reader = sock.makefile("rb")
        self._sock = sock

    def readinto(self, buf: Any) -> int:
        """Bytes read, 0 at the end; OSError(ETIMEDOUT) where the peer is silent."""
        n: int = self._timed(self._reader.readinto, buf)
        return n

    def readline(self, limit: int) -> bytes:
        """A line with its end, or `limit` bytes of it."""
        line: bytes = self._timed(self._reader.readline, limit)
        return line

    def write(self, data: bytes) -> int:
        """All of it."""
        self._sock.sendall(data)
        return len(data)

    def close(self) -> None:
        """Close everything."""
        self._reader.close()
        self._sock.close()

    def _timed(self, call: Any, argument: Any) -> Any:
        try:
            return call(argument)
        except TimeoutError as e:
            raise OSError(errno.ETIMEDOUT, "timed out") from e
