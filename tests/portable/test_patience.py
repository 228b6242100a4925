"""Patience: how long the network may take, and when it is worth asking again."""

from fakes import Clock, code_of, raises

from ota.errors import CODES, OtaError, error
from ota.patience import RETRY, Patience


def waits(clock, patience, failure):
    """Seconds that the pause after this failure takes; what it raises comes through."""
    start = clock.ms
    clock.drive(patience.pause(failure))
    return (clock.ms - start) / 1000


def after(clock, ms, patience, *args):
    """The code that is given where nothing came after so many milliseconds more, "" for none."""
    clock.ms += ms
    late = clock.keep(patience.again, *args)
    return late.code if late else ""


def patience_of(**fields):
    clock = Clock()
    return clock, clock.patience(**fields)


# Limits


def test_silence_has_a_limit():
    clock, patience = patience_of(timeout_s=7)
    assert after(clock, 7000, patience, 0) == ""
    assert after(clock, 1, patience, 0) == "timeout"


def test_what_comes_ends_the_silence():
    clock, patience = patience_of(timeout_s=7, least_rate=0)
    for count in range(1, 4):
        assert after(clock, 7000, patience, count) == ""
    assert after(clock, 7001, patience, 3) == "timeout"
    # Something new is waited for.
    clock.keep(patience.phase)
    assert after(clock, 7000, patience, 0) == ""
    assert after(clock, 1, patience, 0) == "timeout"


def test_all_of_it_has_a_limit():
    clock, patience = patience_of(total_s=10, timeout_s=120)
    for count in range(1, 11):
        assert after(clock, 1000, patience, count) == ""
    assert after(clock, 1, patience, 11) == "timeout"
    clock.keep(patience.phase)
    clock.keep(patience.phase)
    assert after(clock, 0, patience, 0) == "timeout"


def test_silence_and_the_whole_say_which():
    clock, patience = patience_of(timeout_s=7)
    clock.ms += 7001
    assert "silent for 7 s" in str(clock.keep(patience.again, 0))
    clock, patience = patience_of(total_s=11)
    clock.ms += 11001
    assert "more than 11 s in all" in str(clock.keep(patience.again, 0))


def dribble(rate, is_body=True, seconds=100, **fields):
    """The code after at most so many seconds at this rate in bytes per second, and how many it took."""
    clock, patience = patience_of(**fields)
    clock.keep(patience.again, 0, is_body)
    count = 0
    for second in range(1, seconds + 1):
        count += rate
        code = after(clock, 1000, patience, count, is_body)
        if code:
            return code, second
    return "", seconds


def test_a_body_has_a_least_rate_over_30_seconds():
    assert dribble(100) == ("", 100)
    assert dribble(95) == ("too-slow", 31)
    assert dribble(1) == ("too-slow", 31)
    assert dribble(1000, least_rate=1000) == ("", 100)
    assert dribble(950, least_rate=1000) == ("too-slow", 31)
    assert dribble(1, least_rate=0) == ("", 100)


def test_bytes_of_no_use_are_too_slow_however_many_they_are():
    # Heads without end, handshakes that go on and on.
    assert dribble(100000, is_body=False) == ("too-slow", 31)
    assert dribble(100000, is_body=False, least_rate=0) == ("", 100)


def test_every_30_seconds_are_judged_by_themselves():
    clock, patience = patience_of()
    clock.keep(patience.again, 0, True)
    count = 0
    for second in range(1, 200):
        count += 100000 if second < 60 else 1
        code = after(clock, 1000, patience, count, True)
        if code:
            break
    assert code == "too-slow"
    assert 60 < second <= 125


def test_whatever_is_new_is_judged_from_its_beginning():
    clock, patience = patience_of(timeout_s=120)
    assert after(clock, 29000, patience, 1) == ""
    clock.keep(patience.phase)
    assert after(clock, 29000, patience, 1) == ""
    assert after(clock, 2000, patience, 2) == "too-slow"


def test_silence_is_not_slowness():
    clock, patience = patience_of(timeout_s=120)
    for _ in range(3):
        assert after(clock, 31000, patience, 0) == ""
    assert after(clock, 31000, patience, 0) == "timeout"


def test_time_in_which_nobody_looked_is_not_the_networks_fault():
    clock, patience = patience_of(timeout_s=120)
    assert after(clock, 61000, patience, 1460, True) == ""
    assert after(clock, 31000, patience, 1470, True) == "too-slow"


def test_bytes_of_a_head_are_none_of_the_body_behind_it():
    clock, patience = patience_of()
    for count in (2500, 5000):
        assert after(clock, 1000, patience, count) == ""
    count = 0
    for _ in range(60):  # enough by itself, not if the head were taken off
        count += 105
        assert after(clock, 1000, patience, count, True) == ""


