"""Makes docs/api.md: every public name of the package `ota`, from its signature and its docstring.

What is public says the table in lib/ota/__init__.py. The docstrings' sections (Args, Attributes,
Returns, Raises) become lists, and each error code leads to its row in docs/errors.md.
"""

import inspect
import json
import re
from importlib import import_module
from types import FunctionType, ModuleType

import ota_tools  # noqa: F401 - the dialect
from ota import _PUBLIC
from ota.errors import CODES, OtaError
from ota.manifest import Manifest, Payload

ALSO = {"manifest": ("Manifest", "Payload")}
"""Module -> what applications meet and never make, so that the package does not export it."""

_CODE = "`(%s)`" % "|".join(CODES)
_KINDS = "|".join(sorted({kind.__name__ for kind in CODES.values()}))
_TITLES = {"Args": "Arguments:", "Attributes": "Attributes:"}


def page() -> str:
    """docs/api.md."""
    names = [(row.split()[0], name) for row in _PUBLIC for name in row.split()[1:]]
    also = [(module, name) for module, names in ALSO.items() for name in names]
    lines = [
        "# API",
        "",
        "Made by docs/make.py from the signatures and docstrings of lib/ota; do not edit.",
        "",
        "`import ota` loads one small module. A name of this page is loaded at its first use, with the module that the",
        "table names and what that one needs. `port`, an argument of many calls, is for tests: by default it is the",
        "board that this runs on. Everything that fails raises an [`OtaError`](#otaerror) with a code of",
        "[errors.md](errors.md); `ota.__version__` is the library's version.",
        "",
        "| name | module | layer | |",
        "|---|---|---|---|",
    ]
    lines += [_row(module, name) for module, name in names]
    lines += ["", "What calls return, and nobody makes:", "", "| name | module | layer | |"]
    lines += ["|---|---|---|---|", *(_row(module, name) for module, name in also)]
    for module, name in names + also:
        lines += ["", *_entry(_module(module), name)]
    return "\n".join(lines) + "\n"


def _module(name: str) -> ModuleType:
    return import_module(f"ota.{name}")


def _row(module: str, name: str) -> str:
    found = _module(module)
    layer = re.search(r"Layer (\d)", found.__doc__ or "")
    about = re.split(r"(?<=\.)\s", _paragraphs(getattr(found, name))[0])[0]
    where = f"[{module}](../lib/ota/{module}.py)"
    return f"| [`{name}`](#{name.lower()}) | {where} | {layer[1] if layer else ''} | {about} |"


def _entry(module: ModuleType, name: str) -> list[str]:
    found = getattr(module, name)
    if isinstance(found, FunctionType):
        return [f"## `{name}`", "", _call(f"ota.{name}", found), "", *_text(found)]
    lines = [f"## `{name}`", ""]
    if issubclass(found, OtaError):
        return [*lines, *_text(found), *_codes(found)]
    if not hasattr(found, "from_config") and found not in (Manifest, Payload):
        lines += [_call(f"ota.{name}", found.__init__, found), ""]
    lines += _text(found)
    for method, of in methods(found):
        lines += ["", f"### `{name}.{method}`", "", _call(f"{name}.{method}", of, found), ""]
        lines += _text(of)
    return lines


def methods(kind: type) -> list[tuple[str, FunctionType]]:
    """(name, function) of the public methods: what makes one first, then as they stand in the source."""
    found: dict[str, FunctionType] = {}
    for base in kind.__mro__:
        for name, value in vars(base).items():
            of = getattr(value, "__func__", value)
            if isinstance(of, FunctionType) and not name.startswith("_"):
                found.setdefault(name, of)
    if "from_config" in found:
        found = {"from_config": found.pop("from_config"), **found}
    return list(found.items())


def _call(name: str, of: FunctionType, kind: "type | None" = None) -> str:
    signature = inspect.signature(of)
    shown = list(signature.parameters.values())[1 if kind else 0 :]
    result = "" if of.__name__ == "__init__" else _annotation(signature.return_annotation)
    if kind and of.__name__ == "from_config":
        result = kind.__name__
    arrow = f" -> {result}" if result else ""
    prefix = "await " if inspect.iscoroutinefunction(of) else ""
    return f"`{prefix}{name}({', '.join(map(_parameter, shown))}){arrow}`"


