"""The clock: what counts as an answer of a time server, and what the clock is set to by it."""

import struct

from fakes import code_of

import ota.clock as clock
from ota.patience import Patience

UNIX = 2208988800
NONCE = b"\x00\x01\x02\x03\x04\x05\x06\x07"
NOW = 1795000000  # November 2026
BUILT = 1767225600
ERA = 1 << 32


class Limits:
    timeout_s = 1
    total_s = 10
    least_rate = 0
    tries = 1


def answer(now=NOW, nonce=NONCE, first=0x24, stratum=2, size=48):
    seconds = (now + UNIX) % ERA
    packet = (
        bytes((first, stratum)) + bytes(22) + nonce + bytes(8) + struct.pack(">II", seconds, 0)
    )
    return (packet + bytes(20))[:size]


# What an answer is


def test_an_answer_gives_its_transmit_time_in_unix_seconds():
    assert clock._seconds(answer(), NONCE) == NOW


def test_what_is_no_answer_to_this_question_gives_no_time():
    rows = (
        ("nothing", b""),
        ("short", answer(size=47)),
        ("a question", answer(first=0x23)),
        ("a broadcast", answer(first=0x25)),
        ("a clock that is not synchronized", answer(first=0xE4)),
        ("a kiss of death", answer(stratum=0)),
        ("stratum 16", answer(stratum=16)),
        ("stratum 255", answer(stratum=255)),
        ("another question's", answer(nonce=NONCE[:7] + b"\x08")),
        ("no question's", answer(nonce=bytes(8))),
    )
    for name, packet in rows:
        assert clock._seconds(packet, NONCE) == 0, name


def test_every_version_leap_warning_and_stratum_of_a_server_is_an_answer():
    for first in (0x1C, 0x24, 0x64, 0xA4):
        assert clock._seconds(answer(first=first), NONCE) == NOW, first
    for stratum in (1, 15):
        assert clock._seconds(answer(stratum=stratum), NONCE) == NOW, stratum


def test_an_answer_may_carry_more_than_48_bytes():
    assert clock._seconds(answer(size=68), NONCE) == NOW


def test_the_years_after_2036_are_those_of_the_next_era():
    last = ERA - 1 - UNIX  # 2036-02-07 06:28:15
    for now in (last, last + 1, 3000000000):
        assert clock._seconds(answer(now), NONCE) == now, now


# Asking, with a network that is none


class Socket:
    """The `socket` module and its one socket: each question gets the next of `scripts`.

    A script is a list of packets, made from the nonce; None among them is a moment without one.
    """

    AF_INET = 2
    SOCK_DGRAM = 2

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.questions = []
        self.names = []
        self.open = 0
        self.coming = []

    def getaddrinfo(self, name, number, family, kind):
        assert (family, kind) == (self.AF_INET, self.SOCK_DGRAM)
        if name == "nowhere":
            raise OSError(-2, "no such name")
        self.names.append((name, number))
        return [(family, kind, 0, "", (name, number))]

    def socket(self, family, kind):
        self.open += 1
        return self

    def setblocking(self, on):
        assert not on

    def connect(self, where):
        self.where = where

    def send(self, question):
        assert len(question) == 48
        self.questions.append(question)
        self.coming = list(self.scripts.pop(0)) if self.scripts else []
        return 48

    def recv(self, n):
        packet = self.coming.pop(0) if self.coming else None
        if packet is None:
            raise OSError(11, "nothing there")
        if isinstance(packet, OSError):
            raise packet
        return packet(self.questions[-1][40:48])[:n]

    def close(self):
        self.open -= 1


class Waiting:
    """In the place of a `Link`: never waits."""

    def __init__(self, stream, events, patience):
        self.stream = stream


class Board:
    """A port with a clock."""

    def __init__(self):
        self.sets = []

    def built(self):
        return BUILT

    def now(self):
        return 946684800

    def clock_is_set(self):
        return False

    def set_clock(self, seconds, guessed=False):
        self.sets.append((seconds, guessed))


def good(now=NOW):
    return lambda nonce: answer(now, nonce)


def with_network(network, steps):
    """The result of a generator of `clock` that runs over this network."""
    kept = clock.socket, clock.Link
    clock.socket, clock.Link = network, Waiting
    try:
        while True:
            next(steps)
    except StopIteration as e:
        return e.value
    finally:
        clock.socket, clock.Link = kept
        assert network.open == 0, "a socket was left open"


