"""`ota device …` on the virtual board's serial line: real mpremote, real MicroPython, real library."""

import contextlib
import json
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serial
from site_of import Site
from virtual import FACTORY_TABLE

from ota import __version__
from ota_tools import device_update, library, resources
from ota_tools.board import filesystem, maker
from ota_tools.board.folder import load_board
from ota_tools.board.image_maker import make_image
from ota_tools.device import connect
from ota_tools.failures import Unreachable
from ota_tools.partitions import parse_csv
from ota_tools.ports import open_port

SIZE = 300_000
SCRIPT = Path(sys.executable).parent / "ota"
INTERRUPTIBLE = [
    "env",  # whoever started the tests in the background may have had SIGINT ignored
    "--default-signal=INT",
    SCRIPT,
]
BOOT = resources.device_file("boot.py").read_bytes()
CONFIRMS = b"import ota\nota.self_test([('all', lambda: True)])\n"
FAILS = b"import ota\nota.self_test([('lamp', lambda: False)])\n"


@pytest.fixture
def few(monkeypatch):
    """A small library, for tests that ask only for its files: the line takes 15 s for the whole one."""
    files = {f"/lib/ota/m{n}.mpy": random.Random(n).randbytes(3000) for n in range(8)}
    monkeypatch.setattr(library, "compiled", lambda chip: files)
    return files


@pytest.fixture
def make(site, tmp_path):
    """A board in a folder: its name for `--port`, and the folder."""

    def build(files=(), image=None, table=None):
        folder = tmp_path / "b"
        app = image or maker.application_image("1.0", True, SIZE)
        everything = {"/boot.py": BOOT, **site.files(), **dict(files)}
        everything = {path: data for path, data in everything.items() if data is not None}
        made = maker.make_board(
            folder, table or site.target.table, app, everything, receipt=("1.0", 1)
        )
        made.close()
        return f"board:{folder}", folder

    return build


@pytest.fixture
def bare():
    """The image of a stock build: without the library."""
    return make_image({}, SIZE, "stock")


def files_of(folder):
    board = load_board(folder)
    part = board.table.find("vfs")
    found = filesystem.read(board.flash.read(part.offset, part.size))
    board.close()
    return found


def trust_file(site, tmp_path):
    path = tmp_path / "ota_trust.json"
    path.write_bytes(site.trust)
    return path


def setup(ota, port, site, tmp_path, *more):
    where = trust_file(site, tmp_path)
    names = ("--product", "demo", "--board", "virtual", "--trust", where)
    return ota("device", "setup", "--port", port, *names, *more)


def test_an_answer_that_the_line_changed_is_garbled(make):
    port, _ = make()
    noise = "print('ota-answer 5d7c2f1a 5')\nraise KeyboardInterrupt"  # no answer behind it
    with connect(port) as board:
        with pytest.raises(Unreachable, match="garbled"):
            board.run(noise)
        assert board.run("return {'é': [5]}") == {"é": [5]}
        with pytest.raises(Unreachable, match="garbled"):
            board.run("return float('nan')")


# looking


def test_status_tells_what_runs(ota, make):
    port, _ = make()
    about = ota("device", "status", "--port", port, "--json").json()
    assert (about["running"], about["version"], about["trial"]) == (0, "1.0", False)
    assert about["trust"] == {"number": 1, "expired": False}
    call = ota("device", "status", "--port", port)
    assert call.code == 0 and "ota_0: 1.0" in call.out and "running" in call.out


def test_a_program_that_runs_is_interrupted(ota, make):
    port, _ = make({"/main.py": b"import time\nwhile True:\n time.sleep(0.1)\n"})
    assert ota("device", "status", "--port", port, "--json").json()["running"] == 0


def test_logs_use_nothing_up(ota, make):
    port, _ = make()
    first = ota("device", "logs", "--port", port, "--json").json()
    assert first == {"events": [], "last": None}
    assert "none yet" in ota("device", "logs", "--port", port).out


