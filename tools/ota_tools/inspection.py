"""`ota inspect`: what a file is and what it says, checked with the device's own code."""

import time
from pathlib import Path
from typing import Any

from ota import image, jws, manifest, strict
from ota import trust as trust_store
from ota.errors import OtaError
from ota_tools import firmware
from ota_tools.failures import Refused, Usage


def inspect_file(path: Path, trust: Path | None = None) -> dict[str, Any]:
    """Everything worth knowing about an envelope, an app image or a merged firmware.bin.

    Args:
        trust: a trust store; a manifest's signatures are checked with it.
    Raises Usage, Refused.
    """
    data = _read(path)
    try:
        if data.lstrip(b" \n").startswith(b"{"):
            return {"file": path.name, **_envelope(data, trust)}
        if trust is not None:
            raise Refused("no manifest: with --trust there is nothing else to check")
        return {"file": path.name, **_image(data)}
    except (OtaError, strict.Malformed, Refused) as e:
        raise Refused(f"{path.name}: {e}") from e


def _image(data: bytes) -> dict[str, Any]:
    app = firmware.app_image(data)
    info = image.verify(lambda offset, n: app[offset : offset + n], len(app))
    return {
        "kind": "app image" if len(app) == len(data) else "firmware with an app image inside",
        "chip": firmware.chip_name(info.chip_id),
        "size": info.size,
        "segments": [f"{length} bytes at {address:#010x}" for _, address, length in info.segments],
        "checksum and SHA-256": "right",
    }


def _envelope(data: bytes, trust: Path | None) -> dict[str, Any]:
    signatures = []
    for _, header, _ in jws.read_signatures(jws.split(data, trust_store.LIMIT)[0]):
        signatures.append({name: header[name] for name in ("typ", "alg", "kid")})
    kinds = {signature["typ"] for signature in signatures}
    if kinds == {jws.TRUST} and trust is not None:
        raise Refused("a trust store: --trust checks manifests, not another trust store")
    if kinds == {jws.TRUST}:
        return {"kind": "trust store", **_trust(data), "signatures": signatures}
    if kinds != {jws.MANIFEST}:
        raise Refused(f"signed as {', '.join(sorted(kinds))}, not as {jws.MANIFEST}")
    release = manifest.parse(bytes(jws.split(data, manifest.LIMIT)[1]))
    verified = "not checked: no --trust"
    if trust is not None:
        role = _store(trust).release
        jws.verify(data, jws.MANIFEST, manifest.LIMIT, role.keys, role.threshold)
        verified = f"signed for {trust.name}"
    return {
        "kind": "manifest",
        "verified": verified,
        "product": release.product,
        "board": release.board,
        "chip": firmware.chip_name(release.chip_id),
        "version": release.version,
        "sequence": release.sequence,
        "created": _date(release.created),
        "expires": _date(release.expires) if release.expires else "never",
        "size": release.size,
        "sha256": release.sha256.hex(),
        "payloads": [f"{p.encoding} {p.size} bytes: {' '.join(p.urls)}" for p in release.payloads],
        "notes": release.notes,
        "signatures": signatures,
    }


def _trust(data: bytes) -> dict[str, Any]:
    store = trust_store.load(data)
    return {
        "number": store.number,
        "root": f"{store.root.threshold} of {', '.join(store.root.keys)}",
        "release": f"{store.release.threshold} of {', '.join(store.release.keys)}",
        "sequence_floor": store.sequence_floor,
        "manifest_urls": store.manifest_urls,
        "tls_roots": f"{len(store.tls_roots)} certificates",
    }


def _store(path: Path) -> trust_store.Trust:
    try:
        return trust_store.load(_read(path))
    except OtaError as e:
        raise Refused(f"the trust store {path} is none: {e}") from e


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e
