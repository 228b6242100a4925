"""Checks of lib/ota/reader.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "reader: every block is right",
        "return sha.digest()[:DIGEST] == self.signed(index)",
        "return True",
        "portable/test_slot.py::test_only_wrong_blocks_are_wanted_in_runs",
    ),
    (
        "reader: a sector of equal bytes is blank",
        "return self.sector[0] == 0xFF and self.tail == self.front",
        "return self.tail == self.front",
        "portable/test_slot.py::test_a_sector_is_blank_where_every_byte_is",
    ),
    (
        "reader: a sector that begins blank is blank",
        "return self.sector[0] == 0xFF and self.tail == self.front",
        "return self.sector[0] == 0xFF",
        "portable/test_slot.py::test_a_sector_is_blank_where_every_byte_is",
    ),
    (
        "reader: sectors are blank where the first is",
        "for sector in range(first, end):",
        "for sector in range(first, first + 1):",
        "portable/test_slot.py::test_sectors_are_blank_where_all_of_them_are",
    ),
    (
        "reader: all sectors are blank",
        "if not self.is_blank():\n                return False",
        "if not self.is_blank():\n                break",
        "portable/test_slot.py::test_sectors_are_blank_where_all_of_them_are",
    ),
    (
        "reader: a sector is read behind the end of a short image",
        "min(_SECTOR, end - index * _SECTOR)",
        "_SECTOR",
        "portable/test_slot.py::test_what_is_read_ends_where_the_image_does",
    ),
    (
        "reader: an image that ends in a sector is read without its end",
        "if index == last and end % _SECTOR:",
        "if False:",
        "portable/test_slot.py::test_what_is_read_ends_where_the_image_does",
    ),
    (
        "reader: an image shorter than a sector is read twice",
        "if index == last and end % _SECTOR:",
        "if end % _SECTOR:",
        "portable/test_slot.py::test_what_is_read_ends_where_the_image_does",
    ),
    (
        "reader: a sector is read behind an image that ends on a border",
        "stop = min(index + _SECTORS, last)",
        "stop = min(index + _SECTORS, last + 1)",
        "portable/test_slot.py::test_what_is_read_ends_where_the_image_does",
    ),
    (
        "reader: the header is read from flash",
        "if start % _SECTOR:",
        "if False:",
        "portable/test_slot.py::test_what_is_read_ends_where_the_image_does",
    ),
    (
        "reader: a whole block is read back in a step",
        "stop = min(index + _SECTORS, last)",
        "stop = last",
        "portable/test_slot.py::test_at_most_16_kib_are_read_back_in_a_step",
    ),
]
