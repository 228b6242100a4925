"""Dates as the protocols and the image write them, as Unix seconds.

Layer 1, pure. The device's clock and epoch are the port's business.
"""

from micropython import const

_MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"
_DAY_S = const(86400)


def http_date(text: bytes) -> int:
    """Of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7); 0 for what cannot be one."""
    if len(text) != 29 or text[25:] != b" GMT":
        return 0
    times = [_two(text[at : at + 2]) for at in (17, 20, 23)]
    midnight = _midnight(text[12:16], text[8:11], text[5:7])
    if midnight < 0 or min(times) < 0:
        return 0
    return midnight + times[0] * 3600 + times[1] * 60 + times[2]


def build_date(text: bytes) -> int:
    """Of `Nov  6 2026`, as a C compiler writes `__DATE__`, at midnight; 0 for what cannot be one."""
    return max(0, _midnight(text[7:11], text[:3], text[4:6].replace(b" ", b"0")))


def unix_time(year: int, month: int, day: int) -> int:
    """Of midnight of a date of the Gregorian calendar."""
    year, month = (year, month) if month > 2 else (year - 1, month + 12)  # the leap day comes last
    days = year * 365 + year // 4 - year // 100 + year // 400 + (month * 153 - 457) // 5 + day
    return (days - 719469) * _DAY_S


def _midnight(year: bytes, month: bytes, day: bytes) -> int:
    number = _MONTHS.find(month)
    if len(month) != 3 or number < 0 or number % 3 or _two(day) < 1:
        return -1
    if len(year) != 4 or not year.isdigit():
        return -1
    return unix_time(int(year), number // 3 + 1, int(day))


def _two(text: bytes) -> int:
    return int(text) if len(text) == 2 and text.isdigit() else -1
