"""Every failure of the library: four classes by who can act, one table of stable codes.

Layer 0. A code never changes its meaning; tests and programs compare codes, people read messages.
The comment behind each code says what it means and what to do: docs/errors.md is made from it.
"""


class OtaError(Exception):
    """Base of all; never raised itself.

    Attributes:
        code: a key of `CODES`, stable across releases.
        wait_s: seconds after which the server wants to be asked again, 0 where it did not say.
    """

    wait_s = 0

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code + ": " + message)
        self.code = code


class SourceError(OtaError):
    """The network or the server failed; try again later."""


class ImageError(OtaError):
    """What was published is not acceptable; the publisher acts."""


class SignatureError(OtaError):
    """Somebody offers what the owner did not sign, or offers it again; look into it."""


class SlotError(OtaError):
    """The device itself cannot do it: its layout, its flash, its configuration or its state."""


# fmt: off
CODES = {
    # Source
    "unreachable": SourceError,     # no connection to the server | check network and URL, retry
    "link-lost": SourceError,       # the connection broke in the middle | retry; right blocks stay
    "timeout": SourceError,         # the server stopped answering | retry
    "short-body": SourceError,      # fewer bytes came than announced | retry
    "url": SourceError,             # a URL that cannot be used here | https://host/path, plain ASCII
    "too-slow": SourceError,        # fewer bytes per second than least_rate | retry
    "http-status": SourceError,     # not a 200 answer | check the URL and the server
    "denied": SourceError,          # 401, 403 or 407 | check credentials; a signed URL has expired?
    "server-busy": SourceError,     # 408, 425, 429, 500 or 502 to 504 | retry later
    "redirect": SourceError,        # a circle, over five, or away from https | check the server
    "changed": SourceError,         # the file changed while it was read | retry
    "http-format": SourceError,     # not a well-formed answer, or over a limit | check the server
    "tls": SourceError,             # the TLS handshake failed | check the server's TLS settings
    "tls-verify": SourceError,      # the server's certificate is not trusted | check roots and name
    "clock-not-set": SourceError,   # certificate dates cannot be judged | set the clock, retry
    # Image
    "envelope-format": ImageError,  # not a signed envelope, or over a limit | publish again
    "manifest-format": ImageError,  # the manifest breaks its schema | publish again
    "format-unknown": ImageError,   # a format number that this library does not read | update it
    "wrong-product": ImageError,    # the release is for another product | check the URL
    "wrong-board": ImageError,      # the release is for another board | check the URL
    "wrong-chip": ImageError,       # the image is for another chip | check the URL
    "image-too-large": ImageError,  # the image does not fit the slot | publish a smaller image
    "image-format": ImageError,     # not an ESP32 app image | publish the app image
    "step-needed": ImageError,      # an earlier release must be installed first | publish that one
    "no-payload": ImageError,       # no payload in an encoding that is read here | publish again
    "size-mismatch": ImageError,    # the server's file is not as long as signed | publish again
    "digest-mismatch": ImageError,  # the bytes are not what was signed | publish again
    # Signature
    "signature": SignatureError,    # not enough good signatures of trusted keys | who sent this?
    "signature-scheme": SignatureError,  # no signature block, or one not read here | sign with SBv2
    "trust-number": SignatureError,  # a trust store that does not follow this one | who sent this?
    "bare-image": SignatureError,   # the trust store allows no bare images | publish a manifest
    "downgrade": SignatureError,    # older than what is confirmed here | who sent this?
    "sequence-jump": SignatureError,    # too far ahead of what is confirmed | check the release
    "expired": SignatureError,      # the manifest's date has passed | sign a fresh manifest
    # Slot
    "config": SlotError,            # /ota.json is missing or wrong | write it again
    "trust-store": SlotError,       # the trust store is missing or damaged | provision it again
    "no-slots": SlotError,          # no two OTA slots in the partition table | reflash by cable
    "no-otadata": SlotError,        # no otadata partition | reflash by cable
    "encrypted": SlotError,         # encrypted partitions are not supported | -
    "trial-running": SlotError,     # the running image is unconfirmed | confirm or roll back first
    "busy": SlotError,              # a check or a download is running | wait for it
    "nothing-to-do": SlotError,     # this sequence is confirmed already | publish a higher one
    "refused": SlotError,           # this image failed here before | publish a new sequence
    "readback": SlotError,          # flash does not hold what was written | retry; worn flash?
    "flash": SlotError,             # a flash operation failed | retry; worn flash?
    "file-system": SlotError,       # FAT: a power cut could destroy it | use littlefs
    "files": SlotError,             # the file system failed or is full | free some space
    "nvs": SlotError,               # the journal cannot be read or written | retry; NVS full?
    "no-rollback": SlotError,       # the other slot holds nothing to return to | update instead
    "not-activated": SlotError,     # otadata did not take the new slot | retry
    "not-confirmed": SlotError,     # otadata did not take the mark | confirm again
    "cancelled": SlotError,         # the application said stop | install again when it suits
}
# fmt: on


def error(code: str, message: str) -> OtaError:
    """The exception for a code, ready to be raised; `message` says the fact, expected and got."""
    return CODES[code](code, message)
