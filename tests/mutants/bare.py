"""Checks of lib/ota/bare.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "bare: signed by anybody",
        "digest = verify_sector(sector, role.keys, role.threshold)",
        "digest = bytes(memoryview(sector)[4:36])",
        "e2e/test_bare.py::test_a_key_of_nobody_is_refused",
    ),
    (
        "bare: one signature is enough",
        "role.keys, role.threshold)",
        "role.keys, 1)",
        "e2e/test_bare.py::test_the_threshold_of_the_release_role_counts",
    ),
    (
        "bare: for any chip",
        "    check_head(head, chip_id)\n",
        "",
        "e2e/test_bare.py::test_another_chip_is_seen_by_the_first_part",
    ),
    (
        "bare: of any length",
        "if total < _LEAST or total % _SECTOR:",
        "if total < _LEAST:",
        "e2e/test_bare.py::test_a_bad_bare_image_has_its_code",
    ),
    (
        "bare: larger than the slot",
        "if total > room:",
        "if False:",
        "e2e/test_bare.py::test_a_bad_bare_image_has_its_code",
    ),
    (
        "bare: a lower secure_version",
        "if version < least:",
        "if False:",
        "e2e/test_bare.py::test_a_lower_secure_version_is_a_downgrade",
    ),
    (
        "bare: another head than the one that was judged",
        "if held != self.head:",
        "if False:",
        "e2e/test_bare.py::test_another_image_behind_the_one_that_was_judged_does_not_boot",
    ),
    (
        "bare: the signature sector is not written",
        "        yield from writer.append(self.sector)\n",
        "        yield\n",
        "e2e/test_bare.py::test_an_image_signed_by_espsecure_installs_with_its_signature_sector",
    ),
    (
        "bare: a server without parts",
        "if body.total < 0 or body.size != end - start:",
        "if False:",
        "e2e/test_bare.py::test_a_server_without_parts_is_refused",
    ),
]
