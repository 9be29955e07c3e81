"""The place of an image on the sky, found among a catalogue's stars about a rough pointing (Lang et al. 2010)."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.sky.astrometry.hypotheses import Hypotheses, borne_out, equal_quads
from pipeline.sky.astrometry.odds import chance_of_matches
from pipeline.sky.astrometry.plate_model import parameters
from pipeline.sky.astrometry.projection import from_stereographic, to_plane
from pipeline.sky.astrometry.quads import quads
from pipeline.sky.astrometry.search_start import (
    CATALOGUE_EXCESS,
    MINIMUM_STARS,
    SCALE_MARGIN,
    TEST_DENSITY,
    Picture,
    Rung,
    SkyHint,
    picture_of,
    region_of,
    rungs_of,
    tolerance_of,
)
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.wcs_fit import WcsFit, refine
from pipeline.units import ARCSEC

Floats = NDArray[np.float64]

__all__ = ["SkyHint", "match_catalogue"]

QUAD_STARS = 4  # match by construction
DENSITIES = (4, 7, 11)  # stars of each quarter of the image that make quads, tried in turns
QUADS = (100_000, 200_000, 400_000)  # of the catalogue, for each density
QUADS_A_STAR = 10  # at least, where the hint's radius holds many fields
MOST_QUADS = 1_000_000  # 70 MB, 2 s
LONGEST_BACKBONE = 1.0  # of the field's side
SHORTEST_BACKBONE = 0.08
QUAD_VOLUME = 0.1615  # π³/192: quads a star, of backbones up to L among ρ stars a unit area, are this times ρ³·L⁶
TEST_RADIUS = 0.01  # of the field's side; a quad of half the field and 1 % of distortion miss the corners by as much
TRIED = 12  # of the best borne out hypotheses at each density
SAME_TURN, SAME_PLACE = 0.02, 0.02  # relative, and of the field's side: hypotheses nearer to each other are one
FALSE_SOLUTIONS = 1e-8  # probability that a solution is chance
LARGEST_SHEAR = 0.05  # difference between the scales of two directions, relative


def match_catalogue(
    xy: Floats, flux: Floats, radec: Floats, mag: Floats, shape: tuple[int, int], hint: SkyHint
) -> WcsFit:
    """Find where an image is among a catalogue's stars, at any rotation and in both parities, and fit its WCS.

    xy: float64[n, 2], px, 0-based; flux: float64[n]; radec: float64[m, 2], degrees; mag: float64[m]; shape: (ny, nx).
    The catalogue should reach as far about the hint as its radius and half the image's diagonal together. Quads of
    the brightest stars propose similarities; those that most stars bear out are fitted; one is taken if chance would
    give as many matches in fewer than 1e-8 of all cases, with all proposals counted.

    Raises:
        UnusableDataError: too few stars, or no place is better than chance; the message has the counts.
    """
    picture = picture_of(xy, flux, shape)
    region = region_of(radec, mag, hint, picture)
    trials = 0
    rungs = rungs_of(region, hint, picture)
    for density, most in zip(DENSITIES, QUADS, strict=True):
        for rung in rungs:
            proposals, tried = _proposals(picture, rung, hint, density, most)
            trials += tried
            for wcs in proposals:
                found = _verified(wcs, picture, rung, trials)
                if found is not None:
                    return refine(found, xy, flux, radec, mag, shape)
    raise UnusableDataError(
        f"no place within {hint.radius_deg:g} degrees of RA {hint.ra_deg:.4f}, Dec {hint.dec_deg:+.4f} shows the "
        f"pattern of the {len(picture.xy)} stars among {len(region.mag)} catalogue stars, of {trials} tried at "
        f"{_scale_text(hint)}: check the pointing and the pixel scale, widen the radius, or take a deeper catalogue"
    )


def _scale_text(hint: SkyHint) -> str:
    if hint.pixel_scale_arcsec is None:
        return "any pixel scale"
    return f'{hint.pixel_scale_arcsec:.4g}" a pixel within {100 * tolerance_of(hint):.0f} %'


def _proposals(picture: Picture, rung: Rung, hint: SkyHint, density: int, most: int) -> tuple[list[SkyWcs], int]:
    """The hypotheses that most stars bear out, best first, and how many were looked into."""
    side, scales = rung.side, rung.scales
    a, known = picture.picked(density), rung.test.picked(side, density)
    # As long backbones as give `most` quads; a field that is sparser than asked for has longer ones.
    most = min(max(most, QUADS_A_STAR * len(known.mag)), MOST_QUADS)
    crowd = 4 * CATALOGUE_EXCESS * density
    longest = min(LONGEST_BACKBONE, (most / (QUAD_VOLUME * crowd**3 * len(known.mag))) ** (1 / 6))
    catalogue = quads(known.plane, SHORTEST_BACKBONE * side, longest * side, most)
    image = quads(picture.xy[a], SHORTEST_BACKBONE * side / scales[1], longest * side / scales[0], most)
    if not len(catalogue.length) or not len(image.length):
        return [], 0
    some = equal_quads(image, picture.xy[a], catalogue, known.plane, scales)
    some = _pointing_there(some, hint, picture)
    if not len(some):
        return [], 0
    test = picture.xy[picture.picked(TEST_DENSITY)]
    count = borne_out(some, test, rung.test.plane, TEST_RADIUS * picture.side)
    order = np.argsort(-count, kind="stable")
    best = _different(some, order[count[order] >= MINIMUM_STARS], picture)
    return [_wcs_of(some[np.array([index])], hint, picture) for index in best], len(some)


def _pointing_there(some: Hypotheses, hint: SkyHint, picture: Picture) -> Hypotheses:
    """Those whose image has its centre within the hint's radius, or has the hint inside itself."""
    centre = some.to_plane(picture.centre)[:, 0]
    radius = 2 * np.degrees(np.tan(np.radians(min(hint.radius_deg, 170.0)) / 2))
    return some[np.flatnonzero(np.abs(centre) <= radius + np.abs(some.turn) * np.hypot(*picture.shape) / 2)]


