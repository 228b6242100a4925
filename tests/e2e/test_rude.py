"""A server that does exactly the wrong thing: each row ends in its code or in the right image, in time."""

import gc
import json
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rude import ROWS, Row, Rude, bytewise
from site_of import Site

from ota import http, patience
from ota.config import load_config
from ota.errors import CODES, OtaError
from ota.http import Url
from ota.source import Source
from ota.updater import Updater
from ota_tools import resources
from ota_tools.board import image_maker, maker
from ota_tools.board.runner import run

CONFIG = {"timeout_s": 1, "total_s": 60, "tries": 1}
BOARDS = 3
LARGE = 110592  # free on the board in this process: it writes 64 KiB at a time, those on the VM 4

# Each row with an updater of its own: its code, how long it took, the lowest file descriptor that is
# free afterwards. Then the honest release.
SCRIPT = """
import json
import socket
import time
import ota
from ota.config import load_config


def attempt(url, changes, install=False):
    config = load_config("/ota.json")
    config.manifest_url = url
    for name in changes:
        setattr(config, name, changes[name])
    updater = ota.Updater(config)
    try:
        release = updater.check()
        if install:
            updater.install(release)
        else:
            updater.download(release)
    except ota.OtaError as e:
        return e.code, str(e)
    except Exception as e:
        return repr(e), ""
    return None, ""


def free():
    probe = socket.socket()
    number = probe.fileno()
    probe.close()
    return number


if ota.status()["running"] == 0:
    print("ROW", json.dumps([-1, "", "", 0, free()]))
    with open("/rows.json") as file:
        for number, url, changes in json.load(file):
            start = time.ticks_ms()
            code, told = attempt(url, changes)
            took = time.ticks_diff(time.ticks_ms(), start)
            print("ROW", json.dumps([number, code, told, took, free()]))
    print("HONEST", attempt("HERE/honest.manifest", {}, True))
    ota.reset()
ota.self_test([("app", lambda: True)])
print("RUNNING", ota.status()["version"])
"""


class Result:
    """How a row ended.

    Attributes:
        holds: the next slot holds the row's image, header and all.
        selected: the slot that would be booted.
        open: file descriptors, more than before the row.
    """

    def __init__(self, code, told: str, seconds: float, holds: bool, selected: str, more: int):
        self.code = code
        self.told = told
        self.seconds = seconds
        self.holds = holds
        self.selected = selected
        self.open = more


class Results:
    """A result for each row, and what runs in the end."""

    def __init__(self) -> None:
        self.rows: dict[str, Result] = {}
        self.ends: list[str] = []


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


def holds(board, data: bytes) -> bool:
    part = board.table.find("ota_1")
    return board.flash.read(part.offset, len(data)) == data


def selected(partition) -> str:
    return partition(partition.BOOT).info()[4]


