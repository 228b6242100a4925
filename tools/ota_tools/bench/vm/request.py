"""One small file over real TLS: the library's way and the least that is possible, in turns.

Arguments: port, file with the DER root, how often. Prints microseconds `bare ours` for each turn.
"""

import socket
import sys
import time

import tls

import ota.source
from ota.http import Url
from ota.net import Network
from ota.port import Port


def _bare(context, address, text):
    sock = socket.socket()
    sock.connect(address)
    sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    stream = context.wrap_socket(sock, server_hostname="localhost")
    stream.write(text)
    while stream.readline() != b"\r\n":
        pass
    stream.read(64)
    stream.close()


def _ours(network, url):
    if hasattr(ota.source, "open_url"):
        body = source = ota.source.open_url(network, url, "bench")
    else:
        source = ota.source.Source(network, "bench")
        body = source.get(url)
    body.read()
    source.close()


def _main(port, root, times):
    with open(root, "rb") as file:
        der = file.read()
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    context.load_verify_locations(der)
    network = Network(Port(1, 1), [der], 20)
    url = Url("https://localhost:%s/small" % port)
    address = socket.getaddrinfo("localhost", int(port), socket.AF_INET)[0][-1]
    text = b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for _ in range(int(times)):
        start = time.ticks_us()
        _bare(context, address, text)
        middle = time.ticks_us()
        _ours(network, url)
        end = time.ticks_us()
        print("#", time.ticks_diff(middle, start), time.ticks_diff(end, middle))


_main(*sys.argv[1:])
