"""The stars of a night: where they are, how bright, and which of them vary."""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.celestial import (
    CELL_BITS,
    draw_colours,
    draw_magnitudes,
    draw_motions,
    moved,
    name_sources,
    years_since_gaia,
)
from pipeline.trials.simulation.conditions import FrameTable
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.optics import on_frame, seen_corners, straighten, to_sky
from pipeline.trials.simulation.variables import BINARY, CONSTANT, FLARE, MODELS, PULSATOR, TRANSIT, draw_parameters
from pipeline.zero_points import RELATIONS, by_relation

BORDER_FWHM = 10.0  # stars are laid out this far beyond what any frame sees: their wings reach in
VARIABLE_MARGIN = 20.0  # pixels that variables keep from the border, so that their sky is measured too
ISOLATION_FWHM = 6.0  # from a variable to its nearest neighbour: no aperture mixes their light
VARIABLE_STEP_MAG = 0.5  # variables are 1, 1.5, 2, … magnitudes fainter than the brightest stars
VARIABLE_STEPS = 6  # then again from 1
PLACEMENT_TRIES = 200  # a star, before the field is called full
STAR_BITS = 21  # of a source_id, for the star's number in its night; what is left of a cell's bits tells the seed

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StarTable:
    """One row a star; every column is an array over stars.

    ``x, y`` are reference positions in pixels (the first frame's, before any drift), ``mag`` the magnitude in the
    night's filter at relative flux 1, ``kind`` one of ``variables``. The parameters are those of the kind's model, NaN
    where it has none. ``ra, dec``: degrees, ICRS, at the middle of the night; proper motions in mas a year, that in ra
    times cos(dec); ``g_mag`` and ``bp_rp`` as Gaia measured them.
    """

    id: NDArray[np.int64]
    x: Floats
    y: Floats
    mag: Floats
    kind: NDArray[np.str_]
    amplitude: Floats
    period_d: Floats
    epoch_jd: Floats
    duration_d: Floats
    ra: Floats
    dec: Floats
    gaia_source_id: NDArray[np.int64]
    g_mag: Floats
    bp_rp: Floats
    pm_ra_mas: Floats
    pm_dec_mas: Floats
    parallax_mas: Floats


def in_filter(spec: NightSpec, g_mag: Floats, colour: Floats) -> Floats:
    """Magnitudes in the night's filter: float64[n]; beyond the colours of a band's relation a star is as at its end."""
    band = g_mag
    if spec.band != "G":
        relation = RELATIONS[spec.band]
        band = by_relation(spec.band, g_mag, np.clip(colour, relation.low, relation.high))
    return band + spec.colour_term * colour


def draw_stars(spec: NightSpec, frames: FrameTable, rng: np.random.Generator) -> StarTable:
    """Lay out stars over everything that the night's frames see, with the variables in view all night where possible.

    Raises:
        UnusableDataError: so many stars do not fit with the wanted separation.
    """
    x, y = _place(spec, frames, rng)
    n = x.size
    g_mag = draw_magnitudes(n, spec.mag_min, spec.mag_max, spec.mag_slope, rng)
    kind = np.full(n, CONSTANT, dtype="U16")
    parameters = np.full((4, n), np.nan)
    wanted = [
        *repeat(TRANSIT, spec.n_transits),
        *repeat(PULSATOR, spec.n_pulsators),
        *repeat(BINARY, spec.n_binaries),
        *repeat(FLARE, spec.n_flares),
    ]
    for k, star in enumerate(_best_placed(x, y, spec, frames, rng)[: len(wanted)]):
        kind[star] = wanted[k]
        g_mag[star] = spec.mag_min + 1 + VARIABLE_STEP_MAG * (k % VARIABLE_STEPS)
        parameters[:, star] = draw_parameters(wanted[k], spec, rng)
    if spec.bright_star_mag is not None:
        ny, nx = spec.shape
        away = np.hypot(x - (nx - 1) / 2, y - (ny - 1) / 2)
        g_mag[np.argmin(np.where(kind == CONSTANT, away, np.inf))] = spec.bright_star_mag
    # What only the catalogue needs comes from a generator of its own: pixels do not depend on it.
    catalogue = spec.generator(Stream.CATALOGUE)
    colour = draw_colours(n, catalogue)
    ra, dec = to_sky(x, y, spec)
    pm_ra, pm_dec, parallax = draw_motions(g_mag, catalogue)
    return StarTable(
        id=np.arange(n),
        x=x,
        y=y,
        mag=in_filter(spec, g_mag, colour),
        kind=kind,
        amplitude=parameters[0],
        period_d=parameters[1],
        epoch_jd=parameters[2],
        duration_d=parameters[3],
        ra=ra,
        dec=dec,
        gaia_source_id=source_ids(spec, 0, *moved(ra, dec, pm_ra, pm_dec, -years_since_gaia(spec.middle_jd))),
        g_mag=g_mag,
        bp_rp=colour,
        pm_ra_mas=pm_ra,
        pm_dec_mas=pm_dec,
        parallax_mas=parallax,
    )


