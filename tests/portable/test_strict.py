"""Strict JSON and base64url: both interpreters read the same or nothing."""

import json

from fakes import raises

from ota.strict import (
    Malformed,
    b64url_decode,
    b64url_encode,
    field,
    hex_decode,
    list_field,
    loads,
    text_field,
)

ACCEPTED = (
    (b"{}", {}),
    (b" \n { \n } \n ", {}),
    (b'{"a":1}', {"a": 1}),
    (b'{ "a" : 1 , "b" : 2 }', {"a": 1, "b": 2}),
    (b'{\n"a"\n:\n[\n1\n,\n2\n]\n}\n', {"a": [1, 2]}),
    (b'{"a":[]}', {"a": []}),
    (b'{"a":[ ]}', {"a": []}),
    (b'{"a":{"a":{"b":1}},"b":{"a":2}}', {"a": {"a": {"b": 1}}, "b": {"a": 2}}),
    (b'{"a":true,"b":false,"c":null}', {"a": True, "b": False, "c": None}),
    (b'{"a":[true,false,null,0,"",[],{}]}', {"a": [True, False, None, 0, "", [], {}]}),
    (b'{"a":0,"b":9,"c":10,"d":102030}', {"a": 0, "b": 9, "c": 10, "d": 102030}),
    (b'{"a":999999999999999}', {"a": 999999999999999}),
    (b'{"a":""}', {"a": ""}),
    (b'{"a":" ~"}', {"a": " ~"}),
    (b'{"a":"{[,:]}"}', {"a": "{[,:]}"}),
    (b'{"a":"\\"\\\\\\/\\b\\f\\n\\r\\t"}', {"a": '"\\/\b\f\n\r\t'}),
    (
        b'{"a":"\\u0020\\u007e\\u00e9\\u00E9\\ud7ff\\ue000\\uffff"}',
        {"a": " ~éé\ud7ff\ue000\uffff"},
    ),
    (b'{"a":"\\\\u0000"}', {"a": "\\u0000"}),
    (b'{"a b~!":1}', {"a b~!": 1}),
)

REFUSED = (
    # The top: one object, and nothing else.
    b"",
    b" ",
    b"[]",
    b'["a"]',
    b'"a"',
    b"1",
    b"true",
    b"null",
    b"{}{}",
    b"{},",
    b"{}x",
    b"{}\x00",
    b"x{}",
    b"\x00{}",
    b"\xef\xbb\xbf{}",
    b"{\x00}\x00",
    # Commas and colons.
    b'{"a":[1 2]}',
    b'{"a":[1,,2]}',
    b'{"a":[1,]}',
    b'{"a":[,1]}',
    b'{"a":[,]}',
    b'{"a":[1:2]}',
    b'{"a" 1}',
    b'{"a","b"}',
    b'{"a"}',
    b'{"a":}',
    b'{"a"::1}',
    b'{"a":1:2}',
    b'{"a":1,}',
    b'{"a":1,,"b":2}',
    b'{"a":1 "b":2}',
    b'{"a":1;"b":2}',
    b'{,"a":1}',
    b"{,}",
    b"{:1}",
    # Brackets.
    b"{",
    b"}",
    b'{"a":[}',
    b'{"a":[1}',
    b'{"a":{]}',
    b'{"a":{"b":1]}',
    b'{"a":1]',
    b'{"a":1}}',
    b'{"a":[1]]}',
    # Names.
    b"{1:2}",
    b"{a:1}",
    b"{'a':1}",
    b"{true:1}",
    b"{[]:1}",
    b'{"":1}',
    b'{"a":1,"a":1}',
    b'{"a":1,"b":2,"a":3}',
    b'{"x":{"a":1,"a":2}}',
    b'{"x":[{"a":1,"a":2}]}',
    b'{"\\u0061":1}',
    b'{"a\\n":1}',
    b'{"a\\\\":1}',
    b'{"a\x7f":1}',
    b'{"a":1,"\\u0061":2}',
    # Numbers.
    b'{"a":01}',
    b'{"a":00}',
    b'{"a":-1}',
    b'{"a":-0}',
    b'{"a":+1}',
    b'{"a":1.0}',
    b'{"a":.5}',
    b'{"a":1.}',
    b'{"a":1e3}',
    b'{"a":1E3}',
    b'{"a":1e400}',
    b'{"a":0x10}',
    b'{"a":1_0}',
    b'{"a":1 0}',
    b'{"a":1000000000000000}',
    b'{"a":' + b"1" * 1000 + b"}",
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    # Literals.
    b'{"a":True}',
    b'{"a":TRUE}',
    b'{"a":tru}',
    b'{"a":truee}',
    b'{"a":nulll}',
    b'{"a":nul}',
    b'{"a":None}',
    b'{"a":undefined}',
    b'{"a":fals}',
    # Strings.
    b'{"a":"',
    b'{"a":"}',
    b'{"a":"b}',
    b"{\"a\":'b'}",
    b'{"a":b}',
    b'{"a":"b""c"}',
    b'{"a":"\n"}',
    b'{"a":"\t"}',
    b'{"a":"\x00"}',
    b'{"a":"\xc3\xa9"}',
    b'{"a":"\xff"}',
    # Escapes.
    b'{"a":"\\',
    b'{"a":"\\"}',
    b'{"a":"\\x41"}',
    b'{"a":"\\u"}',
    b'{"a":"\\u004"}',
    b'{"a":"\\u00',
    b'{"a":"\\u004',
    b'{"a":"\\u0000"}',
    b'{"a":"\\u000a"}',
    b'{"a":"\\u001f"}',
    b'{"a":"\\u001F"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\uDBFF"}',
    b'{"a":"\\udc00"}',
    b'{"a":"\\uDFFF"}',
    b'{"a":"\\ud83d\\ude00"}',
    b'{"a":"\\u 041"}',
    b'{"a":"\\u+041"}',
    b'{"a":"\\u{41}"}',
    b'{"a":"\\U00000041"}',
    # What other readers take for space or comment.
    b'{"a":\t1}',
    b'{"a":1}\r\n',
    b'{\r"a":1}',
    b'{"a":\x0b1}',
    b'{"a":\x0c1}',
    b'{"a":\xa01}',
    b'{/**/"a":1}',
    b'{"a":1}//',
    b'{"a":1}#',
)

