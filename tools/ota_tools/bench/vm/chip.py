"""`esp32` and `machine` in RAM, for the library alone: what `Port` calls and no more.

Two slots, otadata, NVS. The library gets a `Chip` for both modules; `install` makes it importable.
"""

import binascii
import struct
import sys

from ram import SECTOR, RamPart


class Reset(BaseException):
    """The chip resets; nothing of the library may catch it."""


class _Partitions:
    # The class esp32.Partition; calling it gives the running slot.
    TYPE_APP = 0
    TYPE_DATA = 1
    BOOT = 0
    RUNNING = 1

    def __init__(self, size, part):
        self.slots = []
        for index in range(2):
            # The running slot is read only for the chip id, unless a rollback looks at it.
            room = size if index else 65536
            made = part if index else RamPart
            self.slots.append(made(room, (0, 16 + index, 0, room, "ota_%d" % index, False)))
        self.otadata = part(2 * SECTOR, (1, 0, 0, 2 * SECTOR, "otadata", False))
        self.running = self.slots[0]

    def __call__(self, which):
        return self.running

    def find(self, kind, subtype=255, label=None):
        if kind == 0:
            return [slot for slot in self.slots if subtype in (255, slot.info()[1])]
        return [self.otadata] if subtype == 0 else []

    def mark_app_valid_cancel_rollback(self):
        self.otadata.writeblocks(0, struct.pack("<I", 2), 24)


class Chip:
    """Both modules at once.

    Attributes:
        Partition: as in `esp32`; its `slots` are RamParts.
        largest: bytes of the largest free piece of the ESP-IDF heap, as the virtual board has it.
    """

    HEAP_DATA = 4

    def __init__(self, size, state=2, part=RamPart):
        """Args:
        size: bytes of the slot that an update goes to.
        state: of the otadata record that names the running slot: 2 valid, 1 pending verify.
        part: what that slot is, and otadata.
        """
        self.Partition = _Partitions(size, part)
        self._blobs = {}
        self.largest = 28672
        self._record(0, 1, state)

    def _record(self, index, number, state):
        seq = struct.pack("<I", number)
        crc = binascii.crc32(seq, 0xFFFFFFFF)
        record = seq + b"\xff" * 20 + struct.pack("<II", state, crc)
        self.Partition.otadata.writeblocks(index, record)

    def stand_by(self):
        """A valid record for the other slot, in second place: there is somewhere to go back to."""
        self._record(1, 3, 2)
        self._record(0, 2, 2)

    def install(self):
        """Let `import esp32` and `import machine` find this chip."""
        sys.modules["esp32"] = self
        sys.modules["machine"] = self

    def forget(self):
        """Blank NVS."""
        self._blobs.clear()

    def idf_heap_info(self, capabilities):
        return [(4 * self.largest, 2 * self.largest, self.largest, self.largest)]

    # esp32.NVS

    def NVS(self, namespace):  # noqa: N802 - the name of the class
        return self

    def set_blob(self, key, value):
        self._blobs[key] = bytes(value)

    def get_blob(self, key, buf):
        blob = self._blobs.get(key)
        if blob is None:
            raise OSError(-4354)
        buf[: len(blob)] = blob
        return len(blob)

    def commit(self):
        pass

    # machine

    def unique_id(self):
        return b"\x24\x0a\xc4\x00\x00\x01"

    def reset_cause(self):
        return 1

    def reset(self):
        raise Reset

    def WDT(self, id=0, timeout=0):  # noqa: N802
        return self
