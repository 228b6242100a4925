"""esptool as a library without a voice: it prints nothing, its progress can be heard, and what it
raises for a bad line has one name.
"""

import contextlib
import functools
import struct
from collections.abc import Callable, Iterator
from typing import Any

from esptool.logger import TemplateLogger, log
from esptool.util import FatalError

try:
    from termios import error as _Termios  # noqa: N812
except ImportError:  # Windows
    _Termios = OSError  # type: ignore[misc,assignment]

BROKEN = (RuntimeError, OSError, _Termios, struct.error, LookupError, ValueError, SystemExit)
"""What esptool and pyserial raise for a line that is cut, silent or garbled: FatalError is a
RuntimeError, termios.error no OSError, and an answer's bytes are unpacked before they are looked at.
"""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def nothing(done: int, total: int) -> None:
    """Progress that nobody wants to hear of."""


class _Listener(TemplateLogger):  # type: ignore[misc]
    # In the class, since esptool 5.0 takes over no instance.

    heard: Progress = staticmethod(nothing)

    def progress_bar(self, cur_iter: int, total_iters: int, *_: Any, **__: Any) -> None:
        _Listener.heard(cur_iter, total_iters)

    def print(self, *args: Any, **kwargs: Any) -> None:
        pass

    note = warning = error = stage = set_verbosity = print


@functools.cache
def silence() -> None:
    """From now on esptool prints nothing in this process."""
    log.set_logger(_Listener())


@contextlib.contextmanager
def heard(progress: Progress) -> Iterator[None]:
    """What esptool shows as a bar meanwhile goes to `progress`: bytes on the line."""
    _Listener.heard = progress
    try:
        yield
    finally:
        _Listener.heard = nothing


def reason(e: BaseException) -> str:
    """Why, in half a line: esptool's first sentence, without its advice."""
    if isinstance(e, FatalError):
        lines = str(e).strip().splitlines() or [type(e).__name__]
        return lines[0].split(". ")[0].rstrip(".!")
    if isinstance(e, (OSError, _Termios)):
        return "the port is gone"
    return "garbled answer"
