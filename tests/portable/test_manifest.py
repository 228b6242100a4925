"""The manifest: every field is bounded, and every rule has its code and its place."""

import binascii
import json

from fakes import code_of, make_release, manifest_fields, noise, raises

from ota.errors import ImageError, SignatureError
from ota.manifest import (
    BLOCK,
    DIGEST,
    FORMAT,
    LIMIT,
    PLAIN,
    check_limits,
    check_target,
    is_newer,
    parse,
)
from ota.strict import b64url_encode

IMAGE = noise(3 * BLOCK // 2)
FIELDS = json.dumps(manifest_fields(IMAGE)).encode()


def fields_of(**changes):
    fields = json.loads(FIELDS)
    fields.update(changes)
    return fields


def within(name, **changes):
    """The fields with changes inside one object."""
    fields = json.loads(FIELDS)
    part = fields[name][0] if name == "payloads" else fields[name]
    part.update(changes)
    return fields


def read(fields):
    return parse(json.dumps(fields).encode())


def refused(fields):
    return code_of(read, fields) == "manifest-format"


def release_of(**changes):
    return read(fields_of(**changes))


def test_all_fields_are_read():
    release = release_of(
        product="lamp",
        board="rev2",
        chip_id=9,
        version="2.0-rc1",
        sequence=77,
        min_sequence=70,
        created=1790000001,
        expires=1800000000,
        notes="What is new",
        library=[1, 2],
    )
    assert (release.product, release.board, release.version) == ("lamp", "rev2", "2.0-rc1")
    assert (release.chip_id, release.sequence, release.min_sequence) == (9, 77, 70)
    assert (release.created, release.expires) == (1790000001, 1800000000)
    assert (release.notes, release.library) == ("What is new", [1, 2])
    image = json.loads(FIELDS)["image"]
    assert release.size == len(IMAGE) == image["size"]
    assert len(release.blocks) == 2 * DIGEST
    assert b64url_encode(release.blocks).decode() == image["blocks"]
    assert binascii.hexlify(release.sha256).decode() == image["sha256"]
    assert len(release.payloads) == 1
    payload = release.payloads[0]
    assert (payload.urls, payload.encoding, payload.size) == (["app.bin"], "plain", len(IMAGE))


def test_optional_fields_have_their_defaults():
    fields = fields_of()
    del fields["library"]
    release = read(fields)
    assert release.min_sequence == 0 and release.expires == 0
    assert release.notes == "" and release.library == []


def test_unknown_and_reserved_fields_are_ignored():
    fields = within("payloads", **{"from": "x", "window": 1, "key": [], "new": {}})
    fields.update({"rollout": {"percent": 1}, "forced": True, "unknown": [1, {"a": 2}]})
    assert read(fields).sequence == 2
    assert read(within("image", unknown=1)).sequence == 2


def test_another_format_number_is_unknown():
    assert FORMAT == 1
    for number in (0, 2, 10):
        assert code_of(read, fields_of(format=number)) == "format-unknown", number
    # The number is looked at before anything that it may have changed.
    assert raises(ImageError, parse, b'{"format":2}').code == "format-unknown"


def test_every_required_field_is_required():
    for name in fields_of():
        fields = fields_of()
        del fields[name]
        if name != "library":
            assert refused(fields), name
    for part in ("image", "payloads"):
        names = list(fields_of()["image"] if part == "image" else fields_of()["payloads"][0])
        assert len(names) == 3
        for name in names:
            assert refused(within(part, **{name: None})), (part, name)


def test_every_field_has_its_type():
    for name in list(fields_of()) + ["min_sequence", "expires", "notes"]:
        integer = type(fields_of().get(name, 1)) is int and name != "notes"
        for value in ("x", 1, True, [True], {"a": 1}):
            if type(value) is int and integer:
                continue
            if value == "x" and name in ("product", "board", "version", "notes"):
                continue
            assert refused(fields_of(**{name: value})), (name, value)
    for part in ("image", "payloads"):
        for name in (
            ("size", "sha256", "blocks") if part == "image" else ("urls", "encoding", "size")
        ):
            for value in (True, [1], {"a": 1}):
                assert refused(within(part, **{name: value})), (part, name, value)
    assert refused(within("image", size="1"))
    assert refused(within("image", sha256=1))
    assert refused(within("image", blocks=1))
    assert refused(within("payloads", encoding=1))
    assert refused(within("payloads", urls="app.bin"))


def test_texts_have_their_limits():
    for name, least, most in (
        ("product", 1, 64),
        ("board", 1, 64),
        ("version", 1, 24),
        ("notes", 0, 1024),
    ):
        for n in (0, 1, most, most + 1):
            fields = fields_of(**{name: "x" * n})
            if least <= n <= most:
                assert getattr(read(fields), name) == "x" * n
            else:
                assert refused(fields), (name, n)


def test_a_version_is_printable_ascii():
    assert release_of(version=" 1.0~rc1 ").version == " 1.0~rc1 "
    for char in ("\x7f", "\xe9", "\u20ac", "\n", "\t", "\b"):
        for version in (char, "1" + char, char + "1"):
            # Escaped: json of MicroPython would write it as it is.
            text = "".join(["\\u%04x" % ord(c) if c > "~" else c for c in version])
            text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\b", "\\b")
            data = FIELDS.replace(b'"1.1"', ('"' + text + '"').encode())
            assert data != FIELDS
            assert "printable" in str(raises(ImageError, parse, data)), version
            assert code_of(parse, data) == "manifest-format", version


def test_numbers_have_their_limits():
    assert release_of(sequence=1).sequence == 1
    assert release_of(sequence=999999999999999).sequence == 999999999999999
    assert refused(fields_of(sequence=0))
    assert release_of(chip_id=0).chip_id == 0
    assert release_of(chip_id=0xFFFF).chip_id == 0xFFFF
    assert refused(fields_of(chip_id=0x10000))
    assert refused(within("payloads", size=0))
    assert read(within("payloads", size=1)).payloads[0].size == 1


def test_numbers_are_never_negative_or_fractions():
    text = FIELDS.replace(b'"sequence": 2', b'"sequence": %s')
    assert text != FIELDS
    assert parse(text % b"2").sequence == 2
    for number in (b"-1", b"-2", b"2.0", b"2e1", b"02", b"1000000000000000", b'"2"'):
        assert code_of(parse, text % number) == "manifest-format", number


def test_the_digest_is_64_lower_case_hex_digits():
    for sha256 in ("", "0" * 63, "0" * 65, "0" * 128, "A" * 64, "g" * 64, " " * 64):
        assert refused(within("image", sha256=sha256)), sha256
    assert read(within("image", sha256="a" * 64)).sha256 == b"\xaa" * 32


def test_there_is_a_block_digest_for_each_64_kib():
    for size, count in (
        (1, 1),
        (BLOCK - 1, 1),
        (BLOCK, 1),
        (BLOCK + 1, 2),
        (2 * BLOCK, 2),
        (2 * BLOCK + 1, 3),
    ):
        for given in range(5):
            blocks = b64url_encode(bytes(DIGEST * given)).decode()
            fields = within("image", size=size, blocks=blocks)
            if given == count:
                assert read(fields).blocks == bytes(DIGEST * given)
            else:
                assert refused(fields), (size, given)
    for n in (DIGEST - 1, DIGEST + 1, 32):
        assert refused(within("image", size=1, blocks=b64url_encode(bytes(n)).decode())), n
    assert BLOCK == 65536 and DIGEST == 16


def test_an_image_is_not_empty():
    assert refused(within("image", size=0, blocks=""))
    assert refused(within("image", size=0))


def test_block_digests_are_strict_base64url():
    good = b64url_encode(bytes(DIGEST)).decode()
    assert read(within("image", size=1, blocks=good)).blocks == bytes(DIGEST)
    for blocks in (good + "==", good[:-1] + "B", good[:-1] + "+", good + "\n", " " + good):
        assert refused(within("image", size=1, blocks=blocks)), blocks


def test_there_are_at_most_eight_payloads():
    one = fields_of()["payloads"][0]
    assert len(read(fields_of(payloads=[one] * 8)).payloads) == 8
    assert refused(fields_of(payloads=[one] * 9))
    assert refused(fields_of(payloads=[one, 1]))
    assert refused(fields_of(payloads=one))


def test_a_release_without_payloads_cannot_be_installed():
    try:
        release_of(payloads=[]).plain()
    except ImageError as e:
        assert e.code in ("manifest-format", "no-payload")
        return
    raise AssertionError("nothing was raised")


def test_a_payload_has_one_to_four_urls_of_1_to_1024_characters():
    assert len(read(within("payloads", urls=["u"] * 4)).payloads[0].urls) == 4
    assert refused(within("payloads", urls=["u"] * 5))
    assert refused(within("payloads", urls=[]))
    assert refused(within("payloads", urls=["u", 1]))
    for n in (1, 1024):
        assert read(within("payloads", urls=["u" * n])).payloads[0].urls == ["u" * n]
    for n in (0, 1025):
        assert refused(within("payloads", urls=["u" * n])), n
        assert refused(within("payloads", urls=["u", "u" * n])), n


def test_an_encoding_has_1_to_16_characters():
    for n in (1, 16):
        assert read(within("payloads", encoding="e" * n)).payloads[0].encoding == "e" * n
    for n in (0, 17):
        assert refused(within("payloads", encoding="e" * n)), n


def test_the_library_is_a_short_list_of_integers():
    assert release_of(library=[1] * 8).library == [1] * 8
    for library in ([1] * 9, ["1"], [True], 1, {"a": 1}):
        assert refused(fields_of(library=library)), library


def test_a_payload_of_more_than_6144_bytes_is_refused():
    assert LIMIT == 6144
    assert parse(FIELDS + b" " * (LIMIT - len(FIELDS))).sequence == 2
    assert code_of(parse, FIELDS + b" " * (LIMIT - len(FIELDS) + 1)) == "manifest-format"


def test_every_truncation_is_refused():
    for n in range(len(FIELDS)):
        assert code_of(parse, FIELDS[:n]) == "manifest-format", n


def test_what_is_not_strict_json_is_refused():
    for text in (b"", b"[]", b"x", FIELDS + b"x", FIELDS[:-1] + b',"sequence":3}', b"\xff"):
        assert code_of(parse, text) == "manifest-format", text


# Which payload


def test_the_first_plain_payload_is_taken_and_others_are_passed_over():
    size = len(IMAGE)
    release = release_of(
        payloads=[
            {"urls": ["d"], "encoding": "delta", "size": 1},
            {"urls": ["a"], "encoding": "plain", "size": size},
            {"urls": ["b"], "encoding": "plain", "size": size},
        ]
    )
    assert release.plain().urls == ["a"]
    assert PLAIN == "plain"


def test_without_a_plain_payload_there_is_none():
    for encoding in ("delta", "Plain", "plain ", "x"):
        release = read(within("payloads", encoding=encoding))
        assert code_of(release.plain) == "no-payload", encoding


def test_a_plain_payload_is_as_long_as_the_image():
    for size in (1, len(IMAGE) - 1, len(IMAGE) + 1):
        release = read(within("payloads", size=size))
        assert code_of(release.plain) == "manifest-format", size


# Rules of the device


def test_a_release_is_for_one_product_board_and_chip():
    release = release_of(product="lamp", board="rev2", chip_id=9)
    check_target(release, "lamp", "rev2", 9)
    for product in ("Lamp", "lamp ", "lam", "lamp2", ""):
        assert code_of(check_target, release, product, "rev2", 9) == "wrong-product", product
    for board in ("Rev2", "rev", "rev22", ""):
        assert code_of(check_target, release, "lamp", board, 9) == "wrong-board", board
    for chip_id in (0, 2, 5, 10, 0x109):
        assert code_of(check_target, release, "lamp", "rev2", chip_id) == "wrong-chip", chip_id


def test_product_then_board_then_chip():
    release = release_of(product="lamp", board="rev2", chip_id=9)
    assert code_of(check_target, release, "x", "x", 0) == "wrong-product"
    assert code_of(check_target, release, "lamp", "x", 0) == "wrong-board"


def test_a_higher_sequence_is_new_and_the_same_is_here_already():
    assert is_newer(release_of(sequence=5), 4) is True
    assert is_newer(release_of(sequence=6), 4) is True
    assert is_newer(release_of(sequence=5), 5) is False
    assert is_newer(release_of(sequence=1), 0) is True


def test_a_lower_sequence_is_a_downgrade():
    for sequence, highest in ((4, 5), (1, 2), (1, 999999999999999), (5, 1 << 30)):
        e = raises(SignatureError, is_newer, release_of(sequence=sequence), highest)
        assert e.code == "downgrade", (sequence, highest)


def test_nothing_below_the_floor_is_new():
    assert code_of(is_newer, release_of(sequence=9), 4, 10) == "downgrade"
    assert code_of(is_newer, release_of(sequence=4), 4, 10) == "downgrade"
    assert is_newer(release_of(sequence=10), 4, 10) is True
    assert is_newer(release_of(sequence=11), 4, 10) is True
    # A floor below what is confirmed opens nothing.
    assert code_of(is_newer, release_of(sequence=9), 10, 5) == "downgrade"
    assert is_newer(release_of(sequence=10), 10, 5) is False
    assert is_newer(release_of(sequence=10), 10, 10) is False
    assert is_newer(release_of(sequence=11), 10, 10) is True


def test_more_than_2_to_the_20_above_is_a_jump():
    jump = 1 << 20
    for highest, floor, least in ((0, 0, 0), (7, 0, 7), (7, 100, 100), (100, 7, 100)):
        assert is_newer(release_of(sequence=least + jump), highest, floor) is True
        e = raises(SignatureError, is_newer, release_of(sequence=least + jump + 1), highest, floor)
        assert e.code == "sequence-jump", (highest, floor)
    assert is_newer(release_of(sequence=jump), 0) is True
    assert code_of(is_newer, release_of(sequence=jump + 1), 0) == "sequence-jump"


def test_a_device_below_the_least_sequence_needs_a_step():
    release = release_of(sequence=10, min_sequence=5)
    assert is_newer(release, 5) is True
    assert is_newer(release, 9) is True
    for highest in (0, 4):
        assert raises(ImageError, is_newer, release, highest).code == "step-needed", highest
    # The floor is not what is installed.
    assert code_of(is_newer, release, 4, 6) == "step-needed"
    assert is_newer(release, 10) is False
    assert code_of(is_newer, release, 11) == "downgrade"


def test_a_downgrade_or_a_jump_is_never_called_a_step():
    release = release_of(sequence=3, min_sequence=9)
    assert code_of(is_newer, release, 5) == "downgrade"
    release = release_of(sequence=1 << 21, min_sequence=9)
    assert code_of(is_newer, release, 5) == "sequence-jump"


def test_a_release_expires_behind_its_last_second():
    release = release_of(expires=1000)
    check_limits(release, 999, 1 << 20)
    check_limits(release, 1000, 1 << 20)
    e = raises(SignatureError, check_limits, release, 1001, 1 << 20)
    assert e.code == "expired"
    check_limits(release_of(), 1 << 60, 1 << 20)
    check_limits(release_of(expires=0), 1 << 60, 1 << 20)


def test_an_image_fits_its_slot():
    release = release_of()
    check_limits(release, 0, len(IMAGE))
    check_limits(release, 0, len(IMAGE) + 1)
    e = raises(ImageError, check_limits, release, 0, len(IMAGE) - 1)
    assert e.code == "image-too-large"


def test_the_date_comes_before_the_size():
    assert code_of(check_limits, release_of(expires=1), 2, 0) == "expired"


def test_the_releases_of_the_other_tests_are_manifests():
    assert make_release(IMAGE).size == len(IMAGE)
