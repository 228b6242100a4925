"""Checks of lib/ota/jws.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "envelope: typ is not compared",
        'if header["typ"] != typ:',
        "if False:",
        "portable/test_jws.py::test_the_type_is_the_one_asked_for_whoever_signed",
    ),
    (
        "envelope: alg is not compared with the key's",
        'if header["alg"] != key.alg:',
        "if False:",
        "portable/test_jws.py::test_the_algorithm_is_the_one_of_the_key",
    ),
    (
        "envelope: no signature is verified",
        "if key.verify(signing_digest(protected, payload), signature):",
        "if True:",
        "portable/test_jws.py::test_every_byte_more_is_refused",
    ),
    (
        "envelope: unknown keys count",
        "if key is None:\n            continue",
        "if key is None:\n            good += 1\n            continue",
        "portable/test_jws.py::test_unknown_keys_are_passed_over",
    ),
    (
        "envelope: one signature is enough for any threshold",
        "good < threshold",
        "good < 1",
        "portable/test_jws.py::test_a_bad_signature_by_a_trusted_key_does_not_count",
    ),
    (
        "envelope: no signature is needed",
        "if threshold < 1 or good < threshold:",
        "if threshold < 1:",
        "portable/test_jws.py::test_unknown_keys_are_passed_over",
    ),
    (
        "envelope: a threshold of 0 is obeyed",
        "if threshold < 1 or good < threshold:",
        "if good < threshold:",
        "portable/test_jws.py::test_no_threshold_below_one_is_obeyed",
    ),
    (
        "envelope: two signatures by one key count twice",
        'if header["kid"] in kids:',
        "if False:",
        "portable/test_jws.py::test_the_same_key_never_counts_twice",
    ),
    (
        "envelope: a payload over its limit",
        "if not 1 <= len(payload) <= limit:",
        "if not 1 <= len(payload):",
        "portable/test_jws.py::test_the_limit_holds_for_verify_too",
    ),
    (
        "envelope: an empty payload",
        "if not 1 <= len(payload) <= limit:",
        "if not len(payload) <= limit:",
        "portable/test_jws.py::test_the_payload_has_one_byte_to_the_limit",
    ),
    (
        "envelope: a first line of any length is searched",
        'envelope.find(b"\\n", 0, HEADER_LIMIT + 1)',
        'envelope.find(b"\\n")',
        "portable/test_jws.py::test_the_first_line_has_at_most_3072_bytes",
    ),
    (
        "envelope: a missing line feed",
        "if end < 0:",
        "if False:",
        "portable/test_jws.py::test_the_first_line_ends_with_a_line_feed",
    ),
    (
        "envelope: other fields beside the signatures",
        "if len(fields) != 1:",
        "if False:",
        "portable/test_jws.py::test_the_first_line_has_signatures_and_nothing_else",
    ),
    (
        "envelope: unprotected fields in a signature",
        "if len(entry) != 2:",
        "if False:",
        "portable/test_jws.py::test_an_entry_has_exactly_protected_and_signature",
    ),
    (
        "envelope: crit and others in the protected header",
        "if len(header) != 3:",
        "if False:",
        "portable/test_jws.py::test_any_other_protected_header_is_refused",
    ),
    (
        "envelope: header fields of any type",
        'for name in ("alg", "kid", "typ"):',
        "for name in ():",
        "portable/test_jws.py::test_every_flipped_byte_is_refused_where_all_signatures_are_needed",
    ),
    (
        "envelope: any number of signatures",
        "_SIGNATURES = const(4)",
        "_SIGNATURES = const(400)",
        "portable/test_jws.py::test_there_are_at_most_four_signatures",
    ),
    (
        "envelope: a protected header of any length",
        "_PROTECTED_LIMIT = const(256)",
        "_PROTECTED_LIMIT = const(2560)",
        "portable/test_jws.py::test_a_protected_header_has_at_most_256_characters",
    ),
    (
        "envelope: a signature of any length",
        '"signature", 1, 1024',
        '"signature", 1, 9999',
        "portable/test_jws.py::test_a_signature_has_1_to_1024_characters",
    ),
    (
        "envelope: an empty list of signatures",
        "if not entries:",
        "if False:",
        "portable/test_jws.py::test_an_envelope_without_signatures_is_refused",
    ),
    (
        "envelope: an unknown key is an error",
        "if key is None:\n            continue",
        'if key is None:\n            raise error("signature", "unknown key")',
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[malleability: a stranger's signature beside ours]"
        ),
    ),
]
