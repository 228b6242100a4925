"""The updater beside other tasks: same way of the bytes, and nobody else waits for the network."""

import asyncio
import itertools
import os
from pathlib import Path

import pytest
from site_of import image_of

import ota.engine
from ota.aio import AsyncUpdater
from ota.errors import SlotError, SourceError
from ota.port import Port

IMAGE = image_of(6, 300_000)


@pytest.fixture
def v(site, tmp_path):
    return site.device(tmp_path / "b")


def aio(v) -> AsyncUpdater:
    return AsyncUpdater.from_config(port=v.port())


def holds(v) -> bool:
    part = v.board.table.find("ota_1")
    return v.board.flash.read(part.offset, len(IMAGE)) == IMAGE


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_an_update_installs_what_the_server_offers(site, v):
    site.publish(IMAGE, "1.1")
    release = asyncio.run(aio(v).update())
    assert release.version == "1.1"
    assert holds(v)
    assert v.selected() == "ota_1"


def test_where_nothing_is_new_nothing_is_installed(site, v):
    site.publish(IMAGE, "1.1", sequence=1)
    (v.root / "ota_receipts.json").write_text(
        '{"format":1,"slots":{"0":{"sha256":"%s","size":1,"version":"1.1","sequence":1}}}'
        % ("00" * 32)
    )
    updater = aio(v)
    assert asyncio.run(updater.update()) is None
    assert updater.reason == "up to date: sequence 1 is confirmed"
    assert v.selected() == "ota_0"


def test_the_steps_can_be_taken_one_by_one(site, v):
    site.publish(IMAGE, "1.1")

    async def steps():
        updater = aio(v)
        assert await updater.reachable()
        release = await updater.check()
        await updater.download(release)
        assert v.selected() == "ota_0"
        await updater.activate(release)

    asyncio.run(steps())
    assert holds(v)
    assert v.selected() == "ota_1"


def test_other_tasks_run_meanwhile(site, v):
    site.publish(IMAGE, "1.1")
    ticks = []

    async def tick():
        while True:
            ticks.append(len(v.board.flash.operations))
            await asyncio.sleep(0)

    async def both():
        task = asyncio.create_task(tick())
        await aio(v).update()
        task.cancel()

    v.put("ota_1", b"\x0f" * len(IMAGE))
    asyncio.run(both())
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert max(steps[: len(steps) * 9 // 10]) <= 1  # operations between two ticks, but at the end


def test_others_run_between_all_steps_on_the_slot_and_none_is_long(site, v):
    site.publish(IMAGE, "1.1")
    v.put("ota_1", b"\x0f" * len(IMAGE))
    v.board.flash.operations.clear()
    part = v.board.table.find("ota_1")
    seen = []

    def touched():
        operations = v.board.flash.operations
        return [o for o in operations if part.offset <= o.address < part.end]

    async def tick():
        while True:
            seen.append(len(touched()))
            await asyncio.sleep(0)

    async def both():
        updater = aio(v)
        release = await updater.check()
        task = asyncio.create_task(tick())
        await updater.download(release)
        task.cancel()

    asyncio.run(both())
    assert max(b - a for a, b in itertools.pairwise([*seen, len(touched())])) == 1
    longest = {kind: max(o.size for o in touched() if o.kind == kind) for kind in KINDS}
    assert longest == {"erase": 4096, "program": 1024}


KINDS = ("erase", "program")


def test_progress_tells_how_far_it_is_and_can_cancel(site, v):
    site.publish(IMAGE, "1.1")
    seen = []

    def progress(done, total):
        seen.append((done, total))
        return done < 100_000

    with pytest.raises(SlotError, match="cancelled"):
        asyncio.run(aio(v).update(progress))
    assert seen[-1][0] >= 100_000
    assert {total for _, total in seen} == {len(IMAGE)}
    asyncio.run(aio(v).update())
    assert holds(v)


def test_a_task_that_is_cancelled_leaves_no_socket_and_can_be_tried_again(site, v):
    site.publish(IMAGE, "1.1")
    before = open_files()

    async def cancelled(at):
        task = asyncio.create_task(aio(v).update(lambda done, _: done <= at or task.cancel()))
        if not at:
            await asyncio.sleep(0.001)
            task.cancel()
        with pytest.raises(asyncio.CancelledError) as kept:
            await task
        assert not ota.engine._running, "everything is closed, not only forgotten"
        del kept

    for at in (0, 1000, 200_000):
        asyncio.run(cancelled(at))
        assert open_files() <= before + 3  # threads of the server may be about to close theirs
    asyncio.run(aio(v).update())
    assert holds(v)


def test_an_update_that_fails_before_the_download_leaves_no_connection_open(site, v, monkeypatch):
    site.publish(IMAGE, "1.1")
    updater = aio(v)

    def full(port):
        assert updater._sources, "there was no connection"
        raise SlotError("files", "no room")

    monkeypatch.setattr(Port, "check_file_system", full)
    with pytest.raises(SlotError, match="no room"):
        asyncio.run(updater.update())
    assert not updater._sources


def test_a_second_download_at_the_same_time_is_refused(site, v):
    site.publish(IMAGE, "1.1")

    async def both():
        first = aio(v)
        release = await first.check()
        task = asyncio.create_task(first.download(release))
        await asyncio.sleep(0.001)
        with pytest.raises(SlotError, match="busy"):
            await aio(v).download(release)
        await task

    asyncio.run(both())
    assert holds(v)


def test_a_check_during_a_download_is_refused_and_does_no_harm(site, v):
    site.publish(IMAGE, "1.1")

    async def both():
        updater = aio(v)
        release = await updater.check()
        task = asyncio.create_task(updater.download(release))
        await asyncio.sleep(0.001)
        for call in (updater.check, updater.reachable):
            with pytest.raises(SlotError, match="busy"):
                await call()
        await task

    asyncio.run(both())
    assert holds(v)
    assert sum(path.endswith(".bin") for path in site.asked()) == 1


def test_a_server_that_is_not_there_has_its_code(site, v):
    site.server.close()
    with pytest.raises(SourceError, match="unreachable"):
        asyncio.run(aio(v).check())


def test_the_library_has_one_way_of_the_bytes():
    lib = Path(__file__).parents[2] / "lib" / "ota"
    for pump in ("updater.py", "aio.py"):
        text = (lib / pump).read_text()
        assert "from .engine import Engine" in text
        for word in ("socket", "readinto", "writeblocks"):
            assert word not in text
