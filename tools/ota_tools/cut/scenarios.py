"""The scenarios: how a board comes to its start, what is recorded and cut, and how it may end.

Each is a row. `act` runs under power and is cut everywhere; after a cut the board lives on with `after`
until nothing is left to do.
"""

from dataclasses import dataclass, field
from typing import Any

from ota import otadata
from ota_tools.board.settings import Settings
from ota_tools.cut.app import LOOPS, App
from ota_tools.cut.life import Life, Main
from ota_tools.cut.world import BARE, KEYS


@dataclass(frozen=True)
class Scenario:
    """One row.

    Attributes:
        name: for the command line.
        story: one line.
        act: the recorded life.
        after: the life after each cut.
        ends: versions that may run in the end.
        runs: versions that may run on the way, beside those in `ends`.
        before: what the board does before anything is recorded, one life each.
        holds: versions that a cable put into the slots, beside 1.0 in the first app partition.
        records: both otadata records, from a cable; blank by default.
        settings: of the board.
        factory: the table has a factory image beside the two slots, and it runs first.
        big: 1.4 MB slots; cut at samples only.
        vfs_full: nothing more fits into the file system.
        then: a good release that must install behind all of that.
    """

    name: str
    story: str
    act: Main
    after: Main
    ends: tuple[str, ...]
    runs: tuple[str, ...] = ("1.0",)
    before: tuple[Main, ...] = ()
    holds: tuple[tuple[str, str], ...] = ()
    records: tuple[bytes, bytes] | None = None
    settings: Settings = field(default_factory=Settings)
    factory: bool = False
    big: bool = False
    vfs_full: bool = False
    then: str = ""


CONFIG = b'{"product": "cut", "board": "virtual", "tries": 1, "ntp": ""}'


def offering(offered: str, **how: Any) -> Main:
    """The shipped main.py, where the server offers this version."""

    def main(life: Life, app: App) -> None:
        life.try_out(app)
        life.update(offered, **how)

    return main


