"""Files on the device: read whole under a limit, replaced whole; receipts and configuration."""

import hashlib
import json
import os

from fakes import RamSlot, code_of, noise, raises, scratch

from ota.config import FILE, UNVERIFIED, Config, load_config
from ota.errors import SlotError
from ota.files import read_file, replace_file
from ota.receipt import FILE as RECEIPTS
from ota.receipt import Receipt, encode, holds, load_receipts, save_receipts


def put(data, name="file"):
    """Path of a new file that holds `data`."""
    path = scratch() + "/" + name
    with open(path, "wb") as file:
        file.write(data)
    return path


def link(target, path):
    # No os.symlink on MicroPython.
    assert os.system("ln -s %s %s" % (target, path)) == 0


# Files


def test_a_file_is_read_whole():
    for n in (1, 2, 99, 100):
        assert read_file(put(b"x" * n), 100) == b"x" * n
    assert read_file(put(bytes(range(256))), 1000) == bytes(range(256))


def test_a_missing_file_is_empty():
    assert read_file(scratch() + "/none", 10) == b""
    assert read_file(scratch() + "/none/none", 10) == b""
    assert read_file(put(b""), 10) == b""


def test_a_file_over_the_limit_is_an_error():
    path = put(b"x" * 101)
    e = raises(SlotError, read_file, path, 100)
    assert e.code == "files" and path in str(e)
    assert read_file(path, 101) == b"x" * 101


def test_a_file_without_end_is_read_to_the_limit_only():
    assert code_of(read_file, "/dev/zero", 100) == "files"


def test_what_cannot_be_read_is_an_error_with_its_code():
    folder = scratch()
    assert code_of(read_file, folder, 100) == "files"
    assert code_of(read_file, put(b"x") + "/below", 100) == "files"


def test_a_file_is_written_and_replaced_whole():
    path = scratch() + "/file"
    for data in (b"first", b"second and longer", b"3", b"", bytes(range(256))):
        replace_file(path, data)
        assert read_file(path, 1000) == data
    assert os.listdir(path.rpartition("/")[0]) == ["file"]


def test_an_old_fresh_file_does_not_matter():
    path = put(b"old")
    with open(path + ".new", "wb") as file:
        file.write(b"left over from a power cut, and much longer")
    assert read_file(path, 100) == b"old"
    replace_file(path, b"new")
    assert read_file(path, 100) == b"new"
    assert read_file(path + ".new", 100) == b""


def test_a_file_system_that_is_full_leaves_the_old_file():
    path = put(b"old")
    link("/dev/full", path + ".new")
    e = raises(SlotError, replace_file, path, b"new")
    assert e.code == "files"
    assert read_file(path, 100) == b"old"


def test_what_does_not_read_back_never_replaces_the_old_file():
    path = put(b"old")
    link("/dev/null", path + ".new")
    e = raises(SlotError, replace_file, path, b"new")
    assert e.code == "files" and "read back" in str(e)
    assert read_file(path, 100) == b"old"


def test_a_file_that_cannot_be_written_or_renamed_is_an_error_with_its_code():
    assert code_of(replace_file, scratch() + "/none/file", b"x") == "files"
    folder = scratch()
    os.mkdir(folder + "/path")
    os.mkdir(folder + "/path/full")
    assert code_of(replace_file, folder + "/path", b"x") == "files"


# Receipts

DIGEST = bytes(range(32))
HEX = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
ENTRY = '{"sha256":"' + HEX + '","size":1048576,"version":"1.0","sequence":1,"created":1790000000}'
GOLDEN = '{"format":1,"slots":{"0":' + ENTRY + "}}"


def receipts_in(text):
    return load_receipts(put(text.encode()))


def as_tuple(receipt):
    return receipt.sha256, receipt.size, receipt.version, receipt.sequence, receipt.created


def test_a_receipt_of_the_format_is_read():
    for version in ("1", "x" * 24):
        text = GOLDEN.replace("1.0", version)
        assert receipts_in(text)[0].version == version
    receipts = receipts_in(GOLDEN)
    assert list(receipts) == [0]
    assert isinstance(receipts[0], Receipt)
    assert as_tuple(receipts[0]) == (DIGEST, 1048576, "1.0", 1, 1790000000)
    assert RECEIPTS == "/ota_receipts.json"


