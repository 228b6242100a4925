"""What every start of the board runs: nothing, where the running image is confirmed.

Layer 5. The ordinary case is recognised here with little code, and that code leaves the memory again;
everything else is for `trial`, which decides anew.
"""

import sys

from micropython import const

from .chip import Chip
from .otadata import ENTRY_SIZE, VALID, active, slot_of, state_of

_STATE = const(1)  # where the journal's record has its state
_ACTIVATED = const(2)  # from this state on a boot has something to do
_RECORD = const(256)


def boot(window_s: int = 0, port=None) -> None:
    """What boot.py calls first: finish, note or start whatever the last reset left.

    On a trial it starts the watchdog for the whole time that the image has to confirm itself. Never
    raises: a failure is kept for `ota.status()`, and counts as "nothing known", never as confirmed.
    On a confirmed image it leaves only the package itself in memory.

    Args:
        window_s: seconds until the watchdog ends the trial; by default `trial_window_s` of
            /ota.json, 300 where that says nothing.
        port: for tests; the board itself by default.
    """
    try:
        settled = is_settled(port or Chip())
    except Exception:
        settled = False  # the trial will find it again, and keep it
    try:
        if settled:
            _unload()
        else:
            from .trial import take_up

            take_up(window_s, port)
    except Exception as e:
        print("ota: boot: %s %s" % (type(e).__name__, e))


def is_settled(chip: Chip) -> bool:
    """Is there nothing to do? True only where the active record is VALID and names the running
    slot, and the journal is not in the middle of anything; whatever is unclear is False.
    """
    part = chip.find_otadata()[0]
    entries = (bytearray(ENTRY_SIZE), bytearray(ENTRY_SIZE))
    for index in range(2):
        part.readblocks(index, entries[index])
    index = active(entries)
    if index < 0 or state_of(entries[index]) != VALID:
        return False
    if slot_of(entries[index], len(chip.find_slots())) != chip.running():
        return False
    record = bytearray(_RECORD)
    return not chip.nvs_read("journal", record) or record[_STATE] < _ACTIVATED


def _unload() -> None:
    # Unless somebody else uses the library already.
    if "ota.start" in sys.modules and "ota.port" not in sys.modules:
        package = sys.modules["ota"]
        for name in ("start", "chip", "otadata"):
            del sys.modules["ota." + name]
            delattr(package, name)
