"""A board's life in this process, from power-on until nothing is left to do.

The library is the real one, on the model of chip and bootloader; what main.py does stands here, as the
shipped one does it. Everything that happens is a function of flash, NVS and what the server offers:
the clock stands still, pauses are not made.
"""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import ota.engine
import ota.trial
from ota.errors import OtaError
from ota.port import Port
from ota.start import boot
from ota.trial import reset, rollback, self_test
from ota.updater import Updater
from ota_tools.board.flash import Flash
from ota_tools.board.model import HARD, POWER_ON, WATCHDOG, Board, BoardReset, Settings
from ota_tools.board.nvs import Nvs
from ota_tools.cut import vfs
from ota_tools.cut.state import State, Step, record
from ota_tools.cut.world import CRASHES, DEAD, GOOD, HANGS, App, World
from ota_tools.failures import Refused

_NOW = 1_800_000_000  # Unix seconds: later than any release here
_MOST_BOOTS = 16


class Failed(Exception):
    """The board did what it never may."""


class _Port(Port):
    """The board's, with a clock that stands still."""

    def now(self) -> int:
        return _NOW


class Life:
    """One board, one stretch under power.

    Attributes:
        log: every step since the object was made.
        boots: versions that were started, by the content of their slot; "" for anything else.
        errors: codes that the application got.
        watch: called after each decision of the bootloader, with what was started.
    """

    def __init__(
        self, world: World, state: State, settings: Settings, find: Callable[[State, Any], Any]
    ) -> None:
        """Args:
        state: taken over.
        find: find(state, partition) is the App in a slot.
        """
        self._world = world
        self._find = find
        nvs = Nvs()
        nvs.content = state.nvs
        self.board = Board("cut", settings, Flash(state.flash, settings.strict), nvs)
        self.state = state
        self.log: list[Step] = []
        self.boots: list[str] = []
        self.errors: list[str] = []
        self.watch: Callable[[App | None], None] = lambda app: None
        record(self.board.flash, nvs, lambda step: self.log.append(step))
        modules = self.board.modules()
        self.port = _Port(modules["esp32"], modules["machine"])

    def run(self, main: Callable[["Life", App], None], cause: int = POWER_ON) -> None:
        """Power on, reset by reset, until `main(life, image)` returns. Raises Failed."""
        for _ in range(_MOST_BOOTS):
            try:
                part = self.board.boot(cause)
            except Refused as e:
                raise Failed(str(e)) from e
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
        raise Failed("it resets again and again: " + " ".join(self.boots))

    def _start(self, app: App, main: Callable[["Life", App], None]) -> None:
        ota.trial.fault = ""
        ota.engine._running = False
        if app.does == DEAD:
            raise BoardReset(HARD, "crashed before boot.py")
        part = self.board.table.find("vfs")
        assert part is not None
        try:
            fs = vfs.mount(self.board.flash, part)
        except Refused as e:
            raise Failed(str(e)) from e
        with vfs.root(fs), redirect_stdout(StringIO()):
            boot(port=self.port)
            if ota.trial.fault:
                raise Failed(f"boot(): {ota.trial.fault}")
            main(self, app)

    def update(self, offered: str, **how: Any) -> None:
        """Ask the server and install what it offers; a reset where there is something new."""
        updater = Updater.from_config(port=self.port, network=self._world.network(offered))
        try:
            if updater.update(**how):
                reset(self.port)
        except OtaError as e:
            self.errors.append(e.code)

    def try_out(self, app: App) -> None:
        """What main.py does first: the self-test, as this image does on trial."""
        if app.does == HANGS and ota.trial.Situation(self.port).on_trial():
            raise BoardReset(WATCHDOG, "hangs")
        if app.does == CRASHES:
            raise BoardReset(HARD, "crashes in main.py")
        self_test([("app", lambda: app.does == GOOD)], port=self.port)

    def roll_back(self) -> None:
        """By hand."""
        try:
            rollback("by hand", self.port)
        except OtaError as e:
            self.errors.append(e.code)


def offering(offered: str, **how: Any) -> Callable[[Life, App], None]:
    """The shipped main.py, where the server offers this version."""

    def main(life: Life, app: App) -> None:
        life.try_out(app)
        life.update(offered, **how)

    return main
