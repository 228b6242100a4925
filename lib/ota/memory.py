"""What the device remembers in NVS: the journal, with the last events for people in it.

Layer 3. One function writes the journal; whoever changed it calls that.
"""

import binascii

from micropython import const

from .errors import error
from .journal import EVENTS, SIZE, Journal, decode, encode
from .port import Port

_JOURNAL = "journal"
_UNTOLD = "untold"

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from typing import TypedDict

    class Event(TypedDict):
        """Of each that `history` gives."""

        time: int
        event: str
        slot: int
        sequence: int

    class Outcome(TypedDict):
        """What `outcome` gives."""

        outcome: str
        reason: str
        version: str
        sequence: int
        sha256: str


def load_journal(port: Port, key: str = _JOURNAL) -> "Journal | None":
    """The journal, None where there is none or one that is spoiled. Raises SlotError `nvs`."""
    record = bytearray(SIZE)
    try:
        size = port.nvs_read(key, record)
    except OSError as e:
        raise error("nvs", "%s: %s" % (key, e))  # nothing known is not nothing remembered
    return decode(record) if size == SIZE else None


def save_journal(port: Port, journal: Journal) -> None:
    """Write the journal as the next generation, with its news in the log. Raises SlotError `nvs`."""
    journal.generation += 1
    journal.note(max(port.now(), 0))
    port.nvs_write(_JOURNAL, encode(journal))


def history(port: "Port | None" = None) -> "list[Event]":
    """The last events, newest first, at most 16.

    Returns: list of dicts with time (Unix seconds by the clock of that moment), event (a name as in
    `status()["outcome"]`, or "activated"), slot, sequence.
    """
    journal = load_journal(port or Port())
    found: "list[Event]" = []
    for time, event, slot, sequence in journal.events() if journal else ():
        name = EVENTS[event] if event < len(EVENTS) else str(event)
        found.append({"time": time, "event": name, "slot": slot, "sequence": sequence})
    return found


def outcome(port: "Port | None" = None) -> "Outcome | None":
    """How the last attempt ended, told once: None until the next one has ended.

    Where `/ota.json` has a `report_url` the server is told in this way, and this is not needed.

    Returns: dict with outcome (a name as in `status()["outcome"]`), reason, version, sequence, sha256.
    Raises SlotError `nvs`.
    """
    port = port or Port()
    found = untold(port)
    if not found:
        return None
    told(port)
    return about(found)


def untold(port: Port) -> "Journal | None":
    """The oldest outcome that nobody was told of, as the journal that it stood in."""
    for key in (_UNTOLD, _JOURNAL):
        journal = load_journal(port, key)
        if journal and journal.untold:
            return journal
    return None


def told(port: Port) -> None:
    """What `untold` gives was told: not again. Raises SlotError `nvs`."""
    first = b""
    for key in (_UNTOLD, _JOURNAL):
        journal = load_journal(port, key)
        if journal and journal.untold:
            record = encode(journal)
            if first and record != first:
                return
            first = record  # where it stands twice power was lost while it was kept
            journal.untold = False
            port.nvs_write(key, encode(journal))


def keep_untold(port: Port, journal: Journal) -> None:
    """An attempt begins: what the last one came to is kept where nobody was told. Raises SlotError `nvs`."""
    if journal.untold:
        port.nvs_write(_UNTOLD, encode(journal))


def about(journal: Journal) -> "Outcome":
    """The outcome in a journal, for people and servers; see `outcome`."""
    return {
        "outcome": EVENTS[journal.outcome],
        "reason": journal.reason,
        "version": journal.version,
        "sequence": journal.sequence,
        "sha256": binascii.hexlify(journal.digest).decode(),
    }


def forget(digest: str, port: "Port | None" = None) -> bool:
    """Give a refused image another chance.

    Args:
        digest: its SHA-256 in hex, or the first 32 digits of it, as `status()["refused"]` shows them.
    Returns: True when it was refused until now.
    Raises SlotError `nvs`.
    """
    port = port or Port()
    journal = load_journal(port)
    if journal is None:
        return False
    start = digest[:32].lower()
    kept = [entry for entry in journal.refused if binascii.hexlify(entry[0]).decode() != start]
    if len(kept) == len(journal.refused):
        return False
    journal.refused = kept
    if binascii.hexlify(journal.digest[:16]).decode() == start:
        journal.tries = 0
        journal.crashes = 0
    save_journal(port, journal)
    return True
