"""The VM: apt's lists as they are written, and a VM that answers for itself."""

import os
import subprocess
import sys

import pytest

from ota_tools.board import interpreter
from ota_tools.failures import MissingTool

DEB822 = """\
# The distribution's own, as a container of trixie has it.
Types: deb
# http://snapshot.example/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://security.example/debian-security http://second.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

X-Repolib-Name: A third party
types: deb
uris: https://download.example/linux/debian/
suites: bookworm
components: stable
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFit2ioBEADhWpZ8
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # the distribution's own
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/vendor.gpg] https://vendor.example/apt stable vendor
  deb [ Signed-By=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64,i386 ] \
http://mirror.example/debian  bookworm   main
deb [trusted=yes] file:/srv/packages ./

nonsense
"""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def read(text, deb822):
    return [(a.uri, a.components, a.signed_by) for a in interpreter.read_sources(text, deb822)]


def test_stanzas_are_read_with_third_parties_and_keys_in_full():
    own, security, second, third = read(DEB822, True)
    assert own == ("http://mirror.example/debian", ("main", "contrib"), KEYRING)
    assert security == ("http://security.example/debian-security", ("main",), "")
    assert second[0] == "http://second.example/debian-security"
    assert third[:2] == ("https://download.example/linux/debian/", ("stable",))
    assert third[2].startswith("-----BEGIN PGP") and third[2].endswith(
        "END PGP PUBLIC KEY BLOCK-----"
    )


def test_lines_are_read_with_options_and_third_parties():
    assert read(ONE_LINE, False) == [
        ("http://mirror.example/debian", ("main", "contrib"), ""),
        ("https://vendor.example/apt", ("vendor",), "/etc/apt/keyrings/vendor.gpg"),
        ("http://mirror.example/debian", ("main",), KEYRING),
        ("file:/srv/packages", (), ""),
    ]


@pytest.mark.parametrize("deb822", [True, False])
@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "Types: deb\n\n", "deb\n"])
def test_lists_without_an_archive_give_none(text, deb822):
    assert read(text, deb822) == []


def failure(**more):
    with pytest.raises(MissingTool) as caught:
        interpreter.find(**more)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    return str(caught.value)


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_variable_with_a_path_to_nothing_is_a_failure_of_one_line(monkeypatch, tmp_path):
    for path in (tmp_path / "missing", tmp_path, "no-such-program-anywhere"):
        monkeypatch.setenv("OTA_MICROPYTHON", str(path))
        text = failure()
        assert text.startswith("OTA_MICROPYTHON: ") and str(path) in text


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("exit 0", "no usable MicroPython: exit code 0"),
        ("exit 3", "no usable MicroPython: exit code 3"),
        ("echo hello", "no usable MicroPython"),
        ("echo first >&2; echo the reason >&2; exit 1", "no usable MicroPython: the reason"),
        ("echo 1 24 9", "is 1.24.9, needed is 1.25.0"),
        ("echo 1 25 0; exit 1", "exit code 1"),
    ],
)
def test_variable_with_another_program_is_a_failure_that_says_why(
    monkeypatch, tmp_path, text, fact
):
    monkeypatch.setenv("OTA_MICROPYTHON", script(tmp_path / "vm", text))
    assert fact in failure()


def test_cpython_is_no_micropython(monkeypatch):
    monkeypatch.setenv("OTA_MICROPYTHON", sys.executable)
    assert "no usable MicroPython" in failure()


def test_variable_decides_alone(monkeypatch, tmp_path):
    vm = script(tmp_path / "vm", "echo 1 27 0")
    monkeypatch.setenv("OTA_MICROPYTHON", vm)
    found = interpreter.find()
    assert (found.argv, found.version, found.source) == ((vm,), (1, 27, 0), "OTA_MICROPYTHON")


def test_command_tells_the_failure_with_exit_code_4(ota, monkeypatch):
    monkeypatch.setenv("OTA_MICROPYTHON", "/nonsense")
    call = ota("board", "vm")
    assert call.code == 4
    assert "OTA_MICROPYTHON: /nonsense does not run" in call.line()


def test_nothing_is_fetched_where_that_is_not_wanted(monkeypatch, tmp_path):
    monkeypatch.delenv("OTA_MICROPYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(interpreter.shutil, "which", lambda name: None)
    assert "OTA_MICROPYTHON" in failure(install=False)
    assert not (tmp_path / "cache").exists()


def test_vm_on_the_path_that_is_too_old_is_as_good_as_none(monkeypatch, tmp_path):
    vm = script(tmp_path / "micropython", "echo 1 19 1")
    monkeypatch.delenv("OTA_MICROPYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(interpreter.shutil, "which", lambda name: vm)
    assert "1.25 or newer is needed" in failure(install=False)


@pytest.fixture
def vm():
    return interpreter.find(install=False)


def test_found_vm_runs_and_is_new_enough(vm):
    command = [*vm.argv, "-c", "print(1)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert vm.version >= (1, 25, 0)
    tell = "import sys; print(sys.implementation.name, *sys.implementation.version[:3])"
    done = subprocess.run([*vm.argv, "-c", tell], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["micropython", *map(str, vm.version)]


def test_command_tells_the_found_vm(ota, vm):
    said = ota("board", "vm", "--json").json()
    assert said["version"] == ".".join(map(str, vm.version))
    assert said["command"].endswith(os.path.basename(vm.argv[-1]))
