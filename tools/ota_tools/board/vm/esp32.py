"""`esp32` of the ESP32 port: Partition and NVS, over the board's model.

Source: esp32_partition.c, esp32_nvs.c; results as measured on v1.25.0 (docs/board.md).
"""

from link import call

HEAP_DATA = 4
HEAP_EXEC = 1

_EINVAL = -22


class Partition:
    """A flash partition as a block device; see MicroPython's documentation of esp32.Partition."""

    TYPE_APP = 0
    TYPE_DATA = 1
    BOOT = 0
    RUNNING = 1

    def __init__(self, id, *rest, **names):
        # Positional only, as the C code has it.
        if names:
            raise TypeError("function doesn't take keyword arguments")
        block_size = rest[0] if rest else 4096
        _info = rest[1] if len(rest) > 1 else None
        if _info is None:
            if isinstance(id, str):
                _info = call("named", id)
            elif id == 0:
                _info = call("boot")
            elif id == 1:
                _info = call("running")
            else:
                raise ValueError
        self._about = tuple(_info)
        self._bs = block_size

    @classmethod
    def find(cls, type=0, subtype=0xFF, label=None, block_size=4096):
        return [cls(0, block_size, info) for info in call("find", type, subtype, label)]

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        call("mark_valid")

    def __repr__(self):
        return "<Partition type=%d, subtype=%d, address=%d, size=%d, label=%s, encrypted=%d>" % (
            self._about
        )

    def info(self):
        return self._about

    def readblocks(self, block, buf, offset=0):
        if isinstance(buf, bytes):
            raise TypeError("object with buffer protocol required")
        call("read", self._about[4], block * self._bs + offset, len(buf), into=buf)

    def writeblocks(self, block, buf, offset=None):
        name = self._about[4]
        if offset is not None:
            call("program", name, block * self._bs + offset, data=buf)
        elif self._bs >= 4096:
            call("erase", name, block * self._bs, len(buf))
            call("program", name, block * self._bs, data=buf)
        else:
            self._rewrite(name, block * self._bs, buf)

    def _rewrite(self, name, start, buf):
        # Blocks smaller than a sector: read, change, erase, write, sector by sector.
        done = 0
        while done < len(buf):
            at = start + done
            base = at // 4096 * 4096
            n = min(len(buf) - done, 4096 - (at - base))
            sector = bytearray(4096)
            call("read", name, base, 4096, into=sector)
            sector[at - base : at - base + n] = buf[done : done + n]
            call("erase", name, base, 4096)
            call("program", name, base, data=sector)
            done += n

    def ioctl(self, op, arg=0):
        if op in (1, 2, 3):
            return 0
        if op == 4:
            return self._about[3] // self._bs
        if op == 5:
            return self._bs
        if op == 6:
            if self._bs != 4096:
                return _EINVAL
            return call("erase", self._about[4], arg * 4096, 4096)
        return None

    def set_boot(self):
        call("set_boot", self._about[4])

    def get_next_update(self):
        return Partition(0, 4096, call("next", self._about[4]))


class NVS:
    """Non-volatile storage: integers and blobs by namespace and key."""

    def __init__(self, namespace):
        _check_name(namespace)
        self._space = namespace

    def set_i32(self, key, value):
        _check_name(key)
        call("nvs_set", self._space, key, value)

    def get_i32(self, key):
        return call("nvs_int", self._space, key)

    def set_blob(self, key, value):
        _check_name(key)
        call("nvs_set", self._space, key, None, data=bytes(value))

    def get_blob(self, key, buf):
        return call("nvs_blob", self._space, key, len(buf), into=buf)

    def erase_key(self, key):
        call("nvs_erase", self._space, key)

    def commit(self):
        pass


def _check_name(name):
    if not 1 <= len(name) <= 15:
        raise OSError(-4361, "ESP_ERR_NVS_KEY_TOO_LONG")


def idf_heap_info(capabilities):
    """One tuple per region: total, free, largest free piece, least that was ever free."""
    return [tuple(region) for region in call("idf_heap")]
