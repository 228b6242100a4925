"""Requests to the ROM of a virtual board, one by one and at random: what is wrong changes nothing."""

import functools
import operator
import struct
import zlib

import pytest
from esptool.targets import CHIP_DEFS
from hypothesis import given, settings
from hypothesis import strategies as st

from ota_tools.board.flash import SECTOR, Flash
from ota_tools.board.rom_commands import (
    CHECKSUM,
    DEFLATE,
    FAILED,
    INVALID,
    READ,
    READ_LENGTH,
    SIZES,
    Rom,
)
from ota_tools.firmware import CHIPS

SIZE = 4 << 20
READ_REG, SET_PARAMS, ATTACH, READ_SLOW, SYNC = 0x0A, 0x0B, 0x0D, 0x0E, 0x08
BEGIN, DATA, END, DEFL_BEGIN, DEFL_DATA, DEFL_END = 0x02, 0x03, 0x04, 0x10, 0x11, 0x12
MD5, SECURITY, MEM_BEGIN = 0x13, 0x14, 0x05


class Chip:
    """A Rom with 4 MiB in memory, attached; requests give (status, data)."""

    def __init__(self, name="esp32", attached=True, size=SIZE):
        self.flash = Flash(bytearray(b"\xff" * size))
        self.rom = Rom(CHIPS[name].id, self.flash, bytes(6))
        if attached:
            assert self.ask(ATTACH, 0, 0) == (0, b"")
            assert self.ask(SET_PARAMS, 0, size, 0, 0, 0, 0) == (0, b"")

    def ask(self, op, *words, data=b"", checksum=0):
        return self.send(request(op, *words, data=data, checksum=checksum))

    def send(self, packet):
        answers = self.rom.answer(packet)
        assert answers
        direction, op, size = struct.unpack_from("<BBH", answers[0])
        assert (direction, op, size) == (1, packet[1], len(answers[0]) - 8)
        body, status = answers[0][8:-4], answers[0][-4:]
        assert status[0] == bool(status[1]) and status[2:] == b"\0\0"
        return status[1], body

    def block(self, sequence, data, op=DATA, wrong=0):
        checksum = functools.reduce(operator.xor, data, 0xEF) ^ wrong
        return self.ask(op, len(data), sequence, 0, 0, data=data, checksum=checksum)[0]


def request(op, *words, data=b"", checksum=0):
    body = struct.pack(f"<{len(words)}I", *words) + data
    return struct.pack("<BBHI", 0, op, len(body), checksum) + body


def test_what_was_begun_can_be_written():
    chip = Chip()
    assert chip.ask(BEGIN, 1500, 2, 1024, 0x1000)[0] == 0
    assert chip.block(0, b"a" * 1024) == 0
    assert chip.block(1, b"b" * 1024) == 0
    assert chip.flash.bytes[0x1000:0x1800] == b"a" * 1024 + b"b" * 1024


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((SECTOR, 4, 1024, 0x1001), FAILED),
        ((SECTOR, 4, 1024, SIZE), FAILED),
        ((SECTOR + 1, 5, 1024, SIZE - SECTOR), FAILED),
        ((0xFFFFFFFF, 4, 1024, 0), FAILED),
        ((SECTOR, 4, 0, 0), FAILED),
        ((SECTOR, 1, 0x4001, 0), FAILED),
        ((SECTOR, 4, 1024), INVALID),
        ((SECTOR, 4, 1024, 0, 0), INVALID),
    ],
)
@pytest.mark.parametrize("op", [BEGIN, DEFL_BEGIN])
def test_begin_that_is_wrong_erases_nothing(op, words, status):
    chip = Chip()
    chip.flash.bytes[:] = bytes(SIZE)
    assert chip.ask(op, *words)[0] == status
    assert chip.flash.operations == []
    assert chip.block(0, b"a", op + 1) == FAILED


def test_begin_of_encrypted_flash_is_refused():
    chip = Chip("esp32s3")
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 0, 1)[0] == FAILED
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 0, 0)[0] == 0


def test_begin_takes_the_place_of_another():
    chip = Chip()
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 0)[0] == 0
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 1)[0] == FAILED
    assert chip.block(0, b"a") == FAILED


def test_flash_is_out_of_reach_before_it_is_attached():
    chip = Chip(attached=False)
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 0)[0] == FAILED
    assert chip.ask(MD5, 0, 16, 0, 0)[0] == READ
    assert chip.ask(READ_SLOW, 0, 16)[0] == READ


