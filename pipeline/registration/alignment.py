"""Where a frame lies on the reference frame: the vote on offsets, then a similarity fitted to the matched stars."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.nearest import tree_of
from pipeline.registration.offset_vote import MAXIMUM_ROTATION, Vote, vote
from pipeline.units import signed_angle

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Points = NDArray[np.float64]

PLAIN_STARS = 150  # brightest stars of each list that vote when no rotation is tried; 22,500 offsets take 1 ms
VOTE_STARS = 250  # the same for the thorough vote
FIT_STARS = 600  # brightest stars of each list that are matched and fitted
FIXED_RADIUS = 0.25  # px; a detection that stays put this closely may be a hot pixel
FIXED_ROTATION = 0.02  # degrees; more is no fixed pattern
NEAR_MATCHES = 8  # stars that make a shift below LAST_TOLERANCE believable beside a fixed pattern
NEAR_RMS = 0.5  # of that shift
PLAIN_FRACTION = 0.5  # of the stars in the common field; with so many matches no rotation need be tried
FIRST_TOLERANCE = 3.0  # px between a star and its match in the first round of the fit
LAST_TOLERANCE = 1.5  # px in the later rounds, narrowed to 4 rms
FLOOR_TOLERANCE = 0.3  # px; centroids of faint stars scatter by 0.1
FIT_ROUNDS = 8
CLIP_RMS = 4.0
BIWEIGHT_SIGMA = 4.685  # of Tukey's biweight: as good as least squares to 95 % where errors are Gaussian
# Of Gaussian distances weighted so, over their plain mean square: E[w u] / E[w], u exponential.
BIWEIGHT_VARIANCE = 0.822
ROBUST_ROUNDS = 5
ROBUST_MATCHES = 10  # fewer do not tell by how much stars scatter
FEWEST_WITNESSES = 4  # matches that agree, against one that does not: of three, any two agree with some similarity
STRANGER_RMS = 8.0  # of the others; of 1,000 sets of five, six, eight true matches one stands so far apart in 65, 7, 0
MEDIAN_OF_RAYLEIGH = 1.1774  # of distances, in standard deviations of a coordinate
LEAST_CENTROID_ERROR = 1e-3  # px; nothing is better, and a perfect fit needs some scale
MINIMUM_LEVER = 0.25  # spread of the matches × sqrt(number) over half the diagonal; below it no rotation is fitted
SIMILARITY_MATCHES = 3
MAXIMUM_SCALE_CHANGE = 0.01  # focus and refraction change it by less than 1e-3
CHANCE = 1e-3  # probability that unrelated lists give as many matches
SINGLE_STAR_FLUX_RATIO = 3.0  # within which a lone star is taken for the reference's lone star


@dataclass(frozen=True)
class Alignment:
    """Similarity from reference to frame coordinates, in pixels.

    xy_frame = scale·R(rotation)·(xy_reference − center) + center + (dx, dy). rotation: degrees, counter-clockwise with
    x to the right and y up; rms: px, of the distance of matched stars after the fit, weighted as there; matches: stars
    with weight.
    """

    dx: float
    dy: float
    rotation: float
    scale: float
    center_x: float
    center_y: float
    rms: float
    matches: int

    @classmethod
    def identity(cls, shape: tuple[int, int]) -> Self:
        """The alignment of the reference with itself; shape: (ny, nx)."""
        x, y = centre_of(shape)
        return cls(0.0, 0.0, 0.0, 1.0, float(x), float(y), 0.0, 0)

    @property
    def matrix(self) -> Points:
        """scale·R(rotation), float64[2, 2], acting on (x, y)."""
        return self.scale * rotation_matrix(self.rotation)

    def to_frame(self, xy: Points) -> Points:
        """Frame coordinates float64[n, 2] of reference coordinates xy float64[n, 2]."""
        center = np.array([self.center_x, self.center_y])
        return np.asarray((xy - center) @ self.matrix.T + center + (self.dx, self.dy))

    def to_reference(self, xy: Points) -> Points:
        """Reference coordinates float64[n, 2] of frame coordinates xy float64[n, 2]."""
        center = np.array([self.center_x, self.center_y])
        return np.asarray((xy - center - (self.dx, self.dy)) @ np.linalg.inv(self.matrix).T + center)

    def inverse(self) -> "Alignment":
        """The alignment whose ``to_frame`` is this one's ``to_reference``."""
        dx, dy = (-np.linalg.inv(self.matrix) @ (self.dx, self.dy)).tolist()
        return replace(self, dx=dx, dy=dy, rotation=-self.rotation, scale=1.0 / self.scale)


