"""What `ota device setup` brings onto a board that has two slots: library, boot.py, configuration, trust.

Rules: every file is written beside its place, proven by its hash, and all are put into place by one
program on the board, boot.py last. So a cable pulled half-way leaves the board as it was, and the
same command goes on where it stopped. What is the user's is never replaced unless he says so.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ota import strict
from ota.config import Config
from ota.errors import OtaError
from ota_tools import firmware, library, provision
from ota_tools.device import Device
from ota_tools.failures import Failure, Refused, Usage

NEW = ".new"
BOOT, MAIN, APP = "/boot.py", "/main.py", "/lib/app.py"

_SPARE = 4  # blocks that stay free: what the library wants for a receipt
_FLASH = "`ota flash` gives it two slots"

_LOOK = """\
import os, sys, esp32
P = esp32.Partition
apps = [part.info() for part in P.find(P.TYPE_APP)]
head = bytearray(2)
P(P.RUNNING).readblocks(0, head, 12)
fat = ""
end = bytearray(2)
for label in ("vfs", "ffat"):
 for part in P.find(P.TYPE_DATA, label=label):
  part.readblocks(0, end, 510)
  if end == b"\\x55\\xaa":
   fat = label
def size(path):
 try:
  about = os.stat(path)
  return -1 if about[0] & 0x4000 else about[6]
 except OSError:
  return None
home = "none"
version = None
try:
 import ota
 version = getattr(ota, "__version__", None)
 home = getattr(ota, "__path__", None) or getattr(ota, "__file__", "?")
except Exception:
 pass
other = home != "none" and hasattr(ota, "__file__") and not hasattr(ota, "_PUBLIC")
room = os.statvfs("/")
try:
 there = os.listdir("/lib/ota")
except OSError:
 there = []
return {
 "slots": sum([0x10 <= about[1] <= 0x1F for about in apps]),
 "otadata": len(P.find(P.TYPE_DATA, subtype=0)),
 "chip_id": head[0] | head[1] << 8,
 "fat": fat, "home": home, "version": version, "other": other,
 "block": room[0], "free": room[4],
 "hiding": [name for name in ("/ota.py", "/ota.mpy", "/ota") if size(name) is not None],
 "app": [name for name in ("/app.py", "/app.mpy", "/lib/app.py", "/lib/app.mpy", "/app") if size(name) is not None],
 "library": there,
 "wifi": size("/wifi.json") is not None,
 "current": size("/ota_trust.json.current") is not None,
}
"""

_COMMIT = """\
import os
for path in {gone!r}:
 try:
  os.remove(path)
 except OSError:
  pass
for path in {paths!r}:
 os.rename(path + {new!r}, path)
 print(path)  # a sign of life
return True
"""

_FOLDERS = """\
import os
for path in {folders!r}:
 try:
  os.mkdir(path)
 except OSError as e:
  if e.errno != 17:
   raise
return True
"""


@dataclass
class Wish:
    """What the command says. trust: the store's bytes, b"" for none; source: .py instead of .mpy."""

    product: str | None
    board: str | None
    trust: bytes
    force: bool
    source: bool


@dataclass
class Plan:
    """What will be done.

    Attributes:
        files: path -> contents, of what differs; in the order in which they are put into place.
        staged: those of them that lie on the board already.
        gone: paths that are removed.
        notes: for people.
        facts: of the board.
    """

    files: dict[str, bytes]
    staged: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that are still to be sent."""
        return sum(len(data) for path, data in self.files.items() if path not in self.staged)


def plan(device: Device, wish: Wish) -> Plan:
    """Look at the board and decide. Raises Refused, Usage, Unreachable, MissingTool."""
    facts = device.run(_LOOK)
    _check_board(facts)
    made = Plan({}, facts=facts)
    wanted = _library(facts, wish, made)
    wanted |= _identity(device, wish, made)
    wanted |= _application(device, wish, made)
    paths = [*wanted]
    known = device.hashes([*paths, *(path + NEW for path in paths)])
    for path, data in wanted.items():
        digest = hashlib.sha256(data).hexdigest()
        if known.get(path) != digest:
            made.files[path] = data
            if known.get(path + NEW) == digest:
                made.staged.add(path)
    _check_room(made)
    return made


def carry_out(
    device: Device, made: Plan, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write, prove and put into place; `progress(bytes written, of all)`. Raises Unreachable, Failure, Refused."""
    if not made.files and not made.gone:
        return
    folders = sorted({path.rpartition("/")[0] for path in made.files} - {""}, key=len)
    parents = [folder.rpartition("/")[0] for folder in folders]
    folders = [p for p in dict.fromkeys([*parents, *folders]) if p]
    device.run(_FOLDERS.format(folders=folders))
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        if progress:
            progress(done, made.size)

    for path, data in made.files.items():
        if path not in made.staged:
            device.write(path + NEW, data, advance)
    found = device.hashes([path + NEW for path in made.files])
    for path, data in made.files.items():
        if found.get(path + NEW) != hashlib.sha256(data).hexdigest():
            raise Failure(f"{path} does not read back; run the same command again")
    device.run(_COMMIT.format(paths=[*made.files], gone=made.gone, new=NEW))


