"""Where things are fetched: addresses, network and credentials as configured, the next trust store."""

from benches import BLANK, OLD, Shelf
from desks import IMAGE, Kept, Reader, Site, desk
from fakes import Clock, code_of, config_of, make_release, read_data
from test_source import URL, outcome

import ota.net
from ota.access import check_store, make_network
from ota.config import UNVERIFIED
from ota.errors import error
from ota.local import FileUrl
from ota.rotation import walk
from ota.trust import Role, Trust, load


class Answering:
    """A source that has one answer, an error with this code."""

    def __init__(self, code):
        self.code = code

    def get(self, url):
        yield
        raise error(self.code, "so it is")


def test_a_walk_ends_where_the_next_trust_store_is_not_there_and_nowhere_else():
    store = Trust(1, Role({}, 1), Role({}, 1))
    shelf = Shelf(0, OLD, BLANK)

    def walked(code, base):
        return Clock().drive(walk(shelf, config_of(), store, Answering(code), base))

    for code in ("http-status", "denied"):
        assert walked(code, URL) is store
    for code in ("server-busy", "timeout", "unreachable", "link-lost", "tls-verify"):
        assert code_of(walked, code, URL) == code
        assert walked(code, FileUrl("file:///sd/x.manifest")) is store  # offline, on purpose


def test_without_a_url_anywhere_there_is_nothing_to_ask():
    asked = Reader(Shelf(0, OLD, BLANK), IMAGE)
    asked._config.manifest_url = ""
    assert code_of(asked.check) == "config"
    assert code_of(asked.download, asked.release) == "config"


def made_by(call, *args):
    """What the networks are made of that this call makes."""
    made = []
    real = ota.net.Network
    ota.net.Network = lambda *args: made.append(args[1:])
    try:
        call(*args)
    finally:
        ota.net.Network = real
    return made


def store_with(*roots):
    """A trust store with these TLS roots."""
    store = Trust(1, Role({}, 1), Role({}, 1))
    store.manifest_urls = ["https://here/x.manifest"]
    store.tls_roots = list(roots)
    return store


def test_tls_roots_of_a_new_trust_store_are_tried_where_the_old_or_the_new_one_has_some():
    shelf = Shelf(0, OLD, BLANK)
    for old, new, tried in (
        ((), (), []),  # a serial line needs none
        ((b"a",), (), [[]]),
        ((), (b"b",), [[b"b"]]),
        ((b"a",), (b"b",), [[b"b"]]),
    ):
        made = made_by(check_store, shelf, config_of(), store_with(*old), store_with(*new))
        assert [roots for roots, _, _, _ in made] == tried


def network_of(files, **fields):
    """What a network is made of, by these fields of /ota.json and these files of the device."""
    asked = desk()
    asked.trust.tls_roots = [b"root of the store"]
    asked._config = config_of(**fields)
    for name in files:
        with open(asked.shelf.path(name), "wb") as file:
            file.write(files[name])
    return made_by(make_network, asked.shelf, asked._config, asked.trust)[0]


def test_the_network_is_as_configured():
    assert network_of({}) == ([b"root of the store"], [], None, True)
    files = {"/root.der": b"root", "/c.der": b"certificate", "/k.der": b"key"}
    assert network_of(files, tls_root="/root.der") == ([b"root"], [], None, True)
    _, _, identity, _ = network_of(files, tls_cert="/c.der", tls_key="/k.der")
    assert identity == (b"certificate", b"key")
    roots, pins, _, verified = network_of(files, tls_pins=["01" * 32], tls_unverified=UNVERIFIED)
    assert (roots, pins, verified) == ([b"root of the store"], [b"\x01" * 32], False)


def test_a_certificate_that_is_missing_or_too_long_is_an_error():
    files = {"/c.der": b"certificate", "/empty.der": b"", "/long.der": bytes(8193)}
    for fields, code in (
        ({"tls_root": "/none.der"}, "config"),
        ({"tls_root": "/empty.der"}, "config"),
        ({"tls_root": "/long.der"}, "files"),
        ({"tls_cert": "/none.der", "tls_key": "/c.der"}, "config"),
        ({"tls_cert": "/c.der", "tls_key": "/none.der"}, "config"),
    ):
        assert code_of(lambda: network_of(files, **fields)) == code, fields  # noqa: B023


def test_a_secret_goes_to_the_host_of_the_manifest():
    for urls, told in ((["app.bin"], True), (["https://there/app.bin"], False)):
        payloads = [{"urls": urls, "encoding": "plain", "size": len(IMAGE)}]
        asked = Kept(IMAGE)
        asked.release = make_release(IMAGE, payloads=payloads)
        asked._config = config_of(manifest_url="https://here/x.manifest", bearer="key")
        asked.update(None, None, True)
        assert ["Bearer key" in text for text in asked.site.texts] == [True, told], urls


def test_each_host_of_the_manifest_is_told_the_secret():
    site = Site(read_data("openssl/release.manifest"))
    site.expired = ("/first",)
    asked = Reader(Shelf(0, OLD, BLANK), IMAGE, site)
    asked.trust = load(read_data("openssl/trust.json"))
    asked.trust.manifest_urls = ["https://here/first", "https://there/second"]
    asked._config = config_of(bearer="key", tries=1)
    outcome(asked.check)
    assert site.paths[:2] == ["/first", "/second"]
    assert ["Bearer key" in text for text in site.texts[:2]] == [True, True]
