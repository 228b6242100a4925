"""How a slot is selected: in which order, what a cut leaves, and what does not read back."""

from fakes import PowerCut, RamSlot, code_of, raises

from ota.otadata import (
    INVALID,
    NEW,
    PENDING_VERIFY,
    VALID,
    active,
    encode,
    has_crc,
    is_valid,
    slot_of,
)
from ota.port import Port

BLANK = b"\xff" * 32
OTA_0 = 0x10


class App:
    """A partition of the type app."""

    def __init__(self, subtype):
        self.subtype = subtype

    def info(self):
        return (0, self.subtype, 0, 0, "app", False)


class Partitions:
    """`esp32.Partition` with OTA slots and an otadata partition."""

    TYPE_APP, TYPE_DATA, RUNNING = 0, 1, 1

    def __init__(self, slots, data):
        self.apps = [App(OTA_0 + i) for i in range(slots)]
        self.data = data

    def find(self, kind=0, subtype=255, label=None):
        if kind == self.TYPE_DATA:
            assert subtype == 0
            return [self.data]
        return [app for app in self.apps if subtype in (255, app.subtype)]


class Board:
    """A board in RAM.

    Attributes:
        data: its otadata partition, with the rules of flash.
    """

    def __init__(self, first, second, slots=2):
        self.data = RamSlot(8192)
        self.data.data[:32] = first
        self.data.data[4096:4128] = second
        self.Partition = Partitions(slots, self.data)

    def port(self):
        return Port(self, object())

    def entries(self):
        return bytes(self.data.data[:32]), bytes(self.data.data[4096:4128])


STARTS = (
    # Both records, and which of them is written.
    (BLANK, BLANK, 0),
    (encode(1, VALID), BLANK, 1),
    (BLANK, encode(2, VALID), 0),
    (encode(1, VALID), encode(2, VALID), 0),
    (encode(3, VALID), encode(2, VALID), 1),
    (encode(1, VALID), encode(2, NEW), 0),
    (encode(1, VALID), encode(2, PENDING_VERIFY), 0),
    (encode(1, VALID), encode(2, INVALID), 1),
    (encode(1, VALID)[:28] + bytes(4), encode(2, VALID), 0),
    (bytes(32), bytes(32), 0),
)


def others(first, second, slots=2):
    """Slots that are not selected already: nobody selects those."""
    index = active((first, second))
    named = slot_of((first, second)[index], slots) if index >= 0 else -1
    return [slot for slot in range(slots) if slot != named]


def test_the_record_that_does_not_decide_is_erased_then_state_and_crc_then_seq():
    for first, second, index in STARTS:
        for slot in others(first, second):
            board = Board(first, second)
            board.port().select(slot)
            at = 4096 * index
            written = [("erase", at, 4096), ("program", at + 24, 8), ("program", at, 4)]
            if has_crc((first, second)[index]):  # half erased it must not come to life again
                written.insert(0, ("program", at + 28, 4))
            assert board.data.log == written
            assert board.entries()[1 - index] == (first, second)[1 - index]


def test_the_record_names_the_slot_decides_and_has_its_state():
    for slots in (2, 3, 16):
        for first, second, index in STARTS:
            for slot in others(first, second, slots):
                for state in (NEW, VALID):
                    board = Board(first, second, slots)
                    board.port().select(slot, state)
                    entries = board.entries()
                    assert active(entries) == index
                    assert slot_of(entries[index], slots) == slot
                    assert entries[index][24:28] == bytes((state, 0, 0, 0))
                    assert entries[index][4:24] == b"\xff" * 20


def test_a_slot_that_is_selected_goes_on_trial_unless_said_otherwise():
    board = Board(encode(1, VALID), BLANK)
    board.port().select(1)
    assert board.entries() == (encode(1, VALID), encode(2, NEW))


def test_a_slot_that_is_selected_already_gets_a_record_that_decides():
    for slots in (2, 3):
        board = Board(encode(1, VALID), BLANK, slots)
        board.port().select(0)
        assert board.entries() == (encode(1, VALID), encode(1 + slots, NEW))