def laid_out(spec: NightSpec, frames: FrameTable) -> tuple[Floats, Floats]:
    """Lowest and highest (x, y) at which stars are laid out."""
    seen, border = seen_corners(frames, spec), BORDER_FWHM * spec.mean_fwhm
    return seen.min(axis=(0, 2)) - border, seen.max(axis=(0, 2)) + border


def farthest(spec: NightSpec, frames: FrameTable) -> float:
    """From the middle of the first frame to the farthest place where a star is laid out, pixels, undistorted."""
    low, high = laid_out(spec, frames)
    ny, nx = spec.shape
    x, y = straighten(np.array([low[0], high[0], low[0], high[0]]), np.array([low[1], low[1], high[1], high[1]]), spec)
    return float(np.hypot(x - (nx - 1) / 2, y - (ny - 1) / 2).max())


def source_ids(spec: NightSpec, first: int, ra: Floats, dec: Floats) -> NDArray[np.int64]:
    """Names in Gaia of the stars of a night without a sky of its own, by their numbers from ``first`` on.

    Args:
        ra, dec: degrees, at the epoch of Gaia's positions.
    """
    own = spec.seed % (1 << (CELL_BITS - STAR_BITS)) << STAR_BITS
    return name_sources(ra, dec, own + 1 + first + np.arange(ra.size, dtype=np.int64))


def relative_flux(stars: StarTable, jd: Floats) -> NDArray[np.float32]:
    """Model flux float32[star, time], 1 for a constant star."""
    flux = np.ones((stars.id.size, jd.size), dtype=np.float32)
    for i in np.flatnonzero(stars.kind != CONSTANT):
        model = MODELS[str(stars.kind[i])]
        flux[i] = model(jd, stars.amplitude[i], stars.period_d[i], stars.epoch_jd[i], stars.duration_d[i])
    return flux


def _place(spec: NightSpec, frames: FrameTable, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Uniform positions, one after the other, each as far from the others as wanted."""
    ny, nx = spec.shape
    low, high = laid_out(spec, frames)
    n = round(spec.n_stars * float(np.prod(high - low)) / (ny * nx))
    nearest = (spec.min_separation_fwhm * spec.mean_fwhm) ** 2
    placed = np.empty((n, 2))
    for k in range(n):
        for _ in range(PLACEMENT_TRIES):
            placed[k] = rng.uniform(low, high)
            if ((placed[:k] - placed[k]) ** 2).sum(axis=1).min(initial=np.inf) >= nearest:
                break
        else:
            raise UnusableDataError(
                f"n_stars is {spec.n_stars}, but the field is full with {k} of {n} stars {nearest**0.5:.1f} pixels "
                "apart: lower n_stars or min_separation_fwhm"
            )
    return placed[:, 0], placed[:, 1]


def _best_placed(
    x: Floats, y: Floats, spec: NightSpec, frames: FrameTable, rng: np.random.Generator
) -> NDArray[np.intp]:
    """All stars, those in view on most frames first; among equals the isolated ones, then in random order."""
    ny, nx = spec.shape
    rank = rng.uniform(0, 0.5, x.size)
    for i in range(spec.n_frames):
        u, v = on_frame(x, y, frames, i, spec)
        rank -= (np.minimum(u, nx - 1 - u) > VARIABLE_MARGIN) & (np.minimum(v, ny - 1 - v) > VARIABLE_MARGIN)
    for k in range(x.size):
        # The second smallest distance: the smallest is the star's own.
        neighbour = np.partition((x - x[k]) ** 2 + (y - y[k]) ** 2, 1)[1] if x.size > 1 else np.inf
        rank[k] += 0.5 * (neighbour < (ISOLATION_FWHM * spec.mean_fwhm) ** 2)
    return np.argsort(rank)
