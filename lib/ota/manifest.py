"""The manifest: what a release is, and the rules by which a device takes it.

Layer 1, pure. `parse` checks limits and types of signed bytes, the other functions the rules that
depend on the device. Format and order of the rules: docs/format.md section 3.
"""

from micropython import const

from .errors import error
from .strict import (
    Malformed,
    b64url_decode,
    field,
    hex_decode,
    is_printable,
    list_field,
    loads,
    text_field,
)

LIMIT = const(6144)
"""Bytes of payload."""

FORMAT = const(1)
BLOCK = const(65536)
"""Bytes of image behind each of the block digests."""

DIGEST = const(16)
"""Bytes of each block digest."""

PLAIN = "plain"

_JUMP = const(1 << 20)


class Payload:
    """One thing that can be downloaded: urls, encoding, size in bytes."""

    def __init__(self, urls: list, encoding: str, size: int) -> None:
        self.urls = urls
        self.encoding = encoding
        self.size = size


class Manifest:
    """A release as it was signed.

    Attributes:
        product, board, version, notes: str.
        chip_id, sequence, min_sequence: int.
        created, expires: Unix seconds; expires 0 is never.
        size: bytes of the image in the slot.
        sha256: of these bytes, 32 bytes.
        blocks: 16 bytes for each 64 KiB of them.
        payloads: list of Payload, best first.
        library: list of manifest formats that the image's own library reads.
        trust: number of the newest trust store.
        epoch, base: the trust store's `sequence_epoch`, and the URL that this came from: not part of the
            manifest, whoever fetched and verified it says so.
    """

    epoch = 0
    base = None

    def __init__(self, fields: dict) -> None:
        self.product = text_field(fields, "product", 1, 64)
        self.board = text_field(fields, "board", 1, 64)
        self.chip_id = field(fields, "chip_id", int)
        self.version = text_field(fields, "version", 1, 24)
        if not is_printable(self.version):
            raise Malformed("version is not printable ASCII")
        self.sequence = field(fields, "sequence", int)
        self.min_sequence = field(fields, "min_sequence", int, 0)
        self.created = field(fields, "created", int)
        self.expires = field(fields, "expires", int, 0)
        self.trust = field(fields, "trust", int, 0)
        self.notes = text_field(fields, "notes", 0, 1024, "")
        self.library = list_field(fields, "library", int, 8, [])
        image = field(fields, "image", dict)
        self.size = field(image, "size", int)
        self.sha256 = hex_decode(field(image, "sha256", str), 32)
        self.blocks = b64url_decode(field(image, "blocks", str))
        self.payloads = [_payload(entry) for entry in list_field(fields, "payloads", dict, 8)]
        if self.sequence < 1 or self.chip_id > 0xFFFF or not self.payloads:
            raise Malformed("sequence, chip_id or payloads")
        if self.size < 1 or len(self.blocks) != DIGEST * ((self.size + BLOCK - 1) // BLOCK):
            raise Malformed(
                "%d bytes of block digests for %d bytes" % (len(self.blocks), self.size)
            )

    def plain(self) -> Payload:
        """The payload that is the image itself. Raises ImageError `no-payload`."""
        for payload in self.payloads:
            if payload.encoding == PLAIN:
                if payload.size != self.size:
                    raise error("manifest-format", "payload differs in size")
                return payload
        raise error("no-payload", "no payload in the encoding %s" % PLAIN)


def parse(payload: bytes) -> Manifest:
    """A manifest from the verified payload of its envelope.

    Raises ImageError `manifest-format`, `format-unknown`.
    """
    try:
        fields = loads(payload, LIMIT)
        number = field(fields, "format", int)
        if number != FORMAT:
            raise error("format-unknown", "manifest format %d, expected %d" % (number, FORMAT))
        return Manifest(fields)
    except Malformed as e:
        raise error("manifest-format", str(e))


def check_target(release: Manifest, product: str, board: str, chip_id: int) -> None:
    """Is the release for this device? Raises ImageError `wrong-product`, `wrong-board`, `wrong-chip`."""
    if release.product != product:
        raise error("wrong-product", "for %s, this is %s" % (release.product, product))
    if release.board != board:
        raise error("wrong-board", "for %s, this is %s" % (release.board, board))
    if release.chip_id != chip_id:
        raise error("wrong-chip", "for chip id %d, this is %d" % (release.chip_id, chip_id))


def is_newer(release: Manifest, highest: int, floor: int = 0) -> bool:
    """True: to be installed. False: the device has it.

    Args:
        highest: highest confirmed sequence, 0 where none is known.
        floor: nothing below it is installed, by the trust store.
    Raises SignatureError `downgrade`, `sequence-jump`; ImageError `step-needed`.
    """
    least = max(highest, floor)
    if release.sequence < least:
        raise error("downgrade", "sequence %d, least is %d" % (release.sequence, least))
    if release.sequence == highest:
        return False
    if release.sequence - least > _JUMP:
        raise error("sequence-jump", "sequence %d, least is %d" % (release.sequence, least))
    if highest < release.min_sequence:
        raise error("step-needed", "needs sequence %d, has %d" % (release.min_sequence, highest))
    return True


def check_limits(release: Manifest, now: int, slot_size: int) -> None:
    """Date and size. Raises SignatureError `expired`; ImageError `image-too-large`.

    Args:
        now: Unix seconds.
        slot_size: bytes of the slot that the image would go to.
    """
    if release.expires and now > release.expires:
        raise error("expired", "since %d seconds" % (now - release.expires))
    if release.size > slot_size:
        raise error("image-too-large", "%d bytes, the slot has %d" % (release.size, slot_size))


def _payload(entry: dict) -> Payload:
    urls = list_field(entry, "urls", str, 4)
    for url in urls:
        if not 1 <= len(url) <= 1024:
            raise Malformed("a URL of %d characters" % len(url))
    if not urls:
        raise Malformed("a payload without URLs")
    size = field(entry, "size", int)
    if size < 1:
        raise Malformed("an empty payload")
    return Payload(urls, text_field(entry, "encoding", 1, 16), size)
