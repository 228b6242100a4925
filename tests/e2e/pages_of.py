"""The fenced blocks of the pages, and a reader who types them: one bash on one terminal per page.

Rules: blocks are typed in the order of their page, in a fresh folder. What cannot be on this machine, a port, an
address, a path of the system, is replaced by a table with reasons (`Stand`), and nothing else is. A block that
fails ends the page, and is named. Whoever is asked something at the terminal answers by `ANSWERS`.
"""

import contextlib
import fcntl
import os
import pty
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from ota_tools.board import bootloader, filesystem
from ota_tools.board.folder import load_board
from ota_tools.board.model import describe_entries

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

ANSWERS = {
    r"Passphrase (for|of) \S+:": "a long one\n",
    r"Repeat for confirmation:": "a long one\n",
    r"Write the board\? \[y/N\]:": "y\n",
    r"Password:": "the-password\n",
    r"Use Ctrl-\] or Ctrl-x to exit this shell": "print(6 * 7)\r\x1d",
}
"""What is asked at the terminal -> what the reader types."""

_FENCE = re.compile(r"( *)(`{3,}|~{3,}) *([^ `]*)[^`]*")

_BASH = """
exec 0<>{terminal} 1>&0 2>&0  # opened by the leader of a session, it is the session's
set -eu
while read -r -u {blocks} block; do
    . "$block" {blocks}<&- {ended}>&-
    echo done >&{ended}
done
"""
"""Blocks do not come by the terminal: that is the reader's."""


# Pages


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path in the repository.
        language: "" where there is none.
        text: its lines, without indentation of the fence.
        line: of its fence.
    """

    page: str
    language: str
    text: str
    line: int

    @property
    def first(self) -> str:
        """Its first line."""
        return self.text.partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: ```{self.language}\n{self.text}"


def pages() -> list[str]:
    """Every page that tells people what to type."""
    found = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The blocks of a page, by CommonMark's rules for fences."""
    found: list[Block] = []
    fence = None
    lines: list[str] = []
    for number, line in enumerate((text or (ROOT / page).read_text()).splitlines(), 1):
        mark = _FENCE.fullmatch(line)
        if fence is None:
            fence, start, lines = mark, number, []
        elif mark and mark[2].startswith(fence[2]) and not mark[3]:
            found.append(Block(page, fence[3], "".join(lines), start))
            fence = None
        else:
            lines.append(line.removeprefix(fence[1]) + "\n")
    assert fence is None, f"{page}:{start}: this block has no end"
    return found


def prose(page: str) -> str:
    """The page without its blocks."""
    left = (ROOT / page).read_text()
    for block in blocks(page):
        left = left.replace(block.text, "", 1)
    return left


# The reader


@dataclass(frozen=True)
class Stand:
    """What stands here for something that only a reader has.

    Attributes:
        pages: where; none: everywhere.
        text: of the page.
        here: what is typed instead; `{port}` and the like are `Page.names`.
        why: the reason.
    """

    pages: tuple[str, ...]
    text: str
    here: str
    why: str

    def holds(self, page: str) -> bool:
        """Is it for this page?"""
        return not self.pages or page in self.pages


class Failed(AssertionError):
    """A block did not do what it says."""


