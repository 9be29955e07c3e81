"""The vote on offsets between two star lists: each pair of stars votes for the shift that would make them one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

MAXIMUM_ROTATION = 1.6  # degrees, searched to both sides
PLAIN_WINDOWS = (32,)  # px, sides of the windows of offsets looked into when no rotation is tried
ALL_WINDOWS = (16, 32, 64)  # px; small ones stand out in crowded fields, large ones hold a rotated field's offsets
WINDOWS_TRIED = 2  # the best of each size
CORNER_STEP = 2.0  # px that the corners move from one rotation tried to the next
FINE_BOX = 3.0  # px; votes are counted in boxes of it, for rotation steps and centroid errors
CHANCE = 1e-3  # probability that unrelated lists give as many votes


@dataclass(frozen=True)
class Vote:
    """Shift in px and rotation in degrees about the centre of the field, and the pairs that voted for them."""

    dx: float
    dy: float
    rotation: float
    votes: int


def vote(a: Points, b: Points, shape: tuple[int, int], *, rotate: bool) -> Vote | None:
    """The shift from a to b that most pairs agree on (Tianyu paper, eq. 2, jointly in x and y), or None.

    a, b: float64[n, 2] and float64[m, 2], px; shape: (ny, nx); rotate: try rotations up to ±1.6 degrees as well.
    Offsets are counted in coarse windows first; those in and about the best windows are then counted finely, for each
    rotation. None when unrelated lists would give as many votes.
    """
    if not len(a) or not len(b):
        return None
    # Axes first and contiguous: minima over the last axis of [n, 2] take ten times longer.
    offsets = np.stack([(b[None, :, axis] - a[:, None, axis]).ravel() for axis in (0, 1)])
    arms = a - (np.array(shape)[::-1] - 1) / 2
    reach = float(np.radians(MAXIMUM_ROTATION) * np.hypot(*shape) / 2) if rotate else 0.0
    rotations = np.linspace(-MAXIMUM_ROTATION, MAXIMUM_ROTATION, 2 * int(np.ceil(reach / CORNER_STEP)) + 1)
    if not rotate:
        rotations = np.zeros(1)
    best = Vote(0.0, 0.0, 0.0, 0)
    for size in ALL_WINDOWS if rotate else PLAIN_WINDOWS:
        for centre in _best_windows(offsets, size, shape):
            near = np.flatnonzero(
                (np.abs(offsets[0] - centre[0]) < reach + size / 2)
                & (np.abs(offsets[1] - centre[1]) < reach + size / 2)
            )
            found = _count(offsets[:, near] - centre[:, None], arms[near // len(b)], rotations)
            if found.votes > best.votes:
                best = Vote(found.dx + centre[0], found.dy + centre[1], found.rotation, found.votes)
    from scipy.special import pdtrc  # see pipeline/__init__.py

    expected = FINE_BOX**2 * len(a) * len(b) / (shape[0] * shape[1])
    trials = 4.0 * shape[0] * shape[1] / FINE_BOX**2 * len(rotations)
    return best if best.votes >= 2 and pdtrc(best.votes - 1, expected) * trials < CHANCE else None


def _best_windows(offsets: Points, size: float, shape: tuple[int, int]) -> list[Points]:
    """Centres float64[2] of the square windows of ``size`` px that hold more offsets than chance explains."""
    step = size / 2
    cells = np.floor(offsets / step).astype(np.intp)
    low = cells.min(axis=1)
    counts = _box_counts(cells - low[:, None], np.zeros(1, np.intp))[0]
    # Chance offsets are most frequent where the fields overlap most.
    overlap = [
        np.clip(1 - np.abs(np.arange(n) + start) * step / extent, 0.05, 1)
        for n, start, extent in zip(counts.shape, low[::-1], shape, strict=True)
    ]
    expected = np.outer(*overlap) * (offsets.shape[1] * size**2 / (shape[0] * shape[1]))
    excess = (counts - expected) / np.sqrt(expected + 1)
    centres = []
    for _ in range(WINDOWS_TRIED):
        y, x = np.unravel_index(int(np.argmax(excess)), excess.shape)
        centres.append((np.array([x, y]) + low) * step)
        excess[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = -np.inf  # the overlapping windows
    return centres


def _box_counts(cells: NDArray[np.intp], layers: NDArray[np.intp]) -> NDArray[np.intp]:
    """Points in boxes of 2×2 cells about each corner between cells: int[layers, y, x] of cells[2, n] = (x, y) ≥ 0."""
    width, height = (cells.max(axis=1) + 1).tolist()
    depth = int(layers.max()) + 1
    keys = (layers * height + cells[1]) * width + cells[0]
    grid = np.bincount(keys, minlength=depth * height * width).reshape(depth, height, width)
    boxes = np.zeros((depth, height + 1, width + 1), np.intp)
    for y in (0, 1):
        for x in (0, 1):
            boxes[:, y : y + height, x : x + width] += grid
    return boxes


def _count(offsets: Points, arms: Points, rotations: Points) -> Vote:
    """The rotation and the box of FINE_BOX px with the most offsets, which belong to stars at ``arms``."""
    if not offsets.size:
        return Vote(0.0, 0.0, 0.0, 0)
    cosine, sine = np.cos(np.radians(rotations))[:, None] - 1, np.sin(np.radians(rotations))[:, None]
    x = offsets[0] - (cosine * arms[:, 0] - sine * arms[:, 1])
    y = offsets[1] - (sine * arms[:, 0] + cosine * arms[:, 1])
    straight = np.stack([x, y])  # [2, rotations, n]: offsets without what each rotation adds to them
    cells = np.floor(straight.reshape(2, -1) / (FINE_BOX / 2)).astype(np.intp)
    low = cells.min(axis=1)
    layers = np.repeat(np.arange(len(rotations)), offsets.shape[1])
    boxes = _box_counts(cells - low[:, None], layers)
    k, row, column = np.unravel_index(int(np.argmax(boxes)), boxes.shape)
    middle = (np.array([column, row]) + low) * (FINE_BOX / 2)
    chosen = straight[:, k]
    inside = (np.abs(chosen - middle[:, None]) <= FINE_BOX / 2).all(axis=0)
    shift = chosen[:, inside].mean(axis=1)
    return Vote(float(shift[0]), float(shift[1]), float(rotations[k]), int(boxes[k, row, column]))
