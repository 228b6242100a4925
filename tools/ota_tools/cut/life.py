"""A board's life in this process, from power-on until nothing is left to do.

The library is the real one, on the model of chip and bootloader; what main.py does stands here, as the
shipped one does it. Everything that happens is a function of flash, NVS and what the server offers:
the clock stands still, pauses are not made.
"""

from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from types import SimpleNamespace
from typing import Any

import ota.engine
import ota.guard
import ota.memory
import ota.recovery
import ota.trial
from ota.errors import OtaError
from ota.files import replace_file
from ota.port import Port
from ota.situation import Situation
from ota.start import boot
from ota.updater import Updater
from ota_tools.board.flash import Flash
from ota_tools.board.model import DEEP_SLEEP, HARD, POWER_ON, WATCHDOG, Board, BoardReset
from ota_tools.board.nvs import Nvs
from ota_tools.board.settings import Settings
from ota_tools.cut import vfs
from ota_tools.cut.app import CRASHES, DEAD, FAILS, HANGS, App
from ota_tools.cut.state import State, Step, record
from ota_tools.cut.world import World
from ota_tools.failures import Refused

NOW = 1_800_000_000
"""Unix seconds on every board: later than any release."""

CRASH_LIMIT = 3
_MOST_BOOTS = 80

Main = Callable[["Life", App], None]
"""What an application does once boot.py has run, given the image that it is in."""


class Failed(Exception):
    """The board did what it never may."""


class FixedPort(Port):
    """The board's, with a clock that stands still."""

    def now(self) -> int:
        """Always the same."""
        return NOW


class SetBootPort(FixedPort):
    """One that selects by ESP-IDF's own call, to be compared with ours (docs/adr/0005)."""

    def select(self, slot: int, state: int = 0) -> None:
        """As `Port.select`, but for the state."""
        try:
            self.slots()[slot].set_boot()
        except OSError as e:
            raise ota.errors.error("flash", str(e)) from e


class Log(list[Step]):
    """Steps in their order; `bootloader`: the numbers of those that are not ours."""

    def __init__(self) -> None:
        super().__init__()
        self.bootloader: set[int] = set()


class Life:
    """One board, one stretch under power.

    Attributes:
        world, state: as given; the state changes as the board lives.
        log: every step since the object was made.
        passed: versions that passed their self-test on trial.
        told: how updates ended, as the application was told.
        asked: it wants to be told.
        boots: versions that were started, by the content of their slot; "" for anything else.
        errors: codes that the application got.
        faults: codes with which boot() may fail.
        watch: called after each decision of the bootloader, with what was started.
    """

    def __init__(
        self,
        world: World,
        state: State,
        settings: Settings,
        find: Callable[[State, Any], App | None],
        port: type[FixedPort] = FixedPort,
    ) -> None:
        """Args:
        state: taken over.
        find: find(state, partition) is the image in a slot.
        port: how the library reaches the board.
        """
        self.world = world
        self.state = state
        self._find = find
        nvs = Nvs()
        nvs.content = state.nvs
        self.board = Board("cut", settings, Flash(state.flash, settings.strict), nvs)
        self.log = Log()
        self._booting = False
        self.passed: set[str] = set()
        self.told: list[str] = []
        self.asked = False
        self.boots: list[str] = []
        self.errors: list[str] = []
        self.faults: tuple[str, ...] = ()
        self.watch: Callable[[App | None], None] = lambda app: None
        record(self.board.flash, nvs, self._note)
        modules = self.board.modules()
        self.port = port(modules["esp32"], modules["machine"])

    def run(self, main: Main, cause: int = POWER_ON) -> None:
        """Power on, reset by reset, until `main` returns. Raises Failed."""
        for _ in range(_MOST_BOOTS):
            self._booting = True
            try:
                part = self.board.boot(cause)
            except Refused as e:
                raise Failed(str(e)) from e
            finally:
                self._booting = False
            app = self._find(self.state, part)
            self.boots.append(app.version if app else "")
            self.watch(app)
            if app is None:
                raise Failed(f"{part.name} runs, and holds no published image")
            try:
                self._start(app, main)
                return
            except BoardReset as e:
                cause = e.cause
        raise Failed("it resets again and again: " + " ".join(self.boots[-12:]))

    def _note(self, step: Step) -> None:
        if self._booting:
            self.log.bootloader.add(len(self.log))
        self.log.append(step)

    def _start(self, app: App, main: Main) -> None:
        if app.does == DEAD:
            raise BoardReset(HARD, "crashed before boot.py")
        part = self.board.table.find("vfs")
        assert part is not None
        try:
            fs = vfs.mount(self.board.flash, part)
        except Refused as e:
            raise Failed(str(e)) from e
        with vfs.root(fs), _fresh_library(), redirect_stdout(StringIO()) as printed:
            boot(crashes=CRASH_LIMIT, port=self.port)
            if "ota: boot:" in printed.getvalue():
                raise Failed(printed.getvalue().strip())
            fault = ota.recovery.fault
            if fault and not any(f" {code}: " in fault for code in self.faults):
                raise Failed(f"boot(): {ota.recovery.fault}")
            try:
                main(self, app)
            except OtaError as e:
                self.errors.append(e.code)

    # What applications do

    def try_out(self, app: App) -> None:
        """The self-test first: as this image does on trial."""
        if app.does == HANGS and Situation(self.port).on_trial():
            raise BoardReset(WATCHDOG, "hangs")
        if app.does == CRASHES:
            raise BoardReset(HARD, "crashes in main.py")
        ota.trial.self_test([("app", lambda: self._test(app))], port=self.port)

    def _test(self, app: App) -> bool:
        if app.does == FAILS:
            return False
        self.passed.add(app.version)
        return True

    def updater(self, offered: str) -> Updater:
        """One whose server offers this version."""
        updater: Updater = Updater.from_config(port=self.port, network=self.world.network(offered))
        return updater

    def update(self, offered: str, **how: Any) -> None:
        """Ask the server and install what it offers; a reset where there is something new."""
        if self.updater(offered).update(**how):
            ota.trial.reset(self.port)

    def install_image(self, offered: str) -> None:
        """The image without a manifest, and a reset."""
        self.updater(offered).install_image("https://server/app.bin")
        ota.trial.reset(self.port)

    def roll_back(self) -> None:
        """By hand."""
        ota.trial.rollback("by hand", self.port)

    def tell(self) -> None:
        """Ask how the last update ended, until there is nothing more to tell."""
        self.asked = True
        while found := ota.memory.outcome(self.port):
            self.told.append(str(found))

    def sleep(self) -> None:
        """Deep sleep."""
        raise BoardReset(DEEP_SLEEP, "sleeps")

    def crash(self) -> None:
        """A panic."""
        raise BoardReset(HARD, "crashes")

    def wakes(self) -> int:
        """From deep sleep in this trial; -1 where there is none."""
        found = Situation(self.port)
        return int(found.journal.wakes) if found.on_trial() else -1

    def write_file(self, name: str, data: bytes) -> None:
        """As the library replaces a file."""
        replace_file(name, data)


@contextmanager
def _fresh_library() -> Any:
    # Its variables as after a reset; one board may run within another.
    guard: Any = ota.guard
    before = ota.recovery.fault, ota.engine._running, guard.time
    ota.recovery.fault = ""
    ota.engine._running = False
    guard.time = SimpleNamespace(time=lambda: NOW)
    try:
        yield
    finally:
        ota.recovery.fault, ota.engine._running, guard.time = before
