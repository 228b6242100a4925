"""A virtual board in download mode, with the real esptool at the other end of its line."""

import os
import random
import re
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from esptool.targets import CHIP_DEFS

from ota_tools import partitions, ports
from ota_tools.board import rom
from ota_tools.board.flash import SECTOR
from ota_tools.board.folder import create
from ota_tools.board.settings import Settings
from ota_tools.failures import Refused, Usage
from ota_tools.firmware import CHIPS

FIVE = ["esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"]
SIZE = 4 << 20
SYNC = b"\xc0" + struct.pack("<BBHI", 0, 8, 36, 0) + b"\x07\x07\x12\x20" + 32 * b"\x55" + b"\xc0"


def esptool(device, *args, code=0):
    """What the command line prints."""
    options = ["--no-stub", "--before", "no-reset", "--after", "no-reset", "--port", device]
    command = [sys.executable, "-m", "esptool", *options, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


@contextmanager
def powered(folder, chip="esp32", size=SIZE):
    rom.blank(folder, CHIPS[chip].id, size)
    with ports.open_port(f"board:{folder}", download=True) as device:
        yield device


# With esptool


@pytest.mark.parametrize("chip", FIVE)
def test_esptool_tells_chip_flash_and_mac(tmp_path, chip):
    folder = tmp_path / "board"
    digits = bytes(mac_of(folder)).hex(":")
    with powered(folder, chip) as device:
        said = esptool(device, "chip-id")
        assert f"Connected to {CHIP_DEFS[chip].CHIP_NAME} on {device}" in said
        assert "Crystal frequency:  40MHz" in said
        said = esptool(device, "--baud", 460800, "flash-id")
        assert "Detected flash size: 4MB" in said
        assert re.search(rf"^(BASE )?MAC: +{digits}$", esptool(device, "read-mac"), re.M)
        if chip == "esp32c6":
            assert f"MAC:                {digits[:8]}:ff:fe:{digits[9:]}" in said
        if chip != "esp32":
            assert "Secure Boot: Disabled" in esptool(device, "get-security-info")


def mac_of(folder):
    """By the rule of the board that runs."""
    table = partitions.parse_csv(
        "nvs, data, nvs, 0x9000, 0x6000\nfactory, app, factory, 0x10000, 1M"
    )
    beside = folder.with_name("running")
    board = create(beside, table, SIZE, Settings())
    board.name = str(folder)
    mac = board.call("unique_id", [], b"")[0]
    board.close()
    return mac


@pytest.mark.parametrize("chip", FIVE)
def test_esptool_writes_verifies_reads_and_erases(tmp_path, chip):
    first, second = random.Random(1).randbytes(70001), b"text " * 9000
    (tmp_path / "first").write_bytes(first)
    (tmp_path / "second").write_bytes(second)
    flash = tmp_path / "board" / "flash.bin"
    with powered(tmp_path / "board", chip) as device:
        wrote = ["0x10000", tmp_path / "first", "0x2fd000", tmp_path / "second"]
        for how in ("--no-compress", "--compress"):
            assert "Hash of data verified." in esptool(device, "write-flash", how, *wrote)
            expected = bytearray(b"\xff" * SIZE)
            expected[0x10000 : 0x10000 + len(first)] = first
            expected[0x2FD000 : 0x2FD000 + len(second)] = second
            assert flash.read_bytes() == expected
        assert esptool(device, "verify-flash", *wrote).count("Verification successful") == 2
        esptool(device, "read-flash", "0x10010", 5000, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == first[16:5016]
        esptool(device, "erase-region", "0x11000", "0x1000")
    expected[0x11000:0x12000] = b"\xff" * SECTOR
    assert flash.read_bytes() == expected


def test_esptool_is_told_that_another_chip_answers(tmp_path):
    with powered(tmp_path / "board", "esp32s3") as device:
        said = esptool(device, "--chip", "esp32c3", "flash-id", code=2)
        assert "This chip is ESP32-S3, not ESP32-C3" in said


def test_esptool_without_no_stub_is_told_so_and_the_chip_goes_on(tmp_path):
    with powered(tmp_path / "board") as device:
        command = [sys.executable, "-m", "esptool", "--port", device, "--before", "no-reset"]
        done = subprocess.run([*command, "flash-id"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert "Failed to enter RAM download mode" in done.stdout + done.stderr
        assert "Detected flash size: 4MB" in esptool(device, "flash-id")


def test_chip_that_runs_its_program_answers_no_more(tmp_path):
    with powered(tmp_path / "board") as device:
        esptool(device, "run")
        said = esptool(device, "--connect-attempts", 1, "chip-id", code=2)
        assert "No serial data received" in said


@pytest.mark.parametrize(
    ("size", "name"), [(1 << 20, "1MB"), (16 << 20, "16MB"), (32 << 20, "32MB")]
)
def test_flash_size_is_that_of_the_file(tmp_path, size, name):
    with powered(tmp_path / "board", size=size) as device:
        assert f"Detected flash size: {name}" in esptool(device, "flash-id")


# Folders


def test_blank_board_is_a_factory_new_chip(tmp_path):
    rom.blank(tmp_path / "board", 9, SIZE)
    assert (tmp_path / "board" / "flash.bin").read_bytes() == b"\xff" * SIZE
    found, flash = rom.power_up(tmp_path / "board")
    flash.close()
    assert found.name == "esp32s3"


@pytest.mark.parametrize(("chip", "size"), [(9, 3 << 20), (9, 256 << 20), (77, SIZE)])
def test_chip_that_nobody_sells_is_not_made(tmp_path, chip, size):
    with pytest.raises(Usage):
        rom.blank(tmp_path / "board", chip, size)
    assert not (tmp_path / "board").exists()


def test_board_is_not_made_over_another(tmp_path):
    rom.blank(tmp_path, 9, SIZE)
    with pytest.raises(Usage, match="holds a board already"):
        rom.blank(tmp_path, 9, SIZE)


@pytest.mark.parametrize("damage", ["{", '{"chip": 1}', '{"chip_id": 77}'])
def test_damaged_board_is_refused(tmp_path, damage):
    rom.blank(tmp_path, 9, SIZE)
    (tmp_path / "board.json").write_text(damage)
    with pytest.raises(Refused):
        rom.power_up(tmp_path)


def test_no_board_is_no_rom(tmp_path):
    with pytest.raises(Usage, match="ota board new"):
        rom.power_up(tmp_path / "board")


# The line


def test_garbage_on_the_line_does_not_end_the_service(tmp_path):
    rnd = random.Random(8)
    pieces = [b"\xc0", b"\xdb", b"\xdb\xdc", SYNC, SYNC[:-9], SYNC[1:], b"\xc0" * 9]
    with powered(tmp_path / "board") as device:
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        for _ in range(300):
            os.write(fd, rnd.choice(pieces) + rnd.randbytes(rnd.randrange(40)))
        os.write(fd, b"\xc0" + b"x" * 70000 + b"\xc0")
        os.close(fd)
        assert "Detected flash size: 4MB" in esptool(device, "flash-id")
    assert (tmp_path / "board" / "flash.bin").read_bytes() == b"\xff" * SIZE


def test_service_ends_when_it_is_told_to_though_nobody_reads(tmp_path):
    rom.blank(tmp_path, 0, SIZE)
    master, slave = os.openpty()
    stop = threading.Event()
    service = threading.Thread(target=rom.serve, args=(master, tmp_path, stop))
    service.start()
    os.set_blocking(slave, False)
    for _ in range(60):
        os.write(slave, SYNC)
    stop.set()
    service.join(5)
    assert not service.is_alive()
    os.close(master)
    os.close(slave)
