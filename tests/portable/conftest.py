"""pytest gives the portable tests a folder to write into, and clears it."""

import fakes
import pytest


@pytest.fixture(autouse=True)
def scratch_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(fakes, "BASE", str(tmp_path))
