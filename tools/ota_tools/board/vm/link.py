"""The wire to the board's model: one request, one answer, over two pipes.

Request: u16 length, JSON [number, operation, arguments, bytes that follow], those bytes.
Answer: u16 length, JSON [number, error, value, bytes that follow], those bytes; error: [errno, name].
A request that resets the board is never answered: the process is killed. A Ctrl-C may part a request
from its answer: what answers an older request is thrown away, so one interrupt spoils nothing.
"""

import json
import struct

_in = None
_out = None
_number = 0
_LOST = b'[0, "lost", [], 0]'


def open_pipes(reader, writer):
    """Take over the two inherited file descriptors, before the host's files disappear."""
    global _in, _out
    _in = open(reader, "rb")
    _out = open(writer, "wb")


def call(op, *args, data=None, into=None):
    """The model's value; `data` goes along, what comes back goes into `into`."""
    global _number
    number = _number = (_number + 1) & 0xFFFF
    length = len(data) if data is not None else 0
    request = json.dumps([number, op, list(args), length]).encode()
    request = struct.pack("<H", len(request)) + request
    _out.write(request + data if length else request)  # one piece: whole or not at all
    while True:
        (size,) = struct.unpack("<H", _in.read(2))
        answered, error, value, length = json.loads(_in.read(size))
        if answered == number:
            break
        _in.read(length)
    if error:
        raise OSError(*error)
    if length:
        _in.readinto(into if length == len(into) else memoryview(into)[:length])
    return value


_lost = struct.pack("<H", len(_LOST)) + _LOST


def lost():
    """This process can go on no longer; allocates nothing, does not return."""
    _out.write(_lost)
    while True:
        pass
