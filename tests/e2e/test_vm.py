"""The library on the real MicroPython VM: the virtual board, its resets, its watchdog, its errors."""

import copy

import pytest
from site_of import DATA, Site
from stores import key_of

from ota_tools import certificates, resources
from ota_tools import trust as trust_store
from ota_tools.board import image_maker, maker
from ota_tools.board.runner import Run, run

SIZE = 1 << 17

INSTALL = """
import ota
try:
    u = ota.Updater.from_config()
    release = u.check()
    if release:
        u.install(release)
        ota.reset()
    else:
        print("none:", u.reason)
except ota.OtaError as e:
    print("code", e.code)
"""


def image(version: str, main: str = "") -> bytes:
    """An image with the library and, where given, a main.py of its own."""
    modules = image_maker.library_modules(resources.library_dir())
    modules["app.py"] = f'VERSION = "{version}"\n'.encode()
    if main:
        modules["main.py"] = main.encode()
    return image_maker.make_image(modules, SIZE, seed=version)


def board(site: Site, folder, main: str = INSTALL, boot: str | None = None, **config):
    files = site.files(**config)
    files["/main.py"] = main.encode()
    files["/boot.py"] = (boot or resources.device_file("boot.py").read_text()).encode()
    return maker.make_board(folder, site.target.table, image("1.0"), files, receipt=("1.0", 1))


def console(result: Run) -> str:
    return "\n".join(result.console)


def test_every_module_of_the_library_is_imported_by_the_vm(site, vm, tmp_path):
    names = sorted(p.stem for p in resources.library_dir().glob("*.py") if p.stem != "__init__")
    names.remove("p256_viper")  # not for words of 64 bits; p256 goes on without it
    main = "".join(f"import ota.{name}\n" for name in names) + "print('all of', len(%r))" % names
    made = board(site, tmp_path / "b", main)
    assert f"all of {len(names)}" in console(run(made, vm))


def test_the_program_sees_the_board_and_nothing_of_the_host(site, vm, tmp_path):
    main = "import os, sys\nprint(sorted(os.listdir('/')), sys.path)\n"
    result = run(board(site, tmp_path / "b", main), vm)
    assert (
        "['.img', 'boot.py', 'main.py', 'ota.json', 'ota_receipts.json', 'ota_trust.json']"
        " ['', '.frozen', '/.img', '/lib']"
    ) in console(result)


def test_a_reset_runs_no_finally(site, vm, tmp_path):
    main = """
import machine
if machine.reset_cause() == 1:
    try:
        machine.reset()
    finally:
        print("finally")
print("cause", machine.reset_cause())
"""
    result = run(board(site, tmp_path / "b", main), vm)
    assert "finally" not in console(result)
    assert "cause 2" in console(result)
    assert result.boots == ["ota_0", "ota_0"]


def test_an_exception_in_boot_py_keeps_main_py_from_running(site, vm, tmp_path):
    result = run(board(site, tmp_path / "b", "print('main')", "1 / 0"), vm)
    assert "ZeroDivisionError" in console(result)
    assert "main" not in result.console


def test_the_watchdog_ends_a_trial_that_hangs(site, vm, tmp_path):
    made = board(site, tmp_path / "b", boot="import ota\nota.boot(window_s=1)\n")
    hang = "import time\nprint('hanging')\nwhile True:\n    time.sleep(1)\n"
    site.publish(image("1.0"), "1.0")
    site.publish(image("1.1", hang), "1.1")
    result = run(made, vm, timeout_s=30)
    # twice: a watchdog reset is tried once more, then the image is refused
    assert result.boots == ["ota_0", "ota_1", "ota_0", "ota_1", "ota_0"]
    assert "none: 1.1 failed here before" in console(result)
    assert result.end == "idle"


def test_a_start_is_taken_up_once_however_often_boot_is_called(site, vm, tmp_path):
    made = board(site, tmp_path / "b")
    site.publish(image("1.0"), "1.0")
    again = "import ota\nprint('ONE')\nota.boot()\nprint('TWO')\nota.confirm()\n"
    site.publish(image("1.1", again), "1.1")
    seen = {}

    def on_line(line: str) -> None:
        if line in ("ONE", "TWO"):
            seen[line] = made.watchdog_at, copy.deepcopy(made.nvs.content)

    result = run(made, vm, on_line)
    assert seen["ONE"][0] is not None and seen["ONE"] == seen["TWO"]
    assert console(result).count("on trial") == 1


