"""`ota flash`: a stock firmware onto a board or into a file, and what the board held before."""

import json

import independent
import pytest

from ota_tools import backup, cli_flash, library
from ota_tools.board import filesystem, rom, synthetic
from ota_tools.board.flash import Flash
from ota_tools.failures import Unreachable
from ota_tools.firmware import CHIPS
from ota_tools.loader import Loader

OLD_FILES = {"/main.py": b"print('old')\n", "/data/log.txt": bytes(5000)}
OLD_VFS = 0x200000
VFS = 0x370000
TWO_SLOTS = """
nvs,     data, nvs,   0x9000,   0x4000
otadata, data, ota,   0xd000,   0x2000
ota_0,   app,  ota_0, 0x10000,  0x180000
ota_1,   app,  ota_1, 0x190000, 0x180000
vfs,     data, fat,   0x310000, 0xF0000
"""
OWN = f"""{TWO_SLOTS.rpartition("vfs,")[0]}
cal,     0x40, 1,     0x310000, 0x10000
certs,   data, nvs,   0x320000, 0x10000
vfs,     data, fat,   0x330000, 0xD0000
"""
"""Two slots, and partitions of the application's own."""

WIFI = b'{"ssid": "virtual", "key": "virtual"}'


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stock(home, trust):
    """Files that a user has: firmware.bin and its app image, trust store, an application."""
    (home / "firmware.bin").write_bytes(synthetic.merged())
    (home / "app.bin").write_bytes(synthetic.app())
    (home / "ota_trust.json").write_bytes(trust)
    (home / "files").mkdir()
    (home / "files" / "wifi.json").write_bytes(WIFI)
    return home


@pytest.fixture
def board(stock):
    """A stock board for 4 MB that was used: an ESP32 with files and settings, behind `board:old`."""
    put_board(stock / "old", synthetic.merged(), OLD_FILES)
    return stock / "old"


def put_board(folder, merged, files=None, chip="esp32", vfs=OLD_VFS, size=4 << 20):
    rom.blank(folder, CHIPS[chip].id, size)
    flash = Flash.open(folder / "flash.bin")
    flash.load(CHIPS[chip].bootloader_offset, merged)
    flash.load(0x9000, b"settings")
    if files is not None:
        flash.load(vfs, filesystem.build((4 << 20) - vfs, files))
    flash.close()


@pytest.fixture
def flash(ota):
    """Run `ota flash` without the library, which takes time, unless it is asked for."""

    def run(firmware, *args, lib=False):
        call = ["flash", firmware, "--product", "sensor", "--board", "v2"]
        call += ["--trust", "ota_trust.json", *([] if lib else ["--no-library"]), *args]
        return ota(*call)

    return run


def held(folder):
    return (folder / "flash.bin").read_bytes()


def has_table(folder):
    return held(folder)[0x8000:0x9000].strip(b"\xff") != b""


def pulled_after(monkeypatch, name, calls):
    """The cable is pulled at a call of the Loader's method `name`, after that many."""
    method = getattr(Loader, name)
    left = [calls]

    def until_pulled(self, *args):
        if not left[0]:
            raise Unreachable("the cable is gone")
        left[0] -= 1
        return method(self, *args)

    monkeypatch.setattr(Loader, name, until_pulled)


def files_of(data, offset=VFS):
    return independent.files(data[offset:])


# Into a file


@pytest.mark.parametrize("chip", synthetic.CHIPS)
def test_a_stock_firmware_becomes_a_whole_board(flash, stock, chip, trust):
    (stock / "firmware.bin").write_bytes(synthetic.merged(chip))
    said = flash("firmware.bin", "-o", "board.bin", "--json", lib=True).json()
    assert said["write it with"] == f"esptool --chip {chip} write-flash 0 board.bin"
    files = files_of((stock / "board.bin").read_bytes())
    for path, data in library.compiled(chip).items():
        assert files[path] == data
    assert json.loads(files["/ota.json"]) == {"product": "sensor", "board": "v2"}
    assert files["/ota_trust.json"] == trust
    assert b"ota.boot()" in files["/boot.py"] and b"self_test" in files["/main.py"]
    receipt = json.loads(files["/ota_receipts.json"])["slots"]["0"]
    assert receipt["size"] == len(synthetic.app(chip))
    assert (receipt["version"], receipt["sequence"]) == ("1.25.0", 0)


