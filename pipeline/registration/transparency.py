"""How clear the sky was: the light of the stars that a frame has in common with the reference frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frame.stars import SATURATED_PEAK
from pipeline.nearest import tree_of
from pipeline.registration.alignment import Alignment

BRIGHTEST = 30  # stars of the reference that are looked up: in clouds, fainter ones lose light below the threshold
MATCH_PX = 2.0  # between a star and where the alignment puts it
FEWEST = 3  # common stars
CLEAREST_QUANTILE = 0.9  # of a night's frames: what counts as clear


def common_light(reference: NDArray[Any], stars: NDArray[Any], alignment: Alignment) -> float:
    """Light of the common stars over that in the reference frame: the median ratio of their fluxes.

    reference, stars: STAR_DTYPE[n], brightest first; alignment: reference to frame. Stars near saturation in either are
    left out. NaN with fewer than three common stars.
    """
    if not len(reference) or not len(stars):
        return float("nan")
    wanted = _unsaturated(reference)[:BRIGHTEST]
    expected = alignment.to_frame(np.column_stack([wanted["x"], wanted["y"]]))
    tree = tree_of(np.column_stack([stars["x"], stars["y"]]))
    distance, nearest = tree.query(expected, distance_upper_bound=MATCH_PX)  # type: ignore[no-untyped-call]
    found = np.flatnonzero(np.isfinite(distance))
    here = stars[nearest[found]]
    usable = (here["peak"] < SATURATED_PEAK * stars["peak"].max()) & (wanted["flux"][found] > 0) & (here["flux"] > 0)
    if np.count_nonzero(usable) < FEWEST:
        return float("nan")
    return float(np.median(here["flux"][usable] / wanted["flux"][found][usable]))


def _unsaturated(stars: NDArray[Any]) -> NDArray[Any]:
    """Without those that may be saturated, unless too few are left."""
    kept = stars[stars["peak"] < SATURATED_PEAK * stars["peak"].max()]
    return kept if len(kept) >= FEWEST else stars


def relative_to_clearest(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """A night's light of common stars over that of its clearest frames: float64[n], 1 for them, NaN where unknown."""
    known = light[np.isfinite(light) & (light > 0)]
    if not known.size:
        return np.full(light.shape, np.nan)
    return np.where(light > 0, light, np.nan) / float(np.quantile(known, CLEAREST_QUANTILE))
