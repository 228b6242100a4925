"""Which modules a device needs to boot, test, confirm, roll back and tell its status: asks the VM.

Arguments: folder that stands for `/`, a valid image for both slots. Prints the names in sys.modules.
"""

import hashlib
import sys

from chip import Chip, Reset

import ota
from ota.port import Port
from ota.receipt import FILE, Receipt, save_receipts


def _chip(state, image):
    chip = Chip(65536, state)
    for slot in chip.Partition.slots:
        slot.load(image)
    return chip


def _receive(port, slot, image):
    # A rollback goes to a slot that holds the image of its receipt, and to no other.
    with open(image, "rb") as file:
        data = file.read()
    receipt = Receipt(hashlib.sha256(data).digest(), len(data), "1.0", 1)
    save_receipts(port.path(FILE), {slot: receipt})


def _main(root, image):
    chip = _chip(1, image)  # pending verify: on trial
    port = Port(chip, chip, root)
    ota.boot(port=port)
    ota.self_test([("core", lambda: True)], port)
    ota.confirm(port)
    chip.stand_by()
    _receive(port, 1, image)
    try:
        ota.rollback("core", port)
    except Reset:
        pass
    ota.status(port)
    for name in sys.modules:
        if name == "ota" or name.startswith("ota."):
            print("#", name, getattr(sys.modules[name], "fault", "") or "none")


_main(*sys.argv[1:])