def rotation_matrix(degrees: float) -> Points:
    """Counter-clockwise rotation, float64[2, 2], acting on (x, y)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def align(reference: NDArray[Any], frame: NDArray[Any], shape: tuple[int, int]) -> Alignment:
    """Align a frame's stars with the reference's (Tianyu paper, eq. 2, made joint in x and y, then fitted).

    reference, frame: STAR_DTYPE[n] and STAR_DTYPE[m]; shape: (ny, nx) of the frames. Holds for offsets of most of the
    field, rotations of ±1.5 degrees (also near 180, after a meridian flip), and lists in which most detections are
    hot pixels that do not move with the sky. With one or two common stars only the shift is found, if it is
    unambiguous. Raises UnusableDataError, with the counts, when no alignment is better than chance.
    """
    first, second = by_flux(reference), by_flux(frame)
    if len(first) == 1 and len(second) == 1:
        return _lone_star(first, second, shape)
    a, b = positions(first), positions(second)
    center = centre_of(shape)
    for turn in (0.0, 180.0):
        turned = b if turn == 0 else 2 * center - b
        found = _align_points(a, turned, shape)
        if found is not None:
            return _turn(found, turn)
    raise UnusableDataError(
        f"no alignment of {len(frame)} stars with the reference's {len(reference)} is better than chance, expected at "
        "least 3 common stars, or fewer in a sparse field: leave the frame out, or choose another reference"
    )


def _align_points(a: Points, b: Points, shape: tuple[int, int]) -> Alignment | None:
    found = _vote_and_fit(a, b, shape)
    if found is None or not may_be_fixed_pattern(found):
        return found
    # Hot pixels give an offset of zero, however the sky moved. Without all that stayed put, does another offset win?
    fixed_a, fixed_b = matched(a, b, Alignment.identity(shape), FIXED_RADIUS)
    moving = _vote_and_fit(np.delete(a, fixed_a, axis=0), np.delete(b, fixed_b, axis=0), shape)
    if moving is None or may_be_fixed_pattern(moving):
        return found
    shift = np.hypot(moving.dx, moving.dy)
    # Close to zero, stars whose centroids scatter by more than FIXED_RADIUS may look like a second offset.
    believed = shift > LAST_TOLERANCE or (moving.matches >= NEAR_MATCHES and moving.rms < NEAR_RMS * shift)
    return moving if believed else found


def may_be_fixed_pattern(found: Alignment) -> bool:
    return bool(np.hypot(found.dx, found.dy) < FIXED_RADIUS and abs(found.rotation) < FIXED_ROTATION)


def _vote_and_fit(a: Points, b: Points, shape: tuple[int, int]) -> Alignment | None:
    """The alignment of two lists: without rotations when most stars match so, else the best with and without."""
    candidates = []
    for number, rotate in ((PLAIN_STARS, False), (VOTE_STARS, True)):
        winner = vote(a[:number], b[:number], shape, rotate=rotate)
        if winner is None:
            continue
        found = _fit(a[:FIT_STARS], b[:FIT_STARS], winner, shape)
        common = min(_inside(found.to_frame(a[:FIT_STARS]), shape), _inside(found.to_reference(b[:FIT_STARS]), shape))
        if _better_than_chance(found, a[:FIT_STARS], b[:FIT_STARS], shape, rotate=rotate):
            candidates.append(found)
            if found.matches > PLAIN_FRACTION * common:
                break
    return max(candidates, key=lambda one: one.matches, default=None)


def _fit(a: Points, b: Points, start: Vote, shape: tuple[int, int]) -> Alignment:
    x, y = centre_of(shape)
    found = Alignment(start.dx, start.dy, start.rotation, 1.0, float(x), float(y), FIRST_TOLERANCE, 0)
    tolerance = FIRST_TOLERANCE
    tree = tree_of(b)
    used: tuple[int, ...] = ()
    for turn in range(FIT_ROUNDS):
        i, j = matched(a, b, found, tolerance, tree)
        if len(i) == 0:
            break
        found = least_squares(a[i], b[j], found)
        key = (*i.tolist(), *j.tolist())
        if key == used:
            break
        used = key
        if turn > 0:
            tolerance = float(np.clip(CLIP_RMS * found.rms, FLOOR_TOLERANCE, LAST_TOLERANCE))
    return robust_fit(a[i], b[j], found) if len(i) >= ROBUST_MATCHES else without_strangers(a[i], b[j], found)


def without_strangers(a: Points, b: Points, found: Alignment) -> Alignment:
    """The fit to few matches a[n, 2], b[n, 2] without those that all others speak against.

    One wrong match of eight bends a least-squares fit so far that it looks no worse than the others. Fitted without it,
    the others agree and it stands apart.
    """
    while len(a) >= FEWEST_WITNESSES + 1:
        fits = [least_squares(np.delete(a, k, axis=0), np.delete(b, k, axis=0), found) for k in range(len(a))]
        k = int(np.argmin([fit.rms for fit in fits]))
        apart = float(np.hypot(*(fits[k].to_frame(a[k]) - b[k])))
        if apart < max(STRANGER_RMS * fits[k].rms, FLOOR_TOLERANCE):
            break
        a, b, found = np.delete(a, k, axis=0), np.delete(b, k, axis=0), fits[k]
    return found


def robust_fit(a: Points, b: Points, found: Alignment) -> Alignment:
    """The fit with Tukey's biweight: faint stars, and blends that the seeing joins, no longer pull at it."""
    for _ in range(ROBUST_ROUNDS):
        found = least_squares(a, b, found, _biweight(a, b, found))
    # With its own weights: a match that the fit left out is no part of it.
    weight = _biweight(a, b, found)
    square = (weight * np.square(found.to_frame(a) - b).sum(axis=1)).sum() / weight.sum() / BIWEIGHT_VARIANCE
    return replace(found, rms=float(np.sqrt(square)), matches=int(np.count_nonzero(weight)))


