"""`ota.doctor()` on the board's model: each finding at each of its levels."""

import gc
import json
import struct
import sys
import time
from types import SimpleNamespace

import pytest
from fakes import make_image
from site_of import DATA, Site, image_of, updater
from stores import Ec, Rsa, store
from virtual import BLANK, FACTORY_OTA_TABLE, FACTORY_TABLE, STOCK_TABLE, Virtual

import ota
from ota import checkup, engine, otadata, recovery, start, trial
from ota import journal as jr
from ota.checkup import doctor
from ota.memory import save_journal
from ota.port import Port
from ota.receipt import FILE, Receipt, save_receipts
from ota.situation import Situation

FINE, NOTE, BAD = 0, 1, 2
CHECKS = "slots table bootloader clock heap files config trust library journal server".split()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    yield made
    made.server.close()


@pytest.fixture(autouse=True)
def healthy(monkeypatch):
    """A frozen library, much memory, and a boot.py that does its work."""
    monkeypatch.setattr(gc, "mem_free", lambda: 1 << 20, raising=False)
    monkeypatch.setattr(checkup, "_home", lambda: ".frozen/ota")
    monkeypatch.setattr(ota, "_started", True)
    monkeypatch.setattr(recovery, "fault", "")


@pytest.fixture
def v(site, tmp_path):
    made = site.device(tmp_path / "b", {"idf_largest": 98304})
    made.set_entries(otadata.encode(1, otadata.VALID), BLANK)
    return made


def looked(v, check, network=False):
    """The findings of one check: (level, text, advice)."""
    return [rest for name, *rest in doctor(network, v.port()) if name == check]


def one(v, check, level, network=False):
    """Text and advice of the only finding of a check with this level."""
    found = [rest for rest in looked(v, check, network) if rest[0] == level]
    assert len(found) == 1, looked(v, check, network)
    return found[0][1], found[0][2]


def config(v, **fields):
    path = v.root / "ota.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_healthy_device_has_no_finding_above_0(site, v):
    site.publish(image_of(5), "1.1")
    put_store(v, **honest(site))
    found = doctor(True, v.port())
    assert [row for row in found if row[1] != FINE] == []
    assert list(dict.fromkeys(row[0] for row in found)) == CHECKS
    assert all(type(text) is str and text and advice == "" for _, _, text, advice in found)


def test_what_is_wrong_always_has_one_line_of_advice(tmp_path):
    v = Virtual(tmp_path / "b", FACTORY_TABLE)
    v.power_on()
    found = doctor(True, v.port())
    assert {row[0] for row in found if row[1] == BAD} >= {"slots", "table", "config", "trust"}
    for _, level, _, advice in found:
        assert bool(advice) == (level > FINE)
        assert "\n" not in advice


def test_it_changes_nothing(site, v):
    site.publish(image_of(5), "1.1")
    before = v.raw(), sorted(v.root.iterdir()), dict(v.board.nvs.__dict__)
    v.board.flash.operations.clear()
    doctor(True, v.port())
    assert (v.raw(), sorted(v.root.iterdir()), dict(v.board.nvs.__dict__)) == before
    assert v.board.flash.operations == []


def test_it_prints_nothing(site, v, capsys):
    site.publish(image_of(5), "1.1")
    doctor(True, v.port())
    assert capsys.readouterr() == ("", "")


def test_it_never_raises():
    class Broken:
        def __getattr__(self, name):
            raise OSError(5)

    found = doctor(True, Port(Broken(), Broken(), "/nowhere"))
    assert [row[0] for row in found if row[1] == BAD and "OSError" in row[2]]
    assert {row[0] for row in found} == set(CHECKS)


def test_without_a_board_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "esp32", None)
    (found,) = doctor()
    assert found[:2] == ("board", BAD)


def test_without_the_network_the_server_is_not_asked(site, v):
    assert looked(v, "server") == []
    assert site.asked() == []


# slots


def test_a_factory_layout_has_no_slots(tmp_path):
    v = Virtual(tmp_path / "b", FACTORY_TABLE)
    v.power_on()
    text, advice = next(rest[1:] for rest in looked(v, "slots") if rest[0] == BAD)
    assert "needs two" in text and "`ota flash`" in advice
    assert "room for 0:" in one(v, "table", BAD)[0]


