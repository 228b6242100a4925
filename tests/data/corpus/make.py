"""Writes the corpus: for each parser of tests/portable/verdicts.py the inputs that are kept.

`.venv/bin/python tests/data/corpus/make.py`; the same bytes on every run. What a case must give is
not written here: all interpreters must give the same. Format of the files: tests/data/README.md.
"""

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "tests/portable")]

import ota_tools  # noqa: E402, F401, I001 - the stand-in for `micropython`
import test_jws  # noqa: E402
import test_trust  # noqa: E402
import verdicts_searched  # noqa: E402
from fakes import make_image, manifest_fields, read_data  # noqa: E402
from test_rsa import PrivateKey  # noqa: E402

from ota.jws import MANIFEST, TRUST  # noqa: E402
from ota.strict import b64url_encode  # noqa: E402

# What a mutation puts in: what JSON readers, base64 readers and line readers disagree about.
JSON_TOKENS = [
    *(b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b" ", b"\n", b"\t", b"\r", b"\x00"),
    b"\xff",
    *(b"0", b"-1", b"1.0", b"1e3", b"01", b"null", b"true", b"[]", b"{}", b'""', b'"a":1,'),
    *(b"\\u0041", b"\\u0000", b"\\ud800", b"\xc3\xa9", b"999999999999999", b"9999999999999999"),
]
BYTES = [b"\x00", b"\x01", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"]


class Cases:
    """The cases of one parser, each once; `seed` makes the mutations differ between parsers."""

    def __init__(self, seed: int) -> None:
        self.inputs: list[bytes] = []
        self.kept: list = []
        self._state = seed

    def add(self, *inputs: bytes) -> int:
        """Keep inputs whole; the index of the last one."""
        for data in inputs:
            self._keep(bytes(data), bytes(data).hex())
        return self.inputs.index(bytes(inputs[-1]))

    def patch(self, base: int, at: int, length: int, new: bytes, times: int = 1) -> int:
        """Keep an earlier input with `length` bytes at `at` replaced by `new`, repeated; its index."""
        data = self.inputs[base]
        made = data[:at] + new * times + data[at + length :]
        self._keep(made, [base, at, length, new.hex(), times])
        return self.inputs.index(made)

    def mutate(self, base: int, count: int, tokens: list[bytes], ends: int = 8) -> None:
        """Keep `count` patches of an input: bits, bytes and tokens changed, `ends` ends cut off."""
        size = len(self.inputs[base])
        for _ in range(count):
            at = self._pick(size)
            kind = self._pick(5)
            if kind == 0:
                flipped = self.inputs[base][at] ^ 1 << self._pick(8)
                self.patch(base, at, 1, bytes((flipped,)))
            elif kind == 1:
                self.patch(base, at, 1 + self._pick(8), b"")
            elif kind == 2:
                self.patch(base, at, 0, tokens[self._pick(len(tokens))])
            elif kind == 3:
                self.patch(base, at, 1, tokens[self._pick(len(tokens))])
            else:
                start = self._pick(size)
                self.patch(base, at, 0, self.inputs[base][start : start + 1 + self._pick(16)])
        for _ in range(ends):
            at = self._pick(size)
            self.patch(base, at, size - at, b"")

    def _keep(self, data: bytes, kept) -> None:
        if data not in self.inputs:
            self.inputs.append(data)
            self.kept.append(kept)

    def _pick(self, n: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 33) % n


def expand(kept: list) -> list[bytes]:
    """The inputs of a corpus file."""
    inputs: list[bytes] = []
    for case in kept:
        if isinstance(case, str):
            inputs.append(bytes.fromhex(case))
        else:
            base, at, length, new, times = case
            data = inputs[base]
            inputs.append(data[:at] + bytes.fromhex(new) * times + data[at + length :])
    return inputs


def dumps(fields) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def strict_cases() -> Cases:
    cases = Cases(1)
    for value in (
        # MicroPython's json reads these, or read them once.
        *(b"[1 2]", b"[}", b"[1,,2]", b"[1,]", b"[,1]", b"[,]", b"[01]", b"[1}", b"{]"),
        *(b"01", b"00", b"-0", b"-1", b"+1", b"1e400", b"1e3", b"1.0", b".5", b"1.", b"0x10"),
        *(b"1_0", b"NaN", b"Infinity", b"-Infinity", b"True", b"nul", b"nulll", b"tru", b"None"),
        # Integers about the limits, of small integers of 31 and 63 bits too.
        *(b"0", b"9", b"10", b"999999999999999", b"1000000000000000", b"1" * 300),
        *(b"1073741823", b"1073741824", b"2147483648", b"4294967295", b"4294967296"),
        # Strings: controls, escapes, surrogates, bytes above ASCII.
        *(b'"\n"', b'"\t"', b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\x80"', b'"\xc3\xa9"', b'"\xff"'),
        *(b'"\\"', b'"\\x41"', b'"\\a"', b'"\\v"', b'"\\0"', b'"\\\'"'),
        b'"\\/\\b\\f\\n\\r\\t\\""',
        *(b'"\\u"', b'"\\u004"', b'"\\u0041"', b'"\\u0000"', b'"\\u001f"', b'"\\u0020"'),
        *(b'"\\u007f"', b'"\\u0080"', b'"\\u00e9"', b'"\\u07ff"', b'"\\u0800"', b'"\\ud7ff"'),
        *(b'"\\ud800"', b'"\\udfff"', b'"\\ud83d\\ude00"', b'"\\ue000"', b'"\\ufeff"'),
        b'"\\uFFFF"',
        *(b'"\\u 041"', b'"\\u+041"', b'"\\u00g0"', b'"\\u{41}"', b'"\\U00000041"', b"'a'", b'"a'),
        *(b'"\\u\x1041\x10"', b'"\\u\x10041"', b'"a" "b"', b'"' + b"x" * 300 + b'"', b'"{[,:]}"'),
        *(b"true", b"false", b"null", b"[]", b"{}", b"[true,false,null]", b"[ ]", b"[\n]", b"{ }"),
        *(b"[[[[[1]]]]]", b"[[[[[[1]]]]]]", b"[" * 400, b'{"a":' * 300, b"[[[[[],[]]]],[]]"),
    ):
        cases.add(b'{"a":' + value + b"}")
    cases.add(
        *(b"", b" ", b"\n", b"[]", b'"a"', b"1", b"null", b"{}", b" \n{}\n ", b"{}{}", b"{},"),
        b"{}x",
        *(b"\xef\xbb\xbf{}", b"{}\x00", b"\x00{}", b"{\x00}", b"{", b"}", b"{,}", b"{:1}"),
        b"{}\r\n",
        *(b'{"a" 1}', b'{"a","b"}', b'{"a"}', b'{"a":}', b'{"a"::1}', b'{"a":1:2}', b'{"a":1,}'),
        *(b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"a":1;"b":2}', b"{1:2}", b"{a:1}", b"{'a':1}"),
        *(b"{true:1}", b"{null:1}", b"{[]:1}", b"{{}:1}", b'{"":1}', b'{"a":1,"a":1}'),
        b'{"a\\n":1}',
        *(b'{"a":1,"\\u0061":2}', b'{"a":{"a":{"a":1}}}', b'{"a":{"b":1,"b":2}}', b'{"a":\t1}'),
        *(b'{"a":[{"b":1},{"b":2}]}', b'{"' + b"n" * 32 + b'":1}', b'{"' + b"n" * 33 + b'":1}'),
        *(b'{"a":1}/**/', b'{/**/"a":1}', b'{"a":1}#', b"{" + b" " * 300 + b"}", b'{"a":1]'),
        b'{"a b~!":1}',
        b"{" + b",".join(b'"%x":%d' % (i, i) for i in range(100)) + b"}",
    )
    cases.patch(cases.add(b"{}"), 2, 0, b" ", 4094)
    cases.patch(cases.add(b"{}"), 2, 0, b" ", 4095)
    document = b'{"a":[1,{"b":"c\\u0041\\n"}], "d":true,\n"e":{"f":null,"g":0,"h":"\\u00e9"}}'
    cases.mutate(cases.add(document), 160, JSON_TOKENS)
    return cases


def b64url_cases() -> Cases:
    cases = Cases(2)
    cases.add(
        *(b"", b"A", b"AA", b"AAA", b"AAAA", b"AAAAA", b"Zg", b"Zm8", b"Zm9v", b"-_-_", b"+/+/"),
        *(b"Zg==", b"Zg=", b"Zm8=", b"Zm9v=", b"=", b"==", b"====", b"=AAA", b"A=AA", b"AA=A"),
        b"AA==AA",
        *(b"Zh", b"Zm9", b"_w", b"_x", b"__8", b"__9", b"__-", b"Q!U", b"Q!U\x00I=", b"Q U"),
        b"Q\nU",
        *(b"QUI\n", b"\nQUI", b"QUI ", b" QUI", b"QUI\x00", b"\x00QUI", b"QUI\r\n", b"QU.I"),
        b"QU I=",
        *(b"QUJD\xc3\xa9", b"\xc3\xa9QUJD", b"QU\xef\xbc\xa1D", b"-", b"--", b"---", b"_"),
        b"____",
        *(b"QUJD-", b"-QUJD", b"A" * 63, b"A" * 64, b"A" * 65, b"A" * 300, b"!", b"!!!!", b"%3D"),
        *(bytes((i,)) + b"AAA" for i in range(128)),
        *(b"AA" + bytes((i,)) for i in b"ABCDEFGHPQRZabcdgw0189-_+/=\x00\n "),
        *(b64url_encode(bytes(range(i, i + n))) for i in (0, 200) for n in (1, 2, 3, 16, 31)),
    )
    return cases


def text_of(cases: Cases) -> Cases:
    """Only what is text: a parser of str gets nothing else."""
    kept = Cases(0)
    for data in cases.inputs:
        try:
            data.decode()
        except UnicodeDecodeError:
            continue
        kept.add(data)
    return kept


def split_cases() -> Cases:
    cases = Cases(3)
    cases.add(
        *(b"", b"\n", b"a", b"a\n", b"\nb", b"a\nb", b"a\r\nb", b"\n\n", b"a\nb\nc", b"\x00\n\x00")
    )
    base = cases.add(b"a\nb")
    cases.patch(base, 0, 1, b"a", 3072)
    cases.patch(base, 0, 1, b"a", 3073)
    cases.patch(base, 2, 1, b"b", 1024)
    cases.patch(base, 2, 1, b"b", 1025)
    return cases


def header(**changes) -> dict:
    return {"alg": "PS256", "kid": test_jws.A.kid, "typ": MANIFEST, **changes}


def entry(raw: bytes, **changes) -> dict:
    fields = {"protected": b64url_encode(raw).decode(), "signature": "AAAA"}
    return {**fields, **changes}


def signature_cases() -> Cases:
    cases = Cases(4)
    good = dumps(header())
    for entries in (
        *([], [entry(good)], [entry(good), entry(dumps(header(kid="b")))], [entry(good)] * 2, [1]),
        {},
        *([entry(dumps(header(kid=str(i)))) for i in range(n)] for n in (4, 5)),
        *(
            [entry(dumps(header(**{name: value})))]
            for name in ("alg", "kid", "typ")
            for value in ("", 1)
        ),
        *([entry(dumps(header(kid="k" * n)))] for n in (64, 65)),
        *([entry(dumps(header(crit=["b64"])))], [entry(dumps(header(crit=None)))], [entry(b"{}")]),
        *([entry(good, header={"kid": "x"})], [entry(good, signature="")]),
        [entry(good, signature="A")],
        *([entry(good, signature="AB")], [entry(good, signature="AA==")]),
        [entry(good, protected="")],
        *([entry(good, protected=1)], [{"protected": "e30"}], [{}], None, "x"),
        *([entry(good + more)] for more in (b" ", b"\n", b"\x00", b"x")),
        *([entry(good, signature="A" * n)] for n in (1024, 1028)),
        *([entry(good[:-1] + b" " * n + b"}")] for n in (60, 90)),
        [entry(good.replace(b"PS256", b"PS\\u003256"))],
        [entry(good.replace(b'"alg"', b'"\\u0061lg"'))],
        [entry(good[:-1] + b',"kid":"x"}')],
        [entry(b" {\n" + good[1:])],
    ):
        cases.add(dumps({"signatures": entries}))
    line = dumps({"signatures": [entry(good)]})
    cases.add(
        b"", b"{}", b"[]", line + b"\n", b" " + line, line[:-1] + b',"payload":"x"}', line * 2
    )
    cases.mutate(cases.add(line), 60, JSON_TOKENS)
    return cases


def envelope_cases() -> Cases:
    cases = Cases(5)
    a, b, stranger = test_jws.A, test_jws.B, test_jws.STRANGER
    payload = b'{"format":1}'
    for entries in (
        *([], [(a, {})], [(b, {})], [(stranger, {})], [(a, {}), (b, {})], [(b, {}), (a, {})]),
        *([(a, {}), (stranger, {})], [(stranger, {}), (b, {})], [(a, {}), (a, {})]),
        *([(a, {"typ": TRUST})], [(a, {"alg": "ES256"})], [(a, {"alg": "none"})]),
        *([(a, {}), (b, {"typ": TRUST})], [(a, {"typ": TRUST}), (b, {"typ": TRUST})]),
        *([(a, {"kid": stranger.kid})], [(stranger, {"kid": a.kid})]),
        [(a, {"kid": a.kid.upper()})],
        [(a, {"typ": MANIFEST + " "})],
    ):
        made = [test_jws.entry(key, payload, **changes) for key, changes in entries]
        cases.add(dumps({"signatures": made}) + b"\n" + payload)
    both = [test_jws.entry(key, payload) for key in (a, b)]
    base = cases.add(dumps({"signatures": both}) + b"\n" + payload)
    cases.mutate(base, 80, [*JSON_TOKENS, b"A", b"-", b"="])
    for new in (
        b"",
        b"\n",
        b"x",
        b"\xff" * 47,
        b"\x00" * 48,
        b"\xfe" * 49,
        b"\x80" * 1024,
        b"y" * 1025,
    ):
        one = [test_jws.entry(a, new)] if new else []
        cases.add(dumps({"signatures": one}) + b"\n" + new)
    return cases


def release_cases() -> Cases:
    cases = Cases(6)
    for name in ("release", "both", "stranger", "wrong-typ"):
        cases.add(read_data(f"openssl/{name}.manifest"))
    cases.mutate(cases.add(read_data("openssl/release.manifest")), 40, JSON_TOKENS)
    # Signed well and no manifest: what the reader of the payload says, behind the signature.
    signers = [(test_trust.KIDS[2], MANIFEST, PrivateKey("release"))]
    for payload in (b"{}", b'{"format":2}', b'{"format":1,"format":1}', b"\xff"):
        cases.add(test_trust.envelope(payload, signers))
    return cases


def manifest_cases() -> Cases:
    cases = Cases(7)
    image = make_image(2000)

    def changed(**changes) -> bytes:
        fields = manifest_fields(image, **changes)
        return dumps({name: value for name, value in fields.items() if value is not ...})

    plain = manifest_fields(image)
    base = cases.add(changed())
    cases.mutate(base, 140, JSON_TOKENS)
    # The rest as patches of the good one where they are short.
    for name in plain:
        old = dumps({name: plain[name]})[1:-1]
        at = cases.inputs[base].index(old)
        comma = at + len(old) < len(cases.inputs[base]) - 1
        cases.patch(base, at, len(old) + comma, b"")
        for value in (None, True, 0, 1, 65535, 65536, 2**31, 2**40, 10**15 - 1, -1, 1.5):
            cases.patch(base, at, len(old), dumps({name: value})[1:-1])
        for value in (
            "",
            "x",
            "x" * 64,
            "x" * 65,
            "\u00e9",
            "\x7f",
            "\u00a0",
            " ",
            [],
            [1],
            {},
            [[]],
        ):
            cases.patch(base, at, len(old), dumps({name: value})[1:-1])
    payload = plain["payloads"][0]
    other = {"urls": ["b.bin"], "encoding": "delta", "size": 3}
    at = len(cases.inputs[base]) - 1
    for more in (
        *({"notes": "n" * 1024}, {"notes": "n" * 1025}, {"notes": "\u00e9\ue000\n"}, {"notes": 1}),
        *({"trust": 2}, {"trust": None}, {"trust": True}, {"trust": "2"}),
        *({"expires": 1}, {"min_sequence": 5}, {"min_sequence": "5"}, {"rollout": 1}),
        {"x": [[[[1]]]]},
    ):
        cases.patch(base, at, 0, b"," + dumps(more)[1:-1])
    start = cases.inputs[base].index(b'"payloads":[') + len(b'"payloads":[')
    length = len(dumps(payload))
    for payloads in (
        *([], [other], [other, payload], [payload, other], [other] * 8, [other] * 9, [1], [None]),
        [[]],
        *([{**payload, "size": 1}], [{**payload, "size": 0}], [{**payload, "size": True}]),
        *([{**payload, "urls": []}], [{**payload, "urls": ["a"] * 4}]),
        [{**payload, "urls": ["a"] * 5}],
        *([{**payload, "urls": [""]}], [{**payload, "urls": [1]}], [{**payload, "urls": "a"}]),
        *([{**payload, "urls": ["u" * 1024]}], [{**payload, "urls": ["u" * 1025]}]),
        *([{**payload, "encoding": ""}], [{**payload, "encoding": "e" * 17}]),
        [{"encoding": "plain"}],
        *([{**payload, "encoding": "\u00e9" * 16}], [{**payload, "from": "x"}]),
    ):
        cases.patch(base, start, length, dumps(payloads)[1:-1])
    return cases


def trust_cases() -> Cases:
    cases = Cases(8)
    base = cases.add(read_data("openssl/trust.json"))
    cases.mutate(base, 90, JSON_TOKENS)
    one = {**test_trust.ONE_ROOT}
    small = {
        "format": 1,
        "number": 1,
        "keys": test_trust.FIELDS["keys"][:1],
        "root": one,
        "release": one,
    }
    for changes in (
        *({}, {"number": 10**15 - 1}, {"number": 0}, {"format": 2}, {"unknown": [None, {"a": 1}]}),
        *({"sequence_floor": 2**40}, {"manifest_urls": ["", "\u00e9", "https://a.example/"]}),
        *({"tls_roots": ["", "AA", "-_-_"]}, {"tls_roots": ["AB"]}, {"release": {**one, "x": 1}}),
        {"root": {"keys": one["keys"] * 2, "threshold": 2}},
        {"root": {**one, "threshold": True}},
    ):
        cases.add(test_trust.signed({**small, **changes}))
    cases.add(test_trust.signed(small, typ=MANIFEST))
    # A key for ES256 beside the one that signs; tests/fuzzing/trust.py has more, with stand-ins.
    key = verdicts_searched.key_entry(verdicts_searched.EC_VALUES[0])
    rest = {"sequence_epoch": 65535, "bare_images": True, "expires": 9}
    for changes in ({}, {"x": key["y"]}, {"alg": "ES384"}):
        release = {**one, "keys": [key["kid"]]}
        both = [*small["keys"], {**key, **changes}]
        cases.add(test_trust.signed({**small, **rest, "keys": both, "release": release}))
    return cases


def sealed_image(segments, chip=0, digest=True, count=None, magic=0xE9) -> bytes:
    """An image of these (length field, data), with the right checksum and digest."""
    head = bytearray(24)
    head[0], head[1], head[23] = magic, len(segments) if count is None else count, digest
    struct.pack_into("<H", head, 12, chip)
    data = bytes(head)
    checksum = 0xEF
    for length, body in segments:
        data += struct.pack("<II", 0x3F400020, length) + body
        for byte in body:
            checksum ^= byte
    data += bytes(15 - len(data) % 16) + bytes((checksum,))
    return data + (hashlib.sha256(data).digest() if digest else b"")


def image_cases() -> Cases:
    cases = Cases(9)
    descriptor = struct.pack("<I", 0xABCD5432) + bytes(28)
    body = bytes(range(64))
    good = [(32, descriptor), (64, body)]
    base = cases.add(sealed_image(good))
    for segments in (
        *([(0, b"")], [(0, b"")] * 16, [(0, b"")] * 17, [(4, b"abcd")], [(3, b"abc")], []),
        *([(0xFFFFFFFC, b"")], [(0x80000000, b"")], [(0x1000000, b"")], [(0xFFFFFC, b"")]),
        good[1:],
    ):
        cases.add(sealed_image(segments))
    cases.add(sealed_image(good, chip=0xFFFF), sealed_image(good, digest=False))
    for count in (0, 1, 3, 16, 17, 255):
        cases.add(sealed_image(good, count=count))
    for magic in (0, 0xE8, 0xFF):
        cases.add(sealed_image(good, magic=magic))
    for value in (0, 2, 3, 255):
        cases.patch(base, 23, 1, bytes((value,)))
    cases.mutate(base, 110, BYTES, ends=30)
    cases.patch(base, len(cases.inputs[base]), 0, b"x")
    # A merged firmware.bin begins with the bootloader, or with what lies before it.
    cases.add(b"", b"\xe9", b"\xff" * 256, bytes(256))
    return cases


def image_head_cases() -> Cases:
    cases = Cases(10)
    for data in image_cases().inputs:
        if len(data) >= 36:
            cases.add(data[:36])
    return cases


def otadata_cases() -> Cases:
    cases = Cases(11)

    def record(seq: int, state: int, label: bytes = b"\xff" * 20) -> bytes:
        crc = zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF)
        return struct.pack("<I20sII", seq, label, state, crc)

    blank, zero = b"\xff" * 32, bytes(32)
    torn = record(5, 2)[:28] + bytes(4)
    seqs = (0, 1, 2, 3, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)
    for other in (
        blank,
        zero,
        torn,
        record(2, 2),
        record(9, 3),
        record(9, 4),
        record(4, 0x80000000),
    ):
        for seq in seqs:
            cases.add(record(seq, 2) + other, other + record(seq, 0))
    for first in range(6):
        for second in range(6):
            cases.add(record(7, first) + record(8, second))
    cases.mutate(cases.add(record(3, 2, b"x" * 20) + record(4, 1)), 60, BYTES, ends=0)
    kept = Cases(0)
    kept.add(*(data for data in cases.inputs if len(data) == 64))
    return kept


def journal_cases() -> Cases:
    cases = Cases(12)

    def sealed(*changes) -> bytes:
        body = bytearray(508)
        struct.pack_into("<BBBBIQQ", body, 0, 2, 3, 2, 1, 9, 2**40, 2**40 + 1)
        body[24:72] = bytes(range(48))
        body[72:76] = bytes((1, 4, 7, 6))
        struct.pack_into("<16sQ", body, 76, b"r" * 16, 5)
        body[172:175] = b"1.2"
        body[196:201] = b"\x01boom"
        struct.pack_into("<IBBHQ", body, 252, 1790000000, 4, 1, 0, 2**40 + 1)
        for at, new in changes:
            body[at : at + len(new)] = new
        return bytes(body) + struct.pack("<I", zlib.crc32(body))

    base = cases.add(sealed())
    good = cases.inputs[base]
    patches = [(at, bytes((value,))) for at in range(4) for value in (0, 1, 3, 4, 5, 6, 128, 255)]
    patches += [(at, bytes((value,))) for at in (72, 73, 74, 75) for value in (0, 1, 11, 12, 255)]
    patches += [(196, bytes((value,))) for value in (0, 2, 128, 255)]
    patches += [(at, new) for at in (248, 250) for new in (b"\x01\x00", b"\xff\xff")]
    patches += [(252 + at, bytes((value,))) for at in (4, 5, 6) for value in (0, 12, 255)]
    patches += [(252, b"\xff" * 16), (492, b"\xff" * 16), (252, bytes(16))]
    patches += [(at, b"\xff" * 8) for at in (4, 8, 16, 92, 116, 140, 164)]
    patches += [(92, bytes(8)), (164, b"\x01"), (76, b"\x00" * 16)]
    for at, room in ((172, 24), (197, 51)):
        # Text: full, with zeros inside, UTF-8 good and bad: CPython is exact, MicroPython lenient.
        for text in (
            *(b"x" * room, b"x" * (room - 1), b"", b"a\x00b", b"\x00a", "\u00e9\u20ac".encode()),
            *("\U0001f600".encode(), b"\xff", b"\xc3", b"\x80", b"a\xc3\x00", b"\xe2\x82"),
            b"\x7f\x01",
            *(b"\xed\xa0\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xf4\x90\x80\x80"),
            *(b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xf0\x80\x80\x80"),
        ):
            patches.append((at, text + bytes(room - len(text))))
    for at, new in patches:
        torn = cases.patch(base, at, len(new), new)  # as it is, and with its CRC
        cases.patch(torn, 508, 4, sealed((at, new))[508:])
    cases.mutate(base, 40, BYTES, ends=10)
    cases.add(b"", bytes(512), b"\xff" * 512)
    cases.patch(base, len(good), 0, b"\x00")
    cases.patch(base, 0, 0, b"\x00")
    before = b"\x01" + good[1:252]
    cases.add(before + struct.pack("<I", zlib.crc32(before)))  # the format before this one
    return cases


def receipt_cases() -> Cases:
    cases = Cases(13)
    receipt = {"sha256": "ab" * 32, "size": 1 << 20, "version": "1.0", "sequence": 1}

    def file(slots, **changes) -> bytes:
        return dumps({"format": 1, "slots": slots, **changes})

    base = cases.add(file({"0": receipt, "1": {**receipt, "version": "1.1"}}))
    cases.mutate(base, 90, JSON_TOKENS)
    good = cases.add(file({"0": receipt}))
    at = cases.inputs[good].index(b'"0"') + 1
    for name in (
        *("1", "15", "16", "99", "00", "01", "+1", "-1", "-0", " 1", "1 ", "1 1", "", "x", "0x1"),
        "1.0",
        *("1e0", "_", "_1", "1_", "1_0", "1__0", "__", "0b1", "9" * 15, "9" * 31, "0" * 32, "1L"),
        "a1",
    ):
        cases.patch(good, at, 1, name.encode())
    for names in (("0", "00"), ("1", "+1"), ("1", " 1"), ("0", "-0")):
        slots = {name: {**receipt, "sequence": 1 + i} for i, name in enumerate(names)}
        cases.add(file(slots), file(dict(reversed(list(slots.items())))))
    for changes in (
        *({"sha256": "AB" * 32}, {"sha256": "ab" * 31}, {"sha256": "ab" * 33}),
        {"sha256": "ag" * 32},
        *({"size": 0}, {"size": -1}, {"size": True}, {"size": "1"}, {"size": 10**15 - 1}),
        *({"version": ""}, {"version": "x" * 24}, {"version": "x" * 25}, {"version": "\u00e9"}),
        *({"sequence": 0}, {"sequence": None}, {"more": 1}, {"sha256": 1}),
        {"sha256": "\u00e9" * 64},
        *({"epoch": 3}, {"epoch": None}, {"epoch": "3"}, {"created": 9, "epoch": 0}),
    ):
        cases.add(file({"0": {**receipt, **changes}}))
    for slots in ({}, [], None, {"0": 1}, {"0": None}, {"0": []}, {"0": {}}):
        cases.add(file(slots))
    cases.add(file({}, format=2), file({}, format=True), b"", b"{}", b"x", b"\x00")
    cases.patch(cases.add(file({})), 0, 0, b" ", 2048)
    return cases


def config_cases() -> Cases:
    cases = Cases(14)
    full = {
        "product": "demo",
        "board": "virtual",
        "manifest_url": "https://a.example/m",
        "trust": "/t.json",
        "tls_root": "/ca.der",
        "timeout_s": 20,
        "trial_window_s": 300,
    }
    cases.mutate(cases.add(dumps(full)), 90, JSON_TOKENS)
    small = {"product": "demo", "board": "virtual"}
    cases.add(dumps(small), b"", b"{}", b"\x00", b"[]", b" ")
    for name in full:
        for value in (
            None,
            True,
            0,
            1,
            29,
            30,
            120,
            121,
            600,
            601,
            "",
            "x" * 64,
            "x" * 65,
            [],
            {},
        ):
            cases.add(dumps({**small, name: value}))
    cases.add(dumps({**small, "manifest_url": "x" * 1024}), dumps({**small, "product": "\u00e9"}))
    for changes in (
        *(
            {"report_url": "https://a/r"},
            {"report_url": "http://a/r"},
            {"report_url": "https://\u00e9"},
        ),
        *({"tls_cert": "/c"}, {"tls_cert": "/c", "tls_key": "/k"}, {"tls_pins": ["ab" * 32] * 5}),
        *({"basic": "u:p"}, {"bearer": "t"}, {"basic": "u:p", "bearer": "t"}, {"bearer": "\n"}),
        *({"headers": {"X-A": "b"}}, {"headers": {"Host": "b"}}, {"headers": {"X A": "b"}}),
        *({"headers": {"X": 1}}, {"headers": {"X": "\r\nY: z"}}, {"tls_unverified": "yes"}),
    ):
        cases.add(dumps({**small, **changes}))
    return cases


def url_cases() -> Cases:
    cases = Cases(15)
    for rest in (
        *("", "/", "a", "a/", "a.example", "a.example/", "a.example/b/c?d=e", "a.example?x"),
        "a.example#x",
        *("a.example/#x", "a.example/b#c/d", "a:443/", "a:1/", "a:65535/", "a:65536/", "a:0/"),
        "a:00080/",
        *("a:/", "a::1/", "a:1:2/", "a:+1/", "a:-1/", "a: 1/", "a:1_0/", "a:0x1/", "a:1e2/"),
        "a:000001/",
        *(":443/", "@/", "u@a/", "u:p@a/", "a/@", "[::1]/", "[/", "a]/", "a/[", "a//b", "//a"),
        "/a",
        *("a/..", "a/../b", "a/./b", "a\\b", "a\\/b", 'a"b/', "a/'\"<>", "a%41/%00", "a/%"),
        "A.EXAMPLE/",
        *("a /", "a/ b", "a/\t", "a/\n", "a/\r\nX: y", "a/\x00", "a/\x7f", "a/\u00e9", "\u0430/"),
        "a/\ud7ff",
        *("a:\u0661/", "a:\u00b2/", "a/~", "a/!", "a/?", "a?/", "a/b?c?d#e#f", "a/https://b/"),
        *("a.-/", "./"),
    ):
        cases.add(("https://" + rest).encode())
    cases.add(
        *(b"", b"a", b"http://a/", b"HTTPS://a/", b"https:/a/", b"https//a", b" https://a/"),
        b"https:",
        *(b"https://a/ ", b"ftp://a/", b"://a/", b"xhttps://a/", b"https://a/\xe2\x80\xa8", b"?"),
        b"#",
        *(b"b.bin", b"/b.bin", b"//b/c", b"../b", b"?x", b"#x", b"b?x#y", b"b/", b"b:1"),
        b"b.bin?u=://",
        *(b"https://" + b"a" * n for n in (1016, 1017)),
        *(b"b" * n for n in (1000, 1001, 1002, 1024, 1025)),
        *(b"https://a/" + bytes((i,)) for i in range(128)),
    )
    return text_of(cases)


def reference_cases() -> Cases:
    cases = Cases(0)
    cases.add(*(data for data in url_cases().inputs if not data.startswith(b"https://")))
    cases.add(
        *(b"https://b.example/x", b"https://b.example", b"x?u=https://b.example/", b"x:80/y")
    )
    cases.add(
        *(b"@", b"x@y", b"[x]", b"/[x]", b"x y", b"x\r\nA: b", b"\xc3\xa9", b"//", b"/", b"."),
        b"..",
    )
    return cases


def head_cases() -> Cases:
    cases = Cases(16)
    for status in (
        *(b"HTTP/1.1 200 OK", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 200", b"HTTP/1.1 200 "),
        b"HTTP/1.1",
        *(b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200", b"HTTP/2 200"),
        b"HTTP/1.2 200",
        *(b"http/1.1 200", b"HTTP/1.1 20", b"HTTP/1.1 2000", b"HTTP/1.1 099", b"HTTP/1.1 100"),
        b"ICY 200",
        *(b"HTTP/1.1 999", b"HTTP/1.1 +20", b"HTTP/1.1 -20", b"HTTP/1.1 2_0", b"HTTP/1.1 2 0"),
        *(b"", b"\x00"),
        *(b"HTTP/1.1 2\xb20", b"HTTP/1.1 \xb2\xb2\xb2", b"HTTP/1.1 20\r", b"HTTP/1.1 200\x00"),
        b"HTTP/1.1 0x1",
    ):
        cases.add(status + b"\r\nA: b\r\n\r\n", status + b"\n\n")
    for line in (
        *(
            b"Content-Length: " + value
            for value in (b"0", b"1", b"0009", b"9999999999", b"10000000000")
        ),
        *(
            b"Content-Length: " + value
            for value in (b"", b"-1", b"+1", b"1 2", b"1,1", b"1_0", b"0x1")
        ),
        *(
            b"Content-Length:" + value
            for value in (b"5", b"\t5\t", b"\x0b5\x0c", b"\x005", b"5\x00", b"\xa05")
        ),
        *(
            b"Content-Length:" + value
            for value in (b"\x1c5", b"\x855", b" 5\r", b"\xb2", b"\xd9\xa1")
        ),
        *(b"content-LENGTH: 5", b"Content-Length : 5", b" Content-Length: 5"),
        b"Content-Length\x00: 5",
        *(b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5\r\nA: b"),
        b"Content-Length",
        *(b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING:", b"Transfer-Encodings: x", b":"),
        b": x",
        *(b"Content-Encoding: identity", b"Content-Encoding:IDENTITY ", b"Content-Encoding: gzip"),
        *(b"Content-Encoding:", b"Content-Encoding: \xc9dentity", b"\xc3\x80: x", b"A\x00: b"),
        *(b"a", b" "),
        *(b" folded", b"\tfolded: x", b"A: b\n\nB: c", b"A: b\r\r", b"\r"),
        b"A: b\rContent-Length: 7",
    ):
        cases.add(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n")
    base = cases.add(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 123\r\nDate: y\r\n\r\nbody")
    cases.mutate(
        base,
        100,
        [*BYTES, b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"1", b"Content-Length: 1\r\n"],
    )
    at = cases.inputs[base].index(b"Server")
    for n in (2038, 2039, 2040, 2041, 4087, 4088, 4089):
        cases.patch(base, at + 8, 0, b"x", n)  # about the ends of the pieces
    good = cases.add(b"HTTP/1.1 200 OK\r\n\r\n")
    for n in (2029, 2030, 2031, 2048):
        line = cases.patch(good, 17, 0, b"Content-Length:5\r\n")
        cases.patch(line, 17 + 15, 0, b" ", n)
    most = cases.add(b"HTTP/1.1 200 OK\r\n" + b"A:b\r\n" * 8 + b"\r\n")
    room = 16384 - len(cases.inputs[most])
    for n in (0, 1):
        line = cases.patch(most, 17, 0, b"B:\r\n")
        cases.patch(line, 17 + 2, 0, b"x", room - 4 + n)
    return cases


def image_text_cases() -> Cases:
    cases = Cases(17)
    base = cases.add(bytes(36) + b"\x04\x03\x02\x01" + bytes(8))
    for version in (
        *(b"", b"1.0", b"v1.25.0-preview.12.g0", b"x" * 23, b"x" * 24, b"x" * 25, b"x" * 32),
        *(
            b"x" * 24 + b"\xff",
            b" ",
            b"~",
            b"\x7f",
            b"\x1f",
            b"a\nb",
            b"a\x00b",
            b"a\x00\xff",
            b"\x00a",
        ),
        *(
            b"\xc3\xa9",
            b"\xff",
            b"\x80",
            "\u20ac".encode(),
            b"\xed\xa0\x80",
            b"-",
            b"%s",
            b"a\xc3",
        ),
    ):
        cases.patch(base, 48, 0, version)
    for number in (
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\x7f",
        b"\x00\x00\x00\x80",
        b"\xff\xff\xff\x3f",
    ):
        cases.patch(base, 36, 4, number)
    cases.mutate(cases.patch(base, 48, 0, b"1.2.3".ljust(32, b"\x00")), 30, BYTES)
    return cases


def file_url_cases() -> Cases:
    cases = Cases(0)
    for path in (
        *(b"", b"/", b"/x", b"//x", b"/sd/a/x.manifest", b"/sd/", b"/../x", b"/a/../x", b"x"),
        *(b"sd/x", b"/a b?c=d#e", b"/:", b"/\xc3\xa9", b"/\x00", b"/\n", b"/a\\b", b"/%2e%2e/x"),
        b"/" + b"x" * 300,
    ):
        cases.add(b"file://" + path)
    cases.add(*(b"FILE:///x", b"file:/x", b"file:x", b" file:///x", b"https://h/x", b"/x", b""))
    return cases


def neighbour_cases() -> Cases:
    cases = Cases(0)
    cases.add(*(data for data in reference_cases().inputs if len(data) < 100))
    for text in (
        *(
            b"..app.bin",
            b"b/app.bin",
            b"a b?c=d",
            b"b/..",
            b"b/../../x",
            b"../x",
            b".../x",
            b"./x",
            b"..\\x",
        ),
        *(
            b"..\x00/x",
            b".. /x",
            b"\xe2\x80\xa5/x",
            b"%2e%2e/x",
            b"b//x",
            b"a:b",
            b"C:\\x",
            b"x/",
            b"..;/x",
        ),
    ):
        cases.add(text)
    return text_of(cases)


def date_cases() -> Cases:
    cases = Cases(18)
    http = cases.add(b"Sun, 06 Nov 1994 08:49:37 GMT")
    build = cases.add(b"Nov  6 2026")
    for base, ends in ((http, 10), (build, 5)):
        cases.mutate(
            base, 60, [*BYTES, b" ", b"0", b"9", b"-1", b"+1", b"1_", b"\xb2", b"\xd9\xa1"], ends
        )
    for month in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split():
        cases.add(
            month + b" 31 2026", month + b"  1 1970", b"Sun, 29 %s 2000 23:59:60 GMT" % month
        )
    for text in (
        *(
            b"",
            b"nov  6 2026",
            b"NovX 6 2026",
            b"anF  1 2026",
            b"Nov 06 2026",
            b"Nov  0 2026",
            b"Nov 99 2026",
        ),
        *(
            b"Nov  6 0000",
            b"Nov  6 9999",
            b"Dec 31 1969",
            b"Nov  6 +026",
            b"Nov  6 1_26",
            b"Nov  6 2026 12:00",
        ),
        *(
            b"Nov   6 2026",
            b"Nov 6 2026",
            b"Nov\t 6 2026",
            b"Nov -6 2026",
            b"Nov  6  026",
            b"N\xc3\xb6v 6 2026",
        ),
        *(
            b"Sun, 06 Nov 1994 +8:49:37 GMT",
            b"Sun, 06 Nov 1994 24:60:61 GMT",
            b"Sun, 06 Nov 1994 08:49:37 UTC",
        ),
        *(
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"xxxxx06xNovx1994x08x49x37 GMT",
        ),
    ):
        cases.add(text)
    return cases


def sntp_cases() -> Cases:
    cases = Cases(19)
    nonce = bytes(range(8))
    good = b"\x24\x02" + bytes(22) + nonce + bytes(8) + struct.pack(">II", 4000000000, 1 << 31)
    base = cases.add(good)
    for first in (0x00, 0x03, 0x04, 0x1C, 0x23, 0x25, 0x64, 0xA4, 0xE4, 0xFC, 0xFF):
        cases.patch(base, 0, 1, bytes((first,)))
    for stratum in (0, 1, 15, 16, 255):
        cases.patch(base, 1, 1, bytes((stratum,)))
    for seconds in (
        *(
            0,
            1,
            2208988799,
            2208988800,
            2208988801,
            (1 << 30) - 1,
            1 << 30,
            (1 << 31) - 1,
            1 << 31,
        ),
        *((1 << 32) - 1, 5208988800 - (1 << 32), 5208988801 - (1 << 32), 5208988802 - (1 << 32)),
    ):
        cases.patch(base, 40, 4, struct.pack(">I", seconds))
    cases.patch(base, 24, 8, bytes(8))
    cases.patch(base, 48, 0, b"\xff", 20)
    cases.add(b"", good[:47])
    cases.mutate(base, 40, BYTES)
    return cases


MAKERS = {
    "strict": strict_cases,
    "b64url": b64url_cases,
    "split": split_cases,
    "signatures": signature_cases,
    "envelope": envelope_cases,
    "release": release_cases,
    "manifest": manifest_cases,
    "trust": trust_cases,
    "image": image_cases,
    "image_head": image_head_cases,
    "image_texts": image_text_cases,
    "otadata": otadata_cases,
    "journal": journal_cases,
    "receipts": receipt_cases,
    "config": config_cases,
    "url": url_cases,
    "reference": reference_cases,
    "head": head_cases,
    "file_url": file_url_cases,
    "neighbour": neighbour_cases,
    "date": date_cases,
    "sntp": sntp_cases,
}


def files() -> dict[str, str]:
    """Name and text of every file of the corpus."""
    made = {}
    for parser, maker in MAKERS.items():
        cases = maker()
        assert expand(cases.kept) == cases.inputs
        lines = ",\n".join(json.dumps(case) for case in cases.kept)
        made[parser + ".json"] = f"[\n{lines}\n]\n"
    return made


def main() -> None:
    """Write all files."""
    for name, text in files().items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
