"""Which stars of a catalogue lie nearest to the sources of an image, and which of them the sources are.

The three nearest are kept, as in the Tianyu paper (section 3.3). A deep catalogue has a star near any place: within
7.5 arcsec there are 0.1 stars of G < 18 on average and 1 in the Milky Way. Hence only stars count that the image could
show, and of stars that it cannot tell apart only the bright ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.sphere import nearest_on_sky

NEIGHBOURS = 3
MATCH_ARCSEC = 1.5  # the paper's
MATCH_PX = 0.75  # where pixels are coarser: a centroid's error grows with them
# Fainter than the faintest source by so much, a star brings a sixth of its light.
BELOW_FAINTEST_MAG = 2.0
# Within the radius of one source a star so much fainter than the brightest there is a tenth of the light or less.
DROWNED_MAG = 2.5
FAINTEST_PERCENTILE = 1.0  # of the sources' brightness; a single odd flux shall not decide
PAIRS_LEAST = 5  # for a zero point
LOOKED_AT = 12  # nearest stars of each source, before the drowned are left out

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Crossmatch:
    """Neighbours of ``n`` sources among the stars of a catalogue, nearest first."""

    index: NDArray[np.int64]  # [n, 3], into the catalogue; -1: no further star
    distance_arcsec: Floats  # [n, 3]; NaN without a star
    is_match: NDArray[np.bool_]  # [n]: the nearest star is the source itself
    zero_point: float  # G of a flux of 1; NaN where too few stars match
    mag_limit: float  # stars fainter than this were not looked at


def match_radius(pixel_scale_arcsec: float) -> float:
    """How far from a source its star may be, arcsec."""
    coarse = MATCH_PX * pixel_scale_arcsec
    return float(max(MATCH_ARCSEC, coarse)) if np.isfinite(coarse) else MATCH_ARCSEC


def crossmatch(radec: Floats, flux: Floats, star_radec: Floats, star_mag: Floats, radius_arcsec: float) -> Crossmatch:
    """The nearest stars of each source.

    A source matches its nearest star where that is within the radius and no other source is nearer to the star.

    Args:
        radec: float64[n, 2], of the sources, degrees; NaN where unknown, which matches nothing.
        flux: float64[n], of the sources, any unit.
        star_radec: float64[m, 2], of the catalogue's stars at the time of the image, degrees.
        star_mag: float64[m], G; NaN counts as too faint.
        radius_arcsec: greatest distance of a match; see `match_radius`.
    """
    zero_point = estimate_zero_point(radec, flux, star_radec, star_mag, radius_arcsec)
    limit = detection_limit(flux, zero_point)
    bright = np.flatnonzero(star_mag < limit)
    distance, nearest = nearest_on_sky(radec, star_radec[bright], LOOKED_AT)
    drowned = _drowned(distance, nearest, star_mag[bright], radius_arcsec)
    order = np.argsort(np.where(drowned, np.inf, distance), axis=1, kind="stable")[:, :NEIGHBOURS]
    distance, nearest = np.take_along_axis(distance, order, axis=1), np.take_along_axis(nearest, order, axis=1)
    there = (nearest >= 0) & ~np.take_along_axis(drowned, order, axis=1)
    is_match = there[:, 0] & (distance[:, 0] <= radius_arcsec)
    is_match[is_match] = _is_nearest_to_its_star(nearest[is_match, 0], distance[is_match, 0])
    return Crossmatch(
        index=np.where(there, bright[nearest] if bright.size else -1, -1),
        distance_arcsec=np.where(there, distance, np.nan),
        is_match=is_match,
        zero_point=zero_point,
        mag_limit=limit,
    )


def estimate_zero_point(
    radec: Floats, flux: Floats, star_radec: Floats, star_mag: Floats, radius_arcsec: float
) -> float:
    """Median of G + 2.5 log10(flux) over the brighter half of the sources that have a star; NaN for fewer than five.

    Each source is taken for the brightest star within the radius: what outshines the others is what was measured. A
    bright source is seldom confused. Arguments as those of `crossmatch`.
    """
    distance, nearest = nearest_on_sky(radec, star_radec, LOOKED_AT)
    mags = np.where(distance <= radius_arcsec, _mags(nearest, star_mag), np.inf)
    brightest = mags.min(axis=1, initial=np.inf)
    usable = np.isfinite(brightest) & (flux > 0)
    if usable.sum() < PAIRS_LEAST:
        return float("nan")
    flux, brightest = flux[usable], brightest[usable]
    upper = flux >= np.median(flux)
    return float(np.median(brightest[upper] + 2.5 * np.log10(flux[upper])))


def detection_limit(flux: Floats, zero_point: float) -> float:
    """G of stars that the image cannot show, two magnitudes below its faintest source; infinite where unknown."""
    positive = flux[flux > 0]
    if not positive.size or not np.isfinite(zero_point):
        return float("inf")
    return float(zero_point - 2.5 * np.log10(np.percentile(positive, FAINTEST_PERCENTILE)) + BELOW_FAINTEST_MAG)


def _mags(nearest: NDArray[np.int64], star_mag: Floats) -> Floats:
    """Magnitudes ``[n, k]`` of stars by index; infinite where there is none, or none is known."""
    if not star_mag.size:
        return np.full(nearest.shape, np.inf)
    return np.where((nearest >= 0) & np.isfinite(star_mag[nearest]), star_mag[nearest], np.inf)


def _drowned(distance: Floats, nearest: NDArray[np.int64], star_mag: Floats, radius_arcsec: float) -> NDArray[np.bool_]:
    """Stars ``[n, k]`` within the radius that a much brighter one, also within it, outshines."""
    inside = distance <= radius_arcsec
    mags = np.where(inside, _mags(nearest, star_mag), np.inf)
    brightest = mags.min(axis=1, initial=np.inf, keepdims=True)
    return np.asarray(inside & (mags > brightest + DROWNED_MAG))


def _is_nearest_to_its_star(star: NDArray[np.int64], distance: Floats) -> NDArray[np.bool_]:
    """Of pairs (source, star), whether no other source is nearer to the same star; the first of equals."""
    order = np.lexsort((distance, star))
    first = np.ones(star.size, dtype=np.bool_)
    first[1:] = star[order][1:] != star[order][:-1]
    nearest = np.empty_like(first)
    nearest[order] = first
    return nearest
