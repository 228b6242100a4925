"""`esp32.Partition` and NVS call by call, as measured on official firmware (docs/board.md)."""

import calendar
import time

import pytest
from fakes import make_image, with_version
from virtual import FACTORY_TABLE, IMAGE_A, IMAGE_B, Virtual

from ota import otadata
from ota.otadata import ABORTED, VALID
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

INVALID_SIZE = (-260, "ESP_ERR_INVALID_SIZE")
INVALID_ARG = (-258, "ESP_ERR_INVALID_ARG")


@pytest.fixture
def v(tmp_path) -> Virtual:
    made = Virtual(tmp_path / "b", strict=False)
    made.power_on()
    return made


def fails(call, *args) -> tuple:
    with pytest.raises(OSError) as e:
        call(*args)
    return e.value.args


def test_partitions_tell_what_they_are(v):
    partition = v.esp32.Partition
    running = partition(partition.RUNNING)
    assert running.info() == (0, 16, 65536, 1572864, "ota_0", False)
    assert running.get_next_update().info() == (0, 17, 1638400, 1572864, "ota_1", False)
    assert partition("ota_1").get_next_update().info()[4] == "ota_0"
    assert repr(running) == (
        "<Partition type=0, subtype=16, address=65536, size=1572864, label=ota_0, encrypted=0>"
    )
    assert [p.info()[4] for p in partition.find()] == ["ota_0", "ota_1"]
    assert partition.find(partition.TYPE_DATA, label="zz") == []
    assert partition.find(partition.TYPE_DATA, label="vfs")[0].info()[:4] == (
        1,
        129,
        3211264,
        983040,
    )
    assert running != partition(partition.RUNNING)


def test_a_partition_has_the_calls_of_the_firmware_and_no_other(v):
    public = [name for name in dir(v.esp32.Partition) if not name.startswith("_")]
    assert sorted(public) == [
        "BOOT",
        "RUNNING",
        "TYPE_APP",
        "TYPE_DATA",
        "find",
        "get_next_update",
        "info",
        "ioctl",
        "mark_app_valid_cancel_rollback",
        "readblocks",
        "set_boot",
        "writeblocks",
    ]


def test_unknown_partitions_are_errors(v):
    assert fails(v.esp32.Partition, "nope") == (2,)
    with pytest.raises(ValueError):
        v.esp32.Partition(99)


def test_the_block_size_is_no_keyword_of_a_partition_by_number(v):
    with pytest.raises(TypeError):
        v.esp32.Partition(v.esp32.Partition.RUNNING, block_size=512)


def test_ioctl_counts_blocks_and_erases_one(v):
    part = v.esp32.Partition("ota_1")
    assert [part.ioctl(op, 0) for op in (1, 2, 3, 4, 5)] == [0, 0, 0, 384, 4096]
    assert (part.ioctl(7, 0), part.ioctl(99, 0)) == (None, None)
    part.writeblocks(0, bytes(8192))
    assert part.ioctl(6, 1) == 0
    buf = bytearray(8192)
    part.readblocks(0, buf)
    assert buf == bytes(4096) + b"\xff" * 4096
    assert fails(part.ioctl, 6, 384) == INVALID_SIZE
    assert fails(part.ioctl, 6, -1) == INVALID_ARG


def test_reads_take_any_length_and_offset_inside_the_partition(v):
    part = v.esp32.Partition("ota_0")
    for n in (1, 10000):
        buf = bytearray(n)
        assert part.readblocks(0, buf) is None
        assert buf == IMAGE_A[:n].ljust(n, b"\xff")
    buf = bytearray(5)
    part.readblocks(1, buf, 3)
    assert buf == IMAGE_A[4099:4104]
    assert fails(part.readblocks, 384, bytearray(1)) == INVALID_SIZE
    assert fails(part.readblocks, 383, bytearray(4097)) == INVALID_SIZE
    assert fails(part.readblocks, -1, bytearray(1)) == INVALID_ARG
    with pytest.raises(TypeError):
        part.readblocks(0, b"12345")


def test_a_write_of_blocks_erases_first(v):
    part = v.esp32.Partition("ota_1")
    buf = bytearray(4096)
    part.writeblocks(3, b"\x0f" * 4096)
    part.writeblocks(3, b"\xf0" * 4096)
    part.readblocks(3, buf)
    assert buf == b"\xf0" * 4096
    part.writeblocks(3, memoryview(b"\x11" * 9000)[:8192])


def test_a_write_of_odd_length_is_refused_and_changes_nothing(v):
    part = v.esp32.Partition("ota_1")
    part.writeblocks(0, b"\x55" * 4096)
    for n in (16, 100, 6000):
        assert fails(part.writeblocks, 0, bytes(n)) == INVALID_SIZE
    buf = bytearray(4096)
    part.readblocks(0, buf)
    assert buf == b"\x55" * 4096


def test_a_write_past_the_end_is_refused(v):
    part = v.esp32.Partition("ota_1")
    assert fails(part.writeblocks, 384, bytes(4096)) == INVALID_SIZE
    assert fails(part.writeblocks, 383, bytes(8192)) == INVALID_SIZE


