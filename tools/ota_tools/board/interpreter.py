"""The real MicroPython VM: finds one on this machine, or installs one for this user only.

Rules: a VM is accepted only if it answers for itself that it is new enough and has the modules
that the virtual board needs. Installing takes the distribution's own signed packages from the mirror
that the machine is configured with, unpacks them in the user's cache folder, and leaves the system
and its package database alone.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ota_tools.failures import MissingTool

OLDEST = (1, 25, 0)
"""The oldest MicroPython that the library supports."""

VARIABLE = "OTA_MICROPYTHON"
"""Environment variable with the path of a VM to use instead of all others."""

Progress = Callable[[str], None]

_QUESTION = """\
import sys, tls, deflate, vfs
vfs.VfsRom, vfs.VfsLfs2
print(*sys.implementation.version[:3])
"""

# Debian releases without a package, or with one that is too old.
_OLD_DEBIAN = ("buster", "bullseye", "bookworm")

# The processor of 32 bits whose programs a machine's own processor runs too; integers, hashes and the
# heap differ there, as they do on the chip.
_NARROW = {"amd64": "i386", "arm64": "armhf"}

_COMPONENTS = {"debian": "main", "ubuntu": "main universe"}

# The path of the main archive's address: .../debian, .../ubuntu-ports, or a mirror list's file.
_MAIN_ARCHIVE = re.compile(r"(^|/)(debian|ubuntu|ubuntu-ports)(\.list|\.txt)?/?$")

# Everything private but the trusted keys; no hook of the machine runs; unsigned data is an error.
# A status file without packages makes the dependency closure complete.
_APT_CONF = """\
#clear APT::Update;
#clear APT::Architectures;
#clear DPkg;
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Default-Release "";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Dir::Etc::SourceList "{root}/mirror.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "{root}/state";
Dir::State::Lists "{root}/state/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Cache::Archives "{root}/cache/archives";
Dir::Log "{root}/log";
"""


@dataclass(frozen=True)
class Interpreter:
    """A VM that runs.

    Attributes:
        argv: the command prefix that runs it.
        version: as `sys.implementation.version`, three numbers.
        source: where it was found, for people.
    """

    argv: tuple[str, ...]
    version: tuple[int, int, int]
    source: str


@dataclass(frozen=True)
class _Archive:
    """One address that the machine's apt is configured with, and the value of its Signed-By."""

    uri: str
    components: tuple[str, ...]
    signed_by: str


