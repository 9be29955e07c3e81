"""What detrending takes and gives, and the stars from which it learns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.light_curves import LightCurves, Rows
from pipeline.relative.relative_light_curves import normalise
from pipeline.statistics import robust_scatter

MAX_TEACHERS = 500  # the brightest; more say the same, fainter ones less
MIN_TEACHERS = 20  # fewer cannot tell what stars share from what each does
MIN_PRESENT = 0.9  # of the good epochs, of a star that others learn from
CLIP_SIGMA = 5.0  # values further from 1 than that pull no harder
LARGEST_TREND = 0.5  # of the flux; a model beyond is no small correction and gives no value
LEAST_ERROR = 1e-6  # relative; below it weights would overflow


@dataclass(frozen=True)
class Field:
    """The relative light curves of one aperture, and what is known of their n stars.

    Attributes:
        curves: relative.
        brightness: float64[n], any unit; tells which stars are alike.
        constant: bool[n], stars that others may learn from: references without sign of variation.
        protected: bool[n], stars that are known to vary, or must not be touched: their own light curve has no say.

    Raises:
        UnusableDataError: shapes that do not fit.
    """

    curves: LightCurves
    brightness: NDArray[np.float64]
    constant: NDArray[np.bool_]
    protected: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = len(self.curves)
        found = self.brightness.shape, self.constant.shape, self.protected.shape
        if found != ((n,), (n,), (n,)):
            raise UnusableDataError(f"brightness, constancy and protection of {n} stars: {found}: expected (n,)")

    def telling(self, rows: Rows) -> NDArray[np.bool_]:
        """Points that tell of trends, in bad epochs too; bool[b, t]."""
        part = self.curves.stars(rows)
        return part.usable & np.isfinite(part.error)

    def teachers(self) -> NDArray[np.int64]:
        """Numbers of the stars to learn from, the brightest first; none where there are too few."""
        present = self.telling(slice(None))[:, self.curves.good].mean(axis=1)
        fit = np.flatnonzero(self.constant & ~self.protected & (present >= MIN_PRESENT) & np.isfinite(self.brightness))
        if fit.size < MIN_TEACHERS:
            return fit[:0]
        return fit[np.argsort(-self.brightness[fit], kind="stable")][:MAX_TEACHERS]

    def residuals(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Deviations from the mean and their weights; float64[b, t], 0 where untold, weights also in bad epochs.

        Weights are 1 / error², with the errors of a star whose neighbouring values differ more than they say raised to
        that: what is slow may be a trend, and is no noise.
        """
        good = self.curves.good
        deviation, error = self.curves.flux[rows] - 1.0, np.maximum(self.curves.error[rows], LEAST_ERROR)
        telling = self.telling(rows)
        deviation[~telling] = np.nan
        of_good = deviation[:, good]
        limit = CLIP_SIGMA * np.fmax(error, robust_scatter(of_good)[:, None])
        error = np.fmax(error, robust_scatter(np.diff(of_good, axis=1))[:, None] / np.sqrt(2.0))
        deviation = np.clip(deviation, -limit, limit)
        deviation[~telling] = 0.0
        with np.errstate(divide="ignore"):
            weight = np.where(telling & good, error**-2.0, 0.0)
        total = weight.sum(axis=1)
        # A median of 1 is no mean of 1: the difference would pass for a trend that does not change.
        deviation -= ((weight * deviation).sum(axis=1) / np.where(total > 0, total, np.inf))[:, None]
        deviation[~telling] = 0.0
        return deviation, weight


@dataclass(frozen=True)
class Detrended(LightCurves):
    """Light curves divided by the model of their trends, and by their level as relative ones are.

    The flux is NaN also where the model is no small correction; errors lack what the fit itself brings.

    Attributes:
        trends: float64[k, t], what was found to be shared; k = 0 where nothing was.
        guarded: bool[n], stars that vary: their trends were foretold from their neighbours, not fitted.
    """

    trends: NDArray[np.float64]
    guarded: NDArray[np.bool_]


def unchanged(field: Field) -> Detrended:
    """The light curves as they are."""
    curves = field.curves
    return Detrended(
        curves.flux.copy(),
        curves.error.copy(),
        curves.flag,
        curves.good,
        curves.xy,
        curves.time,
        trends=np.zeros((0, curves.good.size)),
        guarded=np.zeros(len(curves), dtype=np.bool_),
    )


def divide(field: Field, model: NDArray[np.float64], rows: Rows, into: Detrended) -> None:
    """Write these rows of the field over ``1 + model`` (float64[b, t]) into the result."""
    factor = 1.0 + np.where(np.abs(model) <= LARGEST_TREND, model, np.nan)
    part = field.curves.stars(rows)
    flux, error = part.flux / factor, part.error / factor
    normalise(flux, error, part.good, part.usable)
    into.flux[rows], into.error[rows] = flux, error
