"""Where a camera's pixels are on the sky: the tangent plane, with the camera's distortion (TAN and TAN-SIP)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.alignment import Alignment
from pipeline.astrometry import cards as fits
from pipeline.astrometry.distortion import distorted, under_linear_map, undistorted
from pipeline.astrometry.projection import axes_at, from_plane, to_plane
from pipeline.astrometry.sphere import ARCSEC, separation_arcsec, unit_vectors

Floats = NDArray[np.float64]


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
        uv = np.asarray(xy, np.float64).reshape(-1, 2) - self.crpix
        if self.a is not None and self.b is not None:
            uv = distorted(uv, self.a, self.b)
        return from_plane(uv @ self.cd.T, *self.crval)

    def to_pixels(self, radec: Floats) -> Floats:
        """Pixels float64[n, 2] of radec float64[n, 2]: the exact inverse of `to_sky`.

        NaN behind the tangent plane, and where the distortion's polynomials give no position: far outside of the field.
        """
        plane = to_plane(np.asarray(radec, np.float64).reshape(-1, 2), *self.crval)
        uv = plane @ np.linalg.inv(self.cd).T
        if self.a is not None and self.b is not None:
            uv = undistorted(uv, self.a, self.b)
        return np.asarray(uv + self.crpix)

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

    def through(self, alignment: Alignment, shape: tuple[int, int]) -> Self:  # noqa: ARG002  exact for any shape
        """The WCS of a frame whose pixels are ``alignment.to_frame`` of this one's; exact, tangent point and all.

        shape: (ny, nx) of the frame.
        """
        x, y = alignment.to_frame(np.array([self.crpix]))[0].tolist()
        cd = self.cd @ np.linalg.inv(alignment.matrix)
        a, b = self.a, self.b
        if a is not None and b is not None:
            a, b = under_linear_map(*_same_size(a, b), alignment.matrix)
        return type(self)((x, y), self.crval, cd, a, b)

    def _steps(self, shape: tuple[int, int]) -> Floats:
        """Degrees (to the east, to the north) of one pixel along x and along y at the centre: float64[2, 2]."""
        half = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])
        right, left, up, down = unit_vectors(self.to_sky(_centre(shape) + half))
        axes = axes_at(*self.centre(shape))[:2]
        return np.asarray(np.degrees(axes @ np.column_stack([right - left, up - down])))


def _centre(shape: tuple[int, int]) -> Floats:
    return np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])


def _same_size(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    size = max(len(a), len(b))
    first, second = (np.pad(one, (0, size - len(one))) for one in (a, b))
    return first, second
