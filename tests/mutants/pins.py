"""Checks of lib/ota/pins.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "pins: any key",
        "return 0 if seen else _REFUSED",
        "return 0",
        "portable/test_pins.py::test_without_a_pinned_key_the_server_is_refused_at_its_own_certificate",
    ),
    (
        "pins: only the server's own key",
        "self._seen = self._seen or ",
        "self._seen = ",
        "portable/test_pins.py::test_one_pinned_key_anywhere_in_the_chain_is_enough",
    ),
    (
        "pins: a key of an earlier handshake counts",
        "seen, self._seen = self._seen, False",
        "seen = self._seen",
        "portable/test_pins.py::test_every_handshake_is_judged_by_its_own_chain",
    ),
    (
        "pins: what cannot be read is trusted",
        "return _REFUSED  # what",
        "return 0  # what",
        "portable/test_pins.py::test_what_is_no_certificate_is_refused",
    ),
    (
        "pins: a chain without a pin ends at its root",
        "        if depth:\n            return 0\n",
        "",
        "portable/test_pins.py::test_without_a_pinned_key_the_server_is_refused_at_its_own_certificate",
    ),
    (
        "pins: an element behind its end",
        "if at + size > limit:",
        "if False:",
        "portable/test_pins.py::test_a_certificate_that_cannot_be_read_has_its_code",
    ),
    (
        "pins: an element without a length",
        "if at + 2 > limit:",
        "if False:",
        "portable/test_pins.py::test_an_empty_certificate_has_its_code",
    ),
    (
        "pins: a length of any length",
        "if not 1 <= count <= 3:",
        "if False:",
        "portable/test_pins.py::test_a_length_of_no_bytes_or_more_than_three_is_refused",
    ),
    (
        "pins: what an earlier handshake saw counts",
        '"""A handshake begins; the one before may have ended anywhere."""\n        self._seen = False',
        "self._seen = getattr(self, '_seen', False)",
        "portable/test_pins.py::test_a_handshake_that_was_given_up_leaves_nothing_behind",
    ),
]
