"""The trust store: docs/format.md section 4, read a second time; who may sign it, and what follows it."""

import json

import verdicts_searched as V  # noqa: N812

from . import documents, envelope
from .documents import Fields
from .target import Target, agreed

LIMIT = 8192
MOST = 10**15 - 1
TYPE = "ota-trust+1"
NAMES = ("format", "number", "keys", "root", "release", "threshold", "kid", "alg", "n", "x", "y")
MORE = ("sequence_floor", "sequence_epoch", "bare_images", "expires", "manifest_urls", "tls_roots")

# The curve, FIPS 186-4 section D.1.2.3.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

VALUES = {V.kid_of(value): value for value in (*V.EC_VALUES, *V.RSA_VALUES)}


class Trust(Target):
    """A store that lies on the device, or one that follows another. Keys are stand-ins."""

    name = "trust"
    longest = 1 + envelope.HEADER_LIMIT + 1 + LIMIT + 2
    words = (*documents.TOKENS, *(b'"%s"' % name.encode() for name in (*NAMES, *MORE)))
    cases = {"trust": (b"\0", b""), "strict": (b"\0\n", b"")}
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        options, text = data[0] if data else 0, data[1:]
        own = V.OWN[options >> V.OWN_SHIFT & 1] if options & V.SUCCEEDS else None
        codes, fields = judge(text, own)
        return agreed(self, data, codes, fields)

    def change(self, data, random):
        line, feed, payload = data[1:].partition(b"\n")
        if not feed or random.random() < 0.1:
            return bytes((random.randrange(4),)) + data[1:]
        if random.random() < 0.3:
            made = changed_signers(line, payload, random)
            return made and data[:1] + made
        value = documents.tree(payload)
        if value is None:
            return None
        if random.random() < 0.4:
            change_roles(value, random)
        else:
            documents.changed(value, random)
        return data[:1] + line + feed + documents.write(value, random)

    def mend(self, data, random):
        return data[:1] + envelope.resigned(data[1:], values_in(data).get)


def values_in(data: bytes) -> dict:
    """kid -> value, of the keys that a store names; the known ones, where it says nothing else."""
    fields = documents.tree(data.partition(b"\n")[2])
    values = dict(VALUES)
    keys = documents.get(fields, "keys")
    for entry in keys if isinstance(keys, list) else ():
        kid = documents.get(entry, "kid")
        numbers = [documents.get(entry, name) for name in ("n", "x", "y")]
        raw = [documents.decoded(n) if isinstance(n, str) else None for n in numbers]
        if not isinstance(kid, str):
            continue
        if raw[0] and len(raw[0]) == 384:
            values[str(kid)] = int.from_bytes(raw[0], "big")
        elif raw[1] and raw[2] and len(raw[1]) == len(raw[2]) == 32:
            values[str(kid)] = tuple(int.from_bytes(number, "big") for number in raw[1:])
    return values


def judge(text: bytes, own) -> tuple:
    """The codes by one of which a store is refused, none where it is good; its fields.

    Args:
        own: the store before, None where it lies on the device.
    """
    line, feed, payload = text.partition(b"\n")
    if not feed or len(line) > envelope.HEADER_LIMIT:
        return {"envelope-format"}, None
    codes, fields, keys = read_payload(payload)
    if codes:
        return codes, None
    roots = [{kid: V.Key(value) for kid, value in keys["root"].items()}]
    least = [fields["root"][0]]
    if own:
        if fields["number"] != own.number + 1 or fields["sequence_epoch"] < own.sequence_epoch:
            codes.add("trust-number")
        roots.append({kid: V.Key(key.value) for kid, key in own.root.keys.items()})
        least.append(own.root.threshold)
    for known, threshold in zip(roots, least):
        codes |= envelope.judge(text, TYPE, LIMIT, known, threshold)
    return codes, fields