def _check_board(facts: dict[str, Any]) -> None:
    if facts["slots"] < 2 or not facts["otadata"]:
        missing = "" if facts["otadata"] else " and no otadata"
        raise Refused(
            f"{facts['slots']} OTA slots{missing} on the board, updates need two: {_FLASH}"
        )
    if facts["fat"]:
        raise Refused(
            f"{facts['fat']} is FAT, which a power cut can destroy: `ota flash` makes a littlefs"
        )
    if facts["other"]:
        raise Refused(
            f"another package named ota on the board, at {facts['home']}: remove it first"
        )
    if facts["hiding"]:
        name = facts["hiding"][0]
        raise Refused(
            f"{name} on the board hides the library: remove it (`mpremote fs rm -r :{name}`)"
        )


def _library(facts: dict[str, Any], wish: Wish, made: Plan) -> dict[str, bytes]:
    from ota import __version__ as ours

    if facts["home"].startswith((".frozen", "/.img")):
        if facts["version"] != ours:
            made.notes.append(
                f"the firmware has ota {facts['version']} frozen in, this is {ours}: "
                "build the firmware anew"
            )
        return {}
    files = library.source() if wish.source else library.compiled(_chip(facts["chip_id"]))
    names = {path.rpartition("/")[2] for path in files}
    other = ".mpy" if wish.source else ".py"
    # A module as source comes before the same one compiled; what no release has any more goes too.
    made.gone += [
        f"{library.FOLDER}/{name}"
        for name in facts["library"]
        if name not in names and name.endswith((other, ".py", ".mpy"))
    ]
    return files


def _chip(chip_id: int) -> str:
    name = firmware.chip_name(chip_id)
    if name not in firmware.CHIPS:
        raise Refused(f"the board is a {name}, which nobody here knows; --py copies the sources")
    return name


def _identity(device: Device, wish: Wish, made: Plan) -> dict[str, bytes]:
    files = {}
    old = device.read(provision.CONFIG)
    if old is None or (wish.force and wish.product and wish.board):
        if not wish.product or not wish.board:
            raise Usage("the board has no /ota.json: name --product and --board")
        fields = {"product": wish.product, "board": wish.board}
        files[provision.CONFIG] = json.dumps(fields).encode()
    else:
        _compare(old, wish)
    store = device.read(provision.TRUST)
    if store is None and not wish.trust:
        raise Usage("the board has no /ota_trust.json: name the trust store with --trust")
    if wish.trust and store != wish.trust:
        if store is not None and not wish.force:
            raise Refused("the board has another trust store; --force replaces whom it trusts")
        files[provision.TRUST] = wish.trust
        if made.facts["current"]:
            made.gone.append(provision.TRUST + ".current")
    return files


def _compare(old: bytes, wish: Wish) -> None:
    try:
        config = Config(strict.loads(old, 4096))
    except (strict.Malformed, OtaError) as e:
        raise Refused(f"/ota.json on the board: {e}; --force with --product and --board") from e
    for name in ("product", "board"):
        wanted = getattr(wish, name)
        if wanted and wanted != getattr(config, name):
            raise Refused(
                f"/ota.json on the board has {name} {getattr(config, name)!r}, not {wanted!r}; "
                "--force writes it anew"
            )


def _application(device: Device, wish: Wish, made: Plan) -> dict[str, bytes]:
    shipped = provision.base_files(provision.Identity("", "", b""))
    files = {}
    if device.read(MAIN) is None or wish.force:
        files[MAIN] = shipped[MAIN]
        if not made.facts["app"]:
            from ota_tools import resources

            files[APP] = resources.device_file("app.py").read_bytes()
            made.notes.append(f"the shipped example is the application: {APP}")
        if not made.facts["wifi"]:
            made.notes.append('main.py reads /wifi.json: {"ssid": "…", "key": "…"}')
    boot = device.read(BOOT)
    if boot is None or wish.force or not _does_something(boot):
        files[BOOT] = shipped[BOOT]
    elif b"ota.boot(" not in boot:
        made.notes.append(
            "boot.py on the board does not call ota.boot(): begin it with `import ota` and "
            "`ota.boot()`, or --force replaces it"
        )
    return files


def _does_something(source: bytes) -> bool:
    # MicroPython's own boot.py is comments only.
    return any(line.strip() and not line.strip().startswith(b"#") for line in source.splitlines())


def _check_room(made: Plan) -> None:
    block, free = made.facts["block"], made.facts["free"]
    sizes = [len(data) for path, data in made.files.items() if path not in made.staged]
    needed = sum(-(-size // block) for size in sizes)
    if sizes and needed + _SPARE > free:
        raise Refused(
            f"no room: {len(sizes)} files take {needed} blocks of {block} bytes, {_SPARE} stay free, "
            f"the board has {free}: remove files, or `ota flash` with a larger vfs"
        )
