"""Records of fixed offsets: the two of otadata, and the journal."""

import struct
import zlib

from ota import journal, otadata

from .target import Target

NUMBERS = (0, 1, 2, 3, 5, 6, 11, 12, 16, 255, 256, 65535, 2**31, 2**32 - 1, 2**64 - 1)
EMPTY = 2**32 - 1


class Otadata(Target):
    """Some slots, one that is to be selected, and what lies in otadata."""

    name = "otadata"
    cases = {"otadata": (b"\x12", b"")}
    longest = 1 + 64
    words = (b"\xff" * 4, bytes(4), b"\x02\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\xff\xff")
    is_structured = True

    def seeds(self):
        seqs = (0, 1, 2, 3, 9, 2**31, EMPTY - 1, EMPTY)
        pairs = [(record(a, 2), record(b, 0)) for a in seqs for b in seqs]
        states = (*range(6), EMPTY)
        pairs += [(record(7, a), record(8, b)) for a in states for b in states]
        torn = record(5, 2)[:28] + bytes(4)
        pairs += [(torn, record(4, 2)), (record(4, 2), torn), (torn, torn), (bytes(32), bytes(32))]
        return [bytes((options,)) + a + b for a, b in pairs for options in (0x01, 0x11, 0x22)]

    def check(self, data):
        options = data[0] if data else 0
        slots = (options & 15) + 1
        records = data[1:65].ljust(64, b"\xff")
        entries = records[:32], records[32:]
        found = self.outcome(data)[1]
        active, named, valid, texts, seq = found
        kind = select(entries)
        assert active == kind, "record %d decides, expected %d" % (active, kind)
        for entry, slot, is_valid, text in zip(entries, named, valid, texts):
            seq_here = word(entry, 0)
            assert slot == (seq_here - 1) % 2**32 % slots, "another slot"
            assert is_valid == is_selectable(entry), "valid"
            assert text == described(entry), "for people: " + text
        check_next(entries, active, (options >> 4) % slots, slots, seq)
        return "%d %s %s" % (active, valid, [text.rpartition(" ")[2] for text in texts])

    def change(self, data, random):
        data = bytearray(data[:65].ljust(65, b"\xff"))
        start = 1 + 32 * random.randrange(2)
        at = random.choice((0, 0, 24, 28))
        other = word(data, 1 + (start == 1) * 32)
        near = (other + random.randrange(-17, 18)) % 2**32
        number = random.choice((near, random.choice(NUMBERS) % 2**32, random.randrange(8)))
        struct.pack_into("<I", data, start + at, number)
        if random.random() < 0.2:
            data[0] = random.randrange(256)
        return bytes(data)

    def mend(self, data, random):
        data = bytearray(data[:65].ljust(65, b"\xff"))
        for start in random.choice(((1,), (33,), (1, 33))):
            struct.pack_into("<I", data, start + 28, crc_le(bytes(data[start : start + 4])))
        return bytes(data)


def word(record: bytes, at: int) -> int:
    return int.from_bytes(record[at : at + 4], "little")


def crc_le(data: bytes) -> int:
    """`esp_rom_crc32_le` with the start value UINT32_MAX, bit by bit."""
    crc = 0xFFFFFFFF ^ 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(seq: int, state: int) -> bytes:
    seq_field = struct.pack("<I", seq)
    return seq_field + b"\xff" * 20 + struct.pack("<II", state, crc_le(seq_field))


def is_selectable(record: bytes) -> bool:
    """`bootloader_common_ota_select_valid`."""
    if word(record, 0) == EMPTY or word(record, 24) in (3, 4):  # INVALID, ABORTED
        return False
    return word(record, 28) == crc_le(record[:4])


def select(entries) -> int:
    """`bootloader_common_get_active_otadata`."""
    valid = [is_selectable(entry) for entry in entries]
    if all(valid):
        return 0 if max(word(entry, 0) for entry in entries) == word(entries[0], 0) else 1
    return valid.index(True) if any(valid) else -1


def described(entry: bytes) -> str:
    if word(entry, 0) == EMPTY:
        return "blank"
    names = dict(enumerate("NEW PENDING_VERIFY VALID INVALID ABORTED".split()))
    text = "%d %s" % (word(entry, 0), names.get(word(entry, 24), "UNDEFINED"))
    return text if word(entry, 28) == crc_le(entry[:4]) else text + " crc wrong"


def check_next(entries, active: int, slot: int, slots: int, seq: int) -> None:
    """Is it the first seq from the active one on that names the slot, and does it win there?"""
    least = max(1, word(entries[active], 0)) if active >= 0 else 1
    wanted = next(n for n in range(least, least + slots) if (n - 1) % slots == slot)
    assert seq == wanted, "next seq %d, expected %d" % (seq, wanted)
    if seq >= EMPTY:  # used up, in ESP-IDF too: 4 billion selections
        return
    for state in (0, 2):
        written = list(entries)
        written[1 - active if active >= 0 else 0] = otadata.encode(seq, state)
        winner = select(written)
        assert (word(written[winner], 0) - 1) % slots == slot, "another slot wins"


# The journal, by the table of docs/format.md section 6.

FIELDS = {
    "state": (1, "B"),
    "tries": (2, "B"),
    "crashes": (3, "B"),
    "generation": (4, "I"),
    "highest": (8, "Q"),
    "sequence": (16, "Q"),
    "digest": (24, "32s"),
    "head": (56, "16s"),
    "slot": (72, "B"),
    "outcome": (73, "B"),
    "resets": (74, "B"),
    "wakes": (75, "B"),
    "version": (172, "24s"),
    "untold": (196, "B"),
    "reason": (197, "51s"),
    "highest_epoch": (248, "H"),
    "epoch": (250, "H"),
    "log": (252, "256s"),
}
SIZE = 512
END = 508
LAST_STATE = 5
OUTCOMES = (*range(9), 10, 11)