def test_an_application_that_forgets_to_confirm_is_rolled_back(site, vm, tmp_path):
    made = board(site, tmp_path / "b", boot="import ota\nota.boot(window_s=1)\n")
    site.publish(image("1.0"), "1.0")
    site.publish(image("1.1", "print('no self-test here')"), "1.1")
    result = run(made, vm, timeout_s=30)
    assert result.boots[-1] == "ota_0"


def test_an_image_whose_main_py_crashes_the_chip_is_rolled_back(site, vm, tmp_path):
    crash = "import esp32\nesp32.Partition(1).writeblocks(0, bytes(4096))\n"
    made = board(site, tmp_path / "b")
    site.publish(image("1.0"), "1.0")
    site.publish(image("1.1", crash), "1.1")
    result = run(made, vm)
    assert result.boots == ["ota_0", "ota_1", "ota_0", "ota_1", "ota_0"]
    assert "none: 1.1 failed here before" in console(result)


def test_a_confirmed_image_that_crashes_again_and_again_is_left_for_the_old_one(
    site, vm, tmp_path
):
    crash = "import esp32, ota\nota.confirm()\nesp32.Partition(1).writeblocks(0, bytes(4096))\n"
    told = INSTALL + "print('told', ota.outcome(), ota.outcome())\n"
    made = board(site, tmp_path / "b", told)
    site.publish(image("1.0"), "1.0")
    site.publish(image("1.1", crash), "1.1")
    result = run(made, vm, timeout_s=60)
    # the first boot confirms itself; then come eight starts after a crash
    assert result.boots == ["ota_0", *["ota_1"] * 9, "ota_0"], console(result)
    assert "none: 1.1 failed here before" in console(result)
    assert "'crash loop'" in console(result) and "'8 resets in 600 s'" in console(result)
    assert result.end == "idle"


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"manifest_url": "https://localhost:1/x"}, "unreachable"),
        ({"manifest_url": "http://localhost/x"}, "url"),
        ({"product": "other"}, "wrong-product"),
        ({"board": "other"}, "wrong-board"),
        ({"trust": "/nothing.json"}, "trust-store"),
        ({"tls_root": "/other.der"}, "tls-verify"),
        ({"timeout_s": 0}, "config"),
    ],
)
def test_a_refusal_has_the_same_code_as_in_this_process(site, vm, tmp_path, config, code):
    site.publish(image("1.1"), "1.1", sequence=2)
    made = board(site, tmp_path / "b", **config)
    if "tls_root" in config:
        other = certificates.ensure(tmp_path / "other", ["localhost"])
        made.close()
        files = site.files(**config)
        files["/main.py"] = INSTALL.encode()
        files["/other.der"] = other.ca_der.read_bytes()
        made = maker.make_board(tmp_path / "c", site.target.table, image("1.0"), files)
    before = made.entries()
    result = run(made, vm)
    assert f"code {code}" in console(result)
    assert made.entries()[1] == before[1]
    slot = made.table.find("ota_1")
    assert not [o for o in made.flash.operations if slot.offset <= o.address < slot.end]


def test_a_tampered_payload_is_refused_on_the_vm(site, vm, tmp_path):
    release = site.publish(image("1.1"), "1.1", sequence=2)
    data = bytearray(release.payload_path.read_bytes())
    data[90000] ^= 1
    release.payload_path.write_bytes(data)
    made = board(site, tmp_path / "b")
    result = run(made, vm)
    assert "code digest-mismatch" in console(result)
    assert result.boots == ["ota_0"]


def test_status_is_plain_data(site, vm, tmp_path):
    main = "import json, ota\nprint(json.dumps(ota.status()))\n"
    result = run(board(site, tmp_path / "b", main), vm)
    assert '"version": "1.0"' in console(result)


def test_several_roots_in_the_trust_store_are_all_tried(site, vm, tmp_path):
    other = certificates.ensure(tmp_path / "other", ["localhost"])
    site.trust = trust_store.make_first(
        [key_of(DATA / "root.pem")],
        [site.signer.public_key()],
        manifest_urls=[f"{site.server.url}/virtual-esp32.manifest"],
        tls_roots=[other.ca_der.read_bytes(), site.paths.ca_der.read_bytes()],
    )
    site.publish(image("1.0"), "1.0")
    result = run(board(site, tmp_path / "b"), vm)
    assert "none: up to date" in console(result)
