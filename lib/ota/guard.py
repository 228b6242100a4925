"""Notices a confirmed image that crashes again and again.

Layer 5. Loaded only by a start that follows a crash, or a power-on after some. The count lies in NVS,
blob `crashes`: u32 count, u32 time of the first one, by a clock that goes on until power-on, and u32 seq of
the otadata record that decided: another image has crashes of its own.
"""

import struct
import time

from micropython import const

from .chip import POWER_ON, Chip
from .otadata import active, is_valid, seq_of, slot_of

_KEY = "crashes"
_FIELDS = "<III"
_SIZE = const(12)


def is_crash_loop(chip: Chip, entries, slots: int, limit: int, window_s: int) -> bool:
    """Count a start that follows a crash; is it the last one of `limit` within `window_s` seconds?

    Counts nothing where there is no other image to go back to. After the last one, and after a
    power-on, when the clock starts anew, so does the count. OSError comes through.

    Args:
        entries: both otadata records, one of which is valid and names the running slot.
        slots: how many there are.
    """
    if chip.reset_cause() == POWER_ON:
        chip.nvs_store(_KEY, bytes(_SIZE))
        return False
    if not (is_valid(entries[0]) and is_valid(entries[1])):
        return False
    if slot_of(entries[0], slots) == slot_of(entries[1], slots):
        return False
    record = bytearray(_SIZE)
    chip.nvs_read(_KEY, record)  # where there is none, whose is 0, and no seq is
    count, since, whose = struct.unpack(_FIELDS, record)
    now = int(time.time())
    seq = seq_of(entries[active(entries)])
    if whose != seq or not 0 <= now - since <= window_s:
        count, since = 0, now
    count += 1
    looping = count >= limit
    chip.nvs_store(_KEY, struct.pack(_FIELDS, 0 if looping else count, since, seq))
    return looping
