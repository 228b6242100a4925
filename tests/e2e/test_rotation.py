"""Keys change over the air: from trust store N to N+1, signed by both, and by nobody else."""

import json

import pytest
from publisher import (
    CURRENT,
    FIRST,
    NAME,
    NEW,
    NEWER,
    OLD,
    ROOT,
    ROOT2,
    STRANGER,
    Publisher,
)
from site_of import Site, updater
from stores import MANIFEST, envelope, role

from ota import jws, rotation, trust
from ota.errors import OtaError
from ota.health import status
from ota.rotation import trust_status


@pytest.fixture
def p(site, tmp_path):
    return Publisher(site, tmp_path)


def test_a_device_walks_through_several_trust_stores(p):
    p.put(2, [ROOT, ROOT2], [OLD, NEW], [ROOT, ROOT2])
    p.put(3, [ROOT2], [NEW], [ROOT2])
    p.put(4, [ROOT2], [NEWER], [ROOT2])
    p.release(20, [NEWER])
    flashed = (p.v.root / FIRST).read_bytes()
    assert p.install() == 20
    assert p.accepted()["number"] == 4
    assert (p.v.root / FIRST).read_bytes() == flashed
    assert trust_status(p.v.port())["number"] == 4


def test_a_manifest_says_that_there_is_a_newer_trust_store(p):
    p.put(2, [ROOT], [OLD, NEW], [ROOT])
    p.release(20, [OLD], trust=2)
    assert updater(p.v).check().sequence == 20
    assert p.accepted()["number"] == 2


def test_a_trust_store_brings_other_urls_and_tls_roots(p, tmp_path):
    other = Site(tmp_path / "other")
    moved = Publisher(other, tmp_path / "moved")
    moved.release(20, [NEW])
    p.put(2, [ROOT], [NEW], [ROOT], **moved.more)
    p.release(19, [OLD], trust=2)
    assert p.install() == 20
    assert updater(p.v).update() is None
    other.server.close()


def test_a_check_that_finds_nothing_new_costs_no_request_more(p):
    p.release(20, [OLD], trust=1)
    assert p.install() == 20
    before = len(p.site.asked())
    assert updater(p.v).check() is None
    assert p.site.asked()[before:] == [f"/{NAME}"]


def test_a_newer_trust_store_is_asked_for_though_the_manifest_is_the_same(p):
    p.release(20, [OLD], trust=2)
    assert p.install() == 20
    again = updater(p.v)
    assert again.check() is None and p.accepted() is None
    p.put(2, [ROOT], [OLD, NEW], [ROOT])
    assert again.check() is None
    assert p.accepted()["number"] == 2


def test_a_key_that_was_left_out_signs_nothing_any_more(p):
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.install() == 20
    p.release(30, [OLD])
    assert p.code() == "signature"
    p.release(31, [NEW])
    assert p.install() == 31


@pytest.mark.parametrize(
    ("roots", "signers"),
    [
        ([ROOT2], [ROOT]),  # not by its own root role
        ([ROOT2], [ROOT2]),  # not by the device's
        ([ROOT], [OLD]),  # by a release key
        ([ROOT], [STRANGER]),
        ([ROOT], []),
    ],
)
def test_a_trust_store_is_signed_by_the_old_and_the_new_root_role(p, roots, signers):
    p.put(2, roots, [NEW], signers or [STRANGER])
    p.release(20, [OLD], trust=2)
    assert p.code() == "signature"
    assert p.accepted() is None
    p.put(2, roots, [NEW], [ROOT, ROOT2])
    p.release(20, [NEW])
    assert p.install() == 20


def test_thresholds_of_both_root_roles_count_different_keys(p):
    both = role(ROOT, ROOT2, threshold=2)
    p.put(2, [ROOT, ROOT2], [NEW], [ROOT], root=both)
    p.release(20, [OLD], trust=2)
    assert p.code() == "signature"
    assert p.accepted() is None
    p.put(2, [ROOT, ROOT2], [NEW], [ROOT, ROOT2], root=both)
    p.put(3, [ROOT], [NEWER], [ROOT2])
    p.release(20, [OLD], trust=3)
    assert p.code() == "signature"  # number 3 lacks one of the two
    assert p.accepted()["number"] == 2
    p.put(3, [ROOT], [NEWER], [ROOT, ROOT2])
    p.release(20, [NEWER])
    assert p.install() == 20


