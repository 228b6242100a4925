"""Which modules a plain update over HTTPS loads: check and install, with either buffer.

Arguments: folder that stands for `/`, image size in bytes. Prints the names in sys.modules.
"""

import os
import sys

from ours import BUFFERED, make


def _main(root, size):
    for largest in (0, BUFFERED):
        chip, updater = make(root, int(size), secure=True)
        chip.largest = largest or chip.largest
        updater.install(updater.check())
        os.remove(root + "/ota_receipts.json")
    for name in sys.modules:
        if name == "ota" or name.startswith("ota."):
            print("#", name, getattr(sys.modules[name], "fault", "") or "none")


_main(*sys.argv[1:])
