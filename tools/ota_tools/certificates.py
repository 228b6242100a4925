"""A certificate authority of one's own and the server certificate it signs, both EC P-256.

Rule: the authority is made once and kept, because boards carry it as their root; the server
certificate is made again whenever it is worn or does not fit. Private keys have mode 0600.
Source: RFC 5280 sections 4.2.1 and 6.1, RFC 6125; the extensions are those that Python's
VERIFY_X509_STRICT asks for. Everything is valid from one day ago, for boards whose clock is behind.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ota_tools.failures import Refused, Usage

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365

_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Paths:
    """Where `ensure` keeps things. A board needs `ca_der` or `ca_pem`, a server the last two."""

    ca_pem: Path
    ca_der: Path
    ca_key: Path
    server_pem: Path
    server_key: Path


def make_authority(common_name: str) -> Identity:
    """A self-signed authority for `AUTHORITY_DAYS` days that signs servers and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name)
    builder = _builder(name, name, key.public_key(), key.public_key(), AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Identity, hosts: Sequence[str], days: int = SERVER_DAYS) -> Identity:
    """A server certificate for DNS names and IP addresses. Raises Usage for a host that is neither."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    names = x509.SubjectAlternativeName([_general_name(host) for host in _checked(hosts)])
    builder = _builder(
        _name("ota server"), issuer, key.public_key(), authority.key.public_key(), days
    )
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    )
    return Identity(builder.sign(authority.key, hashes.SHA256()), key)


def ensure(folder: Path, hosts: Sequence[str]) -> Paths:
    """Make what is missing in `folder`; keep the authority, replace a server that no longer fits.

    A server no longer fits within a day of its end, for other hosts, and under another authority.
    Raises Refused where the authority has lost its key or has expired.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ("ca.pem", "ca.der", "ca.key", "server.pem", "server.key")
    paths = Paths(*(folder / name for name in names))
    if paths.ca_pem.exists():
        authority = _load(paths.ca_pem, paths.ca_key)
        if authority is None:
            raise Refused(f"{paths.ca_key} is missing or not the key of ca.pem: restore it")
        if authority.certificate.not_valid_after_utc < _now() + _DAY:
            raise Refused(f"{paths.ca_pem} has expired: move it away and give boards the new one")
    else:
        authority = make_authority("ota authority")
        _save(authority, paths.ca_pem, paths.ca_key)
    paths.ca_der.write_bytes(authority.certificate.public_bytes(serialization.Encoding.DER))
    server = _load(paths.server_pem, paths.server_key)
    if server is None or not _fits(server.certificate, authority.certificate, hosts):
        _save(issue(authority, hosts), paths.server_pem, paths.server_key)
    return paths


def _fits(server: x509.Certificate, authority: x509.Certificate, hosts: Sequence[str]) -> bool:
    try:
        server.verify_directly_issued_by(authority)
        names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return False
    wanted = {_general_name(host) for host in _checked(hosts)}
    return set(names) == wanted and server.not_valid_after_utc >= _now() + _DAY


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    days: int,
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - _DAY)
        .not_valid_after(_now() + days * _DAY)
        .add_extension(identifier, critical=False)
        .add_extension(issuer_identifier, critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _checked(hosts: Sequence[str]) -> Sequence[str]:
    if not hosts or isinstance(hosts, str):
        raise Usage("a server certificate needs a list of host names or IP addresses")
    return hosts


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not host.replace(".", "").replace("-", "").isalnum() or not host.isascii():
        raise Usage(f"{host!r} is neither a host name nor an IP address")
    return x509.DNSName(host)


def _load(certificate: Path, key: Path) -> Identity | None:
    # None where one of the two is missing or damaged, or where they do not belong together.
    try:
        public = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return Identity(public, private) if private.public_key() == public.public_key() else None


def _save(identity: Identity, certificate: Path, key: Path) -> None:
    # The key first: a certificate on disk has its key, whenever the program was stopped.
    private = identity.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key.unlink(missing_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    certificate.write_bytes(identity.certificate.public_bytes(serialization.Encoding.PEM))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def read(data: bytes) -> x509.Certificate:
    """The one certificate in `data`, PEM or DER. Raises Refused."""
    load = (
        x509.load_pem_x509_certificate if b"-----BEGIN" in data else x509.load_der_x509_certificate
    )
    try:
        found = load(data)
        found.subject.rfc4514_string()  # is read only now
        return found
    except (ValueError, TypeError, x509.InvalidVersion) as e:
        raise Refused("not a certificate, neither PEM nor DER") from e


def to_der(data: bytes) -> bytes:
    """The one certificate in `data`, PEM or DER, as DER. Raises Refused."""
    return read(data).public_bytes(serialization.Encoding.DER)
