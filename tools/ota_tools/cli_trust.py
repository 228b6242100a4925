"""The commands `ota trust …`: make trust stores, change them, sign them, look at them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from ota_tools import certificates, trust_files
from ota_tools import trust as trust_store
from ota_tools.cli_keys import Keyring, signer_options
from ota_tools.failures import Refused, Usage
from ota_tools.inspection import describe_trust, lines_of, shorten
from ota_tools.signers import PemSigner, Signer
from ota_tools.terminal import PATH, as_json_option, read_as, read_bytes, read_store, show, warn
from ota_tools.trust import Change, Terms

F = TypeVar("F", bound=Callable[..., Any])

_DAY = 86400
_SINGLE = (
    "one root key is enough to change the trust store: whoever steals it owns the devices, and when it"
    " is lost nobody can ever change their keys again; make a second and a third one and take"
    " --threshold 2, or say --single-key"
)


def _terms(command: F) -> F:
    # What a store says beside its keys: the same options wherever one is made.
    for option in reversed(
        (
            click.option(
                "--threshold", type=int, metavar="N", help="Root keys that must sign a change."
            ),
            click.option(
                "--release-threshold", type=int, metavar="N", help="Keys that must sign a release."
            ),
            click.option(
                "--single-key",
                is_flag=True,
                help="Let one root key be enough: if it is lost the devices' keys can never be"
                " changed, if it is stolen the thief owns the devices.",
            ),
            click.option(
                "--url",
                "urls",
                multiple=True,
                help="Manifest URL for devices that are told none; all that there shall be.",
            ),
            click.option(
                "--tls-root",
                "tls_roots",
                type=PATH,
                multiple=True,
                help="Root certificate, DER or PEM; all that there shall be.",
            ),
            click.option(
                "--sequence-floor",
                type=click.IntRange(0, 10**15 - 1),
                metavar="N",
                help="Nothing below it is installed.",
            ),
            click.option(
                "--bare-images/--no-bare-images",
                default=None,
                help="May devices install images that have Espressif's signature only?",
            ),
            click.option(
                "--expires-days",
                type=click.IntRange(0, 36500),
                metavar="DAYS",
                help="Devices warn after so many days, nothing else. 0: never.",
            ),
        )
    ):
        command = option(command)
    return command


def _outputs(command: F) -> F:
    # How a following store is signed and where it goes.
    command = as_json_option(command)
    command = click.option(
        "-o", "--output", type=PATH, help="Default: trust-<number>.json beside STORE."
    )(command)
    return signer_options("Root key")(command)


def _pairs(role: str) -> Callable[[F], F]:
    return click.option(
        f"--{role}",
        f"{role}_pairs",
        type=(str, PATH),
        multiple=True,
        metavar="OLD NEW",
        help=f"{role.capitalize()} key that goes (file or kid) and the one that comes (PEM).",
    )


_forget = click.option(
    "--forget-sequences",
    is_flag=True,
    help="Devices forget which sequences they confirmed; the new --sequence-floor counts.",
)


@click.group()
def trust() -> None:
    """The trust store: which keys a device believes.

    \b
    Example:  ota trust show ota_trust.json
    """


@trust.command("init")
@click.option("--root", "roots", type=PATH, multiple=True, required=True, help="Root key, PEM.")
@click.option(
    "--release", "releases", type=PATH, multiple=True, required=True, help="Release key, PEM."
)
@_terms
@signer_options("Root key")
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("ota_trust.json"),
    show_default=True,
    help="The file to make.",
)
@as_json_option
def init(
    roots: tuple[Path, ...],
    releases: tuple[Path, ...],
    key_files: tuple[Path, ...],
    commands: tuple[tuple[Path, str], ...],
    output: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Make trust store number 1, which is flashed with the device.

    \b
    Example:  ota trust init --root root1.pem --root root2.pem --root root3.pem.pub \\
                  --threshold 2 --release release.pem.pub \\
                  --url https://updates.example/v2-esp32.manifest --tls-root ca.pem

    Private root keys sign; of root keys that lie elsewhere, and of release keys, the public half is
    enough. If fewer sign than the threshold says the file is a draft, for `ota trust sign`. Without
    --url and --tls-root the devices' /ota.json must name them.
    """
    terms = _terms_of(options, threshold=1)
    if terms.threshold == 1 and not options["single_key"]:
        raise Usage(_SINGLE)
    ring = Keyring()
    publics = [ring.public(path) for path in roots]
    signers: list[Signer] = [
        PemSigner(ring.private(path)) for path in roots if ring.has_private(path)
    ]
    there = {signer.kid for signer in signers}
    more = ring.signers(key_files, commands)
    signers += [signer for signer in more if signer.kid not in there]
    draft = trust_store.first(publics, [ring.public(path) for path in releases], terms)
    why = "devices may carry it; remove it yourself if they do not"
    signed = trust_files.save(draft, signers, None, output, why)
    _tell(output, signed, None, as_json)


