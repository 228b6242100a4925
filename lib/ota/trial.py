"""Boot, trial, confirm, rollback: what happens between the first boot of an image and its confirm.

Layer 5. The situation is read from otadata, the running slot and the journal each time; nothing is
kept in variables, so boot.py and main.py see the same.
"""

from micropython import const

from .chip import DEEP_SLEEP, HARD, SOFT
from .chip import WATCHDOG as WATCHDOG_RESET
from .errors import OtaError, SourceError, error
from .journal import (
    ACTIVATED,
    CANCELLED,
    CONFIRMED,
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
    ROLLED_BACK,
    TEST_FAILED,
    TORN,
    TRIAL,
    WATCHDOG,
    Journal,
)
from .memory import save_journal
from .otadata import VALID
from .port import Port
from .receipt import FILE, holds, load_receipts
from .situation import Situation

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
            _leave(port or Port(), CRASH_LOOP, looping, True)
        else:
            _take_up(port or Port(), window_s)
    except Exception as e:
        fault = "%s %s" % (type(e).__name__, e)


def self_test(checks: list, port: "Port | None" = None) -> None:
    """Run the checks if the running image is on trial: confirm it, or keep why not and go back.

    Returns at once on a confirmed image, and after a confirm. After a failed check the board resets
    into the old image, which refuses this one for good. A check that raises SourceError blames the
    network: it costs one of the three tries that an image has.

    Args:
        checks: list of (name, function); a check passes by returning something true, fails by
            returning anything else or by raising, and may be async. An image that cannot reach its
            update server is the last one that can be fixed: `Updater.reachable` is a good check.
        port: for tests; the board itself by default.

    Raises as `confirm` and `rollback`.
    """
    port = port or Port()
    try:
        if not Situation(port).on_trial():
            return
    except OtaError:
        return  # no otadata, no slots: nothing here is ever on trial
    for name, check in checks:
        reason, final = _run(check)
        if reason:
            _leave(port, TEST_FAILED, "%s: %s" % (name, reason), final)
            return
    confirm(port)


def confirm(port: "Port | None" = None) -> None:
    """Keep the running image. Does nothing where it is confirmed already.

    The trial's watchdog cannot be stopped, only put off: it resets the board after 11 days, unless
    the board was reset before or the application set a watchdog of its own after this call.

    Raises SlotError `nvs`, `flash`, `not-confirmed`, `no-slots`, `no-otadata`.
    """
    port = port or Port()
    found = Situation(port)
    if not found.on_trial():
        return
    journal = _own_journal(found)
    journal.state = CONFIRMING
    save_journal(port, journal)
    _finish_confirm(port, journal)
    port.park_watchdog()


def rollback(reason: str = "", port: "Port | None" = None) -> None:
    """Return to the image in the other slot. Resets the board.

    The running image is refused from then on, if its receipt or the journal says what it is. Needs no
    network. Where another image waits for its first boot, that is called off instead, without a reset.

    Raises SlotError `no-rollback` where the other slot does not hold the image of its receipt; `nvs`,
    `flash`.
    """
    port = port or Port()
    found = Situation(port)
    if found.action == RESET:
        call_off(port, found)
        found.journal.end(CANCELLED, reason or "on request")
        save_journal(port, found.journal)
    else:
        _leave(port, ROLLED_BACK, reason or "on request", True)


def call_off(port: Port, found: Situation) -> None:
    """Drop the record that selects another image than the running one, whose own must decide then.

    Raises SlotError `flash`, `not-activated`.
    """
    if not found.can_return():
        port.select(found.running, VALID)
    port.drop_entry(found.index)


def reset(port: "Port | None" = None) -> None:
    """A hard reset, the only one that starts an image that was just installed."""
    (port or Port()).reset()


# What a start does


def _take_up(port: Port, window_s: int) -> None:
    found = Situation(port)
    if found.on_trial():
        _begin_trial(port, found, window_s)
    elif found.action == NORMAL:
        _settle(port, found)
    elif found.action == TORN:
        port.mark_valid()  # nobody knows better
        _settle(port, found)
    elif found.action == RESET and found.journal.resets == 0:
        found.journal.resets = 1
        save_journal(port, found.journal)
        port.reset()
    elif found.action == NOT_LOADABLE:
        _note_not_loaded(port, found)
        port.drop_entry(found.index)
    elif found.action == RESET:
        # The reset changed nothing: without rollback, this is how an image looks that cannot load.
        if found.journal.state >= ACTIVATED:
            _note_failure(port, found.journal)
            save_journal(port, found.journal)
        port.drop_entry(found.index)
    elif found.action == DROP:
        port.drop_entry(found.index)
    elif found.action == REPAIR:
        port.select(found.running, VALID)
        _settle(port, Situation(port))


def _settle(port: Port, found: Situation) -> None:
    journal = found.journal
    if journal.state < ACTIVATED:
        return
    if journal.slot == found.running:
        if journal.state == LEAVING:
            if found.can_return():
                _go_back(port, found)  # leaving it was cut short
            journal.state = NONE
            save_journal(port, journal)
        else:
            _close_confirm(port, journal)
    elif journal.state == CONFIRMING:
        # Power was lost inside mark-valid, which took the record with it: no fault of the image.
        port.select(journal.slot)
        port.reset()
    elif journal.state == LEAVING:
        journal.state = NONE
        save_journal(port, journal)
    else:
        if journal.state == TRIAL or found.was_aborted(journal.slot):
            _note_failure(port, journal)
        else:
            journal.state = NONE  # its record was lost before it could boot: it was never tried
        save_journal(port, journal)


