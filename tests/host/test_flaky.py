"""The bad way: what it does to connections, told by clients that know nothing of it."""

import http.client
import itertools
import socket
import socketserver
import ssl
import subprocess
import threading
import time

import pytest
from test_serve import requests

from ota_tools import certificates, flaky, serve

BODY = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return certificates.ensure(tmp_path_factory.mktemp("tls"), ["localhost"])


@pytest.fixture
def server(tmp_path, paths):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "app.bin").write_bytes(BODY)
    with serve.Server(
        tmp_path / "public", paths.server_pem, paths.server_key, host="localhost"
    ) as running:
        yield running


class Giver(socketserver.BaseRequestHandler):
    """Reads a line with a number, gives so many bytes, and closes."""

    def handle(self):
        line = self.request.makefile("rb").readline()
        self.request.sendall(BODY[: int(line)])


@pytest.fixture
def giver():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Giver) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        yield listener.server_address[1]
        listener.shutdown()
        thread.join()


@pytest.fixture
def relay(giver):
    with flaky.Relay(giver) as running:
        yield running


def take(relay, count):
    """Ask for `count` bytes. What came, and whether the end was a reset."""
    got = b""
    with socket.create_connection(("localhost", relay.port), 5) as sock:
        sock.sendall(b"%d\n" % count)
        try:
            while data := sock.recv(65536):
                got += data
        except ConnectionResetError:
            return got, True
    return got, False


def is_nearly(got, count):
    """The beginning, up to `count` but for what was on its way: a reset drops that."""
    return BODY.startswith(got) and count - 64 * 1024 < len(got) <= count


def eventually(condition):
    """Wait for another thread, two seconds at most."""
    end = time.monotonic() + 2
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


# Relay


def test_bytes_pass_both_ways_unchanged(relay):
    assert take(relay, len(BODY)) == (BODY, False)
    assert eventually(lambda: sum(relay.down) == len(BODY))
    assert relay.breaks == []


def test_connection_is_reset_after_exactly_so_many_bytes_were_sent(relay):
    relay.break_after(300_007)
    got, reset = take(relay, len(BODY))
    assert reset and is_nearly(got, 300_007)
    assert relay.breaks == [300_007] and sum(relay.down) == 300_007


def test_each_count_breaks_one_connection_in_order(giver):
    told = []
    with flaky.Relay(giver, on_break=told.append) as relay:
        relay.break_after(5000, 70_001)
        ends = [take(relay, 100_000) for _ in range(3)]
    assert [reset for _, reset in ends] == [True, True, False]
    assert is_nearly(ends[0][0], 5000) and is_nearly(ends[1][0], 70_001)
    assert ends[2][0] == BODY[:100_000]
    assert relay.breaks == told == [5000, 70_001]


def test_connection_that_carries_less_is_left_alone(relay):
    relay.break_after(5000)
    assert take(relay, 4999) == (BODY[:4999], False)
    assert take(relay, 5001)[1]


def test_plan_made_while_a_connection_is_open_holds_for_it(relay, giver):
    with socket.create_connection(("localhost", relay.port), 5) as sock:
        sock.sendall(b"1")
        relay.break_after(100)
        sock.sendall(b"000\n")
        with pytest.raises(ConnectionResetError):
            while sock.recv(65536):
                pass
    assert relay.breaks == [100]


