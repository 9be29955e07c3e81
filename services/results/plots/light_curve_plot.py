"""One light curve: points with errors, their means over time, and what is not to be trusted shown differently."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.flags import SPOILING, Flag
from pipeline.statistics import FEWEST_POINTS, robust_scatter
from pipeline.units import MINUTES_PER_DAY
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.plots.flag_marks import marked, of_the_star
from services.results.plots.style import BLACK, BLUE, GREY, LEGEND, PPT, head, new_figure, save, tidy
from services.results.plots.time_bins import bin_means, bin_width, point_to_point, view_limits

Values = NDArray[np.float64]
Chosen = NDArray[np.bool_]


def draw_light_curve(curve: LightCurve, path: Path) -> Path:
    """Draw a light curve of one aperture, and below it the detrended one where there is one.

    Raises:
        DataError: it has no relative flux, or more than one aperture.
    """
    if len(curve.radii) != 1:
        raise DataError(
            f"source {curve.source.source_id}: a plot shows one aperture, this light curve has {curve.radii}"
        )
    time, origin, scale = time_axis(curve)
    if not np.isfinite(time + curve.values("flux_relative")).any():
        raise DataError(
            f"source {curve.source.source_id} of observation {curve.observation.observation_id} has no relative flux "
            f"with a time in aperture {next(iter(curve.radii))}: it may leave the frames, or have no reference stars"
        )
    detrended = np.isfinite(time + curve.values("flux_detrended")).any()
    series = ["flux_relative", "flux_detrended"] if detrended else ["flux_relative"]
    figure = new_figure(9.5, 2.0 + 3.2 * len(series))
    panels = figure.subplots(len(series), 1, sharex=True, squeeze=False)[:, 0]
    place = f"source {curve.source.source_id} at ({curve.source.x:.1f}, {curve.source.y:.1f}) on the first frame"
    title = f"{curve.observation.title}\n{place}, aperture {next(iter(curve.aperture_names.values()))}"
    head(figure, "; ".join([title, *of_the_star(curve.values("flag"))]))
    for axes, name in zip(panels, series, strict=True):
        words = draw_series(axes, curve, time, name)
        tidy(axes, "", name.removeprefix("flux_") + " flux")
        axes.set_title(words, fontsize=9.5, loc="left")
    _legend(figure, panels[0])
    panels[-1].set_xlabel(f"{scale} − {origin:.0f} (days)")
    return save(figure, path)


def _legend(figure: Figure, axes: Axes) -> None:
    """Of one panel, below all: the other one shows the same points."""
    marks, names = axes.get_legend_handles_labels()
    figure.legend(marks, names, **LEGEND, ncols=5, loc="outside lower left", columnspacing=1.2, handletextpad=0.3)


def time_axis(curve: LightCurve) -> tuple[Values, float, str]:
    """Days since a whole day, that day, and the time scale; NaN where unknown."""
    bjd = curve.bjd
    name, values = ("BJD (TDB)", bjd) if np.isfinite(bjd).all() else ("JD (UTC)", curve.values("jd_utc"))
    known = values[np.isfinite(values)]
    origin = float(np.floor(known.min())) if known.size else 0.0
    return values - origin, origin, name


def draw_series(axes: Axes, curve: LightCurve, time: Values, name: str) -> str:
    """Draw one series; returns what is to be said of it."""
    flux, error, flag = curve.values(name), curve.values(f"{name}_error"), curve.values("flag")
    measured = np.isfinite(flux) & np.isfinite(time)
    rejected = ~curve.values("image_good").astype(bool) | ((flag & Flag.BAD_FRAME) > 0)
    trusted = measured & curve.usable
    flagless = (flag & SPOILING & ~Flag.BAD_FRAME) == 0
    _points(axes, time, flux, error, measured & rejected & flagless, "o", GREY, "rejected frame", hollow=True)
    _points(axes, time, flux, error, trusted, "o", BLUE, "measured")
    for mark, chosen in marked(flag):
        _points(axes, time, flux, error, measured & chosen & ~rejected, mark.marker, mark.colour, mark.name)
        words = f"{mark.name}, rejected frame"
        _points(axes, time, flux, error, measured & chosen & rejected, mark.marker, mark.colour, words, hollow=True)
    basis = next(chosen for chosen in (trusted, measured & ~rejected, measured) if chosen.any())
    low, high = view_limits(flux[basis], error[basis])
    axes.set_ylim(low, high)
    outside = np.count_nonzero(measured & ((flux < low) | (flux > high)))
    in_view = trusted & (flux >= low) & (flux <= high)
    _draw_bins(axes, time[in_view], flux[in_view], error[in_view])
    missing = np.count_nonzero(~measured)
    counts = [(outside, "outside the plot"), (missing, "without a value")]
    said = [f"{count} point{'s' if count > 1 else ''} {what}" for count, what in counts if count]
    return "; ".join([_precision(flux[basis], error[basis]), *said])


def _points(
    axes: Axes,
    time: Values,
    flux: Values,
    error: Values,
    chosen: Chosen,
    marker: str,
    colour: str,
    name: str,
    *,
    hollow: bool = False,
) -> None:
    if chosen.any():
        axes.errorbar(
            time[chosen],
            flux[chosen],
            yerr=np.nan_to_num(error[chosen]),
            fmt=marker,
            color=colour,
            markersize=3 if marker == "o" and not hollow else 5.5,
            markerfacecolor="white" if hollow else colour,
            markeredgewidth=0.9,
            elinewidth=0.6,
            alpha=0.85,
            label=f"{name} ({np.count_nonzero(chosen)})",
        )


def _draw_bins(axes: Axes, time: Values, flux: Values, error: Values) -> None:
    width = bin_width(time, flux)
    if width is None:
        return
    at, mean, mean_error = bin_means(time, flux, error, width)
    axes.errorbar(
        at,
        mean,
        yerr=mean_error,
        fmt="o",
        color=BLACK,
        markersize=5,
        markerfacecolor="white",
        markeredgewidth=1.2,
        elinewidth=1.0,
        zorder=4,
        label=f"means over {width * MINUTES_PER_DAY:.3g} min",
    )


def _precision(flux: Values, error: Values) -> str:
    """Noise that was reached and noise that was quoted, of the points in use."""
    if flux.size < FEWEST_POINTS:
        return f"{flux.size} point{'s' if flux.size > 1 else ''}: too few to tell a scatter"
    known = error[np.isfinite(error)]
    quoted = f", quoted error {np.median(known) * PPT:.3g}" if known.size else ""
    scatter = float(robust_scatter(flux[None, :])[0]) * PPT
    return f"parts per thousand: scatter {scatter:.3g}, point to point {point_to_point(flux) * PPT:.3g}{quoted}"