def test_doctor_of_a_board_is_a_table_with_advice(ota, make, site):
    port, _ = make()
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    call = ota("device", "doctor", "--port", port)
    assert call.code == 0, call.err
    assert "signed for us in" in call.out and "docs/keys.md" in call.out


def test_doctor_that_interrupts_boot_py_lets_it_run_again(ota, make):
    slow = b"import time\ntime.sleep(2)\nimport ota\nota.boot()\n"
    port, _ = make({"/boot.py": slow})
    call = ota("device", "doctor", "--port", port, "--no-network")
    assert call.code == 0, call.err


@pytest.mark.parametrize("boot", [b"x = 1\n", b"while True:\n pass\n", None])
def test_doctor_finds_a_boot_py_that_does_not_start_the_library(ota, make, boot):
    port, _ = make({"/boot.py": boot})
    call = ota("device", "doctor", "--port", port, "--no-network", "--json")
    bad = [row for row in json.loads(call.out)["findings"] if row["level"] == 2]
    assert [row["text"] for row in bad] == ["ota.boot() did not run"]


def test_doctor_fails_where_something_will_not_work(ota, make):
    port, _ = make({"/ota_trust.json": b"{}\nnothing"})
    call = ota("device", "doctor", "--port", port, "--no-network", "--json")
    assert call.code == 1
    found = json.loads(call.out)
    assert {row["check"] for row in found["findings"] if row["level"] == 2} == {"trust"}
    assert found["bad"] == 1 and all(
        bool(row["advice"]) == (row["level"] > 0) for row in found["findings"]
    )


def test_doctor_finds_a_folder_ota_that_hides_the_library(ota, make):
    copy = {path.removeprefix("/lib"): data for path, data in library.compiled("esp32").items()}
    port, _ = make({"/main.py": b"\n", **copy})  # the image has one, too
    call = ota("device", "doctor", "--port", port, "--no-network", "--json")
    bad = [row for row in json.loads(call.out)["findings"] if row["level"] == 2]
    assert [row["text"] for row in bad] == ["/ota hides the library"]


def test_doctor_sends_a_factory_layout_to_flash(ota, make):
    port, _ = make({}, None, parse_csv(FACTORY_TABLE))
    call = ota("device", "doctor", "--port", port, "--no-network")
    assert call.code == 1 and "0 OTA slots" in call.out and "`ota flash`" in call.out


# setup


def test_setup_makes_a_board_of_a_stock_build_that_updates_itself(ota, make, bare, site, tmp_path):
    mine = {"/boot.py": None, "/ota_trust.json": None, "/main.py": CONFIRMS}
    port, folder = make(mine, bare)
    about = setup(ota, port, site, tmp_path, "--json").json()
    found = files_of(folder)
    modules = library.compiled("esp32")
    assert {path: found[path] for path in modules} == modules
    assert (found["/boot.py"], found["/ota_trust.json"]) == (BOOT, site.trust)
    assert set(about["copied"]) == {*modules, "/boot.py", "/ota_trust.json"}
    assert not [path for path in found if path.endswith(".new")]
    assert setup(ota, port, site, tmp_path, "--json").json()["copied"] == []
    site.publish(make_image({}, SIZE, "next"), "1.1", 2)
    about = ota("device", "update", "--port", port, "--json").json()
    assert (about["confirmed"], about["running"]) == (True, "1.1")
    rows = ota("device", "doctor", "--port", port, "--json").json()["findings"]
    assert [row["text"] for row in rows if row["check"] == "library"] == [
        f"ota {__version__} from /lib/ota"
    ]


def test_setup_brings_a_program_where_there_is_none(ota, make, bare, few, site, tmp_path):
    port, folder = make({"/boot.py": None, "/ota.json": None}, bare)
    about = setup(ota, port, site, tmp_path, "--json").json()
    assert set(about["copied"]) == {*few, "/boot.py", "/main.py", "/lib/app.py", "/ota.json"}
    assert json.loads(files_of(folder)["/ota.json"]) == {"product": "demo", "board": "virtual"}
    assert any("/wifi.json" in note for note in about["notes"])


