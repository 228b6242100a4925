"""RSA-3072-PSS: the library's verify, or `pow` alone, or neither, so many times.

Arguments: `pow` | `verify` | `nothing`; a file with modulus, digest and signature in hex, a line each;
how often; 1 to let the collector run. Prints microseconds and bytes of heap allocated for each.
"""

import binascii
import gc
import sys
import time

from ota.rsa import verify


def _main(what, path, times, collect="0"):
    with open(path) as file:
        modulus, digest, signature = [binascii.unhexlify(line.strip()) for line in file]
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    gc.collect()
    if collect != "1":
        gc.disable()
    before = gc.mem_alloc()
    start = time.ticks_us()
    for _ in range(int(times)):
        if what == "verify":
            good = verify(n, digest, signature)
        else:
            good = pow(s, 65537, n) if what == "pow" else True
    took = time.ticks_diff(time.ticks_us(), start)
    print("#", took / int(times), (gc.mem_alloc() - before) // int(times))
    if not good:
        raise ValueError("the signature is not good")


_main(*sys.argv[1:])
