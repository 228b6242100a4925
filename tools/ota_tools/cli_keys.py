"""The command `ota keygen`, and what all commands that sign share: keys, passphrases, --signer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from ota_tools import keys
from ota_tools.failures import Usage
from ota_tools.files import write_new
from ota_tools.signers import CommandSigner, PemSigner, Signer, signers_of
from ota_tools.terminal import PATH, as_json_option, console, show, warn

F = TypeVar("F", bound=Callable[..., Any])

KEEP = """A root key decides for years who may update the devices: make it with --encrypt on a machine that is
off line, keep a copy in another place and the passphrase apart from both, and never put it on the
machine that makes releases. A lost release key is replaced with the root key; a lost root key by nothing."""


def signer_options(what: str) -> Callable[[F], F]:
    """--key and --signer, both to be repeated: arguments `key_files` and `commands`."""

    def add(command: F) -> F:
        command = click.option(
            "--signer",
            "commands",
            type=(PATH, str),
            multiple=True,
            metavar="PUBLIC.pem COMMAND",
            help="A key that COMMAND signs with, see `ota trust sign --help`.",
        )(command)
        return click.option(
            "--key", "key_files", type=PATH, multiple=True, help=f"{what}, private, PEM; repeat."
        )(command)

    return add


class Keyring:
    """The keys that one command opens: each file once, so that nobody is asked twice."""

    def __init__(self) -> None:
        self._private: dict[Path, keys.PrivateKey] = {}

    def private(self, path: Path) -> keys.PrivateKey:
        """The private key in a file. Raises Usage, Refused."""
        if path not in self._private:
            self._private[path] = keys.load_private(path, ask)
            if keys.is_exposed(path):
                mode = path.stat().st_mode & 0o777
                warn(f"{path} may be read by others (mode {mode:04o}): chmod 600 {path}")
        return self._private[path]

    def public(self, path: Path) -> keys.PublicKey:
        """The public key in a file, or that of the private key in it. Raises Usage, Refused."""
        if path in self._private or self.has_private(path):
            return self.private(path).public_key()
        return keys.load_public(path, ask)

    def has_private(self, path: Path) -> bool:
        """Does the file hold a private key?"""
        return path.is_file() and b"PRIVATE KEY" in path.read_bytes()

    def signers(
        self, key_files: tuple[Path, ...], commands: tuple[tuple[Path, str], ...]
    ) -> list[Signer]:
        """Everybody who signs, in the order of the files, then of the commands. Raises Failure."""
        found: list[Signer] = [PemSigner(self.private(path)) for path in key_files]
        found += [CommandSigner(self.public(path), command) for path, command in commands]
        return signers_of(found)


def ask(path: Path) -> str:
    """The passphrase of a key file, typed at the terminal. Raises Usage where there is none."""
    _need_terminal(f"{path} is encrypted")
    return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))


@click.command()
@click.argument("path", type=PATH)
@click.option(
    "--alg",
    type=click.Choice(["rsa", "p256"]),
    default="rsa",
    show_default=True,
    help="RSA-3072, or EC P-256 with its shorter keys and signatures.",
)
@click.option("--encrypt", is_flag=True, help="Ask for a passphrase, encrypt the private key.")
@as_json_option
def keygen(path: Path, alg: str, encrypt: bool, as_json: bool) -> None:
    """Make a signing key in PATH (PKCS#8 PEM, mode 0600) and its public half in PATH.pub.

    \b
    Example:  ota keygen root.pem --encrypt
              ota keygen release.pem

    The root keys change the trust store and are needed rarely. Make them with --encrypt on a machine
    that is off line, keep a copy in another place and the passphrase apart from both, never on the
    machine that makes releases. The release key signs every release.

    The passphrase of a script stands in the environment, OTA_KEY_PASSPHRASE; never among arguments.
    """
    public = path.with_name(path.name + ".pub")
    for file in (path, public):
        if os.path.lexists(file):
            raise Usage(f"{file} exists: a key is never written over")
    key = keys.generate(path, alg, _new_passphrase(path) if encrypt else None)
    half = key.public_key()
    write_new(public, keys.public_pem(half), "a key is never written over")
    fields = {
        "private": str(path),
        "public": str(public),
        "kid": keys.kid(half),
        "alg": keys.device_key(half).alg,
        "encrypted": encrypt,
    }
    show(fields, as_json)
    if not as_json:
        console.print(f"\n[dim]{KEEP}[/dim]", soft_wrap=True)


def _new_passphrase(path: Path) -> str:
    passphrase = os.environ.get(keys.PASSPHRASE)
    if passphrase is None:
        _need_terminal("--encrypt asks for a passphrase")
        passphrase = str(
            click.prompt(
                f"Passphrase for {path}", hide_input=True, confirmation_prompt=True, err=True
            )
        )
    if not passphrase.strip():
        raise Usage("an empty passphrase protects nothing: choose a long one")
    return passphrase


def _need_terminal(why: str) -> None:
    # Without a terminal getpass would read stdin, and show it.
    if os.name != "posix":
        return
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as e:
        raise Usage(f"{why}, and there is no terminal to ask at: set {keys.PASSPHRASE}") from e
