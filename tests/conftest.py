"""Makes `import ota` work on the host: `ota_tools` installs the stand-in for `micropython`."""

import pytest

import ota_tools  # noqa: F401
from ota.port import Port


@pytest.fixture(autouse=True)
def _power_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a power-off forgets does not pass from one test to the next of its process."""
    monkeypatch.setattr(Port, "_guessed", False)
