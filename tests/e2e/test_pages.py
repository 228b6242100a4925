"""Every block of README.md and docs/ is run here, as its page has it, or is accounted for by one rule.

What a page claims is asked where its blocks have run: by the device's code, by the flash from outside. A block
that is new on a page is run if it is the shell's, and fails its page if it is not.
"""

import contextlib
import functools
import hashlib
import json
import re
import sys
import types
from pathlib import Path

import pytest
import test_docs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from pages_of import (
    BIN,
    ROOT,
    Block,
    Failed,
    Page,
    PageNginx,
    Stand,
    blocks,
    certificates_of,
    free_port,
    pages,
    prose,
)
from site_of import DATA, updater
from test_local import Line
from virtual import Virtual

from ota import journal
from ota.config import load_config
from ota.errors import OtaError
from ota.updater import Updater
from ota_tools import firmware, keys, library, ports, resources
from ota_tools import trust as trust_store
from ota_tools.board import bootloader, filesystem, image_maker, maker, rom, synthetic
from ota_tools.board.flash import Flash
from ota_tools.board.model import describe_entries, load_board
from ota_tools.board.runner import run
from ota_tools.partitions import parse_csv
from ota_tools.serve import Server

README, KEYS, HOSTING = "README.md", "docs/keys.md", "docs/hosting.md"
BOARD, FREEZE, TESTED = "docs/board.md", "docs/freeze.md", "docs/tested.md"
FROM_NOTHING = ("docs/move.md", "docs/recover.md")

RUN = {
    README: {"sh", "python"},
    KEYS: {"sh"},
    HOSTING: {"sh", "json", "nginx", "python"},
    BOARD: {"sh"},
    FREEZE: {"sh"},
    TESTED: {"sh"},
    **{page: {"sh"} for page in FROM_NOTHING},
}
"""Page -> languages whose blocks its test runs, all of them."""

NO_PROGRAM = [
    (BOARD, " ota board run ──▶ model (tools/ota_tools/board/)"),
    ("docs/format.md", '{"signatures":[{"protected":"…","signature":"…"}]}   at most 3072 bytes'),
    ("docs/format.md", '{"format":1,"slots":{"0":{"sha256":"…","size":1048576,"version":"1.0",'),
    ("docs/format.md", "image                  padded with 0xFF to a multiple of 4096"),
    (HOSTING, "https://github.com/OWNER/REPO/releases/latest/download/v2-esp32.manifest"),
    (HOSTING, "https://BUCKET.s3.REGION.amazonaws.com/v2-esp32.manifest"),
]
"""(page, begin of the first line) of the blocks without a language: drawings, layouts, addresses."""

