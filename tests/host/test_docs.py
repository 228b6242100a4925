"""Pages that are made from tables say what the tables say now."""

import ast
import html
import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from virtual import STOCK_TABLE, Virtual

import ota
from ota import doctor, history, status
from ota.errors import CODES, SourceError
from ota.updater import Updater

DOCS = Path(__file__).parents[2] / "docs"
E2E = Path(__file__).parents[1] / "e2e"
SPEC = importlib.util.spec_from_file_location("make", DOCS / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)


@pytest.mark.parametrize("name", make.PAGES)
def test_a_made_page_is_up_to_date(name):
    assert (DOCS / name).read_text() == make.PAGES[name](), "run python docs/make.py"


def test_the_recorded_demo_has_the_steps_of_the_demo():
    source = (DOCS.parent / "tools/ota_tools/demo.py").read_text()
    picture = html.unescape((DOCS / "demo.svg").read_text()).replace("\N{NO-BREAK SPACE}", " ")
    steps = re.findall(r'^            \("([^"]+)", self\._\w+\),$', source, re.M)
    assert len(steps) >= 12, "how the demo names its steps has changed"
    assert [step for step in steps if step not in picture] == [], "run python docs/record.py"


def test_every_code_is_explained():
    page = (DOCS / "errors.md").read_text()
    for code in CODES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{code}` |")]
        assert all(cell.strip() for cell in row.strip("|").split("|")), row


def test_every_bad_input_has_a_test_that_exists():
    page = (DOCS / "errors.md").read_text().partition("## Bad input")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    command = ["pytest", "--collect-only", "-q", *map(str, sorted(E2E.glob("test_bad_*.py")))]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    collected = [line.partition("::")[2] for line in done.stdout.splitlines()]
    assert len(rows) > 100
    for row in rows:
        start, name = re.search(r"`(test_\w+)…?\[(.+)\]` \|$", row).groups()
        assert name == row.split(" | ")[0][2:]
        of_row = re.compile(rf"{start}\w*\[(.*-)?{re.escape(name)}(-.*)?\]")
        assert any(map(of_row.fullmatch, collected)), row


def test_every_code_is_raised_somewhere_in_the_library():
    source = "".join(p.read_text() for p in (DOCS.parent / "lib/ota").glob("*.py"))
    source = source.replace((DOCS.parent / "lib/ota/errors.py").read_text(), "")
    assert [code for code in CODES if f'"{code}"' not in source] == []


def test_every_attack_has_its_row_under_its_threat():
    import attacks

    page = (DOCS / "threats.md").read_text()
    for row in attacks.ATTACKS:
        part = page.partition(f"## {row.threat[0].upper()}{row.threat[1:]}\n")[2].partition(
            "\n## "
        )[0]
        assert f"| {row.name}" in part, row.name
    assert {line.count("|") for line in page.splitlines() if line.startswith("|")} == {6}


# The reference


def test_every_public_name_and_method_is_in_the_reference():
    page = (DOCS / "api.md").read_text()
    for name in (name for row in ota._PUBLIC for name in row.split()[1:]):
        assert f"\n## `{name}`\n" in page
    for method in ("from_config", "check", "update", "download", "activate", "report"):
        assert f"\n### `Updater.{method}`\n" in page
        assert f"\n### `AsyncUpdater.{method}`\n" in page


def test_every_code_that_a_docstring_names_is_of_the_class_that_it_names():
    named = re.findall(r"\[`(\w+Error)`\]\(#\w+\)((?:,? \[`[a-z-]+`\])+)", _without_goals())
    assert len(named) > 10
    for kind, codes in named:
        for code in re.findall(r"[a-z-]{2,}", codes):
            assert CODES[code].__name__ == kind, f"{kind} {code}"


def _without_goals():
    return re.sub(r"\]\(errors\.md#[a-z-]+\)", "]", (DOCS / "api.md").read_text())


def test_a_docstring_becomes_lists():
    def of(a, b=""):
        """Does it. And more.

        Args:
            a, b: the first,
                and the second.
        Returns: dict with
            c: one;
            d: two.
        Raises SlotError `busy`, `nvs` where it is worn; `files`. Then goes on.
        """

    lines = make.reference._text(of)
    assert lines[0] == "Does it. And more."
    assert lines[2:6] == ["Arguments:", "", "- `a`, `b`: the first, and the second.", ""]
    assert lines[6:10] == ["Returns: dict with", "", "- c: one;", "- d: two."]
    assert [line[:44] for line in lines[13:]] == [
        "- [`SlotError`](#sloterror) [`busy`](errors.",
        "- [`SlotError`](#sloterror) [`files`](errors",
    ]
    assert make.reference._call("of", of) == '`of(a, b="")`'
    assert make.reference._call("x", Updater.check, Updater) == "`x() -> Manifest | None`"


# The glossary


def test_the_glossary_is_sorted_and_each_of_its_terms_is_used():
    text = (DOCS / "glossary.md").read_text()
    terms = re.findall(r'(?m)^- <a id="([a-z-]+)"></a>\*\*([^*]+)\*\*: ', text)
    assert len(terms) == text.count("\n- ") > 30
    assert [name for _, name in terms] == sorted({name for _, name in terms})
    assert [name for name, term in terms if name != term.replace(" ", "-")] == []
    others = [path.read_text() for path in DOCS.glob("*.md") if path.name != "glossary.md"]
    used = " ".join(" ".join(others).lower().replace("_", " ").split())
    assert [term for _, term in terms if not re.search(rf"\b{term}", used)] == []


# The code of the task pages

ROOT = DOCS.parent
TRIED = [ROOT / "boot.py", ROOT / "main.py", *(ROOT / "examples").glob("*.py")]
"""What other tests run: tests/e2e/test_examples.py, the demo."""

PAGES = ["self-test", "deep-sleep", "asyncio", "recover", "freeze", "move"]
RUN_HERE = {"recover": [0], "freeze": [0], "self-test": [3]}
"""Page -> its blocks that stand in no file, and which a test below runs."""


def blocks(page):
    return re.findall(r"(?ms)^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text())


def stands_in(block, source):
    """Is the block a run of whole lines there, which are whole statements of the module?"""
    try:
        wanted, found = ([ast.dump(part) for part in ast.parse(s).body] for s in (block, source))
    except SyntaxError:
        return False
    ends = range(len(wanted), len(found) + 1)
    return f"\n{block}" in f"\n{source}" and any(
        found[end - len(wanted) : end] == wanted for end in ends
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_task_page_stands_in_a_file_that_is_tried(page):
    sources = [path.read_text() for path in TRIED]
    for number, block in enumerate(blocks(page)):
        if number not in RUN_HERE.get(page, []):
            assert any(stands_in(block, source) for source in sources), f"copy it again:\n{block}"


@pytest.mark.parametrize("name", ["deep_sleep_node", "asyncio_app"])
def test_a_page_that_shows_an_example_shows_all_of_it(name):
    shown = "".join(path.read_text() for path in DOCS.glob("*.md"))
    assert f"```python\n{(ROOT / 'examples' / name).with_suffix('.py').read_text()}```" in shown


def test_the_look_at_a_device_works_as_it_stands(tmp_path, monkeypatch, capsys):
    v = Virtual(tmp_path, STOCK_TABLE)
    v.power_on()
    port = v.port()
    monkeypatch.setattr(ota, "doctor", lambda: doctor(False, port), raising=False)
    monkeypatch.setattr(ota, "status", lambda: status(port), raising=False)
    monkeypatch.setattr(ota, "history", lambda: history(port), raising=False)
    exec(blocks("recover")[0], {})
    said = capsys.readouterr().out
    assert re.search(r"(?m)^X  config config: ", said) and "'running': 0" in said


def test_a_check_that_blames_the_network_raises_what_self_test_takes_for_it():
    station = types.SimpleNamespace(isconnected=lambda: False)
    names = {"ota": ota, "station": station}
    exec(blocks("self-test")[3], names)
    with pytest.raises(SourceError):
        names["network"]()
    station.isconnected = lambda: True
    assert names["network"]() is True


def test_the_manifest_of_the_page_freezes_the_whole_library():
    # As tools/manifestfile.py of MicroPython: paths begin at the manifest, a package is every .py below it.
    frozen = []

    def include(manifest_path):
        if manifest_path.startswith("ota/"):
            exec((ROOT / manifest_path.removeprefix("ota/")).read_text(), words)

    def package(package_path, files=None, base_path=".", opt=None):
        base = ROOT / base_path
        found = (base / package_path).rglob("*.py")
        frozen.extend(str(path.relative_to(base)) for path in found)

    words = {
        "include": include,
        "metadata": lambda **_: None,
        "module": frozen.append,
        "package": package,
    }
    exec(blocks("freeze")[0], words)
    library = [f"ota/{path.name}" for path in (ROOT / "lib/ota").glob("*.py")]
    assert sorted(frozen) == sorted(["app.py", *library])
