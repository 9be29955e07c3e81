"""The catalogue stars that an image should show, and whether as many match as only the truth explains."""

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MARGIN = 0.03  # of the longer side: catalogue stars that far outside may turn out to be inside
SURROUNDINGS = 8.0  # radii about a star in which the catalogue's density is counted
SMALLEST_RADIUS = 1.0  # px
RADIUS_SIGMA = 4.0


def chance_of_matches(
    wcs: SkyWcs, free: int, sigma_px: float, xy: Floats, radec: Floats, shape: tuple[int, int]
) -> float:
    """Probability that unrelated catalogue stars match as many of the image's stars as these do.

    xy: float64[n, 2]; radec: float64[m, 2]; free: stars that the WCS brings together whatever they are, since it was
    made of them; sigma_px: scatter of its matches on one axis. A star matches when a catalogue star of its own lies
    within 4 sigma (1 px at least); its chance of that is the catalogue's density about it.
    """
    places = wcs.to_pixels(radec[in_field(wcs, radec, np.zeros(len(radec)), shape)])
    if not len(places):
        return 1.0
    from scipy.special import pdtrc  # see pipeline/__init__.py

    radius = max(RADIUS_SIGMA * sigma_px, SMALLEST_RADIUS)
    tree = tree_of(places)
    distance, nearest = tree.query(xy, distance_upper_bound=radius)  # type: ignore[no-untyped-call]
    matches = len(np.unique(nearest[np.isfinite(distance)]))
    about = tree.query_ball_point(  # type: ignore[no-untyped-call]
        xy, SURROUNDINGS * radius, return_length=True
    ) - np.isfinite(distance)
    inside = (places > 0).all(axis=1) & (places < np.array(shape)[::-1] - 1).all(axis=1)
    everywhere = np.count_nonzero(inside) * np.pi * radius**2 / (shape[0] * shape[1])
    expected = float(np.maximum(about / SURROUNDINGS**2, everywhere).sum())
    return float(pdtrc(matches - free - 1, expected)) if matches > free else 1.0


def in_field(wcs: SkyWcs, radec: Floats, mag: Floats, shape: tuple[int, int]) -> Indices:
    """Indices of the catalogue stars in the field, with a margin, the brightest first."""
    # Most of a large catalogue lies elsewhere: a look at the separations takes a tenth of the time of all its pixels.
    away = separation_arcsec(radec, np.array([wcs.centre(shape)])) / ARCSEC
    star = np.flatnonzero(away < (1 + 2 * MARGIN) * wcs.radius(shape))
    x, y = wcs.to_pixels(radec[star]).T
    margin = MARGIN * max(shape)
    # Comparisons with NaN are false: what is nowhere is not in the field.
    star = star[(x > -margin) & (x < shape[1] - 1 + margin) & (y > -margin) & (y < shape[0] - 1 + margin)]
    return np.asarray(star[np.argsort(np.nan_to_num(mag[star], nan=np.inf), kind="stable")], np.int64)
