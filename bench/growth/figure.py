"""Costs by sizes, with what was fitted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bench.growth.exponent import marginal, plain
from bench.growth.series import Series


def draw(all_series: Sequence[Series], file: Path) -> None:
    """A panel for each; both axes logarithmic."""
    figure = Figure(figsize=(10.0, 6.0), layout="constrained")
    panels = figure.subplots(2, -(-len(all_series) // 2), squeeze=False).ravel()
    for axes in panels[len(all_series) :]:
        axes.set_axis_off()
    for axes, series in zip(panels, all_series, strict=False):
        along = np.geomspace(min(series.sizes), max(series.sizes), 50)
        axes.loglog(series.sizes, series.seconds, "o")
        if series.per_piece:
            power = plain(series.sizes, series.seconds)
            middle = np.exp(np.mean(np.log(series.seconds)) - power * np.mean(np.log(series.sizes)))
            axes.loglog(along, middle * along**power, "-", lw=1, label=f"size^{power:.2f}")
        else:
            start, slope, power = marginal(series.sizes, series.seconds)
            axes.loglog(along, start + slope * along**power, "-", lw=1, label=f"constant + size^{power:.2f}")
        axes.set_title(series.what, fontsize=10)
        axes.set_xlabel(series.unit)
        axes.set_ylabel("CPU, s, of one piece" if series.per_piece else "CPU, s")
        low, high = min(series.seconds), max(series.seconds)
        axes.set_ylim(low / 2, max(high * 2, low * 4))  # what does not grow looks flat
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3, which="both")
    figure.savefig(file, dpi=110)
