"""Straight lines among points: the Hough transform (Duda & Hart 1972, Commun. ACM 15, 11) of few points on a grid."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ANGLES = 180  # directions that are tried, one a degree
CELL = 2.0  # grid steps between parallel strips; each strip is two cells wide, so that no line falls between two
SIGNIFICANCE = 4.0  # of the points in a strip over those expected of evenly strewn ones, in their Poisson noise
FEWEST_POINTS = 12  # of a line
APART = 4  # directions and strips around a candidate that are the same line
STRIP_CLIP = (3.0, 2.0, 1.5)  # grid steps from the line, in the rounds of its fit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """Points ``(x, y) + t (cos, sin)`` with the direction's ``angle`` in radians; (x, y) in grid steps."""

    x: float
    y: float
    angle: float

    def along_and_across(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Coordinates along the line and to its left, grid steps."""
        u, v = x - self.x, y - self.y
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return u * cos + v * sin, v * cos - u * sin


def candidate_lines(x: Floats, y: Floats, shape: tuple[int, int], most: int) -> list[Line]:
    """Strips in which significantly many points lie, the most significant first, each in a direction of its own.

    x, y: float64[n], points on a grid of ``shape`` (ny, nx); most: lines at most.
    """
    if x.size < FEWEST_POINTS:
        return []
    votes = _votes(x, y, shape)
    expected = _strip_areas(shape) * np.float32(x.size / (shape[0] * shape[1]))
    excess = (votes - expected) / np.sqrt(expected + 1)
    excess[votes < FEWEST_POINTS] = 0
    found = []
    for _ in range(most):
        angle, strip = divmod(int(np.argmax(excess)), votes.shape[1])
        if excess[angle, strip] < SIGNIFICANCE:
            break
        found.append(_strip_line(angle, strip, shape))
        excess[max(0, angle - APART) : angle + APART + 1, max(0, strip - APART) : strip + APART + 1] = 0
    return found


def _normals() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    angle = np.arange(ANGLES) * (np.pi / ANGLES)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _cells(shape: tuple[int, int]) -> int:
    return int(np.hypot(*shape) / CELL) + 3


def _votes(x: Floats, y: Floats, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Points in each strip, float32[ANGLES, strips]."""
    cells = _cells(shape)
    cos, sin = _normals()
    u = ((x - (shape[1] - 1) / 2) / CELL).astype(np.float32)
    v = ((y - (shape[0] - 1) / 2) / CELL).astype(np.float32)
    place = np.outer(cos, u)
    place += np.outer(sin, v)
    # Truncated: all are positive, half the cells lie below the centre.
    place += (np.arange(ANGLES, dtype=np.float32) * cells + np.float32(cells / 2))[:, None]
    counts = np.bincount(place.astype(np.intp).ravel(), minlength=ANGLES * cells)[: ANGLES * cells]
    votes = counts.reshape(ANGLES, cells).astype(np.float32)
    votes[:, :-1] += votes[:, 1:]
    return votes


def _strip_line(angle_index: int, strip: int, shape: tuple[int, int]) -> Line:
    normal = angle_index * np.pi / ANGLES
    offset = (strip + 1 - _cells(shape) / 2) * CELL
    x, y = (shape[1] - 1) / 2 + offset * np.cos(normal), (shape[0] - 1) / 2 + offset * np.sin(normal)
    return Line(float(x), float(y), float(normal + np.pi / 2))


@lru_cache(maxsize=4)
def _strip_areas(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Grid points in each strip: its width times the length of its middle line inside the grid."""
    cells = _cells(shape)
    cos, sin = (np.maximum(np.abs(part), 1e-6)[:, None].astype(np.float64) for part in _normals())
    offset = np.abs((np.arange(cells) + 1 - cells / 2) * CELL)
    half_x, half_y = shape[1] / 2, shape[0] / 2
    # A line at this distance from the centre is cut off by the corners of the rectangle.
    reach = half_x * cos + half_y * sin - offset
    length = np.minimum(reach / (cos * sin), np.minimum(2 * half_x / sin, 2 * half_y / cos))
    return np.asarray(2 * CELL * np.clip(length, 0, None), np.float32)


def fit_line(x: Floats, y: Floats, line: Line, start: float, end: float) -> Line:
    """The line through the points (float64[n]) near ``line`` from start to end along it."""
    for tolerance in STRIP_CLIP:
        along, across = line.along_and_across(x, y)
        chosen = (along >= start) & (along <= end) & (np.abs(across) < tolerance)
        if chosen.sum() < 3 or np.ptp(along[chosen]) < 0.5 * (end - start):
            break
        slope, offset = np.polyfit(along[chosen], across[chosen], 1)
        x0, y0 = line.x - offset * np.sin(line.angle), line.y + offset * np.cos(line.angle)
        line = Line(float(x0), float(y0), line.angle + float(np.arctan(slope)))
    return line


def densest_run(scores: NDArray[np.floating]) -> tuple[int, int]:
    """Start and end (exclusive) of the consecutive scores of the greatest sum (Kadane's algorithm); (0, 0) of none."""
    total = np.concatenate([[0.0], np.cumsum(scores, dtype=np.float64)])
    end = int(np.argmax(total - np.minimum.accumulate(total)))
    return int(np.argmin(total[: end + 1])), end
