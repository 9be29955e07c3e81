"""The period of one star over many nights, and the periods that the gaps between the nights leave open."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.variability.period_fit import MAX_HARMONICS, PeriodFit, fit_period

Floats = NDArray[np.float64]

OVERSAMPLING = 6.0  # frequencies in 1 / time spanned
NIGHT_OVERSAMPLING = 16.0  # in 1 / length of a night, between which a night's sums are interpolated to 0.5 %
MIN_CYCLES = 1.0  # in the longest night, or in the time spanned where there are several
HIGHEST = 0.5  # of 1 / median step within a night
MAX_FREQUENCIES = 4_000_000  # of one search: some seconds a night
BLOCK = 1 << 17  # frequencies at a time
PEAKS = 24  # of the periodogram that are fitted
MIN_POINTS = 20
SIDEREAL_DAY = 0.99726957  # days
ALIAS_DAYS = 3  # cycles a day more or less that are called day aliases
MULTIPLES = (2.0, 0.5)  # of the best period: two eclipses a period look like one of half of it
TINY = 1e-12


@dataclass(frozen=True)
class Alternative:
    """One period that may be the true one.

    Attributes:
        fit: at this period.
        relative_evidence: its posterior odds to the best, by the Bayesian information criterion; 1 for the best itself.
        relation: to the best, such as "+1 cycle a day"; empty for the best, and where there is none.
    """

    fit: PeriodFit
    relative_evidence: float
    relation: str


@dataclass(frozen=True)
class PeriodSearch:
    """What all nights say.

    Attributes:
        alternatives: the best first.
        frequencies, power: float64[f], the periodogram: share of the chi² within the nights that a sine takes away.
        false_alarm: probability that noise, as red as the residuals, has such a peak anywhere (Baluev 2008).
        nights: that were joined; shortened: whether the shortest periods were left out for their number.
    """

    alternatives: tuple[Alternative, ...]
    frequencies: Floats
    power: Floats
    false_alarm: float
    nights: int
    shortened: bool

    @property
    def best(self) -> PeriodFit:
        """The likeliest."""
        return self.alternatives[0].fit


def search_periods(time: Floats, value: Floats, error: Floats, night: NDArray[np.int64]) -> PeriodSearch:
    """Search all nights of a star together; each has a level of its own, which is fitted with the curve.

    A generalised Lomb-Scargle periodogram (Zechmeister & Kürster 2009) with one mean a night finds the peaks, a fit of
    harmonics (`fit_period`) refines and weighs them. Magnitudes or logarithms of fluxes make nights' normalisations
    the levels that are fitted.

    Args:
        time: float64[t], days (BJD), in order.
        value, error: float64[t], finite; errors positive.
        night: int64[t], 0, 1, 2, …

    Raises:
        UnusableDataError: fewer than MIN_POINTS points, or all of them single in their nights.
    """
    if time.size < MIN_POINTS or np.ptp(time) <= 0:
        raise UnusableDataError(f"{time.size} points: expected {MIN_POINTS} or more, not all at one time")
    frequencies, shortened = _grid(time, night)
    start = float(time[0])  # full Julian dates leave no digits for phases
    since = time - start
    power = night_periodogram(since, value, error, night, frequencies)
    fits = _fits(since, value, error, night, frequencies, power)
    alternatives = _weighed(fits, float(np.ptp(time)))
    false_alarm = _false_alarm(since, error, power, alternatives[0].fit, float(frequencies[-1]))
    moved = tuple(Alternative(_moved(one.fit, start), one.relative_evidence, one.relation) for one in alternatives)
    return PeriodSearch(moved, frequencies, power, false_alarm, int(np.unique(night).size), shortened)


def night_periodogram(
    time: Floats, value: Floats, error: Floats, night: NDArray[np.int64], frequencies: Floats
) -> Floats:
    """Share of the chi² about the nights' own means that one sine takes away, float64[f].

    A night's sums of w exp(iωt) turn slowly with ω about its own middle. They are computed at few frequencies and
    interpolated; nights spread over years then cost one product a night and frequency, not one a point.

    Args:
        time: float64[t]; value, error: float64[t]; night: int64[t] from 0.
        frequencies: float64[f], rising.
    """
    weight = error**-2.0
    parts, total = [], 0.0
    for number in np.unique(night):
        chosen = night == number
        w = weight[chosen]
        y = value[chosen] - np.average(value[chosen], weights=w)
        total += float(np.sum(w * y**2))
        parts.append(_NightSums(time[chosen], y, w, float(frequencies[0]), float(frequencies[-1])))
    power = np.empty(frequencies.size)
    for first in range(0, frequencies.size, BLOCK):
        block = frequencies[first : first + BLOCK]
        steady = np.zeros(block.size)
        turning, signal = np.zeros(block.size, dtype=np.complex128), np.zeros(block.size, dtype=np.complex128)
        for part in parts:
            part.add(block, steady, turning, signal)
        power[first : first + BLOCK] = _share(steady, turning, signal)
    return np.clip(power / max(total, TINY), 0.0, 1.0)


class _NightSums:
    """Sums over one night's points with its mean taken out, as functions of frequency."""

    def __init__(self, time: Floats, value: Floats, weight: Floats, lowest: float, highest: float) -> None:
        self._middle = 0.5 * float(time.min() + time.max())
        since, span = time - self._middle, float(np.ptp(time))
        step = 1.0 / (NIGHT_OVERSAMPLING * span) if span > 0 else highest - lowest
        self._at = np.linspace(lowest, highest, max(2, int(np.ceil((highest - lowest) / step)) + 1))
        turn = np.exp(2j * np.pi * np.outer(self._at, since))
        first, second = turn @ weight, turn**2 @ weight
        self._signal = turn @ (weight * value)
        self._steady = weight.sum() - np.abs(first) ** 2 / weight.sum()
        self._turning = second - first**2 / weight.sum()

    def add(
        self, frequencies: Floats, steady: Floats, turning: NDArray[np.complex128], signal: NDArray[np.complex128]
    ) -> None:
        """Add sum w - |C|² / W, and of e²ⁱ and eⁱ what cos², sin² and the values' sums are made of."""
        phase = np.exp(2j * np.pi * self._middle * frequencies)
        steady += np.interp(frequencies, self._at, self._steady)
        turning += np.interp(frequencies, self._at, self._turning) * phase**2
        signal += np.interp(frequencies, self._at, self._signal) * phase


