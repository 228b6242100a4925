"""Makes `import ota` work on the host: `ota_tools` installs the stand-in for `micropython`."""

import ota_tools  # noqa: F401
