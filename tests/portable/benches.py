"""Boards on a bench: ports with records and a journal, and slots in RAM."""

from fakes import RamSlot, make_release, scratch

import ota.recovery
from ota.chip import POWER_ON
from ota.errors import error
from ota.journal import SIZE, TRIAL, Journal, decode, encode
from ota.otadata import NEW, PENDING_VERIFY, STATE_NAMES, VALID, active, next_seq, seq_of
from ota.otadata import encode as entry
from ota.port import Port
from ota.receipt import FILE, Receipt, save_receipts
from ota.start import boot

OTA_0 = 0x10


class Part:
    """A partition as `esp32.Partition` gives it."""

    TYPE_APP, TYPE_DATA, BOOT, RUNNING = 0, 1, 0, 1

    def __init__(self, subtype, data=b""):
        self.subtype = subtype
        self.data = data

    def info(self):
        return (0, self.subtype, 0, len(self.data), "part", False)

    def readblocks(self, block, buf, offset=0):
        buf[:] = self.data[block * 4096 + offset : block * 4096 + offset + len(buf)]


class Partitions:
    """`esp32.Partition` with these slots, running the first one; `data` under any other question."""

    TYPE_APP, TYPE_DATA, BOOT, RUNNING = 0, 1, 0, 1

    def __init__(self, apps, data=()):
        self.apps = apps
        self.data = data

    def __call__(self, which):
        return self.apps[0]

    def find(self, kind=0, subtype=255, label=None):
        return list(self.apps if kind == self.TYPE_APP else self.data)

    def mark_app_valid_cancel_rollback(self):
        raise OSError(-1, "ESP_FAIL")


class Forgetful:
    """NVS that takes everything and keeps something else."""

    def __init__(self, namespace):
        pass

    def set_blob(self, key, blob):
        pass

    def commit(self):
        pass

    def get_blob(self, key, buf):
        return len(buf)


class Board:
    """The module `esp32`."""

    NVS = Forgetful

    def __init__(self, apps, data=()):
        self.Partition = Partitions(apps, data)


class Reset(BaseException):
    """The board resets: nothing goes on after that."""


class Bench(Port):
    """Two slots, otadata and a journal in RAM. `log`: what was done to the board."""

    def __init__(self, running, first, second, cause=POWER_ON, **journal):
        super().__init__(Board([]), object())
        self.index = running
        self.entries = [first, second]
        self.cause = cause
        self.log = []
        self.marks = True
        kept = Journal()
        for name in journal:
            setattr(kept, name, journal[name])
        self.record = encode(kept)

    def slots(self):
        return [Part(OTA_0), Part(OTA_0 + 1)]

    def running(self):
        return self.index

    def otadata(self):
        return self.entries

    def journal(self):
        return decode(self.record)

    def nvs_read(self, key, buf):
        if key != "journal":
            return 0
        buf[:] = self.record
        return SIZE

    def nvs_write(self, key, blob):
        if key == "journal":
            self.record = blob

    def select(self, slot, state=NEW):
        self.log.append("select %d %s" % (slot, STATE_NAMES[state]))
        index = 1 if active(self.entries) == 0 else 0
        self.entries[index] = entry(next_seq(self.entries, slot, 2), state)

    def drop_entry(self, index):
        self.log.append("drop %d" % index)
        self.entries[index] = bytes(self.entries[index][:28]) + bytes(4)

    def mark_valid(self):
        self.log.append("mark in state %d" % self.journal().state)
        if self.marks:
            index = active(self.entries)
            self.entries[index] = entry(seq_of(self.entries[index]), VALID)

    def watchdog(self, seconds):
        self.log.append("watchdog")

    def park_watchdog(self):
        self.log.append("park")

    def reset_cause(self):
        return self.cause

    def reset(self):
        self.log.append("reset")
        raise Reset


OLD = entry(1, VALID)  # slot 0
BLANK = b"\xff" * 32


def booted(bench):
    """What boot() did."""
    ota.recovery.fault = ""
    try:
        boot(300, port=bench)
    except Reset:
        pass
    assert ota.recovery.fault == ""
    return bench.log


def on_trial(**journal):
    """A board whose slot 1 is on trial."""
    new = entry(2, PENDING_VERIFY)
    return Bench(1, OLD, new, slot=1, state=TRIAL, **journal)


class Shelf(Bench):
    """A bench whose slots can be written and selected."""

    def __init__(self, *args, **journal):
        super().__init__(*args, **journal)
        self._root = scratch()
        self.parts = [RamSlot(), RamSlot()]
        self.selects = True
        self.seconds = 1790000000
        self.made = 0

    def slots(self):
        return self.parts

    def chip_id(self):
        return 0

    def clock_is_set(self):
        return True

    def check_file_system(self):
        pass

    def now(self):
        return self.seconds

    def built(self):
        return self.made

    def device_id(self):
        return b"bench"

    def select(self, slot, state=NEW):
        if not self.selects:
            self.log.append("select")
            raise error("not-activated", "does not read back")
        Bench.select(self, slot, state)


def received(shelf, slot, image, digest=b""):
    """The slot holds this image, and its receipt says so, or what `digest` says."""
    shelf.parts[slot].data[: len(image)] = image
    release = make_release(image)
    save_receipts(shelf.path(FILE), {slot: Receipt(digest or release.sha256, len(image), "1", 1)})
    return release.sha256
