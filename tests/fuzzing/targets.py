"""All targets, by name."""

import ota_tools  # noqa: F401 - the stand-ins for `micropython` and `tls`

from .certificates import Pins
from .envelope import Envelope
from .files import Config, Receipts
from .image import Head, Image
from .manifest import Manifest
from .network import Http
from .records import Journal, Otadata
from .signature_block import SignatureBlock
from .trust import Trust
from .urls import Url

_ALL = (
    *(Envelope(), Manifest(), Trust(), Head(), Image(), SignatureBlock()),
    *(Otadata(), Journal(), Receipts(), Config(), Http(), Url(), Pins()),
)
TARGETS = {target.name: target for target in _ALL}
