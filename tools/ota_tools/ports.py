"""The ports that a user may name: of this machine, of the network, or a virtual board's.

Rule: whoever opens a port sees a path that pyserial opens, and nothing of what stands behind it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

BOARD = "board:"
"""Before the folder of a virtual board."""


@contextlib.contextmanager
def open_port(name: str, download: bool = False) -> Iterator[str]:
    """The device path or URL that pyserial opens.

    `board:DIR` powers the virtual board in DIR for as long as the context lasts and gives the path of its
    pseudo-terminal; anything else is given back as it is.

    Args:
        name: what the user typed.
        download: with the ROM's download mode, for esptool; else running the board's image.
    Raises Usage (no such board), Unreachable (another command powers it), and at the end of the context
    what the board failed with meanwhile.
    """
    if not name.startswith(BOARD):
        yield name
        return
    from ota_tools.board import power

    folder = Path(name[len(BOARD) :])
    with power.download_mode(folder) if download else power.running(folder) as board:
        yield board.path
