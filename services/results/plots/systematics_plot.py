"""A light curve above what may have left its trace in it: place on the camera, sky, seeing, air."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.plots.light_curve_plot import time_axis
from services.results.plots.night_frames import Frames, read_frames
from services.results.plots.style import BLACK, BLUE, GREY, RED, head, new_figure, save, tidy
from services.results.plots.time_bins import view_limits

MIN_POINTS = 5  # that a correlation is told from
MARGINS_IN = 0.95, 0.62, 0.5  # for the labels at the left, the title above and the labels below
TITLE_IN = 0.08  # below the edge
MARGIN = 0.1  # of the range of the points in use, above and below: clouds may lie outside
BETWEEN = 0.32  # panels, of their mean height
SIGNIFICANT = 3.0  # standard deviations of the correlation of that many unrelated values

Values = NDArray[np.float64]


def draw_systematics(session: Session, curve: LightCurve, path: Path) -> Path:
    """Draw the panels, with Spearman's rank correlation of each with the relative flux of the trusted points.

    Raises:
        DataError: no frame is aligned, or the star has no relative flux with a time.
    """
    frames = read_frames(session, curve.observation)
    time, origin, scale = time_axis(curve)
    flux, error = curve.values("flux_relative"), curve.values("flux_relative_error")
    trusted = np.isfinite(flux + time) & curve.usable
    if not trusted.any():
        raise DataError(f"source {curve.source.source_id} has no usable point to compare with")
    recorded = external(frames, curve)
    panels = {name: values for name, values in recorded.items() if np.isfinite(values[trusted]).any()}
    missing = [name.replace("\n", " ") for name in recorded if name not in panels]
    width, height = 9.5, 2.9 + 1.25 * len(panels)
    figure = new_figure(width, height, layout=None)
    left, top_in, bottom = MARGINS_IN
    figure.subplots_adjust(
        left=left / width, right=0.985, top=1 - top_in / height, bottom=bottom / height, hspace=BETWEEN
    )
    grid = figure.subplots(1 + len(panels), 1, sharex=True, height_ratios=[2.0, *(1.0 for _ in panels)], squeeze=False)
    top, *others = grid[:, 0]
    top.errorbar(time[trusted], flux[trusted], np.nan_to_num(error[trusted]), fmt="o", color=BLUE, ms=2.6, lw=0.6)
    top.plot(time[~trusted], flux[~trusted], "o", color=GREY, markersize=4, markerfacecolor="white")
    top.set_ylim(*view_limits(flux[trusted], error[trusted]))
    tidy(top, "", "relative flux")
    for axes, (name, values) in zip(others, panels.items(), strict=True):
        axes.plot(time[trusted], values[trusted], "o", color=BLACK, markersize=2.6)
        axes.plot(time[~trusted], values[~trusted], "o", color=GREY, markersize=4, markerfacecolor="white")
        low, high = np.nanmin(values[trusted]), np.nanmax(values[trusted])
        margin = MARGIN * (high - low) or MARGIN * abs(high) or MARGIN
        axes.set_ylim(low - margin, high + margin)
        tidy(axes, "", name)
        _say_correlation(axes, *rank_correlation(flux[trusted], values[trusted]))
    grid[-1, 0].set_xlabel(f"{scale} − {origin:.0f} (days)")
    figure.align_ylabels(grid[:, 0])
    title = (
        f"{curve.observation.title}\nsource {curve.source.source_id}: ρ is the rank correlation with the light curve"
    )
    if missing:
        title += f"; unknown: {', '.join(missing)}"
    head(figure, title, y=1 - TITLE_IN / height)
    return save(figure, path)


def external(frames: Frames, curve: LightCurve) -> dict[str, Values]:
    """What was recorded beside each point of the light curve, by label: float64[n], NaN where unknown."""
    position = frames.positions(curve.source.template_x, curve.source.template_y)
    recorded = {
        "x (pixels)": position[:, 0],
        "y (pixels)": position[:, 1],
        "sky\n(ADU a pixel)": frames.background,
        "FWHM\n(pixels)": frames.fwhm,
        "airmass": frames.airmass,
        "transparency": frames.transparency,
    }
    order = np.argsort(frames.image_id)
    image_id = curve.values("image_id")
    at = order[np.searchsorted(frames.image_id, image_id, sorter=order).clip(max=order.size - 1)]
    known = frames.image_id[at] == image_id
    return {name: np.where(known, values[at], np.nan) for name, values in recorded.items()}


def rank_correlation(first: Values, second: Values) -> tuple[float, int]:
    """Spearman's coefficient of ``[n]`` and ``[n]`` over pairs of numbers, and how many; NaN where it has no meaning.

    Equal values share their mean rank (Spearman 1904); of n unrelated values it scatters by 1 / sqrt(n − 1).
    """
    known = np.isfinite(first) & np.isfinite(second)
    count = int(np.count_nonzero(known))
    if count < MIN_POINTS:
        return np.nan, count
    one, other = _ranks(first[known]), _ranks(second[known])
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan, count
    return float(np.corrcoef(one, other)[0, 1]), count


def _ranks(values: Values) -> Values:
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - 0.5 * (count - 1))[number])


def _say_correlation(axes: Axes, coefficient: float, count: int) -> None:
    if np.isfinite(coefficient):
        by_chance = 1.0 / np.sqrt(count - 1)
        striking = abs(coefficient) > SIGNIFICANT * by_chance
        axes.set_title(
            f"ρ = {coefficient:+.2f} (by chance ±{by_chance:.2f})".replace("-", "−"),
            fontsize=9,
            loc="right",
            pad=2,
            color=RED if striking else BLACK,
            fontweight="bold" if striking else "normal",
        )
