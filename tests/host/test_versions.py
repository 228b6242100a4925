"""One version and one list of modules, wherever they are written down."""

import json
import re
from pathlib import Path

import ota

ROOT = Path(__file__).parents[2]


def test_package_json_has_the_version():
    assert json.loads((ROOT / "package.json").read_text())["version"] == ota.__version__


def test_manifest_has_the_version():
    found = re.findall(r'metadata\(version="([^"]+)"', (ROOT / "manifest.py").read_text())
    assert found == [ota.__version__]


def test_changelog_has_the_version_on_top():
    numbers = re.findall(r"(?m)^## \[?v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text())
    assert numbers[0] == ota.__version__, "the first heading with a number, below Unreleased"


def test_pyproject_reads_the_version_from_the_library():
    text = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in text
    assert '[tool.hatch.version]\npath = "lib/ota/__init__.py"\n' in text
    assert not re.search(r"(?m)^version\s*=", text)


def test_package_json_lists_every_module():
    wanted = [["ota/" + path.name, "lib/ota/" + path.name] for path in _modules()]
    lines = ",\n".join("    " + json.dumps(pair) for pair in wanted)
    listed = json.loads((ROOT / "package.json").read_text())["urls"]
    assert sorted(listed) == wanted, "package.json: set urls to\n" + lines


def _modules():
    return sorted((ROOT / "lib" / "ota").glob("*.py"))