def test_what_may_hold_secrets_is_for_nobody_else(flash, board, stock):
    (stock / "saved").mkdir(0o755)
    assert flash("firmware.bin", "-o", "board.bin").code == 0
    assert flash("firmware.bin", "--port", "board:old", "--yes", "--backup", "saved").code == 0
    assert (stock / "board.bin").stat().st_mode & 0o077 == 0
    assert (stock / "saved").stat().st_mode & 0o077 == 0


def test_version_and_sequence_go_into_the_receipt(flash, stock):
    assert flash("firmware.bin", "-o", "b.bin", "--version", "7.1", "--sequence", "12").code == 0
    receipt = json.loads(files_of((stock / "b.bin").read_bytes())["/ota_receipts.json"])
    assert receipt["slots"]["0"]["version"] == "7.1" and receipt["slots"]["0"]["sequence"] == 12


def test_the_library_may_stay_source(flash, stock):
    assert flash("firmware.bin", "-o", "b.bin", "--py", lib=True).code == 0
    files = files_of((stock / "b.bin").read_bytes())
    assert library.source().items() <= files.items()


def test_an_app_image_takes_a_bootloader_alone_or_out_of_a_firmware(flash, stock):
    (stock / "boot.bin").write_bytes(synthetic.bootloader())
    assert flash("app.bin", "-o", "a.bin", "--bootloader", "boot.bin").code == 0
    assert flash("app.bin", "-o", "b.bin", "--bootloader", "firmware.bin").code == 0
    assert flash("firmware.bin", "-o", "c.bin").code == 0
    assert (stock / "a.bin").read_bytes() == (stock / "b.bin").read_bytes()
    assert (stock / "a.bin").read_bytes() == (stock / "c.bin").read_bytes()


# Files laid over it


def test_files_of_the_application_count_in_place_of_the_shipped_ones(flash, stock):
    mine = stock / "files"
    (mine / "main.py").write_text("print('mine')\n")
    (mine / "lib").mkdir()
    (mine / "lib" / "driver.py").write_text("x = 1\n")
    (mine / ".git").mkdir()
    (mine / ".git" / "config").write_text("hidden")
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert flash("firmware.bin", "-o", "b.bin", "--files", "files").code == 0
    files = files_of((stock / "b.bin").read_bytes())
    names = ["boot.py", "lib/driver.py", "main.py", "ota.json", "ota_receipts.json"]
    assert sorted(files) == [f"/{name}" for name in [*names, "ota_trust.json", "wifi.json"]]
    assert files["/main.py"] == b"print('mine')\n" and files["/wifi.json"] == WIFI


def test_the_shipped_main_py_gets_an_application_to_run(flash, stock):
    said = flash("firmware.bin", "-o", "b.bin", "--json").json()
    assert b"def ready" in files_of((stock / "b.bin").read_bytes())["/lib/app.py"]
    assert any("/wifi.json" in note for note in said["notes"])
    (stock / "files" / "app.py").write_text("mine = 1\n")
    assert flash("firmware.bin", "-o", "c.bin", "--files", "files").code == 0
    files = files_of((stock / "c.bin").read_bytes())
    assert "/lib/app.py" not in files and files["/app.py"] == b"mine = 1\n"


def test_a_configuration_of_ones_own_is_kept(flash, stock):
    config = '{"product": "sensor", "board": "v2", "ntp": ""}'
    (stock / "files" / "ota.json").write_text(config)
    assert flash("firmware.bin", "-o", "b.bin", "--files", "files").code == 0
    assert files_of((stock / "b.bin").read_bytes())["/ota.json"].decode() == config


@pytest.mark.parametrize(
    ("path", "text", "fact"),
    [
        ("ota.json", '{"product": "other", "board": "v2"}', "product 'other', --product says"),
        ("ota.json", "{", "files/ota.json: "),
        ("ota_trust.json", "{}", "files/ota_trust.json is not the trust store of --trust"),
        ("ota/__init__.py", "", "/ota/__init__.py hides the package ota"),
        ("ota.py", "", "/ota.py hides the package ota"),
    ],
)
def test_files_that_contradict_the_command_are_refused(flash, stock, path, text, fact):
    (stock / "files" / path).parent.mkdir(exist_ok=True)
    (stock / "files" / path).write_text(text)
    assert fact in flash("firmware.bin", "-o", "b.bin", "--files", "files").line()
    assert not (stock / "b.bin").exists()


