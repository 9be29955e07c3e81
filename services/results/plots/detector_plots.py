"""Plots of a measured detector: photon transfer, linearity, and the histogram of a dark."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from pipeline.detector.linearity import TOLERANCE, Linearity
from pipeline.detector.photon_transfer import Transfer
from services.results.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    PURPLE,
    RED,
    head,
    new_figure,
    save,
    tidy,
)

PERCENT = 100.0
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)
VIEW = (0.1, 99.0)  # percentiles of a dark, in the middle of the view
HISTOGRAM_BINS = 120  # at most, each of whole ADU
FAINTEST = 0.1  # level from which the curve is drawn, in units of that whose light is as noisy as the read-out

Floats = NDArray[np.float64]


def draw_transfer(
    path: Path, title: str, level: Floats, variance: Floats, read: float, transfer: Transfer | None, turn: float | None
) -> Path:
    """Variance (ADU²) of a flat against its level (ADU above the bias), and the fitted curve."""
    figure = new_figure(7.5, 5.0)
    axes = figure.add_subplot()
    axes.loglog(level, variance, "o", color=BLUE, markersize=4, label="flats, differences of pairs")
    gain = float(np.median(level / variance)) if transfer is None else transfer.gain.value
    faintest = min(float(level.min()), max(FAINTEST * read * gain, 1.0))
    axes.set_xlim(faintest, 1.5 * level.max())
    if transfer is not None:
        x = np.geomspace(faintest, level.max(), 200)
        bend = 0.0 if transfer.bend is None else transfer.bend.value
        y = read + x / transfer.gain.value * (1.0 + bend * x**transfer.power)
        label = f"gain {transfer.gain.value:.4g} ± {transfer.gain.error:.2g} e-/ADU"
        axes.plot(x[y > 0], y[y > 0], color=RED, linewidth=1.2, label=label)
    axes.axhline(read, color=GREY, linestyle="--", linewidth=1.0, label="read noise")
    if turn is not None:
        axes.axvline(turn, color=BLACK, linestyle=":", linewidth=1.0, label="the variance falls from here")
    axes.xaxis.set_minor_formatter(NullFormatter())
    tidy(axes, "level above the bias, ADU", "variance, ADU²")
    axes.legend(**LEGEND, loc="upper left")
    head(figure, f"Photon transfer: {title}")
    return save(figure, path)


def draw_linearity(path: Path, title: str, found: Mapping[str, Linearity]) -> Path:
    """Deviation of flats from a straight line with exposure time, %, against level (ADU above the bias)."""
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    axes.axhspan(-PERCENT * TOLERANCE, PERCENT * TOLERANCE, color=GREY, alpha=0.2, linewidth=0)
    for number, (name, one) in enumerate(sorted(found.items())):
        order = np.argsort(one.level)
        colour = COLOURS[number % len(COLOURS)]
        text = "".join(letter for letter in name if letter.isprintable()).replace("$", r"\$") or "flats"
        axes.plot(one.level[order], PERCENT * one.deviation[order], "o-", color=colour, markersize=4, label=text)
        if one.limit is not None and not one.limit.bound:
            axes.axvline(one.limit.value, color=colour, linestyle=":", linewidth=1.0)
    tidy(axes, "level above the bias, ADU", "deviation from a line, %")
    axes.legend(**LEGEND, loc="lower left")
    head(figure, f"Linearity, if the lamp was constant: {title}")
    return save(figure, path)


def draw_dark(path: Path, title: str, signal: NDArray[np.float32], exposure: float) -> Path:
    """Histogram of the counts of a dark above the bias, ADU."""
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    low, high = np.percentile(signal, VIEW)
    margin = max(float(high - low), 5.0)
    low, high = np.floor(low - margin), np.ceil(high + margin)
    width = max(np.ceil((high - low) / HISTOGRAM_BINS), 1.0)  # counts are whole: narrower bars would beat with them
    edges = np.arange(low, high + 1.5 * width, width) - 0.5
    axes.hist(np.clip(signal, low, high), bins=edges.tolist(), color=BLUE, log=True)
    tidy(axes, f"ADU above the bias in {exposure:g} s (first and last bar: all beyond)", "pixels")
    head(figure, f"Dark: {title}")
    return save(figure, path)