def test_receipts_are_written_as_in_the_format():
    data = encode({0: Receipt(DIGEST, 1048576, "1.0", 1, 1790000000)})
    assert json.loads(data) == json.loads(GOLDEN)
    assert json.loads(encode({})) == {"format": 1, "slots": {}}


def test_receipts_go_there_and_back():
    path = scratch() + "/receipts"
    wanted = {
        0: Receipt(DIGEST, 1, "1.0", 1),
        1: Receipt(b"\xff" * 32, 16777216, 'v"\\2' + "x" * 20, 999999999999999, 4102444800),
    }
    for _ in range(2):
        save_receipts(path, wanted)
        found = load_receipts(path)
        assert sorted(found) == [0, 1]
        for slot in found:
            assert as_tuple(found[slot]) == as_tuple(wanted[slot])
    assert os.listdir(path.rpartition("/")[0]) == ["receipts"]


def test_without_a_readable_file_there_are_no_receipts():
    assert load_receipts(scratch() + "/none") == {}
    for text in ("", " ", "x", "[]", "{}", "null", GOLDEN[:-1], GOLDEN + "x", '{"format":1}'):
        assert receipts_in(text) == {}, text
    assert load_receipts(put(b"\xff" * 100)) == {}
    assert receipts_in('{"format":1,"slots":{}}') == {}


def test_a_receipt_of_a_slot_that_is_written_another_way_is_none():
    for slot in ("00", "+0", " 0", "0 ", "-0", "0x0"):
        assert receipts_in(GOLDEN.replace('"0"', '"' + slot + '"')) == {}, slot


def test_every_truncation_of_receipts_is_no_receipts():
    path = put(b"")
    for n in range(len(GOLDEN)):
        with open(path, "wb") as file:
            file.write(GOLDEN[:n].encode())
        assert load_receipts(path) == {}, n


def put_in_slot(data, behind=b"\xff"):
    """A slot with these bytes, and something behind them."""
    slot = RamSlot(16 * 4096, behind)
    slot.data[: len(data)] = data
    return slot


def receipt_of(data):
    return Receipt(hashlib.sha256(data).digest(), len(data), "1.0", 1)


def test_a_slot_holds_the_image_of_its_receipt_whatever_is_behind_it():
    for size in (1, 4095, 4096, 4097, 9000, 8 * 4096):
        image = noise(size)
        for behind in (b"\xff", b"\x00", b"x"):
            assert holds(put_in_slot(image, behind), receipt_of(image)), (size, behind)


def test_a_slot_with_one_other_byte_does_not_hold_it():
    image = noise(9000)
    for at in (0, 1, 4095, 4096, 8191, 8192, 8999):
        slot = put_in_slot(image)
        slot.data[at] ^= 1
        assert not holds(slot, receipt_of(image)), at


def test_a_receipt_of_another_size_or_digest_is_not_held():
    image = noise(9000)
    slot = put_in_slot(image)
    for size in (8999, 9001):
        receipt = receipt_of(image)
        receipt.size = size
        assert not holds(slot, receipt), size
    receipt = receipt_of(image)
    receipt.sha256 = receipt.sha256[:31] + b"x"
    assert not holds(slot, receipt)


def test_an_image_that_goes_over_the_end_of_the_slot_is_an_oserror():
    raises(OSError, holds, RamSlot(4096), Receipt(DIGEST, 4097, "1.0", 1))


def test_receipts_that_break_the_schema_are_none():
    for old, new in (
        ('"format":1', '"format":2'),
        ('"format":1', '"format":0'),
        ('"format":1', '"format":true'),
        ('"format":1', '"x":1'),
        ('"slots":', '"slot":'),
        ('"0":' + ENTRY, '"x":' + ENTRY),
        ('"0":' + ENTRY, '"0":1'),
        ('"0":' + ENTRY, '"0":[]'),
        ('"0":' + ENTRY, '"0":null'),
        ('"0":' + ENTRY, '"0":{}'),
        ('{"0":' + ENTRY + "}", "[" + ENTRY + "]"),
        (HEX, HEX[:-1]),
        (HEX, HEX + "00"),
        (HEX, HEX[:-1] + "F"),
        ('"' + HEX + '"', "1"),
        ("1048576", '"1048576"'),
        ("1048576", "true"),
        ("1048576", "-1"),
        ('"1.0"', '""'),
        ('"1.0"', '"' + "x" * 25 + '"'),
        ('"1.0"', '"1\\u00e9"'),
        ('"1.0"', "1"),
        ('"sequence":1', '"sequence":"1"'),
        ('"sequence":1', '"sequence":1.5'),
        ('"sequence":1', '"sequences":1'),
        ('"version":"1.0",', ""),
        ('"size":1048576,', ""),
        ('"sha256":"' + HEX + '",', ""),
        (',"sequence":1', ""),
        ("1790000000", '"2026"'),
        ("1790000000", "-1"),
        (',"sequence":1', ',"sequence":1,"sequence":2'),
    ):
        text = GOLDEN.replace(old, new)
        assert text != GOLDEN
        assert receipts_in(text) == {}, text


