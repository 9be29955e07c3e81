"""Detections of the reference that stay on their pixels while the sky moves: hot pixels among its stars."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.registration.alignment import FIXED_RADIUS, LAST_TOLERANCE, Alignment, Points, positions

if TYPE_CHECKING:
    from scipy.spatial import KDTree

MOVED_PX = 1.0  # by which a frame must have moved a place to tell a hot pixel there from a star
FEWEST_FRAMES = 5  # that moved, and
MOVED_SHARE = 0.2  # of all: a sky that stands still has a few alignments that are wrong
SEEN_SHARE = 0.3  # of them that show a hot pixel

Stars = NDArray[Any]


def stays_put(reference: Stars, lists: Sequence[Stars], alignments: Sequence[Alignment | None]) -> NDArray[np.bool_]:
    """Which of the reference are seen at the same pixels of frames that moved, and oftener than where these moved them.

    Args:
        reference: STAR_DTYPE[n].
        lists: STAR_DTYPE[m] of some frames.
        alignments: of each of them, None where there is none.

    Returns:
        bool[n].
    """
    here = positions(reference)
    moved, fixed, followed = (np.zeros(len(here), dtype=np.int64) for _ in range(3))
    for stars, alignment in zip(lists, alignments, strict=True):
        if alignment is None or not len(stars) or not len(here):
            continue
        there = alignment.to_frame(here)
        far = np.hypot(*(there - here).T) > MOVED_PX
        seen = tree_of(positions(stars))
        moved += far
        fixed += far & _near(seen, here, FIXED_RADIUS)
        followed += far & _near(seen, there, LAST_TOLERANCE)
    told = moved >= max(FEWEST_FRAMES, MOVED_SHARE * len(lists))
    return np.asarray(told & (fixed >= SEEN_SHARE * moved) & (fixed > followed))


def seen_often(reference: Stars, lists: Sequence[Stars]) -> NDArray[np.bool_]:
    """Which detections of the reference are seen at the same pixels of many frames, as stars of a still sky are too.

    reference: STAR_DTYPE[n]; lists: STAR_DTYPE[m] of some frames. Returns bool[n], all False for few frames.
    """
    here = positions(reference)
    seen = np.zeros(len(here), dtype=np.int64)
    if len(lists) < FEWEST_FRAMES or not len(here):
        return seen > 0
    for stars in lists:
        if len(stars):
            seen += _near(tree_of(positions(stars)), here, FIXED_RADIUS)
    return np.asarray(seen >= SEEN_SHARE * len(lists))


def elsewhere(stars: Stars, places: Stars) -> Stars:
    """The detections STAR_DTYPE[n] that lie on none of these places STAR_DTYPE[m]."""
    if not len(stars) or not len(places):
        return stars
    return np.asarray(stars[~_near(tree_of(positions(places)), positions(stars), FIXED_RADIUS)])


def _near(tree: "KDTree", xy: Points, radius: float) -> NDArray[np.bool_]:
    """Which places float64[n, 2] have one of the tree's within a radius, px: bool[n]."""
    distance, _ = tree.query(xy, distance_upper_bound=radius)  # type: ignore[no-untyped-call]
    return np.asarray(np.isfinite(distance))
