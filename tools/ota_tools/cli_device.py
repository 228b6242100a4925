"""The commands `ota device …`: a board on a port. `doctor` of the host comes along."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click
from rich.table import Table as Grid

from ota_tools import device_setup
from ota_tools.cli_doctor import beside, doctor, report
from ota_tools.device import BAUD, Device, connect
from ota_tools.device_update import follow_trial, install
from ota_tools.doctor import Finding
from ota_tools.failures import Refused
from ota_tools.terminal import (
    PATH,
    as_json_option,
    bar,
    complain,
    console,
    quiet_option,
    read_store,
    show,
)

_DOCTOR_S = 180  # a minute of network, and names that are looked up

_STATUS = """\
found = ota.status()
try:
 found["trust"] = ota.trust_status()
except ota.OtaError as e:
 found["trust"] = {"error": str(e)}
found["library"] = ota.__version__
return found
"""

_LOGS = """\
from ota.port import Port
from ota.memory import load_journal, about
journal = load_journal(Port())
last = about(journal) if journal and journal.outcome else None
return {"events": ota.history(), "last": last}
"""

_DOCTOR = """\
from ota.port import Port
return {"findings": ota.doctor(%s), "now": Port().now(), "version": ota.__version__}
"""

__all__ = ["device", "doctor"]

port_options = (
    click.option(
        "--port", required=True, help="/dev/ttyUSB0, COM3, socket://host:port, or board:DIR."
    ),
    click.option(
        "--baud",
        type=click.IntRange(300),
        default=BAUD,
        show_default=True,
        help="Of a serial port.",
    ),
)


def _on_a_port(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(port_options):
        command = option(command)
    return command


@click.group()
def device() -> None:
    """A board on a port: set it up, look at it, update it. What runs on it is interrupted.

    The port is a serial one, `socket://host:port`, or `board:DIR` for a virtual board, which has power
    for as long as the command runs.

    \b
    Example:  ota device status --port /dev/ttyUSB0
    """


@device.command()
@_on_a_port
@click.option("--product", help="For /ota.json, where the board has none.")
@click.option("--board", help="For /ota.json, where the board has none.")
@click.option("--trust", type=PATH, help="Trust store for the board, where it has none.")
@click.option("--force", is_flag=True, help="Replace boot.py, main.py and what contradicts.")
@click.option("--py", "source", is_flag=True, help="Copy the library as source, not compiled.")
@quiet_option
@as_json_option
def setup(
    port: str,
    baud: int,
    product: str | None,
    board: str | None,
    trust: Path | None,
    force: bool,
    source: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring library, boot.py and configuration onto a board that has two OTA slots.

    Only what differs is copied, all is proven before anything is put into place, and boot.py comes last:
    after a cable that was pulled the same command goes on. A main.py or boot.py of yours stays.

    \b
    Example:  ota device setup --port /dev/ttyUSB0 --product sensor --board v2 --trust ota_trust.json
    """
    store = read_store(trust) if trust else b""
    wish = device_setup.Wish(product, board, store, force, source)
    with connect(port, baud) as found:
        made = device_setup.plan(found, wish)
        with bar("copied", not (quiet or as_json)) as told:
            device_setup.carry_out(found, made, told)
        if made.files or made.gone:
            found.reset()
    about = {
        "copied": sorted(made.files),
        "removed": made.gone,
        "bytes": sum(map(len, made.files.values())),
        "notes": made.notes,
    }
    if not as_json:
        about["copied"] = f"{len(made.files)} files" if made.files else "nothing: all is there"
        about = {name: value for name, value in about.items() if value}
    show(about, as_json)


@device.command()
@_on_a_port
@as_json_option
def status(port: str, baud: int, as_json: bool) -> None:
    """What the board runs, what boots next, and how its last update ended.

    \b
    Example:  ota device status --port /dev/ttyUSB0
    """
    with connect(port, baud) as found:
        about = found.ask(_STATUS)
        _say_interrupted(found, about["trial"])
    show(about if as_json else _lines(about), as_json)


def _lines(about: dict[str, Any]) -> dict[str, Any]:
    # `status()` for people.
    slots = []
    for index, slot in enumerate(about["slots"]):
        marks = [word for word in ("running", "boot") if about[word] == index]
        version = slot["version"] or "no receipt"
        size = slot["size"] // 1024
        slots.append(f"{slot['label']}: {version}, {size} KiB" + "".join(f", {m}" for m in marks))
    trust = about["trust"]
    expired = ", expired" if trust.get("expired") else ""
    ending = about["outcome"] + (f": {about['reason']}" if about["reason"] else "")
    return {
        "version": about["version"] or "not known: no receipt",
        "trial": "yes, unconfirmed" if about["trial"] else "no",
        "slots": slots,
        "otadata": ", ".join(about["otadata"]),
        "last update": f"{about['outcome_version']} {ending}".strip(),
        "highest sequence": about["highest"],
        "refused": [entry["sha256"] for entry in about["refused"]] or "none",
        "trust store": trust.get("error") or f"number {trust['number']}{expired}",
        "configuration": about["config"] or "right",
        "library": about["library"],
        **({"fault": about["fault"]} if about["fault"] else {}),
    }