def find(install: bool = True, progress: Progress | None = None) -> Interpreter:
    """The VM to use here: OTA_MICROPYTHON, else the cache, else PATH, else a fresh install.

    Args:
        install: fetch one when none is found.
        progress: gets one line before each slow step.
    Raises MissingTool, naming the way out.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return _probe((chosen,), VARIABLE)
    suites = _suites()
    for suite in suites:
        cached = _cached(suite, None)
        if cached:
            return cached
    on_path = shutil.which("micropython")
    if on_path:
        try:
            return _probe((on_path,), "PATH")
        except MissingTool:
            pass  # too old or without a module: as good as none
    wanted = "MicroPython %d.%d or newer is needed (unix port)" % OLDEST[:2]
    if not suites:
        raise MissingTool(f"{wanted}: brew install micropython, or set {VARIABLE} to its path")
    if not install:
        raise MissingTool(f"{wanted}: run `ota board vm`, or set {VARIABLE} to its path")
    reasons = []
    for suite in suites:
        try:
            return _install(suite, None, progress)
        except MissingTool as failure:
            reasons.append(str(failure))
    raise MissingTool(f"{wanted}: set {VARIABLE} to its path; tried {'; '.join(reasons)}")


def install(suite: str, arch: str | None = None, progress: Progress | None = None) -> Interpreter:
    """The VM of one release of this machine's distribution, from the cache or freshly fetched.

    Args:
        suite: the release, such as `trixie`.
        arch: the distribution's name of a processor, such as `i386`; None: this machine's.
        progress: gets one line before each slow step.
    Raises MissingTool.
    """
    return _cached(suite, arch) or _install(suite, arch, progress)


def narrow(progress: Progress | None = None) -> Interpreter:
    """The VM with 32-bit words, as on the chip: the oldest supported version, from Debian's archive.

    Raises MissingTool.
    """
    arch = _own_arch()
    return install("trixie", _NARROW.get(arch, arch), progress)


def legs(progress: Progress | None = None) -> dict[str, Interpreter]:
    """The VMs that portable code is tried on, by a name for people.

    `found`, the one of `find()`. On Debian two more, from its archive: `32 bits`, the oldest supported
    version, and `newest`, what Debian testing had when it was fetched; another distribution's archive
    does not have them.
    Raises MissingTool, on Debian also where one of the two cannot be had.
    """
    named = {"found": find(progress=progress)}
    if _os_release().get("ID") == "debian":
        named["32 bits"] = narrow(progress)
        named["newest"] = install("testing", None, progress)
    return named


def _probe(argv: tuple[str, ...], source: str) -> Interpreter:
    """Ask a VM whether it will do."""
    command = [*argv, "-c", _QUESTION]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise MissingTool(f"{source}: {argv[-1]} does not run: {cause}") from cause
    numbers = re.fullmatch(r"(\d+) (\d+) (\d+)\s*", answer.stdout)
    if answer.returncode != 0 or not numbers:
        reason = _last_line(answer.stderr) or f"exit code {answer.returncode}"
        raise MissingTool(f"{source}: {argv[-1]} is no usable MicroPython: {reason}")
    version = (int(numbers[1]), int(numbers[2]), int(numbers[3]))
    if version < OLDEST:
        text = ".".join(map(str, version))
        raise MissingTool(f"{source}: {argv[-1]} is {text}, needed is %d.%d.%d" % OLDEST)
    return Interpreter(argv, version, source)


def _suites() -> list[str]:
    """Releases to take the VM from, best first; empty where there is no apt of a known kind."""
    system = _os_release()
    own = system.get("VERSION_CODENAME", "")
    if system.get("ID") == "debian":
        names = ["trixie"] if own in _OLD_DEBIAN else [own, "trixie"]
    elif system.get("ID") == "ubuntu":
        names = [own, "questing", "resolute"]
    else:
        return []
    return [name for name in dict.fromkeys(names) if name]


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def _folder(suite: str, arch: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "esp32-ota" / "micropython" / f"{suite}-{arch}"


def _cached(suite: str, arch: str | None) -> Interpreter | None:
    folder = _folder(suite, arch or _own_arch())
    try:
        return _probe_folder(folder, f"cache: {folder.name}")
    except MissingTool:
        return None


def _probe_folder(folder: Path, source: str) -> Interpreter:
    """Ask the VM in a folder of unpacked packages, run by that folder's own loader."""
    loaders = [path for path in folder.rglob("ld-linux*.so.*") if not path.is_symlink()]
    binary = folder / "usr/bin/micropython"
    if not loaders or not binary.exists():
        raise MissingTool(f"{source}: no MicroPython in {folder}")
    libraries = sorted({str(path.parent) for path in folder.rglob("lib*.so.*")})
    argv = (str(loaders[0]), "--library-path", ":".join(libraries), str(binary))
    return _probe(argv, source)