def test_slots_are_told_with_image_and_receipt(v):
    v.put("ota_1", b"\x00" * 4096)
    save_receipts(v.port().path(FILE), {0: Receipt(bytes(32), 9000, "1.7", 3)})
    texts = [text for _, text, _ in looked(v, "slots")]
    assert texts[0].startswith("ota_0: 1536 KiB, image of ") and "receipt 1.7" in texts[0]
    assert texts[1] == "ota_1: 1536 KiB, no image"
    assert texts[2] == "running slot 0, selected slot 0; otadata 1 VALID, blank"


def test_slots_of_different_sizes_are_worth_knowing(tmp_path):
    table = STOCK_TABLE.replace("0x190000, 0x180000", "0x190000, 0x170000")
    v = Virtual(tmp_path / "b", table)
    v.power_on()
    assert "different sizes" in one(v, "slots", NOTE)[0]


def test_an_encrypted_slot_does_not_work(v):
    part = v.port().find_slots()[1]
    about = (*part.info()[:5], True)
    port = v.port()
    port.find_slots = lambda: {0: v.port().find_slots()[0], 1: _Encrypted(part, about)}
    found = [row for row in doctor(False, port) if row[0] == "slots" and row[1] == BAD]
    assert [row[2] for row in found] == ["ota_1 is encrypted"]


class _Encrypted:
    def __init__(self, part, about):
        self.readblocks = part.readblocks
        self.info = lambda: about


def test_what_waits_for_its_first_start_is_told(v):
    v.put("ota_1", make_image(9000, seed=2))
    v.port().select(1)
    text, advice = one(v, "slots", NOTE)
    assert "running slot 0, selected slot 1" in text and "ota.reset()" in advice


def test_a_broken_selection_is_told(v):
    v.set_entries(otadata.encode(2, otadata.VALID), BLANK)
    assert "puts it right" in one(v, "slots", NOTE)[1]


def test_without_otadata_nothing_works(tmp_path):
    table = "\n".join(line for line in STOCK_TABLE.splitlines() if "otadata" not in line)
    v = Virtual(tmp_path / "b", table)
    v.power_on()
    text, advice = one(v, "slots", BAD)
    assert text.startswith("no-otadata") and "`ota flash`" in advice


# table


def test_the_room_that_is_left_is_told(v):
    text, _ = one(v, "table", FINE)
    assert text.endswith("room for 1572864: %d left" % (1572864 - int(text.split()[2])))


def test_a_full_slot_is_worth_knowing(tmp_path):
    v = Virtual(tmp_path / "b")
    v.put("ota_0", make_image(0x180000 - 40000, seed=1))
    v.power_on()
    assert "may not fit" in one(v, "table", NOTE)[1]


def test_an_image_larger_than_a_slot_does_not_work(tmp_path):
    table = FACTORY_OTA_TABLE.replace("0x210000, 0x100000", "0x210000, 0x4000")
    v = Virtual(tmp_path / "b", table)
    first = next(p for p in v.board.table.partitions if p.type == 0)
    v.board.flash.load(first.offset, make_image(30000, seed=1))
    v.power_on()
    assert "smaller image" in one(v, "table", BAD)[1]


# bootloader


def test_a_watched_image_proves_rollback(v):
    v.set_entries(otadata.encode(1, otadata.PENDING_VERIFY), BLANK)
    assert "rollback: yes" in one(v, "bootloader", FINE)[0]


def test_an_aborted_image_proves_rollback(v):
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, otadata.ABORTED))
    assert "rollback: yes" in one(v, "bootloader", FINE)[0]


def test_a_new_image_that_runs_has_no_watch(v):
    v.set_entries(otadata.encode(1, otadata.NEW), BLANK)
    text, advice = one(v, "bootloader", NOTE)
    assert "rollback: no" in text and "bootloader" in advice


def test_a_new_record_of_another_slot_proves_nothing(v):
    v.set_entries(otadata.encode(1, otadata.VALID), otadata.encode(2, otadata.NEW))
    assert "not known" in one(v, "bootloader", FINE)[0]


