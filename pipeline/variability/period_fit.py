"""One periodic light curve fitted at a period that is free: harmonics of a frequency, and a level of each night."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.transit.red_noise import BIN_SIZES, red_noise_factor

Floats = NDArray[np.float64]

MAX_HARMONICS = 4  # an RR Lyrae star of one night needs three or four
REACH = 0.5  # of 1 / span on either side of a peak: half of its width at its foot
SCANNED = 9  # frequencies within the reach before the continuous search, which finds the nearest maximum only
TOLERANCE = 1e-4  # of 1 / span, far below the error of any frequency
PART_OF_PERIOD = 0.33  # as long a mean of residuals tells how red their noise is
CURVE_POINTS = 256  # of a period, to read the amplitude from
FREE_POINTS = 5  # points that a fit must have beyond its unknowns


@dataclass(frozen=True)
class PeriodFit:
    """A periodic light curve.

    Attributes:
        period, period_error: unit of the times; one standard deviation, by the scatter about the fit and its red noise.
        amplitude: half of what lies between the curve's highest and lowest point, unit of the values.
        amplitude_error: one standard deviation of a harmonic's amplitude.
        epoch: time of the highest point nearest to the middle of the observations.
        harmonics: of the curve.
        coefficients: float64[2 harmonics], of cos and sin of 2π j (t - origin) / period for j = 1, 2, …
        origin: time from where the phases count.
        levels: float64[nights], the fitted mean of each night.
        chi2, chi2_constant: with the curve and with the nights' levels alone, by the quoted errors.
        noise: standard deviation of a mean of neighbouring residuals over what the quoted errors promise; 1 at least.
        points: used.
    """

    period: float
    period_error: float
    amplitude: float
    amplitude_error: float
    epoch: float
    harmonics: int
    coefficients: Floats
    origin: float
    levels: Floats
    chi2: float
    chi2_constant: float
    noise: float
    points: int

    def curve(self, time: Floats) -> Floats:
        """The periodic part at these times, its mean 0, same shape."""
        flat = np.ravel(time)
        found = _waves(flat - self.origin, 1.0 / self.period, self.harmonics) @ self.coefficients
        return np.asarray(found.reshape(np.shape(time)))

    def evidence(self, noise: float) -> float:
        """ln of the posterior odds up to a constant: each unknown of the curve costs ½ ln points (BIC)."""
        unknowns = 2 * self.harmonics + 1
        return -0.5 * self.chi2 / noise**2 - 0.5 * unknowns * float(np.log(self.points))


def fit_period(
    time: Floats,
    value: Floats,
    error: Floats,
    frequency: float,
    *,
    night: NDArray[np.int64] | None = None,
    min_harmonics: int = 1,
    max_harmonics: int = MAX_HARMONICS,
    reach: float = REACH,
) -> PeriodFit:
    """Least squares of a Fourier series and a level of each night, the frequency free near a given one.

    As many harmonics are taken as pay for themselves by the Bayesian information criterion (Schwarz 1978).
    The error is that of the linearised fit, all unknowns together, times `PeriodFit.noise`; for one sine it is
    that of Montgomery & O'Donoghue (1999, Delta Scuti Star Newsletter 13, 28).

    Args:
        time: float64[t], in order.
        value, error: float64[t], finite, any unit; errors positive.
        frequency: a peak of a periodogram.
        night: int64[t], 0, 1, 2, …, nights of levels of their own; one without it.
        min_harmonics, max_harmonics: of the curve; fewer than the former only where points are few.
        reach: how far the frequency may go, in 1 / time spanned.

    Raises:
        UnusableDataError: fewer points than unknowns and FREE_POINTS more, or all at one time.
    """
    nights = np.zeros(time.size, dtype=np.int64) if night is None else night
    span = float(np.ptp(time)) if time.size else 0.0
    spare = time.size - int(nights.max(initial=0)) - 1 - FREE_POINTS - 1
    if span <= 0 or spare < 2:
        raise UnusableDataError(f"{time.size} points over {span:g} d are too few for a period")
    origin = float(np.mean(time))
    problem = _Problem(time - origin, value, error, nights)
    best: PeriodFit | None = None
    most = min(max_harmonics, spare // 2)
    for harmonics in range(min(min_harmonics, most), most + 1):
        # The more harmonics the sharper the maximum, and the nearer is the start.
        start, room = (frequency, reach / span) if best is None else (1.0 / best.period, reach / span / harmonics)
        fitted = problem.fitted(problem.refined(start, room, harmonics, TOLERANCE / span), harmonics, origin)
        if best is None or fitted.evidence(fitted.noise) > best.evidence(fitted.noise):
            best = fitted
        else:
            break
    assert best is not None
    return best


class _Problem:
    """Points weighted by their errors, with what the nights' levels explain taken out of all columns."""

    def __init__(self, time: Floats, value: Floats, error: Floats, night: NDArray[np.int64]) -> None:
        self.time, self.value, self.error, self.night = time, value, error, night
        self._weight = error**-2.0
        self._total = np.bincount(night, self._weight)
        self.target = self.without_levels(value) / error

    def without_levels(self, columns: Floats) -> Floats:
        """Columns float64[t] or [t, c] minus their weighted mean of each night."""
        table = columns.reshape(columns.shape[0], -1)
        means = np.stack([np.bincount(self.night, self._weight * column) / self._total for column in table.T], axis=1)
        return np.asarray((table - means[self.night]).reshape(columns.shape))

    def _points_in(self, period: float) -> float:
        """How many points a period holds where it is watched without a break, at most all of a night."""
        step = float(np.median(np.diff(self.time)))
        return min(period / max(step, 1e-9), float(np.bincount(self.night).max()))

    def chi2(self, frequency: float, harmonics: int) -> float:
        design = self.without_levels(_waves(self.time, frequency, harmonics)) / self.error[:, None]
        solved = np.linalg.lstsq(design, self.target, rcond=None)[0]
        return float(np.sum((self.target - design @ solved) ** 2))

    def refined(self, frequency: float, reach: float, harmonics: int, tolerance: float) -> float:
        """The frequency of the least chi² within the reach."""
        from scipy.optimize import minimize_scalar

        step = 2.0 * reach / (SCANNED - 1)
        lowest = max(frequency - reach, 0.1 * frequency)
        grid = np.linspace(lowest, frequency + reach, SCANNED)
        best = grid[int(np.argmin([self.chi2(one, harmonics) for one in grid]))]
        bounds = max(best - step, lowest), min(best + step, frequency + reach)
        found = minimize_scalar(  # type: ignore[no-untyped-call]
            self.chi2, bounds=bounds, args=(harmonics,), method="bounded", options={"xatol": tolerance}
        )
        return float(found.x)

    def fitted(self, frequency: float, harmonics: int, origin: float) -> PeriodFit:
        waves = _waves(self.time, frequency, harmonics)
        design = self.without_levels(waves) / self.error[:, None]
        solved: Floats = np.asarray(np.linalg.lstsq(design, self.target, rcond=None)[0], dtype=np.float64)
        residual = self.target - design @ solved
        chi2 = float(np.sum(residual**2))
        free = self.time.size - self._total.size - 2 * harmonics - 1
        # Noise as slow as a part of the curve is what moves the period: bins as long as a third of a period see it.
        part = int(PART_OF_PERIOD * self._points_in(1.0 / frequency))
        sizes = range(BIN_SIZES.start, max(BIN_SIZES.stop, part))
        noise = max(1.0, float(np.sqrt(chi2 / free)) * red_noise_factor(residual, sizes))
        covariance = self._covariance(frequency, harmonics, solved, design)
        frequency_error, wave_error = noise * np.sqrt(np.diag(covariance)[[-1, 0]])
        curve = _waves(np.linspace(0.0, 1.0, CURVE_POINTS, endpoint=False), 1.0, harmonics) @ solved
        # The highest point nearest to the origin, which is the mean time.
        phase = (int(np.argmax(curve)) / CURVE_POINTS + 0.5) % 1.0 - 0.5
        return PeriodFit(
            period=1.0 / frequency,
            period_error=float(frequency_error) / frequency**2,
            amplitude=0.5 * float(np.ptp(curve)),
            amplitude_error=float(wave_error),
            epoch=origin + phase / frequency,
            harmonics=harmonics,
            coefficients=solved,
            origin=origin,
            levels=np.bincount(self.night, self._weight * (self.value - waves @ solved)) / self._total,
            chi2=chi2,
            chi2_constant=float(np.sum(self.target**2)),
            noise=noise,
            points=self.time.size,
        )

    def _covariance(self, frequency: float, harmonics: int, solved: Floats, design: Floats) -> Floats:
        """Of the coefficients and, last, the frequency, for noise of the quoted errors: float64[2h + 1, 2h + 1]."""
        order = 2.0 * np.pi * np.repeat(np.arange(1, harmonics + 1), 2)
        turned = _waves(self.time, frequency, harmonics).reshape(-1, harmonics, 2)[:, :, ::-1] * (-1.0, 1.0)
        slope = self.time * (turned.reshape(design.shape) @ (order * solved))
        jacobian = np.column_stack([design, self.without_levels(slope) / self.error])
        return np.asarray(np.linalg.pinv(jacobian.T @ jacobian, hermitian=True))


def _waves(time: Floats, frequency: float, harmonics: int) -> Floats:
    """cos and sin of each harmonic, float64[t, 2 harmonics]."""
    angle = 2.0 * np.pi * frequency * np.outer(time, np.arange(1, harmonics + 1))
    return np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(time.size, 2 * harmonics)