def _share(steady: Floats, turning: NDArray[np.complex128], signal: NDArray[np.complex128]) -> Floats:
    """chi² that cos and sin take away: b A⁻¹ b of the 2 × 2 normal equations."""
    cc, ss, cs = 0.5 * (steady + turning.real), 0.5 * (steady - turning.real), 0.5 * turning.imag
    c, s = signal.real, signal.imag
    determinant = cc * ss - cs**2
    # Nearly a constant within each night: nothing can be said of such a frequency.
    known = determinant > 1e-6 * (cc + ss) ** 2
    return np.where(known, (ss * c**2 - 2.0 * cs * c * s + cc * s**2) / np.where(known, determinant, 1.0), 0.0)


def _grid(time: Floats, night: NDArray[np.int64]) -> tuple[Floats, bool]:
    """Frequencies, and whether the highest were left out."""
    span = float(np.ptp(time))
    lengths, steps = [], []
    for number in np.unique(night):
        own = time[night == number]
        lengths.append(float(np.ptp(own)))
        steps.append(np.diff(own))
    within = np.concatenate(steps)
    if not (within > 0).any():
        raise UnusableDataError("each night has a single point: with a level of its own it says nothing of a period")
    highest = HIGHEST / float(np.median(within[within > 0]))
    # With a level for each night, slower variations than some nights long leave a slope in each.
    lowest = MIN_CYCLES / (span if len(lengths) == 1 else min(span, 5.0 * max(lengths)))
    step = 1.0 / (OVERSAMPLING * span)
    count = int(np.ceil((max(highest, 2.0 * lowest) - lowest) / step)) + 1
    frequencies: Floats = lowest + step * np.arange(min(count, MAX_FREQUENCIES), dtype=np.float64)
    return frequencies, count > MAX_FREQUENCIES


