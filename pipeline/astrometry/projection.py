"""Planes that touch the sky at a point: the gnomonic one of cameras, and the stereographic one, which keeps shapes."""

import numpy as np
from numpy.typing import NDArray

from pipeline.astrometry.sphere import directions, unit_vectors

Floats = NDArray[np.float64]


def axes_at(ra_deg: float, dec_deg: float) -> Floats:
    """Unit vectors to the east, to the north and outwards at a point: float64[3, 3], one a row.

    At a pole itself, east and north are those of the meridian ``ra_deg``.
    """
    a, d = np.radians(ra_deg), np.radians(dec_deg)
    return np.array(
        [
            [-np.sin(a), np.cos(a), 0.0],
            [-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)],
            [np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)],
        ]
    )


def to_plane(radec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Gnomonic (xi, eta) float64[n, 2], degrees, of radec float64[n, 2] about the point; NaN from 90 degrees off."""
    east, north, out = (unit_vectors(radec) @ axes_at(ra_deg, dec_deg).T).T
    out = np.where(out > 0, out, np.nan)
    return np.asarray(np.degrees(np.column_stack([east / out, north / out])))


def from_plane(plane: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """(ra 0..360, dec) float64[n, 2], degrees, of gnomonic (xi, eta) float64[n, 2], degrees."""
    east_north = np.radians(plane)
    return directions(np.column_stack([east_north, np.ones(len(plane))]) @ axes_at(ra_deg, dec_deg))


def to_stereographic(radec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Stereographic (xi, eta) float64[n, 2], degrees, of radec float64[n, 2]: small figures keep their shape."""
    east, north, out = (unit_vectors(radec) @ axes_at(ra_deg, dec_deg).T).T
    half = np.where(out > -1.0, (1.0 + out) / 2.0, np.nan)
    return np.asarray(np.degrees(np.column_stack([east / half, north / half])))


def from_stereographic(plane: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """(ra 0..360, dec) float64[n, 2], degrees, of stereographic (xi, eta) float64[n, 2], degrees."""
    half = np.radians(plane) / 2.0
    square = (half**2).sum(axis=1, keepdims=True)
    return directions(np.column_stack([2.0 * half, 1.0 - square]) @ axes_at(ra_deg, dec_deg))
