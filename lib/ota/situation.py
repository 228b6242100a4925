"""What a boot found: running slot, otadata, journal, and what they mean together.

Layer 5. Reads, changes nothing; made anew by everybody who needs it, so that nobody acts on an old
picture.
"""

from .journal import (
    NO_RECORD,
    NONE,
    ON_TRIAL,
    REPAIR,
    SOFT_TRIAL,
    TORN,
    Journal,
    action,
)
from .memory import load_journal
from .otadata import ABORTED, VALID, active, is_valid, slot_of, state_of
from .port import Port


class Situation:
    """What was found: slots, running slot, otadata, journal, and what boot() does about it.

    Attributes:
        slots: partitions by index.
        running: index of the running slot, -1 for a factory image.
        entries: both otadata records.
        index: of the active record, -1 for none.
        state: of the active record, `NO_RECORD` for none.
        selected: slot that the active record names, -1 for none.
        action: from `journal.STATE_TABLE`.
        journal: the record, or defaults.
        remembered: the record could be read.
        has_factory: there is an image beside the slots.
    """

    def __init__(self, port: Port) -> None:
        """Raises SlotError `no-slots`, `no-otadata`, `flash`, `nvs`."""
        self.slots = port.slots()
        self.running = port.running()
        self.has_factory = port.has_factory()
        self.entries = port.otadata()
        self.index = active(self.entries)
        self.state = NO_RECORD
        self.selected = -1
        if self.index >= 0:
            self.state = state_of(self.entries[self.index])
            self.selected = slot_of(self.entries[self.index], len(self.slots))
        self.action = action(self.state, self.selected == self.running)
        known = load_journal(port)
        self.remembered = known is not None
        self.journal = known or Journal()

    def on_trial(self) -> bool:
        """Is the running image unconfirmed?"""
        if self.action in (TORN, REPAIR):
            journal = self.journal
            return journal.slot == self.running and journal.state != NONE
        return self.action in (ON_TRIAL, SOFT_TRIAL)

    def can_return(self) -> bool:
        """Would the bootloader take another image, were the active record dropped?"""
        if self.index < 0:
            return False
        other = self.entries[1 - self.index]
        if is_valid(other):
            return slot_of(other, len(self.slots)) != self.selected
        return self.has_factory

    def would_stay(self) -> bool:
        """Would the bootloader take the running image, were the active record dropped?"""
        other = self.entries[1 - self.index]
        if is_valid(other):
            return slot_of(other, len(self.slots)) == self.running
        return self.running < 0

    def confirmed_elsewhere(self) -> int:
        """The slot whose VALID record decides once the active one is dropped, -1 for none."""
        if not self.can_return():
            return -1
        other = self.entries[1 - self.index]
        if not is_valid(other) or state_of(other) != VALID:
            return -1
        return slot_of(other, len(self.slots))

    def spare_record(self, slot: int) -> int:
        """Index of a valid record that names `slot` and does not decide, -1 for none."""
        for index in range(2):
            entry = self.entries[index]
            if index != self.index and is_valid(entry) and slot_of(entry, len(self.slots)) == slot:
                return index
        return -1

    def was_aborted(self, slot: int) -> bool:
        """Did the bootloader give up on `slot`?"""
        for entry in self.entries:
            if state_of(entry) == ABORTED and slot_of(entry, len(self.slots)) == slot:
                return True
        return False
