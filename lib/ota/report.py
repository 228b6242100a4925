"""Reports: how attempts ended, told to a server. Format: docs/format.md section 10.

Layer 6. At least once, and with an id by which a server knows what it was told before.
"""

import binascii
import json

from micropython import const

from .config import Config
from .http import Url
from .journal import Journal
from .memory import about, told, untold
from .port import Port
from .receipt import FILE, load_receipts

_FORMAT = const(1)
_EVENT = const(16)  # bytes of an event in the log
_DIGESTED = const(128)  # bytes: the outcome's event and those before it


def deliver(port: Port, config: Config, source):
    """Generator: POST every outcome that nobody was told of, the oldest first, each once.

    Raises what `Source.post` raises; SourceError `url`; SlotError `nvs`.
    """
    url = Url(config.report_url)
    journal = untold(port)
    while journal:
        fields = fields_of(port, config, journal)
        yield from source.post(url, json.dumps(fields).encode())
        # Others ran meanwhile: is it still the one that `told` would mark?
        journal = untold(port)
        if journal and identity(port, journal) == fields["id"]:
            told(port)
            journal = untold(port)


def fields_of(port: Port, config: Config, journal: Journal) -> dict:
    """The fields of a report: at most 1400 bytes of JSON."""
    receipt = load_receipts(port.path(FILE)).get(port.running())
    fields: dict = dict(about(journal))
    fields["format"] = _FORMAT
    fields["id"] = identity(port, journal)
    fields["device"] = binascii.hexlify(port.device_id()).decode()
    fields["product"] = config.product
    fields["board"] = config.board
    fields["running"] = None
    if receipt:
        fields["running"] = {"version": receipt.version, "sequence": receipt.sequence}
    return fields


def identity(port: Port, journal: Journal) -> str:
    """8 hex digits, the same for this outcome as long as it is untold, others for any other.

    By the events that led to it and not only its own: a clock that was never set gives many the same
    time. Events that came after it, and all else in the journal, do not count.
    """
    at = 0
    for event in journal.events():
        if event[1] == journal.outcome:
            break
        at += _EVENT
    else:
        at = 0  # a later library knows this outcome
    events = journal.log[at : at + _DIGESTED]
    return "%08x" % binascii.crc32(port.device_id() + events)