def test_what_vouches_for_something_and_an_older_library_are_made_anew(flash, stock):
    for path in ("ota_receipts.json", "ota_trust.json.current", "lib/ota/jws.py"):
        (stock / "files" / path).parent.mkdir(exist_ok=True, parents=True)
        (stock / "files" / path).write_text("old")
    said = flash("firmware.bin", "-o", "b.bin", "--files", "files", "--json", lib=True).json()
    files = files_of((stock / "b.bin").read_bytes())
    assert files["/ota_receipts.json"] != b"old"
    assert not {"/ota_trust.json.current", "/lib/ota/jws.py"} & set(files)
    assert "left out of files, made anew: /lib/ota/jws.py, " in said["notes"][0]


def test_what_is_known_of_a_frozen_library_is_told(flash, stock):
    said = flash("firmware.bin", "-o", "a.bin", "--json").json()
    assert said["notes"][0].startswith("no /lib/ota, and no name of its modules in the image")
    frozen = synthetic.app(modules={"ota/journal.py": b""})
    (stock / "f.bin").write_bytes(synthetic.merged(app=frozen))
    said = flash("f.bin", "-o", "b.bin", "--json", lib=True).json()
    assert said["notes"][0].startswith("the firmware carries the library")
    said = flash("f.bin", "-o", "c.bin", "--json").json()
    assert not any("library" in note or "/lib/ota" in note for note in said["notes"])


def test_what_else_the_firmware_holds_is_told_to_be_left_out(flash, stock):
    merged = synthetic.merged().ljust(OLD_VFS - 0x1000, b"\xff")
    (stock / "f.bin").write_bytes(merged + filesystem.build(0x10000, OLD_FILES))
    said = flash("f.bin", "-o", "b.bin", "--json").json()
    assert said["notes"][-1].startswith("left out, for of FIRMWARE only ")
    assert said["notes"][-1].endswith(": vfs")


# Bad input


