"""Updates that come over a serial line, from `ota serve --serial`, or from files of the device."""

import contextlib
import errno
import json
import os
import shutil
import threading
import time
import tty

import pytest
from fakes import manifest_fields
from site_of import DATA, image_of, signed
from stores import key_of
from timeserver import TimeServer

from ota.errors import OtaError
from ota.local import Wire
from ota.receipt import FILE, Receipt, save_receipts
from ota.updater import Updater
from ota_tools import resources
from ota_tools.board import image_maker, maker
from ota_tools.board.runner import run
from ota_tools.board.settings import Settings
from ota_tools.serial_line import SerialServer

IMAGE = image_of(3, 300_000)


class Line:
    """Both ends of a serial line: the host opens `name`, the board's end is this object.

    As a `machine.UART` with timeout=0: readinto, readline and write give None where they would block.

    Attributes:
        lose, lose_asked: (position, count): so many bytes after that position of what the host, the
            board says never come.
        lost: how many did not.
        said: what came from the host, without what was lost.
    """

    def __init__(self) -> None:
        self._fd, self._other = os.openpty()
        tty.setraw(self._other)
        os.set_blocking(self._fd, False)
        self.name = os.ttyname(self._other)
        self.lose: tuple[int, int] | None = None
        self.lose_asked: tuple[int, int] | None = None
        self._in = self._out = self.lost = 0
        self.said = b""

    def fileno(self) -> int:
        return self._fd

    def readinto(self, buf) -> int | None:
        data = self._read(len(buf))
        if not data:
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes | None:
        line = b""
        while not line.endswith(b"\n") and len(line) != limit:
            byte = self._read(1)
            if byte is None:
                break
            line += byte
        return line or None

    def write(self, data) -> int | None:
        try:
            n = os.write(self._fd, self._thin(bytes(data), "lose_asked", self._out)) and len(data)
        except BlockingIOError:
            return None
        self._out += n
        return n

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._other)

    def _read(self, n: int) -> bytes | None:
        try:
            data = os.read(self._fd, n)
        except OSError as e:
            if e.errno in (errno.EAGAIN, errno.EIO):  # EIO: nobody has the other end open
                return None
            raise
        thin = self._thin(data, "lose", self._in)
        self._in += len(data)
        self.said += thin
        return thin or None

    def _thin(self, data: bytes, what: str, at: int) -> bytes:
        # Without what gets lost of these bytes, of which the first is the one at `at`.
        hole = getattr(self, what)
        if not hole:
            return data
        first, count = hole
        left, right = max(0, first - at), max(0, first + count - at)
        thin = data[:left] + data[right:]
        self.lost += len(data) - len(thin)
        return thin


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


@pytest.fixture
def host(site, line):
    """`ota serve --serial` on the other end of the line."""
    with serving(site, line) as server:
        yield server


@contextlib.contextmanager
def serving(site, line):
    server = SerialServer(site.published, line.name)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)
        assert not thread.is_alive()


def wired(v, line) -> Updater:
    return Updater.from_config(port=v.port(), network=Wire(line))


def holds(v, image: bytes) -> bool:
    part = v.board.table.find("ota_1")
    return v.board.flash.read(part.offset, len(image)) == image


def touched(board, slots=("ota_0", "ota_1")) -> list:
    parts = [board.table.find(slot) for slot in slots]
    operations = board.flash.operations
    return [o for o in operations for p in parts if p.offset <= o.address < p.end]


# A serial line


def test_a_whole_update_comes_over_a_serial_line(site, line, host, tmp_path):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b")
    u = wired(v, line)
    release = u.update()
    assert release.version == "1.1"
    assert v.selected() == "ota_1"
    assert holds(v, IMAGE)
    assert site.server.log.answered() == [], "nothing went over the network"
    assert host.log.answered()[0].path == "/virtual-esp32.manifest"
    assert {r.status for r in host.log.answered()} <= {200, 206}


def test_a_later_update_asks_over_the_same_line(site, line, host, tmp_path):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b")
    assert wired(v, line).reachable()
    u = wired(v, line)
    release = u.check()
    u.download(release)
    u.activate(release)
    assert v.selected() == "ota_1"


def test_the_clock_is_of_no_interest_on_a_serial_line(site, line, host, tmp_path, monkeypatch):
    site.publish(IMAGE, "1.1")
    with TimeServer() as server:
        v = site.device(tmp_path / "b", {"clock_unset": True}, ntp=server.host)
        monkeypatch.setattr("ota.port.Port.now", lambda _: 946684800)
        wired(v, line).update()
        assert server.asked == []
    assert v.selected() == "ota_1"


