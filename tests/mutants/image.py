"""Checks of lib/ota/image.py that are taken out one at a time, for tests/mutate.py."""

MUTANTS = [
    (
        "image head: any magic",
        "if head[0] != MAGIC or not 1 <= head[1] <= _MAX_SEGMENTS:",
        "if not 1 <= head[1] <= _MAX_SEGMENTS:",
        "portable/test_image.py::test_another_magic_is_refused",
    ),
    (
        "image head: any number of segments",
        "if head[0] != MAGIC or not 1 <= head[1] <= _MAX_SEGMENTS:",
        "if head[0] != MAGIC:",
        "portable/test_image.py::test_a_head_names_1_to_16_segments",
    ),
    (
        "image head: any chip",
        "if chip != chip_id:",
        "if False:",
        "portable/test_image.py::test_the_chip_is_named_before_the_descriptor_is_missed",
    ),
    (
        "image head: bootloaders and merged files",
        "if magic != DESCRIPTOR:",
        "if False:",
        "portable/test_image.py::test_a_bootloader_or_a_merged_file_is_no_application",
    ),
    (
        "image head: a first segment of any length",
        "if length % 4 or length >= _MAX_SEGMENT:\n        raise",
        "if False:\n        raise",
        "portable/test_image.py::test_the_first_segment_has_a_length_that_can_be",
    ),
    (
        "image: any magic",
        "if head[0] != MAGIC:",
        "if False:",
        "portable/test_image.py::test_another_magic_is_no_image",
    ),
    (
        "image: any number of segments",
        "if not 1 <= count <= _MAX_SEGMENTS:",
        "if False:",
        "portable/test_image.py::test_an_image_has_1_to_16_segments",
    ),
    (
        "image: a segment of any length",
        "if length % 4 or length >= _MAX_SEGMENT:\n            raise",
        "if False:\n            raise",
        "portable/test_image.py::test_a_segment_is_a_multiple_of_4_bytes",
    ),
    (
        "image: an image larger than the limit",
        "if size > limit:",
        "if False:",
        "portable/test_image.py::test_no_byte_behind_the_limit_is_asked_for",
    ),
    (
        "image: the checksum is not compared",
        "if stored != checksum:",
        "if False:",
        "portable/test_image.py::test_a_right_digest_does_not_excuse_a_wrong_checksum",
    ),
    (
        "image: the appended SHA-256 is not compared",
        "if sha.digest() != bytes(_exactly(read, end, 32, limit)):",
        "if False:",
        "portable/test_image.py::test_a_right_checksum_does_not_excuse_a_wrong_digest",
    ),
    (
        "image: reads behind the limit",
        "if offset + n > limit:",
        "if False:",
        "portable/test_image.py::test_no_byte_behind_the_limit_is_asked_for",
    ),
    (
        "image: a truncated source",
        "if len(data) != n:",
        "if False:",
        "portable/test_image.py::test_a_segment_ends_within_the_limit",
    ),
    (
        "image: the whole descriptor is the version",
        '.split(b"\\x00")[0][:24]',
        "[:24]",
        "portable/test_image.py::test_the_version_is_what_stands_before_its_zero",
    ),
    (
        "image: a version of any length",
        '.split(b"\\x00")[0][:24]',
        '.split(b"\\x00")[0]',
        "portable/test_image.py::test_the_version_is_what_stands_before_its_zero",
    ),
    (
        "image: a version with control characters",
        "if not 0x20 <= byte <= 0x7E:",
        "if byte > 0x7E:",
        "portable/test_image.py::test_the_version_is_what_stands_before_its_zero",
    ),
    (
        "image: a version beyond ASCII",
        "if not 0x20 <= byte <= 0x7E:",
        "if byte < 0x20 or byte == 0x7F:",
        "portable/test_image.py::test_the_version_is_what_stands_before_its_zero",
    ),
    (
        "image: half of secure_version",
        'struct.unpack_from("<I", head, 36)[0]',
        'struct.unpack_from("<H", head, 36)[0]',
        "portable/test_image.py::test_secure_version_is_a_number_of_32_bits",
    ),
]
