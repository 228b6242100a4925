"""Pages that are made from tables say what the tables say now."""

import importlib.util
from pathlib import Path

import pytest

from ota.errors import CODES

DOCS = Path(__file__).parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("make", DOCS / "make.py")
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)


@pytest.mark.parametrize("name", make.PAGES)
def test_a_made_page_is_up_to_date(name):
    assert (DOCS / name).read_text() == make.PAGES[name](), "run python docs/make.py"


def test_every_code_is_explained():
    page = (DOCS / "errors.md").read_text()
    for code in CODES:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{code}` |")]
        assert all(cell.strip() for cell in row.strip("|").split("|")), row


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
