"""Aperture fluxes at sub-pixel positions on frames that were never resampled."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.aperture.growth import MIN_SNR, MOST_STARS, Growth, measure_growth
from pipeline.aperture.known_pixels import KnownPixels, known_pixels
from pipeline.aperture.kron import Ellipses, sum_ellipses, touched_ellipses
from pipeline.aperture.local_sky import (
    NEIGHBOUR_SIGMA,
    LocalSky,
    draw_to_frame,
    local_sky,
    neighbour_mask,
    with_frame_levels,
)
from pipeline.aperture.pixel_phase import FIRST_QUIET_PX, phase_error, quiet_radius
from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.frame.masked_pixels import NO_VALUE, filled_in, flags_of
from pipeline.kernels.annulus import bright_runs
from pipeline.kernels.apertures import circle_sums, touched_bits
from pipeline.kernels.places import Places
from pipeline.noise import FrameNoise, ccd_variance, flat_variance, least_sky_variance

# Radii in FWHM as frames measure it, up to 1.16 times the true one; each √2 times the one before. By the CCD equation
# bright stars scatter least at 1.7, faint ones at 0.75, and none with a signal to noise above 50 more than 1.2 % more
# in one of these than in a circle of its own. Below 0.7 it matters to bright ones where in its pixels a star falls.
RADII_FWHM = (0.85, 1.2, 1.7)
# px; of narrower stars the sum depends on where in a pixel they fall, and radii are those in which it depends least.
UNDERSAMPLED_FWHM = 2.65
ANNULUS_INNER_FWHM = 4.0
NEAREST_ANNULUS_FWHM = 2.5  # in images too small for more: wings there are the same on all frames of one seeing
MIN_ANNULUS_INNER_PX = 8.0
MIN_ANNULUS_AREA_PX = 600.0  # the sky level then adds less than 10 % to the noise of a 4 px aperture
ANNULUS_AREA_RATIO = 4.0  # annulus to largest aperture, for wide stars
LEAST_NEIGHBOUR_PX = 2  # that the annulus keeps from the light of others
GROWTH_ROOM = 1.0 / 3.0  # of the image's shorter side: the largest circle of a curve of growth


@dataclass(frozen=True)
class Apertures:
    """What is measured around each source.

    Attributes:
        radii: k radii of circles, px, in any order.
        annulus: inner and outer radius of the sky annulus, px.
        ellipses: one ellipse for each source besides (a Kron flux); the last aperture.
        local: whether the sky is taken from the annulus; else the frame's background is trusted.

    Raises:
        UnusableDataError: radii that are not positive, or an annulus that is empty.
    """

    radii: tuple[float, ...]
    annulus: tuple[float, float]
    ellipses: Ellipses | None = None
    local: bool = True

    def __post_init__(self) -> None:
        if not self.radii or any(not 0.0 < radius < np.inf for radius in self.radii):
            raise UnusableDataError(f"aperture radii {self.radii} px: expected positive numbers, at least one")
        if not 0.0 < self.annulus[0] < self.annulus[1] < np.inf:
            raise UnusableDataError(f"sky annulus {self.annulus} px: expected 0 < inner < outer")

    @property
    def number(self) -> int:
        """Apertures of each source."""
        return len(self.radii) + (self.ellipses is not None)

    def areas(self, sources: int) -> NDArray[np.float64]:
        """float64[n, number], px."""
        areas = np.broadcast_to(np.pi * np.square(self.radii), (sources, len(self.radii)))
        return areas if self.ellipses is None else np.column_stack([areas, self.ellipses.area])

    def edges(self, sources: int) -> NDArray[np.float64]:
        """Circumferences, float64[n, number], px."""
        edges = np.broadcast_to(2.0 * np.pi * np.asarray(self.radii), (sources, len(self.radii)))
        return edges if self.ellipses is None else np.column_stack([edges, self.ellipses.edge])


@dataclass(frozen=True)
class Measurement:
    """Fluxes of n sources in k apertures on one image.

    Attributes:
        flux: float64[n, k], ADU, sky subtracted; NaN where it cannot be measured.
        error: float64[n, k], ADU, one standard deviation by the CCD equation.
        flag: int32[n, k], bits of `pipeline.flags.Flag`.
        sky: float64[n], local sky above the background already subtracted, ADU a pixel.
        sky_rms: float64[n], scatter of a sky pixel, ADU.
        growth: curve of growth to the annulus' inner radius, nearer in a narrow image; None without bright stars, or
            where it was not asked for.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    flag: NDArray[np.int32]
    sky: NDArray[np.float64]
    sky_rms: NDArray[np.float64]
    growth: Growth | None = None


