"""Cuts one scenario everywhere and lets the board live on after each cut.

A clean run gives the log; every state that a cut in it leaves is rebuilt from the log, and boot and
recovery are then really executed, once for equal states. Their own steps are cut again, each in one way
left to chance: around otadata, journal and header the more often, elsewhere some of them.
"""

import gc
import random
from dataclasses import replace

from ota import otadata
from ota_tools.board.flash import Operation
from ota_tools.board.model import HARD
from ota_tools.cut.app import DEAD, App
from ota_tools.cut.fresh import fresh_state
from ota_tools.cut.judge import Judge
from ota_tools.cut.life import Failed, FixedPort, Life, Log, SetBootPort
from ota_tools.cut.past import Past
from ota_tools.cut.result import Effort, Failure, Result
from ota_tools.cut.scenarios import Scenario, offering
from ota_tools.cut.state import NvsWrite, State, Step, kind_of
from ota_tools.cut.tear import WEAK, cuts, lost_nvs
from ota_tools.cut.world import BIG_TABLE, World, small_table
from ota_tools.partitions import Table, parse_csv

_HEADER = 16
_BIG_SAMPLES = 40
_LIVES = 3  # times that the power comes back before the board must be where it belongs


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
        self._port = SetBootPort if effort.set_boot else FixedPort
        self._settings = replace(scenario.settings, in_place=effort.set_boot == "new")
        self.table: Table = parse_csv(BIG_TABLE) if scenario.big else small_table(scenario.factory)
        self.judge = Judge(self.table, world.apps, world.stores)
        self.result = Result()
        self._proven: set[bytes] = set()
        self._cut_again_from: set[bytes] = set()
        self._known = self._proven
        self._goes_back: set[bytes] = set()
        self._allowed = set(scenario.ends) | set(scenario.runs)

    def run(self) -> Result:
        """Everything. Failures stand in the result."""
        gc.freeze()  # the library collects garbage, and what is older than this is none
        result = self.result
        try:
            state = self.start()
        except Failed as e:
            result.failed.append(Failure(self._scenario.name, "before any cut", str(e)))
            return result
        clean = self._life(state.copy())
        past = self._past(state, state, False)
        clean.watch = lambda app: past.check(clean, app)
        try:
            clean.run(self._scenario.act)
        except Failed as e:
            self._fail("without any cut", str(e), state)
            return result
        chosen = self._chosen(clean.log)
        if self._shard[0] == 0:
            result.nvs_writes = sum(isinstance(step, NvsWrite) for step in clean.log)
            if not self._scenario.big:
                result.operations.update(kind_of(step) for step in clean.log)
            else:
                result.sampled["operations"] += len(clean.log)
        for number, step in enumerate(clean.log):
            if number in chosen:
                ours = number not in clean.log.bootloader
                if self._cut(state, step, number, ours):
                    if self._scenario.big:
                        result.sampled["cuts"] += 1
                    else:
                        result.cut[kind_of(step)] += 1
                self._weaken(state, step, number, ours)
            state.apply(step)
        if self._shard[0] == 0:
            self._try(state, state, "after", "behind the last step", True)
        return result

    def start(self) -> State:
        """The board as the scenario finds it."""
        state = fresh_state(self._world, self._scenario, self.table)
        for main in self._scenario.before:
            for _ in range(2):
                self._life(state).run(main)
        return state

    def _life(self, state: State) -> Life:
        return Life(self._world, state, self._settings, self.judge.holds, self._port)

    def _past(self, state: State, before: State, forgetful: bool) -> Past:
        by_cable = bool(self._scenario.holds)
        return Past(self.judge, self._allowed, state, before, forgetful, by_cable)

    # The cuts

    def _chosen(self, log: Log) -> set[int]:
        # Of a big scenario what is critical, and samples of the rest.
        number, of = self._shard
        every = max(1, len(log) // _BIG_SAMPLES) if self._scenario.big else 1
        critical = [at for at, step in enumerate(log) if self._is_critical(step)]
        return set(sorted({*range(0, len(log), every), *critical})[number::of])

    def _chance(self, what: object) -> random.Random:
        # Every state can be made again without those before it.
        return random.Random(f"{self._effort.seed} {self._scenario.name} {what}")  # noqa: S311

    def _cut(self, before: State, step: Step, number: int, ours: bool) -> int:
        # How many states that gave.
        chance = self._chance(number)
        critical = self._is_critical(step)
        made = 0
        for how, state in cuts(before, step, chance, self._subsets(step)):
            where = f"step {number} ({self._name(step)}), {how}"
            # Each step of a recovery from a critical cut is seen, but those that were cut again already.
            self._known = self._cut_again_from if critical else self._proven
            log = self._try(state, before, how, where, ours)
            self._known = self._proven
            self._cut_again(state, log, critical, where)
            made += 1
        return made

    def _cut_again(self, state: State, log: Log, critical: bool, where: str) -> None:
        chance = self._chance(where)
        for number, step in enumerate(log):
            both = critical and self._is_critical(step)
            share = self._effort.pairs if both else self._effort.others
            if chance.random() < share:
                how, torn = chance.choice(list(cuts(state, step, chance, 1)))
                there = f"{where}, then step {number} ({self._name(step)}), {how}"
                before = len(self.result.states)
                ours = number not in log.bootloader
                self._try(torn, state, how, there, ours, lost_nvs(where))
                self.result.pairs += len(self.result.states) - before
            state.apply(step)

    def _subsets(self, step: Step) -> int:
        part = self.table.otadata
        assert part is not None
        inside = isinstance(step, Operation) and part.offset <= step.address < part.end
        return self._effort.subsets * (8 if inside else 1)

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

    def _name(self, step: Step) -> str:
        if isinstance(step, NvsWrite):
            return f"nvs {step.key}"
        for part in self.table.partitions:
            if part.offset <= step.address < part.end:
                place = f"{part.name}+{step.address - part.offset:#x}"
                return f"{step.kind} {step.size} at {place}"
        return f"{step.kind} {step.size} at {step.address:#x}"

    # A cell that fails, without any cut

    def _weaken(self, before: State, step: Step, number: int, ours: bool) -> None:
        if isinstance(step, NvsWrite) or step.kind != "program" or not any(step.data):
            return
        chance = self._chance(-number - 1)
        if chance.random() >= self._effort.weak:
            return
        zeros = [at for at, byte in enumerate(step.data) if byte != 0xFF]
        life = self._life(self.start())
        life.faults = (
            "not-activated",
            "not-confirmed",
        )  # it reads back what it wrote, and says so
        flash = life.board.flash
        program = flash.program

        def weak(address: int, data: bytes, strict: bool = True) -> None:
            if len(life.log) == number and zeros:
                at = chance.choice(zeros)
                kept = (~data[at] & 0xFF) & -(~data[at] & 0xFF)  # one bit that stays set
                data = data[:at] + bytes((data[at] | kept,)) + data[at + 1 :]
            program(address, data, strict)

        flash.program = weak  # type: ignore[method-assign]
        where = f"step {number} ({self._name(step)}), {WEAK}"
        self.result.weak += 1
        try:
            try:
                life.run(self._scenario.act)
            finally:
                del flash.program
            self._recover(life.state, before, False, Log(), life.passed)
        except Failed as e:
            if not ours and self._is_beyond(life.state, e):
                self.result.beyond += 1
            else:
                self._fail(where, str(e), life.state)

    # Recovery

    def _try(
        self,
        state: State,
        before: State,
        how: str,
        where: str,
        ours: bool,
        forgetful: bool = False,
    ) -> Log:
        """Let the board live on from a state, which is not changed. The steps of its recovery.

        Args:
            before: the state that the step found which was cut.
            ours: the step was not the bootloader's.
            forgetful: NVS was lost already.
        """
        key = state.key()
        if key in self.result.states and (self._known is self._proven or key in self._known):
            return Log()
        self._known.add(key)
        self.result.states.setdefault(key, how.split(":")[0])
        log = Log()
        after = state.copy()
        try:
            self._recover(after, before, forgetful or lost_nvs(how), log)
        except Failed as e:
            if not ours and self._is_beyond(after, e):
                self.result.beyond += 1
            else:
                self._fail(where, str(e), state)
            return Log()
        return log

    def _fail(self, where: str, what: str, state: State) -> None:
        kept = state.copy() if len(self.result.failed) < 5 else None
        self.result.failed.append(Failure(self._scenario.name, where, what, kept))

    def _is_beyond(self, state: State, failure: Failed) -> bool:
        # The bootloader's own write was torn so that it no longer watches (a torn erase can leave VALID
        # of NEW), and the image dies before boot.py: nothing of ours ever runs.
        entries = self.judge.entries(state)
        active = otadata.active(entries)
        if active < 0:
            return False
        slots = self.table.ota_slots
        app = self.judge.holds(state, slots[otadata.slot_of(entries[active], len(slots))])
        watched = otadata.state_of(entries[active]) in (otadata.NEW, otadata.PENDING_VERIFY)
        if watched or app is None or app.does != DEAD:
            return False
        what, _, boots = str(failure).partition(": ")
        return what == "it resets again and again" and set(boots.split()) == {app.version}

    def _recover(
        self,
        state: State,
        before: State,
        forgetful: bool,
        log: Log,
        passed: set[str] | None = None,
    ) -> None:
        past = self._past(state, before, forgetful)
        past.passed |= passed or set()
        visited: set[bytes] = set()
        for _ in range(_LIVES):
            life = self._life(state)
            life.log = log
            life.told, life.passed = past.told, past.passed
            known = self._live(life, past, visited)
            if len(set(past.told)) < len(past.told):
                raise Failed(f"told twice: {past.told}")
            if known or self._has_arrived(life, forgetful):
                if not known:
                    self._install_then(life.state.copy())
                self._proven |= visited
                self._known |= visited
                return
        raise Failed(
            f"it does not arrive: ran {' '.join(life.boots[-12:])}, errors {' '.join(life.errors)}, "
            f"otadata {', '.join(map(otadata.describe, self.judge.entries(state)))}"
        )

    def _install_then(self, state: State) -> None:
        # Whatever happened, the next good release installs.
        then = self._scenario.then
        if then:
            life = self._life(state)
            life.run(offering(then))
            if life.boots[-1] != then:
                raise Failed(f"{then} does not install afterwards: {' '.join(life.errors)}")

    def _live(self, life: Life, past: Past, visited: set[bytes]) -> bool:
        # True where it came to something from which a life was seen to arrive before.
        def watch(app: App | None) -> None:
            past.check(life, app)
            key = self._key(life)
            if key in self._known:
                raise _Known
            visited.add(key)

        def main(life: Life, app: App) -> None:
            past.check_confirmed(life)
            self._check_trial(life, app, past)
            self._scenario.after(life, app)

        life.watch = watch
        try:
            life.run(main)
        except _Known:
            return True
        return False

    def _key(self, life: Life) -> bytes:
        # What happens from here on depends on no more than that.
        part = life.board.running
        assert part is not None
        return life.state.key() + part.name.encode() + bytes((life.board.cause,))

    def _has_arrived(self, life: Life, forgetful: bool) -> bool:
        state = life.state
        part = life.board.running
        assert part is not None
        app = self.judge.holds(state, part)
        journal = self.judge.journal(state)
        wrong = self.judge.wrong(state)
        if wrong:
            raise Failed("; ".join(wrong))
        if life.asked and journal and journal.untold:
            raise Failed("nobody was told how the update ended")
        ends: set[str] = set(self._scenario.ends)
        if forgetful and app and app.version not in ends and self.judge.is_confirmed(state, part):
            self.result.forgotten += 1
            ends = self._allowed
        if app is None or app.version not in ends:
            return False
        return (journal is None or journal.state <= 1) and self.judge.is_confirmed(state, part)

    def _check_trial(self, life: Life, app: App, past: Past) -> None:
        # boot.py has run, main.py has not: an unconfirmed image must be gone after one more reset.
        part = life.board.running
        assert part is not None
        state = life.state
        key = self._key(life)
        if self.judge.is_confirmed(state, part) or part not in self.table.ota_slots:
            return
        if key in self._goes_back:
            return
        self._goes_back.add(key)
        entries = self.judge.entries(state)
        active = otadata.active(entries)
        if active < 0 or otadata.state_of(entries[active]) != otadata.PENDING_VERIFY:
            self.result.unwatched += 1
        fork = self._life(state.copy())
        came: list[str] = []
        fork.run(lambda _, found: came.append(found.version), cause=HARD)
        if came == [app.version]:
            if not past.forgetful:
                raise Failed(f"{app.version} is not confirmed, and runs again after a reset")
            self.result.forgotten += 1


class _Known(Exception):
    """From here on everything was seen already."""
