"""The library itself, as an application uses it, over a `Chip`.

`Updater.check` and `Updater.download` are called. Replaced is what the rules say, and at one place:
the connections are plain TCP, or files where instructions are counted. With `secure` nothing is: TLS
to the server and with the root that /ota.json names.
"""

import select
import socket

from chip import Chip

import ota

Updater = ota.Updater
from ota.port import Port

BUFFERED = 131072
"""Bytes of the ESP-IDF heap's largest free piece with which the library takes 64 KiB for itself."""


class _Plain:
    # In the place of ota.net.Network: its streams never block either.

    def __init__(self):
        from ota.net import Link

        self._link = Link

    def connect(self, url, patience):
        sock = socket.socket()
        sock.connect(socket.getaddrinfo(url.host, url.port)[0][-1])
        sock.setsockopt(6, 1, 1)  # TCP_NODELAY
        sock.setblocking(False)
        patience.phase()
        yield from ()
        return self._link(sock, select.POLLIN, patience)

    def handshake_error(self, url, e):
        return e


def make(root, size, folder="", secure=False, kind=Updater, **how):
    """(chip, updater).

    Args:
        root: folder that holds ota.json and the trust store.
        size: bytes of the slot.
        folder: published files, where they come from there and not from the server.
        secure: over TLS, as configured.
        kind: `Updater` or `AsyncUpdater`.
        how: further arguments of the chip.
    """
    chip = Chip(size, **how)
    chip.Partition.running.writeblocks(0, b"\x00\x00", 12)
    network = None
    if folder:
        from wire import Files

        network = Files(folder)
    elif not secure:
        network = _Plain()
    return chip, kind.from_config(port=Port(chip, chip, root), network=network)
