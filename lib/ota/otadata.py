"""otadata: the two records by which the ESP-IDF bootloader chooses a slot.

Layer 1, pure. The device library, the virtual bootloader and the host tools read records here, so
there is one idea of what boots. Each record is the first 32 bytes of one 4096-byte sector:

    0   u32  seq     0xFFFFFFFF: empty
    4   20   label   unused, 0xFF
    24  u32  state   not covered by the crc
    28  u32  crc     CRC-32 over the four bytes of seq, start value 0xFFFFFFFF

Little-endian. Source: esp_ota_select_entry_t (esp_flash_partitions.h) and
bootloader_common_loader.c, ESP-IDF 5.x; bytes compared with official firmware (docs/board.md).
"""

import binascii
import struct

from micropython import const

ENTRY_SIZE = const(32)
SECTOR = const(4096)

NEW = const(0)
PENDING_VERIFY = const(1)
VALID = const(2)
INVALID = const(3)
ABORTED = const(4)
UNDEFINED = const(0xFFFFFFFF)

STATE_NAMES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED")

_EMPTY = const(0xFFFFFFFF)
CRC_OFFSET = const(28)
STATE_OFFSET = const(24)


def seq_crc(seq: int) -> int:
    """The crc field that belongs to a seq."""
    return binascii.crc32(struct.pack("<I", seq), 0xFFFFFFFF)


def encode(seq: int, state: int) -> bytes:
    """A whole record of 32 bytes."""
    return struct.pack("<I20sII", seq, b"\xff" * 20, state, seq_crc(seq))


def seq_of(entry) -> int:
    """The seq field of a record, whether it is valid or not."""
    return struct.unpack_from("<I", entry, 0)[0]


def state_of(entry) -> int:
    """The state field of a record, whether it is valid or not."""
    return struct.unpack_from("<I", entry, STATE_OFFSET)[0]


def is_invalid(entry) -> bool:
    """Empty, or given up by the bootloader. Says nothing of the crc."""
    return seq_of(entry) == _EMPTY or state_of(entry) in (INVALID, ABORTED)


def is_valid(entry) -> bool:
    """A record that may choose the slot. An unknown state counts as bootable, as in ESP-IDF."""
    return not is_invalid(entry) and has_crc(entry)


def has_crc(entry) -> bool:
    """Is the crc that of the seq?"""
    return struct.unpack_from("<I", entry, CRC_OFFSET)[0] == seq_crc(seq_of(entry))


def active(entries) -> int:
    """Index of the record that decides: 0 or 1, the higher seq of two valid ones; -1 for none."""
    first, second = is_valid(entries[0]), is_valid(entries[1])
    if first and second:
        return 0 if seq_of(entries[0]) >= seq_of(entries[1]) else 1
    if first:
        return 0
    return 1 if second else -1


def slot_of(entry, slots: int) -> int:
    """Slot index that a record names, among `slots` OTA slots."""
    return ((seq_of(entry) - 1) & 0xFFFFFFFF) % slots


def next_seq(entries, slot: int, slots: int) -> int:
    """The seq that makes `slot` win: the smallest one not below the active record's."""
    index = active(entries)
    seq = slot + 1
    if index >= 0:
        current = seq_of(entries[index])
        seq += (max(current - seq, 0) + slots - 1) // slots * slots
    return seq


def describe(entry) -> str:
    """For people: `2 PENDING_VERIFY`, `blank`, `crc wrong`."""
    if seq_of(entry) == _EMPTY:
        return "blank"
    state = state_of(entry)
    name = STATE_NAMES[state] if state < len(STATE_NAMES) else "UNDEFINED"
    text = "%d %s" % (seq_of(entry), name)
    return text if has_crc(entry) else text + " crc wrong"