@pytest.fixture(scope="module")
def publisher(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    release = site.publish(image("2.0"), "2.0", sequence=30)
    release.manifest_path.rename(site.published / "honest.manifest")
    yield site
    site.server.close()


@pytest.fixture(scope="module")
def on_vm(publisher, vm, tmp_path_factory):
    # Three boards, each with every third row: most of the time is spent waiting.
    site = publisher
    folder = tmp_path_factory.mktemp("vm")
    rude = Rude(site, ROWS)
    found = Results()

    def make(first: int):
        files = site.files(**CONFIG)
        files["/boot.py"] = resources.device_file("boot.py").read_bytes()
        files["/main.py"] = SCRIPT.replace("HERE", site.server.url).encode()
        rows = [[n, stage.url, stage.row.config] for n, stage in enumerate(rude.stages)]
        files["/rows.json"] = json.dumps(rows[first::BOARDS]).encode()
        board = maker.make_board(
            folder / str(first),
            site.target.table,
            image("1.0"),
            files,
            receipt=("1.0", 10),
        )
        return board, board.modules()["esp32"].Partition

    def share(made) -> None:
        board, partition = made
        before = 0

        def on_line(line: str) -> None:
            nonlocal before
            if line.startswith("ROW "):
                number, code, told, ms, free = json.loads(line[4:])
                if number >= 0:
                    right = holds(board, rude.stages[number].image)
                    found.rows[ROWS[number].name] = Result(
                        code, told, ms / 1000, right, selected(partition), free - before
                    )
                before = free

        result = run(board, vm, on_line, timeout_s=200)
        found.ends.append("\n".join(result.console[-3:]))

    with ThreadPoolExecutor(BOARDS) as boards:
        list(boards.map(share, [make(first) for first in range(BOARDS)]))
    rude.close()
    assert len(found.rows) == len(ROWS), found.ends
    return found


def left_open(before: int) -> int:
    """File descriptors more than before; the server may not have accepted yet what was reset."""
    until = time.monotonic() + 2
    while (more := len(os.listdir("/proc/self/fd")) - before) and time.monotonic() < until:
        time.sleep(0.01)
    return more


@pytest.fixture(scope="module")
def in_process(publisher, tmp_path_factory):
    site = publisher
    rude = Rude(site, ROWS)
    folder = tmp_path_factory.mktemp("cpython")
    v = site.device(folder / "b", {"idf_largest": LARGE}, **CONFIG)
    port = v.port()
    found = Results()

    def attempt(url: str, changes: dict, install: bool = False):
        config = load_config(port.path("/ota.json"))
        config.manifest_url = url
        for name, value in changes.items():
            setattr(config, name, value)
        config.timeout_s = 0.5  # less than the file may say
        updater = Updater(config, port)
        try:
            release = updater.check()
            if install:
                updater.install(release)
            else:
                updater.download(release)
        except OtaError as e:
            return e.code, str(e)
        except Exception as e:  # a row of its own fails by it, not all of them
            return repr(e), ""
        return None, ""

    gc.freeze()  # or each of the library's collections takes as long as a row
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patience, "_FIRST_MS", 50)
        for stage in rude.stages:
            before = len(os.listdir("/proc/self/fd"))
            start = time.monotonic()
            code, told = attempt(stage.url, stage.row.config)
            took = time.monotonic() - start
            rude.calm()
            found.rows[stage.row.name] = Result(
                code,
                told,
                took,
                holds(v.board, stage.image),
                v.selected(),
                left_open(before),
            )
    gc.unfreeze()
    rude.close()
    honest = attempt(f"{site.server.url}/honest.manifest", {}, True)
    v.reset()
    found.ends.append(f"RUNNING {'2.0' if v.running() == 'ota_1' else honest}")
    return found


@pytest.fixture(params=["on_vm", "in_process"])
def results(request) -> Results:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_rude_server_gets_its_code_or_the_right_image_in_time(results, row: Row):
    found = results.rows[row.name]
    assert row.is_right(found.code), found.told
    assert found.holds == (found.code is None)
    assert found.selected == "ota_0"
    assert found.open == 0
    assert found.seconds <= row.seconds


def test_after_all_of_them_the_honest_release_installs(results):
    assert all(end.endswith("RUNNING 2.0") for end in results.ends), results.ends


def test_every_row_has_a_name_of_its_own_and_codes_of_the_library():
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        codes = row.code if isinstance(row.code, tuple) else (row.code,)
        assert set(codes) <= {None, *CODES}


def test_bytes_that_drip_are_too_slow(publisher, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "_WINDOW_S", 1)
    rude = Rude(publisher, [Row("drips", "too-slow", bytewise(0.05))])
    v = publisher.device(tmp_path / "b", manifest_url=rude.stages[0].url, **CONFIG)
    updater = Updater.from_config(port=v.port())
    release = updater.check()
    with pytest.raises(OtaError) as raised:
        updater.download(release)
    assert raised.value.code == "too-slow"
    rude.calm()
    rude.close()


# Any bytes at all, in any pieces, with nothing between them: a stream in place of sockets

WANTED = os.environ.get("OTA_FUZZ", "")
FUZZ = settings(
    derandomize=not WANTED,
    database=None,
    deadline=None,
    max_examples=int(WANTED or 400),
    suppress_health_check=list(HealthCheck),
)

