"""Ceiling, peer and ours: which scripts they are, and when the peer is so far off that a run is void.

All three take the same bytes from the same server (or, where instructions are counted, from the same
file through the same stream) into the same block device. Source of the peer's figures: measured on
the peer's own code in November 2026, in the project's performance plan, section 2.
"""

TOLERANCE = 0.15
"""A restated peer may be off by so much; more, and the run is void."""

PEER = {"wall": (1.87, 1.07), "instructions": (35_000, 24_000), "growth": (325, 185)}
"""With verify on and off: wall against the ceiling without read-back, Ir and bytes per 4 KiB."""

VARIANTS = {
    "ceiling": ("ceiling", 0),
    "ceiling+back": ("ceiling", 1),
    "peer": ("peer", 0),
    "peer+back": ("peer", 1),
    "ours": ("ours", 1),
}
"""Name -> script of the VM, and whether it reads back."""

SECTOR = 4096


def peer_off(what: str, found: tuple[float, float]) -> str:
    """ "" where the restated peer is near its known figures, else why the run is void."""
    texts = [
        f"{name} {value:.4g}, known {known:.4g}"
        for name, value, known in zip(("verify on", "verify off"), found, PEER[what], strict=True)
        if abs(value / known - 1) > TOLERANCE
    ]
    return f"VOID: the restated peer's {what} is off ({'; '.join(texts)}). " if texts else ""
