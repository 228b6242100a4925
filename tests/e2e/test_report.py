"""Reports: how an attempt ended reaches a server, at least once, by the VM and in this process.

A board carries a program; each time it gets power it runs that until it ends. What was told is judged by the
server that it was told to.
"""

import asyncio
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from fakes import code_of, config_of
from site_of import image_of
from test_vm import image

import ota
from ota import journal as jr
from ota import memory, report, start
from ota.aio import AsyncUpdater
from ota.errors import OtaError, SlotError
from ota.strict import Malformed
from ota.updater import Updater
from ota_tools import cli, resources
from ota_tools.board import maker
from ota_tools.board.flash import PowerCut
from ota_tools.board.runner import run
from ota_tools.failures import Refused
from ota_tools.serve import Server

LIMITS = {"timeout_s": 1, "total_s": 60, "tries": 1}

CHECK = """
import ota


def main(port):
    try:
        release = ota.Updater.from_config(port=port).check()
        print("found" if release else "nothing")
    except ota.OtaError as e:
        print(e.code)
"""

CHECK_BESIDE = """
import asyncio
import ota


def main(port):
    try:
        release = asyncio.run(ota.AsyncUpdater.from_config(port=port).check())
        print("found" if release else "nothing")
    except ota.OtaError as e:
        print(e.code)
"""

TELL = """
import ota


def main(port):
    try:
        print(ota.Updater.from_config(port=port).report())
    except ota.OtaError as e:
        print(e.code)
"""

TELL_BESIDE = """
import asyncio
import ota


def main(port):
    try:
        print(asyncio.run(ota.AsyncUpdater.from_config(port=port).report()))
    except ota.OtaError as e:
        print(e.code)
"""

UPDATE = """
import ota


def main(port):
    def works():
        return ota.status(port)["version"] != "1.2"

    ota.self_test([("app", works)], port)
    try:
        updater = ota.Updater.from_config(port=port)
        if updater.update():
            ota.reset(port)
        print(updater.reason)
    except ota.OtaError as e:
        print(e.code)
"""


class Told:
    """A request that the receiver got."""

    def __init__(self, handler, body: bytes) -> None:
        self.path = handler.path
        self.headers = handler.headers
        self.client = handler.client_address
        self.body = body

    def fields(self) -> dict:
        return json.loads(self.body)