URL = Url("https://here/x")
LIMIT = 6000
MEMORY = 64 << 10
CONTENT = bytes(range(256)) * 20
ELSEWHERE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


class Stream:
    """Gives `data` in pieces: where one ends, nothing is there once."""

    def __init__(self, data: bytes, stops) -> None:
        self.data = data
        self.stops = sorted({stop for stop in stops if stop < len(data)}, reverse=True)
        self.at = 0
        self.nothing = 0

    def write(self, data) -> int:
        return max(1, len(data) - 7)

    def readline(self, limit: int):
        assert 0 < limit <= http.LINE_LIMIT
        there = self._there(limit)
        if not there:
            return there
        line = there[: there.find(b"\n") + 1] or there
        self.at += len(line)
        return line

    def readinto(self, room):
        assert 0 < len(room) <= LIMIT + 1
        there = self._there(len(room))
        if there is None:
            return None
        room[: len(there)] = there
        self.at += len(there)
        return len(there)

    def _there(self, limit: int):
        # None at the end of a piece, b"" at the end of all.
        if self.stops and self.stops[-1] == self.at:
            self.stops.pop()
            self.nothing += 1
            return None
        end = min(self.at + limit, self.stops[-1] if self.stops else len(self.data))
        return self.data[self.at : end]


class Line:
    """A network whose first connection is a stream; the next ones are good."""

    def __init__(self, data: bytes, stops=()) -> None:
        self.stream = Stream(data, stops)
        self.made = 0
        self.open = 0
        config = SimpleNamespace(timeout_s=20, total_s=7200, least_rate=0, tries=1)
        self.patience = patience.Patience(config, b"id")
        self.source = Source(self, self.patience, "User-Agent: test\r\n")

    def connect(self, url, patience):
        self.made += 1
        self.open += 1
        stream = Stream(ELSEWHERE, ()) if self.made > 1 else self.stream
        yield None
        return SimpleNamespace(stream=stream, patience=patience, close=self._close)

    def drive(self, steps):
        """The result of a generator; it waits as often as nothing was there."""
        for count in range(10000):  # noqa: B007
            try:
                next(steps)
            except StopIteration as e:
                return e.value
        raise AssertionError(f"{count} steps, {self.stream.nothing} pauses")

    def fetch(self, start: int = 0, end: int = 0):
        """(body, bytes), or (None, code)."""
        try:
            body = self.drive(self.source.get(URL, start, end))
            return body, self.drive(body.read(LIMIT))
        except OtaError as e:
            assert type(e) is CODES[e.code]
            return None, e.code

    def _close(self) -> None:
        self.open -= 1


def whole(data: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (more, len(data), data)


def in_chunks(data: bytes, size: int, more: bytes = b"") -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    body = b"".join(b"%x;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n" % more
    return head + body + b"0\r\nX-Sum: 1\r\n\r\n"


def part(data: bytes, start: int, end: int) -> bytes:
    span = b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, len(data))
    return whole(data[start:end], span).replace(b"200 OK", b"206 Partial Content", 1)


contents = st.integers(0, LIMIT - 900).map(lambda size: CONTENT[:size])
good = st.one_of(
    st.builds(whole, contents),
    st.builds(in_chunks, contents, st.integers(16, 5000)),
    st.builds(whole, contents, st.just(b'ETag: "1"\r\nDate: x\r\n')),
    contents.map(lambda data: b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" + whole(data)),
    contents.map(lambda data: b"HTTP/1.0 200 OK\r\n\r\n" + data),
    st.just(part(CONTENT, 0, 4096)),
    st.just(b"HTTP/1.1 302 Found\r\nLocation: //there/y\r\nContent-Length: 4\r\n\r\nmove"),
)
tokens = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        b"\r\n|\n|\r|:|;|0|-1|ffffffff|\x00|99999999999| |\t|HTTP/1.1 200 OK\r\n|Content-Length: 5\r\n|"
        b'Transfer-Encoding: chunked\r\n|Content-Range: bytes 0-4/5\r\n|ETag: "1"\r\n|'
        b"Location: /z\r\n|Connection: close\r\n|HTTP/1.1 100 C\r\n\r\n|0\r\n\r\n".split(b"|")
    ),
    st.sampled_from([b" " * 4180, b" " * 4210, b"x" * 9000, b"A: b\r\n" * 120]),
)


