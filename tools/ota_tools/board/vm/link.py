"""The wire to the board's model: one request, one answer, over two pipes.

Request: u16 length, JSON [operation, arguments, bytes that follow], those bytes.
Answer: u16 length, JSON [value, bytes that follow] or [[errno, name]], those bytes.
A request that resets the board is never answered: the process is killed.
"""

import json
import struct

_in = None
_out = None


def open_pipes(reader, writer):
    """Take over the two inherited file descriptors, before the host's files disappear."""
    global _in, _out
    _in = open(reader, "rb")
    _out = open(writer, "wb")


def call(op, *args, data=None, into=None):
    """The model's value; `data` goes along, what comes back goes into `into`."""
    request = json.dumps([op, list(args), len(data) if data is not None else 0]).encode()
    _out.write(struct.pack("<H", len(request)))
    _out.write(request)
    if data is not None:
        _out.write(data)
    (size,) = struct.unpack("<H", _in.read(2))
    answer = json.loads(_in.read(size))
    if len(answer) == 1:
        raise OSError(*answer[0])
    if answer[1]:
        _in.readinto(into if answer[1] == len(into) else memoryview(into)[: answer[1]])
    return answer[0]
