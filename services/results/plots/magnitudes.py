"""Stars against brightness: Gaia's magnitudes where they are known, else instrumental ones, and medians along them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.star_statistics import Stars
from services.results.lightcurves.zero_points import catalogue_magnitudes
from services.results.plots.style import RED

ZERO_POINT = 25.0  # arbitrary, mag of a star of 1 ADU: keeps instrumental magnitudes positive
CATALOGUE_LABEL = "Gaia G magnitude, by the night's zero points"
INSTRUMENTAL_LABEL = f"instrumental magnitude ({ZERO_POINT:g} − 2.5 log₁₀ of the median flux in ADU)"
MANY_STARS = 3000  # from which on points are drawn smaller
MIN_STARS = 5  # in a window, where values scatter
WINDOW_MAG, STEP_MAG = 0.5, 0.2
LABELS_ALL_DECADES = 1.2  # decades in view up to which 2 and 5 are labelled too

Values = NDArray[np.float64]


def magnitudes(flux: Values) -> Values:
    """Instrumental magnitudes of fluxes in ADU: float64[n]."""
    return np.asarray(ZERO_POINT - 2.5 * np.log10(flux))


def brightness(session: Session, observation: ObservationFacts, stars: Stars) -> tuple[Values, str]:
    """Magnitudes of stars, float64[n], and what they are: Gaia's G where the night has zero points."""
    known = catalogue_magnitudes(session, observation, stars)
    return (magnitudes(stars.flux), INSTRUMENTAL_LABEL) if known is None else (known, CATALOGUE_LABEL)


def point_size(stars: int) -> float:
    """Area of a point, square points."""
    return 14.0 if stars < MANY_STARS else 5.0


def running(
    magnitude: Values, values: Values, percentile: float = 50.0, least: int = MIN_STARS
) -> tuple[Values, Values]:
    """Median magnitude and a percentile of the values in a window that runs along the stars, NaN left out: ``[m]``.

    The window is half a magnitude wide, and wider where fewer than ``least`` stars lie in it.
    """
    order = np.argsort(magnitude, kind="stable")
    order = order[np.isfinite(values[order])]
    magnitude, values = magnitude[order], values[order]
    if not order.size:
        return np.empty(0), np.empty(0)
    grid = np.arange(magnitude[0], magnitude[-1] + STEP_MAG, STEP_MAG)
    first, last = (np.searchsorted(magnitude, grid + side * WINDOW_MAG / 2) for side in (-1, 1))
    nearest = np.searchsorted(magnitude, grid) - least // 2
    few = last - first < least
    first = np.where(few, nearest, first).clip(0, max(0, order.size - least))
    last = np.where(few, first + least, last)
    windows = [slice(*ends) for ends in sorted(set(zip(first.tolist(), last.tolist(), strict=True)))]
    at = np.array([np.median(magnitude[window]) for window in windows])
    return at, np.array([np.percentile(values[window], percentile) for window in windows])


def mark_star(axes: Axes, stars: Stars, magnitude: Values, values: Values, source_id: int | None) -> None:
    """A ring around one star's point."""
    index = np.flatnonzero(stars.source_id == source_id)
    if index.size and np.isfinite(values[index]).all():
        axes.scatter(
            magnitude[index],
            values[index],
            s=110,
            facecolors="none",
            edgecolors=RED,
            linewidths=1.6,
            zorder=5,
            label=f"source {source_id}",
        )


def plain_log_scale(axes: Axes) -> None:
    """A logarithmic y axis whose ticks read 1, 2, 5, 10: call when all is drawn."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    narrow = np.log10(high / low) < 2 * LABELS_ALL_DECADES
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
