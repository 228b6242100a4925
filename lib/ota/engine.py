"""What an update does, as generators: check, examine, download, activate; `updater` and `aio` drive them.

Layer 6. A step is None, or what is waited for: a `Link` or a `Pause`. Bytes go from the source through
the slot writer into the next slot. Nothing is erased before every rule has passed, and the boot slot
changes at one point, in `activation`.
"""

import gc

from micropython import const

from .access import first_url, manifest_urls, open_source, url_of
from .activation import activate, announce, is_new, latest, next_slot, permitted
from .config import FILE, Config, load_config
from .errors import ImageError, OtaError, SignatureError, SourceError, error
from .http import Url
from .journal import CANCELLED, WRITING
from .jws import HEADER_LIMIT, MANIFEST, verify
from .manifest import LIMIT, Manifest, check_limits, check_target, parse
from .memory import save_journal, untold
from .patience import EXPIRED, Patience
from .port import Port
from .rotation import stored, walk
from .situation import Situation
from .slot import SlotWriter
from .transfer import Transfer, make_writer
from .trust import Trust

_GARBAGE = const(4096)  # bytes
_DAY_S = const(86400)

TYPE_CHECKING = const(False)  # the device's compiler drops what stands below
if TYPE_CHECKING:
    from typing import TypeVar

    from .local import Wire
    from .net import Network

    Kind = TypeVar("Kind", bound="Engine")  # of a class method's class, as every editor knows it

_running = False  # one check or download at a time, whoever asks


