"""What a person sees: colours and bars on a terminal, and nowhere else."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).parent / "ota"
HALF = """
import time
from ota_tools.terminal import bar
with bar("written", {shown}, parts={parts}) as told:
    for done in range(0, 60, 10):
        told(done << 10, 100 << 10)
        time.sleep(0.05)
"""
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "100"}


def on_a_terminal(command, **environment) -> str:
    """What it showed there, with control sequences."""
    master, slave = pty.openpty()
    done = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, **TERMINAL, **environment},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:  # nobody has the other end any more
            break
    os.close(master)
    assert done.wait(30) == 0
    return shown.decode()


def test_a_bar_shows_rate_and_time_left():
    shown = on_a_terminal([sys.executable, "-c", HALF.format(shown=True, parts=False)])
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).split("\r")
    assert any(
        re.search(r"written .*51\.2/102\.4 kB \d+\.\d [kM]?B/s 0:00:\d\d", frame) for frame in last
    ), last
    assert not any("?" in frame for frame in last[2:-1] if "/s" in frame and "50" in frame)


def test_a_bar_of_parts_counts_them():
    shown = on_a_terminal([sys.executable, "-c", HALF.format(shown=True, parts=True)])
    assert "51200/102400" in shown and "B/s" not in shown


@pytest.mark.parametrize("shown", [False, True])
def test_no_bar_where_it_is_not_wanted_or_nobody_looks(shown):
    command = [sys.executable, "-c", HALF.format(shown=shown, parts=False)]
    if shown:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.stdout, done.stderr) == ("", "")
    else:
        assert "written" not in on_a_terminal(command)


CALLS = [("--help",), ("release", "--help"), ("release",), ("inspect", "nothing")]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
@pytest.mark.parametrize("environment", [{}, {"GITHUB_ACTIONS": "1"}], ids=["plain", "in CI"])
def test_no_colour_outside_of_a_terminal(call, environment):
    environment = {**os.environ, **TERMINAL, **environment}
    done = subprocess.run([SCRIPT, *call], capture_output=True, env=environment, timeout=30)
    assert done.stdout + done.stderr and b"\x1b" not in done.stdout + done.stderr


def test_colours_on_a_terminal_unless_they_are_not_wanted():
    assert "\x1b[" in on_a_terminal([SCRIPT, "--help"])
    assert "\x1b[3" not in on_a_terminal([SCRIPT, "--help"], NO_COLOR="1")
