"""Checks of lib/ota/otadata.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "otadata: the crc is not compared",
        "return not is_invalid(entry) and has_crc(entry)",
        "return not is_invalid(entry)",
        "portable/test_otadata.py::test_a_wrong_crc_is_not_valid_and_says_nothing_of_the_state",
    ),
    (
        "otadata: an empty record is valid",
        "return seq_of(entry) == _EMPTY or state_of(entry) in (INVALID, ABORTED)",
        "return state_of(entry) in (INVALID, ABORTED)",
        "portable/test_otadata.py::test_empty_and_given_up_records_are_invalid",
    ),
    (
        "otadata: an aborted image is valid",
        "in (INVALID, ABORTED)",
        "in (INVALID,)",
        "portable/test_otadata.py::test_records_are_those_of_official_firmware",
    ),
    (
        "otadata: an invalid image is valid",
        "in (INVALID, ABORTED)",
        "in (ABORTED,)",
        "portable/test_otadata.py::test_without_a_valid_record_none_decides",
    ),
    (
        "otadata: the lower seq decides",
        "return 0 if seq_of(entries[0]) >= seq_of(entries[1]) else 1",
        "return 0 if seq_of(entries[0]) <= seq_of(entries[1]) else 1",
        "portable/test_otadata.py::test_the_higher_of_two_valid_records_decides",
    ),
]
