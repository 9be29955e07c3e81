"""Made-up skies and cameras: catalogues with known stars, and what a camera with a known WCS detects of them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry import SkyWcs, separation_arcsec
from pipeline.sky.astrometry.projection import from_plane, from_stereographic

Floats = NDArray[np.float64]

SHAPE = (2048, 2048)
SLOPE = 0.35  # of log10 of the number of stars with magnitude


def camera(
    place: tuple[float, float],
    scale_arcsec: float,
    angle: float = 0.0,
    mirrored: bool = False,
    shape: tuple[int, int] = SHAPE,
    distortion: float = 0.0,
) -> SkyWcs:
    """A camera that looks at a place; distortion: px in the corner, radial, of third order."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    parity = 1.0 if mirrored else -1.0
    cd = scale_arcsec / 3600 * np.array([[parity * c, s], [-parity * s, c]])
    centre = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    if distortion == 0:
        return SkyWcs(centre, place, cd)
    a = np.zeros((4, 4))
    a[3, 0] = a[1, 2] = distortion / np.hypot(*centre) ** 3
    return SkyWcs(centre, place, cd, a, a.T.copy())


@dataclass
class Sky:
    """A catalogue about a place: radec float64[m, 2], mag float64[m]."""

    radec: Floats
    mag: Floats

    def brighter(self, limit: float) -> "Sky":
        return Sky(self.radec[self.mag < limit], self.mag[self.mag < limit])


def magnitudes(rng: np.random.Generator, number: int) -> Floats:
    """Magnitudes up to 0, of stars whose number grows by a factor of 2.2 a magnitude."""
    return np.log10(rng.random(number)) / SLOPE


def sky(rng: np.random.Generator, place: tuple[float, float], radius_deg: float, number: int) -> Sky:
    """``number`` stars, uniform in the disc."""
    r, turn = radius_deg * np.sqrt(rng.random(number)), rng.uniform(0, 2 * np.pi, number)
    plane = np.column_stack([r * np.cos(turn), r * np.sin(turn)])
    # A disc of this radius on the plane is as wide on the sky; its area is a little larger, which matters to no test.
    plane *= (2 * np.degrees(np.tan(np.radians(r) / 2)) / np.maximum(r, 1e-300))[:, None]
    return Sky(from_stereographic(plane, *place), magnitudes(rng, number))


@dataclass
class Seen:
    """What a camera detects: xy float64[n, 2], flux float64[n], star int64[n] (-1: spurious)."""

    xy: Floats
    flux: Floats
    star: NDArray[np.int64] = field(repr=False)


def seen(
    rng: np.random.Generator,
    stars: Sky,
    wcs: SkyWcs,
    shape: tuple[int, int] = SHAPE,
    *,
    limit: float = 0.0,
    noise: float = 0.05,
    faint_noise: float = 0.0,
    missing: float = 0.05,
    spurious: float = 0.0,
    colour: float = 0.3,
) -> Seen:
    """Detections of the stars brighter than ``limit``.

    noise: px on each axis, with ``faint_noise`` added in squares at the limit, falling with flux; missing: share of
    stars that are not detected; spurious: share of the detections that are no stars; colour: mag, scatter between the
    catalogue's band and the camera's.
    """
    mag = stars.mag + rng.normal(0, colour, len(stars.mag))
    xy = wcs.to_pixels(stars.radec)
    inside = (xy > 0).all(axis=1) & (xy < (shape[1] - 1, shape[0] - 1)).all(axis=1)
    star = np.flatnonzero(inside & (mag < limit) & (rng.random(len(mag)) >= missing))
    flux = 10 ** (-0.4 * (mag[star] - limit))
    sigma = np.hypot(noise, faint_noise / flux)[:, None]
    false = round(len(star) * spurious / (1 - spurious))
    hot = rng.uniform((0, 0), (shape[1] - 1, shape[0] - 1), (false, 2))
    order = rng.permutation(len(star) + false)
    return Seen(
        np.concatenate([xy[star] + rng.normal(0, 1, (len(star), 2)) * sigma, hot])[order],
        np.concatenate([flux, rng.choice(flux, false) if false else np.empty(0)])[order],
        np.concatenate([star, np.full(false, -1)])[order],
    )


def errors(found: SkyWcs, truth: SkyWcs, shape: tuple[int, int] = SHAPE) -> tuple[float, float]:
    """(median over the field, largest of the corners): px between where two WCS show the same pixels."""
    line = [np.linspace(0, n - 1, 9) for n in shape]
    grid = np.stack(np.meshgrid(line[1], line[0]), axis=-1)
    scale = truth.pixel_scale(shape)
    away = separation_arcsec(found.to_sky(grid.reshape(-1, 2)), truth.to_sky(grid.reshape(-1, 2))) / scale
    away = away.reshape(9, 9)
    return float(np.median(away)), float(away[[0, 0, -1, -1], [0, -1, 0, -1]].max())


def offset(place: tuple[float, float], degrees: float, direction: float) -> tuple[float, float]:
    """The place that far from a place, in that direction (degrees from north through east)."""
    plane = np.degrees(np.tan(np.radians(degrees))) * np.array(
        [[np.sin(np.radians(direction)), np.cos(np.radians(direction))]]
    )
    ra, dec = from_plane(plane, *place)[0].tolist()
    return ra, dec
