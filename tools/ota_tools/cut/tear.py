"""Every state that a power cut inside one step can leave.

NOR flash: a program clears bits, page by page of 256 bytes, the bits of a page in any order; an erase
sets bits, in any order, and may leave anything meanwhile. NVS pairs are whole or not there
(ESP-IDF's promise); here they may also be a mixture, which the journal's CRC has to tell.
"""

import random
from collections.abc import Iterator

from ota_tools.board.flash import SECTOR, Operation
from ota_tools.cut.state import NvsWrite, State, Step

PAGE = 256
"""Bytes that NOR flash programs at once."""

WEAK = "weak cell"
"""No cut: a program that leaves one bit as it was."""

_WIPED = "nvs wiped"
_EARLY = 0.3  # of all cuts inside a page
_RECORD = 32  # bytes of an otadata record
_ENTRY = 32  # bytes that NVS writes at once
_NUMBERS = (
    8  # where the journal has its highest sequence: a format that is wrong gives away the rest
)

Torn = tuple[str, State]
"""How the power went, and what it left."""


def cuts(before: State, step: Step, chance: random.Random, subsets: int) -> Iterator[Torn]:
    """The states after a cut in `step`, the first one right before it.

    Args:
        before: as the step finds it; not changed.
        chance: for bits in any order.
        subsets: how many times a page of bits is torn at random.
    """
    yield "before", before.copy()
    if isinstance(step, NvsWrite):
        yield from _torn_pair(before, step, chance)
    elif step.kind == "erase":
        yield from _torn_erase(before, step, chance, subsets)
    else:
        yield from _torn_program(before, step, chance, subsets)
    wiped = before.copy()
    wiped.nvs = {}  # ESP-IDF does so at start-up where it finds no free page or another version
    yield _WIPED, wiped


def lost_nvs(how: str) -> bool:
    """Was what NVS held lost with this cut, or with one of those that a place names?"""
    return any(kind in how for kind in (_WIPED, "nvs torn", "nvs garbage"))


def _torn_program(
    before: State, step: Operation, chance: random.Random, subsets: int
) -> Iterator[Torn]:
    size = step.size
    lengths = {1, size // 2, size - 1} | {chance.randrange(size) for _ in range(2)}
    for length in sorted(lengths - {0, size}):
        state = before.copy()
        state.apply(Operation("program", step.address, length, step.data[:length]))
        yield f"torn: {length} of {size} bytes", state
    # Whole pages, then one in which any of the bits to be cleared are.
    pages = range(0, size, PAGE)
    for _ in range(subsets):
        start = chance.choice(pages)
        end = min(start + PAGE, size)
        kept = _some_bits(chance, 8 * (end - start))
        torn = int.from_bytes(step.data[start:end], "little") | kept
        data = step.data[:start] + torn.to_bytes(end - start, "little")
        state = before.copy()
        state.apply(Operation("program", step.address, end, data))
        yield f"some bits: bytes {start} to {end}", state


def _rare(chance: random.Random, bits: int) -> int:
    # One bit of 64.
    some = chance.getrandbits(bits)
    for _ in range(5):
        some &= chance.getrandbits(bits)
    return some


def _some_bits(chance: random.Random, bits: int) -> int:
    # Nearly all, half, or hardly any: a cut early, in the middle or late in the page.
    some = chance.getrandbits(bits)
    for _ in range(chance.randrange(7)):
        some &= chance.getrandbits(bits)
    return ~some & ((1 << bits) - 1) if chance.random() < _EARLY else some


def _torn_erase(
    before: State, step: Operation, chance: random.Random, subsets: int
) -> Iterator[Torn]:
    start, size = step.address, step.size
    old = bytes(before.flash[start : start + size])
    half = size // 2
    blank = b"\xff" * size
    mixed = int.from_bytes(old, "little") | chance.getrandbits(8 * size)
    lefts = {
        "first half erased": blank[:half] + old[half:],
        "second half erased": old[:half] + blank[half:],
        "garbage": chance.randbytes(size),
        "bits half erased": mixed.to_bytes(size, "little"),
    }
    for number in range(subsets):
        # Very early: a few bits set, or, as chips program before they erase, cleared; at the start, where
        # headers and records are.
        first = int.from_bytes(old[:_RECORD], "little")
        for _ in range(chance.randrange(1, 5)):
            bit = 1 << chance.randrange(8 * _RECORD)
            first = first & ~bit if number % 4 == 3 else first | bit
        lefts[f"few bits erased: {number}"] = first.to_bytes(_RECORD, "little") + old[_RECORD:]
    late = ~_rare(chance, 8 * size) & ((1 << 8 * size) - 1)
    lefts["nearly erased"] = (int.from_bytes(old, "little") | late).to_bytes(size, "little")
    if size > SECTOR:
        lefts["first sector erased"] = blank[:SECTOR] + old[SECTOR:]
        lefts["last sector left"] = blank[: size - SECTOR] + old[size - SECTOR :]
    for how, left in lefts.items():
        state = before.copy()
        state.flash[start : start + size] = left
        yield how, state


def _torn_pair(before: State, step: NvsWrite, chance: random.Random) -> Iterator[Torn]:
    if not isinstance(step.value, str):
        return
    new = bytes.fromhex(step.value)
    found = before.nvs.get(step.space, {}).get(step.key)
    old = bytes.fromhex(found) if isinstance(found, str) else b""
    at = chance.randrange(1, len(new))
    lefts = [("nvs torn", new[:at] + old[at:].ljust(len(new) - at, b"\xff"))]
    for start in (_NUMBERS, chance.randrange(0, len(new), _ENTRY)):
        spoiled = chance.randbytes(min(_ENTRY, len(new) - start))
        lefts.append(("nvs garbage", new[:start] + spoiled + new[start + _ENTRY :]))
    for how, value in lefts:
        state = before.copy()
        state.apply(NvsWrite(step.space, step.key, value.hex()))
        yield how, state
