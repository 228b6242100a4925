"""`ota inspect` and `ota trust show`: what a file is and says, checked with the device's own code."""

import re
import time
from pathlib import Path
from typing import Any

from ota import image, jws, manifest, strict
from ota import trust as trust_store
from ota.errors import OtaError
from ota_tools import certificates, firmware
from ota_tools import trust as maker
from ota_tools.failures import Refused, Usage

MORE = "`ota trust show` tells keys, certificates, and who has signed"


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
        return {"kind": "trust store", **_trust(data), "signatures": signatures, "more": MORE}
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
        "trust": release.trust or "names no trust store",
        "notes": release.notes,
        "signatures": signatures,
    }


def _trust(data: bytes) -> dict[str, Any]:
    try:
        store = trust_store.load(data)
    except OtaError as e:
        raise Refused(f"{e}; {MORE}") from e
    return {
        "number": store.number,
        "root": f"{store.root.threshold} of {', '.join(store.root.keys)}",
        "release": f"{store.release.threshold} of {', '.join(store.release.keys)}",
        "sequence_floor": store.sequence_floor,
        "sequence_epoch": store.sequence_epoch,
        "bare_images": store.bare_images,
        "expires": _date(store.expires) if store.expires else "never",
        "manifest_urls": store.manifest_urls,
        "tls_roots": f"{len(store.tls_roots)} certificates",
    }


def describe_trust(data: bytes, after: bytes | None = None) -> dict[str, Any]:
    """Everything that a trust store or a draft says, and whether enough have signed it.

    Args:
        after: the store that it is to follow: its root role counts too, and what changes is told.
    Raises Refused where it cannot be read, or holds a signature that is not right.
    """
    store = maker.read(data)
    missing = maker.missing(data, after)
    about = {
        "kind": "trust store",
        "number": store.number,
        "complete": not missing,
        "missing": [str(need) for need in missing],
        "root": _role(store.root),
        "release": _role(store.release),
        "sequence_floor": store.sequence_floor,
        "sequence_epoch": store.sequence_epoch,
        "bare_images": store.bare_images,
        "expires": _date(store.expires) if store.expires else "never",
        "manifest_urls": store.manifest_urls,
        "tls_roots": [_certificate(root) for root in store.tls_roots],
        "signed_by": [
            {"kid": kid, "verdict": verdict}
            for kid, verdict, _ in maker.judge(data, maker.roots_of(data, after))
        ],
    }
    if after is not None:
        about["changes"] = _changes(maker.read(after), store)
    elif store.number > 1:
        about["after"] = "not checked: no --after, the root keys of the store before must sign too"
    return about


def lines_of(about: dict[str, Any]) -> dict[str, Any]:
    """What `describe_trust` tells, for people: no objects inside, of a kid the first 16 digits."""

    def line(value: Any) -> Any:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return shorten(value)
        if isinstance(value, dict) and "threshold" in value:
            count = len(value["keys"])
            return [f"{value['threshold']} of {count} must sign", *line(value["keys"])]
        if isinstance(value, dict):
            return "  ".join(line(part) for part in value.values())
        if isinstance(value, list):
            return [line(part) for part in value] or "none"
        return value

    return {name: line(value) for name, value in about.items()}


def shorten(text: str) -> str:
    """The text with no more of a kid than its first 16 digits, which the commands take as well."""
    return re.sub(r"\b([0-9a-f]{16})[0-9a-f]{48}\b", r"\1", text)


def _role(role: trust_store.Role) -> dict[str, Any]:
    members = [{"kid": kid, "alg": key.alg} for kid, key in role.keys.items()]
    return {"threshold": role.threshold, "keys": members}


def _certificate(der: bytes) -> dict[str, str]:
    try:
        found = certificates.read(der)
    except Refused:
        return {"subject": "not a certificate", "expires": "unknown"}
    ends = found.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"subject": found.subject.rfc4514_string(), "expires": ends}


def _changes(old: trust_store.Trust, new: trust_store.Trust) -> list[str]:
    found = []
    for name in maker.ROLES:
        was, now = getattr(old, name), getattr(new, name)
        found += [f"{name} key {kid} goes" for kid in was.keys if kid not in now.keys]
        found += [f"{name} key {kid} comes" for kid in now.keys if kid not in was.keys]
        if was.threshold != now.threshold:
            found.append(f"{name} threshold {was.threshold} becomes {now.threshold}")
    for name in ("sequence_floor", "sequence_epoch", "bare_images", "expires"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found.append(f"{name} {before} becomes {after}")
    found += [f"URL {url} goes" for url in old.manifest_urls if url not in new.manifest_urls]
    found += [f"URL {url} comes" for url in new.manifest_urls if url not in old.manifest_urls]
    for word, these, others in (
        ("goes", old.tls_roots, new.tls_roots),
        ("comes", new.tls_roots, old.tls_roots),
    ):
        roots = [_certificate(der)["subject"] for der in these if der not in others]
        found += [f"TLS root {subject} {word}" for subject in roots]
    return found


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