STANDS = [
    Stand((README,), "ota serve published >", "ota serve published --port {port} >",
          "8443 may be taken on this machine"),
    Stand((README,), "localhost:8443", "localhost:{port}", "as above"),
    Stand((README,), "/dev/ttyUSB0", "{line}", "the board that is on the desk"),
    Stand(FROM_NOTHING + (FREEZE, TESTED), "/dev/ttyUSB0", "board:old", "the board on the desk"),
    Stand((TESTED,), "pytest tests/device ",
          "pytest tests/device -q -p no:cacheprovider -k two_slots --host localhost ",
          "all of them run by themselves, on a virtual board; here it is the options"),
    Stand((TESTED,), "firmware.bin", "{firmware}", "this page is read in the clone"),
    Stand((TESTED,), "NAME:KEY", "virtual:virtual", "the network of a virtual board"),
    Stand((TESTED,), "board:old", "board:{board}", "this page is read in the clone"),
    Stand((BOARD,), "ota board run myboard --line  ", "ota board run myboard --line > line.log &\n"
          "until grep -q 'serial line' line.log; do sleep 0.1; done",
          "it ends by Ctrl-C: the reader has another terminal"),
    Stand((BOARD,), "/dev/pts/3", "$(sed -n 's/serial line: //p' line.log)",
          "what the command above printed"),
    Stand((HOSTING,), "ota serve published --host 192.168.1.10",
          "ota serve published --host 127.0.0.1 --port {port} > serve.log 2>&1 & sleep 1",
          "this machine's address; it ends by Ctrl-C; 8443 may be taken"),
    Stand((HOSTING,), "ota serve published --reports reports.jsonl",
          "ota serve published --reports reports.jsonl --host 127.0.0.1 --port {reports} "
          "> serve2.log 2>&1 & sleep 1", "as above, beside the first one"),
    Stand((HOSTING,), "ota serve published --serial /dev/ttyUSB1 --baud 460800",
          "ota serve published --serial {serial} --baud 460800 > serve3.log 2>&1 & sleep 1",
          "the other end of a pseudo-terminal; it ends by Ctrl-C"),
    Stand((HOSTING,), "192.168.1.10:8443", "127.0.0.1:{port}", "this machine's address"),
    Stand((HOSTING,), "-connect updates.example.com:443", "-connect localhost:{internet}",
          "a server of ours has a certificate for this name"),
    Stand((HOSTING,), "/etc/ssl/certs/", "{certs}/", "a folder with that server's root"),
    Stand((HOSTING,), "mpremote cp", "mpremote connect {line} cp",
          "mpremote takes the first port of the machine; a virtual board's is none of those"),
    Stand((HOSTING,), "/etc/nginx/tls", "{tls}", "not everybody may write there"),
    Stand((HOSTING,), "/srv/published", "{published}", "what `ota release` wrote on this page"),
    Stand((HOSTING,), "listen 443 ssl;", "listen 127.0.0.1:{nginx} ssl;", "443 is root's"),
    Stand((HOSTING,), "http {\n", "http {{ access_log off;\n{temporary}",
          "where nginx keeps what it has on the way, if it is not root's"),
]  # fmt: skip


# Rules: each block is under one of them, and only the first of them asks a test of this file


def is_run(block: Block) -> bool:
    """A test of this file runs it: `Page` leaves none of them out."""
    return block.language in RUN.get(block.page, ()) and not is_of_ci(block)


def is_of_ci(block: Block) -> bool:
    """CI runs these words by themselves."""
    words = f"\n{block.text.strip()} "
    run = (ROOT / ".ci/run").read_text().replace("\n", " \n")
    return block.language == "sh" and "\n" not in words.strip() and words in run


def is_example(block: Block) -> bool:
    """It stands in an example, or a test runs it: tests/host/test_docs.py, test_examples.py."""
    page = block.page.removeprefix("docs/").removesuffix(".md")
    if block.language != "python" or page not in test_docs.PAGES:
        return False
    there = test_docs.blocks(page)
    if block.text in there and there.index(block.text) in test_docs.RUN_HERE.get(page, ()):
        return True
    return any(block.text in path.read_text() for path in test_docs.TRIED)


def is_no_program(block: Block) -> bool:
    """It is for the eye."""
    known = [first for page, first in NO_PROGRAM if page == block.page]
    return not block.language and any(block.first.startswith(first) for first in known)


RULES = (is_run, is_of_ci, is_example, is_no_program)


def rules_of(block: Block) -> list[str]:
    return [rule.__name__ for rule in RULES if rule(block)]


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
        assert rules_of(added) == ["is_run"]
        page = reader(name, [added])
        with pytest.raises(Failed, match="ended with 1"):
            page.sh()
            raise Failed("ended with 1") if page.left else AssertionError(added)


# The reader