def _biweight(a: Points, b: Points, found: Alignment) -> Points:
    """Tukey's weight of each match, float64[n]."""
    off = np.hypot(*(found.to_frame(a) - b).T)
    reach = BIWEIGHT_SIGMA * max(float(np.median(off)) / MEDIAN_OF_RAYLEIGH, LEAST_CENTROID_ERROR)
    return np.asarray(np.square(np.maximum(1 - np.square(off / reach), 0)))


def least_squares(
    a: Points, b: Points, before: Alignment, weight: Points | None = None, *, turn: bool = True
) -> Alignment:
    """Similarity that takes a[n, 2] to b[n, 2], weighted [n]; without ``turn``, or when the matches cannot carry a
    rotation, the shift alone."""
    center = np.array([before.center_x, before.center_y])
    w = np.ones((len(a), 1)) if weight is None else weight[:, None]
    mean_a, mean_b = (w * a).sum(axis=0) / w.sum(), (w * b).sum(axis=0) / w.sum()
    p, q = a - mean_a, b - mean_b
    rotation, scale = before.rotation, before.scale
    lever = np.sqrt((p**2).sum()) / np.hypot(*center)
    if turn and len(a) >= SIMILARITY_MATCHES and lever > MINIMUM_LEVER:
        dot, cross = (w * p * q).sum(), (w[:, 0] * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])).sum()
        rotation, scale = float(np.degrees(np.arctan2(cross, dot))), float(np.hypot(dot, cross) / (w * p**2).sum())
    shift = mean_b - center - scale * rotation_matrix(rotation) @ (mean_a - center)
    dx, dy = shift.tolist()
    fitted = replace(before, dx=dx, dy=dy, rotation=rotation, scale=scale, matches=len(a))
    return replace(fitted, rms=float(np.sqrt(((fitted.to_frame(a) - b) ** 2).sum(axis=1).mean())))


