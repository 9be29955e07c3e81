"""The plate model: a camera's constants by least squares, and how much of its distortion the stars can tell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.distortion import design, terms
from pipeline.sky.astrometry.projection import from_plane, to_plane
from pipeline.sky.astrometry.sky_wcs import SkyWcs

Floats = NDArray[np.float64]

SIMILARITY = 0  # degree that stands for shift, rotation and scale alone
LARGEST_DEGREE = 4
CENTRE_ROUNDS = 6  # of moving the tangent point to the image's centre
CENTRE_STEP = 1e-11  # degrees
CLIP_ROUNDS = 8
CLIP_SIGMA = 4.0
MEDIAN_DISTANCE = 1.1774  # median distance of a two-dimensional Gaussian, in its standard deviations of one axis
LARGEST_LEVERAGE = 1.0  # variance of the model in the worst corner, over that of one star by the lower degree
WORST_LEVERAGE = 10.0  # the same over that of one star by the model itself
GAIN_SIGMA = 3.0  # by which a higher degree must predict stars better that it has not seen


@dataclass(frozen=True)
class PlateModel:
    """A fitted WCS, and each matched star's part in it.

    Attributes:
        wcs: tangent point at the image's centre.
        degree: 0 similarity, 1 linear, 2 to 4 with distortion.
        kept: bool[n], stars that were not clipped.
        miss: float64[n], degrees between each star and the model.
        unseen: float64[n], degrees between each star and the model fitted without it.
        sigma: degrees on one axis, from the median distance.
        leverage: variance of the model in the worst corner of the image, over that of one star.
    """

    wcs: SkyWcs
    degree: int
    kept: NDArray[np.bool_]
    miss: Floats
    unseen: Floats
    sigma: float
    leverage: float


def parameters(degree: int) -> int:
    """Free parameters on each axis of a model of this degree."""
    return 2 if degree == SIMILARITY else len(terms(degree))


def best_model(
    xy: Floats, radec: Floats, start: SkyWcs, shape: tuple[int, int], weights: Floats | None = None
) -> PlateModel:
    """The model of the lowest degree that no higher one beats in predicting stars that it has not seen.

    xy: float64[n, 2] and radec: float64[n, 2], degrees, of matched stars, n ≥ 2, of which some may be wrong; weights:
    float64[n], inverse errors; start: gives centre and parity. A degree that leaves a corner of the image worse known
    than a star is by the lower degree is not taken: few stars, or stars in a part of the image only, carry no
    distortion unless it stands out.
    """
    best = fitted(xy, radec, start, shape, SIMILARITY, weights)
    for degree in range(1, LARGEST_DEGREE + 1):
        if len(xy) <= 2 * parameters(degree):
            break
        model = fitted(xy, radec, start, shape, degree, weights)
        if model.leverage * model.sigma**2 > LARGEST_LEVERAGE * best.sigma**2 or model.leverage > WORST_LEVERAGE:
            continue
        if np.count_nonzero(model.kept) <= 2 * parameters(degree):
            continue
        # Wrong matches miss any model: their misses must not decide, and a model that explains more stars must win.
        cap = CLIP_SIGMA * min(best.sigma, model.sigma)
        gain = np.minimum(best.unseen, cap) ** 2 - np.minimum(model.unseen, cap) ** 2
        if weights is not None:
            gain *= weights**2
        if gain.mean() > GAIN_SIGMA * gain.std() / np.sqrt(len(gain)):
            best = model
    return best


def fitted(
    xy: Floats, radec: Floats, start: SkyWcs, shape: tuple[int, int], degree: int, weights: Floats | None = None
) -> PlateModel:
    """The model of one degree, stars farther than 4 standard deviations from it clipped in turns."""
    weight = np.ones(len(xy)) if weights is None else weights / np.median(weights)
    kept = np.ones(len(xy), bool)
    wcs = start
    for _ in range(CLIP_ROUNDS):
        wcs = _least_squares(xy[kept], radec[kept], wcs, shape, degree, weight[kept])
        miss = _miss(wcs, xy, radec)
        scaled = miss * weight
        sigma = float(np.median(scaled[kept])) / MEDIAN_DISTANCE
        now = scaled <= max(CLIP_SIGMA * sigma, 1e-12)
        if np.array_equal(now, kept) or np.count_nonzero(now) <= parameters(degree):
            break
        kept = now
    own, corner = _leverages(xy, kept, weight, shape, degree)
    unseen = np.where(kept, miss / np.maximum(1.0 - own, 1e-3), miss)
    return PlateModel(wcs, degree, kept, miss, unseen, float(np.median(miss[kept])) / MEDIAN_DISTANCE, corner)


def _least_squares(
    xy: Floats, radec: Floats, start: SkyWcs, shape: tuple[int, int], degree: int, weight: Floats
) -> SkyWcs:
    centre, reach = _frame(shape)
    uv = (xy - centre) / reach
    powers = terms(max(degree, 1))
    rows = design(uv, powers) * weight[:, None]
    # Normal equations: with coordinates within ±1 they lose six digits at degree 4, of sixteen, and are ten times
    # faster than a decomposition of the rows.
    solver = np.linalg.pinv(rows.T @ rows, hermitian=True) @ (rows * weight[:, None]).T
    crval = start.centre(shape)
    for _ in range(CENTRE_ROUNDS):
        plane = to_plane(radec, *crval)
        solution = _similarity(uv, plane, start.mirrored) if degree == SIMILARITY else solver @ plane
        offset = solution[0]
        ra, dec = from_plane(offset.reshape(1, 2), *crval)[0].tolist()
        crval = (ra, dec)
        if np.abs(offset).max() < CENTRE_STEP:
            break
    cd = solution[1:3].T / reach
    if degree < 2:
        return SkyWcs((float(centre[0]), float(centre[1])), crval, cd)
    bent = np.zeros((2, degree + 1, degree + 1))
    for k, (i, j) in enumerate(powers[3:], start=3):
        bent[:, i, j] = np.linalg.solve(cd, solution[k]) / reach ** (i + j)
    return SkyWcs((float(centre[0]), float(centre[1])), crval, cd, bent[0], bent[1])


def _similarity(uv: Floats, plane: Floats, mirrored: bool) -> Floats:
    """Shift, rotation and scale of one parity: offset, step along u, step along v, float64[3, 2]."""
    sign = 1.0 if mirrored else -1.0
    z, w = uv[:, 0] * sign + 1j * uv[:, 1], plane[:, 0] + 1j * plane[:, 1]
    away = z - z.mean()
    turn = (np.conj(away) * (w - w.mean())).sum() / max((np.abs(away) ** 2).sum(), 1e-300)
    offset = w.mean() - turn * z.mean()
    return np.array([[one.real, one.imag] for one in (offset, turn * sign, turn * 1j)])


def _leverages(
    xy: Floats, kept: NDArray[np.bool_], weight: Floats, shape: tuple[int, int], degree: int
) -> tuple[Floats, float]:
    """Leverage float64[n] of each star on its own prediction, and the largest of the image's corners."""
    centre, reach = _frame(shape)
    # A similarity shares its parameters between the axes; its leverage is at most that of the linear model.
    powers = terms(max(degree, 1))
    rows = design((xy - centre) / reach, powers) * weight[:, None]
    ends = np.array([[x, y] for x in (0.0, shape[1] - 1.0) for y in (0.0, shape[0] - 1.0)])
    inverse = np.linalg.pinv(rows[kept].T @ rows[kept])
    own = np.einsum("ni,ij,nj->n", rows, inverse, rows)
    corner = design((ends - centre) / reach, powers)
    rank = np.linalg.matrix_rank(rows[kept])
    worst = float(np.einsum("ni,ij,nj->n", corner, inverse, corner).max()) if rank == len(powers) else np.inf
    return np.clip(own, 0.0, 1.0), worst


def _miss(wcs: SkyWcs, xy: Floats, radec: Floats) -> Floats:
    return np.asarray(np.hypot(*(to_plane(radec, *wcs.crval) - wcs.on_plane(xy)).T))


def _frame(shape: tuple[int, int]) -> tuple[Floats, float]:
    """Centre of an image of shape (ny, nx), and the half of its longer side: coordinates of the fit are within ±1."""
    return np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2]), max(*shape, 2) / 2
