"""The image format: what ESP-IDF refuses is refused, and no length is believed before its check."""

import hashlib
import struct

from fakes import code_of, make_image, noise, raises

from ota.errors import ImageError
from ota.image import (
    DESCRIPTION,
    DESCRIPTOR,
    HEAD_SIZE,
    check_head,
    inspect,
    secure_version,
    verify,
    version_text,
)

LIMIT = 1 << 25
MAGIC_WORD = b"\x32\x54\xcd\xab"


def build(lengths, chip_id=0, digest=True, descriptor=True, count=None):
    """An image of segments of these lengths, by the book (facts.md 2)."""
    head = bytearray(24)
    head[0], head[23] = 0xE9, 1 if digest else 0
    head[1] = len(lengths) if count is None else count
    struct.pack_into("<H", head, 12, chip_id)
    data = bytes(head)
    checksum = 0xEF
    for i, length in enumerate(lengths):
        body = noise(length, i + 1)
        if i == 0 and descriptor:
            body = MAGIC_WORD + body[4:]
        data += struct.pack("<II", 0x3F400000 + i, length) + body
        for byte in body:
            checksum ^= byte
    data += bytes(15 - len(data) % 16) + bytes((checksum,))
    return data + hashlib.sha256(data).digest() if digest else data


class Source:
    """read(offset, n) over bytes; remembers how far it was asked."""

    def __init__(self, data):
        self.data = data
        self.end = 0

    def read(self, offset, n):
        self.end = max(self.end, offset + n)
        return memoryview(self.data)[offset : offset + n]


def inspected(data, limit=None):
    return inspect(Source(data).read, len(data) if limit is None else limit)


def verified(data, limit=None):
    return verify(Source(data).read, len(data) if limit is None else limit)


def refused(data, limit=None):
    """Both refuse it, as a wrong format."""
    for call in (inspected, verified):
        if raises(ImageError, call, data, limit).code != "image-format":
            return False
    return True


IMAGE = build([1256, 300, 48])


# The head


def test_the_head_of_an_application_is_taken():
    for chip_id in (0, 2, 9, 13, 0x102):
        image = make_image(1000, chip_id)
        for head in (image[:HEAD_SIZE], bytearray(image[:HEAD_SIZE]), memoryview(image)):
            check_head(head, chip_id)
    assert HEAD_SIZE == 36 and DESCRIPTOR == 0xABCD5432


def test_another_magic_is_refused():
    for magic in (0, 0xFF, 0xE8, 0xEA, 0x69, ord("<")):
        head = bytearray(IMAGE[:36])
        head[0] = magic
        assert code_of(check_head, head, 0) == "image-format", magic


def test_a_head_names_1_to_16_segments():
    for count in range(256):
        head = bytearray(IMAGE[:36])
        head[1] = count
        if 1 <= count <= 16:
            check_head(head, 0)
        else:
            assert code_of(check_head, head, 0) == "image-format", count


def test_the_chip_is_this_one():
    for chip_id, mine in ((9, 0), (0, 9), (0x100, 0), (0x900, 9), (0xFFFF, 0)):
        head = make_image(1000, chip_id)[:36]
        assert code_of(check_head, head, mine) == "wrong-chip", (chip_id, mine)


def test_a_bootloader_or_a_merged_file_is_no_application():
    assert code_of(check_head, build([64], descriptor=False)[:36], 0) == "image-format"
    head = bytearray(IMAGE[:36])
    head[32] = 0x50
    assert code_of(check_head, head, 0) == "image-format"


def test_the_chip_is_named_before_the_descriptor_is_missed():
    assert code_of(check_head, build([64], chip_id=5, descriptor=False)[:36], 0) == "wrong-chip"


def test_the_first_segment_has_a_length_that_can_be():
    for length, ok in (
        (0, True),
        (4, True),
        (0xFFFFFC, True),
        (1, False),
        (2, False),
        (1255, False),
        (0xFFFFFF, False),
        (0x1000000, False),
        (0xFFFFFFFC, False),
        (0xFFFFFFFF, False),
    ):
        head = bytearray(IMAGE[:36])
        struct.pack_into("<I", head, 28, length)
        if ok:
            check_head(head, 0)
        else:
            assert code_of(check_head, head, 0) == "image-format", length


