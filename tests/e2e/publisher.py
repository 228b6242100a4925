"""A publisher whose every file can be wrong, and a device that knows its trust store number 1."""

import binascii
import functools
import hashlib
import json
import struct
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest
from fakes import make_image, manifest_fields
from site_of import DATA, Liar, Site, updater
from site_of import image_of as make_image_of
from stores import MANIFEST, Ec, Rsa, envelope, store
from virtual import Virtual

from ota import recovery, start, trial
from ota.errors import OtaError
from ota.health import status

ROOT = Rsa(DATA / "root.pem")
ROOT2 = Rsa(DATA / "root2.pem")
OLD = Rsa(DATA / "release.pem")
STRANGER = Rsa(DATA / "stranger.pem")
NEW = Ec()
NEWER = Ec()

FIRST = "ota_trust.json"
CURRENT = "ota_trust.json.current"
NAME = "virtual-esp32.manifest"
SECTOR = 4096

image_of = functools.cache(make_image_of)


class Publisher:
    """What lies in a folder of the server, and what a device of it carries.

    Attributes:
        more: fields of every trust store: where manifests are, and whom TLS trusts.
        trust: the flashed trust store.
        accepted_before: the one that the device accepted since, b"" for none.
        config: changes of /ota.json.
        image_url: of a bare image; "" where there is a manifest.
        honest_keys: who sign the next honest release.
        v: the device, once `board` made it.
        settings: of the board model.
        means: SHA-256 of the image that a manifest means, in hex; "" where nobody asks.
        created: of the running image, by its receipt.
        keep: files that the honest publisher serves beside its manifest.
        liars: servers that answer in their own way, to be closed.
    """

    def __init__(self, site: Site, folder: "Path | None" = None, under: str = "") -> None:
        """Args:
        folder: of the device; None: it is made later.
        under: folder of the server, with its slash.
        """
        self.site = site
        self.where = site.published / under
        self.where.mkdir(exist_ok=True)
        self.base = f"{site.server.url}/{under}"
        self.more = {
            "manifest_urls": [self.base + NAME],
            "tls_roots": json.loads(site.trust.split(b"\n", 1)[1])["tls_roots"],
        }
        self.accepted_before = b""
        self.config: dict = {}
        self.image_url = ""
        self.honest_keys: list = [OLD]
        self.settings: dict = {}
        self.means = ""
        self.created = 0
        self.keep: dict[str, bytes] = {}
        self.v: Any = None
        self.liars: list = []
        self.trust = self.store(1, [ROOT], [OLD], [ROOT])
        if folder:
            self.board(folder / "board")

    def board(self, folder: Path) -> Virtual:
        """A device, switched on."""
        self.site.trust = self.trust
        self.v = self.site.device(folder, self.settings, **self.config)
        if self.accepted_before:
            (self.v.root / CURRENT).write_bytes(self.accepted_before)
        return self.v

    def flash(self, roots, releases, **fields) -> None:
        """Another trust store number 1 for the device, signed by all of its roots."""
        self.trust = self.store(1, roots, releases, roots, **fields)

    def store(self, number, roots, releases, signers, **fields) -> bytes:
        return store(number, roots, releases, signers, **{**self.more, **fields})

    def put(self, number, roots, releases, signers, as_number=0, **fields) -> bytes:
        data = self.store(number, roots, releases, signers, **fields)
        (self.where / f"trust-{as_number or number}.json").write_bytes(data)
        return data

    def publish(self, name: str, data: bytes) -> str:
        """A file; its name."""
        (self.where / name).write_bytes(data)
        return name

    def fields(self, sequence: int, trust: int = 0, image=None, served=None, **fields) -> dict:
        """An honest manifest of an image of its own, of which the server sends `served`."""
        image = image or image_of(sequence)
        name = self.publish(f"{sequence}.bin", served or image)
        payloads = [{"urls": [name], "encoding": "plain", "size": len(image)}]
        changes = {"sequence": sequence, "payloads": payloads, "trust": trust, **fields}
        return manifest_fields(image, **changes)

    def release(self, sequence: int, signers, trust: int = 0, **fields) -> bytes:
        """Publish the manifest of a release."""
        payload = json.dumps(self.fields(sequence, trust, **fields)).encode()
        return self.offer(envelope(MANIFEST, payload, signers))

    def offer(self, data: bytes) -> bytes:
        """Publish that as the manifest."""
        self.publish(NAME, data)
        return data

    def liar(self, head: str, body: bytes = b"") -> str:
        """URL of a server that gives this answer to everything."""
        answer = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
        self.liars.append(Liar(self.site.paths, answer))
        return self.liars[-1].url

    def honest(self, sequence: int = 40) -> None:
        """The attack is over: nothing but an honest release lies there."""
        for path in self.where.iterdir():
            path.unlink()
        for name, data in self.keep.items():
            self.publish(name, data)
        self.release(sequence, self.honest_keys)

    def code(self) -> str:
        """Of a check that fails; no slot was touched, the boot slot stays."""
        self.v.board.flash.operations.clear()
        before = self.v.selected()
        with pytest.raises(OtaError) as e:
            updater(self.v).check()
        assert touched(self.v) == set()
        assert self.v.selected() == before
        return e.value.code

    def install(self) -> int:
        """Sequence of the release that was installed, came through its trial and was confirmed."""
        release = updater(self.v).update()
        assert release
        self.confirm()
        assert status(self.v.port())["sequence"] == release.sequence
        return release.sequence

    def confirm(self) -> None:
        """A reset, and the new image is confirmed."""
        self.v.reset()
        start.boot(port=self.v.port())
        assert recovery.fault == ""
        trial.confirm(self.v.port())

    def accepted(self) -> "dict | None":
        """The trust store that the device accepted since it was flashed."""
        path = self.v.root / CURRENT
        return json.loads(path.read_bytes().split(b"\n", 1)[1]) if path.exists() else None