def test_after_a_soft_reset_a_new_record_proves_nothing(v):
    v.set_entries(otadata.encode(1, otadata.NEW), BLANK)
    v.board.cause = 5
    assert "not known" in one(v, "bootloader", FINE)[0]


def test_a_confirmed_image_proves_nothing(v):
    assert "not known" in one(v, "bootloader", FINE)[0]


@pytest.mark.parametrize(("chip_id", "offset"), [(0, 0x1000), (2, 0x1000), (9, 0), (18, 0x2000)])
def test_the_bootloader_names_its_idf(v, monkeypatch, chip_id, offset):
    def flash_read(at, buf):
        assert at == offset + 32
        buf[:] = struct.pack("<B3xI32s", 80, 1, b"v5.4.2")

    monkeypatch.setitem(sys.modules, "esp", SimpleNamespace(flash_read=flash_read))
    monkeypatch.setattr(Port, "chip_id", lambda self: chip_id)
    assert one(v, "bootloader", FINE)[0].endswith("built with ESP-IDF v5.4.2")


def test_an_old_bootloader_names_nothing(v, monkeypatch):
    fake = SimpleNamespace(flash_read=lambda at, buf: None)
    monkeypatch.setitem(sys.modules, "esp", fake)
    assert "ESP-IDF" not in one(v, "bootloader", FINE)[0]


# clock


def test_a_clock_that_nobody_set_is_asked_for(v, monkeypatch):
    monkeypatch.setattr(Port, "_guessed", True)
    config(v, ntp="time.example")
    text, advice = one(v, "clock", NOTE)
    assert "not set" in text and "time.example" in advice


def test_a_clock_that_nobody_can_set_does_not_work(v, monkeypatch):
    monkeypatch.setattr(Port, "now", lambda self: 946684800)
    assert "ntp" in one(v, "clock", BAD)[1]


def test_a_clock_that_is_set_is_fine(v):
    minute = "%Y-%m-%d %H:%M"
    before = time.strftime(minute, time.localtime())
    assert one(v, "clock", FINE)[0] in (before, time.strftime(minute, time.localtime()))


# heap


@pytest.mark.parametrize(
    ("free", "home", "level"),
    [
        (27032, ".frozen/ota", BAD),
        (27033, ".frozen/ota", FINE),
        (27033, "/lib/ota", NOTE),
        (111410, "/lib/ota", NOTE),
        (111411, "/lib/ota", FINE),
    ],
)
def test_the_heap_must_hold_an_update(v, monkeypatch, free, home, level):
    monkeypatch.setattr(gc, "mem_free", lambda: free)
    monkeypatch.setattr(checkup, "_home", lambda: home)
    assert [found[0] for found in looked(v, "heap")] == [level, FINE]


@pytest.mark.parametrize(
    ("largest", "level"), [(0, FINE), (17099, BAD), (17100, NOTE), (49151, NOTE), (49152, FINE)]
)
def test_tls_needs_a_large_piece(v, largest, level):
    v.board.settings.idf_largest = largest
    assert [found[0] for found in looked(v, "heap")] == [FINE, level]


# files, configuration


def test_fat_does_not_work(v):
    part = v.board.table.find("vfs")
    v.board.flash.load(part.offset + 510, b"\x55\xaa")
    text, advice = one(v, "files", BAD)
    assert text.startswith("file-system: vfs is FAT") and "littlefs" in advice


def test_a_missing_configuration_does_not_work(v):
    (v.root / "ota.json").unlink()
    text, advice = one(v, "config", BAD)
    assert text.startswith("config: ") and "missing" in text and "`ota device setup" in advice


def test_unverified_tls_is_told(v):
    config(v, tls_unverified="anybody-may-answer-for-the-server")
    assert "not verified" in one(v, "config", NOTE)[0]


# trust store


RELEASE = Rsa(DATA / "release.pem")
ROOTS = [Rsa(DATA / "root.pem"), Rsa(DATA / "root2.pem")]


def honest(site):
    """Where this site's manifest is, and whom its TLS belongs to."""
    fields = json.loads(site.trust.split(b"\n", 1)[1])
    return {name: fields[name] for name in ("manifest_urls", "tls_roots")}


