"""What is remembered in NVS: one record per change, and an outcome that is told once."""

from fakes import code_of

from ota.errors import error
from ota.journal import (
    CONFIRMED,
    CRASH_LOOP,
    CRASHED,
    EVENTS,
    SELECTED,
    SIZE,
    TEST_FAILED,
    WATCHDOG,
    Journal,
    encode,
)
from ota.memory import (
    about,
    forget,
    history,
    keep_untold,
    load_journal,
    outcome,
    save_journal,
    told,
    untold,
)

DIGEST = bytes(range(32))


class Memory:
    """NVS in RAM.

    Attributes:
        blobs: what it holds.
        writes: keys, as they were written.
        is_full: nothing more goes in.
        seconds: what the clock says.
    """

    def __init__(self):
        self.blobs = {}
        self.writes = []
        self.is_full = False
        self.seconds = 1790000000

    def now(self):
        return self.seconds

    def nvs_read(self, key, buf):
        blob = self.blobs.get(key, b"")
        if len(blob) > len(buf):
            return 0
        buf[: len(blob)] = blob
        return len(blob)

    def nvs_write(self, key, blob):
        if self.is_full:
            raise error("nvs", "full")
        self.blobs[key] = bytes(blob)
        self.writes.append(key)


def begin(memory, sequence):
    """An attempt begins, as an updater does it."""
    journal = load_journal(memory) or Journal()
    keep_untold(memory, journal)
    journal.start(1, sequence, DIGEST, bytes(16), "1.%d" % sequence)
    save_journal(memory, journal)


def end(memory, kind, reason=""):
    journal = load_journal(memory)
    journal.end(kind, reason)
    save_journal(memory, journal)


def test_a_change_is_one_write_with_its_event_in_it():
    memory = Memory()
    journal = Journal()
    journal.slot, journal.sequence, journal.news = 1, 7, SELECTED
    save_journal(memory, journal)
    assert memory.writes == ["journal"] and len(memory.blobs["journal"]) == SIZE
    assert (journal.generation, journal.news) == (1, 0)
    assert history(memory) == [
        {"time": 1790000000, "event": "activated", "slot": 1, "sequence": 7}
    ]
    save_journal(memory, journal)
    assert load_journal(memory).generation == 2
    assert len(history(memory)) == 1


def test_a_journal_that_cannot_be_written_is_an_error():
    memory = Memory()
    memory.is_full = True
    assert code_of(save_journal, memory, Journal()) == "nvs"


def test_a_clock_before_1970_is_none():
    memory = Memory()
    memory.seconds = -5
    journal = Journal()
    journal.end(CRASHED, "")
    save_journal(memory, journal)
    assert history(memory)[0]["time"] == 0


def test_without_a_journal_there_is_no_history_and_no_outcome():
    for blob in (b"", b"x", bytes(SIZE), b"\xff" * SIZE, encode(Journal())[:-1]):
        memory = Memory()
        memory.blobs["journal"] = memory.blobs["untold"] = blob
        assert load_journal(memory) is None
        assert history(memory) == [] and outcome(memory) is None
        assert memory.writes == []


def test_an_outcome_is_told_once():
    memory = Memory()
    begin(memory, 7)
    assert outcome(memory) is None
    end(memory, TEST_FAILED, "lamp: failed")
    generation = load_journal(memory).generation
    assert outcome(memory) == {
        "outcome": "self-test failed",
        "reason": "lamp: failed",
        "version": "1.7",
        "sequence": 7,
        "sha256": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    }
    assert memory.writes == ["journal"] * 3
    for _ in range(2):
        assert outcome(memory) is None
    assert len(memory.writes) == 3
    # The rest of the journal stays.
    found = load_journal(memory)
    assert (found.outcome, found.generation, len(found.events())) == (TEST_FAILED, generation, 1)


def test_every_way_an_attempt_ends_has_its_name():
    for kind in range(1, len(EVENTS)):
        journal = Journal()
        journal.end(kind, "")
        assert about(journal)["outcome"] == EVENTS[kind]
    assert EVENTS[CRASH_LOOP] == "crash loop"


def test_what_cannot_be_noted_as_told_is_told_again():
    memory = Memory()
    begin(memory, 7)
    end(memory, CONFIRMED)
    memory.is_full = True
    assert code_of(outcome, memory) == "nvs"
    memory.is_full = False
    assert outcome(memory)["sequence"] == 7


def test_an_attempt_that_begins_keeps_what_nobody_was_told():
    memory = Memory()
    begin(memory, 7)
    end(memory, WATCHDOG, "late")
    begin(memory, 8)
    assert memory.writes == ["journal", "journal", "untold", "journal"]
    assert outcome(memory)["sequence"] == 7  # told while the next one goes on
    assert memory.writes[-1] == "untold"
    assert outcome(memory) is None
    end(memory, CONFIRMED)
    assert outcome(memory)["sequence"] == 8
    assert memory.writes[-1] == "journal"


def test_both_are_told_the_oldest_first():
    memory = Memory()
    begin(memory, 7)
    end(memory, WATCHDOG, "late")
    begin(memory, 8)
    end(memory, CONFIRMED)
    assert untold(memory).sequence == 7
    assert untold(memory).sequence == 7  # looking is not telling
    told(memory)
    assert untold(memory).sequence == 8
    told(memory)
    assert untold(memory) is None
    writes = len(memory.writes)
    told(memory)
    assert len(memory.writes) == writes


def test_an_outcome_that_a_cut_left_twice_is_told_once():
    memory = Memory()
    begin(memory, 7)
    end(memory, WATCHDOG, "late")
    keep_untold(memory, load_journal(memory))  # and the power goes
    assert outcome(memory)["sequence"] == 7
    assert outcome(memory) is None


def test_an_attempt_that_begins_after_the_telling_keeps_nothing():
    memory = Memory()
    begin(memory, 7)
    end(memory, CONFIRMED)
    outcome(memory)
    begin(memory, 8)
    assert "untold" not in memory.writes
    assert outcome(memory) is None


def test_an_attempt_that_cannot_keep_what_nobody_was_told_does_not_begin():
    memory = Memory()
    begin(memory, 7)
    end(memory, CONFIRMED)
    memory.is_full = True
    assert code_of(keep_untold, memory, load_journal(memory)) == "nvs"
    assert outcome_of_journal(memory) == CONFIRMED


def outcome_of_journal(memory):
    return load_journal(memory).outcome


# Another chance


def test_where_nothing_is_remembered_nothing_can_be_forgotten():
    memory = Memory()
    assert not forget(DIGEST.hex(), memory)
    assert memory.writes == []


def test_another_chance_is_for_one_image_and_begins_with_no_tries():
    other = bytes(reversed(DIGEST))
    for digest, left in ((other, (1, 1)), (DIGEST, (0, 0))):
        memory = Memory()
        journal = Journal()
        journal.start(1, 2, DIGEST, bytes(16), "1.2")
        journal.tries = journal.crashes = 1
        journal.refused = [(DIGEST[:16], 2), (other[:16], 2)]
        save_journal(memory, journal)
        assert forget(digest.hex(), memory)
        found = load_journal(memory)
        assert (found.tries, found.crashes) == left
        assert digest[:16] not in [entry[0] for entry in found.refused]
        assert len(found.refused) == 1
