"""Runs the portable suite without pytest, on MicroPython or CPython: `micropython run.py`.

Prints a line per failure and, last, one JSON object: `ran` with the names, `failed` with theirs.
"""

import gc
import json
import os
import sys

HERE = __file__.rpartition("/")[0] or "."
ROOT = HERE + "/../.."


def main():
    """Run every `test_*` function of every `test_*.py` here; exit code 1 if one failed."""
    sys.path[:0] = [HERE, ROOT + "/lib"]
    if sys.implementation.name == "cpython":
        sys.path.insert(0, ROOT + "/tools")
        __import__("ota_tools")
    ran, failed = [], []
    for file in sorted(os.listdir(HERE)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        module = __import__(file[:-3])
        for name in sorted(dir(module)):
            if not name.startswith("test_"):
                continue
            full = file[:-3] + "." + name
            ran.append(full)
            try:
                getattr(module, name)()
            except Exception as e:
                failed.append(full)
                print("FAILED", full)
                if hasattr(sys, "print_exception"):
                    sys.print_exception(e)
                else:
                    __import__("traceback").print_exc()
        # With its images; a small heap is collected faster.
        del module, sys.modules[file[:-3]]
        gc.collect()
    print(json.dumps({"ran": ran, "failed": failed}))
    sys.exit(1 if failed else 0)


main()
