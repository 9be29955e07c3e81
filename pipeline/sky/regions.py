"""Regions of the sky, and which pixels of an image hold them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import directions, middle_of, separation_arcsec, unit_vectors
from pipeline.units import ARCSEC

Floats = NDArray[np.float64]
OUTLINE_POINTS = 180  # of a circle, and of the sides of a polygon together: an arc bends by 2e-4 of the radius
RANGE_POINTS = 33  # of each side of a range
WIDEST_OUTLINE_DEG = 60.0  # radius; the plane of an image does not reach much farther


@dataclass(frozen=True)
class Circle:
    """All places within ``radius`` of a centre, degrees, ICRS."""

    ra: float
    dec: float
    radius: float


@dataclass(frozen=True)
class Polygon:
    """What lies within great circles from vertex to vertex: (ra, dec), degrees, ICRS; smaller than half of the sky."""

    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Range:
    """Right ascensions from ``ra[0]`` eastwards to ``ra[1]``, and declinations, degrees, ICRS."""

    ra: tuple[float, float]
    dec: tuple[float, float]


Region = Circle | Polygon | Range
Box = tuple[slice, slice]  # rows and columns


def pixels_of(region: Region, wcs: SkyWcs, shape: tuple[int, int]) -> Box | None:
    """The smallest rectangle of pixels of an image of ``shape`` (ny, nx) that holds what it shows of a region.

    None where it shows nothing of it.
    """
    around = Circle(*wcs.centre(shape), wcs.radius(shape))
    outline = _outline(region, around)
    if outline is None:
        return None
    middle = _circle_of(region, outline)
    if _apart(middle, around) > middle.radius + around.radius:
        return None
    pixels = wcs.to_pixels(outline)
    if middle.radius > WIDEST_OUTLINE_DEG or not np.isfinite(pixels).all():
        return slice(0, shape[0]), slice(0, shape[1])
    x, y = (_within(pixels[:, axis], shape[1 - axis]) for axis in (0, 1))
    return None if x is None or y is None else (y, x)


def _within(pixels: Floats, length: int) -> slice | None:
    """Pixels of an axis that places touch; a pixel reaches half of its width to each side of its centre."""
    first = max(int(np.floor(pixels.min() + 0.5)), 0)
    last = min(int(np.floor(pixels.max() + 0.5)), length - 1)
    return slice(first, last + 1) if first <= last else None


def _outline(region: Region, around: Circle) -> Floats | None:
    """Places float64[n, 2] whose rectangle is the region's; None where the region is far from ``around``."""
    if isinstance(region, Circle):
        angles = np.linspace(0.0, 2.0 * np.pi, OUTLINE_POINTS, endpoint=False)
        [pole] = unit_vectors(np.array([[region.ra, region.dec]]))
        east = np.array([-np.sin(np.radians(region.ra)), np.cos(np.radians(region.ra)), 0.0])
        ring = np.outer(np.cos(angles), east) + np.outer(np.sin(angles), np.cross(pole, east))
        radius = np.radians(region.radius)
        return directions(np.cos(radius) * pole + np.sin(radius) * ring)
    if isinstance(region, Polygon):
        corners = unit_vectors(np.array(region.vertices))
        steps = max(OUTLINE_POINTS // len(corners), 2)
        along = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
        sides = [one + along * (other - one) for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
        return directions(np.concatenate(sides))
    return _grid(region, around)


def _grid(region: Range, around: Circle) -> Floats | None:
    """Places of a range in the neighbourhood of an image: a range may reach around the sky."""
    reach = 2.0 * around.radius
    dec = max(region.dec[0], around.dec - reach, -90.0), min(region.dec[1], around.dec + reach, 90.0)
    if dec[0] > dec[1]:
        return None
    width = region.ra[1] - region.ra[0]
    width = 360.0 if width >= 360.0 else width % 360.0
    first, last = 0.0, width  # from region.ra[0] on
    highest = max(abs(around.dec - reach), abs(around.dec + reach))
    if highest < 89.0:
        half = reach / np.cos(np.radians(highest))
        offset = (around.ra - region.ra[0] + 180.0) % 360.0 - 180.0  # of the image
        turns = [(max(0.0, offset + turn - half), min(width, offset + turn + half)) for turn in (-360.0, 0.0, 360.0)]
        near = [(low, high) for low, high in turns if low <= high]
        if not near:
            return None
        first, last = min(low for low, _ in near), max(high for _, high in near)
    ra, decs = np.meshgrid(region.ra[0] + np.linspace(first, last, RANGE_POINTS), np.linspace(*dec, RANGE_POINTS))
    return np.column_stack([ra.ravel() % 360.0, decs.ravel()])


def _circle_of(region: Region, outline: Floats) -> Circle:
    """A circle that holds a region."""
    if isinstance(region, Circle):
        return region
    [(ra, dec)] = middle_of(outline).tolist()
    radius = separation_arcsec(np.array([[ra, dec]]), outline).max() / ARCSEC
    return Circle(ra, dec, float(radius) * 1.01)


def _apart(one: Circle, other: Circle) -> float:
    return float(separation_arcsec(np.array([[one.ra, one.dec]]), np.array([[other.ra, other.dec]]))[0] / ARCSEC)
