"""Where a camera's pixels are on the sky: the tangent plane, with the camera's distortion (TAN and TAN-SIP).

All coordinates are astropy's, computed by wcslib.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.registration.alignment import Alignment
from pipeline.sky.astrometry import wcs_cards as fits
from pipeline.sky.astrometry.distortion import under_linear_map
from pipeline.sky.astrometry.projection import NATIVE_POLE, to_plane
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC, positive_angle

if TYPE_CHECKING:
    from astropy.wcs import WCS

Floats = NDArray[np.float64]

INVERSE_PX = 1e-9  # to which the distortion is inverted
INVERSE_ROUNDS = 100  # about 10 within a field, more the farther a star lies outside of it


@dataclass(frozen=True, eq=False)
class SkyWcs:
    """Gnomonic projection of the sky (ICRS, degrees) on pixels, 0-based with centres at integers.

    (u, v) = (x, y) − crpix;  (xi, eta) = cd·(u + A(u, v), v + B(u, v)), degrees on the plane that touches the sky at
    crval, to the east and to the north (Calabretta and Greisen 2002; Shupe et al. 2005).

    Attributes:
        crpix: pixel of the tangent point.
        crval: (ra, dec) of the tangent point.
        cd: float64[2, 2], degrees a pixel.
        a, b: float64[d + 1, d + 1], a[i, j] belongs to u^i v^j; None without distortion.
    """

    crpix: tuple[float, float]
    crval: tuple[float, float]
    cd: Floats
    a: Floats | None = None
    b: Floats | None = None

    def to_sky(self, xy: Floats) -> Floats:
        """(ra 0..360, dec) float64[n, 2] of pixels xy float64[n, 2]."""
        radec = np.asarray(self.astropy.all_pix2world(_copy(xy), 0))
        radec[:, 0] = positive_angle(radec[:, 0])
        return radec

    def to_pixels(self, radec: Floats) -> Floats:
        """Pixels float64[n, 2] of radec float64[n, 2]: the exact inverse of `to_sky`.

        NaN behind the tangent plane, and where the distortion is so large that its inverse is not found or not the only
        one: far outside of the field.
        """
        from astropy.wcs import NoConvergence

        radec = np.asarray(radec, np.float64).reshape(-1, 2)
        pixels = np.asarray(self.astropy.wcs_world2pix(radec, 0))
        if self.a is None or self.b is None:
            return pixels
        there = np.flatnonzero(np.isfinite(pixels).all(axis=1))
        if not len(there):
            return pixels
        try:
            pixels[there] = self.astropy.all_world2pix(radec[there], 0, tolerance=INVERSE_PX, maxiter=INVERSE_ROUNDS)
        except NoConvergence as missed:
            pixels[there] = missed.best_solution
            for nowhere in (missed.divergent, missed.slow_conv):
                pixels[there[[] if nowhere is None else nowhere]] = np.nan
        return pixels

    def on_plane(self, xy: Floats) -> Floats:
        """(xi, eta) float64[n, 2], degrees on the plane that touches the sky at crval, of pixels xy float64[n, 2]."""
        return np.asarray((self.astropy.pix2foc(_copy(xy), 0) - self.crpix) @ self.cd.T)

    @cached_property
    def astropy(self) -> "WCS":
        """The same WCS as astropy's."""
        from astropy.wcs import WCS, Sip

        found, distorted = WCS(naxis=2), self.a is not None and self.b is not None
        found.wcs.ctype = fits.TYPES[distorted]
        found.wcs.crpix = [one + 1.0 for one in self.crpix]
        found.wcs.crval = self.crval
        found.wcs.cd = self.cd
        found.wcs.lonpole = NATIVE_POLE
        if distorted:
            found.sip = Sip(self.a, self.b, None, None, found.wcs.crpix)
        return found

    @property
    def mirrored(self) -> bool:
        """Is east clockwise of north on the image (x to the right, y up)?"""
        return bool(np.linalg.det(self.cd) > 0)

    @property
    def degree(self) -> int:
        """Of the distortion; 1 without."""
        return 1 if self.a is None or self.b is None else max(len(self.a), len(self.b)) - 1

    def centre(self, shape: tuple[int, int]) -> tuple[float, float]:
        """(ra, dec) of the centre of an image of shape (ny, nx)."""
        ra, dec = self.to_sky(_centre(shape).reshape(1, 2))[0].tolist()
        return ra, dec

    def radius(self, shape: tuple[int, int]) -> float:
        """Degrees from the centre to the farthest corner (the pixels' outer edge) of an image of shape (ny, nx)."""
        x, y = (-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5)
        corners = self.to_sky(np.array([[one, other] for one in x for other in y]))
        return float(separation_arcsec(np.array([self.centre(shape)]), corners).max() / ARCSEC)

    def pixel_scale(self, shape: tuple[int, int]) -> float:
        """Arcsec a pixel at the centre of an image of shape (ny, nx): the root of the pixel's area."""
        return float(np.sqrt(abs(np.linalg.det(self._steps(shape)))) * ARCSEC)

    def position_angle(self, shape: tuple[int, int]) -> float:
        """Degrees 0..360 of +y from north through east, at the centre of an image of shape (ny, nx)."""
        east, north = self._steps(shape)[:, 1]
        return float(np.degrees(np.arctan2(east, north)) % 360.0)

    def cards(self) -> dict[str, str | float | int]:
        """FITS keywords and values, CRPIX 1-based; AP_ and BP_ hold as far from CRPIX as CRPIX lies from pixel 0."""
        return fits.cards_of(self.crpix, self.crval, self.cd, self.a, self.b)

    @classmethod
    def from_cards(cls, cards: Mapping[str, object]) -> Self:
        """The WCS of FITS keywords and values. Raises UnusableDataError if it is neither TAN nor TAN-SIP."""
        return cls(*fits.parameters_of(cards))

    def text(self) -> str:
        """FITS header cards, one a line."""
        return fits.text_of(self.cards())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The WCS of FITS header cards, one a line. Raises UnusableDataError if they are no TAN or TAN-SIP WCS."""
        return cls.from_cards(fits.cards_in(text))

    def through(self, alignment: Alignment) -> Self:
        """The WCS of a frame whose pixels are ``alignment.to_frame`` of this one's; exact, tangent point and all."""
        x, y = alignment.to_frame(np.array([self.crpix]))[0].tolist()
        cd = self.cd @ np.linalg.inv(alignment.matrix)
        a, b = self.a, self.b
        if a is not None and b is not None:
            a, b = under_linear_map(*_same_size(a, b), alignment.matrix)
        return type(self)((x, y), self.crval, cd, a, b)

    def _steps(self, shape: tuple[int, int]) -> Floats:
        """Degrees (to the east, to the north) of one pixel along x and along y at the centre: float64[2, 2]."""
        half = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
        right, left, up, down = to_plane(self.to_sky(_centre(shape) + half), *self.centre(shape))
        return np.column_stack([right - left, up - down])


def _copy(xy: Floats) -> Floats:
    """For astropy, which adds 1 to the pixels that it is given and takes it off again: their last digit may change."""
    return np.array(xy, np.float64).reshape(-1, 2)


def _centre(shape: tuple[int, int]) -> Floats:
    return np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])


def _same_size(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    size = max(len(a), len(b))
    first, second = (np.pad(one, (0, size - len(one))) for one in (a, b))
    return first, second
