"""How noisy an aperture flux must be: the CCD equation, flat-field noise and atmospheric scintillation.

All functions take fluxes in one unit and a gain to electrons; with fluxes in electrons pass ``gain=1``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UnusableDataError

SCINTILLATION_COEFFICIENT = 1.5  # m^(2/3) s^(1/2), the median of the sites in Osborn et al. 2015, table 1
SCALE_HEIGHT_M = 8000.0  # of atmospheric turbulence, Osborn et al. 2015
AIRMASS_POWER = 3.0  # of the variance: sigma grows as airmass^1.5, Osborn et al. 2015
DIGITISATION_VARIANCE = 1.0 / 12.0  # ADU², of rounding to whole numbers
# Pixels on the edge of an aperture enter with a weight w < 1 and noise w², which an area counts as w. For each px of
# edge, sum(w - w²) is the mean over all directions of half the mean difference of two points of a pixel across it.
EDGE_LOSS_PX = 0.1656
NOISE_AREA_FWHM2 = 3.0  # (sum p)² / sum p² of a star's pixels p, FWHM²: 2.3 for a Gaussian, 3.8 for a Moffat of beta 3


@dataclass(frozen=True)
class FrameNoise:
    """What is known of the noise of one frame; None where it is unknown.

    Attributes:
        background_rms: of a sky pixel, ADU, as measured: read noise, dark current and digitisation are in it.
        background_level: the background that was subtracted, ADU; shapes the skewness of the sky's noise.
        gain: electrons per ADU; without it errors lack the sources' own photon noise.
        read_noise: electrons; with a gain, the least noise of a sky pixel.
        flat_error: relative noise of a pixel of the flat; spread over a star's pixels as bright stars show.
        scintillation: relative standard deviation of any star's flux.

    Raises:
        UnusableDataError: a background rms or gain that is not a positive number.
    """

    background_rms: float
    background_level: float = 0.0
    gain: float | None = None
    read_noise: float | None = None
    flat_error: float | None = None
    scintillation: float | None = None

    def __post_init__(self) -> None:
        rms, gain = self.background_rms, self.gain
        if not 0.0 < rms < np.inf:
            raise UnusableDataError(f"background rms {rms} ADU: expected a positive number; is the frame blank?")
        if gain is not None and not 0.0 < gain < np.inf:
            raise UnusableDataError(f"gain {gain} e-/ADU: expected a positive number, or None when it is unknown")

    @property
    def third_moment(self) -> float:
        """Third central moment of a sky pixel, ADU³, as photons have it; 0 where no gain is known."""
        return 0.0 if self.gain is None else max(self.background_level, 0.0) / self.gain**2


def ccd_variance(
    flux: ArrayLike,
    area: ArrayLike,
    sky_variance: ArrayLike,
    sky_area: ArrayLike = np.inf,
    *,
    edge: ArrayLike = 0.0,
    gain: float | None = 1.0,
) -> NDArray[np.float64]:
    """Variance of an aperture flux by the CCD equation (Merline & Howell 1995; Howell 2006, section 4.4).

    ``flux / gain + sky_variance * area * (1 + area / sky_area)``: the source's own photon noise, the noise of the
    pixels under it, and the noise of the sky level that was subtracted from each of them.

    Args:
        flux: source flux, ADU (electrons with ``gain=1``); the photon noise of a negative flux is zero.
        area: aperture area, px.
        sky_variance: variance of one sky pixel, ADU², read noise, dark noise and digitisation included.
        sky_area: number of pixels that gave the sky level, px; infinite when the level carries no noise.
        edge: length of the aperture's edge where it cuts pixels (see `noise_pixels`), px.
        gain: electrons per ADU; None when unknown, which leaves the source's own noise out.

    Returns:
        Variance, ADU², float64, in the broadcast shape of the arguments.
    """
    sky = noise_pixels(area, sky_area, edge) * np.asarray(sky_variance, dtype=np.float64)
    if gain is None:
        return np.asarray(sky + np.zeros_like(np.asarray(flux, dtype=np.float64)))
    return np.asarray(np.maximum(np.asarray(flux, dtype=np.float64), 0.0) / gain + sky)


def noise_pixels(area: ArrayLike, sky_area: ArrayLike = np.inf, edge: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Pixels whose noise is in a flux, those of the sky level counted by what they bring.

    ``area - 0.1656 edge + area² / sky_area``. The second term is for pixels that the aperture cuts: in a circle of
    2.5 px the plain area counts 15 % too much variance.

    Args:
        area: of the aperture, px.
        sky_area: pixels that gave the sky level.
        edge: length of the aperture's edge, px; 0 for an aperture of whole pixels.
    """
    area = np.asarray(area, dtype=np.float64)
    own = area - EDGE_LOSS_PX * np.asarray(edge, dtype=np.float64)
    return np.asarray(own + np.square(area) / np.asarray(sky_area, dtype=np.float64))


def least_sky_variance(gain: float | None, read_noise: float | None) -> float:
    """Variance (ADU²) below which no pixel goes: read noise (electrons) and digitisation; 0 when they are unknown."""
    if gain is None or read_noise is None:
        return 0.0
    return (read_noise / gain) ** 2 + DIGITISATION_VARIANCE


def flat_variance(flux: ArrayLike, *, flat_error: float, sharpness: ArrayLike) -> NDArray[np.float64]:
    """Variance that the noise of the flat brings into a flux: ``(flat_error * flux)² * sharpness``.

    Each pixel is wrong by its own share of its own light. It shows in a light curve as far as the star moves over the
    pixels; a star that stays on them has the same error in every frame, which divides out.

    Args:
        flux: source flux, any unit.
        flat_error: relative noise of a pixel of the flat.
        sharpness: ``sum(p²) / (sum p)²`` of the star's light p in the pixels of the aperture, 1/px.

    Returns:
        Variance, the square of the flux's unit, float64, in the broadcast shape of the arguments.
    """
    return np.asarray(np.square(flat_error * np.asarray(flux, dtype=np.float64)) * np.asarray(sharpness))


def typical_sharpness(fwhm: ArrayLike) -> NDArray[np.float64]:
    """Sharpness (1/px) of stars of this FWHM (px) where none can be measured; right to 15 % for usual profiles."""
    return np.asarray(1.0 / (NOISE_AREA_FWHM2 * np.square(np.asarray(fwhm, dtype=np.float64))))


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