def test_a_cut_leaves_the_old_selection_or_the_new_record():
    for first, second, index in STARTS:
        slot = others(first, second)[0]
        for state in (NEW, VALID):
            whole = Board(first, second)
            whole.port().select(slot, state)
            for cut in range(len(whole.data.log)):
                board = Board(first, second)
                board.data.cut_after = cut
                raises(PowerCut, board.port().select, slot, state)
                entries = board.entries()
                assert entries[1 - index] == (first, second)[1 - index]
                # RamSlot does half of an operation: of an erase that is the whole record.
                assert entries == whole.entries() or not is_valid(entries[index]), (cut, state)
                if entries != whole.entries():
                    assert active(entries) == active((first, second)), (cut, state)


def test_a_seq_that_is_programmed_by_half_or_bit_by_bit_is_no_record():
    # The seq comes last: whatever part of its bits is there, the crc is that of all of them.
    good = encode(6, NEW)
    for mask in range(256):
        for at in range(4):
            torn = bytearray(good)
            torn[at] |= mask
            assert is_valid(torn) == (bytes(torn) == good), (at, mask)


class Worn(RamSlot):
    """otadata whose operation of this number changes nothing, or one bit less; counted from 0."""

    def __init__(self, source, number, sticks):
        super().__init__(8192)
        self.data[:] = source.data
        self.number = number
        self.sticks = sticks

    def writeblocks(self, block, buf, offset=None):
        if len(self.log) == self.number:
            self.log.append(("worn", block, len(buf)))
            if self.sticks:
                self.data[block * 4096 + offset : block * 4096 + offset + len(buf)] = buf
                self.data[block * 4096 + offset] |= 0x80
            return
        RamSlot.writeblocks(self, block, buf, offset)


def test_a_record_that_does_not_read_back_is_no_activation():
    for number in (1, 2):
        for sticks in (False, True):
            board = Board(encode(1, VALID), BLANK)
            board.data = Worn(board.data, number, sticks)
            board.Partition.data = board.data
            assert code_of(board.port().select, 1) == "not-activated", (number, sticks)
            assert len(board.data.log) == 3


class Deaf(RamSlot):
    """otadata that does not let itself be erased: what is programmed falls on what was there."""

    def ioctl(self, op, arg=0):
        self.log.append(("ignored", arg, op))

    def writeblocks(self, block, buf, offset=None):
        for i in range(len(buf)):
            self.data[block * 4096 + offset + i] &= buf[i]


def test_a_record_that_was_not_erased_is_no_activation():
    board = Board(encode(1, VALID), encode(2, VALID))
    deaf = Deaf(8192)
    deaf.data[:] = board.data.data
    board.data = board.Partition.data = deaf
    assert code_of(board.port().select, 0) == "not-activated"
    assert deaf.log == [("ignored", 0, 6)]


class Dead(RamSlot):
    """otadata in which the operation of this number fails, counted from 0."""

    number = 0

    def writeblocks(self, block, buf, offset=None):
        self._fail()
        RamSlot.writeblocks(self, block, buf, offset)

    def ioctl(self, op, arg=0):
        self._fail()
        return RamSlot.ioctl(self, op, arg)

    def _fail(self):
        if len(self.log) == self.number:
            raise OSError(-1, "ESP_FAIL")


def test_flash_that_fails_is_an_error_and_the_old_selection_stays():
    for number in range(3):
        board = Board(encode(1, VALID), BLANK)
        dead = Dead(8192)
        dead.number = number
        dead.data[:] = board.data.data
        board.data = board.Partition.data = dead
        assert code_of(board.port().select, 1) == "flash", number
        entries = board.entries()
        assert active(entries) == 0 and slot_of(entries[0], 2) == 0


def test_without_slots_or_otadata_nothing_is_selected():
    assert code_of(Board(BLANK, BLANK, 1).port().select, 0) == "no-slots"
    board = Board(BLANK, BLANK)
    board.Partition.find = lambda kind=0, subtype=255, label=None: []
    assert code_of(board.port().select, 0) in ("no-slots", "no-otadata")


def test_a_factory_image_is_an_app_beside_the_slots():
    board = Board(BLANK, BLANK)
    assert not board.port().has_factory()
    board.Partition.apps.append(App(0))
    assert board.port().has_factory()
    assert len(board.port().slots()) == 2