class Journal(Target):
    """What decodes has the table's fields, and encodes to the same bytes, but for what is not known."""

    name = "journal"
    cases = {"journal": (b"", b"")}
    longest = SIZE + 2
    words = (b"\x02\x03", bytes(8), b"\xff" * 8, b"1.0\0", b"\xc3\xa9", b"\0\0a")
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        code, found = self.outcome(data)
        assert code == "ok", "a journal raises " + code
        wanted = read(data)
        if wanted is None:
            assert found is None, "no record, but read as one"
            return "none"
        assert found is not None, "a good record is not read"
        known = journal.decode(data)
        for name, value in wanted.items():
            assert getattr(known, name) == value, name
        assert known.news == 0 and len(vars(known)) == len(wanted) + 1, "fields that are new here"
        wanted_events = events(wanted["log"])
        assert [tuple(event) for event in found[-2]] == wanted_events, "the log"
        normal = normal_of(data, wanted)
        assert found[-1] == normal, "encodes to something else"
        assert journal.encode(journal.decode(normal)) == normal, "and again"
        return "same" if normal == data else "normal form"

    def change(self, data, random):
        data = bytearray(data[:SIZE].ljust(SIZE, b"\0"))
        name = random.choice((*FIELDS, "refused", "event"))
        if name == "refused":
            at, form = 76 + 24 * random.randrange(4) + 16 * random.randrange(2), "Q"
        elif name == "event":
            at, form = 252 + 16 * random.randrange(16) + random.choice((0, 4, 8)), "I"
        else:
            at, form = FIELDS[name]
        size = struct.calcsize("<" + form)
        if form[-1] == "s":
            text = random.choice((b"", b"ab", b"\0a", b"\x80", b"~" * size, random.randbytes(3)))
            data[at : at + size] = text[:size].ljust(size, b"\0")
        else:
            number = random.choice((*NUMBERS, random.getrandbits(8)))
            data[at : at + size] = (number % 256**size).to_bytes(size, "little")
        return bytes(data)

    def mend(self, data, random):
        body = data[:END].ljust(END, b"\0")
        if random.random() < 0.9:
            body = b"\x02" + body[1:]
        return sealed(body)


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def read(data: bytes) -> "dict | None":
    """The fields of a record, as a library knows them that knows no more than the table."""
    if len(data) != SIZE or data[0] != 2 or sealed(data[:END]) != data:
        return None
    fields = {n: struct.unpack_from("<" + form, data, at)[0] for n, (at, form) in FIELDS.items()}
    if fields["state"] > LAST_STATE:
        fields["state"] = 0
    # 9 is an event and no outcome; it is kept as it is, for nobody writes it.
    if fields["outcome"] not in (*OUTCOMES, 9):
        fields["outcome"] = 0
    fields["untold"] = fields["untold"] == 1
    for name in ("version", "reason"):
        text = fields[name].rstrip(b"\0")
        fields[name] = "".join(chr(b) if 32 <= b < 127 else "?" for b in text)
    refused = [struct.unpack_from("<16sQ", data, 76 + 24 * i) for i in range(4)]
    fields["refused"] = [pair for pair in refused if pair[1]]
    return fields


def events(log: bytes) -> list:
    found = [struct.unpack_from("<IBBHQ", log, at) for at in range(0, 256, 16)]
    return [(time, kind, slot, sequence) for time, kind, slot, _, sequence in found if kind]


def normal_of(data: bytes, fields: dict) -> bytes:
    """The record of these fields, written by the table."""
    body = bytearray(data[:END])
    for name, (at, form) in FIELDS.items():
        value = fields[name]
        struct.pack_into("<" + form, body, at, value.encode() if type(value) is str else value)
    ring = b"".join(struct.pack("<16sQ", *pair) for pair in fields["refused"])
    body[76:172] = ring.ljust(96, b"\0")
    return sealed(bytes(body))


def seeds() -> list:
    body = bytearray(END)
    struct.pack_into("<BBBBIQQ", body, 0, 2, 3, 2, 1, 9, 2**40, 2**40 + 1)
    body[24:72] = bytes(range(48))
    body[72:76] = bytes((1, 4, 7, 6))
    struct.pack_into("<16sQ", body, 76, b"r" * 16, 5)
    body[172:175] = b"1.2"
    body[196:201] = b"\x01boom"
    struct.pack_into("<HH", body, 248, 2, 3)
    struct.pack_into("<IBBHQ", body, 252, 1790000000, 4, 1, 0, 2**40 + 1)
    good = sealed(bytes(body))
    changes = [(at, value) for at in (0, 1, 73, 196) for value in (0, 1, 2, 5, 6, 9, 11, 12, 255)]
    made = [good, sealed(b"\x02" + bytes(END - 1)), b"", good[:-1], good + b"\0", bytes(SIZE)]
    for at, value in changes:
        made.append(sealed(bytes(body[:at]) + bytes((value,)) + bytes(body[at + 1 :])))
    for at, size in ((172, 24), (197, 51)):
        for text in (b"x" * size, b"", b"a\0b", b"\xff", "\u00e9".encode(), b"\x7f"):
            made.append(
                sealed(bytes(body[:at]) + text.ljust(size, b"\0") + bytes(body[at + size :]))
            )
    made.append(sealed(bytes(body[:76]) + bytes(24) + b"s" * 24 + bytes(body[124:])))
    return made
