"""`esp32.Partition` and NVS call by call, as measured on official firmware (docs/board.md).

One program asks what the rows say and prints what came: in this process, and as main.py on the real VM.
"""

import ast
import calendar
import contextlib
import io
import sys
import time

import pytest
from fakes import with_version
from virtual import FACTORY_TABLE, IMAGE_A, STOCK_TABLE, Virtual

from ota_tools.board import filesystem, interpreter
from ota_tools.board.flash import PowerCut, StrictError
from ota_tools.board.model import (
    DEEP_SLEEP,
    HARD,
    POWER_ON,
    POWER_ON_TIME,
    SOFT,
    WATCHDOG,
    BoardReset,
)
from ota_tools.board.runner import run

OLDER = with_version(IMAGE_A, "0.0.9")
"""What ota_1 holds at first."""

PROGRAM = r"""
import binascii, esp32, hashlib, machine, struct

P = esp32.Partition
other = P.find(P.TYPE_APP)[-1]

def read(part, block, n, *offset):
    buf = bytearray(n)
    assert part.readblocks(block, buf, *offset) is None
    return bytes(buf)

def records():
    return [read(part, index, 32) for part in P.find(P.TYPE_DATA, 0) for index in (0, 1)]

def record(seq, state):
    start = struct.pack("<I", seq)
    end = struct.pack("<II", state, binascii.crc32(start, 0xFFFFFFFF))
    return start + b"\xff" * 20 + end + b"\xff" * 4064

def put(image):
    for block in range(20):
        other.ioctl(6, block)
    other.writeblocks(0, image, 0)

def sealed(image):
    return image[:-32] + hashlib.sha256(image[:-32]).digest()

good = read(P(P.RUNNING), 0, GOOD)

def flipped(at):
    return good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]

def kind(e):
    return "OSError" if isinstance(e, OSError) else type(e).__name__

def answer(asked):
    *before, last = asked.split("; ")
    for statement in before:
        exec(statement, globals())
    known = records()
    try:
        return "gave", eval(last, globals())
    except Exception as e:
        return kind(e), e.args, records() == known

start = 0 if machine.reset_cause() == machine.PWRON_RESET else 1
for number, asked in enumerate(ASKED[start]):
    print((start, number, answer(asked)))
if start + 1 < len(ASKED):
    machine.reset()
"""