def _different(some: Hypotheses, order: NDArray[np.intp], picture: Picture) -> list[int]:
    """The first hypotheses in the order that are not the same as one before."""
    centre = some.to_plane(picture.centre)[:, 0]
    taken: list[int] = []
    for index in order.tolist():
        if len(taken) == TRIED:
            break
        turn = some.turn[index]
        if not any(
            some.mirrored[one] == some.mirrored[index]
            and abs(some.turn[one] - turn) < SAME_TURN * abs(turn)
            and abs(centre[one] - centre[index]) < SAME_PLACE * picture.side * abs(turn)
            for one in taken
        ):
            taken.append(index)
    return taken


def _wcs_of(one: Hypotheses, hint: SkyHint, picture: Picture) -> SkyWcs:
    centre, step = picture.centre, picture.side / 4
    places = one.to_plane(centre + np.array([[0.0, 0.0], [step, 0.0], [0.0, step]]))[0]
    radec = from_stereographic(np.column_stack([places.real, places.imag]), hint.ra_deg, hint.dec_deg)
    ra, dec = radec[0].tolist()
    x, y = centre[0].tolist()
    return SkyWcs((x, y), (ra, dec), to_plane(radec[1:], ra, dec).T / step)


def _verified(wcs: SkyWcs, picture: Picture, rung: Rung, trials: int) -> SkyWcs | None:
    """The WCS fitted to the stars that bear it out, if they are more than chance explains."""
    a, known, scales = picture.picked(TEST_DENSITY), rung.test, rung.scales
    try:
        fit = refine(wcs, picture.xy[a], picture.flux[a], known.radec, known.mag, picture.shape)
    except UnusableDataError:
        return None
    stretch = np.linalg.svd(fit.wcs.cd, compute_uv=False)
    scale = float(np.sqrt(stretch.prod()))
    if stretch[0] / stretch[1] - 1 > LARGEST_SHEAR or not scales[0] / SCALE_MARGIN <= scale <= scales[1] * SCALE_MARGIN:
        return None
    sigma = fit.rms_arcsec / ARCSEC / scale / np.sqrt(2)
    free = max(QUAD_STARS, parameters(fit.degree))
    chance = chance_of_matches(fit.wcs, free, sigma, picture.xy[a], known.radec, picture.shape)
    return fit.wcs if chance * trials < FALSE_SOLUTIONS else None
