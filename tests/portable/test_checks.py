"""Checks that no other test holds, found by tests/mutate.py: port, net, slot, situation, trial."""

import hashlib

from fakes import (
    Clock,
    RamSlot,
    code_of,
    config_of,
    make_image,
    make_release,
    raises,
    read_data,
    run,
    scratch,
)
from test_source import (
    URL,
    Connection,
    Server,
    failure,
    get,
    outcome,
    part,
    source_of,
    whole,
)

import ota.engine
import ota.net
import ota.recovery
import ota.transfer
import ota.trial
from ota.access import make_network
from ota.activation import activate
from ota.chip import DEEP_SLEEP, HARD, POWER_ON, SOFT
from ota.config import UNVERIFIED
from ota.errors import error
from ota.health import status
from ota.http import Url
from ota.journal import (
    ACTIVATED,
    CANCELLED,
    CONFIRMED,
    CONFIRMING,
    KEPT_WAKING,
    LEAVING,
    NONE,
    SELECTED,
    SIZE,
    TRIAL,
    WRITING,
    Journal,
    decode,
    encode,
)
from ota.local import FileUrl, Wire
from ota.manifest import BLOCK
from ota.net import Network, link_error
from ota.otadata import (
    ABORTED,
    NEW,
    PENDING_VERIFY,
    STATE_NAMES,
    UNDEFINED,
    VALID,
    active,
    next_seq,
    seq_of,
)
from ota.otadata import encode as entry
from ota.pins import public_key
from ota.port import Port
from ota.reader import HEADER
from ota.receipt import FILE, Receipt, load_receipts, save_receipts
from ota.rotation import walk
from ota.situation import Situation
from ota.slot import SlotWriter
from ota.source import Source
from ota.start import boot
from ota.transfer import make_writer
from ota.trial import confirm, rollback
from ota.trust import Role, Trust, load
from ota.updater import Updater

OTA_0 = 0x10


class Part:
    """A partition as `esp32.Partition` gives it."""

    TYPE_APP, TYPE_DATA, BOOT, RUNNING = 0, 1, 0, 1

    def __init__(self, subtype, data=b"", fails=False):
        self.subtype = subtype
        self.data = data
        self.fails = fails

    def info(self):
        return (0, self.subtype, 0, len(self.data), "part", False)

    def readblocks(self, block, buf, offset=0):
        buf[:] = self.data[block * 4096 + offset : block * 4096 + offset + len(buf)]


class Partitions:
    """`esp32.Partition` with these slots, running the first one; `data` under any other question."""

    TYPE_APP, TYPE_DATA, BOOT, RUNNING = 0, 1, 0, 1

    def __init__(self, apps, data=()):
        self.apps = apps
        self.data = data

    def __call__(self, which):
        return self.apps[0]

    def find(self, kind=0, subtype=255, label=None):
        return list(self.apps if kind == self.TYPE_APP else self.data)

    def mark_app_valid_cancel_rollback(self):
        raise OSError(-1, "ESP_FAIL")


class Forgetful:
    """NVS that takes everything and keeps something else."""

    def __init__(self, namespace):
        pass

    def set_blob(self, key, blob):
        pass

    def commit(self):
        pass

    def get_blob(self, key, buf):
        return len(buf)


class Board:
    """The module `esp32`."""

    NVS = Forgetful

    def __init__(self, apps, data=()):
        self.Partition = Partitions(apps, data)


def port(subtypes, *data):
    """A port of a board with these app partitions, whose images are for chip 9."""
    image = bytes(12) + b"\x09\x00" + bytes(10)
    return Port(Board([Part(subtype, image) for subtype in subtypes], data), object())


def test_two_ota_slots_are_needed_without_a_hole():
    assert len(port((OTA_0, OTA_0 + 1)).slots()) == 2
    assert len(port((OTA_0 + 1, 0, OTA_0)).slots()) == 2
    for subtypes in ((OTA_0,), (0, OTA_0), (OTA_0, OTA_0 + 2), (OTA_0 + 1, OTA_0 + 2)):
        assert code_of(port(subtypes).slots) == "no-slots", subtypes


def test_a_factory_image_runs_in_no_slot():
    assert port((OTA_0 + 1, OTA_0)).running() == 1
    assert port((0, OTA_0)).running() == -1


def test_otadata_is_needed():
    assert code_of(port((OTA_0,)).otadata) == "no-otadata"


def test_the_chip_is_the_one_of_the_running_image():
    assert port((OTA_0,)).chip_id() == 9


def test_a_mark_that_fails_is_an_error():
    assert code_of(port((OTA_0,)).mark_valid) == "flash"


def test_what_nvs_does_not_give_back_was_not_written():
    assert code_of(port((OTA_0,)).nvs_write, "journal", b"remember") == "nvs"


def test_what_is_stored_is_committed():
    calls = []

    class Noted(Forgetful):
        def set_blob(self, key, blob):
            calls.append(key)

        def commit(self):
            calls.append("commit")

    made = port((OTA_0,))
    made._esp32.NVS = Noted
    made.nvs_store("journal", b"remember")
    assert calls == ["journal", "commit"]


def test_fat_is_refused():
    port((OTA_0,), Part(0x81, bytes(4096))).check_file_system()
    fat = Part(0x81, bytes(510) + b"\x55\xaa")
    assert code_of(port((OTA_0,), fat).check_file_system) == "file-system"


class Early(Port):
    """A board whose clock says this, running an image that was built on this date."""

    seconds = 0

    def __init__(self, date=bytes(16)):
        super().__init__(Board([Part(OTA_0, bytes(128) + date)]), object())

    def now(self):
        return self.seconds


