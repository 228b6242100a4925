"""Many scenarios on all processors, and what came of them together."""

import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ota_tools.board.settings import Settings
from ota_tools.cut import records
from ota_tools.cut.explore import Explorer
from ota_tools.cut.result import Effort, Failure, Result
from ota_tools.cut.scenarios import BY_NAME, Scenario
from ota_tools.cut.world import World, make_world


@dataclass
class Total:
    """What came of a campaign: the results together, and how many states each scenario had."""

    result: Result = field(default_factory=Result)
    scenarios: dict[str, Result] = field(default_factory=dict)

    def add(self, name: str, found: Result) -> None:
        """Take in what one shard of a scenario found."""
        for mine in (self.result, self.scenarios.setdefault(name, Result())):
            mine.operations += found.operations
            mine.cut += found.cut
            mine.sampled += found.sampled
            mine.states.update(found.states)
            mine.pairs += found.pairs
            mine.weak += found.weak
            mine.unwatched += found.unwatched
            mine.forgotten += found.forgotten
            mine.beyond += found.beyond
            mine.nvs_writes = max(mine.nvs_writes, found.nvs_writes)
            mine.failed += found.failed

    def facts(self) -> dict[str, Any]:
        """For `--json`."""
        result = self.result
        return {
            "operations": dict(sorted(result.operations.items())),
            "cuts": dict(sorted(result.cut.items())),
            "failures": len(result.failed),
            "states": len(result.states),
            "states by kind": dict(sorted(Counter(result.states.values()).items())),
            "second cuts": result.pairs,
            "weak cells": result.weak,
            "big": dict(result.sampled),
            "not watched by the bootloader": result.unwatched,
            "forgotten": result.forgotten,
            "beyond": result.beyond,
            "scenarios": {name: len(found.states) for name, found in self.scenarios.items()},
            "NVS writes": {name: found.nvs_writes for name, found in self.scenarios.items()},
            "failed": [
                {"scenario": f.scenario, "where": f.where, "what": f.what} for f in result.failed
            ],
        }


def run(
    scenarios: list[Scenario],
    effort: Effort,
    jobs: int,
    shards: int,
    told: Callable[[str, Total], None],
) -> Total:
    """Cut these scenarios.

    Args:
        jobs: processes.
        shards: parts of each scenario, so that all processes have something to do.
        told: called after each part with the scenario's name and what was found so far.
    """
    total = Total()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        tasks = [(each.name, number) for each in scenarios for number in range(shards)]
        if jobs == 1:
            for name, number in tasks:
                total.add(name, _explore(world, name, effort, (number, shards)))
                told(name, total)
            return total
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            futures: dict[Future[Result], str] = {
                pool.submit(_explore, world, name, effort, (number, shards)): name
                for name, number in tasks
            }
            for done in as_completed(futures):
                total.add(futures[done], done.result())
                told(futures[done], total)
    return total


def _explore(world: World, name: str, effort: Effort, shard: tuple[int, int]) -> Result:
    return Explorer(world, BY_NAME[name], effort, shard).run()


def keep(failures: list[Failure], folder: Path) -> list[Path]:
    """Write the states of failures as boards, for `ota board show`; their folders."""
    found = []
    for number, failure in enumerate(failure for failure in failures if failure.state):
        assert failure.state is not None
        path = folder / f"{failure.scenario}-{number}"
        path.mkdir(parents=True, exist_ok=True)
        settings: Settings = BY_NAME[failure.scenario].settings
        (path / "board.json").write_text(json.dumps(settings.__dict__, indent=1) + "\n")
        (path / "flash.bin").write_bytes(failure.state.flash)
        (path / "nvs.json").write_text(json.dumps(failure.state.nvs, indent=1) + "\n")
        (path / "why.txt").write_text(f"{failure.where}\n{failure.what}\n")
        found.append(path)
    return found


def publish(facts: dict[str, Any], effort: str, folder: Path) -> Path:
    """Write reliability.json, of which docs/make.py makes the figures of docs/reliability.md."""
    torn = {way: records.shares(way, facts["seed"]) for way in records.WAYS}
    whole = {
        **facts,
        "effort": effort,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torn records": torn,
        "tears of each": records.TEARS,
        "record program, ms": records.program_ms(),
    }
    path = folder / "reliability.json"
    path.write_text(json.dumps(whole, indent=1) + "\n")
    return path


def processors() -> int:
    """How many there are for us."""
    return len(os.sched_getaffinity(0))
