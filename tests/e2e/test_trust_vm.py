"""Keys that change, and a bare image, on the real MicroPython VM with its littlefs."""

import json
import subprocess
import sys

from fakes import manifest_fields
from site_of import DATA
from stores import MANIFEST, Ec, Rsa, envelope, store

from ota.strict import b64url_encode
from ota_tools import resources
from ota_tools.board import filesystem, image_maker, maker
from ota_tools.board.runner import run

ROOT = Rsa(DATA / "root.pem")
RELEASE = Rsa(DATA / "release.pem")
SIZE = 1 << 17

# Installs what is offered, then the bare image, once each.
MAIN = """
import ota

ota.self_test([("server", lambda: ota.Updater.from_config().reachable())])
updater = ota.Updater.from_config()
if updater.update():
    ota.reset()
print("REASON", updater.reason)
try:
    ota.install_image("%s/bare.bin")
    ota.reset()
except ota.OtaError as e:
    print("CODE", e.code)
about = ota.status()
print("STATUS", about["version"], ota.trust_status()["number"], about["highest"], about["trial"])
"""


def image(version: str) -> bytes:
    modules = image_maker.library_modules(resources.library_dir())
    return image_maker.make_image(modules, SIZE, seed=version)


def test_a_device_changes_its_keys_and_then_takes_a_bare_image(site, vm, tmp_path):
    new = Ec()
    more = {
        "manifest_urls": [f"{site.server.url}/virtual-esp32.manifest"],
        "tls_roots": [b64url_encode(site.paths.ca_der.read_bytes()).decode()],
    }
    site.trust = store(1, [ROOT], [RELEASE], [ROOT], **more)
    published = site.published
    second = store(2, [ROOT], [RELEASE, new], [ROOT], bare_images=True, **more)
    (published / "trust-2.json").write_bytes(second)
    data = image("2.0")
    (published / "2.bin").write_bytes(data)
    payloads = [{"urls": ["2.bin"], "encoding": "plain", "size": len(data)}]
    fields = manifest_fields(data, version="2.0", sequence=20, payloads=payloads)
    signed = envelope(MANIFEST, json.dumps(fields).encode(), [new])
    (published / "virtual-esp32.manifest").write_bytes(signed)
    (tmp_path / "in.bin").write_bytes(image("bare"))
    call = ["sign-data", "--version", "2", "--keyfile", str(DATA / "release.pem"), "--output"]
    call += [str(published / "bare.bin"), str(tmp_path / "in.bin")]
    subprocess.run([sys.executable, "-m", "espsecure", *call], check=True, capture_output=True)

    files = site.files()
    files["/boot.py"] = resources.device_file("boot.py").read_bytes()
    files["/main.py"] = (MAIN % site.server.url).encode()
    board = maker.make_board(
        tmp_path / "b", site.target.table, image("1.0"), files, receipt=("1.0", 10)
    )
    result = run(board, vm, timeout_s=120)
    console = "\n".join(result.console)
    assert result.boots == ["ota_0", "ota_1", "ota_0"], console
    assert "CODE nothing-to-do" in result.console, console
    assert "STATUS - 2 20 False" in result.console, console
    part = board.table.find("vfs")
    kept = filesystem.read(bytes(board.flash.read(part.offset, part.size)))
    assert kept["/ota_trust.json.current"] == second
    assert kept["/ota_trust.json"] == site.trust
    slot = board.table.find("ota_0")
    bare = (published / "bare.bin").read_bytes()
    assert bytes(board.flash.read(slot.offset, len(bare))) == bare
