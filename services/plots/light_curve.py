"""One light curve: points with errors, their means over time, and what is not to be trusted shown differently."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.statistics import robust_scatter
from services.errors import DataError
from services.lightcurves.reading import LightCurve
from services.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, new_figure, save, tidy

DISTRUSTED = int(Flag.SATURATED | Flag.EDGE | Flag.BAD_PIXEL | Flag.NO_SKY)
MIN_POINTS_TO_BIN = 30
POINTS_A_BIN = 8  # on average
MAX_BINS = 60
MINUTES_PER_DAY = 1440.0
OUTER_PERCENTILES = (1.0, 99.0)  # of the trusted points: what must be in view
MARGIN = 0.35  # of their range, above and below
PPT = 1000.0


def draw_light_curve(curve: LightCurve, path: Path) -> Path:
    """Draw a light curve of one aperture.

    Raises:
        DataError: it has no relative flux, or more than one aperture.
    """
    if len(curve.radii) != 1:
        raise DataError(
            f"source {curve.source.source_id}: a plot shows one aperture, this light curve has {curve.radii}"
        )
    time, origin, scale = _time(curve)
    flux, error = curve.values("flux_relative"), curve.values("flux_relative_error")
    measured = np.isfinite(flux) & np.isfinite(time)
    if not measured.any():
        raise DataError(
            f"source {curve.source.source_id} of observation {curve.observation.observation_id} has no relative flux "
            f"with a time in aperture {next(iter(curve.radii))}: it may leave the frames, or have no reference stars"
        )
    rejected = measured & ~curve.values("image_good").astype(bool)
    flagged = measured & ~rejected & ((curve.values("flag") & DISTRUSTED) > 0)
    trusted = measured & ~rejected & ~flagged
    figure = new_figure(9.5, 5.0)
    axes = figure.add_subplot()
    for chosen, marker, colour, name in (
        (rejected, "x", GREY, "frame rejected"),
        (flagged, "s", ORANGE, "flagged"),
        (trusted, "o", BLUE, "measured"),
    ):
        if chosen.any():
            _points(axes, time[chosen], flux[chosen], error[chosen], marker, colour, name)
    if np.count_nonzero(trusted) >= MIN_POINTS_TO_BIN:
        _draw_bins(axes, time[trusted], flux[trusted], error[trusted])
    if np.any(trusted | flagged):
        _limit(axes, flux[measured], flux[trusted] if trusted.any() else flux[flagged])
    tidy(
        axes,
        f"{scale} − {origin:.0f} (days)",
        "relative flux",
        _title(curve, flux[trusted | flagged], error[trusted | flagged]),
    )
    axes.legend(**LEGEND, ncols=4, loc="upper left", bbox_to_anchor=(0.0, -0.12))
    return save(figure, path)


def _time(curve: LightCurve) -> tuple[NDArray[np.float64], float, str]:
    """Days since a whole day, that day, and the time scale; NaN where unknown."""
    bjd = curve.values("bjd_tdb")
    name, values = ("BJD (TDB)", bjd) if np.isfinite(bjd).all() else ("JD (UTC)", curve.values("jd_utc"))
    known = values[np.isfinite(values)]
    origin = float(np.floor(known.min())) if known.size else 0.0
    return values - origin, origin, name


def _points(
    axes: Axes,
    time: NDArray[np.float64],
    flux: NDArray[np.float64],
    error: NDArray[np.float64],
    marker: str,
    colour: str,
    name: str,
) -> None:
    axes.errorbar(
        time,
        flux,
        yerr=np.nan_to_num(error),
        fmt=marker,
        color=colour,
        markersize=4.5 if marker == "x" else 3,
        markerfacecolor="none" if marker == "s" else colour,
        elinewidth=0.6,
        alpha=0.75,
        label=f"{name} ({time.size})",
    )


def bin_means(
    time: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean time, flux and its standard error in bins of ``width``; empty bins are left out: ``[n_bins]``."""
    usable = np.isfinite(flux) & (error > 0)
    time, flux, weight = time[usable], flux[usable], error[usable] ** -2.0
    number = ((time - time.min()) // width).astype(np.int64) if time.size else np.empty(0, np.int64)
    total = np.bincount(number, weight)
    filled = total > 0
    total = total[filled]
    means = (np.bincount(number, weight * values)[filled] / total for values in (time, flux))
    return (*means, total**-0.5)  # type: ignore[return-value]


def _draw_bins(axes: Axes, time: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]) -> None:
    span = float(np.ptp(time))
    if span <= 0:
        return
    width = span / min(MAX_BINS, time.size // POINTS_A_BIN) * (1 + 1e-9)  # the last point falls into the last bin
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


def _limit(axes: Axes, all_flux: NDArray[np.float64], shown: NDArray[np.float64]) -> None:
    """Keep single outliers from flattening the curve, and say how many lie outside."""
    low, high = np.percentile(shown, OUTER_PERCENTILES)
    margin = max(MARGIN * (high - low), 1e-6)
    axes.set_ylim(low - margin, high + margin)
    outside = np.count_nonzero((all_flux < low - margin) | (all_flux > high + margin))
    if outside:
        axes.plot([], [], " ", label=f"{outside} outside the plot")


def _title(curve: LightCurve, flux: NDArray[np.float64], error: NDArray[np.float64]) -> str:
    place = f"source {curve.source.source_id} at ({curve.source.x:.1f}, {curve.source.y:.1f})"
    (radius,) = curve.radii.values()
    title = f"{curve.observation.title}\n{place}, aperture {radius:g} px"
    if flux.size < 2:
        return title
    scatter = float(robust_scatter(flux[None, :])[0]) * PPT
    known = error[np.isfinite(error)]
    quoted = f", quoted error {np.median(known) * PPT:.3g} ppt" if known.size else ""
    return f"{title}: scatter {scatter:.3g} ppt{quoted}"