def test_one_bad_receipt_spoils_all():
    text = GOLDEN.replace(ENTRY, ENTRY + ',"1":{}')
    assert receipts_in(text) == {}


def test_unknown_fields_of_receipts_are_ignored():
    text = GOLDEN.replace('"size"', '"x":1,"size"').replace('"slots"', '"y":[],"slots"')
    assert as_tuple(receipts_in(text)[0]) == (DIGEST, 1048576, "1.0", 1, 1790000000)


def test_a_receipt_of_before_may_not_know_when_it_was_created():
    text = GOLDEN.replace(',"created":1790000000', "")
    assert text != GOLDEN
    assert as_tuple(receipts_in(text)[0]) == (DIGEST, 1048576, "1.0", 1, 0)


def test_receipts_of_at_most_2048_bytes_are_written():
    # The last version fills the limit up to its last byte.
    receipts = {}
    for slot in range(12):
        receipts[slot] = Receipt(DIGEST, 1, "x" * 24, 1)
    spare = 2048 - len(encode(receipts))
    assert 0 < spare < 500
    receipts[0].version += "x" * spare
    assert len(encode(receipts)) == 2048
    receipts[0].version += "x"
    path = put(b"old")
    for call, args in ((encode, (receipts,)), (save_receipts, (path, receipts))):
        e = raises(SlotError, call, *args)
        assert e.code == "files" and "at most 2048" in str(e)
    assert read_file(path, 100) == b"old"


def test_a_file_of_receipts_has_at_most_2048_bytes():
    text = GOLDEN + " " * (2048 - len(GOLDEN))
    assert list(receipts_in(text)) == [0]
    assert receipts_in(text + " ") == {}


def test_a_file_of_receipts_that_cannot_be_read_is_no_receipts():
    assert load_receipts(scratch()) == {}


def test_receipts_that_cannot_be_written_are_an_error():
    assert code_of(save_receipts, scratch() + "/none/r", {}) == "files"


# Configuration

LEAST = {"product": "lamp", "board": "rev2"}


def config_of(**changes):
    fields = dict(LEAST)
    fields.update(changes)
    return load_config(put(json.dumps(fields).encode()))


def config_code(**changes):
    return code_of(lambda: config_of(**changes))


def test_a_configuration_has_defaults():
    config = config_of()
    assert isinstance(config, Config)
    assert (config.product, config.board) == ("lamp", "rev2")
    assert config.manifest_url == "" and config.tls_root == ""
    assert config.trust == "/ota_trust.json"
    assert (config.timeout_s, config.trial_window_s) == (20, 300)
    assert (config.total_s, config.least_rate, config.tries) == (7200, 100, 4)
    assert (config.part_kib, config.ntp) == (0, "pool.ntp.org")
    assert (config.tls_cert, config.tls_key, config.tls_pins) == ("", "", [])
    assert config.verified is True and config.secret == ""
    assert FILE == "/ota.json"


def test_all_fields_of_a_configuration_are_read():
    config = config_of(
        manifest_url="https://a.example/m",
        trust="/t.json",
        tls_root="/root.der",
        timeout_s=7,
        trial_window_s=60,
        total_s=60,
        least_rate=1000,
        tries=2,
        part_kib=64,
        ntp="time.example:123",
        headers={"X-Fleet": "7"},
        tls_cert="/c.der",
        tls_key="/k.der",
        tls_pins=["00" * 32],
        unknown={"a": [1]},
    )
    assert config.manifest_url == "https://a.example/m"
    assert (config.trust, config.tls_root) == ("/t.json", "/root.der")
    assert (config.timeout_s, config.trial_window_s) == (7, 60)
    assert (config.total_s, config.least_rate, config.tries) == (60, 1000, 2)
    assert (config.part_kib, config.ntp) == (64, "time.example:123")
    assert (config.tls_cert, config.tls_key, config.tls_pins) == ("/c.der", "/k.der", [bytes(32)])
    assert config.secret == "x-fleet: 7\r\n"


