"""Self-test, confirm and rollback: how a trial ends, and how an image is left.

Layer 5. The situation is read from otadata, the running slot and the journal each time; nothing is
kept in variables, so boot.py and main.py see the same.
"""

from micropython import const

from .errors import OtaError, SourceError, error
from .journal import (
    CANCELLED,
    CONFIRMING,
    LEAVING,
    MAX_TRIES,
    NONE,
    ON_TRIAL,
    RESET,
    ROLLED_BACK,
    TEST_FAILED,
    WRITING,
    Journal,
)
from .memory import keep_untold, save_journal
from .otadata import VALID
from .port import Port
from .receipt import FILE, holds, load_receipts
from .situation import Situation

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from collections.abc import Callable


def self_test(
    checks: "list[tuple[str, Callable[[], object]]]", port: "Port | None" = None
) -> None:
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
            leave(port, TEST_FAILED, "%s: %s" % (name, reason), final)
            return
    confirm(port)


def confirm(port: "Port | None" = None) -> None:
    """Keep the running image, and say so in a line. Does nothing where it is confirmed already.

    The trial's watchdog cannot be stopped, only put off: it resets the board after 11 days, unless
    the board was reset before or the application set a watchdog of its own after this call.

    Raises SlotError `nvs`, `flash`, `not-confirmed`, `no-slots`, `no-otadata`.
    """
    port = port or Port()
    found = Situation(port)
    if not found.on_trial():
        return
    journal = own_journal(port, found)
    journal.state = CONFIRMING
    save_journal(port, journal)
    finish_confirm(port, journal)
    port.park_watchdog()
    print("ota: confirmed")


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
        leave(port, ROLLED_BACK, reason or "on request", True)


def call_off(port: Port, found: Situation) -> None:
    """Drop the record that selects another image than the running one, whose own decides then.

    Raises SlotError `flash`, `not-activated`.
    """
    if not found.would_stay():
        if found.running < 0:
            port.drop_entry(1 - found.index)  # a factory image boots where no record is valid
        else:
            port.select(found.running, VALID)
    port.drop_entry(found.index)


def reset(port: "Port | None" = None) -> None:
    """A hard reset, the only one that starts an image that was just installed."""
    (port or Port()).reset()


# For `recovery`, too


def own_journal(port: Port, found: Situation) -> Journal:
    """Of the running image, which is on trial; blank for one that came by another way."""
    journal = found.journal
    known = journal.slot == found.running and journal.state != NONE
    if known and journal.state == WRITING:
        # Power was lost between its selection and the journal; its receipt was there before.
        receipt = load_receipts(port.path(FILE)).get(found.running)
        known = receipt is not None and receipt.sha256 == journal.digest
    if not known:
        journal.clear_attempt()
        journal.version = ""
        journal.slot = found.running
    return journal


def finish_confirm(port: Port, journal: Journal) -> None:
    """Mark the running image valid, see that it is, and close the journal. Raises as `confirm`."""
    found = Situation(port)
    if found.index < 0:
        port.select(found.running, VALID)
    else:
        port.mark_valid()
    found = Situation(port)
    if found.state != VALID or found.selected != found.running:
        raise error("not-confirmed", "not VALID after the mark")
    close_confirm(port, journal)


def close_confirm(port: Port, journal: Journal) -> None:
    """Highest sequence and end of the trial, in one record. Raises SlotError `nvs`."""
    journal.confirm()
    journal.resets = 0
    journal.tries = 0
    journal.crashes = 0
    journal.state = NONE
    save_journal(port, journal)


def leave(port: Port, outcome: int, reason: str, final: bool) -> None:
    """Note why the running image is given up, and go back. Raises as `rollback`; resets the board."""
    found = Situation(port)
    journal = found.journal
    if not found.on_trial():
        _adopt_running(port, found)
    elif has_way_back(port, found):
        own_journal(port, found)
    else:
        raise error("no-rollback", "there is no other image")
    journal.tries += 1
    if final or journal.tries >= MAX_TRIES:
        journal.refuse(journal.digest, journal.sequence)
    journal.end(outcome, reason)
    journal.state = LEAVING
    save_journal(port, journal)
    go_back(port, found)
    port.reset()  # the bootloader goes back


def has_way_back(port: Port, found: Situation) -> bool:
    """Is there another image that an unconfirmed one can be left for?"""
    return found.action == ON_TRIAL or found.can_return() or _came_from(port, found) >= 0


def go_back(port: Port, found: Situation) -> None:
    """Into the other image. Returns only where there is none."""
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
    return slot if is_as_received(port, found, slot) else -1


def is_as_received(port: Port, found: Situation, slot: int, digest: bytes = b"") -> bool:
    """Does a slot hold the image of its receipt, and, where given, is it the one of this digest?"""
    receipt = load_receipts(port.path(FILE)).get(slot)
    if receipt is None or digest not in (b"", receipt.sha256):
        return False
    try:
        return holds(found.slots[slot], receipt)
    except OSError:
        return False


def _adopt_running(port: Port, found: Situation) -> None:
    # Long after the trial: look at the other image first, and name the one that is left.
    slot = found.confirmed_elsewhere()
    if not is_as_received(port, found, slot):
        raise error("no-rollback", "no other slot holds a confirmed image as received")
    journal = found.journal
    keep_untold(port, journal)
    journal.clear_attempt()
    journal.version = ""
    journal.slot = found.running
    receipt = load_receipts(port.path(FILE)).get(found.running)
    if receipt:
        journal.digest = receipt.sha256
        journal.sequence = receipt.sequence
        journal.epoch = receipt.epoch
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
