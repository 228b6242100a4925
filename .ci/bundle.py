"""The device library as .mpy, one zip for each processor, with the package.json of mip inside.

`python .ci/bundle.py FOLDER`. Times in the zip are SOURCE_DATE_EPOCH, so that equal sources give equal
bytes. Unpacked, `mpremote mip install ota-…/package.json` installs it.
"""

import json
import os
import sys
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

from ota_tools import library

VERSION = version("esp32-ota")

CHIPS = {"xtensawin": "esp32", "rv32imc": "esp32c3"}
"""What mpy-cross calls the processor -> a chip that has it."""


def bundle(folder: Path, arch: str) -> None:
    """One zip."""
    name = f"ota-{VERSION}-mpy-{arch}"
    compiled = library.compiled(CHIPS[arch])
    files = {path.removeprefix("/lib/"): data for path, data in compiled.items()}
    package = {"version": VERSION, "deps": [], "urls": [[path, path] for path in files]}
    files["package.json"] = json.dumps(package, indent=1).encode()
    then = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for path, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{name}/{path}", then)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


for processor in CHIPS:
    bundle(Path(sys.argv[1]), processor)
