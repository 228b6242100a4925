"""Checks of lib/ota/health.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "status: a bad configuration is not told",
        "    except OtaError as e:\n        return str(e)",
        '    except OtaError:\n        return ""',
        "portable/test_boot.py::test_status_tells_of_a_bad_configuration_and_of_a_lost_journal",
    ),
    (
        "status: a journal that cannot be read is not told",
        '"journal": found.remembered,',
        '"journal": True,',
        "portable/test_boot.py::test_status_tells_of_a_bad_configuration_and_of_a_lost_journal",
    ),
]
