"""The serial line of a virtual board, used by the unmodified mpremote as a user would."""

import contextlib
import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
import serial
from fakes import manifest_fields
from site_of import DATA, Site
from stores import MANIFEST, Ec, Rsa, envelope, store
from virtual import STOCK_TABLE

import ota
from ota.strict import b64url_encode
from ota_tools import ports, resources
from ota_tools.board import filesystem, image_maker, maker
from ota_tools.board.folder import load_board
from ota_tools.board.model import describe_entries
from ota_tools.failures import Refused, Unreachable, Usage
from ota_tools.partitions import parse_csv

ROOT = Path(__file__).parents[2]
MPREMOTE = Path(sys.executable).parent / "mpremote"
EVERY_BYTE = bytes(range(256))
RUNS_FOR_EVER = (
    "import time\ntime.sleep(0.3)\nprint('main runs')\nwhile True:\n    time.sleep(1)\n"
)
MODULES = {"app.py": b"VERSION = '1.0'\n"}


def make(folder: Path, main: str = "", boot: str = "", **files: bytes) -> Path:
    """A board without the library, switched off."""
    contents = {f"/{name}.py": data for name, data in files.items()}
    if main:
        contents["/main.py"] = main.encode()
    if boot:
        contents["/boot.py"] = boot.encode()
    image = image_maker.make_image(MODULES, 1 << 17, seed="1")
    maker.make_board(folder, parse_csv(STOCK_TABLE), image, contents).close()
    return folder


def power(folder: Path):
    return ports.open_port(f"board:{folder}")


