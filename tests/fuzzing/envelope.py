"""The envelope: what is handed out was signed so by enough keys, and is the payload to the byte."""

import hashlib
import json

import verdicts_searched as V  # noqa: N812

from . import documents
from .target import Target, agreed

HEADER_LIMIT = 3072
TYPES = ("ota-manifest+1", "ota-trust+1")


class Envelope(Target):
    """Keys are stand-ins: `a` and `b` for PS256, `ec` for ES256."""

    name = "envelope"
    longest = 4200
    words = (*documents.TOKENS, b"signatures", b"protected", b"signature", b'"crit"')
    cases = {"envelope": (b"\1", b""), "signatures": (b"\1", b"\nx"), "strict": (b"\1", b"\nx")}
    is_structured = True

    def seeds(self):
        return seeds()

    def check(self, data):
        options, envelope = data[0] if data else 0, data[1:]
        limit = V.SHORT_LIMIT if options & V.SHORT else V.LIMIT
        codes = judge(
            envelope, TYPES[bool(options & V.AS_TRUST)], limit, V.KEYS, options & V.THRESHOLD
        )
        return agreed(self, data, codes, envelope.partition(b"\n")[2])

    def change(self, data, random):
        if not data or random.random() < 0.1:
            return bytes((random.choice((1, 2, 3, 9, 17, random.randrange(32))),)) + data[1:]
        line, feed, payload = data[1:].partition(b"\n")
        if random.random() < 0.2:
            return data[:1] + line + feed + changed_payload(payload, random)
        line = changed_line(line, random)
        return line and data[:1] + line + (feed or b"\n") + payload

    def mend(self, data, random):
        return data[:1] + resigned(data[1:], lambda kid: kid.encode(errors="replace"))


def judge(envelope: bytes, typ: str, limit: int, keys: dict, threshold: int) -> set:
    """The codes by one of which an envelope is refused; none where it is good."""
    line, feed, payload = envelope.partition(b"\n")
    if not feed or len(line) > HEADER_LIMIT or not 1 <= len(payload) <= limit:
        return {"envelope-format"}
    entries = read_line(line)
    if entries is None:
        return {"envelope-format"}
    good = set()
    for protected, header, signature in entries:
        key = keys.get(header["kid"])
        if header["typ"] != typ or (key and key.alg != header["alg"]):
            return {"signature"}
        if key and V.tag(key.value, digest_of(protected, payload)) == signature:
            good.add(header["kid"])
    return set() if len(good) >= threshold >= 1 else {"signature"}


def read_line(line: bytes) -> "list | None":
    """Protected header as it travels and as it is read, signature, of each entry; None if ill-formed."""
    fields = documents.read(line, HEADER_LIMIT)
    entries = fields.get("signatures") if fields else None
    if fields is None or set(fields) != {"signatures"} or type(entries) is not list:
        return None
    if not 1 <= len(entries) <= 4:
        return None
    found = []
    for entry in entries:
        if type(entry) is not dict or set(entry) != {"protected", "signature"}:
            return None
        protected, signature = entry["protected"], entry["signature"]
        if type(protected) is not str or not 1 <= len(protected) <= 256:
            return None
        if type(signature) is not str or not 1 <= len(signature) <= 1024:
            return None
        raw, signature = documents.decoded(protected), documents.decoded(signature)
        header = None if raw is None else documents.read(raw, 256)
        if header is None or signature is None or set(header) != {"alg", "kid", "typ"}:
            return None
        if not all(type(value) is str and 1 <= len(value) <= 64 for value in header.values()):
            return None
        found.append((protected, header, signature))
    kids = [header["kid"] for _, header, _ in found]
    return found if len(set(kids)) == len(kids) else None


def digest_of(protected: str, payload: bytes) -> bytes:
    """SHA-256 of the JWS signing input, RFC 7515 section 5.1."""
    return hashlib.sha256((protected + "." + documents.coded(payload)).encode()).digest()


def entry(kid: str, alg: str, value, typ: str, payload: bytes) -> dict:
    """A good signature, by a stand-in."""
    header = json.dumps({"alg": alg, "kid": kid, "typ": typ}, separators=(",", ":"))
    protected = documents.coded(header.encode())
    signature = documents.coded(V.tag(value, digest_of(protected, payload)))
    return {"protected": protected, "signature": signature}


def sealed(entries: list, payload: bytes) -> bytes:
    return json.dumps({"signatures": entries}, separators=(",", ":")).encode() + b"\n" + payload


def resigned(envelope: bytes, value_of) -> bytes:
    """An envelope with each signature made right whose key is known.

    Args:
        value_of: kid -> value of the stand-in, None where there is none.
    """
    line, feed, payload = envelope.partition(b"\n")
    value = documents.tree(line)
    if not feed or not isinstance(documents.get(value, "signatures"), list):
        return envelope
    for one in documents.get(value, "signatures"):
        protected = documents.get(one, "protected")
        raw = documents.decoded(protected) if isinstance(protected, str) else None
        kid = raw and documents.get(documents.tree(raw), "kid")
        key = value_of(kid) if isinstance(kid, str) else None
        if key is None:
            continue
        signature = documents.coded(V.tag(key, digest_of(protected, payload)))
        for name in one:
            if str.__eq__(name, "signature"):
                old = one[name]
                if isinstance(old, str) and old and old != signature:
                    line = line.replace(
                        b'"%s"' % old.encode(errors="replace"), b'"%s"' % signature.encode()
                    )
                one[name] = signature
    return line + feed + payload


