"""What a look at the board itself finds: slots, table, bootloader, clock, heap; for `checkup`.

Layer 6. Each function is a generator of (level, text, advice): level 0 fine, 1 worth knowing, 2
something will not work; what it raises is a finding, too. Nothing is written.
"""

from micropython import const

from .errors import OtaError
from .port import Port

FLASH = "`ota flash` gives the board two OTA slots, otadata and littlefs"

_FINE = const(0)
_NOTE = const(1)
_BAD = const(2)

_KIB = const(1024)
_NARROW = const(65536)  # bytes of a slot that are little to grow in
# Smallest heap for check and download, and without the loaded code: docs/performance.md, goal 4.
_HEAP = const(111411)
_HEAP_FROZEN = const(27033)
# Of the ESP-IDF heap in one piece: what `transfer` leaves to TLS, and a record of it (16.7 KB).
_TLS = const(49152)
_TLS_RECORD = const(17100)


def slots(port: Port):
    """Slots, what they hold, and which of them runs and boots next."""
    from .image import inspect
    from .receipt import FILE, load_receipts

    slots = port.find_slots()
    if len(slots) < 2:
        yield _BAD, "%d OTA slots, an update needs two" % len(slots), FLASH
    receipts = load_receipts(port.path(FILE))
    sizes = set()
    for index in sorted(slots):
        info = slots[index].info()
        sizes.add(info[3])
        try:
            holds = "image of %d bytes" % inspect(_reader(slots[index]), info[3]).size
        except OtaError:
            holds = "no image"
        if index in receipts:
            holds += ", by its receipt %s" % receipts[index].version
        yield _FINE, "%s: %d KiB, %s" % (info[4], info[3] // _KIB, holds), ""
        if info[5]:
            yield _BAD, "%s is encrypted" % info[4], "not supported: flash it without encryption"
    if len(sizes) > 1:
        yield _NOTE, "slots of different sizes", "images must fit the smaller one; `ota flash`"
    yield from _selection(port)


def _reader(part):
    def read(offset: int, n: int) -> bytearray:
        buf = bytearray(n)
        part.readblocks(0, buf, offset)
        return buf

    return read


def _selection(port: Port):
    from .journal import NORMAL, ON_TRIAL, RESET, SOFT_TRIAL
    from .otadata import describe
    from .situation import Situation

    found = Situation(port)
    text = "running %s, selected %s; otadata %s" % (
        _slot(found.running),
        _slot(found.selected),
        ", ".join([describe(entry) for entry in found.entries]),
    )
    if found.action in (NORMAL, ON_TRIAL, SOFT_TRIAL):
        yield _FINE, text, ""
    elif found.action == RESET:
        yield _NOTE, text, "an update waits for its first start: ota.reset()"
    else:
        yield _NOTE, text, "reset the board: ota.boot() in boot.py puts it right"


def _slot(index: int) -> str:
    return "slot %d" % index if index >= 0 else "no slot"


def table(port: Port):
    """Is there room for the next image, if it is about as large as this one?"""
    from .image import inspect

    size = inspect(port.running_image, 1 << 24).size
    slots = port.find_slots()
    room = min([part.info()[3] for part in slots.values()]) if slots else 0
    text = "running image %d bytes, room for %d: %d left" % (size, room, room - size)
    if size > room:
        yield _BAD, text, "`ota flash` with a table of larger slots, or a smaller image"
    elif room - size < _NARROW:
        yield _NOTE, text, "the next release may not fit: `ota flash` with larger slots"
    else:
        yield _FINE, text, ""


def bootloader(port: Port):
    """Does the bootloader take back an image that does not confirm? Only by what it left in otadata."""
    from .chip import DEEP_SLEEP, SOFT
    from .otadata import ABORTED, NEW, PENDING_VERIFY, active, slot_of, state_of

    entries = port.otadata()
    states = [state_of(entry) for entry in entries]
    index = active(entries)
    runs = index >= 0 and slot_of(entries[index], len(port.slots())) == port.running()
    about = _built_with(port)
    if PENDING_VERIFY in states or ABORTED in states:
        yield _FINE, "rollback: yes, its record says so" + about, ""
    elif runs and states[index] == NEW and port.reset_cause() not in (SOFT, DEEP_SLEEP):
        yield (
            _NOTE,
            "rollback: no, a new image runs without its watch" + about,
            "an image that hangs before boot.py stays: `ota flash` with a newer bootloader",
        )
    else:
        yield _FINE, "rollback: not known from here, a trial tells" + about, ""


def _built_with(port: Port) -> str:
    # esp_bootloader_desc_t (ESP-IDF 5.2): magic 80, at 8 the version of ESP-IDF. It begins the first
    # segment: header 24, segment header 8.
    try:
        from esp import flash_read

        head = bytearray(40)
        flash_read(_bootloader_offset(port.chip_id()) + 32, head)
        if head[0] == 80:
            return "; built with ESP-IDF %s" % bytes(head[8:]).split(b"\x00")[0].decode()
    except Exception:
        return ""  # not on every chip, not in every bootloader
    return ""


def _bootloader_offset(chip_id: int) -> int:
    if chip_id in (0, 2):  # ESP32, ESP32-S2
        return 0x1000
    return 0x2000 if chip_id in (18, 23) else 0  # ESP32-P4, ESP32-C5


def clock(port: Port):
    """Can the dates of certificates be judged?"""
    import time

    from .config import FILE, load_config

    text = "%04d-%02d-%02d %02d:%02d" % tuple(time.gmtime()[:5])
    host = load_config(port.path(FILE)).ntp
    if port.clock_is_set():
        yield _FINE, text, ""
    elif host:
        yield (
            _NOTE,
            "%s: not set since power-on" % text,
            "a check asks %s; without an answer certificates cannot be judged" % host,
        )
    else:
        yield _BAD, "%s: not set, and no ntp" % text, "set the clock, or name ntp in /ota.json"


def heap(port: Port, frozen: bool):
    """Memory for an update and for TLS. `frozen`: the library takes no heap for its code."""
    import gc

    gc.collect()
    free = gc.mem_free()
    text = "Python heap: %d KiB free" % (free // _KIB)
    if free < _HEAP_FROZEN:
        yield _BAD, text, "an update needs %d KiB: free some first" % (_HEAP_FROZEN // _KIB)
    elif free < _HEAP and not frozen:
        yield _NOTE, text, "freeze the library: from files it takes %d KiB" % (_HEAP // _KIB)
    else:
        yield _FINE, text, ""
    largest = port.largest_block()
    text = "ESP-IDF heap: largest piece %d KiB" % (largest // _KIB)
    if not largest:
        yield _FINE, "ESP-IDF heap: nobody tells", ""
    elif largest < _TLS_RECORD:
        yield _BAD, text, "TLS does not fit: reset, and update before the application starts"
    elif largest < _TLS:
        yield _NOTE, text, "TLS may not fit: it wants %d KiB" % (_TLS // _KIB)
    else:
        yield _FINE, text, ""
