"""How clear the night was, and how well Gaia's magnitudes are reproduced: zero points, colours, residuals."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from sqlalchemy.orm import Session

from pipeline.statistics import robust_scatter
from pipeline.units import HOURS_PER_DAY
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import aperture_name, read_apertures
from services.results.lightcurves.zero_points import NightZeroPoints, read_zero_points
from services.results.plots.magnitudes import point_size, running
from services.results.plots.style import BLACK, BLUE, GREY, LEGEND, ORANGE, head, new_figure, note, save, tidy

MMAG = 1000.0
CENTRAL = (16.0, 84.0)  # percentiles: one standard deviation on both sides of a Gaussian
VIEW_SIGMA = 6.0  # of the stars' scatter, up and down


def draw_zero_points(session: Session, observation: ObservationFacts, path: Path) -> Path:
    """Draw the panels: zero point and transparency in time, the colour term, and residuals against G.

    Raises:
        DataError: the observation has no zero points.
    """
    night = read_zero_points(session, observation)
    figure = new_figure(9.5, 10.0)
    top, middle, colours, residuals = figure.subplots(4, 1, height_ratios=[1.0, 0.8, 1.2, 1.2])
    _draw_night(top, middle, night)
    _draw_colours(colours, night)
    _draw_residuals(residuals, night)
    figure.align_ylabels()
    aperture = read_apertures(session, observation)[night.aperture]
    head(figure, f"{observation.title}: zero points of {aperture_name(aperture)}, {int(night.used.sum())} stars")
    return save(figure, path)


def _draw_night(top: Axes, middle: Axes, night: NightZeroPoints) -> None:
    timed = bool(np.isfinite(night.jd_utc).all())
    time = (night.jd_utc - night.jd_utc[0]) * HOURS_PER_DAY if timed else np.arange(night.jd_utc.size, dtype=np.float64)
    label = "hours since the first frame" if timed else "frame (their headers tell no time)"
    for axes, values in ((top, night.zero_point), (middle, night.transparency)):
        axes.plot(time[night.good], values[night.good], "o", color=BLUE, markersize=3)
        axes.plot(time[~night.good], values[~night.good], "o", color=GREY, markersize=4, markerfacecolor="white")
    top.errorbar(time, night.zero_point, night.error, fmt="none", ecolor=GREY, elinewidth=0.6, zorder=1)
    tidy(top, "", "zero point\n(G of 1 ADU)")
    tidy(middle, label, "transparency")
    middle.axhline(1.0, color=ORANGE, linewidth=1.0, zorder=1)
    error = f"{MMAG * np.median(night.error):.1f} mmag"
    note(top, f"error of a magnitude beside its photon noise: {error}", y=0.3)


def _draw_colours(axes: Axes, night: NightZeroPoints) -> None:
    line = night.colour_term * (night.colour - night.colour_reference)
    known = np.isfinite(night.residual + line)
    _points(axes, night, night.colour, night.residual + line, known)
    if known.any():
        ends = np.array([night.colour[known].min(), night.colour[known].max()])
        axes.plot(ends, MMAG * night.colour_term * (ends - night.colour_reference), color=ORANGE, linewidth=1.8)
    tidy(axes, "BP − RP", "G − instrumental\n(mmag)")
    note(axes, f"colour term {night.colour_term:+.4f}".replace("-", "−"))


def _draw_residuals(axes: Axes, night: NightZeroPoints) -> None:
    known = np.isfinite(night.residual)
    axes.axhline(0.0, color=ORANGE, linewidth=1.6, zorder=1)
    _points(axes, night, night.g_mag, night.residual, known)
    judged = known & night.used
    if judged.any():
        at, median = running(night.g_mag[judged], MMAG * night.residual[judged])
        low, high = (running(night.g_mag[judged], MMAG * night.residual[judged], q)[1] for q in CENTRAL)
        axes.fill_between(at, low, high, color=BLACK, alpha=0.12, linewidth=0)
        axes.plot(at, median, color=BLACK, linewidth=1.6)
    tidy(axes, "G of Gaia DR3", "G − mag,\nmedian (mmag)")
    axes.legend(**LEGEND, loc="lower left")


def _points(axes: Axes, night: NightZeroPoints, x: np.ndarray, y: np.ndarray, known: np.ndarray) -> None:
    """Stars in the fit and beside it; the view is that of those in it, and says how many others lie outside."""
    size = point_size(x.size)
    for mask, colour, label in ((known & ~night.used, GREY, "not used"), (known & night.used, BLUE, "used")):
        axes.scatter(x[mask], MMAG * y[mask], s=size, color=colour, linewidths=0, alpha=0.8, label=label)
    judged = MMAG * y[known & night.used]
    if judged.size:
        reach = VIEW_SIGMA * max(float(robust_scatter(judged[None, :])[0]), 1.0)
        low, high = judged.min() - 0.1 * reach, judged.max() + 0.1 * reach
        low, high = min(low, np.median(judged) - reach), max(high, np.median(judged) + reach)
        axes.set_ylim(low, high)
        outside = int(np.count_nonzero((MMAG * y[known] < low) | (MMAG * y[known] > high)))
        if outside:
            axes.set_title(f"{outside} stars outside the plot", fontsize=9, loc="right", pad=3)
