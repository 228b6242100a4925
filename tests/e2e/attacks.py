"""Every attack by the threat it belongs to: how it is made, the code that the device gives, what stops it.

The attacker owns the web server, the names, the network and yesterday's releases; in some rows a release
key, or one root key of two. Rows with `arrange` run in tests/e2e/test_attacks.py, in this process, and
those that need no past of the device on the MicroPython VM too; the others name the test that proves
them. docs/threats.md shows the table.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bad_input import NEXT_SLOT, NOTHING
from publisher import (
    CURRENT,
    NAME,
    NEW,
    OLD,
    ROOT,
    ROOT2,
    SECTOR,
    STRANGER,
    Publisher,
    app,
    content,
    ec_block,
    image_of,
    rsa_block,
    sector,
)
from stores import MANIFEST, TRUST, Ec, Forged, envelope, role
from timeserver import TimeServer

from ota.journal import Journal
from ota.memory import save_journal
from ota.receipt import FILE
from ota.strict import b64url_decode, b64url_encode

SAME = "none: the same release"
"""The bytes are others, the meaning is the signed one: nobody is harmed."""

Arrange = Callable[[Publisher], Any]
MOVED = "HTTP/1.1 302 Found\nContent-Length: 0\nLocation: "
DAY = 86400
FAR = 1 << 20
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Attack:
    """A row.

    Attributes:
        threat: the group.
        name: the attack.
        code: that the device gives; None where it finds nothing to do; `SAME`.
        counter: what stops it.
        mutant: the entry of tests/mutate.py with which this attack succeeds, or has another code.
        arrange: what the attacker, and everybody before, did.
        touches: flash that may be touched.
        then: what is done when the device is there; it may give what the device does instead of an
            update.
        vm: it runs on the VM too, where it needs no past of the device (`then`).
        test: where it is proven, for a row without the two; beside them, what the mutant turns red where
            another check still stops the attack.
    """

    threat: str
    name: str
    code: str | None
    counter: str
    mutant: str
    arrange: Arrange | None = None
    touches: str = NOTHING
    then: Arrange | None = None
    vm: bool = True
    test: str = ""


# What attackers do


def _signed_by(*signers: Any) -> Arrange:
    return lambda p: p.release(20, signers)


def _changed(**fields: Any) -> Arrange:
    return lambda p: p.release(20, [OLD], **fields)


def _text(old: str, new: str) -> Arrange:
    # Signed by the right key, with one piece of the text replaced.
    def arrange(p: Publisher) -> None:
        text = json.dumps(p.fields(20), separators=(",", ":"))
        assert old in text, old
        p.offer(envelope(MANIFEST, text.replace(old, new, 1).encode("latin-1"), [OLD]))

    return arrange


def _line(change: Callable[[Publisher, dict], Any], same: bool = False) -> Arrange:
    # The unsigned first line, as the attacker writes it again: a dict, or its bytes.
    def arrange(p: Publisher) -> None:
        line, payload = p.release(20, [OLD]).split(b"\n", 1)
        fields = json.loads(line)
        line = change(p, fields) or fields
        p.offer((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" + payload)
        if same:
            p.means = json.loads(payload)["image"]["sha256"]

    return arrange


def _entry(**changes: Callable[[str], Any]) -> Arrange:
    def change(p: Publisher, fields: dict) -> None:
        entry = fields["signatures"][0]
        for name, make in changes.items():
            entry[name] = make(entry.get(name, ""))

    return _line(change)


def _header(**changes: Any) -> Arrange:
    # The right key signs a wrong header.
    def arrange(p: Publisher) -> None:
        payload = json.dumps(p.fields(20)).encode()
        p.offer(envelope(MANIFEST, payload, [OLD], **changes))

    return arrange


def _url(text: str) -> Arrange:
    def arrange(p: Publisher) -> None:
        fields = p.fields(20)
        fields["payloads"][0]["urls"] = [text]
        p.offer(envelope(MANIFEST, json.dumps(fields).encode(), [OLD]))

    return arrange


def _served(make: Callable[[bytes], bytes]) -> Arrange:
    return lambda p: p.release(20, [OLD], served=make(image_of(20)))


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _manifest_from(head: str, body: bytes = b"", path: str = "/m") -> Arrange:
    def arrange(p: Publisher) -> None:
        p.config["manifest_url"] = p.liar(head, body) + path

    return arrange


def _moved(to: str) -> Arrange:
    return _manifest_from(MOVED + to)


def _signature_of_another(p: Publisher) -> None:
    # Header and signature of one release over another one.
    line = p.release(19, [OLD]).split(b"\n")[0]
    payload = p.release(20, [OLD]).split(b"\n", 1)[1]
    p.offer(line + b"\n" + payload)


def _mixed_digests(p: Publisher) -> None:
    fields, other = p.fields(20), p.fields(21)
    fields["image"]["sha256"] = other["image"]["sha256"]
    p.offer(envelope(MANIFEST, json.dumps(fields).encode(), [OLD]))


def _other_blocks(p: Publisher) -> None:
    fields, other = p.fields(20), p.fields(21)
    fields["image"]["blocks"] = other["image"]["blocks"]
    p.offer(envelope(MANIFEST, json.dumps(fields).encode(), [OLD]))


def _over_another_release(p: Publisher) -> None:
    # The slot holds a release in full; of the next one only the last block is served wrong.
    old = image_of(19)
    p.v.put("ota_1", old)
    data = bytearray(old[:-32])
    data[140000] ^= 4
    data[-1] ^= 4
    new = bytes(data) + hashlib.sha256(data).digest()
    p.release(20, [OLD], image=new, served=old)


# Keys and trust stores


def _two_roots(p: Publisher) -> None:
    p.flash([ROOT, ROOT2], [OLD], root=role(ROOT, ROOT2, threshold=2))


def _next_store(roots, releases, signers, two: bool = False, then=(NEW,), **fields) -> Arrange:
    # The attacker's trust store, and a release by the key in it.
    def arrange(p: Publisher) -> None:
        if two:
            _two_roots(p)
        p.put(2, roots, releases, signers, **fields)
        p.release(20, then, trust=2)

    return arrange


def _raw_store(change: Callable[[dict], Any]) -> Arrange:
    # Number 2, signed by the root, with a content that no tool would make.
    def arrange(p: Publisher) -> None:
        fields = json.loads(p.store(2, [ROOT], [OLD, NEW], [ROOT]).split(b"\n", 1)[1])
        change(fields)
        p.publish("trust-2.json", envelope(TRUST, json.dumps(fields).encode(), [ROOT]))
        p.release(20, [OLD], trust=2)

    return arrange


def _key_in_store(**changes: Any) -> Arrange:
    return _raw_store(lambda fields: fields["keys"][-1].update(changes))


def _root_signs_twice(p: Publisher) -> None:
    _two_roots(p)
    p.put(2, [ROOT], [NEW], [ROOT, ROOT])
    p.release(20, [OLD], trust=2)


def _thresholds(*signers: Any) -> Arrange:
    # Releases take two keys.
    def arrange(p: Publisher) -> None:
        p.flash([ROOT], [OLD, NEW], release=role(OLD, NEW, threshold=2))
        p.honest_keys = [OLD, NEW]
        p.release(20, signers)

    return arrange


def _revoked(p: Publisher) -> None:
    p.accepted_before = p.store(2, [ROOT], [NEW], [ROOT])
    p.honest_keys = [NEW]
    p.release(20, [OLD])


def _replayed(number: int, as_number: int) -> Arrange:
    # An older store under the name of the next one, to bring a revoked key back.
    def arrange(p: Publisher) -> None:
        p.accepted_before = p.store(3, [ROOT], [NEW], [ROOT])
        p.honest_keys = [NEW]
        p.put(number, [ROOT], [OLD], [ROOT], as_number=as_number)
        p.release(20, [OLD])

    return arrange


def _replayed_truly(p: Publisher) -> None:
    # The manifest is honest: it is the trust store that lies.
    p.accepted_before = p.store(2, [ROOT], [OLD], [ROOT])
    p.put(1, [ROOT], [OLD], [ROOT], as_number=3)
    p.release(20, [OLD], trust=3)


def _other_root_of_old(p: Publisher) -> None:
    # Root 1 was replaced by root 2; the thief of root 1 signs a number 3 of his own.
    p.accepted_before = p.store(2, [ROOT2], [OLD], [ROOT, ROOT2])
    p.put(3, [ROOT], [NEW], [ROOT])
    p.release(20, [NEW])


def _lower_epoch(p: Publisher) -> None:
    p.accepted_before = p.store(2, [ROOT], [OLD], [ROOT], sequence_epoch=2)
    p.put(3, [ROOT], [OLD], [ROOT], sequence_epoch=1)
    p.release(20, [OLD], trust=3)


def _damaged_store(p: Publisher) -> None:
    # Key and epoch were changed after a theft and releases confirmed since; then the file is damaged.
    p.keep["trust-2.json"] = p.put(2, [ROOT], [NEW], [ROOT], sequence_epoch=1)
    p.release(20, [NEW])
    p.install()
    p.honest_keys = [NEW]
    (p.v.root / CURRENT).write_bytes(b"x")
    (p.where / "trust-2.json").unlink()
    p.release(1000, [OLD])


def _polyglot(p: Publisher) -> None:
    # One content that is both, signed as a manifest by the root; offered as a trust store.
    fields = json.loads(p.store(2, [ROOT], [NEW], [ROOT]).split(b"\n", 1)[1])
    payload = json.dumps({**p.fields(20), **fields}).encode()
    p.publish("trust-2.json", envelope(MANIFEST, payload, [ROOT]))
    p.release(20, [OLD], trust=2)


def _store_as_manifest(p: Publisher) -> None:
    fields = json.loads(p.store(2, [ROOT], [NEW], [ROOT]).split(b"\n", 1)[1])
    payload = json.dumps({**fields, **p.fields(20)}).encode()
    p.offer(envelope(TRUST, payload, [OLD]))


# Numbers


def _with_key(key: Any, *signers: Any) -> Arrange:
    # Releases are signed by this key.
    def arrange(p: Publisher) -> None:
        p.flash([ROOT], [key])
        p.honest_keys = [key]
        p.release(20, signers or [key])

    return arrange


def _ecdsa(r: int, s: int) -> Arrange:
    forged = Forged(NEW, lambda message: r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return _with_key(NEW, forged)


def _infinity(message: bytes) -> bytes:
    # u1 G + u2 Q is the point at infinity: e + r d = 0.
    e = int.from_bytes(hashlib.sha256(message).digest(), "big")
    r = -e * pow(NEW.secret, -1, N) % N
    return r.to_bytes(32, "big") + (1).to_bytes(32, "big")


def _s_over_n(p: Publisher) -> None:
    # A key for which s = 1 is right, so that 1 + n fits into 32 bytes.
    seen: list[bytes] = []
    kid = "5a" * 32

    def learn(message: bytes) -> bytes:
        seen.append(message)
        return bytes(64)

    payload = json.dumps(p.fields(20)).encode()
    envelope(MANIFEST, payload, [Forged(NEW, learn, kid)])
    e = int.from_bytes(hashlib.sha256(seen[0]).digest(), "big")
    nonce = 0x1234567
    r = Ec(nonce).x % N
    key = Forged(Ec((nonce - e) * pow(r, -1, N) % N), kid=kid)
    key_sign, key.sign = key.sign, lambda m: r.to_bytes(32, "big") + (1 + N).to_bytes(32, "big")
    p.flash([ROOT], [key])
    p.offer(envelope(MANIFEST, payload, [key]))
    key.sign = key_sign
    p.honest_keys = [key]


def _twin(message: bytes) -> bytes:
    # The other signature that everybody can make of one: n - s.
    while True:
        signature = NEW.sign(message)
        s = N - int.from_bytes(signature[32:], "big")
        if s > N >> 1:  # the one that stricter verifiers refuse
            return signature[:32] + s.to_bytes(32, "big")


def _twin_alone(p: Publisher) -> None:
    _with_key(NEW, Forged(NEW, _twin))(p)
    p.means = hashlib.sha256(image_of(20)).hexdigest()


def _twice(*signers: Any) -> Arrange:
    # Two keys must sign; one signs twice.
    def arrange(p: Publisher) -> None:
        p.flash([ROOT], [OLD, NEW], release=role(OLD, NEW, threshold=2))
        p.honest_keys = [OLD, NEW]
        p.release(20, signers)

    return arrange


def _rsa_over_n(message: bytes) -> bytes:
    # s + n is the same number modulo n.
    while True:
        s = int.from_bytes(OLD.sign(message), "big") + OLD.n
        if s < 1 << 3072:
            return s.to_bytes(384, "big")


def _rsa_number(s: int) -> Arrange:
    return _signed_by(Forged(OLD, lambda message: s.to_bytes(384, "big")))


def _short(message: bytes) -> bytes:
    # s begins with a zero, which is left out.
    while True:
        signature = NEW.sign(message)
        if not signature[32]:
            return signature[:32] + signature[33:]


def _loose(p: Publisher) -> None:
    # 64 bytes leave four unused bits in the last character.
    line, payload = (p.where / NAME).read_bytes().split(b"\n", 1)
    fields = json.loads(line)
    entry = fields["signatures"][0]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(entry["signature"][-1]) | 1]
    entry["signature"] = entry["signature"][:-1] + last
    p.offer(json.dumps(fields).encode() + b"\n" + payload)


# Bare images


def _bare(make: Callable[[Publisher], bytes], **fields: Any) -> Arrange:
    def arrange(p: Publisher) -> None:
        more = {"bare_images": True, **fields}
        releases = more.pop("releases", [OLD])
        p.flash([ROOT], releases, **more)
        p.honest_keys = releases
        p.image_url = p.base + p.publish("app-signed.bin", make(p))

    return arrange


def _app(*blocks: Callable[[bytes], bytes], image: bytes | None = None) -> Callable:
    def make(p: Publisher) -> bytes:
        data = content(image or app())
        return data + sector(*[block(data) for block in blocks])

    return make


def _ours(data: bytes) -> bytes:
    return rsa_block(OLD, data)


def _of_another(data: bytes) -> bytes:
    return rsa_block(OLD, content(app(seed=9)))


def _old_app(p: Publisher) -> None:
    p.v.put("ota_0", app(secure=3))
    p.publish("app-signed.bin", _app(_ours, image=app(secure=2))(p))


def _swapped_head(p: Publisher) -> Callable:
    # The head of a newer image is shown, then the old one is sent: both are signed.
    p.v.put("ota_0", app(secure=3))
    old = _app(_ours, image=app(secure=2))(p)
    shown = old[:36] + (3).to_bytes(4, "little") + old[40:]
    p.publish("app-signed.bin", shown)

    def attempt(updater: Any) -> None:
        real = updater._download

        def later(*args: Any) -> Any:
            p.publish("app-signed.bin", old)
            return real(*args)

        updater._download = later
        updater.install_image(p.image_url)

    return attempt


def _by_bare_signature(p: Publisher) -> None:
    # A signature of an image, in an envelope.
    _signed_by(Forged(OLD, lambda message: OLD.sign(content(app()))))(p)


def _by_manifest_signature(data: bytes) -> bytes:
    # A signature of a manifest, in a signature sector.
    payload = b'{"format":1}'
    line = json.loads(envelope(MANIFEST, payload, [OLD]).split(b"\n")[0])
    signature = b64url_decode(line["signatures"][0]["signature"])
    return rsa_block(OLD, data, signature=signature)


# What the device remembers


def _journal_only(p: Publisher) -> None:
    journal = Journal()
    journal.highest = 30
    save_journal(p.v.port(), journal)
    (p.v.root / FILE[1:]).unlink()
    p.release(20, [OLD])


def _after_update(p: Publisher) -> None:
    p.release(30, [OLD])
    p.install()
    p.release(20, [OLD])


def _unchanged_for_ever(p: Publisher) -> Callable:
    # Nothing new, with a date; then the server says for ever that it is still the same.
    expires = int(time.time()) + DAY
    p.release(10, [OLD], expires=expires)

    def attempt(updater: Any) -> Any:
        assert updater.check() is None
        updater._port.now = lambda: expires + 1
        return updater.check()

    return attempt


def _altered_flash(change: Callable[[Publisher, int], None]) -> Arrange:
    # Between `download` and `activate`.
    def arrange(p: Publisher) -> Callable:
        p.release(20, [OLD])

        def attempt(updater: Any) -> None:
            release = updater.check()
            updater.download(release)
            change(p, p.v.board.table.find("ota_1").offset)
            p.v.board.flash.operations.clear()
            updater.activate(release)

        return attempt

    return arrange


def _altered_while_writing(p: Publisher) -> Callable:
    p.release(20, [OLD])
    at = p.v.board.table.find("ota_1").offset + 9000

    def alter(done: int, total: int) -> None:
        if done > 100000:
            p.v.board.flash.load(at, b"\x00\x00")

    def attempt(updater: Any) -> None:
        updater.install(updater.check(), progress=alter)

    return attempt


def _hostile_time(p: Publisher) -> Any:
    # The manifest expired before the running image was made; the time server says that it is good.
    made = int(time.time())
    p.release(20, [OLD], expires=made - DAY)
    server = TimeServer(now=made - 2 * DAY)
    p.liars.append(server)
    p.config["ntp"] = server.host
    p.settings["clock_unset"] = True
    p.created = made


def _in_2000(p: Publisher) -> Callable:
    def attempt(updater: Any) -> None:
        updater._port.now = lambda: int(time.time() + p.v.board.clock_ahead)
        try:
            updater.install(updater.check())
        finally:
            assert p.liars[-1].asked

    return attempt


def _from_files(name: str) -> Arrange:
    def arrange(p: Publisher) -> None:
        _url(name)(p)
        p.config["manifest_url"] = f"file://{p.where}/{NAME}"

    return arrange


SIGNED = "every byte of the manifest is signed by enough keys of the release role"
READ_BACK = "each 64 KiB has a signed digest, the whole is read back before it is selected"
LIMITS = "every length has a limit, checked before it is used"
VERIFIED = "TLS is verified: root, name, dates"
SEQUENCE = (
    "the highest confirmed sequence is kept in NVS and in a receipt, the floor in the trust store"
)
EXPIRES = "a signed date"
JUMP = "a sequence rises by 2^20 at most; a new `sequence_epoch` starts again"
TARGET = "product, board and chip are signed; the image's head names the chip again"
BOTH = "the device's root role and the new one sign what follows, number by number"
ROLES = "release and root are roles of their own"
TYPE = "the signed type is the one that is read"
HEADER = "the protected header has exactly alg, kid, typ; the key decides about the algorithm"
STRICT = "strict JSON and base64url, scanned before any decoder sees them"
DISTINCT = "different keys are counted, by value"
RANGES = "numbers have their ranges before any arithmetic"
URLS = "https, a plain host, printable ASCII; nothing else is a URL"
REDIRECTS = "at most five, https only, no circle; TLS and signatures hold wherever it leads"
CLOCK = "no time before what was confirmed, and the library's own date"
BARE = "signature, chip, size and secure_version before the first erase; the content's digest after it"
AGAIN = "`activate` hashes the slot again"


SOFTWARE = "arbitrary software"
ENDLESS = "endless data"
ROLLBACK = "rollback"
FREEZE = "freeze"
FORWARD = "fast-forward"
MIX = "mix-and-match"
DEVICE = "wrong device"
KEYS = "key compromise and rotation"
SLOW = "slow retrieval"
EXTRA = "extra data after the image"
CONFUSION = "format confusion"
FLASH = "flash altered between check and activation"
ALGORITHM = "algorithm and type confusion"
DOUBLE = "duplicate keys and signatures"
MALLEABLE = "malleability"
NUMBERS = "numbers out of range"
DIFFERENTIAL = "differentials between the two interpreters"
PATHS = "paths and URLs that escape"
REDIRECT = "hostile redirects"
NTP = "hostile NTP"
REPLAY = "replayed trust stores"
HOSTILE_BARE = "hostile bare images"

RUDE = "e2e/test_rude.py::test_a_rude_server_gets_its_code_or_the_right_image_in_time"
INPUT = "e2e/test_bad_input.py::test_bad_input_has_its_code_and_touches_nothing"

# fmt: off
ATTACKS = [
    Attack(SOFTWARE, "a stranger signs", "signature", SIGNED, "envelope: unknown keys count", _signed_by(STRANGER)),
    Attack(SOFTWARE, "a stranger signs under our kid", "signature", SIGNED, "envelope: no signature is verified",
           _signed_by(Forged(STRANGER, kid=OLD.kid))),
    Attack(SOFTWARE, "nobody signs", "envelope-format", SIGNED, "envelope: an empty list of signatures",
           _line(lambda p, fields: {"signatures": []})),
    Attack(SOFTWARE, "the manifest altered after signing", "signature", SIGNED, "envelope: no signature is verified",
           lambda p: p.offer(p.release(20, [OLD]).replace(b'"1.1"', b'"1.2"'))),
    Attack(SOFTWARE, "another image behind the manifest", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           _served(lambda image: image_of(66)), NEXT_SLOT),
    Attack(SOFTWARE, "one bit of the image flipped", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           _served(lambda image: _flipped(image, 70000)), NEXT_SLOT),
    Attack(SOFTWARE, "the last byte flipped, over another release", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           touches=NEXT_SLOT, then=_over_another_release),
    Attack(SOFTWARE, "a server with the right certificate for another name", "tls-verify", VERIFIED, "TLS: any host name",
           lambda p: p.config.update(manifest_url=p.base.replace("localhost", "127.0.0.1") + NAME)),
    Attack(SOFTWARE, "a server with a certificate of its own", "tls-verify", VERIFIED, "TLS: the certificate is not verified",
           test="e2e/test_update.py::test_a_server_of_another_authority_is_refused"),

    Attack(ENDLESS, "a manifest without end", "envelope-format", LIMITS, "source: a body without a length passes its limit",
           _manifest_from("HTTP/1.1 200 OK", b"x" * 300000), test="portable/test_source.py::test_a_body_longer_than_the_limit_is_refused"),
    Attack(ENDLESS, "a manifest of a gigabyte", "envelope-format", LIMITS, "source: a body is announced over its limit",
           _manifest_from("HTTP/1.1 200 OK\nContent-Length: 1073741824", b"x" * 30000)),
    Attack(ENDLESS, "a first line without end", "envelope-format", LIMITS, "envelope: a first line of any length is searched",
           _line(lambda p, fields: json.dumps(fields).encode() + b" " * 3100), test="portable/test_jws.py::test_the_first_line_has_at_most_3072_bytes"),
    Attack(ENDLESS, "a signed manifest over its limit", "envelope-format", LIMITS, "envelope: a payload over its limit",
           _changed(notes="x" * 6200)),
    Attack(ENDLESS, "a trust store without end", "envelope-format", LIMITS, "source: a body is announced over its limit",
           lambda p: (p.publish("trust-2.json", b"x" * 300000), p.release(20, [OLD], trust=2)), test="portable/test_updater.py::test_a_manifest_that_is_too_long_is_not_read"),
    Attack(ENDLESS, "trust stores without end", None, "32 steps in one check", "rotation: steps without end",
           test="e2e/test_rotation.py::test_no_more_than_32_steps_in_one_check"),
    Attack(ENDLESS, "an image larger than the slot", "image-too-large", LIMITS, "manifest: images larger than the slot",
           lambda p: p.release(20, [OLD], image=image_of(20, 0x181000))),
    Attack(ENDLESS, "a head without end", "http-format", LIMITS, "HTTP: a head of any length",
           _manifest_from("HTTP/1.1 200 OK\n" + "X-Padding: " + "x" * 20000)),
    Attack(ENDLESS, "interim answers without end", "http-format", LIMITS, "HTTP: a head of any length",
           _manifest_from("HTTP/1.1 100 Continue\n\n" * 2000 + "HTTP/1.1 100 Continue")),
    Attack(ENDLESS, "headers without end", "http-format", LIMITS, "HTTP: any number of headers",
           _manifest_from("HTTP/1.1 200 OK" + "\nX: y" * 200)),
    Attack(ENDLESS, "lists nested a thousand deep", "manifest-format", STRICT, "JSON: nested as deep as one likes",
           _text('"library":[1]', '"library":' + "[" * 1000 + "]" * 1000)),
    Attack(ENDLESS, "a number of a thousand digits", "manifest-format", STRICT, "JSON: integers of any length",
           _text('"sequence":20', '"sequence":2' + "0" * 1000)),
    Attack(ENDLESS, "redirects without end", "redirect", REDIRECTS, "source: any number of redirects", _moved("x/"), test="portable/test_source.py::test_five_redirects_are_followed_and_no_more"),
    Attack(ENDLESS, "lines between chunks without end", "http-format", LIMITS, "chunks: lines between them without end",
           _manifest_from("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"1;" + b"x" * 20000 + b"\r\n")),

    Attack(ROLLBACK, "yesterday's release", "downgrade", SEQUENCE, "manifest: downgrades",
           lambda p: p.release(9, [OLD])),
    Attack(ROLLBACK, "an older release after an update", "downgrade", SEQUENCE, "manifest: downgrades",
           then=_after_update),
    Attack(ROLLBACK, "an older release where the receipts are lost", "downgrade", SEQUENCE, "state: the journal does not remember the sequence",
           then=_journal_only),
    Attack(ROLLBACK, "an older release where NVS is lost", "downgrade", SEQUENCE, "state: the receipt does not remember the sequence",
           lambda p: p.release(9, [OLD])),
    Attack(ROLLBACK, "an older release than the trust store allows", "downgrade", SEQUENCE, "manifest: the floor is not obeyed",
           lambda p: (p.flash([ROOT], [OLD], sequence_floor=25), p.release(20, [OLD]))),
    Attack(ROLLBACK, "another image under the confirmed sequence", None, SEQUENCE, "manifest: what is confirmed is new again",
           lambda p: p.release(10, [OLD])),
    Attack(ROLLBACK, "a release past a step that is needed", "step-needed", "`min_sequence` is signed", "manifest: min_sequence is not obeyed",
           _changed(min_sequence=15)),
    Attack(ROLLBACK, "an image that failed here, again", "refused", "the last four are remembered", "state: a refused image is installed",
           test="e2e/test_bad_input.py::test_an_image_that_does_not_load_costs_one_reset"),
    Attack(ROLLBACK, "by hand, to an image that was never confirmed", "no-rollback", "a rollback goes to a confirmed image only",
           "rollback: to a slot that no record calls confirmed",
           test="host/test_trial.py::test_rollback_is_refused_where_no_record_says_that_the_other_slot_was_confirmed"),

    Attack(FREEZE, "the newest release of last year", "expired", EXPIRES, "manifest: expired ones", _changed(expires=1700000000)),
    Attack(FREEZE, "what runs here, long expired", "expired", EXPIRES, "check: date and size are not looked at",
           lambda p: p.release(10, [OLD], expires=1700000000)),
    Attack(FREEZE, "304 to who did not ask for it", "http-status", "only who sent a tag takes 304", "source: unchanged, although nobody asked",
           _manifest_from("HTTP/1.1 304 Not Modified")),
    Attack(FREEZE, "304 for ever, until the manifest expired", "expired", EXPIRES, "check: an expired manifest that did not change",
           then=_unchanged_for_ever),
    Attack(FREEZE, "last year's release on a card, where nobody set the clock", "expired", "build date and receipt say how late it is at least",
           "date: not by the receipt", test="e2e/test_local.py::test_an_expired_release_is_refused_in_a_file_where_the_clock_was_never_set"),
    Attack(FREEZE, "a release from the future", "manifest-format", "`created` is a day from now at most", "check: a release from the future",
           _changed(created=4000000000)),

    Attack(FORWARD, "a stolen key signs far ahead", "sequence-jump", JUMP, "manifest: jumps of the sequence",
           lambda p: p.release(11 + FAR, [OLD])),
    Attack(FORWARD, "a stolen key signs the last sequence", "sequence-jump", JUMP, "manifest: jumps of the sequence",
           lambda p: p.release(10**15 - 1, [OLD])),
    Attack(FORWARD, "a stolen key signs one beyond it", "manifest-format", JUMP, "JSON: integers of any length",
           _text('"sequence":20', '"sequence":1' + "0" * 15)),
    Attack(FORWARD, "the fleet after that", "downgrade", JUMP, "trust store: the epoch may fall",
           test="e2e/test_rotation.py::test_a_release_far_ahead_by_a_stolen_key_is_forgotten_with_the_key"),
    Attack(FORWARD, "a trust store far ahead", "trust-number", BOTH, "trust store: any number may follow",
           lambda p: (p.put(1000, [ROOT], [NEW], [ROOT], as_number=2), p.release(20, [OLD], trust=2))),
    Attack(FORWARD, "an epoch far ahead", "envelope-format", LIMITS, "trust store: an epoch of any size",
           _raw_store(lambda fields: fields.update(sequence_epoch=1 << 16))),

    Attack(MIX, "yesterday's image under today's manifest", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           _served(lambda image: image_of(19)), NEXT_SLOT),
    Attack(MIX, "half of one image, half of another", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           _served(lambda image: image[:65536] + image_of(19)[65536:]), NEXT_SLOT),
    Attack(MIX, "the signature of another release", "signature", SIGNED, "envelope: no signature is verified", _signature_of_another),
    Attack(MIX, "block digests of one image, SHA-256 of another", "digest-mismatch", READ_BACK, "slot: the whole digest is not compared",
           _mixed_digests, NEXT_SLOT),
    Attack(MIX, "SHA-256 of one image, block digests of another", "digest-mismatch", READ_BACK, "slot: the block digest is not compared",
           _other_blocks, NEXT_SLOT),
    Attack(MIX, "a file replaced between two parts", None, READ_BACK, "source: parts of any versions",
           test="e2e/test_nginx.py::test_a_file_that_is_replaced_between_two_parts_never_makes_a_mixture"),

    Attack(DEVICE, "a release for another product", "wrong-product", TARGET, "manifest: any product", _changed(product="other")),
    Attack(DEVICE, "a product that is a prefix", "wrong-product", TARGET, "manifest: any product", _changed(product="dem")),
    Attack(DEVICE, "a product in capitals", "wrong-product", TARGET, "manifest: any product", _changed(product="Demo")),
    Attack(DEVICE, "a release for another board", "wrong-board", TARGET, "manifest: any board", _changed(board="other")),
    Attack(DEVICE, "a release for another chip", "wrong-chip", TARGET, "manifest: any chip", lambda p: p.release(20, [OLD], image=image_of(20, chip_id=9), chip_id=9)),
    Attack(DEVICE, "an image for another chip", "wrong-chip", TARGET, "image head: any chip",
           lambda p: p.release(20, [OLD], image=image_of(20, chip_id=9)), test="e2e/test_bare.py::test_another_chip_is_seen_by_the_first_part"),

    Attack(KEYS, "one of two root keys signs a trust store", "signature", BOTH, "trust store: one signature is enough for the next",
           _next_store([ROOT], [NEW], [ROOT], two=True)),
    Attack(KEYS, "one of two root keys and a stranger", "signature", BOTH, "envelope: unknown keys count",
           _next_store([ROOT], [NEW], [ROOT, STRANGER], two=True)),
    Attack(KEYS, "one root key of two signs twice", "envelope-format", DISTINCT, "envelope: two signatures by one key count twice", _root_signs_twice),
    Attack(KEYS, "the root key of the device does not sign", "signature", BOTH, "trust store: the device's root role need not sign the next",
           _next_store([ROOT2], [NEW], [ROOT2])),
    Attack(KEYS, "a stolen old root brings a new one that has not signed", "signature", BOTH,
           "trust store: the next need not be signed by its own root role", _next_store([ROOT2], [NEW], [ROOT])),
    Attack(KEYS, "a stolen release key signs a trust store", "signature", ROLES, "trust store: the device's root role need not sign the next",
           _next_store([OLD], [NEW], [OLD])),
    Attack(KEYS, "a stolen root key signs a release", "signature", ROLES, "check: the root role may sign releases", _signed_by(ROOT)),
    Attack(KEYS, "one stolen release key of two", "signature", DISTINCT, "check: the release role's threshold is not obeyed", _thresholds(OLD)),
    Attack(KEYS, "one stolen release key of two and a root key", "signature", DISTINCT, "envelope: unknown keys count", _thresholds(OLD, ROOT)),
    Attack(KEYS, "a release by a revoked key", "signature", BOTH, "rotation: what was accepted is forgotten", _revoked),
    Attack(KEYS, "a threshold of 0", "envelope-format", RANGES, "trust store: a threshold of 0",
           _raw_store(lambda fields: fields["release"].update(threshold=0))),
    Attack(KEYS, "a release role of nobody", "envelope-format", RANGES, "trust store: a threshold that the keys cannot reach",
           _raw_store(lambda fields: fields["release"].update(keys=[]))),
    Attack(KEYS, "a key that is nowhere", "envelope-format", RANGES, "trust store: a role of unknown keys",
           _raw_store(lambda fields: fields["release"].update(keys=[STRANGER.kid])), test="portable/test_trust.py::test_a_role_has_keys_of_the_store_and_a_threshold_that_they_can_reach"),

    Attack(SLOW, "a server that never answers", "timeout", "a limit of silence", "source: a server that gives nothing has forever",
           test=RUDE),
    Attack(SLOW, "a body that drips for ever", "timeout", "`least_rate`, `total_s`", "patience: all of it has no limit", test=RUDE),
    Attack(SLOW, "a body under the least rate", "too-slow", "`least_rate`", "patience: nothing is too slow",
           test="e2e/test_rude.py::test_bytes_that_drip_are_too_slow"),

    Attack(EXTRA, "a payload longer than signed", "size-mismatch", "the file is as long as signed", "download: a payload of another size is begun",
           _served(lambda image: image + bytes(4096))),
    Attack(EXTRA, "a payload shorter than signed", "size-mismatch", "the file is as long as signed", "download: a payload of another size is begun",
           _served(lambda image: image[:-1])),
    Attack(EXTRA, "a signed payload size that is not the image's", "manifest-format", "the file is as long as signed",
           "manifest: a plain payload of another size",
           _changed(payloads=[{"urls": ["20.bin"], "encoding": "plain", "size": 150001}])),
    Attack(EXTRA, "a sector behind the signatures of a bare image", "signature-scheme", BARE, "espressif: no block is no reason",
           _bare(lambda p: _app(_ours)(p) + bytes(SECTOR))),
    Attack(EXTRA, "bytes behind the signatures", "signature", BARE, "espressif: anything behind the blocks",
           _bare(lambda p: _app(_ours)(p)[:-1] + b"\x00")),
    Attack(EXTRA, "what an older image left behind in the slot", None, "only the signed bytes are hashed, and run", "receipts: what is behind the image is hashed",
           test="portable/test_files.py::test_a_slot_holds_the_image_of_its_receipt_whatever_is_behind_it"),

    Attack(CONFUSION, "a trust store as a manifest", "signature", TYPE, "envelope: typ is not compared", lambda p: p.offer(p.store(1, [ROOT], [OLD], [OLD]))),
    Attack(CONFUSION, "a manifest signed as a trust store", "signature", TYPE, "envelope: typ is not compared", _store_as_manifest),
    Attack(CONFUSION, "a trust store signed as a manifest", "signature", TYPE, "envelope: typ is not compared", _polyglot),
    Attack(CONFUSION, "the signature of an image in an envelope", "signature", TYPE, "envelope: no signature is verified", _by_bare_signature),
    Attack(CONFUSION, "the signature of a manifest in a signature sector", "signature", TYPE, "espressif: no signature is verified",
           _bare(_app(_by_manifest_signature))),
    Attack(CONFUSION, "a login page", "envelope-format", SIGNED, "envelope: a missing line feed",
           lambda p: p.offer(b"<html><body>please log in</body></html>"), test="portable/test_jws.py::test_the_first_line_ends_with_a_line_feed"),
    Attack(CONFUSION, "a page for a trust store, a stranger's release", "signature", SIGNED, "check: a page in the place of a trust store hides the signature",
           lambda p: (p.publish("trust-2.json", b"<html>\n"), p.release(20, [STRANGER]))),
    Attack(CONFUSION, "a format of the future", "format-unknown", "an unknown format number is an error", "manifest: any format number", _changed(format=2)),
    Attack(CONFUSION, "a merged firmware", "image-format", "the head is looked at before the first erase", "image head: bootloaders and merged files",
           lambda p: p.release(20, [OLD], image=image_of(5)[:32] + bytes(4) + image_of(5)[36:])),
    Attack(CONFUSION, "another magic", "image-format", "the head is looked at before the first erase", "image head: any magic",
           lambda p: p.release(20, [OLD], image=b"\xea" + image_of(5)[1:])),

    Attack(FLASH, "one byte", "readback", AGAIN, "activate: the slot is not looked at again",
           then=_altered_flash(lambda p, at: p.v.board.flash.load(at + 90000, b"\x00\x01"))),
    Attack(FLASH, "the header", "readback", AGAIN, "activate: the slot is not looked at again",
           then=_altered_flash(lambda p, at: p.v.board.flash.load(at + 3, b"\x77"))),
    Attack(FLASH, "all of it, by a whole image", "readback", AGAIN, "activate: the slot is not looked at again",
           then=_altered_flash(lambda p, at: p.v.put("ota_1", image_of(66)))),
    Attack(FLASH, "all of it erased", "readback", AGAIN, "activate: the slot is not looked at again",
           then=_altered_flash(lambda p, at: p.v.put("ota_1", b""))),
    Attack(FLASH, "a block that was right, while the next ones come", "readback", READ_BACK, "download: what was written is not proven",
           touches=NEXT_SLOT, then=_altered_while_writing),

    Attack(ALGORITHM, "alg none", "signature", HEADER, "envelope: alg is not compared with the key's", _header(alg="none")),
    Attack(ALGORITHM, "ES256 by an RSA key", "signature", HEADER, "envelope: alg is not compared with the key's", _header(alg="ES256")),
    Attack(ALGORITHM, "PS256 by a P-256 key", "signature", HEADER, "envelope: alg is not compared with the key's",
           _with_key(NEW, Forged(NEW, alg="PS256"))),
    Attack(ALGORITHM, "HS256, the public key as the secret", "signature", HEADER, "envelope: no signature is verified",
           _signed_by(Forged(OLD, lambda message: hashlib.sha256(OLD.n.to_bytes(384, "big") + message).digest()))),
    Attack(ALGORITHM, "alg in small letters", "signature", HEADER, "envelope: alg is not compared with the key's", _header(alg="ps256")),
    Attack(ALGORITHM, "a list of algorithms", "envelope-format", HEADER, "envelope: header fields of any type", _header(alg=["PS256"])),
    Attack(ALGORITHM, "crit", "envelope-format", HEADER, "envelope: crit and others in the protected header", _header(crit=["b64"])),
    Attack(ALGORITHM, "b64: false", "envelope-format", HEADER, "envelope: crit and others in the protected header", _header(b64=False)),
    Attack(ALGORITHM, "a key in the header", "envelope-format", HEADER, "envelope: crit and others in the protected header", _header(jwk={"kty": "RSA"})),
    Attack(ALGORITHM, "an unprotected header", "envelope-format", HEADER, "envelope: unprotected fields in a signature",
           _entry(header=lambda _: {"kid": OLD.kid})),
    Attack(ALGORITHM, "a payload in the first line", "envelope-format", HEADER, "envelope: other fields beside the signatures",
           _line(lambda p, fields: {**fields, "payload": "e30"})),
    Attack(ALGORITHM, "RS256 (PKCS #1 v1.5)", "signature", RANGES, "envelope: no signature is verified", _signed_by(Forged(OLD, OLD.sign_v15))),
    Attack(ALGORITHM, "PSS without salt", "signature", RANGES, "RSA: a salt of any length", _signed_by(Forged(OLD, lambda m: OLD.sign_salted(m, 0)))),
    Attack(ALGORITHM, "PSS with the longest salt", "signature", RANGES, "envelope: no signature is verified",
           _signed_by(Forged(OLD, lambda m: OLD.sign_salted(m, 350)))),
    Attack(ALGORITHM, "a key for RS256", "format-unknown", HEADER, "trust store: any key algorithm",
           _raw_store(lambda fields: fields["keys"][0].update(alg="RS256"))),
    Attack(ALGORITHM, "true for a number", "manifest-format", STRICT, "fields: true is an integer", _text('"sequence":20', '"sequence":true')),
    Attack(ALGORITHM, "a text for a number", "manifest-format", STRICT, "fields: any type", _text('"sequence":20', '"sequence":"20"')),

    Attack(DOUBLE, "one release key of two signs twice", "envelope-format", DISTINCT, "envelope: two signatures by one key count twice", _twice(OLD, OLD)),
    Attack(DOUBLE, "... under its kid in capitals", "signature", DISTINCT, "envelope: unknown keys count",
           _twice(OLD, Forged(OLD, kid=OLD.kid.upper()))),
    Attack(DOUBLE, "a key under two kids", "envelope-format", DISTINCT, "trust store: one key under two kids",
           _raw_store(lambda fields: fields["keys"].append({**OLD.entry, "kid": "ab" * 32}))),
    Attack(DOUBLE, "two keys under one kid", "envelope-format", DISTINCT, "trust store: two keys of one kid",
           _raw_store(lambda fields: fields["keys"].append({**STRANGER.entry, "kid": OLD.kid}))),
    Attack(DOUBLE, "one kid twice in a role of two", "envelope-format", DISTINCT, "trust store: a threshold that the keys cannot reach",
           _raw_store(lambda fields: fields.update(release={"keys": [OLD.kid] * 2, "threshold": 2}))),
    Attack(DOUBLE, "a field twice", "manifest-format", STRICT, "JSON: repeated names", _text('"sequence":20', '"sequence":20,"sequence":21')),
    Attack(DOUBLE, "a field twice, once by escapes", "manifest-format", STRICT, "JSON: escapes in names",
           _text('"sequence":20', '"sequence":20,"sequenc\\u0065":21')),
    Attack(DOUBLE, "the signatures twice", "envelope-format", STRICT, "JSON: repeated names",
           _line(lambda p, fields: ('{"signatures":[],' + json.dumps(fields)[1:]).encode())),
    Attack(DOUBLE, "five signatures", "envelope-format", LIMITS, "envelope: any number of signatures",
           _signed_by(*[Forged(NEW, kid=("%02x" % i) * 32) for i in range(5)])),

    Attack(MALLEABLE, "ECDSA: n - s for s", SAME, "the signed bytes are the same", "p256: s over half of n is refused", _twin_alone),
    Attack(MALLEABLE, "ECDSA: s and n - s as two signatures", "envelope-format", DISTINCT, "envelope: two signatures by one key count twice",
           _twice(NEW, Forged(NEW, _twin))),
    Attack(MALLEABLE, "... and under another kid", "signature", DISTINCT, "envelope: unknown keys count",
           _twice(NEW, Forged(NEW, _twin, kid="ab" * 32))),
    Attack(MALLEABLE, "base64url: a loose tail", "envelope-format", STRICT, "base64url: what the decoder dropped",
           lambda p: (_with_key(NEW)(p), _loose(p))),
    Attack(MALLEABLE, "base64url: padding", "envelope-format", STRICT, "base64url: what the decoder dropped", _entry(signature=lambda t: t + "=")),
    Attack(MALLEABLE, "base64url: a loose tail of the header", "envelope-format", STRICT, "base64url: what the decoder dropped",
           _entry(protected=lambda t: t + "=")),
    Attack(MALLEABLE, "blanks in the unsigned line", SAME, "nothing unsigned has a meaning", "JSON: tabs between tokens",
           _line(lambda p, fields: json.dumps(fields, indent=None, separators=(" , ", " :  ")).encode(), same=True), test="portable/test_strict.py::test_between_tokens_only_space_and_line_feed_are_accepted"),
    Attack(MALLEABLE, "escapes in the unsigned line", SAME, "nothing unsigned has a meaning", "JSON: escaped codes are refused",
           _line(lambda p, fields: json.dumps(fields).replace('"eyJ', '"\\u0065yJ').encode(), same=True)),
    Attack(MALLEABLE, "a stranger's signature beside ours", SAME, "unknown keys are passed over", "envelope: an unknown key is an error",
           _line(lambda p, fields: {"signatures": json.loads(envelope(MANIFEST, b"{}", [STRANGER]).split(b"\n")[0])["signatures"] + fields["signatures"]}, same=True)),
    Attack(MALLEABLE, "blanks in the signed manifest", "signature", SIGNED, "envelope: no signature is verified",
           lambda p: p.offer(p.release(20, [OLD]) + b" ")),
    Attack(MALLEABLE, "another first byte of the header, which decodes", "signature", SIGNED, "envelope: no signature is verified",
           _entry(protected=lambda t: b64url_encode(b64url_decode(t) + b" ").decode())),

    Attack(NUMBERS, "ECDSA: r = s = 0", "signature", RANGES, "envelope: no signature is verified", _ecdsa(0, 0)),
    Attack(NUMBERS, "ECDSA: r = 1, s = 0", "signature", RANGES, "envelope: no signature is verified", _ecdsa(1, 0)),
    Attack(NUMBERS, "ECDSA: r = n, s = 1", "signature", RANGES, "envelope: no signature is verified", _ecdsa(N, 1)),
    Attack(NUMBERS, "ECDSA: s + n, which fits", "signature", RANGES, "p256: s of n and more", _s_over_n),
    Attack(NUMBERS, "ECDSA: Z = 0, the sum is infinity", "signature", RANGES, "p256: infinity has any x", _with_key(NEW, Forged(NEW, _infinity))),
    Attack(NUMBERS, "ECDSA: 63 bytes, s without its zero", "signature", RANGES, "p256: a signature of any length",
           _with_key(NEW, Forged(NEW, _short))),
    Attack(NUMBERS, "a key off the curve", "envelope-format", RANGES, "trust store: a P-256 key off the curve", _key_in_store(y=b64url_encode((NEW.y ^ 1).to_bytes(32, "big")).decode())),
    Attack(NUMBERS, "a key at infinity", "envelope-format", RANGES, "trust store: a P-256 key off the curve", _key_in_store(x="A" * 43, y="A" * 43)),
    Attack(NUMBERS, "a key of coordinates over p", "envelope-format", RANGES, "p256: coordinates of p and more",
           _key_in_store(x=b64url_encode((0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF + 5).to_bytes(32, "big")).decode(),
                         y=b64url_encode(0x459243B9AA581806FE913BCE99817ADE11CA503C64D9A3C533415C083248FBCC.to_bytes(32, "big")).decode())),
    Attack(NUMBERS, "RSA: s + n, which fits", "signature", RANGES, "RSA: s of n and more is taken", _signed_by(Forged(OLD, _rsa_over_n))),
    Attack(NUMBERS, "RSA: s = 0", "signature", RANGES, "envelope: no signature is verified", _rsa_number(0)),
    Attack(NUMBERS, "RSA: s = 1", "signature", RANGES, "envelope: no signature is verified", _rsa_number(1)),
    Attack(NUMBERS, "RSA: s = n - 1", "signature", RANGES, "envelope: no signature is verified", _rsa_number(OLD.n - 1)),
    Attack(NUMBERS, "RSA: 385 bytes", "signature", RANGES, "RSA: a signature of any length", _signed_by(Forged(OLD, lambda m: b"\0" + OLD.sign(m)))),
    Attack(NUMBERS, "RSA: an even modulus", "envelope-format", RANGES, "trust store: an even modulus",
           _raw_store(lambda f: f["keys"][1].update(n=b64url_encode((OLD.n - 1).to_bytes(384, "big")).decode()))),
    Attack(NUMBERS, "RSA: a modulus of 3071 bits", "envelope-format", RANGES, "trust store: a modulus without its top bit",
           _raw_store(lambda f: f["keys"][1].update(n=b64url_encode((OLD.n >> 1 | 1).to_bytes(384, "big")).decode()))),
    Attack(NUMBERS, "RSA: e = 3 in a signature block", "signature", RANGES, "espressif: another exponent", _bare(_app(lambda data: rsa_block(OLD, data, e=3)))),
    Attack(NUMBERS, "RSA: e = 65537 + 2^16 in a signature block", "signature", RANGES, "espressif: the exponent without its upper bits",
           _bare(_app(lambda data: rsa_block(OLD, data, e=65537 + (1 << 17))))),
    Attack(NUMBERS, "Wycheproof's, for RSA", "signature", RANGES, "RSA: the hash is not compared",
           test="portable/test_wycheproof.py::test_all_wycheproof_vectors_for_rsa_pss_3072_sha256"),
    Attack(NUMBERS, "Wycheproof's, for P-256", "signature", RANGES, "p256: an x of n and more is not looked for",
           test="portable/test_wycheproof_ecdsa.py::test_all_wycheproof_vectors_for_ecdsa_p256_sha256"),

    Attack(DIFFERENTIAL, "no colon (MicroPython reads it)", "manifest-format", STRICT, "JSON: no colon", _text('"sequence":20', '"sequence" 20')),
    Attack(DIFFERENTIAL, "no comma (MicroPython reads it)", "manifest-format", STRICT, "JSON: not scanned at all", _text(':20,"created"', ':20 "created"')),
    Attack(DIFFERENTIAL, "a leading zero (MicroPython reads it)", "manifest-format", STRICT, "JSON: leading zeros", _text(":20,", ":020,")),
    Attack(DIFFERENTIAL, "NaN (CPython reads it)", "manifest-format", STRICT, "JSON: not scanned at all", _text(":20,", ":NaN,"), test="portable/test_strict.py::test_every_truncation_is_refused"),
    Attack(DIFFERENTIAL, "1e400 (infinity, or an error)", "manifest-format", STRICT, "JSON: not scanned at all", _text(":20,", ":1e400,"), test="portable/test_strict.py::test_every_truncation_is_refused"),
    Attack(DIFFERENTIAL, "half a surrogate pair", "manifest-format", STRICT, "JSON: surrogates", _text('"1.1"', '"\\ud800"'), test="portable/test_strict.py::test_escaped_codes_are_characters_from_u0020_on_without_surrogates"),
    Attack(DIFFERENTIAL, "a raw control character", "manifest-format", STRICT, "JSON: control characters in strings", _text('"1.1"', '"1\x011"')),
    Attack(DIFFERENTIAL, "a byte order mark", "manifest-format", STRICT, "JSON: not scanned at all", _text('{"format"', '\xef\xbb\xbf{"format"'), test="portable/test_strict.py::test_every_truncation_is_refused"),
    Attack(DIFFERENTIAL, "the text in UTF-16", "manifest-format", STRICT, "JSON: not scanned at all",
           lambda p: p.offer(envelope(MANIFEST, json.dumps(p.fields(20)).encode("utf-16-le"), [OLD]))),
    Attack(DIFFERENTIAL, "base64: plus and slash", "envelope-format", STRICT, "base64url: what the decoder dropped", _entry(signature=lambda t: "+/" + t[2:])),
    Attack(DIFFERENTIAL, "base64: junk that decoders drop", "envelope-format", STRICT, "base64url: what the decoder dropped", _entry(signature=lambda t: t[:9] + "!" + t[9:])),
    Attack(DIFFERENTIAL, "the whole table of lax JSON and base64", "manifest-format", STRICT, "JSON: repeated names", test=INPUT),

    Attack(PATHS, "payload: plain HTTP", "url", URLS, "URL: without TLS", _url("http://localhost/x")),
    Attack(PATHS, "payload: a file of the device", "url", URLS, "URL: without TLS", _url("file:///ota.json")),
    Attack(PATHS, "payload: another scheme", "url", URLS, "URL: without TLS", _url("ftp://localhost/x")),
    Attack(PATHS, "payload: https without slashes", "url", URLS, "URL: without TLS", _url("https:localhost/x")),
    Attack(PATHS, "payload: a user in front of the host", "url", URLS, "URL: any host", _url("https://localhost@127.0.0.1/x")),
    Attack(PATHS, "payload: a backslash in the host", "url", URLS, "URL: any host", _url("https://localhost\\@127.0.0.1/x")),
    Attack(PATHS, "payload: a header behind a line end", "url", URLS, "URL: any character", _url("x HTTP/1.1\r\nX-Evil: 1\r\n\r\n")),
    Attack(PATHS, "payload: a blank", "url", URLS, "URL: any character", _url("a b")),
    Attack(PATHS, "payload: not ASCII", "url", URLS, "URL: any character", _url("caf\u00e9.bin")),
    Attack(PATHS, "payload: port 0", "url", URLS, "URL: port 0 or over 65535", _url("https://localhost:0/x")),
    Attack(PATHS, "payload: no host", "url", URLS, "URL: no host", _url("https:///x")),
    Attack(PATHS, "payload: up and out of the server's folder", "http-status", "dots end at the root", "URL: dots stay in a path",
           _url("../../../x"), test="portable/test_http.py::test_references_are_those_of_rfc_3986"),
    Attack(PATHS, "file manifest: up and out of its folder", "url", "a file names its neighbours only", "files: a folder above", _from_files("../../etc/passwd"), vm=False),
    Attack(PATHS, "file manifest: a path from the root", "url", "a file names its neighbours only", "files: a path from the root", _from_files("/etc/passwd"), vm=False),
    Attack(PATHS, "file manifest: another scheme", "url", "a file names its neighbours only", "files: any scheme", _from_files("https://localhost/x"), vm=False),
    Attack(PATHS, "trust store: manifest_urls of plain HTTP", "url", URLS, "rotation: a store whose URLs cannot be used",
           _next_store([ROOT], [OLD], [ROOT], then=(OLD,), manifest_urls=["http://localhost/x"]),
           vm=False),
    Attack(PATHS, "trust store: manifest_urls of a file", "url", URLS, "rotation: a store whose URLs cannot be used",
           _next_store([ROOT], [OLD], [ROOT], then=(OLD,), manifest_urls=["file:///ota.json"])),
    Attack(PATHS, "trust store: manifest_urls with a user", "url", URLS, "rotation: a store whose URLs cannot be used",
           _next_store([ROOT], [OLD], [ROOT], then=(OLD,), manifest_urls=["https://localhost@127.0.0.1/x"]), vm=False),
    Attack(PATHS, "trust store: manifest_urls with a line end", "url", URLS, "rotation: a store whose URLs cannot be used",
           _next_store([ROOT], [OLD], [ROOT], then=(OLD,), manifest_urls=["https://localhost/x\r\nX-Evil: 1"]), vm=False),
    Attack(PATHS, "trust store: a TLS root that is none", "config", VERIFIED, "rotation: a store whose TLS roots cannot be read",
           _next_store([ROOT], [OLD], [ROOT], then=(OLD,), tls_roots=["AAAA"]), vm=False),

    Attack(REDIRECT, "to plain HTTP", "redirect", REDIRECTS, "URL: without TLS", _moved("http://localhost/x")),
    Attack(REDIRECT, "to a file of the device", "redirect", REDIRECTS, "URL: without TLS", _moved("file:///ota.json")),
    Attack(REDIRECT, "to a user in front of the host", "redirect", REDIRECTS, "URL: any host", _moved("https://localhost@127.0.0.1/x")),
    Attack(REDIRECT, "to a blank and a header", "redirect", REDIRECTS, "URL: any character", lambda p: p.config.update(manifest_url=p.liar(MOVED + p.base + "x HTTP/1.1 X-Evil: 1") + "/m")),
    Attack(REDIRECT, "to bytes that are no text", "redirect", REDIRECTS, "URL: any character", lambda p: p.config.update(manifest_url=p.liar(MOVED + p.base + "\x00\x01") + "/m")),
    Attack(REDIRECT, "in a circle", "redirect", REDIRECTS, "source: a circle of redirects", _moved("/m"), test="portable/test_source.py::test_a_circle_of_redirects_is_refused"),
    Attack(REDIRECT, "two places at once", "http-format", REDIRECTS, "HTTP: two Locations", _moved("/a\nLocation: /b")),
    Attack(REDIRECT, "to nowhere", "redirect", REDIRECTS, "source: a circle of redirects", _moved(""), test="portable/test_source.py::test_a_circle_of_redirects_is_refused"),
    Attack(REDIRECT, "to a server for another name", "tls-verify", VERIFIED, "TLS: any host name",
           lambda p: p.config.update(manifest_url=p.liar(MOVED + p.base.replace("localhost", "127.0.0.1")) + "/m")),
    Attack(REDIRECT, "to yesterday's release", "downgrade", SEQUENCE, "manifest: downgrades",
           lambda p: (p.release(9, [OLD]), p.config.update(manifest_url=p.liar(MOVED + p.base + NAME) + "/m"))),
    Attack(REDIRECT, "the payload, to a page", "size-mismatch", "the file is as long as signed", "download: a payload of another size is begun",
           lambda p: _url(p.liar(MOVED + p.base + p.publish("page.html", b"<html>please log in</html>")) + "/x")(p), test="portable/test_download.py::test_a_payload_of_another_size_erases_nothing"),
    Attack(REDIRECT, "to who collects credentials", None, "credentials go to the manifest's host only", "source: everybody sees the secret",
           test="e2e/test_nginx.py::test_no_other_server_gets_the_credentials"),

    Attack(NTP, "a date at which an expired manifest was good", "expired", CLOCK, "clock: a time before what was confirmed", _hostile_time,
        then=_in_2000, vm=False, test="portable/test_sntp.py::test_a_time_before_what_was_confirmed_is_not_believed"),
    Attack(NTP, "the past", None, CLOCK, "clock: a time before what was confirmed",
           test="e2e/test_clock.py::test_a_time_before_what_was_confirmed_is_not_believed"),
    Attack(NTP, "before the library was written", None, CLOCK, "clock: a time before the running image",
           test="e2e/test_clock.py::test_a_time_before_this_library_was_written_is_not_believed"),
    Attack(NTP, "the far future", "tls-verify", "certificates look expired, no more", "clock: a date behind the calendar",
           test="e2e/test_clock.py::test_a_time_server_is_believed_if_it_is_not_before_the_floor"),
    Attack(NTP, "answers to other questions, kisses of death", "clock-not-set", "an answer repeats the question", "clock: an answer to another question",
           test="e2e/test_clock.py::test_each_misbehaviour_is_as_good_as_no_answer"),
    Attack(NTP, "a board whose clock is right is not asked to change it", None, CLOCK, "clock: a right one is set",
           test="e2e/test_clock.py::test_a_clock_that_is_right_is_not_asked_for"),

    Attack(REPLAY, "number 1 as the next one", "signature", BOTH, "trust store: any number may follow",
           _replayed(1, 4), test="e2e/test_rotation.py::test_the_next_trust_store_has_the_next_number"),
    Attack(REPLAY, "number 1 as the next one of an honest manifest", "trust-number", BOTH, "trust store: any number may follow", _replayed_truly, test="e2e/test_rotation.py::test_the_next_trust_store_has_the_next_number"),
    Attack(REPLAY, "its own number as the next one", "signature", BOTH, "trust store: any number may follow", _replayed(3, 4), test="e2e/test_rotation.py::test_the_next_trust_store_has_the_next_number"),
    Attack(REPLAY, "the one after the next", "signature", BOTH, "trust store: any number may follow", _replayed(5, 4)),
    Attack(REPLAY, "a replaced root key goes on", "signature", BOTH, "trust store: the device's root role need not sign the next", _other_root_of_old),
    Attack(REPLAY, "an epoch that falls", "trust-number", JUMP, "trust store: the epoch may fall", _lower_epoch),
    Attack(REPLAY, "a revoked key, where the accepted store is damaged", "downgrade", SEQUENCE, "state: an older epoch is new",
           then=_damaged_store),

    Attack(HOSTILE_BARE, "where the trust store allows none", "bare-image", "`bare_images`", "bare: the trust store is not asked whether they are allowed",
           _bare(_app(_ours), bare_images=False)),
    Attack(HOSTILE_BARE, "a stripped signature sector", "signature-scheme", BARE, "espressif: no block is no reason", _bare(lambda p: content(app()))),
    Attack(HOSTILE_BARE, "a blank signature sector", "signature-scheme", BARE, "espressif: no block is no reason", _bare(_app())),
    Attack(HOSTILE_BARE, "a stranger's signature", "signature", BARE, "bare: signed by anybody", _bare(_app(lambda data: rsa_block(STRANGER, data)))),
    Attack(HOSTILE_BARE, "a stranger's signature under our key", "signature", BARE, "espressif: no signature is verified",
           _bare(_app(lambda data: rsa_block(OLD, data, signature=STRANGER.sign(data))))),
    Attack(HOSTILE_BARE, "a root key's signature", "signature", ROLES, "bare: signed by anybody", _bare(_app(lambda data: rsa_block(ROOT, data)))),
    Attack(HOSTILE_BARE, "one signature of two", "signature", DISTINCT, "bare: one signature is enough",
           _bare(_app(_ours), releases=[OLD, NEW], release=role(OLD, NEW, threshold=2))),
    Attack(HOSTILE_BARE, "one key twice", "signature", DISTINCT, "espressif: two blocks by one key",
           _bare(_app(_ours, _ours), releases=[OLD, NEW], release=role(OLD, NEW, threshold=2))),
    Attack(HOSTILE_BARE, "one key twice, by n - s", "signature", DISTINCT, "espressif: two blocks by one key",
           _bare(_app(lambda data: ec_block(NEW, data), lambda data: ec_block(NEW, data, _twin(data))), releases=[OLD, NEW], release=role(OLD, NEW, threshold=2))),
    Attack(HOSTILE_BARE, "the sector of another image", "digest-mismatch", BARE, "slot: the whole digest is not compared", _bare(_app(_of_another)), NEXT_SLOT),
    Attack(HOSTILE_BARE, "a block of another image beside ours", "signature", BARE, "espressif: blocks for different contents",
           _bare(_app(_ours, lambda data: rsa_block(STRANGER, content(app(seed=9)))))),
    Attack(HOSTILE_BARE, "altered content", "digest-mismatch", BARE, "slot: the whole digest is not compared",
           _bare(lambda p: _flipped(_app(_ours)(p), 70000)), NEXT_SLOT),
    Attack(HOSTILE_BARE, "an image for another chip", "wrong-chip", BARE, "bare: for any chip", _bare(_app(_ours, image=app(chip=9))),
           test="e2e/test_bare.py::test_another_chip_is_seen_by_the_first_part"),
    Attack(HOSTILE_BARE, "an old image", "downgrade", BARE, "bare: a lower secure_version",
           _bare(_app(_ours)), then=_old_app),
    Attack(HOSTILE_BARE, "the head of another one is shown", "changed", BARE, "bare: another head than the one that was judged",
           _bare(_app(_ours)), NEXT_SLOT, then=_swapped_head),
    Attack(HOSTILE_BARE, "larger than the slot", "image-too-large", LIMITS, "bare: larger than the slot",
           _bare(_app(_ours, image=app(size=0x180000 - 4000)))),
    Attack(HOSTILE_BARE, "a server that sends no parts", "http-format", BARE, "bare: a server without parts",
           test="e2e/test_bare.py::test_a_server_without_parts_is_refused"),
]
# fmt: on

VM_ELSEWHERE = (
    SOFTWARE,
    ENDLESS,
    ROLLBACK,
    FREEZE,
    DEVICE,
    FORWARD,
    MIX,
    KEYS,
    EXTRA,
    REDIRECT,
    REPLAY,
)
"""Groups whose kind the VM meets in other tests: bad input, rude servers, rotation. The others are
about how bytes are read."""


def runs_on_vm(row: Attack) -> bool:
    """Is the row one of the VM's session?"""
    here = row.arrange is not None and row.then is None
    return here and row.vm and row.threat not in VM_ELSEWHERE
