"""JSON and base64url as docs/format.md section 1 has them, read without the library; and changed.

`read` is a reader of its own: a regular expression over the whole text, then CPython's json, which sees
each pair of name and value. `changed` replaces, drops, doubles and moves values of a document.
"""

import base64
import json
import re

_ESCAPE = rb'\\(?:["\\/bfnrt]|u(?!00[01]|[dD][89a-fA-F])[0-9A-Fa-f]{4})'
_PLAIN = rb"[ !#-\[\]-~]*"
_STRING = rb'"' + _PLAIN + rb"(?:" + _ESCAPE + _PLAIN + rb')*"'
_TEXT = re.compile(
    rb"(?:[ \n{}\[\],:]|" + _STRING + rb"|(?:0|[1-9][0-9]{0,14})(?![0-9])|true|false|null)*"
)
_STRINGS = re.compile(_STRING + rb"([ \n]*:)?")
_NAME = re.compile(rb'"[^"\\]{1,32}"[ \n]*:')
_DEEPEST = 6


class _Wrong(ValueError):
    pass


def read(data: bytes, limit: int) -> "dict | None":
    """The object in `data`, None for anything else."""
    if len(data) > limit or not _TEXT.fullmatch(data):
        return None
    bare = _STRINGS.sub(b"", data)
    if bare.count(b"{") + bare.count(b"[") > _DEEPEST and _depth(bare) > _DEEPEST:
        return None
    for match in _STRINGS.finditer(data):
        if match[1] and not _NAME.fullmatch(match[0]):
            return None
    try:
        value = json.loads(data, object_pairs_hook=_members)
    except ValueError:
        return None
    return value if type(value) is dict else None


def _members(pairs: list) -> dict:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Wrong
    return made


def _depth(bare: bytes) -> int:
    depth = most = 0
    for byte in bare:
        depth += (byte in b"{[") - (byte in b"}]")
        most = max(most, depth)
    return most


def decoded(text: str) -> "bytes | None":
    """The bytes of base64url, None where that is not their one spelling."""
    if not re.fullmatch("[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_")
    return raw if coded(raw) == text else None


def coded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Fields:
    """An object that is read by a schema: each rule that it breaks is a code in `broken`.

    A field that is missing or `null` has its default; without one, that breaks a rule too.
    """

    def __init__(self, fields: dict, code: str, broken: set) -> None:
        self._fields = fields
        self._code = code
        self.broken = broken

    def need(self, is_so: bool) -> None:
        """Else a rule is broken."""
        if not is_so:
            self.broken.add(self._code)

    def get(self, name: str, kind, default=None):
        """A value of this type; its type's empty one where it has none."""
        value = self._fields.get(name)
        if value is None:
            value = default
        if type(value) is kind:
            return value
        self.need(False)
        return kind()

    def integer(self, name: str, least: int, most: int, default=None) -> int:
        value = self.get(name, int, default)
        self.need(least <= value <= most)
        return value

    def text(self, name: str, least: int, most: int, default=None) -> str:
        value = self.get(name, str, default)
        self.need(least <= len(value) <= most)
        return value

    def items(self, name: str, kind, least: int, most: int, default=None) -> list:
        """A list whose items are of this type; without the others."""
        values = self.get(name, list, default)
        right = [value for value in values if type(value) is kind]
        self.need(least <= len(values) <= most and len(right) == len(values))
        return right

    def object(self, name: str) -> "Fields":
        return self.of(self.get(name, dict))

    def of(self, fields: dict) -> "Fields":
        """Another object, with the same list of what is broken."""
        return Fields(fields, self._code, self.broken)

    def binary(self, text: str, size: int = -1) -> bytes:
        """Of base64url, of this many bytes."""
        raw = decoded(text)
        self.need(raw is not None and size in (-1, len(raw)))
        return raw or b""

    def digest(self, name: str) -> bytes:
        """Of 64 hexadecimal digits."""
        text = self.get(name, str)
        is_right = bool(re.fullmatch("[0-9a-f]{64}", text))
        self.need(is_right)
        return bytes.fromhex(text) if is_right else b""


def is_printable(text: str) -> bool:
    """ASCII that may go onto a console."""
    return bool(re.fullmatch("[ -~]*", text))


# Documents that are changed.

