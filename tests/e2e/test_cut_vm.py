"""The power goes while the real VM runs: a sample of what `ota cut` does in this process."""

import hashlib
import random
import shutil

import pytest
from test_vm import board, console, image

from ota_tools.board.folder import load_board
from ota_tools.board.judge import Judge
from ota_tools.board.runner import run

MAIN = """
import ota
ota.self_test([("app", lambda: True)])
try:
    if ota.Updater.from_config().update():
        ota.reset()
except ota.OtaError as e:
    print("code", e.code)
print("runs", ota.status()["version"])
"""
SAMPLES = 10


@pytest.fixture(scope="module")
def offered(tmp_path_factory, vm):
    """A publisher of 1.1, a board that was never switched on, and what its update did to its flash."""
    from site_of import Site

    folder = tmp_path_factory.mktemp("cut")
    site = Site(folder / "site")
    new = image("1.1", MAIN)
    site.publish(image("1.0"), "1.0")
    site.publish(new, "1.1")
    board(site, folder / "fresh", MAIN).close()
    shutil.copytree(folder / "fresh", folder / "clean")
    clean = load_board(folder / "clean")
    result = run(clean, vm)
    assert result.console[-1] == "runs 1.1", console(result)
    count = len(clean.flash.operations)
    parts = {part.name for o in clean.flash.operations for part in [at(clean, o.address)]}
    assert {"otadata", "ota_1", "vfs"} <= parts
    clean.close()
    yield folder, new, count
    site.server.close()


def at(made, address: int):
    return next(p for p in made.table.partitions if p.offset <= address < p.end)


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_a_vm_that_loses_power_anywhere_comes_to_the_new_image(offered, vm, sample, tmp_path):
    folder, new, count = offered
    # One in each tenth of the update, another one for each run of the suite's history.
    number = random.Random(sample).randrange(
        sample * count // SAMPLES, (sample + 1) * count // SAMPLES
    )
    shutil.copytree(folder / "fresh", tmp_path / "b")
    made = load_board(tmp_path / "b")
    done = 0

    def cut(_) -> bool:
        nonlocal done
        done += 1
        return done == number + 1

    made.flash.cut_before = cut
    assert run(made, vm).end == "cut"
    made.close()
    assert Judge(tmp_path / "b").boots() in ("ota_0", "ota_1")
    made = load_board(tmp_path / "b")
    result = run(made, vm)
    made.close()
    assert result.console[-1] == "runs 1.1", console(result)
    judge = Judge(tmp_path / "b")
    assert judge.boots() == "ota_1"
    assert judge.sha256("ota_1", len(new)) == hashlib.sha256(new).hexdigest()
