"""What a device can be like, on the VM: each its code, boot() survives, the boot slot is as it was."""

import copy
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bad_input import NEXT_SLOT, NOTHING, touched_by
from site_of import Site
from virtual import BLANK, FACTORY_TABLE, STOCK_TABLE

from ota import otadata
from ota_tools import resources
from ota_tools.board import filesystem, image_maker, maker
from ota_tools.board.folder import load_board
from ota_tools.board.interpreter import Interpreter
from ota_tools.board.model import Board
from ota_tools.board.runner import Run, run
from ota_tools.board.settings import Settings
from ota_tools.partitions import TABLE_OFFSET, parse_csv, to_binary

SEQUENCE = 10

MAIN = """
import ota
if ota.status()["trial"]:
    ota.confirm()
    print("RUNNING", ota.status()["version"])
else:
    try:
        updater = ota.Updater.from_config()
        release = updater.check()
        if release:
            updater.install(release)
            ota.reset()
    except ota.OtaError as e:
        print("CODE", e.code)
"""

FACTORY_MAIN = MAIN.replace('ota.status()["trial"]', "False")

TWICE = """
import ota
updater = ota.Updater.from_config()
release = updater.check()


def again(done, total):
    print("CALL")
    try:
        ota.Updater.from_config().install(release)
    except ota.OtaError as e:
        print("CODE", e.code)
    return False


try:
    updater.install(release, again)
except ota.OtaError as e:
    assert e.code == "cancelled", e
"""

IN_TRIAL = """
import ota
updater = ota.Updater.from_config()
release = updater.check()
if ota.status()["trial"]:
    print("CALL")
    try:
        updater.install(release)
    except ota.OtaError as e:
        print("CODE", e.code)
    ota.rollback("test")
elif ota.status()["outcome"] == "none":
    updater.install(release)
    ota.reset()
"""


@dataclass
class Device:
    """How a board is made; a row changes it before and after."""

    site: Site
    folder: Path
    interpreter: Interpreter
    table: str = STOCK_TABLE
    main: str = MAIN
    config: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    remove: tuple = ()
    files: dict = field(default_factory=dict)
    after: Callable[[Board], None] = lambda board: None

    def make(self) -> Board:
        files = self.site.files(**self.config)
        files["/boot.py"] = resources.device_file("boot.py").read_bytes()
        files["/main.py"] = self.main.encode()
        files.update(self.files)
        files = {path: data for path, data in files.items() if path not in self.remove}
        board = maker.make_board(
            self.folder,
            parse_csv(self.table),
            image("1.0"),
            files,
            Settings(**self.settings),
            receipt=("1.0", SEQUENCE),
        )
        self.after(board)
        board.close()
        return load_board(self.folder)


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