@trust.command("add")
@click.argument("store", type=PATH)
@click.option("--root", "roots", type=PATH, multiple=True, help="Root key that comes, PEM.")
@click.option("--release", "releases", type=PATH, multiple=True, help="Release key that comes.")
@_terms
@_outputs
def add(store: Path, roots: tuple[Path, ...], releases: tuple[Path, ...], **options: Any) -> None:
    """Make the store that follows STORE, with more keys.

    \b
    Example:  ota trust add ota_trust.json --release release2.pem.pub \\
                  --key root1.pem --key root2.pem

    The root role of STORE and that of the new store must both sign; see `ota trust sign`.
    """
    ring = Keyring()
    wanted = {
        "root": [ring.public(path) for path in roots],
        "release": [ring.public(path) for path in releases],
    }
    if not roots and not releases:
        raise Usage("no key to add: name one with --root or --release")
    _follow(store, ring, Change(add=wanted, terms=_terms_of(options)), options)


@trust.command("remove")
@click.argument("store", type=PATH)
@click.option(
    "--root", "roots", multiple=True, metavar="KEY", help="File, or kid: 8 digits or more."
)
@click.option("--release", "releases", multiple=True, metavar="KEY", help="The same.")
@_forget
@_terms
@_outputs
def remove(
    store: Path,
    roots: tuple[str, ...],
    releases: tuple[str, ...],
    forget_sequences: bool,
    **options: Any,
) -> None:
    """Make the store that follows STORE, without these keys: they are revoked.

    \b
    Example:  ota trust remove ota_trust.json --release 1f3a90bc \\
                  --key root1.pem --key root2.pem

    A thief of a release key can sign a sequence far ahead; devices that installed it then refuse your
    own releases as older. --forget-sequences frees them: with the new store they forget what they
    confirmed, and take what is at least --sequence-floor. Give the lowest sequence that is still good:
    everything from there on can be installed again, if it is signed by a key that stays.
    """
    ring = Keyring()
    if not roots and not releases:
        raise Usage("no key to remove: name one with --root or --release")
    unwanted = _kids(store, ring, {"root": roots, "release": releases})
    change = Change({}, unwanted, _terms_of(options), forget_sequences)
    _follow(store, ring, change, options)


@trust.command("rotate")
@click.argument("store", type=PATH)
@_pairs("root")
@_pairs("release")
@_forget
@_terms
@_outputs
def rotate(
    store: Path,
    root_pairs: tuple[tuple[str, Path], ...],
    release_pairs: tuple[tuple[str, Path], ...],
    forget_sequences: bool,
    **options: Any,
) -> None:
    """Make the store that follows STORE, with new keys in the place of old ones.

    \b
    Example:  ota trust rotate ota_trust.json --release release.pem.pub release2.pem.pub \\
                  --key root1.pem --key root2.pem

    Where a root key goes, enough old keys and enough new keys must sign. --forget-sequences: see
    `ota trust remove`.
    """
    ring = Keyring()
    pairs = {"root": root_pairs, "release": release_pairs}
    if not root_pairs and not release_pairs:
        raise Usage("no key to rotate: name two with --root or --release, OLD NEW")
    unwanted = _kids(store, ring, {role: tuple(old for old, _ in pairs[role]) for role in pairs})
    wanted = {role: [ring.public(new) for _, new in pairs[role]] for role in pairs}
    _follow(store, ring, Change(wanted, unwanted, _terms_of(options), forget_sequences), options)


@trust.command("set")
@click.argument("store", type=PATH)
@_terms
@_outputs
def set_(store: Path, **options: Any) -> None:
    """Make the store that follows STORE, with the same keys and other terms.

    \b
    Example:  ota trust set ota_trust.json --url https://new.example/v2-esp32.manifest \\
                  --tls-root old-ca.pem --tls-root new-ca.pem --key root1.pem --key root2.pem

    What is not named stays. --url and --tls-root replace the whole list.
    """
    _follow(store, Keyring(), Change(terms=_terms_of(options)), options)


