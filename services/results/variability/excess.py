"""How much more a star scatters than its errors and stars of like brightness say."""

import numpy as np
from numpy.typing import NDArray

from services.results.lightcurves.star_statistics import Stars

NEIGHBOURS = 20  # stars of like brightness that tell what is usual


def excess_significance(stars: Stars) -> NDArray[np.float64]:
    """How many standard deviations the logarithm of scatter over quoted error lies above what is usual: float64[n].

    Usual is 1, or the median ratio of the other stars of like brightness where that is higher. The logarithm of a
    standard deviation from n points scatters by 1 / sqrt(2 (n - 1)).
    """
    ratio = stars.scatter / stars.error
    usual = np.array([_usual(ratio, index) for index in range(ratio.size)])
    return np.asarray(np.log(ratio / usual) * np.sqrt(2.0 * np.maximum(stars.epochs - 1, 0)))


def _usual(ratio: NDArray[np.float64], index: int) -> float:
    """Stars are ordered by brightness, so those of like brightness stand beside each other."""
    first = max(0, min(index - NEIGHBOURS // 2, ratio.size - NEIGHBOURS - 1))
    beside = np.delete(ratio[first : first + NEIGHBOURS + 1], index - first)
    return max(1.0, float(np.median(beside))) if beside.size else 1.0
