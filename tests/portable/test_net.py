"""Connections: TLS as configured, limits of time, sockets that are closed; what comes through them."""

import hashlib

from desks import announced
from fakes import Clock, code_of, read_data
from test_source import URL, Server, failure, get, source_of

import ota.net
from ota.http import Url
from ota.net import Network, link_error
from ota.pins import public_key
from ota.source import Source


def test_without_a_tls_root_that_can_be_read_nothing_is_opened():
    assert code_of(Network, None, []) == "config"
    assert code_of(Network, None, [b"no certificate"]) == "config"


def test_a_certificate_of_the_client_that_cannot_be_read_is_an_error():
    root = read_data("openssl/tls-root.der")
    Network(None, [root])
    assert code_of(Network, None, [root], (), (b"no certificate", b"no key")) == "config"
    assert code_of(Network, None, [root, b"no certificate"]) == "config"


# A connection to a server that is not trusted


class Socket:
    """A socket, its stream, and the modules `socket`, `tls` and `select` in one: trusts nobody.

    Attributes:
        events: what the socket says when it is asked, 0 for nothing.
        trouble: what the first bytes raise.
        asked: addresses that were connected to.
    """

    AF_INET, SOCK_STREAM, PROTOCOL_TLS_CLIENT, CERT_NONE, CERT_REQUIRED = 2, 1, 16, 0, 2
    POLLIN, POLLOUT = 1, 4

    def __init__(self):
        self.is_open = True
        self.blocks = True
        self.events = 4
        self.trouble = ValueError("certificate verify failed")
        self.verify_mode = None
        self.verify_callback = None
        self.asked = []
        self.name = ""

    def socket(self):
        return self

    def getaddrinfo(self, *args):
        return [(2, 1, 6, "", ("127.0.0.%d" % i, 443)) for i in (1, 2)]

    def setblocking(self, flag):
        self.blocks = flag

    def connect(self, address):
        assert not self.blocks
        self.asked.append(address[0])
        raise OSError(115, "in progress")

    def setsockopt(self, *args):
        pass

    def close(self):
        self.is_open = False

    def poll(self, *timeout):
        if not timeout:
            return self
        return [(self, self.events)] if self.events else []

    def register(self, stream, events):
        pass

    def SSLContext(self, protocol):  # noqa: N802
        return self

    def load_verify_locations(self, root):
        pass

    def wrap_socket(self, sock, server_hostname, do_handshake_on_connect):
        assert not do_handshake_on_connect
        self.name = server_hostname
        return self

    def write(self, data):
        raise self.trouble


class IsSet:
    """A port whose clock was set or not."""

    def __init__(self, is_set):
        self._is_set = is_set

    def clock_is_set(self):
        return self._is_set


def through(sock, call):
    """What `call` gives where the library's network is this socket."""
    module = ota.net
    real = module.socket, module.tls, module.select
    module.socket = module.tls = module.select = sock
    try:
        return call()
    finally:
        module.socket, module.tls, module.select = real


def distrusted(sock, is_set=True, clock=None, **fields):
    """The code of a request through this socket; the source is closed."""
    clock = clock or Clock()

    def ask():
        source = Source(Network(IsSet(is_set), [b"root"]), clock.patience(**fields), "")
        try:
            return code_of(clock.drive, source.get(Url("https://here/x")))
        finally:
            source.close()

    return through(sock, ask)


def test_a_certificate_is_judged_by_a_clock_that_was_set():
    for trouble in (
        ValueError("certificate verify failed"),
        OSError(-0x2700, "x"),
        OSError(-0x3000, "x"),
    ):
        sock = Socket()
        sock.trouble = trouble
        assert distrusted(sock, True) == "tls-verify"
        assert sock.verify_mode == sock.CERT_REQUIRED
        assert sock.name == "here"
        assert not sock.is_open
        sock = Socket()
        sock.trouble = trouble
        assert distrusted(sock, False) == "clock-not-set"


def test_a_handshake_that_fails_otherwise_has_its_code():
    for number, code in ((-0x7780, "tls"), (104, "tls"), (110, "timeout"), (-116, "timeout")):
        sock = Socket()
        sock.trouble = OSError(number, "x")
        assert distrusted(sock, False) == code, number
        assert not sock.is_open


def test_a_connection_has_a_time_limit_and_is_closed_where_nobody_is_trusted():
    sock = Socket()
    distrusted(sock, True)
    assert not sock.is_open
    sock = Socket()
    sock.events = 0
    clock = Clock()
    assert distrusted(sock, True, clock, timeout_s=7) == "timeout"
    assert 7 < clock.seconds() <= 7.25
    assert not sock.is_open


def test_the_time_limit_of_a_connection_counts_from_its_beginning():
    sock = Socket()
    sock.events = 0
    clock = Clock()
    patience = clock.patience(timeout_s=7)
    clock.ms += 60000  # a pause, perhaps

    def connect():
        clock.drive(Network(IsSet(True), [b"root"]).connect(URL, patience))

    assert code_of(through, sock, connect) == "timeout"
    assert 67 < clock.seconds() <= 67.25


