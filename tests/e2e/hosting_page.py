"""docs/hosting.md from its first block to its last: what each part claims, asked where its blocks have run.

Devices are boards in this process; each `/ota.json` is a block of the page, and what it takes to find servers of
ours. Servers: `ota serve` as the page has it, nginx with the page's configuration, one with a chain of three.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from nginx import Nginx
from pages_of import Page, files_of, free_port
from site_of import updater
from test_local import Line
from virtual import STOCK_TABLE, Virtual

from ota import journal
from ota.config import Config, load_config
from ota.errors import OtaError
from ota.updater import Updater
from ota_tools import ports
from ota_tools.board import image_maker, maker
from ota_tools.partitions import parse_csv
from ota_tools.serve import Server

NAME = "updates.example.com"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
DER = serialization.Encoding.DER
FIELDS = {"headers", "basic", "bearer", *vars(Config({"product": "a", "board": "b"}))}


def certificates_of(folder: Path, name: str) -> None:
    """A root, an intermediate authority and a server `name`: root.pem, fullchain.pem, server.key."""
    folder.mkdir()
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
    authority = "-addext keyUsage=critical,keyCertSign"
    server = "-addext basicConstraints=critical,CA:false"
    for made, by, more in (
        ("root", "", authority),
        ("middle", "root", f"-addext basicConstraints=critical,CA:true {authority}"),
        ("server", "middle", f"{server} -addext subjectAltName=DNS:{name},DNS:localhost"),
    ):
        line = f"openssl {new} -keyout {made}.key -out {made}.pem -subj /CN={made} {more}"
        line += f" -CA {by}.pem -CAkey {by}.key" if by else ""
        subprocess.run(shlex.split(line), cwd=folder, check=True, capture_output=True)
    chain = (folder / "server.pem").read_bytes() + (folder / "middle.pem").read_bytes()
    (folder / "fullchain.pem").write_bytes(chain)


class PageNginx(Nginx):
    """nginx with the configuration of a page.

    Args:
        config: gets the port that it should listen on; gives the whole nginx.conf.
    """

    def __init__(self, folder: Path, config: Callable[[int], str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._process = None
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
            port = listening.getsockname()[1]
            self.ports, self.urls = {"": port}, {"": f"https://localhost:{port}"}
            head = f"daemon off; pid {folder}/nginx.pid; error_log stderr info;"
            user = "" if os.getuid() else "user root;"  # the folders of tests are private
            (folder / "nginx.conf").write_text(f"{head} {user}\n{config(port)}")
            self._start(folder / "nginx.conf", [listening.fileno()])


class Walk:
    """What lies around the reader; `close` ends it.

    Attributes:
        page: and `here`, its folder.
        first: the first `/ota.json` of the page.
        there: fields for `/ota.json` with the address and the root of the server with a chain of three.
    """

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.here = page.folder
        self.folder = folder
        self.first = ""
        self.there: dict[str, Any] = {}
        self.end = contextlib.ExitStack()
        self.line = Line()
        self.end.callback(self.line.close)
        self._boards = 0
        (self.here / "firmware.bin").write_bytes(image_maker.make_image({}, 50_000, "x"))
        self.tls = self.here / "tls-server"
        certificates_of(self.tls, NAME)
        (self.here / "certs").mkdir()
        page.names |= {
            "port": str(free_port()),
            "reports": str(free_port()),
            "serial": self.line.name,
            "certs": str(self.here / "certs"),
            "tls": str(self.tls),
            "published": str(self.here / "published"),
            "nginx": "PORT",
            "temporary": "".join(f"{what}_temp_path {folder}/{what};\n" for what in TEMPORARY),
        }

    def close(self) -> None:
        """End what was started."""
        self.end.close()

    def device(self, block: str, **more: Any) -> Virtual:
        """A board with this `/ota.json`, other fields beside it, and all files that the page has made."""
        self._boards += 1
        v = Virtual(self.folder / f"b{self._boards}")
        v.power_on()
        config = v.root / "ota.json"
        config.write_text(block)
        load_config(str(config))  # the block by itself
        assert json.loads(block).keys() <= FIELDS, block
        config.write_text(json.dumps({**json.loads(block), **more}))
        names = ("ota_trust.json", "root-ca.pem", "device.pem", "device.key")
        for path in (self.here / name for name in names):
            if path.exists():
                (v.root / path.name).write_bytes(path.read_bytes())
        return v

    def answer(self, block: str, **more: Any) -> str:
        """Of a check by such a board: the version that is offered, or a code."""
        try:
            release = updater(self.device(block, **more)).check()
        except OtaError as e:
            return e.code
        return release.version if release else "nothing"

    def nginx(self, name: str, config: str, inside: str = "") -> dict[str, Any]:
        """Start one, with more directives inside its server; fields for `/ota.json`."""
        text = config.replace("location", inside + "location", 1)
        running = PageNginx(self.folder / name, lambda port: text.replace("PORT", str(port)))
        self.end.callback(running.close)
        return {**self.there, "manifest_url": f"{running.urls['']}/v2-esp32.manifest"}


def first_device(walk: Walk) -> None:
    """Keys, trust store, release and server of the desk: a device finds the release."""
    walk.page.sh()
    walk.first = walk.page.take("json")
    assert walk.answer(walk.first) == "1.1"


def roots_and_pins(walk: Walk) -> None:
    """The root is found, proven and turned into DER; the pins are those of the keys."""
    page, here = walk.page, walk.here
    data = (walk.tls / "root.pem").read_bytes()
    hashed = page.type("openssl x509 -in tls-server/root.pem -noout -hash").strip()
    (here / "certs" / f"{hashed}.0").write_bytes(data)
    chain, key = walk.tls / "fullchain.pem", walk.tls / "server.key"
    server = walk.end.enter_context(Server(here / "published", chain, key))
    page.names["internet"] = str(server.port)
    url = f"https://localhost:{server.port}/v2-esp32.manifest"
    walk.there = {"manifest_url": url, "tls_root": "/root-ca.pem"}
    said = page.sh()
    root = x509.load_pem_x509_certificate(data)
    assert "issuer=CN = middle" in said and "chain1.pem: OK" in said
    assert root.fingerprint(hashes.SHA256()).hex(":").upper() in said
    assert (here / "root-ca.der").read_bytes() == root.public_bytes(DER)
    pins = [_pin((here / name).read_bytes()) for name in ("chain1.pem", "next.key")]
    assert re.findall(r"(?m)^[0-9a-f]{64}$", said) == pins
    pinned = page.take("json")
    assert walk.answer(pinned, **walk.there) == "tls-verify"
    assert walk.answer(pinned, **walk.there, tls_pins=pins[:1]) == "1.1"


def _pin(pem: bytes) -> str:
    if b"CERTIFICATE" in pem:
        public = x509.load_pem_x509_certificate(pem).public_key()
    else:
        public = serialization.load_pem_private_key(pem, None).public_key()
    info = public.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


def credentials(walk: Walk) -> str:
    """Header lines are those of the block; a client certificate comes onto a board by mpremote.

    Returns: the block that shows the certificate.
    """
    page, here = walk.page, walk.here
    block = page.take("json")
    secret = load_config(str(walk.device(block).root / "ota.json")).secret
    assert "Bearer the-token\r\n" in secret and "x-fleet: north\r\n" in secret.lower()
    bare = image_maker.make_image({}, 1 << 17, "bare")
    maker.make_board(here / "onboard", parse_csv(STOCK_TABLE), bare, {}).close()
    with ports.open_port(f"board:{here / 'onboard'}") as page.names["line"]:
        page.sh()
    names = ("device.pem", "device.key")
    assert files_of(here / "onboard") == {f"/{n}": (here / n).read_bytes() for n in names}
    return page.take("json")


def behind_nginx(walk: Walk, with_certificate: str) -> None:
    """The page's nginx.conf serves what `ota release` wrote, to anybody, by password, by certificate."""
    page = walk.page
    config = page.take("nginx")
    plain = walk.nginx("plain", config)
    assert walk.answer(walk.first, **plain) == "1.1"
    head = page.type(f"curl -sS --cacert root-ca.pem -o body -D - {plain['manifest_url']}")
    assert "cache-control: no-cache" in head.lower()
    auth = page.take("nginx")
    page.sh()
    locked = walk.nginx("locked", config, auth)
    assert walk.answer(walk.first, **locked) == "denied"
    assert walk.answer(page.take("json"), **locked) == "1.1"
    (walk.tls / "clients.pem").write_bytes((walk.here / "clients.pem").read_bytes())
    known = walk.nginx("known", config, page.take("nginx"))
    assert walk.answer(walk.first, **known) == "http-status"
    assert walk.answer(with_certificate, **known) == "1.1"


