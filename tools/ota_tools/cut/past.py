"""What a board may not go back behind, over all its lives after a cut."""

from ota_tools.cut.app import App
from ota_tools.cut.judge import CONFIRMING, Judge
from ota_tools.cut.life import Failed, Life
from ota_tools.cut.state import State


class Past:
    """What a board may not go back behind.

    Attributes:
        forgetful: NVS was lost: what only it knew is gone.
        passed: versions that passed a self-test, or were confirmed before.
        told: how updates ended, as the application was told.
    """

    def __init__(
        self,
        judge: Judge,
        allowed: set[str],
        state: State,
        before: State,
        forgetful: bool,
        by_cable: bool,
    ) -> None:
        """Args:
        allowed: versions that may run.
        state: after the cut.
        before: before the step that was cut.
        by_cable: images came in another way than by updates: they never passed a test.
        """
        self._judge = judge
        self._allowed = allowed
        self._by_cable = by_cable
        self.forgetful = forgetful
        self.told: list[str] = []
        journal = judge.journal(before)
        self._highest = self._kept = journal.highest if journal else (0, 0)
        self._accepted = judge.accepted(before)
        self._refused = journal.refused if journal else ()
        self.passed = judge.blessed(before)
        for each in (journal, judge.journal(state)):
            if each and each.state == CONFIRMING:
                app = judge.holds(state, judge.table.ota_slots[each.slot])
                self.passed |= {app.version} if app else set()

    def check_confirmed(self, life: Life) -> None:
        """Once boot.py has run: nothing is VALID that did not pass, the highest sequence stays.

        Raises Failed.
        """
        if not (self.forgetful or self._by_cable):
            blessed = self._judge.blessed(life.state) - self.passed - {"1.0"}
            if blessed:
                raise Failed(f"confirmed, and never passed a self-test: {' '.join(blessed)}")
        assert life.board.running is not None
        highest = self._judge.highest(life.state, life.board.running)
        if highest is not None and not self.forgetful:
            if highest < self._highest:
                raise Failed(f"the highest sequence fell from {self._highest} to {highest}")
            self._highest = highest

    def check(self, life: Life, app: App | None) -> None:
        """At every start, right after the bootloader chose. Raises Failed."""
        judge = self._judge
        wrong = judge.wrong(life.state)
        if wrong:
            raise Failed("; ".join(wrong))
        if app and app.version not in self._allowed:
            raise Failed(f"{app.version} runs, and never may")
        accepted = judge.accepted(life.state)
        if accepted < self._accepted:
            raise Failed(f"the trust store fell from {self._accepted} to {accepted}")
        self._accepted = accepted
        journal = judge.journal(life.state)
        if journal and not self.forgetful:
            if journal.highest < self._kept:
                raise Failed(f"the journal's highest fell from {self._kept} to {journal.highest}")
            self._kept = journal.highest
        refused = journal.refused if journal else ()
        if not self.forgetful and not set(self._refused) <= set(refused):
            raise Failed("a refused image is no longer refused")
        self._refused = refused
