"""littlefs images: what goes in comes out, and what does not fit is said."""

import pytest

from ota_tools.board import filesystem
from ota_tools.failures import Refused

SIZE = 256 * 1024


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"/main.py": b"print(1)\n"},
        {"/empty": b"", "/a/b/c/deep.txt": b"deep", "/a/b/beside": b"1", "/z": bytes(range(256))},
        {"/large.bin": bytes(range(256)) * 700},
        {f"/many/{n}": str(n).encode() for n in range(60)},
        {"/" + "n" * 255: b"longest name"},
    ],
)
def test_files_come_back(files):
    image = filesystem.build(SIZE, files)
    assert len(image) == SIZE
    assert filesystem.read(image) == files


def test_image_is_littlefs_of_4096_byte_blocks():
    image = filesystem.build(SIZE, {})
    assert image[8:16] == b"littlefs" or image[4096 + 8 : 4096 + 16] == b"littlefs"


def test_reading_changes_nothing():
    image = filesystem.build(SIZE, {"/a": b"1"})
    before = bytes(image)
    filesystem.read(image)
    assert image == before


@pytest.mark.parametrize(
    "files",
    [
        {"/small": b"1", "/large": bytes(SIZE)},
        {f"/{n}": bytes(9000) for n in range(40)},
        {f"/folder{n}/x": b"1" for n in range(200)},
    ],
)
def test_files_that_do_not_fit_are_refused_with_the_sizes(files):
    total = sum(map(len, files.values()))
    with pytest.raises(Refused, match=f"{total} bytes of files, {SIZE} of file system"):
        filesystem.build(SIZE, files)


@pytest.mark.parametrize(
    "files", [{"/" + "n" * 256: b""}, {"/a": b"", "/a/b": b""}, {"/a/b": b"", "/a": b""}]
)
def test_names_that_cannot_be_are_refused(files):
    with pytest.raises(Refused, match="does not go into the file system"):
        filesystem.build(SIZE, files)


@pytest.mark.parametrize("data", [b"\xff" * SIZE, bytes(SIZE), b"\xe9" * SIZE, b"FAT" * 40960])
def test_what_is_no_littlefs_is_refused(data):
    with pytest.raises(Refused, match="no readable littlefs"):
        filesystem.read(data)


def test_damaged_file_system_is_refused():
    image = bytearray(filesystem.build(SIZE, {"/a/b": b"1" * 5000}))
    image[:8192] = b"\xff" * 8192
    with pytest.raises(Refused):
        filesystem.read(bytes(image))
