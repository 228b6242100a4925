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
            raise error("config", "no TLS root anywhere")
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
        code = "unreachable"
        try:
            addresses = socket.getaddrinfo(url.host, url.port, socket.AF_INET, socket.SOCK_STREAM)
            sock = socket.socket()
            sock.settimeout(self._timeout_s)
            sock.connect(addresses[0][-1])
            sock.setsockopt(_TCP, _NODELAY, 1)
            code = "tls"
            return self._context.wrap_socket(sock, server_hostname=url.host)
        except BaseException as e:  # a socket is never left open, whatever was raised
            if sock is not None:
                sock.close()
            if isinstance(e, ValueError):
                if not self._port.clock_is_set():
                    raise error("clock-not-set", "certificate dates cannot be judged")
                raise error("tls-verify", "%s: %s" % (url.authority(), str(e).strip()))
            if isinstance(e, OSError):
                raise link_error(code, url.authority(), e)
            raise


def link_error(code: str, what: str, e: OSError) -> OtaError:
    """`timeout` where the number says so, else `code`.

    TLS streams on the ESP32 negate the numbers; a name that is not found has a text in their place.
    """
    if type(e.errno) is int and abs(e.errno) in _TIMEOUTS:
        code = "timeout"
    return error(code, "%s: %s" % (what, e))
