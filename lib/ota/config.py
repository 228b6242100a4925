"""The configuration file `/ota.json`: schema and defaults of docs/format.md section 5.

Layer 3. The file belongs to the device, not to a release.
"""

from micropython import const

from .errors import error
from .files import read_file
from .strict import Malformed, field, loads, text_field

FILE = "/ota.json"

_LIMIT = const(2048)


class Config:
    """Attributes as the fields of the file; `manifest_url` and `tls_root` are "" where not set."""

    def __init__(self, fields: dict) -> None:
        self.product = text_field(fields, "product", 1, 64)
        self.board = text_field(fields, "board", 1, 64)
        self.manifest_url = text_field(fields, "manifest_url", 0, 1024, "")
        self.trust = text_field(fields, "trust", 1, 64, "/ota_trust.json")
        self.tls_root = text_field(fields, "tls_root", 0, 64, "")
        self.timeout_s = _between(fields, "timeout_s", 1, 120, 20)
        self.trial_window_s = _between(fields, "trial_window_s", 30, 600, 300)


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
