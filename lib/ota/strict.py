r"""Strict JSON and base64url, for bytes that are signed on one interpreter and read on another.

Layer 1, pure. MicroPython's own readers accept malformed input and CPython's accept other things;
here both see the same or nothing. The accepted subset stands in docs/format.md section 1.
"""

import binascii
import json

from micropython import const

_DEPTH = const(6)
_DIGITS = const(15)
_NAME = const(32)


class Malformed(Exception):
    """The bytes are not in the strict subset. Callers turn it into the code of their format."""


def loads(buf: bytes, limit: int) -> dict:
    """The object in `buf`, scanned in linear time before `json` sees it.

    Args:
        buf: bytes of one JSON object.
        limit: most bytes accepted.
    Raises Malformed.
    """
    if len(buf) > limit:
        raise Malformed("%d bytes, at most %d" % (len(buf), limit))
    at = _space(buf, 0)
    if buf[at : at + 1] != b"{":
        raise Malformed("not an object")
    if _space(buf, _value(buf, at, 1)) != len(buf):
        raise Malformed("something follows the object")
    return json.loads(buf)


def b64url_encode(raw) -> bytes:
    """base64url without padding."""
    text = binascii.b2a_base64(raw).rstrip(b"\n=")
    return text.replace(b"+", b"-").replace(b"/", b"_")


def b64url_decode(text: str) -> bytes:
    """The bytes behind canonical base64url without padding. Raises Malformed."""
    coded = text.encode()
    padded = coded.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(coded) % 4)
    try:
        raw = binascii.a2b_base64(padded)
    except ValueError:
        raise Malformed("not base64url")
    # Decoders drop what they do not know; the way back shows whether anything was dropped.
    if b64url_encode(raw) != coded:
        raise Malformed("not canonical base64url")
    return raw


def hex_decode(text: str, size: int) -> bytes:
    """The `size` bytes behind lower-case hexadecimal. Raises Malformed."""
    if len(text) != 2 * size:
        raise Malformed("%d hex digits, expected %d" % (len(text), 2 * size))
    for char in text:
        if char not in "0123456789abcdef":
            raise Malformed("not lower-case hexadecimal")
    return binascii.unhexlify(text)


def field(fields: dict, name: str, kind, default=None):
    """One field of a decoded object, with its type checked. Raises Malformed.

    A missing field is its default, or an error where that is None. True is not an integer here.
    """
    value = fields.get(name)
    if value is None:
        value = default
    if type(value) is not kind:
        raise Malformed("%s is missing or of the wrong type" % name)
    return value


def text_field(fields: dict, name: str, least: int, most: int, default=None) -> str:
    """A string field of `least` to `most` characters. Raises Malformed."""
    value = field(fields, name, str, default)
    if not least <= len(value) <= most:
        raise Malformed(
            "%s has %d characters, expected %d to %d" % (name, len(value), least, most)
        )
    return value


def is_printable(text: str) -> bool:
    """Printable ASCII only: it may go into a header or onto a console."""
    for char in text:
        if not " " <= char <= "~":
            return False
    return True


def list_field(fields: dict, name: str, kind, most: int, default=None) -> list:
    """A list field of at most `most` items of one type. Raises Malformed."""
    values = field(fields, name, list, default)
    if len(values) > most:
        raise Malformed("%s has %d items, at most %d" % (name, len(values), most))
    for value in values:
        if type(value) is not kind:
            raise Malformed("%s has an item of the wrong type" % name)
    return values


def _space(buf, at: int) -> int:
    while buf[at : at + 1] in (b" ", b"\n"):
        at += 1
    return at


def _value(buf, at: int, depth: int) -> int:
    # Each scanner starts at the first byte of its token and returns the offset behind it.
    first = buf[at : at + 1]
    if first == b"{" or first == b"[":
        if depth > _DEPTH:
            raise Malformed("nested deeper than %d" % _DEPTH)
        return _members(buf, at + 1, depth, first == b"{")
    if first == b'"':
        return _string(buf, at + 1)
    if b"0" <= first <= b"9":
        return _integer(buf, at)
    for word in (b"true", b"false", b"null"):
        if buf[at : at + len(word)] == word:
            return at + len(word)
    raise Malformed("unexpected byte at %d" % at)


def _members(buf, at: int, depth: int, named: bool) -> int:
    close = b"}" if named else b"]"
    names: set = set()
    at = _space(buf, at)
    if buf[at : at + 1] == close:
        return at + 1
    while True:
        if named:
            at = _name(buf, at, names)
        at = _space(buf, _value(buf, at, depth + 1))
        mark = buf[at : at + 1]
        at = _space(buf, at + 1)
        if mark == close:
            return at
        if mark != b",":
            raise Malformed("expected a comma or the end at %d" % (at - 1))


def _name(buf, at: int, names: set) -> int:
    start = at + 1
    if buf[at:start] != b'"':
        raise Malformed("expected a name at %d" % at)
    end = _string(buf, start)
    name = bytes(buf[start : end - 1])
    if not 1 <= len(name) <= _NAME or b"\\" in name or name in names:
        raise Malformed("bad or repeated name at %d" % at)
    names.add(name)
    at = _space(buf, end)
    if buf[at : at + 1] != b":":
        raise Malformed("expected a colon at %d" % at)
    return _space(buf, at + 1)


def _string(buf, at: int) -> int:
    while at < len(buf):
        byte = buf[at]
        at += 1
        if byte == 0x22:
            return at
        if not 0x20 <= byte <= 0x7E:
            break
        if byte == 0x5C:
            at = _escape(buf, at)
    raise Malformed("bad byte or end of a string at %d" % at)


def _escape(buf, at: int) -> int:
    if buf[at : at + 1] != b"u":
        if at < len(buf) and buf[at] in b'"\\/bfnrt':
            return at + 1
        raise Malformed("unknown escape at %d" % at)
    code = 0
    for byte in buf[at + 1 : at + 5]:
        digit = b"0123456789abcdef".find(bytes((byte | 0x20,)))
        if digit < 0 or byte < 0x30:
            raise Malformed("bad escape at %d" % at)
        code = code << 4 | digit
    if at + 5 > len(buf) or code < 0x20 or 0xD800 <= code < 0xE000:
        raise Malformed("escape that is not allowed at %d" % at)
    return at + 5


def _integer(buf, at: int) -> int:
    start = at
    while at < len(buf) and 0x30 <= buf[at] <= 0x39:
        at += 1
    if at - start > _DIGITS or (buf[start] == 0x30 and at - start > 1):
        raise Malformed("integer of %d digits, or with a leading zero" % (at - start))
    return at