def default_apertures(fwhm: float, shape: tuple[int, int] | None = None) -> Apertures:
    """Apertures for stars of this FWHM: one set for all frames of an observation.

    Args:
        fwhm: full width at half maximum of the observation's stars, px.
        shape: rows and columns of the frames. Where the annulus would reach further than half of the shorter side, no
            star would have a whole one: it comes nearer, to `NEAREST_ANNULUS_FWHM` at most.

    Raises:
        UnusableDataError: the FWHM is not a positive number.
    """
    if not 0.0 < fwhm < np.inf:
        raise UnusableDataError(f"FWHM {fwhm} px: expected a positive number; were any stars found?")
    unit = max(fwhm, FIRST_QUIET_PX / RADII_FWHM[0])
    radii = tuple(round(factor * unit, 2) for factor in RADII_FWHM)
    if fwhm < UNDERSAMPLED_FWHM:
        radii = tuple(quiet_radius(radius) for radius in radii)
    inner = max(ANNULUS_INNER_FWHM * unit, MIN_ANNULUS_INNER_PX)
    width2 = max(MIN_ANNULUS_AREA_PX / np.pi, ANNULUS_AREA_RATIO * radii[-1] ** 2)  # outer² - inner²
    if shape is not None:
        fitting = float(np.sqrt(max((min(shape) / 2.0) ** 2 - width2, 0.0)))
        inner = min(inner, max(fitting, NEAREST_ANNULUS_FWHM * unit))
    return Apertures(radii, (round(inner, 2), round(float(np.sqrt(inner**2 + width2)), 2)))


def measure(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    apertures: Apertures,
    noise: FrameNoise,
    *,
    bad: NDArray[np.bool_] | None = None,
    bits: NDArray[np.uint8] | None = None,
    marked: Places | None = None,
    isolated: NDArray[np.bool_] | None = None,
    neighbours: NDArray[np.float64] | None = None,
    fwhm: float | None = None,
) -> Measurement:
    """Measure every source in every aperture (exact overlap of aperture and pixels).

    The local sky is a clipped mean of the annulus, clear of neighbours, drawn towards the frame's as far as only noise
    parts them (`pipeline.aperture.local_sky.draw_to_frame`). An annulus that leaves the image keeps the pixels it has;
    with too few of them (NO_SKY) the level is that of the frame's other sources, and its error what these differ by.
    Bad pixels (``bad`` or NaN) are filled in from their neighbours and flagged. An aperture that leaves the image has
    NaN flux and flag EDGE.

    The variance of a flux F with sky of scatter s is ``F / gain + A s² (1 + A / A_sky) + F² (flat² + scintillation² +
    phase²)`` with the aperture's area A and a sky level worth A_sky pixels. The measured s holds read noise, dark
    current and digitisation.

    Args:
        image: float32[ny, nx], background-subtracted, ADU; NaN pixels are bad. Bad ones have other values meanwhile.
        xy: float64[n, 2], positions on this image, px; not finite where unknown.
        apertures: radii and annulus, px.
        noise: what is known of it.
        bad: bool[ny, nx], pixels not to be believed.
        bits: uint8[ny, nx], what is known against each pixel (`pipeline.frame.masked_pixels.PixelBit`); a bad pixel
            without any counts as BAD. Pixels with any are left out of the sky; values under trails stay as they are.
        marked: int64[m], flat indices of the pixels with any bits; found where not given.
        isolated: bool[n], sources fit for a curve of growth; None makes none.
        neighbours: float64[n, k], change of the neighbours' light in each aperture against the typical frame's, as the
            seeing foretells it, parts of the source's flux: an uncertainty, for wings are known in part only.
        fwhm: of the frame's stars, px, which tells by how much a sum depends on the place within a pixel (circles).

    Returns:
        Measurement of n sources, k apertures.

    Raises:
        UnusableDataError: arrays whose shapes do not fit.
    """
    _check(image, xy, bad, bits)
    image = np.require(image, np.float32, ("C", "W"))
    runs, without = bright_runs(image, NEIGHBOUR_SIGMA * noise.background_rms)
    known = known_pixels(without, image.shape, bad, bits, marked)
    with filled_in(image, known.bits, NO_VALUE, known.filled):
        return _measured(image, xy, apertures, noise, known, runs, isolated, neighbours, fwhm)


