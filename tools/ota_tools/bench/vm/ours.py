"""The library itself, as an application uses it, over a `Chip` and without TLS.

`Updater.check` and `Updater.download` are called. Replaced is what the rules say, and at one place:
the connections are plain TCP, or files where instructions are counted.
"""

import socket

from chip import Chip

import ota

Updater = ota.Updater
from ota.port import Port


class _Plain:
    # In the place of ota.net.Network.

    def connect(self, url):
        sock = socket.socket()
        sock.connect(socket.getaddrinfo(url.host, url.port)[0][-1])
        sock.setsockopt(6, 1, 1)  # TCP_NODELAY
        return sock


class _Updater(Updater):
    connections = None

    def _network(self, trust):
        return self.connections


def make(root, size, folder=""):
    """(chip, updater).

    Args:
        root: folder that holds ota.json and the trust store.
        size: bytes of the slot.
        folder: published files, where they come from there and not from the server.
    """
    chip = Chip(size)
    chip.Partition.running.writeblocks(0, b"\x00\x00", 12)
    updater = _Updater.from_config(port=Port(chip, chip, root))
    if folder:
        from wire import Files

        updater.connections = Files(folder)
    else:
        updater.connections = _Plain()
    return chip, updater
