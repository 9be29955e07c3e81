"""Observed minus calculated mid-times, and the ephemeris that they give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ephemeris:
    """Mid-time of epoch 0 and period with their errors, and their covariance, days."""

    mid_time: float
    mid_time_error: float
    period: float
    period_error: float
    covariance: float = 0.0

    def epoch(self, time: Floats) -> NDArray[np.int64]:
        """The nearest transit's number: int64 of the same shape."""
        return np.rint((time - self.mid_time) / self.period).astype(np.int64)

    def predicted(self, epoch: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Mid-times of epochs and their errors."""
        time = self.mid_time + epoch * self.period
        variance = self.mid_time_error**2 + (epoch * self.period_error) ** 2 + 2.0 * epoch * self.covariance
        return np.asarray(time, dtype=np.float64), np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


@dataclass(frozen=True)
class Residuals:
    """``[n]`` each: epoch, observed minus calculated (days), and the errors of both."""

    epoch: NDArray[np.int64]
    difference: Floats
    observed_error: Floats
    predicted_error: Floats

    @property
    def pull(self) -> Floats:
        """The difference over the error of both, float64[n]."""
        return self.difference / np.hypot(self.observed_error, self.predicted_error)


def residuals(mid_time: Floats, error: Floats, by: Ephemeris) -> Residuals:
    """O - C of mid-times float64[n] with their errors."""
    epoch = by.epoch(mid_time)
    predicted, predicted_error = by.predicted(epoch)
    return Residuals(epoch, mid_time - predicted, error, predicted_error)


def refined(mid_time: Floats, error: Floats, by: Ephemeris) -> Ephemeris | None:
    """The ephemeris with these mid-times by weighted least squares, the given one counting as a measurement.

    Errors of mid-times are taken as they are: a χ² that is too large is the reader's to see. None without a mid-time.
    """
    if not mid_time.size:
        return None
    epoch = by.epoch(mid_time).astype(np.float64)
    prior = np.array([[by.mid_time_error**2, by.covariance], [by.covariance, by.period_error**2]])
    # What has no error is as good as certain, to the millisecond.
    prior += np.diag([1e-8**2, 1e-12**2])
    design = np.column_stack([np.ones(epoch.size), epoch])
    weight = 1.0 / error**2
    precision = np.linalg.inv(prior) + design.T @ (design * weight[:, None])
    covariance = np.linalg.inv(precision)
    offset = mid_time - by.mid_time - epoch * by.period
    correction = covariance @ (design.T @ (weight * offset))
    return Ephemeris(
        by.mid_time + float(correction[0]),
        float(np.sqrt(covariance[0, 0])),
        by.period + float(correction[1]),
        float(np.sqrt(covariance[1, 1])),
        float(covariance[0, 1]),
    )
