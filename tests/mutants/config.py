"""Checks of lib/ota/config.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "configuration: a header of any name",
        'if not (char.isalpha() or char.isdigit() or char == "-"):',
        "if False:",
        "portable/test_files.py::test_no_header_ends_its_line_or_begins_another",
    ),
    (
        "configuration: numbers outside their limits",
        "if not least <= value <= most:",
        "if False:",
        "portable/test_files.py::test_numbers_of_a_configuration_have_their_limits",
    ),
    (
        "configuration: a missing file",
        "if not data:",
        "if False:",
        "portable/test_files.py::test_a_missing_or_empty_configuration_is_an_error",
    ),
    (
        "configuration: any name of a header",
        " or not _is_name(name):",
        ":",
        "portable/test_files.py::test_no_header_ends_its_line_or_begins_another",
    ),
    (
        "configuration: any value of a header",
        "not is_printable(value) or",
        "",
        "portable/test_files.py::test_no_header_ends_its_line_or_begins_another",
    ),
    (
        "configuration: headers of ours",
        "return name not in _OURS",
        "return True",
        "portable/test_files.py::test_no_header_is_one_of_ours",
    ),
    (
        "configuration: headers of ours in capitals",
        "headers[name.lower()] = given[name]",
        "headers[name] = given[name]",
        "portable/test_files.py::test_no_header_is_one_of_ours",
    ),
    (
        "configuration: any number of headers",
        "if len(given) > _HEADERS:",
        "if False:",
        "portable/test_files.py::test_there_are_at_most_8_headers",
    ),
    (
        "configuration: two credentials",
        "if basic and bearer:",
        "if False:",
        "portable/test_files.py::test_credentials_are_sent_as_rfc_7617_and_6750_say",
    ),
    (
        "configuration: a certificate without its key",
        "if bool(self.tls_cert) != bool(self.tls_key):",
        "if False:",
        "portable/test_files.py::test_the_certificate_of_a_client_has_its_key",
    ),
    (
        "configuration: TLS is not verified for any word",
        'if unverified not in ("", UNVERIFIED):',
        "if False:",
        "portable/test_files.py::test_tls_is_verified_unless_somebody_says_so_in_so_many_words",
    ),
    (
        "configuration: TLS is not verified by default",
        "self.verified = not unverified",
        "self.verified = False",
        "portable/test_files.py::test_tls_is_verified_unless_somebody_says_so_in_so_many_words",
    ),
    (
        "configuration: any number of pins",
        '"tls_pins", str, 4, [])',
        '"tls_pins", str, 5, [])',
        "portable/test_files.py::test_pins_are_digests_in_hexadecimal",
    ),
    (
        "configuration: a board that could end a header line",
        "if not is_printable(self.board):",
        "if False:",
        "portable/test_files.py::test_a_board_is_named_in_printable_ascii",
    ),
    (
        "configuration: Content-Length by hand",
        '"content-length",',
        "",
        "portable/test_files.py::test_no_header_is_one_of_ours",
    ),
    (
        "configuration: Transfer-Encoding by hand",
        '"transfer-encoding",',
        "",
        "portable/test_files.py::test_no_header_is_one_of_ours",
    ),
    (
        "report: over plain HTTP",
        'self.report_url.startswith("https://") and is_',
        "is_",
        "e2e/test_report.py::test_the_url_for_reports_is_https",
    ),
    (
        "report: a URL that could end a header line",
        " and is_printable(self.report_url)",
        "",
        "e2e/test_report.py::test_the_url_for_reports_is_https",
    ),
    (
        "configuration: Content-Type by hand",
        '    "content-type",\n',
        "",
        "e2e/test_report.py::test_the_type_of_what_is_posted_is_our_own_header",
    ),
    (
        "configuration: a header stands twice",
        "        if name.lower() in headers:",
        "        if False:",
        "portable/test_files.py::test_a_header_stands_once_whatever_its_case",
    ),
]
