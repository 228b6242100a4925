"""The chip as every start of the board reads it: slots, running slot, otadata, NVS.

Layer 3; with `port` the only importer of `esp32` and `machine`. Every boot pays for this module, so
it imports nothing else and judges nothing: `port` does. OSError comes through.
"""

from micropython import const

_OTA_0 = const(0x10)
_OTA_LAST = const(0x1F)
_DATA_OTA = const(0)
_NO_BLOB = (-4354, -4364)  # ESP_ERR_NVS_NOT_FOUND, ESP_ERR_NVS_INVALID_LENGTH

# machine.reset_cause() on the ESP32: power-on and brown-out 1, software reset and panic 2,
# watchdog 3, deep sleep 4, soft reset 5 (modmachine.c, seen on v1.25.0).
POWER_ON = const(1)
HARD = const(2)
WATCHDOG = const(3)
DEEP_SLEEP = const(4)
SOFT = const(5)


class Chip:
    """Reads, and counts crashes. Slots are found by type and subtype, never by label.

    Args:
        esp32, machine: modules; by default the board's own.
        root: folder that stands for `/`, for tests on the host.
    """

    def __init__(self, esp32=None, machine=None, root: str = "") -> None:
        if esp32 is None:
            import esp32
            import machine
        self._esp32 = esp32
        self._machine = machine
        self._root = root

    def find_slots(self) -> dict:
        """Index -> OTA slot, as a partition of 4096-byte blocks; whatever the table has."""
        partition = self._esp32.Partition
        found = {}
        for part in partition.find(partition.TYPE_APP):
            subtype = part.info()[1]
            if _OTA_0 <= subtype <= _OTA_LAST:
                found[subtype - _OTA_0] = part
        return found

    def running(self) -> int:
        """Index of the running slot, -1 for a factory image."""
        partition = self._esp32.Partition
        subtype = partition(partition.RUNNING).info()[1]
        return subtype - _OTA_0 if _OTA_0 <= subtype <= _OTA_LAST else -1

    def find_otadata(self) -> list:
        """The otadata partition in a list, which is empty where the table has none."""
        partition = self._esp32.Partition
        return partition.find(partition.TYPE_DATA, subtype=_DATA_OTA)

    def nvs_read(self, key: str, buf: bytearray) -> int:
        """Bytes of the blob read into `buf`, 0 where there is none that fits. OSError comes through."""
        try:
            return self._esp32.NVS("ota").get_blob(key, buf)
        except OSError as e:
            if e.errno in _NO_BLOB:
                return 0
            raise

    def nvs_store(self, key: str, blob: bytes) -> None:
        """Write a blob."""
        nvs = self._esp32.NVS("ota")
        nvs.set_blob(key, blob)
        nvs.commit()

    def reset_cause(self) -> int:
        """`POWER_ON`, `HARD`, `WATCHDOG`, `DEEP_SLEEP` or `SOFT`."""
        return self._machine.reset_cause()
