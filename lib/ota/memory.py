"""What the device remembers in NVS: the journal, and the last events for people.

Layer 3. One function writes the journal; whoever changed it calls that.
"""

import binascii
import struct

from micropython import const

from .errors import OtaError
from .journal import ACTIVATED, EVENTS, SIZE, Journal, decode, encode
from .port import Port

EVENTS_KEPT = const(16)

_JOURNAL = "journal"
_LOG = "log"
_EVENT = "<IBBHQ"
_EVENT_SIZE = const(16)
_LOG_SIZE = const(260)  # EVENTS_KEPT * _EVENT_SIZE, and a CRC-32


def load_journal(port: Port) -> "Journal | None":
    """The journal, None where there is none that can be read."""
    record = bytearray(SIZE)
    return decode(record) if port.nvs_read(_JOURNAL, record) == SIZE else None


def save_journal(port: Port, journal: Journal) -> None:
    """Write the journal as the next generation; an outcome or an activation goes into the log, too.

    Raises SlotError `nvs` where the journal cannot be written. The log is for people: what goes wrong
    there is passed over.
    """
    journal.generation += 1
    port.nvs_write(_JOURNAL, encode(journal))
    event = EVENTS.index("activated") if journal.state == ACTIVATED else journal.news
    journal.news = 0
    if event:
        fields = (max(port.now(), 0), event, journal.slot, 0, journal.sequence)
        events = struct.pack(_EVENT, *fields) + _load_log(port)
        body = events[: EVENTS_KEPT * _EVENT_SIZE]
        body += bytes(EVENTS_KEPT * _EVENT_SIZE - len(body))
        try:
            port.nvs_write(_LOG, body + struct.pack("<I", binascii.crc32(body)))
        except OtaError:
            pass


def history(port: "Port | None" = None) -> list:
    """The last events, newest first, at most 16.

    Returns: list of dicts with time (Unix seconds by the clock of that moment), event (a name as in
    `status()["outcome"]`, or "activated"), slot, sequence.
    """
    log = _load_log(port or Port())
    events = []
    for offset in range(0, len(log), _EVENT_SIZE):
        time, event, slot, _, sequence = struct.unpack_from(_EVENT, log, offset)
        if event:
            name = EVENTS[event] if event < len(EVENTS) else str(event)
            events.append({"time": time, "event": name, "slot": slot, "sequence": sequence})
    return events


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


def _load_log(port: Port) -> bytes:
    record = bytearray(_LOG_SIZE)
    if port.nvs_read(_LOG, record) != _LOG_SIZE:
        return b""
    body = bytes(record[: _LOG_SIZE - 4])
    return body if struct.pack("<I", binascii.crc32(body)) == record[_LOG_SIZE - 4 :] else b""