def touched(v: Virtual) -> set[str]:
    """Slots in which there was a flash operation."""
    return {
        slot.name
        for slot in v.board.table.ota_slots
        for operation in v.board.flash.operations
        if slot.offset <= operation.address < slot.end
    }


# Bare images


@functools.cache
def app(seed: int = 5, version: str = "7.1", secure: int = 0, size: int = 150000, chip: int = 0):
    """An app image whose descriptor says so."""
    data = bytearray(make_image(size, chip, seed)[:-32])
    before = reduce(xor, data[32:80])
    struct.pack_into("<I", data, 36, secure)
    data[48:80] = version.encode().ljust(32, b"\0")
    data[-1] ^= before ^ reduce(xor, data[32:80])
    return bytes(data) + hashlib.sha256(data).digest()


def content(image: bytes) -> bytes:
    """What is signed of it: whole sectors."""
    return image + b"\xff" * (-len(image) % SECTOR)


def rsa_block(key: Rsa, data: bytes, e: int = 65537, signature: bytes = b"", n: int = 0) -> bytes:
    """A signature block of Secure Boot v2 for this content."""
    signature = signature or key.sign(data)
    n = n or key.n
    body = b"\xe7\x02\0\0" + hashlib.sha256(data).digest() + n.to_bytes(384, "little")
    body += struct.pack("<I", e) + bytes(388) + signature[::-1]
    return _sealed(body)


def ec_block(key: Ec, data: bytes, signature: bytes = b"") -> bytes:
    """The same, for P-256."""
    signature = signature or key.sign(data)
    body = b"\xe7\x03\0\0" + hashlib.sha256(data).digest() + b"\x02"
    body += key.x.to_bytes(32, "little") + key.y.to_bytes(32, "little")
    return _sealed(body + signature[:32][::-1] + signature[32:][::-1])


def _sealed(body: bytes) -> bytes:
    body = body.ljust(1196, b"\0")
    return body + struct.pack("<I", binascii.crc32(body)) + bytes(16)


def sector(*blocks: bytes) -> bytes:
    """The signature sector."""
    return b"".join(blocks).ljust(SECTOR, b"\xff")
