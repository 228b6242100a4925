"""The core of `p256` in native code.

Layer 1, pure. Only `p256` imports it. What importing it raises says that this interpreter cannot run it:
CPython has no viper, some firmware no native code, and a VM of 64-bit words loses the sign of limbs.

A number modulo p is 19 limbs of 14 bits with a sign, -8192 to 8191, lowest first, a word each; times
2^266 (Montgomery's form); up to 64 p either way. All lie in one array, in slots of 20 words. One
function runs little programs over them, because a call from bytecode costs as much as an addition
of numbers. Nothing is allocated while it runs.

Why no column overflows 32 bits: a product adds at most 19 terms of 2^26 to it, and the reduction less
than 2^26 in all. Why values stay small: the product of a p and b p is at most (a b / 2^10 + 1/2) p,
and no formula here has an a b over 600; where 0 is asked for, a b is below 200, so the product is
below p and a multiple of p is 0 itself.
"""

import sys
from array import array

import micropython
from micropython import const

WINDOW = const(5)
"""Bits of a digit of u2."""

_FACTOR = const(0x4FFFFFFFDFFFFFFFFFFFFFFFEFFFFFFFBFFFFFFFF000000000000000300000)  # 2^532 modulo p

_LENGTH = const(20)  # words of a slot; the last one is not used
_DIGIT = const(16383)

# Slots: 0 and 1 are the columns of a product, 2 to 12 have the letters p to z.
_UNIT = const(2)
_ENTRY = const(3)
_WANTED = const(4)
_ODD = const(13)  # Q, 3Q .. 15Q: x, 2y, z, z^2, z^3 each
_TWICE = const(53)
_KNOWN = const(58)  # G, 3G .. 15G: x, 2y each
_SLOTS = const(74)

# A step has five characters. "oab* ": o = a * b. "oabmn": o = m * a - n * b, with "/" for -1. Slots A to E
# are those of a point that the caller names. xyz is the sum, (x / z^2, y / 2 z^3): with twice the y
# there is less to do. Sources: SEC 1 section 2.2.1, in Jacobian coordinates; a is -3.
_DOUBLE = (
    b"tyy* "
    b"szz* "
    b"zyz* "
    b"uxs33"
    b"vxs1/"
    b"wuv* "  # slope: 3 (x - z^2) (x + z^2)
    b"uxt* "
    b"sww* "
    b"vtt* "
    b"xsu12"
    b"uux11"
    b"swu* "
    b"ysv21;"
)
# u: the difference of the x once both points have the same z, its square in s; r: twice that of the y,
# its square in w.
_MEET = b"szz* tsz* uAs* rBt* "
_SCALE = b"xxD* yyE* zzC* "
_PLUS = b"uux11rry11suu* wrr* ;"
_MINUS = b"uux11rry/1suu* wrr* ;"
_BEGIN = (
    _MEET + _SCALE + _PLUS,
    _MEET + _SCALE + _MINUS,
    _MEET + _PLUS,
    _MEET + _MINUS,
)
_END = b"zzu* zzz20vxs* sus* xws14xxv18vvx41wrv* uys* ywu28;"
_SET = (b"xAA10yBB10zCC10;", b"xAA10yBB/0zCC10;", b"xAA10yBB10zpp10;", b"xAA10yBB/0zpp10;")
_GET = b"Axx10Byy10Czz10DCC* EDC* ;"
_ENTER = b"AAA10AAq* ;"
_TWO = b"AAA20;"
_COMPARE = b"szz* rrs* wxr11wwp* ;"  # x - r z^2, times 1


@micropython.viper
def _run(b: ptr32, t: ptr32, point: int, program: ptr8):
    # b and t are the slots, both, as arguments to be held in registers.
    memory = int(b) - 110 * 80
    point += 45
    c = 0
    j = 0
    while program[0] != 59:
        c = program[0]
        if c < 97:
            c += point
        o = ptr32(c * 80 + memory)
        c = program[1]
        if c < 97:
            c += point
        a = ptr32(c * 80 + memory)
        j = program[2]
        if j < 97:
            j += point
        b = ptr32(j * 80 + memory)
        square = int(c == j)
        c = 0
        if program[3] == 42:
            t = ptr32(memory + 110 * 80)
            end = int(t) + 72
            while int(t) != end:
                t[0] = 0
                t = ptr32(int(t) + 4)
            t = ptr32(memory + 110 * 80)
            end += 4
            j = 0
            while int(t) != end:
                x = a[0]
                a = ptr32(int(a) + 4)
                # In a square, blocks left of the diagonal's are left out, those right count twice.
                if j < 7:
                    t[0] = b[0] * x + t[0]
                    t[1] = b[1] * x + t[1]
                    t[2] = b[2] * x + t[2]
                    t[3] = b[3] * x + t[3]
                    t[4] = b[4] * x + t[4]
                    t[5] = b[5] * x + t[5]
                    t[6] = b[6] * x + t[6]
                    if square:
                        x += x
                if j < 13:
                    t[7] = b[7] * x + t[7]
                    t[8] = b[8] * x + t[8]
                    t[9] = b[9] * x + t[9]
                    t[10] = b[10] * x + t[10]
                    t[11] = b[11] * x + t[11]
                    t[12] = b[12] * x + t[12]
                    if j > 6:
                        x += x
                # The lowest column becomes 0 with m times p, 2^256 - 2^224 + 2^192 + 2^96 - 1.
                m = t[0] + c
                c = (m + 8192) >> 14
                m -= c << 14
                t[6] = (m << 12) + t[6]
                t[13] = b[13] * x + t[13] + (m << 10)
                t[14] = b[14] * x + t[14]
                t[15] = b[15] * x + t[15]
                t[16] = b[16] * x + t[16] - m
                t[17] = b[17] * x + t[17]
                t[18] = b[18] * x + (m << 4)
                t = ptr32(int(t) + 4)
                j += square
            end = int(o) + 72
            while int(o) != end:
                m = t[0] + c
                c = (m + 8192) >> 14
                o[0] = m - (c << 14)
                m = t[1] + c
                c = (m + 8192) >> 14
                o[1] = m - (c << 14)
                o = ptr32(int(o) + 8)
                t = ptr32(int(t) + 8)
            o[0] = c
        else:
            x = program[3] - 48
            j = 48 - program[4]
            end = int(o) + 72
            while int(o) != end:
                m = a[0] * x + b[0] * j + c
                c = (m + 8192) >> 14
                o[0] = m - (c << 14)
                m = a[1] * x + b[1] * j + c
                c = (m + 8192) >> 14
                o[1] = m - (c << 14)
                o = ptr32(int(o) + 8)
                a = ptr32(int(a) + 8)
                b = ptr32(int(b) + 8)
            o[0] = a[0] * x + b[0] * j + c
        program = ptr8(int(program) + 5)


