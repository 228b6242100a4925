"""What a look at the whole device finds: will an update work here, and what to do where not.

Layer 7. Nothing is written and nothing printed; what cannot be examined is a finding, too. With the
network the clock may be set, as any check for updates sets it, and a newer trust store is not taken.
"""

import os
import sys

from micropython import const

from .errors import OtaError
from .port import Port
from .survey import FLASH, bootloader, clock, heap, slots, table

_FINE = const(0)
_NOTE = const(1)
_BAD = const(2)

_DAYS = const(30)
_DAY_S = const(86400)
_SIZE = const(512)  # of the journal's record


def doctor(network: bool = True, port: "Port | None" = None) -> "list[tuple[str, int, str, str]]":
    """Examine the device: slots, table, bootloader, clock, heap, files, configuration, trust store,
    library, journal, server.

    Never raises for anything that it examines. Leaves everything as it is, but for the clock, which
    is set as before any check where nobody did.

    Args:
        network: also reach the configured server over verified TLS, once; a minute at most.
    Returns: list of tuples (check, level, text, advice): level 0 fine, 1 worth knowing, 2 something
        will not work; advice is one line, "" at level 0.
    """
    found: list = []
    try:
        port = port or Port()
    except Exception as e:
        return [("board", _BAD, _say(e), "this runs on an ESP32")]
    for name, check, advice in _CHECKS:
        if name == "server" and not network:
            continue
        try:
            for level, text, todo in check(port):
                found.append((name, level, text, todo))
        except Exception as e:
            found.append((name, _BAD, _say(e), advice))
    return found


def _say(e: Exception) -> str:
    return str(e) if isinstance(e, OtaError) else "%s %s" % (type(e).__name__, e)


def _heap(port: Port):
    yield from heap(port, _frozen())


def _files(port: Port):
    port.check_file_system()
    about = os.statvfs(port.path("/"))
    yield _FINE, "%d of %d blocks free, not FAT" % (about[4], about[2]), ""


def _config(port: Port):
    from .config import FILE, load_config

    config = load_config(port.path(FILE))
    yield _FINE, "product %s, board %s" % (config.product, config.board), ""
    if not config.verified:
        yield _NOTE, "TLS is not verified", "take tls_unverified out of %s" % FILE


def _trust(port: Port):
    from .config import FILE, load_config
    from .files import read_file
    from .rotation import CURRENT, stored
    from .trust import load

    path = load_config(port.path(FILE)).trust
    for name in (path, path + CURRENT):
        try:
            data = read_file(port.path(name), 11265)
            if data or name == path:
                load(data)
        except OtaError as e:
            yield _NOTE, "%s: %s" % (name, e), "the other one counts, if it can be read"
    trust = stored(port, path)
    yield (
        _FINE,
        "number %d; root %d of %d, release %d of %d keys"
        % (
            trust.number,
            trust.root.threshold,
            len(trust.root.keys),
            trust.release.threshold,
            len(trust.release.keys),
        ),
        "",
    )
    if len(trust.root.keys) == 1:
        yield _NOTE, "one root key", "lost, it cannot be replaced: docs/keys.md"
    days = (trust.expires - port.now()) // _DAY_S
    if trust.expires and days < 0:
        yield _NOTE, "expired %d days ago, a warning only" % -days, "publish a newer trust store"
    elif trust.expires and days < _DAYS:
        yield _NOTE, "expires in %d days" % days, "publish a newer trust store"


def _exists(path: str) -> int:
    # 0: no; 0x4000: a folder; 0x8000: a file.
    try:
        return os.stat(path)[0]
    except OSError:
        return 0


def _home() -> str:
    path = sys.modules["ota"].__path__
    return path if isinstance(path, str) else path[0]  # CPython has a list


def _frozen() -> bool:
    home = _home()
    return home.startswith((".frozen", "/.img"))


def _library(port: Port):
    package = sys.modules["ota"]
    home = _home()
    text = "ota %s %s" % (package.__version__, "frozen" if _frozen() else "from %s" % home)
    freeze = "freeze it: an image then brings its own, and the heap keeps its room"
    if _frozen():
        yield _FINE, text, ""
    elif str(package.__file__).endswith(".mpy"):
        yield _NOTE, text, freeze
    else:
        yield _NOTE, text + ", as source", "`ota device setup` brings it compiled; or freeze it"
    # The root comes first on sys.path: what runs may be this folder itself.
    for name, kind in (("/ota", 0x4000), ("/ota.py", 0x8000), ("/ota.mpy", 0x8000)):
        if _exists(port.path(name)) & kind:
            todo = "remove it: the library belongs into /lib or the firmware"
            yield _BAD, "%s hides the library" % name, todo
    if _frozen() and _exists(port.path("/lib/ota")):
        yield _NOTE, "/lib/ota is not used: the frozen one comes first", "remove /lib/ota"


