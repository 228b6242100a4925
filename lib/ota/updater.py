"""The updater: check, download, activate; install is the last two.

Layer 6. Bytes go from the server through the slot writer into the next slot. Nothing is erased
before every rule has passed, and the boot slot changes at one point, in `activate`.
"""

import gc

from micropython import const

from .config import FILE, Config, load_config
from .errors import OtaError, error
from .files import read_file
from .http import Url
from .journal import ACTIVATED, CANCELLED, WRITING, Journal
from .jws import HEADER_LIMIT, MANIFEST, verify
from .manifest import BLOCK, LIMIT, Manifest, check_limits, check_target, is_newer, parse
from .memory import save_journal
from .net import Network
from .port import Port
from .reader import HEADER, SECTOR
from .receipt import FILE as RECEIPTS
from .receipt import Receipt, load_receipts, save_receipts
from .situation import Situation
from .slot import SlotWriter
from .source import Body, Source
from .trust import LIMIT as TRUST_LIMIT
from .trust import Trust, load

_TLS_NEEDS = const(49152)  # bytes in one piece that TLS wants of the ESP-IDF heap
_GARBAGE = const(4096)  # bytes
_WORTH_BORROWING = const(4)  # blocks: each saves 0.4 s, and it takes a second connection

_running = False  # one download at a time, whoever asks