def _begin_trial(port: Port, found: Situation, window_s: int) -> None:
    journal = _own_journal(found)
    if journal.state == CONFIRMING:
        _finish_confirm(port, journal)
        return
    cause = port.reset_cause()
    if journal.state == TRIAL:
        if found.action != ON_TRIAL and cause not in (SOFT, DEEP_SLEEP):
            # No bootloader ends this trial; one reset without a confirm does.
            _note_failure(port, journal)
            journal.state = LEAVING
            save_journal(port, journal)
        elif cause == DEEP_SLEEP:
            journal.wakes = min(journal.wakes + 1, MAX_WAKES + 1)
            if journal.wakes > MAX_WAKES and _has_way_back(port, found):
                _leave(port, KEPT_WAKING, "%d wakes without a confirm" % MAX_WAKES, False)
                return
            save_journal(port, journal)
    if journal.state == LEAVING:
        _go_back(port, found)  # or there is no other image, and this one may still confirm itself
    if cause != SOFT:
        window_s = window_s or _window(port)
        port.watchdog(window_s)
        print("ota: on trial, reset in %d s unless confirmed; ota.confirm() keeps it" % window_s)
    if journal.state != TRIAL:
        journal.state = TRIAL
        save_journal(port, journal)


def _own_journal(found: Situation) -> Journal:
    # Of the running image, which is on trial; nothing is known of one that came by another way.
    journal = found.journal
    if journal.slot != found.running or journal.state == NONE:
        journal.clear_attempt()
        journal.slot = found.running
    return journal


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


# Confirming and leaving


def _finish_confirm(port: Port, journal: Journal) -> None:
    found = Situation(port)
    if found.index < 0:
        port.select(found.running, VALID)
    else:
        port.mark_valid()
    found = Situation(port)
    if found.state != VALID or found.selected != found.running:
        raise error("not-confirmed", "not VALID after the mark")
    _close_confirm(port, journal)


def _close_confirm(port: Port, journal: Journal) -> None:
    # Highest sequence and end of the trial in one record.
    journal.highest = max(journal.highest, journal.sequence)
    journal.resets = 0
    journal.tries = 0
    journal.crashes = 0
    if journal.sequence:
        journal.end(CONFIRMED, "")
    journal.state = NONE
    save_journal(port, journal)


def _leave(port: Port, outcome: int, reason: str, final: bool) -> None:
    found = Situation(port)
    journal = found.journal
    if not found.on_trial():
        _adopt_running(port, found)
    elif _has_way_back(port, found):
        _own_journal(found)
    else:
        raise error("no-rollback", "there is no other image")
    journal.tries += 1
    if final or journal.tries >= MAX_TRIES:
        journal.refuse(journal.digest, journal.sequence)
    journal.end(outcome, reason)
    journal.state = LEAVING
    save_journal(port, journal)
    _go_back(port, found)
    port.reset()  # the bootloader goes back


def _has_way_back(port: Port, found: Situation) -> bool:
    return found.action == ON_TRIAL or found.can_return() or _came_from(port, found) >= 0


def _go_back(port: Port, found: Situation) -> None:
    # Into the other image, where there is one: does not return then.
    if found.can_return():
        port.drop_entry(found.index)
    else:
        slot = _came_from(port, found)
        if slot < 0:
            return
        port.select(slot, VALID)
    port.reset()


def _came_from(port: Port, found: Situation) -> int:
    # The slot from which the running image, never confirmed, was installed: that one was. -1 where it
    # does not hold the image of its receipt.
    slot = (found.running - 1) % len(found.slots)
    return slot if _is_as_received(port, found, slot) else -1


def _is_as_received(port: Port, found: Situation, slot: int) -> bool:
    receipt = load_receipts(port.path(FILE)).get(slot)
    try:
        return receipt is not None and holds(found.slots[slot], receipt)
    except OSError:
        return False


def _adopt_running(port: Port, found: Situation) -> None:
    # Long after the trial: look at the other image first, and name the one that is left.
    slot = found.confirmed_elsewhere()
    if slot < 0 or not _is_as_received(port, found, slot):
        raise error("no-rollback", "no other slot holds a confirmed image as received")
    journal = found.journal
    journal.clear_attempt()
    journal.slot = found.running
    receipt = load_receipts(port.path(FILE)).get(found.running)
    if receipt:
        journal.digest = receipt.sha256
        journal.sequence = receipt.sequence
        journal.version = receipt.version


def _run(check) -> tuple:
    # Why the check failed, "" when it passed; and whether that is the image's fault.
    try:
        result = check()
        if hasattr(result, "send"):
            import asyncio

            result = asyncio.run(result)
    except SourceError as e:
        return str(e), False
    except Exception as e:
        return "%s %s" % (type(e).__name__, e), True
    return "" if result else "failed", True
