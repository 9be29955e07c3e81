"""What a point of light looks like on the detector: one small value a telescope, in or out of focus.

Every image is centred on its light, so that a star's true position is where an aperture should sit.
"""

from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.defocused_psf import draw_rings
from pipeline.trials.simulation.star_stamps import draw_stars

SEEING_BETA = 3.0  # Moffat's exponent of the air alone
WIDEST_RING = 64.0  # pixels: wider ones are no longer stars to any pipeline
STRONGEST_COMA = 1 / 3  # beyond it rays from one half of the mirror cross those from the other

Image = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moffat:
    """A star in focus: ``(1 + r²/α²)^-beta`` as wide as the seeing (Moffat 1969, A&A 3, 455)."""

    beta: float = 3.0
    kind: str = field(default="moffat", init=False)

    def wrong(self) -> str | None:
        """What was expected instead, None if all is right."""
        return None if 1 < self.beta < np.inf else "a beta of more than 1, or a star's light has no finite sum"

    def width(self, fwhm: float) -> float:
        """Full width at half maximum where the seeing is ``fwhm``, pixels."""
        return fwhm

    def draw(self, shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, fwhm: float) -> Image:
        """The expected image of stars, float32[ny, nx] in the unit of ``flux``, in seeing of ``fwhm`` pixels."""
        return draw_stars(shape, x, y, flux, fwhm, self.beta)


@dataclass(frozen=True)
class Haloed:
    """A star in focus whose optics spread a share of its light into a wide halo that falls as ``r^(-2 halo_beta)``.

    Real telescopes' aureoles fall as r^-2 to r^-3 (King 1971, PASP 83, 199; Sandin 2014, A&A 567, A97).
    """

    share: float = 0.1  # of the light, in the halo
    halo_fwhm_px: float = 30.0  # the same whatever the seeing
    halo_beta: float = 1.25
    beta: float = 3.0  # of the core
    kind: str = field(default="haloed", init=False)

    def wrong(self) -> str | None:
        """What was expected instead, None if all is right."""
        good = 0 <= self.share < 1 and self.halo_fwhm_px >= 1 and min(self.beta, self.halo_beta) > 1
        return None if good else "a share from 0 to below 1, a halo from 1 pixel on, and betas of more than 1"

    def width(self, fwhm: float) -> float:
        """Full width at half maximum where the seeing is ``fwhm``, pixels: the core's."""
        return fwhm

    def draw(self, shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, fwhm: float) -> Image:
        """The expected image of stars, float32[ny, nx] in the unit of ``flux``, in seeing of ``fwhm`` pixels."""
        core = draw_stars(shape, x, y, flux * (1 - self.share), fwhm, self.beta)
        return core + self.halos(shape, x, y, flux)

    def halos(self, shape: tuple[int, int], x: Floats, y: Floats, flux: Floats) -> Image:
        """The halos alone, float32[ny, nx]."""
        return draw_stars(shape, x, y, flux * self.share, self.halo_fwhm_px, self.halo_beta)


@dataclass(frozen=True)
class Ring:
    """A defocused star: the mirror's own shape, blurred by the seeing.

    The central obstruction makes it a ring, the vanes of a spider cut it into four, coma makes one side brighter
    and shifts the hole.
    """

    diameter_px: float = 12.0  # across the ring, before the seeing blurs it
    obstruction: float = 0.4  # diameter of the secondary mirror's shadow over that of the ring
    vane_width: float = 0.0  # of each of four vanes, over the diameter of the ring; 0 is none
    coma: float = 0.0  # third-order, over the ring's radius
    angle_deg: float = 0.0  # of the first vane and the coma, from +x towards +y
    kind: str = field(default="ring", init=False)

    def wrong(self) -> str | None:
        """What was expected instead, None if all is right."""
        good = 1 <= self.diameter_px <= WIDEST_RING and 0 <= self.obstruction < 1 and 0 <= self.vane_width < 0.5
        good = good and 0 <= self.coma <= STRONGEST_COMA
        ranges = f"1 to {WIDEST_RING:.0f} pixels across, an obstruction below 1, vanes below 0.5, coma up to 1/3"
        return None if good else ranges

    def width(self, fwhm: float) -> float:
        """Width of the whole ring where the seeing is ``fwhm``, pixels."""
        return float(np.hypot(self.diameter_px, fwhm))

    def draw(self, shape: tuple[int, int], x: Floats, y: Floats, flux: Floats, fwhm: float) -> Image:
        """The expected image of stars, float32[ny, nx] in the unit of ``flux``, in seeing of ``fwhm`` pixels."""
        pupil = self.diameter_px, self.obstruction, self.vane_width, self.coma, self.angle_deg
        return draw_rings(shape, x, y, flux, fwhm, SEEING_BETA, pupil)


Psf = Moffat | Haloed | Ring
IN_FOCUS = Moffat()
PSFS = MappingProxyType({kind.kind: kind for kind in (Moffat, Haloed, Ring)})
