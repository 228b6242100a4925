"""Checks of lib/ota/strict.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "JSON: any character between members",
        'if mark != b",":\n            raise Malformed("expected a comma or the end at %d" % (at - 1))\n\n\ndef _name',
        'if False:\n            raise Malformed("expected a comma or the end at %d" % (at - 1))\n\n\ndef _name',
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    (
        "JSON: a name without quotes",
        "if buf[at:start] != b'\"':",
        "if False:",
        "portable/test_strict.py::test_whatever_passes_the_scan_json_reads_too",
    ),
    (
        "JSON: more bytes than the limit",
        "if len(buf) > limit:",
        "if False:",
        "portable/test_strict.py::test_more_bytes_than_the_limit_are_refused",
    ),
    (
        "JSON: not scanned at all",
        "if _space(buf, _value(buf, at, 1)) != len(buf):",
        "if False:",
        "portable/test_strict.py::test_every_truncation_is_refused",
    ),
    (
        "JSON: something behind the object",
        "if _space(buf, _value(buf, at, 1)) != len(buf):",
        "if _space(buf, _value(buf, at, 1)) > len(buf):",
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    (
        "JSON: a list at the top",
        'if buf[at : at + 1] != b"{":',
        "if False:",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    (
        "JSON: nested as deep as one likes",
        "if depth > _DEPTH:",
        "if False:",
        "portable/test_strict.py::test_objects_and_lists_nest_six_deep_and_no_deeper",
    ),
    (
        "JSON: no colon",
        'if buf[at : at + 1] != b":":',
        "if False:",
        "portable/test_strict.py::test_whatever_passes_the_scan_json_reads_too",
    ),
    (
        "JSON: a closing bracket of the other kind",
        "if mark == close:",
        'if mark in (b"}", b"]"):',
        "portable/test_strict.py::test_whatever_passes_the_scan_json_reads_too",
    ),
    (
        "JSON: empty names and names of any length",
        "if not 1 <= len(name) <= _NAME or b",
        "if b",
        "portable/test_strict.py::test_a_name_has_one_to_32_characters",
    ),
    (
        "JSON: escapes in names",
        ' or b"\\\\" in name or',
        " or",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    (
        "JSON: repeated names",
        " or name in names:",
        ":",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    (
        "JSON: bytes over 0x7E in strings",
        "if not 0x20 <= byte <= 0x7E:",
        "if not 0x20 <= byte:",
        "portable/test_strict.py::test_in_a_string_only_printable_ascii_is_accepted",
    ),
    (
        "JSON: control characters in strings",
        "if not 0x20 <= byte <= 0x7E:",
        "if byte > 0x7E:",
        "portable/test_strict.py::test_in_a_string_only_printable_ascii_is_accepted",
    ),
    (
        "JSON: unknown escapes",
        "if at < len(buf) and buf[at] in b'\"\\\\/bfnrt':",
        "if at < len(buf):",
        "portable/test_strict.py::test_only_the_eight_short_escapes_and_u_exist",
    ),
    (
        "JSON: bad digits in escapes",
        "if digit < 0 or byte < 0x30:",
        "if False:",
        "portable/test_strict.py::test_an_escaped_code_has_four_hex_digits_of_any_case",
    ),
    (
        "JSON: control characters as digits of escapes",
        "if digit < 0 or byte < 0x30:",
        "if digit < 0:",
        "portable/test_strict.py::test_an_escaped_code_has_four_hex_digits_of_any_case",
    ),
    (
        "JSON: escaped control characters",
        "code < 0x20 or ",
        "",
        "portable/test_strict.py::test_escaped_codes_are_characters_from_u0020_on_without_surrogates",
    ),
    (
        "JSON: surrogates",
        " or 0xD800 <= code < 0xE000:",
        ":",
        "portable/test_strict.py::test_escaped_codes_are_characters_from_u0020_on_without_surrogates",
    ),
    (
        "JSON: integers of any length",
        "if at - start > _DIGITS or",
        "if",
        "portable/test_strict.py::test_an_integer_has_at_most_15_digits",
    ),
    (
        "JSON: leading zeros",
        " or (buf[start] == 0x30 and at - start > 1):",
        ":",
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    (
        "JSON: tabs between tokens",
        'in (b" ", b"\\n"):',
        'in (b" ", b"\\n", b"\\t"):',
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    (
        "base64url: what the decoder dropped",
        "if b64url_encode(raw) != coded:",
        "if False:",
        "portable/test_strict.py::test_base64url_that_others_would_read_is_refused",
    ),
    (
        "hex: any length",
        "if len(text) != 2 * size:",
        "if False:",
        "portable/test_strict.py::test_hexadecimal_is_lower_case_and_of_exact_length",
    ),
    (
        "hex: capital letters",
        'if char not in "0123456789abcdef":',
        'if char not in "0123456789abcdefABCDEF":',
        "portable/test_strict.py::test_every_character_but_lower_case_digits_is_refused",
    ),
    (
        "fields: true is an integer",
        "if type(value) is not kind:\n        raise",
        "if not isinstance(value, kind):\n        raise",
        "portable/test_strict.py::test_a_field_has_its_type",
    ),
    (
        "fields: any type",
        "if type(value) is not kind:\n        raise",
        "if value is None:\n        raise",
        "portable/test_strict.py::test_a_field_that_is_there_is_not_its_default",
    ),
    (
        "fields: texts of any length",
        "if not least <= len(value) <= most:",
        "if False:",
        "portable/test_strict.py::test_a_text_has_its_length_limits_included",
    ),
    (
        "fields: lists of any length",
        "if len(values) > most:",
        "if False:",
        "portable/test_strict.py::test_a_list_has_a_limit_and_items_of_one_type",
    ),
    (
        "fields: list items of any type",
        "if type(value) is not kind:\n            raise",
        "if False:\n            raise",
        "portable/test_strict.py::test_the_message_names_the_field",
    ),
    (
        "JSON: escaped codes are refused",
        'if buf[at : at + 1] != b"u":',
        "if True:",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[malleability: escapes in the unsigned line]"
        ),
    ),
]
