"""The likelihood of a light curve whose trend and slow noise are integrated out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.units import MINUTES_PER_DAY

Floats = NDArray[np.float64]

TREND_TERMS = 3  # a quadratic
TREND_PRIOR_MAG = 1.0  # standard deviation of a coefficient; a night bends less
LEAST_RED_MAG = 1e-6
RED_TIME_MIN = 20.0  # minutes over which noise of a night's air and tracking is alike: about an ingress
FASTEST_MIN = 20.0  # shortest period of a wave
WAVES_A_POINT = 1.0 / 3.0  # at most


@dataclass(frozen=True)
class RedLikelihood:
    """``ln N(residual; 0, diag(error² + jitter²) + trend + waves)`` by Woodbury's identity, of one night.

    Noise that neighbouring points share is a sum of cosines over the night, of a variance that falls with frequency as
    that of an exponential memory of RED_TIME_MIN does (an Ornstein-Uhlenbeck process cut off at FASTEST_MIN); its rms
    is a parameter. The trend and the waves are linear, so that both are integrated out as the transit is fitted: what a
    transit can take for itself of such noise then stands in its errors, which residuals about a fit do not show.

    Attributes:
        error: float64[t], mag.
        columns: float64[t, m], powers of the scaled time and waves.
        share: float64[m - 3], standard deviation of each wave's coefficient where the rms is 1.
    """

    error: Floats
    columns: Floats
    share: Floats

    @classmethod
    def of(cls, time: Floats, error: Floats) -> "RedLikelihood":
        """Of times float64[t], days about the middle of a night."""
        span = float(np.ptp(time))
        count = min(int(2.0 * span * MINUTES_PER_DAY / FASTEST_MIN), int(WAVES_A_POINT * time.size))
        number = np.arange(1, max(count, 1) + 1)
        waves = np.cos(np.pi * (time - time.min())[:, None] / span * number)
        memory = span * MINUTES_PER_DAY / (np.pi * RED_TIME_MIN)
        power = 1.0 / (1.0 + (number / memory) ** 2)
        share = np.sqrt(power / (0.5 * power.sum()))  # a cosine's mean square is a half
        powers = np.vander(time / np.abs(time).max(), TREND_TERMS, increasing=True)
        return cls(error, np.column_stack([powers, waves]), share)

    def of_residuals(self, residual: Floats, jitter: Floats, red: Floats) -> tuple[Floats, Floats]:
        """The logarithm float64[w], and the most probable coefficients of the trend float64[w, 3].

        Args:
            residual: float64[w, t], mag.
            jitter: float64[w], white noise beside the errors, mag.
            red: float64[w], rms of the waves, mag.
        """
        variance = self.error**2 + jitter[:, None] ** 2
        weight = 1.0 / variance
        prior = (
            np.hstack(
                [
                    np.full((jitter.size, TREND_TERMS), TREND_PRIOR_MAG),
                    np.maximum(red, LEAST_RED_MAG)[:, None] * self.share,
                ]
            )
            ** 2
        )
        weighted = self.columns.T * weight[:, None, :]
        precision = weighted @ self.columns
        diagonal = np.arange(self.columns.shape[1])
        precision[:, diagonal, diagonal] += 1.0 / prior
        projected = (weight * residual) @ self.columns
        lower = np.linalg.cholesky(precision)
        coefficients = np.linalg.solve(precision, projected[:, :, None])[:, :, 0]
        chi2 = np.sum(weight * residual**2, axis=1) - np.sum(projected * coefficients, axis=1)
        volume = 2.0 * np.log(lower[:, diagonal, diagonal]).sum(axis=1) + np.log(prior).sum(axis=1)
        volume += np.sum(np.log(2.0 * np.pi * variance), axis=1)
        return np.asarray(-0.5 * (chi2 + volume)), np.asarray(coefficients[:, :TREND_TERMS])