def _cancelling(life: Life, app: App) -> None:
    life.try_out(app)
    life.update("1.1", progress=lambda done, total: done < total // 2)


def _going_back(life: Life, app: App) -> None:
    life.try_out(app)
    if app.version == "1.1":
        life.roll_back()


def _giving_up(life: Life, app: App) -> None:
    # Installed, and called off before the reset.
    life.try_out(app)
    updater = life.updater("1.1")
    release = updater.check()
    if release:
        updater.install(release)
        life.roll_back()


def _sleeping(offered: str, naps: int) -> Main:
    # Sleeps in the place of the reset that it should make, and so often before it tests itself.
    def main(life: Life, app: App) -> None:
        if 0 <= life.wakes() < naps:
            life.sleep()
        life.try_out(app)
        updater = life.updater(offered)
        release = updater.check()
        if release:
            updater.install(release)
            life.sleep()

    return main


def _crashing(life: Life, app: App) -> None:
    life.try_out(app)
    if app.does == LOOPS:
        life.crash()
    life.update("2.0-loops")


def _writing_config(life: Life, app: App) -> None:
    life.write_file("/ota.json", CONFIG.replace(b'"tries": 1', b'"tries": 2'))


def _writing_trust(life: Life, app: App) -> None:
    life.write_file("/ota_trust.json", life.world.trust)


def _bare(life: Life, app: App) -> None:
    life.try_out(app)
    life.install_image(BARE)


def _telling(life: Life, app: App) -> None:
    life.try_out(app)
    life.tell()
    life.update("1.2")


def _idle(life: Life, app: App) -> None:
    life.try_out(app)


def _both(name: str, story: str, offered: str, ends: str, **more: Any) -> Scenario:
    # The server offers the same before and after the cut.
    main = offering(offered)
    return Scenario(name, story, main, main, (ends,), **more)


def _fruitless(name: str, story: str, offered: str, **more: Any) -> Scenario:
    return _both(name, story, offered, "1.0", runs=(offered,), then="1.2", **more)


_UP = offering("1.1")
_WIDE = Settings(idf_largest=200_000)
_OLD = Settings(rollback=False)
_WRONG_CRC = otadata.encode(5, otadata.VALID)[:28] + bytes(4)
_FIRST = otadata.encode(1, otadata.VALID)

SCENARIOS = (
    _both("first", "the first update of a new board", "1.1", "1.1"),
    _both("wide", "the same, with a buffer of 64 KiB", "1.1", "1.1", settings=_WIDE),
    _both(
        "second", "the next one, over an older image", "1.2", "1.2", runs=("1.1",), before=(_UP,)
    ),
    _both(
        "second-wide",
        "the same, with a buffer of 64 KiB",
        "1.2",
        "1.2",
        runs=("1.1",),
        before=(_UP,),
        settings=_WIDE,
    ),
    _both("same", "the release that is confirmed already", "1.1", "1.1", before=(_UP,)),
    _both(
        "smaller",
        "a smaller image over a larger one",
        "1.3",
        "1.3",
        runs=("1.2",),
        before=(_UP, offering("1.2")),
    ),
    Scenario(
        "changed",
        "another release is there when the power comes back",
        _UP,
        offering("1.2"),
        ("1.2",),
        runs=("1.0", "1.1"),
    ),
    _both("resume", "a download that was cut short goes on", "1.1", "1.1", before=(_cancelling,)),
    Scenario("cancel", "a download is cancelled", _cancelling, _UP, ("1.1",)),
    Scenario("give-up", "an update is called off before its reset", _giving_up, _UP, ("1.1",)),
    _fruitless("fails", "an image fails its self-test", "2.0-fails"),
    _fruitless("hangs", "an image hangs on trial, until the watchdog resets", "2.0-hangs"),
    _fruitless("crashes", "an image crashes in main.py", "2.0-crashes"),
    _fruitless("dead", "an image crashes before boot.py", "2.0-dead"),
    _fruitless("broken", "a signed image that does not load", "2.0-broken"),
    Scenario(
        "by-hand",
        "a confirmed image is rolled back by hand",
        _going_back,
        _idle,
        ("1.0", "1.1"),
        before=(_UP,),
        then="1.2",
    ),
    Scenario(
        "loops",
        "a confirmed image crashes again and again",
        _crashing,
        _crashing,
        ("1.0",),
        runs=("2.0-loops",),
        before=(offering("2.0-loops"),),
        then="1.2",
    ),
    _both(
        "after-fails",
        "a good release, where another one failed before",
        "1.2",
        "1.2",
        before=(offering("2.0-fails"),),
    ),
    Scenario(
        "refused",
        "a release that a stranger signed",
        offering("9.0-stranger"),
        offering("9.0-stranger"),
        ("1.0",),
        then="1.1",
    ),
    Scenario(
        "tells",
        "the application asks how the last update ended",
        _telling,
        _telling,
        ("1.2",),
        runs=("1.1",),
        before=(_UP,),
    ),
    Scenario("no-space", "the file system is full", _UP, _UP, ("1.0",), vfs_full=True),
    Scenario("config", "the configuration is written again", _writing_config, _UP, ("1.1",)),
    Scenario("trust", "the trust store's file is written again", _writing_trust, _UP, ("1.1",)),
    _both("keys", "two newer trust stores, and a release by the newest key", KEYS, KEYS),
    _both(
        "thief",
        "there, where a stolen key has signed a sequence far ahead",
        KEYS,
        KEYS,
        runs=("1.9-far",),
        before=(offering("1.9-far"),),
    ),
    Scenario("bare", "an image with no more than Espressif's signature", _bare, _bare, (BARE,)),
    Scenario(
        "sleeps",
        "deep sleep where a reset belongs, and in the trial",
        _sleeping("1.1", 3),
        _sleeping("1.1", 3),
        ("1.1",),
    ),
    Scenario(
        "only-sleeps",
        "an image that sleeps and never confirms",
        _sleeping("1.1", 99),
        _sleeping("1.1", 99),
        ("1.0",),
        runs=("1.1",),
        then="1.2",
    ),
    # Trials without the bootloader's help
    _both("old", "a bootloader without rollback", "1.1", "1.1", settings=_OLD),
    _fruitless("old-fails", "there, an image fails its self-test", "2.0-fails", settings=_OLD),
    _fruitless("old-hangs", "there, an image hangs", "2.0-hangs", settings=_OLD),
    _fruitless("old-crashes", "there, an image crashes", "2.0-crashes", settings=_OLD),
    Scenario(
        "old-sleeps",
        "there, deep sleep in the trial",
        _sleeping("1.1", 3),
        _sleeping("1.1", 3),
        ("1.1",),
        settings=_OLD,
    ),
    _both("factory", "the first update beside a factory image", "1.1", "1.1", factory=True),
    _fruitless("factory-fails", "there, an image fails its self-test", "2.0-fails", factory=True),
    _fruitless(
        "factory-old",
        "there, an image hangs under a bootloader without rollback",
        "2.0-hangs",
        factory=True,
        settings=_OLD,
    ),
    # Rows of the state table that need somebody's help
    _both(
        "row-valid",
        "a valid record that names an empty slot",
        "1.1",
        "1.1",
        records=(_FIRST, otadata.encode(2, otadata.VALID)),
    ),
    _both(
        "row-torn-elsewhere",
        "a torn record that names an empty slot",
        "1.1",
        "1.1",
        records=(_FIRST, otadata.encode(2, otadata.UNDEFINED)),
    ),
    _both(
        "row-torn-here",
        "a torn record of the running slot, and a journal that knows nothing",
        "1.2",
        "1.2",
        runs=("1.0", "1.1"),
        records=(_FIRST, otadata.encode(2, otadata.UNDEFINED)),
        holds=(("ota_1", "1.1"),),
    ),
    _both(
        "row-none",
        "no valid record",
        "1.1",
        "1.1",
        records=(_WRONG_CRC, _WRONG_CRC),
    ),
    _fruitless(
        "fallback",
        "the selected slot stops loading, and the next release crashes before boot.py",
        "2.0-dead",
        holds=(("ota_0", "2.0-broken"), ("ota_1", "1.0")),
        records=(_FIRST, otadata.encode(2, otadata.ABORTED)),
    ),
    _both("big", "an image of 1.4 MB, with a buffer of 4 KiB", "3.0-big", "3.0-big", big=True),
    _both(
        "big-wide",
        "the same, with a buffer of 64 KiB",
        "3.0-big",
        "3.0-big",
        big=True,
        settings=_WIDE,
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