def test_an_expired_release_is_refused_on_a_serial_line_where_the_clock_was_never_set(
    site, line, host, tmp_path, monkeypatch
):
    monkeypatch.setattr("ota.port.Port.now", lambda _: 946684800)
    v = site.device(tmp_path / "b", {"clock_unset": True})
    site.publish(IMAGE, "1.1", expires=v.port().built() - 1)
    v.board.flash.operations.clear()
    with pytest.raises(OtaError) as e:
        wired(v, line).update()
    assert e.value.code == "expired"
    assert touched(v.board) == []
    site.publish(IMAGE, "1.1", expires=v.port().built())
    assert wired(v, line).update().version == "1.1"


def update_until_done(v, line, calls: int = 4) -> list[str]:
    """Codes of the calls that failed before one came through."""
    codes = []
    for _ in range(calls):
        try:
            wired(v, line).update()
        except OtaError as e:
            codes.append(e.code)
            assert v.selected() == "ota_0"
        else:
            return codes
    raise AssertionError(codes)


LOST = {
    "of the first status line": 3,
    "of the manifest": 900,
    "of the first block": 20_000,
    "of a block in the middle": 150_000,
    "of the last bytes": 300_000,
}


@pytest.mark.parametrize("where", LOST)
@pytest.mark.parametrize("count", [1, 3000])
def test_bytes_that_get_lost_cost_time_and_nothing_else(site, line, host, tmp_path, where, count):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b", timeout_s=1, tries=3)
    line.lose = (LOST[where], count)
    codes = update_until_done(v, line)
    assert len(codes) <= 1, codes
    assert line.lost == count or where == "of the last bytes"
    assert v.selected() == "ota_1"
    assert holds(v, IMAGE)


@pytest.mark.parametrize("first", [0, 24, 80])
@pytest.mark.parametrize("count", [1, 20])
def test_bytes_of_a_request_that_get_lost_are_asked_for_again(
    site, line, host, tmp_path, first, count
):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b", timeout_s=1, tries=3)
    line.lose_asked = (first, count)
    codes = update_until_done(v, line)
    assert len(codes) <= 1, codes
    assert line.lost == count
    assert holds(v, IMAGE)


def test_what_a_board_prints_on_the_line_is_not_answered(site, line, host, tmp_path):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b")
    line.write(b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET)\r\nMicroPython\r\n>>> ")
    time.sleep(0.6)
    wired(v, line).update()
    assert holds(v, IMAGE)
    assert line.said.startswith(b"HTTP/1.1 200")
    assert host.log.answered()[0].status == 400


def test_a_host_that_is_not_there_has_its_code(site, line, tmp_path):
    v = site.device(tmp_path / "b", timeout_s=1)
    with pytest.raises(OtaError) as e:
        wired(v, line).check()
    assert e.value.code == "timeout"


def test_a_host_that_comes_late_is_found(site, line, tmp_path):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b", timeout_s=1, tries=5)
    found = []
    waiting = threading.Thread(target=lambda: found.append(wired(v, line).update()))
    waiting.start()
    time.sleep(1.5)
    with serving(site, line):
        waiting.join(30)
    assert found and found[0].version == "1.1"
    assert holds(v, IMAGE)


def test_a_host_that_goes_away_in_the_middle_is_waited_for(site, line, tmp_path):
    site.publish(IMAGE, "1.1")
    v = site.device(tmp_path / "b", timeout_s=1, tries=1)

    def go(done, total):
        if done > 100_000:
            server.close()

    server = SerialServer(site.published, line.name)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    u = wired(v, line)
    with pytest.raises(OtaError) as e:
        u.install(u.check(), go)
    thread.join(5)
    assert e.value.code in ("timeout", "link-lost", "short-body")
    assert v.selected() == "ota_0"
    with serving(site, line):
        wired(v, line).update()
    assert holds(v, IMAGE)


def test_what_is_published_by_nobody_is_not_installed_over_a_serial_line(
    site, line, host, tmp_path
):
    payload = site.publish(IMAGE, "1.1").payload_path
    payload.write_bytes(IMAGE[:200_000] + b"?" + IMAGE[200_001:])
    v = site.device(tmp_path / "b")
    with pytest.raises(OtaError) as e:
        wired(v, line).update()
    assert e.value.code == "digest-mismatch"
    assert v.selected() == "ota_0"


