"""The newest trust store: what lies on the device, and the walk from number N to N+1.

Layer 6. What the device was flashed with is never written; what it accepted since lies beside it, and
is replaced whole. Files and rules: docs/format.md section 4.
"""

from micropython import const

from .access import check_store
from .config import FILE as CONFIG
from .config import Config, load_config
from .errors import OtaError, SourceError, error
from .files import read_file, replace_file
from .port import Port
from .trust import Trust, load, read, succeed

CURRENT = ".current"
"""What the name of the accepted store has behind that of the flashed one."""

_LIMIT = const(11265)  # HEADER_LIMIT + 1 + LIMIT
_STEPS = const(32)

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from typing import TypedDict

    class TrustStatus(TypedDict):
        """What `trust_status` gives."""

        number: int
        expired: bool


def stored(port: Port, path: str) -> Trust:
    """The trust store with the highest number that is whole, of the two on the device.

    Args:
        path: of the one that the device was flashed with.
    Raises SlotError `trust-store`.
    """
    wrong = "missing or empty"
    found = []
    for name in (path, path + CURRENT):
        try:
            data = read_file(port.path(name), _LIMIT)
            if data:
                found.append((read(data).number, name))
        except OtaError as e:
            wrong = str(e)
    for _, name in sorted(found, reverse=True):
        try:
            return load(read_file(port.path(name), _LIMIT))
        except OtaError as e:
            wrong = str(e)
    raise error("trust-store", "%s: %s" % (path, wrong))


def trust_status(port: "Port | None" = None) -> "TrustStatus":
    """What the device trusts, for people. Apart from `status()`: it verifies a signature.

    Returns: dict with number of the trust store, and expired: its date has passed, a warning only.
    Raises SlotError `config`, `files`, `trust-store`.
    """
    port = port or Port()
    trust = stored(port, load_config(port.path(CONFIG)).trust)
    return {"number": trust.number, "expired": 0 < trust.expires < port.now()}


def walk(port: Port, config: Config, trust: Trust, source, base):
    """Generator: accept what follows the device's trust store, as far as there is more.

    Each is stored before it is used, so that a cut loses nothing; allocates one envelope (at most
    11 KiB) at a time.

    Args:
        trust: the device's.
        source: where it is fetched.
        base: URL of a file in the same folder, the manifest.
    Returns: the newest Trust.
    Raises what `Source.get`, `succeed` and `check_store` raise; SlotError `file-system`, `files`.
    """
    for _ in range(_STEPS):
        try:
            body = yield from source.get(base.join("trust-%d.json" % (trust.number + 1)))
        except SourceError as e:
            # Not there; some stores of files say that with 403.
            if e.code in ("http-status", "denied") or not base.authority():
                break
            raise
        envelope = yield from body.read(_LIMIT)
        yield
        found = succeed(trust, envelope)
        check_store(port, config, trust, found)
        port.check_file_system()
        replace_file(port.path(config.trust + CURRENT), envelope)
        trust = found
    return trust