def test_a_write_with_offset_only_clears_bits(v):
    part = v.esp32.Partition("ota_1")
    part.writeblocks(0, b"\xf0" * 4096)
    part.writeblocks(0, b"\x0f" * 4096, 0)
    buf = bytearray(4096)
    part.readblocks(0, buf)
    assert buf == bytes(4096)


def test_a_write_with_offset_may_cross_blocks_and_reach_back(v):
    part = v.esp32.Partition("ota_1")
    part.writeblocks(1, b"\x01\x02\x03", 4095)
    part.writeblocks(2, b"\x04", 5000)
    part.writeblocks(2, b"\x05", -1)
    buf = bytearray(1)
    for at, byte in ((8191, 1 & 5), (8192, 2), (8193, 3), (13192, 4)):
        part.readblocks(0, buf, at)
        assert buf[0] == byte, at


def test_small_blocks_keep_their_neighbours(v):
    part = v.esp32.Partition.find(0, 17, None, 512)[0]
    assert (part.ioctl(4, 0), part.ioctl(5, 0), part.ioctl(6, 0)) == (3072, 512, -22)
    part.writeblocks(0, b"\x11" * 1024)
    part.writeblocks(1, b"\x22" * 512)
    buf = bytearray(1024)
    part.readblocks(0, buf)
    assert buf == b"\x11" * 512 + b"\x22" * 512


@pytest.mark.parametrize("size", [1000, 8192])
def test_other_block_sizes_are_taken(v, size):
    part = v.esp32.Partition.find(0, 17, None, size)[0]
    assert part.ioctl(5, 0) == size
    assert part.ioctl(6, 0) == -22


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


def test_otadata_and_nvs_are_writable(v):
    for label in ("otadata", "nvs"):
        part = v.esp32.Partition(label)
        part.writeblocks(0, bytes(4096))
        assert part.ioctl(6, 0) == 0


def test_set_boot_takes_what_is_whole_and_nothing_else(v):
    part = v.esp32.Partition("ota_1")
    good = IMAGE_B
    bad = {
        "empty": b"",
        "zeros": bytes(9000),
        "header only": good[:24],
        "second half missing": good[: len(good) // 2],
        "last bytes missing": good[:-4096],
        "another chip": make_image(9000, chip_id=9),
    }
    for at in (0, 5, 40, 5000, len(good) - 5):
        bad[f"bit flipped at {at}"] = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    before = v.raw()
    for name, image in bad.items():
        v.put("ota_1", image)
        assert fails(part.set_boot) == (-5379, "ESP_ERR_OTA_VALIDATE_FAILED"), name
        assert v.raw() == before
    assert fails(v.esp32.Partition("vfs").set_boot)[0] == -5379
    v.put("ota_1", good + bytes(65536))
    assert part.set_boot() is None


def test_set_boot_takes_an_older_version_and_a_slot_that_was_given_up(v):
    part = v.esp32.Partition("ota_1")
    for version, state in (("0.1", VALID), ("0.0.9", ABORTED)):
        v.put("ota_1", with_version(IMAGE_B, version))
        v.set_entries(otadata.encode(3, VALID), otadata.encode(2, state))
        assert part.set_boot() is None
        assert v.selected() == "ota_1"


def test_a_header_of_sixteen_blank_bytes_is_no_image_until_it_is_programmed(v):
    part = v.esp32.Partition("ota_1")
    v.put("ota_1", b"\xff" * 16 + IMAGE_B[16:])
    assert fails(part.set_boot)[0] == -5379
    part.writeblocks(0, IMAGE_B[:16], 0)
    assert part.set_boot() is None


def test_a_factory_layout_has_no_otadata(tmp_path):
    v = Virtual(tmp_path / "f", FACTORY_TABLE)
    v.power_on()
    partition = v.esp32.Partition
    assert v.running() == "factory"
    assert partition(partition.RUNNING).info()[4] == "factory"
    assert fails(partition, partition.BOOT) == (2,)
    assert fails(partition(partition.RUNNING).get_next_update) == (2,)
    assert fails(partition.mark_app_valid_cancel_rollback) == (-261, "ESP_ERR_NOT_FOUND")
    assert fails(partition(partition.RUNNING).set_boot) == (-261, "ESP_ERR_NOT_FOUND")


def test_nvs_keeps_integers_and_blobs_apart(v):
    nvs = v.esp32.NVS("space")
    assert fails(nvs.get_i32, "a") == (-4354, "ESP_ERR_NVS_NOT_FOUND")
    assert fails(nvs.get_blob, "a", bytearray(4)) == (-4354, "ESP_ERR_NVS_NOT_FOUND")
    nvs.set_i32("a", -7)
    nvs.set_blob("b", b"\x00\x01")
    nvs.commit()
    buf = bytearray(4)
    assert nvs.get_i32("a") == -7
    assert (nvs.get_blob("b", buf), buf) == (2, b"\x00\x01\x00\x00")
    assert fails(nvs.get_blob, "b", bytearray(1))[0] == -4364
    v.reset()
    assert v.esp32.NVS("space").get_i32("a") == -7
    assert fails(v.esp32.NVS("other").get_i32, "a")[0] == -4354
    nvs.erase_key("a")
    assert fails(nvs.get_i32, "a")[0] == -4354
    assert fails(nvs.set_i32, "a" * 16, 1)[0] != 0


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
