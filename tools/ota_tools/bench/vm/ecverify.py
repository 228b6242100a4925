"""One signature so many times: by a core of the library, by the peer, by RSA, or not at all.

Arguments: `portable` | `viper` | `any` (which the library chooses) | `peer` | `rsa` | `nothing`; a file with hex, a line each: x, y, digest and
signature, for `rsa` modulus, digest and signature; how often; 1 to let the collector run. Prints
microseconds of each.
"""

import binascii
import gc
import sys
import time


def _main(what, path, times, collect="0"):
    with open(path) as file:
        *key, digest, signature = [binascii.unhexlify(line.strip()) for line in file]
    key = [int.from_bytes(number, "big") for number in key]
    if what == "portable":
        sys.modules["ota.p256_viper"] = None
    if what == "rsa":
        from ota.rsa import verify
    elif what == "peer":
        from ecpeer import verify
    else:
        from ota.p256 import core, verify

        if what in ("portable", "viper") and core() != what:
            raise MemoryError("the core is not the one asked for")
    for _ in range(int(times)):
        gc.collect()
        if collect != "1":
            gc.disable()
        start = time.ticks_us()
        good = what == "nothing" or verify(*key, digest, signature)
        print("#", time.ticks_diff(time.ticks_us(), start))
        gc.enable()
        if not good:
            raise ValueError("the signature is not good")


_main(*sys.argv[1:])
