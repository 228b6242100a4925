"""Check, install and activation on a bench: the rules, and what each failure leaves."""

from benches import BLANK, OLD, Shelf
from desks import IMAGE, Depot, Desk, Reader, desk, wrong_in
from fakes import code_of, make_release, read_data, run
from test_source import URL, outcome

import ota.engine
from ota.activation import activate
from ota.errors import error
from ota.journal import ACTIVATED, SELECTED, WRITING
from ota.otadata import NEW
from ota.otadata import encode as entry
from ota.receipt import FILE, Receipt, load_receipts, save_receipts
from ota.trust import Role, Trust, load


def test_the_floor_of_the_trust_store_is_obeyed():
    asked = desk()
    assert asked.check().sequence == 2
    asked.trust.sequence_floor = 3
    assert code_of(asked.check) == "downgrade"


def test_a_newer_trust_store_counts_for_the_next_connection():
    asked = desk()
    newer = Trust(2, Role({}, 1), Role({}, 1))
    for newest, left in ((asked.trust, 1), (newer, 0)):

        def walk(trust, newest=newest):
            yield
            return newest

        asked._walk = walk
        asked._begin()
        try:
            run(asked._newest(asked.trust, URL))
            assert len(asked._sources) == left
        finally:
            asked._end()


def test_the_journal_alone_remembers_the_highest_sequence():
    assert code_of(Desk(Shelf(0, OLD, BLANK, highest=3), IMAGE).check) == "downgrade"


def test_the_highest_sequence_is_that_of_journal_or_receipt():
    for confirmed, received in ((3, 1), (1, 3)):
        asked = Desk(Shelf(0, OLD, BLANK, highest=confirmed), IMAGE)
        save_receipts(asked.shelf.path(FILE), {0: Receipt(bytes(32), 1, "1", received)})
        assert code_of(asked.check) == "downgrade"


def test_a_release_without_a_plain_payload_is_not_offered():
    payloads = [{"urls": ["x"], "encoding": "magic", "size": 9}]
    assert code_of(desk(payloads=payloads).check) == "no-payload"


def test_a_manifest_that_is_too_long_is_not_read():
    asked = Reader(Shelf(0, OLD, BLANK), IMAGE)
    asked.announced, asked.served = 20000, b""
    assert code_of(asked.check) == "envelope-format"


def test_the_threshold_of_the_release_role_is_obeyed():
    asked = Reader(Shelf(0, OLD, BLANK), IMAGE)
    asked.served = read_data("openssl/release.manifest")
    asked.announced = len(asked.served)
    asked.trust = load(read_data("openssl/trust.json"))
    asked.trust.release.threshold = 2
    assert code_of(asked.check) == "signature"


def test_a_release_that_expired_since_the_check_is_not_downloaded():
    late = desk()
    late.release.expires = 1789999999
    assert code_of(late.download, late.release) == "expired"
    assert late.shelf.parts[1].log == []


def test_no_expired_release_passes_where_nobody_set_the_clock():
    for made, created in ((1780000000, 0), (0, 1780000000), (1770000000, 1780000000)):
        for expires, code in ((1779999999, "expired"), (1780000000, "")):
            for call in ("check", "download"):
                asked = desk(expires=expires, created=1)
                shelf = asked.shelf
                shelf.seconds, shelf.made = 946684800, made
                running = {0: Receipt(bytes(32), 1, "1", 1, created)}
                save_receipts(shelf.path(FILE), running)
                arguments = [asked.release] if call == "download" else []
                assert outcome(getattr(asked, call), *arguments) == code, (made, created, call)
                assert bool(shelf.parts[1].log) == (call == "download" and not code)


def test_a_release_without_a_plain_payload_is_refused_at_once():
    asked = Depot(IMAGE)
    asked.release = make_release(IMAGE, payloads=[{"urls": ["x"], "encoding": "z", "size": 9}])
    assert code_of(asked.download, asked.release) == "no-payload"
    assert asked.slot.reads == 0


def test_a_release_that_is_in_the_slot_needs_no_network():
    asked = wrong_in()
    asked._open = None
    asked.download(asked.release)
    assert asked.site.connections == 0


def test_a_slot_is_proven_by_the_whole_digest_too():
    lying = desk()
    lying.release.sha256 = bytes(32)
    assert code_of(lying.download, lying.release) == "digest-mismatch"


def test_the_receipt_of_a_slot_goes_before_the_slot_does():
    cut = desk()
    path = cut.shelf.path(FILE)
    save_receipts(path, {0: Receipt(bytes(32), 1, "1", 1), 1: Receipt(bytes(32), 1, "1", 1)})
    cut.served = IMAGE[:5000]
    assert code_of(cut.download, cut.release) == "short-body"
    assert sorted(load_receipts(path)) == [0]


