"""Small files on the device: read whole under a limit, replaced whole or not at all.

Layer 3. littlefs renames over an existing file in one step, so after a cut there is the old file or
the new one.
"""

import os

from .errors import error


def read_file(path: str, limit: int) -> bytes:
    """The whole file, at most `limit` bytes. Raises SlotError `files`; a missing file gives b""."""
    try:
        size = min(os.stat(path)[6], limit)  # reading allocates what is asked for
        with open(path, "rb") as file:
            data = file.read(size + 1)
    except OSError as e:
        if e.errno == 2:
            return b""
        raise error("files", "%s: %s" % (path, e))
    if len(data) > size:
        raise error("files", "%s is longer than %d bytes" % (path, limit))
    return data


def replace_file(path: str, data: bytes) -> None:
    """Write `path`.new, read it back, rename it. Raises SlotError `files`."""
    fresh = path + ".new"
    try:
        with open(fresh, "wb") as file:
            file.write(data)
        if read_file(fresh, len(data)) != data:
            raise error("files", "%s does not read back" % fresh)
        os.rename(fresh, path)
    except OSError as e:
        raise error("files", "%s: %s" % (path, e))
