"""What the device remembers across resets, and what each state found at boot means.

Layer 1, pure: a record of 512 bytes and back, and the state table. Layout: docs/format.md section 6.
"""

import binascii
import struct

from micropython import const

from .otadata import NEW, PENDING_VERIFY, VALID

SIZE = const(512)
"""Bytes of a record."""

# State of the attempt.
NONE = const(0)
WRITING = const(1)
ACTIVATED = const(2)
TRIAL = const(3)
CONFIRMING = const(4)
LEAVING = const(5)  # the running image is given up; otadata does not say so yet

# Outcomes, and other events; their names in status() and history().
CONFIRMED = const(1)
TEST_FAILED = const(2)
ROLLED_BACK = const(3)
CRASHED = const(4)
WATCHDOG = const(5)
POWER_LOST = const(6)
NOT_LOADED = const(7)
CANCELLED = const(8)
SELECTED = const(9)  # no outcome: it waits for its first boot
KEPT_WAKING = const(10)
CRASH_LOOP = const(11)

EVENTS = (
    "none",
    "confirmed",
    "self-test failed",
    "rolled back",
    "crashed",
    "watchdog",
    "lost power",
    "did not load",
    "cancelled",
    "activated",
    "did not confirm",
    "crash loop",
)

EVENTS_KEPT = const(16)

MAX_TRIES = const(3)
"""Boots that an image gets without confirming."""

MAX_CRASHES = const(2)
"""Crashes and watchdog resets among them."""

MAX_WAKES = const(16)
"""Wakes from deep sleep that a trial may last."""

_FORMAT = const(2)
_REFUSED = const(4)
_FIELDS = "<BBBBIQQ32s16sBBBB96s24sB51sHH256s"
_REASON = const(51)
_VERSION = const(24)
_EVENT = "<IBBHQ"
_EVENT_SIZE = const(16)
_LOG_SIZE = const(256)  # EVENTS_KEPT * _EVENT_SIZE

# What boot() does, by (state of the active otadata record, does it name the running slot).
NORMAL = const(0)  # finish a half-done confirm, or note how a trial ended
ON_TRIAL = const(1)  # the bootloader watches: it goes back at the next reset
SOFT_TRIAL = const(2)  # nobody watches but this library: it counts boots itself
TORN = const(3)  # a torn record: a trial where the journal knows the image, else it is made VALID
RESET = const(4)  # selected and not booted yet (deep sleep, soft reset): reset, once
NOT_LOADABLE = const(5)  # the new image did not load: refuse it, drop its record
DROP = const(6)  # an old breakage: drop the record
REPAIR = const(7)  # no record is valid: the running slot gets one; an image on trial is left

OTHER = const(-1)
NO_RECORD = const(-2)

STATE_TABLE = {
    (VALID, True): NORMAL,
    (PENDING_VERIFY, True): ON_TRIAL,
    (NEW, True): SOFT_TRIAL,
    (OTHER, True): TORN,
    (NEW, False): RESET,
    (PENDING_VERIFY, False): NOT_LOADABLE,
    (VALID, False): DROP,
    (OTHER, False): DROP,
    (NO_RECORD, True): NORMAL,  # a factory image: it boots by having no record
    (NO_RECORD, False): REPAIR,
}


def action(state: int, same: bool) -> int:
    """What boot() does.

    Args:
        state: of the active record, or `NO_RECORD`.
        same: does the active record name the running slot?
    """
    if state not in (NEW, PENDING_VERIFY, VALID, NO_RECORD):
        state = OTHER
    return STATE_TABLE[(state, same)]


