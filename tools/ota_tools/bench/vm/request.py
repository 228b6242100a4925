"""A small file twice over one connection of real TLS: the library's way and the least possible.

Arguments: port, file with the DER root, how often. Takes turns. Prints microseconds for each turn:
the first time, handshake included, bare and ours; the second time, on the connection that is open,
bare and ours.
"""

import socket
import sys
import time

import tls

from ota.http import Url
from ota.net import Network
from ota.patience import Patience
from ota.port import Port
from ota.source import Source


class _Limits:
    timeout_s = 20
    total_s = 60
    least_rate = 0
    tries = 1


def _bare(context, address, text):
    sock = socket.socket()
    sock.connect(address)
    sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    stream = context.wrap_socket(sock, server_hostname="localhost")
    _ask(stream, text)
    opened = time.ticks_us()
    _ask(stream, text)
    end = time.ticks_us()
    stream.close()
    sock.close()
    return opened, end


def _ask(stream, text):
    stream.write(text)
    while stream.readline() != b"\r\n":
        pass
    stream.read(32)


def _ours(network, url):
    source = Source(network, Patience(_Limits, b"bench"), "User-Agent: bench\r\n")
    _drive(_get(source, url))
    opened = time.ticks_us()
    _drive(_get(source, url))
    end = time.ticks_us()
    source.close()
    return opened, end


def _get(source, url):
    body = yield from source.get(url)
    yield from body.read(64)


def _drive(steps):
    for waiting in steps:
        if waiting:
            waiting.wait()


def _main(port, root, times):
    with open(root, "rb") as file:
        der = file.read()
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    context.load_verify_locations(der)
    network = Network(Port(1, 1), [der])
    url = Url("https://localhost:%s/small" % port)
    address = socket.getaddrinfo("localhost", int(port), socket.AF_INET)[0][-1]
    text = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(int(times)):
        start = time.ticks_us()
        bare, bare_end = _bare(context, address, text)
        middle = time.ticks_us()
        ours, end = _ours(network, url)
        took = [(start, bare), (middle, ours), (bare, bare_end), (ours, end)]
        print("#", *[time.ticks_diff(b, a) for a, b in took])


_main(*sys.argv[1:])
