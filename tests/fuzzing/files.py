"""The device's own files: receipts and configuration, docs/format.md sections 5 and 7."""

import base64
import json
import re

from . import documents
from .documents import Fields
from .target import Target, agreed

MOST = 10**15 - 1


class _Document(Target):
    is_structured = True

    def change(self, data, random):
        value = documents.tree(data)
        if value is None:
            return None
        documents.changed(value, random)
        return documents.write(value, random)


class Receipts(_Document):
    """What can be read is read; of anything else nothing that is not there."""

    name = "receipts"
    cases = dict.fromkeys(("receipts", "strict"), (b"", b""))
    longest = 2100
    words = (*documents.TOKENS, b'"slots":', b'"0":{', b'"sha256":', b'"version":', b'"sequence":')
    LIMIT = 2048

    def seeds(self):
        good = {"sha256": "ab" * 32, "size": 1 << 20, "version": "1.0", "sequence": 1}
        new = {**good, "created": 9, "epoch": 2}
        slots = [{"0": good}, {"0": good, "1": new}, {"15": new}, {}, [], {"0": 1}, {"0": {}}]
        slots += [{name: good} for name in ("00", "+1", "-1", " 1", "1_0", "x", "", "9" * 31)]
        changes = (
            *({"sha256": "AB" * 32}, {"size": 0}, {"version": ""}, {"version": "x" * 24}),
            *({"version": "x" * 25}, {"version": "\u00e9"}, {"sequence": True}, {"created": "9"}),
            *({"epoch": None}, {"epoch": []}, {"more": 1}),
        )
        slots += [{"0": {**new, **change}} for change in changes]
        made = [{"format": 1, "slots": one} for one in slots]
        made += [{"format": 2, "slots": {}}, {"format": True, "slots": {"0": good}}, {"slots": {}}]
        seeds = [json.dumps(one, separators=(",", ":")).encode() for one in made]
        return [
            *seeds,
            b"",
            b"x",
            seeds[0] + b" " * (2048 - len(seeds[0])),
            seeds[0] + b" " * 2048,
        ]

    def check(self, data):
        code, found = self.outcome(data)
        assert code == "ok", "receipts raise " + code
        is_right, wanted = read_receipts(data, self.LIMIT)
        assert found == wanted or (not is_right and found == {}), "read as something else"
        return "%d receipts" % len(found) if is_right else "wrong, %d" % len(found)


def read_receipts(data: bytes, limit: int) -> tuple:
    """Is all of it right; and the receipts of slots. Other names are passed over, or nothing is read."""
    fields = documents.read(data, limit)
    if fields is None:
        return False, {}
    broken: set = set()
    top = Fields(fields, "wrong", broken)
    top.integer("format", 1, 1)
    slots = top.get("slots", dict)
    found = {}
    for slot, entry in slots.items():
        top.need(type(entry) is dict)
        if broken:
            break
        one = top.of(entry)
        version = one.text("version", 1, 24)
        one.need(documents.is_printable(version))
        made = [one.digest("sha256"), one.integer("size", 0, MOST), version]
        made += [one.integer(name, 0, MOST, *rest) for name, *rest in NUMBERS]
        if _SLOT.fullmatch(slot):
            found[int(slot)] = made
    if broken:
        return False, {}
    return all(map(_SLOT.fullmatch, slots)), found


_SLOT = re.compile("0|-?[1-9][0-9]*")
"""No slot is negative, and nobody asks for its receipt."""

NUMBERS = (("sequence",), ("created", 0), ("epoch", 0))


