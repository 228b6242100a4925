"""Downloads from a site on a bench: what is asked for, over which connections, into which slot."""

from benches import BLANK, OLD, Shelf
from desks import BIG, IMAGE, LARGE, Depot, Desk, Kept, Tagged, desk, wrong_in
from fakes import Clock, code_of, config_of, make_image, make_release, raises
from test_source import outcome

import ota.engine
import ota.transfer
from ota.errors import error
from ota.journal import CANCELLED
from ota.local import Wire
from ota.manifest import BLOCK
from ota.reader import HEADER
from ota.transfer import make_writer


def has_it(asked):
    image = asked.site.file
    return bytes(asked.slot.data[: len(image)]) == image


def test_a_payload_of_another_size_erases_nothing():
    for file in (LARGE + b"x", LARGE[:-1]):
        for split in (False, True):
            asked = Depot(LARGE)
            asked.site.file = file
            code = outcome(asked.download, asked.release, None, None, split)
            assert code == "size-mismatch"
            assert asked.slot.log == []
            assert asked.site.open == 0


def test_a_payload_that_is_not_there_erases_nothing():
    for split in (False, True):
        asked = Depot(LARGE)
        asked.site.missing = True
        assert outcome(asked.download, asked.release, None, None, split) == "http-status"
        assert asked.slot.log == []


def test_one_sector_comes_before_64_kib_are_erased_and_no_connection_is_open_then():
    asked = Depot(LARGE)
    asked.download(asked.release)
    assert asked.site.ranges == ["0-4095", "4096-%d" % (len(LARGE) - 1)]
    assert asked.slot.seen == [0, 0, 0, 0]
    assert has_it(asked)


def test_who_must_not_stall_gets_no_erase_of_64_kib():
    asked = Depot(LARGE)
    asked.download(asked.release, None, None, True)
    assert asked.site.ranges == [""]
    assert asked.slot.seen == []
    assert has_it(asked)


def test_a_few_blocks_are_written_sector_by_sector_over_one_connection():
    asked = Depot(BIG)
    asked.download(asked.release)
    assert asked.site.ranges == [""]
    assert asked.slot.seen == []
    assert has_it(asked)


def test_short_parts_come_one_after_another_over_one_connection():
    asked = wrong_in(BLOCK + 7)
    asked.site.largest = 50000
    assert outcome(asked.download, asked.release, None, None, True) == ""
    assert asked.site.ranges == ["65536-131071", "115536-131071"]
    assert asked.site.connections == 1
    assert has_it(asked)


def test_a_server_without_ranges_is_asked_once():
    asked = wrong_in(BLOCK + 7, 3 * BLOCK + 7)
    asked.site.parts = False
    assert outcome(asked.download, asked.release, None, None, True) == ""
    assert asked.site.ranges == ["65536-131071"]
    assert has_it(asked)


def test_a_download_that_breaks_off_leaves_no_connection_open():
    asked = Depot(BIG)

    def stop(done, size):
        return done < 3 * 4096

    assert outcome(asked.download, asked.release, stop) == "cancelled"
    assert asked.site.open == 0
    assert asked.slot.data[:HEADER].count(b"\xff") == HEADER


def test_progress_that_says_no_ends_a_download():
    asked = desk()
    assert code_of(asked.download, asked.release, lambda done, size: False) == "cancelled"
    assert asked.shelf.journal().outcome == CANCELLED


def test_a_slot_that_changed_since_the_download_is_not_activated():
    asked = desk()
    asked.download(asked.release)
    asked.shelf.parts[1].data[5000] ^= 1
    assert code_of(asked.activate, asked.release) == "readback"
    assert asked.shelf.log == []


class Roomy(Shelf):
    """A shelf that knows how much memory is free."""

    free = 0

    def largest_block(self):
        return self.free


def test_64_kib_are_taken_only_where_tls_has_room_beside_them():
    shelf = Roomy(0, OLD, BLANK)
    asked = Desk(shelf, IMAGE)

    def allocate(n):
        shelf.free -= n
        return bytearray(n)

    ota.transfer.bytearray = allocate
    try:
        for free, split, size in (
            (200000, False, BLOCK),
            (100000, False, 4096),  # enough, but not beside the buffer
            (200000, True, 4096),
            (0, False, 4096),  # nobody tells
        ):
            shelf.free = free
            writer = make_writer(shelf, shelf.parts[1], asked.release, None, split)
            assert len(writer._buffer) == size, (free, split)
    finally:
        del ota.transfer.bytearray


def patiently(asked, **fields):
    """Download with these fields of /ota.json, by a clock that only waiting moves: the code."""
    asked._config = config_of(manifest_url="https://here/x.manifest", **fields)
    return outcome(Clock().drive, asked._download(asked.release, True))


def test_parts_are_no_larger_than_configured():
    asked = Depot(IMAGE)
    assert patiently(asked, part_kib=4) == ""
    assert asked.site.ranges == ["0-4095", "4096-8191", "8192-%d" % (len(IMAGE) - 1)]
    assert has_it(asked)


def test_an_attempt_that_brought_a_kib_was_no_failure():
    asked = Depot(IMAGE)
    asked.site.least = 1024
    assert patiently(asked, tries=2) == ""
    assert asked.site.ranges[1] == "1024-%d" % (len(IMAGE) - 1)
    assert len(asked.site.ranges) == len(IMAGE) // 1024 + 1
    asked = Depot(IMAGE)
    asked.site.least = 1023
    assert patiently(asked, tries=2) == "short-body"
    assert len(asked.site.ranges) == 2


