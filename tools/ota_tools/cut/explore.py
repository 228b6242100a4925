"""Cuts one scenario everywhere and lets the board live on after each cut.

A clean run gives the log; every state that a cut in it leaves is rebuilt from the log, and boot and
recovery are then really executed, once for equal states. Their own steps are cut again: around
otadata, journal and header always, elsewhere by chance.
"""

import gc
import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ota import otadata, receipt
from ota_tools.board.flash import Flash
from ota_tools.board.model import HARD, TABLE_OFFSET
from ota_tools.cut import vfs
from ota_tools.cut.judge import Judge
from ota_tools.cut.life import Failed, Life
from ota_tools.cut.scenarios import Main, Scenario
from ota_tools.cut.state import NvsWrite, State, Step, kind_of
from ota_tools.cut.tear import cuts, lost_nvs
from ota_tools.cut.world import BIG_TABLE, BOARD, FLASH_SIZE, PRODUCT, App, World, small_table
from ota_tools.failures import Refused
from ota_tools.partitions import Table, parse_csv, to_binary

_HEADER = 16
_BIG_SAMPLES = 60
_LIVES = 3  # times that the power comes back before the board must be where it belongs


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        subsets: random tears of each program.
        pairs: chance that a second cut is tried where both are around otadata, journal or header.
        others: the same elsewhere.
        seed: for all that is left to chance.
    """

    subsets: int = 4
    pairs: float = 0.02
    others: float = 0.0005
    seed: int = 1


@dataclass
class Result:
    """What came of a scenario.

    Attributes:
        operations: steps of the clean run, by kind.
        cut: those of them that were cut.
        states: different states that were tried, by how the power went.
        pairs: those among them that needed two cuts.
        unwatched: states in which an unconfirmed image ran without the bootloader watching it.
        forgotten: states in which one counted as confirmed because NVS and its record were lost.
        nvs_writes: of the clean run.
        failed: what went wrong, one line each.
    """

    operations: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    unwatched: int = 0
    forgotten: int = 0
    nvs_writes: int = 0
    failed: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        """Take in what another shard of it found."""
        for name in ("operations", "cut"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, mine | theirs if name == "operations" else mine + theirs)
        self.states += other.states
        self.pairs += other.pairs
        self.unwatched += other.unwatched
        self.forgotten += other.forgotten
        self.nvs_writes = max(self.nvs_writes, other.nvs_writes)
        self.failed += other.failed


class Explorer:
    """One scenario under one effort.

    Args:
        shard: (number, of how many): only every so-manieth step of the clean run is cut here.
    """

    def __init__(
        self, world: World, scenario: Scenario, effort: Effort, shard: tuple[int, int] = (0, 1)
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._effort = effort
        self._shard = shard
        self.table: Table = (
            parse_csv(BIG_TABLE) if scenario.big else small_table(scenario.factory)
        )
        self._digests = {
            version: hashlib.sha256(app.data).digest() for version, app in world.apps.items()
        }
        self.judge = Judge(self.table, world.apps, self._digests)
        self.result = Result()
        self._seen: set[bytes] = set()
        self._proven: set[bytes] = set()
        self._goes_back: set[bytes] = set()
        self._allowed = set(scenario.ends) | set(scenario.runs)

    def run(self) -> Result:
        """Everything. Failures stand in the result."""
        gc.freeze()  # the library collects garbage, and all that is older than this is none
        result = self.result
        state = self.start()
        clean = self._life(state.copy())
        clean.run(self._scenario.act)
        steps = list(clean.log)
        result.operations.update(kind_of(step) for step in steps)
        result.nvs_writes = sum(isinstance(step, NvsWrite) for step in steps)
        chosen = self._chosen(len(steps))
        for number, step in enumerate(steps):
            if number in chosen:
                result.cut[kind_of(step)] += 1
                self._cut(state, step, number)
            state.apply(step)
        if self._shard[0] == 0:
            self._try(state, "after", "behind the last step")
        return result

    def start(self) -> State:
        """The board as the scenario finds it."""
        table, world = self.table, self._world
        size = max(part.end for part in table.partitions) if self._scenario.big else FLASH_SIZE
        flash = Flash(bytearray(b"\xff" * size))
        flash.load(TABLE_OFFSET, to_binary(table))
        first = next(part for part in table.partitions if part.type == 0)
        app = world.apps["1.0"]
        flash.load(first.offset, app.data)
        self._fill_vfs(flash, app)
        state = State(flash.bytes if isinstance(flash.bytes, bytearray) else bytearray(), {})
        for main in self._scenario.before:
            for _ in range(2):
                self._life(state).run(main)
        return state

    def _fill_vfs(self, flash: Flash, app: App) -> None:
        part = self.table.find("vfs")
        assert part is not None
        fs = vfs.mount(flash, part, fresh=True)
        files = {
            "/ota.json": b'{"product": "%s", "board": "%s", "tries": 1, "ntp": ""}'
            % (PRODUCT.encode(), BOARD.encode()),
            "/ota_trust.json": self._world.trust,
        }
        if not self._scenario.factory:
            digest = self._digests[app.version]
            mine = receipt.Receipt(digest, len(app.data), app.version, app.sequence)
            files[receipt.FILE] = receipt.encode({0: mine})
        for name, data in files.items():
            with fs.open(name, "wb") as file:
                file.write(data)
        if self._scenario.vfs_full:
            with fs.open("/full", "wb") as file:
                file.write(bytes((fs.block_count - fs.used_block_count - 2) * 4096))

    # One cut

    def _chosen(self, count: int) -> set[int]:
        number, of = self._shard
        every = max(1, count // _BIG_SAMPLES) if self._scenario.big else 1
        mine = set(range(number * every, count, of * every))
        return mine

    def _cut(self, before: State, step: Step, number: int) -> None:
        chance = random.Random(f"{self._effort.seed} {self._scenario.name} {number}")
        for how, state in cuts(before, step, chance, self._effort.subsets):
            where = f"step {number} ({kind_of(step)}{_place(step)}), {how}"
            log = self._try(state, how, where)
            self._cut_again(state, log, self._is_critical(step), where, chance)

    def _cut_again(
        self, state: State, log: list[Step], critical: bool, where: str, chance: random.Random
    ) -> None:
        for number, step in enumerate(log):
            both = critical and self._is_critical(step)
            share = self._effort.pairs if both else self._effort.others
            for how, torn in self._some(state, step, share, chance):
                there = f"{where}, then step {number} ({kind_of(step)}{_place(step)}), {how}"
                before = len(self._seen)
                self._try(torn, how, there, again=True)
                self.result.pairs += len(self._seen) - before
            state.apply(step)

    def _some(
        self, state: State, step: Step, share: float, chance: random.Random
    ) -> Iterator[tuple[str, State]]:
        if share < 1 and chance.random() > share * 8:
            return
        for how, torn in cuts(state, step, chance, 1):
            if share >= 1 or chance.random() < 0.125:
                yield how, torn

    def _is_critical(self, step: Step) -> bool:
        if isinstance(step, NvsWrite):
            return True
        part = self.table.otadata
        assert part is not None
        if part.offset <= step.address < part.end:
            return True
        return any(
            step.address == slot.offset and step.size <= _HEADER for slot in self.table.ota_slots
        )

    def _try(self, state: State, how: str, where: str, again: bool = False) -> list[Step]:
        """Let the board live on from a state that is not changed here. The steps of its recovery."""
        key = state.key()
        if key in self._seen:
            return []
        self._seen.add(key)
        self.result.states[how if not how[:1].isdigit() and "bits of" not in how else "torn"] += 1
        try:
            return self._recover(state.copy(), lost_nvs(how))
        except Failed as e:
            self._fail(where, str(e))
        return []

    def _fail(self, where: str, what: str) -> None:
        self.result.failed.append(f"{self._scenario.name}: {where}: {what}")

    # Recovery

    def _recover(self, state: State, forgetful: bool) -> list[Step]:
        past = _Past(self, state, forgetful)
        log: list[Step] = []
        visited: set[bytes] = set()
        for _ in range(_LIVES):
            life = self._life(state)
            life.log = log
            try:
                self._live(life, past, visited)
            except _Known:
                self._proven |= visited
                return log
            if self._has_arrived(life):
                self._proven |= visited
                return log
        raise Failed(
            f"it does not arrive: ran {' '.join(life.boots)}, errors {' '.join(life.errors)}, "
            f"otadata {[otadata.describe(e) for e in self.judge.entries(state)]}"
        )

    def _live(self, life: Life, past: "_Past", visited: set[bytes]) -> None:
        def watch(app: App | None) -> None:
            past.check(life, app)
            key = life.state.key()
            if key in self._proven:
                raise _Known
            visited.add(key)

        def main(life: Life, app: App) -> None:
            self._check_trial(life, app, past)
            self._scenario.after(life, app)

        life.watch = watch
        life.run(main)

    def _has_arrived(self, life: Life) -> bool:
        state = life.state
        part = life.board.running
        app = self.judge.holds(state, part) if part else None
        journal = self.judge.journal(state)
        if self.judge.wrong(state):
            raise Failed("; ".join(self.judge.wrong(state)))
        if app is None or app.version not in self._scenario.ends:
            return False
        if journal and journal.state > 1:
            return False
        assert part is not None
        return self.judge.is_confirmed(state, part)

    def _check_trial(self, life: Life, app: App, past: "_Past") -> None:
        # boot.py has run, main.py has not: an unconfirmed image must be gone after one more reset.
        entries = self.judge.entries(life.state)
        active = otadata.active(entries)
        slots = self.table.ota_slots
        if active < 0 or otadata.state_of(entries[active]) == otadata.VALID:
            return
        assert life.board.running is not None
        if life.board.running not in slots:
            return
        key = life.state.key()
        if key in self._goes_back:
            return
        self._goes_back.add(key)
        if otadata.state_of(entries[active]) != otadata.PENDING_VERIFY:
            self.result.unwatched += 1
        fork = self._life(life.state.copy())
        came: list[str] = []
        fork.run(lambda _, found: came.append(found.version), cause=HARD)
        if came[-1] == app.version:
            if past.forgetful:
                self.result.forgotten += 1
                return
            raise Failed(f"{app.version} is not confirmed, and runs again after a reset")

    def _life(self, state: State) -> Life:
        life = Life(self._world, state, self._scenario.settings, self.judge.holds)
        life.files = {"/ota_trust.json": self._world.trust}
        part = self.table.find("vfs")
        assert part is not None
        life.files["/ota.json"] = b'{"product": "cut", "board": "virtual", "tries": 2, "ntp": ""}'
        return life


class _Known(Exception):
    """From here on everything was seen already."""


class _Past:
    """What a board may not go back behind.

    Attributes:
        forgetful: NVS was lost: what only it knew is gone.
    """

    def __init__(self, explorer: Explorer, state: State, forgetful: bool) -> None:
        self._explorer = explorer
        self.forgetful = forgetful
        self._highest = 0
        journal = explorer.judge.journal(state)
        self._refused = journal.refused if journal else ()

    def check(self, life: Life, app: App | None) -> None:
        """At every start, right after the bootloader chose. Raises Failed."""
        judge = self._explorer.judge
        wrong = judge.wrong(life.state)
        if wrong:
            raise Failed("; ".join(wrong))
        if app and app.version not in self._explorer._allowed:
            raise Failed(f"{app.version} runs, and never may")
        assert life.board.running is not None
        highest = judge.highest(life.state, life.board.running)
        if highest is not None:
            if highest < self._highest:
                raise Failed(f"the highest sequence fell from {self._highest} to {highest}")
            self._highest = highest
        journal = judge.journal(life.state)
        refused = journal.refused if journal else ()
        if not self.forgetful and not set(self._refused) <= set(refused):
            raise Failed("a refused image is no longer refused")
        self._refused = refused


def _place(step: Step) -> str:
    return f" {step.key}" if isinstance(step, NvsWrite) else f" {step.address:#x}+{step.size}"


__all__ = ["Effort", "Explorer", "Main", "Refused", "Result"]
