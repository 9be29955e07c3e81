"""One star over many nights: a panel a night, all on one scale."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.lightcurves.star_nights import Nights
from services.results.plots.light_curve_plot import Chosen, Values
from services.results.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    head,
    new_figure,
    save,
    tidy,
)
from services.results.plots.time_bins import view_limits

COLOURS = BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK  # of filters, in the order in which they come
PANEL_IN, PANELS_A_ROW, ROW_IN = 3.2, 5, 3.4
MOST_PANELS = 40  # latest nights; more would be too small to be seen


def draw_nights(nights: Nights, path: Path) -> Path:
    """Draw magnitudes where all nights have them, else relative fluxes, each of median 1 by itself.

    Raises:
        DataError: no night has a point to draw, or the light curves have several apertures.
    """
    if any(len(curve.radii) != 1 for curve in nights.curves):
        raise DataError("a plot shows one aperture a night: choose --aperture best or the index of one")
    name = "mag" if nights.in_magnitudes else "flux_relative"
    shown = [(curve, *_points(curve, name)) for curve in nights.curves]
    shown = sorted((one for one in shown if one[2].any()), key=lambda one: float(one[1][one[2]].min()))
    if not shown:
        raise DataError("no night has a point of this star that can be drawn")
    shown = shown[-MOST_PANELS:]
    rows = -(-len(shown) // PANELS_A_ROW)
    columns = -(-len(shown) // rows)
    figure = new_figure(max(PANEL_IN * columns, 6.5) + 0.8, ROW_IN * rows + 1.0)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    filters = list(dict.fromkeys(curve.observation.filter for curve in nights.curves))
    values = np.concatenate([curve.values(name)[trusted] for curve, _, trusted, _ in shown])
    errors = np.concatenate([curve.values(f"{name}_error")[trusted] for curve, _, trusted, _ in shown])
    for axes, (curve, time, trusted, doubted) in zip(panels.flat, shown, strict=False):
        colour = COLOURS[filters.index(curve.observation.filter) % len(COLOURS)]
        _draw(axes, curve, name, time, trusted, doubted, colour)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    low, high = view_limits(values, errors)
    panels.flat[0].set_ylim((high, low) if name == "mag" else (low, high))
    for row in panels:
        row[0].set_ylabel("G (mag)" if name == "mag" else "relative flux, each night's median 1")
    for number, band in enumerate(filters):
        colour = COLOURS[number % len(COLOURS)]
        panels.flat[0].plot([], [], "o", color=colour, markersize=4, label=f"filter {band or 'none'}")
    panels.flat[0].plot([], [], "o", mfc="white", mec=GREY, markersize=5, label="rejected frame or flagged")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), **LEGEND, ncols=6, loc="outside lower left")
    star = nights.curves[0].source
    place = "" if star.ra_deg is None else f", RA {star.ra_deg:.5f}, Dec {star.dec_deg:+.5f}"
    head(figure, f"source {star.source_id}{place}: {_count(len(shown), len(nights.curves))}")
    return save(figure, path)


def _count(shown: int, all_of_them: int) -> str:
    if shown == all_of_them:
        return f"{shown} observations"
    why = f"the latest {MOST_PANELS}" if shown == MOST_PANELS else "the others have no usable point"
    return f"{shown} of {all_of_them} observations: {why}"


def _points(curve: LightCurve, name: str) -> tuple[Values, Chosen, Chosen]:
    """Days, points that are trusted, and the others that can be drawn."""
    jd, values = curve.values("jd_utc"), curve.values(name)
    measured = np.isfinite(jd) & np.isfinite(values)
    return jd, measured & curve.usable, measured & ~curve.usable


def _draw(
    axes: Axes, curve: LightCurve, name: str, time: Values, trusted: Chosen, doubted: Chosen, colour: str
) -> None:
    value, error = curve.values(name), np.nan_to_num(curve.values(f"{name}_error"))
    day = float(np.floor(time[trusted].min()))
    axes.plot(time[doubted] - day, value[doubted], "o", mfc="white", mec=GREY, markersize=4, zorder=1)
    axes.errorbar(
        time[trusted] - day, value[trusted], error[trusted], fmt="o", color=colour, markersize=3, elinewidth=0.6
    )
    night = curve.observation.night.isoformat()
    number, band = curve.observation.observation_id, curve.observation.filter or "no filter"
    tidy(axes, f"JD (UTC) − {day:.0f}", "", f"{number}: {night}, {band}")
    axes.title.set_fontsize(9.5)
    axes.locator_params(axis="x", nbins=4)
