"""Every attack has its code, touches nothing, stores nothing; the next honest release is confirmed."""

import ast
import contextlib
import functools
import json
import runpy
from pathlib import Path

import pytest
from attacks import ATTACKS, NEXT_SLOT, SAME, Attack, runs_on_vm
from publisher import CURRENT, Publisher, touched
from site_of import Site, updater

from ota import clock
from ota.errors import CODES, OtaError
from ota_tools import resources
from ota_tools.board import image_maker, maker
from ota_tools.board.runner import run

TESTS = Path(__file__).parents[1]
SEQUENCE = 10
"""Confirmed on the device before each attack."""
VERSION = "1.0"
LIVE = [row for row in ATTACKS if row.arrange or row.then]
ON_VM = [row for row in ATTACKS if runs_on_vm(row)]
LEAST = 60


def receipt(created: int = 0) -> bytes:
    about = {"sha256": "00" * 32, "size": 1, "version": VERSION, "sequence": SEQUENCE}
    slots = {"0": {**about, "created": created}}
    return json.dumps({"format": 1, "slots": slots}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.server.close()


@contextlib.contextmanager
def publisher(site: Site, under: str):
    p = Publisher(site, under=under + "/")
    try:
        yield p
    finally:
        for liar in p.liars:
            liar.close()


def attempt(p: Publisher, act) -> "str | None":
    """What an update comes to, by name."""
    u = updater(p.v)
    try:
        if act:
            act(u)
            return "done"
        if p.image_url:
            u.install_image(p.image_url)
            return "installed"
        release = u.check()
        if release is None:
            return None
        if p.means:
            return SAME if release.sha256.hex() == p.means else "another release"
        u.install(release)
        return "installed"
    except OtaError as e:
        return e.code


def stored(p: Publisher) -> bytes:
    """The accepted trust store, whatever is in the file."""
    path = p.v.root / CURRENT
    return path.read_bytes() if path.exists() else b""


def head(p: Publisher, slot: str) -> int:
    return p.v.board.flash.read(p.v.board.table.find(slot).offset, 1)[0]


@pytest.mark.parametrize("row", LIVE, ids=[f"{row.threat}: {row.name}" for row in LIVE])
def test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed(
    server, tmp_path, monkeypatch, row: Attack
):
    monkeypatch.setattr(clock, "_WAIT_MS", 300)
    with publisher(server, f"{ATTACKS.index(row)}") as p:
        if row.arrange:
            row.arrange(p)
        v = p.board(tmp_path / "board")
        (v.root / "ota_receipts.json").write_bytes(receipt(p.created))
        act = row.then(p) if row.then else None
        act = act if callable(act) else None
        before = v.selected(), v.running(), stored(p)
        other = "ota_1" if v.running() == "ota_0" else "ota_0"
        v.board.flash.operations.clear()
        assert attempt(p, act) == row.code
        assert (v.selected(), v.running(), stored(p)) == before
        assert touched(v) == ({other} if row.touches == NEXT_SLOT else set())
        assert row.touches != NEXT_SLOT or head(p, other) != 0xE9
        p.honest()
        (v.root / "ota.json").write_bytes(server.files()["/ota.json"])
        assert p.install() == 40
        assert v.running() == other


# The same rows in one session of the VM

SCRIPT = """
import json
import os
import ota
from ota.config import load_config


def attempt(number, changes, image_url, means):
    config = load_config("/ota.json")
    config.trust = "/%d.json" % number
    for name in changes:
        setattr(config, name, changes[name])
    updater = ota.Updater(config)
    try:
        if image_url:
            updater.install_image(image_url)
            return "installed"
        release = updater.check()
        if release is None:
            return None
        if means:
            return "same" if release.sha256.hex() == means else "another release"
        updater.install(release)
        return "installed"
    except ota.OtaError as e:
        return e.code
    except Exception as e:
        return repr(e)


if ota.status()["running"] == 0:
    print("ROW", json.dumps([-1, None]))
    with open("/rows.json") as file:
        rows = json.load(file)
    for number, changes, image_url, means in rows:
        print("ROW", json.dumps([number, attempt(number, changes, image_url, means)]))
    print("HONEST", attempt(9999, {}, "", ""))
    ota.reset()
ota.self_test([("app", lambda: True)])
print("RUNNING", ota.status()["version"])
"""


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


def test_the_vm_gives_the_same_codes_to_the_same_attacks(server, vm, tmp_path):
    rows, wanted = [], {}
    with contextlib.ExitStack() as stack:
        files = {}
        for row in ON_VM:
            number = ATTACKS.index(row)
            p = stack.enter_context(publisher(server, f"vm-{number}"))
            assert row.arrange
            row.arrange(p)
            rows.append([number, p.config, p.image_url, p.means])
            wanted[number] = row
            files[f"/{number}.json"] = p.trust
            if p.accepted_before:
                files[f"/{number}.json.current"] = p.accepted_before
        p = stack.enter_context(publisher(server, "vm-honest"))
        p.release(40, p.honest_keys, image=image("2.0"), version="2.0")
        files["/9999.json"] = server.trust = p.trust
        files |= server.files()
        files["/boot.py"] = resources.device_file("boot.py").read_bytes()
        files["/main.py"] = SCRIPT.encode()
        files["/rows.json"] = json.dumps(rows).encode()
        board = maker.make_board(
            tmp_path / "b", server.target.table, image(VERSION), files, receipt=(VERSION, SEQUENCE)
        )
        found, hit = {}, {}
        seen = 0

        def on_line(line: str) -> None:
            nonlocal seen
            if line.startswith("ROW "):
                number, code = json.loads(line[4:])
                operations = board.flash.operations[seen:]
                seen = len(board.flash.operations)
                found[number] = SAME if code == "same" else code
                hit[number] = {
                    slot.name
                    for slot in board.table.ota_slots
                    for o in operations
                    if slot.offset <= o.address < slot.end
                }
                if hit[number]:  # the next row may not find its image there
                    slot = board.table.find("ota_1")
                    board.flash.load(slot.offset, b"\xff" * slot.size)

        result = run(board, vm, on_line, timeout_s=200)
    told = "\n".join(result.console[-20:])
    wrong = {
        f"{row.threat}: {row.name}": (found.get(number, "?"), hit.get(number))
        for number, row in wanted.items()
        if found.get(number, "?") != row.code
        or hit[number] != ({"ota_1"} if row.touches == NEXT_SLOT else set())
    }
    assert wrong == {}, told
    assert result.boots == ["ota_0", "ota_1"], told
    assert result.console[-1] == "RUNNING 2.0", told


# The table itself


def test_there_are_attacks_of_every_group_each_with_a_name_of_its_own():
    assert len(LIVE) >= LEAST
    names = [(row.threat, row.name) for row in ATTACKS]
    assert len(set(names)) == len(names)
    assert {row.code for row in ATTACKS} - {None, SAME} <= set(CODES)
    for row in ATTACKS:
        assert row.test or row.arrange or row.then, row.name


def test_every_test_that_the_table_names_exists():
    for name in {row.test for row in ATTACKS if row.test}:
        path, _, function = name.partition("::")
        assert function in functions(path), name


@functools.cache
def functions(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_mutant_that_the_table_names_exists():
    known = {
        row[0]
        for path in (TESTS / "mutants").glob("*.py")
        for row in runpy.run_path(str(path))["MUTANTS"]
    }
    assert {row.mutant for row in ATTACKS} - known == set()
