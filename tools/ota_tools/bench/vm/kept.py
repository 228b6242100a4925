"""Bytes of heap that stay after `import ota; ota.boot()` on a confirmed image.

The chip and MicroPython's own modules are there before the baseline is taken. Prints the bytes, then
each module that is still there with what kept `boot()` from its work.
"""

import binascii
import gc
import os
import struct
import sys
import time

from chip import Chip

Chip(65536).install()
gc.collect()
before = gc.mem_alloc()

import ota

ota.boot()
gc.collect()
print("#", gc.mem_alloc() - before)
for name in list(sys.modules):
    if name == "ota" or name.startswith("ota."):
        print("#", name, getattr(sys.modules[name], "fault", "") or "none")