def put_store(v, name="ota_trust.json", number=1, roots=ROOTS, releases=(RELEASE,), **fields):
    data = store(number, roots, list(releases), roots, **fields)
    (v.root / name).write_bytes(data)
    return data


def test_a_missing_trust_store_does_not_work(v):
    (v.root / "ota_trust.json").unlink()
    text, advice = one(v, "trust", BAD)
    assert text.startswith("trust-store: ") and "--trust" in advice


def test_keys_and_thresholds_are_told(v):
    put_store(v)
    assert one(v, "trust", FINE)[0].startswith("number 1; root ")
    assert [found[0] for found in looked(v, "trust")] == [FINE]


def test_one_root_key_alone_is_worth_knowing(v):
    put_store(v, roots=ROOTS[:1])
    assert one(v, "trust", NOTE)[0] == "one root key"


@pytest.mark.parametrize(
    ("days", "text"), [(31, ""), (29, "expires in 29 days"), (-3, "expired 3 days ago")]
)
def test_a_date_that_comes_near_is_told(v, days, text):
    put_store(v, expires=int(time.time()) + days * 86400 + 3600)  # an hour: it takes a moment
    found = [found for found in looked(v, "trust") if found[0] == NOTE]
    assert [t.split(",")[0] for _, t, _ in found] == ([text] if text else [])


def test_a_newer_store_that_is_spoiled_is_told(v):
    put_store(v)
    (v.root / "ota_trust.json.current").write_bytes(b"{}\nnothing")
    assert one(v, "trust", NOTE)[0].startswith("/ota_trust.json.current: ")
    assert one(v, "trust", FINE)[0].startswith("number 1;")


def test_the_newer_store_counts(v):
    put_store(v)
    put_store(v, "ota_trust.json.current", 2)
    assert one(v, "trust", FINE)[0].startswith("number 2;")


# library


@pytest.mark.parametrize("home", [".frozen/ota", "/.img/ota"])
def test_a_frozen_library_is_fine(v, monkeypatch, home):
    monkeypatch.setattr(checkup, "_home", lambda: home)
    assert looked(v, "library") == [[FINE, f"ota {ota.__version__} frozen", ""]]


def test_a_library_from_lib_is_worth_knowing(v, monkeypatch):
    monkeypatch.setattr(checkup, "_home", lambda: "/lib/ota")
    monkeypatch.setattr(ota, "__file__", "/lib/ota/__init__.mpy")
    (v.root / "lib" / "ota").mkdir(parents=True)
    assert "freeze it" in one(v, "library", NOTE)[1]


def test_a_library_as_source_is_told(v, monkeypatch):
    monkeypatch.setattr(checkup, "_home", lambda: "/lib/ota")
    text, advice = one(v, "library", NOTE)
    assert text.endswith("as source") and "`ota device setup`" in advice


@pytest.mark.parametrize("home", ["ota", "/ota", ".frozen/ota"])
def test_a_folder_ota_hides_the_library_and_so_it_is_what_runs(v, monkeypatch, home):
    (v.root / "ota").mkdir()
    monkeypatch.setattr(checkup, "_home", lambda: home)
    text, advice = one(v, "library", BAD)
    assert text == "/ota hides the library" and "/lib or the firmware" in advice


def test_a_file_without_an_ending_hides_nothing(v):
    (v.root / "ota").touch()
    assert [level for level, *_ in looked(v, "library")] == [FINE]


@pytest.mark.parametrize("name", ["ota.py", "ota.mpy"])
def test_a_file_ota_hides_the_library(v, name):
    (v.root / name).touch()
    assert one(v, "library", BAD)[0] == f"/{name} hides the library"


def test_a_copy_that_is_not_used_is_told(v):
    (v.root / "lib" / "ota").mkdir(parents=True)
    assert "not used" in one(v, "library", NOTE)[0]


# journal


def test_a_new_device_had_no_update(v):
    assert looked(v, "journal") == [[FINE, "no update yet", ""]]


def test_a_spoiled_journal_is_told(v):
    v.port().nvs_write("journal", bytes(512))
    assert "cannot be read" in one(v, "journal", NOTE)[0]


