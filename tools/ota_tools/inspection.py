"""`ota inspect`: what a file is and what it says, checked with the device's own code."""

import time
from collections.abc import Callable
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
    readers: list[tuple[bytes, Callable[[], dict[str, Any]]]] = [
        (b"\xe9", lambda: _image(data)),
        (b'{"signatures"', lambda: _envelope(data, trust)),
    ]
    for start, reader in readers:
        if data.startswith(start):
            try:
                return {"file": path.name, **reader()}
            except (OtaError, strict.Malformed) as e:
                raise Refused(f"{path.name}: {e}") from e
    raise Refused(f"{path.name} is neither an ESP32 image nor a signed envelope")


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
    kind = signatures[0]["typ"] if signatures else ""
    if kind == jws.TRUST:
        return {"kind": "trust store", **_trust(data), "signatures": signatures}
    release = manifest.parse(bytes(jws.split(data, manifest.LIMIT)[1]))
    verified = "not checked: no --trust"
    if trust is not None:
        role = trust_store.load(_read(trust)).release
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


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Usage(f"{path}: {e.strerror}") from e
