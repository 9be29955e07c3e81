"""Box least squares on one light curve, with a false-alarm probability from other nights or other stars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves
from pipeline.transit.red_noise import red_noise_factor

Floats = NDArray[np.float64]

DURATION_SHARES = (0.02, 0.03, 0.045, 0.065, 0.095, 0.14, 0.2, 0.3)  # of the time observed
PERIODS = 60  # between the shortest and the time observed; one more, twice that, is a single event
SHORTEST_PERIOD_SHARE = 0.32  # of the time observed; longer than the longest box
MIN_POINTS = 30
NIGHTS = 200  # simulated
WHITE_NOISE = 0.01  # of the simulated nights; any would do
TINY = 1e-12


@dataclass(frozen=True)
class RepeatedBox:
    """The best box of one light curve.

    Attributes:
        period, duration, epoch: days; the epoch is a mid-time. A period beyond the time observed means a single event.
        depth: share of the flux.
        snr: of the depth, by the scatter about the box and its red noise rather than by the quoted errors.
        false_alarm: probability that noise has a box of this SNR anywhere on the grid; NaN without `maxima`.
    """

    period: float
    duration: float
    epoch: float
    depth: float
    snr: float
    false_alarm: float


def repeated_box(time: Floats, flux: Floats, error: Floats, maxima: Floats | None = None) -> RepeatedBox:
    """Box least squares (Kovács et al. 2002, A&A 391, 369) for dips that repeat within the night, or happen once.

    The SNR is divided by the scatter of the residuals in units of the quoted errors, and by how much worse than white
    noise they average (β of `red_noise_factor`). Its false-alarm probability is that of a Gumbel distribution (of a
    maximum over many trials) through ``maxima``: what stars without boxes reach at these times.

    Args:
        time: float64[t], days, in order.
        flux: float64[t], NaN where missing.
        error: float64[t], one standard deviation.
        maxima: float64[m] of `white_maxima` or `field_maxima`; one serves all stars of a night.

    Raises:
        UnusableDataError: fewer than MIN_POINTS usable points, or all at one time.
    """
    usable = np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    t, level = _checked(time[usable]), float(np.median(flux[usable]))
    y, e = flux[usable] / level, error[usable] / abs(level)
    period, duration, epoch, depth, snr = _search(t, y, e)
    inside = np.abs((t - epoch + 0.5 * period) % period - 0.5 * period) < 0.5 * duration
    filled = y + depth * inside
    residual = (filled - np.average(filled, weights=e**-2.0)) / e
    true_snr = snr / (float(np.sqrt(np.mean(residual**2))) * red_noise_factor(residual))
    chance = float("nan") if maxima is None else _gumbel_tail(true_snr, maxima)
    return RepeatedBox(period, duration, epoch, depth, true_snr, chance)


def white_maxima(time: Floats, *, seed: int, nights: int = NIGHTS) -> Floats:
    """SNRs of the best boxes in white noise at these times, float64[nights]; for a field without red noise.

    Args:
        time: float64[t], days, in order.
        seed: of the noise.
        nights: how many are simulated; some 3 ms each for 300 times.

    Raises:
        UnusableDataError: fewer than MIN_POINTS times, or all at one time.
    """
    noise = np.random.default_rng(seed).normal(size=(nights, time.size))
    errors = np.full(time.size, WHITE_NOISE)
    return np.array([repeated_box(time, 1.0 + WHITE_NOISE * row, errors).snr for row in noise])


def field_maxima(curves: LightCurves) -> Floats:
    """SNRs of the best boxes of a field's stars, which share its red noise; variables among them do little harm.

    Args:
        curves: of a hundred stars of about the magnitude in question.

    Returns:
        float64[m], m <= n: stars of fewer than MIN_POINTS points are left out.

    Raises:
        UnusableDataError: no star has enough points.
    """
    flux, error = curves.flux, curves.error
    enough = np.flatnonzero((np.isfinite(flux) & np.isfinite(error) & (error > 0)).sum(axis=1) >= MIN_POINTS)
    if not enough.size:
        raise UnusableDataError(f"none of {len(flux)} stars has {MIN_POINTS} usable points")
    return np.array([repeated_box(curves.time, flux[star], error[star]).snr for star in enough])


def _search(time: Floats, flux: Floats, error: Floats) -> list[float]:
    """Period, duration, epoch, depth and SNR of the best box."""
    from astropy.timeseries import BoxLeastSquares

    span = float(np.ptp(time))
    frequencies = np.linspace(1.0 / (SHORTEST_PERIOD_SHARE * span), 1.0 / span, PERIODS)
    periods = np.append(1.0 / frequencies, 2.0 * span)
    found = BoxLeastSquares(time, flux, error).power(periods, span * np.array(DURATION_SHARES), objective="snr")
    best = int(np.argmax(found.depth_snr))
    names = ("period", "duration", "transit_time", "depth", "depth_snr")
    return [float(getattr(found, name)[best]) for name in names]


def _checked(time: Floats) -> Floats:
    span = float(np.ptp(time)) if time.size else 0.0
    if time.size < MIN_POINTS or span <= 0:
        raise UnusableDataError(f"{time.size} usable points over {span} d: expected {MIN_POINTS} or more")
    return time


def _gumbel_tail(value: float, maxima: Floats) -> float:
    """Probability that a Gumbel variate with the quartiles of these maxima exceeds the value."""
    lower, median, upper = np.percentile(maxima, (25.0, 50.0, 75.0))
    scale = float(upper - lower) / (np.log(np.log(4.0)) - np.log(np.log(4.0 / 3.0)))
    location = float(median) + scale * np.log(np.log(2.0))
    return float(-np.expm1(-np.exp(-(value - location) / max(scale, TINY))))
