"""What the bytes of a MicroPython build tell about it: version, rollback, frozen modules.

Rule: a build is asked for signs, and where there are none the answer is that nobody knows. The
bootloader's options are not written down in it; what is known of them is known of MicroPython's releases.
Sources: esp_bootloader_desc.h and esp_app_desc.h (ESP-IDF 5.x); the release notes of MicroPython.
"""

import re
import struct
from typing import NamedTuple

from ota_tools.firmware import Firmware

YES, NO, UNKNOWN = "yes", "no", "unknown"

_BANNER = re.compile(rb"MicroPython v(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(-preview)?")
_WITH_ROLLBACK = (1, 21)  # the first MicroPython whose bootloaders all have it
_DESCRIPTOR_AT = 32  # in both kinds of image: the first bytes of the first segment
_BOOTLOADER = struct.Struct("<B3xI32s24s16x")  # magic, version, idf_ver, date_time
_BOOTLOADER_MAGIC = 0x50
_APP_IDF = slice(144, 176)  # idf_ver of esp_app_desc_t, in the file
_OURS = b"ota/journal.py"
_ANYBODYS = b"ota/__init__.py"


class Version(NamedTuple):
    """A version of MicroPython; `preview`: a build before that release."""

    major: int
    minor: int
    patch: int
    preview: bool = False

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}{'-preview' if self.preview else ''}"


class Answer(NamedTuple):
    """`yes`, `no` or `unknown`, and by what it is known."""

    verdict: str
    why: str


def version(app: bytes) -> Version | None:
    """Which MicroPython an image is, by the banner of its REPL; None where it has none, or several."""
    found = {match.groups() for match in _BANNER.finditer(app)}
    if len(found) != 1:
        return None
    major, minor, patch, preview = found.pop()
    return Version(int(major), int(minor), int(patch or 0), preview is not None)


def bootloader_idf(bootloader: bytes) -> str:
    """The ESP-IDF that a bootloader was built with; "" without a descriptor, as before ESP-IDF 5.1."""
    head = bootloader[_DESCRIPTOR_AT : _DESCRIPTOR_AT + _BOOTLOADER.size]
    if len(head) < _BOOTLOADER.size or head[0] != _BOOTLOADER_MAGIC:
        return ""
    return _text(_BOOTLOADER.unpack(head)[2])


def app_idf(app: bytes) -> str:
    """The ESP-IDF that an application was built with, by its descriptor."""
    return _text(app[_APP_IDF])


def rollback(firmware: Firmware) -> Answer:
    """Does the bootloader go back by itself when a new image does not confirm?

    Where it does not, the library does it from `ota.boot()`, for images that get that far.
    """
    if not firmware.bootloader:
        return Answer(UNKNOWN, "an application alone says nothing about the board's bootloader")
    if firmware.table is None:
        return Answer(UNKNOWN, "the bootloader did not come with the application")
    found = version(firmware.app)
    if found is None:
        return Answer(UNKNOWN, "no version of MicroPython in the application")
    ours, theirs = bootloader_idf(firmware.bootloader), app_idf(firmware.app)
    if ours and theirs and ours != theirs:
        return Answer(UNKNOWN, f"the bootloader is of ESP-IDF {ours}, the application of {theirs}")
    if found >= _WITH_ROLLBACK:
        return Answer(YES, f"MicroPython {found}: all its own builds from 1.21 on have it")
    if len(firmware.table.ota_slots) > 1:
        return Answer(YES, f"MicroPython {found} in a build with OTA slots")
    return Answer(NO, f"MicroPython {found}: before 1.21 only builds with OTA slots have it")


def library(app: bytes) -> Answer:
    """Does an image carry the package `ota`, frozen or in a ROMFS?

    The names of frozen modules are text in the image; their absence proves nothing.
    """
    if _OURS in app:
        return Answer(YES, "the names of its modules are in the image")
    from ota_tools.board.image_maker import find_romfs

    if b"journal.py" in find_romfs(app):
        return Answer(YES, "it is in the image's ROMFS")
    if _ANYBODYS in app:
        return Answer(NO, "another package named ota is in the image, and hides /lib/ota")
    return Answer(UNKNOWN, "no name of its modules in the image")


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("ascii", "replace")