def _fits(
    time: Floats, value: Floats, error: Floats, night: NDArray[np.int64], frequencies: Floats, power: Floats
) -> list[PeriodFit]:
    """Fits at the highest peaks and at multiples of the best period, no two the same."""
    inner = (power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])
    peaks = np.flatnonzero(np.concatenate([[power[0] > power[1]], inner, [power[-1] > power[-2]]]))
    if not peaks.size:
        peaks = np.array([int(np.argmax(power))])
    peaks = peaks[np.argsort(power[peaks])[::-1][:PEAKS]]
    fits = [fit_period(time, value, error, float(frequencies[peak]), night=night) for peak in peaks]
    leader = _ranked(fits)[0]
    for multiple in MULTIPLES:
        frequency = 1.0 / (multiple * leader.period)
        if frequencies[0] <= frequency <= frequencies[-1]:
            # Twice the period needs twice the harmonics to draw the same curve.
            most, fewest = int(MAX_HARMONICS * max(multiple, 1.0)), max(1, int(multiple * leader.harmonics))
            fits.append(
                fit_period(time, value, error, frequency, night=night, min_harmonics=fewest, max_harmonics=most)
            )
    return fits


def _weighed(fits: list[PeriodFit], span: float) -> list[Alternative]:
    """Alternatives, the likeliest first, by the noise about the best of them."""
    ranked = _ranked(fits)
    noise = _noise(fits)
    best, found = ranked[0], list[Alternative]()
    for fit in ranked:
        apart = [abs(1.0 / fit.period - 1.0 / other.fit.period) * span > 0.5 for other in found]
        # With harmonics enough each curve fits at three times its period and more, for no reason of its own.
        if all(apart) and not _is_multiple(fit, best, span):
            odds = float(np.exp(fit.evidence(noise) - best.evidence(noise)))
            found.append(Alternative(fit, odds, _relation(fit, best, span) if found else ""))
    return found


def _ranked(fits: list[PeriodFit]) -> list[PeriodFit]:
    """The likeliest first, all by the same noise."""
    noise = _noise(fits)
    return sorted(fits, key=lambda fit: fit.evidence(noise), reverse=True)


def _noise(fits: list[PeriodFit]) -> float:
    """About the closest fit."""
    return min(fits, key=lambda fit: fit.chi2).noise


def _relation(fit: PeriodFit, best: PeriodFit, span: float) -> str:
    """What a period has to do with the best one."""
    difference, width = 1.0 / fit.period - 1.0 / best.period, 0.75 / span
    for multiple, words in ((2.0, "twice the period"), (0.5, "half the period")):
        if abs(1.0 / fit.period - 1.0 / (multiple * best.period)) < width:
            return words
    for cycles in range(1, ALIAS_DAYS + 1):
        for day in (1.0, SIDEREAL_DAY):
            if abs(abs(difference) - cycles / day) < max(width, 0.01):
                return f"{'+' if difference > 0 else '−'}{cycles} cycle{'s' * (cycles > 1)} a day"
    return ""


def _is_multiple(fit: PeriodFit, best: PeriodFit, span: float) -> bool:
    """Whether a harmonic of it from the third on is the best period's first."""
    order = round(fit.period / best.period)
    return 3 <= order <= fit.harmonics and abs(order / fit.period - 1.0 / best.period) * span < 0.5


def _false_alarm(time: Floats, error: Floats, power: Floats, best: PeriodFit, highest: float) -> float:
    from astropy.timeseries import LombScargle

    degrees = max(best.points - 3.0, 1.0)
    # What the sine takes away in units of the noise about the fit, as a power that white noise would have.
    taken = 0.5 * float(power.max()) * best.chi2_constant / best.noise**2
    periodogram = LombScargle(time, np.zeros(time.size), error)
    equivalent = float(-np.expm1(-2.0 * taken / degrees))
    chance = periodogram.false_alarm_probability(
        min(equivalent, 1.0 - TINY), method="baluev", maximum_frequency=highest
    )
    return float(np.clip(chance, 0.0, 1.0))


def _moved(fit: PeriodFit, start: float) -> PeriodFit:
    return replace(fit, origin=fit.origin + start, epoch=fit.epoch + start)
