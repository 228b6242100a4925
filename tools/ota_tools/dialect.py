"""What MicroPython has and CPython lacks, so that lib/ota runs on the host as it stands.

Importing `ota_tools` installs these stand-ins; import it before `ota`. Each is as strict as the
original: `tls` verifies, and its streams have the few calls that both interpreters share.
"""

import _ssl
import asyncio
import gc
import socket
import ssl
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
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
        tls.CERT_NONE = ssl.CERT_NONE
        sys.modules["tls"] = tls
    collector: Any = gc
    if not hasattr(collector, "threshold"):
        collector.threshold = lambda *amount: -1  # CPython counts objects, not bytes
    clock: Any = time
    if not hasattr(clock, "ticks_ms"):
        clock.ticks_ms = lambda: time.monotonic_ns() // 1_000_000
        clock.ticks_diff = lambda end, start: end - start
        clock.sleep_ms = lambda ms: time.sleep(ms / 1000)
    loop: Any = asyncio
    if not hasattr(loop, "sleep_ms"):
        loop.sleep_ms = lambda ms: asyncio.sleep(ms / 1000)


class TlsContext:
    """`tls.SSLContext` of MicroPython, over CPython's."""

    def __init__(self, protocol: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.verify_mode = ssl.CERT_REQUIRED
        self.verify_callback: Callable[[bytes, int], int] | None = None

    def load_verify_locations(self, cadata: bytes) -> None:
        """DER as bytes, or PEM ones in a row."""
        data = cadata.decode() if _is_pem(cadata) else cadata
        self._context.load_verify_locations(cadata=data)

    def load_cert_chain(self, cert: bytes, key: bytes) -> None:
        """Of the client: DER or PEM. CPython reads files only."""
        with tempfile.TemporaryDirectory() as folder:
            paths = Path(folder, "cert.pem"), Path(folder, "key.pem")
            try:
                paths[0].write_bytes(
                    cert if _is_pem(cert) else ssl.DER_cert_to_PEM_cert(cert).encode()
                )
                paths[1].write_bytes(key if _is_pem(key) else _key_as_pem(key))
                self._context.load_cert_chain(*paths)
            except (ssl.SSLError, ValueError) as e:
                raise ValueError("invalid cert or key") from e

    def wrap_socket(
        self, sock: socket.socket, server_hostname: str, do_handshake_on_connect: bool
    ) -> "TlsStream":
        """The handshake comes with the first bytes."""
        assert not do_handshake_on_connect
        if self.verify_mode == ssl.CERT_NONE:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        try:
            stream = self._context.wrap_socket(  # takes a socket away from its owner: a copy
                sock.dup(), server_hostname=server_hostname, do_handshake_on_connect=False
            )
        except OSError as e:
            # After a reset CPython leaves its socket open, in the frames of the traceback.
            traceback.clear_frames(e.__traceback__)
            raise
        return TlsStream(stream, self.verify_callback)


class TlsStream:
    """A MicroPython stream over a socket that does not block: None where nothing can be done yet."""

    def __init__(
        self, sock: ssl.SSLSocket, callback: "Callable[[bytes, int], int] | None"
    ) -> None:
        self._sock = sock
        self._callback = callback
        self._is_open = False

    def readinto(self, buf: Any) -> int | None:
        """Bytes read until the buffer is full or nothing is left for now; 0 at the end."""
        view = memoryview(buf)
        at = 0
        while at < len(view):
            n = self._try(self._sock.recv_into, view[at:])
            if not n:
                return at or n
            at += n
        return at

    def readline(self, limit: int) -> bytes | None:
        """A line with its end, or what is there of it, `limit` bytes at most; b"" at the end."""
        line = b""
        while len(line) < limit and not line.endswith(b"\n"):
            byte = self._try(self._sock.recv, 1)
            if not byte:
                return line or byte
            line += byte
        return line

    def write(self, data: bytes) -> int | None:
        """Bytes taken."""
        if not self._is_open:
            if self._try(self._handshake) is None:
                return None
            self._is_open = True
        taken: int | None = self._try(self._sock.send, data)
        return taken

    def close(self) -> None:
        """Close everything."""
        self._sock.close()

    def fileno(self) -> int:
        """For `select.poll`."""
        return self._sock.fileno()

    def _handshake(self) -> bool:
        try:
            self._sock.do_handshake()
        except ssl.SSLCertVerificationError as e:
            raise OSError(-0x2700, e.verify_message) from e  # X509_CERT_VERIFY_FAILED of mbedTLS
        if self._callback:
            chain = self._sock._sslobj.get_verified_chain()  # type: ignore[attr-defined]
            for depth in range(len(chain) - 1, -1, -1):
                if self._callback(chain[depth].public_bytes(_ssl.ENCODING_DER), depth):
                    raise OSError(-0x3000, "the callback refused the certificate")
        return True

    def _try(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


def _is_pem(data: bytes) -> bool:
    return bytes(data).startswith(b"-----BEGIN ")


def _key_as_pem(der: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_der_private_key(der, None)
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