SIZE = OSError(-260, "ESP_ERR_INVALID_SIZE")
ARG = OSError(-258, "ESP_ERR_INVALID_ARG")
NO_IMAGE = OSError(-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
NOT_FOUND = OSError(-261, "ESP_ERR_NOT_FOUND")
NO_KEY = OSError(-4354, "ESP_ERR_NVS_NOT_FOUND")

# What is asked: statements, at last an expression; what it gives or raises. Of a class the arguments were
# not measured. Rows build on those before them.
POWERED_ON = [
    ("P(P.RUNNING).info()", (0, 16, 65536, 1572864, "ota_0", False)),
    ("P(P.RUNNING).get_next_update().info()", (0, 17, 1638400, 1572864, "ota_1", False)),
    ("P('ota_1').get_next_update().info()[4]", "ota_0"),
    (
        "repr(P(P.RUNNING))",
        "<Partition type=0, subtype=16, address=65536, size=1572864, label=ota_0, encrypted=0>",
    ),
    (
        "sorted(name for name in dir(P) if name[0] != '_')",
        [
            *("BOOT", "RUNNING", "TYPE_APP", "TYPE_DATA", "find", "get_next_update", "info"),
            *("ioctl", "mark_app_valid_cancel_rollback", "readblocks", "set_boot", "writeblocks"),
        ],
    ),
    ("[part.info()[4] for part in P.find()]", ["ota_0", "ota_1"]),
    ("P.find(P.TYPE_DATA, label='zz')", []),
    ("P.find(P.TYPE_DATA, label='vfs')[0].info()", (1, 129, 3211264, 983040, "vfs", False)),
    ("P('nope')", OSError(2)),
    ("P(99)", ValueError()),
    ("P(P.RUNNING, block_size=512)", TypeError),
    ("P(P.RUNNING) == P(P.RUNNING)", False),
    # ioctl
    ("[other.ioctl(op, 0) for op in (1, 2, 3)]", [0, 0, 0]),
    ("[P(name).ioctl(4, 0) for name in ('ota_1', 'vfs', 'otadata')]", [384, 240, 2]),
    ("[P(name).ioctl(5, 0) for name in ('ota_1', 'vfs', 'otadata')]", [4096, 4096, 4096]),
    ("[other.ioctl(op, 0) for op in (7, 99)]", [None, None]),
    ("other.ioctl(6, 384)", SIZE),
    ("other.ioctl(6, -1)", ARG),
    # readblocks
    ("read(P('ota_0'), 0, 1)", IMAGE_A[:1]),
    ("read(P('ota_0'), 0, 10000)", IMAGE_A.ljust(10000, b"\xff")),
    ("read(P('ota_0'), 1, 5, 3)", IMAGE_A[4099:4104]),
    ("read(other, 384, 1)", SIZE),
    ("read(other, 383, 4097)", SIZE),
    ("read(other, -1, 1)", ARG),
    ("other.readblocks(0, b'12345')", TypeError),
    # set_boot: an older version; a slot that was given up; what is no image
    ("other.set_boot()", None),
    ("P(P.BOOT).info()[4]", "ota_1"),
    ("P('otadata').writeblocks(1, record(2, 4)); P(P.BOOT).info()[4]", "ota_0"),
    ("other.set_boot()", None),
    ("P(P.BOOT).info()[4]", "ota_1"),
    ("put(b''); other.set_boot()", NO_IMAGE),
    ("put(bytes(9000)); other.set_boot()", NO_IMAGE),
    ("put(good[:24]); other.set_boot()", NO_IMAGE),
    ("put(good[:len(good) // 2]); other.set_boot()", NO_IMAGE),
    ("put(good[:-4096]); other.set_boot()", NO_IMAGE),
    ("put(flipped(0)); other.set_boot()", NO_IMAGE),
    ("put(flipped(5)); other.set_boot()", NO_IMAGE),
    ("put(flipped(40)); other.set_boot()", NO_IMAGE),
    ("put(flipped(5000)); other.set_boot()", NO_IMAGE),
    ("put(flipped(len(good) - 5)); other.set_boot()", NO_IMAGE),
    (r"put(sealed(good[:12] + b'\x09' + good[13:])); other.set_boot()", NO_IMAGE),  # ESP32-S3
    ("P('vfs').set_boot()", NO_IMAGE),
    ("put(good + bytes(65536)); other.set_boot()", None),
    (r"put(b'\xff' * 16 + good[16:]); other.set_boot()", NO_IMAGE),
    ("other.writeblocks(0, good[:16], 0); other.set_boot()", None),
    # NVS
    ("nvs = esp32.NVS('space'); nvs.get_i32('a')", NO_KEY),
    ("nvs.get_blob('b', bytearray(4))", NO_KEY),
    (r"nvs.set_i32('a', -7); nvs.set_blob('b', b'\x00\x01'); nvs.commit()", None),
    ("nvs.get_i32('a')", -7),
    ("buf = bytearray(4); [nvs.get_blob('b', buf), bytes(buf)]", [2, b"\x00\x01\x00\x00"]),
    ("nvs.get_blob('b', bytearray(1))", OSError(-4364, "ESP_ERR_NVS_INVALID_LENGTH")),
    ("nvs.set_i32('a' * 16, 1)", OSError(-4361, "ESP_ERR_NVS_KEY_TOO_LONG")),
]
PENDING = [
    ("[machine.reset_cause(), P(P.RUNNING).info()[4]]", [2, "ota_1"]),
    ("P(P.RUNNING).get_next_update().info()[4]", "ota_0"),
    ("P.mark_app_valid_cancel_rollback()", None),
    ("P.mark_app_valid_cancel_rollback()", None),
    (
        "P('otadata').writeblocks(0, bytes(8192)); P.mark_app_valid_cancel_rollback()",
        OSError(1, "ESP_FAIL"),
    ),
    ("P('otadata').ioctl(6, 0)", 0),
    ("P('nvs').writeblocks(0, bytes(4096))", None),
    ("P('nvs').ioctl(6, 0)", 0),
    ("nvs = esp32.NVS('space'); nvs.get_i32('a')", -7),
    ("esp32.NVS('other').get_i32('a')", NO_KEY),
    ("nvs.erase_key('a'); nvs.get_i32('a')", NO_KEY),
    # writeblocks of two arguments erases, and so does ioctl(6)
    ("other = P('ota_0'); other.writeblocks(0, bytes(8192))", None),
    ("other.ioctl(6, 1)", 0),
    ("[set(read(other, block, 4096)) for block in (0, 1)]", [{0}, {0xFF}]),
    (r"other.writeblocks(0, b'\x0f' * 4096); other.writeblocks(0, b'\xf0' * 4096)", None),
    ("set(read(other, 0, 4096))", {0xF0}),
    (r"other.writeblocks(0, memoryview(b'\x22' * 4096 + b'\x33' * 8192)[4096:])", None),
    ("set(read(other, 0, 8192))", {0x33}),
    (
        "other.writeblocks(16, bytes(65536)); [set(read(other, n, 4096)) for n in (16, 31)]",
        [{0}, {0}],
    ),
    ("other.writeblocks(0, bytes(16))", SIZE),
    ("other.writeblocks(0, bytes(100))", SIZE),
    ("other.writeblocks(0, bytes(6000))", SIZE),
    ("other.writeblocks(383, bytes(8192))", SIZE),
    ("other.writeblocks(384, bytes(4096))", SIZE),
    ("set(read(other, 0, 8192))", {0x33}),
    # of three arguments it does not
    (r"other.writeblocks(2, b'\xf0' * 4096); other.writeblocks(2, b'\x0f' * 4096, 0)", None),
    ("set(read(other, 2, 4096))", {0}),
    (r"other.writeblocks(3, b'\x01\x02\x03', 4095); read(other, 3, 3, 4095)", b"\x01\x02\x03"),
    (r"other.writeblocks(4, b'\x04', 5000); read(other, 5, 1, 904)", b"\x04"),
    (r"other.writeblocks(7, b'\x05', -1); read(other, 6, 1, 4095)", b"\x05"),
    # blocks of 512 bytes
    (
        "small = P.find(0, 16, block_size=512)[0]; [small.ioctl(4, 0), small.ioctl(5, 0)]",
        [3072, 512],
    ),
    (r"small.writeblocks(0, b'\x11' * 1024); small.writeblocks(1, b'\x22' * 512)", None),
    ("read(small, 0, 1024)", b"\x11" * 512 + b"\x22" * 512),
    ("other.writeblocks(0, bytes(4096)); small.ioctl(6, 0)", -22),
    ("set(read(other, 0, 4096))", {0}),
    ("[P.find(0, 16, block_size=n)[0].ioctl(5, 0) for n in (1000, 8192)]", [1000, 8192]),
]
WITHOUT_OTADATA = [
    ("P(P.RUNNING).info()[4]", "factory"),
    ("P(P.BOOT)", OSError(2)),
    ("P(P.RUNNING).get_next_update()", OSError(2)),
    ("P.mark_app_valid_cancel_rollback()", NOT_FOUND),
    ("P(P.RUNNING).set_boot()", NOT_FOUND),
]
BOARDS = {
    "stock": (STOCK_TABLE, [POWERED_ON, PENDING]),
    "factory": (FACTORY_TABLE, [WITHOUT_OTADATA]),
}
"""Name -> partition table, rows by the start in which they are asked."""


def in_this_process(made: Virtual, program: str) -> list[str]:
    said = io.StringIO()
    made.power_on()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        for name, module in made.board.modules().items():
            patch.setitem(sys.modules, name, module)
        made.until_quiet(lambda: exec(program, {}))
    return said.getvalue().splitlines()


def on_the_vm(made: Virtual, program: str) -> list[str]:
    files = {"/main.py": program.encode()}
    made.put("vfs", filesystem.build(made.board.table.find("vfs").size, files))
    result = run(made.board, interpreter.find())
    assert result.end == "idle", result.console
    return result.console


PLACES = (in_this_process, on_the_vm)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict:
    """Place, board, start and row -> what came."""
    found = {}
    for place in PLACES:
        for board, (table, starts) in BOARDS.items():
            made = Virtual(tmp_path_factory.mktemp(board) / "b", table, strict=False)
            if board == "stock":
                made.put("ota_1", OLDER)
            asked = [[row[0] for row in rows] for rows in starts]
            program = f"GOOD = {len(IMAGE_A)}\nASKED = {asked!r}\n{PROGRAM}"
            for line in place(made, program):
                start, row, answer = ast.literal_eval(line)
                found[place, board, start, row] = answer
            made.board.close()
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("board", "start", "row", "wanted"),
    [
        pytest.param(board, start, row, wanted, id=asked)
        for board, (_, starts) in BOARDS.items()
        for start, rows in enumerate(starts)
        for row, (asked, wanted) in enumerate(rows)
    ],
)
def test_a_call_comes_out_as_on_the_firmware(answers, place, board, start, row, wanted):
    came = answers[place, board, start, row]
    if isinstance(wanted, OSError | ValueError):
        kind = "OSError" if isinstance(wanted, OSError) else "ValueError"
        assert came == (kind, wanted.args, True)  # and otadata is as it was
    elif wanted is TypeError:
        assert came[0] == "TypeError"
    else:
        assert came == ("gave", wanted)


