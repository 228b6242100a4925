"""Connections: name, TCP, verified TLS, every failure with its code.

Layer 4. One TLS context for all hops: pinned roots, host name checked, nothing to switch it off.
"""

import socket

import tls
from micropython import const

from .errors import OtaError, error
from .http import Url
from .port import Port

_TCP = const(6)  # IPPROTO_TCP
_TIMEOUTS = (11, 110, 116)  # EAGAIN; ETIMEDOUT of Linux and of lwIP
_NODELAY = const(1)  # TCP_NODELAY; else each small request waits for a delayed acknowledgement


class Network:
    """Opens TLS connections.

    Args:
        port: for the clock.
        roots: certificates, each bytes of one DER certificate or of PEM ones.
        timeout_s: longest silence of a server.
    """

    def __init__(self, port: Port, roots: list, timeout_s: int) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        self._context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
        if not roots:
            raise error("config", "no TLS root configured or in the trust store")
        for root in roots:
            try:
                self._context.load_verify_locations(root)
            except (ValueError, OSError) as e:
                raise error("config", "TLS root: %s" % e)

    def connect(self, url: Url):
        """A TLS stream to the host of `url`: readinto, readline, write, close.

        Raises SourceError `unreachable`, `timeout`, `tls`, `tls-verify`, `clock-not-set`.
        """
        sock = None
        try:
            address = socket.getaddrinfo(url.host, url.port, socket.AF_INET, socket.SOCK_STREAM)[
                0
            ][-1]
            sock = socket.socket()
            sock.settimeout(self._timeout_s)
            sock.connect(address)
            sock.setsockopt(_TCP, _NODELAY, 1)
        except OSError as e:
            if sock is not None:
                sock.close()
            raise link_error("unreachable", url.authority(), e)
        try:
            return self._context.wrap_socket(sock, server_hostname=url.host)
        except ValueError as e:
            sock.close()
            if not self._port.clock_is_set():
                raise error("clock-not-set", "certificate dates cannot be judged")
            raise error("tls-verify", "%s: %s" % (url.authority(), str(e).strip()))
        except OSError as e:
            sock.close()
            raise link_error("tls", url.authority(), e)


def link_error(code: str, what: str, e: OSError) -> OtaError:
    """`timeout` where the number says so, else `code`.

    TLS streams on the ESP32 negate the numbers; a name that is not found has a text in their place.
    """
    if type(e.errno) is int and abs(e.errno) in _TIMEOUTS:
        code = "timeout"
    return error(code, "%s: %s" % (what, e))