def _journal(port: Port):
    from .journal import CONFIRMED, EVENTS, WRITING
    from .memory import load_journal
    from .situation import Situation

    yield from _boot()
    journal = load_journal(port)
    if journal is None:
        if port.nvs_read("journal", bytearray(_SIZE)):
            yield _NOTE, "the journal cannot be read", "the next update writes it anew"
        else:
            yield _FINE, "no update yet", ""
        return
    text = "highest sequence %d; last update: %s" % (journal.highest, EVENTS[journal.outcome])
    if journal.reason:
        text += ", %s" % journal.reason
    if journal.outcome in (0, CONFIRMED):
        yield _FINE, text, ""
    else:
        yield _NOTE, text, "ota.history() tells more; publish a release that is mended"
    if journal.state == WRITING:
        yield _FINE, "a download was begun, the next update goes on with it", ""
    for digest, sequence in journal.refused:
        name = digest.hex()
        yield (
            _NOTE,
            "refused up to sequence %d: %s" % (sequence, name),
            "it failed here; ota.forget(%r) gives it another chance" % name,
        )
    if Situation(port).on_trial():
        yield (
            _NOTE,
            "the running image is on trial",
            "ota.confirm() keeps it; else it is gone at the next reset",
        )


def _boot():
    from .recovery import fault

    if not sys.modules["ota"]._started:
        yield _BAD, "ota.boot() did not run", "boot.py: import ota, then ota.boot()"
    if fault:
        yield _BAD, "ota.boot() failed: %s" % fault, "docs/errors.md has the code"


def _server(port: Port):
    from time import ticks_diff, ticks_ms

    from .access import first_url
    from .config import FILE, load_config
    from .rotation import stored
    from .updater import Updater

    class Look(Updater):
        def _walk(self, trust):
            yield from ()
            return trust  # a newer trust store is left to the next check

    config = load_config(port.path(FILE))
    config.tries, config.total_s = 1, 60
    url = first_url(config, stored(port, config.trust))
    name = url.authority() or config.manifest_url
    start = ticks_ms()
    try:
        Look(config, port).reachable()
        how = "" if config.verified else ", NOT VERIFIED"
        text = "%s: a manifest signed for us in %d ms%s" % (
            name,
            ticks_diff(ticks_ms(), start),
            how,
        )
        yield _FINE, text, ""
    except OtaError as e:
        text = "%s, after %d ms" % (e, ticks_diff(ticks_ms(), start))
        level = _NOTE if e.code in ("signature", "busy") else _BAD  # a check may take more trust
        yield level, text, _TODO.get(e.code, "docs/errors.md has the code")


_TODO = {
    "unreachable": "did main.py join the network? then URL, server, firewall",
    "timeout": "did main.py join the network? then URL, server, firewall",
    "clock-not-set": "set the clock, or let ntp in /ota.json be reached",
    "tls-verify": "does the trust store have the root, and the certificate this name?",
    "http-status": "is the manifest there? `ota doctor --url` asks from the host",
    "denied": "credentials in /ota.json",
    "signature": "for a newer trust store? updater.check() takes that; else: who signed this?",
    "busy": "a check or a download is running: later",
}

_CHECKS = (
    ("slots", slots, FLASH),
    ("table", table, FLASH),
    ("bootloader", bootloader, FLASH),
    ("clock", clock, "write /ota.json: `ota device setup`"),
    ("heap", _heap, "reset the board and look again"),
    ("files", _files, "littlefs with some free space: `ota flash`, or remove files"),
    ("config", _config, "write /ota.json: `ota device setup --product --board`"),
    ("trust", _trust, "provision it again: `ota device setup --trust`"),
    ("library", _library, "`ota device setup` writes it again"),
    ("journal", _journal, "NVS is full or worn: erase it by cable"),
    ("server", _server, "/ota.json and the trust store first"),
)
