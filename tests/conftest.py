"""For all tests on CPython: `ota_tools` installs the stand-in for `micropython`; the command `ota`, run here."""

import gc
import json
import sys
from dataclasses import dataclass

import pytest

import ota_tools  # noqa: F401
from ota.port import Port


def pytest_collection_finish() -> None:
    """What is there by now stays: the library collects garbage where its memory counts, and so often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _power_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a power-off forgets does not pass from one test to the next of its process."""
    monkeypatch.setattr(Port, "_guessed", False)


@dataclass
class Call:
    """What a call of `ota` gave."""

    code: int
    out: str
    err: str

    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)

    def line(self):
        """The one line of a failure."""
        assert self.code != 0, self.out
        assert "Traceback" not in self.err
        assert self.err.startswith("ota: ") and self.err.count("\n") == 1, self.err
        return self.err.strip()


@pytest.fixture
def ota(monkeypatch, capsys):
    """Run `ota` with these arguments, as its script would."""
    from ota_tools import cli  # few tests wait for its imports

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["ota", *map(str, args)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as e:
            code = e.code or 0
        return Call(code, *capsys.readouterr())

    return run