@pytest.mark.parametrize(
    ("args", "code", "fact"),
    [
        (["firmware.bin"], 2, "where to? name a --port, or a file with --output"),
        (["firmware.bin", "-o", "x", "--port", "board:old"], 2, "where to?"),
        (["firmware.bin", "-o", "x", "--yes"], 2, "--backup, --erase and --yes need --port"),
        (["firmware.bin", "-o", "x", "--py"], 2, "--py and --no-library contradict each other"),
        (["app.bin", "-o", "x"], 1, "an app image has no bootloader: name one with --bootloader"),
        (
            ["firmware.bin", "-o", "x", "--bootloader", "boot.bin"],
            2,
            "this firmware brings its own",
        ),
        (
            ["app.bin", "-o", "x", "--bootloader", "other.bin"],
            1,
            "other.bin: a bootloader for esp32c3",
        ),
        (
            ["app.bin", "-o", "x", "--bootloader", "app.bin"],
            1,
            "app.bin: an application, not a boot",
        ),
        (["app.bin", "-o", "x", "--bootloader", "nowhere"], 2, "nowhere: No such file"),
        (["firmware.bin", "-o", "x", "--files", "nowhere"], 2, "nowhere is no folder"),
        (["firmware.bin", "-o", "x", "--trust", "firmware.bin"], 1, "firmware.bin is none"),
        (["firmware.bin", "-o", "x", "--version", "a/b"], 1, "version 'a/b'"),
        (
            ["old.bin", "-o", "x"],
            1,
            "old.bin: MicroPython 1.24.1, the library needs 1.25: take a n",
        ),
        (["firmware.bin", "-o", "x", "--partitions", "flat.csv"], 1, "flat.csv: 0 OTA slots"),
        (["firmware.bin", "-o", "x", "--partitions", "large.csv"], 1, "flash 0x400000"),
        (["firmware.bin", "-o", "x", "--partitions", "tiny.csv"], 1, "vfs more in --partitions"),
        (["firmware.bin", "-o", "x", "--files", "huge"], 1, "does not go into the file system"),
        (["boot.bin", "-o", "x"], 1, "boot.bin: not an application image: a bootloader image"),
        (["firmware.bin", "-o", "ota_trust.json"], 1, "exists and holds something else"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(flash, stock, args, code, fact, snapshot):
    (stock / "boot.bin").write_bytes(synthetic.bootloader())
    (stock / "other.bin").write_bytes(synthetic.bootloader("esp32c3"))
    (stock / "flat.csv").write_text(
        synthetic.STOCK.replace("factory,  app,  factory", "x, data, 0x40")
    )
    rows = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,0x300000\n"
    (stock / "large.csv").write_text(
        rows + "ota_1,app,ota_1,0x310000,0x300000\nvfs,data,fat,,64K\n"
    )
    (stock / "old.bin").write_bytes(synthetic.merged(app=synthetic.app(version="1.24.1")))
    (stock / "tiny.csv").write_text(TWO_SLOTS.replace("0xF0000", "0x1000"))
    (stock / "huge").mkdir()
    (stock / "huge" / "x.bin").write_bytes(bytes(0x90000))
    before = snapshot(stock)
    call = flash(*args)
    assert (call.code, fact in call.line()) == (code, True), call.err
    assert snapshot(stock) == before


# Onto a board


@pytest.mark.parametrize("chip", synthetic.CHIPS)
def test_a_used_stock_board_becomes_a_board_that_updates_itself(flash, stock, chip):
    (stock / "firmware.bin").write_bytes(synthetic.merged(chip))
    put_board(stock / "old", synthetic.merged(chip), OLD_FILES, chip)
    said = flash(
        "firmware.bin", "--port", "board:old", "--yes", "--json", "--files", "files"
    ).json()
    data = held(stock / "old")
    assert [row[0] for row in independent.table(data)] == [r["name"] for r in said["partitions"]]
    app, boot, start = (
        synthetic.app(chip),
        synthetic.bootloader(chip),
        CHIPS[chip].bootloader_offset,
    )
    assert data[0x10000 : 0x10000 + len(app)] == app
    assert data[start : start + len(boot)] == boot
    assert data[0x9000:0x10000].strip(b"\xff") == b"", "settings and otadata are blank"
    assert data[0x1C0000:0x1C1000] == b"\xff" * 4096
    assert files_of(data)["/wifi.json"] == WIFI and "/data/log.txt" not in files_of(data)
    assert flash("firmware.bin", "-o", "board.bin", "--files", "files").code == 0
    assert data[VFS:] == (stock / "board.bin").read_bytes()[VFS:]


def test_what_will_be_lost_is_told(flash, board):
    lost = flash("firmware.bin", "--port", "board:old", "--yes", "--json").json()["lost"]
    told = {row["partition"]: (row["size"], row["lost"]) for row in lost}
    assert told["nvs"] == (0x6000, "settings, and the calibration of WiFi")
    assert told["factory"] == (0x1F0000, "the firmware in it")
    assert told["vfs"] == (
        0x200000,
        f"2 files, {13 + 5000} bytes; vfs moves from 0x200000 to 0x370000",
    )


@pytest.mark.parametrize(("args", "kept"), [([], True), (["--erase"], False)])
def test_what_is_not_told_to_be_lost_is_still_there(flash, stock, args, kept):
    (stock / "own.csv").write_text(OWN)
    put_board(stock / "own", synthetic.merged(table=OWN), OLD_FILES, vfs=0x330000)
    opened = Flash.open(stock / "own" / "flash.bin")
    opened.load(0x310000, b"CALIBRATION")
    opened.load(0x320000, b"CERTIFICATES")
    opened.close()
    call = ["firmware.bin", "--port", "board:own", "--yes", "--json", "--partitions", "own.csv"]
    told = {row["partition"]: row["lost"] for row in flash(*call, *args).json()["lost"]}
    assert told["nvs"] and told["vfs"] == "2 files, 5013 bytes"
    for name, data in (("cal", b"CALIBRATION"), ("certs", b"CERTIFICATES")):
        assert (name not in told, data in held(stock / "own")) == (kept, kept)
        assert kept or told[name] == "all of it: --erase blanks the whole flash"


def test_nobody_to_ask_is_refused_and_nothing_is_written(flash, board):
    before = held(board)
    said = flash("firmware.bin", "--port", "board:old").line()
    assert "nobody to ask, and this would be lost: 2 files, 5013 bytes; vfs moves from 0x2" in said
    assert "--yes goes on, with --backup FOLDER" in said
    assert "nobody to ask" in flash("firmware.bin", "--port", "board:old", "--json").line()
    assert held(board) == before


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False)])
def test_the_question_is_answered_at_a_terminal(flash, board, monkeypatch, answer, written):
    class Terminal:
        def isatty(self):
            return True

        def readline(self, *_):
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    before = held(board)
    call = flash("firmware.bin", "--port", "board:old", "--quiet")
    assert "What will be lost:" in call.out and "vfs moves" in call.out
    assert (held(board) != before) == written
    assert (call.code == 0) == written
    if not written:
        assert "nothing was written" in call.line()


