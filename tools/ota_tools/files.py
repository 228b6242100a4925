"""Files that nobody finds half written, whatever happens to this machine."""

import os
from pathlib import Path

from ota_tools.failures import Usage


def write_new(path: Path, data: bytes, why: str, mode: int = 0o666) -> None:
    """A file that was not there, with this mode from its first moment. Raises Usage with `why`."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as e:
        raise Usage(f"{path} exists: {why}") from e
    try:
        _fill(handle, data)
    except BaseException:
        path.unlink()
        raise


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """The file as it was before, or this."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    _fill(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), data)
    os.replace(fresh, path)


def _fill(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
