"""Take one check out of the library at a time: a test must turn red each time.

    .venv/bin/python tests/mutants.py [-k TEXT] [-j WORKERS]

`MUTANTS` says in words which protection is gone, and names the test that holds it. Every mutant is
tried alone, in a private copy of what the tests need; its test must fail, not just stop. Exit code
1 if a mutant survives, an entry no longer applies, or a test is red without any mutant.

Speed: the packages that the tests import are imported once, then each pytest is a fork of that.
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("lib", "tests", "tools", "docs", "examples", "*.py", "*.csv", "pyproject.toml")
TIMEOUT_S = 60
WHOLE_TIMEOUT_S = 600
SHM = Path("/dev/shm")
"""Virtual boards sync their flash to the disk all the time: where there is RAM, they go there."""
ROOM = 1 << 30

FAILED = int(pytest.ExitCode.TESTS_FAILED)
ELSEWHERE = 90
"""Exit code of a run that imported another `ota` than the copy's."""


@dataclass(frozen=True)
class Mutant:
    """name: the protection that is gone; file in lib/ota; old: its text, once in it; new; red test."""

    name: str
    file: str
    old: str
    new: str
    red: str


MUTANTS = [
    Mutant(
        "RSA: a signature of any length",
        "rsa.py",
        "if len(signature) != KEY_SIZE or len(digest)",
        "if len(digest)",
        "portable/test_rsa.py::test_a_signature_has_384_bytes",
    ),
    Mutant(
        "RSA: a digest of any length",
        "rsa.py",
        "if len(signature) != KEY_SIZE or len(digest) != _HASH:",
        "if len(signature) != KEY_SIZE:",
        "portable/test_rsa.py::test_a_digest_has_32_bytes",
    ),
    Mutant(
        "RSA: s of n and more is taken",
        "rsa.py",
        "if s >= n:",
        "if False:",
        "portable/test_rsa.py::test_a_signature_is_less_than_the_modulus",
    ),
    Mutant(
        "RSA: the trailer may be anything",
        "rsa.py",
        "encoded[KEY_SIZE - 1] != 0xBC or encoded[0] & 0x80",
        "encoded[0] & 0x80",
        "portable/test_rsa.py::test_the_trailer_is_bc",
    ),
    Mutant(
        "RSA: the top bit may be set",
        "rsa.py",
        "encoded[KEY_SIZE - 1] != 0xBC or encoded[0] & 0x80",
        "encoded[KEY_SIZE - 1] != 0xBC",
        "portable/test_rsa.py::test_the_topmost_bit_of_the_encoding_is_zero",
    ),
    Mutant(
        "RSA: the padding may be anything",
        "rsa.py",
        'if db[:_PADDING].count(b"\\x00") != _PADDING or db[_PADDING] != 1:',
        "if db[_PADDING] != 1:",
        "portable/test_rsa.py::test_the_padding_is_zeros_from_first_to_last",
    ),
    Mutant(
        "RSA: no one between padding and salt",
        "rsa.py",
        'if db[:_PADDING].count(b"\\x00") != _PADDING or db[_PADDING] != 1:',
        'if db[:_PADDING].count(b"\\x00") != _PADDING:',
        "portable/test_rsa.py::test_a_one_stands_between_padding_and_salt",
    ),
    Mutant(
        "RSA: a salt of any length",
        "rsa.py",
        '    if db[:_PADDING].count(b"\\x00") != _PADDING or db[_PADDING] != 1:',
        '    db = bytes(_PADDING) + db[db.find(b"\\x01") :]\n    if db[_PADDING] != 1:',
        "portable/test_rsa.py::test_a_salt_of_another_length_is_refused",
    ),
    Mutant(
        "RSA: the hash is not compared",
        "rsa.py",
        "return sha.digest() == h",
        "return True",
        "portable/test_rsa.py::test_another_message_or_key_is_refused",
    ),
    Mutant(
        "envelope: typ is not compared",
        "jws.py",
        'if header["typ"] != typ:',
        "if False:",
        "portable/test_jws.py::test_the_type_is_the_one_asked_for_whoever_signed",
    ),
    Mutant(
        "envelope: alg is not compared with the key's",
        "jws.py",
        'if header["alg"] != key.alg:',
        "if False:",
        "portable/test_jws.py::test_the_algorithm_is_the_one_of_the_key",
    ),
    Mutant(
        "envelope: no signature is verified",
        "jws.py",
        "if key.verify(signing_digest(protected, payload), signature):",
        "if True:",
        "portable/test_jws.py::test_every_byte_more_is_refused",
    ),
    Mutant(
        "envelope: unknown keys count",
        "jws.py",
        "if key is None:\n            continue",
        "if key is None:\n            good += 1\n            continue",
        "portable/test_jws.py::test_unknown_keys_are_passed_over",
    ),
    Mutant(
        "envelope: one signature is enough for any threshold",
        "jws.py",
        "good < threshold",
        "good < 1",
        "portable/test_jws.py::test_a_bad_signature_by_a_trusted_key_does_not_count",
    ),
    Mutant(
        "envelope: no signature is needed",
        "jws.py",
        "if threshold < 1 or good < threshold:",
        "if threshold < 1:",
        "portable/test_jws.py::test_unknown_keys_are_passed_over",
    ),
    Mutant(
        "envelope: a threshold of 0 is obeyed",
        "jws.py",
        "if threshold < 1 or good < threshold:",
        "if good < threshold:",
        "portable/test_jws.py::test_no_threshold_below_one_is_obeyed",
    ),
    Mutant(
        "envelope: two signatures by one key count twice",
        "jws.py",
        'if header["kid"] in kids:',
        "if False:",
        "portable/test_jws.py::test_the_same_key_never_counts_twice",
    ),
    Mutant(
        "envelope: a payload over its limit",
        "jws.py",
        "if not 1 <= len(payload) <= limit:",
        "if not 1 <= len(payload):",
        "portable/test_jws.py::test_the_limit_holds_for_verify_too",
    ),
    Mutant(
        "envelope: an empty payload",
        "jws.py",
        "if not 1 <= len(payload) <= limit:",
        "if not len(payload) <= limit:",
        "portable/test_jws.py::test_the_payload_has_one_byte_to_the_limit",
    ),
    Mutant(
        "envelope: a first line of any length is searched",
        "jws.py",
        'envelope[: HEADER_LIMIT + 1].find(b"\\n")',
        'envelope.find(b"\\n")',
        "portable/test_jws.py::test_the_first_line_has_at_most_3072_bytes",
    ),
    Mutant(
        "envelope: a missing line feed",
        "jws.py",
        "if end < 0:",
        "if False:",
        "portable/test_jws.py::test_the_first_line_ends_with_a_line_feed",
    ),
    Mutant(
        "envelope: other fields beside the signatures",
        "jws.py",
        "if len(fields) != 1:",
        "if False:",
        "portable/test_jws.py::test_the_first_line_has_signatures_and_nothing_else",
    ),
    Mutant(
        "envelope: unprotected fields in a signature",
        "jws.py",
        "if len(entry) != 2:",
        "if False:",
        "portable/test_jws.py::test_an_entry_has_exactly_protected_and_signature",
    ),
    Mutant(
        "envelope: crit and others in the protected header",
        "jws.py",
        "if len(header) != 3:",
        "if False:",
        "portable/test_jws.py::test_any_other_protected_header_is_refused",
    ),
    Mutant(
        "envelope: header fields of any type",
        "jws.py",
        'for name in ("alg", "kid", "typ"):',
        "for name in ():",
        "portable/test_jws.py::test_every_flipped_byte_is_refused_where_all_signatures_are_needed",
    ),
    Mutant(
        "envelope: any number of signatures",
        "jws.py",
        "_SIGNATURES = const(4)",
        "_SIGNATURES = const(400)",
        "portable/test_jws.py::test_there_are_at_most_four_signatures",
    ),
    Mutant(
        "envelope: a protected header of any length",
        "jws.py",
        "_PROTECTED_LIMIT = const(256)",
        "_PROTECTED_LIMIT = const(2560)",
        "portable/test_jws.py::test_a_protected_header_has_at_most_256_characters",
    ),
    Mutant(
        "envelope: a signature of any length",
        "jws.py",
        '"signature", 1, 1024',
        '"signature", 1, 9999',
        "portable/test_jws.py::test_a_signature_has_1_to_1024_characters",
    ),
    Mutant(
        "envelope: an empty list of signatures",
        "jws.py",
        "if not entries:",
        "if False:",
        "portable/test_jws.py::test_an_envelope_without_signatures_is_refused",
    ),
    Mutant(
        "trust store: not signed by anybody",
        "trust.py",
        "verify(envelope, TRUST, LIMIT, trust.root.keys, trust.root.threshold)",
        "pass",
        "portable/test_trust.py::test_one_byte_more_is_refused",
    ),
    Mutant(
        "trust store: the release role may sign it",
        "trust.py",
        "trust.root.keys, trust.root.threshold)",
        "{**trust.root.keys, **trust.release.keys}, trust.root.threshold)",
        "portable/test_trust.py::test_only_the_root_role_signs_a_store",
    ),
    Mutant(
        "trust store: one root signature is always enough",
        "trust.py",
        "trust.root.keys, trust.root.threshold)",
        "trust.root.keys, 1)",
        "portable/test_trust.py::test_fewer_root_keys_than_the_threshold_are_not_enough",
    ),
    Mutant(
        "trust store: any format number",
        "trust.py",
        "if number != FORMAT:",
        "if False:",
        "portable/test_trust.py::test_another_format_number_is_unknown",
    ),
    Mutant(
        "trust store: number 0",
        "trust.py",
        "if trust.number < 1:",
        "if False:",
        "portable/test_trust.py::test_the_number_begins_with_one",
    ),
    Mutant(
        "trust store: any key algorithm",
        "trust.py",
        "if alg != RsaKey.alg:",
        "if False:",
        "portable/test_trust.py::test_another_key_algorithm_is_unknown",
    ),
    Mutant(
        "trust store: a modulus without its top bit",
        "trust.py",
        " or modulus[0] < 0x80 or",
        " or",
        "portable/test_trust.py::test_a_modulus_is_an_odd_number_of_3072_bits",
    ),
    Mutant(
        "trust store: an even modulus",
        "trust.py",
        " or not modulus[-1] & 1:",
        ":",
        "portable/test_trust.py::test_a_modulus_is_an_odd_number_of_3072_bits",
    ),
    Mutant(
        "trust store: two keys of one kid",
        "trust.py",
        "if kid in keys or n in",
        "if n in",
        "portable/test_trust.py::test_a_key_never_stands_twice",
    ),
    Mutant(
        "trust store: one key under two kids",
        "trust.py",
        "if kid in keys or n in [key.n for key in keys.values()]:",
        "if kid in keys:",
        "portable/test_trust.py::test_one_key_under_two_names_does_not_reach_a_threshold_of_two",
    ),
    Mutant(
        "trust store: a kid that is no hex",
        "trust.py",
        "hex_decode(kid, 32)",
        "pass",
        "portable/test_trust.py::test_a_key_has_kid_alg_and_a_modulus_of_384_bytes",
    ),
    Mutant(
        "trust store: a role of unknown keys",
        "trust.py",
        'if kid not in keys:\n            raise Malformed("%s names a key that is not there" % name)',
        "if kid not in keys:\n            continue",
        "portable/test_trust.py::test_a_role_has_keys_of_the_store_and_a_threshold_that_they_can_reach",
    ),
    Mutant(
        "trust store: a threshold of 0",
        "trust.py",
        "if not 1 <= threshold <= len(members):",
        "if not threshold <= len(members):",
        "portable/test_trust.py::test_a_role_has_keys_of_the_store_and_a_threshold_that_they_can_reach",
    ),
    Mutant(
        "trust store: a threshold that the keys cannot reach",
        "trust.py",
        "if not 1 <= threshold <= len(members):",
        "if not 1 <= threshold:",
        "portable/test_trust.py::test_a_role_has_keys_of_the_store_and_a_threshold_that_they_can_reach",
    ),
    Mutant(
        "trust store: any number of keys",
        "trust.py",
        "_KEYS = const(8)",
        "_KEYS = const(800)",
        "portable/test_trust.py::test_there_are_at_most_eight_keys",
    ),
    Mutant(
        "trust store: any number of URLs",
        "trust.py",
        '"manifest_urls", str, 4',
        '"manifest_urls", str, 400',
        "portable/test_trust.py::test_every_optional_field_has_its_type_and_limit",
    ),
    Mutant(
        "trust store: any number of TLS roots",
        "trust.py",
        '"tls_roots", str, 4',
        '"tls_roots", str, 400',
        "portable/test_trust.py::test_every_optional_field_has_its_type_and_limit",
    ),
    Mutant(
        "manifest: any product",
        "manifest.py",
        "if release.product != product:",
        "if False:",
        "portable/test_manifest.py::test_product_then_board_then_chip",
    ),
    Mutant(
        "manifest: any board",
        "manifest.py",
        "if release.board != board:",
        "if False:",
        "portable/test_manifest.py::test_product_then_board_then_chip",
    ),
    Mutant(
        "manifest: any chip",
        "manifest.py",
        "if release.chip_id != chip_id:",
        "if False:",
        "portable/test_manifest.py::test_a_release_is_for_one_product_board_and_chip",
    ),
    Mutant(
        "manifest: downgrades",
        "manifest.py",
        "if release.sequence < least:",
        "if False:",
        "portable/test_manifest.py::test_a_lower_sequence_is_a_downgrade",
    ),
    Mutant(
        "manifest: the floor is not obeyed",
        "manifest.py",
        "least = max(highest, floor)",
        "least = highest",
        "portable/test_manifest.py::test_more_than_2_to_the_20_above_is_a_jump",
    ),
    Mutant(
        "manifest: below the highest one where there is a floor",
        "manifest.py",
        "least = max(highest, floor)",
        "least = floor or highest",
        "portable/test_manifest.py::test_more_than_2_to_the_20_above_is_a_jump",
    ),
    Mutant(
        "manifest: jumps of the sequence",
        "manifest.py",
        "if release.sequence - least > _JUMP:",
        "if False:",
        "portable/test_manifest.py::test_a_downgrade_or_a_jump_is_never_called_a_step",
    ),
    Mutant(
        "manifest: what is confirmed is new again",
        "manifest.py",
        "if release.sequence == highest:",
        "if False:",
        "portable/test_manifest.py::test_a_higher_sequence_is_new_and_the_same_is_here_already",
    ),
    Mutant(
        "manifest: min_sequence is not obeyed",
        "manifest.py",
        "if highest < release.min_sequence:",
        "if False:",
        "portable/test_manifest.py::test_a_device_below_the_least_sequence_needs_a_step",
    ),
    Mutant(
        "manifest: expired ones",
        "manifest.py",
        "if release.expires and now > release.expires:",
        "if False:",
        "portable/test_manifest.py::test_a_release_expires_behind_its_last_second",
    ),
    Mutant(
        "manifest: images larger than the slot",
        "manifest.py",
        "if release.size > slot_size:",
        "if False:",
        "portable/test_manifest.py::test_an_image_fits_its_slot",
    ),
    Mutant(
        "manifest: sequence 0",
        "manifest.py",
        "if self.sequence < 1 or",
        "if",
        "portable/test_manifest.py::test_numbers_have_their_limits",
    ),
    Mutant(
        "manifest: a chip id over 16 bits",
        "manifest.py",
        "or self.chip_id > 0xFFFF or",
        "or",
        "portable/test_manifest.py::test_numbers_have_their_limits",
    ),
    Mutant(
        "manifest: no payloads",
        "manifest.py",
        " or not self.payloads:",
        ":",
        "e2e/test_bad_input.py::test_bad_input_has_its_code_and_touches_nothing[in_process-no payloads]",
    ),
    Mutant(
        "manifest: an empty image",
        "manifest.py",
        "if self.size < 1 or",
        "if",
        "portable/test_manifest.py::test_an_image_is_not_empty",
    ),
    Mutant(
        "manifest: any number of block digests",
        "manifest.py",
        "if self.size < 1 or len(self.blocks) != DIGEST * ((self.size + BLOCK - 1) // BLOCK):",
        "if self.size < 1:",
        "portable/test_manifest.py::test_there_is_a_block_digest_for_each_64_kib",
    ),
    Mutant(
        "manifest: control characters in the version",
        "manifest.py",
        'if not " " <= char <= "~":',
        "if False:",
        "portable/test_manifest.py::test_a_version_is_printable_ascii",
    ),
    Mutant(
        "manifest: any format number",
        "manifest.py",
        "if number != FORMAT:",
        "if False:",
        "portable/test_manifest.py::test_another_format_number_is_unknown",
    ),
    Mutant(
        "manifest: any number of bytes",
        "manifest.py",
        "loads(payload, LIMIT)",
        "loads(payload, 1 << 20)",
        "portable/test_manifest.py::test_a_payload_of_more_than_6144_bytes_is_refused",
    ),
    Mutant(
        "manifest: a plain payload of another size",
        "manifest.py",
        "if payload.size != self.size:",
        "if False:",
        "portable/test_manifest.py::test_a_plain_payload_is_as_long_as_the_image",
    ),
    Mutant(
        "manifest: a payload in any encoding",
        "manifest.py",
        "if payload.encoding == PLAIN:",
        "if True:",
        "portable/test_manifest.py::test_without_a_plain_payload_there_is_none",
    ),
    Mutant(
        "manifest: URLs of any length",
        "manifest.py",
        "if not 1 <= len(url) <= 1024:",
        "if False:",
        "portable/test_manifest.py::test_a_payload_has_one_to_four_urls_of_1_to_1024_characters",
    ),
    Mutant(
        "manifest: a payload without URLs",
        "manifest.py",
        "if not urls:",
        "if False:",
        "portable/test_manifest.py::test_a_payload_has_one_to_four_urls_of_1_to_1024_characters",
    ),
    Mutant(
        "manifest: an empty payload",
        "manifest.py",
        "if size < 1:",
        "if False:",
        "portable/test_manifest.py::test_numbers_have_their_limits",
    ),
    Mutant(
        "manifest: any number of payloads",
        "manifest.py",
        '"payloads", dict, 8',
        '"payloads", dict, 800',
        "portable/test_manifest.py::test_there_are_at_most_eight_payloads",
    ),
    Mutant(
        "JSON: more bytes than the limit",
        "strict.py",
        "if len(buf) > limit:",
        "if False:",
        "portable/test_strict.py::test_more_bytes_than_the_limit_are_refused",
    ),
    Mutant(
        "JSON: not scanned at all",
        "strict.py",
        "if _space(buf, _value(buf, at, 1)) != len(buf):",
        "if False:",
        "portable/test_strict.py::test_every_truncation_is_refused",
    ),
    Mutant(
        "JSON: something behind the object",
        "strict.py",
        "if _space(buf, _value(buf, at, 1)) != len(buf):",
        "if _space(buf, _value(buf, at, 1)) > len(buf):",
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    Mutant(
        "JSON: a list at the top",
        "strict.py",
        'if buf[at : at + 1] != b"{":',
        "if False:",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    Mutant(
        "JSON: nested as deep as one likes",
        "strict.py",
        "if depth > _DEPTH:",
        "if False:",
        "portable/test_strict.py::test_objects_and_lists_nest_six_deep_and_no_deeper",
    ),
    Mutant(
        "JSON: no colon",
        "strict.py",
        'if buf[at : at + 1] != b":":',
        "if False:",
        "portable/test_strict.py::test_whatever_passes_the_scan_json_reads_too",
    ),
    Mutant(
        "JSON: a closing bracket of the other kind",
        "strict.py",
        "if mark == close:",
        'if mark in (b"}", b"]"):',
        "portable/test_strict.py::test_whatever_passes_the_scan_json_reads_too",
    ),
    Mutant(
        "JSON: empty names and names of any length",
        "strict.py",
        "if not 1 <= len(name) <= _NAME or b",
        "if b",
        "portable/test_strict.py::test_a_name_has_one_to_32_characters",
    ),
    Mutant(
        "JSON: escapes in names",
        "strict.py",
        ' or b"\\\\" in name or',
        " or",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    Mutant(
        "JSON: repeated names",
        "strict.py",
        " or name in names:",
        ":",
        "portable/test_strict.py::test_everything_else_is_refused",
    ),
    Mutant(
        "JSON: bytes over 0x7E in strings",
        "strict.py",
        "if not 0x20 <= byte <= 0x7E:",
        "if not 0x20 <= byte:",
        "portable/test_strict.py::test_in_a_string_only_printable_ascii_is_accepted",
    ),
    Mutant(
        "JSON: control characters in strings",
        "strict.py",
        "if not 0x20 <= byte <= 0x7E:",
        "if byte > 0x7E:",
        "portable/test_strict.py::test_in_a_string_only_printable_ascii_is_accepted",
    ),
    Mutant(
        "JSON: unknown escapes",
        "strict.py",
        "if at < len(buf) and buf[at] in b'\"\\\\/bfnrt':",
        "if at < len(buf):",
        "portable/test_strict.py::test_only_the_eight_short_escapes_and_u_exist",
    ),
    Mutant(
        "JSON: bad digits in escapes",
        "strict.py",
        "if digit < 0 or byte < 0x30:",
        "if False:",
        "portable/test_strict.py::test_an_escaped_code_has_four_hex_digits_of_any_case",
    ),
    Mutant(
        "JSON: control characters as digits of escapes",
        "strict.py",
        "if digit < 0 or byte < 0x30:",
        "if digit < 0:",
        "portable/test_strict.py::test_an_escaped_code_has_four_hex_digits_of_any_case",
    ),
    Mutant(
        "JSON: escaped control characters",
        "strict.py",
        "code < 0x20 or ",
        "",
        "portable/test_strict.py::test_escaped_codes_are_characters_from_u0020_on_without_surrogates",
    ),
    Mutant(
        "JSON: surrogates",
        "strict.py",
        " or 0xD800 <= code < 0xE000:",
        ":",
        "portable/test_strict.py::test_escaped_codes_are_characters_from_u0020_on_without_surrogates",
    ),
    Mutant(
        "JSON: integers of any length",
        "strict.py",
        "if at - start > _DIGITS or",
        "if",
        "portable/test_strict.py::test_an_integer_has_at_most_15_digits",
    ),
    Mutant(
        "JSON: leading zeros",
        "strict.py",
        " or (buf[start] == 0x30 and at - start > 1):",
        ":",
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    Mutant(
        "JSON: tabs between tokens",
        "strict.py",
        'in (b" ", b"\\n"):',
        'in (b" ", b"\\n", b"\\t"):',
        "portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted",
    ),
    Mutant(
        "base64url: what the decoder dropped",
        "strict.py",
        "if b64url_encode(raw) != coded:",
        "if False:",
        "portable/test_strict.py::test_base64url_that_others_would_read_is_refused",
    ),
    Mutant(
        "hex: any length",
        "strict.py",
        "if len(text) != 2 * size:",
        "if False:",
        "portable/test_strict.py::test_hexadecimal_is_lower_case_and_of_exact_length",
    ),
    Mutant(
        "hex: capital letters",
        "strict.py",
        'if char not in "0123456789abcdef":',
        'if char not in "0123456789abcdefABCDEF":',
        "portable/test_strict.py::test_every_character_but_lower_case_digits_is_refused",
    ),
    Mutant(
        "fields: true is an integer",
        "strict.py",
        "if type(value) is not kind:\n        raise",
        "if not isinstance(value, kind):\n        raise",
        "portable/test_strict.py::test_a_field_has_its_type",
    ),
    Mutant(
        "fields: any type",
        "strict.py",
        "if type(value) is not kind:\n        raise",
        "if value is None:\n        raise",
        "portable/test_strict.py::test_a_field_that_is_there_is_not_its_default",
    ),
    Mutant(
        "fields: texts of any length",
        "strict.py",
        "if not least <= len(value) <= most:",
        "if False:",
        "portable/test_strict.py::test_a_text_has_its_length_limits_included",
    ),
    Mutant(
        "fields: lists of any length",
        "strict.py",
        "if len(values) > most:",
        "if False:",
        "portable/test_strict.py::test_a_list_has_a_limit_and_items_of_one_type",
    ),
    Mutant(
        "fields: list items of any type",
        "strict.py",
        "if type(value) is not kind:\n            raise",
        "if False:\n            raise",
        "portable/test_strict.py::test_the_message_names_the_field",
    ),
    Mutant(
        "image head: any magic",
        "image.py",
        "if head[0] != _MAGIC or not 1 <= head[1] <= _MAX_SEGMENTS:",
        "if not 1 <= head[1] <= _MAX_SEGMENTS:",
        "portable/test_image.py::test_another_magic_is_refused",
    ),
    Mutant(
        "image head: any number of segments",
        "image.py",
        "if head[0] != _MAGIC or not 1 <= head[1] <= _MAX_SEGMENTS:",
        "if head[0] != _MAGIC:",
        "portable/test_image.py::test_a_head_names_1_to_16_segments",
    ),
    Mutant(
        "image head: any chip",
        "image.py",
        "if chip != chip_id:",
        "if False:",
        "portable/test_image.py::test_the_chip_is_named_before_the_descriptor_is_missed",
    ),
    Mutant(
        "image head: bootloaders and merged files",
        "image.py",
        "if magic != DESCRIPTOR:",
        "if False:",
        "portable/test_image.py::test_a_bootloader_or_a_merged_file_is_no_application",
    ),
    Mutant(
        "image head: a first segment of any length",
        "image.py",
        "if length % 4 or length >= _MAX_SEGMENT:\n        raise",
        "if False:\n        raise",
        "portable/test_image.py::test_the_first_segment_has_a_length_that_can_be",
    ),
    Mutant(
        "image: any magic",
        "image.py",
        "if head[0] != _MAGIC:",
        "if False:",
        "portable/test_image.py::test_another_magic_is_no_image",
    ),
    Mutant(
        "image: any number of segments",
        "image.py",
        "if not 1 <= count <= _MAX_SEGMENTS:",
        "if False:",
        "portable/test_image.py::test_an_image_has_1_to_16_segments",
    ),
    Mutant(
        "image: a segment of any length",
        "image.py",
        "if length % 4 or length >= _MAX_SEGMENT:\n            raise",
        "if False:\n            raise",
        "portable/test_image.py::test_a_segment_is_a_multiple_of_4_bytes",
    ),
    Mutant(
        "image: an image larger than the limit",
        "image.py",
        "if size > limit:",
        "if False:",
        "portable/test_image.py::test_no_byte_behind_the_limit_is_asked_for",
    ),
    Mutant(
        "image: the checksum is not compared",
        "image.py",
        "if stored != checksum:",
        "if False:",
        "portable/test_image.py::test_a_right_digest_does_not_excuse_a_wrong_checksum",
    ),
    Mutant(
        "image: the appended SHA-256 is not compared",
        "image.py",
        "if sha.digest() != bytes(_exactly(read, end, 32, limit)):",
        "if False:",
        "portable/test_image.py::test_a_right_checksum_does_not_excuse_a_wrong_digest",
    ),
    Mutant(
        "image: reads behind the limit",
        "image.py",
        "if offset + n > limit:",
        "if False:",
        "portable/test_image.py::test_no_byte_behind_the_limit_is_asked_for",
    ),
    Mutant(
        "image: a truncated source",
        "image.py",
        "if len(data) != n:",
        "if False:",
        "portable/test_image.py::test_a_segment_ends_within_the_limit",
    ),
    Mutant(
        "journal: the CRC is not compared",
        "journal.py",
        'if struct.unpack_from("<I", record, SIZE - 4)[0] != binascii.crc32(body):',
        "if False:",
        "portable/test_journal.py::test_every_flipped_bit_is_noticed",
    ),
    Mutant(
        "journal: any format number",
        "journal.py",
        "if fields[0] != _FORMAT:",
        "if False:",
        "portable/test_journal.py::test_another_format_is_none",
    ),
    Mutant(
        "journal: any length",
        "journal.py",
        "if len(record) != SIZE:",
        "if False:",
        "portable/test_journal.py::test_blank_and_zero_records_are_none",
    ),
    Mutant(
        "journal: the state of a later library",
        "journal.py",
        "if journal.state > CONFIRMING:",
        "if False:",
        "portable/test_journal.py::test_a_state_or_outcome_of_a_later_library_reads_as_none_and_the_rest_counts",
    ),
    Mutant(
        "journal: the outcome of a later library",
        "journal.py",
        "if journal.outcome >= len(OUTCOMES):",
        "if False:",
        "portable/test_journal.py::test_a_state_or_outcome_of_a_later_library_reads_as_none_and_the_rest_counts",
    ),
    Mutant(
        "journal: nothing is ever refused",
        "journal.py",
        "if known == digest[:16] and sequence <= above:",
        "if False:",
        "portable/test_journal.py::test_a_higher_sequence_of_the_same_image_is_refused_anew",
    ),
    Mutant(
        "journal: refused under this one sequence only",
        "journal.py",
        "and sequence <= above",
        "and sequence == above",
        "portable/test_journal.py::test_the_same_image_is_kept_once",
    ),
    Mutant(
        "journal: refused for ever",
        "journal.py",
        "if known == digest[:16] and sequence <= above:",
        "if known == digest[:16]:",
        "portable/test_journal.py::test_a_higher_sequence_of_the_same_image_is_refused_anew",
    ),
    Mutant(
        "journal: only one refused image is kept",
        "journal.py",
        "self.refused[: _REFUSED - 1]",
        "[]",
        "portable/test_journal.py::test_four_images_are_kept_newest_first",
    ),
    Mutant(
        "journal: more refused images than there is room for",
        "journal.py",
        "self.refused[: _REFUSED - 1]",
        "self.refused",
        "portable/test_journal.py::test_four_images_are_kept_newest_first",
    ),
    Mutant(
        "journal: a new write of an image forgets its tries",
        "journal.py",
        "if not self.is_about(digest, sequence):",
        "if True:",
        "portable/test_journal.py::test_an_image_that_was_tried_before_keeps_its_count",
    ),
    Mutant(
        "journal: another image inherits tries",
        "journal.py",
        "if not self.is_about(digest, sequence):",
        "if False:",
        "portable/test_journal.py::test_a_start_names_the_attempt",
    ),
    Mutant(
        "journal: an attempt is told apart by its image only",
        "journal.py",
        "return (self.digest, self.sequence) == (digest, sequence)",
        "return self.digest == digest",
        "portable/test_journal.py::test_an_attempt_is_about_one_image_under_one_sequence",
    ),
    Mutant(
        "journal: tries without end",
        "journal.py",
        "MAX_TRIES = const(3)",
        "MAX_TRIES = const(250)",
        "portable/test_journal.py::test_states_and_outcomes_have_the_numbers_of_the_format",
    ),
    Mutant(
        "journal: crashes without end",
        "journal.py",
        "MAX_CRASHES = const(2)",
        "MAX_CRASHES = const(250)",
        "portable/test_journal.py::test_states_and_outcomes_have_the_numbers_of_the_format",
    ),
    Mutant(
        "state table: a pending image is normal",
        "journal.py",
        "(PENDING_VERIFY, True): ON_TRIAL,",
        "(PENDING_VERIFY, True): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: a new image without rollback is normal",
        "journal.py",
        "(NEW, True): SOFT_TRIAL,",
        "(NEW, True): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: a torn record is normal",
        "journal.py",
        "(OTHER, True): TORN,",
        "(OTHER, True): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: a selected image is not booted",
        "journal.py",
        "(NEW, False): RESET,",
        "(NEW, False): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: an image that did not load is normal",
        "journal.py",
        "(PENDING_VERIFY, False): NOT_LOADABLE,",
        "(PENDING_VERIFY, False): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: an image that did not load is not noted",
        "journal.py",
        "(PENDING_VERIFY, False): NOT_LOADABLE,",
        "(PENDING_VERIFY, False): DROP,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: a valid record of the other slot stays",
        "journal.py",
        "(VALID, False): DROP,",
        "(VALID, False): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: a torn record of the other slot stays",
        "journal.py",
        "(OTHER, False): DROP,",
        "(OTHER, False): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "state table: without a record nothing is repaired",
        "journal.py",
        "(NO_RECORD, False): REPAIR,",
        "(NO_RECORD, False): NORMAL,",
        "portable/test_journal.py::test_the_state_table_is_whole",
    ),
    Mutant(
        "otadata: the crc is not compared",
        "otadata.py",
        "return not is_invalid(entry) and crc == seq_crc(seq_of(entry))",
        "return not is_invalid(entry)",
        "portable/test_otadata.py::test_a_wrong_crc_is_not_valid_and_says_nothing_of_the_state",
    ),
    Mutant(
        "otadata: an empty record is valid",
        "otadata.py",
        "return seq_of(entry) == _EMPTY or state_of(entry) in (INVALID, ABORTED)",
        "return state_of(entry) in (INVALID, ABORTED)",
        "portable/test_otadata.py::test_empty_and_given_up_records_are_invalid",
    ),
    Mutant(
        "otadata: an aborted image is valid",
        "otadata.py",
        "in (INVALID, ABORTED)",
        "in (INVALID,)",
        "portable/test_otadata.py::test_records_are_those_of_official_firmware",
    ),
    Mutant(
        "otadata: an invalid image is valid",
        "otadata.py",
        "in (INVALID, ABORTED)",
        "in (ABORTED,)",
        "portable/test_otadata.py::test_without_a_valid_record_none_decides",
    ),
    Mutant(
        "otadata: the lower seq decides",
        "otadata.py",
        "return 0 if seq_of(entries[0]) >= seq_of(entries[1]) else 1",
        "return 0 if seq_of(entries[0]) <= seq_of(entries[1]) else 1",
        "portable/test_otadata.py::test_the_higher_of_two_valid_records_decides",
    ),
    Mutant(
        "port: one OTA slot is enough",
        "port.py",
        "if len(found) < 2 or",
        "if len(found) < 1 or",
        "portable/test_checks.py::test_two_ota_slots_are_needed_without_a_hole",
    ),
    Mutant(
        "port: a hole between the slots",
        "port.py",
        " or sorted(found) != list(range(len(found))):",
        ":",
        "portable/test_checks.py::test_two_ota_slots_are_needed_without_a_hole",
    ),
    Mutant(
        "port: no otadata partition",
        "port.py",
        "if not found:\n            raise",
        "if False:\n            raise",
        "portable/test_checks.py::test_otadata_is_needed",
    ),
    Mutant(
        "port: NVS is not read back",
        "port.py",
        "if not same:",
        "if False:",
        "portable/test_checks.py::test_what_nvs_does_not_give_back_was_not_written",
    ),
    Mutant(
        "port: FAT is taken",
        "port.py",
        'if end == b"\\x55\\xaa":',
        "if False:",
        "portable/test_checks.py::test_fat_is_refused",
    ),
    Mutant(
        "port: a clock that was never set is believed",
        "port.py",
        "return self.now() >= _BUILT",
        "return True",
        "portable/test_checks.py::test_a_clock_before_the_library_was_written_is_not_set",
    ),
    Mutant(
        "port: no watchdog",
        "port.py",
        "self._machine.WDT(timeout=seconds * 1000)",
        "pass",
        "host/test_trial.py::test_the_window_comes_from_the_configuration",
    ),
    Mutant(
        "port: the watchdog is not parked",
        "port.py",
        "self._machine.WDT(timeout=_PARKED_MS)",
        "pass",
        "host/test_trial.py::test_confirm_parks_the_watchdog",
    ),
    Mutant(
        "port: a failed set_boot is passed over",
        "port.py",
        'raise error("not-bootable", "set_boot: %s" % e)',
        "pass",
        "portable/test_checks.py::test_a_slot_that_the_bootloader_refuses_is_not_selected",
    ),
    Mutant(
        "port: a failed mark is passed over",
        "port.py",
        'raise error("flash", "mark valid: %s" % e)',
        "pass",
        "portable/test_checks.py::test_a_mark_that_fails_is_an_error",
    ),
    Mutant(
        "port: every image is for chip 0",
        "port.py",
        'return struct.unpack("<H", buf)[0]',
        "return 0",
        "portable/test_checks.py::test_the_chip_is_the_one_of_the_running_image",
    ),
    Mutant(
        "port: the factory image counts as slot 0",
        "port.py",
        "if _OTA_0 <= subtype <= _OTA_LAST else -1",
        "if _OTA_0 <= subtype <= _OTA_LAST else 0",
        "portable/test_checks.py::test_a_factory_image_runs_in_no_slot",
    ),
    Mutant(
        "memory: the log's CRC is not compared",
        "memory.py",
        'return body if struct.pack("<I", binascii.crc32(body)) == record[_LOG_SIZE - 4 :] else b""',
        "return body",
        "host/test_trial.py::test_a_damaged_log_is_an_empty_one",
    ),
    Mutant(
        "memory: a log that cannot be written stops the update",
        "memory.py",
        "except OtaError:",
        "except ZeroDivisionError:",
        "portable/test_checks.py::test_a_log_that_cannot_be_written_stops_nothing",
    ),
    Mutant(
        "memory: forgetting keeps the tries",
        "memory.py",
        "    if binascii.hexlify(journal.digest[:16]).decode() == start:",
        "    if False:",
        "host/test_trial.py::test_a_refused_image_can_be_forgotten",
    ),
    Mutant(
        "files: more bytes than the limit",
        "files.py",
        "if len(data) > limit:",
        "if False:",
        "portable/test_files.py::test_a_file_without_end_is_read_to_the_limit_only",
    ),
    Mutant(
        "files: not read back",
        "files.py",
        "if read_file(fresh, len(data)) != data:",
        "if False:",
        "portable/test_files.py::test_what_does_not_read_back_never_replaces_the_old_file",
    ),
    Mutant(
        "files: written in place",
        "files.py",
        'fresh = path + ".new"',
        "fresh = path",
        "portable/test_files.py::test_an_old_fresh_file_does_not_matter",
    ),
    Mutant(
        "files: any error is a missing file",
        "files.py",
        "if e.errno == 2:",
        "if True:",
        "portable/test_files.py::test_what_cannot_be_read_is_an_error_with_its_code",
    ),
    Mutant(
        "receipts: any format number",
        "receipt.py",
        'if field(fields, "format", int) != _FORMAT:',
        "if False:",
        "portable/test_files.py::test_receipts_that_break_the_schema_are_none",
    ),
    Mutant(
        "receipts: damaged ones stop the update",
        "receipt.py",
        "except (OtaError, Malformed, ValueError):",
        "except ZeroDivisionError:",
        "portable/test_files.py::test_a_file_of_receipts_that_cannot_be_read_is_no_receipts",
    ),
    Mutant(
        "receipts: files over the limit are written",
        "receipt.py",
        "if len(data) > _LIMIT:",
        "if False:",
        "portable/test_files.py::test_receipts_of_at_most_2048_bytes_are_written",
    ),
    Mutant(
        "configuration: numbers outside their limits",
        "config.py",
        "if not least <= value <= most:",
        "if False:",
        "portable/test_files.py::test_numbers_of_a_configuration_have_their_limits",
    ),
    Mutant(
        "configuration: a missing file",
        "config.py",
        "if not data:",
        "if False:",
        "portable/test_files.py::test_a_missing_or_empty_configuration_is_an_error",
    ),
    Mutant(
        "URL: without TLS",
        "http.py",
        'if not text.startswith("https://"):',
        "if False:",
        "portable/test_http.py::test_a_reference_never_leaves_https",
    ),
    Mutant(
        "URL: any character",
        "http.py",
        'if not "!" <= char <= "~":',
        "if False:",
        "portable/test_http.py::test_nothing_in_a_url_ends_a_header_line",
    ),
    Mutant(
        "URL: any length",
        "http.py",
        "if not 1 <= len(text) <= _URL_LIMIT:",
        "if False:",
        "portable/test_http.py::test_a_url_has_at_most_1024_characters",
    ),
    Mutant(
        "URL: port 0 or over 65535",
        "http.py",
        " and 0 < int(port) < 65536):",
        "):",
        "portable/test_http.py::test_what_cannot_be_used_is_refused",
    ),
    Mutant(
        "URL: no host",
        "http.py",
        "if not self.host:",
        "if False:",
        "portable/test_http.py::test_what_cannot_be_used_is_refused",
    ),
    Mutant(
        "URL: any host",
        "http.py",
        'if not (char.isalpha() or char.isdigit() or char in ".-_"):',
        "if False:",
        "portable/test_http.py::test_what_cannot_be_used_is_refused",
    ),
    Mutant(
        "HTTP: a head of any length",
        "http.py",
        "if self._total > HEAD_LIMIT:",
        "if False:",
        "portable/test_http.py::test_dropped_bytes_count_too",
    ),
    Mutant(
        "HTTP: any protocol",
        "http.py",
        'if len(parts) < 2 or parts[0] not in (b"HTTP/1.1", b"HTTP/1.0"):',
        "if len(parts) < 2:",
        "portable/test_http.py::test_what_is_no_status_line_is_refused",
    ),
    Mutant(
        "HTTP: a status of any length",
        "http.py",
        'if len(parts[1]) != 3 or not parts[1].isdigit() or parts[1] < b"100":',
        "if not parts[1].isdigit():",
        "portable/test_http.py::test_what_is_no_status_line_is_refused",
    ),
    Mutant(
        "HTTP: headers without a name",
        "http.py",
        "if not colon or not name or name != name.strip():",
        "if False:",
        "portable/test_http.py::test_a_header_has_a_name_without_space_around_it",
    ),
    Mutant(
        "HTTP: two Content-Lengths",
        "http.py",
        " or self.length >= 0:",
        ":",
        "portable/test_http.py::test_a_second_length_is_refused_even_where_it_is_the_same",
    ),
    Mutant(
        "HTTP: a signed Content-Length",
        "http.py",
        "or not value.isdigit() or",
        "or not value.strip(b'+-').isdigit() or",
        "portable/test_http.py::test_a_length_is_one_number",
    ),
    Mutant(
        "HTTP: a Content-Length of any size",
        "http.py",
        " or len(value) > _LENGTH_DIGITS or",
        " or",
        "portable/test_http.py::test_a_length_is_one_number",
    ),
    Mutant(
        "HTTP: a Content-Length that was cut",
        "http.py",
        "if not whole or not value.isdigit()",
        "if not value.isdigit()",
        "portable/test_http.py::test_a_cut_length_is_refused",
    ),
    Mutant(
        "HTTP: chunked bodies",
        "http.py",
        'elif name == b"transfer-encoding":',
        'elif name == b"":',
        "portable/test_http.py::test_any_transfer_encoding_is_refused",
    ),
    Mutant(
        "HTTP: compressed bodies",
        "http.py",
        'elif name == b"content-encoding" and value.lower() != b"identity":',
        'elif name == b"":',
        "portable/test_http.py::test_no_content_encoding_but_identity_is_taken",
    ),
    Mutant(
        "TLS: the certificate is not verified",
        "net.py",
        "self._context.verify_mode = tls.CERT_REQUIRED",
        "self._context.check_hostname = False; self._context.verify_mode = tls.CERT_NONE",
        "portable/test_checks.py::test_a_certificate_is_judged_by_a_clock_that_was_set",
    ),
    Mutant(
        "TLS: without roots",
        "net.py",
        "if not roots:",
        "if False:",
        "portable/test_checks.py::test_without_a_tls_root_that_can_be_read_nothing_is_opened",
    ),
    Mutant(
        "TLS: any host name",
        "net.py",
        "server_hostname=url.host",
        'server_hostname="elsewhere.example"',
        "e2e/test_update.py::test_a_server_of_another_name_is_refused",
    ),
    Mutant(
        "TLS: a root that cannot be read is passed over",
        "net.py",
        'raise error("config", "a TLS root certificate cannot be read: %s" % e)',
        "pass",
        "portable/test_checks.py::test_without_a_tls_root_that_can_be_read_nothing_is_opened",
    ),
    Mutant(
        "TLS: a clock that was not set has no code",
        "net.py",
        "if not self._port.clock_is_set():",
        "if False:",
        "portable/test_checks.py::test_a_certificate_is_judged_by_a_clock_that_was_set",
    ),
    Mutant(
        "TLS: no limit to a server's silence",
        "net.py",
        "sock.settimeout(self._timeout_s)",
        "pass",
        "portable/test_checks.py::test_a_connection_has_a_time_limit_and_is_closed_where_nobody_is_trusted",
    ),
    Mutant(
        "net: time-outs have no code",
        "net.py",
        "if type(e.errno) is int and abs(e.errno) in _TIMEOUTS:",
        "if False:",
        "portable/test_checks.py::test_a_time_out_has_its_code_whatever_the_sign",
    ),
    Mutant(
        "TLS: a socket stays open after a bad certificate",
        "net.py",
        "except ValueError as e:\n            sock.close()",
        "except ValueError as e:\n            pass",
        "portable/test_checks.py::test_a_connection_has_a_time_limit_and_is_closed_where_nobody_is_trusted",
    ),
    Mutant(
        "source: any status",
        "source.py",
        "if head.status != _OK:",
        "if False:",
        "e2e/test_update.py::test_a_missing_manifest_is_an_http_status",
    ),
    Mutant(
        "source: no Content-Length",
        "source.py",
        "if head.length < 0:",
        "if False:",
        "e2e/test_bad_input.py::test_bad_input_has_its_code_and_touches_nothing[in_process-no Content-Length]",
    ),
    Mutant(
        "source: a body that ends early",
        "source.py",
        'raise error("short-body"',
        'return len(buf)  # error("short-body"',
        "e2e/test_bad_input.py::test_bad_input_has_its_code_and_touches_nothing[in_process-body shorter than announced]",
    ),
    Mutant(
        "source: a head that ends early",
        "source.py",
        "if not piece:",
        'if not piece:\n                piece = b"\\n"\n            if False:',
        "portable/test_checks.py::test_a_head_that_ends_early_is_a_lost_link_and_closed",
    ),
    Mutant(
        "source: a body longer than announced",
        "source.py",
        "if len(buf) > self._left:",
        "if False:",
        "portable/test_checks.py::test_a_body_is_never_longer_than_announced",
    ),
    Mutant(
        "source: a stream that timed out",
        "source.py",
        "if result is None:",
        "if False:",
        "portable/test_checks.py::test_a_stream_that_gives_nothing_in_time_is_a_time_out",
    ),
    Mutant(
        "source: a connection stays open after a failure",
        "source.py",
        "was raised\n        stream.close()",
        "was raised\n        pass",
        "portable/test_checks.py::test_a_head_that_ends_early_is_a_lost_link_and_closed",
    ),
    Mutant(
        "slot: bytes behind the signed size",
        "slot.py",
        "        if len(view) > self._left:",
        "        view = view[: self._left]\n        if False:",
        "portable/test_checks.py::test_bytes_behind_the_end_are_refused_not_dropped",
    ),
    Mutant(
        "slot: an image that is not complete",
        "slot.py",
        "if self._left:\n            raise",
        "if False:\n            raise",
        "portable/test_slot.py::test_a_truncation_anywhere_is_an_error_and_leaves_no_header",
    ),
    Mutant(
        "slot: the whole digest is not compared",
        "slot.py",
        "if sha.digest() == self._release.sha256:",
        "if True:",
        "portable/test_slot.py::test_a_manifest_whose_digests_disagree_is_refused",
    ),
    Mutant(
        "slot: the block digest is not compared",
        "slot.py",
        "if self._sha.digest()[:DIGEST] != self._signed(index):",
        "if False:",
        "portable/test_slot.py::test_corrupt_data_is_noticed_at_the_end_of_its_block",
    ),
    Mutant(
        "slot: a block that does not read back has no code",
        "slot.py",
        "if not self._is_right(index):\n                raise",
        "if False:\n                raise",
        "portable/test_slot.py::test_flash_that_does_not_hold_what_was_written_is_noticed",
    ),
    Mutant(
        "slot: the header is not read back",
        "slot.py",
        "if self._read_head() != self.head:",
        "if False:",
        "portable/test_checks.py::test_a_header_that_does_not_read_back_is_an_error",
    ),
    Mutant(
        "slot: header first",
        "slot.py",
        "self._device.writeblocks(0, self._view[HEADER:], HEADER)\n\n    def _store_sector",
        "self._device.writeblocks(0, self.head + bytes(self._view[HEADER:]), 0)\n\n    def _store_sector",
        "portable/test_slot.py::test_a_flipped_byte_anywhere_is_an_error_and_leaves_no_header",
    ),
    Mutant(
        "slot: an old header stays while the rest is written",
        "slot.py",
        "        for at in range(HEADER):\n            self._block[at] = 0xFF\n        doubt",
        "        doubt",
        "portable/test_slot.py::test_only_sectors_that_differ_are_written",
    ),
    Mutant(
        "slot: the head of the image is not looked at",
        "slot.py",
        "check_head(self._view, self._release.chip_id)",
        "pass",
        "portable/test_slot.py::test_what_is_no_image_is_refused_before_any_flash_operation",
    ),
    Mutant(
        "slot: nobody is told before the first erase",
        "slot.py",
        "if self._on_head:\n            self._on_head(self.head)",
        "if False:\n            self._on_head(self.head)",
        "portable/test_slot.py::test_the_head_is_told_before_the_first_erase",
    ),
    Mutant(
        "slot: a sector in doubt is left as it reads",
        "slot.py",
        "if not doubt:\n            self._device.readblocks(index",
        "if True:\n            self._device.readblocks(index",
        "portable/test_slot.py::test_a_block_in_doubt_is_written_even_where_it_reads_right",
    ),
    Mutant(
        "slot: no block is in doubt after a cut",
        "slot.py",
        "if interrupted and wrong >= 0:",
        "if False:",
        "portable/test_slot.py::test_a_block_in_doubt_is_written_even_where_it_reads_right",
    ),
    Mutant(
        "slot: one block in doubt where another image was cut",
        "slot.py",
        "wrong + 1 if head else len(self._right)",
        "wrong + 1",
        "portable/test_checks.py::test_every_wrong_block_is_in_doubt_where_another_image_was_cut",
    ),
    Mutant(
        "slot: sector 0 in doubt is left as it reads",
        "slot.py",
        "if doubt or self._scratch != self._block:",
        "if self._scratch != self._block:",
        "portable/test_checks.py::test_a_sector_in_doubt_is_erased_whatever_it_reads",
    ),
    Mutant(
        "slot: a sector is programmed without an erase",
        "slot.py",
        "elif not doubt and self._is_blank():",
        "elif True:",
        "portable/test_slot.py::test_a_block_in_doubt_is_written_even_where_it_reads_right",
    ),
    Mutant(
        "slot: sector 0 is programmed without an erase",
        "slot.py",
        "if doubt or not self._is_blank():",
        "if False:",
        "portable/test_slot.py::test_the_head_is_told_before_the_first_erase",
    ),
    Mutant(
        "slot: sector 0 in doubt is programmed where it reads blank",
        "slot.py",
        "if doubt or not self._is_blank():",
        "if not self._is_blank():",
        "portable/test_checks.py::test_a_sector_in_doubt_is_erased_whatever_it_reads",
    ),
    Mutant(
        "slot: a sector in doubt is programmed where it reads blank",
        "slot.py",
        "elif not doubt and self._is_blank():",
        "elif self._is_blank():",
        "portable/test_checks.py::test_every_wrong_block_is_in_doubt_where_another_image_was_cut",
    ),
    Mutant(
        "slot: a torn header is programmed twice",
        "slot.py",
        'if head != b"\\xff" * HEADER:',
        "if False:",
        "portable/test_slot.py::test_a_torn_header_is_mended_without_programming_a_byte_twice",
    ),
    Mutant(
        "slot: right sectors are written again",
        "slot.py",
        "if self._scratch == self._block:\n                return",
        "if False:\n                return",
        "portable/test_slot.py::test_only_sectors_that_differ_are_written",
    ),
    Mutant(
        "slot: the last sector is not padded",
        "slot.py",
        "for at in range(fill, SECTOR):",
        "for at in range(0):",
        "portable/test_slot.py::test_the_last_sector_is_padded_and_nothing_behind_it_is_touched",
    ),
    Mutant(
        "slot: every block is right",
        "slot.py",
        "return sha.digest()[:DIGEST] == self._signed(index)",
        "return True",
        "portable/test_slot.py::test_a_blank_slot_is_not_erased",
    ),
    Mutant(
        "situation: RUNNING is not compared with BOOT",
        "situation.py",
        "action(self.state, self.selected == self.running)",
        "action(self.state, True)",
        "host/test_trial.py::test_an_old_breakage_is_dropped[4294967295]",
    ),
    Mutant(
        "situation: a factory image without records is repaired",
        "journal.py",
        "(NO_RECORD, True): NORMAL",
        "(NO_RECORD, True): REPAIR",
        "host/test_trial.py::test_a_factory_image_gets_control_back_from_a_failed_self_test",
    ),
    Mutant(
        "situation: a torn record is never a trial",
        "situation.py",
        "if self.action == TORN:",
        "if False:",
        "host/test_trial.py::test_a_torn_record_is_a_trial_where_the_journal_knows_the_image",
    ),
    Mutant(
        "situation: a torn record is a trial of any slot",
        "situation.py",
        "return journal.slot == self.running and journal.state != NONE",
        "return journal.state != NONE",
        "portable/test_checks.py::test_a_torn_record_is_no_trial_where_the_journal_is_about_the_other_slot",
    ),
    Mutant(
        "situation: a torn record is always a trial",
        "situation.py",
        "return journal.slot == self.running and journal.state != NONE",
        "return True",
        "host/test_trial.py::test_a_torn_record_is_normal_where_the_journal_knows_nothing",
    ),
    Mutant(
        "situation: a trial without rollback is none",
        "situation.py",
        "return self.action in (ON_TRIAL, SOFT_TRIAL)",
        "return self.action == ON_TRIAL",
        "host/test_trial.py::test_without_a_rollback_bootloader_the_library_watches",
    ),
    Mutant(
        "situation: a broken record is a way back",
        "situation.py",
        "return is_valid(other) and slot_of",
        "return slot_of",
        "portable/test_checks.py::test_without_rollback_a_trial_goes_on_where_nothing_is_left",
    ),
    Mutant(
        "situation: a record of the same slot is a way back",
        "situation.py",
        "return is_valid(other) and slot_of(other, len(self.slots)) != self.selected",
        "return is_valid(other)",
        "portable/test_checks.py::test_the_way_back_is_a_valid_record_of_the_other_slot",
    ),
    Mutant(
        "situation: an aborted trial is not seen",
        "situation.py",
        "if state_of(entry) == ABORTED and",
        "if False and",
        "host/test_trial.py::test_an_image_that_dies_before_boot_py_counts_as_tried",
    ),
    Mutant(
        "situation: another slot's aborted trial counts",
        "situation.py",
        "if state_of(entry) == ABORTED and slot_of(entry, len(self.slots)) == slot:",
        "if state_of(entry) == ABORTED:",
        "portable/test_checks.py::test_an_aborted_record_is_about_its_own_slot",
    ),
    Mutant(
        "boot: an error comes through",
        "trial.py",
        "    except Exception as e:\n        fault",
        "    except ZeroDivisionError as e:\n        fault",
        "host/test_trial.py::test_boot_keeps_whatever_goes_wrong_for_status",
    ),
    Mutant(
        "boot: a trial is not begun",
        "trial.py",
        "if found.on_trial():\n        _begin_trial",
        "if False:\n        _begin_trial",
        "host/test_trial.py::test_without_a_valid_record_the_running_slot_is_selected_again",
    ),
    Mutant(
        "boot: a selected slot is reset into again and again",
        "trial.py",
        "elif found.action == RESET and found.journal.resets == 0:",
        "elif found.action == RESET:",
        "host/test_trial.py::test_a_selection_that_a_reset_does_not_boot_is_dropped",
    ),
    Mutant(
        "boot: the reset into a selected slot is not counted",
        "trial.py",
        "found.journal.resets = 1\n",
        "pass\n",
        "host/test_trial.py::test_an_image_that_cannot_load_counts_as_tried_without_a_rollback_bootloader",
    ),
    Mutant(
        "boot: an image that did not load is not noted",
        "trial.py",
        "_note_not_loaded(port, found)\n        port",
        "port",
        "host/test_trial.py::test_an_image_that_does_not_load_is_refused_and_its_record_dropped",
    ),
    Mutant(
        "boot: the record of an image that did not load stays",
        "trial.py",
        "_note_not_loaded(port, found)\n        port.drop_entry(found.index)",
        "_note_not_loaded(port, found)",
        "host/test_trial.py::test_an_image_that_does_not_load_is_refused_and_its_record_dropped",
    ),
    Mutant(
        "boot: an image that a reset does not boot costs no try",
        "trial.py",
        "if found.journal.state >= ACTIVATED:\n            _note_failure",
        "if False:\n            _note_failure",
        "host/test_trial.py::test_an_image_that_cannot_load_counts_as_tried_without_a_rollback_bootloader",
    ),
    Mutant(
        "boot: an old breakage stays",
        "trial.py",
        "elif found.action == DROP:\n        port.drop_entry(found.index)",
        "elif found.action == DROP:\n        pass",
        "host/test_trial.py::test_an_old_breakage_is_dropped[4294967295]",
    ),
    Mutant(
        "boot: repairs without end",
        "trial.py",
        "elif found.action == REPAIR and found.journal.resets == 0:",
        "elif found.action == REPAIR:",
        "portable/test_checks.py::test_without_a_record_a_board_is_repaired_once",
    ),
    Mutant(
        "boot: an unconfirmed image without record is blessed",
        "trial.py",
        "if journal.slot == found.running and journal.state in (ACTIVATED, TRIAL):",
        "if False:",
        "host/test_trial.py::test_an_unconfirmed_image_without_any_record_is_not_blessed",
    ),
    Mutant(
        "boot: nothing is noted on a normal boot",
        "trial.py",
        "elif found.action == NORMAL:",
        "elif False:",
        "host/test_trial.py::test_a_selection_whose_record_was_lost_costs_no_try",
    ),
    Mutant(
        "boot: a trial of another slot is closed as confirmed",
        "trial.py",
        "if journal.slot == found.running:\n        _close_confirm",
        "if True:\n        _close_confirm",
        "host/test_trial.py::test_a_confirm_that_boot_finishes_starts_no_watchdog",
    ),
    Mutant(
        "boot: a confirm that was cut costs a try",
        "trial.py",
        "elif journal.state == CONFIRMING:",
        "elif False:",
        "host/test_trial.py::test_a_confirm_that_boot_finishes_starts_no_watchdog",
    ),
    Mutant(
        "boot: how a trial ended is not noted",
        "trial.py",
        "if journal.state == TRIAL or found.was_aborted(journal.slot):",
        "if False:",
        "host/test_trial.py::test_an_image_that_dies_before_boot_py_counts_as_tried",
    ),
    Mutant(
        "boot: an image that died before boot.py costs no try",
        "trial.py",
        "if journal.state == TRIAL or found.was_aborted(journal.slot):",
        "if journal.state == TRIAL:",
        "host/test_trial.py::test_an_image_that_dies_before_boot_py_counts_as_tried",
    ),
    Mutant(
        "boot: a lost selection costs a try",
        "trial.py",
        "if journal.state == TRIAL or found.was_aborted(journal.slot):",
        "if True:",
        "host/test_trial.py::test_a_selection_whose_record_was_lost_costs_no_try",
    ),
    Mutant(
        "trial: a confirm that was cut is not finished",
        "trial.py",
        "if mine and journal.state == CONFIRMING:",
        "if False:",
        "host/test_trial.py::test_without_a_valid_record_the_running_slot_is_selected_again",
    ),
    Mutant(
        "trial: leaving that was cut is not finished",
        "trial.py",
        "if mine and found.can_return() and journal.is_refused(journal.digest, journal.sequence):",
        "if False:",
        "host/test_trial.py::test_leaving_that_was_cut_short_is_finished_at_the_next_boot",
    ),
    Mutant(
        "trial: a reset does not end one without rollback",
        "trial.py",
        "if mine and journal.state == TRIAL:\n",
        "if False:\n",
        "host/test_trial.py::test_without_a_rollback_bootloader_one_unconfirmed_reset_goes_back[3]",
    ),
    Mutant(
        "trial: a wake from deep sleep ends it",
        "trial.py",
        "cause not in (SOFT, DEEP_SLEEP)",
        "cause not in (SOFT,)",
        "host/test_trial.py::test_without_a_rollback_bootloader_a_wake_from_deep_sleep_is_no_failure",
    ),
    Mutant(
        "trial: a soft reset ends it",
        "trial.py",
        "cause not in (SOFT, DEEP_SLEEP)",
        "cause not in (DEEP_SLEEP,)",
        "portable/test_checks.py::test_without_rollback_a_hard_reset_ends_a_trial_and_a_soft_one_does_not",
    ),
    Mutant(
        "trial: it is ended where nothing is left to go back to",
        "trial.py",
        "not in (SOFT, DEEP_SLEEP) and found.can_return():",
        "not in (SOFT, DEEP_SLEEP):",
        "portable/test_checks.py::test_without_rollback_a_trial_goes_on_where_nothing_is_left",
    ),
    Mutant(
        "trial: no watchdog",
        "trial.py",
        "port.watchdog(window_s)",
        "pass",
        "host/test_trial.py::test_a_new_image_is_on_trial_under_the_watchdog",
    ),
    Mutant(
        "trial: a soft reset prolongs it",
        "trial.py",
        "if cause != SOFT:",
        "if True:",
        "host/test_trial.py::test_a_soft_reset_neither_ends_nor_prolongs_the_trial",
    ),
    Mutant(
        "trial: the configured window is not obeyed",
        "trial.py",
        "window_s = window_s or _window(port)",
        "window_s = window_s or _WINDOW_S",
        "host/test_trial.py::test_the_window_comes_from_the_configuration",
    ),
    Mutant(
        "trial: a bad configuration leaves it without watchdog",
        "trial.py",
        "    except OtaError:\n        return _WINDOW_S",
        "    except ZeroDivisionError:\n        return _WINDOW_S",
        "host/test_trial.py::test_boot_survives_a_journal_erased_in_the_trial",
    ),
    Mutant(
        "trial: the watchdog starts behind the first write",
        "trial.py",
        "    if cause != SOFT:\n",
        "    save_journal(port, journal)\n    if cause != SOFT:\n",
        "host/test_trial.py::test_a_damaged_log_is_an_empty_one",
    ),
    Mutant(
        "trial: the journal of another slot is taken for its own",
        "trial.py",
        "mine = journal.slot == found.running",
        "mine = True",
        "portable/test_checks.py::test_a_trial_does_not_use_the_journal_of_the_other_slot",
    ),
    Mutant(
        "tries: they are not counted",
        "trial.py",
        "    journal.tries += 1\n    if journal.crashes",
        "    if journal.crashes",
        "host/test_trial.py::test_without_a_rollback_bootloader_one_unconfirmed_reset_goes_back[2]",
    ),
    Mutant(
        "tries: crashes are not counted",
        "trial.py",
        "journal.crashes += 1",
        "pass",
        "host/test_trial.py::test_an_unconfirmed_image_without_any_record_is_not_blessed",
    ),
    Mutant(
        "tries: a panic is no crash",
        "trial.py",
        "if cause in (HARD, WATCHDOG_RESET):",
        "if cause in (WATCHDOG_RESET,):",
        "host/test_trial.py::test_an_image_that_dies_before_boot_py_counts_as_tried",
    ),
    Mutant(
        "tries: a watchdog reset is no crash",
        "trial.py",
        "if cause in (HARD, WATCHDOG_RESET):",
        "if cause in (HARD,):",
        "host/test_trial.py::test_an_unconfirmed_image_without_any_record_is_not_blessed",
    ),
    Mutant(
        "tries: a lost power is a crash",
        "trial.py",
        "if cause in (HARD, WATCHDOG_RESET):",
        "if True:",
        "host/test_trial.py::test_an_image_that_resets_unconfirmed_is_refused_after_its_tries[1-6-3]",
    ),
    Mutant(
        "tries: only crashes count",
        "trial.py",
        "if journal.crashes >= MAX_CRASHES or journal.tries >= MAX_TRIES:",
        "if journal.crashes >= MAX_CRASHES:",
        "host/test_trial.py::test_an_image_that_resets_unconfirmed_is_refused_after_its_tries[1-6-3]",
    ),
    Mutant(
        "tries: only tries count",
        "trial.py",
        "if journal.crashes >= MAX_CRASHES or journal.tries >= MAX_TRIES:",
        "if journal.tries >= MAX_TRIES:",
        "host/test_trial.py::test_a_factory_image_notes_how_a_trial_ended",
    ),
    Mutant(
        "boot: an image that did not load is not refused",
        "trial.py",
        "journal.refuse(journal.digest, journal.sequence)\n        journal.end(NOT_LOADED",
        "journal.end(NOT_LOADED",
        "host/test_trial.py::test_an_image_that_does_not_load_is_refused_and_its_record_dropped",
    ),
    Mutant(
        "boot: another image is refused for one that did not load",
        "trial.py",
        "if journal.state >= ACTIVATED and journal.slot == found.selected:",
        "if True:",
        "portable/test_checks.py::test_an_image_that_did_not_load_is_not_taken_for_the_one_before",
    ),
    Mutant(
        "self-test: it runs on confirmed images",
        "trial.py",
        "if not Situation(port).on_trial():",
        "if False:",
        "host/test_trial.py::test_a_confirmed_image_returns_from_its_self_test_at_once",
    ),
    Mutant(
        "self-test: without OTA slots it raises",
        "trial.py",
        "    except OtaError:\n        return  #",
        "    except ZeroDivisionError:\n        return  #",
        "host/test_trial.py::test_a_factory_board_boots_and_is_never_on_trial",
    ),
    Mutant(
        "self-test: a failed check confirms",
        "trial.py",
        "if reason:\n",
        "if False:\n",
        "host/test_trial.py::test_a_failed_self_test_rolls_back_and_refuses_the_image[<lambda>2]",
    ),
    Mutant(
        "self-test: an async check is not awaited",
        "trial.py",
        'if hasattr(result, "send"):',
        "if False:",
        "host/test_trial.py::test_an_async_check_is_awaited",
    ),
    Mutant(
        "self-test: a false result passes",
        "trial.py",
        'return "" if result else "failed", True',
        'return "", True',
        "host/test_trial.py::test_an_async_check_is_awaited",
    ),
    Mutant(
        "self-test: an exception passes",
        "trial.py",
        'return "%s %s" % (type(e).__name__, e), True',
        'return "", True',
        "host/test_trial.py::test_a_failed_self_test_rolls_back_and_refuses_the_image[<lambda>2]",
    ),
    Mutant(
        "self-test: a failing network refuses the image",
        "trial.py",
        "return str(e), False",
        "return str(e), True",
        "host/test_trial.py::test_a_check_that_the_network_failed_costs_one_of_three_tries",
    ),
    Mutant(
        "self-test: a failed check is no fault of the image",
        "trial.py",
        'return "" if result else "failed", True',
        'return "" if result else "failed", False',
        "host/test_trial.py::test_a_failed_self_test_rolls_back_and_refuses_the_image[<lambda>0]",
    ),
    Mutant(
        "confirm: what is confirmed is confirmed again",
        "trial.py",
        "    if not found.on_trial():\n        return\n",
        "",
        "host/test_trial.py::test_confirm_twice_is_harmless",
    ),
    Mutant(
        "confirm: the mark goes before the journal",
        "trial.py",
        "    save_journal(port, found.journal)\n    _finish_confirm",
        "    _finish_confirm",
        "portable/test_checks.py::test_a_confirm_is_in_the_journal_before_the_mark",
    ),
    Mutant(
        "confirm: the watchdog is not parked",
        "trial.py",
        "_finish_confirm(port, found.journal)\n    port.park_watchdog()",
        "_finish_confirm(port, found.journal)",
        "host/test_trial.py::test_confirm_parks_the_watchdog",
    ),
    Mutant(
        "confirm: boot starts a watchdog when it finishes one",
        "trial.py",
        "_finish_confirm(port, journal)\n        return",
        "_finish_confirm(port, journal)\n        port.park_watchdog()\n        return",
        "host/test_trial.py::test_a_confirm_that_boot_finishes_starts_no_watchdog",
    ),
    Mutant(
        "confirm: otadata is not read back",
        "trial.py",
        "if found.state != VALID or found.selected != found.running:",
        "if False:",
        "portable/test_checks.py::test_a_mark_that_otadata_does_not_show_is_no_confirm",
    ),
    Mutant(
        "confirm: the highest sequence is not kept",
        "trial.py",
        "journal.highest = max(journal.highest, journal.sequence)",
        "pass",
        "host/test_trial.py::test_a_passed_self_test_confirms",
    ),
    Mutant(
        "confirm: the highest sequence goes down",
        "trial.py",
        "journal.highest = max(journal.highest, journal.sequence)",
        "journal.highest = journal.sequence",
        "portable/test_checks.py::test_a_confirm_never_lowers_the_highest_sequence_and_clears_the_count",
    ),
    Mutant(
        "confirm: the next image inherits tries",
        "trial.py",
        "journal.tries = 0\n    journal.crashes = 0\n    if journal.sequence",
        "if journal.sequence",
        "portable/test_checks.py::test_a_confirm_never_lowers_the_highest_sequence_and_clears_the_count",
    ),
    Mutant(
        "rollback: to a slot that the bootloader would not take",
        "trial.py",
        "if found.action != ON_TRIAL and not found.can_return():",
        "if False:",
        "host/test_trial.py::test_a_factory_image_has_nothing_to_roll_back_to",
    ),
    Mutant(
        "rollback: by hand, the other image is not verified",
        "trial.py",
        "verify(read, slot.info()[3])",
        "pass",
        "host/test_trial.py::test_rollback_is_refused_where_nothing_sound_is_left",
    ),
    Mutant(
        "rollback: by hand, nothing is looked at",
        "trial.py",
        "if not found.on_trial():\n        _adopt_running",
        "if False:\n        _adopt_running",
        "host/test_trial.py::test_rollback_is_refused_where_nothing_sound_is_left",
    ),
    Mutant(
        "rollback: by hand, the image is not named",
        "trial.py",
        "if receipt:",
        "if False:",
        "host/test_trial.py::test_rollback_by_hand_returns_to_the_other_image_and_refuses_this_one",
    ),
    Mutant(
        "rollback: the image is not refused",
        "trial.py",
        "if final or journal.tries >= MAX_TRIES:",
        "if False:",
        "host/test_trial.py::test_an_image_that_asks_for_rollback_is_refused",
    ),
    Mutant(
        "rollback: leaving is no try",
        "trial.py",
        "    journal.tries += 1\n    if final",
        "    if final",
        "host/test_trial.py::test_a_check_that_the_network_failed_costs_one_of_three_tries",
    ),
    Mutant(
        "rollback: a network failure never refuses",
        "trial.py",
        "if final or journal.tries >= MAX_TRIES:",
        "if final:",
        "host/test_trial.py::test_a_check_that_the_network_failed_costs_one_of_three_tries",
    ),
    Mutant(
        "rollback: the record stays",
        "trial.py",
        "    if found.can_return():\n        port.drop_entry(found.index)\n    port.reset()",
        "    port.reset()",
        "host/test_trial.py::test_rollback_by_hand_returns_to_the_other_image_and_refuses_this_one",
    ),
    Mutant(
        "check: product, board and chip are not compared",
        "updater.py",
        "check_target(release, self._config.product, self._config.board, self._port.chip_id())",
        "pass",
        "e2e/test_update.py::test_another_product_or_board_is_refused",
    ),
    Mutant(
        "check: the floor of the trust store is not obeyed",
        "updater.py",
        "self._highest(found), trust.sequence_floor)",
        "self._highest(found))",
        "portable/test_checks.py::test_the_floor_of_the_trust_store_is_obeyed",
    ),
    Mutant(
        "check: a refused image is offered",
        "updater.py",
        "elif found.journal.is_refused(release.sha256, release.sequence):",
        "elif False:",
        "e2e/test_update.py::test_an_image_that_failed_is_not_offered_and_not_installed_again",
    ),
    Mutant(
        "check: date and size are not looked at",
        "updater.py",
        "check_limits(release, self._port.now(), self._next(found)[1].info()[3])",
        "pass",
        "e2e/test_update.py::test_an_expired_manifest_is_refused",
    ),
    Mutant(
        "check: a release without a plain payload is offered",
        "updater.py",
        "        release.plain()\n        return None if self.reason",
        "        return None if self.reason",
        "portable/test_checks.py::test_a_release_without_a_plain_payload_is_not_offered",
    ),
    Mutant(
        "check: a manifest of any size is downloaded",
        "updater.py",
        "if body.size > HEADER_LIMIT + 1 + LIMIT:",
        "if False:",
        "portable/test_checks.py::test_a_manifest_that_is_too_long_is_not_read",
    ),
    Mutant(
        "check: the root role may sign releases",
        "updater.py",
        "role = trust.release",
        "role = trust.root",
        "e2e/test_update.py::test_a_release_is_found_installed_and_confirmed",
    ),
    Mutant(
        "check: the release role's threshold is not obeyed",
        "updater.py",
        "role.keys, role.threshold",
        "role.keys, 1",
        "portable/test_checks.py::test_the_threshold_of_the_release_role_is_obeyed",
    ),
    Mutant(
        "download: two at once",
        "updater.py",
        "if _running:",
        "if False:",
        "e2e/test_update.py::test_no_second_install_at_once",
    ),
    Mutant(
        "download: busy for ever after a failure",
        "updater.py",
        "        finally:\n            _running = False",
        "        finally:\n            pass",
        "e2e/test_update.py::test_progress_is_told_and_false_cancels",
    ),
    Mutant(
        "download: an encrypted slot",
        "updater.py",
        "if device.info()[5]:",
        "if False:",
        "e2e/test_bad_device.py::test_bad_device_has_its_code_and_keeps_its_boot_slot[encrypted partition]",
    ),
    Mutant(
        "download: date and size are not looked at again",
        "updater.py",
        "check_limits(release, self._port.now(), device.info()[3])",
        "pass",
        "portable/test_checks.py::test_a_release_that_expired_since_the_check_is_not_downloaded",
    ),
    Mutant(
        "download: FAT is taken",
        "updater.py",
        "self._port.check_file_system()",
        "pass",
        "e2e/test_bad_device.py::test_bad_device_has_its_code_and_keeps_its_boot_slot[FAT file system]",
    ),
    Mutant(
        "download: a slot that is selected is written over",
        "updater.py",
        "found = self._unselect(found)",
        "found = found",
        "e2e/test_update.py::test_an_install_over_a_selected_slot_drops_the_selection_first",
    ),
    Mutant(
        "download: what was written is not proven",
        "updater.py",
        "writer.prove()\n        writer.seal()",
        "writer.seal()",
        "portable/test_checks.py::test_a_slot_is_proven_by_the_whole_digest_too",
    ),
    Mutant(
        "download: a cut write is not known",
        "updater.py",
        "writer.survey(head, journal.state == WRITING)",
        "writer.survey(head, False)",
        "portable/test_checks.py::test_a_write_that_was_cut_is_in_doubt",
    ),
    Mutant(
        "download: a payload of another size is begun",
        "updater.py",
        "if body.size != payload.size:",
        "if False:",
        "e2e/test_update.py::test_a_payload_of_another_length_is_refused_before_any_erase",
    ),
    Mutant(
        "download: nobody can cancel",
        "updater.py",
        "progress(done, release.size) is False:",
        "progress(done, release.size) is None and 0:",
        "e2e/test_update.py::test_progress_is_told_and_false_cancels",
    ),
    Mutant(
        "download: the receipt of the slot stays",
        "updater.py",
        "if receipts.pop(index, None):",
        "if False:",
        "portable/test_checks.py::test_the_receipt_of_a_slot_goes_before_the_slot_does",
    ),
    Mutant(
        "download: the write is not noted",
        "updater.py",
        "head, release.version)\n        save_journal(self._port, journal)",
        "head, release.version)",
        "e2e/test_update.py::test_five_journal_writes_per_update",
    ),
    Mutant(
        "download: a way back to the overwritten image stays",
        "updater.py",
        "if spare >= 0:",
        "if False:",
        "e2e/test_update.py::test_a_slot_that_is_written_over_is_nothing_to_roll_back_to",
    ),
    Mutant(
        "activate: the slot is not looked at again",
        "updater.py",
        "writer.prove()\n        except",
        "pass\n        except",
        "e2e/test_update.py::test_activate_looks_at_the_slot_again",
    ),
    Mutant(
        "activate: a selected slot is selected again",
        "updater.py",
        "found = self._unselect(self._permitted(release))",
        "found = self._permitted(release)",
        "e2e/test_update.py::test_activating_after_a_cut_behind_the_selection_keeps_the_running_image_s_record",
    ),
    Mutant(
        "activate: no receipt",
        "updater.py",
        "save_receipts(self._port.path(RECEIPTS), receipts)\n        self._port.select",
        "self._port.select",
        "e2e/test_update.py::test_a_release_is_found_installed_and_confirmed",
    ),
    Mutant(
        "activate: otadata is not read back",
        "updater.py",
        "if after.selected != index:",
        "if False:",
        "portable/test_checks.py::test_a_selection_that_otadata_does_not_show_is_no_activation",
    ),
    Mutant(
        "activate: the journal does not say so",
        "updater.py",
        "journal.state = ACTIVATED\n",
        "pass\n",
        "portable/test_checks.py::test_an_install_ends_as_activated",
    ),
    Mutant(
        "activate: the selection stays where the journal failed",
        "updater.py",
        "            self._port.drop_entry(after.index)\n            raise",
        "            raise",
        "e2e/test_update.py::test_a_journal_that_cannot_be_written_leaves_the_boot_slot",
    ),
    Mutant(
        "activate: the journal keeps another image's attempt",
        "updater.py",
        "if journal.state != WRITING or not journal.is_about(release.sha256, release.sequence):",
        "if False:",
        "e2e/test_update.py::test_a_sleeping_device_gets_every_try",
    ),
    Mutant(
        "selection: dropped although nothing else boots",
        "updater.py",
        "if found.selected == found.running or not found.can_return():",
        "if found.selected == found.running:",
        "portable/test_checks.py::test_the_only_record_is_not_dropped",
    ),
    Mutant(
        "state: an install during a trial",
        "updater.py",
        "if found.on_trial():\n            raise",
        "if False:\n            raise",
        "e2e/test_update.py::test_no_install_during_a_trial",
    ),
    Mutant(
        "state: a refused image is installed",
        "updater.py",
        "if found.journal.is_refused(release.sha256, release.sequence):\n            raise",
        "if False:\n            raise",
        "e2e/test_update.py::test_an_image_that_failed_is_not_offered_and_not_installed_again",
    ),
    Mutant(
        "state: what is confirmed is installed again, or less",
        "updater.py",
        "if not is_newer(release, self._highest(found)):",
        "if False:",
        "e2e/test_update.py::test_what_is_confirmed_is_not_installed_again",
    ),
    Mutant(
        "state: the receipt does not remember the sequence",
        "updater.py",
        "if receipt and not found.on_trial():",
        "if False:",
        "e2e/test_update.py::test_a_downgrade_is_refused_and_the_same_is_nothing_to_do",
    ),
    Mutant(
        "state: the receipt of an unconfirmed image counts",
        "updater.py",
        "if receipt and not found.on_trial():",
        "if receipt:",
        "e2e/test_update.py::test_a_release_found_during_a_trial_is_judged_again_after_the_confirm",
    ),
    Mutant(
        "state: the journal does not remember the sequence",
        "updater.py",
        "highest = found.journal.highest\n",
        "highest = 0\n",
        "portable/test_checks.py::test_the_journal_alone_remembers_the_highest_sequence",
    ),
    Mutant(
        "trust store: a damaged one has no code of its own",
        "updater.py",
        'raise error("trust-store", str(e))',
        "raise",
        "e2e/test_update.py::test_a_missing_or_damaged_trust_store_is_refused",
    ),
    Mutant(
        "configuration: no URL anywhere",
        "updater.py",
        "if not url:",
        "if False:",
        "portable/test_checks.py::test_without_a_url_anywhere_there_is_nothing_to_ask",
    ),
    Mutant(
        "status: a bad configuration is not told",
        "health.py",
        "    except OtaError as e:\n        return str(e)",
        '    except OtaError:\n        return ""',
        "portable/test_checks.py::test_status_tells_of_a_bad_configuration_and_of_a_lost_journal",
    ),
    Mutant(
        "status: a journal that cannot be read is not told",
        "health.py",
        '"journal": found.remembered,',
        '"journal": True,',
        "portable/test_checks.py::test_status_tells_of_a_bad_configuration_and_of_a_lost_journal",
    ),
]


def not_applicable(mutants: list[Mutant]) -> list[str]:
    """What is wrong with the entries themselves."""
    wrong = []
    for mutant in mutants:
        count = (ROOT / "lib" / "ota" / mutant.file).read_text().count(mutant.old)
        if count != 1:
            wrong.append(f"{mutant.name}: its text stands {count} times in {mutant.file}")
    names = [mutant.name for mutant in mutants]
    return wrong + [
        f"{name}: stands twice" for name in sorted(set(names)) if names.count(name) > 1
    ]


def copy_to(folder: Path) -> None:
    """What the tests need, without bytecode, which could be stale."""
    folder.mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    for path in [path for pattern in COPIED for path in sorted(ROOT.glob(pattern))]:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=ignore)
        else:
            shutil.copy(path, folder)


def warm_up() -> None:
    """Import what takes long and is none of ours."""
    for name in ("cryptography.x509", "hypothesis", "esptool", "littlefs", "rich_click"):
        with contextlib.suppress(ImportError):
            __import__(name)
    assert "ota" not in sys.modules and "ota_tools" not in sys.modules


def run_pytest(folder: Path, nodes: list[str], timeout_s: int) -> tuple[int, str]:
    """Exit code and output of `pytest -x -q` in a copy, in a process of its own."""
    log = folder / "pytest.log"
    pid = os.fork()
    if pid:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, log.read_text(errors="replace")
    code = 1 << 7  # unless pytest says something
    try:
        signal.alarm(timeout_s)  # a mutant that hangs is not one that a test noticed
        os.chdir(folder)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        with log.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp"]
            code = int(pytest.main([*options, *(f"tests/{node}" for node in nodes)]))
            ota = sys.modules.get("ota")
            if ota is None or not str(ota.__file__).startswith(str(folder)):
                code = ELSEWHERE
            sys.stdout.flush()
    finally:
        os._exit(code)


_copy = Path()


def _begin_worker(folder: Path) -> None:
    global _copy
    _copy = folder / f"copy-{os.getpid()}"
    copy_to(_copy)


def judge(mutant: Mutant) -> tuple[Mutant, str]:
    """Try one mutant in this worker's copy: "" where its test turned red, else what happened."""
    file = _copy / "lib" / "ota" / mutant.file
    text = file.read_text()
    file.write_text(text.replace(mutant.old, mutant.new))
    try:
        code, output = run_pytest(_copy, [mutant.red], TIMEOUT_S)
    finally:
        file.write_text(text)
    if code == FAILED and "\nFAILED " in output:  # an error of a fixture says ERROR
        return mutant, ""
    return mutant, f"exit code {code}: " + (output.strip().splitlines() or ["no output"])[-1]


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Take one check out at a time")
    parser.add_argument(
        "-k", metavar="TEXT", default="", help="only mutants with TEXT in the name"
    )
    parser.add_argument("-j", metavar="WORKERS", type=int, default=2)
    options = parser.parse_args()
    start = time.monotonic()
    mutants = [m for m in MUTANTS if options.k.lower() in f"{m.name} ({m.file})".lower()]
    problems = not_applicable(mutants)
    if problems or not mutants:
        print("\n".join(problems) or "no such mutant")
        return 1
    roomy = SHM.is_dir() and shutil.disk_usage(SHM).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="mutants-", dir=SHM if roomy else None)).resolve()
    try:
        warm_up()
        survivors = try_all(mutants, folder, options.j)
    finally:
        shutil.rmtree(folder)
    print(
        f"{len(mutants)} mutants, {len(mutants) - survivors} red, {survivors} survived"
        f" ({time.monotonic() - start:.0f} s)"
    )
    return 1 if survivors else 0


def try_all(mutants: list[Mutant], folder: Path, workers: int) -> int:
    """How many survived; a line for each. Nothing is tried where a test is red by itself."""
    whole = folder / "whole"
    copy_to(whole)
    code, output = run_pytest(whole, sorted({mutant.red for mutant in mutants}), WHOLE_TIMEOUT_S)
    if code:
        sys.exit(f"{output}\nwithout any mutant the tests end with exit code {code}")
    survivors = 0
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, _begin_worker, (folder,)) as pool:
        for mutant, complaint in pool.imap_unordered(judge, mutants):
            if complaint:
                survivors += 1
                print(f"SURVIVED {mutant.name} ({mutant.file}): {mutant.red}: {complaint}")
    return survivors


if __name__ == "__main__":
    sys.exit(main())
