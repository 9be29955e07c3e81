"""Aperture fluxes at sub-pixel positions on frames that were never resampled."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.local_sky import LocalSky, local_sky, neighbour_mask
from pipeline.masked_pixels import fill_masked, touched_apertures
from pipeline.noise import ccd_variance

# Radii in FWHM. On a real night of changing seeing faint stars scattered least at 0.9 to 1.1, bright ones at 1.2-1.8.
RADII_FWHM = (1.0, 1.5, 2.0)
MIN_RADIUS_PX = 2.0  # below it the sum depends on where in a pixel the star falls
ANNULUS_INNER_FWHM = 4.0
MIN_ANNULUS_INNER_PX = 8.0
MIN_ANNULUS_AREA_PX = 600.0  # the sky level then adds less than 10 % to the noise of a 4 px aperture
ANNULUS_AREA_RATIO = 4.0  # annulus to largest aperture, for wide stars


@dataclass(frozen=True)
class Apertures:
    """Circles and the sky annulus around each source.

    Attributes:
        radii: k radii, ascending, px.
        annulus: inner and outer radius, px.

    Raises:
        UnusableDataError: radii that are not positive and ascending, or an annulus that is empty.
    """

    radii: tuple[float, ...]
    annulus: tuple[float, float]

    def __post_init__(self) -> None:
        edges = (0.0, *self.radii)
        if not self.radii or any(not low < high < np.inf for low, high in pairwise(edges)):
            raise UnusableDataError(f"aperture radii {self.radii} px: expected positive, ascending numbers")
        if not 0.0 < self.annulus[0] < self.annulus[1] < np.inf:
            raise UnusableDataError(f"sky annulus {self.annulus} px: expected 0 < inner < outer")


@dataclass(frozen=True)
class Measurement:
    """Fluxes of n sources in k apertures on one image.

    Attributes:
        flux: float64[n, k], ADU, sky subtracted; NaN where it cannot be measured.
        error: float64[n, k], ADU, one standard deviation by the CCD equation.
        flag: int32[n, k], bits of `pipeline.flags.Flag`.
        sky: float64[n], local sky above the background already subtracted, ADU a pixel.
        sky_rms: float64[n], scatter of a sky pixel, ADU.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    flag: NDArray[np.int32]
    sky: NDArray[np.float64]
    sky_rms: NDArray[np.float64]


def default_apertures(fwhm: float) -> Apertures:
    """Apertures for stars of this FWHM: one set for all frames of an observation.

    Args:
        fwhm: full width at half maximum of the observation's stars, px.

    Raises:
        UnusableDataError: the FWHM is not a positive number.
    """
    if not 0.0 < fwhm < np.inf:
        raise UnusableDataError(f"FWHM {fwhm} px: expected a positive number; were any stars found?")
    unit = max(fwhm, MIN_RADIUS_PX / RADII_FWHM[0])
    radii = tuple(round(factor * unit, 2) for factor in RADII_FWHM)
    inner = max(ANNULUS_INNER_FWHM * unit, MIN_ANNULUS_INNER_PX)
    area = max(MIN_ANNULUS_AREA_PX, ANNULUS_AREA_RATIO * np.pi * radii[-1] ** 2)
    return Apertures(radii, (round(inner, 2), round(float(np.sqrt(inner**2 + area / np.pi)), 2)))


