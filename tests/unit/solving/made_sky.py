"""A made-up sky: stars of a catalogue, a camera's image of them, and a catalogue and a search that know them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry import SkyWcs
from services.sky.catalogue import CatalogueOutage, CatalogueStars
from services.sky.solving.index_solver import IndexMatch, Question, SearchFailed
from services.sky.solving.solution import Field

CENTRE = (31.25, 46.72)
SHAPE = (500, 650)
SCALE_ARCSEC = 5.165
JD_2017 = 2458107.5  # December 2017
EPOCH = 2016.0
CENTROID_PX = 0.1
STARS = 3000  # within 2 degrees


def truth(turn_deg: float = 12.0) -> SkyWcs:
    """A camera with its image upside down."""
    turn, step = np.radians(turn_deg), SCALE_ARCSEC / 3600
    cd = step * np.array([[-np.cos(turn), np.sin(turn)], [-np.sin(turn), -np.cos(turn)]])
    return SkyWcs(((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), CENTRE, cd)


def stars_around(seed: int = 1, motion_mas: float = 0.0) -> CatalogueStars:
    """Stars within two degrees of the centre; their numbers grow with magnitude as on the sky."""
    random = np.random.default_rng(seed)
    radius, angle = 2.0 * np.sqrt(random.uniform(size=STARS)), random.uniform(0, 2 * np.pi, STARS)
    dec = CENTRE[1] + radius * np.sin(angle)
    ra = CENTRE[0] + radius * np.cos(angle) / np.cos(np.radians(dec))
    mag = 14.0 + np.log10(random.uniform(1e-3, 1, STARS)) / 0.4
    nothing = np.full(STARS, np.nan)
    return CatalogueStars(
        np.arange(STARS), ra, dec, np.full(STARS, motion_mas), np.full(STARS, 0.0), nothing, mag, nothing, nothing,
        np.zeros(STARS, np.bool_), np.full(STARS, EPOCH),
    )  # fmt: skip


def seen(stars: CatalogueStars, wcs: SkyWcs, seed: int = 2) -> Field:
    """The stars that the camera sees in December 2017, the brightest first."""
    random = np.random.default_rng(seed)
    xy = wcs.to_pixels(stars.at_epoch(JD_2017))
    inside = ((xy > 0) & (xy < np.array(SHAPE)[::-1] - 1)).all(axis=1)
    xy, mag = xy[inside] + random.normal(0, CENTROID_PX, (int(inside.sum()), 2)), stars.g_mag[inside]
    order = np.argsort(mag)
    return Field(xy[order], 10 ** (-0.4 * (mag[order] - 20)), SHAPE, JD_2017)


@dataclass
class KnownCatalogue:
    """A catalogue that answers from memory, or is away."""

    stars: CatalogueStars
    away: bool = False
    asked: list[tuple[float, float, float, float]] = field(default_factory=list)  # ra, dec, radius, limit

    def cone(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> CatalogueStars:
        """Its stars of a cone."""
        self.asked.append((ra_deg, dec_deg, radius_deg, mag_limit))
        if self.away:
            raise CatalogueOutage("the archive does not answer")
        return self.stars.within(ra_deg, dec_deg, radius_deg, mag_limit)


@dataclass
class KnownIndex:
    """Stands for the search among index files: it knows the field, but only where the question includes it."""

    stars: CatalogueStars | None  # None: it finds nothing
    wcs: SkyWcs
    failure: SearchFailed | None = None
    asked: list[tuple[Question, float]] = field(default_factory=list)

    def __call__(self, question: Question, xy: NDArray[np.float64], time_limit_s: float) -> IndexMatch | None:
        """Answer with a WCS that is 2 px off, and stars at their places of the catalogue's epoch."""
        self.asked.append((question, time_limit_s))
        assert len(xy)
        if self.failure is not None:
            raise self.failure
        least, greatest = question.scale_arcsec
        if self.stars is None or not least < SCALE_ARCSEC < greatest or not self._is_near(question):
            return None
        rough = SkyWcs((self.wcs.crpix[0] + 2, self.wcs.crpix[1]), self.wcs.crval, self.wcs.cd)
        bright = self.stars.within(*CENTRE, 0.6, 11.5)
        return IndexMatch(rough.cards(), bright.radec, bright.g_mag, "index-4107.fits", 99.0, 0.4)

    @staticmethod
    def _is_near(question: Question) -> bool:
        if question.place is None:
            return True
        ra, dec, radius = question.place
        return bool(np.hypot((ra - CENTRE[0]) * np.cos(np.radians(dec)), dec - CENTRE[1]) < radius)
