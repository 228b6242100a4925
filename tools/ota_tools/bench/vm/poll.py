"""Two checks of a device that is up to date, over real TLS: the second names the ETag of the first.

Argument: folder that stands for `/`. Prints for each the bytes of HTTP sent and received. A check
before both tells what is served, which then counts as confirmed.
"""

import sys

import probe
from ours import make

from ota.journal import Journal
from ota.memory import save_journal
from ota.port import Port


def _main(root):
    seen = probe.watch()
    chip, updater = make(root, 1 << 20, secure=True)
    journal = Journal()
    journal.highest = updater.check().sequence
    save_journal(Port(chip, chip, root), journal)
    for _ in range(2):
        if updater.check() is not None:
            raise ValueError("there is something to install")
        print("#", seen.sent[-1], seen.received[-1])


_main(*sys.argv[1:])
