"""Checks of lib/ota/files.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "files: more bytes than the limit",
        "if len(data) > size:",
        "if False:",
        "portable/test_files.py::test_a_file_without_end_is_read_to_the_limit_only",
    ),
    (
        "files: not read back",
        "if read_file(fresh, len(data)) != data:",
        "if False:",
        "portable/test_files.py::test_what_does_not_read_back_never_replaces_the_old_file",
    ),
    (
        "files: written in place",
        'fresh = path + ".new"',
        "fresh = path",
        "portable/test_files.py::test_an_old_fresh_file_does_not_matter",
    ),
    (
        "files: any error is a missing file",
        "if e.errno == 2:",
        "if True:",
        "portable/test_files.py::test_what_cannot_be_read_is_an_error_with_its_code",
    ),
]
