"""A publisher for end-to-end tests: keys, an HTTPS server, releases; and boards that know it."""

import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path

from fakes import make_image
from stores import key_of
from virtual import STOCK_TABLE, Virtual

from ota.strict import b64url_encode
from ota.updater import Updater
from ota_tools import certificates, keys
from ota_tools import trust as trust_store
from ota_tools.partitions import parse_csv
from ota_tools.release import Release, Target, make_release
from ota_tools.serve import Server

DATA = Path(__file__).parent.parent / "data" / "openssl"
PRODUCT = "demo"
BOARD = "virtual"


class Site:
    """Everything that a device talks to, in a folder."""

    def __init__(self, folder: Path, hosts: tuple[str, ...] = ("localhost",)) -> None:
        self.published = folder / "published"
        self.published.mkdir(parents=True)
        self.signer = key_of(DATA / "release.pem")
        self.paths = certificates.ensure(folder / "tls", list(hosts))
        self.server = Server(
            self.published, self.paths.server_pem, self.paths.server_key, host="localhost"
        )
        self.target = Target(PRODUCT, BOARD, parse_csv(STOCK_TABLE))
        self.trust = trust_store.make_first(
            [key_of(DATA / "root.pem")],
            [self.signer.public_key()],
            manifest_urls=[f"{self.server.url}/{BOARD}-esp32.manifest"],
            tls_roots=[self.paths.ca_der.read_bytes()],
        )

    def publish(self, image: bytes, version: str, sequence: int | None = None, **more) -> Release:
        return make_release(
            image, self.target, version, self.signer, self.published, sequence=sequence, **more
        )

    def files(self, **config) -> dict[str, bytes]:
        """What a device of this publisher carries."""
        fields = {
            "product": PRODUCT,
            "board": BOARD,
            "timeout_s": 2,
            "tries": 1,
            "ntp": "",
            **config,
        }
        return {"/ota.json": json.dumps(fields).encode(), "/ota_trust.json": self.trust}

    def device(self, folder: Path, settings: dict | None = None, **config) -> Virtual:
        """A board of this publisher in this process, switched on; `settings` of the board model."""
        v = Virtual(folder, **(settings or {}))
        for name, data in self.files(**config).items():
            (v.root / name[1:]).write_bytes(data)
        v.power_on()
        return v

    def asked(self) -> list[str]:
        """Paths that were requested, oldest first."""
        return [request.path for request in self.server.log.answered()]


def updater(v: Virtual) -> Updater:
    """An updater on this board."""
    return Updater.from_config(port=v.port())


def image_of(seed: int, size: int = 150000, chip_id: int = 0) -> bytes:
    """A valid small image."""
    return make_image(size, chip_id, seed)


def signed(signer, payload: bytes, header: dict | None = None, **changes) -> bytes:
    """An envelope as anybody could make it: nothing is checked, everything can be wrong."""
    fields = {"alg": "PS256", "kid": keys.kid(signer.public_key()), "typ": "ota-manifest+1"}
    fields = {**(header or fields), **changes}
    protected = b64url_encode(json.dumps(fields).encode())
    signature = keys.sign(signer, protected + b"." + b64url_encode(payload))
    return envelope(protected.decode(), b64url_encode(signature).decode(), payload)


def envelope(protected: str, signature: str, payload: bytes) -> bytes:
    """One signature and the payload, whatever they are."""
    entry = {"protected": protected, "signature": signature}
    return json.dumps({"signatures": [entry]}).encode() + b"\n" + payload


class Liar:
    """A TLS server that answers every request with the same bytes and closes."""

    def __init__(self, paths: certificates.Paths, answer: bytes) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths.server_pem, paths.server_key)
        self._answer = answer
        self._socket = context.wrap_socket(
            socket.create_server(("127.0.0.1", 0)), server_side=True
        )
        self.url = f"https://localhost:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except ssl.SSLError:
                continue  # a client that did not like the handshake
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                while b"\r\n\r\n" not in connection.recv(4096):
                    pass
                connection.sendall(self._answer)
                connection.settimeout(0.05)  # says goodbye, does not wait for the answer
                connection.unwrap()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
