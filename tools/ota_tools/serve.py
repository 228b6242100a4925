"""One folder over HTTPS: what a board's HTTP client may meet, and a record of what it asked for and told.

Rule: a file is read whole for every answer, so its length, its ETag and its bytes are of one
version. Nothing outside the folder is served and nothing is listed.
Source: RFC 9110 sections 13 (conditions, If-Range), 14 (ranges) and 15.5.17 (416).
"""

import hashlib
import http
import json
import re
import socket
import socketserver
import ssl
import sys
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ota_tools.failures import Refused, Usage
from ota_tools.request_log import Request, RequestLog

HANDSHAKE_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
REPORT_LIMIT = 4096
"""Bytes of a report."""

_PIECE = 64 * 1024
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


class Server:
    """Serves `folder` from the moment it exists until `close()`; a context manager.

    Attributes:
        port: that it listens on.
        log: what it was asked for.
    """

    def __init__(
        self,
        folder: Path,
        certificate: Path,
        key: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        on_request: Callable[[Request], None] | None = None,
        reports: Path | None = None,
    ) -> None:
        """Start; raises Usage where that is not possible, Refused where it would publish the key.

        Args:
            folder: what is served; symbolic links that lead out of it are not.
            certificate: PEM, with intermediate ones if there are any.
            key: PEM, of the certificate.
            host: address to listen on, "0.0.0.0" for all.
            port: 0 for any free one.
            on_request: called after every answer, one at a time, in the thread that answered.
            reports: a file outside of the folder that gets a line for each report that is posted to a
                path that ends in `/reports`; None: there is no such path.
        """
        if not folder.is_dir():
            raise Usage(f"{folder} is not a folder")
        if key.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{key} lies in the folder that would be served")
        if reports and reports.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{reports} lies in the folder that would be served")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key)
        except OSError as e:  # SSLError is one
            raise Usage(f"{certificate} with {key}: {e.strerror or e}") from None
        self.log = RequestLog(on_request)
        self._host = host
        try:
            self._listener = _Listener((host, port), folder.resolve(), context, self.log)
        except OSError as e:
            raise Usage(f"cannot listen on {host}:{port}: {e.strerror or e}") from None
        self._listener.reports = reports
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """`https://host:port`, without a slash at the end; `localhost` when listening on all."""
        host = "localhost" if self._host in ("", "0.0.0.0", "::") else self._host  # noqa: S104
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"

    def close(self) -> None:
        """Stop within a second; open connections are broken. Harmless when repeated."""
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.break_connections()
        self._thread.join()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Listener(ThreadingHTTPServer):
    """Accepts; the handshake and everything after it happen in a thread per connection."""

    request_queue_size = 64
    reports: Path | None = None

    def __init__(
        self,
        address: tuple[str, int],
        folder: Path,
        context: ssl.SSLContext,
        log: RequestLog,
    ) -> None:
        self.folder = folder
        self.log = log
        self._context = context
        self._open: set[socket.socket] = set()
        self._closing = False
        self._lock = threading.Lock()
        self.reports_lock = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for its own name

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(HANDSHAKE_TIMEOUT_S)
        stream = self._context.wrap_socket(request, True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(stream)
            if self._closing:
                socket.socket.shutdown(stream, socket.SHUT_RDWR)
        try:
            stream.do_handshake()
            super().finish_request(stream, client_address)
        finally:
            with self._lock:
                self._open.discard(stream)
            self.shutdown_request(stream)

    def break_connections(self) -> None:
        # Of the class: SSLSocket's own would take the TLS state away from under another thread.
        with self._lock:
            self._closing = True
            for stream in self._open:
                try:
                    socket.socket.shutdown(stream, socket.SHUT_RDWR)
                except OSError:
                    continue  # gone already

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # those are clients that went away
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers with files of `server.folder` and notes each `Request` in `server.log`."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # else what is no HTTP at all gets an answer without head
    timeout = IDLE_TIMEOUT_S
    disable_nagle_algorithm = True
    server: Any

    def do_GET(self) -> None:
        """The file, a part of it, or why not."""
        length = self.headers.get("Content-Length", "0")
        if length != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body that nobody reads is not the next request
        data = self._file()
        if data is None:
            self._answer(http.HTTPStatus.NOT_FOUND, b"404 Not Found\n", {})
            return
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        fields = {"ETag": tag, "Accept-Ranges": "bytes"}
        if _is_listed(tag, self.headers.get("If-None-Match")):
            self._answer(http.HTTPStatus.NOT_MODIFIED, b"", fields)
            return
        asked = self.headers.get("Range") if self.command == "GET" else None
        part = _part(asked, len(data)) if self.headers.get("If-Range", tag) == tag else None
        if part is None:
            self._answer(http.HTTPStatus.OK, data, fields)
        elif not part:
            fields["Content-Range"] = f"bytes */{len(data)}"
            self._answer(http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", fields)
        else:
            fields["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
            self._answer(http.HTTPStatus.PARTIAL_CONTENT, data[part.start : part.stop], fields)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """A report becomes a line of the file for them."""
        status = http.HTTPStatus.NO_CONTENT
        length = self.headers.get("Content-Length", "")
        reports: Path | None = getattr(self.server, "reports", None)  # a serial line has none
        if reports is None:
            self.send_error(http.HTTPStatus.NOT_IMPLEMENTED)  # which closes the connection
            return
        if not re.fullmatch("[0-9]{1,4}", length) or int(length) > REPORT_LIMIT:
            status = http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self.close_connection = True
        elif (line := _line_of(self.rfile.read(int(length)))) is None:
            status = http.HTTPStatus.BAD_REQUEST
        elif not self._target().endswith("/reports"):
            status = http.HTTPStatus.NOT_FOUND
        else:
            with self.server.reports_lock, reports.open("a") as file:
                file.write(line)
        self._answer(status, b"", {})

    def version_string(self) -> str:
        """Ours."""
        return "ota"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: `server.log` is the log."""

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """What http.server itself refuses: broken requests, other methods."""
        self.server.log.begin()
        try:
            super().send_error(code, message, explain)
        finally:
            self._note(code, 0)

    def _target(self) -> str:
        try:
            return urllib.parse.urlsplit(self.path).path
        except ValueError:
            return ""  # `http://[`

    def _file(self) -> bytes | None:
        try:
            name = urllib.parse.unquote(self._target(), errors="strict")
            folder: Path = self.server.folder
            path = (folder / name.lstrip("/")).resolve()
            if path.is_relative_to(folder) and path.is_file():
                return path.read_bytes()
        except (OSError, ValueError, RuntimeError):
            pass  # a name that no file can have, a loop of links, a file that nobody may read
        return None

    def _answer(self, status: http.HTTPStatus, body: bytes, fields: dict[str, str]) -> None:
        sent = 0
        self.server.log.begin()
        try:
            self.send_response(status)
            for name, value in fields.items():
                self.send_header(name, value)
            # RFC 9110, 8.6: not 0 there
            if status not in (http.HTTPStatus.NOT_MODIFIED, http.HTTPStatus.NO_CONTENT):
                self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            while self.command != "HEAD" and sent < len(body):
                piece = body[sent : sent + _PIECE]
                self.wfile.write(piece)
                sent += len(piece)
        finally:
            self._note(status, sent)

    def _note(self, status: int, sent: int) -> None:
        headers = getattr(self, "headers", None)  # not there when the request line was broken
        asked = headers.get("Range") if headers else None
        path = getattr(self, "path", "")
        client = str(self.client_address[0])
        self.server.log.note(Request(client, self.command or "", path, int(status), sent, asked))


def _line_of(report: bytes) -> str | None:
    # None for what is no object.
    try:
        found = json.loads(report)
        return json.dumps(found) + "\n" if isinstance(found, dict) else None
    except (ValueError, RecursionError):
        return None


def _is_listed(tag: str, listed: str | None) -> bool:
    tags = [item.strip().removeprefix("W/") for item in (listed or "").split(",")]
    return tag in tags or tags == ["*"]


def _part(asked: str | None, size: int) -> range | None:
    # None: the whole file, as for no range, several, or one that is not well-formed; empty: 416.
    found = _RANGE.fullmatch(asked.strip()) if asked else None
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
