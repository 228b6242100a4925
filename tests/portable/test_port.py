"""The port: partitions, otadata, NVS, file system and clock of a board that is none."""

from benches import OTA_0, Board, Forgetful, Part
from fakes import code_of, raises

from ota.memory import load_journal
from ota.port import Port


def port(subtypes, *data):
    """A port of a board with these app partitions, whose images are for chip 9."""
    image = bytes(12) + b"\x09\x00" + bytes(10)
    return Port(Board([Part(subtype, image) for subtype in subtypes], data), object())


def test_two_ota_slots_are_needed_without_a_hole():
    assert len(port((OTA_0, OTA_0 + 1)).slots()) == 2
    assert len(port((OTA_0 + 1, 0, OTA_0)).slots()) == 2
    for subtypes in ((OTA_0,), (0, OTA_0), (OTA_0, OTA_0 + 2), (OTA_0 + 1, OTA_0 + 2)):
        assert code_of(port(subtypes).slots) == "no-slots", subtypes


def test_a_factory_image_runs_in_no_slot():
    assert port((OTA_0 + 1, OTA_0)).running() == 1
    assert port((0, OTA_0)).running() == -1


def test_otadata_is_needed():
    assert code_of(port((OTA_0,)).otadata) == "no-otadata"


def test_the_chip_is_the_one_of_the_running_image():
    assert port((OTA_0,)).chip_id() == 9


def test_a_mark_that_fails_is_an_error():
    assert code_of(port((OTA_0,)).mark_valid) == "flash"


def test_what_nvs_does_not_give_back_was_not_written():
    assert code_of(port((OTA_0,)).nvs_write, "journal", b"remember") == "nvs"


def test_what_is_stored_is_committed():
    calls = []

    class Noted(Forgetful):
        def set_blob(self, key, blob):
            calls.append(key)

        def commit(self):
            calls.append("commit")

    made = port((OTA_0,))
    made._esp32.NVS = Noted
    made.nvs_store("journal", b"remember")
    assert calls == ["journal", "commit"]


def test_what_nvs_cannot_read_is_not_taken_for_nothing():
    class Failing(Forgetful):
        def get_blob(self, key, buf):
            raise OSError(self.number, "x")

    made = port((OTA_0,))
    made._esp32.NVS = Failing
    for number in (-4354, -4364):  # not found; another length
        Failing.number = number
        assert made.nvs_read("journal", bytearray(4)) == 0
    for number in (5, -1, -4353, -4355):
        Failing.number = number
        assert raises(OSError, made.nvs_read, "journal", bytearray(4)).errno == number
        assert code_of(load_journal, made) == "nvs"


def test_fat_is_refused():
    port((OTA_0,), Part(0x81, bytes(4096))).check_file_system()
    fat = Part(0x81, bytes(510) + b"\x55\xaa")
    assert code_of(port((OTA_0,), fat).check_file_system) == "file-system"


class Early(Port):
    """A board whose clock says this, running an image that was built on this date."""

    seconds = 0

    def __init__(self, date=bytes(16)):
        super().__init__(Board([Part(OTA_0, bytes(128) + date)]), object())

    def now(self):
        return self.seconds


def test_a_clock_before_the_library_was_written_is_not_set():
    early = Early()
    assert not early.clock_is_set()
    early.seconds = 1767225599
    assert not early.clock_is_set()
    early.seconds = 1767225600
    assert early.clock_is_set()


def test_a_clock_before_the_running_image_was_built_is_not_set():
    built = Early(b"Nov  6 2026" + bytes(5))
    assert built.built() == 1793923200 - 86400  # the day before, for time zones
    built.seconds = 1793923200 - 86401
    assert not built.clock_is_set()
    built.seconds += 1
    assert built.clock_is_set()
    for date in (b"Nov  6 2020", b"garbage", b"\xff" * 16):
        assert Early((date + bytes(16))[:16]).built() == Port.BUILT


class Chronometer:
    """The module `machine` with a clock that goes nowhere; `asked`: what it was set to."""

    asked = None

    def RTC(self):  # noqa: N802
        return self

    def datetime(self, date):
        self.asked = date


def test_a_clock_that_was_set_to_a_guess_is_not_set():
    machine = Chronometer()
    guessing = Early()
    guessing._machine = machine
    guessing.seconds = 1795000000
    try:
        guessing.set_clock(1795000000, True)
        assert machine.asked == (2026, 11, 18, 2, 11, 6, 40, 0)
        assert not guessing.clock_is_set()
        assert not Early().clock_is_set()  # the clock is everybody's
        guessing.set_clock(1795000000)
        assert guessing.clock_is_set()
    finally:
        Port._guessed = False