def test_a_missing_or_empty_configuration_is_an_error():
    path = scratch() + "/none"
    e = raises(SlotError, load_config, path)
    assert e.code == "config" and path in str(e)
    for name in (path, put(b"")):
        assert "missing or empty" in str(raises(SlotError, load_config, name))
    assert code_of(load_config, put(b"")) == "config"


def test_product_and_board_are_required():
    for name in ("product", "board"):
        fields = dict(LEAST)
        del fields[name]
        assert code_of(load_config, put(json.dumps(fields).encode())) == "config", name
        assert config_code(**{name: None}) == "config", name


def test_texts_of_a_configuration_have_their_limits():
    for name, least, most in (
        ("product", 1, 64),
        ("board", 1, 64),
        ("manifest_url", 0, 1024),
        ("trust", 1, 64),
        ("tls_root", 0, 64),
        ("ntp", 0, 64),
    ):
        for n in (0, 1, most, most + 1):
            if least <= n <= most:
                assert getattr(config_of(**{name: "x" * n}), name) == "x" * n
            else:
                assert config_code(**{name: "x" * n}) == "config", (name, n)
        for value in (1, True, ["x"], {"x": "x"}):
            assert config_code(**{name: value}) == "config", (name, value)


def test_numbers_of_a_configuration_have_their_limits():
    for name, least, most in (
        ("timeout_s", 1, 120),
        ("trial_window_s", 30, 600),
        ("total_s", 10, 86400),
        ("least_rate", 0, 100000),
        ("tries", 1, 20),
        ("part_kib", 0, 65536),
    ):
        for value in (least, most):
            assert getattr(config_of(**{name: value}), name) == value
        for value in (least - 1, most + 1, 999999, "20", True, [20], {"a": 1}):
            assert config_code(**{name: value}) == "config", (name, value)


def test_a_configuration_is_strict_json():
    good = json.dumps(LEAST).encode()
    assert load_config(put(good + b" \n")).board == "rev2"
    for text in (
        b"x",
        b"[]",
        b" ",
        good[:-1],
        good + b"x",
        good[:-1] + b',"board":"rev3"}',
        good[:-1] + b",}",
        good[:-1] + b',"timeout_s":1.5}',
        good[:-1] + b',"timeout_s":-5}',
        good + b"\t",
        b"\xef\xbb\xbf" + good,
    ):
        assert code_of(load_config, put(text)) == "config", text


def test_a_configuration_has_at_most_4096_bytes():
    good = json.dumps(LEAST).encode()
    assert load_config(put(good + b" " * (4096 - len(good)))).board == "rev2"
    assert code_of(load_config, put(good + b" " * (4097 - len(good)))) == "files"


def test_every_truncation_of_a_configuration_is_an_error():
    good = json.dumps(LEAST).encode()
    path = put(b"")
    for n in range(len(good)):
        with open(path, "wb") as file:
            file.write(good[:n])
        assert code_of(load_config, path) == "config", n


# Who is asked, and what he is told


def secret_of(**changes):
    """The header lines, each once."""
    lines = config_of(**changes).secret.split("\r\n")
    assert lines.pop() == ""
    return sorted(lines)


def escaped(name, value):
    """A configuration whose field is this JSON; what json writes differs with the interpreter."""
    text = '{"X":"%s"}' % value["X"] if type(value) is dict else '"%s"' % value
    text = '{"product":"lamp","board":"rev2","%s":%s}' % (name, text)
    return load_config(put(text.encode()))


def test_headers_are_sent_as_they_stand():
    headers = {"X-Fleet": "7", "Accept": "*/*; q=1", "x": ""}
    assert secret_of(headers=headers) == ["accept: */*; q=1", "x-fleet: 7", "x: "]
    assert secret_of(headers={}) == []
    assert secret_of(headers={"X": ' !"~'}) == ['x:  !"~']


def test_a_header_stands_once_whatever_its_case():
    for text in ('{"X-Key":"1","x-key":"2"}', '{"a":"\\n1","A":"2"}'):
        fields = '{"product":"lamp","board":"rev2","headers":%s}' % text
        assert code_of(load_config, put(fields.encode())) == "config", text