def ask(network, host="here"):
    return with_network(network, clock.ask(host, Patience(Limits, b"x")))


def set_by(network, floor=0, host="here"):
    """What the clock is set to, in the order of the calls."""
    board = Board()
    with_network(network, clock.set_clock(board, host, floor, Patience(Limits, b"x")))
    return board.sets


def test_a_question_is_one_packet_of_a_client_of_version_4():
    network = Socket([good()])
    assert ask(network) == NOW
    assert network.names == [("here", 123)]
    (question,) = network.questions
    assert question[0] == 0x23
    assert question[1:40] == bytes(39)
    assert question[40:48] != bytes(8), "an answer could not be told from any other"


def test_a_host_may_name_its_port():
    network = Socket([good()])
    ask(network, "here:10123")
    assert network.names == [("here", 10123)]
    assert network.where == ("here", 10123)


def test_an_answer_is_waited_for_past_packets_that_are_none():
    junk = [
        lambda nonce: b"",
        lambda nonce: answer(NOW + 9, bytes(8)),
        lambda nonce: answer(NOW + 9, nonce, stratum=0),
        None,
        None,
    ]
    network = Socket(junk + [good()])
    assert ask(network) == NOW


def test_a_host_that_is_none_has_its_code():
    for host in ("nowhere", "here:many", "here:123:9"):
        assert code_of(ask, Socket(), host) == "unreachable", host


def test_where_nobody_listens_is_unreachable():
    assert code_of(ask, Socket([OSError(111, "nobody there")])) == "unreachable"


# What the clock is set to


def test_the_clock_is_set_to_what_the_server_says():
    assert set_by(Socket([good()])) == [(NOW, False)]


def test_a_server_is_asked_again_once():
    network = Socket([OSError(111, "nobody there")], [good()])
    assert set_by(network) == [(NOW, False)]
    assert len(network.questions) == 2
    network = Socket([OSError(111, "nobody there")], [OSError(111, "nobody there")], [good()])
    assert set_by(network) == []
    assert len(network.questions) == 2


def test_nobody_is_asked_where_no_server_is_named():
    network = Socket([good()])
    assert set_by(network, host="") == []
    assert network.questions == []


def test_without_an_answer_the_clock_is_set_to_what_was_confirmed_as_a_guess():
    floor = NOW - 1000
    assert set_by(
        Socket([OSError(111, "nobody there")], [OSError(111, "nobody there")]), floor
    ) == [(floor, True)]
    assert set_by(Socket(), floor, host="") == [(floor, True)]


def test_what_was_confirmed_long_ago_never_moves_the_clock_back():
    for floor in (1, 946684799, 946684800):
        assert set_by(Socket(), floor, host="") == [], floor


def test_a_time_before_what_was_confirmed_is_not_believed():
    floor = NOW + 1
    assert set_by(Socket([good()]), floor) == [(floor, True)]
    assert set_by(Socket([good()]), NOW) == [(NOW, False)]


def test_a_time_before_the_running_image_was_built_is_not_believed():
    assert set_by(Socket([good(BUILT - 1)])) == []
    assert set_by(Socket([good(BUILT - 1)]), NOW) == [(NOW, True)]
    assert set_by(Socket([good(BUILT)])) == [(BUILT, False)]


def test_a_time_server_is_believed_if_it_is_not_before_the_floor():
    far = 3000000000  # in 2065; nobody signed it
    assert set_by(Socket([good(far)]), NOW) == [(far, False)]


def test_a_clock_that_was_set_is_not_put_to_a_guess():
    # A publisher whose own clock was ahead must not make every certificate look expired.
    class Right(Board):
        def clock_is_set(self):
            return True

    port = Right()
    with_network(Socket(), clock.set_clock(port, "", NOW, None))
    assert port.sets == []


def test_a_date_before_1970_is_none():
    for early in (-61505152, -1, 0):
        assert clock._seconds(answer(early), NONCE) == 0


def test_a_date_behind_the_calendar_is_none():
    # MicroPython's calendar on the ESP32 ends in 2068: such a date must not reach it.
    gone = OSError(111, "nobody there")
    for far in (3000000001, (1 << 31) - 1 + ERA - UNIX):
        assert set_by(Socket([good(far), gone], [gone]), NOW) == [(NOW, True)]
    assert set_by(Socket(), 999999999999999, host="") == []