def test_what_a_noisy_line_got_wrong_is_asked_for_again():
    for noisy in (True, False):
        asked = Depot(LARGE)
        asked.site.is_noisy = noisy
        asked.site.noise = 1
        assert patiently(asked, tries=2, part_kib=64) == ("" if noisy else "digest-mismatch")
        assert asked.site.ranges[0] == "0-65535"
        if noisy:
            assert asked.site.ranges[1] == "0-65535"
            assert has_it(asked)
    assert Wire.is_noisy


class Renewing(Depot):
    """A depot whose manifest is fetched again: each is the next of `fresh`."""

    def __init__(self, *fresh):
        super().__init__(IMAGE)
        self.fresh = list(fresh)

    def _fetch_manifest(self, trust, tag):
        assert tag == b""
        yield
        return self.fresh.pop(0)


def moved_to(path, image=IMAGE):
    """A release whose payload stands there."""
    payloads = [{"urls": [path], "encoding": "plain", "size": len(image)}]
    return make_release(image, payloads=payloads)


def test_where_an_address_expired_a_fresh_manifest_may_know_another():
    asked = Renewing(moved_to("fresh.bin"))
    asked.site.expired = ("/app.bin",)
    assert patiently(asked) == ""
    assert asked.site.paths == ["/app.bin", "/fresh.bin"]
    assert has_it(asked)


def test_a_fresh_manifest_is_of_no_use_with_another_image_or_the_same_addresses():
    for fresh in (moved_to("fresh.bin", make_image(9000, 0, 2)), make_release(IMAGE)):
        asked = Renewing(fresh, fresh, fresh)
        asked.site.expired = ("/app.bin",)
        assert patiently(asked) == "denied"
        assert asked.site.paths == ["/app.bin"]
        assert len(asked.fresh) == 2


def test_addresses_that_expire_again_and_again_are_not_asked_for_ever():
    names = ["%d.bin" % i for i in range(9)]
    asked = Renewing(*[moved_to(name) for name in names])
    asked.site.expired = ["/app.bin"] + ["/" + name for name in names]
    assert patiently(asked) == "denied"
    assert asked.site.paths == ["/app.bin", "/0.bin"]


def test_an_address_that_is_only_slow_is_no_reason_for_a_fresh_manifest():
    asked = Renewing()
    asked.site.least = 1
    assert patiently(asked, tries=1) == "short-body"


def test_a_manifest_is_not_sent_again_only_where_it_held_nothing_new():
    news = Tagged(Shelf(0, OLD, BLANK), IMAGE)
    for _ in range(2):
        assert news.check() is news.release
        assert news.asked == b""
    old = Tagged(Shelf(0, OLD, BLANK, highest=2), IMAGE)
    for asked in (b"", b'"1"'):
        assert old.check() is None
        assert old.asked == asked
        assert old.reason == "up to date: sequence 2 is confirmed"
    old.etag = b'"2"'
    assert old.check() is None
    assert old.asked == b'"1"'


def test_a_manifest_that_failed_a_rule_is_sent_again():
    old = Tagged(Shelf(0, OLD, BLANK, highest=2), IMAGE)
    old.check()
    old.etag = b'"2"'
    old.trust.sequence_floor = 9
    for _ in range(2):
        assert code_of(old.check) == "downgrade"
        assert old.asked != b'"2"'


def test_why_nothing_is_installed_is_told_where_an_earlier_manifest_comes_back():
    asked = Tagged(Shelf(0, OLD, BLANK, highest=2), IMAGE)
    earlier = asked.release
    assert asked.check() is None
    asked.etag, asked.release = b'"2"', make_release(IMAGE, sequence=3)
    assert asked.check() is asked.release
    asked.etag, asked.release = b'"1"', earlier
    assert asked.check() is None
    assert asked.reason == "up to date: sequence 2 is confirmed"


def test_an_update_takes_one_connection():
    asked = Kept(IMAGE)
    opened = []
    real = ota.engine.open_source

    def noted(*args):
        opened.append(args)
        return real(*args)

    def progress(done, total):
        assert asked._sources[0]._patience is asked._patience  # limits of time begin anew

    ota.engine.open_source = noted
    try:
        assert asked.update(progress, None, True) is asked.release
    finally:
        ota.engine.open_source = real
    assert len(opened) == 1
    assert asked.site.paths == ["/x.manifest", "/app.bin"]
    assert (asked.site.connections, asked.site.open) == (1, 0)
    assert asked.shelf.log == ["select 1 NEW"]


def test_an_update_that_fails_before_the_download_leaves_no_connection_open():
    asked = Kept(IMAGE)

    def full():
        raise error("files", "no room")

    asked.shelf.check_file_system = full
    assert code_of(asked.update) == "files"
    assert (asked.site.connections, asked.site.open) == (1, 0)


def test_a_check_leaves_no_connection_open():
    asked = Kept(IMAGE)
    asked.check()
    assert (asked.site.connections, asked.site.open) == (1, 0)


def test_progress_is_told_where_there_is_some():
    asked = Depot(BIG)
    told = []
    asked.download(asked.release, lambda done, size: told.append(done), None, True)
    assert told[-1] == len(BIG)
    for before, after in zip(told, told[1:]):
        assert before < after


class Broken(Exception):
    """An error of the application."""


def test_nothing_stays_open_where_the_application_raises():
    for at in (1, 5):
        asked = Depot(BIG)
        steps = []

        def feed():
            steps.append(1)  # noqa: B023 - it is called at once
            if len(steps) == at:  # noqa: B023
                raise Broken

        kept = raises(Broken, asked.download, asked.release, None, feed, True)
        assert (asked.site.open, ota.engine._running) == (0, False)
        del kept


def test_a_payload_url_that_cannot_be_used_leaves_it_to_the_others():
    payloads = [{"urls": ["http://there/x", "app.bin"], "encoding": "plain", "size": len(IMAGE)}]
    asked = desk(payloads=payloads)
    asked.download(asked.check())
