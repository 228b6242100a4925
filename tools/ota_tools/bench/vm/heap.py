"""What the heap holds at each step of an update: explains the smallest heap.

Arguments: port of the server, folder that stands for `/`, image size. Prints `step bytes`; live bytes
after a collection, or allocated in all with the collector off where the step says "passing".
"""

import gc
import sys


def _live():
    gc.collect()
    return gc.mem_alloc()


def _main(where, root, size):
    import ram

    last = _live()
    print("# harness", last)

    def note(name):
        nonlocal last
        now = _live()
        print("#", name, now - last)
        last = now

    import ours

    import ota.source  # loaded by the first check else

    note("code")
    updater = ours.make(root, int(size))[1]
    note("objects")
    gc.disable()
    trust = updater._trust()
    print("# passing-trust", gc.mem_alloc() - last)
    gc.enable()
    note("trust")
    del trust
    note("trust-gone")
    gc.disable()
    release = updater.check()
    print("# passing-check", gc.mem_alloc() - last)
    gc.enable()
    note("manifest")
    most = 0

    def look(done, total):
        nonlocal most
        if not most:
            most = _live()

    updater.download(release, look)
    print("# download", most - last)


_main(*sys.argv[1:])
