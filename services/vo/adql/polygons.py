"""Polygons on the sphere as half-spaces, which SQL can ask: numbers that a direction's products must exceed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.sphere import unit_vectors
from services.vo.vo_errors import RefusedError

Floats = NDArray[np.float64]
LEAST_COSINE = 0.02  # of a vertex to the middle: all lie within 89 degrees
ROUNDING = 1e-14  # by which a place on an edge may fall out
MOST_VERTICES = 200


@dataclass(frozen=True)
class Cone:
    """Holds all of a region; degrees."""

    ra: float
    dec: float
    radius: float


@dataclass(frozen=True)
class Pieces:
    """Convex pieces of a region, each of half-spaces float64[n, 3]: a direction within has no negative product."""

    half_spaces: tuple[Floats, ...]
    cone: Cone


def polygon(places: list[tuple[float, float]]) -> Pieces:
    """A polygon of great circles, which may be concave: cut into triangles where they are straight (gnomonic).

    Args:
        places: right ascensions and declinations of the vertices, degrees, in either sense.

    Raises:
        RefusedError: it has fewer than three vertices or too many, is larger than half of the sky, or crosses itself.
    """
    if not 3 <= len(places) <= MOST_VERTICES:
        raise RefusedError(f"a POLYGON has {len(places)} vertices: expected 3 to {MOST_VERTICES}")
    vectors = unit_vectors(np.array(places))
    middle = vectors.sum(axis=0)
    norm = float(np.linalg.norm(middle))
    if norm < ROUNDING or float((vectors @ (middle / norm)).min()) < LEAST_COSINE:
        raise RefusedError(
            "a POLYGON is as large as half of the sky: expected vertices within 89 degrees of its middle"
        )
    middle /= norm
    east = np.cross([0.0, 0.0, 1.0] if abs(middle[2]) < 0.9 else [1.0, 0.0, 0.0], middle)
    east /= np.linalg.norm(east)
    depth = vectors @ middle
    flat = np.column_stack([vectors @ east / depth, vectors @ np.cross(middle, east) / depth])
    triangles = [_triangle(vectors[list(corners)]) for corners in _ears(flat)]
    radius = float(np.degrees(np.arccos(np.clip(depth.min(), -1.0, 1.0))))
    return Pieces(tuple(triangles), Cone(*_place(middle), radius))


def box(ra: float, dec: float, width: float, height: float) -> Pieces:
    """A BOX of ADQL: its sides are great circles across the ends of arms of half its sizes, degrees.

    Raises:
        RefusedError: it is as large as half of the sky.
    """
    if not (0 <= width < 178 and 0 <= height < 178):
        raise RefusedError(f"a BOX is {width:g} by {height:g} degrees: expected sides from 0 to less than 178")
    a, b = np.radians(width / 2), np.radians(height / 2)
    [centre] = unit_vectors(np.array([[ra, dec]]))
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    north = np.cross(centre, east)
    sides = [
        centre * np.sin(size) - sign * arm * np.cos(size) for size, arm in ((a, east), (b, north)) for sign in (1, -1)
    ]
    radius = float(np.degrees(np.arctan(np.hypot(np.tan(a), np.tan(b)))))
    return Pieces((np.array([*sides, centre]),), Cone(ra, dec, radius))


def _place(vector: Floats) -> tuple[float, float]:
    x, y, z = vector
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _triangle(corners: Floats) -> Floats:
    normals = [np.cross(corners[i], corners[(i + 1) % 3]) for i in range(3)]
    sign = np.sign(normals[0] @ corners[2])
    return np.array([sign * normal / np.linalg.norm(normal) for normal in normals])


def _ears(flat: Floats) -> list[tuple[int, int, int]]:
    """Triangles of a plane polygon float64[n, 2], by cutting ears off."""
    left = list(range(len(flat)))
    if _area(flat) < 0:
        left.reverse()
    triangles = []
    while len(left) > 2:
        for position, corner in enumerate(left):
            before, after = left[position - 1], left[(position + 1) % len(left)]
            turn = _turn(flat[before], flat[corner], flat[after])
            if turn == 0.0 and len(left) > 3:
                left.pop(position)
                break
            others = [one for one in left if one not in (before, corner, after)]
            if turn > 0 and not any(_inside(flat[one], flat[before], flat[corner], flat[after]) for one in others):
                triangles.append((before, corner, after))
                left.pop(position)
                break
        else:
            raise RefusedError("a POLYGON crosses itself, or its vertices lie on one line")
    return triangles


def _area(flat: Floats) -> float:
    x, y = flat.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def _turn(a: Floats, b: Floats, c: Floats) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _inside(point: Floats, a: Floats, b: Floats, c: Floats) -> bool:
    return _turn(a, b, point) >= 0 and _turn(b, c, point) >= 0 and _turn(c, a, point) >= 0
