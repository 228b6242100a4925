"""Flash written over a line: real esptool inside, virtual boards and lines that fail at the other end."""

import contextlib
import fcntl
import hashlib
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import tty

import pytest
import serial
from esptool.targets import CHIP_DEFS

from ota_tools import loader
from ota_tools.board import rom
from ota_tools.board.flash import SECTOR, Flash
from ota_tools.board.image_maker import make_image
from ota_tools.board.rom_commands import Rom
from ota_tools.failures import Refused, Unreachable, Usage
from ota_tools.firmware import CHIPS
from ota_tools.loader import Region

FIVE = ["esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"]
SIZE = 4 << 20
NOISE = random.Random(7).randbytes(300_001)


@pytest.fixture
def board(tmp_path):
    """The port of a blank chip, and its flash as a file."""

    def make(chip="esp32", size=SIZE):
        folder = tmp_path / "board"
        rom.blank(folder, CHIPS[chip].id, size)
        return f"board:{folder}", folder / "flash.bin"

    return make


@contextlib.contextmanager
def wire(on_input):
    """A pseudo-terminal's path; what is written there goes to `on_input(master, data)`."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    stop = threading.Event()

    def move():
        while not stop.wait(0.001):
            with contextlib.suppress(OSError):
                on_input(master, os.read(master, 1 << 16))

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        mover.join()
        os.close(master)
        os.close(slave)


@contextlib.contextmanager
def served(chip):
    """The path of a line with this Rom at its end."""
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    service = threading.Thread(target=rom.answer, args=(master, chip, stop))
    service.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        service.join()
        os.close(master)
        os.close(slave)


def chip_in_memory(name="esp32", flash=None):
    return Rom(CHIPS[name].id, flash or Flash(bytearray(b"\xff" * SIZE)), bytes(6))


def fails(kind, port):
    """The one line that connecting fails with."""
    with pytest.raises(kind) as caught, loader.connect(port):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What works


@pytest.mark.parametrize("chip", FIVE)
def test_chip_is_told_read_written_and_erased(board, chip, capfd):
    port, flash = board(chip)
    first, second = Region(0x10000, NOISE, "noise"), Region(0x3FF000, b"end" * 999, "end")
    calls = []
    with loader.connect(port) as found:
        assert (found.name, found.flash_size, found.can_reset) == (chip, SIZE, False)
        assert found.mac.startswith("02:") and len(found.mac) == 17
        assert found.read(SIZE - 100, 100) == b"\xff" * 100
        found.write([first, second], lambda *count: calls.append(count))
        expected = bytearray(b"\xff" * SIZE)
        for region in (first, second):
            expected[region.offset : region.offset + len(region.data)] = region.data
        assert flash.read_bytes() == expected
        assert found.read(0xFFFF, 70_000) == expected[0xFFFF:][:70_000]
        assert found.read(0x200000, 0) == b""
        found.erase(0x10000, 2 * SECTOR)
        found.reset()
    expected[0x10000:0x12000] = b"\xff" * 2 * SECTOR
    assert flash.read_bytes() == expected
    total = len(first.data) + len(second.data)
    assert calls == sorted(calls) and calls[-1] == (total, total) and len(calls) > 100
    assert capfd.readouterr() == ("", "")


def test_reading_tells_how_far_it_is(board):
    port, _ = board()
    calls = []
    with loader.connect(port) as found:
        found.write([Region(0, NOISE[:70_000], "noise")])
        assert (
            found.read(0, 200_000, lambda *count: calls.append(count))[:70_000] == NOISE[:70_000]
        )
    assert calls == sorted(calls) and calls[-1] == (200_000, 200_000) and len(calls) > 60


@pytest.mark.parametrize("chip", CHIPS)
def test_every_chip_of_ours_is_known(board, chip):
    port, _ = board(chip, 16 << 20)
    with loader.connect(port) as found:
        assert (found.name, found.flash_size) == (chip, 16 << 20)


def test_flash_is_written_over_what_was_there(board):
    port, flash = board()
    flash.write_bytes(bytes(SIZE))
    with loader.connect(port) as found:
        found.write([Region(SECTOR, b"new", "file")])
    expected = bytearray(SIZE)
    expected[SECTOR : 2 * SECTOR] = b"new".ljust(SECTOR, b"\xff")
    assert flash.read_bytes() == expected


def test_bootloader_is_written_as_it_is(board):
    port, flash = board()
    image = make_image({"a.py": b""}, 30_000, "boot")
    with loader.connect(port) as found:
        found.write([Region(0x1000, image, "bootloader")])
    assert flash.read_bytes()[0x1000:][: len(image)] == image


# What the caller or the user got wrong


def test_regions_that_are_unaligned_or_share_a_sector_are_misuse(board):
    port, flash = board()
    with loader.connect(port) as found:
        for regions in (
            [Region(100, b"a", "a")],
            [Region(SECTOR, b"b", "b"), Region(0, b"a" * (SECTOR + 1), "a")],
        ):
            with pytest.raises(ValueError):
                found.write(regions)
        with pytest.raises(ValueError):
            found.erase(SECTOR, 100)
        with pytest.raises(ValueError):
            found.read(-1, 1)
    assert flash.read_bytes() == b"\xff" * SIZE


def test_region_past_the_end_is_refused_before_anything_is_written(board):
    port, flash = board("esp32s3")
    regions = [Region(0, b"a", "bootloader"), Region(SIZE - SECTOR, b"b" * 5000, "vfs")]
    with loader.connect(port) as found:
        with pytest.raises(Refused) as caught:
            found.write(regions)
        with pytest.raises(Refused, match="0x400000"):
            found.read(SIZE - 1, 2)
        with pytest.raises(Refused, match="0x400000"):
            found.erase(SIZE, SECTOR)
    assert str(caught.value) == (
        "vfs ends at 0x400388, the flash of this esp32s3 at 0x400000 (4 MiB)"
    )
    assert flash.read_bytes() == b"\xff" * SIZE


def test_bootloader_of_another_chip_is_refused_unwritten(board):
    port, flash = board("esp32s3")
    with loader.connect(port) as found, pytest.raises(Refused) as caught:
        found.write([Region(0, make_image({}, 9000, "boot"), "bootloader")])
    assert "ESP32-S3" in str(caught.value) and "\n" not in str(caught.value)
    assert flash.read_bytes() == b"\xff" * SIZE


def test_port_that_is_absent_is_said():
    assert fails(Unreachable, "/dev/ttyNONE0") == (
        "/dev/ttyNONE0: there is no such port: plug the board in, with a cable that carries data"
    )


def test_port_of_another_program_is_busy():
    with served(chip_in_memory()) as device:
        program = (
            "import serial, sys; s = serial.Serial(sys.argv[1], exclusive=True); print('open',"
            " flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", program, device]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout.readline() == b"open\n"
            assert fails(Unreachable, device).startswith(f"{device}: busy: another program has it")
            other.stdin.close()
        with loader.connect(device) as found:
            assert found.name == "esp32"


def test_port_that_is_not_ours_names_the_group():
    with served(chip_in_memory()) as device:
        os.chmod(device, 0)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:  # root may open anything
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                with loader.connect(device):
                    pass
            except Unreachable as e:
                os.write(writer, str(e).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        said = os.read(reader, 1000).decode()
        os.close(reader)
    assert said.startswith(f"{device}: permission denied: join the group dialout")


@pytest.mark.parametrize("port", ["no://such", "rfc9999://localhost:1"])
def test_url_that_is_none_is_wrong_usage(port):
    assert "is no port" in fails(Usage, port)


def test_file_and_closed_socket_are_no_ports(tmp_path):
    (tmp_path / "file").write_text("text")
    assert str(tmp_path / "file") in fails(Unreachable, str(tmp_path / "file"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "refused" in fails(Unreachable, f"socket://127.0.0.1:{free.getsockname()[1]}")


def test_folder_without_a_board_is_wrong_usage(tmp_path):
    assert "ota board new" in fails(Usage, f"board:{tmp_path}")


@pytest.mark.parametrize("damage", ["{", '{"chip_id": 77}'])
def test_damaged_board_is_refused(board, tmp_path, damage):
    port, _ = board()
    (tmp_path / "board" / "board.json").write_text(damage)
    fails(Refused, port)


def test_board_that_another_command_powers_is_busy(board):
    port, _ = board()
    with loader.connect(port):
        assert "busy" in fails(Unreachable, port)


# What is at the other end


def test_silence_is_told_how_to_enter_download_mode():
    begun = time.monotonic()
    with wire(lambda master, data: None) as device:
        said = fails(Unreachable, device)
    assert said == (
        f"{device}: no answer from a chip: put it into download mode: hold BOOT (GPIO0), press EN, "
        "let BOOT go; then run this again"
    )
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "reply",
    [
        lambda data: data,
        lambda data: b"MicroPython v1.25.0\r\n>>> ",
        lambda data: b"\xc0\x01\x08\x02\0\0\0\0\0\xc0" * 8,
        lambda data: random.Random(3).randbytes(200),
    ],
    ids=["echo", "REPL", "answers that are too short", "noise"],
)
def test_what_is_no_bootloader_has_no_answer(reply):
    with wire(lambda master, data: os.write(master, reply(data))) as device:
        assert device in fails((Unreachable, Refused), device)


class Failing(Rom):
    """From its `good`th answer on it has something else to say."""

    good = 1 << 40
    instead = b""

    def answer(self, frame):
        answers = super().answer(frame)
        self.good -= bool(answers)
        return answers if self.good >= 0 else [answer[:8] + self.instead for answer in answers]


@pytest.mark.parametrize(
    "instead", [b"\x01", b"", b"\xff" * 32 + bytes(4), bytes(36)], ids=["1", "0", "ff", "00"]
)
def test_answers_that_are_garbled_are_one_line(instead):
    chip = Failing(0, Flash(bytearray(SIZE)), bytes(6))
    chip.instead = instead
    with served(chip) as device, loader.connect(device) as found:
        for action in (
            lambda: found.read(0, 100),
            lambda: found.write([Region(0, b"text" * 9999, "ota_0")]),
        ):
            chip.good = 0
            with pytest.raises((Unreachable, Refused)) as caught:
                action()
            assert "\n" not in str(caught.value)


def test_chip_that_falls_silent_after_its_first_answer_is_unreachable():
    chip = Failing(0, Flash(bytearray(SIZE)), bytes(6))
    chip.good = 1
    chip.answer = lambda frame: Failing.answer(chip, frame) if chip.good > 0 else []
    with served(chip) as device:
        fails(Unreachable, device)


def test_chip_that_is_not_ours_is_refused():
    chip = chip_in_memory()
    chip.registers[0x40001000] = CHIP_DEFS["esp8266"].MAGIC_VALUE
    with served(chip) as device:
        assert fails(Refused, device).startswith("the chip is an ESP8266; known: esp32, esp32s2")


def test_chip_that_nobody_knows_is_refused():
    chip = chip_in_memory()
    chip.registers[0x40001000] = 0x12345678
    with served(chip) as device:
        assert "0x12345678" in fails(Refused, device)


@pytest.mark.parametrize("jedec", [0, 0x0040EF, 0xFFFFFF])
def test_flash_chip_of_unknown_size_is_refused(jedec):
    chip = chip_in_memory("esp32c3")
    chip.jedec = jedec
    with served(chip) as device:
        assert f"has the id {jedec:#08x}" in fails(Refused, device)


S3, ESP32 = CHIP_DEFS["esp32s3"], CHIP_DEFS["esp32"]


@pytest.mark.parametrize(
    ("name", "register", "bits", "what"),
    [
        ("esp32", ESP32.EFUSE_RD_ABS_DONE_REG, 1 << 4, "secure boot"),
        ("esp32", ESP32.EFUSE_RD_ABS_DONE_REG, 1 << 5, "secure boot"),
        ("esp32", ESP32.EFUSE_SPI_BOOT_CRYPT_CNT_REG, 1 << 20, "flash encryption"),
        ("esp32s3", S3.EFUSE_SECURE_BOOT_EN_REG, S3.EFUSE_SECURE_BOOT_EN_MASK, "secure boot"),
        ("esp32s3", S3.EFUSE_SPI_BOOT_CRYPT_CNT_REG, 1 << 18, "flash encryption"),
    ],
)
def test_chip_that_checks_signatures_or_decrypts_is_refused(name, register, bits, what):
    chip = chip_in_memory(name)
    chip.registers[register] = chip.registers.get(register, 0) | bits
    with served(chip) as device:
        assert fails(Refused, device).startswith(f"this chip has {what} on")


def test_chip_in_secure_download_mode_is_refused():
    chip = chip_in_memory("esp32c6")
    chip.security = (1 << 2, 0)
    with served(chip) as device:
        assert fails(Refused, device).startswith("this chip has secure download mode on")


# A line that is no pseudo-terminal has a real chip at its end, which runs esptool's stub.


class WithStub(Rom):
    """A chip that loads esptool's stub and from then on answers as that does; attached by it."""

    runs = False

    def answer(self, frame):
        op, words = frame[1] if len(frame) >= 8 else None, frame[8:]
        done = struct.pack("<BBHI", 1, op or 0, 2, 0) + b"\0\0"
        if op in (MEM_BEGIN, MEM_DATA):
            return [done + b"\0\0"]
        if op == MEM_END:
            self.runs = self._attached = True
            return [done + b"\0\0", b"OHAI"]
        if not self.runs or op not in (FLASH_END, DEFL_END, MD5, ERASE, READ):
            return super().answer(frame)
        if op in (FLASH_END, DEFL_END):
            return [done]
        offset, size = struct.unpack_from("<2I", words)
        data = self._flash.read(offset, size)
        digest = hashlib.md5(data).digest()
        if op == MD5:
            return [done[:8] + digest + b"\0\0"]
        if op == ERASE:
            self._flash.erase(offset, size)
            return [done]
        return [done, *(data[at : at + SECTOR] for at in range(0, size, SECTOR)), digest]


