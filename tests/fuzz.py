"""Search for inputs that the library reads wrongly, led by what they reach in lib/ota.

    .venv/bin/python tests/fuzz.py [TARGET ...] [--seconds N] [--quiet-seconds N] [--executions N]

Targets, and what must hold for each input, are in tests/fuzzing. Each target runs until nothing new
was reached for --quiet-seconds and --executions inputs were tried, at most --seconds. Then the inputs
that reach something of their own are kept in tests/data/corpus/fuzzed, where
tests/host/test_searched.py gives them to all interpreters, and the figures in figures.json beside
them. Two of these can run at the same time, with different targets. Exit code 1 where something was
found.

Needs atheris, the extra `fuzz`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fuzzing import corpus, search


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Search for inputs that are read wrongly")
    parser.add_argument("target", nargs="*", help="all without any")
    parser.add_argument("--seconds", type=int, default=7200, help="at most")
    parser.add_argument(
        "--quiet-seconds", type=int, default=corpus.LEAST_QUIET_S, help="without anything new"
    )
    parser.add_argument("--executions", type=int, default=corpus.LEAST_EXECUTIONS, help="at least")
    parser.add_argument("--search", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search.run(options.target[0], Path(options.search))
    from fuzzing.targets import TARGETS  # the search has instrumented what this imports

    names = options.target or list(TARGETS)
    if set(names) - set(TARGETS):
        parser.error("targets are " + ", ".join(TARGETS))
    command = [sys.executable, __file__, "--search"]
    found = [
        (name, *one) for name in names for one in search.fuzz(TARGETS[name], command, options)
    ]
    print(corpus.table())
    for name, where, digits in found:
        print(f"FOUND in {name}: {where}\n  {digits}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
