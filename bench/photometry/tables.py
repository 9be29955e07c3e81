"""What was measured, as Markdown to paste and as a figure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from bench.photometry.scores import Bin, median, ratio, ratio_error

TIANYU = "Tianyu"
SIGMA_BEHIND = 2.0  # standard errors by which Tianyu's scatter must exceed another's before it counts as more


def scatter_table(bins: Sequence[Bin], tools: Sequence[str]) -> str:
    """Median scatter by magnitude in mmag, standard deviation in brackets; over the floor; radius of the aperture."""
    rows = [f"| magnitude | stars | floor | {' | '.join(tools)} |", "| --- | ---: |" + " ---: |" * (len(tools) + 1)]
    for one in bins:
        cells = [
            f"{1e3 * median(one.scatter[tool]):.2f} ({1e3 * median(one.deviation[tool]):.2f}), "
            f"{ratio(one, tool, one.floor):.3f} floor, {one.radius[tool]:.2f} FWHM"
            if np.isfinite(one.scatter[tool]).any()
            else "–"
            for tool in tools
        ]
        head = f"| {one.low:.1f} – {one.high:.1f} | {one.floor.size} | {1e3 * median(one.floor):.2f} |"
        rows.append(f"{head} {' | '.join(cells)} |")
    return "\n".join(rows)


def ratio_table(bins: Sequence[Bin], tools: Sequence[str]) -> str:
    """Each tool's scatter over Tianyu's: the median of the stars that both have, and their number."""
    others = [tool for tool in tools if tool != TIANYU]
    rows = [f"| magnitude | {' | '.join(others)} |", "| --- |" + " ---: |" * len(others)]
    for one in bins:
        cells = []
        for tool in others:
            both = int(np.isfinite(one.scatter[tool] / one.scatter[TIANYU]).sum())
            value, error = ratio(one, tool, one.scatter[TIANYU]), ratio_error(one, tool, one.scatter[TIANYU])
            cells.append(f"{value:.3f} ± {error:.3f} ({both})" if both else "–")
        rows.append(f"| {one.low:.1f} – {one.high:.1f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def behind(bins: Sequence[Bin], tools: Sequence[str]) -> list[str]:
    """Where Tianyu scatters more than a tool by more than chance."""
    lines = []
    for one in bins:
        for tool in tools:
            value, error = ratio(one, tool, one.scatter[TIANYU]), ratio_error(one, tool, one.scatter[TIANYU])
            if tool != TIANYU and value < 1 - SIGMA_BEHIND * error:
                lines.append(
                    f"magnitude {one.low:.1f} – {one.high:.1f}: {tool} scatters {value:.3f} ± {error:.3f} times"
                )
    return lines


def figure(bins: Sequence[Bin], tools: Sequence[str], path: Path) -> None:
    """Scatter over the floor by magnitude, one line a tool."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    drawing, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for tool in tools:
        seen = [one for one in bins if np.isfinite(one.scatter[tool]).any()]
        middle = [(one.low + one.high) / 2 for one in seen]
        values = [ratio(one, tool, one.floor) for one in seen]
        axes.plot(middle, values, "o-", label=tool, lw=2.5 if tool == TIANYU else 1.0, ms=6 if tool == TIANYU else 4)
    axes.axhline(1.0, color="0.5", lw=0.8, ls="--")
    axes.set(xlabel="magnitude", ylabel="scatter / CCD equation")
    axes.legend(frameon=False)
    drawing.savefig(path, dpi=110)
    plt.close(drawing)
