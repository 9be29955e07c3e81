"""Kron (AUTO) fluxes: ellipses of each source's own shape and extent, fixed on the template, carried to each frame."""

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

KRON_FACTOR = 2.5  # Kron radii of the ellipse (SExtractor's PHOT_AUTOPARAMS)
SMALLEST_RADIUS_PX = 3.5  # of the ellipse's geometric mean; less is a circle of this radius (PHOT_AUTOPARAMS)
SEARCH_RADII = 6.0  # in units of the ellipse, where the Kron radius is measured
KRON_RADIUS_RANGE = (1.0, 4.0)  # a Gaussian has 1.25; noise of faint wings gives anything

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipses:
    """Ellipses of n sources: ``a``, ``b`` semi-axes in px, ``theta`` of ``a`` from x towards y in radians, float64[n].

    Not finite where a source has none.
    """

    a: Floats
    b: Floats
    theta: Floats

    @property
    def area(self) -> Floats:
        """In px."""
        return np.asarray(np.pi * self.a * self.b)

    @property
    def edge(self) -> Floats:
        """Circumference in px, to 1 % up to axes 2:1."""
        return np.asarray(np.pi * np.sqrt(2.0 * (self.a**2 + self.b**2)))

    def on_frame(self, rotation_deg: float, scale: float) -> "Ellipses":
        """As a frame shows them that is turned and scaled against the template."""
        theta = self.theta + np.radians(rotation_deg)
        return Ellipses(self.a * scale, self.b * scale, (theta + np.pi / 2) % np.pi - np.pi / 2)


def kron_radii(
    image: NDArray[np.float32], xy: Floats, shape: Ellipses, mask: NDArray[np.bool_] | None = None
) -> Floats:
    """Kron radius of each source in units of its ellipse (Kron 1980; Bertin & Arnouts 1996, section 7.4).

    Args:
        image: float32[ny, nx], sky subtracted.
        xy: float64[n, 2], px.
        shape: ellipses of one standard deviation.
        mask: bool[ny, nx], pixels that do not count.

    Returns:
        float64[n], at least 1 and at most 4; NaN for a source whose ellipse is unknown.
    """
    radii = np.full(len(xy), np.nan)
    known = np.isfinite(shape.a * shape.b * shape.theta) & (shape.b > 0) & np.isfinite(xy).all(axis=1)
    ellipse = (shape.a[known], shape.b[known], np.clip(shape.theta[known], -np.pi / 2, np.pi / 2))
    found, _ = sep.kron_radius(image, xy[known, 0], xy[known, 1], *ellipse, SEARCH_RADII, mask=mask)
    radii[known] = np.clip(np.nan_to_num(found, nan=KRON_RADIUS_RANGE[0]), *KRON_RADIUS_RANGE)
    return radii


def kron_ellipses(shape: Ellipses, kron_radius: Floats, factor: float = KRON_FACTOR) -> Ellipses:
    """The ellipses of Kron fluxes: ``factor`` Kron radii, and no smaller than a circle of SMALLEST_RADIUS_PX."""
    a, b = shape.a * kron_radius * factor, shape.b * kron_radius * factor
    small = np.sqrt(a * b) < SMALLEST_RADIUS_PX
    return Ellipses(
        np.where(small, SMALLEST_RADIUS_PX, a),
        np.where(small, SMALLEST_RADIUS_PX, b),
        np.where(small, 0.0, shape.theta),
    )


def sum_ellipses(image: NDArray[np.float32], xy: Floats, ellipses: Ellipses) -> Floats:
    """Sum of the image over each ellipse, exact overlap: float64[n], NaN where the ellipse leaves the image."""
    sums = np.full(len(xy), np.nan)
    ny, nx = image.shape
    # Half-widths of the ellipse's bounding box.
    width = np.hypot(ellipses.a * np.cos(ellipses.theta), ellipses.b * np.sin(ellipses.theta))
    height = np.hypot(ellipses.a * np.sin(ellipses.theta), ellipses.b * np.cos(ellipses.theta))
    x, y = xy.T
    with np.errstate(invalid="ignore"):
        inside = (x - width >= -0.5) & (x + width <= nx - 0.5) & (y - height >= -0.5) & (y + height <= ny - 0.5)
    few = (ellipses.a[inside], ellipses.b[inside], ellipses.theta[inside])
    sums[inside] = sep.sum_ellipse(image, x[inside], y[inside], *few, subpix=0)[0]
    return sums


def touched_ellipses(bits: NDArray[np.uint8], xy: Floats, ellipses: Ellipses) -> NDArray[np.uint8]:
    """All bits of the pixels of uint8[ny, nx] in each ellipse that lies inside the image: uint8[n]."""
    touched = np.zeros(len(xy), dtype=np.uint8)
    for bit in (1 << power for power in range(8)):
        with_bit = (bits & np.uint8(bit)) != 0
        if with_bit.any():
            touched[sum_ellipses(with_bit.astype(np.float32), xy, ellipses) > 0] |= bit
    return touched
