"""Check, download, activate over real TLS, in this process: what is taken and what is refused."""

import hashlib
import json
import os
import socket
import threading

import pytest
from site_of import DATA, Site, image_of, updater
from stores import key_of

from ota import activation, recovery, start, trial
from ota import journal as jr
from ota.errors import OtaError, SlotError
from ota.health import status
from ota.memory import forget, outcome, save_journal
from ota.situation import Situation
from ota_tools import certificates
from ota_tools.board.flash import PowerCut


def slot_writes(v) -> int:
    slots = v.board.table.ota_slots
    return sum(any(s.offset <= o.address < s.end for s in slots) for o in v.board.flash.operations)


def refused(v, site, call=None) -> str:
    """The code of the failure; the boot slot is as it was and no slot was touched."""
    before = v.raw()
    v.board.flash.operations.clear()
    with pytest.raises(OtaError) as e:
        (call or (lambda: updater(v).check()))()
    assert v.raw() == before
    assert slot_writes(v) == 0
    return e.value.code


def installed(v, site, image) -> None:
    """An honest release installs, is booted and confirmed."""
    u = updater(v)
    release = u.check()
    u.install(release)
    v.reset()
    start.boot(port=v.port())
    trial.confirm(v.port())
    part = v.board.running
    found = v.board.flash.read(part.offset, len(image))
    assert hashlib.sha256(found).digest() == hashlib.sha256(image).digest()
    assert status(v.port())["version"] == release.version


