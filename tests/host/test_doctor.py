"""`ota doctor`: this machine, trust store, server and image, each finding at its level."""

import json
import socket
import time

import pytest
from site_of import BOARD, DATA, Liar, Site, image_of
from stores import Ec, Rsa, store
from virtual import FACTORY_TABLE, STOCK_TABLE

from ota_tools import doctor
from ota_tools.partitions import parse_csv

FINE, NOTE, BAD = doctor.FINE, doctor.NOTE, doctor.BAD
DAY = 86400
ROOTS = [Rsa(DATA / "root.pem"), Rsa(DATA / "root2.pem")]
RELEASE = Rsa(DATA / "release.pem")


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    yield made
    made.server.close()


def honest(site, releases=(RELEASE,), roots=ROOTS, **fields):
    """A trust store of this site."""
    more = json.loads(site.trust.split(b"\n", 1)[1])
    more = {name: more[name] for name in ("manifest_urls", "tls_roots")}
    return store(1, roots, list(releases), roots, **{**more, **fields})


def looked(check, *args, **names):
    """The findings of one check: (level, text, advice)."""
    return [rest for name, *rest in doctor.examine(*args, **names) if name == check]


def worst(check, *args, **names):
    """Level, text and advice of the worst finding of a check."""
    return max(looked(check, *args, **names), key=lambda found: found[0])


def url(site):
    return f"{site.server.url}/{BOARD}-esp32.manifest"


def test_where_all_is_well_nothing_is_above_0(site):
    site.publish(image_of(5), "1.1")
    found = doctor.examine(honest(site), (), site.target.table, image_of(5))
    assert [row for row in found if row[1] > FINE] == []
    assert [row[0] for row in found[-2:]] == ["image", "image"]
    assert {row[0] for row in found} == {"tools", "trust", "server", "image"}


def test_findings_above_0_have_one_line_of_advice(site):
    found = doctor.examine(site.trust, (), parse_csv(FACTORY_TABLE), image_of(5))
    assert {row[1] for row in found} == {FINE, NOTE, BAD}
    for _, level, _, advice in found:
        assert bool(advice) == (level > FINE) and "\n" not in advice


def test_a_missing_vm_is_worth_knowing(monkeypatch):
    monkeypatch.setenv("OTA_MICROPYTHON", "/nowhere/micropython")
    level, text, advice = worst("tools")
    assert level == NOTE and "no virtual boards" in text and "`ota board vm`" in advice


def test_a_missing_package_does_not_work(monkeypatch):
    def version(name):
        if name == "mpremote":
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    level, text, advice = worst("tools")
    assert (level, advice) == (BAD, "pip install mpremote") and "`ota device`" in text


# trust store


def test_a_spoiled_trust_store_does_not_work():
    assert worst("trust", b"{}\nnothing")[0] == BAD


def test_a_single_root_key_is_worth_knowing(site):
    assert worst("trust", honest(site, roots=ROOTS[:1]))[:2] == [NOTE, "one root key"]


@pytest.mark.parametrize(("days", "level"), [(40, FINE), (20, NOTE), (-2, NOTE)])
def test_the_date_of_a_trust_store_is_a_warning(site, days, level):
    assert worst("trust", honest(site, expires=int(time.time()) + days * DAY))[0] == level


def test_a_trust_store_without_urls_or_roots_is_worth_knowing(site):
    texts = [text for _, text, _ in looked("trust", honest(site, manifest_urls=[], tls_roots=[]))]
    assert {"names no manifest", "has no TLS root"} <= set(texts)


def test_a_tls_root_that_is_no_certificate_does_not_work(site):
    assert worst("trust", honest(site, tls_roots=["REVS"]))[:2] == [
        BAD,
        "not a certificate, neither PEM nor DER",
    ]


# server


def test_the_server_is_verified_by_the_stores_own_roots(site):
    site.publish(image_of(5), "1.1")
    found = looked("server", honest(site))
    assert [level for level, *_ in found] == [FINE] * 3
    assert "by the trust store's roots" in found[0][1]
    assert "1.1, sequence 1" in found[2][1] and "signed as" in found[2][1]


def test_a_server_of_another_authority_is_not_verified(site, tmp_path):
    wrong = Site(tmp_path / "wrong")
    try:
        strangers = json.loads(wrong.trust.split(b"\n", 1)[1])["tls_roots"]
        found = worst("server", honest(site, tls_roots=strangers))
    finally:
        wrong.server.close()
    assert found[0] == BAD and "TLS not verified" in found[1]


