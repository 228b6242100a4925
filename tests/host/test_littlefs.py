"""littlefs images that were made elsewhere (tests/data/littlefs): the host and every VM read the same."""

import hashlib
import json
from pathlib import Path

import pytest
from test_portable_on_vm import commands, run_all

from ota_tools.board import filesystem

FOLDER = Path(__file__).parents[1] / "data" / "littlefs"
CONTENTS = json.loads((FOLDER / "contents.json").read_text())

# Mounts a copy as the board does, says what it holds, then writes into it.
SCRIPT = """
import hashlib, json, os, vfs


class Flash:
    def __init__(self, data):
        self.data = bytearray(data)

    def readblocks(self, block, buf, offset=0):
        at = block * 4096 + offset
        buf[:] = self.data[at : at + len(buf)]

    def writeblocks(self, block, buf, offset):
        at = block * 4096 + offset
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // 4096
        if op == 5:
            return 4096
        if op == 6:
            self.data[arg * 4096 : (arg + 1) * 4096] = b"\\xff" * 4096
        return 0


def walk(folder, found):
    for name, kind, *_ in os.ilistdir("/disk" + folder):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path, found)
        else:
            with open("/disk" + path, "rb") as file:
                data = file.read()
            sha = hashlib.sha256(data).digest()
            found[path] = [len(data), "".join(["%%02x" %% byte for byte in sha])]
    return found


with open(%r, "rb") as file:
    flash = Flash(file.read())
vfs.mount(vfs.VfsLfs2(flash), "/disk")
print(json.dumps(walk("", {})))
os.remove("/disk/blocks.bin")
with open("/disk/log", "ab") as file:
    file.write(b"by the VM")
vfs.umount("/disk")
with open(%r, "wb") as file:
    file.write(flash.data)
"""


def told(files: dict[str, bytes]) -> dict:
    """The files as contents.json has them."""
    return {path: [len(data), hashlib.sha256(data).hexdigest()] for path, data in files.items()}


@pytest.mark.parametrize("disk", ["2.0", "2.1"])
def test_the_host_reads_what_littlefs_python_wrote(disk):
    assert told(filesystem.read((FOLDER / f"{disk}.img").read_bytes())) == CONTENTS


@pytest.mark.parametrize("disk", ["2.0", "2.1"])
def test_every_vm_reads_it_and_the_host_reads_what_the_vm_wrote_into_it(disk, tmp_path):
    image = FOLDER / f"{disk}.img"
    vms = {name: command for name, command in commands().items() if "MicroPython" in name}
    assert vms
    named, written = {}, {}
    for number, (name, command) in enumerate(vms.items()):
        written[name] = tmp_path / f"{number}.img"
        script = tmp_path / f"{number}.py"
        script.write_text(SCRIPT % (str(image), str(written[name])))
        named[name] = [*command, str(script)]
    for name, (code, out, err) in run_all(named, tmp_path).items():
        assert (code, err) == (0, ""), (name, out + err)
        assert json.loads(out) == CONTENTS, name
        files = filesystem.read(written[name].read_bytes())
        log = files.pop("/log")
        assert log == b"one line more\n" * 40 + b"by the VM", name
        left = {path: CONTENTS[path] for path in CONTENTS if path not in ("/log", "/blocks.bin")}
        assert told(files) == left, name
