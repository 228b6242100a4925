"""Receipts: what the library put into each slot. Format: docs/format.md section 7.

Layer 3. A receipt claims nothing by itself; whoever relies on it hashes the slot.
"""

import binascii
import hashlib
import json

from micropython import const

from .errors import OtaError, error
from .files import read_file, replace_file
from .strict import Malformed, field, hex_decode, is_printable, loads, text_field

FILE = "/ota_receipts.json"

_LIMIT = const(2048)
_FORMAT = const(1)


class Receipt:
    """sha256 (32 bytes), size in bytes, version, sequence of the image in a slot; `created`: Unix
    seconds by its manifest, 0 where that is not known; `epoch`: of its sequence.
    """

    def __init__(
        self,
        sha256: bytes,
        size: int,
        version: str,
        sequence: int,
        created: int = 0,
        epoch: int = 0,
    ) -> None:
        self.sha256 = sha256
        self.size = size
        self.version = version
        self.sequence = sequence
        self.created = created
        self.epoch = epoch


def load_receipts(path: str) -> dict:
    """Slot index -> Receipt; empty where there is no file that can be read, whatever the reason."""
    try:
        data = read_file(path, _LIMIT)
        if not data:
            return {}
        fields = loads(data, _LIMIT)
        if field(fields, "format", int) != _FORMAT:
            return {}
        slots = field(fields, "slots", dict).items()
        return {int(slot): _receipt(entry) for slot, entry in slots if slot == str(int(slot))}
    except (OtaError, Malformed, ValueError):
        return {}


def holds(device, receipt: Receipt) -> bool:
    """Is the image in a slot the one of its receipt? Hashes it; OSError comes through."""
    sha = hashlib.sha256()
    buf = bytearray(4096)
    view = memoryview(buf)
    for at in range(0, receipt.size, 4096):
        device.readblocks(at // 4096, buf)
        sha.update(view[: min(4096, receipt.size - at)])
    return sha.digest() == receipt.sha256


def encode(receipts: dict) -> bytes:
    """The contents of the file. Raises SlotError `files` over the limit."""
    slots = {}
    for slot, receipt in receipts.items():
        slots[str(slot)] = {
            "sha256": binascii.hexlify(receipt.sha256).decode(),
            "size": receipt.size,
            "version": receipt.version,
            "sequence": receipt.sequence,
            "created": receipt.created,
        }
        if receipt.epoch:
            slots[str(slot)]["epoch"] = receipt.epoch
    data = json.dumps({"format": _FORMAT, "slots": slots}).encode()
    if len(data) > _LIMIT:
        raise error("files", "receipts of %d bytes, at most %d" % (len(data), _LIMIT))
    return data


def save_receipts(path: str, receipts: dict) -> None:
    """Replace the file. Raises SlotError `files`."""
    replace_file(path, encode(receipts))


def _receipt(entry) -> Receipt:
    if type(entry) is not dict:
        raise Malformed("a receipt is an object")
    version = text_field(entry, "version", 1, 24)
    if not is_printable(version):
        raise Malformed("version is not printable ASCII")
    return Receipt(
        hex_decode(field(entry, "sha256", str), 32),
        field(entry, "size", int),
        version,
        field(entry, "sequence", int),
        field(entry, "created", int, 0),
        field(entry, "epoch", int, 0),
    )
