"""Connections: name, TCP, verified TLS, every failure with its code.

Layer 4. Streams never block: what waits is a generator, and whoever drives it decides how. One TLS
context for all hops: pinned roots, host name checked.
"""

import select
import socket

import tls
from micropython import const

from .errors import OtaError, error
from .http import Url
from .patience import Patience
from .port import Port

_TCP = const(6)  # IPPROTO_TCP
_NODELAY = const(1)  # TCP_NODELAY; else each small request waits for a delayed acknowledgement
_SLICE_MS = const(250)
_BROKEN = const(24)  # POLLERR | POLLHUP
_CONNECTED = const(28)  # these and POLLOUT: the ESP32 tells only what it is asked for
# errno on Linux and on lwIP
_CONNECTING = (115, 119)  # EINPROGRESS
_TIMEOUTS = (110, 116)  # ETIMEDOUT
_UNREACHABLE = (111, 113, 118)  # ECONNREFUSED, EHOSTUNREACH
# MBEDTLS_ERR_X509_CERT_VERIFY_FAILED and _FATAL_ERROR
_DISTRUST = (-0x2700, -0x3000)


class Link:
    """A stream that never blocks, and how to wait for it; yielded by generators that wait for it.

    Attributes:
        stream: readinto, readline, write: None where they would block; close.
        nap_ms: how long to sleep where nobody can wait for the stream itself.
    """

    nap_ms = 5

    def __init__(self, stream, events: int, patience: Patience, sock=None) -> None:
        self.stream = stream
        # Under it. MicroPython's TLS lets go of it where a handshake fails, and the unix VM can wait
        # for a socket only; a stream that would block has nothing left in itself.
        self._sock = sock
        self.patience = patience
        self._poll = select.poll()
        self._poll.register(sock or stream, events)

    def wait(self) -> None:
        """Until there is something, 250 ms at most."""
        self._poll.poll(_SLICE_MS)

    def state(self) -> int:
        """Events that are there now, 0 for none."""
        for _, events in self._poll.poll(0):
            return events
        return 0

    def close(self) -> None:
        """Close the stream and the socket under it."""
        for each in (self.stream, self._sock):
            try:
                if each:
                    each.close()
            except OSError:
                pass  # it was broken already


class Network:
    """Opens TLS connections.

    Args:
        port: for the clock.
        roots: certificates, each bytes of one DER certificate or of PEM ones.
        pins: SHA-256 digests of public keys, one of which must be in the server's chain; none: any.
        identity: (certificate, key) of the client, each DER or PEM, or None.
        verified: False: anybody may answer.
    """

    def __init__(self, port: Port, roots: list, pins=(), identity=None, verified=True) -> None:
        """Raises SlotError `config`."""
        self._port = port
        context = self._context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
        if not verified:
            print("ota: TLS IS NOT VERIFIED: anybody may answer for the server")
            context.verify_mode = tls.CERT_NONE  # type: ignore[attr-defined]
        elif not roots:
            raise error("config", "no TLS root anywhere")
        try:
            for root in roots:
                context.load_verify_locations(root)
            if identity:
                context.load_cert_chain(*identity)
        except (ValueError, OSError) as e:
            raise error("config", "TLS certificate: %s" % e)
        self._pins = None
        if pins and verified:
            from .pins import Pins

            self._pins = Pins(pins)
            context.verify_callback = self._pins.check  # type: ignore[attr-defined]

    def connect(self, url: Url, patience: Patience):
        """Generator: a `Link` to the host of `url`. The handshake comes with the first bytes sent.

        Looking up the name blocks; MicroPython has no other way. Raises SourceError `unreachable`,
        `timeout`, `tls`.
        """
        sock = None
        patience.phase()
        try:
            addresses = socket.getaddrinfo(url.host, url.port, socket.AF_INET, socket.SOCK_STREAM)
            if not addresses:
                raise OSError(_UNREACHABLE[0])
            sock = socket.socket()
            sock.setblocking(False)
            try:
                sock.connect(addresses[patience.failures % len(addresses)][-1])
            except OSError as e:
                if e.errno not in _CONNECTING:
                    raise
            link = Link(sock, _CONNECTED, patience)
            yield  # the name may have taken long
            while not link.state():
                late = patience.again(0)
                if late:
                    raise late
                yield link
            if link.state() & _BROKEN:
                raise OSError(_UNREACHABLE[0])
            sock.setsockopt(_TCP, _NODELAY, 1)
            if self._pins:
                self._pins.begin()
            stream = self._context.wrap_socket(
                sock, server_hostname=url.host, do_handshake_on_connect=False
            )
            return Link(stream, select.POLLIN, patience, sock)
        except BaseException as e:  # a socket is never left open, whatever was raised
            if sock is not None:
                sock.close()
            if isinstance(e, OSError):
                raise link_error("unreachable", url.authority(), e)
            raise

    def handshake_error(self, url: Url, e) -> OtaError:
        """The error for what sending the first bytes raised: `tls-verify`, `clock-not-set`, `tls`..."""
        if isinstance(e, OSError) and e.errno not in _DISTRUST:
            return link_error("tls", url.authority(), e)
        if not self._port.clock_is_set():
            return error("clock-not-set", "certificate dates cannot be judged")
        return error("tls-verify", "%s: %s" % (url.authority(), str(e).strip()))


def link_error(code: str, what: str, e: Exception) -> OtaError:
    """`timeout` or `unreachable` where the number says so, else `code`.

    TLS streams on the ESP32 negate the numbers; a name that is not found has a text in their place.
    """
    number = getattr(e, "errno", None)
    if type(number) is int:
        if abs(number) in _TIMEOUTS:
            code = "timeout"
        elif abs(number) in _UNREACHABLE:
            code = "unreachable"
    return error(code, "%s: %s" % (what, e))