@device.command()
@_on_a_port
@click.option(
    "--wait/--no-wait", default=True, help="Follow the board until its trial has ended. Default."
)
@quiet_option
@as_json_option
def update(port: str, baud: int, wait: bool, quiet: bool, as_json: bool) -> None:
    """Install what the board's server offers, reset, and follow the trial.

    The board must be in its network: run main.py until it is, or let boot.py join. After the reset
    main.py tests itself and confirms, and runs on; exit code 1 if it does not, which is known when main.py
    ends, or the time that a trial may last. What main.py has installed by itself before is taken up where
    it stands.

    \b
    Example:  ota device update --port /dev/ttyUSB0
    """
    with connect(port, baud) as found:
        release = install(found, quiet or as_json)
        if "reason" in release:
            show({"installed": False, "reason": release["reason"]}, as_json)
            return
        if release["trial"]:
            complain(
                f"{release['version']} is on trial already: main.py starts again and tests it"
            )
            found.restart()
        else:
            found.reset()
        if not wait:
            show(
                {"installed": True, "version": release["version"], "trial": "not awaited"}, as_json
            )
            return
        about = follow_trial(found, release, quiet or as_json)
    confirmed = about["outcome"] == "confirmed" and about["outcome_version"] == release["version"]
    fields = {
        "installed": True,
        "version": release["version"],
        "confirmed": confirmed,
        "running": about["version"],
        "outcome": about["outcome"],
        "reason": about["reason"],
    }
    show(fields, as_json)
    if about["trial"]:
        raise Refused(
            f"{release['version']} is on trial and main.py confirms nothing: `ota device confirm`, "
            "else it is gone at the next reset"
        )
    if not confirmed:
        why = f": {about['reason']}" if about["reason"] else ""
        raise Refused(f"{release['version']} did not stay: {about['outcome']}{why}")


@device.command()
@_on_a_port
@as_json_option
def confirm(port: str, baud: int, as_json: bool) -> None:
    """Keep the image that is on trial.

    \b
    Example:  ota device confirm --port /dev/ttyUSB0
    """
    with connect(port, baud) as found:
        about = found.ask(
            "before = ota.status()\nota.confirm()\nreturn [before['trial'], ota.status()]"
        )
    trial, after = about
    fields = {"confirmed": not after["trial"], "version": after["version"], "was on trial": trial}
    show(fields, as_json)


@device.command()
@_on_a_port
@click.option("--reason", default="", help="Kept in the board's journal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
def rollback(port: str, baud: int, reason: str, yes: bool, as_json: bool) -> None:
    """Return to the image in the other slot; the running one is refused from then on. Resets the board.

    \b
    Example:  ota device rollback --port /dev/ttyUSB0 --reason "lamp stays dark"
    """
    with connect(port, baud) as found:
        before = found.ask("return ota.status()")
        other = before["slots"][before["next"]]
        if not yes:
            running = before["version"] or "the running image"
            to = other["version"] or f"the image in {other['label']}"
            _ask(f"leave {running} for {to}, and refuse it from now on", as_json)
        # The library's own reset would take the answer with it: it is told first.
        body = (
            "from ota.port import Port\n"
            "class Quiet(Port):\n def reset(self):\n  pass\n"
            f"ota.rollback({reason!r}, Quiet())\n"
            "return ota.status()"
        )
        about = found.ask(body)
        found.reset()
    show(
        {"boots": about["boot"], "version": other["version"], "outcome": about["outcome"]}, as_json
    )


def _ask(what: str, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise Refused(f"nobody to ask: {what}? --yes goes on")
    click.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)


@device.command()
@_on_a_port
@as_json_option
def logs(port: str, baud: int, as_json: bool) -> None:
    """The last events that the board remembers, newest first. Nothing of it is used up.

    \b
    Example:  ota device logs --port /dev/ttyUSB0
    """
    with connect(port, baud) as found:
        about = found.ask(_LOGS)
        _say_interrupted(found, False)
    if as_json:
        print(json.dumps(about, indent=1))
        return
    grid = Grid("time", "event", "slot", "sequence", box=None)
    for event in about["events"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(event["time"]))
        grid.add_row(when, event["event"], str(event["slot"]), str(event["sequence"]))
    if about["events"]:
        console.print(grid)
    last = about["last"]
    show(
        {"last update": f"{last['version']} {last['outcome']}: {last['reason']}"}
        if last
        else {"last update": "none yet"},
        False,
    )


@device.command("doctor")
@_on_a_port
@click.option("--network/--no-network", default=True, help="Also reach the server. Default.")
@as_json_option
def device_doctor(port: str, baud: int, network: bool, as_json: bool) -> None:
    """Examine the board: slots, bootloader, clock, memory, files, trust, library, server.

    Each finding comes with one line of advice. Exit code 1 if something will not work. A boot.py that did not call
    ota.boot(), or was interrupted in it, runs once more before it is judged.

    \b
    Example:  ota device doctor --port /dev/ttyUSB0
    """
    with connect(port, baud) as found:
        if not found.ask("return ota._started"):
            found.boot()  # we may have come in the middle of it
        about = found.ask(_DOCTOR % network, silence_s=_DOCTOR_S)
        _say_interrupted(found, False)
    findings: list[Finding] = [tuple(row) for row in about["findings"]]
    findings += beside(about["now"], about["version"])
    report(findings, as_json)


def _say_interrupted(found: Device, trial: bool) -> None:
    if trial:
        complain(
            "an image is on trial: `ota device confirm` keeps it, else it is gone at the next reset"
        )
    elif found.interrupted and not found.name.startswith("board:"):
        complain("main.py was interrupted; reset the board to start it again")
