"""Public-key pins: one key of the chain must be pinned, and what cannot be read is not trusted."""

import binascii
import hashlib

from fakes import code_of, raises, read_data

from ota.errors import OtaError
from ota.pins import Pins, public_key

SERVER = read_data("openssl/tls-server.der")
SERVER_V1 = read_data("openssl/tls-server-v1.der")  # the same key, a certificate of version 1
ROOT = read_data("openssl/tls-root.der")
BY_OPENSSL = read_data("openssl/tls-pins.txt").split()
ROOT_PIN, SERVER_PIN = [binascii.unhexlify(digits) for digits in BY_OPENSSL]
OTHER_PIN = bytes(32)


def verdicts(pins, *chain):
    """What each certificate is answered, the root first and the server's own last."""
    depths = range(len(chain) - 1, -1, -1)
    return [pins.check(der, depth) for der, depth in zip(chain, depths)]


def passes(digests, *chain):
    answers = verdicts(Pins(digests), *chain)
    assert answers[:-1] == [0] * (len(chain) - 1)
    return answers[-1] == 0


def test_a_pin_is_what_openssl_says_of_the_key():
    for der, pin in ((SERVER, SERVER_PIN), (SERVER_V1, SERVER_PIN), (ROOT, ROOT_PIN)):
        for buf in (der, bytearray(der), memoryview(der)):
            assert hashlib.sha256(public_key(buf)).digest() == pin


def test_one_pinned_key_anywhere_in_the_chain_is_enough():
    assert passes([SERVER_PIN], ROOT, SERVER)
    assert passes([ROOT_PIN], ROOT, SERVER)
    assert passes([SERVER_PIN], SERVER)
    assert passes([ROOT_PIN, SERVER_PIN], ROOT, SERVER)


def test_the_current_or_the_next_key_is_enough():
    for digests in ([SERVER_PIN, OTHER_PIN], [OTHER_PIN, SERVER_PIN]):
        assert passes(digests, ROOT, SERVER)


def test_without_a_pinned_key_the_server_is_refused_at_its_own_certificate():
    for digests in ([], [OTHER_PIN], [SERVER_PIN[:31]], [SERVER_PIN[1:] + SERVER_PIN[:1]]):
        answers = verdicts(Pins(digests), ROOT, SERVER)
        assert answers[0] == 0 and answers[1] != 0
    assert not passes([ROOT_PIN], SERVER)


def test_every_handshake_is_judged_by_its_own_chain():
    pins = Pins([ROOT_PIN])
    assert verdicts(pins, ROOT, SERVER) == [0, 0]
    assert pins.check(SERVER, 0) != 0
    assert verdicts(pins, ROOT, SERVER) == [0, 0]
    assert verdicts(pins, SERVER_V1, SERVER)[-1] != 0


def test_a_certificate_that_is_cut_anywhere_is_refused():
    for der, pin in ((SERVER, SERVER_PIN), (SERVER_V1, SERVER_PIN), (ROOT, ROOT_PIN)):
        for n in range(len(der)):
            for depth in (0, 1):
                assert Pins([pin]).check(der[:n], depth) != 0, (n, depth)


def test_lengths_that_lie_raise_nothing():
    # Every byte of the first 250 replaced: a length too long, too short, or of a strange kind.
    for at in range(min(250, len(SERVER))):
        for byte in (0, 0x7F, 0x80, 0x81, 0x83, 0x84, 0xFF):
            der = bytearray(SERVER)
            der[at] = byte
            Pins([SERVER_PIN]).check(der, 0)


def test_what_is_no_certificate_is_refused():
    for der in (
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x02\x30\x00",
        b"\x30\x80" + bytes(100),
        b"\x30\x84\x00\x00\x00\x04" + bytes(100),
        b"\x30\x83\xff\xff\xff" + bytes(100),
        bytes(300),
        b"\xff" * 300,
        b"-----BEGIN CERTIFICATE-----",
        None,
    ):
        for depth in (0, 1):
            assert Pins([SERVER_PIN]).check(der, depth) != 0, der


def test_a_certificate_that_cannot_be_read_has_its_code():
    for n in (0, 1, 3, 50, 100, len(SERVER) - 1):
        assert raises(OtaError, public_key, SERVER[:n]).code == "tls", n


def test_a_length_of_no_bytes_or_more_than_three_is_refused():
    assert SERVER[:2] == b"\x30\x82"
    length, rest = SERVER[2:4], SERVER[4:]
    assert public_key(b"\x30\x83\x00" + length + rest) == public_key(SERVER)
    for start in (b"\x30\x84\x00\x00" + length, b"\x30\x88" + bytes(6) + length):
        assert code_of(public_key, start + rest) == "tls", start
    assert code_of(public_key, b"\x30\x80" + rest) == "tls"


def test_an_empty_certificate_has_its_code():
    for der in (b"", b"\x30\x00", b"\x30\x02\x30\x00"):
        assert code_of(public_key, der) == "tls"


def test_a_handshake_that_was_given_up_leaves_nothing_behind():
    pins = Pins([ROOT_PIN])
    assert pins.check(ROOT, 1) == 0
    pins.begin()
    assert pins.check(SERVER, 0) != 0