def test_there_are_at_most_8_headers():
    headers = {"X-%d" % i: "y" for i in range(8)}
    assert len(secret_of(headers=headers)) == 8
    assert len(secret_of(headers=headers, bearer="x")) == 9
    headers["X-8"] = "y"
    assert config_code(headers=headers) == "config"


def test_no_header_ends_its_line_or_begins_another():
    for value in (
        "a\\r\\nX: y",
        "a\\nX: y",
        "a\\r",
        "\\t",
        "\\u007f",
        "\\u0085",
        "\\u00e9",
        "\\u2028",
    ):
        assert code_of(escaped, "bearer", value) == "config", value
        assert code_of(escaped, "headers", {"X": value}) == "config", value
    for name in ("X:", "X Y", " X", "X\t", "X(", "X_Y", "X.Y", ":"):
        assert config_code(headers={name: "y"}) == "config", name
    for value in (1, True, None, ["y"], {"y": "z"}):
        assert config_code(headers={"X": value}) == "config", value
    for value in ("X: y", ["X: y"], 1, True):
        assert config_code(headers=value) == "config", value


def test_no_header_is_one_of_ours():
    conditions = ("Range", "If-Range", "If-None-Match", "Accept-Encoding", "User-Agent")
    framing = ("Host", "Connection", "Content-Length", "Transfer-Encoding")
    for name in conditions + framing:
        for spelled in (name, name.lower(), name.upper()):
            assert config_code(headers={spelled: "x"}) == "config", spelled


def test_credentials_are_sent_as_rfc_7617_and_6750_say():
    wanted = "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert secret_of(basic="Aladdin:open sesame") == [wanted]
    assert (
        escaped("basic", "test:123\\u00a3").secret == "authorization: Basic dGVzdDoxMjPCow==\r\n"
    )
    assert secret_of(bearer="mF_9.B5f-4.1JqM") == ["authorization: Bearer mF_9.B5f-4.1JqM"]
    assert secret_of(basic="", bearer="", headers={"X": "y"}) == ["x: y"]
    assert len(secret_of(basic="x" * 256)[0]) > 300
    assert len(secret_of(bearer="x" * 1024)[0]) == 1046
    for spelled in ("Authorization", "AUTHORIZATION"):  # one of them is sent
        assert secret_of(headers={spelled: "x"}, bearer="y") == ["authorization: Bearer y"]
        assert secret_of(headers={spelled: "x"}) == ["authorization: x"]
    assert config_code(basic="a:b", bearer="c") == "config"
    assert config_code(basic="x" * 257) == "config"
    assert config_code(bearer="x" * 1025) == "config"


def test_no_error_shows_a_secret():
    for changes in (
        {"bearer": "hush\n"},
        {"basic": "hush:x", "bearer": "hush"},
        {"basic": "hush" * 100},
        {"headers": {"X": "hush\r"}},
        {"headers": {"Range": "hush"}},
        {"headers": {"X": ["hush"]}},
    ):
        e = raises(SlotError, lambda: config_of(**changes))  # noqa: B023 - it is called at once
        assert e.code == "config" and "hush" not in str(e), changes


def test_pins_are_digests_in_hexadecimal():
    pins = ["%02x" % i * 32 for i in range(1, 6)]
    assert config_of(tls_pins=pins[:4]).tls_pins == [bytes((i,)) * 32 for i in range(1, 5)]
    for value in (
        pins,
        pins[0],
        [pins[0][:-1]],
        [pins[0][:-2]],
        [pins[0] + "00"],
        ["A" * 64],
        ["g" * 64],
        [""],
        [1],
        {"a": "b"},
    ):
        assert config_code(tls_pins=value) == "config", value


def test_the_certificate_of_a_client_has_its_key():
    assert config_code(tls_cert="/c.der") == "config"
    assert config_code(tls_key="/k.der") == "config"
    assert config_code(tls_cert="/c.der", tls_key="") == "config"


def test_tls_is_verified_unless_somebody_says_so_in_so_many_words():
    assert UNVERIFIED == "anybody-may-answer-for-the-server"
    assert config_of(tls_unverified=UNVERIFIED).verified is False
    assert config_of(tls_unverified="").verified is True
    for value in (True, 1, "yes", "true", UNVERIFIED + " ", UNVERIFIED.upper(), UNVERIFIED[:-1]):
        assert config_code(tls_unverified=value) == "config", value


def test_a_board_is_named_in_printable_ascii():
    for board in ("v2\r\nX: y", "v\u00e9", "\u0007"):
        assert config_code(board=board) == "config", board