def matched(
    a: Points, b: Points, found: Alignment, tolerance: float, tree: "KDTree | None" = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of stars of a and b nearest to each other, one-to-one, within tolerance."""
    if not len(a) or not len(b):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    distance, j = (tree or tree_of(b)).query(  # type: ignore[no-untyped-call]
        found.to_frame(a), distance_upper_bound=tolerance
    )
    i = np.flatnonzero(np.isfinite(distance))
    order = i[np.argsort(distance[i], kind="stable")]
    _, nearest = np.unique(j[order], return_index=True)
    i = np.sort(order[nearest])
    return i, np.asarray(j[i], np.intp)


def _better_than_chance(found: Alignment, a: Points, b: Points, shape: tuple[int, int], *, rotate: bool) -> bool:
    if found.matches < 2 or abs(found.scale - 1) > MAXIMUM_SCALE_CHANGE or abs(found.rotation) > 2 * MAXIMUM_ROTATION:
        return False
    tolerance = max(CLIP_RMS * found.rms, FLOOR_TOLERANCE)
    # The vote chose among as many shifts as fit in the field at this tolerance.
    trials = 4 * shape[0] * shape[1] / (np.pi * tolerance**2)
    if found.matches >= SIMILARITY_MATCHES:
        # A rotation and a scale were free to make three unlike triangles agree: what they move the corners by.
        turn = float(np.radians(MAXIMUM_ROTATION) * np.hypot(*shape) / 2) if rotate else FIRST_TOLERANCE
        trials *= (1 + 2 * turn / tolerance) * (1 + 2 * FIRST_TOLERANCE / tolerance)
    return chance_of_matches(found, a, b, shape, tolerance) * trials < CHANCE


def chance_of_matches(found: Alignment, a: Points, b: Points, shape: tuple[int, int], tolerance: float) -> float:
    """Probability that unrelated lists a[n, 2] and b[m, 2] have as many matches within tolerance (px) at one place."""
    from scipy.special import pdtrc

    expected = _inside(found.to_frame(a), shape) * len(b) * np.pi * tolerance**2 / (shape[0] * shape[1])
    return float(pdtrc(found.matches - 1, expected))


def _inside(xy: Points, shape: tuple[int, int]) -> int:
    return int(np.count_nonzero(((xy > 0) & (xy < np.array(shape)[::-1] - 1)).all(axis=1)))


def _lone_star(a: NDArray[Any], b: NDArray[Any], shape: tuple[int, int]) -> Alignment:
    ratio = float(b["flux"][0] / a["flux"][0])
    if not 1 / SINGLE_STAR_FLUX_RATIO < ratio < SINGLE_STAR_FLUX_RATIO:
        raise UnusableDataError(
            f"one star in the frame and one in the reference, of flux ratio {ratio:.3g}, expected within a factor of "
            f"{SINGLE_STAR_FLUX_RATIO:g}: leave the frame out"
        )
    x, y = centre_of(shape)
    shift = positions(b)[0] - positions(a)[0]
    return Alignment(float(shift[0]), float(shift[1]), 0.0, 1.0, float(x), float(y), 0.0, 1)


def _turn(found: Alignment, turn: float) -> Alignment:
    if turn == 0:
        return found
    rotation = signed_angle(found.rotation + turn)
    return replace(found, dx=-found.dx, dy=-found.dy, rotation=rotation)


def fit_alignment(reference: Points, frame: Points, shape: tuple[int, int]) -> Alignment:
    """The alignment of stars that are known to be the same, float64[n, 2] each, n ≥ 1; shape: (ny, nx) of the frame.

    Similarity by Tukey's biweight; a shift where the stars cannot carry a rotation.
    """
    start = Alignment.identity(shape)
    found = least_squares(reference, frame, start)
    return robust_fit(reference, frame, found) if len(reference) >= ROBUST_MATCHES else found


def by_flux(stars: NDArray[Any]) -> NDArray[Any]:
    usable = stars[np.isfinite(stars["x"]) & np.isfinite(stars["y"])]
    return np.asarray(usable[np.argsort(-usable["flux"], kind="stable")])


def positions(stars: NDArray[Any]) -> Points:
    return np.column_stack([stars["x"], stars["y"]]).astype(np.float64)


def centre_of(shape: tuple[int, int]) -> Points:
    return np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