def changed_line(line: bytes, random) -> "bytes | None":
    """The signatures with a field, a header or an entry changed."""
    value = documents.tree(line)
    entries = documents.get(value, "signatures")
    if not isinstance(entries, list) or not entries or random.random() < 0.3:
        if value is None:
            return None
        documents.changed(value, random)
        return documents.write(value, random)
    at = random.randrange(len(entries))
    one = entries[at]
    kind = random.randrange(4)
    if kind == 0:
        entries.insert(at, one)
    elif kind == 1 and len(entries) > 1:
        del entries[at]
    elif isinstance(one, dict):
        change_header(one, random)
    return documents.write(value, random)


def change_header(one: dict, random) -> None:
    """Another header for a signature."""
    protected = documents.get(one, "protected")
    raw = documents.decoded(protected) if isinstance(protected, str) else None
    header = documents.tree(raw) if raw else None
    if not isinstance(header, dict):
        return
    if random.random() < 0.6:
        words = {"alg": ("PS256", "ES256", "none"), "kid": ("a", "b", "ec", "x"), "typ": TYPES}
        name = random.choice(list(words))
        for key in header:
            if str.__eq__(key, name):
                header[key] = random.choice(words[name])
    else:
        documents.changed(header, random)
    for key in one:
        if str.__eq__(key, "protected"):
            one[key] = documents.coded(documents.write(header, random))


def changed_payload(payload: bytes, random) -> bytes:
    size = random.choice((0, 1, 2, 47, 48, 49, 64, 65, 1024, 1025))
    kind = random.randrange(3)
    if kind == 0:
        return (payload or b"p") * (size // max(1, len(payload)) + 1)
    if kind == 1:
        return random.randbytes(size)
    at = random.randrange(len(payload) + 1)
    return payload[:at] + random.randbytes(1) + payload[at + 1 :]


def seeds() -> list:
    payload = b'{"format":1}'
    keys = {"a": "PS256", "b": "PS256", "ec": "ES256", "x": "PS256"}
    manifest, trust = TYPES

    def made(options, *names, typ=manifest, payload=payload):
        entries = [entry(name, keys[name], name.encode(), typ, payload) for name in names]
        return bytes((options,)) + sealed(entries, payload)

    both = made(2, "a", "b")
    line = both[1:].partition(b"\n")[0]
    four = [entry(name, "PS256", name.encode(), manifest, payload) for name in "abcd"]
    five = [*four, entry("e", "PS256", b"e", manifest, payload)]
    long = [{**one, "signature": one["signature"] + "A" * 700} for one in four]
    header = {"alg": "PS256", "kid": "a", "typ": manifest}
    odd = [{**header, "crit": []}, {**header, "typ": None}, {"alg": "PS256", "kid": "a"}]
    odd += [{**header, "kid": kid} for kid in ("", "k" * 64, "k" * 65, 1)]
    odd = [{**four[0], "protected": documents.coded(json.dumps(one).encode())} for one in odd]
    odd += [{**four[0], name: ""} for name in ("protected", "signature", "header")]
    odd += [{**four[0], "signature": "A" * size} for size in (1024, 1026, 5)]
    return [
        *(b"\1" + sealed([one], payload) for one in odd),
        b"\1" + sealed(four[:1], payload).replace(b"]", b'],"more":1', 1),
        *(made(options, "a") for options in (0, 1, 2, 1 | V.AS_TRUST, 1 | V.SHORT)),
        *(made(1, name) for name in keys),
        *(
            b"\1" + sealed([entry(kid, alg, kid.encode(), manifest, payload)], payload)
            for kid, alg in (("ec", "PS256"), ("a", "ES256"))
        ),
        *(both, made(3, "a", "b", "ec"), made(7, "a", "b", "ec"), made(1, "x", "a")),
        made(1 | V.AS_TRUST, "a", typ=trust),
        made(1, "a", typ=trust),
        *(made(1, "a", payload=b"p" * size) for size in (47, 48, 49, 1024, 1025)),
        *(made(1 | V.SHORT, "a", payload=b"p" * size) for size in (64, 65)),
        *(b"\1" + sealed(entries, payload) for entries in ([], four[:1] * 2, four, five, long)),
        b"\1" + line + b" " * (HEADER_LIMIT - len(line)) + b"\n" + payload,
        b"\1" + line + b" " * (HEADER_LIMIT + 1 - len(line)) + b"\n" + payload,
        *(
            b"",
            b"\1",
            b"\1\n",
            b"\1{}\nx",
            both.partition(b"\n")[0],
            both.partition(b"\n")[0] + b"\n",
        ),
    ]
