"""The updater for asyncio applications: the calls of `updater`, none of which stops other tasks.

Layer 7, over `engine`. The loop still waits for what cannot be cut into steps: looking up a name, a
step of the TLS handshake, one signature, one erase of a sector, and the activation.
"""

from asyncio import sleep_ms

from micropython import const

from .activation import activate
from .engine import Engine
from .manifest import Manifest

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from collections.abc import Callable


class AsyncUpdater(Engine):
    """Finds, installs and activates releases for this device, beside other tasks.

    Arguments, results and errors of the calls are those of `Updater`; `progress` is an ordinary
    function. A task that is cancelled leaves the slot as a lost connection would.

    Attributes:
        reason: why the last check found nothing to install.
    """

    async def check(self) -> "Manifest | None":
        """As `Updater.check`."""
        await self._drive(self._check())
        return self._found

    async def reachable(self) -> bool:
        """As `Updater.reachable`."""
        await self._drive(self._reach())
        return True

    async def report(self) -> bool:
        """As `Updater.report`."""
        await self._drive(self._deliver())
        return True

    async def update(
        self, progress: "Callable[[int, int], object] | None" = None
    ) -> "Manifest | None":
        """As `Updater.update`, with `split`."""
        try:
            await self._drive(self._check(True))
            if self._found:
                await self.install(self._found, progress)
        finally:
            self._close()
        return self._found

    async def install_image(
        self, url: str, progress: "Callable[[int, int], object] | None" = None
    ) -> None:
        """As `Updater.install_image`, with `split`."""
        try:
            await self._drive(self._examine(url))
            if self._found:
                await self.install(self._found, progress)
        finally:
            self._close()

    async def install(
        self, release: Manifest, progress: "Callable[[int, int], object] | None" = None
    ) -> None:
        """As `Updater.install`, with `split`."""
        await self.download(release, progress)
        activate(self._port, release)

    async def download(
        self, release: Manifest, progress: "Callable[[int, int], object] | None" = None
    ) -> None:
        """As `Updater.download`, with `split`."""
        await self._drive(self._download(release, True), progress)

    async def activate(self, release: Manifest) -> None:
        """As `Updater.activate`."""
        await self._drive(self._activate(release))

    async def _drive(self, steps, progress: "Callable[[int, int], object] | None" = None) -> None:
        # The asyncio pump: no step waits, so each await here is bounded.
        try:
            for waiting in steps:
                await sleep_ms(waiting.nap_ms if waiting else 0)
                if progress:
                    self._report(steps, progress)
        finally:
            steps.close()