class Bash:
    """A bash that people sit at: a terminal of its own, answers to what it asks."""

    def __init__(self, folder: Path, typed: Path, environment: dict[str, str]) -> None:
        """Args: where it begins, a folder for what is typed, variables."""
        self._typed = typed
        typed.mkdir()
        # Its end stays open here, too: a terminal that nobody has open is neither silent nor ready.
        self._terminal, self._its = pty.openpty()
        (blocks, self._to), (self._ended, ended) = _pipe(), _pipe()
        known = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = f"{BIN}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
        known |= {"PATH": path, "TERM": "dumb", "COLUMNS": "120"}
        script = _BASH.format(terminal=os.ttyname(self._its), blocks=blocks, ended=ended)
        self._process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env={**known, **environment},
            pass_fds=(blocks, ended),
            start_new_session=True,
        )
        for descriptor in (blocks, ended):
            os.close(descriptor)

    def run(self, what: str, text: str, seconds: float = 90) -> str:
        """Type it; what was said. Raises Failed."""
        file = self._typed / f"{len(list(self._typed.iterdir()))}.sh"
        file.write_text(text)
        os.write(self._to, f"{file}\n".encode())
        said = b""
        answered = 0
        until = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._terminal, self._ended], [], [], 0.5)
            more = b""
            if self._terminal in ready:
                more = os.read(self._terminal, 65536)
                said += more
                answered = self._answer(said, answered)
            if self._ended in ready and not more:
                if os.read(self._ended, 16) != b"done\n":
                    raise Failed(f"{what}\n{_plain(said)}\nended with {self._process.wait(5)}")
                return _plain(said)
            if time.monotonic() > until:
                raise Failed(f"{what}\n{_plain(said)}\nnot done after {seconds} s")

    def _answer(self, said: bytes, since: int) -> int:
        for question, answer in ANSWERS.items():
            if re.search(question + r"\s*$", _plain(said[since:])):
                os.write(self._terminal, answer.encode())
                return len(said)
        return since

    def close(self) -> None:
        """End it, and what it left in the background."""
        os.close(self._to)
        until = time.monotonic() + 3
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(5)
            while time.monotonic() < until:
                os.killpg(self._process.pid, 0)
                time.sleep(0.02)
            os.killpg(self._process.pid, signal.SIGKILL)
        for descriptor in (self._ended, self._terminal, self._its):
            os.close(descriptor)


def _pipe() -> list[int]:
    # Both ends where no shell has anything.
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for end in ends]
    for end in ends:
        os.close(end)
    return high


def _plain(said: bytes) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode(errors="replace"))
    return text.replace("\r\n", "\n")


@dataclass
class Page:
    """Somebody who reads a page from its beginning, and leaves no block out.

    Attributes:
        names: what stands in the place of `{name}` in a `Stand`.
    """

    name: str
    folder: Path
    typed: Path
    left: list[Block]
    stands: list[Stand]
    environment: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    _bash: Bash | None = None

    def sh(self, last: str = "") -> str:
        """Type the blocks that follow, up to the one that has `last` in it, or to one that is no shell's.

        Returns: what they said. Raises Failed.
        """
        said = ""
        while self.left and self.left[0].language == "sh":
            block = self.left.pop(0)
            said += self.type(block.text, str(block))
            if last and last in block.text:
                return said
        assert not last, f"{self.name} has no block with {last}"
        return said

    def type(self, text: str, what: str = "") -> str:
        """Type something, as it has to be here; what was said. Raises Failed."""
        if self._bash is None:
            self._bash = Bash(self.folder, self.typed, self.environment)
        return self._bash.run(what or text, self.here(text))

    def take(self, language: str) -> str:
        """The next block, which is of this language, as it has to be here."""
        assert self.left, f"{self.name} has no block left, expected {language}"
        block = self.left.pop(0)
        assert block.language == language, f"expected {language}: {block}"
        return self.here(block.text)

    def here(self, text: str) -> str:
        """With all that stands for something else on this page."""
        for stand in self.stands:
            if stand.holds(self.name) and stand.text in text:
                text = text.replace(stand.text, stand.here.format(**self.names))
        return text

    def close(self) -> None:
        """End the session."""
        if self._bash:
            self._bash.close()
            self._bash = None


# What is around a reader


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a board that is switched off."""
    with contextlib.closing(load_board(folder)) as board:
        part = board.table.find("vfs")
        return filesystem.read(board.flash.read(part.offset, part.size))


def free_port() -> int:
    """One that nobody listens on, and that no connection gets by itself."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("0.0.0.0", port))
            return port


def judge(folder: Path, label: str, image: bytes) -> None:
    """From outside: the bootloader picks this slot, it is confirmed, it holds the image."""
    with contextlib.closing(load_board(folder)) as board:
        part = bootloader.selected(bootloader.read_entries(board.flash, board.table), board.table)
        assert part.name == label
        assert board.flash.read(part.offset, len(image)) == image
        assert "2 VALID" in " ".join(describe_entries(board))