class Updater:
    """Finds, installs and activates releases for this device.

    Attributes:
        reason: why the last `check()` returned None.
    """

    def __init__(self, config: Config, port: "Port | None" = None) -> None:
        self._config = config
        self._port = port or Port()
        self._checked: "Trust | None" = None  # the trust store that the last check relied on
        self._listen(None)
        self.reason = ""

    @classmethod
    def from_config(cls, path: str = FILE, port: "Port | None" = None) -> "Updater":
        """An updater as `/ota.json` describes it. Raises SlotError `config`, `files`."""
        port = port or Port()
        return cls(load_config(port.path(path)), port)

    def check(self) -> "Manifest | None":
        """Ask the server. A release to install, or None with the reason in `reason`.

        The manifest's signature and every rule that the device can judge have passed. Allocates the
        envelope (at most 9.3 KiB) and the TLS connection; both are free again at the end. Allowed
        during a trial.

        Raises SourceError, ImageError, SignatureError, SlotError `config`, `trust-store`.
        """
        return _thrifty(self._check)

    def _check(self) -> "Manifest | None":
        self._checked = None
        trust = self._checked = self._trust()
        release = self._fetch_manifest(trust)
        found = Situation(self._port)
        check_target(release, self._config.product, self._config.board, self._port.chip_id())
        self.reason = ""
        if not is_newer(release, self._highest(found), trust.sequence_floor):
            self.reason = "up to date: sequence %d is confirmed" % release.sequence
        elif found.journal.is_refused(release.sha256, release.sequence):
            self.reason = "%s failed here before" % release.version
        check_limits(release, self._port.now(), self._next(found)[1].info()[3])
        release.plain()
        return None if self.reason else release

    def reachable(self) -> bool:
        """True when the server was reached over verified TLS and serves a manifest signed for us.

        A self-test check. Raises as `check`.
        """
        self._fetch_manifest(self._trust())
        return True

    def install(self, release: Manifest, progress=None, feed=None, split=False) -> None:
        """`download`, then `activate`: at the next reset the new image is on trial."""
        self.download(release, progress, feed, split)
        self._select(release)

    def download(self, release: Manifest, progress=None, feed=None, split=False) -> None:
        """Bring a release into the next slot and prove it there. The boot slot stays.

        Only 64 KiB blocks that are not right yet are asked for, and only those are touched.
        Allocates its buffers and the TLS connection once: 4 KiB to work with, and 64 KiB for data
        where the ESP-IDF heap has room for them beside TLS, else 4 KiB; then 64 KiB are borrowed
        before the image is fetched, to erase in large blocks. After any failure it can be called
        again, and what was right stays.

        Args:
            release: from `check()`.
            progress: progress(position in the image, its size), called per 4 KiB; False cancels.
            feed: feed(), called after each flash operation and each 4 KiB that were read back: for
                the application's watchdog. A slow network may take long for 4 KiB.
            split: for applications that must not stall: 4 KiB sectors only, erased in one step and
                programmed in pieces of 1 KiB.
        Raises SourceError, ImageError, SignatureError; SlotError `trial-running`, `busy`, `refused`,
        `nothing-to-do`, `encrypted`, `file-system`, `files`, `readback`, `flash`, `nvs`, `cancelled`.
        """
        global _running
        if _running:
            raise error("busy", "a download is running")
        found = self._permitted(release)
        index, device = self._next(found)
        if device.info()[5]:
            raise error("encrypted", "slot %d is encrypted" % index)
        check_limits(release, self._port.now(), device.info()[3])
        release.plain()
        self._port.check_file_system()
        _running = True
        self._listen(feed, progress)
        try:
            _thrifty(self._fill, release, found, index, device, split)
        except OSError as e:
            if self._asking:
                raise
            raise error("flash", "slot %d: %s" % (index, e))
        finally:
            _running = False

    def activate(self, release: Manifest, feed=None) -> None:
        """Let the bootloader take the slot that holds `release` at the next reset, on trial.

        Hashes the slot first: it may have been written a while ago.
        Raises ImageError `not-bootable`; SlotError as `download`, and `not-activated`, `files`.
        """
        device = self._next(self._permitted(release))[1]
        writer = SlotWriter(device, release)
        self._listen(feed)
        try:
            writer.adopt()
            self._drive(writer.prove())
        except OSError as e:
            if self._asking:
                raise
            raise error("flash", "slot: %s" % e)
        self._select(release)

    # Steps

    def _select(self, release: Manifest) -> None:
        found = self._unselect(self._permitted(release))
        index, device = self._next(found)
        head = bytearray(HEADER)
        try:
            device.readblocks(0, head)
        except OSError as e:
            raise error("flash", "slot %d: %s" % (index, e))
        journal = found.journal
        if journal.state != WRITING or not journal.is_about(release.sha256, release.sequence):
            self._begin(found, release, index, bytes(head))
        receipts = load_receipts(self._port.path(RECEIPTS))
        receipts[index] = Receipt(release.sha256, release.size, release.version, release.sequence)
        save_receipts(self._port.path(RECEIPTS), receipts)
        self._port.select(device)
        try:
            after = Situation(self._port)
            if after.selected != index:
                raise error("not-activated", "otadata names slot %d" % after.selected)
            journal.state = ACTIVATED
            save_journal(self._port, journal)
        except OtaError:
            self._port.drop_entry(1 - found.index if found.index >= 0 else 0)
            raise

    def _unselect(self, found: Situation) -> Situation:
        # A record that selects another slot than the running one: an install before this one.
        if found.selected == found.running or not found.can_return():
            return found
        self._port.drop_entry(found.index)
        return Situation(self._port)

    def _begin(self, found: Situation, release: Manifest, index: int, head: bytes) -> None:
        # From here on the slot holds no image that anybody may boot or return to.
        journal = found.journal
        found = self._unselect(found)
        path = self._port.path(RECEIPTS)
        receipts = load_receipts(path)
        if receipts.pop(index, None):
            save_receipts(path, receipts)
        journal.start(index, release.sequence, release.sha256, head, release.version)
        save_journal(self._port, journal)
        spare = found.spare_record(index)
        if spare >= 0:
            self._port.drop_entry(spare)

    def _trust(self) -> Trust:
        path = self._port.path(self._config.trust)
        try:
            data = read_file(path, HEADER_LIMIT + 1 + TRUST_LIMIT)
            if data:
                return load(data)
        except OtaError as e:
            raise error("trust-store", str(e))
        raise error("trust-store", "%s is missing or empty" % path)

    def _network(self, trust: Trust) -> Network:
        roots = trust.tls_roots
        if self._config.tls_root:
            roots = [read_file(self._port.path(self._config.tls_root), 8192)]
        return Network(self._port, roots, self._config.timeout_s)

    def _manifest_url(self, trust: Trust) -> Url:
        url = self._config.manifest_url or (trust.manifest_urls or [""])[0]
        if not url:
            raise error("config", "no manifest_url anywhere")
        return Url(url)

    def _source(self, trust: Trust) -> Source:
        return Source(self._network(trust), "ota (%s)" % self._config.board)

    def _fetch_manifest(self, trust: Trust) -> Manifest:
        source = self._source(trust)
        try:
            body = source.get(self._manifest_url(trust))
            if body.size > HEADER_LIMIT + 1 + LIMIT:
                raise error("envelope-format", "manifest of %d bytes" % body.size)
            envelope = body.read()
        finally:
            source.close()
        role = trust.release
        payload = bytes(verify(envelope, MANIFEST, LIMIT, role.keys, role.threshold))
        del envelope  # memory for what is read out of it
        return parse(payload)

    def _permitted(self, release: Manifest) -> Situation:
        found = Situation(self._port)
        if found.on_trial():
            raise error("trial-running", "confirm the running image first")
        if found.journal.is_refused(release.sha256, release.sequence):
            raise error("refused", "%s failed here before" % release.version)
        if not is_newer(release, self._highest(found)):
            raise error("nothing-to-do", "sequence %d is confirmed" % release.sequence)
        return found

    def _highest(self, found: Situation) -> int:
        # Journal and receipt keep it both: losing one opens no downgrade.
        highest = found.journal.highest
        receipt = load_receipts(self._port.path(RECEIPTS)).get(found.running)
        if receipt and not found.on_trial():
            highest = max(highest, receipt.sequence)
        return highest

    def _next(self, found: Situation) -> tuple:
        index = (found.running + 1) % len(found.slots)
        return index, found.slots[index]

    def _fill(self, release: Manifest, found: Situation, index: int, device, split: bool) -> None:
        journal = found.journal
        known = journal.is_about(release.sha256, release.sequence)
        head = journal.head if known else b""

        def on_head(head):
            self._begin(found, release, index, head)

        trust = self._checked or self._trust()  # before the buffers: each needs memory for itself
        writer = self._writer(device, release, on_head, split)
        self._drive(writer.survey(head, journal.state == WRITING))
        if writer.wanted():
            self._pump(release, trust, writer, journal, split)
        self._drive(writer.prove())
        writer.seal()

    def _writer(self, device, release: Manifest, on_head, split: bool) -> SlotWriter:
        # Its buffer may be taken from the memory that TLS needs: look after allocating.
        gc.collect()
        if not split and self._port.largest_block():
            try:
                buffer = bytearray(BLOCK)
                if self._port.largest_block() >= _TLS_NEEDS:
                    from .wide import WideWriter

                    return WideWriter(device, release, buffer, on_head)
                del buffer
            except MemoryError:
                pass
            gc.collect()
        return SlotWriter(device, release, on_head, split)

    def _pump(
        self, release: Manifest, trust: Trust, writer: SlotWriter, journal: Journal, split: bool
    ) -> None:
        payload = release.plain()
        url = self._manifest_url(trust).join(payload.urls[0])
        source = self._source(trust)
        ahead = not split and writer.count_to_erase() >= _WORTH_BORROWING
        try:
            run = writer.wanted()
            while run:
                start, end = run
                if ahead:
                    end = min(end, start // SECTOR * SECTOR + SECTOR)  # nothing is erased unseen
                body = source.get(url, start, 0 if end - start == release.size else end)
                if body.total != payload.size:
                    raise error(
                        "size-mismatch", "%d bytes, signed %d" % (body.total, payload.size)
                    )
                writer.seek(body.start)
                if body.size == body.total and not ahead:
                    end = release.size  # ranges are not served: all of it comes
                self._receive(body, end, writer, journal)
                if ahead and writer.begun:
                    source.close()  # TLS needs the memory
                    self._erase_ahead(writer)
                    ahead = False
                run = writer.wanted()
        finally:
            source.close()

    def _receive(self, body: Body, end: int, writer: SlotWriter, journal: Journal) -> None:
        feed, progress = self._feed, self._progress
        size = writer.size
        start = writer.at
        for _ in writer.copy(body, min(end, body.start + body.size)):
            if feed:
                self._ask(feed)
            if progress and self._ask(progress, writer.at, size) is False:
                if writer.begun:
                    journal.end(CANCELLED, "at %d of %d bytes" % (writer.at, size))
                    journal.state = WRITING  # the slot is as a cut would leave it
                    save_journal(self._port, journal)
                raise error("cancelled", "at %d of %d bytes" % (writer.at, size))
        body.taken(writer.at - start)

    def _erase_ahead(self, writer: SlotWriter) -> None:
        gc.collect()
        try:
            blank = b"\xff" * BLOCK
        except MemoryError:
            return  # sector by sector, then
        self._drive(writer.erase_ahead(blank))
        del blank
        gc.collect()

    def _drive(self, steps) -> None:
        for _ in steps:
            if self._feed:
                self._ask(self._feed)

    def _listen(self, feed, progress=None) -> None:
        self._feed = feed
        self._progress = progress
        self._asking = False

    def _ask(self, callback, *args):
        # What the application raises comes through as it is.
        self._asking = True
        answer = callback(*args)
        self._asking = False
        return answer


def _thrifty(call, *args):
    # Garbage that is spread wide before it is collected would split a small heap.
    threshold = gc.threshold()
    gc.threshold(_GARBAGE)
    try:
        return call(*args)
    finally:
        gc.threshold(threshold)
