"""The board's file system: littlefs images, written and read by littlefs-python."""

from collections.abc import Iterator
from errno import ELOOP

from littlefs import LittleFS, LittleFSError

from ota_tools.failures import Refused

_BLOCK = 4096
_DEPTH = 64  # folders in each other; a damaged one may hold itself
_UNIT = 32  # read and program size of MicroPython's VfsLfs2

ERRORS = (LittleFSError, OSError, UnicodeError)
"""What littlefs-python raises for a file system that is full or damaged, or a name that is no text."""


def build(size: int, files: dict[str, bytes]) -> bytes:
    """A littlefs of `size` bytes with these files: absolute path -> contents. Raises Refused."""
    path = "/"
    try:
        fs = LittleFS(
            block_size=_BLOCK, block_count=size // _BLOCK, read_size=_UNIT, prog_size=_UNIT
        )
        for path, data in files.items():
            folder = path.rpartition("/")[0]
            if folder:
                fs.makedirs(folder, exist_ok=True)
            with fs.open(path, "wb") as file:
                file.write(data)
    except ERRORS as e:
        total = sum(map(len, files.values()))
        raise Refused(
            f"{path} does not go into the file system: {_why(e)}; "
            f"{total} bytes of files, {size} of file system"
        ) from e
    return bytes(fs.context.buffer)


def read(data: bytes) -> dict[str, bytes]:
    """Every file in a littlefs: absolute path -> contents. Raises Refused where there is none."""
    fs = LittleFS(
        block_size=_BLOCK,
        block_count=len(data) // _BLOCK,
        read_size=_UNIT,
        prog_size=_UNIT,
        mount=False,
    )
    fs.context.buffer = bytearray(data)
    files = {}
    try:
        fs.mount()
        for path in paths(fs):
            with fs.open(path, "rb") as file:
                files[path] = file.read()
    except ERRORS as e:
        raise Refused(f"no readable littlefs: {_why(e)}") from e
    return files


def paths(fs: LittleFS) -> Iterator[str]:
    """Absolute path of every file. Raises one of `ERRORS`."""
    for root, _, names in fs.walk("/"):
        if root.count("/") > _DEPTH:
            raise OSError(ELOOP, "folders in a loop")
        for name in names:
            yield f"{root.rstrip('/')}/{name}"


def _why(e: Exception) -> str:
    if isinstance(e, LittleFSError):
        return str(e.name)
    if isinstance(e, UnicodeError):
        return "a name that is not UTF-8"
    return getattr(e, "strerror", None) or type(e).__name__
