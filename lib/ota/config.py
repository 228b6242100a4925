"""The configuration file `/ota.json`: schema and defaults of docs/format.md section 5.

Layer 3. The file belongs to the device, not to a release. It may hold credentials: no error shows a
value.
"""

import binascii

from micropython import const

from .errors import error
from .files import read_file
from .strict import Malformed, field, hex_decode, is_printable, list_field, loads, text_field

FILE = "/ota.json"

UNVERIFIED = "anybody-may-answer-for-the-server"
"""What `tls_unverified` has to say to switch the verification of TLS off."""

_LIMIT = const(4096)
_HEADERS = const(8)
_OURS = (
    "host",
    "range",
    "if-range",
    "if-none-match",
    "accept-encoding",
    "user-agent",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
)


class Config:
    """Attributes as the fields of the file, texts "" where not set.

    Attributes:
        tls_pins: list of 32 bytes.
        secret: header lines by `headers`, `basic` and `bearer`, each with its CRLF.
        verified: TLS is verified.
    """

    def __init__(self, fields: dict) -> None:
        self.product = text_field(fields, "product", 1, 64)
        self.board = text_field(fields, "board", 1, 64)
        if not is_printable(self.board):
            raise Malformed("board is not printable ASCII")
        self.manifest_url = text_field(fields, "manifest_url", 0, 1024, "")
        self.report_url = text_field(fields, "report_url", 0, 1024, "")
        if self.report_url and not (
            self.report_url.startswith("https://") and is_printable(self.report_url)
        ):
            raise Malformed("report_url is no https URL")
        self.trust = text_field(fields, "trust", 1, 64, "/ota_trust.json")
        self.tls_root = text_field(fields, "tls_root", 0, 64, "")
        self.tls_cert = text_field(fields, "tls_cert", 0, 64, "")
        self.tls_key = text_field(fields, "tls_key", 0, 64, "")
        self.tls_pins = [hex_decode(pin, 32) for pin in list_field(fields, "tls_pins", str, 4, [])]
        self.ntp = text_field(fields, "ntp", 0, 64, "pool.ntp.org")
        self.timeout_s = _between(fields, "timeout_s", 1, 120, 20)
        self.total_s = _between(fields, "total_s", 10, 86400, 7200)
        self.least_rate = _between(fields, "least_rate", 0, 100000, 100)
        self.tries = _between(fields, "tries", 1, 20, 4)
        self.part_kib = _between(fields, "part_kib", 0, 65536, 0)
        self.trial_window_s = _between(fields, "trial_window_s", 30, 600, 300)
        unverified = text_field(fields, "tls_unverified", 0, 64, "")
        self.verified = not unverified
        if unverified not in ("", UNVERIFIED):
            raise Malformed("tls_unverified says something else")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise Malformed("tls_cert and tls_key belong together")
        self.secret = _secret(fields)


def load_config(path: str) -> Config:
    """Read the file. Raises SlotError `config`, also where it is missing; `files`."""
    data = read_file(path, _LIMIT)
    if not data:
        raise error("config", "%s is missing or empty" % path)
    try:
        return Config(loads(data, _LIMIT))
    except Malformed as e:
        raise error("config", "%s: %s" % (path, e))


def _between(fields: dict, name: str, least: int, most: int, default: int) -> int:
    value = field(fields, name, int, default)
    if not least <= value <= most:
        raise Malformed("%s is %d, expected %d to %d" % (name, value, least, most))
    return value


def _secret(fields: dict) -> str:
    headers = {}
    given = field(fields, "headers", dict, {})
    for name in given:
        if name.lower() in headers:
            raise Malformed("a header stands twice")
        headers[name.lower()] = given[name]
    basic = text_field(fields, "basic", 0, 256, "")
    bearer = text_field(fields, "bearer", 0, 1024, "")
    if basic and bearer:
        raise Malformed("basic or bearer, not both")
    if basic:
        headers["authorization"] = "Basic " + binascii.b2a_base64(basic.encode()).decode().strip()
    elif bearer:
        headers["authorization"] = "Bearer " + bearer
    if len(given) > _HEADERS:
        raise Malformed("more than %d headers" % _HEADERS)
    lines = ""
    for name in headers:
        value = headers[name]
        if type(value) is not str or not is_printable(value) or not _is_name(name):
            raise Malformed("a header that cannot be sent")
        lines += "%s: %s\r\n" % (name, value)
    return lines


def _is_name(name: str) -> bool:
    for char in name:
        if not (char.isalpha() or char.isdigit() or char == "-"):
            return False
    return name not in _OURS
