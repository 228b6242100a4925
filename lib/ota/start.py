"""What every start of the board runs: nothing, where the running image is confirmed.

Layer 5. The ordinary case is recognised here with little code, and that code leaves the memory again;
everything else is for `trial`, which decides anew.
"""

import binascii
import sys

from micropython import const

from .chip import HARD, POWER_ON, WATCHDOG, Chip
from .otadata import ENTRY_SIZE, VALID, active, slot_of, state_of

_STATE = const(1)  # where the journal's record has its state
_ACTIVATED = const(2)  # from this state on a boot has something to do
_RECORD = const(512)
_CRC = const(4)  # its last bytes

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from .port import Port


def boot(
    window_s: int = 0, crashes: int = 8, within_s: int = 600, port: "Port | None" = None
) -> None:
    """What boot.py calls first: finish, note or start whatever the last reset left. Once: another call
    does nothing.

    On a trial it starts the watchdog for the whole time that the image has to confirm itself. A
    confirmed image that crashes again and again is left for the one in the other slot, once, where
    that is what its receipt says. Never raises: a failure is kept for `ota.status()` or, where it was
    about counting crashes, printed; it counts as "nothing known", never as confirmed. On a confirmed
    image it leaves only the package itself in memory.

    Args:
        window_s: seconds until the watchdog ends the trial; by default `trial_window_s` of
            /ota.json, 300 where that says nothing.
        crashes: resets by a crash, the watchdog or `machine.reset()` that are too many; 0: never.
        within_s: seconds in which they come.
        port: for tests; the board itself by default.
    """
    if port is None:
        package = sys.modules["ota"]
        if package._started:
            return  # since the last reset
        package._started = True  # type: ignore[attr-defined]
    try:
        chip = port or Chip()
        settled = is_settled(chip)
    except Exception:
        settled = False  # the trial will find it again, and keep it
    try:
        looping = settled and crashes > 0 and _is_looping(chip, crashes, within_s)
        if settled and not looping:
            _unload()
        else:
            from .recovery import take_up

            take_up(window_s, port, "%d resets in %d s" % (crashes, within_s) if looping else "")
    except Exception as e:
        print("ota: boot: %s %s" % (type(e).__name__, e))


def is_settled(chip: Chip) -> bool:
    """Is there nothing to do? True only where the active record is VALID and names the running
    slot, and the journal is not in the middle of anything; whatever is unclear is False.
    """
    entries = _entries(chip)
    index = active(entries)
    if index < 0 or state_of(entries[index]) != VALID:
        return False
    if slot_of(entries[index], len(chip.find_slots())) != chip.running():
        return False
    record = bytearray(_RECORD)
    if chip.nvs_read("journal", record) != _RECORD or record[_STATE] < _ACTIVATED:
        return True
    crc = binascii.crc32(memoryview(record)[:-_CRC])
    return record[-_CRC:] != crc.to_bytes(_CRC, "little")  # then nobody can read it


def _entries(chip: Chip) -> tuple:
    part = chip.find_otadata()[0]
    entries = (bytearray(ENTRY_SIZE), bytearray(ENTRY_SIZE))
    for index in range(2):
        part.readblocks(index, entries[index])
    return entries


def _is_looping(chip: Chip, crashes: int, within_s: int) -> bool:
    cause = chip.reset_cause()
    count = bytearray(12)
    if cause not in (HARD, WATCHDOG):
        if cause != POWER_ON or not chip.nvs_read("crashes", count) or not any(count):
            return False
    from .guard import is_crash_loop

    return is_crash_loop(chip, _entries(chip), len(chip.find_slots()), crashes, within_s)


def _unload() -> None:
    # Unless somebody else uses the library already.
    if "ota.start" in sys.modules and "ota.port" not in sys.modules:
        package = sys.modules["ota"]
        for name in ("start", "guard", "chip", "otadata"):
            if sys.modules.pop("ota." + name, None):
                delattr(package, name)