# Files of the device, in this process


@pytest.fixture
def card(site, tmp_path):
    """A device with a folder like a mounted card, and what `site` has published on it."""

    def make(name: str = "virtual-esp32.manifest", **config):
        v = site.device(
            tmp_path / "b", manifest_url=f"file://{tmp_path}/b/root/sd/{name}", **config
        )
        shutil.copytree(site.published, v.root / "sd")
        return v

    return make


def from_card(v) -> Updater:
    return Updater.from_config(port=v.port())


def refused(v) -> str:
    """The code of an update that fails."""
    v.board.flash.operations.clear()
    with pytest.raises(OtaError) as e:
        from_card(v).update()
    assert v.selected() == "ota_0"
    return e.value.code


def test_a_whole_update_comes_from_files_of_the_device(site, card):
    site.publish(IMAGE, "1.1")
    v = card()
    u = from_card(v)
    assert u.reachable()
    u.update()
    assert v.selected() == "ota_1"
    assert holds(v, IMAGE)
    assert site.server.log.answered() == [], "nothing went over the network"


def test_a_file_is_read_in_parts_of_any_size(site, card):
    site.publish(IMAGE, "1.1")
    v = card(part_kib=5)
    v.put("ota_1", IMAGE[:100_000] + bytes(100_000) + IMAGE[200_000:])
    from_card(v).update()
    assert holds(v, IMAGE)


def test_neither_clock_nor_time_server_matters_to_files(site, card, monkeypatch):
    site.publish(IMAGE, "1.1")
    with TimeServer() as server:
        v = card(ntp=server.host)
        monkeypatch.setattr("ota.port.Port.now", lambda _: 946684800)
        from_card(v).update()
        assert server.asked == []
    assert v.selected() == "ota_1"


def test_an_expired_release_is_refused_in_a_file_where_the_clock_was_never_set(
    site, card, monkeypatch
):
    monkeypatch.setattr("ota.port.Port.now", lambda _: 946684800)
    site.publish(IMAGE, "1.1")
    v = card()
    running = Receipt(bytes(32), 1, "1.0", 1, v.port().built() + 1000)
    save_receipts(v.port().path(FILE), {0: running})
    for expires in (v.port().built() - 1, running.created - 1):
        sign(site, v, expires=expires)
        assert refused(v) == "expired"
        assert touched(v.board) == []
    name = site.publish(IMAGE, "1.1").payload_path.name
    payloads = [{"urls": [name], "encoding": "plain", "size": len(IMAGE)}]
    sign(site, v, expires=running.created, payloads=payloads)
    from_card(v).update()
    assert holds(v, IMAGE)


def test_a_card_without_a_manifest_is_unreachable(site, card):
    site.publish(IMAGE, "1.1")
    v = card("other.manifest")
    assert refused(v) == "unreachable"
    assert touched(v.board) == []


def test_a_manifest_url_that_is_no_path_has_its_code(site, tmp_path):
    for number, url in enumerate(("file://sd/x.manifest", "file:/sd/x.manifest", "file:x")):
        v = site.device(tmp_path / str(number), manifest_url=url)
        assert refused(v) == "url", url


def test_a_trust_store_cannot_name_a_file(site, tmp_path):
    key = key_of(DATA / "root.pem")
    content = json.loads(site.trust.split(b"\n", 1)[1])
    content["manifest_urls"] = ["file:///sd/virtual-esp32.manifest"]
    site.trust = signed(key, json.dumps(content).encode(), typ="ota-trust+1")
    assert refused(site.device(tmp_path / "b")) == "url"


def sign(site, v, **changes) -> None:
    """Put a manifest on the card whose owner signed anything."""
    fields = manifest_fields(IMAGE, **changes)
    manifest = signed(site.signer, json.dumps(fields).encode())
    (v.root / "sd" / "virtual-esp32.manifest").write_bytes(manifest)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.bin",
        "a/../../secret.bin",
        "/secret.bin",
        "//host/secret.bin",
        "file:///secret.bin",
        "https://localhost/secret.bin",
        "..",
    ],
)
def test_a_payload_outside_the_folder_of_its_manifest_is_refused(site, card, name):
    site.publish(IMAGE, "1.1")
    v = card()
    (v.root / "secret.bin").write_bytes(IMAGE)
    sign(site, v, payloads=[{"urls": [name], "encoding": "plain", "size": len(IMAGE)}])
    assert refused(v) == "url"
    assert touched(v.board) == []