DOCUMENT = b'{"a":[1,{"b":"c\\u0041\\n"}], "d":true,\n"e":{"f":null,"g":0}}'


def is_accepted(text):
    try:
        loads(text, 4096)
    except Malformed:
        return False
    return True


def test_the_strict_subset_is_read():
    for text, value in ACCEPTED:
        assert loads(text, 4096) == value, text


def test_everything_else_is_refused():
    for text in REFUSED:
        assert not is_accepted(text), text


def test_integers_and_literals_keep_their_types():
    fields = loads(b'{"a":1,"b":true,"c":"1"}', 100)
    assert type(fields["a"]) is int and fields["b"] is True and type(fields["c"]) is str


def test_more_bytes_than_the_limit_are_refused():
    text = b'{"a":1}'
    assert loads(text, len(text)) == {"a": 1}
    raises(Malformed, loads, text, len(text) - 1)
    raises(Malformed, loads, text + b" ", len(text))


def test_the_limit_is_checked_before_anything_is_read():
    assert "3 bytes, at most 2" in str(raises(Malformed, loads, b"\xff\xff\xff", 2))


def test_objects_and_lists_nest_six_deep_and_no_deeper():
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deepest = b'{"a":' + opening * 5 + b"1" + closing * 5 + b"}"
        assert is_accepted(deepest)
        assert not is_accepted(b'{"a":' + opening * 6 + b"1" + closing * 6 + b"}")
    assert is_accepted(b'{"a":[[[[[]]]]]}')
    assert not is_accepted(b'{"a":[[[[[[]]]]]]}')
    # Siblings are not nesting.
    assert is_accepted(b'{"a":[[[[[]]]],[[[[]]]],[[[[]]]]],"b":[[[[[]]]]]}')


def test_ten_thousand_brackets_are_refused_without_a_deep_stack():
    assert not is_accepted(b'{"a":' + b"[" * 4000)


def test_a_name_has_one_to_32_characters():
    assert is_accepted(b'{"' + b"n" * 32 + b'":1}')
    assert not is_accepted(b'{"' + b"n" * 33 + b'":1}')


def test_an_integer_has_at_most_15_digits():
    for n in range(1, 30):
        assert is_accepted(b'{"a":' + b"7" * n + b"}") == (n <= 15), n


def test_between_tokens_only_space_and_line_feed_are_accepted():
    for byte in range(256):
        wanted = byte in (0x20, 0x0A)
        for at in (0, 1, 4, 5, 6, 7):
            text = b'{"a":1}'
            text = text[:at] + bytes((byte,)) + text[at:]
            # A digit beside the 1 makes another number.
            digit = at in (5, 6) and 0x30 <= byte <= 0x39 and (at, byte) != (5, 0x30)
            assert is_accepted(text) == (wanted or digit), text


