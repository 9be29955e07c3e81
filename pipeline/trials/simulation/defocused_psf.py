"""Stars out of focus by geometrical optics: rays through the mirror's open parts, blurred by seeing and pixels."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates, spline_filter  # type: ignore[attr-defined]

from pipeline.trials.simulation.star_stamps import add_stamp, moffat_alpha, stamp_radius

RAYS = 512  # across the mirror: 40 and more in each fine pixel of a ring of 12 pixels
FINE = 4  # fine pixels a side of a pixel; cubic splines between them are right to 1e-4 of the peak at FWHM 1.5
KERNEL_REACH = 2  # the blur is laid out over this many times the stamp, so that its wings do not wrap around

Image = NDArray[np.float32]
Floats = NDArray[np.float64]
Pupil = tuple[float, float, float, float, float]  # diameter in pixels, obstruction, vane width, coma, angle in degrees


def draw_rings(
    shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, fwhm: float, beta: float, pupil: Pupil
) -> Image:
    """The expected image of defocused stars: float32[ny, nx], in the unit of ``flux``.

    Args:
        shape: (ny, nx) pixels.
        x, y: centres of light, float64[n].
        flux: total of each star, float64[n].
        fwhm, beta: of the Moffat profile that blurs the mirror's image, pixels.
        pupil: diameter of the ring in pixels, obstruction and vanes as parts of it, coma as part of its radius, angle.
    """
    image = np.zeros(shape, dtype=np.float32)
    ring = int(np.ceil(np.abs(_rays(pupil)).max()))
    radius = stamp_radius(flux, fwhm, beta) + ring
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    visible = (column + radius >= 0) & (column - radius < shape[1]) & (row + radius >= 0) & (row - radius < shape[0])
    stars = np.flatnonzero(visible & (flux > 0))
    if stars.size:
        middle = int(radius[stars].max()) + 2
        spline = spline_filter(_fine_image(middle, fwhm, beta, pupil))
        for k in stars:
            r = int(radius[k])
            v, u = (
                (np.arange(-r, r + 1) + place - at + middle) * FINE for place, at in ((row[k], y[k]), (column[k], x[k]))
            )
            stamp = map_coordinates(spline, np.meshgrid(v, u, indexing="ij"), prefilter=False)
            add_stamp(image, (flux[k] * np.maximum(stamp, 0)).astype(np.float32), int(column[k]) - r, int(row[k]) - r)
    return image


@lru_cache(maxsize=4)
def _rays(pupil: Pupil) -> Floats:
    """Where the rays of a regular grid over the mirror land, about their mean, pixels: float64[(x, y), ray].

    Defocus moves a ray in proportion to its place (p, q) on the mirror, third-order coma along its axis by
    ``(3 p² + q², 2 p q)`` (Born & Wolf, Principles of Optics, section 5.3).
    """
    diameter, obstruction, vane_width, coma, angle = pupil
    side = (np.arange(RAYS) + 0.5) / RAYS * 2 - 1
    p, q = (values.ravel() for values in np.meshgrid(side, side))
    r = np.hypot(p, q)
    is_open = (r <= 1) & (r >= obstruction) & (np.minimum(np.abs(p), np.abs(q)) >= vane_width)
    p, q = p[is_open], q[is_open]
    u = p + coma * (3 * p**2 + q**2)
    v = q + coma * 2 * p * q
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    landed = np.stack([cos * u - sin * v, sin * u + cos * v]) * diameter / 2
    return np.asarray(landed - landed.mean(axis=1, keepdims=True))


def _fine_image(middle: int, fwhm: float, beta: float, pupil: Pupil) -> Floats:
    """Light in a pixel centred on each fine pixel, of a star of flux 1: float64[side, side].

    The sides are ``2 middle FINE + 1``; the star is in the middle. Integration over a pixel is a product with its
    transform, a sinc: exact, whatever the width of the star.
    """
    side = 2 * middle * FINE + 1
    n = fft.next_fast_len(KERNEL_REACH * side)  # type: ignore[no-untyped-call]
    rays = _deposit(_rays(pupil) * FINE + middle * FINE, n)
    distance = fft.fftfreq(n, 1 / n) / FINE
    alpha = moffat_alpha(fwhm, beta)
    blur = (1 + (distance[:, None] ** 2 + distance**2) / alpha**2) ** -beta
    blur *= (beta - 1) / (np.pi * alpha**2 * FINE**2)
    rows, columns = fft.fftfreq(n, 1 / FINE), fft.rfftfreq(n, 1 / FINE)
    pixel = np.sinc(rows)[:, None] * np.sinc(columns)
    # A pixel holds FINE² fine ones: the mean over it times their number is its integral.
    smooth = fft.irfft2(fft.rfft2(rays) * fft.rfft2(blur) * pixel * FINE**2, s=(n, n))
    return np.asarray(smooth[:side, :side])


def _deposit(places: Floats, n: int) -> Floats:
    """Rays float64[(x, y), ray], in fine pixels, shared out among the four fine pixels around each; sum 1."""
    grid = np.zeros(n * n)
    corner = np.floor(places).astype(np.int64)
    part = places - corner
    for right in (0, 1):
        for up in (0, 1):
            weight = (part[0] if right else 1 - part[0]) * (part[1] if up else 1 - part[1])
            grid += np.bincount((corner[1] + up) * n + corner[0] + right, weight, n * n)
    return np.asarray(grid.reshape(n, n) / places.shape[1])
