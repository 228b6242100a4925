"""A publisher for end-to-end tests: keys, an HTTPS server, releases; and boards that know it."""

import json
from pathlib import Path

from fakes import make_image
from virtual import STOCK_TABLE, Virtual

from ota.updater import Updater
from ota_tools import certificates, keys
from ota_tools import trust as trust_store
from ota_tools.board.runner import Run, run
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
        self.signer = keys.load_private(DATA / "release.pem")
        self.paths = certificates.ensure(folder / "tls", list(hosts))
        self.server = Server(
            self.published, self.paths.server_pem, self.paths.server_key, host="localhost"
        )
        self.target = Target(PRODUCT, BOARD, parse_csv(STOCK_TABLE))
        self.trust = trust_store.make_first(
            [keys.load_private(DATA / "root.pem")],
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
        fields = {"product": PRODUCT, "board": BOARD, "timeout_s": 2, **config}
        return {"/ota.json": json.dumps(fields).encode(), "/ota_trust.json": self.trust}

    def device(self, folder: Path, **config) -> Virtual:
        """A board of this publisher in this process, switched on."""
        v = Virtual(folder)
        for name, data in self.files(**config).items():
            (v.root / name[1:]).write_bytes(data)
        v.power_on()
        return v

    def asked(self) -> list[str]:
        """Paths that were requested."""
        return [request.path for request in self.server.requests]


def updater(v: Virtual) -> Updater:
    """An updater on this board."""
    return Updater.from_config(port=v.port())


def image_of(seed: int, size: int = 150000, chip_id: int = 0) -> bytes:
    """A valid small image."""
    return make_image(size, chip_id, seed)


def run_script(board, interpreter, timeout_s: float = 20.0) -> Run:
    """Power for a board whose main.py prints what it found."""
    return run(board, interpreter, timeout_s=timeout_s)