def _parameter(parameter: inspect.Parameter) -> str:
    kind, value = _annotation(parameter.annotation), parameter.default
    told = f"{parameter.name}: {kind}" if kind else parameter.name
    if value is parameter.empty:
        return told
    shown = json.dumps(value) if isinstance(value, str) else repr(value)
    return f"{told} = {shown}" if kind else f"{told}={shown}"


def _annotation(kind: object) -> str:
    if kind is inspect.Signature.empty:
        return ""
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _codes(kind: type) -> list[str]:
    codes = [f"[`{code}`](errors.md#{code})" for code, of in CODES.items() if of is kind]
    return ["", f"Codes: {', '.join(codes)}."] if codes else []


# A docstring


def _paragraphs(of: object) -> list[str]:
    return [" ".join(part.split()) for part in (inspect.getdoc(of) or "").split("\n\n")]


def _text(of: object) -> list[str]:
    """The docstring as Markdown: paragraphs, and a list for each section."""
    lines: list[str] = []
    for title, body in sections(inspect.getdoc(of) or ""):
        if title in _TITLES:
            lines += ["", _TITLES[title], "", *(f"- {item}" for item in _items(body))]
        elif title == "Returns":
            lines += ["", *_returns(body)]
        elif title == "Raises" and not body[0].startswith("as "):
            lines += ["", "Raises:", "", *(f"- {item}" for item in raised(" ".join(body)))]
        else:
            lines += ["", " ".join([title, *body]).strip()]
    return [_linked(line) for line in lines[1:]]


def sections(text: str) -> list[tuple[str, list[str]]]:
    """(title, lines) of a docstring's parts in turn; title "" for what is only text."""
    parts: list[tuple[str, list[str]]] = []
    for line in re.sub(r"(?<=\.)\s+(?=Raises \w)", "\n", text).splitlines():
        head = re.match(r"(Args|Attributes|Returns):\s*(.*)|(Raises) (.*)", line)
        if head:
            title, rest = (head[1], head[2]) if head[1] else (head[3], head[4])
            parts.append((title, [rest] if rest else []))
        elif not line.strip():
            parts.append(("", []))
        else:
            if not parts or (parts[-1][0] in _TITLES and not line.startswith(" ")):
                parts.append(("", []))
            parts[-1][1].append(line if line.startswith(" ") else line.strip())
    return [(title, body) for title, body in parts if body]


def _items(body: list[str]) -> list[str]:
    """`name: text` for each argument; deeper lines go on."""
    found: list[str] = []
    for line in body:
        if re.match(r"    \S", line):
            names, _, told = line.strip().partition(": ")
            names = ", ".join(f"`{name}`" for name in names.split(", "))
            found.append(f"{names}: {told}")
        else:
            found[-1] += " " + line.strip()
    return found


def _returns(body: list[str]) -> list[str]:
    first, *rest = (line.strip() for line in body)
    if not first.endswith(" with"):
        return ["Returns: " + " ".join([first, *rest])]
    return [f"Returns: {first}", "", *(f"- {line}" for line in rest)]


def raised(text: str) -> list[str]:
    """What `Raises …` names, an item for each class and each condition."""
    items: list[str] = []
    kind = ""
    for part in re.split(rf";\s+|,\s+(?:and\s+)?(?=(?:{_KINDS})\b)", text.rstrip(".")):
        named = re.match(rf"({_KINDS})\b\s*(.*)", part)
        if named:
            kind = named[1]
        rest = named[2] if named else part
        items.append(f"{kind} {rest}".strip())
    return items


def _linked(line: str) -> str:
    """In a line that names a class of errors each code leads to its row, and the class to its list."""
    if not re.search(rf"\b({_KINDS})\b", line):
        return line
    line = re.sub(_CODE, r"[`\1`](errors.md#\1)", line)
    return re.sub(rf"(?<![`\w])({_KINDS})\b", lambda m: f"[`{m[1]}`](#{m[1].lower()})", line)