MEM_BEGIN, MEM_END, MEM_DATA, FLASH_END, DEFL_END, MD5, ERASE, READ = b"\5\6\7\4\x12\x13\xd1\xd2"


@contextlib.contextmanager
def over_tcp(chip):
    """The URL of a line with this Rom at its end, as a serial server in the network has it."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run():
            peer, _ = server.accept()
            with peer:
                rom.answer(peer.fileno(), chip, stop)

        service = threading.Thread(target=run)
        service.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            service.join()


@pytest.mark.parametrize("name", ["esp32s2", "esp32s3", "esp32c3", "esp32c6"])
def test_chip_that_runs_the_stub_is_read_written_and_erased(name):
    flash, digits = Flash(bytearray(SIZE)), NOISE[:150_001].hex().encode()
    with over_tcp(WithStub(CHIPS[name].id, flash, bytes(6))) as url, loader.connect(url) as found:
        assert (found.name, found.flash_size, found.can_reset) == (name, SIZE, False)
        found.write([Region(0x10000, digits, "digits"), Region(0, b"text" * 999, "text")])
        expected = bytearray(SIZE)
        expected[:SECTOR] = (b"text" * 999).ljust(SECTOR, b"\xff")
        expected[0x10000:0x5A000] = digits.ljust(0x4A000, b"\xff")
        assert flash.bytes == expected
        assert found.read(0xF000, 70_000) == expected[0xF000:][:70_000]
        found.erase(SECTOR, SECTOR)
        assert flash.bytes[SECTOR : 2 * SECTOR] == b"\xff" * SECTOR


def test_chip_that_does_not_run_the_stub_is_said():
    with over_tcp(chip_in_memory()) as url:
        assert "the chip answers but does not run esptool's stub" in fails(Unreachable, url)


# The line or the flash fails half-way


@contextlib.contextmanager
def dying(chip, after):
    """A line with this Rom that is hung up after so many bytes from the host; `after[0] += n` moves that."""
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()
    near, far = socket.socketpair()

    def move():
        while not stop.is_set() and after[0] > 0:
            with contextlib.suppress(BlockingIOError):
                data = os.read(master, min(4096, after[0]))
                after[0] -= len(data)
                far.sendall(data)
            with contextlib.suppress(BlockingIOError):
                os.write(master, far.recv(4096))
        os.close(master)

    os.set_blocking(master, False)
    far.setblocking(False)
    threads = [
        threading.Thread(target=move),
        threading.Thread(target=rom.answer, args=(near.fileno(), chip, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        os.close(slave)
        near.close()
        far.close()


def test_cable_that_is_pulled_while_writing_says_how_far_it_came(monkeypatch):
    flash = Flash(bytearray(SIZE))
    budget = [1 << 40]
    with dying(chip_in_memory(flash=flash), budget) as device, loader.connect(device) as found:
        budget[0] = 290_000
        opened: list[str] = []
        monkeypatch.setattr(serial.Serial, "open", lambda port: opened.append(port.port))
        with pytest.raises(Unreachable) as caught:
            found.write([Region(0x10000, NOISE, "ota_0"), Region(0, b"boot", "bootloader")])
        assert not opened  # esptool would wait for the port to come back
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{device}: the line failed (")
    assert said.endswith(
        f"while ota_0 was written; {loader.PIECE} of {len(NOISE) + 4} bytes are in flash, and the "
        "board does not start: check the cable and run the same command again, which is safe"
    )
    assert flash.bytes[0x10000:][: loader.PIECE] == NOISE[: loader.PIECE]
    assert not any(flash.bytes[:0x10000])


def test_the_same_command_again_mends_it(board):
    port, flash = board()
    budget = [1 << 40]
    regions = [Region(0x10000, NOISE, "ota_0")]
    chip, contents = rom.power_up(flash.parent)
    with dying(chip, budget) as device, loader.connect(device) as found:
        budget[0] = 100_000
        with pytest.raises(Unreachable):
            found.write(regions)
    contents.close()
    with loader.connect(port) as found:
        found.write(regions)
    assert flash.read_bytes()[0x10000:][: len(NOISE)] == NOISE


def test_cable_that_is_pulled_while_reading_or_erasing_is_one_line():
    chip = chip_in_memory(flash=Flash(bytearray(SIZE)))
    for action in (lambda found: found.read(0, 100_000), lambda found: found.erase(0, SECTOR)):
        budget = [1 << 40]
        with dying(chip, budget) as device, loader.connect(device) as found:
            budget[0] = 10
            with pytest.raises(Unreachable) as caught:
                action(found)
        assert "the line failed" in str(caught.value) and "\n" not in str(caught.value)
        assert "run the same command again" in str(caught.value)


@pytest.mark.parametrize("after", [0, 40, 60, 200, 400, 700])
def test_cable_that_is_pulled_while_connecting_is_one_line(after):
    with dying(chip_in_memory(), [after + 1]) as device:
        assert device in fails(Unreachable, device)


class Worn(Flash):
    """One bit of it can not be cleared."""

    def program(self, address, data, strict=True):
        super().program(address, data, strict)
        if address <= 0x20000 < address + len(data):
            self.bytes[0x20000] |= 1


def test_flash_that_does_not_hold_what_was_written_is_refused():
    flash = Worn(bytearray(b"\xff" * SIZE))
    with (
        served(chip_in_memory(flash=flash)) as device,
        loader.connect(device) as found,
        pytest.raises(Refused) as caught,
    ):
        found.write([Region(0x10000, bytes(100_000), "ota_0")])
    said = str(caught.value)
    assert said.startswith("the flash does not hold what was written of ota_0")
    assert "0 of 100000 bytes are in flash" in said and "\n" not in said


class Garbled(Flash):
    """What is read from it in small pieces is not what it has."""

    def read(self, address, size):
        data = super().read(address, size)
        return data if size > 64 else bytes(size)


def test_what_is_read_is_compared_with_what_the_chip_has():
    flash = Garbled(bytearray(b"a" * SIZE))
    with (
        served(chip_in_memory(flash=flash)) as device,
        loader.connect(device) as found,
        pytest.raises(Unreachable, match="what came is not what the chip has"),
    ):
        found.read(0, 4096)


def test_lock_is_given_back(board):
    with served(chip_in_memory()) as device:
        for _ in range(2):
            with contextlib.suppress(KeyError), loader.connect(device):
                raise KeyError
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)