class Engine:
    """Finds, installs and activates releases for this device.

    Attributes:
        reason: why the last check found nothing to install.
    """

    def __init__(
        self,
        config: Config,
        port: "Port | None" = None,
        network: "Network | Wire | None" = None,
    ) -> None:
        """Args:
        config: as `load_config` gives it.
        port: the board; by default the one that this runs on.
        network: opens connections, as `Network` and `Wire` do; by default TLS as configured.
        """
        self._config = config
        self._port = port or Port()
        self._network = network
        self._checked: "Trust | None" = None  # the trust store that the last check relied on
        self._found: "Manifest | None" = None
        self._tag = b""  # of the manifest that held nothing new
        self._expires = 0  # it does then
        self._asked: "Url | None" = None  # for a manifest, last
        self._sources: list = []  # the open one
        self._writer: "SlotWriter | None" = None  # where bytes go just now
        self.reason = ""

    @classmethod
    def from_config(
        cls: "type[Kind]",
        path: str = FILE,
        port: "Port | None" = None,
        network: "Network | Wire | None" = None,
    ) -> "Kind":
        """One as `/ota.json` describes it. Raises SlotError `config`, `files`."""
        port = port or Port()
        return cls(load_config(port.path(path)), port, network)

    # Steps, each a generator

    def _check(self, keep: bool = False):
        # `keep`: leave the connection open where there is something to install.
        self._checked = self._found = None
        self._begin()
        try:
            trust = self._checked = self._trust()
            if self._can_tell() and untold(self._port):
                try:
                    yield from self._tell(trust)
                except OtaError:
                    pass  # next time
                self._limit()  # it costs the check no time
            trust, release = yield from self._find(trust, self._tag)
            self._checked = trust
            if release:
                self.reason = ""
                self._tag = b""
                self._judge(release, trust)
                if not self.reason:
                    self._found = release
            elif 0 < self._expires < self._port.now():
                raise error("expired", "and the server has no other")
        finally:
            self._end(keep and self._found)

    def _reach(self):
        self._begin()
        try:
            yield from self._find(self._trust(), b"")
        finally:
            self._end()

    def _examine(self, text: str):
        # What `_found` becomes: the bare image there.
        self._checked = self._found = None
        self._begin()
        try:
            url = url_of(text, text)
            trust = self._checked = yield from self._newest(self._trust(), url)
            if not trust.bare_images:
                raise error("bare-image", "the trust store allows none")
            from .bare import examine

            yield from self._open(trust, url)
            source = self._sources[0]
            room = next_slot(Situation(self._port))[1].info()[3]

            def attempt(_):
                return examine(self._port, source, url, trust.release, room)

            self._found = yield from self._patience.in_turn(attempt, 1, source.close)
            print("ota: a bare image: nothing says for which product it is, and how old")
        finally:
            self._end(self._found)

    def _deliver(self):
        if not untold(self._port):
            return
        if not self._can_tell():
            raise error("config", "no report_url, or no HTTPS")
        self._begin()
        try:
            yield from self._tell(self._trust())
        finally:
            self._end()

    def _tell(self, trust: Trust):
        from .report import deliver

        yield from self._open(trust, first_url(self._config, trust))
        yield from deliver(self._port, self._config, self._sources[0])

    def _download(self, release, split: bool):
        found = permitted(self._port, release)
        index, device = next_slot(found)
        if device.info()[5]:
            raise error("encrypted", "slot %d is encrypted" % index)
        check_limits(release, latest(self._port), device.info()[3])
        release.plain()
        self._port.check_file_system()
        return self._fill(release, found, index, device, split)

    def _activate(self, release):
        device = next_slot(permitted(self._port, release))[1]
        self._begin()
        try:
            writer = SlotWriter(device, release)
            writer.adopt()
            yield from writer.prove()
            activate(self._port, release)
        except OSError as e:
            raise error("flash", "slot: %s" % e)
        finally:
            self._end()

    def _fill(self, release, found: Situation, index: int, device, split: bool):
        journal = found.journal
        known = journal.is_about(release.sha256, release.sequence)
        head = journal.head if known else b""
        writer = None

        def on_head(head):
            announce(self._port, Situation(self._port), release, head)

        self._begin()
        try:
            trust = self._checked or self._trust()  # before the buffers: both need memory
            writer = make_writer(self._port, device, release, on_head, split)
            yield from writer.survey(head, journal.state == WRITING)
            if writer.wanted():
                yield from self._transfer(writer, release, trust, split)
            yield from writer.prove()
            if not release.blocks:
                yield from release.complete(writer, device)
            writer.seal()
        except OSError as e:
            raise error("flash", "slot %d: %s" % (index, e))
        except OtaError as e:
            if e.code == "cancelled" and writer and writer.begun:
                journal = Situation(self._port).journal
                journal.end(CANCELLED, str(e))
                journal.state = WRITING  # the slot is as a cut would leave it
                save_journal(self._port, journal)
            raise
        finally:
            self._writer = None
            self._end()

    def _transfer(self, writer: SlotWriter, release, trust: Trust, split: bool):
        base = release.base or first_url(self._config, trust)
        yield from self._open(trust, base)
        patience = self._patience
        source = self._sources[0]
        payload = release.plain()
        transfer = Transfer(
            writer, payload.size, source, patience, self._config.part_kib << 10, split
        )
        self._told = writer.at
        self._writer = writer
        urls = payload.urls
        at = -1
        while writer.wanted():
            transfer.urls = [(base, url) for url in urls]
            try:
                yield from patience.in_turn(transfer.run, len(urls), source.close)
            except SourceError as e:
                # An address that was signed for a while may have expired: is there a fresh one?
                if e.code not in EXPIRED or writer.at == at or not release.blocks:
                    raise
                at = writer.at
                fresh = yield from self._fetch_manifest(trust, b"")
                if fresh.sha256 != release.sha256 or fresh.plain().urls == urls:
                    raise
                urls = fresh.plain().urls
                base = fresh.base or base

    def _find(self, trust: Trust, tag: bytes):
        # The trust store, a newer one where that is needed, and the manifest that its keys signed.
        release = failure = None
        try:
            release = yield from self._fetch_manifest(trust, tag)
        except SignatureError as e:
            failure = e
        if failure or (release and release.trust > trust.number):
            try:
                newest = yield from self._walk(trust)
            except (ImageError, SignatureError) as e:
                raise failure or e  # a page that says something else is no trust store
            if newest.number > trust.number:
                trust = newest
                self._close()  # it may have other TLS roots
                release = yield from self._fetch_manifest(trust, b"")
            elif failure:
                raise failure
        return trust, release

    def _newest(self, trust: Trust, url):
        # The newest trust store, for what no manifest tells of one: a key may have been revoked. A file
        # is judged by what lies beside it: whoever brings files may have no network.
        base = first_url(self._config, trust, url)
        if base.authority() and url.authority():
            url = base
        self._asked = url
        yield from self._open(trust, url)
        try:
            newest = yield from self._walk(trust)
        except (ImageError, SignatureError):
            newest = self._trust()  # a page that says something else is no trust store
        if newest is not trust:
            self._close()  # it may have other TLS roots
        return newest

    def _walk(self, trust: Trust):
        source = self._sources[0]

        def attempt(_):
            return walk(self._port, self._config, trust, source, self._asked)

        return (yield from self._patience.in_turn(attempt, 1, source.close))

    def _fetch_manifest(self, trust: Trust, tag: bytes):
        # The signed manifest, None where it is still the one of this tag.
        urls = manifest_urls(self._config, trust)
        role = trust.release
        yield from self._open(trust, first_url(self._config, trust))
        source = self._sources[0]

        def attempt(number):
            url = self._asked = url_of(urls[number], self._config.manifest_url)
            source.home = url.authority()
            body = yield from source.get(url, 0, 0, tag)
            if body is None:
                return None
            envelope = yield from body.read(HEADER_LIMIT + 1 + LIMIT)
            yield
            payload = bytes(verify(envelope, MANIFEST, LIMIT, role.keys, role.threshold))
            del envelope  # memory for what is read out of it
            self._seen = body.head.tag
            release = parse(payload)
            release.base, release.epoch = url, trust.sequence_epoch
            return release

        return (yield from self._patience.in_turn(attempt, len(urls), source.close))

    def _open(self, trust: Trust, base):
        # The source of what lies there, and patience for what is asked of it.
        if self._sources:
            self._sources[0].renew(self._patience)
            return
        self._sources.append(
            (
                yield from open_source(
                    self._port, self._config, trust, base, self._network, self._patience
                )
            )
        )

    # What does not wait

    def _report(self, steps, progress) -> None:
        writer = self._writer
        if writer and writer.at != self._told:
            self._told = writer.at
            if progress(writer.at, writer.size) is False:
                steps.throw(error("cancelled", "at %d of %d bytes" % (writer.at, writer.size)))

    def _begin(self) -> None:
        global _running
        if _running:
            raise error("busy", "a check or a download is running")
        self._limit()
        _running = True
        # Garbage that is spread wide before it is collected would split a small heap.
        self._threshold = gc.threshold()
        gc.threshold(_GARBAGE)

    def _limit(self) -> None:
        # All limits of time begin anew.
        self._patience = Patience(self._config, self._port.device_id())
        self._patience.is_noisy = self._is_noisy()

    def _is_noisy(self) -> bool:
        return getattr(self._network, "is_noisy", False)

    def _can_tell(self) -> bool:
        # Not over a serial line, and not where updates are files.
        config = self._config
        is_file = config.manifest_url.startswith("file:")
        return bool(config.report_url) and not (is_file or self._is_noisy())

    def _end(self, keep=None) -> None:
        global _running
        _running = False
        gc.threshold(self._threshold)
        if not keep:
            self._close()

    def _close(self) -> None:
        while self._sources:
            self._sources.pop().close()

    def _judge(self, release: Manifest, trust: Trust) -> None:
        # Every rule that can be judged now; `reason` says what speaks against installing.
        found = Situation(self._port)
        check_target(release, self._config.product, self._config.board, self._port.chip_id())
        newer = is_new(self._port, found, release, trust.sequence_floor)
        if found.journal.is_refused(release.sha256, release.sequence):
            self.reason = "%s failed here before" % release.version
        elif not newer:
            self.reason = "up to date: sequence %d is confirmed" % release.sequence
        check_limits(release, latest(self._port), next_slot(found)[1].info()[3])
        if self._port.clock_is_set() and release.created > self._port.now() + _DAY_S:
            raise error("manifest-format", "created in the future: %d" % release.created)
        release.plain()
        if not newer and release.trust <= trust.number:
            self._tag, self._expires = self._seen, release.expires  # need not be sent again

    def _trust(self) -> Trust:
        return stored(self._port, self._config.trust)
