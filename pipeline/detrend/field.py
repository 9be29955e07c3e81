"""What detrending takes and gives, and the stars from which it learns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.relative.light_curves import check_light_curves, normalise
from pipeline.statistics import robust_scatter

MAX_TEACHERS = 500  # the brightest; more say the same, fainter ones less
MIN_TEACHERS = 20  # fewer cannot tell what stars share from what each does
MIN_PRESENT = 0.9  # of the good epochs, of a star that others learn from
CLIP_SIGMA = 5.0  # values further from 1 than that pull no harder
LARGEST_TREND = 0.5  # of the flux; a model beyond is no small correction and gives no value
LEAST_ERROR = 1e-6  # relative; below it weights would overflow


@dataclass(frozen=True)
class Field:
    """The relative light curves of one aperture.

    Attributes:
        flux: float64[n, t], about 1, epochs in order of time, NaN where missing.
        error: float64[n, t], one standard deviation.
        good: bool[t]; trends and coefficients come from these epochs, values are made for all.
        xy: float64[n, 2], template px.
        brightness: float64[n], any unit; tells which stars are alike.
        constant: bool[n], stars that others may learn from: references without sign of variation.
        protected: bool[n], stars that are known to vary, or must not be touched: their own light curve has no say.
        usable: bool[n, t], by `pipeline.flags.usable`; the other points are freed of trends, and tell nothing of them.
            Without it all are.

    Raises:
        UnusableDataError: shapes that do not fit, or no good epoch.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    good: NDArray[np.bool_]
    xy: NDArray[np.float64]
    brightness: NDArray[np.float64]
    constant: NDArray[np.bool_]
    protected: NDArray[np.bool_]
    usable: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        check_light_curves(self.flux, self.good, self.error, *(() if self.usable is None else (self.usable,)))
        n = len(self.flux)
        found = self.xy.shape, self.brightness.shape, self.constant.shape, self.protected.shape
        if found != ((n, 2), (n,), (n,), (n,)):
            raise UnusableDataError(
                f"positions, brightness, constancy and protection of {n} stars: {found}: expected (n, 2) and (n,)"
            )

    def telling(self, rows: slice | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Points that tell of trends, in bad epochs too; bool[b, t]."""
        measured = np.isfinite(self.flux[rows]) & np.isfinite(self.error[rows])
        return measured if self.usable is None else measured & self.usable[rows]

    def teachers(self) -> NDArray[np.int64]:
        """Numbers of the stars to learn from, the brightest first; none where there are too few."""
        present = self.telling(slice(None))[:, self.good].mean(axis=1)
        fit = np.flatnonzero(self.constant & ~self.protected & (present >= MIN_PRESENT) & np.isfinite(self.brightness))
        if fit.size < MIN_TEACHERS:
            return fit[:0]
        return fit[np.argsort(-self.brightness[fit], kind="stable")][:MAX_TEACHERS]

    def residuals(self, rows: slice | NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Deviations from the mean and their weights; float64[b, t], 0 where untold, weights also in bad epochs.

        Weights are 1 / error², with the errors of a star whose neighbouring values differ more than they say raised to
        that: what is slow may be a trend, and is no noise.
        """
        deviation, error = self.flux[rows] - 1.0, np.maximum(self.error[rows], LEAST_ERROR)
        telling = self.telling(rows)
        deviation[~telling] = np.nan
        of_good = deviation[:, self.good]
        limit = CLIP_SIGMA * np.fmax(error, robust_scatter(of_good)[:, None])
        error = np.fmax(error, robust_scatter(np.diff(of_good, axis=1))[:, None] / np.sqrt(2.0))
        deviation = np.clip(deviation, -limit, limit)
        deviation[~telling] = 0.0
        with np.errstate(divide="ignore"):
            weight = np.where(telling & self.good, error**-2.0, 0.0)
        total = weight.sum(axis=1)
        # A median of 1 is no mean of 1: the difference would pass for a trend that does not change.
        deviation -= ((weight * deviation).sum(axis=1) / np.where(total > 0, total, np.inf))[:, None]
        deviation[~telling] = 0.0
        return deviation, weight


@dataclass(frozen=True)
class Detrended:
    """Light curves divided by the model of their trends, and by their level as relative ones are.

    Attributes:
        flux: float64[n, t]; NaN where it was missing or where the model is no small correction.
        error: float64[n, t], scaled as the flux; what the fit itself brings is left out.
        trends: float64[k, t], what was found to be shared; k = 0 where nothing was.
        guarded: bool[n], stars that vary: their trends were foretold from their neighbours, not fitted.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    trends: NDArray[np.float64]
    guarded: NDArray[np.bool_]


def unchanged(field: Field) -> Detrended:
    """The light curves as they are."""
    return Detrended(
        field.flux.copy(), field.error.copy(), np.zeros((0, field.good.size)), np.zeros(len(field.flux), dtype=np.bool_)
    )


def divide(field: Field, model: NDArray[np.float64], rows: slice | NDArray[np.int64], into: Detrended) -> None:
    """Write these rows of the field over ``1 + model`` (float64[b, t]) into the result."""
    factor = 1.0 + np.where(np.abs(model) <= LARGEST_TREND, model, np.nan)
    flux, error = field.flux[rows] / factor, field.error[rows] / factor
    normalise(flux, error, field.good, None if field.usable is None else field.usable[rows])
    into.flux[rows], into.error[rows] = flux, error