class Journal:
    """One record, with defaults for a device that remembers nothing.

    Attributes:
        highest, highest_epoch: highest confirmed sequence, and the epoch of it.
        state, slot, sequence, epoch, digest, head: the attempt; digest is the SHA-256 of its image,
            head the image's first 16 bytes.
        tries, crashes: boots of this image that did not end in a confirm.
        resets: spent on getting a selected slot booted.
        wakes: from deep sleep, during the trial.
        outcome, version, reason: how the last attempt ended.
        untold: nobody was told of that yet.
        news: an event that is not in the log yet, 0 for none; not part of the record.
        refused: list of (first 16 bytes of the SHA-256, sequence), newest first.
        log: the last 16 events, 16 bytes each, newest first.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.highest = 0
        self.highest_epoch = 0
        self.refused: list = []
        self.outcome = 0
        self.news = 0
        self.untold = False
        self.log = bytes(_LOG_SIZE)
        self.version = ""
        self.reason = ""
        self.clear_attempt()

    def clear_attempt(self) -> None:
        """Forget the attempt; outcome, refused images and the highest sequence stay."""
        self.state = NONE
        self.tries = 0
        self.crashes = 0
        self.resets = 0
        self.wakes = 0
        self.slot = 0
        self.sequence = 0
        self.epoch = 0
        self.digest = bytes(32)
        self.head = bytes(16)

    def is_refused(self, digest: bytes, sequence: int) -> bool:
        """Did this image fail here under this sequence or a higher one?"""
        for known, above in self.refused:
            if known == digest[:16] and sequence <= above:
                return True
        return False

    def refuse(self, digest: bytes, sequence: int) -> None:
        """Never take this image again under this sequence; the oldest of four leaves."""
        if any(digest) and not self.is_refused(digest, sequence):
            self.refused = [(digest[:16], sequence or 1)] + self.refused[: _REFUSED - 1]

    def is_about(self, digest: bytes, sequence: int) -> bool:
        """Is the attempt, ended or not, about this image under this sequence?"""
        return (self.digest, self.sequence) == (digest, sequence)

    def start(
        self, slot: int, sequence: int, digest: bytes, head: bytes, version: str, epoch: int = 0
    ) -> None:
        """A write into a slot begins. An image that was tried before keeps its count."""
        if not self.is_about(digest, sequence):
            self.tries = 0
            self.crashes = 0
        self.state = WRITING
        self.resets = 0
        self.wakes = 0
        self.outcome = 0
        self.untold = False
        self.reason = ""
        self.slot, self.sequence, self.digest = slot, sequence, digest
        self.head, self.version, self.epoch = head, version, epoch

    def confirm(self) -> None:
        """The attempt's sequence is confirmed. It counts within its epoch; a higher epoch begins anew."""
        self.highest_epoch, self.highest = max(
            (self.highest_epoch, self.highest), (self.epoch, self.sequence)
        )
        if any(self.digest):
            self.end(CONFIRMED, "")

    def end(self, outcome: int, reason: str) -> None:
        """Keep how the attempt ended."""
        self.outcome = outcome
        self.news = outcome
        self.untold = True
        self.reason = reason
        self.state = NONE

    def note(self, time: int) -> None:
        """Put the news into the log. `time`: Unix seconds."""
        if self.news:
            event = struct.pack(_EVENT, time, self.news, self.slot, 0, self.sequence)
            self.log = (event + self.log)[:_LOG_SIZE]
            self.news = 0

    def events(self) -> list:
        """The log as a list of (time, event, slot, sequence), newest first."""
        found = []
        for offset in range(0, _LOG_SIZE, _EVENT_SIZE):
            time, event, slot, _, sequence = struct.unpack_from(_EVENT, self.log, offset)
            if event:
                found.append((time, event, slot, sequence))
        return found


def encode(journal: Journal) -> bytes:
    """The record, `SIZE` bytes, with its CRC."""
    ring = b"".join([struct.pack("<16sQ", digest, seq) for digest, seq in journal.refused])
    body = struct.pack(
        _FIELDS,
        _FORMAT,
        journal.state,
        min(journal.tries, 255),
        min(journal.crashes, 255),
        journal.generation,
        journal.highest,
        journal.sequence,
        journal.digest,
        journal.head,
        journal.slot,
        journal.outcome,
        journal.resets,
        min(journal.wakes, 255),
        ring,
        _fit(journal.version, _VERSION),
        journal.untold,
        _fit(journal.reason, _REASON),
        journal.highest_epoch,
        journal.epoch,
        journal.log,
    )
    return body + struct.pack("<I", binascii.crc32(body))


def decode(record) -> "Journal | None":
    """The journal in a record, or None where it is not one that this library can read."""
    if len(record) != SIZE:
        return None
    body = memoryview(record)[: SIZE - 4]
    if struct.unpack_from("<I", record, SIZE - 4)[0] != binascii.crc32(body):
        return None
    fields = struct.unpack(_FIELDS, body)
    if fields[0] != _FORMAT:
        return None
    journal = Journal()
    journal.state, journal.tries, journal.crashes, journal.generation = fields[1:5]
    journal.highest, journal.sequence, journal.digest, journal.head = fields[5:9]
    journal.slot, journal.outcome, journal.resets, journal.wakes, ring = fields[9:14]
    # A later library may know more of these; the rest is worth keeping.
    if journal.state > LEAVING:
        journal.state = NONE
    if journal.outcome >= len(EVENTS):
        journal.outcome = 0
    for offset in range(0, len(ring), 24):
        digest, sequence = struct.unpack_from("<16sQ", ring, offset)
        if sequence:
            journal.refused.append((digest, sequence))
    journal.version = _text(fields[14])
    journal.untold = fields[15] == 1
    journal.reason = _text(fields[16])
    journal.highest_epoch, journal.epoch, journal.log = fields[17:20]
    return journal


def _fit(text: str, size: int) -> bytes:
    return _text(text.encode()[:size]).encode()


def _text(field: bytes) -> str:
    # Printable ASCII, anything else as a question mark: both interpreters read the same.
    return "".join([chr(byte) if 0x20 <= byte <= 0x7E else "?" for byte in field.rstrip(b"\x00")])
