"""What may be installed, and the points at which otadata, receipts and journal change for it.

Layer 6. The order of what is written here decides what a power cut leaves: docs/format.md section 8.
"""

from .errors import OtaError, error
from .image import MAGIC
from .journal import ACTIVATED, SELECTED, WRITING
from .manifest import Manifest, is_newer
from .memory import keep_untold, save_journal
from .otadata import VALID, active, slot_of
from .port import Port
from .reader import HEADER
from .receipt import FILE, Receipt, load_receipts, save_receipts
from .situation import Situation
from .trial import call_off


def permitted(port: Port, release) -> Situation:
    """What there is, where it allows to install the release, a `Manifest` or a `BareImage`.

    Raises SlotError `trial-running`, `refused`, `nothing-to-do`; ImageError `downgrade`,
    `sequence-jump`, `step-needed`.
    """
    found = Situation(port)
    if found.on_trial():
        raise error("trial-running", "confirm the running image first")
    if not release.blocks:
        # A bare image has no sequence: the highest stays what it is.
        release.epoch, release.sequence = _highest(port, found)
    if found.journal.is_refused(release.sha256, release.sequence):
        raise error("refused", "%s failed here before" % release.version)
    if release.blocks:
        newer = is_new(port, found, release)
    else:
        receipt = load_receipts(port.path(FILE)).get(found.running)
        newer = not receipt or receipt.sha256 != release.sha256
    if not newer:
        raise error("nothing-to-do", "%s is confirmed" % release.version)
    return found


def is_new(port: Port, found: Situation, release: Manifest, floor: int = 0) -> bool:
    """`is_newer`, for this device. A release of an older epoch than is known here is a `downgrade`."""
    epoch, sequence = _highest(port, found)
    if epoch > release.epoch:
        raise error("downgrade", "epoch %d, here is %d" % (release.epoch, epoch))
    return is_newer(release, sequence if epoch == release.epoch else 0, floor)


def _highest(port: Port, found: Situation) -> tuple:
    # Epoch and sequence, the highest that were confirmed. Journal and receipt keep them both: losing
    # one opens no downgrade.
    journal = found.journal
    known = journal.highest_epoch, journal.highest
    receipt = load_receipts(port.path(FILE)).get(found.running)
    if receipt and not found.on_trial():
        known = max(known, (receipt.epoch, receipt.sequence))
    return known


def latest(port: Port) -> int:
    """Unix seconds: it is this late at least, whatever a clock says that nobody set."""
    receipt = load_receipts(port.path(FILE)).get(port.running())
    return max(port.now(), port.built(), receipt.created if receipt else 0)


def next_slot(found: Situation) -> tuple:
    """Index and partition of the slot that an update writes."""
    index = (found.running + 1) % len(found.slots)
    return index, found.slots[index]


def announce(port: Port, found: Situation, release, head: bytes) -> None:
    """Before the first erase: from here on the next slot holds no image that anybody may boot.

    Args:
        head: first 16 bytes of the image.
    Raises SlotError `files`, `nvs`, `flash`.
    """
    index = next_slot(found)[0]
    journal = found.journal
    found = _unselect(port, found)
    path = port.path(FILE)
    receipts = load_receipts(path)
    if receipts.pop(index, None):
        save_receipts(path, receipts)
    keep_untold(port, journal)
    journal.start(index, release.sequence, release.sha256, head, release.version, release.epoch)
    save_journal(port, journal)
    spare = found.spare_record(index)
    if spare >= 0:
        port.drop_entry(spare)


def activate(port: Port, release) -> None:
    """Let the bootloader take the next slot, which was just proven to hold the release.

    After a failure the boot slot is what it was. Raises as `permitted` and `announce`, and SlotError
    `not-activated`.
    """
    found = _unselect(port, permitted(port, release))
    index, device = next_slot(found)
    head = bytearray(HEADER)
    try:
        device.readblocks(0, head)
    except OSError as e:
        raise error("flash", "slot %d: %s" % (index, e))
    if head[0] != MAGIC:
        raise error("not-activated", "slot %d holds no image" % index)
    journal = found.journal
    if journal.state != WRITING or not journal.is_about(release.sha256, release.sequence):
        announce(port, found, release, bytes(head))
    path = port.path(FILE)
    receipts = load_receipts(path)
    receipts[index] = Receipt(
        release.sha256,
        release.size,
        release.version,
        release.sequence,
        release.created,
        release.epoch,
    )
    save_receipts(path, receipts)
    try:
        port.select(index)
        journal.state = ACTIVATED
        journal.news = SELECTED
        save_journal(port, journal)
    except OtaError:
        entries = port.otadata()  # NVS may fail as a whole: nothing is asked of it
        deciding = active(entries)
        if deciding >= 0 and slot_of(entries[deciding], len(found.slots)) == index:
            port.drop_entry(deciding)
        raise


def _unselect(port: Port, found: Situation) -> Situation:
    # A record that selects another slot than the running one, an install before this one; or none.
    if found.selected == found.running:
        return found
    if found.index < 0:
        port.select(found.running, VALID)
    else:
        call_off(port, found)
    return Situation(port)