def test_a_clock_before_the_library_was_written_is_not_set():
    early = Early()
    assert not early.clock_is_set()
    early.seconds = 1767225599
    assert not early.clock_is_set()
    early.seconds = 1767225600
    assert early.clock_is_set()


def test_a_clock_before_the_running_image_was_built_is_not_set():
    built = Early(b"Nov  6 2026" + bytes(5))
    assert built.built() == 1793923200 - 86400  # the day before, for time zones
    built.seconds = 1793923200 - 86401
    assert not built.clock_is_set()
    built.seconds += 1
    assert built.clock_is_set()
    for date in (b"Nov  6 2020", b"garbage", b"\xff" * 16):
        assert Early((date + bytes(16))[:16]).built() == Port.BUILT


class Chronometer:
    """The module `machine` with a clock that goes nowhere; `asked`: what it was set to."""

    asked = None

    def RTC(self):  # noqa: N802
        return self

    def datetime(self, date):
        self.asked = date


def test_a_clock_that_was_set_to_a_guess_is_not_set():
    machine = Chronometer()
    guessing = Early()
    guessing._machine = machine
    guessing.seconds = 1795000000
    try:
        guessing.set_clock(1795000000, True)
        assert machine.asked == (2026, 11, 18, 2, 11, 6, 40, 0)
        assert not guessing.clock_is_set()
        assert not Early().clock_is_set()  # the clock is everybody's
        guessing.set_clock(1795000000)
        assert guessing.clock_is_set()
    finally:
        Port._guessed = False


def test_without_a_tls_root_that_can_be_read_nothing_is_opened():
    assert code_of(Network, None, []) == "config"
    assert code_of(Network, None, [b"no certificate"]) == "config"


def test_a_certificate_of_the_client_that_cannot_be_read_is_an_error():
    root = read_data("openssl/tls-root.der")
    Network(None, [root])
    assert code_of(Network, None, [root], (), (b"no certificate", b"no key")) == "config"
    assert code_of(Network, None, [root, b"no certificate"]) == "config"


# A connection to a server that is not trusted


class Socket:
    """A socket, its stream, and the modules `socket`, `tls` and `select` in one: trusts nobody.

    Attributes:
        events: what the socket says when it is asked, 0 for nothing.
        trouble: what the first bytes raise.
        asked: addresses that were connected to.
    """

    AF_INET, SOCK_STREAM, PROTOCOL_TLS_CLIENT, CERT_NONE, CERT_REQUIRED = 2, 1, 16, 0, 2
    POLLIN, POLLOUT = 1, 4

    def __init__(self):
        self.is_open = True
        self.blocks = True
        self.events = 4
        self.trouble = ValueError("certificate verify failed")
        self.verify_mode = None
        self.verify_callback = None
        self.asked = []
        self.name = ""

    def socket(self):
        return self

    def getaddrinfo(self, *args):
        return [(2, 1, 6, "", ("127.0.0.%d" % i, 443)) for i in (1, 2)]

    def setblocking(self, flag):
        self.blocks = flag

    def connect(self, address):
        assert not self.blocks
        self.asked.append(address[0])
        raise OSError(115, "in progress")

    def setsockopt(self, *args):
        pass

    def close(self):
        self.is_open = False

    def poll(self, *timeout):
        if not timeout:
            return self
        return [(self, self.events)] if self.events else []

    def register(self, stream, events):
        pass

    def SSLContext(self, protocol):  # noqa: N802
        return self

    def load_verify_locations(self, root):
        pass

    def wrap_socket(self, sock, server_hostname, do_handshake_on_connect):
        assert not do_handshake_on_connect
        self.name = server_hostname
        return self

    def write(self, data):
        raise self.trouble


class IsSet:
    """A port whose clock was set or not."""

    def __init__(self, is_set):
        self._is_set = is_set

    def clock_is_set(self):
        return self._is_set


def through(sock, call):
    """What `call` gives where the library's network is this socket."""
    module = ota.net
    real = module.socket, module.tls, module.select
    module.socket = module.tls = module.select = sock
    try:
        return call()
    finally:
        module.socket, module.tls, module.select = real


def distrusted(sock, is_set=True, clock=None, **fields):
    """The code of a request through this socket; the source is closed."""
    clock = clock or Clock()

    def ask():
        source = Source(Network(IsSet(is_set), [b"root"]), clock.patience(**fields), "")
        try:
            return code_of(clock.drive, source.get(Url("https://here/x")))
        finally:
            source.close()

    return through(sock, ask)


def test_a_certificate_is_judged_by_a_clock_that_was_set():
    for trouble in (
        ValueError("certificate verify failed"),
        OSError(-0x2700, "x"),
        OSError(-0x3000, "x"),
    ):
        sock = Socket()
        sock.trouble = trouble
        assert distrusted(sock, True) == "tls-verify"
        assert sock.verify_mode == sock.CERT_REQUIRED
        assert sock.name == "here"
        assert not sock.is_open
        sock = Socket()
        sock.trouble = trouble
        assert distrusted(sock, False) == "clock-not-set"


def test_a_handshake_that_fails_otherwise_has_its_code():
    for number, code in ((-0x7780, "tls"), (104, "tls"), (110, "timeout"), (-116, "timeout")):
        sock = Socket()
        sock.trouble = OSError(number, "x")
        assert distrusted(sock, False) == code, number
        assert not sock.is_open


