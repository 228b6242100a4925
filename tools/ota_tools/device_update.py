"""An update over the line: installed by the board itself, then its trial, followed on the console.

Rule: once the new image runs nothing is sent: a Ctrl-C would end main.py before it could confirm.
"""

from typing import Any

import rich_click as click

from ota_tools.device import Device
from ota_tools.terminal import bar, complain, console

_UPDATE_S = 900  # a server that lets wait, and pauses between attempts
_CONFIRMED = "ota: confirmed"
_TRIAL_S = 60  # more than the window: the board starts again and runs its program

_UPDATE = """\
from ota.config import FILE, load_config
about = ota.status()
said = {"window_s": load_config(FILE).trial_window_s, "trial": about["trial"]}
def show(done, total):
 print("ota-progress %d %d" % (done, total))
if about["trial"]:
 said["version"] = about["version"] or "the running image"
elif about["boot"] >= 0 and about["boot"] != about["running"]:
 said["version"] = about["slots"][about["boot"]]["version"]
else:
 updater = ota.Updater.from_config()
 release = updater.update(progress=show)
 if release is None:
  return {"reason": updater.reason}
 said["version"] = release.version
return said
"""


def install(found: Device, quiet: bool) -> dict[str, Any]:
    """What was installed, now or by main.py before we came; or reason: why nothing was.

    Gives version, window_s (seconds of trial), and trial: it runs already, unconfirmed.
    """
    with bar("written", not quiet) as told:

        def hear(line: str) -> None:
            words = line.split()
            if words[:1] == ["ota-progress"] and len(words) == 3:
                told(int(words[1]), int(words[2]))
            elif not quiet:
                console.print(line, style="dim", markup=False)

        try:
            release: dict[str, Any] = found.ask(_UPDATE, hear, _UPDATE_S)
            return release
        except KeyboardInterrupt:
            found.stop()
            complain(_interrupted(found.ask("return ota.status()")))
            raise click.Abort from None


def _interrupted(about: dict[str, Any]) -> str:
    if about["boot"] != about["running"]:
        return (
            "interrupted; the new image is installed and on trial after the next reset; "
            "`ota device rollback` calls it off"
        )
    label = about["slots"][about["boot"]]["label"] if about["boot"] >= 0 else "the factory image"
    return f"interrupted; {label} boots, the next update goes on where this one stopped"


def follow_trial(found: Device, release: dict[str, Any], quiet: bool) -> dict[str, Any]:
    """How it ended: trial, outcome, outcome_version, version, reason, as of `ota.status()`.

    Known once the board says that it has confirmed, and the program runs on; else it is asked, when the
    program has ended or the time for the trial is over.
    """
    confirmed = False

    def hear(line: str) -> bool:
        nonlocal confirmed
        if not quiet:
            console.print(line, style="dim", markup=False)
        confirmed = line == _CONFIRMED
        return confirmed

    try:
        found.follow(hear, release["window_s"] + _TRIAL_S)
    except KeyboardInterrupt:
        complain(
            f"{release['version']} is installed and may be on trial: leave the board alone until "
            "main.py has confirmed it; `ota device status` would interrupt that"
        )
        raise click.Abort from None
    if confirmed:
        version = release["version"]
        return {
            "trial": False,
            "outcome": "confirmed",
            "outcome_version": version,
            "version": version,
            "reason": "",
        }
    found.stop()
    about: dict[str, Any] = found.ask("return ota.status()")
    return about
