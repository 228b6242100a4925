"""What surrounds the board: its table, images, releases, and the server that offers them.

Small images, so that thousands of updates take minutes; slots of two 64 KiB blocks, so that every way
of writing is taken. Signatures, digests and images are real; only the network is a folder.
"""

import hashlib
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import espsecure
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ota import jws, manifest
from ota_tools import keys
from ota_tools import trust as trust_store
from ota_tools.bench.vm import SCRIPTS
from ota_tools.board.image_maker import make_small_image
from ota_tools.cut.app import BROKEN, CRASHES, DEAD, FAILS, GOOD, HANGS, LOOPS, App
from ota_tools.envelope import encode_json, seal
from ota_tools.partitions import Table, parse_csv
from ota_tools.release import Release, Target, block_digests, make_release
from ota_tools.resources import load_script

PRODUCT, BOARD = "cut", "virtual"
MANIFEST = f"{BOARD}-esp32.manifest"
FLASH_SIZE = 0x70000

TABLE = """
nvs,      data, nvs,   0x9000,  0x4000
otadata,  data, ota,   0xd000,  0x2000
phy_init, data, phy,   0xf000,  0x1000
ota_0,    app,  ota_0, 0x10000, 0x20000
ota_1,    app,  ota_1, 0x30000, 0x20000
vfs,      data, fat,   0x50000, 0x10000
"""
FACTORY_TABLE = """
nvs,      data, nvs,     0x9000,  0x4000
otadata,  data, ota,     0xd000,  0x2000
phy_init, data, phy,     0xf000,  0x1000
factory,  app,  factory, 0x10000, 0x10000
ota_0,    app,  ota_0,   0x20000, 0x20000
ota_1,    app,  ota_1,   0x40000, 0x20000
vfs,      data, fat,     0x60000, 0x10000
"""
BIG_TABLE = """
nvs,      data, nvs,   0x9000,   0x4000
otadata,  data, ota,   0xd000,   0x2000
phy_init, data, phy,   0xf000,   0x1000
ota_0,    app,  ota_0, 0x10000,  0x170000
ota_1,    app,  ota_1, 0x180000, 0x170000
vfs,      data, fat,   0x2f0000, 0x10000
"""


@dataclass(frozen=True)
class World:
    """Everything but the board.

    Attributes:
        folder: one folder per version with its manifest and payload.
        apps: version -> image.
        stores: trust stores, number 1 first; devices are flashed with that.
    """

    folder: Path
    apps: dict[str, App]
    stores: list[bytes]

    @property
    def trust(self) -> bytes:
        """The trust store that devices are flashed with."""
        return self.stores[0]

    def network(self, offered: str) -> Any:
        """A network whose only server offers this version."""
        return load_script(SCRIPTS / "wire.py").Files(str(self.folder / offered))


SECTOR = 4096
FAR = 1_000_000
"""A sequence that no honest release has."""

BIG = 1_400_000

# version, sequence, bytes, what it does
_APPS = (
    ("1.0", 1, 9 * SECTOR - 800, GOOD),
    ("1.1", 2, 17 * SECTOR - 64, GOOD),  # its second block is short
    ("1.2", 3, 16 * SECTOR, GOOD),  # ends on the border of a block
    ("1.3", 4, 5 * SECTOR, GOOD),
    ("2.0-fails", 2, 7 * SECTOR, FAILS),
    ("2.0-hangs", 2, 7 * SECTOR + 512, HANGS),
    ("2.0-crashes", 2, 6 * SECTOR, CRASHES),
    ("2.0-dead", 2, 6 * SECTOR + 1024, DEAD),
    ("2.0-loops", 2, 5 * SECTOR + 1024, LOOPS),
    ("2.0-broken", 2, 5 * SECTOR + 2048, BROKEN),
    ("3.0-big", 2, BIG, GOOD),
    ("1.9-far", FAR, 5 * SECTOR + 256, GOOD),
)

