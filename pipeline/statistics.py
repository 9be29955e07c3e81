"""How much a light curve scatters, and how much it should."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UnusableDataError
from pipeline.noise import ccd_variance

MAD_TO_SIGMA = 1.4826  # of a Gaussian
FEWEST_POINTS = 5  # that tell a scatter: of four, every tenth is off by a factor of two
# Of n Gaussian values the median of the median absolute deviation is short by (n - MAD_LOST - MAD_LOST_ONCE / n) / n:
# the median is taken from the values themselves. Fitted to simulations, good to 0.6 % from n = 5 up.
MAD_LOST, MAD_LOST_ONCE = 1.07, 1.1
BLOCK_VALUES = 1 << 16  # values of a block of light curves: 0.5 MB of float64, for the processor's cache


@dataclass(frozen=True)
class LightCurveStatistics:
    """Scatter of n light curves over the good epochs; NaN with fewer than FEWEST_POINTS finite values.

    Scatters hold for few points as for many: of constant stars as many lie above their true scatter as below. Median
    and median error are there for any number of values.

    Attributes:
        n: int64[n], finite values.
        median: float64[n].
        scatter: float64[n], robust standard deviation, see `robust_scatter`.
        standard_deviation: float64[n], plain.
        point_to_point: float64[n], standard deviation of neighbouring differences / sqrt(2): noise without trends.
        median_error: float64[n], of the quoted errors.
        chi2_reduced: float64[n], about the weighted mean; 1 when the quoted errors explain the scatter.
        von_neumann: float64[n], mean squared neighbouring difference over the variance (von Neumann 1941): 2 for
            white noise, near 0 for a smooth variation.
    """

    n: NDArray[np.int64]
    median: NDArray[np.float64]
    scatter: NDArray[np.float64]
    standard_deviation: NDArray[np.float64]
    point_to_point: NDArray[np.float64]
    median_error: NDArray[np.float64]
    chi2_reduced: NDArray[np.float64]
    von_neumann: NDArray[np.float64]


def mean_of_values(values: NDArray[Any]) -> float:
    """Mean of the values of real[…] that are no NaN: that of `numpy.nanmean`, without a copy of values without NaN."""
    mean = float(values.mean())
    return float(np.nanmean(values)) if np.isnan(mean) else mean


def median_of(values: NDArray[Any]) -> float:
    """Median of real[n] without NaN, NaN of none: that of `numpy.median`, in a sixth of its time where n is large."""
    half = values.size // 2
    if not values.size:
        return float("nan")
    parted = np.partition(values, half)
    return float(parted[half] if values.size % 2 else (parted[:half].max() + parted[half]) / 2)


def medians_of_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Median of each row of real[n, m], m > 0, NaN where one of its values is: those of `numpy.median`, by sorting."""
    ordered, half = np.sort(values, axis=1), values.shape[1] // 2
    medians = ordered[:, half] if values.shape[1] % 2 else (ordered[:, half - 1] + ordered[:, half]) / 2
    return np.asarray(np.where(np.isnan(ordered[:, -1]), ordered[:, -1], medians))


def row_median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the numbers in each row of float64[n, t], NaN left out; NaN for a row without numbers.

    `numpy.nanmedian` loops over long rows in Python; one sort puts NaN last and serves all rows.
    """
    rows, columns = values.shape
    medians = np.full(rows, np.nan)
    if columns == 0:
        return medians
    step = max(1, BLOCK_VALUES // columns)
    for start in range(0, rows, step):
        ordered = np.sort(values[start : start + step], axis=1)
        count = columns - np.count_nonzero(np.isnan(ordered), axis=1)
        row = np.arange(len(ordered))
        middle = ordered[row, np.maximum(count - 1, 0) // 2] + ordered[row, np.minimum(count // 2, columns - 1)]
        medians[start : start + step] = np.where(count > 0, 0.5 * middle, np.nan)
    return medians


def robust_scatter(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust standard deviation of each row of float64[n, t], NaN left out.

    1.4826 × median absolute deviation, times what few values lose to their own median (1.35 for 5 of them, 1.02 for
    60), so that half of many rows of Gaussian noise lie above the true value.
    """
    count = np.maximum(np.count_nonzero(np.isfinite(values), axis=1), 3)  # of two values the factor knows nothing
    factor = count / (count - MAD_LOST - MAD_LOST_ONCE / count)
    return np.asarray(MAD_TO_SIGMA * factor * row_median(np.abs(values - row_median(values)[:, None])))


