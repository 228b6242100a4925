"""The table of bad input, on the VM and in this process: each row its code, nothing else touched."""

import copy
import json
from pathlib import Path

import pytest
from bad_input import NOT_LOADED, NOTHING, SERVED, SURPLUS, UNLOADABLE, Offer, Row, touched_by
from site_of import Site, updater
from virtual import Virtual

from ota import http, recovery, start, trial
from ota.config import load_config
from ota.errors import CODES, OtaError
from ota.health import status
from ota.memory import outcome
from ota.updater import Updater
from ota_tools import resources
from ota_tools.board import image_maker, maker
from ota_tools.board.model import HARD, Board
from ota_tools.board.runner import run
from ota_tools.failures import Refused

SEQUENCE = 10
"""Confirmed on the device before the first row."""

# Tries every row with an updater of its own, then installs the honest release.
SCRIPT = """
import json
import ota
from ota.config import load_config

config = load_config("/ota.json")
base = config.manifest_url


def attempt(name):
    config.manifest_url = base + name
    updater = ota.Updater(config)
    try:
        release = updater.check()
        if release is None:
            return None
        updater.install(release)
        return "installed"
    except ota.OtaError as e:
        return e.code


if ota.status()["running"] == 0:
    print("BEGIN")
    for number in range(%d):
        print("ROW", json.dumps(attempt("%%d.manifest" %% number)))
    print("HONEST", attempt("honest.manifest"))
    ota.reset()
ota.self_test([("app", lambda: True)])
print("RUNNING", ota.status()["version"])
"""