def measure(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    apertures: Apertures,
    *,
    gain: float | None,
    background_rms: float,
    background_level: float = 0.0,
    read_noise: float | None = None,
    bad: NDArray[np.bool_] | None = None,
    saturated: NDArray[np.bool_] | None = None,
) -> Measurement:
    """Measure every source in every aperture (exact overlap of circle and pixels).

    The local sky is a clipped mean of the annulus, clear of neighbours. Bad pixels (``bad`` or NaN) are filled in
    from their neighbours and flagged. An aperture that leaves the image has NaN flux and flag EDGE; one whose annulus
    leaves it keeps its flux, with flag EDGE. Without sky pixels the frame's background is trusted (NO_SKY).

    Args:
        image: float32[ny, nx], background-subtracted, ADU; NaN pixels are bad.
        xy: float64[n, 2], positions on this image, px; not finite where unknown.
        apertures: radii and annulus, px.
        gain: electrons per ADU; None leaves the sources' own photon noise out of the errors.
        background_rms: of a sky pixel, ADU.
        background_level: the background that was subtracted, ADU; shapes the skewness of the sky's noise.
        read_noise: electrons; with a gain, the least noise of a sky pixel. Measured sky noise contains it already.
        bad: bool[ny, nx], pixels not to be believed.
        saturated: bool[ny, nx], pixels at the detector's limit.

    Returns:
        Measurement of n sources, k apertures.

    Raises:
        UnusableDataError: arrays whose shapes do not fit, or a background rms or gain that is not a positive number.
    """
    _check(image, xy, gain, background_rms, bad, saturated)
    image = np.ascontiguousarray(image, dtype=np.float32)
    placed, inside = _inside(image.shape, xy, apertures.radii)
    result = _empty(len(xy), len(apertures.radii), background_rms)
    result.flag[~inside | ~_inside(image.shape, xy, (apertures.annulus[1],))[1]] |= Flag.EDGE
    if not placed.any():
        return result

    if np.isnan(image.min()):  # min passes NaN on, and needs no mask of the image
        bad = np.isnan(image) if bad is None else bad | np.isnan(image)
    if bad is not None:
        image = fill_masked(image, bad)
    third_moment = 0.0 if gain is None else max(background_level, 0.0) / gain**2
    neighbours = neighbour_mask(image, xy[placed], background_rms, round(apertures.radii[0]))
    sky = local_sky(
        image,
        xy[placed],
        apertures.annulus,
        unusable=bad,
        neighbours=neighbours,
        background_rms=background_rms,
        third_moment=third_moment,
    )
    least_rms = read_noise / gain if read_noise is not None and gain is not None else 0.0
    _fill_sky(result, placed, sky, background_rms, least_rms)
    sky_area = np.where(sky.pixels > 0, sky.pixels, np.inf)

    area = np.pi * np.square(apertures.radii)
    result.flux[inside] = _sums(image, xy, apertures.radii, inside)
    result.flux[placed] -= result.sky[placed, None] * area
    result.error[placed] = np.sqrt(
        ccd_variance(result.flux[placed], area, result.sky_rms[placed, None] ** 2, sky_area[:, None], gain=gain)
    )
    result.error[np.isnan(result.flux)] = np.nan
    for mask, flag in ((bad, Flag.BAD_PIXEL), (saturated, Flag.SATURATED)):
        if mask is not None:
            result.flag[placed] |= np.where(touched_apertures(mask, xy[placed], apertures.radii), flag, 0)
    return result


def _check(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    gain: float | None,
    background_rms: float,
    *masks: NDArray[np.bool_] | None,
) -> None:
    if image.ndim != 2:
        raise UnusableDataError(f"image of {image.ndim} dimensions: expected 2")
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise UnusableDataError(f"positions of shape {xy.shape}: expected (n, 2)")
    if not 0.0 < background_rms < np.inf:
        raise UnusableDataError(f"background rms {background_rms} ADU: expected a positive number; is the frame blank?")
    if gain is not None and not 0.0 < gain < np.inf:
        raise UnusableDataError(f"gain {gain} e-/ADU: expected a positive number, or None when it is unknown")
    for mask in masks:
        if mask is not None and mask.shape != image.shape:
            raise UnusableDataError(f"mask of shape {mask.shape}: expected the image's, {image.shape}")


def _inside(
    shape: tuple[int, ...], xy: NDArray[np.float64], radii: tuple[float, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[n], the smallest circle lies inside the image; bool[n, k], which circles do."""
    size = np.array(shape[::-1], dtype=np.float64)
    room = np.minimum(xy + 0.5, size - 0.5 - xy).min(axis=1, initial=np.inf)
    inside = room[:, None] >= np.asarray(radii)  # False for NaN
    return inside[:, 0], inside


def _empty(sources: int, apertures: int, background_rms: float) -> Measurement:
    shape = (sources, apertures)
    return Measurement(
        flux=np.full(shape, np.nan),
        error=np.full(shape, np.nan),
        flag=np.zeros(shape, dtype=np.int32),
        sky=np.zeros(sources),
        sky_rms=np.full(sources, background_rms),
    )


def _fill_sky(
    result: Measurement, placed: NDArray[np.bool_], sky: LocalSky, background_rms: float, least_rms: float
) -> None:
    found = sky.pixels > 0
    result.sky[placed] = np.where(found, sky.level, 0.0)
    result.sky_rms[placed] = np.maximum(np.where(found, sky.rms, background_rms), least_rms)
    result.flag[np.flatnonzero(placed)[~found]] |= Flag.NO_SKY


def _sums(
    image: NDArray[np.float32], xy: NDArray[np.float64], radii: tuple[float, ...], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    source, aperture = np.nonzero(inside)
    sums, _, _ = sep.sum_circle(image, xy[source, 0], xy[source, 1], np.asarray(radii)[aperture], subpix=0)
    return np.asarray(sums, dtype=np.float64)