def test_in_a_string_only_printable_ascii_is_accepted():
    for byte in range(256):
        wanted = 0x20 <= byte <= 0x7E and byte not in (0x22, 0x5C)
        for text in (b'{"a":"x' + bytes((byte,)) + b'y"}', b'{"x' + bytes((byte,)) + b'y":1}'):
            assert is_accepted(text) == wanted, text


def test_only_the_eight_short_escapes_and_u_exist():
    for byte in range(256):
        text = b'{"a":"\\' + bytes((byte,)) + b'0041"}'
        assert is_accepted(text) == (byte in b'"\\/bfnrtu'), text


def test_an_escaped_code_has_four_hex_digits_of_any_case():
    for at in range(4):
        for byte in range(256):
            code = b"4141"[:at] + bytes((byte,)) + b"4141"[at + 1 :]
            text = b'{"a":"\\u' + code + b'"}'
            assert is_accepted(text) == (byte in b"0123456789abcdefABCDEF"), text
            if is_accepted(text):
                assert loads(text, 100) == {"a": chr(int(code.decode(), 16))}


def test_escaped_codes_are_characters_from_u0020_on_without_surrogates():
    for code in (
        0,
        1,
        0x1F,
        0x20,
        0x7F,
        0xFF,
        0xD7FF,
        0xD800,
        0xDBFF,
        0xDC00,
        0xDFFF,
        0xE000,
        0xFFFF,
    ):
        wanted = code >= 0x20 and not 0xD800 <= code <= 0xDFFF
        assert is_accepted(b'{"a":"\\u%04x"}' % code) == wanted, code


def test_every_truncation_is_refused():
    assert is_accepted(DOCUMENT)
    for n in range(len(DOCUMENT)):
        assert not is_accepted(DOCUMENT[:n]), n


def test_whatever_passes_the_scan_json_reads_too():
    # On CPython json is the judge: it raises for what is not JSON. Both agree on what is left.
    for at in range(len(DOCUMENT)):
        for byte in b'\x00\t\n "+,-./01:[\\]aeu{}\x7f\xe9':
            text = DOCUMENT[:at] + bytes((byte,)) + DOCUMENT[at + 1 :]
            if is_accepted(text):
                assert json.loads(text) == loads(text, 4096)
        text = DOCUMENT[:at] + DOCUMENT[at + 1 :]
        if is_accepted(text):
            assert json.loads(text) == loads(text, 4096)


# base64url