def test_setup_keeps_what_is_the_users(ota, make, site, tmp_path):
    mine = {"/boot.py": b"print('mine')\n", "/main.py": b"print('mine, too')\n"}
    port, folder = make(mine)
    about = setup(ota, port, site, tmp_path, "--json").json()
    found = files_of(folder)
    assert {path: found[path] for path in mine} == mine
    assert any("does not call ota.boot()" in note for note in about["notes"])
    setup(ota, port, site, tmp_path, "--force")
    assert files_of(folder)["/boot.py"] == BOOT


def test_setup_replaces_a_boot_py_of_comments(ota, make, site, tmp_path):
    port, folder = make({"/boot.py": b"# This file is executed on every boot\n#import esp\n"})
    assert setup(ota, port, site, tmp_path).code == 0
    assert files_of(folder)["/boot.py"] == BOOT


def test_setup_removes_modules_that_would_come_first(ota, make, bare, few, site, tmp_path):
    port, folder = make({"/lib/ota/m1.py": b"1/0\n", "/lib/ota/gone.mpy": b"x"}, bare)
    about = setup(ota, port, site, tmp_path, "--json").json()
    assert sorted(about["removed"]) == ["/lib/ota/gone.mpy", "/lib/ota/m1.py"]
    assert "/lib/ota/m1.py" not in files_of(folder)


def test_setup_does_not_copy_a_library_that_is_frozen(ota, make, site, tmp_path):
    port, folder = make({"/main.py": b"\n"})
    assert setup(ota, port, site, tmp_path, "--json").json()["copied"] == []
    assert not [path for path in files_of(folder) if path.startswith("/lib/ota")]


def test_a_setup_that_was_cut_changes_nothing_and_goes_on(ota, make, bare, few, site, tmp_path):
    _, folder = make({"/main.py": b"\n"}, bare)
    before = files_of(folder)
    with open_port(f"board:{folder}") as path, cut_after(path, 20_000) as (relay, _):
        call = setup(ota, relay, site, tmp_path)
    assert (call.code, "the line broke" in call.line()) == (3, True)
    between = files_of(folder)
    assert {p: data for p, data in between.items() if not p.endswith(".new")} == before
    staged = [path for path in between if path.endswith(".new")]
    assert staged
    with open_port(f"board:{folder}") as path, cut_after(path, 10**9) as (relay, sent):
        assert setup(ota, relay, site, tmp_path).code == 0
    assert sent[0] < sum(map(len, few.values())) * 4 / 3  # what was there did not come again
    assert files_of(folder)["/boot.py"] == BOOT


def test_setup_needs_two_slots(ota, make, bare, site, tmp_path):
    port, _ = make({}, bare, parse_csv(FACTORY_TABLE))
    call = setup(ota, port, site, tmp_path)
    assert call.code == 1 and "OTA slots" in call.line() and "`ota flash`" in call.line()


def test_setup_needs_a_name_for_the_board(ota, make, bare):
    port, _ = make({"/ota.json": None}, bare)
    call = ota("device", "setup", "--port", port)
    assert call.code == 2 and "--product" in call.line()


def test_setup_does_not_change_whom_a_board_trusts(ota, make, site, tmp_path):
    port, folder = make({"/main.py": b"\n", "/ota_trust.json": site.trust + b" "})
    call = setup(ota, port, site, tmp_path)
    assert call.code == 1 and "--force" in call.line()
    assert files_of(folder)["/ota_trust.json"] == site.trust + b" "


def test_setup_does_not_change_the_product(ota, make):
    port, _ = make({"/main.py": b"\n"})
    call = ota("device", "setup", "--port", port, "--product", "lamp")
    assert call.code == 1 and "'demo'" in call.line() and "--force" in call.line()


