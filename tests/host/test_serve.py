"""The HTTPS server and its certificates, asked by CPython's client, curl, openssl and raw TLS; the
serial one over a pseudo-terminal.
"""

import contextlib
import fcntl
import hashlib
import http.client
import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import tty

import pytest
from cryptography import x509

from ota_tools import certificates, serial_line, serve
from ota_tools.failures import Refused, Unreachable, Usage
from ota_tools.request_log import Request

BODY = bytes(range(256)) * 1000
TAG = f'"{hashlib.sha256(BODY).hexdigest()[:32]}"'


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return certificates.ensure(tmp_path_factory.mktemp("tls"), ["localhost", "127.0.0.1"])


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "public"
    (root / "sub").mkdir(parents=True)
    (root / "app.bin").write_bytes(BODY)
    (root / "sub" / "a b.json").write_bytes(b"{}")
    (root / "empty").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "inside").symlink_to(root / "app.bin")
    return root


@pytest.fixture
def server(folder, paths):
    with serve.Server(folder, paths.server_pem, paths.server_key) as running:
        yield running


def context(paths):
    return ssl.create_default_context(cafile=paths.ca_pem)


def connect(server, paths):
    return http.client.HTTPSConnection("127.0.0.1", server.port, context=context(paths), timeout=5)


def ask(server, paths, path, method="GET", **headers):
    connection = connect(server, paths)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def raw(server, paths, data):
    """All that the server says to these bytes until it closes."""
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
        context(paths).wrap_socket(sock, server_hostname="127.0.0.1") as stream,
    ):
        stream.sendall(data)
        said = b""
        while piece := stream.recv(4096):
            said += piece
        return said


def requests(server, count):
    """The record, for a client that did not wait for the end of an answer."""
    end = time.monotonic() + 5
    while len(server.log.answered()) < count and time.monotonic() < end:
        time.sleep(0.01)
    assert len(server.log.answered()) == count
    return server.log.answered()


# What it serves


def test_file_comes_whole_with_length_and_tag(server, paths):
    status, fields, body = ask(server, paths, "/app.bin")
    assert (status, body) == (200, BODY)
    assert fields["Content-Length"] == str(len(BODY))
    assert fields["ETag"] == TAG
    assert fields["Accept-Ranges"] == "bytes"


def test_head_has_the_same_fields_and_no_body(server, paths):
    status, fields, body = ask(server, paths, "/app.bin", "HEAD", Range="bytes=0-1")
    assert (status, body, fields["Content-Length"]) == (200, b"", str(len(BODY)))
    assert fields["ETag"] == TAG


def test_names_are_unquoted_and_a_query_is_not_part_of_them(server, paths):
    assert ask(server, paths, "/sub/a%20b.json?x=1")[::2] == (200, b"{}")
    assert ask(server, paths, "/inside")[::2] == (200, BODY)
    assert ask(server, paths, "/empty")[::2] == (200, b"")


def test_changed_file_has_another_tag(server, paths, folder):
    (folder / "app.bin").write_bytes(b"new")
    status, fields, body = ask(server, paths, "/app.bin", If_None_Match=TAG)
    assert (status, body) == (200, b"new")
    assert fields["ETag"] != TAG


def test_connection_is_kept_for_the_next_request(server, paths):
    connection = connect(server, paths)
    ports = set()
    for path in ("/app.bin", "/missing", "/empty"):
        connection.request("GET", path)
        connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1
    assert [r.status for r in requests(server, 3)] == [200, 404, 200]


# What it does not serve


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/sub",
        "/sub/",
        "/missing",
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "//../secret",
        "/out",
        "/up/secret",
        "/loop",
        "/%00",
        "/%ff",
        "/" + "x" * 5000,
        "https://localhost/../secret",
        "//[bad/",
    ],
)
def test_nothing_outside_the_folder_and_no_listing(server, paths, path):
    status, fields, body = ask(server, paths, path)
    assert (status, body) == (404, b"404 Not Found\n")
    assert fields["Content-Length"] == str(len(body))


def test_folder_that_holds_the_key_is_not_served(paths):
    with pytest.raises(Refused, match=r"server\.key lies in the folder"):
        serve.Server(paths.ca_pem.parent, paths.server_pem, paths.server_key)