def test_a_backup_has_everything_and_brings_the_files_back(flash, board, stock):
    before = held(board)
    call = ["firmware.bin", "--port", "board:old", "--yes", "--json"]
    said = flash(*call, "--backup", "saved").json()
    assert said["files come back with"] == "--files saved/files"
    saved = stock / "saved"
    assert (saved / "table.bin").read_bytes() == before[0x8000:0x8C00]
    assert (saved / "nvs.bin").read_bytes() == before[0x9000:0xF000]
    assert (saved / "vfs.bin").read_bytes() == before[OLD_VFS:]
    assert (saved / "files" / "data" / "log.txt").read_bytes() == OLD_FILES["/data/log.txt"]
    assert flash(*call, "--files", "saved/files").code == 0
    assert OLD_FILES.items() <= files_of(held(board)).items()


@pytest.mark.parametrize("name", ["table.bin", "notes.txt"])
def test_a_backup_is_never_written_over(flash, board, stock, name):
    (stock / "saved").mkdir()
    (stock / "saved" / name).write_bytes(b"older")
    before = held(board)
    call = flash("firmware.bin", "--port", "board:old", "--yes", "--backup", "saved")
    assert "saved is not empty and is never written over: name another folder" in call.line()
    assert held(board) == before
    assert [path.name for path in (stock / "saved").iterdir()] == [name]
    assert not (stock / "saved.incomplete").exists()


@pytest.mark.parametrize("method", ["write", "erase"])
def test_a_backup_that_is_complete_is_kept_when_the_command_runs_again(
    flash, board, stock, monkeypatch, snapshot, method
):
    call = ["firmware.bin", "--port", "board:old", "--yes", "--backup", "saved"]
    with monkeypatch.context() as patch:
        pulled_after(patch, method, 0)
        assert flash(*call).code == 3
    before = snapshot(stock / "saved")
    assert before["nvs.bin"].startswith(b"settings") and before["files/data/log.txt"] == bytes(
        5000
    )
    said = flash(*call, "--json").json()
    assert "saved holds a backup already: it is kept as it is" in said["notes"]
    assert said["files come back with"] == "--files saved/files"
    assert snapshot(stock / "saved") == before
    assert has_table(board)


@pytest.mark.parametrize("at", [0x9000, OLD_VFS])
def test_a_backup_that_was_cut_begins_anew(flash, board, stock, monkeypatch, at):
    read = Loader.read

    def pulled(self, offset, size, progress=None):
        if offset == at and size > 4096:
            raise Unreachable("the cable is gone")
        return read(self, offset, size, progress)

    call = ["firmware.bin", "--port", "board:old", "--yes", "--backup", "saved"]
    with monkeypatch.context() as patch:
        patch.setattr(Loader, "read", pulled)
        assert flash(*call).code == 3
    assert (stock / "saved.incomplete" / "table.bin").exists() and not (stock / "saved").exists()
    before = held(board)
    assert flash(*call).code == 0
    assert (stock / "saved" / "vfs.bin").read_bytes() == before[OLD_VFS:]
    assert not (stock / "saved.incomplete").exists()


def test_files_behind_the_last_partition_are_found_as_micropython_1_26_has_them(flash, stock):
    table = "\n".join(synthetic.STOCK.strip().splitlines()[:3])
    put_board(stock / "new", synthetic.merged(table=table), OLD_FILES)
    lost = flash("firmware.bin", "--port", "board:new", "--yes", "--json").json()["lost"]
    assert lost[-1]["partition"] == "vfs" and lost[-1]["lost"].startswith("2 files, 5013 bytes")


