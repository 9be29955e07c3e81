"""Planes that touch the sky at a point: the gnomonic one of cameras, and the stereographic one, which keeps shapes.

Computed by wcslib through astropy, whose import takes a quarter of a second: what needs no plane starts without it.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.units import positive_angle

if TYPE_CHECKING:
    from astropy.wcs import Wcsprm

Floats = NDArray[np.float64]

NATIVE_POLE = 180.0  # LONPOLE: north is up on the plane; always given, since its default is another one at the pole


def to_plane(radec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Gnomonic (xi, eta) float64[n, 2], degrees, of radec float64[n, 2] about the point; NaN from 90 degrees off.

    To the east and to the north; at a pole itself these are those of the meridian ``ra_deg``.
    """
    return _pixels(_plane("TAN", ra_deg, dec_deg), radec)


def from_plane(plane: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """(ra 0..360, dec) float64[n, 2], degrees, of gnomonic (xi, eta) float64[n, 2], degrees."""
    return _directions(_plane("TAN", ra_deg, dec_deg), plane)


def to_stereographic(radec: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """Stereographic (xi, eta) float64[n, 2], degrees, of radec float64[n, 2]: small figures keep their shape."""
    return _pixels(_plane("STG", ra_deg, dec_deg), radec)


def from_stereographic(plane: Floats, ra_deg: float, dec_deg: float) -> Floats:
    """(ra 0..360, dec) float64[n, 2], degrees, of stereographic (xi, eta) float64[n, 2], degrees."""
    return _directions(_plane("STG", ra_deg, dec_deg), plane)


def _plane(kind: str, ra_deg: float, dec_deg: float) -> "Wcsprm":
    """A WCS whose pixels, by origin 1, are degrees on the plane."""
    from astropy.wcs import Wcsprm

    plane = Wcsprm(naxis=2)
    plane.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    plane.crval = [ra_deg, dec_deg]
    plane.lonpole = NATIVE_POLE
    return plane


def _pixels(plane: "Wcsprm", radec: Floats) -> Floats:
    return np.asarray(plane.s2p(radec, 1)["pixcrd"]) if len(radec) else np.empty((0, 2))


def _directions(plane: "Wcsprm", xy: Floats) -> Floats:
    radec = np.asarray(plane.p2s(xy, 1)["world"]) if len(xy) else np.empty((0, 2))
    radec[:, 0] = positive_angle(radec[:, 0])
    return radec