if sys.maxsize >> 31:
    raise ImportError("words of more than 32 bits")


class _Sum:
    # A point in x, y, z, and what can be added to it.

    def __init__(self):
        self.slots = array("i", bytes(4 * _LENGTH * _SLOTS))
        view = memoryview(self.slots)
        self.s = view[5 * _LENGTH : 6 * _LENGTH - 1]
        self.w = view[9 * _LENGTH : 10 * _LENGTH - 1]
        self.zero = array("i", bytes(4 * _LENGTH - 4))
        self.is_empty = True
        self.split(_ENTRY, _FACTOR)
        self.run(b"qqq10;", 0)
        self.enter(_UNIT, 1)

    def run(self, program: bytes, slot: int) -> None:
        _run(self.slots, self.slots, slot, program)

    def split(self, slot: int, number: int) -> None:
        # Limbs without a sign: to be added to something before they are multiplied.
        at = slot * _LENGTH
        for i in range(at, at + _LENGTH, 2):
            two = number & 0xFFFFFFF
            self.slots[i] = two & _DIGIT
            self.slots[i + 1] = two >> 14
            number >>= 28

    def enter(self, slot: int, number: int) -> None:
        self.split(slot, number)
        self.run(_ENTER, slot)

    def enter_point(self, slot: int, x: int, y: int) -> None:
        self.enter(slot, x)
        self.enter(slot + 1, y)
        self.run(_TWO, slot + 1)

    def double(self) -> None:
        if not self.is_empty:
            _run(self.slots, self.slots, 0, _DOUBLE)

    def add(self, slot: int, kind: int) -> None:
        # kind: 1: minus this point; 2: its z is 1, not in a slot.
        slots = self.slots
        if self.is_empty:
            self.is_empty = False
            _run(slots, slots, slot, _SET[kind])
            return
        _run(slots, slots, slot, _BEGIN[kind])
        if self.s != self.zero:
            _run(slots, slots, slot, _END)
        elif self.w == self.zero:
            self.double()
        else:
            self.is_empty = True


def has_x(table: bytes, x: int, y: int, u1: bytearray, u2: bytearray, wanted) -> bool:
    """Is the x of u1 G + u2 Q one of those wanted?

    Args:
        table: G, 3G, 5G .. 15G: x and y, 32 bytes each, big-endian.
        x, y: Q, a point of the curve.
        u1, u2: digits of the scalars, lowest first, odd in two's complement, or 0; up to 15 either way.
        wanted: integers below p.
    Takes 6 KiB of heap.
    """
    total = _Sum()
    for at in range(0, 16, 2):
        total.enter_point(
            _KNOWN + at,
            int.from_bytes(table[at * 32 : at * 32 + 32], "big"),
            int.from_bytes(table[at * 32 + 32 : at * 32 + 64], "big"),
        )
    total.enter_point(_ODD, x, y)
    total.add(_ODD, 2)
    total.run(_GET, _ODD)
    total.double()
    total.run(_GET, _TWICE)
    total.is_empty = True
    total.add(_ODD, 0)
    for slot in range(_ODD + 5, _TWICE, 5):
        total.add(_TWICE, 0)
        total.run(_GET, slot)
    total.is_empty = True
    for i in range(len(u1) - 1, -1, -1):
        total.double()
        digit = u1[i]
        if digit > 127:
            total.add(_KNOWN + 255 - digit, 3)
        elif digit:
            total.add(_KNOWN - 1 + digit, 2)
        digit = u2[i]
        if digit > 127:
            total.add(_ODD + 5 * ((256 - digit) >> 1), 1)
        elif digit:
            total.add(_ODD + 5 * (digit >> 1), 0)
    if total.is_empty:
        return False
    for x in wanted:
        total.enter(_WANTED, x)
        total.run(_COMPARE, 0)
        if total.w == total.zero:
            return True
    return False
