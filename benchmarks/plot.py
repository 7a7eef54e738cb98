"""The plot: horizontal bars of rows a second, one panel for each latency, the tap in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.readers import FLOORS, OWN

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Reading, Results

TAP, FLOOR, OTHER = "#d1495b", "#c8c8c8", "#7a9e9f"


def draw(results: Results, path: Path) -> None:
    """Draw the rates of all readers into a file."""
    mpl.use("agg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": path.name, "font.family": "sans-serif", "font.size": 9}
    latencies = sorted({reading.latency for reading in results.readers})
    figure, panels = plt.subplots(
        1, len(latencies), figsize=(11, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, latency in zip(panels[0], latencies, strict=True):
        _panel(panel, [reading for reading in results.readers if reading.latency == latency])
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _panel(panel: Axes, readings: list[Reading]) -> None:
    names = [reading.reader for reading in readings]
    rates = [reading.rate for reading in readings]
    bars = panel.barh(names, rates, color=[_colour(name) for name in names])
    labels = [f"{rate:,.0f}" if rate else "failed" for rate in rates]
    panel.bar_label(bars, labels, padding=3, fontsize=8)
    panel.set_title(f"{readings[0].latency * 1000:.0f} ms a request", fontsize=10)
    panel.set_xlabel("rows a second")
    panel.set_xlim(right=max(rates) * 1.2)
    panel.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    panel.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    panel.invert_yaxis()
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
    for label, name in zip(panel.get_yticklabels(), names, strict=False):
        label.set_fontweight("bold" if name in OWN else "normal")


def _colour(name: str) -> str:
    return TAP if name in OWN else FLOOR if name in FLOORS else OTHER
