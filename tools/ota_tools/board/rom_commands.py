"""What the ROM of a virtual board answers in serial download mode; no line here, `board.rom` has it.

What the chip is, its registers and magic numbers, comes from esptool's own class of it.

Rule: stricter than a chip, never kinder. What is unaligned, out of range, out of sequence, beyond
what a begin erased, or wrong by its checksum gets an error status and changes nothing; a frame that
is none gets no answer. There is no memory to load a program into: esptool takes `--no-stub`.

Here: SYNC, READ_REG, WRITE_REG, GET_SECURITY_INFO, SPI_ATTACH, SPI_SET_PARAMS, CHANGE_BAUDRATE,
FLASH_BEGIN/DATA/END, FLASH_DEFL_BEGIN/DATA/END, SPI_FLASH_MD5, READ_FLASH_SLOW, and of the flash
chip's own commands those that read its id, its status and SFDP. A register that nobody set reads 0.

Source: esptool's documentation, "Serial Protocol"; ESPLoader and FatalError.WithResult of 5.6.0.
"""

import functools
import hashlib
import operator
import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from esptool.targets import CHIP_DEFS

from ota_tools.board.flash import SECTOR, Flash
from ota_tools.failures import Refused
from ota_tools.firmware import chip_name

# Error statuses.
INVALID, FAILED, CHECKSUM, WRITE, READ, READ_LENGTH, DEFLATE = 5, 6, 7, 8, 9, 10, 11

LARGEST_BLOCK = 0x4000
"""Bytes in one FLASH_DATA; the ROM is sent 0x400, the stub 0x4000."""

FIRST_LIMIT = 2 << 20
"""Flash beyond it is out of reach until SPI_SET_PARAMS says how large the chip is."""

SIZES = [1 << bits for bits in range(20, 28)]
"""Flash sizes that a chip's JEDEC id can tell and esptool knows: 1 to 128 MiB."""

_SYNC, _DEFL_BEGIN = 0x08, 0x10
_HELLO = b"\x07\x07\x12\x20" + 32 * b"\x55"
_SPI_USER, _SPI_MISO = 1 << 18, 1 << 28
_BAUD = 115200
_XTAL_HZ = 40_000_000

# Registers of the eFuses that say the revision, as (word of block 1, bits): v0.4 of a C3 and so on,
# so that images which ask for a revision are taken.
_REVISIONS = {
    "esp32s2": {3: 1 << 18},  # v1.0
    "esp32s3": {3: 2 << 18},  # v0.2
    "esp32c3": {3: 4 << 18},  # v0.4
    "esp32c6": {3: 1 << 18},  # v0.1
}


class _Status(Exception):
    # The command failed; the first argument is the code.
    pass


class _Request(NamedTuple):
    op: int
    fields: tuple[int, ...]  # of the command's layout; empty where it has none
    body: bytes
    checksum: int


@dataclass
class _Write:
    # What a begin allowed: blocks of `op`, written from `at` on, never from `end` on.
    op: int
    blocks: int
    block_size: int
    at: int
    end: int
    inflate: Any = None
    sequence: int = 0


