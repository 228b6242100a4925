"""Records `ota demo` as docs/demo.svg: what a terminal shows, with colours, in a picture.

`python docs/record.py`, about half a minute. tests/host/test_docs.py holds its steps to the demo's.
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).parent
WIDTH = 100
# rich would load its font from elsewhere
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def on_a_terminal(*command: str) -> str:
    """What a program writes where it believes to be on a terminal of WIDTH columns."""
    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the end of a terminal
                break
    if process.returncode:
        sys.exit(said.decode())
    return said.decode().replace("\r\n", "\n")


def main() -> None:
    """Write the picture."""
    said = on_a_terminal(str(Path(sys.executable).with_name("ota")), "demo", "--quiet")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print("$ ota demo", style="bold")
    console.print(Text.from_ansi(said))
    picture = console.export_svg(title="ota demo", code_format=FORMAT, unique_id="demo")
    (DOCS / "demo.svg").write_text(picture)


if __name__ == "__main__":
    main()
