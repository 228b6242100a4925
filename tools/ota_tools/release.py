"""Making releases: an image becomes a payload and a signed manifest that devices will take.

Everything that a device would refuse is refused here first, by the device's own code.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ota import image, jws, manifest, strict
from ota import trust as trust_store
from ota.errors import OtaError
from ota_tools import firmware
from ota_tools.envelope import encode_json, seal
from ota_tools.failures import Refused
from ota_tools.files import replace
from ota_tools.partitions import Table
from ota_tools.signers import AnySigner, Signer, signers_of

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
    signers: AnySigner | Sequence[AnySigner],
    folder: Path,
    sequence: int | None = None,
    min_sequence: int = 0,
    expires: int = 0,
    notes: str = "",
    trust: bytes | None = None,
    first: bytes | None = None,
) -> Release:
    """Write a release into `folder`, the manifest last, by rename.

    Args:
        data: an app image, or a merged firmware.bin whose app is taken out.
        signers: every one signs; more than one where the trust store asks for that.
        sequence: by default one more than the manifest that lies in the folder, or 1; at least the
            floor of the trust store.
        expires: Unix seconds, 0 for never.
        trust: newest trust store of the devices; it must accept the signatures, and its number goes
            into the manifest. From number 2 on `folder` must hold all from 2 to the one before it;
            it is copied there itself.
        first: trust store number 1, by which number 2 is judged; without it nobody does.
    Raises Refused; the folder is then as it was.
    """
    check_names(target.product, target.board, version)
    app = firmware.app_image(data)
    info = image.inspect(lambda offset, n: app[offset : offset + n], len(app))
    _check_fit(len(app), target.table)
    chip = firmware.chip_name(info.chip_id)
    path = folder / f"{target.board}-{chip}.manifest"
    store = _load(trust) if trust is not None else None
    copy = _copy_of_store(folder, store, trust, first) if store and trust else None
    previous = _sequence_of(path, target.product)
    if sequence is None:
        sequence = max(previous + 1, store.sequence_floor if store else 1)
    elif sequence <= previous:
        raise Refused(
            f"sequence {sequence}: {path.name} has {previous} already, devices go up only"
        )
    sha256 = hashlib.sha256(app).hexdigest()
    payload = folder / f"{target.product}-{version}-{target.board}-{sha256[:8]}.bin"
    if payload.exists() and payload.read_bytes() != app:
        raise Refused(f"{payload} exists and holds something else: a payload is never replaced")
    fields: dict[str, Any] = {
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
    if store:
        fields["trust"] = store.number
    everyone = signers_of(signers if isinstance(signers, Sequence) else [signers])
    if store:
        _check_signers(everyone, store.release)
    try:
        envelope = seal(jws.MANIFEST, encode_json(fields), everyone, manifest.LIMIT)
        release = _as_device(envelope, store, previous)
    except (OtaError, strict.Malformed) as e:
        raise Refused(f"a device would refuse this release: {e}") from e
    folder.mkdir(parents=True, exist_ok=True)
    if copy and trust:
        replace(copy, trust)
    if not payload.exists():
        replace(payload, app)
    replace(path, envelope)
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


def _load(trust: bytes) -> trust_store.Trust:
    try:
        return trust_store.load(trust)
    except OtaError as e:
        raise Refused(f"a device would refuse this trust store: {e}") from e


def _copy_of_store(
    folder: Path, store: trust_store.Trust, data: bytes, first: bytes | None
) -> Path | None:
    # Where the store is to be copied; None where it is there, and for number 1, which is flashed.
    for path in folder.glob("trust-*.json"):
        digits = path.stem[6:]
        if digits.isdecimal() and int(digits) > store.number:
            raise Refused(f"{path} is newer than the trust store given, number {store.number}")
    before = None if first is None else _load(first)
    for number in range(2, store.number):
        path = folder / f"trust-{number}.json"
        why = f"a device that has number {number - 1} takes number {number} before {number + 1}"
        if not path.exists():
            raise Refused(f"{path} is missing: {why}; put it there")
        before = _follows(before, path.read_bytes(), path, number)
    if store.number == 1:
        return None
    path = folder / f"trust-{store.number}.json"
    _follows(before, data, Path("the trust store"), store.number)
    if not path.exists():
        return path
    if path.read_bytes() != data:
        raise Refused(
            f"{path} differs from the trust store given: devices may have taken it, it is never"
            " replaced; give that one with --trust, or make the next number out of it"
        )
    return None


def _follows(
    before: trust_store.Trust | None, data: bytes, path: Path, number: int
) -> trust_store.Trust:
    try:
        found = trust_store.succeed(before, data) if before else trust_store.load(data)
    except OtaError as e:
        raise Refused(f"a device would refuse {path}: {e}") from e
    if found.number != number:
        raise Refused(f"{path} is number {found.number}, its name says {number}")
    return found


def _check_signers(signers: list[Signer], role: trust_store.Role) -> None:
    for signer in signers:
        if signer.kid not in role.keys:
            raise Refused(
                f"the key {signer.kid} is no release key of the trust store,"
                f" which has {', '.join(role.keys)}"
            )
    if len(signers) < role.threshold:
        raise Refused(
            f"{len(signers)} release keys sign, the trust store asks for {role.threshold} of"
            f" {', '.join(role.keys)}: add --key or --signer"
        )


def _as_device(
    envelope: bytes, store: trust_store.Trust | None, previous: int
) -> manifest.Manifest:
    floor = 0
    if store is not None:
        floor, role = store.sequence_floor, store.release
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