def test_setup_shows_the_sum_where_there_is_no_room(ota, make, bare, site, tmp_path):
    port, folder = make({"/main.py": b"\n", "/big.bin": bytes(200 * 4096)}, bare)
    call = setup(ota, port, site, tmp_path)
    assert call.code == 1 and re.search(r"files take \d+ blocks of 4096 bytes", call.line())
    assert not [path for path in files_of(folder) if path.endswith(".new")]


# update, confirm, rollback


def test_an_update_is_followed_until_it_is_confirmed(ota, make, site):
    port, _ = make({"/main.py": CONFIRMS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    about = ota("device", "update", "--port", port, "--json").json()
    assert (about["confirmed"], about["running"], about["outcome"]) == (True, "1.1", "confirmed")
    about = ota("device", "update", "--port", port, "--json").json()
    assert about["installed"] is False and "up to date" in about["reason"]
    events = ota("device", "logs", "--port", port, "--json").json()["events"]
    assert [event["event"] for event in events] == ["confirmed", "activated"]


def test_an_update_that_fails_its_test_is_exit_code_1(ota, make, site):
    port, _ = make({"/main.py": FAILS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    call = ota("device", "update", "--port", port)
    assert call.code == 1
    assert "1.1 did not stay: self-test failed: lamp: failed" in call.line()
    rows = ota("device", "doctor", "--port", port, "--json").json()["findings"]
    texts = [row["text"] for row in rows if row["check"] == "journal" and row["level"] == 1]
    assert "self-test failed, lamp: failed" in texts[0]
    assert texts[1].startswith("refused up to sequence 2: ")


def test_a_trial_that_nobody_ends_is_told(ota, make, site):
    port, _ = make()
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    call = ota("device", "update", "--port", port)
    assert call.code == 1 and "confirms nothing" in call.line()


def test_a_trial_that_an_update_interrupts_goes_on_and_is_followed(ota, make, site):
    port, folder = make({"/main.py": b"import time\ntime.sleep(3)\n" + CONFIRMS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    with open_port(f"board:{folder}") as path:
        assert ota("device", "update", "--port", path, "--no-wait").code == 0
        call = ota("device", "update", "--port", path, "--json")
        assert "1.1 is on trial already" in call.err
        assert call.json()["confirmed"] and call.json()["version"] == "1.1"
    about = ota("device", "status", "--port", port, "--json").json()
    assert (about["version"], about["trial"], about["outcome"]) == ("1.1", False, "confirmed")


def test_an_image_that_waits_for_its_first_start_gets_it(ota, make, site):
    _, folder = make({"/main.py": CONFIRMS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    with open_port(f"board:{folder}") as path:
        with connect(path) as found:
            assert found.ask("return ota.Updater.from_config().update().version") == "1.1"
        asked = len(site.asked())
        about = ota("device", "update", "--port", path, "--json").json()
    assert (about["version"], about["confirmed"]) == ("1.1", True)
    assert len(site.asked()) == asked


def test_an_image_on_trial_is_confirmed_over_the_line(ota, make, site):
    port, folder = make()
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    with open_port(f"board:{folder}") as path:
        assert ota("device", "update", "--port", path).code == 1
        call = ota("device", "status", "--port", path, "--json")
        assert call.json()["trial"] and "`ota device confirm` keeps it" in call.err
        about = ota("device", "confirm", "--port", path, "--json").json()
    assert about == {"confirmed": True, "version": "1.1", "was on trial": True}
    assert ota("device", "status", "--port", port, "--json").json()["version"] == "1.1"


def test_an_image_is_left_over_the_line(ota, make, site):
    port, _ = make({"/main.py": CONFIRMS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    assert ota("device", "update", "--port", port).code == 0
    about = ota("device", "rollback", "--port", port, "--yes", "--reason", "dark", "--json").json()
    assert (about["boots"], about["version"]) == (0, "1.0")
    about = ota("device", "status", "--port", port, "--json").json()
    assert (about["version"], about["outcome"], about["reason"]) == ("1.0", "rolled back", "dark")


def test_ctrl_c_in_an_update_says_what_boots_and_the_next_one_goes_on(ota, make, site):
    port, _ = make({"/main.py": CONFIRMS, **site.files(part_kib=64)})
    site.publish(maker.application_image("1.1", True, 1_400_000), "1.1", 2)
    site.server.log.on_request = lambda request: time.sleep(0.2)  # a slow server
    command = [*INTERRUPTIBLE, "device", "update", "--port", port]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while len(site.server.log.answered()) < 3:  # the manifest, and two parts of the image
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    site.server.log.on_request = None
    assert process.returncode == 130, err
    assert err == "ota: interrupted; ota_0 boots, the next update goes on where this one stopped\n"
    assert ota("device", "update", "--port", port, "--json").json()["confirmed"]


FOREVER = b"import time\nprint('alive')\nwhile True:\n time.sleep(0.1)\n"


def test_a_program_without_an_end_is_asked_when_its_time_is_over(ota, make, site, monkeypatch):
    monkeypatch.setattr(device_update, "_TRIAL_S", -26)  # of the 30 s that a trial has at least
    port, _ = make({"/main.py": FOREVER, **site.files(trial_window_s=30)})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    call = ota("device", "update", "--port", port)
    assert call.code == 1 and "confirms nothing" in call.line()


def test_a_program_without_an_end_that_confirms_runs_on(ota, make, site):
    _, folder = make({"/main.py": CONFIRMS + FOREVER})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    with open_port(f"board:{folder}") as path:
        about = ota("device", "update", "--port", path, "--json").json()
        assert (about["confirmed"], about["running"]) == (True, "1.1")
        call = ota("device", "status", "--port", path, "--json")
        assert "main.py was interrupted" in call.err  # by this one, not by the one before
        assert (call.json()["version"], call.json()["outcome"]) == ("1.1", "confirmed")


def test_ctrl_c_in_a_trial_says_that_the_board_should_be_left_alone(make, site):
    port, _ = make({"/main.py": FOREVER})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    command = [*INTERRUPTIBLE, "device", "update", "--port", port]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while "alive" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130, err
    assert err.startswith("ota: 1.1 is installed and may be on trial") and "Traceback" not in err


def test_without_waiting_the_trial_is_the_boards_own(ota, make, site):
    _, folder = make({"/main.py": CONFIRMS})
    site.publish(maker.application_image("1.1", True, SIZE), "1.1", 2)
    with open_port(f"board:{folder}") as path:
        about = ota("device", "update", "--port", path, "--no-wait", "--json").json()
        assert about == {"installed": True, "version": "1.1", "trial": "not awaited"}


def test_rollback_without_another_image_is_refused(ota, make):
    port, _ = make()
    call = ota("device", "rollback", "--port", port, "--yes")
    assert call.code == 1 and call.line().startswith("ota: no-rollback: ")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_rollback_that_nobody_is_there_to_confirm_is_refused(ota, make, options):
    port, _ = make()
    call = ota("device", "rollback", "--port", port, *options)
    assert call.code == 1 and call.line().endswith("? --yes goes on")


def test_what_the_device_refuses_comes_with_its_code(ota, make):
    port, _ = make()
    call = ota("device", "update", "--port", port)
    assert call.code == 1 and call.line().startswith("ota: http-status: ")


# bad boards, bad ports


def test_without_the_library_setup_is_named(ota, make, bare):
    port, _ = make({"/boot.py": None}, bare)
    call = ota("device", "status", "--port", port)
    assert call.code == 1 and "`ota device setup`" in call.line()


def test_another_package_named_ota_is_named(ota, make, bare, site, tmp_path):
    port, _ = make({"/boot.py": None, "/lib/ota/__init__.py": b"x = 1\n"}, bare)
    for call in (ota("device", "status", "--port", port), setup(ota, port, site, tmp_path)):
        assert call.code == 1
        assert "another package named ota" in call.line() and "/lib/ota" in call.line()


def test_a_folder_ota_is_named(ota, make, bare, site, tmp_path):
    port, _ = make({"/boot.py": None, "/ota/data.json": b"{}"}, bare)
    call = ota("device", "status", "--port", port)
    assert call.code == 1 and "at /ota: it hides the library" in call.line()
    call = setup(ota, port, site, tmp_path)
    assert call.code == 1 and "/ota on the board hides" in call.line()


def test_a_board_that_is_not_there_is_a_usage_error(ota, tmp_path):
    call = ota("device", "status", "--port", f"board:{tmp_path}/none")
    assert call.code == 2 and "ota board new" in call.line()


def test_a_port_that_is_not_there_is_one_line(ota):
    call = ota("device", "status", "--port", "/dev/ttyNONE7")
    assert call.code == 3 and "/dev/ttyNONE7: no such port" in call.line()


def test_a_server_that_is_not_there_is_one_line(ota):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    call = ota("device", "status", "--port", f"socket://127.0.0.1:{number}")
    assert call.code == 3 and "nobody answers" in call.line()


@pytest.fixture
def terminal():
    """A pseudo-terminal with nothing behind it: descriptor of that end, path."""
    master, slave = pty.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    with contextlib.suppress(OSError):
        os.close(master)


def test_a_port_that_another_program_has_is_busy(ota, terminal):
    with serial.Serial(terminal[1], exclusive=True):
        call = ota("device", "status", "--port", terminal[1])
    assert call.code == 3 and "busy" in call.line()


def test_a_port_that_another_program_is_just_leaving_is_waited_for(ota, make):
    _, folder = make({"/main.py": None})
    with open_port(f"board:{folder}") as path:
        other = serial.Serial(path, exclusive=True)
        threading.Timer(0.5, other.close).start()
        call = ota("device", "status", "--port", path)
    assert call.code == 0, call.err


def test_a_port_without_a_repl_does_not_answer(ota, terminal):
    start = time.monotonic()
    call = ota("device", "status", "--port", terminal[1])
    assert call.code == 3 and "is it a MicroPython REPL" in call.line()
    assert time.monotonic() - start < 60


def test_a_port_that_talks_all_the_time_does_not_answer(ota, terminal):
    stop = threading.Event()

    def talk():
        os.set_blocking(terminal[0], False)
        while not stop.is_set():
            with contextlib.suppress(BlockingIOError):
                os.write(terminal[0], b"$GPGGA,123519,4807.038,N\r\n" * 20)
            time.sleep(0.001)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        start = time.monotonic()
        call = ota("device", "status", "--port", terminal[1])
        assert call.code == 3 and "no answer" in call.line()
        assert time.monotonic() - start < 60
    finally:
        stop.set()
        thread.join()


def test_a_line_that_breaks_is_one_line(ota, make):
    _, folder = make()
    with open_port(f"board:{folder}") as path, cut_after(path, 150) as (relay, _):
        call = ota("device", "status", "--port", relay)
    assert call.code == 3 and "run the same command again" in call.line()


@contextlib.contextmanager
def cut_after(path, limit):
    """The board's line by TCP, until `limit` bytes went to it: its URL, and how many went."""
    sent = [0]
    server = socket.create_server(("127.0.0.1", 0))
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.set_blocking(line, False)

    def relay():
        with contextlib.suppress(OSError), server.accept()[0] as peer:
            peer.settimeout(0.002)
            while sent[0] < limit:
                with contextlib.suppress(BlockingIOError):
                    peer.sendall(os.read(line, 4096))
                with contextlib.suppress(TimeoutError):
                    data = peer.recv(4096)
                    if not data:
                        return
                    sent[0] += len(data)
                    while data:
                        with contextlib.suppress(BlockingIOError):
                            data = data[os.write(line, data) :]

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", sent
    finally:
        server.close()
        thread.join(10)
        os.close(line)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    yield made
    made.server.close()