KEYS, BARE = "4.0-keys", "5.0-bare"


def make_world(folder: Path) -> World:
    """Keys, images and releases, in a folder that is to be kept as long as the world is needed."""
    root = keys.generate(folder / "root.pem")
    signer = keys.generate(folder / "release.pem")
    newer = keys.generate(folder / "newer.pem", "p256")
    stranger = keys.generate(folder / "stranger.pem")
    target = Target(PRODUCT, BOARD, parse_csv(BIG_TABLE))
    apps = {}
    for version, sequence, size, does in _APPS:
        data = make_small_image(size, version)
        release = make_release(data, target, version, signer, folder / version, sequence)
        if does == BROKEN:
            data = _spoil(data, release, signer)
        apps[version] = App(version, sequence, data, does)
    # Refused by every device: signed by nobody who may, and older than what runs.
    data = make_small_image(8 * SECTOR, "stranger")
    apps["9.0-stranger"] = App("9.0-stranger", 9, data)
    make_release(data, target, "9.0-stranger", stranger, folder / "9.0-stranger", 9)
    stores = _stores(root, signer, newer)
    # By keys that devices learn of on the way; what the old ones signed no longer counts.
    place = folder / KEYS
    place.mkdir()
    (place / "trust-2.json").write_bytes(stores[1])
    data = make_small_image(6 * SECTOR + 128, KEYS)
    make_release(data, target, KEYS, newer, place, 3, trust=stores[2])
    apps[KEYS] = App(KEYS, 3, data)
    data = make_small_image(6 * SECTOR + 64, BARE)
    (folder / BARE).mkdir()
    (folder / BARE / "app.bin").write_bytes(signed := _sign_bare(data, folder))
    apps[BARE] = App(BARE, 0, signed, content=len(signed) - SECTOR)
    return World(folder, apps, stores)


def _stores(root: RSAPrivateKey, signer: RSAPrivateKey, newer: keys.PrivateKey) -> list[bytes]:
    first = trust_store.make_first(
        [root],
        [signer.public_key()],
        manifest_urls=[f"https://server/{MANIFEST}"],
        bare_images=True,
    )
    add = trust_store.Change(add={"release": [newer.public_key()]})
    second = trust_store.sign(trust_store.follow(first, add), [root], first)
    remove = trust_store.Change(
        remove={"release": [keys.kid(signer.public_key())]},
        terms=trust_store.Terms(sequence_floor=3),
        forget_sequences=True,
    )
    third = trust_store.sign(trust_store.follow(second, remove), [root], second)
    return [first, second, third]


def _sign_bare(data: bytes, folder: Path) -> bytes:
    source, target = folder / "bare.bin", folder / "bare-signed.bin"
    source.write_bytes(data)
    with (folder / "release.pem").open("rb") as key, source.open("rb") as file:
        with redirect_stdout(StringIO()):
            espsecure.sign_secure_boot_v2([key], str(target), False, False, None, [], [], file)
    return target.read_bytes()


def _spoil(data: bytes, release: Release, signer: RSAPrivateKey) -> bytes:
    # Signed all the same: `ota release` would not, somebody else's tool may.
    spoiled = data[:-33] + bytes((data[-33] ^ 1,)) + data[-32:]  # the checksum
    payload = release.manifest_path.read_bytes().partition(b"\n")[2]
    fields = json.loads(payload)
    fields["image"]["sha256"] = hashlib.sha256(spoiled).hexdigest()
    fields["image"]["blocks"] = block_digests(spoiled)
    release.payload_path.write_bytes(spoiled)
    envelope = seal(jws.MANIFEST, encode_json(fields), [signer], manifest.LIMIT)
    release.manifest_path.write_bytes(envelope)
    return spoiled


def small_table(factory: bool) -> Table:
    """The table of most scenarios."""
    return parse_csv(FACTORY_TABLE if factory else TABLE)