def test_a_connection_that_is_refused_has_its_code():
    for events in (8, 16, 4 | 8, 4 | 16):  # POLLERR, POLLHUP
        sock = Socket()
        sock.events = events
        assert distrusted(sock) == "unreachable"
        assert not sock.is_open
    for number, code in ((111, "unreachable"), (113, "unreachable"), (110, "timeout")):

        class Refusing(Socket):
            def connect(self, address):
                raise OSError(number, "x")  # noqa: B023 - it is called at once

        sock = Refusing()
        assert distrusted(sock) == code
        assert not sock.is_open


def test_a_name_that_is_not_found_has_its_code():
    class Nameless(Socket):
        def getaddrinfo(self, *args):
            raise OSError(-2, "Name or service not known")

    assert distrusted(Nameless()) == "unreachable"


def test_a_name_without_an_address_has_its_code():
    class Empty(Socket):
        def getaddrinfo(self, *args):
            return []

    assert distrusted(Empty()) == "unreachable"


def test_a_link_closes_the_stream_and_the_socket_under_it():
    class Closing:
        def __init__(self, trouble=None):
            self.closed = 0
            self.trouble = trouble

        def close(self):
            self.closed += 1
            if self.trouble:
                raise self.trouble

    for trouble in (None, OSError(9, "closed already")):
        stream, under = Closing(trouble), Closing(trouble)
        through(Socket(), lambda: ota.net.Link(stream, 1, None, under).close())  # noqa: B023
        assert (stream.closed, under.closed) == (1, 1)


def test_after_a_failure_the_next_address_of_a_name_is_tried():
    sock = Socket()
    clock = Clock()
    patience = clock.patience()

    def connect():
        return clock.drive(Network(IsSet(True), [b"root"]).connect(URL, patience))

    for failures in (0, 1, 2):
        patience.failures = failures
        through(sock, connect)
    assert sock.asked == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]


def test_whoever_asks_for_it_is_connected_to_anybody():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [], (), None, False))
    assert sock.verify_mode == sock.CERT_NONE


def test_where_anybody_may_answer_no_pin_is_asked_for():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [], [bytes(32)], None, False))
    assert sock.verify_callback is None


def test_pins_are_asked_about_every_certificate():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [b"root"], [bytes(32)]))
    assert sock.verify_callback(read_data("openssl/tls-server.der"), 1) == 0
    assert sock.verify_callback(read_data("openssl/tls-server.der"), 0) != 0
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [b"root"]))
    assert sock.verify_callback is None


def test_what_an_earlier_handshake_saw_is_no_pinned_key():
    der = read_data("openssl/tls-server.der")
    sock = Socket()

    def connect():
        clock = Clock()
        network = Network(IsSet(True), [b"root"], [hashlib.sha256(public_key(der)).digest()])
        assert sock.verify_callback(der, 1) == 0  # and that was all of it
        clock.drive(network.connect(URL, clock.patience()))

    through(sock, connect)
    assert sock.verify_callback(read_data("openssl/tls-root.der"), 0) != 0


def test_a_socket_is_closed_whatever_was_raised():
    class Interrupted(BaseException):
        pass

    for trouble in (MemoryError, Interrupted, OSError(5, "x"), ValueError):

        class Broken(Socket):
            def connect(self, address):
                raise trouble  # noqa: B023 - it is called at once

        sock = Broken()
        try:
            distrusted(sock, True)
        except (MemoryError, Interrupted, ValueError):
            pass
        assert not sock.is_open


def test_a_socket_is_closed_where_nobody_waits_for_it_any_more():
    sock = Socket()
    sock.events = 0
    clock = Clock()

    def leave():
        steps = Network(IsSet(True), [b"root"]).connect(URL, clock.patience())
        clock.keep(next, steps)
        steps.close()

    through(sock, leave)
    assert not sock.is_open


def test_a_time_out_has_its_code_whatever_the_sign():
    for number in (110, 116, -110, -116):
        assert link_error("tls", "here", OSError(number, "slow")).code == "timeout"
    for number in (111, 113, 118, -111):
        assert link_error("tls", "here", OSError(number, "away")).code == "unreachable"
    assert link_error("tls", "here", OSError(104, "reset")).code == "tls"
    assert link_error("tls", "here", OSError("no number")).code == "tls"
    assert link_error("tls", "here", ValueError("x")).code == "tls"


# What comes through a connection


def test_a_head_that_ends_early_is_a_lost_link_and_closed():
    for end in range(len(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n")):
        server = Server(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[:end])
        source = source_of(server)
        assert failure(source, URL) == "link-lost"
        source.close()
        assert server.open == 0


def test_a_body_that_breaks_off_says_how():
    for end, code in ((b"", "short-body"), (None, "timeout")):
        server = Server(announced(b"1234", 5))
        server.end = end
        assert failure(source_of(server), URL) == code
    server = Server(announced(b"12345", 5))
    body = get(source_of(server), URL)
    assert body.lost(OSError(104, "reset")).code == "link-lost"
    assert body.lost(OSError(110, "slow")).code == "timeout"
    assert body.lost(0, 3).code == "short-body"
    assert server.clock.keep(body.lost, None, 3) is None


def test_a_body_knows_when_it_was_read():
    body = get(source_of(Server(announced(b"12345678", 8))), URL)
    body.taken(3)
    assert not body.is_read()
    body.taken(5)
    assert body.is_read()
    assert get(source_of(Server(announced(b"", 0))), URL).is_read()
