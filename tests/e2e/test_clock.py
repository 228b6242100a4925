"""A board that does not know the date: who tells it, who is believed, and what happens without."""

import contextlib
import hashlib
import time

import pytest
from site_of import updater
from timeserver import BAD, TimeServer
from virtual import IMAGE_A

from ota import clock, receipt
from ota.errors import OtaError
from ota.port import Port
from ota_tools import resources
from ota_tools.board import clock as board_clock
from ota_tools.board import image_maker, maker
from ota_tools.board.model import HARD, POWER_ON, POWER_ON_TIME, Board
from ota_tools.board.runner import run
from ota_tools.board.settings import Settings
from ota_tools.failures import MissingTool

HOUR = 3600
DAY = 24 * HOUR

MAIN = """
import time
import ota


def check():
    try:
        updater = ota.Updater.from_config()
        release = updater.check()
        print("CLOCK", int(time.time()))
        if release:
            updater.install(release)
            ota.reset()
    except ota.OtaError as e:
        print("CLOCK", int(time.time()))
        print("CODE", e.code)


print("START", int(time.time()))
if ota.status()["trial"]:
    ota.confirm()
    print("RUNNING", ota.status()["version"])
else:
    check()
"""

CHECKS_AGAIN = MAIN.replace("else:\n    check()", "check()")


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


def board(site, folder, ntp: str, created: int = 0, main: str = MAIN, unset=True) -> Board:
    """A board whose clock nobody set; `created`: of the running image, by its receipt."""
    app = image("1.0")
    files = site.files(ntp=ntp)
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/main.py"] = main.encode()
    about = receipt.Receipt(hashlib.sha256(app).digest(), len(app), "1.0", 10, created)
    files[receipt.FILE] = receipt.encode({0: about})
    settings = Settings(clock_unset=unset)
    return maker.make_board(folder, site.target.table, app, files, settings)


def power(made: Board, vm) -> dict[str, list[str]]:
    """What the program said: first word -> the rest of each line that begins with it."""
    result = run(made, vm, timeout_s=60)
    said = {}
    for line in result.console:
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(rest)
    assert "Traceback" not in said, result.console
    return said


def touched(made: Board) -> list:
    """Flash operations on any slot."""
    slots = made.table.ota_slots
    return [o for o in made.flash.operations for s in slots if s.offset <= o.address < s.end]


def is_about(text: str, seconds: float) -> bool:
    return abs(int(text) - seconds) < 60


# On the VM, whose clock judges certificates


def test_a_board_in_2000_asks_for_the_time_and_updates_over_verified_tls(site, vm, tmp_path):
    site.publish(image("2.0"), "2.0", sequence=30)
    with TimeServer() as server:
        said = power(board(site, tmp_path / "b", server.host, main=CHECKS_AGAIN), vm)
    assert is_about(said["START"][0], POWER_ON_TIME)
    assert is_about(said["CLOCK"][0], time.time())
    assert said["RUNNING"] == ["2.0"]
    assert len(server.asked) == 1, "the clock goes on through a reset: nobody needs to ask again"
    assert is_about(said["START"][1], time.time())