def test_every_flipped_byte_of_a_head_that_matters_is_an_error():
    for at in (0, 12, 13, 32, 33, 34, 35):
        for bit in range(8):
            head = bytearray(IMAGE[:36])
            head[at] ^= 1 << bit
            assert code_of(check_head, head, 0) in ("image-format", "wrong-chip"), (at, bit)


def test_a_truncated_head_is_an_error():
    for n in range(HEAD_SIZE):
        raises(Exception, check_head, IMAGE[:n], 0)


# The descriptor


def description(version=b"", number=0):
    """The first bytes of an application with these in its descriptor."""
    head = bytearray(build([256])[:DESCRIPTION])
    head[48:80] = version + bytes(32 - len(version))
    struct.pack_into("<I", head, 36, number)
    return head


def test_secure_version_is_a_number_of_32_bits():
    assert DESCRIPTION == 80
    for number in (0, 1, 0x100, 0x01020304, 0x7FFFFFFF, 0xFFFFFFFF):
        head = description(b"1", number)
        for data in (head, bytes(head), memoryview(head)):
            assert secure_version(data) == number
    for n in range(40):
        raises(Exception, secure_version, description(b"1", 1)[:n])


def test_the_version_is_what_stands_before_its_zero():
    for raw, wanted in (
        (b"1.2.3", "1.2.3"),
        (b"v1.25.0 ~", "v1.25.0 ~"),
        (b"1\x002", "1"),
        (b"1\x00\xff", "1"),
        (b"a" * 24, "a" * 24),
        (b"a" * 24 + b"\xff", "a" * 24),
        (b"a" * 32, "a" * 24),  # no zero at all
        (b"", "-"),
        (b"\x002", "-"),
        (b"1\n", "-"),
        (b"1\x7f", "-"),
        (b"\x1b[2J", "-"),
        (b"\xff" * 32, "-"),
        ("1.2\u00fc".encode(), "-"),
    ):
        head = description(raw, 0xFFFFFFFF)
        for data in (head, bytes(head), memoryview(head), memoryview(head + b"behind")):
            assert version_text(data) == wanted, raw


# The walk


def test_an_image_says_what_it_is():
    info = inspected(build([1256, 2048, 3000], chip_id=9))
    # The worked example of facts.md 2, made with esptool.
    assert info.size == 6400
    assert info.chip_id == 9
    assert info.has_digest and info.has_descriptor
    assert info.segments == [
        (32, 0x3F400000, 1256),
        (32 + 1256 + 8, 0x3F400001, 2048),
        (32 + 1256 + 8 + 2048 + 8, 0x3F400002, 3000),
    ]


def test_sizes_at_every_alignment():
    for length in range(0, 84, 4):
        for digest in (False, True):
            image = build([length], digest=digest, descriptor=length >= 4)
            info = verified(image)
            assert info.size == len(image), length
            assert info.has_digest == digest
            assert info.has_descriptor == (length >= 4)


def test_an_image_without_descriptor_says_so():
    for lengths in ([0], [0, 64], [64], [4, 4]):
        assert not inspected(build(lengths, descriptor=False)).has_descriptor, lengths
    # It is the first segment that has it: not the next one, and not the next one's address.
    image = build([0, 64], descriptor=False)
    for at in (32, 40):
        assert not inspected(image[:at] + MAGIC_WORD + image[at + 4 :]).has_descriptor, at


def test_bytes_behind_an_image_are_not_its_own():
    for more in (b"\x00", b"\xff" * 5000):
        assert inspected(IMAGE + more).size == len(IMAGE)
        assert verified(IMAGE + more).size == len(IMAGE)


def test_no_byte_behind_the_limit_is_asked_for():
    data = IMAGE + noise(4096)
    for limit in list(range(0, len(IMAGE), 29)) + [len(IMAGE) - 1, len(IMAGE)]:
        for call in (inspect, verify):
            source = Source(data)
            try:
                call(source.read, limit)
                assert limit == len(IMAGE)
            except ImageError as e:
                assert e.code == "image-format" and limit < len(IMAGE)
            assert source.end <= limit, limit


def test_inspecting_reads_the_headers_only():
    source = Source(IMAGE)
    asked = []

    def read(offset, n):
        asked.append(n)
        return source.read(offset, n)

    inspect(read, len(IMAGE))
    assert sum(asked) < 100


def test_every_truncation_is_refused():
    for image in (IMAGE, build([64, 32], digest=False)):
        for n in range(0, len(image), 3 if len(image) > 500 else 1):
            assert refused(image[:n]), n
            # Where the source ends early and its size is not known, the proof notices.
            assert code_of(verified, image[:n], LIMIT) == "image-format", n
        assert refused(image[:-1])
        assert refused(image, len(image) - 1)


