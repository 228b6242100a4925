"""What an update moves and what it costs the flash: counted by the server and by the board's model."""

import copy
import hashlib
import itertools
import json
import subprocess

import pytest
from fakes import manifest_fields
from site_of import Liar, Site, image_of, signed, updater

from ota import access, wide
from ota import journal as jr
from ota.errors import OtaError, SlotError
from ota.situation import Situation
from ota_tools import resources
from ota_tools.board import interpreter
from ota_tools.board.flash import BLOCK, SECTOR, TIMES, Operation

PLAIN = 28672  # an ESP32 without PSRAM: not enough left beside a buffer of 64 KiB
LARGE = 110592
IMAGE = image_of(5, 16 * BLOCK)


def operations(v, slot: str = "ota_1") -> list[Operation]:
    part = v.board.table.find(slot)
    return [o for o in v.board.flash.operations if part.offset <= o.address < part.end]


def payloads(site: Site) -> list[tuple[str | None, int]]:
    """Range and bytes of each answer with a part of an image."""
    answers = [r for r in site.server.log.answered() if r.path.endswith(".bin")]
    return [(r.range, r.bytes_sent) for r in answers]


def dirty(site, tmp_path, largest: int = PLAIN, fill: bytes = b"\x0f"):
    """A board whose next slot holds something else."""
    v = site.device(tmp_path / "b", {"idf_largest": largest})
    v.put("ota_1", fill * (17 * BLOCK))
    return v


def download(v, **how) -> None:
    u = updater(v)
    release = u.check()
    v.board.flash.operations.clear()
    u.download(release, **how)


def holds(v, image: bytes) -> bool:
    part = v.board.table.find("ota_1")
    return v.board.flash.read(part.offset, len(image)) == image


def naive_ms(image: bytes) -> float:
    """What it costs to erase and program every sector by itself."""
    sectors = (len(image) + SECTOR - 1) // SECTOR
    each = Operation("erase", 0, SECTOR).ms + Operation("program", 0, SECTOR).ms
    return sectors * each


def offer_from(site, server: Liar) -> None:
    """Publish the image with a payload on another server."""
    urls = [f"{server.url}/x.bin"]
    payloads = [{"urls": urls, "encoding": "plain", "size": len(IMAGE)}]
    fields = manifest_fields(IMAGE, payloads=payloads)
    manifest = signed(site.signer, json.dumps(fields).encode())
    (site.published / "virtual-esp32.manifest").write_bytes(manifest)


# Bytes


