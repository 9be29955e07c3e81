"""What Gaia has of a simulated field and around it, fainter stars than the night's too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.trials.simulation.celestial import (
    RP_BELOW_G,
    draw_colours,
    draw_magnitudes,
    draw_motions,
    moved,
    years_since_gaia,
)
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.optics import to_sky
from pipeline.trials.simulation.shared_sky import draw_sky_around
from pipeline.trials.simulation.star_field import farthest, source_ids
from pipeline.trials.simulation.truth import Truth
from pipeline.trials.simulation.variables import BINARY, PULSATOR

REACH = 1.5  # the catalogue goes this much farther from the middle than the field
DEPTH_MAG = 3.0  # the catalogue goes this much deeper than a night without a sky of its own
REF_EPOCH = 2016.0
KNOWN_VARIABLES = (PULSATOR, BINARY)  # a single transit or flare nobody has seen yet

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaiaTable:
    """Columns of Gaia DR3's `gaia_source`, with its names and units; every column is an array over stars."""

    source_id: NDArray[np.int64]
    ra: Floats
    dec: Floats
    pmra: Floats
    pmdec: Floats
    parallax: Floats
    phot_g_mean_mag: Floats
    phot_bp_mean_mag: Floats
    phot_rp_mean_mag: Floats
    phot_variable_flag: NDArray[np.str_]
    ref_epoch: Floats


def make_gaia(truth: Truth) -> GaiaTable:
    """The catalogue of a night: all its stars and those around; of a sky with a seed, that sky's."""
    spec = truth.spec
    if spec.sky_seed is not None:
        sky = draw_sky_around(spec, truth.frames, REACH)
        motions = sky.pm_ra_mas, sky.pm_dec_mas, sky.parallax_mas
        return _table(sky.source_id, sky.ra, sky.dec, motions, sky.g_mag, sky.bp_rp, sky.kind)
    stars, rng = truth.stars, spec.generator(Stream.FIELD_BEYOND)
    x, y, faint = _beyond(truth, rng)
    ra, dec = (np.concatenate(pair) for pair in zip((stars.ra, stars.dec), to_sky(x, y, spec), strict=True))
    known = stars.pm_ra_mas, stars.pm_dec_mas, stars.parallax_mas
    colour = np.concatenate([stars.bp_rp, draw_colours(faint.size, rng)])
    pm_ra, pm_dec, parallax = (np.concatenate(pair) for pair in zip(known, draw_motions(faint, rng), strict=True))
    ra, dec = moved(ra, dec, pm_ra, pm_dec, -years_since_gaia(spec.middle_jd))
    around = slice(stars.id.size, None)
    source_id = np.concatenate([stars.gaia_source_id, source_ids(spec, stars.id.size, ra[around], dec[around])])
    kind = np.concatenate([stars.kind, np.full(faint.size, "", dtype=stars.kind.dtype)])
    return _table(source_id, ra, dec, (pm_ra, pm_dec, parallax), np.concatenate([stars.g_mag, faint]), colour, kind)


def _table(
    source_id: NDArray[np.int64],
    ra: Floats,
    dec: Floats,
    motions: tuple[Floats, Floats, Floats],
    g_mag: Floats,
    bp_rp: Floats,
    kind: NDArray[np.str_],
) -> GaiaTable:
    rp = g_mag - RP_BELOW_G * bp_rp
    variable = np.where(np.isin(kind, KNOWN_VARIABLES), "VARIABLE", "NOT_AVAILABLE")
    return GaiaTable(source_id, ra, dec, *motions, g_mag, rp + bp_rp, rp, variable, np.full(ra.size, REF_EPOCH))


def _beyond(truth: Truth, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Positions and G of stars that no frame shows: around what the frames see, and fainter ones among the night's."""
    spec, stars = truth.spec, truth.stars
    ny, nx = spec.shape
    radius = REACH * farthest(spec, truth.frames)
    n = int(rng.poisson(spec.n_stars * _deeper(spec) * np.pi * radius**2 / (ny * nx)))
    distance, angle = radius * np.sqrt(rng.uniform(size=n)), rng.uniform(0, 2 * np.pi, n)
    x, y = (nx - 1) / 2 + distance * np.cos(angle), (ny - 1) / 2 + distance * np.sin(angle)
    mag = draw_magnitudes(n, spec.mag_min, spec.mag_max + DEPTH_MAG, spec.mag_slope, rng)
    if not stars.id.size or not n:
        return x, y, mag
    inside = (x > stars.x.min()) & (x < stars.x.max()) & (y > stars.y.min()) & (y < stars.y.max())
    tree = tree_of(np.column_stack([stars.x, stars.y]))
    apart, _ = tree.query(np.column_stack([x, y]))  # type: ignore[no-untyped-call]
    new = np.where(inside, mag > spec.mag_max, True) & (apart > spec.min_separation_fwhm * spec.mean_fwhm)
    return x[new], y[new], mag[new]


def _deeper(spec: NightSpec) -> float:
    """Stars of the catalogue to each of the night, by the law of ``mag_slope``."""
    span, growth = spec.mag_max - spec.mag_min, spec.mag_slope * np.log(10)
    if growth == 0:
        return 1 + DEPTH_MAG / span
    return float(np.expm1(growth * (span + DEPTH_MAG)) / np.expm1(growth * span))