def test_another_magic_is_no_image():
    for magic in (0, 0xFF, 0xE8, 0xEA):
        assert refused(bytes((magic,)) + IMAGE[1:]), magic


def test_an_image_has_1_to_16_segments():
    sixteen = build([4] * 16)
    assert len(verified(sixteen).segments) == 16
    assert len(verified(build([4])).segments) == 1
    assert refused(build([4] * 17))
    assert refused(build([], digest=False))
    for count in (0, 17, 0xFF):
        assert refused(build([4] * 16, count=count) + bytes(4096)), count


def test_a_segment_is_a_multiple_of_4_bytes():
    for length in (1, 2, 3, 5, 6, 7):
        assert refused(build([length], descriptor=False) + bytes(64)), length
        assert refused(build([64, length]) + bytes(64)), length


def test_a_segment_is_shorter_than_16_mib():
    # Nothing of that length is read: the walk jumps over it.
    def source(length):
        head = build([4], descriptor=False, digest=False)[:28] + struct.pack("<I", length)

        def read(offset, n):
            return (head + bytes(64))[offset : offset + n] if offset < 64 else bytes(n)

        return read

    assert inspect(source(0xFFFFFC), LIMIT).segments[0][2] == 0xFFFFFC
    for length in (0x1000000, 0x1000004, 0x7FFFFFFC, 0xFFFFFFFC):
        assert code_of(inspect, source(length), 1 << 33) == "image-format", length


def test_a_segment_ends_within_the_limit():
    for length in (len(IMAGE) - 32, len(IMAGE) - 28, 4096, 0xFFFFFC):
        image = bytearray(IMAGE)
        struct.pack_into("<I", image, 28, length)
        assert refused(bytes(image)), length
        assert refused(bytes(image), LIMIT), length


# The proof


def test_good_images_are_proven():
    for size in (1000, 1024, 1028, 2048, 5000):
        image = make_image(size)
        assert verified(image).size == len(image)
    for lengths in ([1024], [1020], [1028], [4, 2048, 8], [2052, 1024, 1020], [0, 64], [64, 0]):
        for digest in (True, False):
            image = build(lengths, digest=digest, descriptor=False)
            assert verified(image).size == len(image), lengths


def test_every_flipped_byte_is_refused_or_shows():
    for at in range(len(IMAGE)):
        flipped = bytearray(IMAGE)
        flipped[at] ^= 1 << at % 8
        if at == 23:
            # "No digest appended": the checksum is right, and the size says it.
            flipped[at] = 0
            assert verified(bytes(flipped)).size == len(IMAGE) - 32
            continue
        assert code_of(verified, bytes(flipped), len(IMAGE)) == "image-format", at


def test_without_a_digest_the_checksum_covers_the_data():
    lengths = [1256, 300, 48]
    image = build(lengths, digest=False)
    start = 24
    for length in lengths:
        start += 8
        for at in range(start, start + length, 5):
            flipped = bytearray(image)
            flipped[at] ^= 1 << at % 8
            assert code_of(verified, bytes(flipped)) == "image-format", at
        start += length
    for bit in range(8):
        assert code_of(verified, image[:-1] + bytes((image[-1] ^ 1 << bit,))) == "image-format"


def test_a_right_digest_does_not_excuse_a_wrong_checksum():
    data = bytearray(IMAGE[:-32])
    data[-1] ^= 1
    data = bytes(data)
    assert code_of(verified, data + hashlib.sha256(data).digest()) == "image-format"


def test_a_right_checksum_does_not_excuse_a_wrong_digest():
    for at in (0, 15, 31):
        image = bytearray(IMAGE)
        image[len(IMAGE) - 32 + at] ^= 1
        assert inspected(bytes(image)).size == len(IMAGE)
        assert code_of(verified, bytes(image)) == "image-format"
    # The load address is in the digest alone.
    image = bytearray(IMAGE)
    image[24] ^= 1
    assert code_of(verified, bytes(image)) == "image-format"


def test_a_source_that_gives_less_is_truncated():
    def read(offset, n):
        return IMAGE[offset : offset + min(n, 600)]

    assert inspect(read, len(IMAGE)).size == len(IMAGE)
    assert code_of(verify, read, len(IMAGE)) == "image-format"
