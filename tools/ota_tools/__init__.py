"""The host side of ota: make releases, publish them, run the virtual board, prove it all.

Every format is read and written by lib/ota itself, so there is one reader of each.
"""

from ota_tools import dialect

dialect.install()
