"""The plots of docs/performance.md, as SVG by matplotlib; imported by the report alone.

matplotlib is in the `dev` extra: who only runs the gate does not need it.
"""

import importlib.util
from pathlib import Path
from typing import Any

from ota_tools.failures import MissingTool

_INK, _MUTED, _OURS = "#222222", "#9aa5b1", "#1f6feb"


def check() -> None:
    """Raises MissingTool without matplotlib: before a minute of measuring, not after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingTool("--report needs matplotlib: pip install 'esp32-ota[dev]'")


def draw(folder: Path, run: dict[str, Any]) -> list[Path]:
    """Every plot that the run has figures for. Raises MissingTool without matplotlib."""
    check()
    import matplotlib

    matplotlib.use("svg")
    # Equal runs give equal files: no date, and ids that do not depend on chance.
    matplotlib.rcParams["svg.hashsalt"] = "ota bench"
    matplotlib.rcParams["svg.fonttype"] = "none"
    goals = {goal["number"]: goal for goal in run["goals"]}
    drawn = []
    if 1 in goals:
        drawn.append(_wall(folder / "performance-wall.svg", goals[1]["details"]))
    if 2 in goals:
        drawn.append(_instructions(folder / "performance-instructions.svg", goals[2]["details"]))
    if 5 in goals:
        drawn.append(_flash(folder / "performance-flash.svg", goals[5]["details"]))
    if run["by size"]:
        drawn.append(_by_size(folder / "performance-size.svg", run["by size"]))
    return drawn


def _bars(path: Path, title: str, unit: str, values: dict[str, float]) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 0.45 * len(values) + 1.1))
    names = list(values)[::-1]
    colours = [_OURS if name.startswith("ours") else _MUTED for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.4g", padding=3, color=_INK)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(unit)
    axes.margins(x=0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return _save(figure, path)


def _wall(path: Path, details: dict[str, Any]) -> Path:
    values = {
        name.removeprefix("us "): value / 1000
        for name, value in details.items()
        if name.startswith("us ") and "64 KiB" not in name
    }
    return _bars(path, "1.5 MB over plain HTTP into RAM, median", "ms", values)


def _instructions(path: Path, details: dict[str, Any]) -> Path:
    values = {name.removeprefix("Ir "): value / 1000 for name, value in details.items()}
    return _bars(path, "The VM's own instructions per 4 KiB", "thousand", values)


def _flash(path: Path, details: dict[str, Any]) -> Path:
    values = {"4 KiB writes": details["ms 4 KiB writes"] / 1000}
    for name, value in details.items():
        if name.startswith("ms ") and name != "ms 4 KiB writes":
            values[f"ours, {name.removeprefix('ms ')}"] = value / 1000
    return _bars(path, "Modelled flash time, 1.5 MB", "s", values)


def _by_size(path: Path, curve: dict[str, Any]) -> Path:
    from matplotlib import pyplot

    figure, (time, heap) = pyplot.subplots(1, 2, figsize=(9, 3.2))
    mib = [size / (1 << 20) for size in curve["sizes"]]
    time.plot(mib, [us / 1000 for us in curve["us"]], "o-", color=_OURS, label="ours")
    ceiling = [us / 1000 for us in curve["us ceiling+back"]]
    time.plot(mib, ceiling, "o-", color=_MUTED, label="ceiling with read-back")
    time.set_ylabel("ms")
    time.legend(frameon=False)
    heap.plot(mib, [size / 1024 for size in curve["live heap"]], "o-", color=_OURS)
    heap.set_ylabel("live heap, KiB")
    for axes in (time, heap):
        axes.set_xlabel("image, MiB")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return _save(figure, path)


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