def test_a_payload_that_is_missing_is_unreachable(site, card):
    name = site.publish(IMAGE, "1.1").payload_path.name
    v = card()
    (v.root / "sd" / name).unlink()
    assert refused(v) == "unreachable"
    assert touched(v.board) == []


@pytest.mark.parametrize("size", [0, 1, 4095, 100_000, len(IMAGE) - 1, len(IMAGE) + 1])
def test_a_payload_of_another_size_is_refused_before_anything_is_erased(site, card, size):
    name = site.publish(IMAGE, "1.1").payload_path.name
    v = card()
    (v.root / "sd" / name).write_bytes((IMAGE + b"?")[:size])
    assert refused(v) == "size-mismatch"
    assert touched(v.board) == []


@pytest.mark.parametrize("at", [30, 70_000, 250_000])
def test_a_payload_that_was_altered_is_refused_and_a_right_one_mends_it(site, card, at):
    name = site.publish(IMAGE, "1.1").payload_path.name
    v = card()
    (v.root / "sd" / name).write_bytes(IMAGE[:at] + bytes([IMAGE[at] ^ 1]) + IMAGE[at + 1 :])
    assert refused(v) in ("digest-mismatch", "image-format")
    (v.root / "sd" / name).write_bytes(IMAGE)
    from_card(v).update()
    assert holds(v, IMAGE)


def test_a_second_place_is_tried_where_the_first_has_no_file(site, card):
    name = site.publish(IMAGE, "1.1").payload_path.name
    v = card(tries=1)
    urls = ["missing.bin", name]
    sign(site, v, payloads=[{"urls": urls, "encoding": "plain", "size": len(IMAGE)}])
    from_card(v).update()
    assert holds(v, IMAGE)


def test_a_manifest_that_nobody_signed_is_refused(site, card):
    site.publish(IMAGE, "1.1")
    v = card()
    manifest = v.root / "sd" / "virtual-esp32.manifest"
    data = manifest.read_bytes()
    manifest.write_bytes(data.replace(b'"1.1"', b'"1.2"'))
    assert refused(v) == "signature"
    manifest.write_bytes(data + bytes(20_000))
    assert refused(v) == "envelope-format"
    assert touched(v.board) == []


# Files of the device, on the VM

MAIN = """
import os
import ota
if ota.status()["trial"]:
    ota.confirm()
    print("RUNNING", ota.status()["version"])
else:
    try:
        if ota.Updater.from_config().update():
            ota.reset()
    except ota.OtaError as e:
        print("CODE", e.code)
"""


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    return image_maker.make_image(modules, 1 << 17, seed=version)


def board(site, folder, change=None):
    """A virtual board in 2000 with a release in its own file system."""
    made = site.publish(image("2.0"), "2.0", sequence=30)
    files = site.files(manifest_url="file:///sd/virtual-esp32.manifest")
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/main.py"] = MAIN.encode()
    files["/sd/virtual-esp32.manifest"] = made.manifest_path.read_bytes()
    files["/sd/" + made.payload_path.name] = made.payload_path.read_bytes()
    if change:
        change(files, "/sd/" + made.payload_path.name)
    table = site.target.table
    settings = Settings(clock_unset=True)
    return maker.make_board(folder, table, image("1.0"), files, settings, receipt=("1.0", 10))


def test_a_board_in_2000_updates_from_its_own_file_system(site, vm, tmp_path):
    result = run(board(site, tmp_path / "b"), vm)
    assert "RUNNING 2.0" in result.console, result.console
    assert result.boots == ["ota_0", "ota_1"]
    assert site.server.log.answered() == []


def remove(files, name) -> None:
    del files[name]


def shorten(files, name) -> None:
    files[name] = files[name][:-1]


def alter(files, name) -> None:
    files[name] = files[name][:100_000] + b"?" + files[name][100_001:]


@pytest.mark.parametrize(
    ("change", "code"),
    [(remove, "unreachable"), (shorten, "size-mismatch"), (alter, "digest-mismatch")],
)
def test_a_board_refuses_what_is_wrong_in_its_file_system(site, vm, tmp_path, change, code):
    made = board(site, tmp_path / "b", change)
    result = run(made, vm)
    assert f"CODE {code}" in result.console, result.console
    assert result.boots == ["ota_0"]
    if change is not alter:
        assert touched(made) == []