def test_flash_beyond_2_mib_is_out_of_reach_before_its_size_is_said():
    chip = Chip(attached=False)
    chip.ask(ATTACH, 0, 0)
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 2 << 20)[0] == FAILED
    assert chip.ask(SET_PARAMS, 0, 1 << 30, 0, 0, 0, 0)[0] == 0
    assert chip.ask(BEGIN, SECTOR, 4, 1024, 2 << 20)[0] == 0
    assert chip.ask(BEGIN, SECTOR, 4, 1024, SIZE)[0] == FAILED


def test_block_that_is_wrong_changes_nothing_and_may_come_again():
    chip = Chip()
    chip.ask(BEGIN, 2048, 2, 1024, 0)
    assert chip.block(0, b"a" * 1024, wrong=1) == CHECKSUM
    assert chip.block(0, b"a" * 1024, wrong=0x100) == CHECKSUM
    assert chip.block(1, b"a" * 1024) == FAILED
    assert chip.block(0, b"a" * 1025) == FAILED
    assert chip.block(0, b"a" * 1024, op=DEFL_DATA) == FAILED
    assert chip.ask(DATA, 5, 0, 0, 0, data=b"a" * 4)[0] == INVALID
    assert chip.ask(DATA, 0, 0, 0, 0)[0] == INVALID
    assert chip.ask(DATA, 1)[0] == INVALID
    assert chip.flash.bytes[:4096] == b"\xff" * 4096
    assert chip.block(0, b"a" * 1024) == 0
    assert chip.block(0, b"a" * 1024) == FAILED
    assert chip.block(1, b"b" * 1024) == 0
    assert chip.block(2, b"c" * 1024) == FAILED


def test_nothing_is_written_beyond_what_was_erased():
    chip = Chip()
    chip.flash.bytes[SECTOR:] = bytes(SIZE - SECTOR)
    chip.ask(BEGIN, SECTOR, 99, 3000, 0)
    assert chip.block(0, b"a" * 3000) == 0
    assert chip.block(1, b"b" * 3000) != 0
    assert chip.flash.bytes[3000:SECTOR] == b"\xff" * (SECTOR - 3000)
    assert not any(chip.flash.bytes[SECTOR:])


def test_compressed_data_is_written_as_it_comes():
    chip = Chip()
    packed = zlib.compress(b"abcd" * 2048)
    chip.ask(DEFL_BEGIN, 8192, 2, 1024, 0x2000)
    half = len(packed) // 2
    assert chip.block(0, packed[:half], DEFL_DATA) == 0
    assert chip.block(1, packed[half:], DEFL_DATA) == 0
    assert chip.flash.bytes[0x2000:0x4000] == b"abcd" * 2048


@pytest.mark.parametrize(
    "packed",
    [
        b"no zlib stream",
        zlib.compress(b"\0" * (SECTOR + 1)),
        zlib.compress(b"\0" * (64 << 20))[:16384],
        zlib.compress(b"a")[:-1] + b"\0",
        zlib.compress(b"a") + b"more",
    ],
    ids=["garbage", "one byte more", "bomb", "wrong Adler-32", "bytes behind"],
)
def test_stream_that_is_wrong_ends_the_write(packed):
    chip = Chip()
    chip.flash.bytes[SECTOR:] = bytes(SIZE - SECTOR)
    chip.ask(DEFL_BEGIN, SECTOR, 2, 0x4000, 0)
    assert chip.block(0, packed, DEFL_DATA) == DEFLATE
    assert chip.block(0, zlib.compress(b"a"), DEFL_DATA) == FAILED
    assert chip.block(1, zlib.compress(b"a"), DEFL_DATA) == FAILED
    assert chip.flash.bytes[:SECTOR] == b"\xff" * SECTOR
    assert not any(chip.flash.bytes[SECTOR:])


@pytest.mark.parametrize(("begin", "end"), [(BEGIN, DEFL_END), (DEFL_BEGIN, END), (None, END)])
def test_end_of_what_was_not_begun_is_refused(begin, end):
    chip = Chip()
    if begin:
        chip.ask(begin, 0, 0, 1024, 0)
    assert chip.ask(end, 1)[0] == FAILED
    assert not chip.rom.left