def read_payload(payload: bytes) -> tuple:
    """Codes, fields, and the keys of each role, of the payload of a store."""
    fields = documents.read(payload, LIMIT)
    if fields is None or type(fields.get("format")) is not int:
        return {"envelope-format"}, None, None
    if fields["format"] != 1:
        return {"format-unknown"}, None, None
    top = Fields(fields, "envelope-format", set())
    keys: dict = {}
    for entry in top.items("keys", dict, 1, 8):
        read_key(top.of(entry), keys)
    found = {
        "number": top.integer("number", 1, MOST),
        "sequence_floor": top.integer("sequence_floor", 0, MOST, 0),
        "sequence_epoch": top.integer("sequence_epoch", 0, 65535, 0),
        "bare_images": top.get("bare_images", bool, False),
        "expires": top.integer("expires", 0, MOST, 0),
        "manifest_urls": top.items("manifest_urls", str, 0, 4, []),
        "tls_roots": [top.binary(root) for root in top.items("tls_roots", str, 0, 4, [])],
    }
    members = {}
    for name in ("root", "release"):
        role = top.object(name)
        kids = role.items("keys", str, 1, 8)
        top.need(all(kid in keys for kid in kids))
        members[name] = {kid: keys.get(kid) for kid in kids}
        threshold = role.integer("threshold", 1, len(members[name]))
        if not top.broken:
            found[name] = [threshold, {kid: shown(value) for kid, value in members[name].items()}]
    return top.broken, found, members


def read_key(entry: Fields, keys: dict) -> None:
    """Add a key by its kid."""
    kid = entry.get("kid", str)
    entry.digest("kid")
    alg = entry.text("alg", 1, 16)
    value = None
    if alg == "PS256":
        n = int.from_bytes(entry.binary(entry.get("n", str), 384), "big")
        entry.need(n.bit_length() == 3072 and n % 2 == 1)
        value = n
    elif alg == "ES256":
        x, y = [
            int.from_bytes(entry.binary(entry.get(name, str), 32), "big") for name in ("x", "y")
        ]
        entry.need(max(x, y) < P and (y * y - x * x * x + 3 * x - B) % P == 0)
        value = x, y
    elif 1 <= len(alg) <= 16:
        entry.broken.add("format-unknown")
    entry.need(kid not in keys and value not in keys.values())
    keys[kid] = value


def shown(value) -> list:
    if type(value) is int:
        return ["PS256", value.to_bytes(384, "big")]
    return ["ES256", value[0].to_bytes(32, "big") + value[1].to_bytes(32, "big")]


# Stores to begin with, and others near them.


def signer(value, payload: bytes, typ: str = TYPE) -> dict:
    alg = "PS256" if type(value) is int else "ES256"
    return envelope.entry(V.kid_of(value), alg, value, typ, payload)


def signed(values, payload: bytes, typ: str = TYPE) -> bytes:
    return envelope.sealed([signer(value, payload, typ) for value in values], payload)


def changed_signers(line: bytes, payload: bytes, random) -> "bytes | None":
    """A store signed by others, or its line changed."""
    if random.random() < 0.5:
        line = envelope.changed_line(line, random)
        return line and line + b"\n" + payload
    count = random.choice((0, 1, 1, 2, 2, 3, 4, 5))
    return signed(random.choices(list(VALUES.values()), k=count), payload)


def change_roles(fields, random) -> None:
    """Other keys, roles, thresholds, numbers."""
    if not isinstance(fields, dict):
        return
    values = random.sample(list(VALUES.values()), random.choice((1, 1, 2, 3)))
    changes = {
        "keys": [V.key_entry(value) for value in values],
        random.choice(("root", "release")): V.role(
            random.choices(values, k=random.choice((1, 2, 3, 8, 9))),
            random.choice((0, 1, 1, 2, 3)),
        ),
        "number": random.choice((0, 1, 2, 3, 7, 8, 9)),
        "sequence_epoch": random.choice((0, 2, 3, 4, 65535, 65536)),
    }
    for name in random.sample(list(changes), random.choice((1, 1, 2))):
        known = [key for key in fields if str.__eq__(key, name)]
        fields[known[0] if known else documents.Name(name)] = changes[name]