INTEGERS = [
    *(0, 1, 2, 3, 4, 7, 8, 9, 10, 20, 21, 29, 30, 64, 119, 120, 121, 255, 256, 600, 601),
    *(65535, 65536, 65537, 86400, 86401, 100000, 100001, 2**20, 2**20 + 1, 2**24, 2**31, 2**32),
    *(2**40, 10**15 - 1, 10**15, -1, 1.5),
]
LENGTHS = (0, 1, 2, 4, 8, 16, 17, 24, 25, 32, 33, 64, 65, 250, 256, 257, 1024, 1025)
CHARACTERS = 'aAzZ09-_ "\\/=+:.~!\t\n\x00\x1f\x7f\x80\u00a0\u00e9\u20ac\ud800\uffff'
TOKENS = (
    *b'{ } [ ] , : " \\ 0 1 01 -1 1.5 1e9 null true false \\u0041 \\u0000 \\ud800 \\n'.split(b" "),
    *(b" ", b"\n", b"\r", b"\t", b"\x00", b"\xff", b'"a":1,', b"[[[[[[", b"]]]]]]", b'{"a":'),
)
"""What readers of JSON disagree about: words for a search."""


class Name(str):
    """A member's name that may stand twice in a dict."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other

    def __ne__(self, other):
        return self is not other


def tree(data: bytes):
    """A document to be changed, its names `Name`s; None where it is none."""
    try:
        return json.loads(data, object_pairs_hook=lambda pairs: {Name(k): v for k, v in pairs})
    except (ValueError, RecursionError):
        return None


def write(value, random) -> bytes:
    """The text of a document; now and then with spaces, line feeds, or an escape that is not needed."""
    kind = random.random()
    if kind < 0.1:
        return json.dumps(value, indent=random.choice((0, 1))).encode()
    data = json.dumps(value, separators=(",", ":")).encode()
    if kind < 0.2:
        at = random.randrange(len(data))
        if data[at : at + 1].isalnum():
            data = data[:at] + b"\\u%04x" % data[at] + data[at + 1 :]
    return data


def get(fields, name: str, default=None):
    """A member of an object in a tree."""
    if isinstance(fields, dict):
        for key, value in fields.items():
            if str.__eq__(key, name):
                return value
    return default


def changed(value, random) -> None:
    """Change a few places of a tree."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = [*_places(value)]
        if places:
            _change(*random.choice(places), places, random)


def _places(value):
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _change(container, key, places: list, random) -> None:
    kind = random.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        # Once more, under the same name or another one.
        name = random.choice((key, key + "x", "a", "", "n" * 32, "n" * 33, "unknown"))
        container[Name(name)] = container[key]
    elif kind == 1:
        container.insert(key, container[key])
    elif kind == 2:
        other, there = random.choice(places)
        container[key] = json.loads(json.dumps(other[there]), object_pairs_hook=_named)
    elif kind == 3:
        container[key] = random.choice((None, True, False, [], {}, "", 0, [0], [[[[[1]]]]]))
    else:
        container[key] = _another(container[key], random)


def _named(pairs: list) -> dict:
    return {Name(name): value for name, value in pairs}


def _another(value, random):
    """Another value of the same type, more often than not."""
    if type(value) is int:
        near = value + random.choice((-1, 1, 2**20, 2**20 + 1, 65536, -65536))
        return random.choice((near, random.choice(INTEGERS)))
    if type(value) is str:
        return _another_text(value, random)
    if type(value) is list and value:
        times = random.choice((2, 4, 5, 8, 9))
        return random.choice((value[::-1], (value * times)[:times], value[1:], [value]))
    return random.choice(INTEGERS)


def _another_text(text: str, random) -> str:
    kind = random.randrange(4)
    at = random.randrange(len(text) + 1)
    if kind == 0:
        return (text or "x") * 2 if random.random() < 0.3 else _of_length(text, random)
    if kind == 1:
        return text[:at] + random.choice(CHARACTERS) + text[at + 1 :]
    if kind == 2:
        return text[:at] + random.choice(CHARACTERS) + text[at:]
    return text[:at] + text[at + 1 :]


def _of_length(text: str, random) -> str:
    length = random.choice(LENGTHS)
    return ((text or "x") * (length // max(1, len(text)) + 1))[:length]