# Ranges and conditions


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=255000-", 255000, 255999),
        ("bytes=255999-999999", 255999, 255999),
        ("bytes=-4096", 251904, 255999),
        ("bytes=-999999", 0, 255999),
    ],
)
def test_range_gives_those_bytes(server, paths, asked, first, last):
    status, fields, body = ask(server, paths, "/app.bin", Range=asked)
    assert (status, body) == (206, BODY[first : last + 1])
    assert fields["Content-Range"] == f"bytes {first}-{last}/256000"
    assert fields["Content-Length"] == str(last + 1 - first)
    assert fields["ETag"] == TAG


@pytest.mark.parametrize("asked", ["bytes=256000-", "bytes=999999-1000000", "bytes=-0"])
def test_range_behind_the_end_is_416(server, paths, asked):
    status, fields, body = ask(server, paths, "/app.bin", Range=asked)
    assert (status, body, fields["Content-Length"]) == (416, b"", "0")
    assert fields["Content-Range"] == "bytes */256000"


@pytest.mark.parametrize(
    "asked",
    ["bytes=5-4", "bytes=0-1,3-4", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=1" + "0" * 5000],
)
def test_range_that_is_several_or_not_well_formed_is_ignored(server, paths, asked):
    status, _, body = ask(server, paths, "/app.bin", Range=asked)
    assert (status, body) == (200, BODY)


@pytest.mark.parametrize("listed", [TAG, f'"other", {TAG}', f"W/{TAG}", "*"])
def test_known_tag_is_304_without_a_body(server, paths, listed):
    status, fields, body = ask(server, paths, "/app.bin", If_None_Match=listed)
    assert (status, body, fields["ETag"]) == (304, b"", TAG)


def test_unknown_tag_is_200(server, paths):
    assert ask(server, paths, "/app.bin", If_None_Match='"other"')[0] == 200


@pytest.mark.parametrize(
    ("tag", "status"),
    [(TAG, 206), ('"other"', 200), (f"W/{TAG}", 200), ("Thu, 01 Jan 2026 00:00:00 GMT", 200)],
)
def test_if_range_gives_a_part_of_the_same_version_only(server, paths, tag, status):
    assert ask(server, paths, "/app.bin", Range="bytes=0-9", If_Range=tag)[0] == status


# The record


def test_every_request_is_recorded_for_whoever_saw_its_answer(folder, paths, monkeypatch):
    note = serve.Handler._note
    late = lambda *how: (time.sleep(0.02), note(*how))  # noqa: E731
    monkeypatch.setattr(serve.Handler, "_note", late)
    lines = []
    with serve.Server(
        folder, paths.server_pem, paths.server_key, on_request=lines.append
    ) as server:
        for number, (method, path, fields) in enumerate(
            [
                ("GET", "/app.bin", {"Range": "bytes=0-99"}),
                ("GET", "/missing", {}),
                ("HEAD", "/app.bin", {}),
                ("DELETE", "/app.bin", {}),
            ]
        ):
            ask(server, paths, path, method, **fields)
            assert len(server.log.answered()) == number + 1
        found = server.log.answered()
    assert found == lines
    assert found[0] == Request("127.0.0.1", "GET", "/app.bin", 206, 100, "bytes=0-99")
    assert [(r.method, r.status, r.bytes_sent) for r in found[1:]] == [
        ("GET", 404, 14),
        ("HEAD", 200, 0),
        ("DELETE", 501, 0),
    ]
    assert str(found[0]) == "127.0.0.1 GET /app.bin bytes=0-99: 206, 100 B"


def test_client_that_leaves_early_is_recorded_with_what_it_got(server, paths, folder):
    (folder / "large").write_bytes(bytes(64 * 1024 * 1024))
    connection = connect(server, paths)
    connection.request("GET", "/large")
    connection.getresponse().read(1000)
    connection.sock.close()
    connection.close()
    (request,) = requests(server, 1)
    assert request.status == 200
    assert request.bytes_sent < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"GET / HTTP/9", 400), (b"GET / HTTP/9.0", 505), (b"nonsense", 400), (b"GET /", 404)],
)
def test_broken_request_is_answered_and_recorded(server, paths, line, status):
    said = raw(server, paths, line + b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 %d " % status) and b"\r\nContent-Length: " in said
    assert requests(server, 1)[0].status == status


def test_body_of_a_get_is_not_taken_for_a_request(server, paths):
    inner = b"GET /sub/a%20b.json HTTP/1.1\r\nHost: x\r\n\r\n"
    outer = b"GET /empty HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inner)
    said = raw(server, paths, outer + inner)
    assert said.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in said
    assert len(requests(server, 1)) == 1


# TLS and time


def test_other_authority_is_not_accepted(server, tmp_path):
    other = certificates.ensure(tmp_path / "other", ["localhost", "127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(server, other, "/app.bin")
    assert server.log.answered() == []


def test_wrong_name_is_not_accepted(server, paths):
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context(paths).wrap_socket(sock, server_hostname="example.org")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_below_1_2_is_refused(server, paths):
    old = context(paths)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
        pytest.raises(ssl.SSLError, match="alert protocol version"),
    ):
        old.wrap_socket(sock, server_hostname="127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_under_strict_verification(server, paths, version):
    strict = context(paths)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.minimum_version = strict.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
        strict.wrap_socket(sock, server_hostname="localhost") as stream,
    ):
        assert stream.version() == version.name.replace("v1_", "v1.")


def test_silent_clients_hold_up_nobody(server, paths):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    assert ask(server, paths, "/app.bin")[0] == 200
    for sock in silent:
        sock.close()


def test_client_without_handshake_is_dropped_in_time(server, monkeypatch):
    monkeypatch.setattr(serve, "HANDSHAKE_TIMEOUT_S", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        assert sock.recv(1) == b""


def test_client_that_asks_nothing_is_dropped_in_time(server, paths, monkeypatch):
    monkeypatch.setattr(serve.Handler, "timeout", 0.2)
    assert raw(server, paths, b"GET /app.bin HTTP") == b""
    assert server.log.answered() == []


def test_plain_http_gets_no_answer(server):
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        sock.sendall(b"GET /app.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            said = sock.recv(100)
        except ConnectionResetError:
            said = b""
    assert not said.startswith(b"HTTP")


def test_close_ends_soon_with_clients_in_every_state(folder, paths):
    (folder / "large").write_bytes(bytes(64 * 1024 * 1024))
    server = serve.Server(folder, paths.server_pem, paths.server_key)
    before = threading.active_count()
    silent = socket.create_connection(("127.0.0.1", server.port))
    idle, busy = connect(server, paths), connect(server, paths)
    idle.connect()
    busy.request("GET", "/large")
    busy.getresponse().read(1000)
    start = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - start < 5
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    end = time.monotonic() + 2
    while threading.active_count() >= before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() < before, "handler threads outlived the server"
    for client in (silent, idle, busy):
        client.close()


def test_many_clients_at_once_each_get_their_file(server, paths):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(server, paths, "/app.bin")[2]))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [BODY] * 20
    assert len(requests(server, 20)) == 20


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0"),
        ({"folder": "missing"}, "is not a folder"),
        ({"certificate": "missing"}, "No such file"),
        ({"key": "ca_key"}, "MISMATCH|mismatch"),
    ],
)
def test_what_cannot_start_says_why(folder, paths, change, fact):
    call = {"folder": folder, "certificate": paths.server_pem, "key": paths.server_key}
    call |= {name: folder / v if v == "missing" else v for name, v in change.items()}
    if change.get("key") == "ca_key":
        call["key"] = paths.ca_key
    with pytest.raises(Usage, match=fact):
        serve.Server(**call)