def _measured(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    apertures: Apertures,
    noise: FrameNoise,
    known: KnownPixels,
    runs: NDArray[np.int64],
    isolated: NDArray[np.bool_] | None,
    neighbours: NDArray[np.float64] | None,
    fwhm: float | None,
) -> Measurement:
    """`measure` on an image without holes, of whose pixels these bits are known."""
    placed, inside = _inside(image.shape, xy, apertures.radii)
    result = _empty(len(xy), apertures.number, noise.background_rms)
    circles = slice(0, len(apertures.radii))
    result.flag[:, circles][~inside] |= Flag.EDGE
    if not placed.any():
        return result

    sky_area = np.full(len(xy), np.inf)
    if apertures.local:
        sky = draw_to_frame(_sky(image, xy[placed], apertures, known, runs, noise))
        result.flag[np.flatnonzero(placed)[sky.pixels == 0]] |= Flag.NO_SKY
        sky = with_frame_levels(sky, noise.background_rms)
        result.sky[placed], result.sky_rms[placed] = sky.level, sky.rms
        sky_area[placed] = sky.worth
    np.maximum(result.sky_rms, np.sqrt(least_sky_variance(noise.gain, noise.read_noise)), out=result.sky_rms)

    area = apertures.areas(len(xy))
    result.flux[:, circles] = circle_sums(image, xy, apertures.radii, inside)
    if apertures.ellipses is not None:
        result.flux[:, -1] = sum_ellipses(image, xy, apertures.ellipses)
        result.flag[np.isnan(result.flux[:, -1]), -1] |= Flag.EDGE
    result.flux[...] -= result.sky[:, None] * area
    if known.marked.size:
        result.flag[placed, circles] |= flags_of(touched_bits(known.bits, xy[placed], apertures.radii))
        if apertures.ellipses is not None:
            result.flag[:, -1] |= flags_of(touched_ellipses(known.bits, xy, apertures.ellipses))

    edge = apertures.edges(len(xy))
    variance = ccd_variance(
        result.flux, area, result.sky_rms[:, None] ** 2, sky_area[:, None], edge=edge, gain=noise.gain
    )
    growth = None if isolated is None else _growth(image, xy, result, np.sqrt(variance), apertures, isolated)
    if noise.flat_error is not None:
        # Without bright stars the flat matters little: then the light counts as spread evenly.
        sharpness = 1.0 / area if growth is None else growth.sharpness
        variance += flat_variance(result.flux, flat_error=noise.flat_error, sharpness=sharpness)
    if noise.scintillation is not None:
        variance += np.square(noise.scintillation * result.flux)
    if neighbours is not None:
        variance += np.square(neighbours * result.flux)
    variance[:, circles] += np.square(phase_error(fwhm, apertures.radii) * result.flux[:, circles])
    np.sqrt(variance, out=result.error)
    return replace(result, growth=growth)


def _sky(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    apertures: Apertures,
    known: KnownPixels,
    runs: NDArray[np.int64],
    noise: FrameNoise,
) -> LocalSky:
    rms = noise.background_rms
    # What was filled in may be bright now where it was not; what was bright may be so no more.
    y, x = np.divmod(known.filled, image.shape[1])
    filled = np.column_stack([x, y])[image.reshape(-1)[known.filled] > np.float32(NEIGHBOUR_SIGMA * rms)]
    half_width = max(LEAST_NEIGHBOUR_PX, round(min(apertures.radii)))
    return local_sky(
        image,
        xy,
        apertures.annulus,
        unusable=known.bits,
        neighbours=neighbour_mask(image, np.vstack([xy, filled]), rms, half_width, runs),
        background_rms=rms,
        third_moment=noise.third_moment,
        marked=known.marked,
    )


def _growth(
    image: NDArray[np.float32],
    xy: NDArray[np.float64],
    found: Measurement,
    noise: NDArray[np.float64],
    apertures: Apertures,
    isolated: NDArray[np.bool_],
) -> Growth | None:
    """The curve of growth from the brightest clean stars, to the annulus' inner radius.

    In a narrow image it ends sooner, at one radius on all its frames: few stars or none have so much room.
    """
    largest = int(np.argmax(apertures.radii))
    reach = max(apertures.radii[largest], min(apertures.annulus[0], GROWTH_ROOM * min(image.shape)))
    with np.errstate(invalid="ignore"):
        clean = isolated & (found.flag == 0).all(axis=1) & (found.flux[:, largest] > MIN_SNR * noise[:, largest])
    stars = np.flatnonzero(clean & _inside(image.shape, xy, (reach,))[0])
    stars = stars[np.argsort(-found.flux[stars, largest], kind="stable")[:MOST_STARS]]
    radii = (*apertures.radii, max(apertures.radii)) if apertures.ellipses is not None else apertures.radii
    return measure_growth(image, xy[stars], found.flux[stars], found.sky[stars], found.sky_rms[stars], radii, reach)


def _check(
    image: NDArray[np.float32], xy: NDArray[np.float64], *masks: NDArray[np.bool_] | NDArray[np.uint8] | None
) -> None:
    if image.ndim != 2:
        raise UnusableDataError(f"image of {image.ndim} dimensions: expected 2")
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise UnusableDataError(f"positions of shape {xy.shape}: expected (n, 2)")
    for mask in masks:
        if mask is not None and mask.shape != image.shape:
            raise UnusableDataError(f"mask of shape {mask.shape}: expected the image's, {image.shape}")


def _inside(
    shape: tuple[int, ...], xy: NDArray[np.float64], radii: tuple[float, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[n], some circle lies inside the image; bool[n, k], which circles do."""
    size = np.array(shape[::-1], dtype=np.float64)
    room = np.minimum(xy + 0.5, size - 0.5 - xy).min(axis=1, initial=np.inf)
    inside = room[:, None] >= np.asarray(radii)  # False for NaN
    return inside.any(axis=1), inside


def _empty(sources: int, apertures: int, background_rms: float) -> Measurement:
    shape = (sources, apertures)
    return Measurement(
        flux=np.full(shape, np.nan),
        error=np.full(shape, np.nan),
        flag=np.zeros(shape, dtype=np.int32),
        sky=np.zeros(sources),
        sky_rms=np.full(sources, background_rms),
    )
