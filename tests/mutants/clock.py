"""Checks of lib/ota/clock.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "clock: a short answer",
        "if len(answer) < 48 or",
        "if",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: an answer of no server",
        " or answer[0] & 7 != _SERVER",
        "",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: a server that is not synchronized",
        " or answer[0] >> 6 == 3:",
        ":",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: a kiss of death",
        "if not 1 <= answer[1] <= 15",
        "if not answer[1] <= 15",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: any stratum",
        "if not 1 <= answer[1] <= 15",
        "if not 1 <= answer[1]",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: an answer to another question",
        " or answer[24:32] != nonce:",
        ":",
        "portable/test_sntp.py::test_what_is_no_answer_to_this_question_gives_no_time",
    ),
    (
        "clock: an era that ends in 2036",
        "if seconds < 1 << 31:",
        "if False:",
        "portable/test_sntp.py::test_the_years_after_2036_are_those_of_the_next_era",
    ),
    (
        "clock: answers of anybody",
        "        sock.connect(where[0][-1])  # from there only\n",
        "",
        "portable/test_sntp.py::test_a_host_may_name_its_port",
    ),
    (
        "clock: a moment without an answer is the end",
        "if e.errno != _AGAIN:",
        "if True:",
        "portable/test_sntp.py::test_an_answer_is_waited_for_past_packets_that_are_none",
    ),
    (
        "clock: a server that is not there is waited for",
        "if e.errno != _AGAIN:",
        "if False:",
        "portable/test_sntp.py::test_where_nobody_listens_is_unreachable",
    ),
    (
        "clock: a socket stays open",
        "        if sock is not None:\n            sock.close()",
        "        pass",
        "portable/test_sntp.py::test_a_question_is_one_packet_of_a_client_of_version_4",
    ),
    (
        "clock: nobody is somebody",
        "range(_TRIES if host else 0)",
        "range(_TRIES)",
        "portable/test_sntp.py::test_nobody_is_asked_where_no_server_is_named",
    ),
    (
        "clock: a time before what was confirmed",
        "if now >= max(floor, port.built()):",
        "if now >= port.built():",
        "portable/test_sntp.py::test_a_time_before_what_was_confirmed_is_not_believed",
    ),
    (
        "clock: a time before the running image",
        "if now >= max(floor, port.built()):",
        "if now and now >= floor:",
        "portable/test_sntp.py::test_a_time_before_the_running_image_was_built_is_not_believed",
    ),
    (
        "clock: one that was set is put to a guess",
        "elif not port.clock_is_set() and",
        "elif",
        "portable/test_sntp.py::test_a_clock_that_was_set_is_not_put_to_a_guess",
    ),
    (
        "clock: a date behind the calendar",
        "return seconds if 0 < seconds < _LAST else 0",
        "return seconds",
        "portable/test_sntp.py::test_a_date_behind_the_calendar_is_none",
    ),
    (
        "clock: it goes back",
        "port.now() < floor < _LAST:",
        "floor:",
        "portable/test_sntp.py::test_what_was_confirmed_long_ago_never_moves_the_clock_back",
    ),
    (
        "clock: a guess is not called one",
        "port.set_clock(floor, True)",
        "port.set_clock(floor)",
        "portable/test_sntp.py::test_without_an_answer_the_clock_is_set_to_what_was_confirmed_as_a_guess",
    ),
    (
        "clock: a time before 1970",
        "if 0 < seconds < _LAST",
        "if seconds < _LAST",
        "portable/test_sntp.py::test_a_date_before_1970_is_none",
    ),
]
