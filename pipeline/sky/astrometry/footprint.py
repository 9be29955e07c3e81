"""How much of the sky two images share."""

import numpy as np

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import Floats

SAMPLES = 24  # along each side: shares are good to some per cent


def shared(wcs: SkyWcs, shape: tuple[int, int], other: SkyWcs, other_shape: tuple[int, int]) -> tuple[float, float]:
    """What two images have in common: as a share of the smaller field, and of both fields together (0 to 1).

    By a grid of points of the smaller one, so that neither the pole nor right ascension zero is special, and fields of
    any shape and rotation count by their areas. shapes: (ny, nx).
    """
    one, two = _area(wcs, shape), _area(other, other_shape)
    if one > two:
        return shared(other, other_shape, wcs, shape)
    xy = other.to_pixels(wcs.to_sky(_grid(shape)))
    ny, nx = other_shape
    with np.errstate(invalid="ignore"):  # NaN lies outside
        inside = (xy > -0.5).all(axis=1) & (xy[:, 0] < nx - 0.5) & (xy[:, 1] < ny - 0.5)
    share = float(inside.mean())
    return share, share * one / (one + two - share * one)


def _area(wcs: SkyWcs, shape: tuple[int, int]) -> float:
    """Square arcseconds."""
    return wcs.pixel_scale(shape) ** 2 * shape[0] * shape[1]


def _grid(shape: tuple[int, int]) -> Floats:
    """The middles of SAMPLES × SAMPLES parts of an image, float64[n, 2]."""
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    y, x = np.meshgrid(steps * shape[0] - 0.5, steps * shape[1] - 0.5, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])
