"""Checks of lib/ota/local.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "serial line: noise without end is listened to",
        "            late = patience.again(passed, True)\n            if late:",
        "            late = patience.again(passed, True)\n            if False:",
        "portable/test_wire.py::test_a_line_that_never_falls_silent_is_given_up_when_time_is_up",
    ),
    (
        "files: a folder above",
        ' or ".." in reference.split("/")',
        "",
        "portable/test_wire.py::test_a_file_names_nothing_outside_its_folder",
    ),
    (
        "files: a path from the root",
        'reference.startswith("/") or',
        "",
        "portable/test_wire.py::test_a_file_names_nothing_outside_its_folder",
    ),
    (
        "files: any scheme",
        '":" in reference or ',
        "",
        "portable/test_wire.py::test_a_file_names_nothing_outside_its_folder",
    ),
    (
        "files: any URL",
        'if not text.startswith("file:///"):',
        "if False:",
        "portable/test_wire.py::test_other_urls_are_no_file_urls",
    ),
    (
        "files: one that is too short",
        "if end > size:",
        "if False:",
        "portable/test_wire.py::test_a_file_that_ends_before_the_part_is_not_the_one_that_was_signed",
    ),
    (
        "files: one that is missing has no code",
        'raise link_error("unreachable", url.path, e)',
        "raise",
        "portable/test_wire.py::test_a_file_that_is_not_there_has_its_code",
    ),
    (
        "files: one stays open beside the next",
        "        self.close()\n        try:",
        "        try:",
        "portable/test_wire.py::test_files_are_closed_with_the_next_one_and_at_the_end",
    ),
    (
        "files: one stays open in the end",
        "            self._open.pop().close()",
        "            self._open.pop()",
        "portable/test_wire.py::test_files_are_closed_with_the_next_one_and_at_the_end",
    ),
    (
        "serial: an earlier answer becomes the next",
        "while ticks_diff(ticks_ms(), since) < _QUIET_MS:",
        "while False:",
        "portable/test_wire.py::test_what_an_earlier_answer_left_does_not_become_the_next",
    ),
    (
        "serial: the line is closed",
        "link = _Line(self._stream",
        "link = Link(self._stream",
        "portable/test_wire.py::test_the_line_stays_open_when_a_source_is_closed",
    ),
    (
        "serial: a line has no noise",
        "is_noisy = True",
        "is_noisy = False",
        "portable/test_download.py::test_what_a_noisy_line_got_wrong_is_asked_for_again",
    ),
]