def test_a_file_system_that_is_no_littlefs_is_saved_whole(flash, stock):
    put_board(stock / "fat", synthetic.merged())
    opened = Flash.open(stock / "fat" / "flash.bin")
    opened.load(OLD_VFS, b"\xeb\x3c\x90MSDOS5.0" + bytes(4000))
    opened.close()
    call = flash("firmware.bin", "--port", "board:fat", "--yes", "--json", "--backup", "saved")
    assert call.json()["lost"][-1]["lost"].startswith("files that are no littlefs; vfs moves")
    assert "files come back with" not in call.json()
    assert (stock / "saved" / "vfs.bin").read_bytes().startswith(b"\xeb\x3c\x90MSDOS5.0")


def test_a_board_without_a_readable_table_is_flashed_but_not_saved(flash, stock):
    rom.blank(stock / "blank", 0, 4 << 20)
    call = ["firmware.bin", "--port", "board:blank", "--yes", "--json"]
    assert "no backup without a readable partition table" in flash(*call, "--backup", "b").line()
    assert flash(*call).json()["lost"][0]["lost"].startswith("no readable table")
    assert files_of(held(stock / "blank"))


def test_an_app_image_keeps_the_bootloader_of_the_board(flash, board):
    before = held(board)[0x1000:0x8000]
    said = flash("app.bin", "--port", "board:old", "--yes", "--json").json()
    assert held(board)[0x1000:0x8000] == before
    assert said["rollback"]["verdict"] == "unknown"


@pytest.mark.parametrize("size", ["2MB", "8MB"])
def test_the_only_bootloader_is_never_written_over(flash, stock, size):
    boot = synthetic.bootloader(flash_size=size)
    put_board(stock / "old", synthetic.merged(bootloader=boot))
    before = held(stock / "old")
    call = flash("app.bin", "--port", "board:old", "--yes")
    assert f"the board's bootloader is for {size}, not 4MB, and never written over" in call.line()
    assert call.line().endswith("name one with --bootloader")
    assert held(stock / "old") == before
    call = flash("app.bin", "--port", "board:old", "--yes", "--bootloader", "firmware.bin")
    assert call.code == 0
    (stock / "boot.bin").write_bytes(held(stock / "old")[0x1000:0x8000])
    assert "Flash size: 4MB\n" in independent.image_info(stock / "boot.bin")


def test_the_bootloader_of_the_board_is_kept_with_the_flash_size_that_it_is_for(flash, stock):
    put_board(stock / "old", synthetic.merged(), size=8 << 20)
    before = held(stock / "old")[0x1000:0x8000]
    assert "or --flash-size 4MB" in flash("app.bin", "--port", "board:old", "--yes").line()
    call = ["app.bin", "--port", "board:old", "--yes", "--flash-size", "4MB", "--json"]
    assert flash(*call).json()["flash"] == "4MB"
    assert held(stock / "old")[0x1000:0x8000] == before


@pytest.mark.parametrize("method", ["erase", "write"])
@pytest.mark.parametrize("args", [[], ["--erase"]])
def test_a_cut_leaves_the_bootloader_that_is_kept(flash, board, monkeypatch, method, args):
    before = held(board)[0x1000:0x8000]
    call = ["app.bin", "--port", "board:old", "--yes", *args]
    with monkeypatch.context() as patch:
        pulled_after(patch, method, 0 if method == "write" else 1)
        assert flash(*call).code == 3
    assert held(board)[0x1000:0x8000] == before
    assert flash(*call).code == 0


def test_erase_leaves_nothing_of_the_old_board(flash, board):
    opened = Flash.open(board / "flash.bin")
    opened.load(0x300000, b"old" * 100)
    opened.close()
    assert flash("firmware.bin", "--port", "board:old", "--yes", "--erase").code == 0
    assert b"oldold" not in held(board)


def test_erase_spares_the_bootloader_that_is_kept(flash, board):
    before = held(board)[0x1000:0x8000]
    assert flash("app.bin", "--port", "board:old", "--yes", "--erase").code == 0
    assert held(board)[0x1000:0x8000] == before