def test_an_answer_is_found_among_packets_that_are_none(site, vm, tmp_path):
    site.publish(image("2.0"), "2.0", sequence=30)
    with TimeServer(before=BAD) as server:
        said = power(board(site, tmp_path / "b", server.host), vm)
    assert is_about(said["CLOCK"][0], time.time())
    assert said["RUNNING"] == ["2.0"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("manner", ["silent", "nobody listens", "nobody to ask"])
def test_without_an_answer_the_date_of_the_running_image_will_do(site, vm, tmp_path, manner):
    site.publish(image("2.0"), "2.0", sequence=30)
    created = int(time.time()) - 2 * HOUR
    with TimeServer("silent") as server:
        ntp = {"silent": server.host, "nobody listens": "127.0.0.1:1", "nobody to ask": ""}
        said = power(board(site, tmp_path / "b", ntp[manner], created), vm)
    assert is_about(said["CLOCK"][0], created)
    assert said["RUNNING"] == ["2.0"]
    assert (len(server.asked) >= 2) == (manner == "silent")


@pytest.mark.parametrize("ntp", ["", "127.0.0.1:1", "no-such-host.invalid"])
def test_a_board_that_nobody_tells_the_date_says_so_and_erases_nothing(site, vm, tmp_path, ntp):
    site.publish(image("2.0"), "2.0", sequence=30)
    made = board(site, tmp_path / "b", ntp)
    said = power(made, vm)
    assert said["CODE"] == ["clock-not-set"]
    assert is_about(said["CLOCK"][0], POWER_ON_TIME)
    assert touched(made) == []


def test_a_date_before_the_certificate_is_a_clock_that_is_not_set(site, vm, tmp_path):
    # A guess is a date that has certainly passed, no more: the certificate may be younger.
    site.publish(image("2.0"), "2.0", sequence=30)
    made = board(site, tmp_path / "b", "", Port.BUILT + DAY)
    said = power(made, vm)
    assert is_about(said["CLOCK"][0], Port.BUILT + DAY)
    assert said["CODE"] == ["clock-not-set"]
    assert touched(made) == []


@pytest.mark.parametrize("manner", ["kiss of death", "wrong originate"])
def test_a_bad_time_server_is_no_time_server(site, vm, tmp_path, manner):
    site.publish(image("2.0"), "2.0", sequence=30)
    with TimeServer(manner) as server:
        made = board(site, tmp_path / "b", server.host)
        said = power(made, vm)
    assert said["CODE"] == ["clock-not-set"]
    assert is_about(said["CLOCK"][0], POWER_ON_TIME)
    assert touched(made) == []
    assert len(server.asked) == 2


def test_a_time_server_is_believed_if_it_is_not_before_the_floor(site, vm, tmp_path):
    # Nobody signs an answer. Whoever forges one can make certificates look expired, no more.
    site.publish(image("2.0"), "2.0", sequence=30)
    created = int(time.time()) - HOUR
    far = 2_999_000_000  # in 2088: of era 1
    with TimeServer(now=far) as server:
        made = board(site, tmp_path / "b", server.host, created)
        said = power(made, vm)
    assert is_about(said["CLOCK"][0], far)
    assert said["CODE"] == ["tls-verify"]
    assert touched(made) == []


def test_a_clock_that_is_right_is_not_asked_for(site, vm, tmp_path):
    site.publish(image("2.0"), "2.0", sequence=30)
    with TimeServer(now=POWER_ON_TIME) as server:
        made = board(site, tmp_path / "b", server.host, int(time.time()) - HOUR, unset=False)
        said = power(made, vm)
    assert said["RUNNING"] == ["2.0"]
    assert server.asked == []


# The board's clock itself


def test_the_clock_of_a_board_goes_on_and_survives_every_reset_but_power_on(site, vm, tmp_path):
    main = """
import machine, time
rtc = machine.RTC()
print("AT", int(time.time()), machine.reset_cause())
if machine.reset_cause() == machine.PWRON_RESET:
    ticks = time.ticks_ms()
    rtc.datetime((2031, 2, 3, 0, 4, 5, 6, 500000))
    print("SET", int(time.time() * 1000))
    print("READ", *rtc.datetime()[:7])
    time.sleep_ms(1200)
    print("LATER", int(time.time() * 1000))
    print("TICKS", time.ticks_diff(time.ticks_ms(), ticks))
    machine.reset()
elif machine.reset_cause() == machine.HARD_RESET:
    machine.deepsleep()
"""
    wanted = 1927857906  # 2031-02-03 04:05:06
    made = board(site, tmp_path / "b", "", main=main)
    for _ in range(2):  # the second time after the power was off
        said = power(made, vm)
        (at, first), (reset, second), (slept, third) = (line.split() for line in said["AT"])
        assert (first, second, third) == ("1", "2", "4")
        assert is_about(at, POWER_ON_TIME)
        assert 0 <= int(said["SET"][0]) - (wanted * 1000 + 500) < 5000
        assert said["READ"] == ["2031 2 3 0 4 5 6"]
        assert 1190 <= int(said["LATER"][0]) - int(said["SET"][0]) < 9000
        assert 1190 <= int(said["TICKS"][0]) < 9000, "ticks do not jump with the clock"
        assert int(reset) - wanted in range(1, 60)
        assert int(slept) - wanted in range(1, 60)


def test_ntptime_of_the_board_tells_the_time_of_the_host(site, vm, tmp_path):
    main = "import ntptime, time\nntptime.settime()\nprint('AT', int(time.time()))\n"
    said = power(board(site, tmp_path / "b", "", main=main), vm)
    assert is_about(said["AT"][0], time.time())


def test_without_libfaketime_a_board_with_its_own_clock_does_not_run(
    site, vm, tmp_path, monkeypatch
):
    monkeypatch.setattr(board_clock, "_FOLDERS", (str(tmp_path),))
    made = board(site, tmp_path / "b", "")
    with pytest.raises(MissingTool, match="needs libfaketime: apt-get install faketime"):
        run(made, vm)
    other = tmp_path / "faketime" / "libfaketime.so.1"
    other.parent.mkdir()
    other.write_bytes(b"a library of another processor")
    with pytest.raises(MissingTool, match="libfaketime has no effect on"):
        run(made, vm)
    monkeypatch.undo()
    with pytest.raises(MissingTool, match="libfaketime has no effect on"):
        run(made, deaf(vm))


def deaf(vm):
    """The VM, started so that no library can be put before its own."""
    return type(vm)(("/usr/bin/env", "-u", "LD_PRELOAD", *vm.argv), vm.version, vm.source)


# In this process: each way to be a bad server


@pytest.fixture
def quick(monkeypatch):
    """No waiting for answers that do not come."""
    monkeypatch.setattr(clock, "_WAIT_MS", 100)


@pytest.fixture
def device(site, tmp_path, monkeypatch, quick):
    """A board in 2000 in this process: device(ntp, created)."""

    def make(ntp: str, created: int = 0):
        v = site.device(tmp_path / "b", {"clock_unset": True}, ntp=ntp)
        about = receipt.Receipt(hashlib.sha256(IMAGE_A).digest(), len(IMAGE_A), "1.0", 10, created)
        receipt.save_receipts(str(v.root / receipt.FILE[1:]), {0: about})
        monkeypatch.setattr(Port, "now", lambda _: int(time.time() + v.board.clock_ahead))
        return v

    return make


def check(v, u=None):
    """A check that may fail: what the clock was set to by it."""
    v.board.clock_settings.clear()
    with contextlib.suppress(OtaError):
        (u or updater(v)).check()
    return v.board.clock_settings


@pytest.mark.parametrize("manner", BAD)
def test_each_misbehaviour_is_as_good_as_no_answer(device, manner):
    with TimeServer(manner) as server:
        v = device(server.host)
        assert check(v) == []
    assert len(server.asked) == 2


@pytest.mark.parametrize("manner", BAD)
def test_no_misbehaviour_moves_the_clock_before_what_was_confirmed(device, manner):
    created = int(time.time()) - HOUR
    with TimeServer(manner, now=created - DAY) as server:
        assert check(device(server.host, created)) == [created]


@pytest.mark.parametrize("before", [1, DAY, 400 * DAY])
def test_a_time_before_what_was_confirmed_is_not_believed(device, before):
    created = int(time.time()) - HOUR
    with TimeServer(now=created - before) as server:
        assert check(device(server.host, created)) == [created]
        assert len(server.asked) == 1


@pytest.mark.parametrize("now", [0, POWER_ON_TIME, Port.BUILT - 1])
def test_a_time_before_this_library_was_written_is_not_believed(device, now):
    with TimeServer(now=now) as server:
        assert check(device(server.host)) == []


@pytest.mark.parametrize("now", [2085978495, 2085978496, 2085978497, 3_000_000_000])
def test_the_years_around_2036_are_told_apart(device, now):
    with TimeServer(now=now) as server:
        assert check(device(server.host)) == [now]


def test_a_clock_behind_what_was_confirmed_is_not_right_even_if_it_was_set(device):
    created = int(time.time()) - HOUR
    with TimeServer() as server:
        v = device(server.host, created)
        v.board.clock_ahead = -DAY
        (told,) = check(v)
        assert abs(told - time.time()) < 5
        assert check(v) == []
        assert len(server.asked) == 1


def test_a_power_cut_loses_the_clock_and_a_reset_does_not(device):
    with TimeServer() as server:
        v = device(server.host)
        check(v)
        v.reset(HARD)
        assert check(v) == []
        v.reset(POWER_ON)
        assert len(check(v)) == 1
    assert len(server.asked) == 2


@pytest.mark.parametrize("kept", [True, False], ids=["the same updater", "another updater"])
def test_who_guessed_asks_again_the_next_time(device, kept):
    created = int(time.time()) - HOUR
    with TimeServer("silent") as server:
        v = device(server.host, created)
        u = updater(v)
        assert check(v, u) == [created]
        server.manner = "good"
        (told,) = check(v, u if kept else None)
        assert abs(told - time.time()) < 5


@pytest.mark.parametrize("created", [1, POWER_ON_TIME - 1, POWER_ON_TIME + DAY])
def test_a_receipt_from_before_this_library_never_moves_the_clock_back(device, created):
    # A publisher whose own clock was not set signs such dates.
    v = device("", created)
    v.board.clock_ahead = POWER_ON_TIME + 2 * DAY - time.time()
    assert check(v) == []
