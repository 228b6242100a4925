"""What the library builds on, asked of the firmware itself: partitions, resets, NVS, watchdog."""

import pytest

from ota_tools.failures import Refused

OTHER = """
import esp32
P = esp32.Partition
part = P(P.RUNNING).get_next_update()
"""


def test_there_are_two_slots_of_one_size_and_the_selected_one_runs(board):
    running, *slots = board.device.run(
        "import esp32\nP = esp32.Partition\n"
        "return [P(P.RUNNING).info()[4]] + [p.info() for p in P.find(P.TYPE_APP)]"
    )
    assert len(slots) == 2
    assert slots[0][3] == slots[1][3]
    assert running in (slots[0][4], slots[1][4])
    assert board.device.run("import esp32\nreturn esp32.Partition(0).info()[4]") == running


def test_a_write_with_two_arguments_erases_first(board):
    body = """
buf = bytearray(4096)
part.writeblocks(0, bytes(4096))
part.writeblocks(0, b"\\xa5" * 4096)
part.readblocks(0, buf)
return buf == b"\\xa5" * 4096
"""
    assert board.device.run(OTHER + body)


def test_a_write_with_three_arguments_does_not_erase(board):
    body = """
buf = bytearray(4096)
part.ioctl(6, 0)
part.writeblocks(0, b"ota!", 16)
part.readblocks(0, buf)
return buf == b"\\xff" * 16 + b"ota!" + b"\\xff" * 4076
"""
    assert board.device.run(OTHER + body)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("part.writeblocks(0, bytes(100))", -260),
        ("part.writeblocks(part.info()[3] // 4096, bytes(4096))", -260),
        ("part.ioctl(6, 0)\n part.set_boot()", -5379),
    ],
    ids=["half a sector", "behind the end", "a blank slot is to boot"],
)
def test_what_flash_cannot_do_has_its_number(board, call, number):
    body = f"try:\n {call}\nexcept OSError as e:\n return e.errno\n"
    assert board.device.run(OTHER + body) == number


def test_otadata_is_two_sectors_that_can_be_read(board):
    body = """
import esp32, binascii
(part,) = esp32.Partition.find(esp32.Partition.TYPE_DATA, subtype=0)
buf = bytearray(32)
part.readblocks(1, buf)
return part.info()[3]
"""
    assert board.device.run(body) == 8192


def test_what_nvs_holds_outlives_a_reset(board):
    board.device.run(
        "import esp32\nn = esp32.NVS('otatest')\nn.set_blob('k', b'\\x00\\xff')\nn.commit()"
    )
    board.restart()
    body = "import esp32\nb = bytearray(2)\nn = esp32.NVS('otatest')\nn.get_blob('k', b)\n"
    assert board.device.run(body + "n.erase_key('k')\nreturn list(b)") == [0, 255]


def test_a_reset_by_the_program_says_so(board):
    board.restart()
    assert board.device.run("import machine\nreturn machine.reset_cause()") == 2


def test_the_watchdog_resets_and_says_so(board):
    board.device.run("import machine\nmachine.WDT(timeout=1500)")
    board.started()
    assert board.device.run("import machine\nreturn machine.reset_cause()") == 3


def test_an_error_of_the_board_is_one_line(board):
    with pytest.raises(Refused, match="ZeroDivisionError on the board"):
        board.device.run("return 1 // 0")
