"""What is done with each block of the pages: tables, and the four rules of which exactly one holds for a block.

Rule: a table names blocks by their page and text, never by their number; a row that nothing needs any more fails.
"""

import test_docs
from pages_of import ROOT, Block, Stand

README, KEYS, HOSTING = "README.md", "docs/keys.md", "docs/hosting.md"
BOARD, FREEZE, TESTED = "docs/board.md", "docs/freeze.md", "docs/tested.md"
FROM_NOTHING = ("docs/move.md", "docs/recover.md")

RUN = {
    README: {"sh", "python"},
    KEYS: {"sh"},
    HOSTING: {"sh", "json", "nginx", "python"},
    BOARD: {"sh"},
    FREEZE: {"sh"},
    TESTED: {"sh"},
    **{page: {"sh"} for page in FROM_NOTHING},
}
"""Page -> languages whose blocks its test runs, all of them."""

NO_PROGRAM = [
    (BOARD, " ota board run ──▶ model (tools/ota_tools/board/)"),
    ("docs/format.md", '{"signatures":[{"protected":"…","signature":"…"}]}   at most 3072 bytes'),
    ("docs/format.md", '{"format":1,"slots":{"0":{"sha256":"…","size":1048576,"version":"1.0",'),
    ("docs/format.md", "image                  padded with 0xFF to a multiple of 4096"),
    (HOSTING, "https://github.com/OWNER/REPO/releases/latest/download/v2-esp32.manifest"),
    (HOSTING, "https://BUCKET.s3.REGION.amazonaws.com/v2-esp32.manifest"),
]
"""(page, begin of the first line) of the blocks without a language: drawings, layouts, addresses."""

STANDS = [
    Stand((README,), "ota serve published >", "ota serve published --port {port} >",
          "8443 may be taken on this machine"),
    Stand((README,), "localhost:8443", "localhost:{port}", "as above"),
    Stand((README,), "/dev/ttyUSB0", "{line}", "the board that is on the desk"),
    Stand(FROM_NOTHING + (FREEZE, TESTED), "/dev/ttyUSB0", "board:old", "the board on the desk"),
    Stand((TESTED,), "pytest tests/device ",
          "pytest tests/device -q -p no:cacheprovider -k two_slots --host localhost ",
          "all of them run by themselves, on a virtual board; here it is the options"),
    Stand((TESTED,), "firmware.bin", "{firmware}", "this page is read in the clone"),
    Stand((TESTED,), "NAME:KEY", "virtual:virtual", "the network of a virtual board"),
    Stand((TESTED,), "board:old", "board:{board}", "this page is read in the clone"),
    Stand((BOARD,), "ota board run myboard --line  ", "ota board run myboard --line > line.log &\n"
          "until grep -q 'serial line' line.log; do sleep 0.1; done",
          "it ends by Ctrl-C: the reader has another terminal"),
    Stand((BOARD,), "/dev/pts/3", "$(sed -n 's/serial line: //p' line.log)",
          "what the command above printed"),
    Stand((HOSTING,), "ota serve published --host 192.168.1.10",
          "ota serve published --host 127.0.0.1 --port {port} > serve.log 2>&1 &\n"
          "until grep -q Ctrl-C serve.log; do sleep 0.1; done",
          "this machine's address; it ends by Ctrl-C; 8443 may be taken"),
    Stand((HOSTING,), "ota serve published --reports reports.jsonl",
          "ota serve published --reports reports.jsonl --host 127.0.0.1 --port {reports} "
          "> serve2.log 2>&1 &\nuntil grep -q Ctrl-C serve2.log; do sleep 0.1; done",
          "as above, beside the first one"),
    Stand((HOSTING,), "ota serve published --serial /dev/ttyUSB1 --baud 460800",
          "ota serve published --serial {serial} --baud 460800 > serve3.log 2>&1 &\n"
          "until grep -q Ctrl-C serve3.log; do sleep 0.1; done",
          "the other end of a pseudo-terminal; it ends by Ctrl-C"),
    Stand((HOSTING,), "192.168.1.10:8443", "127.0.0.1:{port}", "this machine's address"),
    Stand((HOSTING,), "-connect updates.example.com:443", "-connect localhost:{internet}",
          "a server of ours has a certificate for this name"),
    Stand((HOSTING,), "/etc/ssl/certs/", "{certs}/", "a folder with that server's root"),
    Stand((HOSTING,), "mpremote cp", "mpremote connect {line} cp",
          "mpremote takes the first port of the machine; a virtual board's is none of those"),
    Stand((HOSTING,), "/etc/nginx/tls", "{tls}", "not everybody may write there"),
    Stand((HOSTING,), "/srv/published", "{published}", "what `ota release` wrote on this page"),
    Stand((HOSTING,), "listen 443 ssl;", "listen 127.0.0.1:{nginx} ssl;", "443 is root's"),
    Stand((HOSTING,), "http {\n", "http {{ access_log off;\n{temporary}",
          "where nginx keeps what it has on the way, if it is not root's"),
]  # fmt: skip


# Rules: each block is under one of them, and only the first of them asks a test of this file


def is_run(block: Block) -> bool:
    """A test of this file runs it: `Page` leaves none of them out."""
    return block.language in RUN.get(block.page, ()) and not is_of_ci(block)


def is_of_ci(block: Block) -> bool:
    """CI runs these words by themselves."""
    words = f"\n{block.text.strip()} "
    run = (ROOT / ".ci/run").read_text().replace("\n", " \n")
    return block.language == "sh" and "\n" not in words.strip() and words in run


def is_example(block: Block) -> bool:
    """It stands in an example, or a test runs it: tests/host/test_docs.py, test_examples.py."""
    page = block.page.removeprefix("docs/").removesuffix(".md")
    if block.language != "python" or page not in test_docs.PAGES:
        return False
    there = test_docs.blocks(page)
    if block.text in there and there.index(block.text) in test_docs.RUN_HERE.get(page, ()):
        return True
    return any(test_docs.stands_in(block.text, path.read_text()) for path in test_docs.TRIED)


def is_no_program(block: Block) -> bool:
    """It is for the eye."""
    known = [first for page, first in NO_PROGRAM if page == block.page]
    return not block.language and any(block.first.startswith(first) for first in known)


RULES = (is_run, is_of_ci, is_example, is_no_program)


def rules_of(block: Block) -> list[str]:
    return [rule.__name__ for rule in RULES if rule(block)]
