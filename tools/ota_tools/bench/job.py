"""The job that is measured: images, keys, a trust store and really signed manifests, in folders.

Images are valid for the ESP32 and exactly as long as asked, so that sectors can be counted. The
manifest is brought to 2 KiB by its notes, as performance.md section 6 wants it.
"""

import hashlib
import json
import random
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from ota.image import DESCRIPTOR
from ota_tools import keys
from ota_tools import trust as trust_store
from ota_tools.partitions import Table, parse_csv
from ota_tools.release import Target, make_release

PRODUCT = "bench"
BOARD = "vm"
MANIFEST_SIZE = 2048
"""Bytes of the signed envelope."""

_SLOTS = """
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
ota_0,    app,  ota_0, 0x10000,  0x800000
ota_1,    app,  ota_1, 0x810000, 0x800000
"""


def make_image(size: int, seed: int) -> bytes:
    """A valid image of exactly `size` bytes (a multiple of 16) that does not compress."""
    body = struct.pack("<I", DESCRIPTOR) + bytes(252)
    body += random.Random(seed).randbytes(size - 80 - len(body))  # noqa: S311
    header = bytearray(24)
    header[0], header[1], header[23] = 0xE9, 1, 1
    data = bytes(header) + struct.pack("<II", 0x3F400020, len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    data += bytes(15) + bytes((checksum,))
    return data + hashlib.sha256(data).digest()


def reseal(image: bytes) -> bytes:
    """The image with checksum and SHA-256 made right again after its body was changed."""
    checksum = 0xEF
    for byte in image[32 : len(image) - 48]:
        checksum ^= byte
    data = image[: len(image) - 33] + bytes((checksum,))
    return data + hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Published:
    """A folder that server and VM read: `image.bin`, `vm-esp32.manifest`, the payload.

    Attributes:
        folder: the published files.
        image: what the slot shall hold.
    """

    folder: Path
    image: bytes


class Workshop:
    """Makes what the measurements need, each thing once, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._published: dict[tuple[int, int], Published] = {}

    @cached_property
    def signer(self) -> rsa.RSAPrivateKey:
        """The release key: a real one."""
        return keys.generate(self.folder / "release.pem")

    @cached_property
    def store(self) -> bytes:
        """The trust store of the device."""
        root = keys.generate(self.folder / "root.pem")
        return trust_store.make_first([root], [self.signer.public_key()])

    def publish(self, size: int, seed: int = 1) -> Published:
        """A release of an image of `size` bytes, in a folder of its own."""
        key = (size, seed)
        if key not in self._published:
            folder = self.folder / f"published-{size}-{seed}"
            folder.mkdir()
            image = make_image(size, seed)
            self.sign(image, folder)
            self._published[key] = Published(folder, image)
        return self._published[key]

    def sign(self, image: bytes, folder: Path) -> None:
        """Manifest, payload and `image.bin` into `folder`."""
        table: Table = parse_csv(_SLOTS)
        target = Target(PRODUCT, BOARD, table)
        manifest = folder / f"{BOARD}-esp32.manifest"
        notes = ""
        for _ in range(2):  # the second time with as many notes as are missing
            manifest.unlink(missing_ok=True)
            made = make_release(image, target, "1.1", self.signer, folder, 2, notes=notes)
            notes = "n" * min(max(0, MANIFEST_SIZE - manifest.stat().st_size), 1024)
        (folder / "image.bin").symlink_to(made.payload_path.name)

    def root(self, port: int) -> Path:
        """A folder that stands for `/` of the device, told to ask the server on `port`."""
        return self._root(self.folder / f"root-{port}", f"127.0.0.1:{port}", {})

    def secure_root(self, port: int, authority: Path) -> Path:
        """The same for a server whose TLS certificate is of `authority`, a DER file."""
        root = self.folder / f"root-tls-{port}"
        config = {"tls_root": "/ca.der", "ntp": ""}
        made = self._root(root, f"localhost:{port}", config)
        (made / "ca.der").write_bytes(authority.read_bytes())
        return made

    def _root(self, root: Path, host: str, more: dict[str, str]) -> Path:
        if not root.exists():
            root.mkdir()
            url = f"https://{host}/{BOARD}-esp32.manifest"
            config = {"product": PRODUCT, "board": BOARD, "manifest_url": url, **more}
            (root / "ota.json").write_text(json.dumps(config))
            (root / "ota_trust.json").write_bytes(self.store)
        return root