@pytest.mark.parametrize(
    ("firmware", "args", "code", "fact"),
    [
        ("s3.bin", [], 1, "the firmware is for esp32s3, the board is esp32"),
        ("firmware.bin", ["--flash-size", "8MB"], 1, "--flash-size 8MB, the chip has 4MB"),
        ("firmware.bin", ["--partitions", "large.csv"], 1, "vfs ends behind the flash"),
        ("firmware.bin", ["--port", "board:nowhere"], 2, "nowhere is no board"),
        ("firmware.bin", ["--port", "/dev/nothing"], 3, "/dev/nothing: there is no such port"),
    ],
)
def test_what_does_not_fit_the_board_is_refused_and_nothing_is_written(
    flash, board, stock, firmware, args, code, fact
):
    (stock / "s3.bin").write_bytes(synthetic.merged("esp32s3"))
    rows = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,0x100000\n"
    (stock / "large.csv").write_text(
        rows + "ota_1,app,ota_1,0x110000,0x100000\nvfs,data,fat,,3M\n"
    )
    before = held(board)
    call = flash(firmware, "--port", "board:old", "--yes", *args)
    assert (call.code, fact in call.line()) == (code, True), call.err
    assert held(board) == before


def test_a_board_without_a_bootloader_needs_one_for_an_app_image(flash, stock):
    rom.blank(stock / "blank", 0, 4 << 20)
    call = flash("app.bin", "--port", "board:blank", "--yes")
    assert "the board has no bootloader to keep (no bootloader: blank flash)" in call.line()
    call = ["app.bin", "--port", "board:blank", "--yes", "--bootloader", "firmware.bin"]
    assert flash(*call).code == 0


def test_a_board_that_goes_away_half_way_is_one_line_and_the_same_again_is_safe(
    flash, board, monkeypatch
):
    write = Loader.write

    def pulled(self, regions, progress=None):
        write(self, regions[:2], progress)
        raise Unreachable("the cable is gone")

    monkeypatch.setattr(Loader, "write", pulled)
    call = flash("firmware.bin", "--port", "board:old", "--yes")
    assert call.code == 3 and "the cable is gone" in call.line()
    assert not has_table(board), "nothing starts"
    monkeypatch.undo()
    monkeypatch.chdir(board.parent)
    assert flash("firmware.bin", "--port", "board:old", "--yes").code == 0
    assert held(board)[0x10000:0x11000] == synthetic.app()[:4096]


@pytest.mark.parametrize("erases", [1, 2, 4])
def test_an_old_second_slot_does_not_start_once_anything_was_erased(
    flash, ota, stock, monkeypatch, erases
):
    put_board(stock / "two", synthetic.merged(table=TWO_SLOTS), OLD_FILES, vfs=0x310000)
    opened = Flash.open(stock / "two" / "flash.bin")
    opened.load(0x190000, synthetic.app(seed="second"))
    opened.close()
    pulled_after(monkeypatch, "erase", erases)
    assert flash("firmware.bin", "--port", "board:two", "--yes").code == 3
    assert not has_table(stock / "two")
    assert "partition table" in ota("board", "run", "two").line()


@pytest.mark.parametrize("left", [1, 2, 3])
def test_the_partition_table_is_written_when_all_else_is_there(flash, board, monkeypatch, left):
    write = Loader.write

    def pulled(self, regions, progress=None):
        write(self, regions[:-left], progress)
        raise Unreachable("the cable is gone")

    monkeypatch.setattr(Loader, "write", pulled)
    assert flash("firmware.bin", "--port", "board:old", "--yes").code == 3
    assert not has_table(board)


def test_a_line_that_breaks_while_files_are_listed_is_told_as_it_is(board):
    class Breaking:
        """The board's flash, until the file system has been mounted."""

        flash_size = 4 << 20
        reads = 0

        def read(self, offset, size, progress=None):
            self.reads += 1
            if self.reads > 3:
                raise Unreachable("the line broke")
            return held(board)[offset : offset + size]

    with pytest.raises(Unreachable, match="the line broke"):
        backup.look(Breaking())


def test_a_name_that_would_leave_the_folder_stays_in_the_backup_of_the_whole(tmp_path):
    backup._unpack(tmp_path / "files", {"/../x": b"1", "/a\\b": b"2", "/ok": b"3"})
    assert [path.name for path in tmp_path.rglob("*")] == ["files", "ok"]


def test_sizes_that_may_be_named_are_those_of_the_help():
    assert list(cli_flash.SIZES) == ["4MB", "8MB", "16MB", "32MB"]
