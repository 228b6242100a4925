"""One measured goal, as JSON, tables and plots show it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """What was measured.

    Attributes:
        reference: what it stands beside, in the same unit as `ours`; None where that is only a text.
        ours: the library's figure.
        ratio: what is compared with the limit; None where it was not measured.
        met: None where it could not be judged.
        note: why, in words with figures.
        spread: relative, of the runs; 0.0 for what has no noise.
        details: further figures by name.
    """

    reference: float | None = None
    ours: float | None = None
    ratio: float | None = None
    met: bool | None = None
    note: str = ""
    spread: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
