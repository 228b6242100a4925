"""How much is tried of a scenario, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field

from ota_tools.cut.state import State


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Attributes:
        subsets: random tears of a program; of otadata records eight times as many.
        pairs: share of the steps of each recovery that are cut, too, where both cuts are around otadata,
            journal or header; 1: every pair.
        others: the same elsewhere.
        weak: share of programs that are repeated with a cell that fails.
        seed: for all that is left to chance.
        set_boot: activate by `Partition.set_boot()` instead, to compare: as `old` or `new` ESP-IDF does it
            where the slot is selected already; "" for ours.
    """

    subsets: int = 3
    pairs: float = 0.05
    others: float = 0.002
    weak: float = 0.2
    seed: int = 1
    set_boot: str = ""


NORMAL = Effort()
DEEP = Effort(subsets=12, pairs=1, others=0.12, weak=1.0)


@dataclass
class Failure:
    """One state in which an invariant was broken."""

    scenario: str
    where: str
    what: str
    state: State | None = field(default=None, repr=False)


@dataclass
class Result:
    """What came of a scenario.

    Attributes:
        operations: steps of the clean run, by kind.
        cut: those of them that were cut.
        sampled: the same two of scenarios that are too big to be cut everywhere.
        states: each state that was tried, and how the power went.
        pairs: how many of them needed two cuts.
        weak: programs that were repeated with a cell that fails.
        unwatched: starts of an unconfirmed image that the bootloader did not watch: `boot()` did.
        forgotten: states in which an image counted as confirmed because NVS and its record were lost.
        beyond: states from which no software of ours can lead out.
        nvs_writes: of the clean run.
        failed: what went wrong.
    """

    operations: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    states: dict[bytes, str] = field(default_factory=dict)
    pairs: int = 0
    weak: int = 0
    unwatched: int = 0
    forgotten: int = 0
    beyond: int = 0
    nvs_writes: int = 0
    failed: list[Failure] = field(default_factory=list)