@pytest.mark.parametrize("number", [1, 3, 4])
def test_the_next_trust_store_has_the_next_number(p, number):
    p.put(number, [ROOT], [NEW], [ROOT], as_number=2)
    p.release(20, [OLD], trust=2)
    assert p.code() == "trust-number"
    assert p.accepted() is None


def test_an_old_trust_store_cannot_be_played_back(p):
    old = p.store(1, [ROOT], [OLD], [ROOT])
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.install() == 20
    (p.site.published / "trust-3.json").write_bytes(old)
    p.release(30, [OLD])
    assert p.code() == "signature"
    assert p.accepted()["number"] == 2


def test_what_answers_every_name_with_a_page_hides_no_signature_error(p):
    (p.site.published / "trust-2.json").write_bytes(b"<html>not here</html>")
    p.release(20, [STRANGER])
    assert p.code() == "signature"


def test_a_signature_that_no_trust_store_explains_costs_one_request_more(p):
    p.release(20, [STRANGER])
    assert p.code() == "signature"
    assert p.site.asked() == [f"/{NAME}", "/trust-2.json"]


def test_a_manifest_is_no_trust_store(p):
    p.release(20, [OLD], trust=2)
    (p.site.published / "trust-2.json").write_bytes((p.site.published / NAME).read_bytes())
    assert p.code() == "envelope-format"
    content = json.loads(p.store(2, [ROOT], [NEW], [ROOT]).split(b"\n", 1)[1])
    (p.site.published / "trust-2.json").write_bytes(
        envelope(MANIFEST, json.dumps(content).encode(), [ROOT])
    )
    assert p.code() == "signature"


