"""Files that nobody finds half written, whatever happens to this machine."""

import os
from pathlib import Path

from ota_tools.failures import Usage


def write_new(path: Path, data: bytes, why: str, mode: int = 0o666) -> None:
    """A file that was not there, with this mode from its first moment. Raises Usage with `why`."""
    try:
        _write(path, data, mode)
    except FileExistsError as e:
        raise Usage(f"{path} exists: {why}") from e


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """The file as it was before, or this."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    _write(fresh, data, mode)
    os.replace(fresh, path)


def _write(path: Path, data: bytes, mode: int) -> None:
    # Where it fails there is no file, but for one that was there.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
