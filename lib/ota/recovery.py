"""What a start does that is not an ordinary one: finish, note or begin what the last reset left.

Layer 5. The rows of the state table (docs/states.md), and what each of them means for a power cut
(docs/reliability.md).
"""

from micropython import const

from .chip import DEEP_SLEEP, HARD, SOFT
from .chip import WATCHDOG as WATCHDOG_RESET
from .errors import OtaError
from .journal import (
    ACTIVATED,
    CONFIRMING,
    CRASH_LOOP,
    CRASHED,
    DROP,
    KEPT_WAKING,
    LEAVING,
    MAX_CRASHES,
    MAX_TRIES,
    MAX_WAKES,
    NONE,
    NORMAL,
    NOT_LOADABLE,
    NOT_LOADED,
    ON_TRIAL,
    POWER_LOST,
    REPAIR,
    RESET,
    TORN,
    TRIAL,
    WATCHDOG,
    Journal,
)
from .memory import save_journal
from .otadata import VALID
from .port import Port
from .situation import Situation
from .trial import (
    call_off,
    close_confirm,
    finish_confirm,
    go_back,
    has_way_back,
    is_as_received,
    leave,
    own_journal,
)

_WINDOW_S = const(300)

fault = ""
"""What kept `ota.boot()` from doing its work since power-on; "" when nothing did."""


def take_up(window_s: int = 0, port: "Port | None" = None, looping: str = "") -> None:
    """What `ota.boot()` does where a start is not an ordinary one. Arguments as there; never raises.

    `looping`: the running image crashes again and again; how often.
    """
    global fault
    try:
        if looping:
            leave(port or Port(), CRASH_LOOP, looping, True)
        else:
            _take_up(port or Port(), window_s)
    except Exception as e:
        fault = "%s %s" % (type(e).__name__, e)


def _take_up(port: Port, window_s: int) -> None:
    found = Situation(port)
    if found.on_trial():
        _begin_trial(port, found, window_s)
    elif found.action == NORMAL:
        _settle(port, found)
    elif found.action == TORN:
        port.mark_valid()  # nobody knows better
        _settle(port, found)
    elif _needs_reset(found):
        found.journal.resets += 1
        save_journal(port, found.journal)
        port.reset()
    elif found.action == NOT_LOADABLE:
        _note_not_loaded(port, found)
        call_off(port, found)
    elif found.action == RESET:
        # The reset changed nothing: without rollback, this is how an image looks that cannot load.
        if found.journal.state >= ACTIVATED:
            _note_failure(port, found.journal)
            save_journal(port, found.journal)
        call_off(port, found)
    elif found.action == DROP:
        call_off(port, found)
    elif found.action == REPAIR:
        port.select(found.running, VALID)
        _settle(port, Situation(port))


def _needs_reset(found: Situation) -> bool:
    # A selected image waits for its first boot, once. Or another image is selected than this one, which
    # was to be on trial: its record is not what was written, and a reset leads back to the other one.
    journal = found.journal
    if found.action == RESET:
        return journal.resets == 0
    untried = journal.slot == found.running and journal.state >= ACTIVATED
    return found.action == DROP and untried and journal.resets <= 1  # the first may be spent


def _settle(port: Port, found: Situation) -> None:
    journal = found.journal
    if journal.state < ACTIVATED:
        return
    if journal.slot == found.running:
        if journal.state == ACTIVATED and found.can_return():
            # No trial has begun yet, so nobody confirmed it: the bootloader's record was torn.
            go_back(port, found)
        elif journal.state == LEAVING:
            if found.can_return():
                go_back(port, found)  # leaving it was cut short
            journal.state = NONE
            save_journal(port, journal)
        else:
            close_confirm(port, journal)
    elif (
        journal.state == CONFIRMING
        and journal.resets < MAX_TRIES
        and is_as_received(port, found, journal.slot, journal.digest)
    ):
        # Power was lost inside mark-valid, which took the record with it: no fault of the image.
        journal.resets += 1
        save_journal(port, journal)
        port.select(journal.slot)
        port.reset()
    elif journal.state == LEAVING:
        journal.state = NONE
        save_journal(port, journal)
    else:
        if journal.state in (TRIAL, CONFIRMING) or found.was_aborted(journal.slot):
            _note_failure(port, journal)
        else:
            journal.state = NONE  # its record was lost before it could boot: it was never tried
        save_journal(port, journal)


def _begin_trial(port: Port, found: Situation, window_s: int) -> None:
    journal = own_journal(port, found)
    if journal.state == CONFIRMING:
        try:
            finish_confirm(port, journal)
        except OtaError:
            port.watchdog(window_s or _window(port))
            raise
        return
    cause = port.reset_cause()
    if journal.state == TRIAL:
        if found.action != ON_TRIAL and cause not in (SOFT, DEEP_SLEEP):
            # No bootloader ends this trial; one reset without a confirm does.
            _note_failure(port, journal)
            journal.state = LEAVING
            save_journal(port, journal)
        elif cause == DEEP_SLEEP:
            if journal.wakes < MAX_WAKES:
                journal.wakes += 1
                save_journal(port, journal)
            elif has_way_back(port, found):
                leave(port, KEPT_WAKING, "%d wakes without a confirm" % MAX_WAKES, False)
                return
    if journal.state == LEAVING:
        go_back(port, found)  # or there is no other image, and this one may still confirm itself
    if cause != SOFT:
        window_s = window_s or _window(port)
        port.watchdog(window_s)
        print("ota: on trial, reset in %d s unless confirmed; ota.confirm() keeps it" % window_s)
    if journal.state != TRIAL:
        journal.state = TRIAL
        save_journal(port, journal)


def _window(port: Port) -> int:
    from .config import FILE, load_config

    try:
        return load_config(port.path(FILE)).trial_window_s
    except OtaError:
        return _WINDOW_S


def _note_failure(port: Port, journal: Journal) -> None:
    # The trial ended in a reset that nobody explained.
    cause = port.reset_cause()
    outcome = POWER_LOST
    if cause in (HARD, WATCHDOG_RESET):
        outcome = CRASHED if cause == HARD else WATCHDOG
        journal.crashes += 1
    journal.tries += 1
    if journal.crashes >= MAX_CRASHES or journal.tries >= MAX_TRIES:
        journal.refuse(journal.digest, journal.sequence)
    journal.end(outcome, "reset before confirming, try %d" % journal.tries)


def _note_not_loaded(port: Port, found: Situation) -> None:
    journal = found.journal
    if journal.state >= ACTIVATED and journal.slot == found.selected:
        journal.refuse(journal.digest, journal.sequence)
        journal.end(NOT_LOADED, "slot %d does not load" % found.selected)
        save_journal(port, journal)
