"""Checks of lib/ota/dates.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "dates: any month",
        "if len(month) != 3 or number < 0 or number % 3 or",
        "if len(month) != 3 or",
        "portable/test_http.py::test_dates_of_http",
    ),
    (
        "dates: letters across two months",
        "number < 0 or number % 3 or",
        "number < 0 or",
        "portable/test_http.py::test_dates_of_http",
    ),
    (
        "dates: a day of no digits",
        " or _two(day) < 1:",
        ":",
        "portable/test_http.py::test_dates_of_http",
    ),
    (
        "dates: a time of no digits",
        "if midnight < 0 or min(times) < 0:",
        "if midnight < 0:",
        "portable/test_http.py::test_dates_of_http",
    ),
    (
        "dates: another time zone",
        ' or text[25:] != b" GMT":',
        ":",
        "portable/test_http.py::test_dates_of_http",
    ),
]