def median_of_chi(degrees: ArrayLike) -> NDArray[np.float64]:
    """Median of a standard deviation from so many degrees of freedom over the true one: Wilson & Hilferty (1931)."""
    return np.asarray((1.0 - 2.0 / (9.0 * np.asarray(degrees, dtype=np.float64))) ** 1.5)


def light_curve_statistics(
    flux: NDArray[np.float64], error: NDArray[np.float64], good: NDArray[np.bool_]
) -> LightCurveStatistics:
    """Statistics of each light curve over the good epochs.

    Args:
        flux: float64[n, t], any unit, NaN where missing.
        error: float64[n, t], one standard deviation.
        good: bool[t].

    Raises:
        UnusableDataError: shapes that do not fit.
    """
    if flux.ndim != 2 or error.shape != flux.shape or good.shape != flux.shape[1:]:
        raise UnusableDataError(
            f"light curves {flux.shape}, errors {error.shape}, epochs {good.shape}: expected (n, t), (n, t), (t,)"
        )
    columns = {name: np.full(len(flux), np.nan) for name in LightCurveStatistics.__dataclass_fields__}
    step = max(1, BLOCK_VALUES // max(1, flux.shape[1]))
    for start in range(0, len(flux), step):
        rows = slice(start, start + step)
        for name, found in _block_statistics(flux[rows, good], error[rows, good]).items():
            columns[name][rows] = found
    count = columns.pop("n").astype(np.int64)
    return LightCurveStatistics(n=count, **columns)


def _block_statistics(flux: NDArray[np.float64], error: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    present = np.isfinite(flux) & np.isfinite(error)
    flux = np.where(present, flux, np.nan)
    count = present.sum(axis=1)
    enough = count >= FEWEST_POINTS
    zeroed = np.where(present, flux, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = flux - (zeroed.sum(axis=1) / count)[:, None]
        sum_of_squares = np.where(present, deviation**2, 0.0).sum(axis=1)
        variance = np.where(enough, sum_of_squares / (count - 1), np.nan)

        step = np.diff(flux, axis=1)
        stepped = np.isfinite(step)
        steps = stepped.sum(axis=1)
        told = enough & (steps >= FEWEST_POINTS - 1)
        mean_square_step = np.where(told, np.where(stepped, step**2, 0.0).sum(axis=1) / steps, np.nan)
        # Neighbouring steps share a value: of so many independent ones the mean square is as good (von Neumann 1941).
        step_degrees = 2.0 * np.square(steps) / (3.0 * steps - 1.0)

        weight = np.where(present & (error > 0), error**-2.0, 0.0)
        centre = (weight * zeroed).sum(axis=1) / weight.sum(axis=1)
        chi2 = (weight * (zeroed - centre[:, None]) ** 2).sum(axis=1)
        return {
            "n": count.astype(np.float64),
            "median": row_median(flux),
            "scatter": np.where(enough, robust_scatter(flux), np.nan),
            "standard_deviation": np.sqrt(variance) / median_of_chi(count - 1),
            "point_to_point": np.sqrt(mean_square_step / 2.0) / median_of_chi(step_degrees),
            "median_error": row_median(np.where(present, error, np.nan)),
            "chi2_reduced": np.where(enough, chi2 / (count - 1), np.nan),
            "von_neumann": mean_square_step / variance,
        }


def expected_scatter(
    flux: ArrayLike,
    sky_variance: ArrayLike,
    area: ArrayLike,
    *,
    gain: float | None,
    sky_area: ArrayLike = np.inf,
    scintillation: float = 0.0,
) -> NDArray[np.float64]:
    """Relative scatter that the CCD equation predicts, as a curve to draw beside what was reached.

    Args:
        flux: positive source flux, ADU.
        sky_variance: of a sky pixel, ADU².
        area: of the aperture, px.
        gain: electrons per ADU; None leaves the source's own noise out.
        sky_area: pixels that gave the sky level.
        scintillation: relative standard deviation (see `pipeline.noise.scintillation_variance`).

    Returns:
        float64 in the broadcast shape of the arguments; 0.01 is 1 %.
    """
    variance = ccd_variance(flux, area, sky_variance, sky_area, gain=gain)
    return np.asarray(np.sqrt(variance / np.square(np.asarray(flux, dtype=np.float64)) + scintillation**2))
