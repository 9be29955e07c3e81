"""A fitted transit: data with the whole model, detrended data with the transit alone, residuals; and its posterior."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.transit.posterior import PARAMETERS
from pipeline.units import HOURS_PER_DAY, MINUTES_PER_DAY
from services.results.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, PPT, RED, head, new_figure, note, save, tidy
from services.results.plots.time_bins import bin_means, bin_width, view_limits
from services.results.variability.transit import StarTransit

LABELS = ("mid-time\n(min)", "duration\n(h)", "radius ratio", "impact", "limb\ndarkening", "jitter\n(mmag)")
BINS = 30  # of a histogram, along one axis
CENTRAL = (15.865, 50.0, 84.135)  # percentiles
VIEW = (0.2, 99.8)  # percentiles of the samples in view

Values = NDArray[np.float64]


def draw_transit(result: StarTransit, path: Path) -> Path:
    """Draw the three panels over the hours from mid-transit."""
    fit, time = result.fit, (result.time - result.fit.mid_time.median) * HOURS_PER_DAY
    figure = new_figure(9.5, 8.6)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[1.2, 1.2, 0.7])
    whole = fit.trend * fit.model
    for axes, flux, error, model, trend in (
        (panels[0], result.flux, result.error, whole, fit.trend),
        (panels[1], fit.detrended, result.error / fit.trend, fit.model, None),
    ):
        _points(axes, time, flux, error, fit.used)
        if trend is not None:
            axes.plot(time, trend, color=ORANGE, linewidth=1.4, label="trend", zorder=5)
        axes.plot(time, model, color=RED, linewidth=1.8, label="model", zorder=6)
        axes.axvspan(
            *(HOURS_PER_DAY * (end - fit.mid_time.median) for end in _contacts(result)), color=GREY, alpha=0.12
        )
        axes.set_ylim(*view_limits(flux[fit.used], error[fit.used]))
    tidy(panels[0], "", "relative flux")
    tidy(panels[1], "", "detrended flux")
    panels[0].legend(**LEGEND, loc="lower left", ncols=3)
    _bins(panels[1], time, fit.detrended, result.error / fit.trend, fit.used)
    residual = PPT * (fit.detrended - fit.model)
    _points(panels[2], time, residual, PPT * result.error / fit.trend, fit.used)
    panels[2].axhline(0.0, color=RED, linewidth=1.4, zorder=5)
    panels[2].set_ylim(*view_limits(residual[fit.used], PPT * result.error[fit.used]))
    note(panels[2], f"standard deviation {PPT * result.residual_scatter:.2f}")
    tidy(panels[2], f"hours from BJD (TDB) {fit.mid_time.median:.5f}", "residual\n(parts per 1000)")
    figure.align_ylabels()
    minutes = fit.mid_time.error * MINUTES_PER_DAY
    said = (
        f"depth {fit.depth.median:.2%} ± {fit.depth.error:.2%}, mid-time ± {minutes:.1f} min, "
        f"ln Bayes factor {fit.log_bayes_factor:.1f}"
    )
    head(figure, f"{result.curve.observation.title}, source {result.curve.source.source_id}\n{said}")
    return save(figure, path)


def draw_corner(result: StarTransit, path: Path) -> Path:
    """Draw each pair of parameters as a histogram of the posterior's samples, and each alone on the diagonal."""
    columns = _shown(result)
    n = len(PARAMETERS)
    figure = new_figure(10.5, 10.5, layout=None)
    figure.subplots_adjust(left=0.09, right=0.985, top=0.94, bottom=0.09, wspace=0.08, hspace=0.08)
    grid = figure.subplots(n, n, squeeze=False)
    ranges = [tuple(np.percentile(values, VIEW)) for values in columns]
    for row in range(n):
        for column in range(n):
            axes = grid[row, column]
            if column > row:
                axes.set_visible(False)
                continue
            if column == row:
                _alone(axes, columns[row], ranges[row])
            else:
                axes.hist2d(columns[column], columns[row], BINS, range=[ranges[column], ranges[row]], cmap="Blues")
            axes.tick_params(labelsize=7.5, labelbottom=row == n - 1, labelleft=column == 0 and row > 0)
            axes.locator_params(nbins=4)
            if row == n - 1:
                axes.set_xlabel(LABELS[column], fontsize=9)
                axes.tick_params(axis="x", rotation=40)
            if column == 0 and row > 0:
                axes.set_ylabel(LABELS[row], fontsize=9)
    figure.align_labels()
    title = f"{result.curve.observation.title}, source {result.curve.source.source_id}: posterior of the transit"
    head(figure, f"{title}; mid-time from BJD (TDB) {result.fit.mid_time.median:.5f}", y=0.985)
    return save(figure, path)


def _shown(result: StarTransit) -> list[Values]:
    """Samples in the units of LABELS."""
    mid, ln_duration, ratio, impact, limb, ln_jitter = result.fit.samples.T
    minutes = (mid - result.fit.mid_time.median) * MINUTES_PER_DAY
    return [minutes, np.exp(ln_duration) * HOURS_PER_DAY, ratio, impact, limb, np.exp(ln_jitter) * PPT]


def _alone(axes: Axes, values: Values, limits: Any) -> None:
    axes.hist(values, BINS, range=limits, color=BLUE, alpha=0.7)
    low, middle, high = np.percentile(values, CENTRAL)
    axes.axvline(middle, color=BLACK, linewidth=1.2)
    for end in (low, high):
        axes.axvline(end, color=BLACK, linewidth=0.9, linestyle="--")
    # Of a value that is zero by definition, such as the mid-time from its own median, no digit beyond its error counts.
    shown = 0.0 if abs(middle) < 1e-3 * (high - low) else middle
    axes.set_title(f"{shown:.3g} (+{high - middle:.2g} −{middle - low:.2g})", fontsize=8, pad=2)
    axes.set_yticks([])
    axes.set_xlim(*limits)


def _contacts(result: StarTransit) -> tuple[float, float]:
    """First and fourth contact, BJD."""
    half = 0.5 * result.fit.duration.median
    return result.fit.mid_time.median - half, result.fit.mid_time.median + half


def _points(axes: Axes, time: Values, flux: Values, error: Values, used: NDArray[np.bool_]) -> None:
    axes.errorbar(time[used], flux[used], error[used], fmt="o", color=BLUE, ms=3, lw=0.6, alpha=0.7, label="measured")
    axes.plot(time[~used], flux[~used], "x", color=GREY, markersize=5)


def _bins(axes: Axes, time: Values, flux: Values, error: Values, used: NDArray[np.bool_]) -> None:
    days = time[used] / HOURS_PER_DAY
    width = bin_width(days, flux[used])
    if width is not None:
        at, mean, mean_error = bin_means(days, flux[used], error[used], width)
        label = f"means over {width * MINUTES_PER_DAY:.3g} min"
        axes.errorbar(
            at * HOURS_PER_DAY, mean, mean_error, fmt="o", color=BLACK, mfc="white", ms=5, lw=1.0, label=label, zorder=7
        )
        axes.legend(**LEGEND, loc="lower left")
