"""The scenarios: how a board comes to its start, what is recorded and cut, and how it may end.

Each is a row. `act` runs under power and is cut everywhere; after a cut the board lives on with `after`
until nothing is left to do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ota.files import replace_file
from ota_tools.board.model import Settings
from ota_tools.cut.life import Life, offering
from ota_tools.cut.world import App

Main = Callable[[Life, App], None]


@dataclass(frozen=True)
class Scenario:
    """One row.

    Attributes:
        name: for the command line.
        story: one line.
        before: what the board does before anything is recorded, one life each.
        act: the recorded life.
        after: the life after each cut.
        ends: versions that may run in the end.
        settings: of the board.
        factory: the table has a factory image beside the two slots, and it runs first.
        big: 1.4 MB slots; cut at samples only.
        vfs_full: nothing more fits into the file system.
        runs: versions that may run on the way, beside those in `ends`.
    """

    name: str
    story: str
    act: Main
    after: Main
    ends: tuple[str, ...]
    before: tuple[Main, ...] = ()
    settings: Settings = field(default_factory=Settings)
    factory: bool = False
    big: bool = False
    vfs_full: bool = False
    runs: tuple[str, ...] = ("1.0",)


def _cancelled(life: Life, app: App) -> None:
    life.try_out(app)
    life.update("1.1", progress=lambda done, total: done < total // 2)


def _only_download(life: Life, app: App) -> None:
    _cancelled(life, app)


def _by_hand(life: Life, app: App) -> None:
    life.try_out(app)
    if app.version == "1.1":
        life.roll_back()


def _taken_back(life: Life, app: App) -> None:
    # Installed, and given up before the reset.
    from ota.updater import Updater

    life.try_out(app)
    updater = Updater.from_config(port=life.port, network=life._world.network("1.1"))
    release = updater.check()
    if release:
        updater.install(release)
        life.roll_back()


def _writes(name: str) -> Main:
    def main(life: Life, app: App) -> None:
        data = life.files[name]
        replace_file(name, data)

    return main


def _idle(life: Life, app: App) -> None:
    life.try_out(app)


_UP = offering("1.1")
_WIDE = Settings(idf_largest=200_000)

SCENARIOS = (
    Scenario("first", "the first update of a new board", _UP, _UP, ("1.1",)),
    Scenario(
        "wide",
        "the same, with a buffer of 64 KiB",
        _UP,
        _UP,
        ("1.1",),
        settings=_WIDE,
    ),
    Scenario(
        "second",
        "the second update, over the first image",
        offering("1.2"),
        offering("1.2"),
        ("1.2",),
        before=(_UP,),
        runs=("1.1",),
    ),
    Scenario(
        "second-wide",
        "the same, with a buffer of 64 KiB",
        offering("1.2"),
        offering("1.2"),
        ("1.2",),
        before=(_UP,),
        runs=("1.1",),
        settings=_WIDE,
    ),
    Scenario("same", "the release that is confirmed already", _UP, _UP, ("1.1",), before=(_UP,)),
    Scenario(
        "smaller",
        "a smaller image over a larger one",
        offering("1.3"),
        offering("1.3"),
        ("1.3",),
        before=(_UP, offering("1.2")),
        runs=("1.2",),
    ),
    Scenario(
        "changed",
        "another release is there when the power comes back",
        _UP,
        offering("1.2"),
        ("1.2",),
        runs=("1.0", "1.1"),
    ),
    Scenario(
        "resume",
        "a download that was cancelled half-way goes on",
        _UP,
        _UP,
        ("1.1",),
        before=(_cancelled,),
    ),
    Scenario("cancel", "a download is cancelled", _cancelled, _UP, ("1.1",)),
    Scenario("taken-back", "an update is given up before the reset", _taken_back, _UP, ("1.1",)),
    Scenario(
        "fails",
        "an image fails its self-test",
        offering("2.0-fails"),
        offering("2.0-fails"),
        ("1.0",),
        runs=("2.0-fails",),
    ),
    Scenario(
        "hangs",
        "an image hangs until the watchdog resets, twice",
        offering("2.0-hangs"),
        offering("2.0-hangs"),
        ("1.0",),
        runs=("2.0-hangs",),
    ),
    Scenario(
        "crashes",
        "an image crashes in main.py, twice",
        offering("2.0-crashes"),
        offering("2.0-crashes"),
        ("1.0",),
        runs=("2.0-crashes",),
    ),
    Scenario(
        "dead",
        "an image crashes before boot.py, twice",
        offering("2.0-dead"),
        offering("2.0-dead"),
        ("1.0",),
        runs=("2.0-dead",),
    ),
    Scenario(
        "by-hand",
        "a confirmed image is rolled back by hand",
        _by_hand,
        _idle,
        ("1.0", "1.1"),
        before=(_UP,),
    ),
    Scenario(
        "refused",
        "a release that a stranger signed",
        offering("9.0-stranger"),
        offering("9.0-stranger"),
        ("1.0",),
    ),
    Scenario(
        "no-space", "the file system is full", _UP, _UP, ("1.0",), vfs_full=True, runs=()
    ),
    Scenario(
        "config", "the configuration is written again", _writes("/ota.json"), _UP, ("1.1",)
    ),
    Scenario(
        "trust-file",
        "the trust store's file is written again",
        _writes("/ota_trust.json"),
        _UP,
        ("1.1",),
    ),
    Scenario(
        "no-rollback",
        "a bootloader without rollback",
        _UP,
        _UP,
        ("1.1",),
        settings=Settings(rollback=False),
    ),
    Scenario(
        "no-rollback-hangs",
        "an image that hangs, under a bootloader without rollback",
        offering("2.0-hangs"),
        offering("2.0-hangs"),
        ("1.0",),
        settings=Settings(rollback=False),
        runs=("2.0-hangs",),
    ),
    Scenario(
        "factory",
        "the first update of a board with a factory image",
        _UP,
        _UP,
        ("1.1",),
        factory=True,
    ),
    Scenario(
        "factory-fails",
        "an image fails its self-test, with a factory image to return to",
        offering("2.0-fails"),
        offering("2.0-fails"),
        ("1.0",),
        factory=True,
        runs=("2.0-fails",),
    ),
    Scenario(
        "big",
        "an image of 1.4 MB, with a buffer of 4 KiB",
        offering("3.0-big"),
        offering("3.0-big"),
        ("3.0-big",),
        big=True,
    ),
    Scenario(
        "big-wide",
        "an image of 1.4 MB, with a buffer of 64 KiB",
        offering("3.0-big"),
        offering("3.0-big"),
        ("3.0-big",),
        big=True,
        settings=_WIDE,
    ),
)