def seeds() -> list:
    e, r = V.EC_VALUES, V.RSA_VALUES

    def made(options=0, values=(e[0],), signers=None, threshold=1, typ=TYPE, number=1, **changes):
        fields = V.store(number, values, threshold)
        fields.update(changes)
        text = json.dumps({k: v for k, v in fields.items() if v is not ...}, separators=(",", ":"))
        signers = values if signers is None else signers
        return bytes((options,)) + signed(signers, text.encode(), typ)

    key, other = V.key_entry(e[0]), V.key_entry(r[0])
    off = {**key, "y": key["x"]}
    first, second = V.SUCCEEDS, V.SUCCEEDS | 1 << V.OWN_SHIFT
    fields = [
        *({"format": 2}, {"format": "1"}, {"number": 0}, {"number": None}, {"keys": []}),
        *({"keys": [key] * 2}, {"keys": [{**key, "kid": "0" * 64}, key]}, {"keys": [off]}),
        *({"keys": [{**key, "alg": "EdDSA"}]}, {"keys": [{**key, "alg": ""}]}, {"keys": [1]}),
        *({"keys": [{**key, "kid": kid}]} for kid in ("0" * 63, "0" * 65, "A" * 64, 1)),
        *({"keys": [{**key, "x": text}]} for text in ("A" * 43, "A" * 44, "-" * 43, 1, "")),
        *({"keys": [{**other, "n": "A" * 512}]}, {"keys": [{**other, "n": "_" * 511}]}),
        *({"root": {}}, {"root": {"keys": [], "threshold": 0}}, {"root": V.role([e[0]], 2)}),
        *(
            {"root": V.role([e[0]], 0)},
            {"root": V.role([e[0]] * 2, 2)},
            {"root": V.role([e[1]], 1)},
        ),
        *({"root": V.role([e[0]] * 8, 1)}, {"root": V.role([e[0]] * 9, 1)}, {"release": None}),
        *({"sequence_floor": 2**40}, {"sequence_floor": "1"}, {"sequence_epoch": 65535}),
        *({"sequence_epoch": 65536}, {"bare_images": True}, {"bare_images": 1}, {"expires": 7}),
        *({"expires": None}, {"manifest_urls": ["u"] * 4}, {"manifest_urls": ["u"] * 5}),
        *(
            {"manifest_urls": [1]},
            {"tls_roots": ["", "AA", "-_-_", "AB"]},
            {"tls_roots": ["AA"] * 4},
        ),
        *({"tls_roots": ["AA"] * 5}, {"unknown": [None, {"a": 1}]}),
    ]
    return [
        *(made(**changes) for changes in fields),
        *(made(values=(value,)) for value in (e[1], r[0])),
        *(made(values=[*e, *r[:1]], threshold=count) for count in (1, 3, 4)),
        *(made(values=e[:2], signers=e[:1], threshold=count) for count in (1, 2)),
        *(
            made(signers=[]),
            made(signers=[e[1]]),
            made(signers=[e[0], e[1]]),
            made(typ="ota-manifest+1"),
        ),
        *(made(first, e[:2], number=number) for number in (1, 2, 3)),
        *(made(first, e[1:], e, number=2), made(first, e[1:], e[1:], number=2)),
        made(first, e[2:], e, threshold=1, number=2),
        made(first, e[2:], e[:2], threshold=1, number=2),
        *(made(second, e[:1], number=8, sequence_epoch=epoch) for epoch in (2, 3, 4)),
        *(
            made(second, r[:1], number=8, sequence_epoch=3),
            made(second, e[1:2], number=8, sequence_epoch=3),
        ),
        *(b"", b"\0", b"\0\n", b"\0{}\n{}", made().replace(b'"y"', b'"x"')),
    ]
