"""The files of trust stores: the one before it lies beside it, and a draft gets signatures in its place."""

import contextlib
import os
from pathlib import Path

from ota_tools import trust as trust_store
from ota_tools.failures import Refused, Usage
from ota_tools.files import replace, write_new
from ota_tools.inspection import shorten
from ota_tools.signers import Signer
from ota_tools.terminal import read_bytes, read_store, warn


def read_complete(path: Path) -> bytes:
    """A trust store that devices take, also those with the one before it if that lies beside it.

    Raises Usage, Refused.
    """
    try:
        data = read_store(path)
    except Refused:
        needs = []
        with contextlib.suppress(Refused):  # not even a draft
            needs = trust_store.missing(read_bytes(path))
        if not needs:
            raise
        who = shorten("; ".join(map(str, needs)))
        raise Refused(f"{path} is a draft ({who}): `ota trust sign {path} --key …` first")
    old = _find_before(path, trust_store.read(data).number)
    if old:
        try:
            trust_store.check(data, read_store(old))
        except Refused as e:
            raise Refused(f"{path} does not follow {old}: {e}") from e
    return data


def _names_before(number: int) -> list[str]:
    return [f"trust-{number - 1}.json"] + (["ota_trust.json"] if number == 2 else [])


def _find_before(path: Path, number: int) -> Path | None:
    there = [path.with_name(name) for name in _names_before(number)]
    return next((one for one in there if number > 1 and one.is_file()), None)


def before(draft: Path, number: int) -> Path:
    """The store that a draft of this number follows. Raises Usage where it is not beside it."""
    found = _find_before(draft, number)
    if found is None:
        raise Usage(
            f"{draft} is number {number}, and number {number - 1} says who must sign it too: name that"
            f" store with --after ({' or '.join(_names_before(number))} is not beside it)"
        )
    return found


def save(draft: bytes, signers: list[Signer], old: bytes | None, output: Path, why: str) -> bytes:
    """Sign a new store and write it; what is there is the same one, which gets more signatures.

    Returns: what the file holds. Raises Usage with `why`, Refused.
    """
    present = None
    if os.path.lexists(output):
        # The very same store may get more signatures.
        present = read_bytes(output) if output.is_file() else b""
        if present.partition(b"\n")[2] != trust_store.payload_of(draft):
            raise Usage(f"{output} exists and says something else: {why}")
    signed = _sign(present or draft, signers, old, output)
    if present is None:
        write_new(output, signed, why)
    elif signed != present:
        replace(output, signed)
    return signed


def sign(draft: Path, signers: list[Signer], old: bytes | None) -> bytes:
    """Add signatures to a draft in its place. Returns: what it holds now. Raises Usage, Refused."""
    data = read_bytes(draft)
    signed = _sign(data, signers, old, draft)
    if signed != data:
        replace(draft, signed)
    return signed


def _sign(draft: bytes, signers: list[Signer], old: bytes | None, path: Path) -> bytes:
    if not trust_store.missing(draft, old):
        # It may be published: from now on it stays byte for byte what it is.
        warn(f"{path} is complete: nothing was signed")
        return draft
    signed = trust_store.sign(draft, signers, old)
    if not trust_store.missing(signed, old):
        trust_store.check(signed, old)
    return signed
