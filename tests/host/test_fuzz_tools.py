"""What the tools read from a board, a server or a user, on generated input: a result or a Failure.

As in test_fuzz.py: the same inputs on every run, OTA_FUZZ=20000 tries that many new ones per test.
"""

import base64
import binascii
import hashlib
import json
import socket
import struct
import threading
import types
import zlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fakes import make_image, manifest_fields, read_data
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_fuzz import FUZZ, WANTED, any_text, documents, dumps, json_ish, mutated, values
from virtual import STOCK_TABLE

from ota import jws, strict
from ota_tools import builds, firmware, inspection, keys, partitions, serve, signers
from ota_tools import certificates as tls
from ota_tools import trust as trust_store
from ota_tools.board import filesystem, interpreter, rom
from ota_tools.board.folder import create, load_board
from ota_tools.board.image_maker import find_romfs
from ota_tools.board.settings import Settings
from ota_tools.device import Device
from ota_tools.failures import Failure
from ota_tools.request_log import RequestLog

# Where each example takes milliseconds: a tenth.
SLOW = settings(FUZZ, max_examples=int(WANTED or 400) // 4)


def judged(call, *args):
    """The result, or None where the call failed as a tool may: with a text for the user."""
    try:
        return call(*args)
    except Failure as e:
        assert str(e)
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# Partition tables

CELLS = [
    "app",
    "data",
    "ota",
    "ota_0",
    "nvs",
    "factory",
    "",
    "0",
    "-1",
    "0x10000",
    "1M",
    "encrypted",
]
rows = st.lists(st.sampled_from(CELLS) | st.text(max_size=6), max_size=7).map(",".join)
csv = st.one_of(
    any_text,
    st.lists(rows, max_size=5).map("\n".join),
    mutated(
        STOCK_TABLE.encode(), st.sampled_from([b",", b"\n", b"K", b"-", b"0x", b"9" * 12])
    ).map(lambda data: data.decode(errors="surrogateescape")),
)


@FUZZ
@given(csv)
@example("a\0b,app,ota_0,0x10000,1M,")
@example("a,app,ota_0,%s,1M," % ("9" * 5000))
def test_any_text_is_a_table_that_reads_back_or_refused(text):
    table = judged(partitions.parse_csv, text)
    if table is not None:
        judged(partitions.check, table, 4 << 20)
        binary = judged(partitions.to_binary, table)
        assert binary is None or partitions.from_binary(binary) == table


TABLE = partitions.to_binary(partitions.parse_csv(STOCK_TABLE))
ROWS = TABLE[: TABLE.index(b"\xeb\xeb")]


def closed(rows):
    """A table of these rows, its MD5 right."""
    return rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest() + b"\xff" * 32


binary_tables = st.one_of(
    mutated(TABLE[:256]),
    mutated(ROWS).map(closed),
    st.binary(max_size=96).map(closed),
    st.binary(),
)


@FUZZ
@given(binary_tables)
def test_any_bytes_are_a_table_or_refused(data):
    table = judged(partitions.from_binary, data)
    if table is not None:
        judged(partitions.check, table, 4 << 20)
        assert partitions.from_binary(partitions.to_binary(table)) == table


# Firmware

APP = make_image(600)
words = st.sampled_from(
    [b"\x00" * 4, b"\xff" * 4, b"\xfc\xff\xff\x00", b"\xe9", b"\x10", b"\x05\x00"]
)
BOOTLOADER = APP[:32] + bytes(4) + APP[36:]
small_table = st.builds(
    lambda offset, size: closed(
        b"\xaa\x50\x00\x10"
        + offset.to_bytes(4, "little")
        + size.to_bytes(4, "little")
        + b"a".ljust(20, b"\0")
    ),
    st.sampled_from([0, 0x800, 0x9000, 0xA000, 0xFFFFFFFF]),
    st.sampled_from([0, 1, 0x1000, 0xFFFFFFFF]),
)


@st.composite
def merged(draw):
    """A merged firmware: what lies where, and how much of it."""
    start = draw(st.sampled_from([0, 0x1000, 0x2000]))
    parts = [
        (0x1000, draw(st.just(APP) | mutated(APP, words))),
        (0x8000, draw(small_table | binary_tables)),
        (0x9000, draw(st.just(APP) | mutated(APP, words))),
    ]
    data = bytearray(b"\xff" * 0xA000)
    for at, part in parts:
        data[at : at + len(part)] = part
    return bytes(data[start : draw(st.sampled_from([0xA000, 0xA000, 0x9010, 0x8000, 0x100]))])


files = st.one_of(merged(), mutated(APP, words), st.binary(max_size=120))


@FUZZ
@given(files)
def test_any_file_is_firmware_or_refused(data):
    found = judged(firmware.parse, data)
    app = judged(firmware.app_image, data)
    if found is not None:
        assert app == found.app and found.app in data and found.bootloader in data
        assert builds.rollback(found).verdict in (builds.YES, builds.NO, builds.UNKNOWN)
    if app is not None:
        assert builds.library(app).verdict in (builds.YES, builds.NO, builds.UNKNOWN)
        assert find_romfs(app) in app
    for chip in firmware.CHIPS:
        bootloader = judged(firmware.bootloader_image, data, chip)
        assert bootloader is None or bootloader in data


BANNER = b"MicroPython v1.25.0-preview"


@FUZZ
@given(
    st.lists(mutated(BANNER, st.sampled_from([b"9" * 12, b".", b"-preview"])), max_size=3).map(
        b" ".join
    )
)
@example(b"MicroPython v%s.1" % (b"1" * 5000))
def test_any_bytes_are_of_a_version_or_nobody_knows(data):
    found = builds.version(data)
    assert found is None or str(found.major).encode() in data


@FUZZ
@given(mutated(APP[:32] + b"\x50" + bytes(79), words))
def test_any_bytes_have_an_idf_or_none(data):
    assert "\0" not in builds.bootloader_idf(data) + builds.app_idf(data)


# The board's files

DISK = filesystem.build(8 * 4096, {"/a/b.py": b"x" * 100, "/main.py": b"y" * 3000})
LOOP = DISK.replace(struct.pack("<2I", 4, 5), struct.pack("<2I", 0, 1), 1)  # /a is the root again


def sealed(block):
    """A metadata block of littlefs, the CRC of each commit right (littlefs, SPEC.md)."""
    block = bytearray(block)
    at, begin, last = 4, 0, 0xFFFFFFFF
    while at + 4 <= len(block):
        tag = int.from_bytes(block[at : at + 4], "big") ^ last
        kind, size = tag >> 20 & 0x7FF, (tag + 1 & 0x3FF or 1) - 1
        if tag >> 31 or at + 4 + size > len(block):
            break
        if kind >> 8 == 5 and kind != 0x5FF:
            crc = zlib.crc32(block[begin : at + 4]) ^ 0xFFFFFFFF
            block[at + 4 : at + 8] = crc.to_bytes(4, "little")
            begin, tag = at + 4 + size, tag ^ (kind & 1) << 31
        at, last = at + 4 + size, tag
    return bytes(block)


@st.composite
def disks(draw):
    """Up to three bytes of its metadata changed, the CRC right."""
    data = bytearray(draw(st.sampled_from([DISK, LOOP])))
    for _ in range(draw(st.integers(0, 3))):
        at = 4096 * draw(st.integers(0, 3)) + draw(st.integers(4, 160))
        data[at] = draw(st.sampled_from([0, 0xFF, data[at] ^ 1, data[at] ^ 0x80]))
    return b"".join(sealed(data[at : at + 4096]) for at in range(0, len(data), 4096))


@SLOW
@given(disks() | st.binary(max_size=9000) | st.integers(0, 8 * 4096).map(lambda n: DISK[:n]))
@example(DISK.replace(b"main.py", b"main.p\xff"))
@example(LOOP)
def test_any_bytes_are_files_or_refused(data):
    if len(data) == len(DISK):
        data = b"".join(sealed(data[at : at + 4096]) for at in range(0, len(data), 4096))
    found = judged(filesystem.read, data)
    assert found is None or all(path.startswith("/") for path in found)


def test_the_disks_of_these_tests_are_whole():
    assert sealed(DISK[4096:8192]) == DISK[4096:8192] and DISK != LOOP
    assert sorted(filesystem.read(DISK)) == ["/a/b.py", "/main.py"]


# A virtual board's folder


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A folder with a board of 36 KiB of flash."""
    folder = tmp_path_factory.mktemp("fuzz") / "board"
    create(folder, partitions.parse_csv(STOCK_TABLE), 0x9000, Settings()).close()
    return folder


SETTINGS = vars(Settings())
NVS = {"ota": {"journal": "00ff", "count": 1}}


@FUZZ
@given(settings=documents(SETTINGS) | values.map(dumps), nvs=documents(NVS) | values.map(dumps))
@example(settings=dumps(SETTINGS), nvs=b"5")
@example(settings=dumps(SETTINGS | {"chip_id": "0"}), nvs=dumps(NVS))
@example(settings=b"[" * 5000, nvs=dumps(NVS))
@example(settings=dumps(SETTINGS), nvs=b"[" * 5000)
def test_any_board_is_one_or_refused(board, settings, nvs):
    (board / "board.json").write_bytes(settings)
    (board / "nvs.json").write_bytes(nvs)
    found = judged(load_board, board)
    powered = judged(rom.power_up, board)
    if powered is not None:
        powered[1].close()
    if found is not None:
        for name, value in vars(found.settings).items():
            assert type(value) is type(SETTINGS[name])
        for space, pairs in found.nvs.content.items():
            for key in pairs:
                value = found.nvs.get(space, key)
                assert type(value) is int or bytes.fromhex(value) is not None
        found.close()


# Keys

EC_KEY = ec.derive_private_key(7, ec.SECP256R1())
PRIVATE, PKCS8, DER = (
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.PrivateFormat.PKCS8,
    serialization.Encoding.DER,
)
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
RSA_PEM = read_data("openssl/release.pem")
RSA_KEY = serialization.load_pem_private_key(RSA_PEM, None)
armour = st.sampled_from(
    [b"PUBLIC KEY", b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PUBLIC KEY", b"ENCRYPTED PRIVATE KEY"]
)
LOCKED = (
    b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,%s\n\n"
    % (b"0" * 32)
)


def pem(name, der):
    lines = base64.encodebytes(der)
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (name, lines, name)


ders = st.sampled_from(
    [EC_KEY.private_bytes(DER, form, serialization.NoEncryption()) for form in (PRIVATE, PKCS8)]
    + [key.public_key().public_bytes(DER, PUBLIC) for key in (EC_KEY, RSA_KEY)]
)
pems = st.one_of(
    st.builds(pem, armour, ders.flatmap(mutated)),
    ders.map(lambda der: pem(b"PUBLIC KEY", der)).flatmap(mutated),
    st.binary(max_size=100).map(lambda data: LOCKED + base64.b64encode(data)),
    st.binary(max_size=40),
)


@FUZZ
@given(data=pems)
@example(data=RSA_PEM)
@example(data=pem(b"PRIVATE KEY", b""))
def test_any_file_is_a_key_or_refused(folder, data):
    (folder / "key.pem").write_bytes(data)
    private = judged(keys.load_private, folder / "key.pem", lambda path: "passphrase")
    public = judged(keys.load_public, folder / "key.pem", lambda path: "passphrase")
    judged(keys.load_private, folder / "key.pem")
    if private is not None:
        assert keys.kid(private.public_key()) == keys.kid(public)


# What a program that signs answers

MESSAGE = b"message"
DIGEST = hashlib.sha256(MESSAGE).digest()
numbers = (
    st.integers(0, 2) | st.integers(0, 1 << 257) | st.integers(keys.ORDER - 2, keys.ORDER + 2)
)
GOOD_EC = EC_KEY.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))


@SLOW
@given(
    answer=st.one_of(
        st.builds(utils.encode_dss_signature, numbers, numbers).flatmap(mutated),
        st.binary(min_size=64, max_size=64),
        st.binary(max_size=80),
    )
)
@example(answer=GOOD_EC)
@example(answer=bytes(64))
def test_any_answer_of_a_program_is_a_signature_by_the_key_or_refused(folder, answer):
    (folder / "answer").write_bytes(answer)
    signer = signers.CommandSigner(EC_KEY.public_key(), f"cat {folder / 'answer'}")
    signature = judged(signer.sign, MESSAGE)
    assert (signature is not None) == (answer == GOOD_EC)


@st.composite
def encoded(draw):
    """What an RSA key of 3072 bits may have signed, by any padding or none."""
    pss = bytes(draw(st.sampled_from([0, 20, 300]))) + b"\x01" + draw(st.binary(max_size=64))
    blocks = st.one_of(
        st.just(b"\x00\x01" + b"\xff" * 330 + b"\x00" + DIGEST),
        st.just(pss.rjust(351, b"\0") + DIGEST + b"\xbc"),
        st.binary(max_size=384),
    )
    return draw(blocks).ljust(384, b"\xbc")[:384]


@settings(SLOW, max_examples=SLOW.max_examples // 2)  # 70 ms each
@given(encoded())
def test_any_rsa_signature_that_is_wrong_is_told_on_one_line(block):
    secret = RSA_KEY.private_numbers()
    n = secret.public_numbers.n
    signature = pow(int.from_bytes(block, "big") % n, secret.d, n).to_bytes(384, "big")
    said = signers._diagnose(RSA_KEY.public_key(), DIGEST, signature)
    assert said and "\n" not in said
    assert ("PKCS#1" in said) == block.startswith(b"\x00\x01" + b"\xff" * 8)


# Envelopes

FIELDS = json.loads(read_data("openssl/trust.payload"))
LINE, _, _ = read_data("openssl/trust.json").partition(b"\n")
STORE = read_data("openssl/trust.json")
CERTIFICATES = [read_data(f"openssl/{name}.der") for name in ("tls-root", "tls-server")]
ROOT = CERTIFICATES[0]  # its version is at 12, its subject about 120
certificates = st.sampled_from(CERTIFICATES).flatmap(
    lambda der: mutated(der, st.sampled_from([b"\x30\x00", b"\xff", b"\x80", b"\x06\x01\x80"]))
)


@FUZZ
@given(certificates)
@example(ROOT[:12] + b"\x06" + ROOT[13:])
def test_any_bytes_are_a_certificate_or_refused(data):
    found = judged(tls.read, data)
    if found is not None:
        assert found.public_bytes(DER) == judged(tls.to_der, data) and tls.to_der(data) in data


def with_root(der):
    root = strict.b64url_encode(der).decode()
    return dumps({**FIELDS, "tls_roots": [root]})


first_lines = st.one_of(
    st.sampled_from([b'{"signatures":[]}', LINE]), documents(json.loads(LINE)), json_ish
)
stores = st.one_of(
    st.builds(
        lambda line, payload: line + b"\n" + payload,
        first_lines,
        documents(FIELDS) | certificates.map(with_root),
    ),
    mutated(STORE),
)


@FUZZ
@given(stores)
@example(LINE + b"\n" + with_root(ROOT[:12] + b"\x06" + ROOT[13:]))
@example(LINE + b"\n" + with_root(ROOT[:121] + b"\x03" + ROOT[122:]))
@example(LINE + b"\n" + with_root(ROOT[:123] + b"\xff" + ROOT[124:]))
def test_any_draft_is_told_or_refused(data):
    found = judged(trust_store.read, data)
    about = judged(inspection.describe_trust, data)
    judged(inspection.describe_trust, data, STORE)
    if found is None:
        assert about is None
    else:
        assert found.number >= 1 and judged(trust_store.fields_of, data)["number"] == found.number
    if about is not None:
        assert inspection.lines_of(about)


MANIFEST = manifest_fields(APP)
HEADER = {"alg": "PS256", "kid": "ab" * 32, "typ": jws.MANIFEST}


def signed_as(header):
    protected = strict.b64url_encode(header).decode()
    return dumps({"signatures": [{"protected": protected, "signature": "AAAA"}]})


envelopes = st.builds(
    lambda line, payload: line + b"\n" + payload,
    st.just(signed_as(dumps(HEADER))) | documents(HEADER).map(signed_as),
    documents(MANIFEST),
)


@FUZZ
@given(data=st.one_of(envelopes, stores, files))
def test_any_file_is_told_or_refused(folder, data):
    (folder / "file").write_bytes(data)
    (folder / "trust").write_bytes(STORE)
    found = judged(inspection.inspect_file, folder / "file")
    assert found is None or found["kind"]
    checked = judged(inspection.inspect_file, folder / "file", folder / "trust")
    assert checked is None or checked["verified"] == "signed for trust"


# What a client sends

BODY = bytes(range(200))
GET = b'GET /app.bin HTTP/1.1\r\nRange: bytes=5-9\r\nIf-None-Match: "a"\r\nIf-Range: "b"\r\n\r\n'
POST = b'POST /a/reports HTTP/1.1\r\nContent-Length: 12\r\n\r\n{"format":1}'
line_tokens = st.sampled_from(
    [b"\r\n", b" ", b":", b"//[", b"http://[", b"%00", b"%ff", b"\xff", b"HEAD", b"-", b"\r\n\r\n"]
)


class Handler(serve.Handler):
    disable_nagle_algorithm = False  # a pair of sockets knows no TCP


def posted(path, body):
    return b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)


requests = st.one_of(
    mutated(GET, line_tokens),
    mutated(POST, line_tokens),
    st.builds(posted, st.sampled_from([b"/reports", b"/"]), json_ish | values.map(dumps)),
    st.binary(max_size=100),
)


@FUZZ
@given(data=requests)
@example(data=posted(b"http://[/reports", b"{}"))
@example(data=posted(b"/reports", b'{"a":' * 600 + b"1" + b"}" * 600))
def test_any_request_has_an_answer_or_none(folder, data):
    (folder / "app.bin").write_bytes(BODY)
    reports = folder / "reports"
    reports.unlink(missing_ok=True)
    log = RequestLog()
    server = types.SimpleNamespace(
        folder=folder, log=log, reports=reports, reports_lock=threading.Lock()
    )
    client, ours = socket.socketpair()
    with client, ours:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        Handler(ours, ("client", 0), server)
        ours.close()
        answer = client.makefile("rb").read()
    assert len(log.answered()) == answer.count(b"\r\nServer: ota\r\n")
    assert (
        all(type(json.loads(line)) is dict for line in reports.open()) if reports.exists() else 1
    )


@FUZZ
@given(any_text | st.from_regex(serve._RANGE) | st.none(), st.integers(0, 300))
def test_any_range_lies_in_the_file(asked, size):
    part = serve._part(asked, size)
    assert not part or 0 <= part.start < part.stop <= size


# The sources of apt

LINES = b"deb [signed-by=/a.gpg] https://deb.example/debian trixie main\n# deb x y z\n"
STANZAS = (
    b"Types: deb\nURIs: https://deb.example/debian\nSuites: a\nComponents: main\n\nEnabled: no\n"
)


@FUZZ
@given((mutated(LINES) | mutated(STANZAS)).map(lambda data: data.decode("latin-1")) | any_text)
def test_any_text_names_archives_or_none(text):
    for deb822 in (False, True):
        for archive in interpreter.read_sources(text, deb822):
            assert archive.uri in text and archive.uri.split() == [archive.uri]


# What a board answers


class Line:
    """In the place of mpremote's transport: a board that prints this and nothing else.

    Real boards that do so: tests/e2e/test_device.py.
    """

    def __init__(self, printed):
        self.printed = printed

    def exec_raw_no_follow(self, program):
        pass

    def follow(self, timeout, hear):
        for byte in self.printed:
            hear(bytes((byte,)))
        return self.printed, b""


def device_that_prints(data):
    device = Device("", "board")
    device._transport = Line(data)
    device._line = types.SimpleNamespace(deadline=0)
    return device


VALUE = {"value": {"running": 0, "version": "1.0", "trial": False, "é": ["x"]}}
SAID = json.dumps(VALUE, ensure_ascii=False).encode()
ANSWER = b"ota-answer %08x %s\r\n" % (binascii.crc32(SAID), SAID)


def test_an_answer_of_a_board_is_its_value():
    assert device_that_prints(ANSWER).run("return 5") == VALUE["value"]


@FUZZ
@given(mutated(ANSWER, least=1))
@example(ANSWER.replace(b'"running"', b'"runninG"'))
@example(ANSWER.replace(b"0,", b"1,"))
@example(ANSWER.replace(b"\xc3", b"\xff"))
@example(b"ota-answer \r\n")
@example(b"ota-answer 00000000 \r\n")
def test_noise_on_the_line_changes_no_answer(data):
    found = judged(device_that_prints(data).run, "return 5")
    assert found in (None, VALUE["value"])