def test_a_damaged_trust_store_falls_back_to_the_flashed_one(p):
    p.put(2, [ROOT], [OLD, NEW], [ROOT])
    p.put(3, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.install() == 20
    path = p.v.root / CURRENT
    good = path.read_bytes()
    for bad in (b"", b"x", good[:-40], good[:200] + b"!" + good[201:]):
        path.write_bytes(bad)
        assert rotation.stored(p.v.port(), "/" + FIRST).number == 1
        assert updater(p.v).check() is None
        assert path.read_bytes() == good


def test_a_damaged_flashed_trust_store_is_none_where_a_newer_one_was_accepted(p):
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.install() == 20
    (p.v.root / FIRST).write_bytes(b"x")
    assert updater(p.v).check() is None
    (p.v.root / CURRENT).unlink()
    assert p.code() == "trust-store"
    (p.v.root / FIRST).unlink()
    with pytest.raises(OtaError, match="missing or empty"):
        updater(p.v).check()


def test_a_store_that_a_cable_brought_counts_where_its_number_is_higher(p):
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.install() == 20
    (p.v.root / FIRST).write_bytes(p.store(3, [ROOT], [NEWER], [ROOT]))
    p.release(30, [NEWER])
    assert p.install() == 30


@pytest.mark.parametrize(
    "fields", [{"manifest_urls": []}, {"manifest_urls": ["https://"]}, {"tls_roots": []}]
)
def test_a_trust_store_that_leads_nowhere_is_not_accepted(p, fields):
    p.put(2, [ROOT], [NEW], [ROOT], **fields)
    p.release(20, [NEW])
    assert p.code() in ("config", "url")
    assert p.accepted() is None
    p.put(2, [ROOT], [NEW], [ROOT])
    assert p.install() == 20


def test_a_flashed_trust_store_may_have_a_url_that_cannot_be_used(p):
    urls = ["http://localhost/m", *p.more["manifest_urls"]]
    (p.v.root / FIRST).write_bytes(p.store(1, [ROOT], [OLD], [ROOT], manifest_urls=urls))
    p.release(20, [OLD])
    assert p.install() == 20


def test_after_a_bare_image_that_failed_a_check_asks_the_manifests_server(p):
    (p.v.root / FIRST).write_bytes(p.store(1, [ROOT], [OLD], [ROOT], bare_images=True))
    p.release(20, [OLD])
    u = updater(p.v)
    for url in ("file:///nowhere.bin", "https://localhost:1/nowhere.bin"):
        with pytest.raises(OtaError) as e:
            u.install_image(url)
        assert e.value.code == "unreachable"
        assert u.check().sequence == 20


def test_no_more_than_32_steps_in_one_check(p, monkeypatch):
    monkeypatch.setattr(rotation, "_STEPS", 2)
    for number in (2, 3, 4):
        p.put(number, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert updater(p.v).check().sequence == 20
    assert p.accepted()["number"] == 3
    asked = p.site.asked()  # the manifest, numbers 2 and 3, the manifest again
    assert "/trust-3.json" in asked and "/trust-4.json" not in asked


def test_a_release_far_ahead_by_a_stolen_key_is_forgotten_with_the_key(p):
    p.release(1000000, [OLD])  # by the thief
    assert p.install() == 1000000
    p.release(43, [OLD])
    assert p.code() == "downgrade"
    p.put(2, [ROOT], [NEW], [ROOT], sequence_floor=42, sequence_epoch=1)
    p.release(41, [NEW])
    assert p.code() == "downgrade"
    p.release(43, [NEW])
    assert p.install() == 43
    assert status(p.v.port())["highest"] == 43
    p.release(42, [NEW])
    assert p.code() == "downgrade"
    p.v.board.nvs.content.clear()  # the receipt knows it too
    assert p.code() == "downgrade"


def test_sequences_stay_where_the_epoch_stays(p):
    p.release(50, [OLD])
    assert p.install() == 50
    p.put(2, [ROOT], [NEW], [ROOT], sequence_floor=10)
    p.release(49, [NEW])
    assert p.code() == "downgrade"


def test_the_epoch_never_becomes_lower(p):
    p.put(2, [ROOT], [OLD], [ROOT], sequence_epoch=2)
    p.put(3, [ROOT], [OLD], [ROOT], sequence_epoch=1)
    p.release(20, [OLD], trust=3)
    assert p.code() == "trust-number"
    assert p.accepted()["number"] == 2


def test_a_trust_store_on_the_device_is_as_long_as_one_that_is_fetched():
    assert rotation._LIMIT == jws.HEADER_LIMIT + 1 + trust.LIMIT


def test_a_trust_store_without_a_date_does_not_expire(p):
    p.put(2, [ROOT], [OLD], [ROOT], expires=0)
    p.release(20, [OLD], trust=2)
    assert p.install() == 20
    assert trust_status(p.v.port()) == {"number": 2, "expired": False}


def test_an_expired_trust_store_is_a_warning_only(p):
    p.put(2, [ROOT], [OLD], [ROOT], expires=1)
    p.release(20, [OLD], trust=2)
    assert p.install() == 20
    assert trust_status(p.v.port()) == {"number": 2, "expired": True}


def test_a_start_that_prints_its_status_verifies_nothing(p, monkeypatch):
    monkeypatch.setattr(rotation, "load", None)
    monkeypatch.setattr("ota.jws.verify", None)
    assert status(p.v.port())["config"] == ""


def test_nothing_is_used_that_cannot_be_stored(p, monkeypatch):
    def full(path, data):
        raise rotation.error("files", "full")

    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    with monkeypatch.context() as m:
        m.setattr(rotation, "replace_file", full)
        assert p.code() == "files"
    assert p.accepted() is None
    assert p.install() == 20


def test_on_fat_no_trust_store_is_replaced(p):
    part = p.v.board.table.find("vfs")
    p.v.board.flash.load(part.offset + 510, b"\x55\xaa")
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert p.code() == "file-system"
    assert p.accepted() is None


def test_a_store_that_allows_bare_images_is_accepted_like_any_other(p):
    p.put(2, [ROOT], [OLD], [ROOT], bare_images=True)
    p.release(20, [OLD], trust=2)
    assert updater(p.v).check().sequence == 20
    assert rotation.stored(p.v.port(), "/" + FIRST).bare_images is True


def test_a_self_test_that_reaches_the_server_follows_the_keys(p):
    p.put(2, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])
    assert updater(p.v).reachable()
    assert p.accepted()["number"] == 2
