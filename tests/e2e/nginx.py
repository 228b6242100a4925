"""Debian's nginx on loopback, a process of its own per test: configuration and logs in a folder.

Rules: without nginx a test fails, it is never skipped. The ports are opened here and handed over, as
nginx hands them to its own successor: no port can be taken in between, and nobody has to wait until
nginx listens. What it served is read from its access log.
"""

import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ota_tools import certificates
from ota_tools.failures import MissingTool

# One worker and its master: a single process cannot take over open ports, it crashes (1.22).
_CONFIG = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    log_format ota escape=json '{log}';
    access_log {folder}/access.log ota;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/octet-stream;
    root {root};
    ssl_certificate {server_pem};
    ssl_certificate_key {server_key};
    {http}
{servers}}}
"""

_LOG = {
    "server": "$server_port",
    "connection": "$connection",
    "path": "$request_uri",
    "status": "$status",
    "sent": "$body_bytes_sent",
    "range": "$http_range",
    "if_range": "$http_if_range",
    "tag": "$http_if_none_match",
    "encoding": "$http_accept_encoding",
    "secret": "$http_authorization",
    "token": "$http_x_token",
    "protocol": "$ssl_protocol",
    "client": "$ssl_client_verify",
    "name": "$ssl_server_name",
    "agent": "$http_user_agent",
    "at": "$msec",
}


@dataclass(frozen=True)
class Request:
    """A line of the access log: what was asked, what was answered, over which connection.

    Attributes:
        server: its name in `Nginx.urls`.
        sent: bytes of the body.
        at: seconds when it ended.
    """

    server: str
    connection: int
    path: str
    status: int
    sent: int
    range: str
    if_range: str
    tag: str
    encoding: str
    secret: str
    token: str
    protocol: str
    client: str
    name: str
    agent: str
    at: float


class Nginx:
    """A running nginx. A context manager; `close` stops it, whatever it does.

    Attributes:
        urls: `https://localhost:PORT` of each server.
        ports: their ports.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        paths: certificates.Paths,
        servers: dict[str, str],
        http: str = "",
    ) -> None:
        """Args:
        folder: for everything that nginx writes; made here.
        root: what is served.
        paths: certificate and key.
        servers: directives of each server by its name; `<name>` in them is the URL of a server.
        http: directives for all of them.
        Raises MissingTool; RuntimeError where nginx refuses the configuration.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        sockets = {name: socket.create_server(("127.0.0.1", 0), backlog=64) for name in servers}
        try:
            self.ports = {name: s.getsockname()[1] for name, s in sockets.items()}
            self.urls = {name: f"https://localhost:{port}" for name, port in self.ports.items()}
            blocks = ""
            for name, directives in servers.items():
                listen = f"listen 127.0.0.1:{self.ports[name]} ssl;"
                blocks += f"    server {{\n        {listen}\n{directives}\n    }}\n"
            for name, url in self.urls.items():
                blocks = blocks.replace(f"<{name}>", url)
            fields = ",".join(f'"{name}":"{value}"' for name, value in _LOG.items())
            config = folder / "nginx.conf"
            config.write_text(
                _CONFIG.format(
                    folder=folder,
                    user="" if os.getuid() else "user root;",  # the folders of tests are private
                    log="{" + fields + "}",
                    root=root,
                    server_pem=paths.server_pem,
                    server_key=paths.server_key,
                    http=http,
                    servers=blocks,
                )
            )
            self._start(config, [s.fileno() for s in sockets.values()])
        finally:
            for s in sockets.values():
                s.close()

    def _start(self, config: Path, listening: list[int]) -> None:
        argv = [program(), "-p", str(self._folder), "-e", "stderr", "-c", str(config)]
        setpriv = shutil.which("setpriv")
        if setpriv:  # where the tests are killed nobody else would stop it
            argv = [setpriv, "--pdeathsig", "TERM", *argv]
        with (self._folder / "error.log").open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=listening,
                start_new_session=True,  # master and worker, and nobody else
                env={"NGINX": "".join(f"{fd};" for fd in listening)},
            )
        until = time.monotonic() + 20
        while not (self._folder / "nginx.pid").exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                raise RuntimeError("nginx does not start:\n" + self.errors())
            time.sleep(0.005)

    def errors(self) -> str:
        """nginx' error log."""
        return (self._folder / "error.log").read_text()

    def requests(self, count: int = 0, of: str = "") -> list[Request]:
        """All that was served, once `count` requests with `of` in them were: nginx notes them when they end."""
        until = time.monotonic() + 5
        names = {str(port): name for name, port in self.ports.items()}
        while True:
            lines = (self._folder / "access.log").read_text().splitlines()
            if sum(of in line for line in lines) >= count or time.monotonic() > until:
                break
            time.sleep(0.01)
        found = []
        for line in lines:
            fields = json.loads(line)
            fields["server"] = names[fields["server"]]
            for name in ("connection", "status", "sent"):
                fields[name] = int(fields[name])
            found.append(Request(**{**fields, "at": float(fields["at"])}))
        return found

    def finish(self) -> None:
        """Let it end what it does, note it, and stop."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        """Stop it, whatever it does, and wait until it is gone. Harmless when repeated."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def __enter__(self) -> "Nginx":
        return self

    def __exit__(self, *what: object) -> None:
        self.close()


def program() -> str:
    """Path of nginx, also where Debian keeps it away from users. Raises MissingTool."""
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which("nginx", path=os.pathsep.join(places))
    if not found:
        raise MissingTool("the tests need nginx: apt-get install nginx, or brew install nginx")
    return found


def client_identity(folder: Path) -> tuple[Path, Path, Path]:
    """An authority for clients, a client certificate under it, and its key; EC P-256, DER but the first."""
    folder.mkdir(parents=True)
    authority = certificates.make_authority("boards")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "board 1")]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "client.der", folder / "client.key"
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    paths[0].write_bytes(authority.certificate.public_bytes(pem))
    paths[1].write_bytes(certificate.public_bytes(der))
    form = serialization.PrivateFormat.PKCS8
    paths[2].write_bytes(key.private_bytes(der, form, serialization.NoEncryption()))
    return paths


class Upstream:
    """A server behind nginx, plain HTTP/1.0: a file without its length, then the connection ends.

    Args:
        root: folder of the files.
        cut: bytes after which the first answer for a payload breaks off, 0 for never.
    """

    def __init__(self, root: Path, cut: int = 0) -> None:
        self._root = root
        self._cut = cut
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(4096)
                path = self._root / asked.split(b" ")[1].decode().rpartition("/")[2]
                data = path.read_bytes()
                if self._cut and path.suffix == ".bin":
                    data, self._cut = data[: self._cut], 0
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + data)

    def close(self) -> None:
        """Stop listening."""
        # closing alone does not wake the thread that accepts
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