def test_a_connection_has_a_time_limit_and_is_closed_where_nobody_is_trusted():
    sock = Socket()
    distrusted(sock, True)
    assert not sock.is_open
    sock = Socket()
    sock.events = 0
    clock = Clock()
    assert distrusted(sock, True, clock, timeout_s=7) == "timeout"
    assert 7 < clock.seconds() <= 7.25
    assert not sock.is_open


def test_a_connection_that_is_refused_has_its_code():
    for events in (8, 16, 4 | 8, 4 | 16):  # POLLERR, POLLHUP
        sock = Socket()
        sock.events = events
        assert distrusted(sock) == "unreachable"
        assert not sock.is_open
    for number, code in ((111, "unreachable"), (113, "unreachable"), (110, "timeout")):

        class Refusing(Socket):
            def connect(self, address):
                raise OSError(number, "x")  # noqa: B023 - it is called at once

        sock = Refusing()
        assert distrusted(sock) == code
        assert not sock.is_open


def test_a_name_that_is_not_found_has_its_code():
    class Nameless(Socket):
        def getaddrinfo(self, *args):
            raise OSError(-2, "Name or service not known")

    assert distrusted(Nameless()) == "unreachable"


def test_a_name_without_an_address_has_its_code():
    class Empty(Socket):
        def getaddrinfo(self, *args):
            return []

    assert distrusted(Empty()) == "unreachable"


def test_a_link_closes_the_stream_and_the_socket_under_it():
    class Closing:
        def __init__(self, trouble=None):
            self.closed = 0
            self.trouble = trouble

        def close(self):
            self.closed += 1
            if self.trouble:
                raise self.trouble

    for trouble in (None, OSError(9, "closed already")):
        stream, under = Closing(trouble), Closing(trouble)
        through(Socket(), lambda: ota.net.Link(stream, 1, None, under).close())  # noqa: B023
        assert (stream.closed, under.closed) == (1, 1)


def test_after_a_failure_the_next_address_of_a_name_is_tried():
    sock = Socket()
    clock = Clock()
    patience = clock.patience()

    def connect():
        return clock.drive(Network(IsSet(True), [b"root"]).connect(URL, patience))

    for failures in (0, 1, 2):
        patience.failures = failures
        through(sock, connect)
    assert sock.asked == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]


def test_whoever_asks_for_it_is_connected_to_anybody():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [], (), None, False))
    assert sock.verify_mode == sock.CERT_NONE


def test_where_anybody_may_answer_no_pin_is_asked_for():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [], [bytes(32)], None, False))
    assert sock.verify_callback is None


def test_pins_are_asked_about_every_certificate():
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [b"root"], [bytes(32)]))
    assert sock.verify_callback(read_data("openssl/tls-server.der"), 1) == 0
    assert sock.verify_callback(read_data("openssl/tls-server.der"), 0) != 0
    sock = Socket()
    through(sock, lambda: Network(IsSet(True), [b"root"]))
    assert sock.verify_callback is None


def test_what_an_earlier_handshake_saw_is_no_pinned_key():
    der = read_data("openssl/tls-server.der")
    sock = Socket()

    def connect():
        clock = Clock()
        network = Network(IsSet(True), [b"root"], [hashlib.sha256(public_key(der)).digest()])
        assert sock.verify_callback(der, 1) == 0  # and that was all of it
        clock.drive(network.connect(URL, clock.patience()))

    through(sock, connect)
    assert sock.verify_callback(read_data("openssl/tls-root.der"), 0) != 0


def test_a_socket_is_closed_whatever_was_raised():
    class Interrupted(BaseException):
        pass

    for trouble in (MemoryError, Interrupted, OSError(5, "x"), ValueError):

        class Broken(Socket):
            def connect(self, address):
                raise trouble  # noqa: B023 - it is called at once

        sock = Broken()
        try:
            distrusted(sock, True)
        except (MemoryError, Interrupted, ValueError):
            pass
        assert not sock.is_open


def test_a_socket_is_closed_where_nobody_waits_for_it_any_more():
    sock = Socket()
    sock.events = 0
    clock = Clock()

    def leave():
        steps = Network(IsSet(True), [b"root"]).connect(URL, clock.patience())
        clock.keep(next, steps)
        steps.close()

    through(sock, leave)
    assert not sock.is_open


def test_a_time_out_has_its_code_whatever_the_sign():
    for number in (110, 116, -110, -116):
        assert link_error("tls", "here", OSError(number, "slow")).code == "timeout"
    for number in (111, 113, 118, -111):
        assert link_error("tls", "here", OSError(number, "away")).code == "unreachable"
    assert link_error("tls", "here", OSError(104, "reset")).code == "tls"
    assert link_error("tls", "here", OSError("no number")).code == "tls"
    assert link_error("tls", "here", ValueError("x")).code == "tls"


# What comes through a connection


