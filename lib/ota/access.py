"""The door to the server: its URLs, and a source for them, as configuration and trust store say.

Layer 6. The clock is set before certificates are judged; credentials go to the manifest's hosts only.
"""

from micropython import const

from .config import Config
from .errors import OtaError, error
from .files import read_file
from .http import Url
from .patience import Patience
from .port import Port
from .receipt import FILE, load_receipts
from .trust import Trust

_CERTIFICATE = const(8192)  # bytes


def manifest_urls(config: Config, trust: Trust) -> list:
    """Where manifests are asked for, in turn. Raises SlotError `config` where nobody says."""
    urls = _named(config, trust)
    if not urls:
        raise error("config", "no manifest_url anywhere")
    return urls


def _named(config: Config, trust: Trust) -> list:
    return [config.manifest_url] if config.manifest_url else trust.manifest_urls


def first_url(config: Config, trust: Trust, other=None):
    """The first of them that can be used; `other` where nobody names one. Raises SlotError `config`;
    SourceError `url` for none.
    """
    if other and not _named(config, trust):
        return other
    for text in manifest_urls(config, trust):
        try:
            return url_of(text, config.manifest_url)
        except OtaError as e:
            wrong = e
    raise wrong


def check_store(port: Port, config: Config, old: Trust, new: Trust) -> None:
    """Refuse a trust store with which a device could fetch nothing any more, not even the next one.

    Raises SourceError `url`; SlotError `config`, `files`.
    """
    if not new.bare_images:  # of those the application names the address
        manifest_urls(config, new)
    for text in new.manifest_urls:
        Url(text)
    if old.tls_roots or new.tls_roots:
        make_network(port, config, new)


def url_of(text: str, named: str):
    """A `Url`, or a `FileUrl` where `text` is what the device's owner `named`: nobody else may name
    files. Raises SourceError `url`.
    """
    if text.startswith("file:") and text == named:
        from .local import FileUrl

        return FileUrl(text)
    return Url(text)


def open_source(port: Port, config: Config, trust: Trust, base, network, patience: Patience):
    """Generator: where the file at `base` and its neighbours can be had.

    Args:
        network: opens connections; None: TLS as configured.
    Raises SlotError `config`, `files`, and what setting the clock raises.
    """
    if not base.authority():
        from .local import Files

        return Files()
    from .source import Source

    running = load_receipts(port.path(FILE)).get(port.running())
    if network is None:
        created = running.created if running else 0
        if not port.clock_is_set() or port.now() < created:
            from .clock import set_clock

            yield from set_clock(port, config.ntp, created, patience)
        network = make_network(port, config, trust)
    agent = "User-Agent: ota/%s (%s; %s)\r\n" % (
        __import__("ota").__version__,
        config.board,
        running.version if running else "-",
    )
    source = Source(network, patience, agent, config.secret)
    for text in _named(config, trust):
        try:
            if url_of(text, config.manifest_url).authority() == base.authority():
                source.home = base.authority()
        except OtaError:
            pass  # another one may be of use
    return source


def make_network(port: Port, config: Config, trust: Trust):
    """TLS as configured. Raises SlotError `config`, `files`."""
    from .net import Network

    def read(path: str) -> bytes:
        data = read_file(port.path(path), _CERTIFICATE)
        if not data:
            raise error("config", "%s is missing or empty" % path)
        return data

    roots = [read(config.tls_root)] if config.tls_root else trust.tls_roots
    identity = None
    if config.tls_cert:
        identity = read(config.tls_cert), read(config.tls_key)
    return Network(port, roots, config.tls_pins, identity, config.verified)