def test_many_connections_at_once_each_get_their_bytes(relay):
    got = []
    threads = [
        threading.Thread(target=lambda n=n: got.append(take(relay, n) == (BODY[:n], False)))
        for n in range(100_000, 100_020)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 20


def test_server_that_is_not_there_ends_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with flaky.Relay(port) as relay:
        assert take(relay, 1)[0] == b""


def test_close_ends_open_connections_at_once(relay):
    with socket.create_connection(("localhost", relay.port), 5) as sock:
        sock.sendall(b"1")  # not a whole line: nothing will come
        assert eventually(lambda: relay._listener._open)
        start = time.monotonic()
        relay.close()
        assert sock.recv(1) == b"" and time.monotonic() - start < 5
    with pytest.raises(OSError):
        socket.create_connection(("localhost", relay.port), 1)


# Redirector


@pytest.fixture
def redirector(paths):
    where = flaky.github_like("https://other.example:8443")
    with flaky.Redirector(where, paths.server_pem, paths.server_key) as running:
        yield running


def ask(redirector, paths, *names):
    """(status, Location) for each path, over one connection."""
    host = redirector.url.removeprefix("https://")
    context = ssl.create_default_context(cafile=paths.ca_pem)
    connection = http.client.HTTPSConnection(host, context=context, timeout=5)
    found = []
    for name in names:
        connection.request("GET", name)
        answer = connection.getresponse()
        assert answer.read() == b""
        found.append((answer.status, answer.getheader("Location")))
    connection.close()
    return found


def test_first_hop_is_relative_and_second_leads_to_another_host(redirector, paths):
    first, second = ask(redirector, paths, "/latest/a%20b.bin", "/releases/a%20b.bin")
    assert first == (302, "/releases/a%20b.bin")
    assert second[0] == 302
    assert second[1].startswith("https://other.example:8443/a%20b.bin?")
    assert len(second[1]) > 1024, "as long as those of GitHub"
    assert redirector.requests == ["/latest/a%20b.bin", "/releases/a%20b.bin"]


def test_other_paths_are_not_there(redirector, paths):
    assert ask(redirector, paths, "/", "/app.bin") == [(404, None), (404, None)]


def test_redirector_that_is_closed_answers_nobody(redirector, paths):
    redirector.close()
    with pytest.raises(OSError):
        ask(redirector, paths, "/latest/app.bin")


# Both


@pytest.fixture
def detour(server, paths):
    made = flaky.Detour(server.port, paths.server_pem, paths.server_key, lambda line: None)
    yield made
    made.close()


def curl(detour, paths, part, *more):
    command = [
        "curl",
        "-sS",
        "--fail",
        "--noproxy",
        "*",
        "--cacert",
        paths.ca_pem,
        "-L",
        "-o",
        part,
    ]
    command += [*more, detour.url + "/app.bin"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).returncode


def test_curl_finds_the_file_behind_the_redirects(detour, server, paths, tmp_path):
    assert curl(detour, paths, tmp_path / "got") == 0
    assert (tmp_path / "got").read_bytes() == BODY
    assert [request.path.partition("?")[0] for request in requests(server, 1)] == ["/app.bin"]


def test_curl_notices_a_broken_connection_and_goes_on(detour, server, paths, tmp_path):
    detour.relay.break_after(400_000)
    assert curl(detour, paths, tmp_path / "got") != 0
    part = (tmp_path / "got").read_bytes()
    assert 300_000 < len(part) < 400_000 and BODY.startswith(part)
    assert curl(detour, paths, tmp_path / "got", "-C", "-") == 0
    assert (tmp_path / "got").read_bytes() == BODY
    assert sum(detour.relay.down) < len(BODY) * 11 // 10
    assert len(detour.redirector.requests) == 4


def test_each_connection_is_counted_both_ways(giver):
    with flaky.Relay(giver) as relay:
        take(relay, 1000)
        take(relay, 5000)
        assert eventually(lambda: relay.down == [1000, 5000])
        assert all(passed.up for passed in relay.connections)


def test_every_connection_may_be_broken(giver):
    with flaky.Relay(giver, itertools.repeat(3000)) as relay:
        for _ in range(3):
            assert take(relay, 10_000)[1]
        assert relay.breaks == [3000] * 3


def test_a_connection_may_end_instead_of_being_reset(giver):
    with flaky.Relay(giver, [3000], hard=False) as relay:
        assert take(relay, 10_000) == (BODY[:3000], False)