class Results:
    """code, partitions touched, otadata and NVS of each row, and whether the honest release runs last."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.codes: list = []
        self.touched: list[set[str]] = []
        self.records: list = []
        self.nvs: list = []
        self.honest = ""

    def begin(self) -> None:
        """What there is before the first row."""
        self._seen = len(self._board.flash.operations)
        self.records.append(self._board.entries())
        self.nvs.append(copy.deepcopy(self._board.nvs.content))

    def add(self, code) -> None:
        """A row is over."""
        self.codes.append(code)
        self.touched.append(touched_by(self._board, self._board.flash.operations[self._seen :]))
        self.begin()


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


@pytest.fixture(scope="module")
def offers(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    offer = Offer(site)
    for number, row in enumerate(SERVED):
        offer.begin(number + 1)
        (site.published / f"{number}.manifest").write_bytes(row.make(offer))
    release = site.publish(image("2.0"), "2.0", sequence=30)
    release.manifest_path.rename(site.published / "honest.manifest")
    yield site
    offer.close()
    site.server.close()


@pytest.fixture(scope="module")
def on_vm(offers, vm, tmp_path_factory):
    site = offers
    files = site.files(manifest_url=site.server.url + "/")
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/main.py"] = (SCRIPT % len(SERVED)).encode()
    board = maker.make_board(
        tmp_path_factory.mktemp("vm") / "b",
        site.target.table,
        image("1.0"),
        files,
        receipt=("1.0", SEQUENCE),
    )
    found = Results(board)

    def on_line(line: str) -> None:
        if line == "BEGIN":
            found.begin()
        elif line.startswith("ROW "):
            found.add(json.loads(line[4:]))

    result = run(board, vm, on_line, timeout_s=120)
    found.honest = result.console[-1]
    assert len(found.codes) == len(SERVED), "\n".join(result.console[-20:])
    return found


def device_here(site: Site, folder: Path) -> Virtual:
    """A board in this process that runs 1.0."""
    v = site.device(folder, manifest_url=site.server.url + "/")
    receipt = {"sha256": "00" * 32, "size": 1, "version": "1.0", "sequence": SEQUENCE}
    (v.root / "ota_receipts.json").write_text(json.dumps({"format": 1, "slots": {"0": receipt}}))
    return v


def attempt(v: Virtual, name: str) -> str | None:
    """Install what this manifest says: a code, "installed", or None where nothing is to be done."""
    port = v.port()
    config = load_config(port.path("/ota.json"))
    config.manifest_url += name
    updater = Updater(config, port)
    try:
        release = updater.check()
        if release is None:
            return None
        updater.install(release)
        return "installed"
    except OtaError as e:
        return e.code


@pytest.fixture(scope="module")
def in_process(offers, tmp_path_factory):
    v = device_here(offers, tmp_path_factory.mktemp("cpython") / "b")
    found = Results(v.board)
    found.begin()
    for number in range(len(SERVED)):
        found.add(attempt(v, f"{number}.manifest"))
    assert attempt(v, "honest.manifest") == "installed"
    v.reset()
    found.honest = f"RUNNING {'2.0' if v.running() == 'ota_1' else '?'}"
    return found


@pytest.fixture(params=["on_vm", "in_process"])
def results(request) -> Results:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("number", range(len(SERVED)), ids=[row.name for row in SERVED])
def test_bad_input_has_its_code_and_touches_nothing(results, number):
    row = SERVED[number]
    assert results.codes[number] == row.code
    assert results.records[number + 1] == results.records[number]
    if row.touches == NOTHING:
        assert results.touched[number] == set()  # files neither
        assert results.nvs[number + 1] == results.nvs[number]
    else:
        assert "ota_1" in results.touched[number] and "ota_0" not in results.touched[number]


def test_after_all_of_them_the_honest_release_installs(results):
    assert results.honest == "RUNNING 2.0"


@pytest.mark.parametrize("number", range(len(SERVED)), ids=[row.name for row in SERVED])
def test_after_each_of_them_the_honest_release_installs(offers, tmp_path, number):
    v = device_here(offers, tmp_path / "b")
    assert attempt(v, f"{number}.manifest") == SERVED[number].code
    assert attempt(v, "honest.manifest") == "installed"
    v.reset()
    assert v.running() == "ota_1"


def test_every_code_of_the_table_is_one_of_the_library():
    assert {row.code for row in SERVED} - {None} <= set(CODES)
    names = [row.name for row in SERVED + SURPLUS + UNLOADABLE]
    assert len(set(names)) == len(names)


def publish(site: Site, row: Row) -> Offer:
    """A row by itself, as sequence 20."""
    offer = Offer(site)
    offer.begin(100)
    (site.published / "virtual-esp32.manifest").write_bytes(row.make(offer))
    return offer


def board_of(site: Site, folder: Path, main: str) -> Board:
    """A board of its own that runs 1.0 with this main.py."""
    files = site.files()
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/main.py"] = main.encode()
    receipt = ("1.0", SEQUENCE)
    return maker.make_board(folder, site.target.table, image("1.0"), files, receipt=receipt)


# What a server sends too much is not read


UPDATE = """
import ota
print("UPDATED", ota.Updater.from_config().update().sequence)
"""


@pytest.mark.parametrize("where", ["vm", "here"])
@pytest.mark.parametrize("row", SURPLUS, ids=lambda row: row.name)
def test_what_is_sent_too_much_reaches_no_flash(site, vm, tmp_path, row, where):
    offer = publish(site, row)
    if where == "here":
        v = site.device(tmp_path / "b")
        board = v.board
        assert updater(v).update().sequence == 20
    else:
        board = board_of(site, tmp_path / "b", UPDATE)
        assert "UPDATED 20" in run(board, vm, timeout_s=30).console
    offer.close()
    slot = board.table.find("ota_1")
    assert board.flash.read(slot.offset, slot.size) == offer.image.ljust(slot.size, b"\xff")
    assert "ota_0" not in touched_by(board, board.flash.operations)
    board.boot(HARD)
    assert board.running.name == "ota_1"


# A signed image that no bootloader loads costs one reset


@pytest.mark.parametrize("row", UNLOADABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("rollback", [True, False], ids=["rollback", "no rollback"])
def test_an_image_that_does_not_load_costs_one_reset(site, tmp_path, row, rollback):
    publish(site, row)
    v = site.device(tmp_path / "b", {"rollback": rollback})
    before = v.board.flash.read(v.board.table.find("ota_0").offset, 1 << 17)
    bad = updater(v).update()
    assert bad.sequence == 20 and v.selected() == "ota_1"
    assert touched_by(v.board, v.board.flash.operations) & {"ota_0", "ota_1"} == {"ota_1"}
    v.reset()
    assert v.running() == "ota_0"  # the bootloader falls back
    resets = v.until_quiet(lambda: start.boot(port=v.port()))
    assert recovery.fault == ""
    assert resets == (0 if rollback else 1)
    assert v.running() == v.selected() == "ota_0" and not status(v.port())["trial"]
    if not rollback:  # the bootloader does not say so: it counts as a crash, which is tried twice
        assert outcome(v.port())["outcome"] == "crashed"
        assert updater(v).update().sequence == 20
        v.reset()
        v.until_quiet(lambda: start.boot(port=v.port()))
        assert v.running() == v.selected() == "ota_0"
    assert outcome(v.port())["outcome"] == (NOT_LOADED if rollback else "crashed")
    u = updater(v)
    assert u.check() is None and "failed here before" in u.reason
    with pytest.raises(OtaError) as e:
        updater(v).install(bad)
    assert e.value.code == "refused"
    after = v.board.flash.read(v.board.table.find("ota_0").offset, 1 << 17)
    assert after == before
    site.publish(image("2.0"), "2.0", sequence=30)
    assert updater(v).update().version == "2.0"
    v.reset()
    start.boot(port=v.port())
    trial.confirm(v.port())
    assert v.running() == "ota_1" and status(v.port())["version"] == "2.0"


@pytest.mark.parametrize("row", UNLOADABLE, ids=lambda row: row.name)
def test_an_image_that_does_not_load_is_not_released(site, row):
    publish(site, row)
    (payload,) = site.published.glob("*.bin")
    before = sorted(site.published.iterdir())
    with pytest.raises(Refused, match=r"checksum|SHA-256"):
        site.publish(payload.read_bytes(), "2.0", sequence=30)
    assert sorted(site.published.iterdir()) == before


# Installs what there is, and tells how the last attempt ended.
LOADING = """
import ota

ota.self_test([("app", lambda: True)])
print("TOLD", ota.outcome())
updater = ota.Updater.from_config()
if updater.update():
    ota.reset()
print("REASON", updater.reason)
print("RUNNING", ota.status()["version"])
"""


@pytest.mark.parametrize("row", UNLOADABLE, ids=lambda row: row.name)
def test_an_image_that_does_not_load_costs_one_reset_on_the_vm(site, vm, tmp_path, row):
    publish(site, row)
    board = board_of(site, tmp_path / "b", LOADING)
    result = run(board, vm, timeout_s=60)
    console = "\n".join(result.console)
    assert result.boots == ["ota_0", "ota_0"], console
    told = [line for line in result.console if line.startswith("TOLD ")]
    assert told[0] == "TOLD None" and f"'{NOT_LOADED}'" in told[1], console
    assert "failed here before" in console and "RUNNING 1.0" in result.console, console
    site.publish(image("2.0"), "2.0", sequence=30)
    result = run(board, vm, timeout_s=60)
    assert result.boots == ["ota_0", "ota_1"], result.console
    assert "RUNNING 2.0" in result.console


def test_the_endless_head_is_longer_than_the_limit():
    assert http.HEAD_LIMIT < 20000
