"""One star of the list of variables: light curve, periodogram, and the light curve folded with the best period."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.units import HOURS_PER_DAY
from pipeline.variability import frequency_grid
from services.errors import DataError
from services.results.lightcurves.reading import LightCurve
from services.results.plots.light_curve_plot import time_axis
from services.results.plots.style import BLACK, BLUE, GREEN, LEGEND, ORANGE, RED, head, new_figure, note, save, tidy
from services.results.plots.time_bins import bin_means, view_limits
from services.results.variability.candidates import LEAST_CHANCE, Candidate

PHASE_BINS = 20
PHASES_SHOWN = 1.5  # so that what happens at phase 0 is seen whole
SMOOTH_POINTS = 200  # of a model's line

Values = NDArray[np.float64]


def draw_candidate(curve: LightCurve, candidate: Candidate, path: Path) -> Path:
    """Draw the panels; a dip is marked, and the light curve folded, where noise is unlikely to show such a one.

    Raises:
        DataError: the star has no usable point.
    """
    time, origin, scale = time_axis(curve)
    flux, error = curve.values("flux_relative"), curve.values("flux_relative_error")
    trusted = np.isfinite(flux + time + error) & curve.usable
    if not trusted.any():
        raise DataError(f"source {candidate.source_id} has no usable point to draw")
    time, flux, error = time[trusted], flux[trusted], error[trusted]
    try:
        frequencies = frequency_grid(time)
    except UnusableDataError:
        frequencies = np.empty(0)
    folded = frequencies.size and candidate.sine_is_certain
    rows = 1 + bool(frequencies.size) + bool(folded)
    figure = new_figure(9.5, 1.4 + 2.7 * rows)
    panels = list(figure.subplots(rows, 1, squeeze=False)[:, 0])
    _draw_curve(panels[0], time, flux, error, candidate, origin)
    tidy(panels[0], f"{scale} − {origin:.0f} (days)", "relative flux")
    if frequencies.size:
        _draw_spectrum(panels[1], time, flux, error, frequencies, candidate)
    if folded:
        _draw_folded(panels[2], time, flux, error, candidate.sine_period_d or 1.0)
    chance = "unknown" if candidate.false_alarm is None else f"{max(candidate.false_alarm, LEAST_CHANCE):.2g}"
    place = f"source {candidate.source_id} at ({candidate.x:.1f}, {candidate.y:.1f}) on the first frame"
    place += f", rank {candidate.rank}"
    head(figure, f"{curve.observation.title}\n{place}: {candidate.why}; false alarm {chance}")
    return save(figure, path)


def _draw_curve(axes: Axes, time: Values, flux: Values, error: Values, candidate: Candidate, origin: float) -> None:
    if candidate.box_is_certain and candidate.box_mid_bjd is not None and candidate.box_duration_d is not None:
        mid, half = candidate.box_mid_bjd - origin, 0.5 * candidate.box_duration_d
        period = candidate.box_period_d or np.inf
        first, last = (np.floor((end - mid) / period) if np.isfinite(period) else 0.0 for end in (time[0], time[-1]))
        for cycle in np.arange(first, last + 2.0 * np.isfinite(period) + 1.0):
            centre = mid + (cycle * period if np.isfinite(period) else 0.0)
            label = "best dip" if cycle == first else None
            axes.axvspan(centre - half, centre + half, color=ORANGE, alpha=0.2, linewidth=0, label=label)
    axes.errorbar(time, flux, error, fmt="o", color=BLUE, markersize=3, elinewidth=0.6, alpha=0.85)
    axes.set_ylim(*view_limits(flux, error))
    margin = 0.02 * float(np.ptp(time))
    axes.set_xlim(time[0] - margin, time[-1] + margin)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(**LEGEND, loc="best")


def _draw_spectrum(
    axes: Axes, time: Values, flux: Values, error: Values, frequencies: Values, candidate: Candidate
) -> None:
    from astropy.timeseries import LombScargle

    power = LombScargle(time, flux, error).power(frequencies, assume_regular_frequency=True)
    axes.plot(HOURS_PER_DAY / frequencies, power, color=BLACK, linewidth=1.1)
    if candidate.sine_period_d is not None:
        axes.axvline(candidate.sine_period_d * HOURS_PER_DAY, color=RED, linewidth=1.2, zorder=0)
        chance = "" if candidate.sine_false_alarm is None else f", false alarm {candidate.sine_false_alarm:.2g}"
        note(axes, f"best period {candidate.sine_period_d * HOURS_PER_DAY:.3g} h{chance}")
    axes.set_xscale("log")
    axes.set_ylim(0.0, max(1.1 * float(power.max()), 0.1))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:.2g}" if f"{value:e}"[0] in "25" else "")
    tidy(axes, "period (hours)", "Lomb–Scargle power")


def _draw_folded(axes: Axes, time: Values, flux: Values, error: Values, period: float) -> None:
    """Phase 0 is the brightest part of the sine."""
    angle = 2.0 * np.pi * time / period
    design = np.column_stack([np.ones_like(time), np.cos(angle), np.sin(angle)]) / error[:, None]
    mean, cosine, sine = np.linalg.lstsq(design, flux / error, rcond=None)[0]
    phase = (time / period - np.arctan2(sine, cosine) / (2.0 * np.pi)) % 1.0
    twice = np.concatenate([phase, phase + 1.0])
    shown = twice <= PHASES_SHOWN
    axes.errorbar(
        twice[shown], np.tile(flux, 2)[shown], np.tile(error, 2)[shown], fmt="o", color=BLUE, ms=3, lw=0.6, alpha=0.6
    )
    order = np.argsort(phase)
    at, means, _ = bin_means(phase[order], flux[order], error[order], 1.0 / PHASE_BINS)
    axes.plot(at, means, "o", color=BLACK, markersize=5, markerfacecolor="white", label="means", zorder=4)
    smooth = np.linspace(0.0, PHASES_SHOWN, SMOOTH_POINTS)
    model = mean + np.hypot(cosine, sine) * np.cos(2.0 * np.pi * smooth)
    axes.plot(smooth, model, color=GREEN, linewidth=1.4, label="sine", zorder=3)
    axes.set_ylim(*view_limits(flux[order], error[order]))
    axes.legend(**LEGEND, loc="upper right", ncols=2)
    tidy(axes, f"phase of {period * HOURS_PER_DAY:.4g} h", "relative flux")
