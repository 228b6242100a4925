"""Files of the host: whole or not there at all."""

import os
import resource
import signal

import pytest

from ota_tools.failures import Usage
from ota_tools.files import replace, write_new


@pytest.fixture
def small_files():
    """This process may write no file of more than 1000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a"
    for data in (b"one", b"", b"two" * 1000):
        replace(path, data)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["a"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, small_files):
    path = tmp_path / "a"
    replace(path, b"old")
    with pytest.raises(OSError):
        replace(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_an_earlier_command_left_behind_harms_nothing(tmp_path):
    path, other = tmp_path / "a", tmp_path / "other"
    other.write_bytes(b"other")
    (tmp_path / "a.new").symlink_to(other)
    replace(path, b"secret", 0o600)
    assert (path.read_bytes(), other.read_bytes()) == (b"secret", b"other")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_file_is_whole_or_not_there(tmp_path, small_files):
    path = tmp_path / "a"
    with pytest.raises(OSError):
        write_new(path, bytes(5000), "why")
    assert not path.exists()


def test_a_new_file_is_over_no_other(tmp_path):
    path = tmp_path / "a"
    write_new(path, b"one", "why", 0o600)
    with pytest.raises(Usage, match="exists: why"):
        write_new(path, b"two", "why")
    assert path.read_bytes() == b"one" and path.stat().st_mode & 0o777 == 0o600