# Pauses


def test_pauses_double_and_end_after_so_many_tries():
    clock, patience = patience_of(tries=11, total_s=86400)
    lost = error("link-lost", "x")
    for i in range(10):
        longest = min(2 << i, 300)
        waited = waits(clock, patience, lost)
        assert longest / 2 <= waited <= longest + 0.25, (i, waited)
        assert patience.failures == i + 1
    assert raises(OtaError, waits, clock, patience, lost) is lost


def test_devices_that_failed_together_do_not_ask_together():
    waited = []
    for number in range(40):
        clock = Clock()
        patience = clock.patience(b"chip%d" % number, tries=20)
        for _ in range(5):
            pause = waits(clock, patience, error("server-busy", "x"))
        waited.append(pause)
    assert min(waited) < 20 and max(waited) > 28
    assert len(set(waited)) > 20


def test_one_try_is_one_try():
    clock, patience = patience_of(tries=1)
    assert code_of(waits, clock, patience, error("link-lost", "x")) == "link-lost"
    assert clock.seconds() == 0


def test_what_cannot_pass_by_itself_is_not_waited_for():
    for code in CODES:
        clock, patience = patience_of()
        if code in RETRY:
            assert waits(clock, patience, error(code, "x")) > 0
        else:
            assert code_of(waits, clock, patience, error(code, "x")) == code
            assert clock.seconds() == 0


def test_what_can_pass_by_itself():
    passing = "unreachable link-lost timeout too-slow short-body changed server-busy tls".split()
    assert sorted(RETRY) == sorted(passing)
    for code in RETRY:
        assert code in CODES


def test_where_bytes_may_be_wrong_by_chance_they_are_asked_for_again():
    clock, patience = patience_of()
    patience.is_noisy = True
    assert waits(clock, patience, error("digest-mismatch", "x")) > 0
    assert code_of(waits, clock, patience, error("signature", "x")) == "signature"


def busy(seconds):
    failure = error("server-busy", "503")
    failure.wait_s = seconds
    return failure


def test_a_server_that_says_when_to_come_back_is_believed():
    clock, patience = patience_of()
    assert 90 <= waits(clock, patience, busy(90)) <= 90.25
    # It may not be asked earlier than without: half of each pause is by chance.
    clock, patience = patience_of()
    assert waits(clock, patience, busy(0)) >= 1


def test_nobody_waits_longer_than_for_all_of_it():
    clock, patience = patience_of(total_s=100, tries=9)
    assert code_of(waits, clock, patience, busy(101)) == "server-busy"
    assert clock.seconds() == 0
    clock.ms += 60000
    assert code_of(waits, clock, patience, busy(41)) == "server-busy"
    assert code_of(waits, clock, patience, busy(9999999999)) == "server-busy"
    assert waits(clock, patience, busy(40)) >= 40


def test_a_pause_is_yielded_until_it_is_over():
    clock, patience = patience_of()
    steps = patience.pause(busy(2))
    first = clock.keep(next, steps)
    assert first.nap_ms == 250
    clock.ms += 1999
    assert clock.keep(next, steps) is first
    clock.ms += 1
    assert raises(StopIteration, clock.keep, next, steps)


# In turn


class Attempts:
    """Attempts that fail with these codes in their order, then work.

    Attributes:
        tried: which number each attempt had.
        closed: how often what was open was closed.
    """

    def __init__(self, *codes, **fields):
        self.codes = list(codes)
        self.tried = []
        self.closed = 0
        self.times = []
        self.clock, self.patience = patience_of(**fields)

    def attempt(self, number):
        self.tried.append(number)
        self.times.append(self.clock.seconds())
        yield
        if self.codes:
            code = self.codes.pop(0)
            if code[:1] == "+":
                self.patience.is_moving = True
                code = code[1:]
            raise error(code, "attempt %d" % len(self.tried))
        return "result %d" % number

    def close(self):
        self.closed += 1

    def run(self, count):
        return self.clock.drive(self.patience.in_turn(self.attempt, count, self.close))


def test_what_works_is_given_at_once():
    attempts = Attempts()
    assert attempts.run(3) == "result 0"
    assert (attempts.tried, attempts.closed, attempts.clock.seconds()) == ([0], 0, 0)


def test_others_are_asked_before_anybody_waits():
    attempts = Attempts("http-format", "link-lost", "digest-mismatch", "timeout")
    assert attempts.run(3) == "result 1"
    assert attempts.tried == [0, 1, 2, 0, 1]
    assert attempts.closed == 4
    assert attempts.times[:3] == [0, 0, 0]
    assert 1 <= attempts.times[3] <= 2.25
    assert attempts.times[3] == attempts.times[4]


