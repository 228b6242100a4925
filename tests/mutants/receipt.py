"""Checks of lib/ota/receipt.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "receipts: a version of any characters",
        "if not is_printable(version):",
        "if False:",
        "portable/test_files.py::test_receipts_that_break_the_schema_are_none",
    ),
    (
        "receipts: a receipt of any type",
        "if type(entry) is not dict:",
        "if False:",
        "portable/test_files.py::test_receipts_that_break_the_schema_are_none",
    ),
    (
        "receipts: any format number",
        'if field(fields, "format", int) != _FORMAT:',
        "if False:",
        "portable/test_files.py::test_receipts_that_break_the_schema_are_none",
    ),
    (
        "receipts: damaged ones stop the update",
        "except (OtaError, Malformed, ValueError):",
        "except ZeroDivisionError:",
        "portable/test_files.py::test_a_file_of_receipts_that_cannot_be_read_is_no_receipts",
    ),
    (
        "receipts: files over the limit are written",
        "if len(data) > _LIMIT:",
        "if False:",
        "portable/test_files.py::test_receipts_of_at_most_2048_bytes_are_written",
    ),
    (
        "receipts: any image is as received",
        "return sha.digest() == receipt.sha256",
        "return True",
        "portable/test_files.py::test_a_slot_with_one_other_byte_does_not_hold_it",
    ),
    (
        "receipts: what is behind the image is hashed",
        "sha.update(view[: min(4096, receipt.size - at)])",
        "sha.update(view)",
        "portable/test_files.py::test_a_slot_holds_the_image_of_its_receipt_whatever_is_behind_it",
    ),
    (
        "receipts: the first sector is hashed over and over",
        "device.readblocks(at // 4096, buf)",
        "device.readblocks(0, buf)",
        "portable/test_files.py::test_a_slot_holds_the_image_of_its_receipt_whatever_is_behind_it",
    ),
    (
        "receipts: a slot's number as one likes",
        " if slot == str(int(slot))",
        "",
        "portable/test_files.py::test_a_receipt_of_a_slot_that_is_written_another_way_is_none",
    ),
]
