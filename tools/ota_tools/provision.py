"""The files of a new board: library, boot.py, main.py, configuration, trust store, first receipt.

Rule: what identifies the device comes from the command; an application's files are laid over the shipped
ones, but never over those that vouch for something. Nothing may hide the package `ota`.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ota import receipt as receipts
from ota import strict
from ota import trust as device_trust
from ota.config import Config
from ota.errors import OtaError
from ota_tools import resources
from ota_tools.failures import Refused, Usage

CONFIG = "/ota.json"
TRUST = "/ota_trust.json"

_APPLICATION = "/lib/app.py"  # behind frozen modules on the path: an image may bring its own
_LIBRARY = "/lib/ota/"
_CONFIG_LIMIT = 4096
_HIDING = ("/ota.py", "/ota.mpy", "/ota/")


@dataclass(frozen=True)
class Identity:
    """Who the device is: names as in its manifests, and whom it trusts (the store's bytes)."""

    product: str
    board: str
    trust: bytes


def base_files(identity: Identity) -> dict[str, bytes]:
    """Path -> contents: boot.py, main.py, configuration and trust store."""
    config = {"product": identity.product, "board": identity.board}
    return {
        "/boot.py": resources.device_file("boot.py").read_bytes(),
        "/main.py": resources.device_file("main.py").read_bytes(),
        CONFIG: json.dumps(config).encode(),
        TRUST: identity.trust,
    }


def receipt(app: bytes, version: str, sequence: int) -> dict[str, bytes]:
    """The file that says what slot 0 holds."""
    first = receipts.Receipt(hashlib.sha256(app).digest(), len(app), version, sequence)
    return {receipts.FILE: receipts.encode({0: first})}


def board_files(
    identity: Identity, library: dict[str, bytes], folder: Path | None = None
) -> tuple[dict[str, bytes], list[str]]:
    """Every file of a board but its receipt, and what should be known about them.

    Args:
        library: path -> contents; empty where the firmware carries it.
        folder: the application's files, or those of a backup.
    Raises Usage without the folder, Refused where its files contradict the identity or hide `ota`.
    """
    files = base_files(identity)
    theirs = _read_folder(folder) if folder else {}
    notes = []
    kept = {path: data for path, data in theirs.items() if not _is_ours(path, library)}
    if len(kept) < len(theirs):
        left = sorted(set(theirs) - set(kept))
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        notes.append(f"left out of {folder}, made anew: {', '.join(left[:3])}{more}")
    _check(kept, identity, folder)
    files |= library
    if "/main.py" not in kept:
        notes += _complete(files, kept)
    files |= kept
    asked = Config(strict.loads(files[CONFIG], _CONFIG_LIMIT)).manifest_url
    if not asked and not device_trust.load(identity.trust).manifest_urls:
        notes.append(
            "neither the trust store nor /ota.json names a manifest: nothing will be found"
        )
    return files, notes


def _complete(files: dict[str, bytes], kept: dict[str, bytes]) -> list[str]:
    # What the shipped main.py needs besides.
    notes = []
    if not any(path.startswith(("/app.", "/app/", "/lib/app.", "/lib/app/")) for path in kept):
        files[_APPLICATION] = resources.device_file("app.py").read_bytes()
        notes.append("the shipped example is the application: /lib/app.py")
    if "/wifi.json" not in kept:
        notes.append(
            'main.py reads /wifi.json: {"ssid": "…", "key": "…"}; put it into --files, or copy it later'
        )
    return notes


def _is_ours(path: str, library: dict[str, bytes]) -> bool:
    # A receipt is of the image, an accepted trust store of the one that was flashed, and a module of
    # an older library would be imported in place of the new one.
    if path.startswith((receipts.FILE, f"{TRUST}.")):
        return True
    return bool(library) and path.startswith(_LIBRARY)


def _check(files: dict[str, bytes], identity: Identity, folder: Path | None) -> None:
    for path, data in files.items():
        if path.startswith(_HIDING):
            raise Refused(f"{folder}: {path} hides the package ota; choose another name")
        if path == TRUST and data != identity.trust:
            raise Refused(f"{folder}{path} is not the trust store of --trust: keep one of them")
        if path == CONFIG:
            _check_config(data, identity, f"{folder}{path}")


def _check_config(data: bytes, identity: Identity, where: str) -> None:
    try:
        config = Config(strict.loads(data, _CONFIG_LIMIT))
    except (strict.Malformed, OtaError) as e:
        raise Refused(f"{where}: {e}") from e
    for name in ("product", "board"):
        if getattr(config, name) != getattr(identity, name):
            raise Refused(
                f"{where}: {name} {getattr(config, name)!r}, "
                f"--{name} says {getattr(identity, name)!r}"
            )


def _read_folder(folder: Path) -> dict[str, bytes]:
    # Hidden files and caches of this machine stay here.
    if not folder.is_dir():
        raise Usage(f"{folder} is no folder")
    files = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p.startswith(".") or p == "__pycache__" for p in parts):
            files["/" + "/".join(parts)] = path.read_bytes()
    return files