def rewrite(board: Board, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the files of a board that has no power."""
    vfs = board.table.find("vfs")
    files = filesystem.read(board.flash.read(vfs.offset, vfs.size))
    change(files)
    board.flash.load(vfs.offset, filesystem.build(vfs.size, files))


# Rows: name -> (code, how the device is made, how it is mended; None: by cable)


def no_slots(d: Device) -> None:
    d.table = STOCK_TABLE.replace("ota_1,    app,  ota_1,", "spare,    app,  test, ")
    d.main = FACTORY_MAIN


def factory(d: Device) -> None:
    d.table, d.main = FACTORY_TABLE, FACTORY_MAIN


def no_otadata(d: Device) -> None:
    d.table = "\n".join(row for row in STOCK_TABLE.splitlines() if "otadata" not in row)
    d.main = FACTORY_MAIN


def no_trust(d: Device) -> None:
    d.remove = ("/ota_trust.json",)


def damaged_trust(d: Device) -> None:
    d.files["/ota_trust.json"] = d.site.trust[:-9]


def mend_trust(d: Device, board: Board) -> None:
    rewrite(board, lambda files: files.update({"/ota_trust.json": d.site.trust}))


def no_config(d: Device) -> None:
    d.remove = ("/ota.json",)


def mend_config(d: Device, board: Board) -> None:
    rewrite(board, lambda files: files.update(d.site.files()))


def unreachable(d: Device) -> None:
    d.config["manifest_url"] = "https://localhost:1/x.manifest"


def no_network(d: Device) -> None:
    d.config["manifest_url"] = "https://updates.invalid/x.manifest"


def silent_clock(d: Device) -> None:
    d.settings["clock_unset"] = True
    d.config["ntp"] = ""  # nobody to ask; and no date in the receipt


def right_clock(d: Device, board: Board) -> None:
    board.settings.clock_unset = False


def fat(d: Device) -> None:
    table = parse_csv(STOCK_TABLE.replace("vfs, ", "ffat,"))
    files = {**d.site.files(), "/boot.py": b"import ota\nota.boot()\n", "/main.py": MAIN.encode()}
    made = make_fat(d.interpreter, files, d.folder.parent)

    def after(board: Board) -> None:
        board.flash.load(TABLE_OFFSET, to_binary(table))
        board.flash.load(table.find("ffat").offset, made)

    d.after = after


def encrypted(d: Device) -> None:
    d.table = STOCK_TABLE.replace("0x190000, 0x180000", "0x190000, 0x180000, encrypted")


def twice(d: Device) -> None:
    d.main = TWICE


def in_trial(d: Device) -> None:
    d.main = IN_TRIAL


def honest_main(d: Device, board: Board) -> None:
    d.site.publish(image("2.1"), "2.1", sequence=31)
    rewrite(board, lambda files: files.update({"/main.py": MAIN.encode()}))


def corrupt_journal(d: Device) -> None:
    d.after = lambda board: board.call("nvs_set", ["ota", "journal", None], b"\x01" * 512)


def odd_journal(d: Device) -> None:
    d.after = lambda board: board.call("nvs_set", ["ota", "journal", 7], b"")


def replayed_after_nvs_erase(d: Device) -> None:
    # What is confirmed stands in the receipt, too.
    d.site.publish(image("1.5"), "1.5", sequence=20)

    def after(board: Board) -> None:
        assert "RUNNING 1.5" in power(d, board).console
        for key in list(board.nvs.content["ota"]):
            board.call("nvs_erase", ["ota", key], b"")
        publish_alone(d, "1.4", 19)

    d.after = after


def publish_alone(d: Device, version: str, sequence: int) -> None:
    # As the owner's tools would not: nothing is compared with what was published before.
    (d.site.published / "virtual-esp32.manifest").unlink()
    d.site.publish(image(version), version, sequence=sequence)


def tampered_where_a_block_fits(d: Device) -> None:
    # 64 KiB beside what TLS needs: a block is judged before anything of it is written.
    d.settings["idf_largest"] = 1 << 18
    flip_in_payload(d)


def flip_in_payload(d: Device, board: Board | None = None) -> None:
    (payload,) = d.site.published.glob("*.bin")
    data = bytearray(payload.read_bytes())
    data[60000] ^= 1
    payload.write_bytes(data)


def full_nvs(d: Device) -> None:
    d.settings["nvs_full"] = True


def room_in_nvs(d: Device, board: Board) -> None:
    board.settings.nvs_full = False


def full_vfs(d: Device) -> None:
    vfs = parse_csv(STOCK_TABLE).find("vfs")
    d.files["/filler"] = bytes(vfs.size - 14 * 4096)
    d.files["/ota_receipts.json"] = (
        b'{"format":1,"slots":{"0":{"sha256":"%s","size":1,"version":"1.0","sequence":10},'
        b'"1":{"sha256":"%s","size":1,"version":"0.9","sequence":9}}}' % (b"0" * 64, b"1" * 64)
    )
    vfs_size = vfs.size

    def fill(board: Board) -> None:
        # Grow the filler until nothing more goes in.
        offset = board.table.find("vfs").offset
        files = filesystem.read(board.flash.read(offset, vfs_size))
        for blocks in range(13, 0, -1):
            files["/filler"] = bytes(vfs_size - blocks * 4096)
            try:
                board.flash.load(offset, filesystem.build(vfs_size, files))
            except Exception:
                return

    d.after = fill


def room_in_vfs(d: Device, board: Board) -> None:
    rewrite(board, lambda files: files.pop("/filler"))


def nothing(d: Device, board: Board) -> None:
    pass


def good_url(d: Device, board: Board) -> None:
    rewrite(board, lambda files: files.update(d.site.files()))


def make_fat(interpreter: Interpreter, files: dict[str, bytes], folder: Path) -> bytes:
    """A FAT image with these files, made by the VM's own VfsFat."""
    script = """
import vfs
class Ram:
    def __init__(self): self.data = bytearray(0xF0000)
    def readblocks(self, n, buf):
        buf[:] = self.data[n * 512 : n * 512 + len(buf)]
    def writeblocks(self, n, buf): self.data[n * 512 : n * 512 + len(buf)] = buf
    def ioctl(self, op, arg): return {4: 0xF0000 // 512, 5: 512}.get(op, 0)
ram = Ram()
vfs.VfsFat.mkfs(ram)
vfs.mount(ram, "/fat")
for name, data in FILES:
    with open("/fat" + name, "wb") as file: file.write(data)
vfs.umount("/fat")
with open("fat.bin", "wb") as file: file.write(ram.data)
"""
    path = folder / "fat.py"
    path.write_text(f"FILES = {list(files.items())!r}\n" + script)
    command = [*interpreter.argv, "-X", "heapsize=16m", str(path)]
    subprocess.run(command, check=True, cwd=folder)
    return (folder / "fat.bin").read_bytes()


ROWS = {
    "no OTA slots": ("no-slots", NOTHING, no_slots, None),
    "factory layout": ("no-slots", NOTHING, factory, None),
    "no otadata": ("no-otadata", NOTHING, no_otadata, None),
    "trust store missing": ("trust-store", NOTHING, no_trust, mend_trust),
    "trust store damaged": ("trust-store", NOTHING, damaged_trust, mend_trust),
    "configuration missing": ("config", NOTHING, no_config, mend_config),
    "FAT file system": ("file-system", NOTHING, fat, None),
    "encrypted partition": ("encrypted", NOTHING, encrypted, None),
    "server unreachable": ("unreachable", NOTHING, unreachable, good_url),
    "no network": ("unreachable", NOTHING, no_network, good_url),
    "clock not set": ("clock-not-set", NOTHING, silent_clock, right_clock),
    "second install at once": ("busy", NOTHING, twice, honest_main),
    "install during a trial": ("trial-running", NOTHING, in_trial, honest_main),
    "tampered payload, 64 KiB of RAM": (
        "digest-mismatch",
        NOTHING,
        tampered_where_a_block_fits,
        flip_in_payload,
    ),
    "downgrade after NVS was erased": (
        "downgrade",
        NOTHING,
        replayed_after_nvs_erase,
        lambda d, board: publish_alone(d, "2.0", 30),
    ),
    "NVS full": ("nvs", NOTHING, full_nvs, room_in_nvs),
    "file system full": ("files", NOTHING, full_vfs, room_in_vfs),
    "corrupt journal": (None, NEXT_SLOT, corrupt_journal, nothing),
    "journal of another kind": (None, NEXT_SLOT, odd_journal, nothing),
}
"""name -> code (None: not an error, the update goes on), flash that is touched, device, mending."""


def power(d: Device, board: Board) -> Run:
    return run(board, d.interpreter, timeout_s=30)


@dataclass
class Watched:
    """What happened up to the line "CODE", from power-on or the line "CALL", where main.py says that.

    Attributes:
        touched: names of partitions.
        before, after: what the bootloader goes by, and NVS.
    """

    touched: set[str]
    before: tuple[tuple[bytes, ...], dict]
    after: tuple[tuple[bytes, ...], dict]


def power_and_watch(d: Device, board: Board) -> tuple[Run, Watched]:
    operations = board.flash.operations
    begin = 0, remembered(board)
    end = None

    def on_line(line: str) -> None:
        nonlocal begin, end
        if line == "CALL":
            begin = len(operations), remembered(board)
        elif line.startswith("CODE ") and end is None:
            end = len(operations), remembered(board)

    result = run(board, d.interpreter, on_line, timeout_s=30)
    (first, before), (last, after) = begin, end or (None, remembered(board))
    assert (first > 0) == (d.main in (TWICE, IN_TRIAL))
    return result, Watched(touched_by(board, operations[first:last]), before, after)


def remembered(board: Board) -> tuple[tuple[bytes, ...], dict]:
    """Both records of otadata, none on a board without; and NVS."""
    records = tuple(board.entries()) if board.table.otadata else ()
    return records, copy.deepcopy(board.nvs.content)


def code_in(result: Run) -> str | None:
    codes = [line[5:] for line in result.console if line.startswith("CODE ")]
    return codes[0] if codes else None


@pytest.mark.parametrize("name", ROWS)
def test_bad_device_has_its_code_and_keeps_its_boot_slot(name, site, vm, tmp_path):
    code, touches, prepare, mend = ROWS[name]
    d = Device(site, tmp_path / "b", vm)
    if "downgrade" not in name:
        site.publish(image("2.0"), "2.0", sequence=30)
    prepare(d)
    board = d.make()
    result, seen = power_and_watch(d, board)
    console = "\n".join(result.console)
    assert code_in(result) == code, console
    assert "boot.py" not in console and "Traceback" not in console, console
    slot = result.boots[0]
    if code is None:
        assert touches == NEXT_SLOT
        assert seen.touched == {"ota_1", "vfs", "otadata"}
    else:
        assert touches == NOTHING
        assert result.boots[-1] == slot
        records, nvs = seen.before
        if records == (BLANK, BLANK):
            records = (otadata.encode(1, otadata.VALID), BLANK)  # the bootloader's own first one
        assert seen.touched <= ({"otadata"} if records != seen.before[0] else set())
        assert seen.after == (records, nvs)
        if mend is None:
            return
        mend(d, board)
        result = power(d, board)
    assert any(line.startswith("RUNNING 2.") for line in result.console), result.console
    assert result.boots[-1] in {"ota_0", "ota_1"} - {slot}
