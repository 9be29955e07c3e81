"""A sky that many cameras see: stars drawn on the celestial sphere, the same whoever looks at them.

The sphere is cut into tiles, each with a random generator of its own, so that a field's stars depend on the seed of
the sky and the field alone.
"""

import math
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.sky import healpix
from pipeline.trials.simulation.night_spec import DENSITY_MAG
from pipeline.trials.simulation.variables import BINARY, CONSTANT, PULSATOR, draw_ephemerides

TILE_DEG = 0.1
TILES_IN_BAND = round(360 / TILE_DEG)  # at the equator, the most there are
COUNT_SLOPE = 0.25  # d log10(count) / d mag
PULSATORS, BINARIES = 0.03, 0.01  # of all stars

GAIA_EPOCH_JD = 2457389.0  # J2016.0
DAYS_PER_YEAR = 365.25
MAS_PER_DEGREE = 3.6e6
CELL_BITS = 35  # of a source_id, below the number of the star's HEALPix cell of order 12, as in Gaia
TILE_NUMBER_BITS = 17  # of those, for the star's number in its tile

# BP − RP: 0.3 plus a gamma variate of mean 0.8 and standard deviation 0.4, from A stars to M dwarfs.
BLUEST, COLOUR_SHAPE, COLOUR_SCALE, REDDEST = 0.3, 4.0, 0.2, 4.0
RP_BELOW_G = 0.6  # of BP − RP; 0.49 mag for the Sun's colour, as in Gaia DR3
PARALLAX_MAS = 1.0  # median at G 15, smaller the fainter the star
PARALLAX_SPREAD = 0.6  # natural logarithm
MOTION_MAS = 5.3  # a year, rms in each axis of a star with a parallax of 1 mas: 25 km/s

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SkyStars:
    """One row a star; every column is an array over stars.

    ``ra, dec``: degrees, ICRS, at epoch 2016.0; proper motions in mas a year, that in ra times cos(dec); ``g_mag`` and
    ``bp_rp`` at relative flux 1; ``kind`` and its parameters as in ``variables``.
    """

    source_id: NDArray[np.int64]
    ra: Floats
    dec: Floats
    pm_ra_mas: Floats
    pm_dec_mas: Floats
    parallax_mas: Floats
    g_mag: Floats
    bp_rp: Floats
    kind: NDArray[np.str_]
    amplitude: Floats
    period_d: Floats
    epoch_jd: Floats
    duration_d: Floats

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """These stars alone."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class Sky:
    """A sky: its seed, its stars brighter than G 15 per square degree before any is left out, the least distance of
    two stars in arcsec, and the G of its faintest and brightest.
    """

    seed: int
    density: float
    separation_arcsec: float
    faintest_mag: float
    brightest_mag: float = 10.5


def draw_sky(sky: Sky, ra: float, dec: float, radius_deg: float) -> SkyStars:
    """All stars of a sky within a cone, by source_id.

    Of two stars that are too close the fainter one is left out, whether or not the brighter one is in
    the cone (Matérn's second process): what is there depends on no border.

    Args:
        sky: which sky.
        ra, dec, radius_deg: the cone, degrees.
    """
    reach = radius_deg + sky.separation_arcsec / 3600
    drawn = [stars for tile in _tiles(ra, dec, reach) if (stars := _draw_tile(sky, *tile)) is not None]
    if not drawn:
        no = np.empty(0)
        return SkyStars(no.astype(np.int64), no, no, no, no, no, no, no, no.astype("U16"), no, no, no, no)
    stars = SkyStars(*(np.concatenate([getattr(part, f.name) for part in drawn]) for f in fields(SkyStars)))
    directions = unit_vectors(stars.ra, stars.dec)
    near: NDArray[np.intp] = np.flatnonzero(_chord(directions, ra, dec) <= 2 * np.sin(np.radians(reach) / 2))
    stars, directions = stars.take(near), directions[near]
    apart = 2 * np.sin(np.radians(sky.separation_arcsec / 3600) / 2)
    pairs = np.empty((0, 2), np.intp)
    if near.size:
        pairs = tree_of(directions).query_pairs(apart, output_type="ndarray")  # type: ignore[no-untyped-call]
    keep = _chord(directions, ra, dec) <= 2 * np.sin(np.radians(radius_deg) / 2)
    keep[np.where(stars.g_mag[pairs[:, 0]] > stars.g_mag[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return stars.take(keep)


def draw_magnitudes(n: int, brightest: float, faintest: float, slope: float, rng: np.random.Generator) -> Floats:
    """Magnitudes float64[n] with counts of ``dN/dm ~ 10**(slope m)``, by the inverse of their cumulated law."""
    span, growth = faintest - brightest, slope * np.log(10)
    uniform = rng.uniform(size=n)
    # The limit of slope 0 is uniform.
    return np.asarray(
        brightest + (uniform * span if growth == 0 else np.log1p(uniform * np.expm1(growth * span)) / growth)
    )


def draw_colours(n: int, rng: np.random.Generator) -> Floats:
    """BP − RP, float64[n]."""
    return np.asarray(np.minimum(BLUEST + rng.gamma(COLOUR_SHAPE, COLOUR_SCALE, n), REDDEST))


def draw_motions(g_mag: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Proper motions in right ascension (times cos dec) and declination, mas a year, and parallaxes, mas."""
    n = g_mag.size
    parallax = PARALLAX_MAS * 10 ** (0.1 * (DENSITY_MAG - g_mag)) * np.exp(rng.normal(0, PARALLAX_SPREAD, n))
    pm_ra, pm_dec = rng.normal(0, MOTION_MAS, (2, n)) * parallax
    return pm_ra, pm_dec, parallax


def moved(ra: Floats, dec: Floats, pm_ra_mas: Floats, pm_dec_mas: Floats, years: float) -> tuple[Floats, Floats]:
    """Positions after so many years of straight motion, degrees; at the poles too."""
    alpha, delta = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(alpha), np.cos(alpha), np.zeros_like(alpha)], axis=-1)
    north = np.stack([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)], axis=-1)
    turned = np.radians(np.stack([pm_ra_mas, pm_dec_mas]) * years / MAS_PER_DEGREE)
    x, y, z = (unit_vectors(ra, dec) + east * turned[0][:, None] + north * turned[1][:, None]).T
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def name_sources(ra: Floats, dec: Floats, number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Source ids int64[n] as Gaia makes them: the cell of HEALPix order 12 (nested), times 2³⁵, plus a number."""
    return np.asarray((healpix.cells(np.column_stack([ra, dec]), 12) << CELL_BITS) + number)


def years_since_gaia(jd: float) -> float:
    """Julian years from the epoch of Gaia's positions, 2016.0."""
    return (jd - GAIA_EPOCH_JD) / DAYS_PER_YEAR


def unit_vectors(ra: Floats, dec: Floats) -> Floats:
    """Directions float64[n, 3] of places in degrees."""
    alpha, delta = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=-1)