def pre_signed(walk: Walk) -> None:
    """The script changes the addresses in a signed manifest, and nothing else: a device takes it."""
    before = updater(walk.device(walk.first)).check()
    (walk.here / "presign.py").write_text(walk.page.take("python"))
    walk.page.type("python presign.py")
    after = updater(walk.device(walk.first)).check()
    assert (after.sha256, after.sequence) == (before.sha256, before.sequence)
    assert (
        after.payloads[0].urls[0].startswith("https://BUCKET.s3.REGION.amazonaws.com/image.bin?")
    )


def reports(walk: Walk) -> None:
    """An outcome is told to `ota serve --reports` by the line of the page."""
    config, told = walk.page.take("json"), walk.page.take("python")
    walk.page.sh("--reports")
    v = walk.device(config, report_url=f"https://127.0.0.1:{walk.page.names['reports']}/reports")
    ended = journal.Journal()
    ended.end(journal.CONFIRMED, "")
    v.board.nvs.set("ota", "journal", journal.encode(ended).hex())
    assert eval(told, {"updater": updater(v)}) is True
    (report,) = map(json.loads, (walk.here / "reports.jsonl").read_text().splitlines())
    assert (report["product"], report["outcome"]) == ("sensor", "confirmed")


def serial_line(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's lines, with a pseudo-terminal for its UART, find the release over the line."""
    walk.page.sh()
    port = walk.device(walk.first).port()

    def uart(number: int, baudrate: int, tx: int, rx: int, timeout: int, rxbuf: int) -> Line:
        assert (baudrate, timeout) == (460800, 0)
        return walk.line

    monkeypatch.setitem(sys.modules, "machine", types.SimpleNamespace(UART=uart))
    monkeypatch.setattr(Updater, "from_config", functools.partial(Updater.from_config, port=port))
    words: dict[str, Any] = {}
    exec(walk.page.take("python"), words)
    assert words["updater"].check().version == "1.1"
    monkeypatch.undo()
