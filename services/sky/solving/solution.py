"""What is to be solved, and what comes of it."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.units import ARCSEC

if TYPE_CHECKING:
    from pipeline.sky.astrometry.wcs_fit import WcsFit
    from services.sky.catalogue import CatalogueStars


UNKNOWN_RADIUS_DEG = 1.0  # of a field whose pixel scale nobody knows


@dataclass(frozen=True)
class Field:
    """Stars of an image, brightest first. xy: float64[n, 2], 0-based pixels; flux: float64[n]; shape: (ny, nx)."""

    xy: NDArray[np.float64]
    flux: NDArray[np.float64]
    shape: tuple[int, int]
    jd_utc: float | None = None  # when it was seen

    def radius_deg(self, scale_arcsec: float | None) -> float:
        """Degrees from the centre to a corner, if a pixel is so large; a guess where that is not known."""
        if scale_arcsec is None:
            return UNKNOWN_RADIUS_DEG
        return min(math.hypot(*self.shape) / 2.0 * scale_arcsec / ARCSEC, 90.0)

    def places(self, stars: "CatalogueStars") -> NDArray[np.float64]:
        """float64[n, 2]: where a catalogue's stars were at the time of the image, degrees; else at its own epoch."""
        return stars.radec if self.jd_utc is None else stars.at_epoch(self.jd_utc)


@dataclass(frozen=True)
class Solution:
    """A fitted WCS, and what first found the field."""

    fit: "WcsFit"
    solver: Literal["header", "index", "catalogue"]


@dataclass(frozen=True)
class Unsolved:
    """Why there is no WCS: what was believed, what was tried, and what to do."""

    reason: str
