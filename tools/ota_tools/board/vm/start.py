"""What the ESP32 port does between reset and REPL, on the unix VM: mount, boot.py, main.py.

Run by the host with the folder of these stubs first on the path and two file descriptors as
arguments. After the mounts the program sees the board's file system and nothing of the host's.
"""

import os
import sys

import vfs
from link import call, open_pipes

open_pipes(int(sys.argv[1]), int(sys.argv[2]))

# Loaded now, while the host's files can be seen; a firmware has them built in.
import esp32  # noqa: E402
import machine  # noqa: E402, F401
import network  # noqa: E402, F401
import ntptime  # noqa: E402, F401


def _run(name, names):
    for folder in ("/.img/", "/"):
        try:
            os.stat(folder + name)
        except OSError:
            continue
        try:
            with open(folder + name) as file:
                exec(compile(file.read(), name, "exec"), names)
        except BaseException as e:
            sys.print_exception(e)
            return False
        return True
    return True


def _file_system():
    # As the port's frozen _boot.py chooses it.
    for label, size in (("vfs", 4096), ("ffat", 512)):
        for part in esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label, block_size=size):
            return part
    raise OSError("no file system partition")


_rom = bytearray(call("rom_size"))
if _rom:
    call("rom", into=_rom)
vfs.umount("/")
vfs.mount(_file_system(), "/")
if _rom:
    vfs.mount(vfs.VfsRom(_rom), "/.img")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/.img", "/lib"]

_names = {"__name__": "__main__"}
if _run("boot.py", _names):
    _run("main.py", _names)
call("idle")