@st.composite
def mutated(draw, base=good):
    """A good answer with up to four places, mostly in its head, replaced, dropped or doubled."""
    data = draw(base)
    for _ in range(draw(st.integers(0, 4))):
        room = draw(st.sampled_from([80, len(data)]))
        at = draw(st.integers(0, min(len(data), room)))
        end = draw(st.integers(at, min(len(data), at + 12)))
        kind = draw(st.integers(0, 3))
        if kind <= 1:
            data = data[:at] + draw(tokens) + data[end if kind else at :]
        elif kind == 2:
            data = data[:at] + data[end:]
        else:
            data = data[:end] + data[at:end] + data[end:]
    return data if draw(st.integers(0, 3)) else data[: draw(st.integers(0, len(data)))]


stops = st.one_of(
    st.just(()),
    st.lists(st.integers(0, 7000), max_size=12),
    st.integers(1, 40).map(lambda step: range(0, 7000, step)),
)
answers = st.one_of(mutated(), mutated(), st.binary(max_size=200), st.lists(tokens).map(b"".join))
ranges = st.sampled_from([(0, 0), (0, 0), (0, 4096), (0, 5), (100, 5000)])


LONG_LINE = b"HTTP/1.1 200 OK\r\nContent-Length:%s4\r\n\r\ngood" % (b" " * (http.LINE_LIMIT - 12))


@FUZZ
@given(answers, stops, ranges)
@example(LONG_LINE, [4000], (0, 0))  # over the limit for a line, in one piece and in two
def test_any_answer_in_any_pieces_is_one_failure_or_one_result(data, stops, asked):
    line = Line(data, stops)
    body, result = line.fetch(*asked)
    line.source.close()
    assert line.open == 0
    at_once = Line(data)
    other, wanted = at_once.fetch(*asked)
    assert result == wanted
    if body:
        assert len(result) <= LIMIT
        assert body.size < 0 or len(result) == body.size
        assert body.start == other.start <= asked[0]
        if line.made == 1:
            assert line.stream.at == at_once.stream.at
            if body.size >= 0 and not body.head.chunked:
                assert line.stream.at == body.head.size + body.size  # and not a byte more
                assert result == data[body.head.size : line.stream.at]


@FUZZ
@given(
    st.lists(
        st.tuples(
            contents, st.sampled_from([whole, lambda data: in_chunks(data, 700)]), st.booleans()
        ),
        min_size=1,
        max_size=5,
    ),
    stops,
)
def test_good_answers_over_one_connection_are_told_apart_in_any_pieces(made, stops):
    texts = [form(data) for data, form, _ in made]
    line = Line(b"".join(texts), stops)
    end = 0
    for (data, _, _), text in zip(made, texts, strict=True):
        body, result = line.fetch()
        assert body and result == data
        end += len(text)
        assert line.stream.at == end
    assert line.made == 1


@settings(FUZZ, max_examples=100)
@given(
    st.one_of(
        answers.map(lambda data: data + b"x" * 100000),
        answers.map(lambda data: data + b"1\r\nx\r\n" * 20000),
        answers.map(lambda data: data[:17] + b"X: y\r\n" * 20000),
        st.integers(0, 10**12).map(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n".__mod__),
        st.sampled_from([b"0", b"fffffff", b"7fffffff;"]).map(
            lambda size: in_chunks(b"", 9).partition(b"0\r\n")[0] + size * 20000
        ),
    )
)
def test_no_answer_takes_more_memory_than_its_limits(data):
    line = Line(data, range(0, len(data), 500))
    tracemalloc.start()
    line.fetch()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY
