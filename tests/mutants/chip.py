"""Checks of lib/ota/chip.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "chip: the factory image counts as slot 0",
        "if _OTA_0 <= subtype <= _OTA_LAST else -1",
        "if _OTA_0 <= subtype <= _OTA_LAST else 0",
        "portable/test_port.py::test_a_factory_image_runs_in_no_slot",
    ),
    (
        "chip: every app partition is a slot",
        "if _OTA_0 <= subtype <= _OTA_LAST:\n",
        "if True:\n",
        "portable/test_port.py::test_two_ota_slots_are_needed_without_a_hole",
    ),
    (
        "chip: NVS is not committed",
        "        nvs.commit()\n",
        "",
        "portable/test_port.py::test_what_is_stored_is_committed",
    ),
    (
        "chip: what NVS cannot read is nothing",
        "            if e.errno in _NO_BLOB:",
        "            if True:",
        "portable/test_port.py::test_what_nvs_cannot_read_is_not_taken_for_nothing",
    ),
]
