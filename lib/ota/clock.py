"""The clock, where nobody set it: certificates have dates. SNTP (RFC 4330, 5905), one question.

Layer 4. The answer is not authenticated: it is taken only if it is not before what is known for sure.
`ntptime` is not used: it blocks, and takes any packet for an answer.
"""

import socket
import struct
from time import ticks_diff, ticks_ms

from micropython import const

from .errors import SourceError, error
from .net import Link, link_error
from .patience import Patience
from .port import Port

_PORT = const(123)
_CLIENT = const(0x23)  # leap 0, version 4, mode 3
_SERVER = const(4)
_UNIX = const(2208988800)  # seconds from 1900 to 1970
_WAIT_MS = const(3000)
_TRIES = const(2)
_AGAIN = const(11)  # EAGAIN
_POLLIN = const(1)
_LAST = const(3000000001)  # in 2065; MicroPython's calendar ends in 2068 on the ESP32


def set_clock(port: Port, host: str, floor: int, patience: Patience):
    """Generator: set the clock by a time server, or else to the date of what was confirmed here.

    Args:
        host: name of the time server, `:` and port where that is not 123; "" asks nobody.
        floor: Unix seconds of the last confirmed manifest, 0 where there is none.
    """
    now = 0
    for _ in range(_TRIES if host else 0):
        try:
            now = yield from ask(host, patience)
            break
        except SourceError:
            pass  # the clock says by itself that it is not set
    if now >= max(floor, port.built()):
        port.set_clock(now)
    elif not port.clock_is_set() and port.now() < floor < _LAST:
        port.set_clock(floor, True)


def ask(host: str, patience: Patience):
    """Generator: Unix seconds by a time server. Raises SourceError `unreachable`, `timeout`."""
    name, _, number = host.partition(":")
    sock = None
    nonce = struct.pack(">II", ticks_ms() & 0x7FFFFFFF, id(patience) & 0x7FFFFFFF)
    question = bytes((_CLIENT,)) + bytes(39) + nonce
    try:
        where = socket.getaddrinfo(name, int(number or _PORT), socket.AF_INET, socket.SOCK_DGRAM)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(where[0][-1])  # from there only
        sock.send(question)
        link = Link(sock, _POLLIN, patience)
        start = ticks_ms()
        while ticks_diff(ticks_ms(), start) < _WAIT_MS:
            try:
                seconds = _seconds(sock.recv(48), nonce)
                if seconds:
                    return seconds
            except OSError as e:
                if e.errno != _AGAIN:
                    raise
            yield link
        raise error("timeout", "no time from %s" % host)
    except (OSError, ValueError) as e:
        raise link_error("unreachable", host, e)
    finally:
        if sock is not None:
            sock.close()


def _seconds(answer: bytes, nonce: bytes) -> int:
    # Unix seconds, 0 for what is no answer to this question: RFC 4330 section 5.
    if len(answer) < 48 or answer[0] & 7 != _SERVER or answer[0] >> 6 == 3:
        return 0
    if not 1 <= answer[1] <= 15 or answer[24:32] != nonce:
        return 0
    seconds = struct.unpack(">I", answer[40:44])[0]
    if seconds < 1 << 31:
        seconds += 1 << 32  # from 2036 on it counts from zero again
    seconds -= _UNIX
    return seconds if 0 < seconds < _LAST else 0
