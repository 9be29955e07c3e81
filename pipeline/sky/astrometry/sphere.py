"""Positions on the sky, without trouble at 0 h or a pole: directions, separations and neighbours."""

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.units import ARCSEC, positive_angle

Floats = NDArray[np.float64]


def unit_vectors(radec: Floats) -> Floats:
    """Unit vectors float64[n, 3] of radec float64[n, 2], degrees; NaN stays NaN."""
    ra, dec = np.radians(np.asarray(radec, np.float64).reshape(-1, 2)).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def directions(vectors: Floats) -> Floats:
    """(ra 0..360, dec) float64[n, 2], degrees, of vectors float64[n, 3] of any length."""
    x, y, z = vectors.T
    return np.column_stack([positive_angle(np.degrees(np.arctan2(y, x))), np.degrees(np.arctan2(z, np.hypot(x, y)))])


def separation_arcsec(radec_a: Floats, radec_b: Floats) -> Floats:
    """Distances on the sky, float64[n], arcsec, of pairs float64[n, 2] and float64[n, 2] (or one position and n)."""
    a, b = unit_vectors(radec_a), unit_vectors(radec_b)
    sine, cosine = np.linalg.norm(np.cross(a, b), axis=1), (a * b).sum(axis=1)
    return np.asarray(np.degrees(np.arctan2(sine, cosine)) * ARCSEC)


def middle_of(radec: Floats) -> Floats:
    """The direction float64[1, 2], degrees, in the middle of directions float64[n, 2]."""
    return directions(unit_vectors(radec).mean(axis=0, keepdims=True))


def axes_apart_deg(one: float, other: float) -> float:
    """How far two axes are apart, 0..90 degrees: half a turn is none."""
    return abs((one - other + 90.0) % 180.0 - 90.0)


def pixel_scale(xy: Floats, radec: Floats) -> float:
    """Arcsec a pixel, from how far stars lie about their middle on an image and on the sky.

    xy: float64[n, 2], pixels; radec: float64[n, 2], degrees, NaN where unknown. NaN for fewer than two stars.
    """
    known = np.isfinite(radec).all(axis=1)
    if np.count_nonzero(known) < 2:
        return float("nan")
    xy, radec = xy[known], radec[known]
    angles = separation_arcsec(middle_of(radec), radec)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(np.square(angles).sum() / np.square(xy - xy.mean(axis=0)).sum()))


def nearest_on_sky(radec: Floats, catalogue_radec: Floats, k: int) -> tuple[Floats, NDArray[np.int64]]:
    """The k nearest catalogue positions of each position, the nearest first.

    radec: float64[n, 2], catalogue_radec: float64[m, 2], degrees. Returns distances float64[n, k], arcsec, and indices
    int64[n, k] into the catalogue. Where it has fewer than k, and for positions that are NaN: inf and -1.
    """
    points, catalogue = unit_vectors(radec), unit_vectors(catalogue_radec)
    distance = np.full((len(points), k), np.inf)
    index = np.full((len(points), k), -1, np.int64)
    place, known = _finite(points), _finite(catalogue)
    if len(place) and len(known):
        chord, found = tree_of(catalogue[known]).query(  # type: ignore[no-untyped-call]
            points[place], k=np.arange(1, k + 1)
        )
        there = found < len(known)
        distance[place] = np.where(there, _arcsec_of_chord(np.where(there, chord, 0.0)), np.inf)
        index[place] = np.where(there, known[np.minimum(found, len(known) - 1)], -1)
    return distance, index


def _finite(vectors: Floats) -> NDArray[np.intp]:
    return np.flatnonzero(np.isfinite(vectors).all(axis=1))


def _arcsec_of_chord(chord: Floats) -> Floats:
    return np.asarray(np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0))) * ARCSEC)
