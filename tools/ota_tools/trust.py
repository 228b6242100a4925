"""Making trust stores, the first and those that follow. Format: docs/format.md section 4.

A store is made in two steps: what it says (`first`, `follow`: an unsigned draft), and who signs it
(`sign`, as often as it takes, on as many machines). Rule: whether it is complete is said by the
device's own code, `load` and `succeed` of lib/ota/trust.py.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ota import jws, strict
from ota import trust as device
from ota.errors import OtaError
from ota.http import Url
from ota_tools import envelope as envelopes
from ota_tools import keys
from ota_tools.envelope import SIGNATURES, Signature, encode_json
from ota_tools.failures import Refused, Usage
from ota_tools.signers import AnySigner, signer_of, signers_of

ROLES = ("root", "release")
_PREFIX = 8

GOOD, WRONG, UNKNOWN = "good", "wrong", "no root key here"
"""Verdicts on a signature."""


@dataclass(frozen=True)
class Terms:
    """What a store says beside its keys; None leaves it as it is."""

    threshold: int | None = None
    release_threshold: int | None = None
    manifest_urls: list[str] | None = None
    tls_roots: list[bytes] | None = None
    sequence_floor: int | None = None
    bare_images: bool | None = None
    expires: int | None = None


@dataclass(frozen=True)
class Change:
    """What is to be different in the next store.

    Attributes:
        add: role -> public keys.
        remove: role -> kids.
        forget_sequences: what devices confirmed so far does not count any more; the new floor does.
    """

    add: dict[str, list[keys.PublicKey]] = field(default_factory=dict)
    remove: dict[str, list[str]] = field(default_factory=dict)
    terms: Terms = Terms()
    forget_sequences: bool = False


@dataclass(frozen=True)
class Need:
    """What a root role still wants: so many more signatures, of these keys."""

    role: str
    more: int
    kids: list[str]

    def __str__(self) -> str:
        return f"{self.role}: {self.more} more of {', '.join(self.kids)}"


def make_first(
    roots: Sequence[AnySigner],
    releases: list[keys.PublicKey],
    threshold: int = 1,
    manifest_urls: list[str] | None = None,
    tls_roots: list[bytes] | None = None,
    **more: Any,
) -> bytes:
    """Trust store number 1, signed by every root key.

    Args:
        roots: may change the trust store later; `threshold` of them must then sign.
        releases: may sign manifests.
        manifest_urls: for devices that are not told one.
        tls_roots: DER certificates.
        more: the other fields of `Terms`.
    Raises Usage where a key would stand twice or the threshold cannot be reached, Refused where a
    device would refuse the result: too many keys, URLs or certificates.
    """
    terms = Terms(threshold, manifest_urls=manifest_urls, tls_roots=tls_roots, **more)
    signers = [signer_of(root) for root in roots]
    draft = first([signer.public for signer in signers], releases, terms)
    store = sign(draft, signers)
    check(store)
    return store


def first(roots: list[keys.PublicKey], releases: list[keys.PublicKey], terms: Terms) -> bytes:
    """The draft of trust store number 1. Raises Usage, Refused: see `make_first`."""
    fields: dict[str, Any] = {
        "format": device.FORMAT,
        "number": 1,
        "keys": [],
        "root": {"keys": [], "threshold": 1},
        "release": {"keys": [], "threshold": 1},
        "sequence_floor": 0,
        "manifest_urls": [],
        "tls_roots": [],
    }
    _add(fields, {"root": roots, "release": releases})
    _settle(fields, terms)
    return _draft(fields)


def follow(store: bytes, change: Change) -> bytes:
    """The draft of the trust store that follows `store`, which devices have.

    Raises Usage, Refused: nothing changes, a key that is there already or is not there, thresholds
    that cannot be reached, a floor that falls, what a device would refuse.
    """
    fields = fields_of(store)
    before = fields_of(store)
    _remove(fields, change.remove)
    _add(fields, change.add)
    _settle(fields, change.terms)
    _judge_sequences(before, fields, change)
    if fields == before:
        raise Usage("nothing is to change: name a key or an option")
    fields["number"] += 1
    _judge_count(device.read(store).root, fields)
    return _draft(fields)


def sign(draft: bytes, signers: Sequence[AnySigner], after: bytes | None = None) -> bytes:
    """A draft with more signatures; the ones in it are verified and kept.

    Args:
        after: the store that it follows, whose root role must sign too; None for number 1.
    Raises Refused for keys that may not sign it, Failure where a signer fails.
    """
    roots = roots_of(draft, after)
    payload = payload_of(draft)
    entries = _verified(draft, roots)
    for signer in signers_of(signers):
        if not any(signer.kid in role.keys for role in roots.values()):
            raise Refused(f"the key {signer.kid} is no root key: {' or '.join(roots)} has others")
        if signer.kid not in entries:
            if len(entries) == SIGNATURES:
                raise Refused(
                    f"devices read at most {SIGNATURES} signatures: sign with fewer keys"
                )
            entries[signer.kid] = envelopes.sign(jws.TRUST, payload, signer)
    signed = envelopes.join(list(entries.values()), payload)
    _verified(signed, roots)
    return signed


def missing(draft: bytes, after: bytes | None = None) -> list[Need]:
    """Who must sign before devices take the store; nobody where it is complete. Raises Refused."""
    roots = roots_of(draft, after)
    signed = {kid for kid, verdict, _ in judge(draft, roots) if verdict == GOOD}
    needs = []
    for name, role in roots.items():
        good = signed & set(role.keys)
        if len(good) < role.threshold:
            rest = [kid for kid in role.keys if kid not in good]
            needs.append(Need(name, role.threshold - len(good), rest))
    return needs


def judge(draft: bytes, roots: dict[str, device.Role]) -> list[tuple[str, str, Signature]]:
    """(kid, verdict, signature as it travels) of each signature, by these roles. Raises Refused."""
    payload = payload_of(draft)
    found = []
    for protected, header, signature in signatures_of(draft):
        kid = header["kid"]
        key = next((role.keys[kid] for role in roots.values() if kid in role.keys), None)
        if key is None:
            verdict = UNKNOWN
        elif (header["typ"], header["alg"]) == (jws.TRUST, key.alg) and key.verify(
            jws.signing_digest(protected, payload), signature
        ):
            verdict = GOOD
        else:
            verdict = WRONG
        coded = strict.b64url_encode(signature).decode()
        found.append((kid, verdict, {"protected": protected.decode(), "signature": coded}))
    return found


def check(store: bytes, after: bytes | None = None) -> device.Trust:
    """The store as devices read it, those that have `after` if it is given. Raises Refused."""
    try:
        if after is None:
            return device.load(store)
        return device.succeed(device.load(after), store)
    except OtaError as e:
        raise Refused(f"a device would refuse this trust store: {e}") from e


def roots_of(draft: bytes, after: bytes | None) -> dict[str, device.Role]:
    """The root roles whose thresholds must sign a draft, by the words for them. Raises Refused."""
    store = read(draft)
    roots = {f"root of number {store.number}": store.root}
    if after is None:
        return roots
    old = check(after)
    if old.number + 1 != store.number:
        raise Refused(
            f"this is number {store.number}, after number {old.number}: it follows"
            f" number {store.number - 1} only, devices take one after the other"
        )
    return {f"root of number {old.number}": old.root, **roots}


def read(draft: bytes) -> device.Trust:
    """What a store or a draft says, its signatures not verified. Raises Refused.

    Unlike a device, who makes a store looks whether each key has its own name.
    """
    try:
        found = device.read(draft)
        for entry in strict.loads(payload_of(draft), device.LIMIT)["keys"]:
            kid = keys.kid(keys.from_entry(entry))
            if entry["kid"] != kid:
                raise Refused(f"the key {kid} is called {entry['kid']}: do not sign this store")
    except (OtaError, ValueError) as e:
        raise Refused(f"not a trust store: {e}") from e
    return found


def signatures_of(draft: bytes) -> list[tuple[bytes, dict[str, str], bytes]]:
    """(protected, header, signature) of each; none in a fresh draft. Raises Refused."""
    line = jws.split(draft, device.LIMIT)[0]
    if line == envelopes.join([], b"").rstrip():
        return []
    try:
        return list(jws.read_signatures(line))
    except OtaError as e:
        raise Refused(f"not a trust store: {e}") from e


def payload_of(draft: bytes) -> bytes:
    """The bytes that are signed."""
    return bytes(jws.split(draft, device.LIMIT)[1])


def fields_of(draft: bytes) -> dict[str, Any]:
    """The fields as they stand in a store, also those that we do not know. Raises Refused."""
    read(draft)
    return dict(strict.loads(payload_of(draft), device.LIMIT))


def kid_in(
    store: device.Trust, role: str, given: str, load: Callable[[Path], keys.PublicKey]
) -> str:
    """The kid of a key of the role, named by a key file or by the first digits of its kid.

    Args:
        load: path -> public key.
    Raises Usage, Refused.
    """
    kids = list((store.root if role == "root" else store.release).keys)
    words = f"number {store.number} has the {role} keys {', '.join(kids)}"
    if Path(given).exists():
        kid: str = keys.kid(load(Path(given)))
        if kid not in kids:
            raise Refused(f"{given} ({kid}) is no {role} key: {words}")
        return kid
    if not re.fullmatch(rf"[0-9a-f]{{{_PREFIX},64}}", given.lower()):
        raise Usage(f"{given} is no file, and not {_PREFIX} to 64 hex digits of a kid: {words}")
    found: list[str] = [kid for kid in kids if kid.startswith(given.lower())]
    if len(found) != 1:
        raise Refused(f"{given} names {len(found)} {role} keys, expected one: {words}")
    return found[0]


def _add(fields: dict[str, Any], wanted: dict[str, list[keys.PublicKey]]) -> None:
    known = {entry["kid"] for entry in fields["keys"]}
    for role, publics in wanted.items():
        for public in publics:
            entry = keys.entry(public)
            if entry["kid"] in known:
                raise Usage(
                    f"the key {entry['kid']} is there already or given twice;"
                    " root and release keys must differ"
                )
            known.add(entry["kid"])
            fields["keys"].append(entry)
            fields[role]["keys"].append(entry["kid"])


def _remove(fields: dict[str, Any], unwanted: dict[str, list[str]]) -> None:
    for role, kids in unwanted.items():
        fields[role]["keys"] = [kid for kid in fields[role]["keys"] if kid not in kids]
    named = {kid for role in ROLES for kid in fields[role]["keys"]}
    fields["keys"] = [entry for entry in fields["keys"] if entry["kid"] in named]


def _settle(fields: dict[str, Any], terms: Terms) -> None:
    for role, threshold in (("root", terms.threshold), ("release", terms.release_threshold)):
        if threshold is not None:
            fields[role]["threshold"] = threshold
        _judge_threshold(role, fields[role])
    if terms.manifest_urls is not None:
        for url in terms.manifest_urls:
            _judge_url(url)
        fields["manifest_urls"] = terms.manifest_urls
    if terms.tls_roots is not None:
        coded = [strict.b64url_encode(root).decode() for root in terms.tls_roots]
        fields["tls_roots"] = coded
    for name in ("sequence_floor", "bare_images", "expires"):
        value = getattr(terms, name)
        if value is not None and value != fields.get(name, 0):
            fields[name] = value


def _judge_threshold(role: str, entry: dict[str, Any]) -> None:
    threshold, count = entry["threshold"], len(entry["keys"])
    option = "--threshold" if role == "root" else "--release-threshold"
    if not count:
        raise Usage(f"no {role} key would be left, and {threshold} must sign: add one, or rotate")
    if not 1 <= threshold <= count:
        raise Usage(f"threshold {threshold} of {count} {role} keys: change {option} or add keys")
    if threshold > SIGNATURES:
        raise Usage(f"threshold {threshold}: devices read at most {SIGNATURES} signatures")


def _judge_url(url: str) -> None:
    try:
        Url(url)
    except OtaError as e:
        raise Refused(f"a device would refuse this trust store: {e}") from e


def _judge_sequences(before: dict[str, Any], fields: dict[str, Any], change: Change) -> None:
    old, new = before.get("sequence_floor", 0), fields.get("sequence_floor", 0)
    if not change.forget_sequences:
        if new < old:
            raise Refused(
                f"sequence floor {new}, it is {old}: a lower one lets older releases in, and goes"
                " only with --forget-sequences"
            )
        return
    if not change.remove.get("release"):
        raise Usage(
            "--forget-sequences without a release key that goes: whoever has the old key would"
            " go on"
        )
    if change.terms.sequence_floor is None:
        raise Usage(
            "--forget-sequences needs --sequence-floor, the lowest sequence that is good: without"
            " it devices would take every old release again"
        )
    fields["sequence_epoch"] = before.get("sequence_epoch", 0) + 1


def _judge_count(old: device.Role, fields: dict[str, Any]) -> None:
    # The fewest signatures that satisfy both root roles: a key that is in both counts twice.
    root = fields["root"]
    common = min(len(set(old.keys) & set(root["keys"])), old.threshold, root["threshold"])
    least = old.threshold + root["threshold"] - common
    if least > SIGNATURES:
        raise Usage(
            f"{old.threshold} old and {root['threshold']} new root keys must sign, {common} can"
            f" count for both: {least} signatures, devices read at most {SIGNATURES};"
            " change fewer root keys at once"
        )


def _draft(fields: dict[str, Any]) -> bytes:
    try:
        draft = envelopes.join([], encode_json(fields))
        device.read(draft)
    except (OtaError, strict.Malformed) as e:
        raise Refused(f"a device would refuse this trust store: {e}") from e
    return draft


def _verified(draft: bytes, roots: dict[str, device.Role]) -> dict[str, Signature]:
    # kid -> signature as it travels, of a draft in which everything must be right.
    found = {}
    for kid, verdict, signature in judge(draft, roots):
        if verdict != GOOD:
            raise Refused(f"it holds a signature of {kid} ({verdict}): make the draft again")
        found[kid] = signature
    return found
