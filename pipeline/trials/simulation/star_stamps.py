"""Stars as pixel-integrated Moffat profiles, drawn on stamps as wide as their brightness asks for."""

import numpy as np
from numpy.typing import NDArray

STAMP_EDGE = 0.05  # electrons per pixel at the stamp's edge: far below any sky noise
RADIUS_STEP = 1.2  # stamps come in radii that grow by this factor, so that many stars share a block
MIN_RADIUS = 4  # pixels
MAX_RADIUS = 256  # pixels
# Samples a side of a pixel. With the curvature term two leave the brightest pixel right to 1e-4 at FWHM 3.4, 6e-4 at 2
# and 1e-3 at 1.75, but to 2e-3 at 1.4; four are right to 1e-4 there.
SUBPIXELS, SUBPIXELS_UNDERSAMPLED = 2, 4
UNDERSAMPLED_FWHM = 1.75  # pixels
BLOCK_PIXELS = 1 << 16  # samples at a time: some arrays of float32 stay in the processor's cache

Image = NDArray[np.float32]
Floats = NDArray[np.float64]


def moffat_alpha(fwhm: float, beta: float) -> float:
    """Scale length of a Moffat profile, in the unit of ``fwhm``."""
    return float(fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1)))


def draw_stars(shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, fwhm: float, beta: float) -> Image:
    """The expected image of stars: float32[ny, nx], in the unit of ``flux``.

    The profile is ``(beta - 1) / (pi alpha^2) (1 + r^2/alpha^2)^-beta`` (Moffat 1969, A&A 3, 455), its integral over
    each pixel taken by sub-pixels, each with the curvature term ``h^2/24`` times the Laplacian.

    Args:
        shape: (ny, nx) pixels.
        x, y: positions, float64[n]; stars outside contribute the wings that reach in.
        flux: total of each star, float64[n].
        fwhm: of the profile, pixels.
        beta: Moffat's exponent, more than 1.
    """
    image = np.zeros(shape, dtype=np.float32)
    radius = stamp_radius(flux, fwhm, beta)
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    visible = (column + radius >= 0) & (column - radius < shape[1]) & (row + radius >= 0) & (row - radius < shape[0])
    visible &= flux > 0
    samples = SUBPIXELS if fwhm >= UNDERSAMPLED_FWHM else SUBPIXELS_UNDERSAMPLED
    for r in np.unique(radius[visible]):
        stars = np.flatnonzero(visible & (radius == r))
        size = 2 * int(r) + 1
        block = max(BLOCK_PIXELS // (size * samples) ** 2, 1)
        for first in range(0, stars.size, block):
            some = stars[first : first + block]
            stamps = _moffat(x[some] - column[some], y[some] - row[some], flux[some], int(r), fwhm, beta, samples)
            for stamp, left, top in zip(stamps, column[some] - r, row[some] - r, strict=True):
                add_stamp(image, stamp, int(left), int(top))
    return image


def stamp_radius(flux: Floats, fwhm: float, beta: float) -> NDArray[np.int64]:
    """The radius where a star's profile falls to ``STAMP_EDGE``, in a few fixed sizes."""
    alpha = moffat_alpha(fwhm, beta)
    peak = np.maximum(flux, STAMP_EDGE) * (beta - 1) / (np.pi * alpha**2)
    radius = np.clip(alpha * (peak / STAMP_EDGE) ** (0.5 / beta), MIN_RADIUS, MAX_RADIUS)
    step = np.ceil(np.log(radius / MIN_RADIUS) / np.log(RADIUS_STEP))
    return np.asarray(np.ceil(MIN_RADIUS * RADIUS_STEP**step), dtype=np.int64)


def _moffat(dx: Floats, dy: Floats, flux: Floats, radius: int, fwhm: float, beta: float, samples: int) -> Image:
    """Stamps float32[n, 2 radius + 1, 2 radius + 1] of stars at offsets (dx, dy) from the middle pixel.

    ``samples``: a side of a pixel.
    """
    n, size = dx.size, 2 * radius + 1
    alpha = moffat_alpha(fwhm, beta)
    fine = (np.arange(size * samples) + 0.5) / samples - 0.5 - radius
    u2 = (((fine - dx[:, None]) / alpha) ** 2).astype(np.float32)
    v2 = (((fine - dy[:, None]) / alpha) ** 2).astype(np.float32)
    # Laplacian of t^beta in units of alpha, times h^2/24.
    curvature = np.float32(4 * beta / (24 * samples**2 * alpha**2))
    stamps = np.zeros((n, size, size), dtype=np.float32)
    for row in range(samples):
        # One sub-pixel of all pixels at a time: a sum over their short axes takes four times as long.
        of_row = np.zeros_like(stamps)
        for column in range(samples):
            s = v2[:, row::samples, None] + u2[:, None, column::samples]
            t = 1 / (1 + s)
            profile = t**beta
            profile += profile * t * (np.float32(beta + 1) * s * t - 1) * curvature
            of_row += profile
        stamps += of_row
    scale = flux * (beta - 1) / (np.pi * alpha**2 * samples**2)
    return np.asarray(stamps * scale[:, None, None], dtype=np.float32)


def add_stamp(image: Image, stamp: Image, left: int, top: int) -> None:
    """Add what of the stamp lies on the image."""
    ny, nx = image.shape
    y0, y1 = max(top, 0), min(top + stamp.shape[0], ny)
    x0, x1 = max(left, 0), min(left + stamp.shape[1], nx)
    image[y0:y1, x0:x1] += stamp[y0 - top : y1 - top, x0 - left : x1 - left]
