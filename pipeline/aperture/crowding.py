"""Which sources have neighbours near enough to bias their fluxes, and which stand alone."""

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of

CROWDED_SHARE = 0.1  # of a source's own light, brought by neighbours (SExtractor's flag 1)
MOFFAT_BETA = 3.0  # wings as seeing makes them
REACH_FWHM = 8.0  # beyond the aperture: 2e-4 of a neighbour's light is left there in a circle of one FWHM
SEEING_STEP = 0.1  # of the FWHM, to both sides: as much as it changes in a night
CELLS = 24  # a side, of the grid over an aperture
TABLE_POINTS = 200
PAIRS_AT_ONCE = 1 << 20

Floats = NDArray[np.float64]


def contamination(xy: Floats, flux: Floats, radius: float, fwhm: float) -> Floats:
    """Neighbours' light in the circle around each source over the source's own light there.

    Args:
        xy: float64[n, 2], finite positions, px.
        flux: float64[n], any unit; what is not positive brings nothing.
        radius: of the circle, px.
        fwhm: of the stars, taken for Moffats of beta 3, px.

    Returns:
        float64[n]; infinite for a source without positive flux that has a neighbour.
    """
    light = np.where(np.isfinite(flux) & (flux > 0), flux, 0.0)
    brought = light_brought(xy, xy, flux, radius, fwhm, np.arange(len(xy)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(brought > 0, brought / (light * _shares(np.zeros(1), radius, fwhm)), 0.0)


def light_brought(
    places: Floats, xy: Floats, flux: Floats, radius: float, fwhm: float, without: NDArray[np.intp]
) -> Floats:
    """Light that sources bring into circles around places, float64[m], of the unit of ``flux``.

    Args:
        places: float64[m, 2], finite, px.
        xy, flux, radius, fwhm: of the sources, as of `contamination`.
        without: int[m], for each place the source that does not count there, for it is what is measured; -1: none.
    """
    light = np.where(np.isfinite(flux) & (flux > 0), flux, 0.0)
    brought = np.zeros(len(places))
    if not (len(places) and len(xy)):
        return brought
    reach = radius + REACH_FWHM * fwhm
    distances = np.linspace(0.0, reach, TABLE_POINTS)
    shares = _shares(distances, radius, fwhm)
    tree = tree_of(xy)
    step = max(1, PAIRS_AT_ONCE // len(xy))
    for start in range(0, len(places), step):
        rows = tree_of(places[start : start + step])
        pairs = rows.sparse_distance_matrix(tree, reach, output_type="ndarray")  # type: ignore[no-untyped-call]
        pairs = pairs[without[pairs["i"] + start] != pairs["j"]]
        share = np.interp(pairs["v"], distances, shares)
        np.add.at(brought, pairs["i"] + start, light[pairs["j"]] * share)
    return brought


def seeing_response(xy: Floats, flux: Floats, radius: float, fwhm: float) -> Floats:
    """By how much neighbours' light changes with the seeing: d(contamination) / d(ln FWHM).

    What a star and its references lose in wider seeing cancels in relative fluxes; what its neighbours bring does not.

    Args:
        xy, flux, radius, fwhm: as of `contamination`.

    Returns:
        float64[n], parts of the source's own flux; zero for a source without positive flux.
    """
    wider, narrower = (contamination(xy, flux, radius, fwhm * (1.0 + side)) for side in (SEEING_STEP, -SEEING_STEP))
    with np.errstate(invalid="ignore"):
        response = (wider - narrower) / (2.0 * SEEING_STEP)
    return np.where(np.isfinite(response), response, 0.0)


def _shares(distances: Floats, radius: float, fwhm: float) -> Floats:
    """Share of a Moffat's light within ``radius`` of a point at these distances from its centre."""
    alpha2 = fwhm**2 / (4.0 * (2.0 ** (1.0 / MOFFAT_BETA) - 1.0))
    span = ((np.arange(CELLS) + 0.5) / CELLS * 2.0 - 1.0) * radius
    x, y = (axis.ravel() for axis in np.meshgrid(span, span))
    inside = np.hypot(x, y) < radius
    x, y = x[inside], y[inside]
    square = np.square(x - distances[:, None]) + np.square(y)
    profile = (MOFFAT_BETA - 1.0) / (np.pi * alpha2) * (1.0 + square / alpha2) ** -MOFFAT_BETA
    return np.asarray(profile.mean(axis=1) * np.pi * radius**2)
