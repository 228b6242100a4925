"""Imports in lib/ota point downwards only, and only `chip` and `port` touch the hardware modules."""

import ast
from pathlib import Path

import ota

LIBRARY = Path(__file__).parents[2] / "lib" / "ota"

# Bottom up. A module imports from lower lines, and from its own line only what stands before it.
ORDER = [
    ["errors"],
    [
        "dates",
        "strict",
        "otadata",
        "rsa",
        "p256_viper",
        "p256",
        "image",
        "espressif",
        "jws",
        "trust",
        "manifest",
        "journal",
    ],
    ["reader", "slot", "wide"],
    ["chip", "port", "files", "config", "receipt", "memory"],
    ["http", "patience", "pins", "net", "source", "clock", "local"],
    ["situation", "trial", "recovery", "guard", "start"],
    [
        "activation",
        "transfer",
        "report",
        "access",
        "rotation",
        "bare",
        "engine",
        "health",
        "survey",
    ],
    ["updater", "aio", "checkup"],
    ["__init__"],
]

RANK = {name: rank for rank, name in enumerate(name for layer in ORDER for name in layer)}
HARDWARE = ("esp32", "machine", "network")
CONST = "from micropython import const"
HOST_ONLY = ("typing", "__future__")
TYPES = "TYPE_CHECKING"  # the device's compiler drops what stands below


def violations(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, one line each."""
    tree = ast.parse(source)
    found = []
    if module not in RANK:
        found.append("not in ORDER")
    for_types = {each for node in ast.walk(tree) if _is_for_types(node) for each in node.body}
    for node in ast.walk(tree):
        if node in for_types and ast.unparse(node).startswith("from typing import "):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _absolute(module, alias.name)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found += _absolute(module, node.module or "")
        elif isinstance(node, ast.ImportFrom):
            found += _relative(module, node)
    if module == "__init__":
        executed = [node for node in _executed_at_import(tree) if _is_import(node)]
        # `micropython` is built in: it costs nothing.
        found += ["eager import" for node in executed if ast.unparse(node) != CONST]
    return found


def _absolute(module: str, name: str) -> list[str]:
    top = name.split(".")[0]
    if top == "ota":
        return [f"import {name}: write from .x import name"]
    if top in HARDWARE and module not in ("chip", "port"):
        return [f"{top}: only chip and port import it"]
    if top in HOST_ONLY:
        return [f"{top}: not on the device"]
    return []


def _relative(module: str, node: ast.ImportFrom) -> list[str]:
    target = node.module or ""
    if node.level != 1 or not target:
        return ["from . import: write from .x import name"]
    if target not in RANK:
        return [f"{target}: no such module in ORDER"]
    if RANK[target] >= RANK.get(module, 0):
        return [f"{target}: not below {module}"]
    return []


def _executed_at_import(node: ast.AST) -> list[ast.AST]:
    """All nodes but those inside functions and `if TYPE_CHECKING:`."""
    nodes = []
    for child in ast.iter_child_nodes(node):
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if not function and not _is_for_types(child):
            nodes += [child, *_executed_at_import(child)]
    return nodes


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == TYPES


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))


def test_imports_point_downwards():
    found = [
        f"{path.name}: {violation}"
        for path in sorted(LIBRARY.glob("*.py"))
        for violation in violations(path.stem, path.read_text())
    ]
    assert not found, "\n".join(found)


def test_no_module_bears_the_name_of_a_public_function():
    # Importing a submodule sets the package's attribute of that name, and would hide the function.
    public = {name for row in ota._PUBLIC for name in row.split()[1:]}
    assert not public & {path.stem for path in LIBRARY.glob("*.py")}


def test_public_names_come_from_known_modules():
    assert {row.split()[0] for row in ota._PUBLIC} <= set(RANK)


def test_wrong_imports_are_reported():
    wrong = {
        ("otadata", "from .slot import Slot"): "slot: not below otadata",
        ("otadata", "def f():\n    from .image import verify"): "image: not below otadata",
        ("http", "from .net import connect"): "net: not below http",
        ("slot", "from .slot import Slot"): "slot: not below slot",
        ("slot", "from . import errors"): "from . import: write from .x import name",
        ("slot", "from .. import errors"): "from . import: write from .x import name",
        ("slot", "import ota.errors"): "import ota.errors: write from .x import name",
        ("slot", "from ota import errors"): "import ota: write from .x import name",
        ("slot", "from .nothing import name"): "nothing: no such module in ORDER",
        ("slot", "def f():\n    import esp32"): "esp32: only chip and port import it",
        ("trial", "from machine import reset"): "machine: only chip and port import it",
        ("slot", "from typing import Any"): "typing: not on the device",
        ("slot", "from __future__ import annotations"): "__future__: not on the device",
        ("nothing", "import os"): "not in ORDER",
        ("__init__", "try:\n    from .trial import boot\nfinally:\n    pass"): "eager import",
    }
    for (module, source), expected in wrong.items():
        assert violations(module, source) == [expected], source


def test_right_imports_are_accepted():
    right = [
        ("slot", "import os\nfrom .errors import error\nfrom .otadata import encode"),
        ("image", "from .otadata import encode"),
        ("port", "def f():\n    import esp32, machine, network"),
        ("slot", "if TYPE_CHECKING:\n    from typing import TypeVar"),
        ("__init__", "def f():\n    from .trial import boot\n    return boot"),
        ("__init__", "from micropython import const\nX = const(1)"),
        ("__init__", "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from .trial import boot"),
    ]
    for module, source in right:
        assert violations(module, source) == [], source