@trust.command("sign")
@click.argument("draft", type=PATH)
@click.option(
    "--after",
    type=PATH,
    help="The store before it. Default: trust-<number>.json or ota_trust.json beside DRAFT.",
)
@signer_options("Root key")
@as_json_option
def sign(
    draft: Path,
    after: Path | None,
    key_files: tuple[Path, ...],
    commands: tuple[tuple[Path, str], ...],
    as_json: bool,
) -> None:
    """Sign a draft that others made or signed, in its place; look at it first: `ota trust show`.

    \b
    Example:  ota trust sign trust-2.json --key root2.pem
              ota trust sign trust-2.json --signer root3.pem.pub './sign-in-hsm slot 3'

    --signer is for keys in an HSM, a KMS or a PKCS#11 token. The command is run without a shell, gets
    the message on stdin, OTA_DIGEST (its SHA-256 in hexadecimal) and OTA_ALG (PS256 or ES256) in its
    environment, and answers the signature on stdout, binary: for RSA 384 bytes, PSS with a salt of 32
    bytes; for P-256 DER, or r and s. It has 120 seconds, and may ask for a PIN at the terminal. Its
    signature is verified before anything is written.
    """
    data = read_bytes(draft)
    if not key_files and not commands:
        raise Usage("nobody signs: name a root key with --key, or --signer")
    try:
        number = trust_store.read(data).number
    except Refused as e:
        raise Refused(f"{draft}: {e}") from e
    if number == 1 and after:
        raise Usage(f"{draft} is number 1: nothing is before it, leave --after away")
    old = read_store(after or trust_files.before(draft, number)) if number > 1 else None
    signed = trust_files.sign(draft, Keyring().signers(key_files, commands), old)
    _tell(draft, signed, old, as_json)


@trust.command("show")
@click.argument("file", type=PATH)
@click.option("--after", type=PATH, help="Would a device that has this store accept FILE?")
@as_json_option
def show_(file: Path, after: Path | None, as_json: bool) -> None:
    """Say what a trust store or a draft says, who signed it, and who is missing.

    \b
    Example:  ota trust show trust-2.json --after ota_trust.json

    With --after it also tells what changes, and ends with exit code 1 if a device would refuse FILE.
    """
    data = read_bytes(file)
    old = read_store(after) if after else None
    try:
        about = describe_trust(data, old)
    except Refused as e:
        raise Refused(f"{file}: {e}") from e
    _print({"file": str(file), **about}, as_json)
    if about["missing"]:
        if old:
            raise Refused(f"no device takes {file} yet: {shorten('; '.join(about['missing']))}")
    elif old:
        trust_store.check(data, old)


def _terms_of(options: dict[str, Any], threshold: int | None = None) -> Terms:
    days = options["expires_days"]
    return Terms(
        threshold if options["threshold"] is None else options["threshold"],
        options["release_threshold"],
        list(options["urls"]) or None,
        [read_as(path, certificates.to_der) for path in options["tls_roots"]] or None,
        options["sequence_floor"],
        options["bare_images"],
        int(time.time()) + days * _DAY if days else days,
    )


def _kids(store: Path, ring: Keyring, given: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    known = trust_store.read(trust_files.read_complete(store))
    return {
        role: [trust_store.kid_in(known, role, name, ring.public) for name in names]
        for role, names in given.items()
    }


def _follow(store: Path, ring: Keyring, change: Change, options: dict[str, Any]) -> None:
    old = trust_files.read_complete(store)
    draft = trust_store.follow(old, change)
    before, next_ = trust_store.read(old), trust_store.read(draft)
    if next_.root.threshold == 1 < before.root.threshold and not options["single_key"]:
        raise Usage(_SINGLE)
    output = options["output"] or store.with_name(f"trust-{next_.number}.json")
    signers = ring.signers(options["key_files"], options["commands"])
    why = "devices may have taken it; remove it yourself if it is a draft that nobody wants"
    signed = trust_files.save(draft, signers, old, output, why)
    _tell(output, signed, old, options["as_json"], store)


def _tell(
    path: Path, data: bytes, old: bytes | None, as_json: bool, store: Path | None = None
) -> None:
    about = describe_trust(data, old)
    _print({"file": str(path), **about}, as_json)
    if not about["complete"]:
        after = f" --after {store}" if store and store.parent != path.parent else ""
        warn(
            f"{path} is a draft, no device takes it: {shorten('; '.join(about['missing']))};"
            f" `ota trust sign {path}{after} --key …` adds a signature"
        )


def _print(about: dict[str, Any], as_json: bool) -> None:
    show(about if as_json else lines_of(about), as_json)
