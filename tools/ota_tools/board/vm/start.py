"""What the ESP32 port does between reset and REPL, on the unix VM: mount, boot.py, main.py.

Run by the host with the folder of these stubs first on the path and two file descriptors as
arguments. After the mounts the program sees the board's file system and nothing of the host's. With a
serial line the REPL follows, else the board idles.
"""

import os
import sys

import vfs
from link import call, open_pipes

open_pipes(int(sys.argv[1]), int(sys.argv[2]))

# Loaded now, while the host's files can be seen; a firmware has them built in.
import esp32  # noqa: E402
import keys  # noqa: E402
import machine  # noqa: E402, F401
import network  # noqa: E402, F401
import ntptime  # noqa: E402, F401
import repl  # noqa: E402

sys.modules["micropython"] = keys


def _file_system():
    # As the port's frozen _boot.py chooses it.
    for label, size in (("vfs", 4096), ("ffat", 512)):
        for part in esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label, block_size=size):
            return part
    raise OSError("no file system partition")


def _start(names, line):
    # boot.py, main.py, REPL; returns for a soft reset.
    raw, interrupted = line or (False, False)
    programs = [] if interrupted else ["boot.py"] if raw else ["boot.py", "main.py"]
    for name in programs:
        error = repl.run(name, ("/.img/", "/"), names)
        if isinstance(error, SystemExit):
            return
        if error:
            break
    if line is None:
        call("idle")
    repl.serve(names, raw)


_rom = bytearray(call("rom_size"))
if _rom:
    call("rom", into=_rom)
vfs.umount("/")
vfs.mount(_file_system(), "/")
if _rom:
    vfs.mount(vfs.VfsRom(_rom), "/.img")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/.img", "/lib"]

for _name in ("keys", "link", "repl"):
    del sys.modules[_name]  # a firmware has none of that name
_start({"__name__": "__main__"}, call("line"))
sys.stdout.buffer.write("MPY: soft reboot\r\n")
call("soft_reset")
