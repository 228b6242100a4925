"""What tests/fuzz.py searches with: what must hold for each input of a parser, beside it where to begin.

A parser is a `Target`; `targets.TARGETS` has them all. `search` finds inputs, `corpus` keeps them.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"

sys.path[:0] = [str(ROOT / part) for part in ("lib", "tools", "tests/portable")]
