"""Checks of lib/ota/report.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "report: another outcome is marked as told",
        'if journal and identity(port, journal) == fields["id"]:',
        "if journal:",
        "e2e/test_report.py::test_what_was_told_elsewhere_meanwhile_does_not_hide_the_next_one",
    ),
    (
        "report: only one outcome is told",
        "    while journal:",
        "    if journal:",
        "e2e/test_report.py::test_two_outcomes_are_told_the_oldest_first[here]",
    ),
    (
        "report: a later event changes the id",
        "if event[1] == journal.outcome:",
        "if True:",
        "e2e/test_report.py::test_an_outcome_keeps_its_id_over_all_that_comes_after_it",
    ),
    (
        "report: the id is of one event only",
        "_DIGESTED = const(128)",
        "_DIGESTED = const(16)",
        "e2e/test_report.py::test_every_outcome_has_an_id_of_its_own",
    ),
    (
        "report: two devices have one id",
        "binascii.crc32(port.device_id() + events)",
        "binascii.crc32(events)",
        "e2e/test_report.py::test_every_outcome_has_an_id_of_its_own",
    ),
    (
        "report: the outcome of a later library has no event",
        "        at = 0  # a later",
        "        pass  # a later",
        "e2e/test_report.py::test_every_outcome_has_an_id_of_its_own",
    ),
    (
        "report: the other slot is said to run",
        ".get(port.running())",
        ".get(1 - port.running())",
        "e2e/test_report.py::test_a_rollback_is_told_with_its_reason_by_the_image_that_runs_again[here]",
    ),
]