def mpremote(port: str, *arguments: str, status: int = 0) -> str:
    """What the command printed, with plain line ends."""
    done = subprocess.run(
        [MPREMOTE, "connect", port, *arguments], capture_output=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == status, done
    return done.stdout.replace(b"\r\n", b"\n").decode()


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a board that is switched off, read by littlefs-python."""
    with contextlib.closing(load_board(folder)) as board:
        part = board.table.find("vfs")
        return filesystem.read(board.flash.read(part.offset, part.size))


class Terminal:
    """Somebody who types."""

    def __init__(self, port: str) -> None:
        self.port = serial.Serial(port, 115200, timeout=0.1)

    def type(self, text: str, until: str, seconds: float = 20) -> str:
        """What comes back, up to `until`."""
        self.port.write(text.encode("latin-1"))
        data = b""
        end = time.monotonic() + seconds
        while until.encode("latin-1") not in data:
            assert time.monotonic() < end, data
            data += self.port.read(max(1, self.port.in_waiting))
        return data.decode("latin-1")

    def prompt(self) -> None:
        """Until it waits at an empty line."""
        self.type("\r", ">>> ")
        time.sleep(0.2)
        self.port.reset_input_buffer()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.port.close()


@pytest.fixture
def terminal(tmp_path):
    """Of a board without programs, at its first prompt."""
    with power(make(tmp_path / "b")) as port, Terminal(port) as typed:
        typed.prompt()
        yield typed


def test_code_is_run_and_evaluated(tmp_path):
    (tmp_path / "script.py").write_text("def f(x):\n    return x * 2\n\nprint(f(21))\n")
    with power(make(tmp_path / "b", RUNS_FOR_EVER)) as port:
        assert mpremote(port, "exec", "print(6 * 7)") == "42\n"
        assert mpremote(port, "eval", "[1, 'a'] * 2") == "[1, 'a', 1, 'a']\n"
        assert mpremote(port, "run", str(tmp_path / "script.py")) == "42\n"


def test_an_exception_shows_the_users_frames_only(tmp_path):
    with power(make(tmp_path / "b")) as port:
        said = mpremote(port, "exec", "def f():\n    return 1 / 0\nf()", status=1)
    assert said.splitlines() == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 3, in <module>',
        '  File "<stdin>", line 2, in f',
        "ZeroDivisionError: divide by zero",
    ]


def test_a_syntax_error_has_its_line_and_the_next_command_works(tmp_path):
    source = "x = 1\n" * 200 + "y = = 2\n" + "z = 3\n" * 200
    with power(make(tmp_path / "b")) as port:
        said = mpremote(port, "exec", source, "exec", "print(1)", status=1)
        assert said.splitlines()[1:] == [
            '  File "<stdin>", line 201',
            "SyntaxError: invalid syntax",
        ]
        assert mpremote(port, "exec", "print('next')") == "next\n"


def test_files_go_there_and_back_byte_for_byte(tmp_path):
    small, large = EVERY_BYTE * 2, os.urandom(100_000)
    (tmp_path / "small").write_bytes(small)
    (tmp_path / "large").write_bytes(large)
    folder = make(tmp_path / "b", RUNS_FOR_EVER)
    with power(folder) as port:
        mpremote(port, "fs", "mkdir", ":d")
        mpremote(port, "fs", "cp", str(tmp_path / "small"), str(tmp_path / "large"), ":d/")
        listed = mpremote(port, "fs", "ls", ":d").split()
        assert listed == ["ls", ":d", "100000", "large", "512", "small"]
        digest = mpremote(port, "fs", "sha256sum", ":d/large").split()[-1]
        assert digest == hashlib.sha256(large).hexdigest()
        mpremote(port, "fs", "cp", ":d/large", str(tmp_path / "back"))
        mpremote(port, "fs", "cp", ":d/small", ":d/copy")
    assert (tmp_path / "back").read_bytes() == large
    files = files_of(folder)
    assert files["/d/small"] == files["/d/copy"] == small
    assert files["/d/large"] == large


def test_files_are_shown_and_removed(tmp_path):
    folder = make(tmp_path / "b", a=b"first\nsecond\n", c=b"3")
    with power(folder) as port:
        assert mpremote(port, "fs", "cat", ":a.py") == "first\nsecond\n"
        mpremote(port, "fs", "rm", ":a.py")
        assert "a.py" not in mpremote(port, "fs", "ls")
    assert sorted(files_of(folder)) == ["/c.py"]


def test_a_folder_of_this_machine_is_mounted_and_imported_from(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "away.py").write_text("def f():\n    print('from the host')\n")
    (tmp_path / "here" / "data").write_bytes(EVERY_BYTE * 300)
    code = (
        "import away, hashlib; away.f(); b = open('data', 'rb').read(); "
        "print(hashlib.sha256(b).digest().hex()); open('back', 'wb').write(b)"
    )
    with power(make(tmp_path / "b", RUNS_FOR_EVER)) as port:
        said = mpremote(port, "mount", str(tmp_path / "here"), "exec", code)
    assert "from the host" in said
    assert hashlib.sha256(EVERY_BYTE * 300).hexdigest() in said
    assert (tmp_path / "here" / "back").read_bytes() == EVERY_BYTE * 300


def test_a_soft_reset_forgets_names_and_goes_on_without_main_py(tmp_path):
    with power(
        make(tmp_path / "b", "print('main ' + 'ran')\n", "print('boot ' + 'ran')\n")
    ) as port:
        mpremote(port, "exec", "x = 5")
        assert mpremote(port, "resume", "eval", "x") == "5\n"
        mpremote(port, "soft-reset")
        code = "import machine; print('x' in globals(), machine.reset_cause())"
        assert mpremote(port, "resume", "exec", code) == "False 5\n"


def test_a_hard_reset_keeps_the_line_and_runs_main_py(tmp_path):
    main = "with open('count', 'a') as f:\n    f.write('x')\n" + RUNS_FOR_EVER
    with power(make(tmp_path / "b", main)) as port:
        mpremote(port, "reset")
        with Terminal(port) as typed:
            typed.type("", "main runs")
            assert "KeyboardInterrupt" in typed.type("\x03", ">>> ")
            assert "\r\n2\r\n" in typed.type("import machine; machine.reset_cause()\r", "\n>>> ")
            assert "'xx'" in typed.type("open('count').read()\r", "\n>>> ")


def test_sys_exit_and_machine_soft_reset_are_soft_resets(terminal):
    for line in ("import sys; sys.exit()", "import machine; machine.soft_reset()"):
        assert "MicroPython v" in terminal.type(f"{line}\r", "\n>>> ").split("soft reboot\r\n")[1]


@pytest.mark.parametrize(
    "loop",
    ["while True: pass", "import time; time.sleep(1000)", "import sys; sys.stdin.read(1)"],
)
def test_ctrl_c_stops_a_running_program(tmp_path, loop):
    with (
        power(
            make(tmp_path / "b", f"import time; time.sleep(0.3); print('starts')\n{loop}\n")
        ) as port,
        Terminal(port) as typed,
    ):
        typed.type("", "starts")
        time.sleep(0.2)
        said = typed.type("\x03", "\n>>> ")
        assert 'File "main.py", line 2, in <module>' in said
        assert "KeyboardInterrupt" in said
        typed.type(f"exec({loop!r})\r", "\n")
        time.sleep(0.2)
        assert "KeyboardInterrupt" in typed.type("\x03", "\n>>> ")
        assert "\r\n3\r\n" in typed.type("1 + 2\r", "\n>>> ")


def test_ctrl_c_stops_boot_py_and_main_py_does_not_run(tmp_path):
    folder = make(
        tmp_path / "b",
        "print('main ' + 'ran')\n",
        "import time; time.sleep(0.3); print('boots')\nwhile True: pass\n",
    )
    with power(folder) as port, Terminal(port) as typed:
        typed.type("", "boots")
        time.sleep(0.2)
        said = typed.type("\x03", "\n>>> ")
    assert 'File "boot.py", line 2' in said
    assert "main ran" not in said


def test_ctrl_c_at_power_on_stops_a_short_boot_py_and_main_py_does_not_run(tmp_path):
    folder = make(tmp_path / "b", "print('main ' + 'ran')\n", "print('boots')\n")
    stopped = 0
    for _ in range(10):
        with power(folder) as port, Terminal(port) as typed:
            said = typed.type("\x03", "\n>>> ")
        assert "main ran" not in said
        stopped += "KeyboardInterrupt" in said
        assert (
            "KeyboardInterrupt" in said or said == "\r\n>>> "
        )  # a busy machine: it was at its prompt
    assert stopped


def test_ctrl_c_in_a_program_that_fills_the_heap_gives_a_prompt_each_time(terminal):
    loop = "while True: x = [bytearray(50) for _ in range(200)]"
    for _ in range(15):
        terminal.type(f"{loop}\r\r", "... \r\n")
        time.sleep(0.02)
        terminal.type("\x03", ">>> ")
        assert "\r\n3\r\n" in terminal.type("1 + 2\r", "\n>>> ")


def test_a_file_survives_ctrl_c_in_a_program_that_writes_all_the_time(tmp_path):
    main = "while True:\n    with open('f', 'w') as f:\n        f.write('x' * 3000)\n"
    folder = make(tmp_path / "b", main, keep=b"kept")
    for _ in range(3):
        with power(folder) as port:
            assert mpremote(port, "exec", "print(open('keep.py').read())") == "kept\n"
            mpremote(port, "exec", "f = open('g', 'w'); f.write('after'); f.close()")
        files = files_of(folder)
        assert (files["/keep.py"], files["/g"]) == (b"kept", b"after")


def test_the_watchdog_goes_on_through_a_soft_reset(tmp_path):
    boot = "import machine\nprint('cause', machine.reset_cause())\n"
    with power(make(tmp_path / "b", "", boot)) as port, Terminal(port) as typed:
        typed.prompt()
        typed.type("w = machine.WDT(timeout=1500)\r", "\n>>> ")
        assert "cause 5" in typed.type("\x04", ">>> ")
        assert "cause 3" in typed.type("", ">>> ")


def test_lines_are_typed_at_the_friendly_prompt(terminal):
    assert terminal.type("1 + 2\r", "\n>>> ") == "1 + 2\r\n3\r\n>>> "
    assert terminal.type("1 + 3\x7f4\r", "\n>>> ").endswith("\r\n5\r\n>>> ")
    assert terminal.type("print('a\\nb')\r", "\n>>> ").endswith("\r\na\r\nb\r\n>>> ")
    assert "\r\n0\r\n1\r\n" in terminal.type("for i in range(2):\r  print(i)\r\r", "\n>>> ")
    assert "\r\n6\r\n" in terminal.type("sum([1,\r2,\r3])\r", "\n>>> ")
    assert "NameError" in terminal.type("nothing\r", "\n>>> ")
    assert terminal.type("abc\x03", "\n>>> ") == "abc\r\n>>> "
    assert "MPY: soft reboot\r\nMicroPython v" in terminal.type("\x04", "\n>>> ")


def test_text_is_pasted_at_the_friendly_prompt(terminal):
    terminal.type("\x05", "=== ")
    said = terminal.type("def f():\r    return 7\r\rprint(f() * 6)\r\x04", "\n>>> ")
    assert said.endswith("\r\n42\r\n>>> ")


def test_the_repl_of_mpremote_shows_a_prompt_and_takes_lines(tmp_path):
    with power(make(tmp_path / "b")) as port:
        master, slave = os.openpty()
        command = [str(MPREMOTE), "connect", port, "repl"]
        with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave) as shown:
            with open(master, "r+b", buffering=0) as screen:
                data = b""
                while b"Use Ctrl-]" not in data:
                    data += screen.read(1000)
                while termios.tcgetattr(slave)[3] & termios.ICANON:  # it is not listening yet
                    time.sleep(0.01)
                screen.write(b"\r6 * 7\r")
                while b"\n42" not in data:
                    data += screen.read(1000)
                screen.write(b"\x1d")
                shown.wait(10)
                os.close(slave)
    assert b">>> 6 * 7" in data


def test_the_plain_raw_repl_answers_as_documented(terminal):
    assert terminal.type("\x01", ">").endswith("raw REPL; CTRL-B to exit\r\n>")
    assert terminal.type("print(1)\x04", ">") == "OK1\n\x04\x04>"
    assert "NameError" in terminal.type("nothing\x04", "\x04>").split("\x04")[1]
    assert terminal.type("\x05A\x01", "\x01\x80\x00\x01") == "R\x01\x80\x00\x01"
    assert terminal.type("print(2)\x04", ">") == "\x042\n\x04\x04>"
    assert terminal.type("\x04", "\n>").startswith("OK\r\nMPY: soft reboot\r\n")
    assert "MicroPython v" in terminal.type("\x02", ">>> ")


def test_a_board_with_the_newest_vm_has_the_same_repl(tmp_path, monkeypatch):
    from ota_tools.board import interpreter

    newest = interpreter.legs().get("newest")
    if newest is None:
        pytest.skip("not on Debian")
    monkeypatch.setattr(interpreter, "find", lambda *_, **__: newest)
    with power(make(tmp_path / "b", RUNS_FOR_EVER)) as port:
        version = "%d.%d" % newest.version[:2]
        assert (
            mpremote(port, "exec", "import sys; print(sys.version)")
            .split("v")[1]
            .startswith(version)
        )
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "away.py").write_text("print('away')\n")
        assert "away" in mpremote(port, "mount", str(tmp_path / "here"), "exec", "import away")


@contextlib.contextmanager
def served(folder: Path):
    """Its URL, over HTTP."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("package", ["package.json", "package-minimal.json"])
def test_mip_installs_the_package_and_finds_it_there_the_second_time(tmp_path, package):
    folder = make(tmp_path / "b", RUNS_FOR_EVER)
    with power(folder) as port, served(ROOT) as url:
        mpremote(port, "mip", "install", package)
        first = mpremote(port, "exec", "import ota; print(ota.__version__)")
        mpremote(port, "mip", "install", f"{url}/{package}")
    assert first == ota.__version__ + "\n"
    listed = json.loads((ROOT / package).read_text())["urls"]
    assert files_of(folder).keys() - {"/main.py"} == {f"/lib/{name}" for name, _ in listed}
    for name, path in listed:
        assert files_of(folder)[f"/lib/{name}"] == (ROOT / path).read_bytes()


@pytest.mark.parametrize("signer", [Rsa(DATA / "release.pem"), Ec()], ids=["RSA", "P-256"])
def test_the_minimal_package_updates_a_board_over_https(site: Site, tmp_path, signer):
    site.trust = store(
        1,
        [Rsa(DATA / "root.pem")],
        [signer],
        [Rsa(DATA / "root.pem")],
        manifest_urls=[f"{site.server.url}/virtual-esp32.manifest"],
        tls_roots=[b64url_encode(site.paths.ca_der.read_bytes()).decode()],
    )
    image = image_maker.make_image({"app.py": b"VERSION = '2.0'\n"}, 1 << 17, seed="2")
    (site.published / "2.bin").write_bytes(image)
    payloads = [{"urls": ["2.bin"], "encoding": "plain", "size": len(image)}]
    fields = manifest_fields(image, version="2.0", sequence=20, payloads=payloads)
    signed = envelope(MANIFEST, json.dumps(fields).encode(), [signer])
    (site.published / "virtual-esp32.manifest").write_bytes(signed)
    folder = make(tmp_path / "b")
    programs = {
        "ota.json": site.files()["/ota.json"],
        "ota_trust.json": site.files()["/ota_trust.json"],
        "boot.py": resources.device_file("boot.py").read_bytes(),
        "main.py": b"import ota, app\n"
        b"ota.self_test([('server', lambda: ota.Updater.from_config().reachable())])\n"
        b"u = ota.Updater.from_config()\n"
        b"print('version', app.VERSION, ota.status()['outcome'])\n"
        b"if u.update(): ota.reset()\n"
        b"print('up to ' + 'date', u.reason)\n",
    }
    for name, data in programs.items():
        (tmp_path / name).write_bytes(data)
    with power(folder) as port:
        mpremote(port, "mip", "install", "package-minimal.json")
        mpremote(port, "fs", "cp", *(str(tmp_path / name) for name in programs), ":")
        with Terminal(port) as typed:
            typed.prompt()
            said = typed.type("import machine; machine.reset()\r", "up to date", 60)
    assert "version 2.0" in said
    with contextlib.closing(load_board(folder)) as board:
        assert describe_entries(board) == ["1 VALID", "2 VALID"]


def test_two_commands_do_not_power_the_same_board(tmp_path):
    folder = make(tmp_path / "b")
    with power(folder), pytest.raises(Unreachable, match="busy"), power(folder):
        pass
    with power(folder) as port:
        assert port.startswith("/dev/")


def test_a_folder_without_a_board_is_a_wrong_call(tmp_path):
    with pytest.raises(Usage, match="is no board"), power(tmp_path / "none"):
        pass


def test_a_board_on_which_nothing_boots_is_refused(tmp_path):
    folder = make(tmp_path / "b")
    with contextlib.closing(load_board(folder)) as board:
        board.flash.load(board.table.ota_slots[0].offset, b"\xff" * 4096)
    with pytest.raises(Refused, match="nothing on this board boots"), power(folder):
        pass


def test_a_board_that_stops_booting_hangs_up_and_says_why(tmp_path):
    folder = make(tmp_path / "b")
    code = "from esp32 import Partition as P; P(P.BOOT).info(); import machine; machine.reset()"
    with pytest.raises(Refused, match="nothing on this board boots"), power(folder) as port:
        mpremote(port, "exec", "print(1)")
        with open(folder / "flash.bin", "r+b") as flash:
            flash.seek(0x10000)
            flash.write(b"\xff" * 4096)
        with Terminal(port) as typed, contextlib.suppress(serial.SerialException, OSError):
            typed.type(f"\r{code}\r", "never", 5)


def test_any_other_port_is_given_back():
    for name in ("/dev/ttyUSB0", "COM3", "socket://localhost:5555"):
        with ports.open_port(name) as port:
            assert port == name


def test_board_run_with_a_line_says_where_it_is(tmp_path):
    folder = make(tmp_path / "b", RUNS_FOR_EVER)
    command = [str(MPREMOTE.parent / "ota"), "board", "run", str(folder), "--line"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shown:
        try:
            said = ""
            while "mpremote" not in said:
                said += shown.stdout.readline()
            port = re.search(r"/dev/\S+", said)[0]
            assert f"mpremote connect {port} repl" in said
            assert mpremote(port, "exec", "print(1)") == "1\n"
        finally:
            shown.terminate()
            assert 'File "main.py"' in shown.stdout.read()
    assert shown.returncode == 0
