"""Checks of lib/ota/guard.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "guard: a power-on counts",
        "if chip.reset_cause() == POWER_ON:",
        "if False:",
        "portable/test_guard.py::test_a_power_on_starts_anew",
    ),
    (
        "guard: a power-on does not start anew",
        "        chip.nvs_store(_KEY, bytes(_SIZE))\n",
        "",
        "portable/test_guard.py::test_a_power_on_starts_anew",
    ),
    (
        "guard: the first record may be broken",
        "if not (is_valid(entries[0]) and is_valid(entries[1])):",
        "if not is_valid(entries[1]):",
        "portable/test_guard.py::test_without_another_image_nothing_is_counted",
    ),
    (
        "guard: the second record may be broken",
        "if not (is_valid(entries[0]) and is_valid(entries[1])):",
        "if not is_valid(entries[0]):",
        "portable/test_guard.py::test_without_another_image_nothing_is_counted",
    ),
    (
        "guard: both records may name one slot",
        "if slot_of(entries[0], slots) == slot_of(entries[1], slots):",
        "if False:",
        "portable/test_guard.py::test_without_another_image_nothing_is_counted",
    ),
    (
        "guard: crashes count for ever",
        "not 0 <= now - since <= window_s:",
        "not 0 <= now - since:",
        "portable/test_guard.py::test_only_crashes_within_the_window_count",
    ),
    (
        "guard: a clock that goes back is the same window",
        "not 0 <= now - since <= window_s:",
        "not now - since <= window_s:",
        "portable/test_guard.py::test_a_clock_that_goes_back_begins_a_new_window",
    ),
    (
        "guard: the last second is outside of the window",
        "now - since <= window_s:",
        "now - since < window_s:",
        "portable/test_guard.py::test_the_last_second_of_the_window_is_in_it",
    ),
    (
        "guard: a new window begins with the old one",
        "count, since = 0, now\n",
        "count = 0\n",
        "portable/test_guard.py::test_a_clock_that_goes_back_begins_a_new_window",
    ),
    (
        "guard: a new window keeps the old count",
        "count, since = 0, now\n",
        "since = now\n",
        "portable/test_guard.py::test_only_crashes_within_the_window_count",
    ),
    (
        "guard: nothing is counted",
        "    count += 1\n",
        "",
        "portable/test_guard.py::test_every_crash_is_counted_with_one_write",
    ),
    (
        "guard: one crash too many",
        "looping = count >= limit",
        "looping = count > limit",
        "portable/test_guard.py::test_any_number_of_crashes_can_be_too_many",
    ),
    (
        "guard: the count stays behind a loop",
        "0 if looping else count",
        "count",
        "portable/test_guard.py::test_the_eighth_crash_is_one_too_many_and_then_it_starts_anew",
    ),
    (
        "guard: the count is not kept",
        "    chip.nvs_store(_KEY, struct",
        "    (_KEY, struct",
        "portable/test_guard.py::test_every_crash_is_counted_with_one_write",
    ),
    (
        "guard: one image's crashes count for the next",
        "if whose != seq or not",
        "if not",
        "host/test_trial.py::test_the_crashes_of_an_image_do_not_count_for_its_successor",
    ),
]
