"""What is known of a planet and its star before its transits are fitted, as transforms of standard normal variates.

Each parameter is a function of one variate q (limb darkening of two): the prior is a unit Gaussian without edges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RADIUS_RATIO_RANGE = (0.0, 0.4)
AXIS_RATIO_RANGE = (1.5, 300.0)  # logarithm uniform
LIMB_DARKENING_ERROR = 0.1  # of given coefficients: how far models are from stars (Espinoza & Jordan 2015, MNRAS 450)
IMPACT_MARGIN = 0.99  # of 1 + k: a transit of which nothing is seen tells nothing


@dataclass(frozen=True)
class Known:
    """A value and its standard deviation."""

    value: float
    error: float


@dataclass(frozen=True)
class PlanetPrior:
    """Period (days, fixed) and, where they are known, the orbit in stellar radii and the impact parameter.

    ``limb_darkening``: quadratic coefficients u, v of each filter of which they are known; of the others all physical
    pairs are alike (Kipping 2013, MNRAS 435, 2152).
    """

    period: float
    axis_ratio: Known | None = None
    impact: Known | None = None
    limb_darkening: tuple[tuple[str, float, float], ...] = ()

    def coefficients(self, filter_name: str) -> tuple[float, float] | None:
        """Of a filter; None where they are not known."""
        return next(((u, v) for name, u, v in self.limb_darkening if name == filter_name), None)


def uniform(q: Floats, low: float, high: float) -> Floats:
    """Uniform from low to high, of the same shape."""
    from scipy.special import ndtr

    return np.asarray(low + (high - low) * ndtr(q))


def axis_ratio(q: Floats, known: Known | None) -> Floats:
    """The orbit in stellar radii, of the same shape; log-normal where it is known, else its logarithm is uniform."""
    if known is None:
        return np.exp(uniform(q, *np.log(AXIS_RATIO_RANGE)))
    return np.asarray(known.value * np.exp(known.error / known.value * q))


def impact(q: Floats, known: Known | None, radius_ratio: Floats) -> Floats:
    """The impact parameter, of the same shape, such that there is a transit."""
    most = IMPACT_MARGIN * (1.0 + radius_ratio)
    if known is None:
        return np.asarray(uniform(q, 0.0, 1.0) * most)
    return np.minimum(np.abs(known.value + known.error * q), most)


def limb_darkening(q: Floats, r: Floats, known: tuple[float, float] | None) -> tuple[Floats, Floats]:
    """Quadratic coefficients u and v, each of the shape of q and r: physical, u + v < 1, u > 0, u + 2 v > 0."""
    if known is None:
        first, second = uniform(q, 0.0, 1.0), uniform(r, 0.0, 1.0)
        root = np.sqrt(first)
        return 2.0 * root * second, root * (1.0 - 2.0 * second)
    u, v = known[0] + LIMB_DARKENING_ERROR * q, known[1] + LIMB_DARKENING_ERROR * r
    u = np.clip(u, 0.0, 1.0)
    return u, np.clip(v, -0.5 * u, 1.0 - u)
