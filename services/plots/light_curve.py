"""One light curve: points with errors, their means over time, and what is not to be trusted shown differently."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.statistics import MAD_TO_SIGMA, robust_scatter
from services.errors import DataError
from services.lightcurves.reading import LightCurve
from services.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, new_figure, save, tidy

DISTRUSTED = int(Flag.SATURATED | Flag.EDGE | Flag.BAD_PIXEL | Flag.NO_SKY)
MIN_POINTS_TO_BIN = 60
POINTS_A_BIN = 8  # on average
MAX_BINS = 60
MAX_SPREAD = 1.5  # of a bin's points, over the noise between neighbours: beyond, means would hide the variation
MINUTES_PER_DAY = 1440.0
MARGIN = 0.1  # of the range in view, above and below
MARGIN_ERRORS = 3.0  # quoted errors, above and below: single points beyond are no noise
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
    basis = next(chosen for chosen in (trusted, flagged, rejected) if chosen.any())
    low, high = view_limits(flux[basis], error[basis])
    _limit(axes, flux[measured], low, high)
    in_view = trusted & (flux >= low) & (flux <= high)
    if np.count_nonzero(in_view) >= MIN_POINTS_TO_BIN:
        _draw_bins(axes, time[in_view], flux[in_view], error[in_view])
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


def resolved_within(time: NDArray[np.float64], flux: NDArray[np.float64], width: float) -> bool:
    """Whether the flux varies within bins of ``width`` by clearly more than from point to point: ``[n]`` by time."""
    number = ((time - time.min()) // width).astype(np.int64)
    count = np.bincount(number)
    several = count > 1
    mean = np.bincount(number, flux) / np.maximum(count, 1)
    squares = np.bincount(number, (flux - mean[number]) ** 2)
    if not several.any():
        return False
    spread = np.median(np.sqrt(squares[several] / (count[several] - 1)))
    noise = MAD_TO_SIGMA * np.median(np.abs(np.diff(flux))) / np.sqrt(2.0)
    return bool(spread > MAX_SPREAD * noise)


def _draw_bins(axes: Axes, time: NDArray[np.float64], flux: NDArray[np.float64], error: NDArray[np.float64]) -> None:
    span = float(np.ptp(time))
    if span <= 0:
        return
    width = span / min(MAX_BINS, time.size // POINTS_A_BIN) * (1 + 1e-9)  # the last point falls into the last bin
    if resolved_within(time, flux, width):
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


def view_limits(flux: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest flux in view: ``flux, error: [n]`` in order of time.

    The median of three neighbours drops single outliers, which would flatten the curve, and keeps a flare or a dip
    of two points.
    """
    kept = np.median(sliding_window_view(np.pad(flux, 1, mode="reflect"), 3), axis=1) if flux.size > 2 else flux
    low, high = float(kept.min()), float(kept.max())
    known = error[np.isfinite(error)]
    margin = MARGIN * (high - low) + MARGIN_ERRORS * (float(np.median(known)) if known.size else 0.0)
    margin = margin or abs(high) * MARGIN or MARGIN
    return low - margin, high + margin


def _limit(axes: Axes, flux: NDArray[np.float64], low: float, high: float) -> None:
    axes.set_ylim(low, high)
    outside = np.count_nonzero((flux < low) | (flux > high))
    if outside:
        words = f"{outside} point{'s' if outside > 1 else ''} outside the plot"
        axes.text(0.995, 0.98, words, transform=axes.transAxes, ha="right", va="top", fontsize=9, color=BLACK)


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