def _install(suite: str, arch: str | None, progress: Progress | None) -> Interpreter:
    """Fetch into a folder beside the final one and rename it, so that no half of it is used."""
    arch = arch or _own_arch()
    final = _folder(suite, arch)
    archive = _main_archive()
    if progress:
        progress(f"Fetching MicroPython of {suite} ({arch}) from {archive.uri}")
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        unpacked = scratch / "unpacked"
        _fetch(archive, suite, arch, scratch, unpacked)
        _probe_folder(unpacked, f"{suite} ({arch})")
        _publish(unpacked, suite, arch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return _probe_folder(final, f"installed: {final.name}")


def _publish(unpacked: Path, suite: str, arch: str) -> None:
    if _cached(suite, arch):
        return  # another process was faster
    final = _folder(suite, arch)
    shutil.rmtree(final, ignore_errors=True)
    try:
        unpacked.rename(final)
    except OSError:
        if not final.exists():
            raise


def _fetch(archive: _Archive, suite: str, arch: str, scratch: Path, unpacked: Path) -> None:
    """The package and all that it depends on, checked by apt, unpacked into one folder."""
    for folder in ("state/lists/partial", "cache/archives/partial", "log", "packages"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "status").touch()
    source = f"Types: deb\nURIs: {archive.uri}\nSuites: {suite}\n"
    source += f"Components: {_COMPONENTS[_os_release()['ID']]}\n"
    if archive.signed_by:
        source += f"Signed-By: {archive.signed_by}\n"
    (scratch / "mirror.sources").write_text(source)
    conf = scratch / "apt.conf"
    conf.write_text(_APT_CONF.format(arch=arch, root=scratch) + _sandbox())

    options = ["-c", str(conf)]
    packages = scratch / "packages"
    _run(["apt-get", *options, "-q", "update"], packages)
    kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    without = [f"--no-{kind}" for kind in kinds]
    lines = _run(
        ["apt-cache", *options, "depends", "--recurse", *without, "micropython"], packages
    )
    # A name at the start of a line is a package of the closure, <name> a virtual one.
    names = [line for line in lines.splitlines() if re.match(r"[a-z0-9]", line)]
    _run(["apt-get", *options, "-q", "download", *names], packages)
    for package in sorted(packages.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(unpacked)], packages)


def _sandbox() -> str:
    # As root apt drops to a user who may not read the private folders.
    return 'APT::Sandbox::User "root";\n' if os.geteuid() == 0 else ""


def _own_arch() -> str:
    return _run(["dpkg", "--print-architecture"], Path("/")).strip()


def _run(command: list[str], folder: Path) -> str:
    """Run a program of the system and give its output; its last error line is the failure."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    except OSError as cause:
        raise MissingTool(f"{command[0]} does not run: {cause}") from cause
    if done.returncode != 0:
        raise MissingTool(f"{command[0]} failed: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _main_archive() -> _Archive:
    """The archive of the distribution itself among all that apt is configured with.

    The one with the distribution's own keyring wins: others may imitate the path.
    """
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found = [
        archive
        for file in files
        if file.suffix in (".list", ".sources") and file.is_file()
        for archive in read_sources(
            file.read_text(errors="replace"), deb822=file.suffix == ".sources"
        )
        if "main" in archive.components and _MAIN_ARCHIVE.search(archive.uri)
    ]
    if not found:
        raise MissingTool("apt has no source with the distribution's main archive")
    return min(found, key=lambda archive: "archive-keyring" not in archive.signed_by)


def read_sources(text: str, deb822: bool) -> Iterator[_Archive]:
    """The binary package archives that a file of apt sources names.

    Args:
        text: the file.
        deb822: stanzas of fields (.sources); otherwise one archive per line (.list).
    """
    return _read_stanzas(text) if deb822 else _read_lines(text)


def _read_lines(text: str) -> Iterator[_Archive]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+\S+([^#]*)", line)
        if match:
            options, uri, components = match.groups()
            signed_by = re.search(r"(?i)signed-by=(\S+)", options or "")
            yield _Archive(uri, tuple(components.split()), signed_by[1] if signed_by else "")


def _read_stanzas(text: str) -> Iterator[_Archive]:
    text = re.sub(r"(?m)^#.*\n?", "", text)
    for stanza in re.split(r"\n\s*\n", text):
        # A field goes on in the lines that start with a blank: keys may stand there in full.
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"(?m)^([\w-]+):(.*(?:\n[ \t].*)*)", stanza)
        }
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
            components = tuple(fields.get("components", "").split())
            for uri in fields.get("uris", "").split():
                yield _Archive(uri, components, fields.get("signed-by", ""))
