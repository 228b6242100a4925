"""The search for one target, led by what its inputs reach in lib/ota, and what it did.

It is a process of its own, because libFuzzer ends it: `run` is that process, `Search` follows it.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from random import Random

from . import ROOT, corpus

LIB = str(ROOT / "lib" / "ota")
SHM = Path("/dev/shm")
MOST_FINDINGS = 20
ELSEWHERE = {"trust": ["ota.strict"]}
"""Modules that lead the search of other targets only: what they reach costs half of the time."""
REPORT_EVERY = 2000


def run(name: str, folder: Path) -> None:
    """Until somebody ends it: inputs of their own in folder/corpus, findings in folder/findings."""
    import atheris

    with atheris.instrument_imports(include=["ota"], exclude=ELSEWHERE.get(name, [])):
        from .targets import TARGETS
    target = TARGETS[name]
    for i, data in enumerate([*corpus.kept(name), *target.seeds(), *corpus.cases(target)]):
        (folder / "corpus" / f"seed-{i}").write_bytes(data)
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in target.words]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in quoted))
    seen = set()
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % REPORT_EVERY == 0:
            print("ran", count, flush=True)
        try:
            target.check(data)
        except Exception as e:
            where = described(e)
            if where not in seen and len(seen) < MOST_FINDINGS:
                seen.add(where)
                (folder / "findings" / str(len(seen))).write_text(f"{where}\n{data.hex()}\n")

    random = Random(1)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        # Half of the inputs change by field, half by byte; most of both are made right again.
        made = target.change(data, random) if random.random() < 0.5 else None
        if made is None:
            made = atheris.Mutate(data, most)
        if random.random() < 0.8:
            made = target.mend(made, random)
        return made[:most]

    arguments = [f"-dict={folder / 'words'}", f"-max_len={target.longest}", "-timeout=20"]
    arguments += [f"-artifact_prefix={folder}/findings/", "-verbosity=1", str(folder / "corpus")]
    extra = {"custom_mutator": mutate} if target.is_structured else {}
    atheris.Setup([sys.argv[0], *arguments], one, **extra)
    atheris.Fuzz()


def described(e: Exception) -> str:
    """Kind and message, and the last line of the library that it went through."""
    lines = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.startswith(LIB)]
    where = f" at {Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else ""
    return f"{type(e).__name__} {str(e).splitlines()[:1]}{where}"


PROGRESS = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+)/")


class Search:
    """Runs `run` and follows it.

    Attributes:
        figures: of what it did until now.
    """

    def __init__(self, command: list, folder: str) -> None:
        self.figures = {"executions": 0, "edges": 0, "features": 0, "inputs": 0}
        self._start = self._edge = self._feature = time.monotonic()
        self._child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": folder},
        )
        self._last = []
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def quiet(self) -> float:
        """Seconds since an edge was reached that had not been."""
        return time.monotonic() - self._edge

    def quiet_features(self) -> float:
        """Seconds since an edge was reached so or so often."""
        return time.monotonic() - self._feature

    def has_ended(self) -> str:
        """What it said last, where it ended by itself."""
        return "" if self._child.poll() is None else "\n".join(self._last) or "nothing"

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()

    def _follow(self) -> None:
        figures = self.figures
        for line in self._child.stdout:
            self._last = [*self._last[-20:], line.rstrip()]
            match = PROGRESS.match(line)
            if match:
                executions, edges, features, inputs = map(int, match.groups())
                if edges > figures["edges"]:
                    self._edge = time.monotonic()
                if features > figures["features"]:
                    self._feature = time.monotonic()
                figures["edges"] = max(edges, figures["edges"])
                figures["features"] = max(features, figures["features"])
                figures["inputs"] = inputs
            elif line.startswith("ran "):
                executions = int(line.split()[1])
            else:
                continue
            figures["executions"] = max(executions, figures["executions"])


def fuzz(target, command: list, options) -> list:
    """Search, keep, write figures; what was found, each a line and an input.

    Args:
        command: starts a process that calls `run`, once the folder and the target's name follow.
        options: seconds at most, quiet_seconds and executions at least.
    """
    # Parsers of files get a new file for each input: not on a disk, where there is RAM.
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=SHM if SHM.is_dir() else None) as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        (folder / "findings").mkdir()
        search = Search([*command, name, target.name], name)
        figures = search.figures
        try:
            said = watch(target.name, search, options)
        finally:
            search.end()
        figures["seconds"] = int(search.seconds())
        figures["quiet_seconds"] = int(search.quiet())
        figures["quiet_features_seconds"] = int(search.quiet_features())
        found = list(findings(folder / "findings"))
        if said:
            found.append([f"it ended by itself:\n{said}", ""])
        inputs = [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    figures["findings"] = len(found)
    figures["kept"] = corpus.keep(target, inputs)
    corpus.write_figures(target.name, figures)
    print(f"{target.name}: {figures}", flush=True)
    return found


def watch(name: str, search: Search, options) -> str:
    """Wait for the search's end; what it said where that was its own."""
    told = 0
    while not search.has_ended() and search.seconds() < options.seconds:
        if search.figures["executions"] >= options.executions:
            if search.quiet() >= options.quiet_seconds:
                return ""
        time.sleep(1)
        if search.seconds() - told >= 30:
            told = search.seconds()
            quiet = f"quiet {int(search.quiet())} s, features {int(search.quiet_features())} s"
            print(f"{name}: {int(told)} s, {search.figures}, {quiet}", flush=True)
    return search.has_ended()


def findings(folder: Path):
    """What was found, each a line and an input in hexadecimal."""
    for path in sorted(folder.iterdir()):
        if path.name.isdigit():
            yield path.read_text().splitlines()
        else:  # libFuzzer's own: too slow, too much memory, a crash of the interpreter
            yield [path.name, path.read_bytes().hex()]