def test_an_update_moves_only_the_blocks_that_differ(site, tmp_path):
    v = site.device(tmp_path / "b")
    v.put("ota_1", IMAGE)
    changed = bytearray(IMAGE)
    changed[3 * BLOCK + 100 : 3 * BLOCK + 200] = bytes(100)
    site.publish(reseal(changed), "1.1")
    download(v)
    # one block in the middle, and the last one with checksum and digest
    assert payloads(site) == [
        ("bytes=196608-262143", BLOCK),
        (
            f"bytes={(len(IMAGE) - 1) // BLOCK * BLOCK}-{len(IMAGE) - 1}",
            (len(IMAGE) - 1) % BLOCK + 1,
        ),
    ]
    assert holds(v, reseal(changed))
    touched = {(o.address - v.board.table.find("ota_1").offset) // BLOCK for o in operations(v)}
    assert touched == {0, 3, (len(IMAGE) - 1) // BLOCK}  # 0: the header goes first, and comes last


def test_a_few_blocks_are_not_worth_a_second_connection(site, tmp_path):
    v = dirty(site, tmp_path)
    v.put("ota_1", IMAGE)
    part = v.board.table.find("ota_1")
    for block in (2, 5, 9):
        v.board.flash.load(part.offset + block * BLOCK, bytes(BLOCK))
    site.publish(IMAGE, "1.1")
    download(v)
    assert [o.size for o in operations(v) if o.kind == "erase"] == [SECTOR] * (1 + 3 * 16)


def test_the_same_image_moves_nothing_and_costs_no_flash_operation(site, tmp_path):
    v = site.device(tmp_path / "b")
    v.put("ota_1", IMAGE)
    site.publish(IMAGE, "1.1")
    download(v)
    assert payloads(site) == []
    assert operations(v) == []


def test_a_server_without_ranges_sends_all_and_only_what_differs_is_written(site, tmp_path):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
    liar = Liar(site.paths, head + IMAGE)
    v = site.device(tmp_path / "b")
    v.put("ota_1", IMAGE)
    part = v.board.table.find("ota_1")
    v.board.flash.load(part.offset + 5 * BLOCK, bytes(100))
    offer_from(site, liar)
    download(v)
    liar.close()
    assert holds(v, IMAGE)
    assert {(o.address - part.offset) // BLOCK for o in operations(v)} == {0, 5}


def test_a_server_without_ranges_is_asked_twice_where_memory_is_borrowed(site, tmp_path):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(IMAGE)
    liar = Liar(site.paths, head + IMAGE)
    v = dirty(site, tmp_path)
    offer_from(site, liar)
    download(v)
    liar.close()
    assert holds(v, IMAGE)
    part = v.board.table.find("ota_1")
    headers = [o.size for o in operations(v) if o.kind == "program" and o.address == part.offset]
    assert headers == [16, SECTOR, 16]  # cleared, left blank, programmed


def test_blocks_are_asked_for_over_one_connection(site, tmp_path, monkeypatch):
    v = site.device(tmp_path / "b")
    v.put("ota_1", IMAGE)
    part = v.board.table.find("ota_1")
    for block in (2, 5, 9):
        v.board.flash.load(part.offset + block * BLOCK, bytes(100))
    site.publish(IMAGE, "1.1")
    ports = []
    opened = updater(v)
    make = access.make_network

    def counted(*args):
        made = make(*args)
        connect = made.connect
        made.connect = lambda url, patience: ports.append(url.port) or connect(url, patience)
        return made

    monkeypatch.setattr(access, "make_network", counted)
    release = opened.check()
    ports.clear()
    opened.download(release)
    assert len(payloads(site)) == 3
    assert len(ports) == 1


# Flash


def test_with_memory_for_64_kib_the_flash_takes_at_most_two_fifths_of_the_time(site, tmp_path):
    v = dirty(site, tmp_path, LARGE)
    site.publish(IMAGE, "1.1")
    download(v)
    assert holds(v, IMAGE)
    assert sum(o.ms for o in operations(v)) <= 0.4 * naive_ms(IMAGE)


def test_the_writer_decides_by_the_times_of_the_board():
    assert wide._ERASE_MS == TIMES["erase", SECTOR]
    assert wide._PROGRAM_MS == TIMES["program", 1024] * 4
    assert wide._WHOLE_BLOCK_MS == TIMES["erase", BLOCK] + 64 * TIMES["program", 1024]


def test_with_64_kib_borrowed_the_flash_takes_at_most_three_fifths_of_the_time(site, tmp_path):
    v = dirty(site, tmp_path)
    site.publish(IMAGE, "1.1")
    download(v)
    assert holds(v, IMAGE)
    assert sum(o.ms for o in operations(v)) <= 0.6 * naive_ms(IMAGE)
    # the server is asked for the head first, and again when the memory was given back
    assert [asked for asked, _ in payloads(site)] == [
        "bytes=0-4095",
        f"bytes=4096-{len(IMAGE) - 1}",
    ]


def test_nothing_is_borrowed_for_a_blank_slot(site, tmp_path):
    v = site.device(tmp_path / "b", {"idf_largest": PLAIN})
    site.publish(IMAGE, "1.1")
    download(v)
    assert holds(v, IMAGE)
    assert [o for o in operations(v) if o.kind == "erase"] == []
    assert payloads(site) == [(None, len(IMAGE))]


def test_an_application_that_must_not_stall_gets_short_steps(site, tmp_path):
    v = dirty(site, tmp_path, LARGE)
    site.publish(IMAGE, "1.1")
    seen = []

    def feed():
        seen.append(sum(o.ms for o in operations(v)[sum(map(len, steps)) :]))
        steps.append(operations(v)[sum(map(len, steps)) :])

    steps: list[list[Operation]] = []
    download(v, feed=feed, split=True)
    assert holds(v, IMAGE)
    assert max(map(len, steps)) == 1
    assert max(seen) == Operation("erase", 0, SECTOR).ms
    assert max(o.size for o in operations(v) if o.kind == "program") == 1024


def test_a_watchdog_is_fed_after_every_flash_operation_and_while_reading_back(site, tmp_path):
    site.publish(IMAGE, "1.1")
    for largest in (PLAIN, LARGE):
        v = dirty(site, tmp_path / str(largest), largest)
        fed = []
        download(v, feed=lambda v=v, fed=fed: fed.append(len(operations(v))))
        gaps = [b - a for a, b in itertools.pairwise(fed)]
        assert max(gaps) <= 2  # one, and the erase and the program inside one call of 64 KiB
        assert fed.count(fed[-1]) >= len(IMAGE) // (
            4 * SECTOR
        )  # while reading back nothing is written


@pytest.mark.parametrize("largest", [PLAIN, LARGE])
@pytest.mark.parametrize("wrong", ["missing", "short", "no image"])
def test_nothing_is_erased_before_the_server_has_shown_the_head(site, tmp_path, largest, wrong):
    v = dirty(site, tmp_path, largest)
    payload = site.publish(IMAGE, "1.1").payload_path
    if wrong == "missing":
        payload.unlink()
    elif wrong == "short":
        payload.write_bytes(IMAGE[:-1])
    else:
        payload.write_bytes(b"<html>" + IMAGE[6:])
    with pytest.raises(OtaError):
        download(v)
    assert operations(v) == []


def test_a_first_part_that_is_too_short_to_judge_erases_nothing(site, tmp_path):
    head = b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-0/%d\r\nContent-Length: 1\r\n\r\n" % len(
        IMAGE
    )
    liar = Liar(site.paths, head + IMAGE[:1])
    v = dirty(site, tmp_path)
    offer_from(site, liar)
    with pytest.raises(OtaError):
        download(v)
    liar.close()
    assert operations(v) == []


# What fails on the way


def test_what_the_application_raises_comes_through(site, tmp_path):
    site.publish(IMAGE, "1.1")

    def broken(*args):
        raise OSError(5, "the display")

    for number, how in enumerate(({"feed": broken}, {"progress": broken})):
        v = dirty(site, tmp_path / str(number))
        with pytest.raises(OSError, match="the display"):
            download(v, **how)
        download(v)
        assert holds(v, IMAGE)
        u = updater(v)
        release = u.check()
        with pytest.raises(OSError, match="the display"):
            u.activate(release, feed=broken)
        u.activate(release)
        assert v.selected() == "ota_1"


def test_a_cancel_before_the_head_was_seen_leaves_the_journal_alone(site, tmp_path):
    v = dirty(site, tmp_path, LARGE)
    site.publish(IMAGE, "1.1")
    before = copy.deepcopy(v.board.nvs.content)
    with pytest.raises(SlotError, match="cancelled"):
        download(v, progress=lambda done, total: False)
    assert v.board.nvs.content == before
    assert operations(v) == []


def test_after_a_cancel_what_was_in_doubt_stays_in_doubt(site, tmp_path):
    v = dirty(site, tmp_path)
    site.publish(IMAGE, "1.1")
    with pytest.raises(SlotError, match="cancelled"):
        download(v, progress=lambda done, total: done < 5 * BLOCK)
    journal = Situation(v.port()).journal
    assert (journal.state, journal.outcome) == (jr.WRITING, jr.CANCELLED)


def test_without_nvs_an_activation_is_taken_back(site, tmp_path, monkeypatch):
    v = dirty(site, tmp_path)
    site.publish(IMAGE, "1.1")
    u = updater(v)
    release = u.check()
    u.download(release)
    nvs = v.esp32.NVS

    class Full:
        def __init__(self, name):
            if v.selected() == "ota_1":
                raise OSError(-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
            self._nvs = nvs(name)

        def __getattr__(self, name):
            return getattr(self._nvs, name)

    monkeypatch.setattr(v.esp32, "NVS", Full)
    with pytest.raises(SlotError, match="nvs"):
        u.activate(release)
    assert v.selected() == "ota_0"
    monkeypatch.setattr(v.esp32, "NVS", nvs)
    u.activate(release)
    assert v.selected() == "ota_1"


def test_flash_that_cannot_be_read_has_its_code(site, tmp_path, monkeypatch):
    v = dirty(site, tmp_path)
    site.publish(IMAGE, "1.1")
    u = updater(v)
    release = u.check()
    read = v.esp32.Partition.readblocks

    def failing(label):
        def readblocks(self, *args):
            if self.info()[4] == label:
                raise OSError(-1, "ESP_FAIL")
            return read(self, *args)

        return readblocks

    for label, call, code in (
        ("ota_0", u.check, "flash"),
        ("vfs", lambda: u.download(release), "files"),
        ("ota_1", lambda: u.download(release), "flash"),
    ):
        monkeypatch.setattr(v.esp32.Partition, "readblocks", failing(label))
        with pytest.raises(SlotError) as e:
            call()
        assert e.value.code == code, label


# Memory


SCRIPT = """
import micropython, sys
sys.path.insert(0, {lib!r})
from ota.http import Url
from ota.net import Network
from ota.patience import Patience
from ota.source import Source


class Limits:
    timeout_s = total_s = 20
    least_rate = 0
    tries = 1


source = Source(Network(None, [open({root!r}, "rb").read()]), Patience(Limits, b"x"), "")
steps = source.get(Url({url!r}))
try:
    while True:
        waiting = next(steps)
        if waiting:
            waiting.wait()
except StopIteration as e:
    body = e.value
buf = bytearray(4096)


def forty():
    count = 0
    while count < 40:
        if body.readinto(buf):
            count += 1
        else:
            body.link.patience.again(count, True)


body.readinto(buf)
micropython.heap_lock()
forty()
micropython.heap_unlock()
source.close()
print("quiet")
"""


def test_reading_from_a_tls_connection_allocates_nothing_in_the_python_heap(site, tmp_path):
    (site.published / "x.bin").write_bytes(IMAGE)
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            lib=str(resources.library_dir().parent),
            root=str(site.paths.ca_der),
            url=f"{site.server.url}/x.bin",
        )
    )
    for vm in interpreter.legs().values():
        done = subprocess.run(
            [*vm.argv, str(script)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "quiet\n", done.stdout + done.stderr


def reseal(image: bytearray) -> bytes:
    """The image with checksum and digest set right, one segment long as fakes.make_image makes it."""
    data = bytearray(image[:-33])
    checksum = 0xEF
    for byte in image[32 : 32 + int.from_bytes(image[28:32], "little")]:
        checksum ^= byte
    data.append(checksum)
    return bytes(data) + hashlib.sha256(data).digest()
