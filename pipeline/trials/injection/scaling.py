"""Making stars of a raw frame brighter or fainter, in the frame's own numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.aperture.local_sky import local_sky, neighbour_mask
from pipeline.frame.background import FRAME_BIN, subtract_background

FULL_FWHM = 3.0  # radius up to which a star is scaled as a whole: 99 % of a Moffat's light
REACH_FWHM = 4.0  # radius at which the scaling has faded to nothing
SKY_FWHM = (5.0, 8.0)  # annulus of the local sky
LEAST_FWHM = 1.0  # px

Image = NDArray[Any]
Floats = NDArray[np.float64]


def scale_stars(
    frame: Image,
    xy: Floats,
    factor: Floats,
    fwhm: float,
    rng: np.random.Generator,
    untouched: NDArray[np.bool_] | None = None,
) -> Image:
    """A copy of a raw frame in which each star has ``factor`` times its light.

    new = raw + (factor - 1) · w(r) · (raw - local), where ``local`` is the level beside the star, sky, bias and dark
    together, measured as photometry measures the sky: with a plain clipped mean 2 % of the signals of a crowded field
    were missing. w falls from 1 to 0 by a cosine between 3 and 4 FWHM. The noise is scaled with the star: 0.97 of its
    light has 0.97 of its noise instead of 0.985. Whole numbers are rounded up or down at random with the mean kept:
    plain rounding would swallow signals below half a unit.

    Args:
        frame: any real type [ny, nx], in any linear unit.
        xy: float64[n, 2], 0-based pixels; stars off the frame, or without sky on it, are left alone.
        factor: float64[n].
        fwhm: of the frame's stars, px.
        rng: rounds.
        untouched: bool[ny, nx], saturated or blank pixels, which keep their values.

    Returns:
        The frame's own type, [ny, nx]; what does not fit into whole numbers stops at their limits.

    Raises:
        UnusableDataError: the frame has no sky to measure.
    """
    new = frame.copy()
    fwhm = max(fwhm, LEAST_FWHM)
    near = (xy > -0.5).all(axis=1) & (xy[:, 0] < frame.shape[1] - 0.5) & (xy[:, 1] < frame.shape[0] - 0.5)
    wanted = near & (factor != 1.0)
    if not wanted.any():
        return new
    light, level = _light(frame, xy[wanted], fwhm)
    for (x, y), scale, local in zip(xy[wanted].tolist(), factor[wanted].tolist(), level.tolist(), strict=True):
        window = _window(frame.shape, x, y, REACH_FWHM * fwhm)
        yy, xx = np.ogrid[window]
        change = (scale - 1.0) * _taper(np.hypot(xx - x, yy - y) / fwhm) * (light[window] - local)
        usable = np.isfinite(change)
        if untouched is not None:
            usable &= ~untouched[window]
        new[window][usable] = _added(new[window][usable], change[usable], rng)
    return new


def _light(frame: Image, xy: Floats, fwhm: float) -> tuple[NDArray[np.float32], Floats]:
    """The frame without its background, and what is left of that beside each star (NaN where too few pixels tell)."""
    light, background = subtract_background(frame.astype(np.float32), bin_size=FRAME_BIN)
    sky = local_sky(
        light,
        xy,
        (SKY_FWHM[0] * fwhm, SKY_FWHM[1] * fwhm),
        unusable=~np.isfinite(light),
        neighbours=neighbour_mask(light, xy, background.rms, round(fwhm)),
        background_rms=background.rms,
    )
    return light, sky.level


def _window(shape: tuple[int, ...], x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns within ``reach`` of a place on the frame."""
    rows, columns = (
        slice(max(0, int(np.floor(at - reach))), min(length, int(np.ceil(at + reach)) + 1))
        for at, length in ((y, shape[0]), (x, shape[1]))
    )
    return rows, columns


def _taper(distance: Floats) -> Floats:
    """Weight at a distance in FWHM: 1, then half a cosine, then 0."""
    fade = np.clip((distance - FULL_FWHM) / (REACH_FWHM - FULL_FWHM), 0.0, 1.0)
    return np.asarray(0.5 * (1.0 + np.cos(np.pi * fade)))


def _added(old: Image, change: Floats, rng: np.random.Generator) -> Image:
    """Old values and their change in the old type."""
    values = old.astype(np.float64) + change
    if not np.issubdtype(old.dtype, np.integer):
        return values.astype(old.dtype)
    limits = np.iinfo(old.dtype)
    return np.clip(np.floor(values + rng.random(values.shape)), limits.min, limits.max).astype(old.dtype)