@pytest.fixture
def reader(tmp_path):
    """Somebody who begins to read a page, in a folder like a clone; at the end every block was run."""
    made: list[Page] = []

    def read(name: str, only: list[Block] | None = None, folder: Path | None = None) -> Page:
        here = folder or tmp_path / "reader"
        here.mkdir(exist_ok=True)
        for shared in ("lib", "package.json", "package-minimal.json"):
            if not folder:
                (here / shared).symlink_to(ROOT / shared)
        if not folder:
            (here / ".venv").symlink_to(BIN.parent)
        left = only or [block for block in blocks(name) if is_run(block)]
        environment = {"TOKEN": "a long one"}
        made.append(Page(name, here, tmp_path / "typed", left, STANDS, environment))
        return made[-1]

    yield read
    for page in made:
        page.close()


TESTS = []


def of_page(*names):
    """The test runs all blocks of these pages that are under the rule `is_run`."""

    def mark(test):
        test.pages = names
        TESTS.append(test)
        return test

    return mark


def finished(page: Page) -> None:
    assert not page.left, f"not run: {page.left[0]}"


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


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a board that is switched off."""
    with contextlib.closing(load_board(folder)) as board:
        part = board.table.find("vfs")
        return filesystem.read(board.flash.read(part.offset, part.size))


def judge(folder: Path, label: str, image: bytes) -> None:
    """From outside: the bootloader picks this slot, it is confirmed, it holds the image."""
    with contextlib.closing(load_board(folder)) as board:
        part = bootloader.selected(bootloader.read_entries(board.flash, board.table), board.table)
        assert part.name == label
        assert board.flash.read(part.offset, len(image)) == image
        assert "2 VALID" in " ".join(describe_entries(board))


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
    assert not page.left or page.left[0].language == "python"
    about = json.loads(page.type("ota device status --port board:myboard --json"))
    assert (about["version"], about["trial"], about["outcome"]) == ("1.1", False, "confirmed")
    judge(page.folder / "myboard", "ota_1", app_image(page.folder / "next.bin"))

    broken = re.search(r"`(ota board image [^`]* --broken)`", prose(README))[1]
    page.type(f"{broken}\nota release bad.bin --product sensor --board v2 --version 1.2 "
              "--key release.pem --trust ota_trust.json\n"
              "if ota device update --port board:myboard; then false; fi\n")  # fmt: skip
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
    finished(page)


# Pages of commands


@of_page(KEYS)
def test_keys_are_made_rolled_and_taken_away_as_the_page_has_it(reader):
    page = reader(KEYS)
    (page.folder / "firmware.bin").write_bytes(image_maker.make_image({}, 50_000, "x"))
    page.sh()
    newest = max(page.folder.glob("trust-*.json"), key=lambda path: int(path.stem[6:]))
    manifest = (page.folder / "published/v2-esp32.manifest").read_bytes().partition(b"\n")[2]
    assert json.loads(manifest)["trust"] == int(newest.stem[6:]) == 5
    finished(page)


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
    finished(page)


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
    finished(page)


@of_page(*FROM_NOTHING)
@pytest.mark.parametrize("name", FROM_NOTHING)
def test_a_stock_board_is_flashed_and_its_files_are_saved(reader, trust_file, name):
    page = reader(name)
    trust_file(page.folder)
    (page.folder / "firmware.bin").write_bytes(synthetic.merged())
    rom.blank(page.folder / "old", 0, 4 << 20)
    with contextlib.closing(Flash.open(page.folder / "old/flash.bin")) as flash:
        flash.load(0x1000, synthetic.merged())
        flash.load(0x200000, filesystem.build(0x200000, {"/main.py": b"print('old')\n"}))
    assert "What will be lost:" in page.sh()
    assert (page.folder / "saved/files/main.py").read_text() == "print('old')\n"
    found = files_of(page.folder / "old")
    assert json.loads(found["/ota.json"]) == {"product": "sensor", "board": "v2"}
    assert b"ota.self_test" in found["/main.py"] and "/lib/ota/__init__.mpy" in found
    finished(page)


@of_page(TESTED)
def test_the_tests_for_a_board_on_the_desk_take_its_port(reader, trust_file, tmp_path):
    table = resources.device_file("partitions.csv").read_text()
    image = synthetic.app(modules={}, size=1 << 18)
    files = library.compiled("esp32")
    maker.make_board(tmp_path / "old", parse_csv(table), image, files).close()
    (tmp_path / "firmware.bin").write_bytes(synthetic.merged(app=image))
    page = reader(TESTED, folder=ROOT)
    page.names |= {"board": str(tmp_path / "old"), "firmware": str(tmp_path / "firmware.bin")}
    assert re.search(r"\| tests/device: [1-9]\d* passed, 0 failed", page.sh())
    finished(page)


# docs/hosting.md


def device(folder: Path, config: str, trust: bytes, **more) -> Virtual:
    """A board in this process whose /ota.json is a block of the page, and what else it takes here."""
    v = Virtual(folder)
    v.power_on()
    (v.root / "ota.json").write_text(config)
    load_config(str(v.root / "ota.json"))  # the block by itself
    (v.root / "ota.json").write_text(json.dumps({**json.loads(config), **more}))
    (v.root / "ota_trust.json").write_bytes(trust)
    return v


def answer(v: Virtual) -> str:
    """Of a check: the version that is offered, or a code."""
    try:
        release = updater(v).check()
    except OtaError as e:
        return e.code
    return release.version if release else "nothing"


@of_page(HOSTING)
def test_hosting_works_as_the_page_has_it(reader, tmp_path, site, vm, monkeypatch):
    page = reader(HOSTING)
    here = page.folder
    (here / "firmware.bin").write_bytes(image_maker.make_image({}, 50_000, "x"))
    certificates_of(here / "tls-server", "updates.example.com")
    root = x509.load_pem_x509_certificate((here / "tls-server/root.pem").read_bytes())
    end = contextlib.ExitStack()
    line = Line()
    end.callback(line.close)
    page.names |= {"port": str(free_port()), "reports": str(free_port()), "serial": line.name}
    page.names |= {"tls": str(here / "tls-server"), "published": str(here / "published")}
    numbers = iter(range(100))

    def board(config: str, **more) -> Virtual:
        trust = (here / "ota_trust.json").read_bytes()
        v = device(tmp_path / f"b{next(numbers)}", config, trust, **more)
        for file in [*here.glob("device.*"), here / "root-ca.pem"]:
            if file.exists():
                (v.root / file.name).write_bytes(file.read_bytes())
        return v

    with end:
        # The first device
        page.sh()
        first = page.take("json")
        assert answer(board(first)) == "1.1"

        # Roots and pins, of somebody's server with a chain of three
        (here / "certs").mkdir()
        hashed = page.type("openssl x509 -in tls-server/root.pem -noout -hash").strip()
        (here / "certs" / f"{hashed}.0").write_bytes((here / "tls-server/root.pem").read_bytes())
        chain, key = here / "tls-server/fullchain.pem", here / "tls-server/server.key"
        server = end.enter_context(Server(here / "published", chain, key))
        page.names |= {"certs": str(here / "certs"), "internet": str(server.port)}
        said = page.sh()
        assert (
            "chain1.pem: OK" in said and root.fingerprint(hashes.SHA256()).hex(":").upper() in said
        )
        der = serialization.Encoding.DER
        assert (here / "root-ca.der").read_bytes() == root.public_bytes(der)
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        pins = [
            hashlib.sha256(public.public_bytes(der, spki)).hexdigest()
            for public in (
                x509.load_pem_x509_certificate((here / "chain1.pem").read_bytes()).public_key(),
                serialization.load_pem_private_key(
                    (here / "next.key").read_bytes(), None
                ).public_key(),
            )
        ]
        assert re.findall(r"(?m)^[0-9a-f]{64}$", said) == pins
        there = {"manifest_url": f"https://localhost:{server.port}/v2-esp32.manifest"}
        there["tls_root"] = "/root-ca.pem"
        pinned = page.take("json")
        assert answer(board(pinned, **there)) == "tls-verify"
        assert answer(board(pinned, **there, tls_pins=pins[:1])) == "1.1"
        assert answer(board(page.take("json"), **there)) == "1.1"  # credentials

        # Client certificates
        bare = image_maker.make_image({}, 1 << 17, "bare")
        maker.make_board(here / "onboard", site.target.table, bare, {}).close()
        with ports.open_port(f"board:{here / 'onboard'}") as page.names["line"]:
            page.sh()
        for name, data in files_of(here / "onboard").items():
            assert data == (here / name[1:]).read_bytes()
        assert len(files_of(here / "onboard")) == 2
        with_certificate = page.take("json")
        (here / "tls-server/clients.pem").write_bytes((here / "clients.pem").read_bytes())

        # nginx
        page.names |= {"nginx": "PORT", "temporary": "".join(
            f"{what}_temp_path {tmp_path}/{what};\n"
            for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )}  # fmt: skip
        whole = page.take("nginx")

        def served(name: str, inside: str = "") -> dict[str, str]:
            text = whole.replace("location", inside + "location", 1)
            running = PageNginx(tmp_path / name, lambda port: text.replace("PORT", str(port)))
            end.callback(running.close)
            return {**there, "manifest_url": f"{running.urls['']}/v2-esp32.manifest"}

        plain = served("plain")
        assert answer(board(first, **plain)) == "1.1"
        head = f"curl -sS --cacert root-ca.pem -o body -D - {plain['manifest_url']}"
        assert "cache-control: no-cache" in page.type(head).lower()
        auth = page.take("nginx")
        page.sh()
        locked = served("locked", auth)
        assert answer(board(first, **locked)) == "denied"
        assert answer(board(page.take("json"), **locked)) == "1.1"
        known = served("known", page.take("nginx"))
        assert answer(board(first, **known)) == "http-status"
        assert answer(board(with_certificate, **known)) == "1.1"

        # A manifest with other addresses
        (here / "presign.py").write_text(page.take("python"))
        page.type("python presign.py")
        (payload,) = updater(board(first)).check().payloads
        assert payload.urls[0].startswith("https://BUCKET.s3.") and "?X-Amz-" in payload.urls[0]

        # Reports
        config, told = page.take("json"), page.take("python")
        page.sh("--reports")
        url = f"https://127.0.0.1:{page.names['reports']}/reports"
        v = board(config, report_url=url)
        ended = journal.Journal()
        ended.end(journal.CONFIRMED, "")
        v.board.nvs.set("ota", "journal", journal.encode(ended).hex())
        assert eval(told, {"updater": updater(v)}) is True
        (report,) = map(json.loads, (here / "reports.jsonl").read_text().splitlines())
        assert (report["product"], report["outcome"]) == ("sensor", "confirmed")

        # A serial line
        page.sh()
        v = board(first)
        machine = types.SimpleNamespace(UART=lambda *_, **__: line)
        monkeypatch.setitem(sys.modules, "machine", machine)
        here_on = functools.partial(Updater.from_config, port=v.port())
        monkeypatch.setattr(Updater, "from_config", here_on)
        words: dict = {}
        exec(page.take("python"), words)
        assert words["updater"].check().version == "1.1"

    beside = page.take("python")
    joins = "\nconnect()\nota.self_test([('app', app.ready)])\nprint(ota.status())\n"
    joins += "try:\n    asyncio.run(asyncio.wait_for(updates(), 5))\n"
    joins += "except asyncio.TimeoutError:\n    print('still asking')\n"
    boot = resources.device_file("boot.py").read_text()
    said = lives(site, vm, tmp_path / "beside", YOURS + beside + joins, boot)
    assert said[-1] == "still asking" and "'outcome': 'confirmed'" in said[-2]
    finished(page)
