"""One line for what a parser makes of a case: equal on all interpreters, or there is a bug.

In the device's dialect; no test module. `main("read", file)` prints a verdict for each line
`parser hex` of a file, `main("write")` prints such lines: documents as this interpreter writes them.
"""

import binascii
import hashlib
import json

import test_trust
from fakes import make_image, manifest_fields, noise, scratch
from test_jws import KEYS
from test_rsa import PrivateKey

# `from ota import x` does not find modules on MicroPython: the package has __getattr__.
import ota.clock as clock
import ota.config as config
import ota.dates as dates
import ota.http as http
import ota.image as image
import ota.journal as journal
import ota.jws as jws
import ota.local as local
import ota.manifest as manifest
import ota.otadata as otadata
import ota.receipt as receipt
import ota.strict as strict
import ota.trust as trust
from ota.errors import OtaError

BUG = "raised "
"""How the verdict begins where a parser let another exception out than its own."""

_SHORT = 240

_file = []


def verdict(parser, data):
    """What the parser of this name makes of bytes, on one line."""
    return judge(PARSERS[parser], data)


def judge(parse, data):
    """ "ok " and the result in canonical form, or the failure: its class, and its code."""
    try:
        text = "ok " + show(parse(data))
    except strict.Malformed:
        return "Malformed"
    except OtaError as e:
        return type(e).__name__ + " " + e.code
    except Exception as e:
        return BUG + type(e).__name__
    if len(text) <= _SHORT:
        return text
    digest = binascii.hexlify(hashlib.sha256(text.encode()).digest()).decode()
    return "%s... %d characters, SHA-256 %s" % (text[: _SHORT // 2], len(text), digest)


def verdicts(cases):
    """The verdict for each case, a parser's name and bytes."""
    return [verdict(parser, data) for parser, data in cases]


def show(value):
    """Plain data in ASCII on one line: names sorted, bytes in hex, no two values alike."""
    kind = type(value)
    if kind is dict:
        return "{%s}" % ",".join([show(key) + ":" + show(value[key]) for key in sorted(value)])
    if kind in (list, tuple):
        return "[%s]" % ",".join([show(item) for item in value])
    if kind is str:
        return '"%s"' % "".join([_character(char) for char in value])
    if kind in (bytes, bytearray, memoryview):
        return "x" + binascii.hexlify(bytes(value)).decode()
    assert value is None or kind in (bool, int), kind
    return str(value)


def _character(char):
    return char if " " <= char <= "~" and char not in '"\\' else "\\%x;" % ord(char)


def code(call, *args):
    """The code of the OtaError that the call raises, else "good"."""
    try:
        call(*args)
    except OtaError as e:
        return e.code
    return "good"


# What each parser makes of bytes.


def _strict(data):
    return strict.loads(data, 4096)


def _b64url(data):
    return strict.b64url_decode(data.decode())


def _split(data):
    return jws.split(data, 1024)


def _signatures(data):
    return jws.read_signatures(data)


def _envelope(data):
    """By the test's keys, which need no RSA."""
    payload = jws.verify(data, jws.MANIFEST, 1024, KEYS, 1)
    return [
        payload,
        code(jws.verify, data, jws.MANIFEST, 1024, KEYS, 2),
        code(jws.verify, data, jws.TRUST, 1024, KEYS, 1),
    ]


def _release(data):
    """As a device reads it: the keys are the trust store's."""
    role = trust.load(test_trust.STORE).release
    payload = jws.verify(data, jws.MANIFEST, manifest.LIMIT, role.keys, role.threshold)
    return _manifest(bytes(payload))


def _manifest(data):
    return fields_of_manifest(manifest.parse(data))


def fields_of_manifest(found):
    """All that a manifest says."""
    fields = (
        "product board chip_id version sequence min_sequence created expires notes library size "
        "sha256 blocks trust"
    ).split()
    result = {name: getattr(found, name) for name in fields}
    result["payloads"] = [[p.urls, p.encoding, p.size] for p in found.payloads]
    result["plain"] = code(found.plain)
    return result


def _trust(data):
    return fields_of_trust(trust.load(data))


def fields_of_trust(found):
    """All that a trust store says."""
    fields = (
        "number sequence_floor sequence_epoch bare_images expires manifest_urls tls_roots"
    ).split()
    result = {name: getattr(found, name) for name in fields}
    for name in ("root", "release"):
        role = getattr(found, name)
        keys = {kid: [key.alg, _number(key.value)] for kid, key in role.keys.items()}
        result[name] = [role.threshold, keys]
    return result


def _number(value):
    # n, or x and y.
    if type(value) is int:
        return value.to_bytes(384, "big")
    return value[0].to_bytes(32, "big") + value[1].to_bytes(32, "big")


def _image(data):
    def read(offset, n):
        assert offset >= 0 and n >= 0 and offset + n <= len(data)
        return data[offset : offset + n]

    found = image.inspect(read, len(data))
    flags = [found.has_descriptor, found.has_digest]
    checked = code(image.verify, read, len(data))
    return [found.size, found.chip_id, found.segments, flags, checked]


def _image_head(data):
    return image.check_head(data, 0)


def _image_texts(data):
    head = (data + bytes(image.DESCRIPTION))[: image.DESCRIPTION]
    return [image.secure_version(head), image.version_text(head)]


def _otadata(data):
    entries = (data[:32], data[32:])
    index = otadata.active(entries)
    result = [index, [otadata.describe(entry) for entry in entries]]
    for entry in entries:
        result.append([otadata.is_invalid(entry), otadata.is_valid(entry)])
        result.append([otadata.slot_of(entry, slots) for slots in (1, 2, 3, 16)])
    result.append([otadata.next_seq(entries, slot, 3) for slot in range(3)])
    return result


def _journal(data):
    found = journal.decode(data)
    if found is None:
        return None
    fields = (
        "generation highest highest_epoch state tries crashes resets wakes slot sequence epoch digest head "
        "outcome version untold reason refused log"
    ).split()
    events = [list(event) for event in found.events()]
    return [getattr(found, name) for name in fields] + [events, journal.encode(found)]


def _receipts(data):
    found = receipt.load_receipts(_path(data))
    return {
        slot: [r.sha256, r.size, r.version, r.sequence, r.created, r.epoch]
        for slot, r in found.items()
    }


def _config(data):
    found = config.load_config(_path(data))
    fields = (
        "product board manifest_url report_url trust tls_root tls_cert tls_key tls_pins ntp timeout_s total_s "
        "least_rate tries part_kib trial_window_s verified"
    ).split()
    # A dict of MicroPython has an order of its own.
    return [getattr(found, name) for name in fields] + [sorted(found.secret.split("\r\n"))]


def _path(data):
    if not _file:
        _file.append(scratch() + "/file")
    with open(_file[0], "wb") as file:
        file.write(data)
    return _file[0]


def _url(data):
    return _parts(http.Url(data.decode()))


def _reference(data):
    return _parts(http.Url("https://a.example:8443/b/c?d/e").join(data.decode()))


def _parts(url):
    asked = http.request(url, "A: b\r\n", 1, 9, b'"1"')
    return [url.host, url.port, url.path, url.authority(), asked]


def _file_url(data):
    url = local.FileUrl(data.decode())
    return [url.path, url.authority(), url.join("app.bin").path]


def _neighbour(data):
    return local.FileUrl("file:///sd/a/x.manifest").join(data.decode()).path


def _date(data):
    return [dates.http_date(data), dates.build_date(data)]


def _sntp(data):
    return clock._seconds(data, bytes(range(8)))


def _head(data):
    head = http.Head()
    at = 0
    while at < len(data) and not head.done:
        end = data.find(b"\n", at) + 1 or len(data)
        piece = data[at : min(end, at + http.LINE_LIMIT)]
        head.feed(piece)
        at += len(piece)
    fields = "status length chunked start stop total keeps tag location wait_s done size".split()
    return [getattr(head, name) for name in fields] + [at]


PARSERS = {
    "strict": _strict,
    "b64url": _b64url,
    "split": _split,
    "signatures": _signatures,
    "envelope": _envelope,
    "release": _release,
    "manifest": _manifest,
    "trust": _trust,
    "image": _image,
    "image_head": _image_head,
    "image_texts": _image_texts,
    "otadata": _otadata,
    "journal": _journal,
    "receipts": _receipts,
    "config": _config,
    "url": _url,
    "reference": _reference,
    "head": _head,
    "file_url": _file_url,
    "neighbour": _neighbour,
    "date": _date,
    "sntp": _sntp,
}


def documents():
    """What this interpreter writes, signs included: (parser, bytes), the same meaning on all."""
    app = make_image(2000)
    fields = manifest_fields(app, notes='a "quoted" \\ text\n', min_sequence=1, expires=1 << 40)
    payload = json.dumps(fields).encode()
    signers = [(test_trust.KIDS[2], jws.MANIFEST, PrivateKey("release"))]
    store = test_trust.fields_of(
        root=test_trust.ONE_ROOT,
        sequence_floor=7,
        manifest_urls=["https://a.example/m?x=1"],
        tls_roots=[strict.b64url_encode(noise(100)).decode()],
    )
    kept = journal.Journal()
    kept.start(1, 1 << 40, noise(32), noise(16, 2), "1.0")
    kept.end(journal.CRASHED, "\u00e9" * 100)
    kept.note(1790000000)
    kept.refuse(noise(32), 1 << 40)
    receipts = {i: receipt.Receipt(noise(32, 1 + i), 1 << 20, "1.%d" % i, 1 + i) for i in range(2)}
    return [
        ("manifest", payload),
        ("release", test_trust.envelope(payload, signers)),
        ("trust", test_trust.signed(store)),
        ("strict", json.dumps({"a": [1, True, None, 'q"\\/\n\t\r'], "b": {"c": 1}}).encode()),
        ("b64url", strict.b64url_encode(noise(301))),
        ("image", app),
        ("image_head", app[: image.HEAD_SIZE]),
        ("otadata", otadata.encode(3, otadata.VALID) + otadata.encode(4, otadata.NEW)),
        ("journal", journal.encode(kept)),
        ("receipts", receipt.encode(receipts)),
    ]


def main(what, path=""):
    """Print the verdicts on a file of cases, or the documents as such a file."""
    if what == "write":
        for parser, data in documents():
            print(parser, binascii.hexlify(data).decode())
        return
    with open(path) as file:
        for line in file:
            parser, digits = line.rstrip("\n").split(" ")
            print(verdict(parser, binascii.unhexlify(digits)))
