"""The WCS of an image from its stars and a catalogue's, once it is known about where they are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.nearest import closest_pairs, tree_of
from pipeline.sky.astrometry.odds import chance_of_matches, in_field
from pipeline.sky.astrometry.plate_model import PlateModel, best_model, parameters
from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.units import ARCSEC

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

DEPTHS = (60, 250, 2500)  # brightest stars that take part, in turns: bright ones are seldom confused
CATALOGUE_DEPTH = 2.0  # catalogue stars in the field for each star that takes part
WIDEST_RADIUS = 0.02  # of the longer side, of the first matches
SPACING_RADIUS = 0.2  # of the catalogue's mean spacing: 13 % of the stars have another one within it
NARROWEST_RADIUS = 0.3  # px; centroids of faint stars scatter by 0.1
RADIUS_SIGMA = 5.0
ROUNDS = 8  # of matching and fitting at each depth
MINIMUM_MATCHES = 4
LARGEST_CHANCE = 1e-6  # that unrelated stars match as well; a thousandth of it for each of a thousand places nearby
FLUX_BIN = 40  # stars of like flux whose scatter gives their weight
LEAST_ERROR = 0.3  # of the median: no group of stars outweighs the others by more


@dataclass(frozen=True)
class WcsFit:
    """A WCS fitted to matched stars.

    Attributes:
        wcs: tangent point at the image's centre.
        matches: number of stars that it was fitted to.
        rms_arcsec: of the distance between star and catalogue position (both axes together), over the degrees of
            freedom that are left: sqrt(sum d² / (n − parameters an axis)).
        degree: of the distortion; 1 for none.
        used: int64[matches, 2], indices of the matched stars and of their catalogue stars.
    """

    wcs: SkyWcs
    matches: int
    rms_arcsec: float
    degree: int
    used: Indices


def refine(wcs: SkyWcs, xy: Floats, flux: Floats, radec: Floats, mag: Floats, shape: tuple[int, int]) -> WcsFit:
    """Match an image's stars with a catalogue's by a rough WCS, and fit TAN or TAN-SIP of degree 2 to 4 to them.

    xy: float64[n, 2], px; flux: float64[n]; radec: float64[m, 2], degrees; mag: float64[m]; shape: (ny, nx). The rough
    WCS may be wrong by 2 % of the image's side; distortion is fitted as far as the stars can tell. The brightest stars
    are matched first, then fainter ones within a radius that follows the scatter.

    Raises:
        UnusableDataError: fewer than 4 stars match, or no more than chance explains: the rough WCS is wrong.
    """
    star = np.flatnonzero(np.isfinite(xy).all(axis=1))
    star = star[np.argsort(-np.nan_to_num(flux[star], nan=-np.inf), kind="stable")]
    field = in_field(wcs, radec, mag, shape)
    model: PlateModel | None = None
    a = b = i = j = np.empty(0, np.int64)
    for depth in DEPTHS:
        if model is not None and len(a) == len(star):
            break
        a = star[:depth]
        b = field[: int(CATALOGUE_DEPTH * len(a))]
        found = _settled(wcs, xy[a], radec[b], shape)
        if found is not None:
            model, i, j = found[0], a[found[1]], b[found[2]]
            wcs = model.wcs
    number = 0 if model is None else int(np.count_nonzero(model.kept))
    if model is None or number < MINIMUM_MATCHES or _by_chance(model, xy[a], radec[b], shape):
        raise UnusableDataError(
            f"{number} of {len(star)} stars match one of the {len(field)} catalogue stars in the field, expected at "
            f"least {MINIMUM_MATCHES}, and more than chance explains: check the pointing and the pixel scale, or take "
            "a deeper catalogue"
        )
    kept = model.kept
    freedom = max(number - parameters(model.degree), 1)
    rms = float(np.sqrt((model.miss[kept] ** 2).sum() / freedom)) * ARCSEC
    return WcsFit(model.wcs, number, rms, max(model.degree, 1), np.column_stack([i[kept], j[kept]]))


def _settled(
    wcs: SkyWcs, xy: Floats, radec: Floats, shape: tuple[int, int]
) -> tuple[PlateModel, Indices, Indices] | None:
    """The model that keeps its own matches, and the indices of these; xy and radec: brightest first."""
    if len(xy) < MINIMUM_MATCHES or len(radec) < MINIMUM_MATCHES:
        return None
    area = float(shape[0] * shape[1])
    # Wide again for each depth: corners that fewer stars could not follow come back.
    radius = max(min(WIDEST_RADIUS * max(shape), SPACING_RADIUS * np.sqrt(area / len(radec))), NARROWEST_RADIUS)
    tree = tree_of(xy)
    model: PlateModel | None = None
    i = j = np.empty(0, np.int64)
    for _ in range(ROUNDS):
        star, place = _matched(tree, wcs.to_pixels(radec), radius)
        if len(star) < MINIMUM_MATCHES:
            return None
        if np.array_equal(star, i) and np.array_equal(place, j):
            break
        weights = None if model is None else _weights(model, i, star)
        i, j = star, place
        model = best_model(xy[i], radec[j], wcs, shape, weights)
        wcs = model.wcs
        radius = max(min(radius, RADIUS_SIGMA * _pixels(model, shape)), radius / 2, NARROWEST_RADIUS)
    return None if model is None else (model, i, j)


def _matched(tree: "KDTree", places: Floats, radius: float) -> tuple[Indices, Indices]:
    """Stars of the tree and the places nearest to them within the radius, one-to-one, by rising index of the star."""
    there = np.flatnonzero(np.isfinite(places).all(axis=1))
    distance, star = tree.query(places[there], distance_upper_bound=radius)  # type: ignore[no-untyped-call]
    near = np.flatnonzero(np.isfinite(distance))
    near = near[np.argsort(distance[near], kind="stable")]
    i, j = closest_pairs(star[near], there[near])
    order = np.argsort(i, kind="stable")
    return i[order].astype(np.int64), j[order].astype(np.int64)


def _weights(model: PlateModel, before: Indices, now: Indices) -> Floats | None:
    """Inverse errors float64[n] of the stars ``now``, from the scatter of stars of like flux; None for too few stars.

    before, now: indices in falling order of flux, those of the model and those asked for.
    """
    kept, miss = before[model.kept], model.miss[model.kept]
    bins = len(kept) // FLUX_BIN
    if bins < 2:
        return None
    place = np.array([np.median(one) for one in np.array_split(kept, bins)])
    error = np.array([np.median(one) for one in np.array_split(miss, bins)])
    return np.asarray(1.0 / np.interp(now, place, np.maximum(error, LEAST_ERROR * np.median(error))))


def _pixels(model: PlateModel, shape: tuple[int, int]) -> float:
    return model.sigma * ARCSEC / model.wcs.pixel_scale(shape)


def _by_chance(model: PlateModel, xy: Floats, radec: Floats, shape: tuple[int, int]) -> bool:
    free = parameters(model.degree)
    return chance_of_matches(model.wcs, free, _pixels(model, shape), xy, radec, shape) > LARGEST_CHANCE
