"""The command: a newcomer's way through it, exit codes, and failures of one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ota_tools import cli, firmware, keys
from ota_tools.board import synthetic
from ota_tools.board.folder import load_board
from ota_tools.board.image_maker import find_romfs, make_image
from ota_tools.board.maker import application_files, make_board
from ota_tools.failures import Failure, MissingTool, Refused, Unreachable, Usage
from ota_tools.partitions import parse_csv

ROOT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).parent / "ota"
INIT = ("trust", "init", "--single-key")
NAMES = ("--product", "sensor", "--board", "v2", "--version", "1.1")


def commands(group=cli.cli, path=()):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


GROUPS = [(), ("trust",), ("board",), ("device",)]
ALL = list(commands())


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Every call starts in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(home, app, trust):
    """Image and trust store, where a user would have them."""
    (home / "app.bin").write_bytes(app)
    (home / "ota_trust.json").write_bytes(trust)
    return home


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_works_and_shows_an_example(ota, path):
    call = ota(*path, "--help")
    assert (call.code, call.err) == (0, "")
    assert f"Usage: {' '.join(('ota', *path))}" in call.out
    assert f"Example:  ota {' '.join(path)}" in call.out


def test_help_says_where_to_begin_and_has_every_command_in_a_group():
    # In a process of its own: esptool, imported by other tests, sets its groups in the same place.
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=60)
    assert "Begin with `ota demo`" in done.stdout
    assert "─ Commands" not in done.stdout
    for name in cli.cli.commands:
        assert f"│ {name} " in done.stdout


def test_script_is_installed_and_tells_its_version():
    done = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert re.fullmatch(r"ota, version \d+\.\d+\.\d+\S*\n", done.stdout)


def test_newcomer_comes_from_keys_to_a_board(home):
    def run(*args):
        done = subprocess.run([SCRIPT, *args], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    run("keygen", "root.pem")
    made = json.loads(run("keygen", "release.pem", "--json"))
    url = "https://updates.example/v2-esp32.manifest"
    store = ("trust", "init", "--single-key", "--url", url)
    run(*store, "--root", "root.pem", "--release", "release.pem.pub")
    (home / "app.bin").write_bytes(make_image({}, 100_000, "1.1"))
    run("release", "app.bin", *NAMES, "--key", "release.pem", "--trust", "ota_trust.json")
    manifest = "published/v2-esp32.manifest"
    said = json.loads(run("inspect", manifest, "--trust", "ota_trust.json", "--json"))
    assert said["verified"] == "signed for ota_trust.json"
    assert said["signatures"][0]["kid"] == made["kid"]
    payload = home / "published" / said["payloads"][0].split()[-1]
    assert payload.read_bytes() == (home / "app.bin").read_bytes()
    run("board", "new", "myboard")
    run("board", "image", "firmware.bin")
    flash = ("flash", "firmware.bin", "--port", "board:myboard", "--yes", "--quiet")
    run(*flash, *NAMES, "--trust", "ota_trust.json")
    said = json.loads(run("board", "show", "myboard", "--json"))
    assert said["boots"] == "ota_0"
    assert "image of" in said["slots"][0] and said["slots"][1].endswith("no image")
    names = {"boot.py", "main.py", "ota.json", "ota_receipts.json", "ota_trust.json"}
    there = {line.split()[0] for line in said["files"]}
    assert {f"/{name}" for name in names} <= there and "/lib/ota/__init__.mpy" in there


# What the commands give


def test_json_of_every_command_is_one_object(ota, files, board, pem):
    for call in [
        ("keygen", "k.pem", "--alg", "p256"),
        (*INIT, "--root", pem("root"), "--release", pem("release"), "-o", "t.json"),
        ("trust", "set", "t.json", "--sequence-floor", "2", "--key", pem("root")),
        ("trust", "show", "trust-2.json", "--after", "t.json"),
        ("release", "app.bin", *NAMES, "--key", pem("release")),
        ("inspect", "app.bin"),
        ("inspect", "t.json"),
        ("board", "show", "b"),
        ("board", "new", "c"),
        ("board", "image", "f.bin"),
    ]:
        assert isinstance(ota(*call, "--json").json(), dict), call


def test_text_tells_the_same_facts(ota, files):
    call = ota("inspect", "app.bin")
    assert call.code == 0
    for word in ("app.bin", "app image", "esp32", "checksum and SHA-256", "right"):
        assert word in call.out


def test_text_in_brackets_is_told_as_it_is(ota, files, pem):
    release = ("release", "app.bin", *NAMES, "--key", pem("release"))
    call = ota(*release, "--notes", "[red]x[/nonsense]")
    assert call.code == 0 and "[red]x[/nonsense]" in call.out
    assert "[bold]/none" in ota("inspect", "[bold]/none").line()


def test_release_takes_the_tables_of_larger_flashes(ota, home, pem):
    (home / "large.bin").write_bytes(make_image({}, 0x200000, "large"))
    release = ("release", "large.bin", *NAMES, "--key", pem("release"))
    assert "too many" in ota(*release).line()
    for table in ("partitions-8MiB.csv", "partitions-16MiB.csv"):
        assert ota(*release, "--partitions", ROOT / table).code == 0


def test_release_expires_after_so_many_days(ota, files, pem):
    release = ("release", "app.bin", *NAMES, "--key", pem("release"), "--json")
    assert ota(*release).json()["expires"] == "never"
    assert ota(*release, "--expires-days", "1").json()["expires"].endswith("UTC")
    fields = json.loads((files / "published/v2-esp32.manifest").read_bytes().partition(b"\n")[2])
    assert fields["expires"] - fields["created"] in (86399, 86400)
    for days in ("0", "-1"):
        assert ota(*release, "--expires-days", days).code == 2


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_a_new_board_is_a_blank_chip_of_the_kind_that_was_asked_for(ota, home, size):
    assert ota("board", "new", "b", "--chip", "esp32s3", "--flash-size", f"{size}MB").code == 0
    assert (home / "b" / "flash.bin").read_bytes() == b"\xff" * (size << 20)
    assert json.loads((home / "b" / "board.json").read_text())["chip_id"] == 9
    assert not (home / "b" / "nvs.json").exists()


@pytest.mark.parametrize("chip", synthetic.CHIPS)
def test_an_image_for_a_board_is_firmware_with_the_library_and_the_example(ota, home, chip):
    assert ota("board", "image", "f.bin", "--chip", chip, "--version", "1.7").code == 0
    parsed = firmware.parse((home / "f.bin").read_bytes())
    assert parsed.chip == chip and parsed.bootloader and not parsed.table.ota_slots
    modules = find_romfs(parsed.app)
    assert b'VERSION = "1.7"' in modules and b"WORKS = True" in modules
    assert b"ota" in modules and b"updater.py" in modules


def test_a_broken_image_for_a_board_says_that_it_does_not_work(ota, home):
    assert ota("board", "image", "f.bin", "--broken").code == 0
    assert b"WORKS = False" in (home / "f.bin").read_bytes()
    assert ota("board", "image", "f.bin").line().startswith("ota: f.bin exists")


@pytest.fixture
def board(files, app):
    """A board in the folder b."""
    trust = (files / "ota_trust.json").read_bytes()
    table = parse_csv((ROOT / "partitions.csv").read_text())
    make_board(files / "b", table, app, application_files(trust, "sensor", "v2")).close()


def test_board_show_changes_nothing(ota, files, board, snapshot):
    before = snapshot(files / "b")
    assert ota("board", "show", "b").code == 0
    assert snapshot(files / "b") == before


def test_board_with_an_unreadable_file_system_is_shown_all_the_same(ota, files, board):
    board = load_board(files / "b")
    vfs = board.table.find("vfs")
    board.flash.load(vfs.offset, b"\xff" * vfs.size)
    board.close()
    said = ota("board", "show", "b", "--json").json()
    assert said["files"] == ["no readable littlefs: LFS_ERR_CORRUPT"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_a_shell_asks_the_command_for_completions(ota, shell):
    call = ota("completion", shell)
    assert call.code == 0 and "_OTA_COMPLETE" in call.out


def test_bash_completes_commands_and_options(home):
    done = subprocess.run([SCRIPT, "completion", "bash"], capture_output=True, text=True)
    (home / "ota.bash").write_text(done.stdout)
    script = """
        PATH=%s:$PATH; . ./ota.bash
        COMP_WORDS=(ota device up); COMP_CWORD=2; _ota_completion ota; echo "${COMPREPLY[@]}"
        COMPREPLY=(); COMP_WORDS=(ota flash --back); COMP_CWORD=2; _ota_completion ota; echo "${COMPREPLY[@]}"
    """
    bash = ["bash", "-c", script % SCRIPT.parent]
    said = subprocess.run(bash, capture_output=True, text=True, cwd=home)
    assert said.stdout.split() == ["update", "--backup"], said


# Exit codes


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Failure, 1), (Refused, 1), (Usage, 2), (Unreachable, 3), (MissingTool, 4)],
)
def test_failure_of_each_class_has_its_exit_code(ota, monkeypatch, failure, code):
    def fail(*args):
        raise failure("the reason\nin two lines")

    monkeypatch.setattr(keys, "generate", fail)
    call = ota("keygen", "key.pem")
    assert (call.code, call.out) == (code, "")
    assert call.line() == "ota: the reason in two lines"


def test_interrupt_ends_without_a_traceback(ota, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(keys, "generate", interrupt)
    call = ota("keygen", "key.pem")
    assert call.code == 130 and "Traceback" not in call.err


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("keygen",),
        ("keygen", "a", "--nonsense"),
        ("board", "nonsense"),
        ("release", "app.bin"),
        ("board", "new", "b", "--flash-size", "5MB"),
        ("board", "new", "b", "--chip", "esp8266"),
        ("board", "image"),
        ("release", "app.bin", *NAMES, "--key", "k", "--sequence", "x"),
        ("release", "app.bin", *NAMES, "--key", "k", "--sequence", "0"),
        ("keygen", "a", "--alg", "ed25519"),
        ("trust", "set", "t", "--expires-days", "-1"),
    ],
    ids=" ".join,
)
def test_wrong_call_has_exit_code_2_and_says_where_help_is(ota, args):
    call = ota(*args)
    assert (call.code, call.out) == (2, "")
    assert call.line().endswith("--help` shows how")


@pytest.mark.parametrize("args", GROUPS, ids=" ".join)
def test_group_alone_shows_its_commands_with_exit_code_2(ota, args):
    call = ota(*args)
    assert call.code == 2
    assert "Usage: ota" in call.out + call.err and "--help" in call.out + call.err


# Failures: (arguments, with a key's path for {name}; exit code; what the line says)

TRUST = "trust init --single-key --root {root} --release {release} -o t.json "
NEXT = "trust set ota_trust.json --key {root} --sequence-floor 3 "
RELEASE = "release app.bin --product p --board b --version 1 --key {release} "
NEW = "board new b "
FAILURES = [
    ("keygen key.pem", 2, "key.pem exists"),
    ("keygen none/key.pem", 2, "none/key.pem: No such file"),
    ("keygen junk/key.pem", 2, "junk/key.pem: Not a directory"),
    ("keygen folder", 2, "folder exists"),
    (TRUST + "--sequence-floor 1 -o ota_trust.json", 2, "ota_trust.json exists"),
    (TRUST + "-o none/t.json", 2, "none/t.json: No such file"),
    (TRUST + "--root none.pem", 2, "none.pem: No such file"),
    (TRUST.replace("--single-key ", ""), 2, "--single-key"),
    (TRUST.replace("--single-key", "--threshold 1"), 2, "--single-key"),
    (TRUST + "--root junk", 1, "junk holds no key"),
    (TRUST + "--key {stranger}", 1, "is no root key"),
    (TRUST + "--key pub", 1, "pub holds only the public key"),
    (NEXT + "-o ota_trust.json", 2, "ota_trust.json exists"),
    (NEXT + "-o junk", 2, "junk exists"),
    (NEXT + "-o folder", 2, "folder exists"),
    (NEXT + "-o none/t.json", 2, "none/t.json: No such file"),
    (NEXT.replace("ota_trust.json", "junk"), 1, "the trust store junk is none"),
    (NEXT.replace("--key {root}", "--key {stranger}"), 1, "is no root key"),
    ("trust set ota_trust.json --key {root}", 2, "nothing is to change"),
    ("trust add ota_trust.json --key {root}", 2, "no key to add"),
    ("trust remove ota_trust.json --key {root}", 2, "no key to remove"),
    ("trust rotate ota_trust.json --key {root}", 2, "no key to rotate"),
    ("trust sign ota_trust.json", 2, "nobody signs"),
    ("trust sign junk --key {root}", 1, "not a trust store"),
    ("trust sign ota_trust.json --key {root} --after ota_trust.json", 2, "nothing is before it"),
    ("trust show junk", 1, "not a trust store"),
    ("trust show none", 2, "none: No such file"),
    ("trust show ota_trust.json --after ota_trust.json", 1, "one after the other"),
    (TRUST + "--release junk", 1, "junk holds no key"),
    (TRUST + "--release {root}", 2, "given twice"),
    (TRUST + "--threshold 2", 2, "threshold 2 of 1"),
    (TRUST + "--url host/x", 1, "https://"),
    (TRUST + "--url https://h/1" + " --url https://h/2" * 4, 1, "at most 4"),
    (TRUST + "--tls-root junk", 1, "not a certificate"),
    (TRUST + "--tls-root folder", 2, "folder: Is a directory"),
    (RELEASE.replace("app.bin", "none"), 2, "none: No such file"),
    (RELEASE.replace("app.bin", "folder"), 2, "folder: Is a directory"),
    (RELEASE.replace("app.bin", "junk"), 1, "not an application image"),
    (RELEASE.replace("app.bin", "large.bin"), 1, "too many"),
    (RELEASE.replace("--key {release} ", ""), 2, "nobody signs"),
    (RELEASE + "--key {release}", 2, "given twice"),
    (RELEASE + "--signer pub false", 1, "the signer false ended with exit code 1"),
    (RELEASE + "--signer pub none-such", 4, "the signer none-such cannot be run"),
    (RELEASE + "--signer junk true", 1, "junk holds no key"),
    (RELEASE.replace("{release}", "{stranger}") + "--trust ota_trust.json", 1, "no release key"),
    (RELEASE + "--key folder", 2, "folder: Is a directory"),
    (RELEASE + "--trust junk", 1, "the trust store junk is none"),
    (RELEASE + "--partitions none", 2, "none: No such file"),
    (RELEASE + "--partitions binary", 1, "binary is not text"),
    (RELEASE + "--partitions junk", 1, "line 1"),
    (RELEASE + "-o junk", 2, "junk"),
    (RELEASE + "-o junk/x", 2, "junk/x"),
    (RELEASE + "--board ../x", 1, "board '../x'"),
    ("inspect none", 2, "none: No such file"),
    ("inspect folder", 2, "folder: Is a directory"),
    ("inspect junk", 1, "not an application image"),
    ("inspect app.bin --trust ota_trust.json", 1, "no manifest"),
    ("serve junk", 2, "junk"),
    ("serve folder --tls junk", 2, "junk"),
    (NEW.replace(" b ", " board "), 2, "holds a board already"),
    (NEW.replace(" b ", " junk "), 2, "junk"),
    ("board image junk", 2, "junk exists"),
    ("board show none", 2, "none is no board"),
    ("board show folder", 2, "folder is no board"),
    ("board show junk", 2, "junk is no board"),
    ("board show damaged", 1, "damaged"),
    ("board show unknown", 1, "damaged"),
    ("board show empty", 1, "damaged"),
    ("board show short", 1, "partition table"),
    ("board run none", 2, "none is no board"),
    ("demo --keep folder", 2, "folder exists"),
]


@pytest.fixture(scope="session")
def large():
    return make_image({}, 0x200000, "large")


@pytest.fixture
def scene(files, root_key, large):
    """Everything that the failures stumble over."""
    (files / "folder").mkdir()
    (files / "junk").write_text("junk, but text\n")
    (files / "binary").write_bytes(b"\xaa\x50\x01\x02" + bytes(range(256)))
    (files / "key.pem").write_text("a key\n")
    (files / "pub").write_bytes(keys.public_pem(root_key.public_key()))
    (files / "large.bin").write_bytes(large)
    for name, settings, flash in [
        ("damaged", "{", b"\xff"),
        ("unknown", '{"color": "red"}', b"\xff"),
        ("empty", "{}", b""),
        ("short", "{}", b"\xff" * 4096),
        ("board", "{}", b"\xff" * 4096),
    ]:
        (files / name).mkdir()
        (files / name / "board.json").write_text(settings)
        (files / name / "flash.bin").write_bytes(flash)
    return files


@pytest.mark.parametrize(("line", "code", "fact"), FAILURES, ids=[line for line, _, _ in FAILURES])
def test_failure_is_one_line_and_leaves_nothing_behind(
    ota, scene, snapshot, pem, line, code, fact
):
    places = {name: pem(name) for name in ("root", "release", "stranger")}
    # The last of two --root or --release would be one more: the first ones go.
    args = [word.format_map(places) for word in line.split()]
    if args[:2] == ["trust", "init"]:
        for option in ("--root", "--release"):
            if args.count(option) > 1:
                at = args.index(option)
                del args[at : at + 2]
    before = snapshot(scene)
    call = ota(*args)
    assert (call.code, call.out) == (code, ""), call.err
    assert fact in call.line()
    assert snapshot(scene) == before


@pytest.mark.parametrize(
    "line", ["keygen closed/k", RELEASE + "-o closed", NEW.replace(" b ", " closed/b ")]
)
def test_output_that_cannot_be_a_folder_is_a_failure_of_one_line(ota, scene, pem, line):
    (scene / "closed").write_text("a file where a folder should be; root may write everywhere")
    call = ota(*line.format(release=pem("release")).split())
    assert call.code == 2 and "closed" in call.line()


def test_full_disk_is_a_failure_of_one_line(ota, files, pem, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    call = ota(*INIT, "--root", pem("root"), "--release", pem("release"), "-o", "t")
    assert (call.code, call.line()) == (1, "ota: No space left on device")
    assert not (files / "t").exists()


@pytest.mark.parametrize("option", ["--json", "--help"])
def test_closed_pipe_ends_without_a_traceback(files, option):
    reader, writer = os.pipe()
    os.close(reader)
    command = [SCRIPT, "inspect", "app.bin", option]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert done.stderr == b""
