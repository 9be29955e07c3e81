"""Periods by the Lomb-Scargle periodogram, with a false-alarm probability that red noise does not fool."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves
from pipeline.variability.period_fit import fit_period

Floats = NDArray[np.float64]

OVERSAMPLING = 8.0  # frequencies in 1 / span
MIN_CYCLES = 1.0  # in the time observed
NYQUIST_SHARE = 1.0  # of 0.5 / median step
MIN_POINTS = 20
WHITE_POWER_MEDIAN = float(np.log(2.0))  # of an exponential distribution, in its mean


@dataclass(frozen=True)
class Periodicity:
    """The best period of one light curve.

    Attributes:
        period, period_error: unit of the times, of `fit_period` at the highest peak; one standard deviation.
        amplitude: half of what lies between the fitted curve's highest and lowest point, unit of the flux.
        power: of the highest peak, 0 to 1 (share of the variance that the sine explains).
        false_alarm: probability that noise has such a peak anywhere on the grid.
    """

    period: float
    period_error: float
    amplitude: float
    power: float
    false_alarm: float


def frequency_grid(time: Floats) -> Floats:
    """Frequencies float64[f] from one cycle in the time observed to half the median sampling, 8 to an independent one.

    Raises:
        UnusableDataError: all at one time, or fewer than MIN_POINTS times.
    """
    finite = np.sort(time[np.isfinite(time)])
    span = float(np.ptp(finite)) if finite.size else 0.0
    if finite.size < MIN_POINTS or span <= 0:
        raise UnusableDataError(f"{finite.size} times over {span}: expected {MIN_POINTS} or more")
    steps = np.diff(finite)
    highest = NYQUIST_SHARE * 0.5 / float(np.median(steps[steps > 0]))
    return np.arange(MIN_CYCLES / span, max(highest, 2.0 * MIN_CYCLES / span), 1.0 / (OVERSAMPLING * span))


def lomb_scargle(
    time: Floats, flux: Floats, error: Floats, frequencies: Floats, *, noise: Floats | None = None
) -> Periodicity:
    """Generalised Lomb-Scargle periodogram (Zechmeister & Kürster 2009) of one light curve.

    The false-alarm probability is Baluev's (2008, MNRAS 385, 1279) upper limit for frequencies from 0 to the highest.
    Where ``noise`` says that constant stars of the field have more power than white noise, peaks are divided by it
    before they are judged and before the highest is chosen.

    Args:
        time: float64[t].
        flux: float64[t], NaN where missing.
        error: float64[t], one standard deviation.
        frequencies: float64[f], even steps, from `frequency_grid`.
        noise: float64[f] of `noise_spectrum`; white without it.

    Raises:
        UnusableDataError: fewer than MIN_POINTS usable points, or all at one time.
    """
    from astropy.timeseries import LombScargle

    usable = np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    if usable.sum() < MIN_POINTS or np.ptp(time[usable]) <= 0:
        raise UnusableDataError(
            f"{int(usable.sum())} usable points: expected {MIN_POINTS} or more, not all at one time"
        )
    # From the first point on: Baluev's probability squares the times, which would leave nothing of full Julian dates.
    points = time[usable] - time[usable].min(), flux[usable], error[usable]
    periodogram = LombScargle(*points)
    power = np.clip(periodogram.power(frequencies, assume_regular_frequency=True), 0.0, 1.0 - 1e-12)
    judged = power if noise is None else _whitened(power, noise, int(usable.sum()))
    best = int(np.argmax(judged))
    # The grid is as fine as finding a peak needs, no finer: its nearest frequency is up to 3 % off a slow sine's.
    fit = fit_period(*points, float(frequencies[best]))
    chance = periodogram.false_alarm_probability(judged[best], method="baluev", maximum_frequency=frequencies[-1])
    return Periodicity(
        period=fit.period,
        period_error=fit.period_error,
        amplitude=fit.amplitude,
        power=float(power[best]),
        false_alarm=float(np.clip(chance, 0.0, 1.0)),
    )


def noise_spectrum(curves: LightCurves, frequencies: Floats) -> Floats:
    """Power of a field's constant stars in units of white noise's, float64[f], 1 at least.

    The median over stars is taken, so that a few variables among them do no harm. Some 50 stars of about the magnitude
    in question are enough.

    Args:
        curves: raw or relative; fluxes that are not usable are NaN, too.
        frequencies: float64[f], even steps.
    """
    from astropy.timeseries import LombScargle

    powers, time = [], curves.time
    for values, errors in zip(curves.flux, curves.error, strict=True):
        usable = np.isfinite(time) & np.isfinite(values) & np.isfinite(errors) & (errors > 0)
        count = int(usable.sum())
        if count < MIN_POINTS:
            continue
        power = LombScargle(time[usable], values[usable], errors[usable]).power(
            frequencies, assume_regular_frequency=True
        )
        powers.append(_to_normal(np.clip(power, 0.0, 1.0 - 1e-12), count))
    if not powers:
        return np.ones(frequencies.size)
    return np.asarray(np.maximum(np.median(powers, axis=0) / WHITE_POWER_MEDIAN, 1.0))


def _whitened(power: Floats, noise: Floats, count: int) -> Floats:
    return np.asarray(-np.expm1(-2.0 * _to_normal(power, count) / noise / (count - 3.0)))


def _to_normal(power: Floats, count: int) -> Floats:
    """Power whose chance is ``exp(-power)`` at one frequency: ``(1 - p) ** ((n - 3) / 2)`` (Baluev 2008, table 1)."""
    return np.asarray(-0.5 * (count - 3.0) * np.log1p(-power))