class Rom:
    """A chip in download mode.

    Attributes:
        registers: address -> 32 bits, as far as set.
        jedec: the three bytes of the flash chip's id, manufacturer lowest.
        security: flags, and the count of flash encryption, of GET_SECURITY_INFO.
        left: it runs what is in flash and answers nothing any more.
    """

    def __init__(self, chip_id: int, flash: Flash, mac: bytes) -> None:
        """`chip_id` as in an image's header, `mac` of 6 bytes. Raises Refused for an unknown chip."""
        self.name = chip_name(chip_id)
        if self.name not in CHIP_DEFS:
            raise Refused(f"{self.name} is no chip that esptool knows")
        self._chip: Any = CHIP_DEFS[self.name]
        self._flash = flash
        known = flash.size.bit_length() - 1 if flash.size in SIZES else 0
        self.jedec = known << 16 | 0x40EF
        self.security = (0, 0)
        self.registers = _fuses(self.name, self._chip, mac)
        self.left = False
        self._attached = False
        self._limit = min(FIRST_LIMIT, flash.size)
        self._write: _Write | None = None

    def answer(self, frame: bytes) -> list[bytes]:
        """The answers to one frame, both without SLIP; none for what is no request."""
        if self.left or len(frame) < 8 or frame[0] != 0:
            return []
        op, size, checksum = struct.unpack_from("<xBHI", frame)
        body = frame[8:]
        value, data, status = 0, b"", bytes(4)
        try:
            if size != len(body) or op not in _COMMANDS:
                raise _Status(INVALID)
            command, *layouts = _COMMANDS[op]
            request = _Request(op, self._fields(body, layouts), body, checksum)
            value, data = command(self, request)
        except _Status as e:
            status = bytes((1, e.args[0], 0, 0))
        head = struct.pack("<BBHI", 1, op, len(data) + len(status), value)
        return [head + data + status] * (8 if op == _SYNC and not status[0] else 1)

    def _fields(self, body: bytes, layouts: list[str]) -> tuple[int, ...]:
        # The plain ESP32 has the first layout, later chips the last.
        if not layouts:
            return ()
        layout = layouts[0 if self.name == "esp32" else -1]
        if len(body) != struct.calcsize(layout):
            raise _Status(INVALID)
        return struct.unpack(layout, body)

    # What the commands do: (value, data)

    def _sync(self, request: _Request) -> tuple[int, bytes]:
        if request.body != _HELLO:
            raise _Status(INVALID)
        return 0x20120707, b""

    def _read_reg(self, request: _Request) -> tuple[int, bytes]:
        if request.fields[0] % 4:
            raise _Status(INVALID)
        return self.registers.get(request.fields[0], 0), b""

    def _write_reg(self, request: _Request) -> tuple[int, bytes]:
        if not request.body or len(request.body) % 16:
            raise _Status(INVALID)
        for address, value, mask, _ in struct.iter_unpack("<4I", request.body):
            self._set(address, value, mask)
        return 0, b""

    def _set(self, address: int, value: int, mask: int) -> None:
        # Only the flash's controller keeps what is written; eFuses and the rest do not change here.
        base = self._chip.SPI_REG_BASE
        if address % 4 or not base <= address < base + 0x100:
            return
        old = self.registers.get(address, 0)
        self.registers[address] = old & ~mask | value & mask
        if address == base and self.registers[address] & _SPI_USER:
            self.registers[address] &= ~_SPI_USER
            self.registers[base + self._chip.SPI_W0_OFFS] = self._ask_flash_chip()

    def _ask_flash_chip(self) -> int:
        chip, base = self._chip, self._chip.SPI_REG_BASE

        def register(offset: int) -> int:
            return self.registers.get(base + offset, 0)

        if not register(chip.SPI_USR_OFFS) & _SPI_MISO:
            return 0
        mask = (2 << (register(chip.SPI_MISO_DLEN_OFFS) & 31)) - 1
        if not self._attached:
            return mask
        address = register(0x04) >> (8 if chip.SPI_ADDR_REG_MSB else 0) & 0xFFFFFF
        sfdp = (b"SFDP" + b"\xff" * 4)[min(address, 4) :]
        found = {0x9F: self.jedec, 0x5A: int.from_bytes(sfdp[:4], "little")}
        found |= dict.fromkeys((0x05, 0x35, 0x15), 0)
        return found.get(register(chip.SPI_USR2_OFFS) & 0xFF, mask) & mask

    def _security_info(self, request: _Request) -> tuple[int, bytes]:
        if self.name == "esp32":
            raise _Status(INVALID)
        info = struct.pack("<IB7x", *self.security)
        if self.name != "esp32s2":
            info += struct.pack("<II", self._chip.IMAGE_CHIP_ID, 0)
        return 0, info

    def _attach(self, request: _Request) -> tuple[int, bytes]:
        self._attached = True
        return 0, b""

    def _set_params(self, request: _Request) -> tuple[int, bytes]:
        self._limit = min(request.fields[1], self._flash.size)
        return 0, b""

    def _change_baud(self, request: _Request) -> tuple[int, bytes]:
        if not request.fields[0]:
            raise _Status(INVALID)
        return 0, b""

    def _begin(self, request: _Request) -> tuple[int, bytes]:
        size, blocks, block_size, offset, *encrypted = request.fields
        self._write = None
        end = offset + -(-size // SECTOR) * SECTOR
        wrong = offset % SECTOR or not 0 < block_size <= LARGEST_BLOCK or any(encrypted)
        if wrong or not self._attached or end > self._limit:
            raise _Status(FAILED)
        self._flash.erase(offset, end - offset)
        inflate = zlib.decompressobj() if request.op == _DEFL_BEGIN else None
        self._write = _Write(request.op + 1, blocks, block_size, offset, end, inflate)
        return 0, b""

    def _data(self, request: _Request) -> tuple[int, bytes]:
        begun = self._write
        if begun is None or begun.op != request.op:
            raise _Status(FAILED)
        head, data = request.body[:16], request.body[16:]
        if not data:
            raise _Status(INVALID)
        size, sequence, *_ = struct.unpack("<4I", head)
        if size != len(data):
            raise _Status(INVALID)
        if request.checksum != functools.reduce(operator.xor, data, 0xEF):
            raise _Status(CHECKSUM)
        if sequence != begun.sequence or sequence >= begun.blocks or size > begun.block_size:
            raise _Status(FAILED)
        content = self._inflated(begun, data) if begun.inflate else data
        if begun.at + len(content) > begun.end:
            raise _Status(WRITE)
        if content:
            self._flash.program(begun.at, content)
        begun.at += len(content)
        begun.sequence += 1
        return 0, b""

    def _inflated(self, begun: _Write, data: bytes) -> bytes:
        # Nothing can follow a stream that is wrong: its beginning is needed for the rest.
        room = begun.end - begun.at
        self._write = None
        try:
            content: bytes = begun.inflate.decompress(data, room + 1)
        except zlib.error:
            raise _Status(DEFLATE) from None
        if len(content) > room or begun.inflate.unused_data:
            raise _Status(DEFLATE)
        self._write = begun
        return content

    def _end(self, request: _Request) -> tuple[int, bytes]:
        if self._write is None or self._write.op != request.op - 1:
            raise _Status(FAILED)
        self._write = None
        self.left = True
        return 0, b""

    def _md5(self, request: _Request) -> tuple[int, bytes]:
        found = self._read(request.fields[0], request.fields[1])
        return 0, hashlib.md5(found).hexdigest().encode()  # noqa: S324 the protocol's

    def _read_slow(self, request: _Request) -> tuple[int, bytes]:
        if request.fields[1] > 64:
            raise _Status(READ_LENGTH)
        return 0, self._read(*request.fields).ljust(64, b"\0")

    def _read(self, offset: int, size: int) -> bytes:
        if not self._attached or offset + size > self._limit:
            raise _Status(READ)
        return self._flash.read(offset, size)


_COMMANDS: dict[int, tuple[Any, ...]] = {
    # number: what is done, layout of the request on ESP32 and on later chips
    0x02: (Rom._begin, "<4I", "<5I"),
    0x03: (Rom._data,),
    0x04: (Rom._end, "<I"),
    _SYNC: (Rom._sync,),
    0x09: (Rom._write_reg,),
    0x0A: (Rom._read_reg, "<I"),
    0x0B: (Rom._set_params, "<6I"),
    0x0D: (Rom._attach, "<II"),
    0x0E: (Rom._read_slow, "<II"),
    0x0F: (Rom._change_baud, "<II"),
    _DEFL_BEGIN: (Rom._begin, "<4I", "<5I"),
    0x11: (Rom._data,),
    0x12: (Rom._end, "<I"),
    0x13: (Rom._md5, "<4I"),
    0x14: (Rom._security_info, "<"),
}


def _fuses(name: str, chip: Any, mac: bytes) -> dict[int, int]:
    # What a chip has in its eFuses, and the few registers by which esptool tells chip and clock.
    high, low = int.from_bytes(mac[:2], "big"), int.from_bytes(mac[2:], "big")
    divider = _XTAL_HZ * chip.XTAL_CLK_DIVIDER // _BAUD
    found = {chip.UART_CLKDIV_REG: divider}
    if chip.USES_MAGIC_VALUE:
        found[chip.CHIP_DETECT_MAGIC_REG_ADDR] = chip.MAGIC_VALUE
    if name == "esp32":  # v3.0; its 8 MHz clock and the crystal measured by it give 40 MHz
        fuse = chip.EFUSE_RD_REG_BASE
        found |= {fuse + 4: low, fuse + 8: high, fuse + 12: 1 << 15, fuse + 20: 1 << 20}
        found |= {chip.APB_CTL_DATE_ADDR: 1 << 31, fuse + 16: 128, chip.RTCCALICFG1: 800 << 7}
        return found
    found |= {chip.MAC_EFUSE_REG: low, chip.MAC_EFUSE_REG + 4: 0xFFFE << 16 | high}
    for word, bits in _REVISIONS.get(name, {}).items():
        found[chip.EFUSE_BLOCK1_ADDR + 4 * word] = bits
    return found
