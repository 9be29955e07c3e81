"""A star in a standard band, and the colour curve of two filters."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.zero_points import Standard
from services.errors import DataError
from services.results.lightcurves.standard import Colours, StandardCurve
from services.results.plots.style import BLUE, GREEN, LEGEND, RED, head, new_figure, save, tidy
from services.results.plots.time_bins import view_limits

Floats = NDArray[np.float64]


def draw_standard(star: StandardCurve, path: Path) -> Path:
    """Standard magnitudes of the usable points, with their photon noise.

    Raises:
        DataError: there are none.
    """
    usable = star.curve.usable & np.isfinite(star.standard.magnitude) & np.isfinite(star.points.time)
    if not usable.any():
        raise DataError(f"source {star.curve.source.source_id}: {star.refusal or 'no usable point has a magnitude'}")
    figure = new_figure(8.5, 4.6)
    axes = figure.subplots()
    _points(axes, star.points.time[usable], star.standard.magnitude[usable], star.standard.noise[usable], BLUE, "")
    tidy(axes, _days(star.points.time[usable]), f"{star.facts.by.band} (mag)")
    head(figure, _title(star, f"error of the level {np.median(star.standard.error[usable]):.3f} mag"))
    return save(figure, path)


def draw_colours(both: Colours, path: Path) -> Path:
    """Both bands above, their difference below.

    Raises:
        DataError: there is no point with a colour.
    """
    curve, time = both.curve, both.time
    known = np.isfinite(curve.index)
    if not known.any():
        raise DataError(
            f"source {both.first.curve.source.source_id} has no point with a colour: "
            f"{both.first.refusal or both.second.refusal or 'no points of the two filters are near in time (--gap)'}"
        )
    figure = new_figure(8.5, 6.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    pairs: list[tuple[Standard, str, StandardCurve]] = [
        (curve.first, BLUE, both.first),
        (curve.second, RED, both.second),
    ]
    for standard, colour, star in pairs:
        name = f"{star.facts.by.band}, filter {star.curve.observation.filter or 'unnamed'}"
        name += "" if star is both.first else ", interpolated"
        _points(upper, time[known], standard.magnitude[known], standard.noise[known], colour, name)
    low = min(np.min(one.magnitude[known]) for one, _, _ in pairs)
    high = max(np.max(one.magnitude[known]) for one, _, _ in pairs)
    margin = 0.08 * max(high - low, 0.02)
    upper.set_ylim(high + margin, low - margin)
    upper.legend(**LEGEND)
    tidy(upper, "", "magnitude")
    _points(lower, time[known], curve.index[known], curve.index_noise[known], GREEN, "")
    tidy(lower, _days(time[known]), f"{both.index_name} (mag)")
    colour_from = "Gaia's colour" if both.colour_from == "catalogue" else "colour by the two filters"
    head(
        figure,
        _title(both.first, f"{colour_from}, error of the level {np.median(curve.index_error[known]):.3f} mag"),
    )
    return save(figure, path)


def _points(axes: Axes, time: Floats, value: Floats, noise: Floats, colour: str, label: str) -> None:
    day = np.floor(time.min())
    axes.errorbar(time - day, value, noise, fmt="o", markersize=3, elinewidth=0.7, color=colour, label=label or None)
    low, high = view_limits(value, noise)
    axes.set_ylim(high, low)


def _days(time: Floats) -> str:
    return f"BJD (TDB) − {np.floor(time.min()):.0f}"


def _title(star: StandardCurve, more: str) -> str:
    return f"source {star.curve.source.source_id}, {star.curve.observation.title}: {more}; bars are photon noise"
