"""One version and one list of modules, wherever they are written down."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import ota

ROOT = Path(__file__).parents[2]

LEFT_OUT = {"aio", "local", "bare", "checkup", "p256_viper"}
"""What package-minimal.json does without: asyncio, cables and cards, bare images, doctor(), native code."""


def test_both_packages_have_the_version():
    for name in ("package.json", "package-minimal.json"):
        assert json.loads((ROOT / name).read_text())["version"] == ota.__version__


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
    _assert_lists("package.json", {path.stem for path in _modules()})


def test_package_minimal_json_lists_what_its_public_names_import():
    starts = {row.split(" ")[0] for row in ota._PUBLIC} - LEFT_OUT
    reached, todo = {"__init__"}, sorted(starts)
    while todo:
        name = todo.pop()
        reached.add(name)
        todo += {module for module, _ in _imports(name)} - LEFT_OUT - reached
    _assert_lists("package-minimal.json", reached)


def test_nothing_that_package_minimal_json_lists_needs_the_rest_to_be_imported():
    listed = json.loads((ROOT / "package-minimal.json").read_text())["urls"]
    for _, path in listed:
        for module, is_late in _imports(Path(path).stem):
            assert module not in LEFT_OUT or is_late, f"{path} imports {module}"


def _assert_lists(package: str, names: set[str]) -> None:
    wanted = sorted([f"ota/{name}.py", f"lib/ota/{name}.py"] for name in names)
    lines = ",\n".join("    " + json.dumps(pair) for pair in wanted)
    listed = json.loads((ROOT / package).read_text())["urls"]
    assert sorted(listed) == wanted, f"{package}: set urls to\n{lines}"


def _imports(name: str) -> Iterator[tuple[str, bool]]:
    """Modules of the library that this one imports, but for types; whether inside a function."""
    tree = ast.parse((ROOT / "lib" / "ota" / f"{name}.py").read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    late = {id(node) for function in functions for node in ast.walk(function)}
    modules = {path.stem for path in _modules()}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((module, id(node) in late) for module in found if module in modules)


def _modules():
    return sorted((ROOT / "lib" / "ota").glob("*.py"))
