"""Every block of README.md and docs/ is run here, as its page has it, or is accounted for by one rule.

What a page claims is asked where its blocks have run: by the device's code, by the flash from outside. A block
that is new on a page is run if it is the shell's, and fails its page if it is not.
"""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import hosting_page
import pytest
from page_rules import (
    BOARD,
    FREEZE,
    FROM_NOTHING,
    HOSTING,
    KEYS,
    NO_PROGRAM,
    README,
    RUN,
    STANDS,
    TESTED,
    is_no_program,
    is_run,
    rules_of,
)
from pages_of import BIN, ROOT, Failed, Page, blocks, files_of, free_port, judge, pages, prose
from site_of import DATA

from ota_tools import firmware, keys, library, ports, resources
from ota_tools import trust as trust_store
from ota_tools.board import filesystem, image_maker, maker, rom, synthetic
from ota_tools.board.flash import Flash
from ota_tools.board.runner import run
from ota_tools.partitions import parse_csv

ALL = [block for page in pages() for block in blocks(page)]


@pytest.mark.parametrize("block", ALL, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_is_run_or_accounted_for_by_one_rule(block):
    assert len(rules_of(block)) == 1, f"{rules_of(block)}: {block}"


def test_no_program_hides_where_nobody_looks():
    for page in pages():
        text = prose(page)
        assert not re.search(r"(?m)^\s*\n(?: {4}|\t)\S", text), (
            f"{page}: indent is code, use a fence"
        )
        assert "<pre" not in text and "<code" not in text, page


def test_every_row_of_a_table_is_used():
    for stand in STANDS:
        texts = "".join(
            stand_in for page in pages() if stand.holds(page) for stand_in in _texts(page)
        )
        assert stand.text in texts, stand
    assert len(NO_PROGRAM) == len([block for block in ALL if is_no_program(block)])
    assert RUN.keys() == {page for test in TESTS for page in test.pages}


def _texts(page):
    earlier = [stand.here for stand in STANDS if stand.holds(page)]
    return [block.text for block in blocks(page)] + earlier


MADE_UP = {
    "sh": "```sh\nfalse\n```\n",
    "no language": "```\nota demo\n```\n",
    "another language": "```yaml\na: 1\n```\n",
    "json": '```json\n{"product": 1}\n```\n',
    "python": "```python\nraise SystemExit(1)\n```\n",
    "part of a line of an example": "```python\nreset()\n```\n",
    "lines within a statement of an example": "```python\n    ota.reset()\n```\n",
    "in a list": "- so\n\n  ```python\n  1 / 0\n  ```\n",
    "tildes": "~~~python\n1 / 0\n~~~\n",
}


@pytest.mark.parametrize("made_up", MADE_UP)
@pytest.mark.parametrize("name", [*RUN, "docs/self-test.md", "docs/index.md"])
def test_a_block_that_somebody_adds_is_noticed(name, made_up, reader):
    text = (ROOT / name).read_text() + "\n" + MADE_UP[made_up]
    added = blocks(name, text)[-1]
    assert len(blocks(name, text)) == len(blocks(name)) + 1
    if rules_of(added):
        assert rules_of(added) == ["is_run"]  # and it is, or else its page's test fails
        page = reader(name)
        page.left = [added]
        with pytest.raises(Failed if added.language == "sh" else AssertionError):
            page.sh()
            assert not page.left
        page.left = []


# The reader


@pytest.fixture
def reader(tmp_path, request):
    """Somebody who begins to read a page, in a folder like a clone; at the end every block was run."""
    made: list[Page] = []
    failed = request.session.testsfailed

    def read(name: str, clone: Path | None = None) -> Page:
        here = clone or tmp_path / "reader"
        if not clone:
            here.mkdir()
            (here / ".venv").symlink_to(BIN.parent)
            for shared in ("lib", "package.json", "package-minimal.json"):
                (here / shared).symlink_to(ROOT / shared)
        left = [block for block in blocks(name) if is_run(block)]
        environment = {"TOKEN": "a long one"}
        made.append(Page(name, here, tmp_path / "typed", left, STANDS, environment))
        return made[-1]

    yield read
    for page in made:
        page.close()
    if request.session.testsfailed == failed:
        assert [str(block) for page in made for block in page.left] == [], "these were not run"
        folders = [page.folder for page in made if page.folder != ROOT]
        assert [name for folder in folders for name in taken_by_git(folder)] == []


def taken_by_git(folder: Path) -> list[str]:
    """What `git add .` in the clone would take of what a reader has made there."""
    subprocess.run(["git", "init", "-q", folder], check=True)
    command = ["git", "-C", folder, "ls-files", "--others", f"--exclude-from={ROOT}/.gitignore"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in found if not (name.startswith(STAGE) or (ROOT / name).exists())]


STAGE = ("old/", "certs/", "onboard", "tls-server/", "body", "presign.py")
"""What a test puts beside the reader: a board on the desk, the internet's roots, a server's files."""


TESTS = []


def of_page(*names):
    """The test runs all blocks of these pages that are under the rule `is_run`."""

    def mark(test):
        test.pages = names
        TESTS.append(test)
        return test

    return mark


def app_image(path: Path) -> bytes:
    return firmware.app_image(path.read_bytes())


def package(name: str) -> list[tuple[str, str]]:
    """What mip installs: (path under /lib, path in the repository)."""
    return json.loads((ROOT / name).read_text())["urls"]


@pytest.fixture
def trust_file():
    """Puts release.pem and the trust store of an earlier page into a folder."""

    def put(folder: Path) -> None:
        (folder / "release.pem").touch(0o600)  # git keeps no such mode
        (folder / "release.pem").write_bytes((DATA / "release.pem").read_bytes())
        root, release = (keys.load_private(DATA / f"{name}.pem") for name in ("root", "release"))
        url = "https://localhost:1/v2-esp32.manifest"
        made = trust_store.make_first([root], [release.public_key()], manifest_urls=[url])
        (folder / "ota_trust.json").write_bytes(made)

    return put


# README.md

YOURS = """
import json, network, time

class app:
    def ready():
        return True

def connect():
    station = network.WLAN(network.STA_IF)
    station.active(True)
    station.connect("virtual", "virtual")
    while not station.isconnected():
        time.sleep(0.1)

def show(done, total):
    print("so far", done, "of", total)

"""
"""What the text calls yours."""

ASKS = """

connect()
ota.self_test([("app", app.ready)])
print(ota.status())
try:
    asyncio.run(asyncio.wait_for(updates(), 5))
except asyncio.TimeoutError:
    print("still asking")
"""
"""Around `updates()` of docs/hosting.md, which never ends."""


def modules_of(main: str) -> dict[str, bytes]:
    modules = image_maker.library_modules(resources.library_dir())
    modules["main.py"] = main.encode()
    return modules


def lives(site, vm, folder: Path, main: str, boot: str) -> list[str]:
    """Console of a board with this main.py in its image 1.0, which finds 1.1, the same but its filler."""
    first, second = (image_maker.make_image(modules_of(main), 1 << 17, seed) for seed in "ab")
    files = {**site.files(), "/boot.py": boot.encode()}
    site.publish(first, "1.0")
    made = maker.make_board(folder, site.target.table, first, files, receipt=("1.0", 1))
    site.publish(second, "1.1")
    result = run(made, vm, timeout_s=30)
    made.close()
    assert (result.end, result.boots) == ("idle", ["ota_0", "ota_1"]), "\n".join(result.console)
    judge(folder, "ota_1", second)
    return result.console


@of_page(README)
def test_the_path_of_the_readme_ends_with_a_confirmed_update(reader, site, vm, tmp_path):
    page = reader(README)
    page.names["port"] = str(free_port())
    page.sh("ota device update")
    about = json.loads(page.type("ota device status --port board:myboard --json"))
    assert (about["version"], about["trial"], about["outcome"]) == ("1.1", False, "confirmed")
    judge(page.folder / "myboard", "ota_1", app_image(page.folder / "next.bin"))

    assert "1.2 did not stay" in page.sh("--broken")
    about = json.loads(page.type("ota device status --port board:myboard --json"))
    assert (about["version"], about["outcome"]) == ("1.1", "self-test failed")
    judge(page.folder / "myboard", "ota_1", app_image(page.folder / "next.bin"))

    boot, main = page.take("python"), page.take("python")
    said = lives(site, vm, tmp_path / "written", YOURS + main, boot)
    assert any(line.startswith("so far ") for line in said)
    assert "'outcome': 'confirmed'" in said[-1] and "'version': '1.1'" in said[-1]

    bare = image_maker.make_image({}, 1 << 17, "bare")
    maker.make_board(tmp_path / "bare", site.target.table, bare, {}).close()
    with ports.open_port(f"board:{tmp_path / 'bare'}") as page.names["line"]:
        page.sh()
    found = files_of(tmp_path / "bare")
    mip = package("package.json")
    assert found == {f"/lib/{name}": (ROOT / path).read_bytes() for name, path in mip}


# Pages of commands


@of_page(KEYS)
def test_keys_are_made_rolled_and_taken_away_as_the_page_has_it(reader):
    page = reader(KEYS)
    (page.folder / "firmware.bin").write_bytes(image_maker.make_image({}, 50_000, "x"))
    page.sh()
    newest = max(page.folder.glob("trust-*.json"), key=lambda path: int(path.stem[6:]))
    manifest = (page.folder / "published/v2-esp32.manifest").read_bytes().partition(b"\n")[2]
    assert json.loads(manifest)["trust"] == int(newest.stem[6:]) == 5


@of_page(BOARD)
def test_the_virtual_board_is_used_as_its_page_has_it(reader, trust_file):
    page = reader(BOARD)
    trust_file(page.folder)
    (page.folder / "main.py").write_text("print('mine')\n")
    said = page.sh("ota board new")
    assert "serial line: /dev/pts/" in (page.folder / "line.log").read_text()
    assert "ota_0" in said
    said = page.sh()
    assert "42" in said
    page.close()
    found = files_of(page.folder / "myboard")
    assert found["/main.py"] == b"print('mine')\n"
    assert {f"/lib/{name}" for name, _ in package("package-minimal.json")} <= found.keys()


@of_page(FREEZE)
def test_a_firmware_with_the_library_in_it_is_flashed_and_released(reader, trust_file):
    page = reader(FREEZE)
    trust_file(page.folder)
    modules = maker.application_modules("1.0", True)
    image = synthetic.app(modules=modules, size=1 << 18)
    (page.folder / "firmware.bin").write_bytes(synthetic.merged(app=image))
    rom.blank(page.folder / "old", 0, 4 << 20)
    page.sh()
    about = json.loads(page.type("ota device status --port board:old --json"))
    assert about["version"] == "1.25.0" and about["config"] == ""
    assert not any(name.startswith("/lib/ota/") for name in files_of(page.folder / "old"))
    (payload,) = (page.folder / "published").glob("*.bin")
    assert payload.read_bytes() == image


def stock(folder: Path) -> None:
    """A stock build in its own layout, with a program."""
    rom.blank(folder, 0, 4 << 20)
    with contextlib.closing(Flash.open(folder / "flash.bin")) as flash:
        flash.load(0x1000, synthetic.merged())
        flash.load(0x200000, filesystem.build(0x200000, PROGRAM))


def with_library(folder: Path) -> None:
    """A board that could update itself, with a program and without a configuration."""
    table = parse_csv(resources.device_file("partitions.csv").read_text())
    files = library.compiled("esp32") | PROGRAM
    maker.make_board(folder, table, synthetic.app(modules={}, size=1 << 18), files).close()


PROGRAM = {"/main.py": b"print('old')\n"}


@of_page(*FROM_NOTHING)
@pytest.mark.parametrize("name, make", list(zip(FROM_NOTHING, (stock, with_library), strict=True)))
def test_a_board_is_flashed_and_its_files_are_saved(reader, trust_file, name, make):
    page = reader(name)
    trust_file(page.folder)
    (page.folder / "firmware.bin").write_bytes(synthetic.merged())
    make(page.folder / "old")
    assert "What will be lost:" in page.sh()
    assert (page.folder / "saved/files/main.py").read_text() == "print('old')\n"
    found = files_of(page.folder / "old")
    assert json.loads(found["/ota.json"]) == {"product": "sensor", "board": "v2"}
    assert b"ota.self_test" in found["/main.py"] and "/lib/ota/__init__.mpy" in found


@of_page(TESTED)
def test_the_tests_for_a_board_on_the_desk_take_its_port(reader, trust_file, tmp_path):
    table = resources.device_file("partitions.csv").read_text()
    image = synthetic.app(modules={}, size=1 << 18)
    files = library.compiled("esp32")
    maker.make_board(tmp_path / "old", parse_csv(table), image, files).close()
    (tmp_path / "firmware.bin").write_bytes(synthetic.merged(app=image))
    page = reader(TESTED, ROOT)
    page.names |= {"board": str(tmp_path / "old"), "firmware": str(tmp_path / "firmware.bin")}
    assert re.search(r"\| tests/device: [1-9]\d* passed, 0 failed", page.sh())


@of_page(HOSTING)
def test_hosting_works_as_the_page_has_it(reader, tmp_path, site, vm, monkeypatch):
    page = reader(HOSTING)
    walk = hosting_page.Walk(page, tmp_path)
    with contextlib.closing(walk):
        hosting_page.first_device(walk)
        hosting_page.roots_and_pins(walk)
        certificate = hosting_page.credentials(walk)
        hosting_page.behind_nginx(walk, certificate)
        hosting_page.pre_signed(walk)
        hosting_page.reports(walk)
        hosting_page.serial_line(walk, monkeypatch)
    main = f"{YOURS}{page.take('python')}{ASKS}"
    boot = resources.device_file("boot.py").read_text()
    said = lives(site, vm, tmp_path / "beside", main, boot)
    assert said[-1] == "still asking" and "'outcome': 'confirmed'" in said[-2]