@pytest.mark.parametrize(
    ("op", "words", "status"),
    [
        (MD5, (SIZE - 16, 17, 0, 0), READ),
        (MD5, (0xFFFFFFFF, 0xFFFFFFFF, 0, 0), READ),
        (MD5, (0, 16), INVALID),
        (READ_SLOW, (0, 65), READ_LENGTH),
        (READ_SLOW, (SIZE - 63, 64), READ),
        (READ_REG, (0x40001001,), INVALID),
        (READ_REG, (), INVALID),
        (SYNC, (0x20120707,), INVALID),
        (SECURITY, (), INVALID),  # the plain ESP32 has none
        (MEM_BEGIN, (1024, 1, 1024, 0x40080000), INVALID),
        (0x0F, (0, 0), INVALID),
        (0x09, (0x3FF42000, 1, 1), INVALID),
        (0xD0, (), INVALID),
        (0xFF, (), INVALID),
    ],
)
def test_other_requests_that_are_wrong_have_their_status(op, words, status):
    assert Chip().ask(op, *words) == (status, b"")


@pytest.mark.parametrize(
    "frame", [b"", b"\0\x08", request(SYNC)[:7], b"\x01" + request(READ_REG, 0)[1:]]
)
def test_frame_that_is_no_request_gets_no_answer(frame):
    assert Chip().rom.answer(frame) == []


def test_size_field_that_is_wrong_is_an_invalid_message():
    packet = bytearray(request(READ_REG, 0x40001000))
    packet[2] += 1
    assert Chip().send(bytes(packet)) == (INVALID, b"")


def test_registers_but_those_of_the_flash_chip_are_read_only():
    chip = Chip()
    for address in (0x40001000, 0x3FF5A004):
        before = Chip.ask(chip, READ_REG, address)
        assert chip.ask(0x09, address, 0, 0xFFFFFFFF, 0)[0] == 0
        assert chip.ask(READ_REG, address) == before


@pytest.mark.parametrize("name", CHIPS)
def test_every_chip_of_ours_has_a_rom(name):
    chip = Chip(name)
    if CHIP_DEFS[name].USES_MAGIC_VALUE:
        answers = chip.rom.answer(request(READ_REG, 0x40001000))
        assert struct.unpack_from("<4xI", answers[0])[0] == CHIP_DEFS[name].MAGIC_VALUE
    else:
        assert struct.unpack_from("<12xI", chip.ask(SECURITY)[1])[0] == CHIPS[name].id


def test_flash_of_a_size_that_no_chip_has_tells_none():
    assert Chip(size=3 << 20).rom.jedec >> 16 == 0
    assert [Chip(size=size).rom.jedec >> 16 for size in SIZES[:3]] == [0x14, 0x15, 0x16]


# Anything at all

WORDS = st.one_of(
    st.integers(0, 64).map(lambda n: n * SECTOR), st.integers(0, 0xFFFFFFFF), st.integers(0, 2048)
)
BODY = st.one_of(st.binary(max_size=60), st.just(zlib.compress(b"flash" * 999)))
OPS = st.one_of(
    st.sampled_from([BEGIN, DATA, DEFL_BEGIN, DEFL_DATA, MD5, READ_SLOW]), st.integers(0, 255)
)
REQUESTS = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda op, words, data: request(op, *words, data=data),
        OPS,
        st.lists(WORDS, max_size=7),
        BODY,
    ),
    st.builds(
        lambda op, size, offset: request(op, size, 9, 1024, offset * SECTOR),
        st.sampled_from([BEGIN, DEFL_BEGIN]),
        st.integers(0, 3 * SECTOR),
        st.integers(0, 63),
    ),
    st.builds(
        lambda op, sequence, data: request(
            op,
            len(data),
            sequence,
            0,
            0,
            data=data,
            checksum=functools.reduce(operator.xor, data, 0xEF),
        ),
        st.sampled_from([DATA, DEFL_DATA]),
        st.integers(0, 3),
        BODY,
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUESTS, max_size=25))
def test_no_request_writes_outside_what_was_begun(packets):
    chip = Chip(size=64 * SECTOR)
    begun = range(0)
    for packet in packets:
        before = len(chip.flash.operations)
        answers = chip.rom.answer(packet)
        accepted = bool(answers) and answers[0][-4] == 0
        if accepted and packet[1] in (BEGIN, DEFL_BEGIN):
            size, _, _, offset = struct.unpack_from("<8x4I", packet)
            begun = range(offset, offset + -(-size // SECTOR) * SECTOR)
        for operation in chip.flash.operations[before:]:
            assert accepted
            assert operation.kind == ("erase" if packet[1] in (BEGIN, DEFL_BEGIN) else "program")
            assert begun.start <= operation.address
            assert operation.address + operation.size <= begun.stop
