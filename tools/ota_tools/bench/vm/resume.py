"""One download over real TLS, however often its connection breaks.

Arguments: folder that stands for `/`, image size in bytes. Pauses are short: the library's clock of
ticks goes 20 times as fast. Prints the number of connections of the download.
"""

import sys
import time

import probe
from ours import make

import ota.patience

_FASTER = 20


def _ticks_ms():
    return time.ticks_ms() * _FASTER & 0x3FFFFFFF


def _main(root, size):
    seen = probe.watch()
    updater = make(root, int(size), secure=True)[1]
    release = updater.check()
    before = len(seen.sent)
    ota.patience.ticks_ms = _ticks_ms
    ota.patience.Pause.nap_ms = 1
    updater.download(release)
    print("#", len(seen.sent) - before)


_main(*sys.argv[1:])
