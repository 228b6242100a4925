"""Every bad input by name: how it is made, the code that it gives, what it may touch.

The tests run the rows on the MicroPython VM and in this process, docs/errors.md shows them. `SERVED` rows
are what a server can offer and a device refuses; each gets a manifest of its own. `SURPLUS` rows send more
than was signed, behind what was. `UNLOADABLE` rows are signed images that install and that the bootloader
refuses.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from fakes import make_image, manifest_fields
from site_of import DATA, Liar, Site, envelope, signed
from stores import key_of

from ota.strict import b64url_encode
from ota_tools import keys

NOTHING = "nothing"
"""No flash operation in any slot."""

NEXT_SLOT = "next slot"
"""The inactive slot was written and holds no image afterwards; the boot slot is as it was."""

SIZE = 1 << 17


@dataclass(frozen=True)
class Row:
    """name, code of the error (None: not an error), maker of the manifest, flash that is touched."""

    name: str
    code: str | None
    make: Callable[["Offer"], bytes]
    touches: str = NOTHING


class Offer:
    """What a row works with: the publisher, an honest image, and where to put files."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._first = make_image(SIZE, seed=77)
        self.image = self._first
        self.count = 0
        self.liars: list[Liar] = []

    def begin(self, number: int) -> None:
        """An image of its own for each row: none may find its payload in the slot already."""
        data = bytearray(self._first[:-32])
        data[1000] ^= number
        data[-1] ^= number  # the checksum is the xor of all data
        self.image = bytes(data) + hashlib.sha256(data).digest()

    def put(self, data: bytes) -> str:
        """Publish a payload; its name."""
        self.count += 1
        name = f"payload-{self.count}.bin"
        (self.site.published / name).write_bytes(data)
        return name

    def fields(self, image: bytes | None = None, served: bytes | None = None, **changes) -> dict:
        """An honest manifest for `image`, of which the server sends `served`."""
        image = image or self.image
        name = self.put(served or image)
        payloads = [{"urls": [name], "encoding": "plain", "size": len(image)}]
        return manifest_fields(image, **{"sequence": 20, "payloads": payloads, **changes})

    def sign(self, fields: dict, **header) -> bytes:
        """Signed by the right key, whatever the fields are."""
        return signed(self.site.signer, json.dumps(fields).encode(), **header)

    def text(self, old: str, new: str) -> bytes:
        """Signed, with one piece of the manifest's text replaced."""
        text = json.dumps(self.fields(), separators=(",", ":"))
        assert old in text, old
        return signed(self.site.signer, text.replace(old, new, 1).encode("latin-1"))

    def liar(self, head: str, body: bytes) -> bytes:
        """Signed, with a payload on a server that answers in its own way."""
        liar = Liar(self.site.paths, head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        self.liars.append(liar)
        fields = self.fields()
        fields["payloads"][0]["urls"] = [liar.url + "/app.bin"]
        return self.sign(fields)

    def close(self) -> None:
        """Stop the liars."""
        for liar in self.liars:
            liar.close()


def _image(fields: dict, **changes) -> dict:
    return {**fields, "image": {**fields["image"], **changes}}


def _altered(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _altered_signature(o: Offer) -> bytes:
    whole = o.sign(o.fields())
    at = whole.index(b'"signature": "') + 40
    return whole[:at] + (b"A" if whole[at : at + 1] != b"A" else b"B") + whole[at + 1 :]


def _other_header(o: Offer) -> bytes:
    # The signature of one header under another one that is just as well-formed.
    payload = json.dumps(o.fields()).encode()
    line = json.loads(signed(o.site.signer, payload).split(b"\n")[0])["signatures"][0]
    kid = keys.kid(o.site.signer.public_key())
    other = {"typ": "ota-manifest+1", "kid": kid, "alg": "PS256"}
    protected = b64url_encode(json.dumps(other).encode()).decode()
    return envelope(protected, line["signature"], payload)


def _base64(change: Callable[[str], str], name: str) -> Callable[[Offer], bytes]:
    def make(o: Offer) -> bytes:
        line, payload = o.sign(o.fields()).split(b"\n", 1)
        entry = json.loads(line)["signatures"][0]
        entry[name] = change(entry[name])
        return envelope(entry["protected"], entry["signature"], payload)

    return make


def _loose_tail(text: str) -> str:
    # 384 bytes leave no unused bits; one byte less does.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = text[:-2]
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


def _stranger(o: Offer) -> bytes:
    signer = key_of(DATA / "stranger.pem")
    return signed(signer, json.dumps(o.fields()).encode())


def _stranger_as_ours(o: Offer) -> bytes:
    kid = keys.kid(o.site.signer.public_key())
    signer = key_of(DATA / "stranger.pem")
    return signed(signer, json.dumps(o.fields()).encode(), kid=kid)


def _bad_segment(image: bytes) -> bytes:
    return image[:28] + (0x7FFFFFF1).to_bytes(4, "little") + image[32:]


def _bootloader(image: bytes) -> bytes:
    # A bootloader descriptor (magic 0x50) where an application has its own.
    return image[:32] + b"\x50" + bytes(3) + image[36:]


def _merged(image: bytes) -> bytes:
    return _bootloader(make_image(20000, seed=3)).ljust(0xF000, b"\xff") + image


def _bad_checksum(image: bytes) -> bytes:
    body = _altered(image[:-32], len(image) - 33)
    return body + hashlib.sha256(body).digest()


SERVED = [
    # Who signed
    Row("the wrong key", "signature", _stranger),
    Row("the wrong key under the right name", "signature", _stranger_as_ours),
    Row("altered manifest", "signature", lambda o: o.sign(o.fields()).replace(b'"1.1"', b'"1.2"')),
    Row("altered signature", "signature", _altered_signature),
    Row("altered header", "signature", _other_header),
    Row("alg is not the key's", "signature", lambda o: o.sign(o.fields(), alg="ES256")),
    Row("alg none", "signature", lambda o: o.sign(o.fields(), alg="none")),
    Row("typ is not a manifest's", "signature", lambda o: o.sign(o.fields(), typ="ota-trust+1")),
    Row("a trust store instead of a manifest", "signature", lambda o: o.site.trust),
    Row("crit in the header", "envelope-format", lambda o: o.sign(o.fields(), crit=["exp"])),
    Row("no signature at all", "envelope-format", lambda o: b'{"signatures":[]}\n{}'),
    # Which format
    Row("unknown format number", "format-unknown", lambda o: o.sign(o.fields(format=2))),
    Row("a field missing", "manifest-format", lambda o: o.text('"sequence":20,', "")),
    Row("a field of the wrong type", "manifest-format", lambda o: o.text(":20", ':"20"')),
    Row("oversized manifest", "envelope-format", lambda o: o.sign(o.fields(notes="x" * 6200))),
    Row("oversized file", "envelope-format", lambda o: b"x" * 20000),
    Row("oversized first line", "envelope-format", lambda o: b'{"a":"' + b"x" * 3100 + b'"}\n{}'),
    Row("empty file", "envelope-format", lambda o: b""),
    Row("a web page", "envelope-format", lambda o: b"<html>\n<body>please log in</body></html>"),
    # For whom
    Row("another product", "wrong-product", lambda o: o.sign(o.fields(product="other"))),
    Row("another board", "wrong-board", lambda o: o.sign(o.fields(board="other"))),
    Row("another chip", "wrong-chip", lambda o: o.sign(o.fields(chip_id=9))),
    Row(
        "an image for another chip",
        "wrong-chip",
        lambda o: o.sign(o.fields(make_image(SIZE, chip_id=9))),
    ),
    # When
    Row("lower sequence", "downgrade", lambda o: o.sign(o.fields(sequence=9))),
    Row("equal sequence", None, lambda o: o.sign(o.fields(sequence=10))),
    Row(
        "sequence jumps too far",
        "sequence-jump",
        lambda o: o.sign(o.fields(sequence=11 + (1 << 20))),
    ),
    Row("needs an earlier release", "step-needed", lambda o: o.sign(o.fields(min_sequence=11))),
    Row("expired", "expired", lambda o: o.sign(o.fields(expires=1700000000))),
    # What
    Row(
        "image larger than the slot",
        "image-too-large",
        lambda o: o.sign(o.fields(make_image(0x180000 + 4096))),
    ),
    Row("merged firmware", "image-format", lambda o: o.sign(o.fields(_merged(o.image)))),
    Row("bootloader image", "image-format", lambda o: o.sign(o.fields(_bootloader(o.image)))),
    Row("not an image", "image-format", lambda o: o.sign(o.fields(b"#!/bin/sh\n" * 9000))),
    Row("bad segment", "image-format", lambda o: o.sign(o.fields(_bad_segment(o.image)))),
    Row(
        "wrong block digest",
        "digest-mismatch",
        lambda o: o.sign(_image(o.fields(), blocks=b64url_encode(bytes(48)).decode())),
        NEXT_SLOT,
    ),
    Row(
        "wrong whole digest",
        "digest-mismatch",
        lambda o: o.sign(_image(o.fields(), sha256="00" * 32)),
        NEXT_SLOT,
    ),
    Row(
        "tampered payload",
        "digest-mismatch",
        lambda o: o.sign(o.fields(served=_altered(o.image, 5000))),
        NEXT_SLOT,
    ),
    Row("payload too long", "size-mismatch", lambda o: o.sign(o.fields(served=o.image + b"x"))),
    Row("payload too short", "size-mismatch", lambda o: o.sign(o.fields(served=o.image[:-1]))),
    Row("payload not there", "http-status", lambda o: o.text('["payload-', '["nowhere-')),
    Row("no payloads", "manifest-format", lambda o: o.sign(o.fields(payloads=[]))),
    Row("unknown encoding", "no-payload", lambda o: o.text('"plain"', '"magic"')),
    Row("URL without TLS", "url", lambda o: o.text('["payload-', '["http://localhost/')),
    # How it is sent
    Row(
        "body shorter than announced",
        "short-body",
        lambda o: o.liar(f"HTTP/1.1 200 OK\nContent-Length: {len(o.image)}", o.image[:90000]),
        NEXT_SLOT,
    ),
    Row(
        "body of no length that ends too early",
        "short-body",
        lambda o: o.liar("HTTP/1.1 200 OK", o.image[:-1]),
        NEXT_SLOT,
    ),
    Row(
        "chunks that end too early",
        "short-body",
        lambda o: o.liar("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    ),
    Row(
        "a chunk of no size",
        "http-format",
        lambda o: o.liar("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"-1\r\n\r\n"),
    ),
    Row(
        "a length for chunks",
        "http-format",
        lambda o: o.liar(
            f"HTTP/1.1 200 OK\nContent-Length: {len(o.image)}\nTransfer-Encoding: chunked", b""
        ),
    ),
    Row(
        "compressed on the way",
        "http-format",
        lambda o: o.liar(
            f"HTTP/1.1 200 OK\nContent-Length: {len(o.image)}\nContent-Encoding: gzip", o.image
        ),
    ),
    Row(
        "two lengths",
        "http-format",
        lambda o: o.liar("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2", b"x"),
    ),
    Row(
        "redirects in a circle",
        "redirect",
        lambda o: o.liar("HTTP/1.1 302 Found\nLocation: /b", b""),
    ),
    Row(
        "a redirect away from https",
        "redirect",
        lambda o: o.liar("HTTP/1.1 302 Found\nLocation: http://localhost/b", b""),
    ),
    Row("no access", "denied", lambda o: o.liar("HTTP/1.1 403 Forbidden\nContent-Length: 0", b"")),
    Row(
        "server overloaded",
        "server-busy",
        lambda o: o.liar("HTTP/1.1 503 Unavailable\nRetry-After: 5\nContent-Length: 0", b""),
    ),
    Row("not HTTP", "http-format", lambda o: o.liar("SSH-2.0-OpenSSH_9.2", b"")),
    Row(
        "an endless head",
        "http-format",
        lambda o: o.liar("HTTP/1.1 200 OK\n" + "X-Padding: " + "x" * 20000, b""),
    ),
    # Lax JSON: what the two `json` modules read and this library does not
    Row("JSON: leading zero", "manifest-format", lambda o: o.text(":20,", ":020,")),
    Row("JSON: fraction", "manifest-format", lambda o: o.text(":20,", ":20.0,")),
    Row("JSON: exponent", "manifest-format", lambda o: o.text(":20,", ":2e1,")),
    Row("JSON: negative number", "manifest-format", lambda o: o.text(":20,", ":-20,")),
    Row("JSON: plus sign", "manifest-format", lambda o: o.text(":20,", ":+20,")),
    Row("JSON: sixteen digits", "manifest-format", lambda o: o.text(":20,", ":1000000000000020,")),
    Row("JSON: NaN", "manifest-format", lambda o: o.text(":20,", ":NaN,")),
    Row("JSON: missing comma", "manifest-format", lambda o: o.text(":20,", ":20 ")),
    Row("JSON: doubled comma", "manifest-format", lambda o: o.text(":20,", ":20,,")),
    Row("JSON: comma before the end", "manifest-format", lambda o: o.text("[1]}", "[1],}")),
    Row("JSON: comma in a list's end", "manifest-format", lambda o: o.text("[1]", "[1,]")),
    Row("JSON: missing colon", "manifest-format", lambda o: o.text('"sequence":', '"sequence" ')),
    Row(
        "JSON: comma for colon", "manifest-format", lambda o: o.text('"sequence":', '"sequence",')
    ),
    Row("JSON: colon in a list", "manifest-format", lambda o: o.text("[1]", "[1:1]")),
    Row("JSON: wrong bracket", "manifest-format", lambda o: o.text("[1]", "[1}")),
    Row("JSON: repeated name", "manifest-format", lambda o: o.text('"sequence":', '"format":')),
    Row(
        "JSON: repeated name by escape",
        "manifest-format",
        lambda o: o.text('"sequence":', '"\\u0066ormat":1,"sequence":'),
    ),
    Row("JSON: number as name", "manifest-format", lambda o: o.text('"library"', "1")),
    Row("JSON: bare name", "manifest-format", lambda o: o.text('"library"', "library")),
    Row("JSON: single quotes", "manifest-format", lambda o: o.text('"1.1"', "'1.1'")),
    Row("JSON: control character", "manifest-format", lambda o: o.text('"1.1"', '"1\t1"')),
    Row("JSON: byte over 0x7e", "manifest-format", lambda o: o.text('"1.1"', '"1\xe91"')),
    Row("JSON: half a surrogate pair", "manifest-format", lambda o: o.text("1.1", "\\ud800")),
    Row("JSON: escaped NUL", "manifest-format", lambda o: o.text("1.1", "1\\u00001")),
    Row("JSON: unknown escape", "manifest-format", lambda o: o.text("1.1", "1\\x311")),
    Row("JSON: nested too deep", "manifest-format", lambda o: o.text("[1]", "[[[[[[[1]]]]]]]")),
    Row("JSON: a list at the top", "manifest-format", lambda o: signed(o.site.signer, b"[1]")),
    Row("JSON: something after the end", "manifest-format", lambda o: o.text("[1]}", "[1]}1")),
    Row("JSON: not closed", "manifest-format", lambda o: o.text("[1]}", "[1]")),
    Row(
        "JSON: byte order mark",
        "manifest-format",
        lambda o: o.text('{"format"', '\xef\xbb\xbf{"format"'),
    ),
    # Lax base64url
    Row("base64: padding", "envelope-format", _base64(lambda t: t + "=", "protected")),
    Row("base64: plus", "envelope-format", _base64(lambda t: "+" + t[1:], "signature")),
    Row("base64: slash", "envelope-format", _base64(lambda t: "/" + t[1:], "signature")),
    Row("base64: junk", "envelope-format", _base64(lambda t: t[:9] + "!" + t[9:], "signature")),
    Row("base64: blank", "envelope-format", _base64(lambda t: t[:9] + " " + t[9:], "signature")),
    Row("base64: loose tail", "envelope-format", _base64(_loose_tail, "signature")),
    Row("base64: one too many", "envelope-format", _base64(lambda t: t + "A", "signature")),
]

_MORE = b"not signed by anybody\n" * 9000

SURPLUS = [
    Row(
        "body longer than announced",
        None,
        lambda o: o.liar(f"HTTP/1.1 200 OK\nContent-Length: {len(o.image)}", o.image + _MORE),
        NEXT_SLOT,
    ),
    Row(
        "body of no length that goes on",
        None,
        lambda o: o.liar("HTTP/1.1 200 OK", o.image + _MORE),
        NEXT_SLOT,
    ),
    Row(
        "chunks that go on",
        None,
        lambda o: o.liar(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked",
            b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (o.image, _MORE)),
        ),
        NEXT_SLOT,
    ),
]

UNLOADABLE = [
    Row(
        "bad checksum",
        None,
        lambda o: o.sign(o.fields(_bad_checksum(o.image))),
        NEXT_SLOT,
    ),
    Row(
        "bad appended SHA-256",
        None,
        lambda o: o.sign(o.fields(_altered(o.image, len(o.image) - 1))),
        NEXT_SLOT,
    ),
]

NOT_LOADED = "did not load"
"""The outcome of all of them."""


def touched_by(board, operations) -> set[str]:
    """Partitions that were erased or programmed, slots or not."""
    return {
        part.name
        for part in board.table.partitions
        for operation in operations
        if part.offset <= operation.address < part.end
    }