# RFC 4648 section 10, without its padding, and both characters of section 5.
VECTORS = (
    (b"", ""),
    (b"f", "Zg"),
    (b"fo", "Zm8"),
    (b"foo", "Zm9v"),
    (b"foob", "Zm9vYg"),
    (b"fooba", "Zm9vYmE"),
    (b"foobar", "Zm9vYmFy"),
    (b"\xfb\xff\xbf", "-_-_"),
    (b"\x00", "AA"),
    (b"\xff", "_w"),
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def decodes(text):
    try:
        b64url_decode(text)
    except Malformed:
        return False
    return True


def test_base64url_as_in_rfc_4648():
    for raw, text in VECTORS:
        assert b64url_encode(raw) == text.encode(), raw
        assert b64url_decode(text) == raw, text


def test_base64url_goes_there_and_back_at_every_length():
    raw = bytes(range(256)) * 2
    for n in list(range(70)) + [255, 256, 257, 384, 512]:
        text = b64url_encode(raw[:n])
        assert len(text) == (n * 4 + 2) // 3
        assert b64url_encode(memoryview(raw)[:n]) == text
        assert b64url_decode(text.decode()) == raw[:n], n


def test_base64url_that_others_would_read_is_refused():
    for text in (
        "Zg==",
        "Zg=",
        "Zm8=",
        "Zm9v=",
        "=",
        "====",
        "=Zg",
        "Z=g",
        "Zg==Zg",
        "+/+/",
        "-/-_",
        "-_+_",
        "Zm9v\n",
        "\nZm9v",
        "Zm9v\r\nYmFy",
        "Zm9v YmFy",
        " Zm9v",
        "Zm9v ",
        "Q!U\x00I",
        "Q!U\x00I=",
        "Zm9v\x00",
        "Zm9v.Zm9v",
        "Zm9v\xe9",
        "\xe9\xe9\xe9\xe9",
        "\u0100AAA",
        "A",
        "AAAAA",
        "-",
        "Zh",
        "Zm9",
    ):
        assert not decodes(text), text


def test_every_character_outside_the_alphabet_is_refused_anywhere():
    for at in range(8):
        for code in range(256):
            text = "Zm9vYmFy"[:at] + chr(code) + "Zm9vYmFy"[at + 1 :]
            assert decodes(text) == (chr(code) in ALPHABET), (at, code)


def test_unused_bits_are_zero():
    for value in range(64):
        assert decodes("Z" + ALPHABET[value]) == (value % 16 == 0), value
        assert decodes("Zm" + ALPHABET[value]) == (value % 4 == 0), value
        assert decodes("Zm9" + ALPHABET[value])


# Hexadecimal


def test_hexadecimal_is_lower_case_and_of_exact_length():
    assert hex_decode("00ff7a", 3) == b"\x00\xff\x7a"
    assert hex_decode("", 0) == b""
    for text, size in (("00ff7a", 2), ("00ff7a", 4), ("00ff7", 3), ("00ff7", 2), ("", 1)):
        raises(Malformed, hex_decode, text, size)


def test_every_character_but_lower_case_digits_is_refused():
    for code in range(300):
        for text in ("00" + chr(code) + "0", chr(code) + "000", "000" + chr(code)):
            try:
                ok = len(hex_decode(text, 2)) == 2
            except Malformed:
                ok = False
            assert ok == (0 < code < 128 and chr(code) in "0123456789abcdef"), code


# Fields


def test_a_field_has_its_type():
    values = {"int": 1, "str": "x", "list": [1], "dict": {"a": 1}, "bool": True}
    kinds = {"int": int, "str": str, "list": list, "dict": dict, "bool": bool}
    for name in values:
        for other in kinds:
            if name == other:
                assert field(values, name, kinds[other]) == values[name]
            else:
                raises(Malformed, field, values, name, kinds[other])


def test_a_missing_field_is_its_default_or_an_error():
    assert field({}, "a", int, 7) == 7
    assert field({}, "a", str, "") == ""
    assert field({"a": None}, "a", int, 7) == 7
    raises(Malformed, field, {}, "a", int)
    raises(Malformed, field, {"a": None}, "a", int)


def test_a_field_that_is_there_is_not_its_default():
    assert field({"a": 0}, "a", int, 7) == 0
    assert field({"a": ""}, "a", str, "x") == ""
    assert field({"a": []}, "a", list, [1]) == []
    raises(Malformed, field, {"a": "7"}, "a", int, 7)


def test_the_message_names_the_field():
    assert "sequence" in str(raises(Malformed, field, {}, "sequence", int))
    assert "board" in str(raises(Malformed, text_field, {"board": ""}, "board", 1, 2))
    assert "urls" in str(raises(Malformed, list_field, {"urls": [1]}, "urls", str, 2))


def test_a_text_has_its_length_limits_included():
    for n in range(6):
        fields = {"a": "x" * n}
        if 2 <= n <= 4:
            assert text_field(fields, "a", 2, 4) == "x" * n
        else:
            raises(Malformed, text_field, fields, "a", 2, 4)
    assert text_field({}, "a", 0, 4, "") == ""
    assert text_field({}, "a", 0, 4, "abc") == "abc"
    raises(Malformed, text_field, {}, "a", 0, 4)
    raises(Malformed, text_field, {"a": 12}, "a", 0, 4)
    raises(Malformed, text_field, {"a": ["x"]}, "a", 0, 4)


def test_a_list_has_a_limit_and_items_of_one_type():
    assert list_field({"a": [1, 2]}, "a", int, 2) == [1, 2]
    assert list_field({"a": []}, "a", int, 2) == []
    assert list_field({}, "a", int, 2, []) == []
    raises(Malformed, list_field, {}, "a", int, 2)
    raises(Malformed, list_field, {"a": [1, 2, 3]}, "a", int, 2)
    raises(Malformed, list_field, {"a": [1, "2"]}, "a", int, 2)
    raises(Malformed, list_field, {"a": ["1", 2]}, "a", int, 2)
    raises(Malformed, list_field, {"a": [1, True]}, "a", int, 2)
    raises(Malformed, list_field, {"a": [1, None]}, "a", int, 2)
    raises(Malformed, list_field, {"a": {"b": 1}}, "a", int, 2)
    raises(Malformed, list_field, {"a": "12"}, "a", str, 2)