@pytest.fixture
def v(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "b", strict=False)
    made.power_on()
    return made


def test_writing_to_the_running_image_aborts_the_chip(v):
    part = v.esp32.Partition("ota_0")
    for call in (
        lambda: part.writeblocks(383, bytes(4096)),
        lambda: part.writeblocks(383, b"\x00", 0),
        lambda: part.ioctl(6, 383),
    ):
        with pytest.raises(BoardReset) as e:
            call()
        assert e.value.cause == 2


def test_the_strict_board_refuses_a_second_program(tmp_path):
    v = Virtual(tmp_path / "s")
    v.power_on()
    part = v.esp32.Partition("ota_1")
    part.writeblocks(0, b"\xf0", 7)
    with pytest.raises(StrictError):
        part.writeblocks(0, b"\x80", 7)
    part.writeblocks(0, b"\x00", 7)  # clearing a field is let through
    part.writeblocks(0, b"\xff\x01", 7)  # so is leaving a byte alone


def test_erases_are_counted_as_esp_idf_does_them(v):
    part = v.esp32.Partition("ota_1")
    v.board.flash.operations.clear()
    part.writeblocks(0, bytes(65536))
    part.writeblocks(16, bytes(32768))
    part.writeblocks(25, bytes(65536 + 4096))
    erases = [o.size for o in v.board.flash.operations if o.kind == "erase"]
    assert erases == [65536] + [4096] * 8 + [4096] * 17


