"""The updater for applications that may wait: each call returns when all is done.

Layer 7, over `engine`; `aio` has the same calls for asyncio.
"""

from micropython import const

from .activation import activate
from .engine import Engine
from .manifest import Manifest

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from collections.abc import Callable


class Updater(Engine):
    """Finds, installs and activates releases for this device. For one thread: `busy` is no lock.

    Attributes:
        reason: why the last check found nothing to install.
    """

    def check(self) -> "Manifest | None":
        """Ask the server. A release to install, or None with the reason in `reason`.

        The manifest's signature and every rule that the device can judge have passed. Allocates the
        envelope (at most 9.3 KiB) and the TLS connection; both are free again at the end. A manifest
        that held nothing new is not sent again while the server has the same. Allowed during a trial.

        Raises SourceError, ImageError, SignatureError, SlotError `config`, `trust-store`.
        """
        self._drive(self._check())
        return self._found

    def reachable(self) -> bool:
        """True when the server was reached over verified TLS and serves a manifest signed for us.

        A self-test check. Raises as `check`.
        """
        self._drive(self._reach())
        return True

    def report(self) -> bool:
        """Tell `report_url` how attempts ended, where nobody was told yet: True when nothing is left to
        tell. `check` and `update` do the same first, and go on where it fails.

        Raises as `check`; SlotError `config` where there is something to tell and no `report_url`.
        """
        self._drive(self._deliver())
        return True

    def update(
        self,
        progress: "Callable[[int, int], object] | None" = None,
        feed: "Callable[[], object] | None" = None,
        split: bool = False,
    ) -> "Manifest | None":
        """`check`, and `install` what it finds, over one connection where memory allows. The release
        that is on trial after the next reset, or None with the reason in `reason`.

        Arguments and errors as of `download`.
        """
        try:
            self._drive(self._check(True), feed)
            if self._found:
                self.install(self._found, progress, feed, split)
        finally:
            self._close()
        return self._found

    def install_image(
        self,
        url: str,
        progress: "Callable[[int, int], object] | None" = None,
        feed: "Callable[[], object] | None" = None,
        split: bool = False,
    ) -> None:
        """Install the image at `url`, which has no manifest, only Espressif's signature at its end.

        Only where the trust store says `bare_images`. Signed by the release role, for this chip,
        `secure_version` not lower than the running image's: no more is known of it. It cannot
        be taken up after a reset. A newer trust store is asked for first: beside the manifest; where none
        is named, or one of the two is a file, beside the image.

        Arguments and errors as of `download`, and SignatureError `bare-image`, `signature-scheme`.
        """
        try:
            self._drive(self._examine(url), feed)
            if self._found:
                self.install(self._found, progress, feed, split)
        finally:
            self._close()

    def install(
        self,
        release: Manifest,
        progress: "Callable[[int, int], object] | None" = None,
        feed: "Callable[[], object] | None" = None,
        split: bool = False,
    ) -> None:
        """`download`, then `activate`: at the next reset the new image is on trial."""
        self.download(release, progress, feed, split)
        activate(self._port, release)

    def download(
        self,
        release: Manifest,
        progress: "Callable[[int, int], object] | None" = None,
        feed: "Callable[[], object] | None" = None,
        split: bool = False,
    ) -> None:
        """Bring a release into the next slot and prove it there. The boot slot stays.

        Only 64 KiB blocks that are not right yet are asked for, and only those are touched. A lost
        connection is taken up where it broke, on the payload's URLs in turn, as long as the limits
        of /ota.json allow. Allocates its buffers and the TLS connection once: 4 KiB to work with, and
        64 KiB for data where the ESP-IDF heap has room for them beside TLS, else 4 KiB; then 64 KiB
        are borrowed before the image is fetched, to erase in large blocks. After any failure it can
        be called again, and what was right stays.

        Args:
            release: from `check()`.
            progress: progress(position in the image, its size), called as bytes come; False cancels.
            feed: feed(), called after each flash operation, each 16 KiB that were read back, and four
                times a second while nothing comes: for the application's watchdog. What it raises
                ends the call.
            split: for applications that must not stall: 4 KiB sectors only, erased in one step and
                programmed in pieces of 1 KiB.
        Raises SourceError, ImageError, SignatureError; SlotError `trial-running`, `busy`, `refused`,
        `nothing-to-do`, `encrypted`, `file-system`, `files`, `readback`, `flash`, `nvs`, `cancelled`.
        """
        self._drive(self._download(release, split), feed, progress)

    def activate(self, release: Manifest, feed: "Callable[[], object] | None" = None) -> None:
        """Let the bootloader take the slot that holds `release` at the next reset, on trial.

        Hashes the slot first: it may have been written a while ago.
        Raises ImageError, SignatureError; SlotError as `download`, and `not-activated`.
        """
        self._drive(self._activate(release), feed)

    def _drive(self, steps, feed=None, progress=None) -> None:
        # The blocking pump. What the application's callbacks raise comes through as it is.
        try:
            for waiting in steps:
                if waiting:
                    waiting.wait()
                if feed:
                    feed()
                if progress:
                    self._report(steps, progress)
        finally:
            steps.close()  # nothing stays open, whatever was raised


def install_image(url: str) -> None:
    """`Updater.install_image`, by an updater as `/ota.json` describes it."""
    Updater.from_config().install_image(url)
