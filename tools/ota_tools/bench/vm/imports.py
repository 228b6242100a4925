"""Bytes of heap that each module costs, imported in the order of the arguments.

A module pays for itself only: those that it imports stand before it. Prints `name bytes`.
"""

# What every module of MicroPython's own brings along is not the library's.
import binascii
import gc
import hashlib
import json
import os
import select
import socket
import struct
import sys
import time
from asyncio import sleep_ms  # the package loads its parts on first use

import tls


def _main(names):
    costs = []
    for name in names:
        gc.collect()
        before = gc.mem_alloc()
        __import__("ota." + name if name != "ota" else name)
        gc.collect()
        costs.append((name, gc.mem_alloc() - before))
    for name, cost in costs:
        print("#", name, cost)


_main(sys.argv[1:])