def test_a_head_that_ends_early_is_a_lost_link_and_closed():
    for end in range(len(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n")):
        server = Server(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[:end])
        source = source_of(server)
        assert failure(source, URL) == "link-lost"
        source.close()
        assert server.open == 0


def announced(body, size):
    """The answer whose body should have so many bytes."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


def test_a_body_that_breaks_off_says_how():
    for end, code in ((b"", "short-body"), (None, "timeout")):
        server = Server(announced(b"1234", 5))
        server.end = end
        assert failure(source_of(server), URL) == code
    server = Server(announced(b"12345", 5))
    body = get(source_of(server), URL)
    assert body.lost(OSError(104, "reset")).code == "link-lost"
    assert body.lost(OSError(110, "slow")).code == "timeout"
    assert body.lost(0, 3).code == "short-body"
    assert server.clock.keep(body.lost, None, 3) is None


def test_a_body_knows_when_it_was_read():
    body = get(source_of(Server(announced(b"12345678", 8))), URL)
    body.taken(3)
    assert not body.is_read()
    body.taken(5)
    assert body.is_read()
    assert get(source_of(Server(announced(b"", 0))), URL).is_read()


# A slot


class WornHeader(RamSlot):
    """A slot whose first bytes do not take what is programmed."""

    def writeblocks(self, block, buf, offset=None):
        if (block, offset, len(buf)) != (0, 0, HEADER):
            RamSlot.writeblocks(self, block, buf, offset)


def test_a_header_that_does_not_read_back_is_an_error():
    image = make_image(9000)
    writer = SlotWriter(WornHeader(), make_release(image))
    run(writer.survey())
    writer.write(image)
    run(writer.prove())
    assert code_of(writer.seal) == "readback"


def test_every_wrong_block_is_in_doubt_where_another_image_was_cut():
    image = make_image(200000)
    slot = RamSlot(256 * 1024)
    for start in range(0, len(image) - 4096, 65536):
        slot.data[start + 4096 : start + 5000] = image[start + 4096 : start + 5000]
    slot.data[65536 * 2 : 65536 * 2 + 4096] = image[65536 * 2 : 65536 * 2 + 4096]
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey(b"", True))
    writer.write(image)
    assert ("erase", 65536 * 2, 4096) in slot.log


def in_doubt(slot, image):
    """Write the first block of an image whose writing was cut; what was erased."""
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey(image[:16], True))
    writer.write(image)
    return [at for kind, at, _ in slot.log if kind == "erase"]


def test_a_sector_in_doubt_is_erased_whatever_it_reads():
    image = make_image(9000)
    sectors = [0, 4096, 8192]
    assert in_doubt(RamSlot(), image) == sectors
    slot = RamSlot()
    slot.data[16 : len(image) - 1] = image[16:-1]
    assert in_doubt(slot, image) == sectors


def test_at_most_16_kib_are_read_back_in_a_step():
    image = make_image(200000)
    slot = RamSlot(256 * 1024)
    slot.data[: len(image)] = image
    writer = SlotWriter(slot, make_release(image))
    run(writer.survey())
    assert writer.wanted() is None
    first = before = slot.reads
    for _ in writer.prove():
        assert slot.reads - before <= 4
        before = slot.reads
    assert slot.reads - first >= len(image) // 4096


def test_bytes_behind_the_end_are_refused_not_dropped():
    image = make_image(9000)
    writer = SlotWriter(RamSlot(), make_release(image))
    run(writer.survey())
    assert code_of(writer.write, image + b"x") == "size-mismatch"


# Situation and trial


class Reset(BaseException):
    """The board resets: nothing goes on after that."""


class Bench(Port):
    """Two slots, otadata and a journal in RAM. `log`: what was done to the board."""

    def __init__(self, running, first, second, cause=POWER_ON, **journal):
        super().__init__(Board([]), object())
        self.index = running
        self.entries = [first, second]
        self.cause = cause
        self.log = []
        self.marks = True
        kept = Journal()
        for name in journal:
            setattr(kept, name, journal[name])
        self.record = encode(kept)

    def slots(self):
        return [Part(OTA_0), Part(OTA_0 + 1)]

    def running(self):
        return self.index

    def otadata(self):
        return self.entries

    def journal(self):
        return decode(self.record)

    def nvs_read(self, key, buf):
        if key != "journal":
            return 0
        buf[:] = self.record
        return SIZE

    def nvs_write(self, key, blob):
        if key == "journal":
            self.record = blob

    def select(self, slot, state=NEW):
        self.log.append("select %d %s" % (slot, STATE_NAMES[state]))
        index = 1 if active(self.entries) == 0 else 0
        self.entries[index] = entry(next_seq(self.entries, slot, 2), state)

    def drop_entry(self, index):
        self.log.append("drop %d" % index)
        self.entries[index] = bytes(self.entries[index][:28]) + bytes(4)

    def mark_valid(self):
        self.log.append("mark in state %d" % self.journal().state)
        if self.marks:
            index = active(self.entries)
            self.entries[index] = entry(seq_of(self.entries[index]), VALID)

    def watchdog(self, seconds):
        self.log.append("watchdog")

    def park_watchdog(self):
        self.log.append("park")

    def reset_cause(self):
        return self.cause

    def reset(self):
        self.log.append("reset")
        raise Reset


OLD = entry(1, VALID)  # slot 0
BLANK = b"\xff" * 32


def booted(bench):
    """What boot() did."""
    ota.recovery.fault = ""
    try:
        boot(300, port=bench)
    except Reset:
        pass
    assert ota.recovery.fault == ""
    return bench.log


def test_a_torn_record_is_no_trial_where_the_journal_is_about_the_other_slot():
    torn = entry(2, UNDEFINED)
    assert Situation(Bench(1, OLD, torn, slot=1, state=TRIAL)).on_trial()
    assert not Situation(Bench(1, OLD, torn, slot=0, state=TRIAL)).on_trial()


def test_the_way_back_is_a_valid_record_of_the_other_slot():
    new = entry(4, NEW)
    assert Situation(Bench(1, OLD, new)).can_return()
    assert not Situation(Bench(1, OLD[:28] + bytes(4), new)).can_return()
    assert not Situation(Bench(1, entry(2, VALID), new)).can_return()


def test_without_a_record_there_is_no_way_back():
    for running in (0, 1):
        found = Situation(Bench(running, BLANK, BLANK))
        assert not found.can_return() and found.confirmed_elsewhere() == -1


def test_a_slot_is_confirmed_elsewhere_by_a_valid_record_only():
    dropped = OLD[:28] + bytes(4)
    assert Situation(Bench(1, OLD, entry(2, VALID))).confirmed_elsewhere() == 0
    assert Situation(Bench(1, entry(2, VALID), OLD)).confirmed_elsewhere() == 0
    for other in (BLANK, dropped, entry(1, NEW), entry(1, ABORTED), entry(2, VALID)):
        for has_factory in (False, True):
            bench = Bench(1, other, entry(4, VALID))
            bench.has_factory = lambda has_factory=has_factory: has_factory
            assert Situation(bench).confirmed_elsewhere() == -1


def test_a_spare_record_is_a_valid_one_of_that_slot_that_does_not_decide():
    found = Situation(Bench(1, OLD, entry(2, VALID)))
    assert (found.spare_record(0), found.spare_record(1)) == (0, -1)
    assert Situation(Bench(1, OLD[:28] + bytes(4), entry(2, VALID))).spare_record(0) == -1
    assert Situation(Bench(1, entry(2, VALID), entry(4, VALID))).spare_record(0) == -1


def test_an_aborted_record_is_about_its_own_slot():
    found = Situation(Bench(0, OLD, entry(2, ABORTED)))
    assert found.was_aborted(1) and not found.was_aborted(0)


def test_without_a_record_a_board_is_repaired_once_without_a_reset():
    for running in (0, 1):
        bench = Bench(running, BLANK, BLANK)
        assert booted(bench) == ["select %d VALID" % running]
        assert booted(bench) == ["select %d VALID" % running]


def test_how_a_trial_ended_is_noted_whatever_the_records_say():
    tried = {"slot": 1, "sequence": 2, "state": TRIAL}
    for record, done in ((entry(1, UNDEFINED), "mark in state 3"), (BLANK, "select 0 VALID")):
        bench = Bench(0, record, BLANK, **tried)
        assert booted(bench) == [done]
        assert (bench.journal().tries, bench.journal().state) == (1, NONE)


def test_a_selection_that_the_journal_does_not_know_costs_no_try():
    bench = Bench(0, OLD, entry(2, NEW), slot=1, sequence=2, state=WRITING, resets=1)
    assert booted(bench) == ["drop 1"]
    assert (bench.journal().tries, bench.journal().state) == (0, WRITING)


def test_a_confirm_that_is_given_up_costs_a_try():
    bench = Bench(0, OLD, BLANK, slot=1, sequence=2, state=CONFIRMING)
    assert booted(bench) == []
    assert (bench.journal().tries, bench.journal().state) == (1, NONE)


def test_before_the_last_way_to_the_running_image_is_dropped_there_is_another():
    bench = Bench(1, OLD, entry(3, VALID))
    assert booted(bench) == ["select 1 VALID", "drop 1"]


def test_where_nothing_goes_on_nothing_is_written():
    bench = Bench(-1, BLANK, BLANK, slot=0, sequence=2, state=WRITING)
    before = bench.record
    assert booted(bench) == []
    assert bench.record == before


def test_without_rollback_a_hard_reset_ends_a_trial_and_a_soft_one_does_not():
    new = entry(2, NEW)
    trying = {"slot": 1, "sequence": 2, "state": TRIAL}
    assert booted(Bench(1, OLD, new, HARD, **trying)) == ["drop 1", "reset"]
    assert booted(Bench(1, OLD, new, SOFT, **trying)) == []


def test_the_wake_after_sixteen_ends_a_trial_with_and_without_rollback():
    for state in (PENDING_VERIFY, NEW):
        for wakes in range(16):
            bench = Bench(1, OLD, entry(2, state), DEEP_SLEEP, slot=1, state=TRIAL, wakes=wakes)
            assert booted(bench) == ["watchdog"], wakes
            found = bench.journal()
            assert (found.wakes, found.tries, found.state) == (wakes + 1, 0, TRIAL)
        bench = Bench(1, OLD, entry(2, state), DEEP_SLEEP, slot=1, state=TRIAL, wakes=16)
        assert booted(bench) == ["drop 1", "reset"]
        found = bench.journal()
        assert (found.outcome, found.tries, found.state) == (KEPT_WAKING, 1, LEAVING)
        assert found.untold


def test_only_a_wake_of_the_same_trial_is_counted():
    new = entry(2, PENDING_VERIFY)
    for cause in (POWER_ON, SOFT, HARD):
        bench = Bench(1, OLD, new, cause, slot=1, state=TRIAL, wakes=16)
        booted(bench)
        assert (bench.journal().wakes, bench.journal().tries) == (16, 0), cause
    bench = Bench(1, OLD, new, DEEP_SLEEP, slot=0, state=TRIAL, wakes=16)
    assert booted(bench) == ["watchdog"]
    assert (bench.journal().slot, bench.journal().wakes) == (1, 0)


def test_without_rollback_a_trial_goes_on_where_nothing_is_left():
    new = entry(2, NEW)
    bench = Bench(1, BLANK, new, HARD, slot=1, sequence=2, state=TRIAL)
    assert booted(bench) == ["watchdog"]
    assert bench.journal().tries == 1
    confirm(bench)
    assert bench.journal().highest == 2


def test_without_a_way_back_a_trial_is_not_left():
    bench = Bench(1, BLANK, entry(2, NEW), slot=1, sequence=2, state=TRIAL)
    before = bench.record
    assert code_of(rollback, "", bench) == "no-rollback"
    assert bench.log == [] and bench.record == before


def test_where_only_the_bootloader_goes_back_it_is_asked_to():
    bench = Bench(1, BLANK, entry(2, PENDING_VERIFY), slot=1, sequence=2, state=TRIAL)
    raises(Reset, rollback, "", bench)
    assert bench.log == ["reset"]
    assert bench.journal().state == LEAVING


def test_of_three_slots_the_one_before_is_gone_back_to():
    shelf = Shelf(1, BLANK, BLANK, HARD, slot=1, sequence=2, state=TRIAL)
    shelf.parts.append(RamSlot())
    shelf.parts[0].data[: len(IMAGE)] = IMAGE
    receipt = Receipt(make_release(IMAGE).sha256, len(IMAGE), "1", 1)
    save_receipts(shelf.path(FILE), {0: receipt})
    assert booted(shelf) == ["select 0 VALID", "reset"]


def test_leaving_names_the_running_slot():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(1, OLD, new, slot=0, sequence=7, digest=b"\x07" * 32, state=ACTIVATED)
    raises(Reset, rollback, "", bench)
    found = bench.journal()
    assert (found.slot, found.sequence, found.state) == (1, 0, LEAVING)
    assert found.refused == []


def test_a_confirm_does_not_use_the_journal_of_the_other_slot():
    new = entry(2, PENDING_VERIFY)
    for slot, state in ((0, ACTIVATED), (1, NONE)):
        bench = Bench(1, OLD, new, slot=slot, sequence=7, state=state)
        confirm(bench)
        found = bench.journal()
        assert (found.slot, found.sequence, found.highest) == (1, 0, 0)


def test_a_trial_does_not_use_the_journal_of_the_other_slot():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(1, OLD, new, slot=0, sequence=7, state=CONFIRMING)
    assert booted(bench) == ["watchdog"]
    found = bench.journal()
    assert (found.slot, found.sequence, found.state) == (1, 0, TRIAL)


def test_an_image_that_did_not_load_is_not_taken_for_the_one_before():
    new = entry(2, PENDING_VERIFY)
    bench = Bench(0, OLD, new, slot=1, sequence=7, state=NONE, outcome=CONFIRMED)
    assert booted(bench) == ["drop 1"]
    assert bench.journal().refused == []
    assert bench.journal().outcome == CONFIRMED


def on_trial(**journal):
    """A board whose slot 1 is on trial."""
    new = entry(2, PENDING_VERIFY)
    return Bench(1, OLD, new, slot=1, state=TRIAL, **journal)


def test_a_confirm_is_in_the_journal_before_the_mark():
    bench = on_trial(sequence=2)
    confirm(bench)
    assert bench.log == ["mark in state %d" % CONFIRMING, "park"]


def test_a_mark_that_otadata_does_not_show_is_no_confirm():
    bench = on_trial(sequence=2)
    bench.marks = False
    assert code_of(confirm, bench) == "not-confirmed"
    assert bench.journal().highest == 0


def test_a_confirm_never_lowers_the_highest_sequence_and_clears_the_count():
    bench = on_trial(sequence=2, highest=5, tries=2, crashes=1)
    confirm(bench)
    found = bench.journal()
    assert (found.highest, found.tries, found.crashes) == (5, 0, 0)


def test_a_mark_of_another_slot_is_no_confirm():
    bench = on_trial(sequence=2)

    def mark():
        bench.entries[0] = entry(3, VALID)

    bench.mark_valid = mark
    assert code_of(confirm, bench) == "not-confirmed"
    assert bench.journal().highest == 0


def test_a_confirm_is_a_mark_whichever_record_decides():
    bench = Bench(1, entry(2, PENDING_VERIFY), OLD, slot=1, state=TRIAL, sequence=2)
    confirm(bench)
    assert bench.log == ["mark in state %d" % CONFIRMING, "park"]


def test_what_is_called_off_has_a_reason():
    for reason, told in (("", "on request"), ("not now", "not now")):
        bench = Bench(0, OLD, entry(2, NEW), slot=1, sequence=2, state=ACTIVATED)
        rollback(reason, bench)
        assert (bench.journal().outcome, bench.journal().reason) == (CANCELLED, told)


def test_a_slot_that_was_lost_costs_resets_where_the_running_image_waits_for_its_trial():
    lost = entry(3, VALID)  # slot 0 is selected, slot 1 runs
    waiting = {"slot": 1, "state": ACTIVATED}
    for resets in (0, 1):
        assert booted(Bench(1, OLD, lost, resets=resets, **waiting)) == ["reset"]
    dropped = ["select 1 VALID", "drop 1"]
    assert booted(Bench(1, OLD, lost, resets=2, **waiting)) == dropped
    assert booted(Bench(1, OLD, lost, slot=0, state=ACTIVATED)) == dropped


def test_an_image_that_did_not_load_costs_no_reset_and_blames_nobody_else():
    new = entry(2, PENDING_VERIFY)
    for state in (ACTIVATED, TRIAL, CONFIRMING):
        bench = Bench(0, OLD, new, slot=0, sequence=7, digest=b"\x07" * 32, state=state)
        assert booted(bench) == ["drop 1"]
        assert (bench.journal().refused, bench.journal().outcome) == ([], NONE)


def test_status_tells_of_a_bad_configuration_and_of_a_lost_journal():
    bench = on_trial()
    assert status(bench)["journal"] is True
    assert status(bench)["config"].startswith("config: ")
    bench.record = bytes(SIZE)
    assert status(bench)["journal"] is False


# The updater


class Shelf(Bench):
    """A bench whose slots can be written and selected."""

    def __init__(self, *args, **journal):
        super().__init__(*args, **journal)
        self._root = scratch()
        self.parts = [RamSlot(), RamSlot()]
        self.selects = True
        self.seconds = 1790000000
        self.made = 0

    def slots(self):
        return self.parts

    def chip_id(self):
        return 0

    def clock_is_set(self):
        return True

    def check_file_system(self):
        pass

    def now(self):
        return self.seconds

    def built(self):
        return self.made

    def device_id(self):
        return b"bench"

    def select(self, slot, state=NEW):
        if not self.selects:
            self.log.append("select")
            raise error("not-activated", "does not read back")
        Bench.select(self, slot, state)


def received(shelf, slot, image, digest=b""):
    """The slot holds this image, and its receipt says so, or what `digest` says."""
    shelf.parts[slot].data[: len(image)] = image
    release = make_release(image)
    save_receipts(shelf.path(FILE), {slot: Receipt(digest or release.sha256, len(image), "1", 1)})
    return release.sha256


def test_a_trial_of_the_second_slot_can_be_left_for_the_first():
    shelf = Shelf(1, BLANK, entry(2, NEW), slot=1, sequence=2, state=TRIAL)
    received(shelf, 0, IMAGE)
    raises(Reset, rollback, "", shelf)
    assert shelf.log == ["select 0 VALID", "reset"]


def test_after_two_updates_the_image_before_can_be_rolled_back_to():
    shelf = Shelf(0, entry(3, VALID), entry(2, VALID))  # the first record decides
    received(shelf, 1, IMAGE)
    raises(Reset, rollback, "", shelf)
    assert shelf.log == ["drop 0", "reset"]


def test_what_was_confirmed_before_its_trial_stays_where_no_record_leads_back():
    shelf = Shelf(1, BLANK, entry(2, VALID), slot=1, sequence=2, state=ACTIVATED)
    received(shelf, 0, IMAGE)
    assert booted(shelf) == []
    assert (shelf.journal().highest, shelf.journal().state) == (2, NONE)


def test_a_trial_has_the_time_that_boot_was_told():
    for seconds, wanted in ((7, 7), (0, 300)):
        shelf = Shelf(1, OLD, entry(2, PENDING_VERIFY), slot=1, state=ACTIVATED)
        shelf.watchdog = shelf.log.append
        boot(seconds, port=shelf)
        assert shelf.log == [wanted]


def test_a_mark_that_was_cut_brings_back_no_other_image():
    lost = {"slot": 1, "sequence": 2, "state": CONFIRMING}
    shelf = Shelf(0, OLD, BLANK, digest=make_release(IMAGE).sha256, **lost)
    received(shelf, 1, IMAGE)
    assert booted(shelf) == ["select 1 NEW", "reset"]
    shelf = Shelf(0, OLD, BLANK, digest=b"\x07" * 32, **lost)
    received(shelf, 1, IMAGE)
    assert booted(shelf) == []
    assert (shelf.journal().tries, shelf.journal().state) == (1, NONE)


def test_an_attempt_that_was_cut_at_its_selection_is_known_by_its_receipt():
    new = entry(2, PENDING_VERIFY)
    for slot, digest, known in ((1, b"\x07", 7), (1, b"\x08", 0), (0, b"\x07", 0)):
        shelf = Shelf(1, OLD, new, slot=slot, sequence=7, digest=b"\x07" * 32, state=WRITING)
        received(shelf, 1, IMAGE, digest * 32)
        assert booted(shelf) == ["watchdog"]
        found = shelf.journal()
        assert (found.slot, found.sequence, found.state) == (1, known, TRIAL)


class Desk(Updater):
    """An updater to which this image is offered, signed by whom it may concern."""

    def __init__(self, shelf, image, network=None, **changes):
        config = config_of(manifest_url="https://here/x.manifest", tries=1)
        super().__init__(config, shelf, network or Shop(self))
        self.shelf = shelf
        self.served = image
        self.release = make_release(image, **changes)
        self.announced = len(image)
        self.trust = Trust(1, Role({}, 1), Role({}, 1))
        self._seen = b""

    def _trust(self):
        return self.trust

    def _fetch_manifest(self, trust, tag):
        yield
        return self.release


class Shop(Server):
    """A network on which one server has what the desk serves."""

    def __init__(self, desk):
        super().__init__()
        self.desk = desk

    def connect(self, url, patience):
        self.answers.append(announced(self.desk.served, self.desk.announced))
        return super().connect(url, patience)


class Reader(Desk):
    """A desk that reads what the server sends as its manifest."""

    def _fetch_manifest(self, trust, tag):
        return Updater._fetch_manifest(self, trust, tag)


IMAGE = make_image(9000)


def desk(image=IMAGE, **changes):
    return Desk(Shelf(0, OLD, BLANK), image, **changes)


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


def test_without_a_url_anywhere_there_is_nothing_to_ask():
    asked = Reader(Shelf(0, OLD, BLANK), IMAGE)
    asked._config.manifest_url = ""
    assert code_of(asked.check) == "config"
    assert code_of(asked.download, asked.release) == "config"


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


def test_a_journal_that_failed_leaves_the_running_slot_where_no_record_was():
    full = Desk(Shelf(0, BLANK, BLANK), IMAGE)
    full.download(full.release)

    def nvs_write(key, blob):
        raise error("nvs", "full")

    full.shelf.nvs_write = nvs_write
    assert code_of(full.activate, full.release) == "nvs"
    assert full.shelf.log == ["select 0 VALID", "select 1 NEW", "drop 1"]


def test_a_slot_without_an_image_is_not_activated():
    empty = desk()
    assert code_of(activate, empty.shelf, empty.release) == "not-activated"
    assert empty.shelf.log == []


def test_a_factory_image_has_no_record_in_its_way_when_one_is_called_off():
    bench = Bench(-1, OLD, entry(2, NEW), slot=1, sequence=2, state=ACTIVATED)
    rollback("", bench)
    assert active(bench.entries) == -1


def test_before_the_only_record_is_dropped_the_running_slot_gets_one():
    asked = Desk(Shelf(0, BLANK, entry(2, NEW)), IMAGE)
    asked.install(asked.release)
    assert asked.shelf.log == ["select 0 VALID", "drop 1", "select 1 NEW"]


# Where the payload comes from


class Site(Server):
    """A network with one server that has this file.

    Attributes:
        parts: it serves ranges; otherwise always the whole file.
        largest: bytes of a part at most, whatever was asked for.
        missing: it has no file at all.
        expired: paths that it denies.
        least: bytes of a body after which the connection breaks, 0 for all.
        noise: answers whose last byte is wrong.
        ranges: those asked for, "" for everything.
        paths, texts: those asked for, and the requests.
    """

    is_noisy = False

    def __init__(self, file):
        super().__init__()
        self.file = file
        self.parts = True
        self.largest = len(file)
        self.missing = False
        self.expired = ()
        self.least = self.noise = 0
        self.ranges = []
        self.paths = []
        self.texts = []

    def connect(self, url, patience):
        link = yield from Server.connect(self, url, patience)
        link.stream = Line(self, self.connections, url)
        return link


class Line(Connection):
    """A TLS stream to `Site`."""

    def answer(self, text):
        site = self.server
        asked = ""
        for line in text.split("\r\n"):
            if line.startswith("Range: bytes="):
                asked = line[13:]
        site.ranges.append(asked)
        site.paths.append(text.split(" ")[1])
        site.texts.append(text)
        if site.missing:
            self.rest = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
        elif site.paths[-1] in site.expired:
            self.rest = b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"
        elif asked and site.parts:
            first, last = [int(number) for number in asked.split("-")]
            end = min(last + 1, first + site.largest)
            self.rest = part(first, end, site.file[first:end], len(site.file))
        else:
            self.rest = whole(site.file)
        if site.least:
            self.rest = self.rest[: self.rest.find(b"\r\n\r\n") + 4 + site.least]
        if site.noise:
            site.noise -= 1
            self.rest = self.rest[:-1] + bytes((self.rest[-1] ^ 1,))


class Watched(RamSlot):
    """A slot that notes how many connections are open while 64 KiB are erased."""

    def _erase(self, at, size):
        if size == BLOCK:
            self.seen.append(self.site.open)
        RamSlot._erase(self, at, size)


class Depot(Desk):
    """An updater whose payload comes from a `Site`, into a slot full of something else."""

    def __init__(self, image):
        self.site = Site(image)
        super().__init__(Shelf(0, OLD, BLANK), image, self.site)
        self.slot = Watched(len(image) + BLOCK & -4096, b"\x0f")
        self.slot.site = self.site
        self.slot.seen = []
        self.shelf.parts[1] = self.slot


BIG = make_image(3 * BLOCK + 100)
LARGE = make_image(5 * BLOCK + 100)  # enough to erase for borrowing memory


def wrong_in(*places):
    """A depot whose slot holds the image, but for these bytes."""
    asked = Depot(BIG)
    asked.slot.data[: len(BIG)] = BIG
    for at in places:
        asked.slot.data[at] ^= 1
    return asked


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


class Tagged(Desk):
    """A desk whose server gives its manifest again only where the tag is another one."""

    etag = b'"1"'

    def _fetch_manifest(self, trust, tag):
        yield
        self.asked = tag
        self._seen = self.etag
        return None if tag == self.etag else self.release


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


class Kept(Depot):
    """A depot whose manifest comes over a connection."""

    def _fetch_manifest(self, trust, tag):
        yield from self._open(trust, Url("https://here/x.manifest"))
        body = yield from self._sources[0].get(Url("https://here/x.manifest"))
        yield from body.read(1 << 20)
        self._seen = b""
        return self.release


def test_an_update_takes_one_connection():
    asked = Kept(IMAGE)
    assert asked.update(None, None, True) is asked.release
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


# How it is configured


def network_of(files, **fields):
    """What a network is made of, by these fields of /ota.json and these files of the device."""
    asked = desk()
    asked.trust.tls_roots = [b"root of the store"]
    asked._config = config_of(**fields)
    for name in files:
        with open(asked.shelf.path(name), "wb") as file:
            file.write(files[name])
    made = []
    real = ota.net.Network
    ota.net.Network = lambda *args: made.append(args[1:])
    try:
        make_network(asked.shelf, asked._config, asked.trust)
    finally:
        ota.net.Network = real
    return made[0]


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


def test_a_release_from_the_future_is_refused():
    # It would make every certificate look expired, once its date is what a clock starts from.
    for created, code in ((1790000000 + 86400, ""), (1790000000 + 86401, "manifest-format")):
        assert outcome(desk(created=created).check) == code


def test_a_payload_url_that_cannot_be_used_leaves_it_to_the_others():
    payloads = [{"urls": ["http://there/x", "app.bin"], "encoding": "plain", "size": len(IMAGE)}]
    asked = desk(payloads=payloads)
    asked.download(asked.check())
