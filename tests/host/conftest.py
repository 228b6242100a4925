"""Keys of tests/data/openssl, a trust store, an image."""

from pathlib import Path

import fakes
import pytest

from ota_tools import keys
from ota_tools import trust as trust_store
from ota_tools.board.image_maker import make_image

OPENSSL = Path(__file__).parents[1] / "data" / "openssl"


@pytest.fixture(scope="session", autouse=True)
def _scratch_folder(tmp_path_factory):
    fakes.BASE = str(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def pem(tmp_path_factory):
    """name -> path of a key: root, root2, release, stranger. Making keys is slow."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("root", "root2", "release", "stranger"):
        (folder / f"{name}.pem").touch(0o600)  # git keeps no such mode
        (folder / f"{name}.pem").write_bytes((OPENSSL / f"{name}.pem").read_bytes())
    return lambda name: folder / f"{name}.pem"


@pytest.fixture(scope="session")
def root_key(pem):
    return keys.load_private(pem("root"))


@pytest.fixture(scope="session")
def release_key(pem):
    return keys.load_private(pem("release"))


@pytest.fixture(scope="session")
def stranger_key(pem):
    return keys.load_private(pem("stranger"))


@pytest.fixture(scope="session")
def trust(root_key, release_key):
    """A trust store that believes root and release."""
    return trust_store.make_first([root_key], [release_key.public_key()])


@pytest.fixture(scope="session")
def app():
    """An image of more than 200000 bytes: several blocks, the last one short."""
    return make_image({"app.py": b"print(1)\n"}, 200_000, "app")


@pytest.fixture(scope="session")
def snapshot():
    """folder -> name and contents of everything in it, to be compared."""

    def look(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return look
