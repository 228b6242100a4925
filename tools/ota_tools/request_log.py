"""What a server was asked for: a record that many threads write and others read.

Rule: whoever saw the end of an answer finds its request here, though it is noted after its last byte.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

_WAIT_S = 10.0


@dataclass(frozen=True)
class Request:
    """One answered request; `bytes_sent` are of the body, fewer than promised if the client left."""

    client: str
    method: str
    path: str
    status: int
    bytes_sent: int
    range: str | None

    def __str__(self) -> str:
        asked = f" {self.range}" if self.range else ""
        return (
            f"{self.client} {self.method} {self.path}{asked}: {self.status}, {self.bytes_sent} B"
        )


class RequestLog:
    """Requests in the order in which their answers ended."""

    def __init__(self, on_request: Callable[[Request], None] | None = None) -> None:
        """Args:
        on_request: called after every answer, one at a time, in the thread that answered.
        """
        self.on_request = on_request
        self._requests: list[Request] = []
        self._under_way = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        """An answer begins; `note` follows, whatever happens."""
        with self._changed:
            self._under_way += 1

    def note(self, request: Request) -> None:
        """The answer that began has ended."""
        with self._changed:
            self._requests.append(request)
            self._under_way -= 1
            self._changed.notify_all()
            if self.on_request:
                self.on_request(request)

    def answered(self) -> list[Request]:
        """Every answered request, oldest first, once no answer is under way; after 10 s those that there
        are.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, _WAIT_S)
            return list(self._requests)
