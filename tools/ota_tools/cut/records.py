"""How often a torn otadata record is one that nobody watches, by chance alone.

An erased record is programmed and the power goes somewhere in it: by then each bit that is to be cleared
is, with the same probability, which is anything from 0 to 1.
"""

import random

from ota import otadata
from ota_tools.board.flash import TIMES

TEARS = 200_000
_SLOTS = 2

WAYS = {
    "Partition.set_boot()": [(0, otadata.encode(2, otadata.NEW))],
    "ota, seq last": [
        (24, otadata.encode(2, otadata.NEW)[24:]),
        (0, otadata.encode(2, otadata.NEW)[:4]),
    ],
    "the bootloader, NEW to PENDING": [(0, otadata.encode(2, otadata.PENDING_VERIFY))],
    "the bootloader, PENDING to ABORTED": [(0, otadata.encode(2, otadata.ABORTED))],
}
"""Who writes a record -> its programs in order: offset, bytes."""


def shares(way: str, seed: int, tears: int = TEARS) -> dict[str, float]:
    """What a torn record of this way is then, in parts of all tears.

    Returns: `other` (the other record decides), `watched` (NEW or PENDING), `valid` (it claims to be
    confirmed), `unwatched` (anything else that boots).
    """
    chance = random.Random(f"{seed} {way}")  # noqa: S311
    counts = dict.fromkeys(("other", "watched", "valid", "unwatched"), 0)
    programs = WAYS[way]
    size = sum(len(data) for _, data in programs)
    for _ in range(tears):
        counts[_kind(_tear(programs, chance.randrange(size), chance))] += 1
    return {kind: count / tears for kind, count in counts.items()}


def program_ms() -> float:
    """Modelled duration of one record's program."""
    return TIMES["program", 1024] * int(otadata.ENTRY_SIZE) / 1024


def _tear(programs: list[tuple[int, bytes]], at: int, chance: random.Random) -> bytes:
    record = bytearray(b"\xff" * otadata.ENTRY_SIZE)
    for offset, data in programs:
        if at >= len(data):
            record[offset : offset + len(data)] = data
            at -= len(data)
            continue
        done = chance.random()
        for place, byte in enumerate(data):
            left = 0
            for bit in range(8):
                if byte >> bit & 1 or chance.random() >= done:
                    left |= 1 << bit
            record[offset + place] = left
        break
    return bytes(record)


def _kind(record: bytes) -> str:
    if not otadata.is_valid(record) or otadata.slot_of(record, _SLOTS) != 1:
        return "other"
    state = otadata.state_of(record)
    if state in (otadata.NEW, otadata.PENDING_VERIFY):
        return "watched"
    return "valid" if state == otadata.VALID else "unwatched"