def _chord(directions: Floats, ra: float, dec: float) -> Floats:
    """Straight distance of directions to a place on the unit sphere."""
    return np.asarray(np.linalg.norm(directions - unit_vectors(np.array(ra), np.array(dec)), axis=-1))


def _tiles(ra: float, dec: float, radius_deg: float) -> list[tuple[int, int]]:
    """(band, number in the band) of all tiles that a cone touches, and some beside it."""
    lowest, highest = max(dec - radius_deg, -90.0), min(dec + radius_deg, 90.0)
    cos = np.cos(np.radians(dec))
    over_pole = abs(dec) + radius_deg >= 90
    width = 180.0 if over_pole else float(np.degrees(np.arcsin(min(np.sin(np.radians(radius_deg)) / cos, 1.0))))
    last_band = round(180 / TILE_DEG) - 1
    tiles = []
    for band in range(int((lowest + 90) / TILE_DEG), min(int((highest + 90) / TILE_DEG), last_band) + 1):
        count = _tiles_in_band(band)
        first, last = int(np.floor((ra - width) / 360 * count)), int(np.floor((ra + width) / 360 * count))
        tiles += [(band, number) for number in sorted({k % count for k in range(first, last + 1)})]
    return tiles


def _tiles_in_band(band: int) -> int:
    middle = (band + 0.5) * TILE_DEG - 90
    return max(round(TILES_IN_BAND * float(np.cos(np.radians(middle)))), 1)


def _draw_tile(sky: Sky, band: int, number: int) -> SkyStars | None:
    """The stars of a tile; None where there are none, as in most tiles of a sky that only wide fields show."""
    rng = np.random.default_rng(np.random.SeedSequence(sky.seed, spawn_key=(band, number)))
    south, north = band * TILE_DEG - 90, (band + 1) * TILE_DEG - 90
    low, high = math.sin(math.radians(south)), math.sin(math.radians(north))
    count = _tiles_in_band(band)
    area = (high - low) * math.degrees(1) * 360 / count
    growth = COUNT_SLOPE * math.log(10)
    deeper = math.expm1(growth * (sky.faintest_mag - sky.brightest_mag)) / math.expm1(
        growth * (DENSITY_MAG - sky.brightest_mag)
    )
    n = int(rng.poisson(sky.density * area * deeper))
    if n == 0:
        return None
    ra = (number + rng.uniform(size=n)) * 360 / count
    dec = np.degrees(np.arcsin(rng.uniform(low, high, n)))
    g_mag = draw_magnitudes(n, sky.brightest_mag, sky.faintest_mag, COUNT_SLOPE, rng)
    colour = draw_colours(n, rng)
    pm_ra, pm_dec, parallax = draw_motions(g_mag, rng)
    lot = rng.uniform(size=n)
    kind = np.select([lot < PULSATORS, lot < PULSATORS + BINARIES], [PULSATOR, BINARY], CONSTANT).astype("U16")
    own = (band * TILES_IN_BAND + number) % (1 << (CELL_BITS - TILE_NUMBER_BITS)) << TILE_NUMBER_BITS
    source_id = name_sources(ra, dec, own + 1 + np.arange(n, dtype=np.int64))
    ephemerides = draw_ephemerides(kind, rng)
    return SkyStars(source_id, ra, dec, pm_ra, pm_dec, parallax, g_mag, colour, kind, *ephemerides)