def test_a_power_cut_happens_in_the_middle_of_an_operation(v):
    part = v.esp32.Partition("ota_1")
    v.put("ota_1", bytes(8192))
    v.board.flash.cut_before = lambda operation: operation.kind == "erase"
    with pytest.raises(PowerCut):
        part.ioctl(6, 1)
    with pytest.raises(PowerCut):
        part.info() and part.ioctl(6, 0)  # without power nothing more happens
    v.power_on()
    buf = bytearray(8192)
    part.readblocks(0, buf)
    assert buf == bytes(4096) + b"\xff" * 2048 + bytes(2048)


def ahead(v) -> float:
    """Seconds by which the board's clock is ahead of the host's, by what it reads."""
    year, month, day, weekday, hour, minute, second, micros = v.machine.RTC().datetime()
    now = (year, month, day, hour, minute, second, weekday, 0, 0)
    return calendar.timegm(now) + micros / 1e6 - time.time()


def test_the_clock_is_the_hosts_unless_the_board_is_to_have_its_own(v):
    assert abs(ahead(v)) < 5
    v.machine.RTC().datetime((2031, 2, 3, 0, 4, 5, 6, 0))
    assert v.board.clock_settings == [1927857906]
    assert abs(ahead(v)) < 5


def test_the_clock_says_2000_at_power_on_and_goes_on_once_it_is_set(tmp_path):
    v = Virtual(tmp_path / "b", clock_unset=True)
    v.power_on()
    rtc = v.machine.RTC()
    assert rtc.datetime()[:5] == (2000, 1, 1, 5, 0)
    assert (
        rtc.datetime((2031, 2, 3, 6, 4, 5, 6, 250000)) is None
    )  # a wrong weekday does not matter
    assert rtc.datetime()[:7] == (2031, 2, 3, 0, 4, 5, 6)
    assert v.board.clock_settings == [1927857906.25]
    told = ahead(v)
    time.sleep(0.05)
    for cause in (HARD, WATCHDOG, SOFT, DEEP_SLEEP):
        v.reset(cause)
        assert abs(ahead(v) - told) < 0.04, cause
    v.reset(POWER_ON)
    assert abs(ahead(v) - (POWER_ON_TIME - time.time())) < 5


def test_a_date_has_eight_fields(v):
    with pytest.raises(ValueError, match="requested length 8 but object has length 7"):
        v.machine.RTC().datetime((2031, 2, 3, 0, 4, 5, 6))
    assert v.board.clock_settings == []


def test_every_board_has_an_identity_of_its_own(v, tmp_path):
    other = Virtual(tmp_path / "other")
    assert len(v.machine.unique_id()) == 6
    assert v.machine.unique_id() == v.machine.unique_id() != other.machine.unique_id()
