"""The manifest: docs/format.md section 3, read a second time, and the rules by which a device takes it."""

import json
import struct

import verdicts_searched as V  # noqa: N812

from . import DATA, documents
from .documents import Fields
from .target import Target

LIMIT = 6144
MOST = 10**15 - 1
JUMP = 2**20
TEXTS = ("product", "board", "version", "notes", "demo", "virtual", "plain", "image", "payloads")


class Manifest(Target):
    """A device, and the manifest that it reads."""

    name = "manifest"
    longest = 6400
    words = (*documents.TOKENS, *(b'"%s"' % text.encode() for text in TEXTS))
    cases = dict.fromkeys(("manifest", "strict"), (bytes(V.DEVICE_SIZE), b""))
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        codes, fields = judge(data[V.DEVICE_SIZE :])
        device = struct.unpack(V.DEVICE, data[: V.DEVICE_SIZE].ljust(V.DEVICE_SIZE, b"\0"))
        code, found = self.outcome(data)
        if codes:
            assert code in codes, "%s, expected %s" % (code, codes)
            return code
        assert code == "ok", "%s, but it is good" % code
        read, target, newer, limits = found
        plain = read.pop("plain")
        assert read == fields, "read as something else"
        check_plain(plain, fields)
        check_target(target, fields, device[0])
        check_newer(newer, fields, *device[1:3])
        check_limits(limits, fields, *device[3:])
        return " ".join(map(str, ("ok", plain, target, newer, limits)))

    def change(self, data, random):
        device, payload = data[: V.DEVICE_SIZE].ljust(V.DEVICE_SIZE, b"\0"), data[V.DEVICE_SIZE :]
        value = documents.tree(payload)
        if value is None:
            return None
        if random.random() < 0.3:
            return changed_device(device, value, random) + payload
        if random.random() < 0.1:
            set_sequence(value, struct.unpack(V.DEVICE, device), random)
        else:
            documents.changed(value, random)
        if random.random() < 0.5:
            fit_blocks(value)
        return device + documents.write(value, random)


