"""Making releases: an image becomes a payload and a signed manifest that devices will take.

Everything that a device would refuse is refused here first, by the device's own code.
"""

import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa

from ota import image, jws, manifest, strict
from ota import trust as trust_store
from ota.errors import OtaError
from ota_tools import firmware, keys
from ota_tools.envelope import encode_json, seal
from ota_tools.failures import Refused
from ota_tools.partitions import Table

# Of product, board and version: they name files, also on systems with narrower rules, and URLs.
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.+ -]*[A-Za-z0-9_+-])?")


@dataclass(frozen=True)
class Target:
    """What a release is for: product, board, and the table that its devices have."""

    product: str
    board: str
    table: Table


@dataclass(frozen=True)
class Release:
    """What was written: manifest and payload files, and the manifest as devices read it."""

    manifest_path: Path
    payload_path: Path
    manifest: manifest.Manifest


def make_release(
    data: bytes,
    target: Target,
    version: str,
    signer: rsa.RSAPrivateKey,
    folder: Path,
    sequence: int | None = None,
    min_sequence: int = 0,
    expires: int = 0,
    notes: str = "",
    trust: bytes | None = None,
) -> Release:
    """Write a release into `folder`, the manifest last, by rename.

    Args:
        data: an app image, or a merged firmware.bin whose app is taken out.
        sequence: by default one more than the manifest that lies in the folder, or 1.
        expires: Unix seconds, 0 for never.
        trust: trust store of the devices; the signature must be one that it accepts.
    Raises Refused; the folder is then as it was.
    """
    check_names(target.product, target.board, version)
    app = firmware.app_image(data)
    info = image.inspect(lambda offset, n: app[offset : offset + n], len(app))
    _check_fit(len(app), target.table)
    chip = firmware.chip_name(info.chip_id)
    path = folder / f"{target.board}-{chip}.manifest"
    previous = _sequence_of(path, target.product)
    if sequence is None:
        sequence = previous + 1
    elif sequence <= previous:
        raise Refused(
            f"sequence {sequence}: {path.name} has {previous} already, devices go up only"
        )
    sha256 = hashlib.sha256(app).hexdigest()
    payload = folder / f"{target.product}-{version}-{target.board}-{sha256[:8]}.bin"
    if payload.exists() and payload.read_bytes() != app:
        raise Refused(f"{payload} exists and holds something else: a payload is never replaced")
    fields = {
        "format": manifest.FORMAT,
        "product": target.product,
        "board": target.board,
        "chip_id": info.chip_id,
        "version": version,
        "sequence": sequence,
        "min_sequence": min_sequence,
        "created": int(time.time()),
        "expires": expires,
        "image": {"size": len(app), "sha256": sha256, "blocks": block_digests(app)},
        "payloads": [
            {"urls": [quote(payload.name)], "encoding": manifest.PLAIN, "size": len(app)}
        ],
        "library": [manifest.FORMAT],
        "notes": notes,
    }
    try:
        envelope = seal(jws.MANIFEST, encode_json(fields), [signer], manifest.LIMIT)
        release = _as_device(envelope, trust, previous, keys.kid(signer.public_key()))
    except (OtaError, strict.Malformed) as e:
        raise Refused(f"a device would refuse this release: {e}") from e
    folder.mkdir(parents=True, exist_ok=True)
    if not payload.exists():
        _replace(payload, app)
    _replace(path, envelope)
    return Release(path, payload, release)


def check_names(product: str, board: str, version: str) -> None:
    """Refuse what cannot be part of a file name, or is longer than devices read. Raises Refused."""
    for what, name, most in (
        ("product", product, 64),
        ("board", board, 64),
        ("version", version, 24),
    ):
        if len(name) > most or not _NAME.fullmatch(name):
            raise Refused(
                f"{what} {name!r}: expected 1 to {most} letters, digits and . _ + - or inner spaces,"
                " no dot or sign first: it names a file"
            )


def block_digests(app: bytes) -> str:
    """The manifest's `blocks`: first 16 bytes of the SHA-256 of each 64 KiB, as base64url."""
    digests = b"".join(
        hashlib.sha256(app[start : start + manifest.BLOCK]).digest()[: manifest.DIGEST]
        for start in range(0, len(app), manifest.BLOCK)
    )
    return strict.b64url_encode(digests).decode()


def _as_device(envelope: bytes, trust: bytes | None, previous: int, kid: str) -> manifest.Manifest:
    floor = 0
    if trust is not None:
        store = trust_store.load(trust)
        floor, role = store.sequence_floor, store.release
        if kid not in role.keys:
            raise Refused(f"the key {kid} is no release key of the trust store")
        jws.verify(envelope, jws.MANIFEST, manifest.LIMIT, role.keys, role.threshold)
    release = manifest.parse(bytes(jws.split(envelope, manifest.LIMIT)[1]))
    release.plain()
    # As the device that is up to date; where nobody knows what that is, as the best of all.
    manifest.is_newer(release, previous or release.sequence - 1, floor)
    return release


def _check_fit(size: int, table: Table) -> None:
    if not table.ota_slots:
        raise Refused("the partition table has no OTA slots")
    room = min(slot.size for slot in table.ota_slots)
    if size > room:
        raise Refused(f"image of {size} bytes, the slots have {room}: {size - room} too many")


def _sequence_of(path: Path, product: str) -> int:
    if not path.exists():
        return 0
    try:
        payload = jws.split(path.read_bytes(), manifest.LIMIT)[1]
        found = manifest.parse(bytes(payload))
    except OtaError as e:
        raise Refused(f"{path} is not a manifest: {e}") from e
    if found.product != product:
        raise Refused(f"{path} is for the product {found.product}: use another folder")
    return int(found.sequence)


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    os.replace(fresh, path)
