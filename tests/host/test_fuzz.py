"""Every parser on generated input: its own failure or a right result, in linear time.

The inputs are the same on every run; OTA_FUZZ=20000 tries that many new ones per test instead.
"""

import base64
import copy
import datetime
import email.utils
import hashlib
import json
import os
import posixpath
import struct
import sys
import time
import types
import unittest.mock
import urllib.parse
import zlib

import pytest
import test_guard as crashes
from fakes import make_image, manifest_fields, read_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_espressif import KEYS as SIGNERS
from test_jws import KEYS, A, B, entry
from test_source import Server, read, source_of
from test_source import get as ask
from test_trust import STORE, fields_of
from test_trust import signed as signed_store

from ota import (
    clock,
    config,
    dates,
    espressif,
    http,
    image,
    journal,
    jws,
    local,
    manifest,
    otadata,
    pins,
    receipt,
    start,
    strict,
    survey,
    trust,
)
from ota.errors import CODES, ImageError, OtaError, SignatureError, SlotError, SourceError
from ota_tools import builds

WANTED = os.environ.get("OTA_FUZZ", "")
FUZZ = settings(
    derandomize=not WANTED,
    database=None,
    deadline=None,
    max_examples=int(WANTED or 400),
    suppress_health_check=list(HealthCheck),
)

MANIFEST_FIELDS = manifest_fields(make_image(2000))
SIZE = 70_000
APP = make_image(600)
CONFIG = {"product": "demo", "board": "virtual", "timeout_s": 20, "manifest_url": "https://a/b"}
CONFIG |= {
    "tries": 4,
    "headers": {"X-A": "b", "X-C": "d"},
    "bearer": "key",
    "tls_pins": ["ab" * 32],
}
RECEIPT = {"sha256": "ab" * 32, "size": 1 << 20, "version": "1.0", "sequence": 1, "created": 9}
RECEIPT |= {"epoch": 2}
RECEIPTS = {"format": 1, "slots": {"0": RECEIPT, "1": RECEIPT}}
RESPONSE = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 123\r\nDate: y\r\n\r\n"
REDIRECT = b'HTTP/1.1 302 X\r\nLocation: /y\r\nETag: "1"\r\nRetry-After: 7\r\nDate: y\r\n\r\n'
CHUNKS = b"5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n"
CERTIFICATE = read_data("openssl/tls-server.der")


def dumps(value) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# Inputs

TOKENS = (
    '{ } [ ] , : " \\ 0 1 01 -1 1.5 1e9 999999999999999 1000000000000000 true false null tru NaN '
    '"a" "b" "" "a":1 \\u0041 \\u0000 \\ud800 \\n \\x // \' =  - _ + / é \t \r \n \x00'
).split(" ")

tokens = st.sampled_from([token.encode() for token in TOKENS] + [b" ", b"\xff", b"\xc3"])
json_ish = st.one_of(
    st.binary(max_size=60),
    st.lists(tokens, max_size=40).map(b"".join),
    st.lists(tokens, max_size=30).map(lambda parts: b'{"a":' + b"".join(parts) + b"}"),
)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
edges = st.sampled_from(
    [0, 1, 2, 3, 9, 29, 30, 601, 65535, 65536, 2**31, 2**40, 10**15 - 1, 10**15]
)
scalars = st.one_of(
    edges,
    edges,
    st.none(),
    st.booleans(),
    st.integers(-2, 10**16),
    st.text(max_size=40),
    st.just(1.5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def mutated(draw, base, tokens=tokens, least=0):
    """Bytes with up to four places changed: replaced, dropped, doubled, cut off."""
    data = bytes(base)
    for _ in range(draw(st.integers(least, 4))):
        at = draw(st.integers(0, len(data)))
        end = draw(st.integers(at, min(len(data), at + 12)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data = data[:at] + draw(st.one_of(tokens, st.binary(max_size=8))) + data[end:]
        elif kind == 1:
            data = data[:at] + data[end:]
        elif kind == 2:
            data = data[:end] + data[at:end] + data[end:]
        else:
            data = data[:at] if draw(st.integers(0, 3)) == 0 else data
    return data


@st.composite
def changed(draw, base):
    """A document of names and lists with up to three values replaced, added or removed."""
    fields = copy.deepcopy(base)
    for _ in range(draw(st.integers(0, 3))):
        place = fields
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 3)):
                place[key] = draw(edges if type(place[key]) is int else values)
            else:
                del place[key]
            break
    return fields


def documents(base):
    """JSON about a valid document: its values changed, its bytes changed, or anything."""
    return st.one_of(changed(base).map(dumps), mutated(dumps(base)), json_ish)


@st.composite
def nested(draw):
    """Lists and objects in each other, with names that may stand twice."""
    inner = draw(st.one_of(st.sampled_from([b"0", b"[]", b"{}"]), tokens))
    for _ in range(draw(st.integers(0, 8))):
        members = draw(st.lists(st.sampled_from([b'"a":%s', b'"b":%s', b'"c":0']), min_size=1))
        shapes = [b"[%s]", b"[0,%s]", b"{" + b",".join(members[:3]) + b"}"]
        shape = draw(st.sampled_from(shapes))
        inner = shape.replace(b"%s", inner)
    return b'{"a":' + inner + b"}"


def judged(call, *args, kind=OtaError):
    """The result, or None where the call raised a failure of this kind with a known code."""
    try:
        return call(*args)
    except kind as e:
        assert not isinstance(e, OtaError) or type(e) is CODES[e.code]
        return None


# Strict JSON and base64url


def one_reading(data):
    """What json reads, if it is one thing: no name twice, no float."""

    def members(pairs):
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    def refuse(text):
        raise AssertionError(text)

    return json.loads(data, object_pairs_hook=members, parse_float=refuse, parse_constant=refuse)


@FUZZ
@given(
    st.one_of(
        nested(), json_ish, documents(MANIFEST_FIELDS), values.map(lambda v: dumps({"a": v}))
    )
)
def test_strict_json_is_malformed_or_what_json_reads_and_writes(data):
    found = judged(strict.loads, data, 4096, kind=strict.Malformed)
    if found is not None:
        assert type(found) is dict and depth(found) <= 6
        assert found == one_reading(data)
        for again in (dumps(found), json.dumps(found, indent=1).encode()):
            # What json writes for a control character is an escape of it: the signer sees that.
            reread = judged(strict.loads, again, len(again), kind=strict.Malformed)
            assert reread == found or b"\\u00" in again


plain_text = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)
plain_names = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'),
    min_size=1,
    max_size=32,
)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 10**15 - 1), plain_text),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(plain_names, inner, max_size=4)
    ),
    max_leaves=10,
)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, (dict, list)) else 0