def test_a_server_that_is_not_there_does_not_work(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    level, text, _ = worst("server", honest(site, manifest_urls=[f"https://localhost:{number}/x"]))
    assert level == BAD and "unreachable" in text


def test_a_manifest_that_is_not_there_does_not_work(site):
    level, text, advice = worst("server", honest(site))
    assert level == BAD and "HTTP 404" in text and "`ota release`" in advice


def test_a_manifest_that_strangers_signed_does_not_work(site):
    site.publish(image_of(5), "1.1")
    level, text, _ = worst("server", honest(site, releases=[Ec()]))
    assert level == BAD and "signature" in text


def test_what_is_no_manifest_does_not_work(site):
    liar = Liar(site.paths, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    try:
        level, text, _ = worst("server", honest(site, manifest_urls=[liar.url + "/x"]))
    finally:
        liar.close()
    assert level == BAD and "envelope-format" in text


def test_a_server_that_talks_nonsense_does_not_work(site):
    liar = Liar(site.paths, b"nonsense\r\n\r\n")
    try:
        level, text, _ = worst("server", honest(site, manifest_urls=[liar.url + "/x"]))
    finally:
        liar.close()
    assert level == BAD and "unreachable" in text


def test_a_release_below_the_floor_does_not_work(site):
    site.publish(image_of(5), "1.1", 4)
    level, text, _ = worst("server", honest(site, sequence_floor=5))
    assert level == BAD and "below the floor" in text


def test_a_manifest_that_expires_soon_is_worth_knowing(site):
    site.publish(image_of(5), "1.1", expires=int(time.time()) + 20 * DAY)
    assert "the manifest expires in" in worst("server", honest(site))[1]


def test_without_a_trust_store_nothing_is_proven(site, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(site.paths.ca_pem))
    site.publish(image_of(5), "1.1")
    found = looked("server", urls=(url(site),))
    assert [level for level, *_ in found] == [NOTE, FINE, NOTE]


def test_a_url_that_devices_refuse_does_not_work():
    for refused in (
        "http://localhost/x",
        "https://localhost:99999/x",
        "https://[x",
        "https://\u00e9/",
    ):
        assert worst("server", urls=(refused,))[:2] == [BAD, f"{refused} is no https URL"]


def test_what_ends_soon_is_worth_knowing_and_what_ended_is_bad():
    now = time.time()
    levels = [
        [level for level, *_ in doctor._dated("x", now + days * DAY + 60, BAD, "do")]
        for days in (31, 29, -1)
    ]
    assert levels == [[FINE], [NOTE], [BAD]]


# image


def test_an_image_is_compared_with_its_slot():
    (about, room) = looked("image", table=parse_csv(STOCK_TABLE), firmware_file=image_of(5))
    size = len(image_of(5))
    assert about[1] == f"image of {size} bytes for esp32"
    assert room == [FINE, f"slot {0x180000} - image {size} = {0x180000 - size} bytes left", ""]


@pytest.mark.parametrize(("left", "level"), [(-64, BAD), (0x7000, NOTE), (0x9000, FINE)])
def test_an_image_that_does_not_fit_is_told(left, level):
    image = image_of(1, 0x180000 - left)
    assert worst("image", table=parse_csv(STOCK_TABLE), firmware_file=image)[0] == level


def test_a_table_without_slots_does_not_work():
    found = worst("image", table=parse_csv(FACTORY_TABLE), firmware_file=image_of(5))
    assert found[0] == BAD and "`ota flash`" in found[2]


def test_what_is_no_image_does_not_work():
    assert worst("image", table=parse_csv(STOCK_TABLE), firmware_file=b"hello")[0] == BAD


# the command


def test_the_command_shows_a_table_and_ends_with_1_where_something_is_bad(ota, site, tmp_path):
    path = tmp_path / "ota_trust.json"
    path.write_bytes(honest(site))
    call = ota("doctor", "--trust", path)
    assert call.code == 1 and "HTTP 404" in call.out and "will not work" in call.line()
    site.publish(image_of(5), "1.1")
    found = ota("doctor", "--trust", path, "--json").json()
    assert found["bad"] == 0
    assert {"check", "level", "text", "advice"} == set(found["findings"][0])


def test_a_file_that_is_not_there_is_a_usage_error(ota, tmp_path):
    assert ota("doctor", "--trust", tmp_path / "none").code == 2