def judge(payload: bytes) -> tuple:
    """The codes by one of which a manifest is refused, none where it is good; its fields."""
    fields = documents.read(payload, LIMIT)
    if fields is None or type(fields.get("format")) is not int:
        return {"manifest-format"}, None
    if fields["format"] != 1:
        return {"format-unknown"}, None
    top = Fields(fields, "manifest-format", set())
    image = top.object("image")
    found = {
        "product": top.text("product", 1, 64),
        "board": top.text("board", 1, 64),
        "chip_id": top.integer("chip_id", 0, 0xFFFF),
        "version": top.text("version", 1, 24),
        "sequence": top.integer("sequence", 1, MOST),
        "min_sequence": top.integer("min_sequence", 0, MOST, 0),
        "created": top.integer("created", 0, MOST),
        "expires": top.integer("expires", 0, MOST, 0),
        "trust": top.integer("trust", 0, MOST, 0),
        "notes": top.text("notes", 0, 1024, ""),
        "library": top.items("library", int, 0, 8, []),
        "size": image.integer("size", 1, MOST),
        "sha256": image.digest("sha256"),
        "blocks": image.binary(image.get("blocks", str)),
        "payloads": [],
    }
    top.need(documents.is_printable(found["version"]))
    top.need(len(found["blocks"]) == 16 * -(-found["size"] // 65536))
    for payload in map(top.of, top.items("payloads", dict, 1, 8)):
        urls = payload.items("urls", str, 1, 4)
        top.need(all(1 <= len(url) <= 1024 for url in urls))
        encoding = payload.text("encoding", 1, 16)
        found["payloads"].append([urls, encoding, payload.integer("size", 1, MOST)])
    return top.broken, found


def check_plain(code: str, fields: dict) -> None:
    sizes = [size for _, encoding, size in fields["payloads"] if encoding == "plain"]
    if not sizes:
        wanted = "no-payload"
    else:
        wanted = "good" if sizes[0] == fields["size"] else "manifest-format"
    assert code == wanted, "plain payload: %s, expected %s" % (code, wanted)


def check_target(code: str, fields: dict, chip_id: int) -> None:
    wrong = {
        "wrong-product": fields["product"] != V.PRODUCT,
        "wrong-board": fields["board"] != V.BOARD,
        "wrong-chip": fields["chip_id"] != chip_id,
    }
    one_of(code, wrong, "good")


def check_newer(newer, fields: dict, highest: int, floor: int) -> None:
    sequence = fields["sequence"]
    if sequence == highest >= floor:
        assert newer is False, "the device has it"
        return
    wrong = {
        "downgrade": sequence < highest or sequence < floor,
        "sequence-jump": sequence > max(highest, floor) + JUMP,
        "step-needed": highest < fields["min_sequence"],
    }
    one_of(newer, wrong, True)
    assert newer == "downgrade" or not wrong["downgrade"], "a downgrade is nothing else"


def check_limits(code: str, fields: dict, now: int, slot_size: int) -> None:
    wrong = {
        "expired": 0 < fields["expires"] < now,
        "image-too-large": fields["size"] > slot_size,
    }
    one_of(code, wrong, "good")


def one_of(found, wrong: dict, good) -> None:
    """Is what was found one of the things that are wrong, or good where nothing is?"""
    wanted = [name for name, is_so in wrong.items() if is_so] or [good]
    assert found in wanted, "%s, expected %s" % (found, wanted)


def changed_device(device: bytes, fields, random) -> bytes:
    """Another device: about what the manifest says, or anything."""
    numbers = list(struct.unpack(V.DEVICE, device))
    at = random.randrange(len(numbers))
    names = (("chip_id",), ("sequence", "min_sequence"), ("sequence",), ("expires", "created"), ())
    near = [documents.get(fields, name) for name in names[at]]
    near.append(documents.get(documents.get(fields, "image"), "size") if at == 4 else 0)
    base = random.choice([n for n in near if type(n) is int] or [0])
    more = random.choice((0, 0, 1, -1, JUMP, -JUMP, JUMP + 1, -JUMP - 1, random.getrandbits(24)))
    most = (0xFFFF, 2**64 - 1, 2**64 - 1, 2**64 - 1, 2**32 - 1)[at]
    numbers[at] = min(max(0, base + more), most)
    return struct.pack(V.DEVICE, *numbers)


def set_sequence(fields, device: tuple, random) -> None:
    """A sequence about what the device has."""
    for name in fields if isinstance(fields, dict) else ():
        if str.__eq__(name, "sequence"):
            near = random.choice(device[1:3]) + random.choice((-1, 0, 1, JUMP, JUMP + 1))
            fields[name] = near


def fit_blocks(fields) -> None:
    """As many block digests as the size wants, and a payload of that size."""
    image = documents.get(fields, "image")
    size = documents.get(image, "size")
    if type(size) is not int or not 0 < size < 2**24:
        return
    for name in image:
        if str.__eq__(name, "blocks"):
            image[name] = documents.coded(bytes(16 * -(-size // 65536)))
    payloads = documents.get(fields, "payloads")
    if isinstance(payloads, list) and payloads and isinstance(payloads[0], dict):
        for name in payloads[0]:
            if str.__eq__(name, "size"):
                payloads[0][name] = size


def seeds() -> list:
    good = json.loads((DATA / "openssl" / "manifest.payload").read_text())
    image, payload = good["image"], good["payloads"][0]
    size = image["size"]
    small = {
        "format": 1,
        "product": "demo",
        "board": "virtual",
        "chip_id": 0,
        "version": "1",
        "sequence": 9,
        "created": 5,
        "image": image,
        "payloads": [payload],
    }
    two = {"size": 65537, "sha256": "ab" * 32, "blocks": documents.coded(bytes(32))}

    def made(device=(), **changes):
        numbers = [*device, *(0, 8, 0, 100, 1 << 20)[len(device) :]]
        fields = {k: v for k, v in {**small, **changes}.items() if v is not ...}
        text = json.dumps(fields, separators=(",", ":"))
        return struct.pack(V.DEVICE, *numbers) + text.encode()

    other = {**payload, "encoding": "delta", "size": 3}
    devices = [
        *((0, 9), (0, 10), (0, 8, 9), (0, 8, 10), (0, 0, 9), (1,), (0, 9, 10)),
        *((0, 8, 0, 100, size), (0, 8, 0, 100, size - 1), (0, 8, 0, 101), (0, 2**64 - 1)),
    ]
    changes = [
        *({"format": 2}, {"format": "1"}, {"format": None}, {"product": "x"}, {"board": "x"}),
        *({"chip_id": 0xFFFF}, {"chip_id": 0x10000}, {"sequence": 0}, {"sequence": 8 + JUMP}),
        *({"sequence": 9 + JUMP}, {"min_sequence": 8}, {"min_sequence": 9}, {"expires": 100}),
        *({"expires": 99}, {"expires": 0}, {"version": "x" * 24}, {"version": "x" * 25}),
        *({"version": "\u00e9"}, {"version": "\x7f"}, {"version": ""}, {"notes": "n" * 1024}),
        *({"notes": "n" * 1025}, {"notes": 1}, {"library": [1] * 8}, {"library": [1] * 9}),
        *({"library": [True]}, {"trust": 2}, {"trust": "2"}, {"image": two}, {"image": {}}),
        *({"image": {**image, "sha256": "AB" * 32}}, {"image": {**image, "blocks": "A"}}),
        *({"image": {**image, "size": 0}}, {"image": {**two, "size": 65536}}, {"payloads": []}),
        *({"payloads": [other]}, {"payloads": [other, payload]}, {"payloads": [payload] * 8}),
        *({"payloads": [payload] * 9}, {"payloads": [{**payload, "size": 0}]}),
        *({"payloads": [{**payload, "size": size + 1}]}, {"payloads": [{**payload, "urls": []}]}),
        {"payloads": [{**payload, "urls": ["a", "b", "c", "d"]}]},
        {"payloads": [{**payload, "urls": ["a"] * 5}]},
        {"payloads": [{**payload, "urls": [""]}]},
        *({"payloads": [{**payload, "urls": ["u" * n]}]} for n in (1024, 1025)),
        *({"payloads": [{**payload, "encoding": "e" * n}]} for n in (0, 16, 17)),
        *({name: ...} for name in small),
        *({"rollout": [1, {"a": None}]}, {"x": [[[[1]]]]}, {"x": [[[[[1]]]]]}),
        *(
            {"x": [[[[[[1]]]]]]},
            {"x": 10**15 - 1},
            {"x": 10**15},
            {"x": "\ud800"},
            {"x": "\u0000"},
        ),
    ]
    return [
        *(made(device) for device in devices),
        *(made(**change) for change in changes),
        made(sequence=2**20 + 9)[:-1] + b" " * LIMIT,
        *(b"", made()[:20], made()[: V.DEVICE_SIZE], made() + b"\n", made() + b"x"),
        made().replace(b'"board"', b'"product"'),
        made().replace(b'"format":1', b'"format":1,"format":1'),
        made().replace(b"demo", b"d\\u0065mo"),
    ]
