"""Checks of lib/ota/memory.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "memory: forgetting keeps the tries",
        "    if binascii.hexlify(journal.digest[:16]).decode() == start:",
        "    if False:",
        "host/test_trial.py::test_a_refused_image_can_be_forgotten",
    ),
    (
        "memory: NVS that cannot be read is an empty one",
        '        raise error("nvs", "%s: %s" % (key, e))  # nothing',
        "        return None  # nothing",
        "host/test_trial.py::test_nvs_that_cannot_be_read_is_not_taken_for_an_empty_one",
    ),
    (
        "memory: an outcome that was kept twice is told twice",
        "            if first and record != first:\n                return\n",
        "            if first:\n                return\n",
        "portable/test_memory.py::test_an_outcome_that_a_cut_left_twice_is_told_once",
    ),
    (
        "memory: a change is no new generation",
        "journal.generation += 1",
        "pass",
        "portable/test_memory.py::test_a_change_is_one_write_with_its_event_in_it",
    ),
    (
        "memory: a change is without its event",
        "    journal.note(max(port.now(), 0))\n",
        "",
        "portable/test_memory.py::test_a_change_is_one_write_with_its_event_in_it",
    ),
    (
        "memory: a clock before 1970 stops the update",
        "max(port.now(), 0)",
        "port.now()",
        "portable/test_memory.py::test_a_clock_before_1970_is_none",
    ),
    (
        "memory: an event of a later library has no name",
        "EVENTS[event] if event < len(EVENTS) else str(event)",
        "EVENTS[event]",
        "host/test_trial.py::test_an_event_of_a_later_library_is_told_by_its_number",
    ),
    (
        "memory: an outcome is told again and again",
        "    told(port)\n    return about",
        "    return about",
        "portable/test_memory.py::test_an_outcome_is_told_once",
    ),
    (
        "memory: what was told is told",
        "        if journal and journal.untold:\n            return journal",
        "        if journal:\n            return journal",
        "portable/test_memory.py::test_an_outcome_is_told_once",
    ),
    (
        "memory: the newest outcome is told first",
        'that it stood in."""\n    for key in (_UNTOLD, _JOURNAL):',
        'that it stood in."""\n    for key in (_JOURNAL, _UNTOLD):',
        "portable/test_memory.py::test_both_are_told_the_oldest_first",
    ),
    (
        "memory: the newest outcome is marked first",
        '    first = b""\n    for key in (_UNTOLD, _JOURNAL):',
        '    first = b""\n    for key in (_JOURNAL, _UNTOLD):',
        "portable/test_memory.py::test_both_are_told_the_oldest_first",
    ),
    (
        "memory: both outcomes are marked as told",
        "            if first and record != first:\n",
        "            if False:\n",
        "portable/test_memory.py::test_both_are_told_the_oldest_first",
    ),
    (
        "memory: what was kept is not told",
        'that it stood in."""\n    for key in (_UNTOLD, _JOURNAL):',
        'that it stood in."""\n    for key in (_JOURNAL,):',
        "portable/test_memory.py::test_an_attempt_that_begins_keeps_what_nobody_was_told",
    ),
    (
        "memory: what was told is kept",
        "    if journal.untold:\n        port.nvs_write(_UNTOLD",
        "    if True:\n        port.nvs_write(_UNTOLD",
        "portable/test_memory.py::test_an_attempt_that_begins_after_the_telling_keeps_nothing",
    ),
    (
        "memory: what nobody was told of is not kept",
        "    if journal.untold:\n        port.nvs_write(_UNTOLD",
        "    if False:\n        port.nvs_write(_UNTOLD",
        "portable/test_memory.py::test_an_attempt_that_begins_keeps_what_nobody_was_told",
    ),
    (
        "forget: where nothing is remembered it fails",
        "    if journal is None:\n        return False\n    start",
        "    start",
        "portable/test_memory.py::test_where_nothing_is_remembered_nothing_can_be_forgotten",
    ),
    (
        "forget: another image gets its tries back",
        "    if binascii.hexlify(journal.digest[:16]).decode() == start:",
        "    if True:",
        "portable/test_memory.py::test_another_chance_is_for_one_image_and_begins_with_no_tries",
    ),
    (
        "forget: the tries stay",
        "        journal.tries = 0\n        journal.crashes = 0\n    save",
        "        pass\n    save",
        "portable/test_memory.py::test_another_chance_is_for_one_image_and_begins_with_no_tries",
    ),
]
