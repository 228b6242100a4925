"""A bad way to a good server: redirects as GitHub answers them, and connections that break.

Rule: nothing in here knows what the bytes mean. `Relay` passes TLS on without looking into it and
breaks a connection by its count of bytes, with a reset, as a router does that forgot about it.
`Redirector` holds no file. Source of the shape of the redirects: what people reported about GitHub
Releases (two, the second to another host, with a signature of about 1 KiB in its query).
"""

import fcntl
import http
import itertools
import select
import socket
import socketserver
import ssl
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

LATEST = "/latest/"
"""Where `github_like` begins."""

_RELEASES = "/releases/"
_SIGNATURE = "?se=in-an-hour&sig=" + "0123456789abcdef" * 64

_HOST = "localhost"
_PIECE = 16 * 1024
_TIMEOUT_S = 30.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST and drops what is unsent


@dataclass
class Passed:
    """Bytes of one connection: `up` to the server, `down` to the client."""

    up: int = 0
    down: int = 0


class Relay:
    """Passes connections on to a port of this machine until `close()`; a context manager.

    Attributes:
        port, url: where it listens; as `https://localhost:PORT`.
        connections: what passed so far, oldest first.
        breaks: how many bytes had gone to the client of each connection that was broken.
    """

    def __init__(
        self,
        target: int,
        cuts: Iterable[int] = (),
        hard: bool = True,
        on_break: Callable[[int], None] | None = None,
    ) -> None:
        """Args:
        target: port of the server.
        cuts: as of `break_after`; may be endless.
        hard: with a reset; else with an end, as of a server that died.
        on_break: called with the number that goes to `breaks`.
        """
        self.breaks: list[int] = []
        self.connections: list[Passed] = []
        self._hard = hard
        self._on_break = on_break
        self._lock = threading.Lock()
        self.break_after(more=cuts)
        relay = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection((_HOST, target), _TIMEOUT_S) as server:
                    relay._pass(self.request, server)

        self._listener = _Listener((_HOST, 0), Handler)
        self.port = self._listener.start()
        self.url = f"https://{_HOST}:{self.port}"

    def break_after(self, *counts: int, more: Iterable[int] = ()) -> None:
        """Break the next connection over which so many bytes went to its client; then, with the next
        count, one that comes later; and so on.
        """
        with self._lock:
            self._cuts = itertools.chain(counts, more)
            self._cut = next(self._cuts, 0)

    @property
    def down(self) -> list[int]:
        """Bytes that went to the client of each connection."""
        return [passed.down for passed in self.connections]

    def close(self) -> None:
        """Stop; open connections end."""
        self._listener.stop()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        # Little is on its way at any time: a reset drops it, and nearly all that was counted arrived.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(_TIMEOUT_S)
        passed = Passed()
        self.connections.append(passed)
        while True:
            ready = select.select([client, server], [], [], _TIMEOUT_S)[0]
            if not ready:
                return
            # Counted before it is sent: the client may be through before this goes on.
            if client in ready:
                data = client.recv(_PIECE)
                if not data:
                    return
                passed.up += len(data)
                server.sendall(data)
            if server in ready:
                data = server.recv(self._most(passed))
                if not data:
                    return
                passed.down += len(data)
                client.sendall(data)
                if self._is_enough(passed.down):
                    self._break(client)
                    return

    def _most(self, passed: Passed) -> int:
        with self._lock:
            return max(1, min(self._cut - passed.down, _PIECE)) if self._cut else _PIECE

    def _is_enough(self, down: int) -> bool:
        with self._lock:
            if not self._cut or down < self._cut:
                return False
            self._cut = next(self._cuts, 0)
            self.breaks.append(down)
        if self._on_break:
            self._on_break(down)
        return True

    def _break(self, client: socket.socket) -> None:
        until = time.monotonic() + 2
        while _unsent(client) and time.monotonic() < until:
            time.sleep(0.001)
        if self._hard:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()


class Redirector:
    """An HTTPS server that sends everybody elsewhere until `close()`; a context manager.

    Attributes:
        url: `https://host:port`.
        requests: paths that were asked for, oldest first.
    """

    def __init__(self, where: Callable[[str], str | None], certificate: Path, key: Path) -> None:
        """Args:
        where: the Location for a path; None: 404.
        certificate, key: PEM.
        """
        self.requests: list[str] = []
        redirector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = _TIMEOUT_S
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                redirector.requests.append(self.path)
                location = where(self.path)
                self.send_response(
                    http.HTTPStatus.FOUND if location else http.HTTPStatus.NOT_FOUND
                )
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: `requests` is the log."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        self._listener = _Listener((_HOST, 0), Handler, context)
        self.url = f"https://{_HOST}:{self._listener.start()}"

    def close(self) -> None:
        """Stop; open connections end."""
        self._listener.stop()

    def __enter__(self) -> "Redirector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def github_like(target: str) -> Callable[[str], str | None]:
    """For `Redirector`: from `/latest/NAME` to a path on the same host, and from there to `target`,
    `https://host:port`, with a signature.
    """

    def where(path: str) -> str | None:
        if path.startswith(LATEST):
            return _RELEASES + path[len(LATEST) :]
        if path.startswith(_RELEASES):
            return f"{target}/{path[len(_RELEASES) :]}{_SIGNATURE}"
        return None

    return where


class Detour:
    """The whole bad way: a redirector, behind it a relay, behind that the server at `target`.

    Attributes:
        url: in the place of the server's.
        redirector, relay: its two parts.
    """

    def __init__(
        self, target: int, certificate: Path, key: Path, say: Callable[[str], None]
    ) -> None:
        """Args:
        target: port of the server.
        certificate, key: of the redirector, PEM.
        say: told about each connection that is broken.
        """
        self.relay = Relay(
            target, on_break=lambda count: say(f"the connection is broken after {count} bytes")
        )
        where = github_like(f"https://{_HOST}:{self.relay.port}")
        self.redirector = Redirector(where, certificate, key)
        self.url = self.redirector.url + LATEST[:-1]

    def close(self) -> None:
        """Stop both."""
        self.redirector.close()
        self.relay.close()


class _Listener(socketserver.ThreadingTCPServer):
    """A thread per connection, with TLS or without."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[socketserver.BaseRequestHandler],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def start(self) -> int:
        """Listen; the port."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return int(self.server_address[1])

    def stop(self) -> None:
        """Stop, and end what is open."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._lock:
            for sock in self._open:
                _end(sock)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(_TIMEOUT_S)
        if self._context:
            request = self._context.wrap_socket(request, True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(request)
        try:
            if self._context:
                request.do_handshake()
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # those are clients that went away
            super().handle_error(request, client_address)


def _unsent(sock: socket.socket) -> int:
    # Bytes that the other end has not acknowledged: a reset drops them.
    try:
        count: int = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
    except OSError:
        return 0
    return count


def _end(sock: socket.socket) -> None:
    # Of the class: SSLSocket's own would take the TLS state away from under another thread.
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # gone already
