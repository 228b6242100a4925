"""Notices a confirmed image that crashes again and again.

Layer 5. Loaded only by a start that follows a crash, or a power-on after some. The count lies in NVS,
blob `crashes`: u32 count, u32 time of the first one, by a clock that goes on until power-on.
"""

import struct
import time

from .chip import POWER_ON, Chip
from .otadata import is_valid, slot_of

_KEY = "crashes"
_FIELDS = "<II"


def is_crash_loop(chip: Chip, entries, slots: int, limit: int, window_s: int) -> bool:
    """Count a start that follows a crash; is it the last one of `limit` within `window_s` seconds?

    Counts nothing where there is no other image to go back to. After the last one, and after a
    power-on, when the clock starts anew, so does the count. OSError comes through.

    Args:
        entries: both otadata records, one of which is valid and names the running slot.
        slots: how many there are.
    """
    if chip.reset_cause() == POWER_ON:
        chip.nvs_store(_KEY, bytes(8))
        return False
    if not (is_valid(entries[0]) and is_valid(entries[1])):
        return False
    if slot_of(entries[0], slots) == slot_of(entries[1], slots):
        return False
    record = bytearray(8)
    count = since = 0
    if chip.nvs_read(_KEY, record) == len(record):
        count, since = struct.unpack(_FIELDS, record)
    now = int(time.time())
    if not 0 <= now - since <= window_s:
        count, since = 0, now
    count += 1
    looping = count >= limit
    chip.nvs_store(_KEY, struct.pack(_FIELDS, 0 if looping else count, since))
    return looping
