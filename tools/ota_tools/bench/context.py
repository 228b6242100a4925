"""What all measurements share: the VMs, the published releases, a server for each; made on first use.

One `Bench` lives as long as one `ota bench`; everything it makes lies in one scratch folder.
"""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from ota_tools import certificates
from ota_tools.bench.job import Published, Workshop
from ota_tools.bench.server import Server
from ota_tools.bench.vm import Vm, compile_folder
from ota_tools.board import interpreter
from ota_tools.serve import Server as SecureServer

KIB = 1024
MIB = 1 << 20
IMAGE = 1536 * KIB
"""Bytes of the image of the standard job, 384 sectors."""

SMALL_BUFFER = 4096
LARGE_BUFFER = 65536


@dataclass(frozen=True)
class Sample:
    """Median and spread of repeated runs; spread is the distance of the quartiles over the median."""

    median: float
    spread: float
    runs: int


def sample(values: list[float]) -> Sample:
    """Median, relative spread and number of the values."""
    middle = statistics.median(values)
    if len(values) < 2 or not middle:
        return Sample(middle, 0.0, len(values))
    low, _, high = statistics.quantiles(values, n=4)
    return Sample(middle, abs((high - low) / middle), len(values))


@dataclass(frozen=True)
class Served:
    """A folder over HTTPS, by ota's own server.

    Attributes:
        folder: what is served.
        port: on loopback.
        authority: DER file of the root that the device needs.
    """

    folder: Path
    port: int
    authority: Path


class Bench:
    """The scene of a run; a context manager.

    Args:
        quick: fewer repetitions and smaller images where that does not change what is counted.
        say: gets a line before each step.
    Attributes:
        facts: results that more than one goal needs, by name; whoever comes first measures them.
    """

    def __init__(
        self, quick: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.quick = quick
        self.say = say
        self.facts: dict[str, Any] = {}
        self._stack = ExitStack()
        self._servers: dict[Path, Server] = {}
        self._secure: dict[Path, Served] = {}

    @cached_property
    def folder(self) -> Path:
        """Scratch, gone at the end."""
        return Path(self._stack.enter_context(TemporaryDirectory(prefix="ota-bench-")))

    @cached_property
    def workshop(self) -> Workshop:
        """Where releases are made."""
        return Workshop(self.folder / "workshop")

    @cached_property
    def module_sizes(self) -> dict[str, int]:
        """Bytes of each library module as .mpy; compiling them is a side effect."""
        self.say("compiling library and scripts to .mpy")
        return compile_folder(self.folder / "modules")

    @cached_property
    def vm(self) -> Vm:
        """The 64-bit VM: for wall times."""
        assert self.module_sizes
        return Vm(interpreter.find(progress=self.say), self.folder / "modules")

    @cached_property
    def narrow(self) -> Vm:
        """The VM with 32-bit words, as on the chip: for heap, allocations and instructions."""
        assert self.module_sizes
        return Vm(interpreter.narrow(self.say), self.folder / "modules")

    def server(self, published: Published) -> Server:
        """The server of a published folder."""
        if published.folder not in self._servers:
            made = self._stack.enter_context(Server(published.folder))
            self._servers[published.folder] = made
        return self._servers[published.folder]

    def secure(self, folder: Path) -> Served:
        """The HTTPS server of a folder, known as `localhost`."""
        if folder not in self._secure:
            paths = certificates.ensure(self.folder / "tls", ["localhost"])
            server = SecureServer(folder, paths.server_pem, paths.server_key)
            self._stack.callback(server.close)
            self._secure[folder] = Served(folder, server.port, paths.ca_der)
        return self._secure[folder]

    def fact(self, name: str, measure: Callable[[], Any]) -> Any:
        """A result that is measured once."""
        if name not in self.facts:
            self.facts[name] = measure()
        return self.facts[name]

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def printed(output: str) -> list[list[str]]:
    """The words of each line that a script printed behind `#`."""
    return [line.split()[1:] for line in output.splitlines() if line.startswith("# ")]
