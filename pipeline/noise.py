"""How noisy an aperture flux must be: the CCD equation and atmospheric scintillation.

All functions take fluxes in one unit and a gain to electrons; with fluxes in electrons pass ``gain=1``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCINTILLATION_COEFFICIENT = 1.5  # m^(2/3) s^(1/2), the median of the sites in Osborn et al. 2015, table 1
SCALE_HEIGHT_M = 8000.0  # of atmospheric turbulence, Osborn et al. 2015
AIRMASS_POWER = 3.0  # of the variance: sigma grows as airmass^1.5, Osborn et al. 2015


def ccd_variance(
    flux: ArrayLike,
    area: ArrayLike,
    sky_variance: ArrayLike,
    sky_area: ArrayLike = np.inf,
    *,
    gain: float | None = 1.0,
) -> NDArray[np.float64]:
    """Variance of an aperture flux by the CCD equation (Merline & Howell 1995; Howell 2006, section 4.4).

    ``flux / gain + area * sky_variance * (1 + area / sky_area)``: the source's own photon noise, the noise of the
    pixels under it, and the noise of the sky level that was subtracted from each of them.

    Args:
        flux: source flux, ADU (electrons with ``gain=1``); the photon noise of a negative flux is zero.
        area: aperture area, px.
        sky_variance: variance of one sky pixel, ADU², read noise, dark noise and digitisation included.
        sky_area: number of pixels that gave the sky level, px; infinite when the level carries no noise.
        gain: electrons per ADU; None when unknown, which leaves the source's own noise out.

    Returns:
        Variance, ADU², float64, in the broadcast shape of the arguments.
    """
    area = np.asarray(area, dtype=np.float64)
    sky = area * np.asarray(sky_variance, dtype=np.float64) * (1.0 + area / np.asarray(sky_area, dtype=np.float64))
    if gain is None:
        return np.asarray(sky + np.zeros_like(np.asarray(flux, dtype=np.float64)))
    return np.asarray(np.maximum(np.asarray(flux, dtype=np.float64), 0.0) / gain + sky)


def scintillation_variance(
    flux: ArrayLike,
    *,
    diameter_m: float,
    altitude_m: float,
    airmass: ArrayLike,
    exposure_s: ArrayLike,
    coefficient: float = SCINTILLATION_COEFFICIENT,
) -> NDArray[np.float64]:
    """Variance that scintillation adds to a flux (Young 1967 as corrected by Osborn et al. 2015, equation 7).

    ``flux² * 10e-6 * C² * D^(-4/3) * t^(-1) * airmass³ * exp(-2 h / H)``.

    Args:
        flux: source flux, any unit.
        diameter_m: telescope diameter, m.
        altitude_m: height of the observatory above sea level, m.
        airmass: secant of the zenith distance.
        exposure_s: exposure time, s.
        coefficient: site constant C, m^(2/3) s^(1/2).

    Returns:
        Variance, the square of the flux's unit, float64, in the broadcast shape of the arguments.
    """
    relative = (
        10e-6
        * coefficient**2
        * diameter_m ** (-4.0 / 3.0)
        / np.asarray(exposure_s, dtype=np.float64)
        * np.asarray(airmass, dtype=np.float64) ** AIRMASS_POWER
        * np.exp(-2.0 * altitude_m / SCALE_HEIGHT_M)
    )
    return np.asarray(np.square(np.asarray(flux, dtype=np.float64)) * relative)
