"""The choice of the frame that the others of an observation are aligned to."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UnusableDataError
from pipeline.statistics import MAD_TO_SIGMA

MINIMUM_STARS = 3  # a frame with fewer cannot carry a similarity
RELATIVE_FLOOR = 0.05  # of the median; scatter below it says nothing about a frame's quality
ELLIPTICITY_FLOOR = 0.03
SCORE_LIMIT = 3.0  # sigma; beyond it a frame is not better, often an artefact (planes and twilight add "stars")
STAR_WEIGHT = 2.0  # of the star count against one for each other measure: what is not detected cannot be matched
UNKNOWN_SCORE = -1.0  # sigma, of a measure that is missing
# Sigma, by which the first and the last frame stand back, the square of the distance between. The template covers what
# the reference sees: with a drift of 220 px of 1024, a reference at the night's start lost 10 % of the stars that were
# in view for more than half of the night; with one of 270 px of 650, a sharp frame at 30 % of the night lost 7 %. A
# steady drift keeps all of those in view of its middle.
MIDDLE_WEIGHT = 9.0


def choose_reference(
    star_count: ArrayLike,
    fwhm: ArrayLike,
    background_rms: ArrayLike,
    ellipticity: ArrayLike | None = None,
) -> int:
    """Index of the reference frame: many stars, sharp and round, low background noise, not far from mid-night.

    All real[n], one value a frame in the order of time, NaN where unknown (failed frames); fwhm in pixels. Each measure
    is counted in robust sigma from its median, up to 3, and the weighted sum decides; of equal frames the one nearest
    the middle is taken.
    Raises UnusableDataError when no frame has at least 3 stars.
    """
    stars = np.asarray(star_count, np.float64)
    usable = np.isfinite(stars) & (stars >= MINIMUM_STARS)
    if not usable.any():
        most = np.nanmax(stars) if np.isfinite(stars).any() else 0
        raise UnusableDataError(
            f"none of {stars.size} frames can be the reference: at most {most:g} stars found, expected at least "
            f"{MINIMUM_STARS}; check exposure, focus and the calibration of the frames"
        )
    score = STAR_WEIGHT * _score(stars, usable) - _badness(fwhm, usable) - _badness(background_rms, usable)
    if ellipticity is not None:
        score -= _badness(ellipticity, usable, ELLIPTICITY_FLOOR)
    score -= MIDDLE_WEIGHT * np.linspace(-1.0, 1.0, stars.size) ** 2
    return int(np.argmax(np.where(usable, score, -np.inf)))


def _badness(values: ArrayLike, usable: NDArray[np.bool_], floor: float = 0.0) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    # A width or a noise of zero is a failed measurement.
    score = _score(np.where(array > 0, array, np.nan) if not floor else array, usable, floor)
    return np.where(np.isfinite(score), score, -UNKNOWN_SCORE)


def _score(values: NDArray[np.float64], usable: NDArray[np.bool_], floor: float = 0.0) -> NDArray[np.float64]:
    known = values[usable & np.isfinite(values)]
    if not known.size:
        return np.full(values.shape, np.nan)
    centre = float(np.median(known))
    scale = max(MAD_TO_SIGMA * float(np.median(np.abs(known - centre))), floor, RELATIVE_FLOOR * abs(centre), 1e-9)
    return np.clip((values - centre) / scale, -SCORE_LIMIT, SCORE_LIMIT)