class Receiver:
    """Somebody's own server: takes posts and answers them by `script`; gives out files, too.

    Attributes:
        script: for each post a status, a URL to go to, bytes of a whole answer, "lost" (hears it, closes),
            "silent" or a callable that is called before 204 is said; 204 where it is empty.
        told: posts, oldest first. got: paths of GETs with their client.
    """

    def __init__(self, site, *script, port: int = 0) -> None:
        self.script = list(script)
        self.told: list[Told] = []
        self.got: list[tuple] = []
        self.folder = site.published
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5

            def do_POST(self):
                receiver.take(self)

            def do_GET(self):
                receiver.give(self)

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site.paths.server_pem, site.paths.server_key)

        class Listener(ThreadingHTTPServer):
            def finish_request(self, request, client_address):
                request.settimeout(5)
                with contextlib.suppress(OSError):
                    stream = context.wrap_socket(request, server_side=True)
                    Handler(stream, client_address, self)
                    stream.close()

        self._listener = Listener(("127.0.0.1", port), Handler)
        self.port = self._listener.server_address[1]
        self.url = f"https://localhost:{self.port}/reports"
        self.manifest = f"https://localhost:{self.port}/virtual-esp32.manifest"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))
        self._thread.start()

    def take(self, handler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.told.append(Told(handler, body))
        answer = self.script.pop(0) if self.script else 204
        if answer in ("lost", "silent"):
            if answer == "silent":
                handler.rfile.read(1)
            handler.close_connection = True
            return
        if isinstance(answer, bytes):
            handler.wfile.write(answer)
            handler.close_connection = True
            return
        if callable(answer):
            answer()
            answer = 204
        handler.send_response(307 if isinstance(answer, str) else answer)
        if isinstance(answer, str):
            handler.send_header("Location", answer)
        if answer != 204:
            handler.send_header("Content-Length", "0")
        handler.end_headers()

    def give(self, handler) -> None:
        self.got.append((handler.path, handler.client_address))
        data = (self.folder / handler.path[1:]).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def outcomes(self) -> list[tuple]:
        """(outcome, version) of each post."""
        return [(told.fields()["outcome"], told.fields()["version"]) for told in self.told]

    def close(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class Here:
    """A board in this process. `power()`: what its program says from power-on to its end."""

    def __init__(self, site, folder, program: str, **config) -> None:
        self.v = site.device(folder, **LIMITS | config)
        self.board = self.v.board
        self.program = program
        receipts = {"0": {"sha256": "00" * 32, "size": 1, "version": "1.0", "sequence": 1}}
        (self.v.root / "ota_receipts.json").write_text(
            json.dumps({"format": 1, "slots": receipts})
        )

    def power(self) -> list[str]:
        said: list[str] = []
        names = {"print": lambda *words: said.append(" ".join(map(str, words)))}
        exec(self.program, names)

        def boot():
            start.boot(port=self.v.port())
            names["main"](self.v.port())

        self.v.power_on()
        self.v.until_quiet(boot)
        return said


class OnVm:
    """The same on the MicroPython VM."""

    def __init__(self, site, folder, program: str, vm, **config) -> None:
        self.vm = vm
        files = site.files(**LIMITS | config)
        files["/main.py"] = (program + "\nmain(None)\n").encode()
        files["/boot.py"] = resources.device_file("boot.py").read_bytes()
        table = site.target.table
        self.board = maker.make_board(folder, table, image("1.0"), files, receipt=("1.0", 1))

    def power(self) -> list[str]:
        said = run(self.board, self.vm).console
        return [line for line in said if not line.startswith(("ota: ", "rst:"))]


@pytest.fixture(params=["here", "vm"])
def make(request, site, tmp_path, vm):
    """A board with this program and these fields of /ota.json."""
    site.publish(image_of(5), "1.0", sequence=1)

    def made(program: str, **config):
        if request.param == "vm":
            return OnVm(site, tmp_path / "b", program, vm, **config)
        return Here(site, tmp_path / "b", program, **config)

    return made


@pytest.fixture
def here(site, tmp_path):
    """The same in this process only."""
    site.publish(image_of(5), "1.0", sequence=1)
    return lambda program=CHECK, **config: Here(site, tmp_path / "b", program, **config)


@pytest.fixture
def receive(site):
    """Receivers with these scripts."""
    open_ones = []

    def made(*script, port=0):
        open_ones.append(Receiver(site, *script, port=port))
        return open_ones[-1]

    yield made
    for one in open_ones:
        one.close()


def ended(outcome=jr.TEST_FAILED, version="1.1", sequence=2, reason="app: failed"):
    """A journal with an outcome that nobody was told of."""
    journal = jr.Journal()
    journal.start(1, sequence, bytes(range(32)), b"head", version)
    journal.end(outcome, reason)
    journal.note(1_800_000_000)
    return journal


def keep(life, journal, key="journal") -> None:
    life.board.nvs.set("ota", key, jr.encode(journal).hex())


def untold(life) -> list[str]:
    """Where an untold outcome stands."""
    records = life.board.nvs.content.get("ota", {})
    return [
        key
        for key, value in records.items()
        if key in ("journal", "untold") and jr.decode(bytes.fromhex(value)).untold
    ]


def writes(life) -> list[str]:
    """NVS writes from here on, by key."""
    seen: list[str] = []
    life.board.nvs.on_write = lambda space, key, value: seen.append(key)
    return seen


# What is told


def test_a_confirmed_update_is_told_once(site, make, receive):
    server = receive()
    life = make(UPDATE, report_url=server.url)
    site.publish(image("1.1"), "1.1", sequence=2)
    seen = writes(life)
    assert life.power() == ["up to date: sequence 2 is confirmed"]
    (told,) = server.told
    fields = told.fields()
    assert len(bytes.fromhex(fields.pop("id"))) == 4
    assert len(bytes.fromhex(fields.pop("device"))) == 6
    assert fields == {
        "format": 1,
        "product": "demo",
        "board": "virtual",
        "outcome": "confirmed",
        "reason": "",
        "version": "1.1",
        "sequence": 2,
        "sha256": hashlib.sha256(image("1.1")).hexdigest(),
        "running": {"version": "1.1", "sequence": 2},
    }
    assert told.path == "/reports"
    assert told.headers["Content-Type"] == "application/json"
    assert told.headers["User-Agent"].startswith("ota/")
    # writing, activated, trial, confirming, confirmed, told
    assert seen == ["journal"] * 6
    life.power()
    assert len(server.told) == 1
    assert seen == ["journal"] * 6


def test_a_rollback_is_told_with_its_reason_by_the_image_that_runs_again(site, make, receive):
    server = receive()
    life = make(UPDATE, report_url=server.url)
    site.publish(image("1.2"), "1.2", sequence=3)
    assert life.power() == ["1.2 failed here before"]
    (told,) = server.told
    fields = told.fields()
    assert (fields["outcome"], fields["reason"]) == ("self-test failed", "app: failed")
    assert (fields["version"], fields["sequence"]) == ("1.2", 3)
    assert fields["running"] == {"version": "1.0", "sequence": 1}
    life.power()
    assert len(server.told) == 1


def test_a_device_that_does_not_know_what_it_runs_says_so(here, receive):
    server = receive()
    life = here(report_url=server.url)
    (life.v.root / "ota_receipts.json").unlink()
    keep(life, ended())
    life.power()
    assert server.told[0].fields()["running"] is None


def test_two_outcomes_are_told_the_oldest_first(make, receive):
    server = receive()
    life = make(CHECK, report_url=server.url)
    keep(life, ended(), "untold")
    keep(life, ended(jr.CONFIRMED, "1.2", 3, ""))
    seen = writes(life)
    assert life.power() == ["nothing"]
    assert server.outcomes() == [("self-test failed", "1.1"), ("confirmed", "1.2")]
    assert seen == ["untold", "journal"]
    assert untold(life) == []


def test_the_first_failure_ends_it_and_the_order_stays(make, receive):
    server = receive(500)
    life = make(CHECK, report_url=server.url)
    keep(life, ended(), "untold")
    keep(life, ended(jr.CONFIRMED, "1.2", 3, ""))
    assert life.power() == ["nothing"]
    assert server.outcomes() == [("self-test failed", "1.1")]
    assert untold(life) == ["untold", "journal"]
    life.power()
    assert [version for _, version in server.outcomes()] == ["1.1", "1.1", "1.2"]


def test_a_trial_is_not_told_but_what_ended_before_it_is(here, receive):
    server = receive()
    life = here(report_url=server.url)
    keep(life, ended(), "untold")
    journal = ended()
    journal.start(1, 3, bytes(32), b"head", "1.2")
    journal.state = jr.TRIAL
    keep(life, journal)
    updater = Updater.from_config(port=life.v.port())
    assert updater.report() is True
    assert server.outcomes() == [("self-test failed", "1.1")]


# What is kept


@pytest.mark.parametrize("answer", [500, 503, 404, 401, 301, 304, "lost", "silent"])
def test_what_was_not_taken_is_told_again_after_the_next_start(make, receive, answer):
    server = receive(answer)
    life = make(CHECK, report_url=server.url)
    keep(life, ended())
    seen = writes(life)
    assert life.power() == ["nothing"], "the check goes on"
    assert len(server.told) == 1, "one attempt"
    assert seen == []
    assert life.power() == ["nothing"]
    assert seen == ["journal"]
    first, second = server.told
    assert first.fields() == second.fields(), "the id too"
    life.power()
    assert len(server.told) == 2


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\n\r\nthanks", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 X\r\n\r\n", True),
        (b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\nbroken off", True),
        (b"HTTP/1.1 200 X\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 99999, True),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 204\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000, False),
        (b"HTTP/2 204\r\n\r\n", False),
        (b"204\r\n\r\n", False),
        (b"\0" * 5000, False),
        (b"\n" * 5000, False),
    ],
)
def test_whatever_a_server_says_the_check_goes_on(here, receive, answer, taken):
    server = receive(answer)
    life = here(report_url=server.url)
    keep(life, ended())
    assert life.power() == ["nothing"]
    assert len(server.told) == 1
    assert untold(life) == ([] if taken else ["journal"])


def test_a_server_that_cannot_be_reached_is_told_later(make, receive):
    server = receive()
    life = make(CHECK, report_url=server.url)
    keep(life, ended())
    server.close()
    for _ in range(2):
        assert life.power() == ["nothing"]
    assert untold(life) == ["journal"]
    again = receive(port=server.port)
    assert life.power() == ["nothing"]
    assert again.outcomes() == [("self-test failed", "1.1")]


def test_power_that_is_lost_behind_the_answer_tells_it_twice_with_one_id(here, receive):
    server = receive()
    life = here(report_url=server.url)
    keep(life, ended())

    def cut(*_):
        raise PowerCut

    life.board.nvs.on_write = cut
    with pytest.raises(PowerCut):
        life.power()
    life.board.nvs.on_write = None
    assert untold(life) == ["journal"]
    life.power()
    life.power()
    first, second = server.told
    assert first.body == second.body


def test_a_full_nvs_costs_a_repetition_and_no_check(here, receive):
    server = receive()
    life = here(report_url=server.url)
    keep(life, ended())

    def full(*_):
        raise OSError(-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")

    life.board.nvs.on_write = full
    assert life.power() == ["nothing"]
    assert len(server.told) == 1
    assert code_of(Updater.from_config(port=life.v.port()).report) == "nvs"


def test_a_check_finds_what_is_new_whatever_becomes_of_the_report(site, make, receive):
    server = receive("silent")
    life = make(CHECK, report_url=server.url)
    site.publish(image("1.1"), "1.1", sequence=2)
    keep(life, ended())
    assert life.power() == ["found"]
    assert untold(life) == ["journal"]


def test_a_silent_server_costs_the_check_none_of_its_time(here, receive, monkeypatch):
    server = receive("silent")
    life = here(report_url=server.url)
    keep(life, ended())
    made = []
    patience = ota.engine.Patience

    def counted(*args):
        made.append(time.monotonic())
        return patience(*args)

    monkeypatch.setattr(ota.engine, "Patience", counted)
    assert life.power() == ["nothing"]
    begun, after = made
    assert 1 <= after - begun < 3  # timeout_s is 1


# Where it goes


def test_a_redirect_is_not_followed(make, receive):
    other = receive()
    server = receive(other.url)
    life = make(CHECK, report_url=server.url)
    keep(life, ended())
    assert life.power() == ["nothing"]
    assert (len(server.told), len(other.told)) == (1, 0)
    assert untold(life) == ["journal"]


def test_a_secret_is_told_to_the_host_of_the_manifest_only(site, make, receive):
    server = receive()
    life = make(CHECK, report_url=server.url, bearer="key", headers={"X-Fleet": "north"})
    keep(life, ended())
    assert life.power() == ["nothing"]
    (told,) = server.told
    assert told.headers["Authorization"] is None and told.headers["X-Fleet"] is None


def test_on_the_host_of_the_manifest_secret_and_connection_are_shared(make, receive):
    server = receive()
    life = make(CHECK, report_url=server.url, manifest_url=server.manifest, bearer="key")
    keep(life, ended(), "untold")
    keep(life, ended(jr.CONFIRMED))
    assert life.power() == ["nothing"]
    assert [told.headers["Authorization"] for told in server.told] == ["Bearer key"] * 2
    ((path, client),) = server.got
    assert path == "/virtual-esp32.manifest"
    assert [told.client for told in server.told] == [client] * 2


def test_a_receiver_that_is_not_trusted_hears_nothing(make, receive, site, tmp_path):
    from site_of import Site

    other = Site(tmp_path / "other")
    server = Receiver(other)
    try:
        life = make(CHECK, report_url=server.url)
        keep(life, ended())
        assert life.power() == ["nothing"]
        assert server.told == []
        assert untold(life) == ["journal"]
    finally:
        server.close()
        other.server.close()


def test_a_device_that_updates_from_a_file_tells_nobody(here, receive, site):
    server = receive()
    (manifest,) = site.published.glob("*.manifest")
    life = here(report_url=server.url, manifest_url=f"file://{manifest}")
    keep(life, ended())
    assert life.power() == ["nothing"]
    assert server.told == []
    assert code_of(Updater.from_config(port=life.v.port()).report) == "config"


def test_nothing_goes_over_a_serial_line(here, receive):
    class Noisy:
        is_noisy = True

        def connect(self, url, patience):
            raise AssertionError("asked")

    life = here(report_url=receive().url)
    keep(life, ended())
    updater = Updater.from_config(port=life.v.port(), network=Noisy())
    assert code_of(updater.report) == "config"


# By hand, and beside other tasks


@pytest.mark.parametrize("program", [TELL, TELL_BESIDE])
def test_a_report_can_be_asked_for(make, receive, program):
    server = receive(500)
    life = make(program, report_url=server.url)
    assert life.power() == ["True"], "nothing to tell"
    assert server.told == []
    keep(life, ended())
    assert life.power() == ["server-busy"]
    assert untold(life) == ["journal"]
    assert life.power() == ["True"]
    assert untold(life) == []
    assert life.power() == ["True"]
    assert len(server.told) == 2


def test_nothing_to_tell_needs_no_network_and_no_url(here, monkeypatch):
    life = here(trust="/nothing")
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert Updater.from_config(port=life.v.port()).report() is True
    keep(life, ended())
    assert code_of(Updater.from_config(port=life.v.port()).report) == "config"
    assert untold(life) == ["journal"]


def test_without_a_url_a_check_leaves_it_to_the_application(here):
    life = here()
    keep(life, ended())
    assert life.power() == ["nothing"]
    assert untold(life) == ["journal"]
    assert memory.outcome(life.v.port())["outcome"] == "self-test failed"


def test_a_check_beside_other_tasks_tells_the_same(make, receive):
    server = receive("lost")
    life = make(CHECK_BESIDE, report_url=server.url)
    keep(life, ended())
    for _ in range(3):
        assert life.power() == ["nothing"]
    first, second = server.told
    assert first.body == second.body
    assert untold(life) == []


def test_a_report_that_is_under_way_refuses_a_second_one(here, receive):
    life = here(report_url=receive("silent").url)
    keep(life, ended())

    async def both():
        first = asyncio.create_task(AsyncUpdater.from_config(port=life.v.port()).report())
        await asyncio.sleep(0.01)
        with pytest.raises(SlotError, match="busy"):
            await AsyncUpdater.from_config(port=life.v.port()).report()
        with pytest.raises(OtaError, match=r"timeout|link-lost"):
            await first

    asyncio.run(both())


def test_what_was_told_elsewhere_meanwhile_does_not_hide_the_next_one(here, receive):
    server = receive(lambda: memory.outcome(life.v.port()))
    life = here(report_url=server.url)
    keep(life, ended(), "untold")
    keep(life, ended(jr.CONFIRMED, "1.2", 3, ""))
    assert life.power() == ["nothing"]
    assert server.outcomes() == [("self-test failed", "1.1"), ("confirmed", "1.2")]
    assert untold(life) == []


# The id


def identity(life, journal) -> str:
    return report.identity(life.v.port(), journal)


def test_an_outcome_keeps_its_id_over_all_that_comes_after_it(here):
    life = here()
    journal = ended()
    first = identity(life, journal)
    journal.generation += 5
    journal.tries = 2
    journal.untold = False
    assert identity(life, jr.decode(jr.encode(journal))) == first
    journal.news = jr.SELECTED  # activated, with what was cancelled before
    journal.note(1_800_000_100)
    assert identity(life, journal) == first


def test_every_outcome_has_an_id_of_its_own(here, site, tmp_path):
    life = here()
    other = site.device(tmp_path / "other")
    again = ended()
    again.start(1, 2, bytes(range(32)), b"head", "1.1")
    again.end(jr.TEST_FAILED, "app: failed")
    again.note(1_800_000_000)  # a clock that stands still
    unknown = ended()
    unknown.outcome = 0  # of a later library
    sooner = jr.Journal()
    sooner.start(1, 2, bytes(range(32)), b"head", "1.1")
    sooner.end(jr.TEST_FAILED, "app: failed")
    sooner.note(1_700_000_000)
    ids = [identity(life, each) for each in (ended(), again, ended(jr.CRASHED), sooner)]
    ids += [identity(life, ended(sequence=3)), report.identity(other.port(), ended())]
    assert len(set(ids)) == len(ids)
    assert identity(life, unknown) == ids[0], "by the newest event then"


# Configuration


def test_the_url_for_reports_is_https():
    assert config_of().report_url == ""
    assert config_of(report_url="").report_url == ""
    longest = "https://" + "x" * 1016
    assert config_of(report_url=longest).report_url == longest
    for wrong in (
        longest + "x",
        "http://a/",
        "file:///a",
        "/reports",
        "https",
        1,
        "https://a/\u00e4",
    ):
        with pytest.raises(Malformed):
            config_of(report_url=wrong)


def test_the_type_of_what_is_posted_is_our_own_header():
    with pytest.raises(Malformed):
        config_of(headers={"Content-Type": "text/plain"})


def test_a_url_that_cannot_be_used_is_no_failed_check(here):
    life = here(report_url="https://a:b/")
    keep(life, ended())
    assert life.power() == ["nothing"]
    assert code_of(Updater.from_config(port=life.v.port()).report) == "url"


# `ota serve --reports`


@pytest.fixture
def desk(site, tmp_path):
    """`ota serve` with a file for reports: the server, the file, and how to post to it."""
    path = tmp_path / "reports.jsonl"
    published, pem, key = site.published, site.paths.server_pem, site.paths.server_key
    context = ssl.create_default_context(cafile=site.paths.ca_pem)
    with Server(published, pem, key, host="localhost", reports=path) as server:

        def post(body: bytes, name: str = "/reports", **fields) -> int:
            connection = http.client.HTTPSConnection("localhost", server.port, context=context)
            try:
                connection.putrequest("POST", name)
                for field, value in (fields or {"Content_Length": str(len(body))}).items():
                    connection.putheader(field.replace("_", "-"), value)
                connection.endheaders(body)
                return connection.getresponse().status
            finally:
                connection.close()

        yield server, path, post


def test_ota_serve_takes_the_report_of_a_board(make, desk):
    server, path, _ = desk
    life = make(CHECK, report_url=server.url + "/fleet/reports")
    keep(life, ended(reason='app: said "no"'))
    assert life.power() == ["nothing"]
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["reason"] == 'app: said "no"'
    assert untold(life) == []


def test_ota_serve_keeps_a_line_for_each_report_whatever_is_in_it(desk):
    _, path, post = desk
    assert post(b'{"a":\n\n"\\n"}') == 204
    assert post(b'{"a":"' + b"x" * 4088 + b'"}') == 204
    first, second = path.read_text().splitlines()
    assert json.loads(first) == {"a": "\n"}
    assert len(json.loads(second)["a"]) == 4088


def test_ota_serve_refuses_what_is_no_report(desk):
    _, path, post = desk
    for length in ("4097", "99999", "-1", "+2", "", "2 2", "\u0662"):
        assert post(b"", Content_Length=length.encode()) == 413, length
    assert post(b"", Transfer_Encoding="chunked") == 413
    for body in (b"", b"x", b"[]", b"\xff", b"[" * 4000):
        assert post(body) == 400, body
    assert post(b"{}", "/virtual-esp32.manifest") == 404
    assert not path.exists()


def test_ota_serve_keeps_the_connection_behind_a_report(site, desk):
    server, _, _ = desk
    context = ssl.create_default_context(cafile=site.paths.ca_pem)
    connection = http.client.HTTPSConnection("localhost", server.port, context=context)
    for _ in range(2):
        connection.request("POST", "/reports", b"{}")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (204, b"")
        assert not answer.will_close
    connection.close()


def test_reports_are_not_published(site):
    paths = site.paths
    with pytest.raises(Refused, match="would be served"):
        Server(site.published, paths.server_pem, paths.server_key, reports=site.published / "r")


def test_without_the_option_ota_serve_takes_no_reports(site):
    context = ssl.create_default_context(cafile=site.paths.ca_pem)
    connection = http.client.HTTPSConnection("localhost", site.server.port, context=context)
    connection.request("POST", "/reports", b"{}")
    assert connection.getresponse().status == 501
    connection.close()


def test_a_serial_line_takes_no_reports():
    called = CliRunner().invoke(cli.cli, ["serve", "x", "--serial", "/dev/null", "--reports", "r"])
    assert "--reports goes without --serial" in str(called.exception)