def ended(v, outcome, reason):
    journal = Situation(v.port()).journal
    journal.start(1, 7, b"\x11" * 32, bytes(16), "1.1")
    journal.end(outcome, reason)
    return journal


def test_a_good_ending_is_fine(v):
    save_journal(v.port(), ended(v, jr.CONFIRMED, ""))
    assert [level for level, *_ in looked(v, "journal")] == [FINE]


def test_a_bad_ending_is_told_with_its_reason(v):
    save_journal(v.port(), ended(v, jr.TEST_FAILED, "lamp: failed"))
    assert "self-test failed, lamp: failed" in one(v, "journal", NOTE)[0]


def test_refused_images_are_named(v):
    journal = ended(v, jr.CONFIRMED, "")
    journal.refuse(b"\x22" * 32, 6)
    save_journal(v.port(), journal)
    text, advice = one(v, "journal", NOTE)
    assert "22" * 16 in text and f"ota.forget('{'22' * 16}')" in advice


def test_a_download_that_was_begun_is_told(v):
    journal = ended(v, jr.CONFIRMED, "")
    journal.state = jr.WRITING
    save_journal(v.port(), journal)
    assert any("was begun" in text for _, text, _ in looked(v, "journal"))


def test_a_trial_is_told(site, v):
    site.publish(image_of(5), "1.1")
    u = updater(v)
    u.install(u.check())
    v.reset()
    start.boot(port=v.port())
    text, advice = one(v, "journal", NOTE)
    assert "on trial" in text and "ota.confirm()" in advice
    trial.confirm(v.port())
    assert [level for level, *_ in looked(v, "journal")] == [FINE]


def test_a_boot_py_without_the_library_does_not_work(v, monkeypatch):
    monkeypatch.setattr(ota, "_started", False)
    assert one(v, "journal", BAD)[0] == "ota.boot() did not run"


def test_what_kept_boot_from_its_work_is_told(v, monkeypatch):
    monkeypatch.setattr(recovery, "fault", "SlotError nvs: full")
    assert "nvs: full" in one(v, "journal", BAD)[0]


# server


def test_the_server_is_reached(site, v):
    site.publish(image_of(5), "1.1")
    text, _ = one(v, "server", FINE, network=True)
    assert "a manifest signed for us in " in text and text.endswith(" ms")


def test_a_server_that_is_not_there_has_its_code(site, v):
    config(v, manifest_url="https://localhost:1/x.manifest")
    text, advice = one(v, "server", BAD, network=True)
    assert text.startswith("unreachable: ") and "network" in advice


def test_a_missing_manifest_has_its_code(v):
    text, advice = one(v, "server", BAD, network=True)
    assert text.startswith("http-status: ") and "manifest" in advice


def test_the_server_is_asked_once(v):
    config(v, tries=3, manifest_url="https://localhost:1/x.manifest")
    text, _ = one(v, "server", BAD, network=True)
    assert int(text.split(" after ")[1].split()[0]) < 900  # the first pause is a second


def test_a_server_that_nobody_verifies_is_no_proof(site, v):
    config(v, tls_unverified="anybody-may-answer-for-the-server")
    site.publish(image_of(5), "1.1")
    assert one(v, "server", FINE, network=True)[0].endswith("NOT VERIFIED")


def test_a_newer_trust_store_is_left_to_a_check(site, v):
    site.publish(image_of(5), "1.1")
    where = honest(site)
    put_store(v, releases=[Ec()], **where)
    newer = store(2, ROOTS, [RELEASE], ROOTS, **where)
    (site.published / "trust-2.json").write_bytes(newer)
    text, advice = one(v, "server", NOTE, network=True)
    assert text.startswith("signature: ") and "newer trust store" in advice
    assert not (v.root / "ota_trust.json.current").exists()
    assert updater(v).check() is not None
    assert (v.root / "ota_trust.json.current").exists()


def test_a_device_that_is_busy_is_not_broken(site, v, monkeypatch):
    monkeypatch.setattr(engine, "_running", True)
    assert one(v, "server", NOTE, network=True)[0].startswith("busy: ")
