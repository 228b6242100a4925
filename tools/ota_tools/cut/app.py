"""An image of the scenarios, as bytes and by what it does. Imports nothing of the library: the judge reads this."""

import hashlib
from dataclasses import dataclass

GOOD, FAILS, HANGS, CRASHES, DEAD, LOOPS, BROKEN = (
    "good",
    "fails",
    "hangs",
    "crashes",
    "dead",
    "loops",
    "broken",
)
"""What an image does: confirms; fails its self-test; waits for the watchdog; crashes in main.py;
crashes before boot.py; confirms, and crashes from then on; is signed and does not load.
"""


@dataclass(frozen=True)
class App:
    """An image that may be on the board, and how it behaves.

    Attributes:
        data: all that the slot holds of it.
        content: how many of these bytes its digest covers, 0 for all.
    """

    version: str
    sequence: int
    data: bytes
    does: str = GOOD
    content: int = 0

    @property
    def digest(self) -> bytes:
        """By which the device knows it."""
        return hashlib.sha256(self.data[: self.content or len(self.data)]).digest()
