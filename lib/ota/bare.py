"""A bare image: no manifest, only Espressif's signature at its end. Format: docs/format.md section 11.

Layer 6. Fetches the first and the last 4 KiB, and judges all that can be judged of them before
anything is erased.
"""

from micropython import const

from .errors import error
from .espressif import verify_sector
from .image import DESCRIPTION, check_head, secure_version, version_text
from .manifest import PLAIN, Payload
from .port import Port
from .reader import HEADER
from .trust import Role

_SECTOR = const(4096)
_LEAST = const(8192)  # a sector of content, a sector of signatures


class BareImage:
    """What can be installed without a manifest: the attributes of a `Manifest` that an update uses.

    Attributes:
        size: bytes of content; the signature sector follows them.
        sha256: of the content.
        blocks: empty: parts cannot be judged, nor taken up after a reset.
        base: its URL.
        sector: the signature sector, 4096 bytes.
        head: what was judged of the content, from byte 16.
    """

    blocks = b""
    created = expires = 0

    def __init__(self, url, size: int, head: bytes, sha256: bytes, sector: bytes) -> None:
        self.base = url
        self.size = size
        self.sha256 = sha256
        self.sector = sector
        self.head = bytes(head[HEADER:DESCRIPTION])
        self.version = version_text(head)
        self.sequence = self.epoch = self.chip_id = 0
        self._payload = Payload([""], PLAIN, size + _SECTOR)  # relative to itself

    def plain(self) -> Payload:
        """The file that holds it."""
        return self._payload

    def complete(self, writer, device):
        """Generator: the proven content is what was judged; the signature sector follows it.

        Raises SourceError `changed`; SlotError `readback`.
        """
        held = bytearray(len(self.head))
        device.readblocks(0, held, HEADER)
        if held != self.head:
            raise error("changed", "another image than the one that was judged")
        yield from writer.append(self.sector)


def examine(port: Port, source, url, role: Role, room: int):
    """Generator: the `BareImage` at `url`, signed by enough keys of `role`, for this chip.

    Args:
        source: it must serve parts.
        room: bytes of the slot that it would go to.
    Raises as `Source.get`; SourceError `http-format` without parts; ImageError `image-format`,
    `image-too-large`, `wrong-chip`; SignatureError `signature`, `signature-scheme`, `downgrade`; SlotError `flash`.
    """
    head, total = yield from _part(source, url, 0, _SECTOR)
    if total < _LEAST or total % _SECTOR:
        raise error("image-format", "%d bytes: no image with a signature sector" % total)
    if total > room:
        raise error("image-too-large", "%d bytes, the slot has %d" % (total, room))
    chip_id = port.chip_id()
    check_head(head, chip_id)
    sector, _ = yield from _part(source, url, total - _SECTOR, total)
    yield
    digest = verify_sector(sector, role.keys, role.threshold)
    found = BareImage(url, total - _SECTOR, head, digest, sector)
    found.chip_id = chip_id
    version = secure_version(head)
    least = secure_version(port.running_image(0, DESCRIPTION))
    if version < least:
        raise error("downgrade", "secure_version %d, the running image has %d" % (version, least))
    return found


def _part(source, url, start: int, end: int):
    # Generator: these bytes of a file, and how many it has.
    body = yield from source.get(url, start, end)
    if body.total < 0 or body.size != end - start:
        raise error("http-format", "the server sends no parts")
    data = yield from body.read(_SECTOR)
    return data, body.total