@FUZZ
@given(st.dictionaries(plain_names, plain_values, max_size=6))
def test_strict_json_reads_all_of_its_subset(fields):
    found = judged(strict.loads, dumps(fields), 1 << 16, kind=strict.Malformed)
    assert found == (fields if depth(fields) <= 6 else None)


@FUZZ
@given(st.binary(max_size=200))
def test_base64url_goes_there_and_back(raw):
    coded = strict.b64url_encode(raw)
    assert coded == base64.urlsafe_b64encode(raw).rstrip(b"=")
    assert strict.b64url_decode(coded.decode()) == raw


@FUZZ
@given(
    st.one_of(
        any_text,
        st.text("ABgw09-_+/= \n", max_size=12),
        mutated(b"QUJDREVGR0hJSktMTU5PUA").map(lambda data: data.decode("latin-1")),
    )
)
def test_base64url_has_one_spelling(text):
    raw = judged(strict.b64url_decode, text, kind=strict.Malformed)
    if raw is not None:
        assert strict.b64url_encode(raw) == text.encode()
        assert raw == base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seconds(call, *args):
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        judged(call, *args, kind=(strict.Malformed, OtaError))
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b'{"a":[' + b"0," * (n // 2) + b"0]}",
        lambda n: b"{" + b",".join(b'"%x":0' % i for i in range(n // 8)) + b"}",
        lambda n: b'{"a":"' + b"\\u0041" * (n // 6) + b'"}',
        lambda n: b'{"a":"' + b"\\\\" * (n // 2),
        lambda n: b'{"a":"' + b"x" * n + b'"}',
        lambda n: b'{"' + b"x" * n + b'":1}',
        lambda n: b'{"a":' + b"9" * n + b"}",
        lambda n: b"{" + b" \n" * (n // 2) + b"}",
        lambda n: b'{"a":[' + b"[[[]]]," * (n // 7) + b"[]]}",
        lambda n: b'{"a":[' + b"{}," * (n // 3) + b"{}]}",
        lambda n: b"[" * n,
        lambda n: b'{"a":' * (n // 5),
    ],
)
def test_strict_json_takes_linear_time(make):
    # Eight times as much: 8 where the time is linear, 64 where it is quadratic.
    small, large = make(1 << 13), make(1 << 16)
    assert (
        seconds(strict.loads, large, len(large))
        < 24 * seconds(strict.loads, small, 1 << 14) + 0.01
    )


def test_base64url_and_the_signing_digest_take_linear_time():
    def decode(n):
        return seconds(strict.b64url_decode, "QUJD" * (n // 4))

    def digest(n):
        return seconds(jws.signing_digest, b"x", bytes(n))

    for measure in (decode, digest):
        assert measure(1 << 19) < 24 * measure(1 << 16) + 0.01


# The envelope

PAYLOAD = b'{"format":1}'
GOOD = dumps({"signatures": [entry(A), entry(B)]}) + b"\n" + PAYLOAD


@FUZZ
@given(st.one_of(mutated(GOOD), st.binary(max_size=80)), st.integers(0, 40))
def test_an_envelope_is_split_at_its_first_line_or_refused(data, limit):
    found = judged(jws.split, data, limit, kind=ImageError)
    if found is not None:
        line, payload = found
        assert line + b"\n" + bytes(payload) == data
        assert b"\n" not in line and len(line) <= jws.HEADER_LIMIT and 1 <= len(payload) <= limit


@FUZZ
@given(st.one_of(documents(json.loads(GOOD.split(b"\n")[0])), mutated(GOOD)))
def test_signatures_are_well_formed_or_refused(data):
    found = judged(jws.read_signatures, data, kind=ImageError)
    for protected, header, signature in found or []:
        assert sorted(header) == ["alg", "kid", "typ"]
        assert (
            dumps(header) and strict.loads(strict.b64url_decode(protected.decode()), 256) == header
        )
        assert type(signature) is bytes
    if found:
        assert len(found) <= 4 and len({header["kid"] for _, header, _ in found}) == len(found)


@FUZZ
@given(
    st.one_of(
        mutated(GOOD),
        changed(json.loads(GOOD.split(b"\n")[0])).map(lambda f: dumps(f) + b"\n" + PAYLOAD),
    ),
    st.integers(-1, 3),
    st.sampled_from([jws.MANIFEST, jws.TRUST]),
)
def test_no_envelope_passes_that_was_not_signed_so(data, threshold, typ):
    found = judged(jws.verify, data, typ, 1024, KEYS, threshold)
    if found is not None:
        assert (bytes(found), typ) == (PAYLOAD, jws.MANIFEST)
        entries = json.loads(data.split(b"\n")[0])["signatures"]
        assert 1 <= threshold <= sum(good in entries for good in (entry(A), entry(B)))


# Trust store and manifest


@FUZZ
@given(
    st.one_of(
        mutated(STORE),
        changed(json.loads(STORE.split(b"\n", 1)[1])).map(
            lambda fields: STORE.split(b"\n", 1)[0] + b"\n" + dumps(fields)
        ),
    )
)
def test_no_other_payload_of_a_trust_store_is_trusted(data):
    found = judged(trust.load, data)
    if found is not None:
        assert data.split(b"\n", 1)[1] == STORE.split(b"\n", 1)[1]


NEXT = signed_store(fields_of(number=2, sequence_epoch=1))


@FUZZ
@given(
    st.one_of(
        mutated(NEXT),
        documents(json.loads(NEXT.split(b"\n", 1)[1])).map(
            lambda payload: NEXT.split(b"\n", 1)[0] + b"\n" + payload
        ),
        st.just(STORE),
    )
)
def test_no_other_payload_follows_a_trust_store(data):
    found = judged(trust.succeed, trust.load(STORE), data)
    assert (found is not None) <= (data.split(b"\n", 1)[-1] == NEXT.split(b"\n", 1)[1])
    if found is not None:
        assert (found.number, found.sequence_epoch) == (2, 1)


@FUZZ
@given(documents(json.loads(STORE.split(b"\n", 1)[1])))
def test_the_schema_of_a_trust_store_holds_for_what_it_reads(payload):
    # The half of `load` before the signature: whatever root may sign.
    found = judged(trust._parse, payload, kind=(OtaError, strict.Malformed))
    if found is not None:
        assert found.number >= 1 and len(found.manifest_urls) <= 4 and len(found.tls_roots) <= 4
        for role in (found.root, found.release):
            assert 1 <= role.threshold <= len(role.keys) <= 8
            values = {key.value for key in role.keys.values()}
            assert len(values) == len(role.keys)
            moduli = [value for value in values if type(value) is int]
            assert all(n.bit_length() == 3072 and n % 2 for n in moduli)


@FUZZ
@given(documents(MANIFEST_FIELDS))
def test_a_manifest_is_in_its_limits_or_refused(data):
    found = judged(manifest.parse, data, kind=ImageError)
    if found is not None:
        assert found.sequence >= 1 and 0 <= found.chip_id <= 0xFFFF and found.size >= 1
        assert 1 <= len(found.product) <= 64 and 1 <= len(found.board) <= 64
        assert 1 <= len(found.version) <= 24 and found.version.isascii()
        assert found.version.isprintable() and len(found.notes) <= 1024
        assert len(found.sha256) == 32 and len(found.blocks) == 16 * -(-found.size // 65536)
        for payload in found.payloads:
            assert payload.size >= 1 and 1 <= len(payload.urls) <= 4
            assert all(1 <= len(url) <= 1024 for url in payload.urls)
        plain = judged(found.plain, kind=ImageError)
        assert plain is None or plain.size == found.size
        judged(manifest.check_target, found, "demo", "virtual", 0, kind=ImageError)
        judged(manifest.is_newer, found, 1, 0)
        judged(manifest.check_limits, found, 1790000000, SIZE)


# The image

words = st.sampled_from([b"\x00" * 4, b"\xff" * 4, b"\xfc\xff\xff\x00", b"\xe9", b"\x10", b"\x11"])
images = st.one_of(
    mutated(APP, words),
    mutated(APP[:40], words),
    st.binary(max_size=120),
    mutated(b"\xe9\x10" + bytes(190), words),
)


class Source:
    """Bytes to read from; nothing behind the limit or before the start may be asked for."""

    def __init__(self, data, limit):
        self.data, self.limit = data, limit

    def read(self, offset, n):
        assert 0 <= offset and 0 <= n <= 1024 and offset + n <= self.limit
        return self.data[offset : offset + n]


@FUZZ
@given(images, st.integers(-3, 3) | st.integers(0, 2000))
def test_an_image_lies_inside_its_limit_or_is_refused(data, more):
    limit = max(0, len(data) + more)
    source = Source(data, limit)
    info = judged(image.inspect, source.read, limit, kind=ImageError)
    checked = judged(image.verify, source.read, limit, kind=ImageError)
    if info is not None:
        assert 24 < info.size <= limit and info.size % 16 == 0 and 1 <= len(info.segments) <= 16
        end = 24
        for offset, _, length in info.segments:
            assert offset == end + 8 and length % 4 == 0
            end = offset + length
        assert end < info.size
    if checked is not None:
        assert vars(checked) == vars(info) and info.size <= len(data)


@FUZZ
@given(mutated(APP, words, least=1))
def test_no_changed_image_passes_with_its_digest(data):
    checked = judged(image.verify, Source(data, len(data)).read, len(data), kind=ImageError)
    if checked is not None and checked.has_digest:
        assert data[: checked.size] == APP


@FUZZ
@given(
    st.one_of(mutated(APP[:80], words), st.binary(min_size=36, max_size=40)),
    st.integers(0, 0xFFFF),
)
def test_a_head_is_an_application_for_this_chip_or_refused(data, chip):
    head = data[: image.HEAD_SIZE].ljust(image.HEAD_SIZE, b"\xff")
    for buf in (head, bytearray(head), memoryview(head)):
        try:
            image.check_head(buf, chip)
        except ImageError as e:
            assert e.code in ("image-format", "wrong-chip")
        else:
            assert head[0] == 0xE9 and head[12:14] == chip.to_bytes(2, "little")
            assert head[32:36] == b"\x32\x54\xcd\xab"


plain_or_not = st.sampled_from(b"01.~ \0\x1f\x7f\x80").map(lambda byte: bytes((byte,)))
versions = st.lists(plain_or_not, max_size=32).map(b"".join) | st.integers(0, 32).map(b"1".__mul__)


@FUZZ
@given(st.binary(min_size=80, max_size=80), versions)
def test_the_texts_of_an_image_are_a_number_and_printable(head, version):
    for data in (head, head[:48] + version.ljust(32, b"\0")):
        field = data[48:].partition(b"\0")[0][:24]
        text = image.version_text(data)
        is_plain = field and field.isascii() and field.decode().isprintable()
        assert text == (field.decode() if is_plain else "-")
        assert image.secure_version(data) == int.from_bytes(data[36:40], "little")


# otadata and journal

seqs = st.one_of(
    st.integers(0, 20), st.integers(0, 0xFFFFFFFF), st.integers(0xFFFFFFF0, 0xFFFFFFFF)
)
states = st.one_of(st.integers(0, 5), st.just(0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
records = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.builds(otadata.encode, seqs, states),
    st.builds(lambda seq, state: otadata.encode(seq, state)[:28] + bytes(4), seqs, states),
    st.just(b"\xff" * 32),
)


@FUZZ
@given(st.tuples(records, records), st.integers(1, 16))
def test_any_two_records_choose_a_slot_or_none(entries, slots):
    index = otadata.active(entries)
    assert index in (-1, 0, 1)
    valid = [i for i in (0, 1) if otadata.is_valid(entries[i])]
    assert (index in valid) if valid else index == -1
    assert all(otadata.seq_of(entries[i]) <= otadata.seq_of(entries[index]) for i in valid)
    for one in entries:
        assert 0 <= otadata.slot_of(one, slots) < slots
        assert otadata.describe(one).isascii()
        assert not (otadata.is_valid(one) and otadata.is_invalid(one))


@FUZZ
@given(st.tuples(records, records), st.integers(1, 16), st.data())
def test_the_next_seq_makes_its_slot_win_wherever_it_is_written(entries, slots, data):
    slot = data.draw(st.integers(0, slots - 1))
    index = otadata.active(entries)
    seq = otadata.next_seq(entries, slot, slots)
    assert seq >= 1 and (seq - 1) % slots == slot
    if seq >= 0xFFFFFFFF:
        # The counter is used up, in ESP-IDF too: 4 billion selections.
        assert otadata.seq_of(entries[index]) > 0xFFFFFFFF - 2 * slots
        return
    for state in (otadata.NEW, otadata.VALID):
        written = list(entries)
        written[1 - index if index >= 0 else 0] = otadata.encode(seq, state)
        winner = otadata.active(written)
        assert winner >= 0
        assert otadata.slot_of(written[winner], slots) == slot


words64 = st.integers(0, 2**64 - 1)
words16 = st.integers(0, 2**16 - 1)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=70)


@st.composite
def journals(draw):
    made = journal.Journal()
    made.state = draw(st.integers(0, journal.LEAVING))
    made.outcome = draw(st.integers(0, len(journal.EVENTS) - 1))
    made.wakes, made.untold = draw(st.integers(0, 255)), draw(st.booleans())
    made.log = draw(st.binary(min_size=256, max_size=256) | st.just(bytes(256)))
    made.tries, made.crashes, made.slot, made.resets = draw(st.tuples(*[st.integers(0, 255)] * 4))
    made.generation = draw(st.integers(0, 2**32 - 1))
    made.highest, made.sequence = draw(words64), draw(words64)
    made.highest_epoch, made.epoch = draw(words16), draw(words16)
    made.digest = draw(st.binary(min_size=32, max_size=32))
    made.head = draw(st.binary(min_size=16, max_size=16))
    refused = st.tuples(st.binary(min_size=16, max_size=16), st.integers(1, 2**64 - 1))
    made.refused = draw(st.lists(refused, max_size=4))
    made.version, made.reason = draw(texts), draw(texts)
    return made


@FUZZ
@given(journals())
def test_a_journal_goes_there_and_back(made):
    record = journal.encode(made)
    assert len(record) == journal.SIZE
    found = journal.decode(record)
    wanted = dict(vars(made))
    for name, room in (("version", 24), ("reason", 51)):
        wanted[name] = wanted[name][:room]
    assert vars(found) == wanted
    assert journal.encode(found) == record


def closed(data):
    return data[:508] + zlib.crc32(data[:508]).to_bytes(4, "little")


blobs = st.binary(max_size=600) | journals().map(journal.encode).flatmap(
    lambda r: st.one_of(mutated(r), mutated(r).map(closed))
)


@FUZZ
@given(blobs)
def test_any_bytes_are_a_journal_or_none(data):
    found = journal.decode(data)
    if found is not None:
        assert len(data) == journal.SIZE
        assert 0 <= found.state <= journal.LEAVING
        assert 0 <= found.outcome < len(journal.EVENTS)
        assert len(found.log) == 256 and len(found.events()) <= journal.EVENTS_KEPT
        assert len(found.refused) <= 4
        assert vars(journal.decode(journal.encode(found))) == vars(found)


class Chip:
    """A chip that runs what its otadata selects; its NVS has this journal.

    Its reads are those of esp32.NVS: a blob that is too long for the buffer is none.
    """

    def __init__(self, blob):
        self.blob = blob

    def find_otadata(self):
        return [self]

    def readblocks(self, index, buf):
        buf[:] = otadata.encode(1, otadata.VALID) if index == 0 else b"\xff" * 32

    def find_slots(self):
        return {0: self, 1: self}

    def running(self):
        return 0

    def nvs_read(self, key, buf):
        assert key == "journal"
        if len(self.blob) > len(buf):
            return 0
        buf[: len(self.blob)] = self.blob
        return len(self.blob)


@FUZZ
@given(blobs | st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 1)))
def test_a_start_and_the_journal_agree_on_what_is_settled(data):
    if type(data) is tuple:
        kind, state, flipped = data
        data = closed(bytes((kind, state)) + bytes(510))
        data = data[:511] + bytes((data[511] ^ flipped,))
    found = journal.decode(data)
    wanted = found is None or found.state < journal.ACTIVATED
    if start.is_settled(Chip(data)) != wanted:
        # Whole, and of a later library: unclear, so left to the trial, which decodes it.
        assert wanted and data == closed(data) and (data[0] != 2 or data[1] > journal.LEAVING)


@FUZZ
@given(
    st.one_of(
        st.none(), st.binary(max_size=16), st.builds(struct.pack, st.just("<III"), *[seqs] * 3)
    ),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_any_count_of_crashes_is_counted_or_begun_anew(blob, limit, now):
    chip = crashes.Chip(blob, now)
    looping = chip.crashed(limit=limit, window_s=10)
    count, since, seq = struct.unpack("<III", chip.blob)
    before = (
        struct.unpack("<III", (blob or b"").ljust(12, b"\0"))
        if len(blob or b"") <= 12
        else (0, 0, 0)
    )
    goes_on = before[2] == 2 and 0 <= now - before[1] <= 10
    reached = before[0] + 1 if goes_on else 1
    assert looping == (reached >= limit) and (chip.writes, seq) == (1, 2)
    assert (count, since) == (0 if looping else reached, before[1] if goes_on else now)


# Files


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "file"


@FUZZ
@given(data=documents(RECEIPTS) | st.binary(min_size=1000, max_size=3000))
def test_any_file_gives_receipts_that_can_be_kept(file, data):
    file.write_bytes(data)
    found = receipt.load_receipts(str(file))
    for slot, one in found.items():
        assert type(slot) is int and slot >= 0
        assert len(one.sha256) == 32 and one.size >= 0 and one.sequence >= 0
        assert 1 <= len(one.version) <= 24
    if all(one.version.isascii() and one.version.isprintable() for one in found.values()):
        coded = judged(receipt.encode, found, kind=SlotError)
        if coded is not None:
            file.write_bytes(coded)
            again = receipt.load_receipts(str(file))
            assert {k: vars(v) for k, v in again.items()} == {k: vars(v) for k, v in found.items()}


@FUZZ
@given(data=documents(CONFIG) | st.binary(min_size=1000, max_size=3000))
def test_any_file_is_a_configuration_in_its_limits_or_refused(file, data):
    file.write_bytes(data)
    found = judged(config.load_config, str(file), kind=SlotError)
    if found is not None:
        assert 1 <= len(found.product) <= 64 and 1 <= len(found.board) <= 64
        assert len(found.manifest_url) <= 1024 and 1 <= len(found.trust) <= 64
        assert 1 <= found.timeout_s <= 120 and 30 <= found.trial_window_s <= 600
        assert 10 <= found.total_s <= 86400 and 0 <= found.least_rate <= 100000
        assert 1 <= found.tries <= 20 and 0 <= found.part_kib <= 65536
        assert len(found.tls_pins) <= 4 and all(len(pin) == 32 for pin in found.tls_pins)
        assert type(found.verified) is bool
        lines = found.secret.split("\r\n")
        assert lines.pop() == "" and len(lines) <= 8
        for line in lines:
            name, colon, _ = line.partition(": ")
            assert colon and set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
            assert line.isascii() and line.isprintable()


# HTTP

url_parts = st.lists(
    st.sampled_from(
        [
            "https://",
            "a",
            "a.example",
            ":",
            ":443",
            ":8443",
            "0",
            "65536",
            "/",
            "?",
            "#",
            "@",
            "[",
            "]",
            "..",
            " ",
        ]
        + ["\r\n", "\x00", "é", "%00", "\\", "://", "http://", "b/c"]
    ),
    max_size=10,
).map("".join)
urls = st.one_of(
    any_text, url_parts, url_parts.map("https://a".__add__), any_text.map("https://".__add__)
)


def whole(url):
    """What a URL promises to those who use it."""
    assert url.host and 1 <= url.port <= 65535 and url.path.startswith("/")
    assert not set(url.host) & set("/:@[?#")
    lines = http.request(url, "A: b\r\n", 0, 9, b'"1"').split(b"\r\n")
    assert lines[0] == b"GET " + url.path.encode() + b" HTTP/1.1"
    assert lines[1] == b"Host: " + url.authority().encode()
    assert len(lines) == 8 and lines[6:] == [b"", b""]
    assert all(0x21 <= byte <= 0x7E for byte in (url.path + url.authority()).encode())
    again = http.Url("https://" + url.authority() + url.path)
    assert vars(again) == vars(url)


@FUZZ
@given(urls, urls)
def test_any_text_is_a_url_or_refused_and_joins_to_one(text, reference):
    url = judged(http.Url, text, kind=SourceError)
    if url is not None:
        whole(url)
    base = url or http.Url("https://a.example:8443/b/c?d/e")
    joined = judged(base.join, reference, kind=SourceError)
    if joined is not None:
        whole(joined)
        if "://" not in reference and not reference.startswith("//"):
            assert joined.authority() == base.authority()
            assert "/../" not in joined.path.split("?")[0] + "/"


names = st.sampled_from(["a", "b", "..", ".", "", "...", "c;d", "e:f"])


@FUZZ
@given(st.lists(names, max_size=6), st.lists(names, max_size=6), st.booleans())
def test_a_path_is_joined_as_python_does(here, there, query):
    # Python 3.13 keeps an empty name before "..", and an empty reference is the base itself.
    base = "https://a.example/" + "/".join(here)
    reference = "/".join(there) + ("?x/../y" if query else "")
    if "//" in base[8:] or "//" in reference or reference.startswith(("/", "e:f")):
        return
    joined = judged(http.Url(base).join, reference, kind=SourceError)
    assert joined is not None
    wanted = urllib.parse.urljoin(urllib.parse.urljoin("https://a.example/", base), reference)
    if reference and "/." not in base:
        assert "https://" + joined.authority() + joined.path == wanted


paths = st.lists(names | st.sampled_from(["/", "%2e%2e", "..\\", "file:///"]), max_size=6)


@FUZZ
@given(
    st.one_of(any_text, paths.map("/".join).map("file:///".__add__)),
    any_text | paths.map("/".join),
)
def test_any_text_is_a_file_or_refused_and_names_its_neighbours_only(text, reference):
    url = judged(local.FileUrl, text, kind=SourceError)
    assert (url is None) == (not text.startswith("file:///"))
    base = url or local.FileUrl("file:///sd/a/x.manifest")
    folder = base.path.rpartition("/")[0] + "/"
    joined = judged(base.join, reference, kind=SourceError)
    if joined is not None and reference:
        assert joined.path == folder + reference and not reference.startswith("/")
        # Not above its folder, wherever that is.
        inside = posixpath.normpath("/home/" + reference)
        assert inside == "/home" or inside.startswith("/home/")


def pieces_of(data):
    """As a stream's readline(LINE_LIMIT) gives them."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        piece = data[at : min(end, at + http.LINE_LIMIT)]
        yield piece
        at += len(piece)


def feed(pieces):
    """The head after these pieces, or None where one was refused."""
    head = http.Head()
    total = 0
    for piece in pieces:
        if judged(lambda piece=piece: head.feed(piece) or True, kind=SourceError) is None:
            return None
        total += len(piece)
        assert total <= http.HEAD_LIMIT
        assert head.status == 0 or 100 <= head.status <= 999
        assert -1 <= head.length < 10**10
        assert len(head.tag) <= 128 and len(head.location) < http.LINE_LIMIT
        assert head.wait_s >= 0 and not (head.chunked and head.length >= 0)
        assert 0 <= head.start <= head.stop and (head.stop == 0 or head.stop <= head.total)
        # What is kept of what was not used is the line that is not complete yet.
        assert len(head._line) < http.LINE_LIMIT
        if head.done:
            break
    return head


line_tokens = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\x00", b"\xff", b"Content-Length: 5\r\n", b"5"]
    + [b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"HTTP/1.1 200 OK\r\n"]
    + [b"Content-Length: 99999999999\r\n", b"0000000009", b"HTTP/1.1 100 X\r\n\r\n"]
    + [b'ETag: W/"2"\r\n', b"Location: //b/c\r\n", b"Content-Range: bytes 1-2/3\r\n"]
)
heads = st.one_of(
    mutated(RESPONSE, line_tokens),
    mutated(REDIRECT, line_tokens),
    st.lists(line_tokens, max_size=20).map(b"".join),
    st.binary(max_size=100),
    st.tuples(mutated(RESPONSE, line_tokens), st.integers(0, 20000), st.integers(17, 40)).map(
        lambda made: made[0][: made[2]] + b"x" * made[1] + made[0][made[2] :]
    ),
)


@FUZZ
@given(heads)
def test_any_head_is_understood_or_refused(data):
    head = feed(pieces_of(data))
    if head is not None and head.done:
        assert head.status >= 200
        assert b"HTTP/1.1 %d" % head.status in data or b"HTTP/1.0 %d" % head.status in data


@FUZZ
@given(heads, st.randoms(use_true_random=False))
def test_any_pieces_of_a_line_give_the_same(data, random):
    whole = [line for line in pieces_of(data) if len(line) < http.LINE_LIMIT]
    pieces = []
    for line in whole:
        at = 0
        while at < len(line):
            end = random.randint(at + 1, len(line))
            pieces.append(line[at:end])
            at = end
    one, other = feed(whole), feed(pieces)
    assert (one is None) == (other is None)
    if one is not None:
        assert vars(one) == vars(other)


@FUZZ
@given(st.lists(st.binary(max_size=30) | line_tokens, max_size=12))
def test_any_pieces_are_understood_or_refused(pieces):
    feed(pieces)


@FUZZ
@given(st.one_of(st.text("0123456789", max_size=14), st.text(" 0199,+-_", max_size=4), any_text))
def test_a_length_is_one_to_ten_digits_or_refused(value):
    raw = value.encode().partition(b"\n")[0]
    head = feed([b"HTTP/1.1 200 OK\r\n", b"Content-Length:" + raw + b"\r\n", b"\r\n"])
    digits = raw.strip()
    good = 1 <= len(digits) <= 10 and not set(digits) - set(b"0123456789")
    assert (head and head.length) == (int(digits) if good else None)


@FUZZ
@given(heads)
def test_what_lies_behind_the_head_changes_nothing(data):
    first = feed(pieces_of(data))
    if first is not None and first.done and (b"\n\r\n" in data or b"\n\n" in data):
        body = pieces_of(data + b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n")
        assert vars(feed(body)) == vars(first)


@FUZZ
@given(st.integers(1, 16000), st.sampled_from([b"X: ", b"Set-Cookie: a=Content-Length: "]))
def test_a_long_header_of_others_is_passed_over(n, name):
    line = name + b"x" * n + b"\r\n"
    head = feed(pieces_of(b"HTTP/1.1 200 OK\r\n" + line + b"Content-Length: 5\r\n\r\n"))
    assert head is not None and (head.status, head.length, head.done) == (200, 5, True)


def unchunked(data):
    """What RFC 9112 says of well-formed chunks, by another reader; None for anything else."""
    body = b""
    while True:
        line, end, data = data.partition(b"\n")
        digits = line.removesuffix(b"\r").partition(b";")[0].rstrip(b" \t")
        if not end or not digits.isalnum() or len(digits) > 8:
            return None
        try:
            size = int(digits, 16)
        except ValueError:
            return None
        if not size:
            break
        if len(data) < size:
            return None
        body, data = body + data[:size], data[size:]
        line, end, data = data.partition(b"\n")
        if not end or line.removesuffix(b"\r"):
            return None
    while line := data.partition(b"\n")[0].removesuffix(b"\r"):
        if b"\n" not in data:
            return None
        data = data.partition(b"\n")[2]
    return body if b"\n" in data else None


chunk_tokens = st.sampled_from(
    [b"\r\n", b"\n", b"0", b"0\r\n\r\n", b"5\r\n", b"a", b";", b" ", b"-"]
)


@FUZZ
@given(
    st.one_of(mutated(CHUNKS, chunk_tokens), st.lists(chunk_tokens, max_size=12).map(b"".join)),
    st.integers(0, 5),
    st.booleans(),
)
def test_any_chunks_are_their_bytes_or_refused(data, most, gaps):
    server = Server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    server.most, server.gaps = most, gaps
    source = source_of(server)
    body = ask(source, http.Url("https://a/b"))
    found = judged(read, source, body, 100, kind=(SourceError, ImageError))
    wanted = unchunked(data)
    assert found == (wanted if wanted is None or len(wanted) <= 100 else None)


@FUZZ
@given(
    st.binary(max_size=12) | st.text("0123456789abcdefABCDEF; \t-+x", max_size=12).map(str.encode)
)
def test_any_line_is_a_size_or_refused(line):
    size = judged(http.chunk_size, line, kind=SourceError)
    if size is not None:
        assert size == int(line.partition(b";")[0], 16) < 1 << 32


@FUZZ
@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2999, 1, 1)))
def test_dates_are_those_of_python(when):
    when = when.replace(microsecond=0, tzinfo=datetime.timezone.utc)
    text = email.utils.format_datetime(when, usegmt=True).encode()
    assert dates.http_date(text) == int(when.timestamp())


@FUZZ
@given(mutated(b"Sun, 06 Nov 1994 08:49:37 GMT") | st.binary(min_size=29, max_size=29))
def test_any_text_is_a_date_or_none(text):
    assert 0 <= dates.http_date(text) < 1 << 40


@FUZZ
@given(st.dates(datetime.date(1970, 1, 1)))
def test_dates_of_a_compiler_are_those_of_python(when):
    text = f"{when:%b} {when.day:2} {when.year}".encode()
    midnight = datetime.datetime(when.year, when.month, when.day, tzinfo=datetime.timezone.utc)
    assert dates.build_date(text) == int(midnight.timestamp())


@FUZZ
@given(mutated(b"Nov  6 2026") | st.binary(min_size=11, max_size=11))
def test_any_text_is_a_day_or_none(text):
    found = dates.build_date(text)
    assert 0 <= found < 1 << 40 and found % 86400 == 0


@FUZZ
@given(mutated(CERTIFICATE, st.sampled_from([b"\x30", b"\x80", b"\x82\xff\xff", b"\xa0\x00"])))
def test_any_bytes_are_a_certificate_or_refused(der):
    judge = pins.Pins([hashlib.sha256(pins.public_key(CERTIFICATE)).digest()])
    if judge.check(der, 0) == 0:
        assert pins.public_key(CERTIFICATE) in der


SECTORS = [read_data(f"espsecure/{name}.sector") for name in ("rsa-1", "rsa-3", "p256-2", "mixed")]


@FUZZ
@given(st.data())
def test_any_sector_is_what_was_signed_or_refused(data):
    sector = data.draw(st.sampled_from(SECTORS))
    found = data.draw(mutated(sector) | st.binary(min_size=4096, max_size=4096))
    keys = {str(n): key for n, key in enumerate(SIGNERS.values())}
    try:
        digest = espressif.verify_sector(found, keys, 1)
    except SignatureError as e:
        assert e.code in ("signature", "signature-scheme")
    else:
        assert digest == sector[4:36] and len(found) == len(sector)


@FUZZ
@given(
    st.binary(max_size=40) | mutated(b"v5.4.1".ljust(32, b"\0")).map((b"\x50" + bytes(7)).__add__)
)
def test_any_bootloader_has_the_idf_that_the_host_reads_or_none(described):
    described = described[:40].ljust(80, b"\0")
    board = types.SimpleNamespace(chip_id=lambda: 9)  # an ESP32-S3: its bootloader lies at 0

    def flash_read(offset, buf):
        buf[:] = (bytes(32) + described)[offset : offset + len(buf)]

    with unittest.mock.patch.dict(sys.modules, esp=types.SimpleNamespace(flash_read=flash_read)):
        found = survey._built_with(board)
    idf = builds.bootloader_idf(bytes(32) + described)
    if "\ufffd" not in idf:
        assert found.removeprefix("; built with ESP-IDF ") == idf


@FUZZ
@given(st.data())
def test_any_packet_is_a_time_or_none(data):
    nonce = bytes(range(8))
    answer = bytearray(48)
    answer[0], answer[1], answer[24:32] = 0x24, 1, nonce
    answer[40:44] = data.draw(st.binary(min_size=4, max_size=4))
    found = data.draw(mutated(bytes(answer)) | st.binary(max_size=60))
    seconds = clock._seconds(found, nonce)
    assert seconds == 0 or (
        0 < seconds < 3000000001 and found[24:32] == nonce and found[0] & 7 == 4
    )


def test_a_head_takes_linear_time():
    def measure(lines):
        return seconds(feed, [b"HTTP/1.1 200 OK\r\n"] + [b"A:" + b" " * 20 + b"\r\n"] * lines)

    assert measure(640) < 24 * measure(80) + 0.01
