"""What a search for an image starts from: its stars, the catalogue about the pointing, and the scales to try."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.bright_picks import brightest_by_cell
from pipeline.sky.astrometry.projection import to_stereographic
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MINIMUM_STARS = 6  # four make a quad, two more bear it out
CATALOGUE_EXCESS = 1.5  # as many more of the catalogue's: neither band nor scale are the camera's
TEST_DENSITY = 15  # stars of each quarter that bear a quad out
RUNG = 1.55  # ratio of the largest to the smallest scale that are tried together
SCALE_MARGIN = 1.04  # beyond the hint's tolerance: a distorted corner has another scale than the centre
FEWEST_IN_FIELD = 8  # catalogue stars in a field of the smallest scale that is tried without a hint


@dataclass(frozen=True)
class SkyHint:
    """What is known before: within radius_deg of (ra_deg, dec_deg) lies the image's centre.

    pixel_scale_arcsec: None if unknown; else right within a factor of 1 − scale_tolerance to 1 / (1 − scale_tolerance).
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    pixel_scale_arcsec: float | None
    scale_tolerance: float = 0.3


@dataclass(frozen=True)
class Picture:
    """An image's stars: xy float64[n, 2], flux float64[n]; shape: (ny, nx)."""

    xy: Floats
    flux: Floats
    shape: tuple[int, int]

    @property
    def side(self) -> float:
        """Px of a square of the image's area."""
        return float(np.sqrt(self.shape[0] * self.shape[1]))

    @property
    def centre(self) -> Floats:
        """float64[1, 2]."""
        return np.array([[(self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2]])

    def picked(self, each: int) -> Indices:
        """The brightest of each quarter."""
        return brightest_by_cell(self.xy, self.flux, (self.shape[1] / 2, self.shape[0] / 2), each)


@dataclass(frozen=True)
class Region:
    """The catalogue on a plane about the hint: plane float64[m, 2], degrees, radec float64[m, 2], mag float64[m]."""

    plane: Floats
    radec: Floats
    mag: Floats

    def picked(self, side: float, each: float) -> "Region":
        """The brightest of each square of half the side, degrees."""
        cells = (side / 2, side / 2)
        star = brightest_by_cell(self.plane, -self.mag, cells, int(np.ceil(each * CATALOGUE_EXCESS)))
        return Region(self.plane[star], self.radec[star], self.mag[star])


@dataclass(frozen=True)
class Rung:
    """Scales that are tried together, degrees a pixel, and the catalogue as an image of such a scale would show it."""

    scales: tuple[float, float]
    side: float  # of the field, degrees, at the mean of the scales
    region: Region

    @cached_property
    def test(self) -> Region:
        """The catalogue stars that bear a hypothesis out."""
        return self.region.picked(self.side, TEST_DENSITY)


def picture_of(xy: Floats, flux: Floats, shape: tuple[int, int]) -> Picture:
    there = np.isfinite(xy).all(axis=1)
    if np.count_nonzero(there) < MINIMUM_STARS:
        raise UnusableDataError(
            f"{np.count_nonzero(there)} stars were found in the image, expected at least {MINIMUM_STARS}: lower the "
            "detection threshold, or stack more frames"
        )
    return Picture(xy[there], flux[there], shape)


def region_of(radec: Floats, mag: Floats, hint: SkyHint, picture: Picture) -> Region:
    place = (hint.ra_deg, hint.dec_deg)
    away = separation_arcsec(radec, np.array([place])) / ARCSEC
    near = np.isfinite(away)
    if hint.pixel_scale_arcsec is not None:
        largest = hint.pixel_scale_arcsec / (1 - tolerance_of(hint)) / ARCSEC
        near &= away <= hint.radius_deg + largest * np.hypot(*picture.shape) / 2
    if np.count_nonzero(near) < MINIMUM_STARS:
        raise UnusableDataError(
            f"the catalogue has {np.count_nonzero(near)} stars about RA {hint.ra_deg:.4f}, Dec {hint.dec_deg:+.4f}, "
            f"expected at least {MINIMUM_STARS}: take a deeper catalogue, or check the pointing"
        )
    return Region(to_stereographic(radec[near], *place), radec[near], mag[near])


def tolerance_of(hint: SkyHint) -> float:
    return min(max(hint.scale_tolerance, 0.01), 0.9)


def rungs_of(region: Region, hint: SkyHint, picture: Picture) -> list[Rung]:
    """All scales that the hint allows, the largest first."""
    if hint.pixel_scale_arcsec is not None:
        scale, slack = hint.pixel_scale_arcsec / ARCSEC, 1 - tolerance_of(hint)
        low, high = scale * slack / SCALE_MARGIN, scale / slack * SCALE_MARGIN
    else:
        reach = float(np.hypot(*region.plane.T).max())
        high = 2 * reach / picture.side
        low = float(np.sqrt(np.pi * FEWEST_IN_FIELD / len(region.mag))) * reach / picture.side
        low = min(low, high / RUNG)
    number = max(int(np.ceil(np.log(high / low) / np.log(RUNG) - 1e-6)), 1)
    edges = np.geomspace(high, low, number + 1)
    return [
        Rung((float(one), float(other)), float(np.sqrt(one * other)) * picture.side, region)
        for one, other in zip(edges[1:], edges[:-1], strict=True)
    ]