def test_a_write_that_was_cut_is_in_doubt():
    digest = make_release(IMAGE).sha256
    cut = {"state": WRITING, "slot": 1, "sequence": 2, "digest": digest, "head": IMAGE[:16]}
    again = Desk(Shelf(0, OLD, BLANK, **cut), IMAGE)
    again.shelf.parts[1].data[16 : len(IMAGE) - 1] = IMAGE[16:-1]
    again.download(again.release)
    assert ("erase", 4096, 4096) in again.shelf.parts[1].log


def test_one_thing_is_done_at_a_time_whoever_asks():
    asked = desk()
    asked.download(asked.release)
    ota.engine._running = True  # another updater's
    try:
        for name in ("check", "reachable", "update"):
            assert code_of(getattr(asked, name)) == "busy", name
        for name in ("download", "activate", "install"):
            assert code_of(getattr(asked, name), asked.release) == "busy", name
        assert code_of(asked.install_image, "https://here/app.bin") == "busy"
        assert ota.engine._running
    finally:
        ota.engine._running = False
    assert asked.shelf.log == []
    asked.activate(asked.release)


class Collector:
    """The module `gc`, as far as an updater uses it."""

    amount = 1000000

    def threshold(self, *amount):
        if not amount:
            return self.amount
        self.amount = amount[0]


def test_garbage_is_collected_early_while_something_runs_and_no_longer():
    real, ota.engine.gc = ota.engine.gc, Collector()
    seen = []
    try:
        asked = desk()
        asked.download(asked.release, lambda done, size: seen.append(ota.engine.gc.amount))
        seen.append(ota.engine.gc.amount)
        cut = desk()
        cut.served = IMAGE[:5000]
        assert code_of(cut.download, cut.release) == "short-body"
        seen.append(ota.engine.gc.amount)
    finally:
        ota.engine.gc = real
    assert seen[0] == 4096 and seen[-2:] == [1000000, 1000000]


def test_an_install_ends_as_activated():
    done = desk()
    done.install(done.release)
    assert done.shelf.journal().state == ACTIVATED
    assert done.shelf.log == ["select 1 NEW"]
    assert [event[1] for event in done.shelf.journal().events()] == [SELECTED]


def test_a_selection_that_fails_is_no_activation():
    deaf = desk()
    deaf.shelf.selects = False
    assert code_of(deaf.install, deaf.release) == "not-activated"
    assert deaf.shelf.journal().state == WRITING
    assert deaf.shelf.log == ["select"]
    assert deaf.shelf.journal().events() == []


def test_a_selection_that_fails_beside_a_factory_image_costs_no_record():
    deaf = desk()
    deaf.shelf.has_factory = lambda: True
    deaf.shelf.selects = False
    assert code_of(deaf.install, deaf.release) == "not-activated"
    assert deaf.shelf.log == ["select"]


def test_a_journal_that_failed_leaves_the_running_slot_whichever_record_decides():
    for first, second, done in (
        (BLANK, BLANK, ["select 0 VALID", "select 1 NEW", "drop 1"]),
        (OLD, BLANK, ["select 1 NEW", "drop 1"]),
        (BLANK, OLD, ["select 1 NEW", "drop 0"]),
    ):
        full = Desk(Shelf(0, first, second), IMAGE)
        full.download(full.release)

        def nvs_write(key, blob):
            raise error("nvs", "full")

        full.shelf.nvs_write = nvs_write
        assert code_of(full.activate, full.release) == "nvs"
        assert full.shelf.log == done


def test_a_selection_that_failed_and_left_no_record_drops_none():
    torn = Desk(Shelf(0, OLD, BLANK), IMAGE)
    torn.download(torn.release)

    def select(slot):
        torn.shelf.entries[0] = BLANK
        torn.shelf.entries[1] = entry(2, NEW)[:28] + bytes(4)
        raise error("not-activated", "does not read back")

    torn.shelf.select = select
    assert code_of(torn.activate, torn.release) == "not-activated"
    assert torn.shelf.log == []


def test_a_slot_without_an_image_is_not_activated():
    empty = desk()
    assert code_of(activate, empty.shelf, empty.release) == "not-activated"
    assert empty.shelf.log == []


def test_an_install_before_this_one_is_called_off_whichever_record_selects_it():
    for first, second, done in (
        (BLANK, entry(2, NEW), ["select 0 VALID", "drop 1", "select 1 NEW"]),
        (OLD, entry(2, NEW), ["drop 1", "select 1 NEW"]),
        (entry(2, NEW), OLD, ["drop 0", "select 1 NEW"]),
    ):
        asked = Desk(Shelf(0, first, second), IMAGE)
        asked.install(asked.release)
        assert asked.shelf.log == done


def test_a_release_from_the_future_is_refused():
    # It would make every certificate look expired, once its date is what a clock starts from.
    for created, code in ((1790000000 + 86400, ""), (1790000000 + 86401, "manifest-format")):
        assert outcome(desk(created=created).check) == code
        unset = desk(created=created)
        unset.shelf.clock_is_set = lambda: False  # what is the future then?
        assert outcome(unset.check) == ""