def test_a_release_is_found_installed_and_confirmed(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1", notes="fixes")
    release = updater(v).check()
    assert (release.version, release.sequence, release.size) == ("1.1", 1, len(image))
    assert release.notes == "fixes"
    installed(v, site, image)
    assert v.entries() == ["1 VALID", "2 VALID"]
    assert updater(v).check() is None


def test_the_steps_can_be_taken_one_by_one(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    u = updater(v)
    release = u.check()
    before = v.raw()
    u.download(release)
    assert v.raw() == before
    u.activate(release)
    assert v.selected() == "ota_1"


def test_activate_looks_at_the_slot_again(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    u.download(release)
    slot = v.board.table.find("ota_1")
    v.board.flash.load(slot.offset + 5000, bytes(1))
    assert refused(v, site, lambda: u.activate(release)) == "readback"


def test_status_tells_what_runs_and_how_the_last_update_ended(site, tmp_path):
    v = site.device(tmp_path / "b")
    before = status(v.port())
    assert (before["running"], before["next"], before["version"]) == (0, 1, None)
    assert (before["outcome"], before["trial"], before["config"]) == ("none", False, "")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    u.install(u.check())
    between = status(v.port())
    assert (between["running"], between["boot"]) == (0, 1)
    v.reset()
    start.boot(port=v.port())
    assert status(v.port())["trial"] is True
    v.until_quiet(lambda: trial.self_test([("lamp", lambda: False)], port=v.port()))
    after = status(v.port())
    assert (after["running"], after["outcome"]) == (0, "self-test failed")
    assert (after["reason"], after["outcome_version"]) == ("lamp: failed", "1.1")
    assert [entry["sequence"] for entry in after["refused"]] == [1]


def test_progress_is_told_and_false_cancels(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    u = updater(v)
    release = u.check()
    seen = []

    def stop(done, total):
        seen.append((done, total))
        return len(seen) < 10

    with pytest.raises(SlotError) as e:
        u.install(release, stop)
    assert e.value.code == "cancelled"
    assert seen[-1] == (40960, len(image))
    assert v.selected() == "ota_0"
    assert status(v.port())["outcome"] == "cancelled"
    installed(v, site, image)


def test_a_download_cut_in_the_middle_goes_on_where_it_was(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    left = 30

    def cut(_):
        nonlocal left
        left -= 1
        return left == 0

    v.board.flash.cut_before = cut
    u = updater(v)
    with pytest.raises(PowerCut):
        u.install(u.check())
    v.board.flash.cut_before = None
    v.power_on()
    start.boot(port=v.port())
    assert v.running() == "ota_0"
    v.board.flash.operations.clear()
    installed(v, site, image)
    rewritten = {o.address for o in v.board.flash.operations if o.kind == "erase"}
    first = v.board.table.find("ota_1").offset
    # block 0 was whole and is left alone, block 1 was being written
    assert not [a for a in rewritten if first <= a < first + 0x10000]


def test_a_device_that_is_awake_for_moments_finishes_and_loses_a_block_each_time_at_most(
    site, tmp_path
):
    v = site.device(tmp_path / "b")
    image = image_of(5, 600_000)
    site.publish(image, "1.1")
    served = []
    lives = 0
    while v.running() == "ota_0":
        lives += 1
        left = 45  # operations: about 90 KB, and the power goes

        def cut(_):
            nonlocal left
            left -= 1
            return left == 0

        v.board.flash.cut_before = cut
        before = len(v.board.flash.operations)
        try:
            u = updater(v)
            u.install(u.check())
        except PowerCut:
            pass
        v.board.flash.cut_before = None
        served.append(len(v.board.flash.operations) - before)
        v.power_on()
        start.boot(port=v.port())
    assert 4 < lives < 12
    sectors = -(-len(image) // 4096)
    assert sum(served) < 2 * (sectors + 16 * lives) + 20  # an erase and a program of each


def test_every_power_cut_during_an_update_leaves_a_board_that_boots_and_updates(site, tmp_path):
    image = image_of(5, 20000)
    site.publish(image, "1.1")
    count = None
    at = 0
    while count is None or at < count:
        v = site.device(tmp_path / f"cut{at}")
        done = 0

        def cut(_, at=at):
            nonlocal done
            done += 1
            return done == at + 1

        v.board.flash.cut_before = cut
        try:
            u = updater(v)
            u.install(u.check())
            v.reset()
            recovery._take_up(v.port(), 300)
            trial.confirm(v.port())
            count = done
        except PowerCut:
            pass
        v.board.flash.cut_before = None
        v.power_on()
        v.until_quiet(lambda v=v: recovery._take_up(v.port(), 300))
        if Situation(v.port()).on_trial():
            trial.confirm(v.port())
        if v.running() == "ota_0":
            installed(v, site, image)
        assert v.running() == "ota_1", at
        assert Situation(v.port()).journal.highest == 1, at
        v.board.close()
        at += 1
    assert count > 10


# Refused: by the network


def test_an_unreachable_server_is_an_error_that_can_be_retried(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bad = json.loads((v.root / "ota.json").read_text())
    bad["manifest_url"] = f"https://localhost:{port}/x.manifest"
    good = (v.root / "ota.json").read_bytes()
    (v.root / "ota.json").write_text(json.dumps(bad))
    assert refused(v, site) == "unreachable"
    (v.root / "ota.json").write_bytes(good)
    installed(v, site, image)


def test_a_server_of_another_authority_is_refused(site, tmp_path):
    v = site.device(tmp_path / "b", tls_root="/other.der")
    other = certificates.ensure(tmp_path / "other", ["localhost"])
    (v.root / "other.der").write_bytes(other.ca_der.read_bytes())
    site.publish(image_of(5), "1.1")
    assert refused(v, site) == "tls-verify"
    assert site.asked() == []


def test_a_server_of_another_name_is_refused(tmp_path):
    site = Site(tmp_path / "site", ("elsewhere.example",))
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    assert refused(v, site) == "tls-verify"
    site.server.close()


def test_a_server_that_says_nothing_times_out(site, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://localhost:{silent.getsockname()[1]}/x"
        v = site.device(tmp_path / "b", manifest_url=url, timeout_s=1)
        assert refused(v, site) in ("tls", "timeout")


def test_a_missing_manifest_is_an_http_status(site, tmp_path):
    v = site.device(tmp_path / "b")
    assert refused(v, site) == "http-status"


def test_an_oversized_manifest_is_refused_by_its_length(site, tmp_path):
    v = site.device(tmp_path / "b")
    (site.published / "virtual-esp32.manifest").write_bytes(b"x" * 20000)
    assert refused(v, site) == "envelope-format"


# Refused: by the rules


def test_a_stranger_s_signature_is_refused(site, tmp_path):
    v = site.device(tmp_path / "b")
    honest = site.signer
    site.signer = key_of(DATA / "stranger.pem")
    site.publish(image_of(5), "1.1")
    assert refused(v, site) == "signature"
    site.signer = honest
    image = image_of(6)
    site.publish(image, "1.2")
    installed(v, site, image)


def test_another_product_or_board_is_refused(site, tmp_path):
    site.publish(image_of(5), "1.1")
    assert refused(site.device(tmp_path / "p", product="other"), site) == "wrong-product"
    assert refused(site.device(tmp_path / "q", board="other"), site) == "wrong-board"


def test_a_downgrade_is_refused_and_the_same_is_nothing_to_do(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1", sequence=5)
    installed(v, site, image_of(5))
    u = updater(v)
    assert u.check() is None and u.reason.startswith("up to date")
    (site.published / "virtual-esp32.manifest").unlink()
    site.publish(image_of(6), "1.0", sequence=4)
    assert refused(v, site) == "downgrade"
    v.esp32.NVS("ota").erase_key("journal")  # the receipt remembers it, too
    assert refused(v, site) == "downgrade"


def test_a_tampered_payload_is_refused_and_the_boot_slot_stays(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    release = site.publish(image, "1.1")
    data = bytearray(image)
    data[100000] ^= 1
    release.payload_path.write_bytes(data)
    u = updater(v)
    found = u.check()
    with pytest.raises(OtaError) as e:
        u.install(found)
    assert e.value.code == "digest-mismatch"
    assert v.selected() == "ota_0"
    slot = v.board.table.find("ota_1")
    assert v.board.flash.read(slot.offset, 16) == b"\xff" * 16
    release.payload_path.write_bytes(image)
    installed(v, site, image)


def test_a_payload_of_another_length_is_refused_before_any_erase(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    release = site.publish(image, "1.1")
    release.payload_path.write_bytes(image + b"\x00")
    u = updater(v)
    found = u.check()
    assert refused(v, site, lambda: u.install(found)) == "size-mismatch"


def test_an_expired_manifest_is_refused(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1", expires=1700000000)
    assert refused(v, site) == "expired"


def test_a_missing_or_damaged_trust_store_is_refused(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    good = (v.root / "ota_trust.json").read_bytes()
    for bad in (b"", good[:-1], good.replace(b'"number": 1', b'"number": 2'), b"x" * 20000):
        (v.root / "ota_trust.json").write_bytes(bad)
        assert refused(v, site) == "trust-store"
    (v.root / "ota_trust.json").unlink()
    assert refused(v, site) == "trust-store"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"product":"demo"}', "{" * 3000])
def test_a_bad_configuration_is_refused(site, tmp_path, content):
    v = site.device(tmp_path / "b")
    (v.root / "ota.json").write_text(content)
    assert refused(v, site) in ("config", "files")


# Refused: by the state


def test_no_install_during_a_trial(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    u.install(u.check())
    v.reset()
    start.boot(port=v.port())
    site.publish(image_of(6), "1.2")
    release = updater(v).check()  # looking is always allowed
    assert release.version == "1.2"
    assert refused(v, site, lambda: updater(v).install(release)) == "trial-running"


def test_no_second_install_at_once(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    codes = []

    def again(done, total):
        if not codes:
            with pytest.raises(OtaError) as e:
                updater(v).install(release)
            codes.append(e.value.code)

    u.install(release, again)
    assert codes == ["busy"]


def test_an_image_that_failed_is_not_offered_and_not_installed_again(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    u = updater(v)
    release = u.check()
    u.install(release)
    v.reset()
    start.boot(port=v.port())
    v.until_quiet(lambda: trial.self_test([("lamp", lambda: False)], port=v.port()))
    u = updater(v)
    assert u.check() is None and "failed" in u.reason
    assert refused(v, site, lambda: u.install(release)) == "refused"
    site.publish(image, "1.1 again")
    installed(v, site, image)


def test_an_image_that_failed_and_is_forgotten_installs_and_is_confirmed(site, tmp_path):
    v = site.device(tmp_path / "b")
    image = image_of(5)
    site.publish(image, "1.1")
    u = updater(v)
    u.install(u.check())
    v.reset()
    start.boot(port=v.port())
    v.until_quiet(lambda: trial.self_test([("lamp", lambda: False)], port=v.port()))
    start.boot(port=v.port())
    (entry,) = status(v.port())["refused"]
    assert updater(v).check() is None
    assert forget(entry["sha256"], v.port())
    installed(v, site, image)
    assert v.running() == "ota_1" and v.entries() == ["1 VALID", "2 VALID"]
    assert status(v.port())["refused"] == [] and updater(v).check() is None


def test_an_image_that_lost_power_is_activated_again_without_a_download(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    u.install(u.check())
    v.reset()
    start.boot(port=v.port())
    v.power_on()
    start.boot(port=v.port())
    assert v.running() == "ota_0"
    asked = len(site.asked())
    v.board.flash.operations.clear()
    u = updater(v)
    u.install(u.check())
    assert [p for p in site.asked()[asked:] if p.endswith(".bin")] == []
    assert slot_writes(v) == 0
    assert v.selected() == "ota_1"
    assert Situation(v.port()).journal.tries == 1


def test_an_install_over_a_selected_slot_drops_the_selection_first(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    u.install(u.check())
    assert v.selected() == "ota_1"
    site.publish(image_of(6), "1.2")
    v.board.flash.cut_before = lambda o: (
        v.board.table.find("ota_1").offset <= o.address < (v.board.table.find("ota_1").end)
    )
    with pytest.raises(PowerCut):
        u = updater(v)
        u.install(u.check())
    v.power_on()
    assert v.running() == v.selected() == "ota_0"


@pytest.mark.parametrize("in_place", [False, True])
def test_activating_twice_keeps_the_running_image_s_record(site, tmp_path, in_place):
    v = site.device(tmp_path / "b")
    v.board.settings.in_place = in_place
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    u.install(release)
    u.activate(release)
    assert v.entries() == ["1 VALID", "2 NEW"]


def test_activating_after_a_cut_behind_the_selection_keeps_the_running_image_s_record(
    site, tmp_path
):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    u.install(release)
    journal = Situation(v.port()).journal
    journal.state = jr.WRITING  # as if power went before it could say activated
    save_journal(v.port(), journal)
    u.activate(release)
    assert v.entries() == ["1 VALID", "2 NEW"]


def test_a_slot_that_is_written_over_is_nothing_to_roll_back_to(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    installed(v, site, image_of(5))
    site.publish(image_of(6), "1.2")
    u = updater(v)
    u.download(u.check())
    assert Situation(v.port()).spare_record(0) == -1
    with pytest.raises(OtaError) as e:
        trial.rollback(port=v.port())
    assert e.value.code == "no-rollback"
    v.reset()
    assert v.running() == "ota_1"


def test_a_release_found_during_a_trial_is_judged_again_after_the_confirm(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.5", sequence=5)
    u = updater(v)
    u.install(u.check())
    v.reset()
    start.boot(port=v.port())
    (site.published / "virtual-esp32.manifest").unlink()
    site.publish(image_of(4), "1.4", sequence=4)
    replayed = updater(v).check()
    trial.confirm(v.port())
    assert refused(v, site, lambda: updater(v).install(replayed)) == "downgrade"


def test_what_is_confirmed_is_not_installed_again(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    release = updater(v).check()
    installed(v, site, image_of(5))
    assert refused(v, site, lambda: updater(v).install(release)) == "nothing-to-do"


def test_damaged_receipts_stop_no_update(site, tmp_path):
    for number, junk in enumerate(
        (b"{", b"x" * 5000, b'{"format":2}', b'{"format":1,"slots":[]}')
    ):
        v = site.device(tmp_path / str(number))
        (v.root / "ota_receipts.json").write_bytes(junk)
        site.publish(image_of(5), f"1.{number}")
        installed(v, site, image_of(5))


def test_a_sleeping_device_gets_every_try(site, tmp_path):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    for _ in range(2):
        u = updater(v)
        u.install(u.check())
        assert v.until_quiet(lambda: start.boot(port=v.port())) == 1  # woke in the old slot
        assert v.running() == "ota_1"
        v.power_on()
        start.boot(port=v.port())
        assert v.running() == "ota_0"
    assert Situation(v.port()).journal.tries == 2


def test_a_flash_error_has_its_code_and_leaves_the_boot_slot(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    real = v.esp32.Partition.writeblocks

    def worn(self, *args):
        if self.info()[4] == "ota_1":
            raise OSError(-261, "worn")
        real(self, *args)

    monkeypatch.setattr(v.esp32.Partition, "writeblocks", worn)
    with pytest.raises(OtaError) as e:
        u.install(release)
    assert e.value.code == "flash"
    assert v.selected() == "ota_0"
    monkeypatch.undo()
    installed(v, site, image_of(5))


def test_a_journal_that_cannot_be_written_leaves_the_boot_slot(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    u.download(release)
    before = v.selected()
    monkeypatch.setattr(v.esp32.NVS, "set_blob", lambda *a: (_ for _ in ()).throw(OSError(-4357)))
    with pytest.raises(OtaError) as e:
        u.activate(release)
    assert e.value.code == "nvs"
    assert v.selected() == before


def kill_reads(v, label, monkeypatch) -> None:
    """From here on this partition cannot be read."""
    real = v.esp32.Partition.readblocks

    def dead(self, *args):
        if self.info()[4] == label:
            raise OSError(-261, "dead")
        real(self, *args)

    monkeypatch.setattr(v.esp32.Partition, "readblocks", dead)


def test_a_slot_that_cannot_be_read_is_not_activated(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    u.download(release)
    kill_reads(v, "ota_1", monkeypatch)
    # activate hashes the slot first; the selection reads its head once more
    for call in (u.activate, lambda found: activation.activate(v.port(), found)):
        with pytest.raises(OtaError) as e:
            call(release)
        assert e.value.code == "flash"
    assert v.selected() == "ota_0"


def test_a_slot_that_cannot_be_read_is_nothing_to_roll_back_to(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    installed(v, site, image_of(5))
    kill_reads(v, "ota_0", monkeypatch)
    with pytest.raises(OtaError) as e:
        trial.rollback(port=v.port())
    assert e.value.code == "no-rollback"
    assert v.selected() == "ota_1"


def test_a_device_whose_file_system_is_gone_says_so(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    site.publish(image_of(5), "1.1")
    u = updater(v)
    release = u.check()
    monkeypatch.setattr(os, "statvfs", lambda path: (_ for _ in ()).throw(OSError(19, "ENODEV")))
    assert refused(v, site, lambda: u.install(release)) == "files"


def test_five_nvs_writes_per_update_and_one_where_its_outcome_is_told_or_kept(site, tmp_path):
    v = site.device(tmp_path / "b")
    written = []
    v.board.nvs.on_write = lambda space, key, value: written.append(f"{space}.{key}")
    for number, told in enumerate((True, False, True)):
        image = image_of(5 + number)
        site.publish(image, f"1.{number}")
        written.clear()
        installed(v, site, image)
        kept = ["ota.untold"] if number == 2 else []  # of the update before, which nobody was told
        assert written == kept + ["ota.journal"] * 5
        if told:
            assert outcome(v.port())["version"] == f"1.{number - len(kept)}"
            assert len(written) == 6 + len(kept)
    assert Situation(v.port()).journal.generation == 15
    assert outcome(v.port())["version"] == "1.2"
    assert outcome(v.port()) is None


def test_nothing_is_left_open_after_a_failure(site, tmp_path):
    v = site.device(tmp_path / "b")
    before = threading.active_count()
    for _ in range(5):
        assert refused(v, site) == "http-status"
    assert threading.active_count() <= before + 1
