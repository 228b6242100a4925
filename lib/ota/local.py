"""Other places that bytes come from: files of the device, and a serial line to a host.

Layer 4. The same calls as `Source` and `Network`; a device that updates over HTTPS only never loads
this.
"""

import select
from time import ticks_diff, ticks_ms

from micropython import const

from .errors import error
from .http import Head
from .net import Link, link_error
from .patience import Patience
from .source import Body

_QUIET_MS = const(200)
_PARTIAL = const(206)

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from typing import Protocol

    class Stream(Protocol):
        """What a `Wire` reads and writes; None where it would block."""

        def readinto(self, __buf: bytearray) -> "int | None": ...
        def readline(self) -> "bytes | str | None": ...  # the stubs of a UART say str
        def write(self, __buf: bytes) -> "int | None": ...


class FileUrl:
    """`file:///sd/demo.manifest`: a path of the device."""

    def __init__(self, text: str) -> None:
        """Raises SourceError `url`."""
        if not text.startswith("file:///"):
            raise error("url", "does not start with file:///")
        self.path = text[7:]

    def join(self, reference: str) -> "FileUrl":
        """The file `reference` in the same folder, "" for this one. Raises SourceError `url` for any
        other place.
        """
        if not reference:
            return self
        if ":" in reference or reference.startswith("/") or ".." in reference.split("/"):
            raise error("url", "a file may only name its neighbours")
        return FileUrl("file://" + self.path[: self.path.rfind("/") + 1] + reference)

    def authority(self) -> str:
        """Nobody."""
        return ""


class Files:
    """A source whose URLs are files, on an SD card perhaps."""

    home = ""

    def __init__(self) -> None:
        self._open: list = []

    def renew(self, patience: Patience) -> None:
        """Files never keep anybody waiting."""

    def get(self, url: FileUrl, start: int = 0, end: int = 0, tag: bytes = b""):
        """Generator, as `Source.get`. Raises SourceError `unreachable`; ImageError `size-mismatch`."""
        self.close()
        try:
            file = open(url.path, "rb")
            self._open.append(file)
            size = file.seek(0, 2)
            if end > size:
                raise error("size-mismatch", "%s ends at byte %d" % (url.path, size))
            file.seek(start)
        except OSError as e:
            raise link_error("unreachable", url.path, e)
        head = Head()
        head.status = _PARTIAL
        head.start, head.stop, head.total = start, end or size, size
        yield
        return Body(_Opened(file), head)

    def close(self) -> None:
        """Close the file."""
        while self._open:
            self._open.pop().close()


class _Opened:
    # In the place of a `Link`.

    def __init__(self, file) -> None:
        self.stream = file


class Wire:
    """A network that is one serial line, with `ota serve --serial` at its other end.

    The bytes on it are HTTP, without TLS: nobody else is on the line, and signatures are checked as
    ever. A line has no checksum: a block whose digest is not right is asked for again. Set `part_kib`,
    so that little has to pass where an answer was given up, and a receive buffer (`rxbuf`) for what
    comes in the 50 ms of an erase.

    Args:
        stream: a `machine.UART` with `timeout=0`, or anything whose readinto, readline and write
            return None where they would block.
    """

    is_noisy = True

    def __init__(self, stream: "Stream") -> None:
        self._stream = stream

    def connect(self, url, patience: Patience):
        """Generator: a `Link`, once what an earlier answer left on the line has passed.

        Raises SourceError `link-lost`, `timeout`, `too-slow`.
        """
        link = _Line(self._stream, select.POLLIN, patience)
        scratch = bytearray(256)
        patience.phase()
        since = ticks_ms()
        passed = 0
        while ticks_diff(ticks_ms(), since) < _QUIET_MS:
            try:
                n = self._stream.readinto(scratch)
            except OSError as e:
                raise self.handshake_error(url, e)
            if n:
                since = ticks_ms()
                passed += n
            late = patience.again(passed, True)
            if late:
                raise late
            yield link
        return link

    def handshake_error(self, url, e):
        """The error for what sending the first bytes raised."""
        return link_error("link-lost", "serial line", e)


class _Line(Link):
    # A link that stays open.

    def close(self) -> None:
        pass
