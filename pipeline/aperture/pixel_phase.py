"""What the place of a star within its pixel does to the sum in a small aperture.

A pixel that the edge of an aperture cuts counts as if its light were spread evenly over it. The error is a Fourier
integral along the circle at one cycle a pixel: it changes sign with the radius, about every half pixel.
"""

from functools import lru_cache

import numpy as np
import sep
from numpy.typing import NDArray

FIRST_QUIET_PX, QUIET_STEP_PX = 1.45, 0.5  # radii in which the place within a pixel matters least, whatever the FWHM
PHASES = 8  # a side: places within a pixel that are tried
PIXEL_SIGMA = 12**-0.5  # px, of a pixel
SIGMA_TO_FWHM = 2.3548
NARROWEST_SIGMA = 0.2  # px, of the light before pixels integrate it
FWHM_STEP = 0.05  # px


def quiet_radius(radius: float) -> float:
    """The nearest radius in which the place within a pixel matters least, px."""
    return FIRST_QUIET_PX + QUIET_STEP_PX * max(0, round((radius - FIRST_QUIET_PX) / QUIET_STEP_PX))


def phase_error(fwhm: float | None, radii: tuple[float, ...]) -> NDArray[np.float64]:
    """Standard deviation, relative, of the sum in each circle over all places of its star within a pixel.

    Of a Gaussian; of a Moffat profile of beta 3 to 5 it is right to a factor of two.

    Args:
        fwhm: of stars as frames show them, px; None where unknown, which tells no error.
        radii: of circles, px.

    Returns:
        float64[k].
    """
    if fwhm is None or not 0.0 < fwhm < np.inf:
        return np.zeros(len(radii))
    rounded = FWHM_STEP * round(fwhm / FWHM_STEP)
    return np.array([_phase_error(rounded, round(radius, 2)) for radius in radii])


@lru_cache(maxsize=4096)
def _phase_error(fwhm: float, radius: float) -> float:
    from scipy.special import erf  # see pipeline/__init__.py

    sigma = np.sqrt(max((fwhm / SIGMA_TO_FWHM) ** 2 - PIXEL_SIGMA**2, NARROWEST_SIGMA**2))
    reach = int(np.ceil(radius)) + 1
    side = 2 * reach + 1
    phases = (np.arange(PHASES) + 0.5) / PHASES - 0.5
    edges = np.arange(-reach - 0.5, reach + 1.0)
    share = np.diff(erf((edges - phases[:, None]) / (np.sqrt(2) * sigma)), axis=1) / 2
    stars = share[:, None, :, None] * share[None, :, None, :]  # y phase, x phase, row, column
    image = np.ascontiguousarray(stars.transpose(0, 2, 1, 3).reshape(PHASES * side, PHASES * side))
    middle = phases + reach + side * np.arange(PHASES)
    y, x = (values.ravel() for values in np.meshgrid(middle, middle, indexing="ij"))
    sums, _, _ = sep.sum_circle(image, x, y, radius, subpix=0)
    return float(sums.std() / sums.mean())
