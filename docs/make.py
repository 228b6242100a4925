"""Makes docs/api.md, errors.md, states.md and threats.md from what the code and the tests say.

`python docs/make.py` writes them; tests/host/test_docs.py holds them to what this would write.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [
    str(ROOT / part)
    for part in ("docs", "lib", "tools", "tests/portable", "tests/host", "tests/e2e")
]

import reference  # noqa: E402

import ota_tools  # noqa: E402, F401 - the dialect
from ota import errors, journal, otadata  # noqa: E402

ACTS = {
    "SourceError": ("the network or the server", "try again later"),
    "ImageError": ("the publisher", "what was published is not acceptable"),
    "SignatureError": ("the owner", "somebody offers what was not signed, or offers it again"),
    "SlotError": ("the device", "its layout, flash, configuration or state"),
}
"""Class -> who acts, and why."""

ATTACK_TEST = "test_an_attack_has_its_code_and_the_next_honest_release_is_confirmed"


def comments(source: str, pattern: str) -> dict[str, str]:
    """name -> comment behind it, for lines that match `pattern` (group 1 the name, 2 the comment)."""
    return {m[1]: m[2].strip() for m in re.finditer(pattern, source, re.MULTILINE)}


def errors_page() -> str:
    """docs/errors.md."""
    source = (ROOT / "lib/ota/errors.py").read_text()
    told = comments(source, r'^    "([a-z-]+)": \w+,\s*# (.*)$')
    lines = [
        "# Errors",
        "",
        "Made by docs/make.py from lib/ota/errors.py and the tables of tests/e2e; do not edit.",
        "",
        "Every failure is an `ota.OtaError` with a `code` that never changes its meaning. Its class says who",
        "can act. After any of them the boot slot is what it was, and the call can be made again. The one",
        "exception: a download and `rollback()` first call off a release that waits for its first boot; where",
        "they then fail it stays called off, and the running image boots next.",
    ]
    for name, (who, why) in ACTS.items():
        lines += ["", f"## {name}: {who}", "", why[0].upper() + why[1:] + ".", ""]
        lines += ["| code | cause | what to do |", "|---|---|---|"]
        for code, kind in errors.CODES.items():
            if kind.__name__ == name:
                cause, _, what = told[code].partition(" | ")
                lines.append(f'| `{code}` | <a id="{code}"></a>{cause} | {what} |')
    return "\n".join([*lines, *_bad_input(), *_exit_codes()]) + "\n"


def _bad_input() -> list[str]:
    import bad_input
    import test_bad_device

    served = "test_bad_input_has_its_code_and_touches_nothing"
    surplus = "test_what_is_sent_too_much_reaches_no_flash"
    unloadable = "test_an_image_that_does_not_load"
    unloaded = (
        f"signed by another tool it installs: outcome `{bad_input.NOT_LOADED}` after one reset, or"
        " `crashed` twice where the bootloader cannot roll back"
    )
    device = "test_bad_device_has_its_code_and_keeps_its_boot_slot"
    lines = [
        "",
        "## Bad input, row by row",
        "",
        "What it may touch: *nothing* is no flash operation in any slot, counted on the virtual board; *next",
        "slot* is the inactive one, which then holds no image or one that is not selected: what only the",
        "content of a payload shows is seen when its block of 64 KiB is there, and only a board with that much",
        "RAM to spare has not written it by then. An honest release",
        "installs after all the rows of a server, and after each row of a device once that is mended, except",
        "where partition table or file system are the fault. Rows of",
        f"`{served}` (tests/e2e/test_bad_input.py) run on the",
        f"MicroPython VM and on CPython, rows of `{device}`",
        "(tests/e2e/test_bad_device.py) on the VM.",
        "",
        "| bad input | code | touches | test |",
        "|---|---|---|---|",
    ]
    for row in bad_input.SERVED:
        code = f"`{row.code}`" if row.code else "none: nothing to do"
        lines.append(f"| {row.name} | {code} | {row.touches} | `test_bad_input…[{row.name}]` |")
    for row in bad_input.SURPLUS:
        told = "none: it installs; what is too much is not read"
        lines.append(f"| {row.name} | {told} | {row.touches} | `{surplus}[{row.name}]` |")
    for row in bad_input.UNLOADABLE:
        told = f"`ota release` refuses it; {unloaded}"
        lines.append(f"| {row.name} | {told} | {row.touches} | `{unloadable}…[{row.name}]` |")
    for name, (code, touches, _, _) in test_bad_device.ROWS.items():
        told = f"`{code}`" if code else "none: the update goes on"
        lines.append(f"| {name} | {told} | {touches} | `test_bad_device…[{name}]` |")
    return lines


def _exit_codes() -> list[str]:
    from ota_tools import failures

    lines = [
        "",
        "## Exit codes of the command `ota`",
        "",
        "| code | |",
        "|---|---|",
        "| 0 | done |",
    ]
    for kind in (failures.Refused, failures.Usage, failures.Unreachable, failures.MissingTool):
        told = re.sub(r"\s*Exit code \d\.", "", kind.__doc__ or "").strip()
        lines.append(f"| {kind.exit_code} | {told} |")
    return lines


def states_page() -> str:
    """docs/states.md."""
    source = (ROOT / "lib/ota/journal.py").read_text()
    actions = comments(source, r"^([A-Z_]+) = const\(\d\)  # (.*)$")
    names = {getattr(journal, name): name for name in actions}
    states = {
        otadata.NEW: "NEW",
        otadata.PENDING_VERIFY: "PENDING_VERIFY",
        otadata.VALID: "VALID",
        journal.OTHER: "anything else",
        journal.NO_RECORD: "no valid record",
    }
    lines = [
        "# What a boot finds, and what `ota.boot()` does",
        "",
        "Made by docs/make.py from `STATE_TABLE` in lib/ota/journal.py; do not edit. tests/host/test_states.py",
        "enters every row, on CPython and on the MicroPython VM.",
        "",
        "| active otadata record | names the running slot | action | |",
        "|---|---|---|---|",
    ]
    for (state, same), action in journal.STATE_TABLE.items():
        name = names[action]
        yes = "yes" if same else "no"
        lines.append(f"| {states[state]} | {yes} | {name} | {actions[name]} |")
    return "\n".join(lines) + "\n"


def threats_page() -> str:
    """docs/threats.md."""
    import attacks

    lines = [
        "# Threats, attack by attack",
        "",
        "Made by docs/make.py from the table in tests/e2e/attacks.py; do not edit.",
        "",
        "The attacker owns the web server, the names, the network and yesterday's releases; in some rows a",
        "release key, or one root key of two. Each row without another test is a case of",
        f"`{ATTACK_TEST}`",
        "(tests/e2e/test_attacks.py), by its name: the device gives the code, no slot sees a flash operation, the",
        "boot slot and the trust store stay, and the next honest release is installed and confirmed. Rows with",
        "a star can be seen in the payload's content only: there the inactive slot is written, and holds no image",
        "afterwards. Rows with *VM* run on the MicroPython VM too, with the same code.",
        "",
        "The mutant is the entry in tests/mutants that takes the countermeasure out. Then the row is red, or,",
        "where another check still stops the attack, the test that stands beside it. Of rows that only name",
        "another test the mutant is that of the countermeasure; its own red test may be another one.",
    ]
    by_threat: dict[str, list] = {}
    for row in attacks.ATTACKS:
        by_threat.setdefault(row.threat, []).append(row)
    for threat, rows in by_threat.items():
        lines += ["", f"## {threat[0].upper()}{threat[1:]}", ""]
        lines += ["| attack | code | countermeasure | test | mutant |", "|---|---|---|---|---|"]
        for row in rows:
            code = row.code if row.code in (None, attacks.SAME) else f"`{row.code}`"
            star = " *" if row.touches == attacks.NEXT_SLOT else ""
            live = row.arrange or row.then
            test = f"`{row.test.removeprefix('e2e/')}`" if row.test else ""
            if live:
                test = f"its name; the mutant: {test}" if test else "its name"
            if attacks.runs_on_vm(row):
                test += ", *VM*"
            cells = [row.name + star, code or "none", row.counter, test, row.mutant]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def reliability_page() -> str:
    """docs/reliability.md with the figures of docs/reliability.json, which `ota cut --report` wrote."""
    page = (ROOT / "docs/reliability.md").read_text()
    facts = json.loads((ROOT / "docs/reliability.json").read_text())
    for name, lines in (("figures", _figures(facts)), ("torn records", _torn(facts))):
        begin, end = f"<!-- {name}: made by docs/make.py -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = "\n".join([before + begin, "", *lines, "", end + rest.partition(end)[2]])
    return page


def _figures(facts: dict) -> list[str]:
    operations = sum(facts["operations"].values())
    cuts = sum(facts["cuts"].values())
    rows = {
        "scenarios": len(facts["scenarios"]),
        "operations of their clean runs": operations,
        "of these cut": cuts,
        "different states of flash and NVS from which the board lived on": facts["states"],
        "of these after two cuts": facts["second cuts"],
        "programs repeated with a cell that fails": facts["weak cells"],
        "operations with an image of 1.4 MB, of these cut": "{operations}, {cuts}".format(
            **facts["big"]
        ),
        "broken invariants": facts["failures"],
        "starts of an unconfirmed image that only `ota.boot()` watched": facts[
            "not watched by the bootloader"
        ],
        "states in which NVS and the record were lost at once, and an untested image stayed": facts[
            "forgotten"
        ],
        "states in which the bootloader's own record was torn under an image that dies before boot.py": facts[
            "beyond"
        ],
    }
    lines = [
        f"`ota cut{' --deep' if facts['effort'] == 'deep' else ''}`, {facts['date']}, seed {facts['seed']}:",
        "",
        "| | |",
        "|---|---|",
    ]
    lines += [f"| {what} | {value} |" for what, value in rows.items()]
    lines += ["", "| how the power went | states |", "|---|---|"]
    lines += [f"| {how} | {count} |" for how, count in facts["states by kind"].items()]
    return lines


def _torn(facts: dict) -> list[str]:
    lines = [
        f"{facts['tears of each']} tears of each, {facts['date']}:",
        "",
        "| who writes | the other record decides | watched | claims to be confirmed | nobody watches |",
        "|---|---|---|---|---|",
    ]
    for way, share in facts["torn records"].items():
        cells = " | ".join(
            f"{share[kind]:.2%}" for kind in ("other", "watched", "valid", "unwatched")
        )
        lines.append(f"| {way} | {cells} |")
    ms = facts["record program, ms"]
    share = facts["torn records"]["the bootloader, NEW to PENDING"]["unwatched"]
    lines += [
        "",
        f"Programming a record takes {ms:.2f} ms by the data sheets. A cut at a random moment of an update of a",
        f"minute leaves a new image that the bootloader does not watch once in {60000 / ms / share:,.0f} times.",
    ]
    return lines


def numbers() -> str:
    """The block of README.md between its two marks: some goals of docs/performance.json."""
    measured = json.loads((ROOT / "docs/performance.json").read_text())
    lines = [
        "",
        f"Measured on a host on {measured['date']}, by `ota bench`: heap and instructions on a VM with 32-bit words, as",
        "on the chip. Nothing was measured on a chip. [docs/performance.md](docs/performance.md) has all goals, those",
        "that were missed, too.",
        "",
        "| | ours | beside it | goal |",
        "|---|---|---|---|",
    ]
    for goal in measured["goals"]:
        if goal["number"] in NUMBERS:
            ours, beside = (_amount(goal[key], goal["unit"]) for key in ("ours", "reference"))
            met = {True: "met", False: "missed", None: "-"}[goal["met"]]
            lines.append(f"| {goal['name']} | {ours} | {beside}: {goal['beside']} | {met} |")
    return "\n".join([*lines, "", ""])


def _amount(value: float, unit: str) -> str:
    names = {"Ir": (1_000_000, "million instructions"), "ms": (1000, "s")}
    scale, name = names.get(unit, (1, unit))
    return f"{value / scale:.1f} {name}"


def readme() -> str:
    """README.md with its block of numbers."""
    text = (ROOT / "README.md").read_text()
    before, rest = text.split(MARK_BEGIN)
    _, after = rest.split(MARK_END)
    return before + MARK_BEGIN + numbers() + MARK_END + after


NUMBERS = (4, 5, 7, 8, 12, 13)
MARK_BEGIN = "<!-- numbers: made by docs/make.py -->\n"
MARK_END = "<!-- end of numbers -->\n"

PAGES = {
    "../README.md": readme,
    "api.md": reference.page,
    "reliability.md": reliability_page,
    "errors.md": errors_page,
    "states.md": states_page,
    "threats.md": threats_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page())


if __name__ == "__main__":
    main()
