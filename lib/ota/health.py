"""What the device can tell of itself. Layer 6; returns data, prints nothing."""

import binascii

from micropython import const

from .config import FILE as CONFIG
from .config import load_config
from .errors import OtaError
from .journal import EVENTS
from .otadata import describe
from .port import Port
from .receipt import FILE, load_receipts
from .situation import Situation

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from typing import TypedDict

    class SlotStatus(TypedDict):
        """Of each of `slots`."""

        label: str
        size: int
        version: "str | None"
        sequence: "int | None"

    class Refused(TypedDict):
        """Of each of `refused`."""

        sha256: str
        sequence: int

    class Status(TypedDict):
        """What `status` gives."""

        running: int
        boot: int
        next: int
        trial: bool
        slots: "list[SlotStatus]"
        otadata: "list[str]"
        active: int
        version: "str | None"
        sequence: "int | None"
        highest: int
        outcome: str
        outcome_version: str
        reason: str
        refused: "list[Refused]"
        journal: bool
        config: str
        verified: bool
        fault: str


def status(port: "Port | None" = None) -> "Status":
    """Slots and their states, what runs and what boots next, and how the last update ended.

    Returns: dict with
        running, boot, next: slot indexes; boot is what otadata selects, next what an update writes;
        trial: the running image is unconfirmed;
        slots: list of dicts with label, size (bytes), version, sequence (None: not written by ota);
        otadata: both records for people; active: index of the one that decides, -1 for none;
        version, sequence: of the running image by its receipt, None where there is none;
        highest: highest confirmed sequence in the journal;
        outcome, reason, outcome_version: of the last attempt;
        refused: list of dicts with sha256 (its first 32 hex digits) and sequence;
        journal: it could be read; config: "" or what is wrong with /ota.json;
        verified: TLS is verified by that file;
        fault: what kept `ota.boot()` from its work.

    Raises SlotError `no-slots`, `no-otadata`, `flash`, `nvs`.
    """
    from .recovery import fault

    port = port or Port()
    found = Situation(port)
    wrong, verified = _config(port)
    receipts = load_receipts(port.path(FILE))
    slots: "list[SlotStatus]" = []
    for index, part in enumerate(found.slots):
        info = part.info()
        receipt = receipts.get(index)
        slots.append(
            {
                "label": info[4],
                "size": info[3],
                "version": receipt.version if receipt else None,
                "sequence": receipt.sequence if receipt else None,
            }
        )
    running = receipts.get(found.running)
    journal = found.journal
    return {
        "running": found.running,
        "boot": found.selected,
        "next": (found.running + 1) % len(found.slots),
        "trial": found.on_trial(),
        "slots": slots,
        "otadata": [describe(entry) for entry in found.entries],
        "active": found.index,
        "version": running.version if running else None,
        "sequence": running.sequence if running else None,
        "highest": journal.highest,
        "outcome": EVENTS[journal.outcome],
        "outcome_version": journal.version,
        "reason": journal.reason,
        "refused": [
            {"sha256": binascii.hexlify(digest).decode(), "sequence": sequence}
            for digest, sequence in journal.refused
        ],
        "journal": found.remembered,
        "config": wrong,
        "verified": verified,
        "fault": fault,
    }


def _config(port: Port) -> tuple:
    # What is wrong with it, and whether it lets TLS be verified.
    try:
        return "", load_config(port.path(CONFIG)).verified
    except OtaError as e:
        return str(e), True
