"""One publisher per test, one VM for all."""

import pytest
from site_of import Site

from ota_tools.board import interpreter


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    yield made
    made.server.close()


@pytest.fixture(scope="session")
def vm():
    return interpreter.find()
