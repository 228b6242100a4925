"""How the nearest peer moves an image, restated in our own words: the pattern, not the code.

The pattern: a stream is read into one block, each piece is hashed and goes through a buffered writer
onto a block device that keeps its position and says on the console which block it wrote; at the end
the device is rewound and read back into a second hash. Seen in glenn20/micropython-esp32-ota.

The peer buffers with `io.BufferedWriter`, which the unix port does not have. What that does in C for
a whole block stands in `run`, as short as bytecode can say it: one copy into the writer's buffer, and
one new object over that buffer for the device.
"""

import binascii
import hashlib

from micropython import const
from ram import _copy

_SIZE = const(5)  # ioctl of a block device


class _Blocks:
    # A position over a device, in whole blocks.

    def __init__(self, device):
        self.device = device
        self.block_size = device.ioctl(_SIZE, 0)
        self.at = 0
        self.end = 0

    def write(self, data):
        size = self.block_size
        block, rest = divmod(self.at, size)
        if rest:
            raise ValueError("not at a block")
        n = len(data)
        whole, rest = divmod(n, size)
        self.device.writeblocks(block, memoryview(data)[: whole * size])
        print(f"\rblock {block}", end="")
        self.at += n
        return n

    def readinto(self, data):
        at = self.at
        n = self.end - at
        if n > len(data):
            n = len(data)
        block, rest = divmod(at, self.block_size)
        self.device.readblocks(block, memoryview(data)[:n], rest)
        self.at = at + n
        return n


def run(stream, device, size, buf, back):
    """Move `size` bytes; `back`: read them back and compare the hashes."""
    blocks = _Blocks(device)
    room = bytearray(len(buf))
    view = memoryview(buf)
    sha = hashlib.sha256()
    total = 0
    while total < size:
        n = stream.readinto(view)
        piece = view[:n]
        sha.update(piece)
        _copy(room, piece, n)
        total += blocks.write(memoryview(room))
    written = binascii.hexlify(sha.digest()).decode()
    if back:
        blocks.at, blocks.end = 0, total
        sha = hashlib.sha256()
        while n := blocks.readinto(view):
            sha.update(view[:n])
        if binascii.hexlify(sha.digest()).decode() != written:
            raise ValueError("not what was written")