class Config(_Document):
    """Every field is in its range, and no header goes out that nobody may set."""

    name = "config"
    cases = dict.fromkeys(("config", "strict"), (b"", b""))
    longest = 4200
    words = (
        *documents.TOKENS,
        b'"product":',
        b'"headers":{',
        b'"basic":',
        b'"bearer":',
        b'"tls_pins":[',
    )
    LIMIT = 4096

    def seeds(self):
        small = {"product": "demo", "board": "virtual"}
        full = {
            **small,
            "manifest_url": "https://a.example/m",
            "report_url": "https://a/r",
            "trust": "/t",
            "tls_root": "/ca",
            "tls_pins": ["ab" * 32],
            "tls_cert": "/c",
            "tls_key": "/k",
            "headers": {"X-Fleet": "north", "Y": ""},
            "ntp": "",
            "basic": "u:p",
            **dict.fromkeys(
                ("timeout_s", "total_s", "least_rate", "part_kib", "trial_window_s"), 60
            ),
            "tries": 4,
        }
        changes = [{}, full, {"bearer": "t"}, {"basic": "u", "bearer": "t"}, {"basic": "\u00e9"}]
        changes += [{name: value} for name in full for value in (None, 1, "", "\u00e9", [], {})]
        changes += [
            {name: value} for name, low, top, _ in RANGES for value in (low - 1, low, top, top + 1)
        ]
        changes += [
            {"headers": {name: "v"}}
            for name in (*OURS, "Host", "a b", "\u00e9", "X", "Authorization")
        ]
        changes += [{"headers": {"X%d" % i: "" for i in range(count)}} for count in (8, 9)]
        changes += [{"headers": {"X": value}} for value in (1, None, "\u00e9", "\r\n", "v" * 99)]
        changes += [
            {"headers": {"Authorization": "x", "X": "y"}, "bearer": "t"},
            {"headers": {"a": "1", "A": "2"}},
        ]
        changes += [{"headers": {"X-Key": "1", "x-key": "2"}}]
        changes += [{"tls_unverified": UNVERIFIED}, {"tls_unverified": "yes"}, {"tls_cert": "/c"}]
        changes += [{"tls_pins": ["ab" * 32] * n} for n in (4, 5)] + [{"tls_pins": ["AB" * 32]}]
        changes += [{"report_url": "https://" + "r" * n} for n in (1016, 1017)]
        made = [
            json.dumps({**small, **change}, separators=(",", ":")).encode() for change in changes
        ]
        return [*made, b"", b"{}", made[0] + b" " * (4096 - len(made[0])), made[0] + b" " * 4096]

    def check(self, data):
        if len(data) > self.LIMIT:
            return agreed(self, data, {"files"}, None)
        fields = documents.read(data, self.LIMIT)
        if fields is None:
            return agreed(self, data, {"config"}, None)
        codes, wanted = read_config(fields)
        return agreed(self, data, codes, wanted)


RANGES = (
    *(("timeout_s", 1, 120, 20), ("total_s", 10, 86400, 7200), ("least_rate", 0, 100000, 100)),
    *(("tries", 1, 20, 4), ("part_kib", 0, 65536, 0), ("trial_window_s", 30, 600, 300)),
)
UNVERIFIED = "anybody-may-answer-for-the-server"
OURS = (
    "host range if-range if-none-match accept-encoding user-agent connection content-length "
    "content-type transfer-encoding"
).split()


def read_config(fields: dict) -> tuple:
    """Codes, and the fields in the order of `verdicts._config`."""
    top = Fields(fields, "config", set())
    product, board = top.text("product", 1, 64), top.text("board", 1, 64)
    top.need(documents.is_printable(board))
    report = top.text("report_url", 0, 1024, "")
    top.need(bool(re.fullmatch("(https://[ -~]*)?", report)))
    texts = [product, board, top.text("manifest_url", 0, 1024, ""), report]
    texts.append(top.text("trust", 1, 64, "/ota_trust.json"))
    texts += [top.text(name, 0, 64, "") for name in ("tls_root", "tls_cert", "tls_key")]
    top.need(bool(texts[-1]) == bool(texts[-2]))
    pins = top.items("tls_pins", str, 0, 4, [])
    top.need(all(re.fullmatch("[0-9a-f]{64}", pin) for pin in pins))
    ntp = top.text("ntp", 0, 64, "pool.ntp.org")
    numbers = [top.integer(*row) for row in RANGES]
    unverified = top.text("tls_unverified", 0, 64, "")
    top.need(unverified in ("", UNVERIFIED))
    secret = read_secret(top)
    if top.broken:
        return top.broken, None
    pins = [bytes.fromhex(pin) for pin in pins]
    return set(), [*texts, pins, ntp, *numbers, not unverified, secret]


def read_secret(top: Fields) -> list:
    """The lines, sorted."""
    given = top.get("headers", dict, {})
    top.need(len(given) <= 8)
    headers = {}
    for name, value in given.items():
        top.need(name.lower() not in headers)  # else the order of a dict decides
        headers[name.lower()] = value
    basic, bearer = top.text("basic", 0, 256, ""), top.text("bearer", 0, 1024, "")
    top.need(not (basic and bearer))
    if basic:
        headers["authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
    elif bearer:
        headers["authorization"] = "Bearer " + bearer
    for name, value in headers.items():
        is_right = re.fullmatch("[a-z0-9-]+", name) and name not in OURS
        top.need(bool(is_right and type(value) is str and documents.is_printable(value)))
    return sorted(["", *("%s: %s" % pair for pair in headers.items())])
