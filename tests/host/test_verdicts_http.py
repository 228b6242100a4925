"""What a search found: CPython and every VM say the same of it, and it is right (tests/fuzz.py)."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import verdicts_http
from test_portable_on_vm import commands, run_all

TESTS = Path(__file__).parents[1]
FUZZ = runpy.run_path(str(TESTS / "fuzz.py"))
FUZZ["load"]()
CODE = "import sys; sys.path[:0] = %r; import verdicts_http; verdicts_http.main(%r)"
PATHS = [str(TESTS.parent / "lib"), str(TESTS / "portable")]
TARGETS = sorted(verdicts_http.TARGETS)


def seeds_and_kept(target) -> list[bytes]:
    return [*FUZZ["SEEDS"][target](), *FUZZ["kept"](target)]


def is_fit(verdict) -> bool:
    return not verdict.startswith((verdicts_http.BUG, verdicts_http.CUT))


def wrong(target, data) -> str:
    """What is wrong with what is made of a case, "" for nothing."""
    try:
        FUZZ["check"](target, data)
    except Exception as e:
        return f"{FUZZ['described'](e)}: {data.hex()}"
    return ""


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_is_right(target):
    # Requests and their secrets, ends of bodies, limits; RFC 3986 and 9112 read a second time.
    complaints = [wrong(target, data) for data in seeds_and_kept(target)]
    assert list(filter(None, complaints)) == []


def test_however_an_answer_is_cut_it_is_the_same_answer():
    for data in FUZZ["SEEDS"]["http"]():
        found = {
            verdicts_http.verdict("http", data[:1] + bytes((cut,)) + data[2:]) for cut in range(8)
        }
        assert len(found) == 1 and is_fit(found.pop()), data.hex()


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_small_and_each_input_stands_once(target):
    inputs = FUZZ["kept"](target)
    assert 5 < len(set(inputs)) == len(inputs) <= FUZZ["MOST_KEPT"]
    assert sum(map(len, inputs)) < 300_000
    assert len({verdicts_http.verdict(target, data) for data in inputs}) > 2


def test_the_figures_are_those_of_a_whole_search():
    figures = json.loads(FUZZ["FIGURES"].read_text())
    assert sorted(figures) == TARGETS
    for target, found in figures.items():
        assert found["kept"] == len(FUZZ["kept"](target))
        assert found["executions"] >= 1_000_000


def test_all_interpreters_say_the_same(tmp_path, capsys):
    cases = [(target, data) for target in TARGETS for data in seeds_and_kept(target)]
    path = tmp_path / "cases"
    path.write_text("".join(f"{target} {data.hex()}\n" for target, data in cases))
    here = [verdicts_http.verdict(target, data) for target, data in cases]
    code = CODE % (PATHS, str(path))
    vms = {name: command for name, command in commands().items() if command[0] != sys.executable}
    named = {name: [*command, "-c", code] for name, command in vms.items()}
    for name, (exit_code, out, err) in run_all(named, tmp_path).items():
        assert (exit_code, err) == (0, ""), (name, out[-2000:] + err)
        there = out.splitlines()
        differing = [
            f"{target} {data.hex()}: CPython {mine!r}, {name} {theirs!r}"
            for (target, data), mine, theirs in zip(cases, here, there, strict=True)
            if mine != theirs
        ]
        assert differing == []
        with capsys.disabled():
            print(f"\nverdicts: {len(cases)} equal on CPython and {name}", end="")
