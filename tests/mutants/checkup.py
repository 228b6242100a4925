"""Checks of lib/ota/checkup.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "doctor: a failed check ends all",
        "            found.append((name, _BAD, _say(e), advice))",
        "            return found",
        "host/test_checkup.py::test_it_never_raises",
    ),
    (
        "doctor: the server is asked in any case",
        'if name == "server" and not network:',
        "if False:",
        "host/test_checkup.py::test_without_the_network_the_server_is_not_asked",
    ),
    (
        "doctor: asks the server as long as an update may",
        "config.tries, config.total_s = 1, 60",
        "config.total_s = 60",
        "host/test_checkup.py::test_the_server_is_asked_once",
    ),
    (
        "doctor: takes a newer trust store",
        "        def _walk(self, trust):",
        "        def _walked(self, trust):",
        "host/test_checkup.py::test_a_newer_trust_store_is_left_to_a_check",
    ),
    (
        "doctor: what hides the library is overlooked",
        "if _exists(port.path(name)) & kind:",
        "if False:",
        "e2e/test_device.py::test_doctor_finds_a_folder_ota_that_hides_the_library",
    ),
    (
        "doctor: a spoiled trust store beside a good one is overlooked",
        "for name in (path, path + CURRENT):",
        "for name in (path,):",
        "host/test_checkup.py::test_a_newer_store_that_is_spoiled_is_told",
    ),
    (
        "doctor: a boot.py without the library is overlooked",
        'if not sys.modules["ota"]._started:',
        "if False:",
        "host/test_checkup.py::test_a_boot_py_without_the_library_does_not_work",
    ),
]
