"""The output of the benchmark: rows of figures, their table, the check against the bounds, and the plot."""

import math
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Optional

CLIENTS = {"bare": "bare websocket-client", "rel": "plain rel", "polling": "polling", "bot": "this bot"}
PACKAGES = ("websocket-client", "rel", "requests")


@dataclass(frozen=True)
class Row:
    """One measurement: a figure for each client, and the bounds if there are any."""

    what: str
    unit: str
    figures: dict[str, float] = field(default_factory=dict)  # client -> figure; bare, rel, polling, bot
    ratio: Optional[float] = None
    at_most: Optional[float] = None  # bound of the ratio; without a ratio, of the bot's figure
    at_least: Optional[float] = None
    note: str = ""

    @property
    def met(self) -> Optional[bool]:
        """Whether the bounds are met; None without bounds."""
        if self.at_most is None and self.at_least is None:
            return None
        compared = self.figures["bot"] if self.ratio is None else self.ratio
        return (self.at_most is None or compared <= self.at_most) and (self.at_least is None or compared >= self.at_least)


def against_bare(what: str, unit: str, figures: dict[str, float], **bounds: Any) -> Row:
    """Return a row whose ratio is the bot's figure divided by the bare client's."""
    return Row(what, unit, figures, ratio=figures["bot"] / figures["bare"] if figures["bare"] else math.nan, **bounds)


def machine() -> dict[str, Any]:
    """Return the facts about machine and versions that the figures depend on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def as_table(rows: list[Row], about: dict[str, Any]) -> str:
    """Return the rows as a Markdown table, with machine and versions above it."""
    head = ["", "unit", *CLIENTS.values(), "ratio", "bound", ""]
    lines = [[row.what, row.unit, *(_number(row.figures.get(client)) for client in CLIENTS), *_verdict(row)] for row in rows]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *lines]
    table = "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines)
    notes = "".join(f"\n{row.what}: {row.note}" for row in rows if row.note)
    packages = ", ".join(f"{package} {about[package]}" for package in PACKAGES)
    machine_line = f"{about['processor']}, {about['cores']} cores, load {about['load']:.1f}; {about['system']}"
    return f"{machine_line}; Python {about['python']}, {packages}\n\n{table}\n{notes}"


def as_json(rows: list[Row], about: dict[str, Any]) -> dict[str, Any]:
    shown = [{**asdict(row), "met": row.met} for row in rows]
    return {"machine": about, "rows": [{name: _finite(value) for name, value in row.items()} for row in shown]}


def plot(points: dict[str, dict[float, float]], path: Path) -> None:
    """Draw age against rate, for each client, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for (client, ages), marker in zip(points.items(), "os^", strict=True):
        axes.plot(list(ages), list(ages.values()), marker=marker, label=CLIENTS[client])
    axes.set(xscale="log", yscale="log", xlabel="frames per second", ylabel="age of a frame in its callback, median, ms")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _verdict(row: Row) -> list[str]:
    bounds = [f"{sign} {_number(bound)}" for sign, bound in (("≤", row.at_most), ("≥", row.at_least)) if bound is not None]
    return [_number(row.ratio), " ".join(bounds), {None: "", True: "met", False: "MISSED"}[row.met]]


def _number(value: Optional[float]) -> str:
    """Return a figure with three significant digits."""
    if value is None or math.isnan(value):
        return ""
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _finite(value: Any) -> Any:
    """Return a value that JSON can represent: None for NaN and infinity."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
