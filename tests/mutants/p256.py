"""Checks of lib/ota/p256.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "P-256: native code is loaded where there is no room",
        "if gc.mem_free() < _ROOM:",
        "if False:",
        "host/test_p256_viper.py::test_portable_where_memory_is_short[44000-portable]",
    ),
    (
        "P-256: a signature of any length",
        "if len(signature) != 2 * _SIZE or len(digest) != _SIZE:",
        "if len(digest) != _SIZE:",
        "portable/test_p256.py::test_a_signature_has_64_bytes",
    ),
    (
        "P-256: a digest of any length",
        "if len(signature) != 2 * _SIZE or len(digest) != _SIZE:",
        "if len(signature) != 2 * _SIZE:",
        "portable/test_p256.py::test_a_digest_has_32_bytes",
    ),
    (
        "P-256: r of n and more is taken",
        "if not (0 < r < _N and 0 < s < _N):",
        "if not (0 < r and 0 < s < _N):",
        "portable/test_p256.py::test_an_x_of_n_and_more_counts_modulo_n",
    ),
    (
        "P-256: s of n and more is taken",
        "if not (0 < r < _N and 0 < s < _N):",
        "if not (0 < r < _N and 0 < s):",
        "portable/test_p256.py::test_s_is_from_1_to_n_minus_1",
    ),
    (
        "P-256: the digest is not in the sum",
        '_digits(int.from_bytes(digest, "big") * w % _N, _WINDOW)',
        "_digits(0, _WINDOW)",
        "portable/test_p256.py::test_signatures_of_rfc_6979_are_good",
    ),
    (
        "P-256: the key is not in the sum",
        "u2 = r * w % _N",
        "u2 = 0",
        "portable/test_p256.py::test_signatures_of_rfc_6979_are_good",
    ),
    (
        "P-256: an x of n and more never fits",
        "wanted = (r, r + _N) if r + _N < _P else (r,)",
        "wanted = (r,)",
        "portable/test_p256.py::test_an_x_of_n_and_more_counts_modulo_n",
    ),
    (
        "P-256: r + n fits modulo p, too",
        "wanted = (r, r + _N) if r + _N < _P else (r,)",
        "wanted = (r, r + _N)",
        "portable/test_p256.py::test_an_x_counts_modulo_n_and_not_modulo_p",
    ),
    (
        "P-256: infinity has any x",
        "    if not total:\n        return False\n",
        "    if not total:\n        return True\n",
        "portable/test_p256.py::test_a_sum_at_infinity_is_refused_for_any_r",
    ),
    (
        "P-256: no x is compared",
        "if (x * zz - total[0]) % _P == 0:",
        "if True:",
        "portable/test_p256.py::test_another_message_or_key_is_refused",
    ),
    (
        "P-256: x is compared without z",
        "if (x * zz - total[0]) % _P == 0:",
        "if (x - total[0]) % _P == 0:",
        "portable/test_p256.py::test_signatures_of_rfc_6979_are_good",
    ),
    (
        "P-256: a sum that meets itself is not doubled",
        "return None if slope else _double((x, y, z))",
        "return None",
        "portable/test_p256.py::test_sums_that_meet_themselves_or_infinity",
    ),
    (
        "P-256: a sum that meets its opposite is doubled",
        "return None if slope else _double((x, y, z))",
        "return _double((x, y, z))",
        "portable/test_p256.py::test_sums_that_meet_themselves_or_infinity",
    ),
    (
        "P-256: incomplete addition, z becomes 0",
        "    if not h:\n        return None if slope else _double((x, y, z))\n",
        "",
        "portable/test_p256.py::test_a_sum_at_infinity_is_refused_for_any_r",
    ),
    (
        "P-256: the sign of a digit of u1 is lost",
        "total = _add(total, x, -y if digit > 127 else y, 1, 1, 1)",
        "total = _add(total, x, y, 1, 1, 1)",
        "portable/test_p256.py::test_random_scalars_are_right",
    ),
    (
        "P-256: the sign of a digit of u2 is lost",
        "total = _add(total, x, -y if digit > 127 else y, z, zz, zzz)",
        "total = _add(total, x, y, z, zz, zzz)",
        "portable/test_p256.py::test_random_scalars_are_right",
    ),
    (
        "P-256: a point may lie off the curve",
        "0 <= x < _P and 0 <= y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0",
        "0 <= x < _P and 0 <= y < _P",
        "portable/test_p256.py::test_a_point_of_another_curve_is_refused",
    ),
    (
        "P-256: x of p and more is taken",
        "return 0 <= x < _P and 0 <= y < _P and",
        "return 0 <= x and 0 <= y < _P and",
        "portable/test_p256.py::test_a_point_has_coordinates_from_0_to_p_minus_1",
    ),
    (
        "P-256: y of p and more is taken",
        "return 0 <= x < _P and 0 <= y < _P and",
        "return 0 <= x < _P and 0 <= y and",
        "portable/test_p256.py::test_a_point_has_coordinates_from_0_to_p_minus_1",
    ),
    (
        "P-256: a negative x is taken",
        "return 0 <= x < _P and 0 <= y < _P and",
        "return x < _P and 0 <= y < _P and",
        "portable/test_p256.py::test_a_point_has_coordinates_from_0_to_p_minus_1",
    ),
    (
        "P-256: a negative y is taken",
        "return 0 <= x < _P and 0 <= y < _P and",
        "return 0 <= x < _P and y < _P and",
        "portable/test_p256.py::test_a_point_has_coordinates_from_0_to_p_minus_1",
    ),
    (
        "p256: s over half of n is refused",
        "0 < s < _N):",
        "0 < s <= _N >> 1):",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[malleability: ECDSA: n - s for s]"
        ),
    ),
    (
        "p256: s of n and more",
        "0 < s < _N):",
        "0 < s):",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[numbers out of range: ECDSA: s + n, which fits]"
        ),
    ),
    (
        "p256: infinity has any x",
        "    if not total:\n        return False",
        "    if not total:\n        return True",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[numbers out of range: ECDSA: Z = 0, the sum is infinity]"
        ),
    ),
    (
        "p256: a signature of any length",
        "if len(signature) != 2 * _SIZE or len(digest) != _SIZE:",
        "if len(digest) != _SIZE:",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[numbers out of range: ECDSA: 63 bytes, s without its zero]"
        ),
    ),
    (
        "p256: coordinates of p and more",
        "return 0 <= x < _P and 0 <= y < _P and",
        "return",
        (
            "e2e/test_attacks.py::test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"
            "[numbers out of range: a key of coordinates over p]"
        ),
    ),
    (
        "p256: an x of n and more is not looked for",
        "(r, r + _N) if r + _N < _P else (r,)",
        "(r,)",
        "portable/test_wycheproof_ecdsa.py::test_all_wycheproof_vectors_for_ecdsa_p256_sha256",
    ),
]