def test_port_in_use_is_said(server, folder, paths):
    with pytest.raises(Usage, match=f"cannot listen on 127.0.0.1:{server.port}: .*in use"):
        serve.Server(folder, paths.server_pem, paths.server_key, port=server.port)


def test_curl_resumes_a_download(server, paths, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(BODY[:1000])
    command = ["curl", "-sS", "--fail", "--noproxy", "*", "--cacert", paths.ca_pem, "-C", "-"]
    command += ["-o", part, server.url + "/app.bin"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert part.read_bytes() == BODY
    assert requests(server, 1)[0].range == "bytes=1000-"


def test_openssl_verifies_the_server_strictly(paths):
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    command += ["-verify_ip", "127.0.0.1", "-CAfile", paths.ca_pem, paths.server_pem]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


# The serial line


class Line:
    """A pseudo-terminal: `name` is what the host opens, the board's end is here."""

    def __init__(self):
        self.fd, self.other = os.openpty()
        tty.setraw(self.other)
        self.name = os.ttyname(self.other)

    def say(self, data):
        os.write(self.fd, data)

    def hear(self, n=1 << 20, wait_s=0.3):
        """What the host says, `n` bytes of it or all until it is silent for so long."""
        data = b""
        while len(data) < n and select.select([self.fd], [], [], wait_s)[0]:
            data += os.read(self.fd, n - len(data))
        return data

    def ask(self, path, *fields, n=1 << 20):
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        self.say("\r\n".join(lines).encode())
        return self.hear(n)

    def close(self):
        os.close(self.fd)
        os.close(self.other)


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


@contextlib.contextmanager
def over(line, folder, **options):
    with serial_line.SerialServer(folder, line.name, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.close()
        thread.join(5)
        assert not thread.is_alive()


def test_files_and_parts_of_them_come_over_a_serial_line(line, folder):
    with over(line, folder) as server:
        head, _, body = line.ask("/app.bin").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and body == BODY
        assert b"ETag: " + TAG.encode() in head and b"Connection:" not in head
        head, _, body = line.ask("/app.bin", "Range: bytes=100-199").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 206 ") and body == BODY[100:200]
        assert line.ask("/app.bin", f"If-None-Match: {TAG}").startswith(b"HTTP/1.1 304 ")
        assert line.ask("/missing").startswith(b"HTTP/1.1 404 ")
        assert [r.status for r in requests(server, 4)] == [200, 206, 304, 404]
        assert str(server.log.answered()[1]) == (
            f"{line.name} GET /app.bin bytes=100-199: 206, 100 B"
        )


@pytest.mark.parametrize(
    "path", ["/", "/sub", "/../secret", "/%2e%2e/secret", "/out", "/up/secret"]
)
def test_nothing_outside_the_folder_comes_over_a_serial_line(line, folder, path):
    with over(line, folder):
        assert line.ask(path).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("noise", "status"),
    [
        (b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET)\r\n", 400),
        (b"T /app.bin HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"GET /app.bin HTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /app.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 501),
        (b"GET /app.bin HTTP/1.1\r\nHost: x\r\n", 408),
        (b"GET /app.bin HT", 408),
        (b"\xff\x00\xfe", 408),
        (b"\x80" * 1000 + b"\n", 400),
    ],
)
def test_what_is_no_request_is_not_answered_and_the_next_one_is(line, folder, noise, status):
    with over(line, folder) as server:
        line.say(noise)
        assert line.hear(wait_s=1) == b""
        assert line.ask("/empty").startswith(b"HTTP/1.1 200 ")
        found = [(r.status, r.bytes_sent) for r in requests(server, 2)]
        assert found == [(status, 0), (200, 0)]


def test_a_board_that_does_not_read_is_given_up_and_served_again(line, folder, monkeypatch):
    monkeypatch.setattr(serial_line, "STUCK_S", 0.3)
    with over(line, folder) as server:
        line.say(b"GET /app.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        (request,) = requests(server, 1)
        assert request.bytes_sent < len(BODY)
        line.hear()
        assert line.ask("/app.bin").endswith(BODY)


@pytest.mark.parametrize("reads", [True, False])
def test_close_of_a_serial_line_ends_soon(line, folder, reads):
    with over(line, folder) as server:
        if not reads:
            line.say(b"GET /app.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)
        start = time.monotonic()
        server.close()
        server.close()
    assert time.monotonic() - start < 5


def test_a_line_that_goes_away_is_said(folder):
    line = Line()
    with serial_line.SerialServer(folder, line.name) as server:
        threading.Timer(0.2, line.close).start()
        with pytest.raises(Unreachable, match=f"^{line.name}: "):
            server.serve_forever()


def test_a_serial_line_serves_a_folder_only(line, folder):
    with pytest.raises(Usage, match="is not a folder"):
        serial_line.SerialServer(folder / "missing", line.name)


def test_a_port_that_is_not_there_is_said_in_one_line(ota, folder, line):
    done = ota("serve", folder, "--serial", folder / "ttyUSB0")
    assert done.code == 3
    assert done.line().endswith("ttyUSB0: No such file or directory")
    done = ota("serve", folder, "--serial", folder / "app.bin")
    assert done.code == 3
    assert "app.bin: " in done.line()


def test_a_port_that_is_busy_is_said_in_one_line(ota, folder, line):
    with open(line.name, "rb", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = ota("serve", folder, "--serial", line.name)
    assert done.code == 3
    assert done.line() == f"ota: {line.name}: busy: another program has it open"


@pytest.mark.parametrize(
    "options",
    [("--host", "x"), ("--port", "8443"), ("--tls", "tls"), ("--baud", "1")],
)
def test_a_serial_line_has_no_options_of_tls(ota, folder, line, options):
    assert ota("serve", folder, "--serial", line.name, *options).code == 2


def test_a_rate_without_a_serial_line_is_refused(ota, folder):
    done = ota("serve", folder, "--baud", "9600")
    assert done.code == 2
    assert done.line() == "ota: --baud needs --serial"


# Whoever started the tests in the background may have had SIGINT ignored.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from ota_tools.cli import main; main()"
)


def test_the_command_serves_a_serial_line_until_it_is_interrupted(folder, line):
    command = [
        sys.executable,
        "-c",
        INTERRUPTIBLE,
        "serve",
        str(folder),
    ]
    command += ["--serial", line.name, "--baud", "921600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            said = process.stdout.readline().decode()
            assert line.name in said and "921600 baud, without TLS" in said
            assert process.stdout.readline() == b"Ctrl-C ends it\n"
            time.sleep(0.2)
            assert line.ask("/sub/a%20b.json").endswith(b"{}")
            assert process.stdout.readline().decode() == (
                f"{line.name} GET /sub/a%20b.json: 200, 2 B\n"
            )
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, b"")


# Certificates


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_for_their_owner_only(paths):
    for path in (paths.ca_key, paths.server_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_authority_is_the_same_in_pem_and_der(paths):
    assert ssl.PEM_cert_to_DER_cert(paths.ca_pem.read_text()) == paths.ca_der.read_bytes()


def test_certificates_are_valid_since_yesterday(paths):
    for path in (paths.ca_pem, paths.server_pem):
        age = certificates._now() - read(path).not_valid_before_utc
        assert 86400 <= age.total_seconds() < 86400 + 600


def test_second_call_keeps_everything(tmp_path):
    first = certificates.ensure(tmp_path, ["a.example", "10.0.0.1"])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert certificates.ensure(tmp_path, ["10.0.0.1", "a.example"]) == first
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("cause", ["hosts", "expired", "damaged", "lost key", "other authority"])
def test_worn_server_is_replaced_under_the_same_authority(tmp_path, cause):
    hosts = ["a.example", "10.0.0.1", "fe80::1"]
    paths = certificates.ensure(tmp_path, hosts)
    authority = paths.ca_pem.read_bytes()
    identity = certificates._load(paths.ca_pem, paths.ca_key)
    if cause == "hosts":
        hosts = ["b.example"]
    elif cause == "expired":
        worn = certificates.issue(identity, hosts, days=0)
        certificates._save(worn, paths.server_pem, paths.server_key)
    elif cause == "damaged":
        paths.server_pem.write_bytes(paths.server_pem.read_bytes()[:100])
    elif cause == "lost key":
        paths.server_key.unlink()
    else:
        worn = certificates.issue(certificates.make_authority("ota authority"), hosts)
        certificates._save(worn, paths.server_pem, paths.server_key)
    before = paths.server_pem.read_bytes()
    certificates.ensure(tmp_path, hosts)
    assert paths.ca_pem.read_bytes() == authority
    assert paths.server_pem.read_bytes() != before
    fresh = certificates._load(paths.server_pem, paths.server_key)
    assert certificates._fits(fresh.certificate, identity.certificate, hosts)


def test_authority_without_its_key_is_refused(tmp_path):
    paths = certificates.ensure(tmp_path, ["a.example"])
    paths.ca_key.unlink()
    with pytest.raises(Refused, match=r"ca\.key is missing"):
        certificates.ensure(tmp_path, ["a.example"])


def test_expired_authority_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "AUTHORITY_DAYS", 0)
    certificates.ensure(tmp_path, ["a.example"])
    with pytest.raises(Refused, match="has expired"):
        certificates.ensure(tmp_path, ["a.example"])


@pytest.mark.parametrize("hosts", [[], [""], ["a b"], ["https://a"], ["ä.example"], ["a:80"]])
def test_host_that_is_none_is_refused(tmp_path, hosts):
    with pytest.raises(Usage):
        certificates.ensure(tmp_path, hosts)
