"""Checks of lib/ota/survey.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "doctor: one slot is enough",
        "if len(slots) < 2:",
        "if False:",
        "host/test_checkup.py::test_a_factory_layout_has_no_slots",
    ),
    (
        "doctor: a NEW record says nothing of the bootloader",
        "elif runs and states[index] == NEW and",
        "elif False and",
        "host/test_checkup.py::test_a_new_image_that_runs_has_no_watch",
    ),
    (
        "doctor: an image larger than the slots is fine",
        "    if size > room:",
        "    if False:",
        "host/test_checkup.py::test_an_image_larger_than_a_slot_does_not_work",
    ),
]