def test_all_are_asked_again_as_often_as_it_says():
    for tries in (1, 2, 4):
        attempts = Attempts(*["link-lost"] * 99, tries=tries)
        assert code_of(attempts.run, 2) == "link-lost"
        assert attempts.tried == [0, 1] * tries
        assert attempts.closed == 2 * tries


def test_what_never_passes_is_asked_once():
    for code in ("http-status", "http-format", "digest-mismatch", "tls-verify", "signature"):
        attempts = Attempts(*[code] * 9)
        assert code_of(attempts.run, 2) == code
        assert (attempts.tried, attempts.clock.seconds()) == ([0, 1], 0)


def test_the_failure_that_gives_most_hope_is_raised():
    for codes in (("link-lost", "http-format"), ("http-format", "link-lost")):
        attempts = Attempts(*codes * 9, tries=2)
        assert code_of(attempts.run, 2) == "link-lost"
        assert attempts.tried == [0, 1, 0, 1]


def test_hope_is_of_the_last_round():
    attempts = Attempts("link-lost", "http-format", "url", "http-format", tries=9)
    assert code_of(attempts.run, 2) in ("url", "http-format")
    assert attempts.tried == [0, 1, 0, 1]


def test_an_address_that_may_have_expired_is_what_is_raised_in_the_end():
    for code in ("denied", "http-status"):
        for codes in ((code, "link-lost"), ("link-lost", code)):
            attempts = Attempts(*codes * 9, tries=2)
            assert code_of(attempts.run, 2) == code
            assert attempts.tried == [0, 1, 0, 1]
    attempts = Attempts("denied", "link-lost", "link-lost", "link-lost", tries=2)
    assert code_of(attempts.run, 2) == "link-lost"


def test_what_worked_until_now_is_gone_on_with_and_counts_from_the_beginning():
    attempts = Attempts(*["link-lost", "link-lost", "+link-lost"] * 5, tries=4)
    assert attempts.run(1) == "result 0"
    assert len(attempts.tried) == 16
    attempts = Attempts("+link-lost", "+timeout", "+short-body")
    assert attempts.run(3) == "result 0"
    assert attempts.tried == [0, 0, 0, 0]  # another may have another file
    assert attempts.closed == 3


def test_where_nothing_is_tried_twice_the_others_come_next_whatever_worked_until_now():
    attempts = Attempts("+link-lost", tries=1)
    assert attempts.run(2) == "result 1"
    assert attempts.tried == [0, 1]


def test_what_worked_and_cannot_pass_leaves_it_to_the_others():
    attempts = Attempts("+digest-mismatch", "digest-mismatch")
    assert code_of(attempts.run, 2) == "digest-mismatch"
    assert attempts.tried == [0, 1]
    attempts = Attempts("+digest-mismatch")
    assert attempts.run(2) == "result 1"


def test_an_attempt_that_never_moves_again_ends():
    attempts = Attempts("+link-lost", *["link-lost"] * 99, tries=3)
    assert code_of(attempts.run, 1) == "link-lost"
    assert attempts.tried == [0] * 3


def test_failures_of_others_end_it_at_once():
    for code in ("config", "cancelled", "flash", "trust-store"):
        attempts = Attempts(code)
        assert code_of(attempts.run, 3) == code
        assert (attempts.tried, attempts.closed) == ([0], 0)


def test_a_flash_that_fails_ends_it_at_once():
    attempts = Attempts()

    def broken(number):
        yield
        raise OSError(5, "flash")

    steps = attempts.patience.in_turn(broken, 3, attempts.close)
    raises(OSError, attempts.clock.drive, steps)


def test_the_end_of_all_patience_ends_it():
    attempts = Attempts(*["timeout"] * 99, tries=20, total_s=60)
    assert code_of(attempts.run, 1) == "timeout"
    assert 30 < attempts.clock.seconds() <= 60.25
    assert len(attempts.tried) < 10


def test_ticks_may_wrap_at_any_time():
    for ahead in (-1, 0, 1, 4999, 5000, 5001, 10000):
        clock = Clock()
        clock.start = clock.ms = clock.ms + ahead
        patience = clock.keep(Patience, Fields(), b"x")
        assert after(clock, 20000, patience, 0) == ""
        assert after(clock, 1, patience, 0) == "timeout"
        assert 90 <= waits(clock, patience, busy(90)) <= 90.25


class Fields:
    timeout_s, total_s, least_rate, tries = 20, 7200, 0, 4
