"""Cells of the sphere by which table `source` is indexed (HEALPix of order 12, nested), and those of small circles.

`pipeline.sky.healpix` has the same numbers by a library. The client (`client/tianyu`) has this file too, and no such
library: it knows no other of this package. Source: Górski et al. 2005, ApJ 622, 759, section 5 and its HEALPix C++.
"""

import numpy as np
from numpy.typing import NDArray

ORDER = 12
SIDE = 1 << ORDER
EQUATORIAL = 2.0 / 3.0  # |sin(declination)| up to which cells are laid out as on a cylinder
SPACING_ARCSEC = 12.0  # of points in a circle: a quarter of a cell
RIM_POINTS, RIM = 128, 1.1  # on a circle so much larger, which no corner of a cell that reaches into it slips through

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cells_of(ra_deg: Floats, dec_deg: Floats) -> Ints:
    """Numbers of the cells that hold places, int64 of their shape; degrees, float64."""
    z = np.sin(np.radians(dec_deg))
    turn = np.mod(ra_deg, 360.0) / 90.0
    parts = zip(_middle(z, turn), _cap(z, turn, dec_deg), strict=True)
    face, x, y = (np.where(np.abs(z) <= EQUATORIAL, *pair) for pair in parts)
    return np.asarray((face << (2 * ORDER)) + _spread(x) + (_spread(y) << 1), dtype=np.int64)


def cells_of_circles(ra_deg: Floats, dec_deg: Floats, radius_arcsec: float) -> Ints:
    """All cells that circles around places touch, int64[m], each once; degrees, float64[n]."""
    angle = 2.0 * np.pi * np.arange(RIM_POINTS) / RIM_POINTS
    steps = np.arange(-radius_arcsec, radius_arcsec + SPACING_ARCSEC, SPACING_ARCSEC)
    inside = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    inside = inside[np.hypot(*inside.T) <= radius_arcsec]
    rim = RIM * radius_arcsec * np.column_stack([np.cos(angle), np.sin(angle)])
    east, north = np.radians(np.vstack([inside, rim, [(0.0, 0.0)]]) / 3600.0).T
    found = []
    for ra, dec in np.radians(np.column_stack([ra_deg, dec_deg])):
        # On the plane that touches the sphere there: a circle of arcseconds is one.
        x = np.cos(dec) - north * np.sin(dec)
        found.append(
            np.unique(
                cells_of(
                    np.degrees(ra + np.arctan2(east, x)),
                    np.degrees(np.arctan2(np.sin(dec) + north * np.cos(dec), np.hypot(x, east))),
                )
            )
        )
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _middle(z: Floats, turn: Floats) -> tuple[Ints, Ints, Ints]:
    """Face, x and y in it, between the caps."""
    down, up = ((SIDE * (0.5 + turn + sign * 0.75 * z)).astype(np.int64) for sign in (-1.0, 1.0))
    one, other = down >> ORDER, up >> ORDER
    face = np.where(one == other, one | 4, np.where(one < other, one, other + 8))
    return face, up & (SIDE - 1), SIDE - 1 - (down & (SIDE - 1))


def _cap(z: Floats, turn: Floats, dec_deg: Floats) -> tuple[Ints, Ints, Ints]:
    """Face, x and y in it, around the poles."""
    quarter = np.minimum(turn.astype(np.int64), 3)
    # 1 - |z| without its rounding near the pole.
    reach = SIDE * np.cos(np.radians(dec_deg)) / np.sqrt((1.0 + np.abs(z)) / 3.0)
    part = turn - quarter
    one, other = (np.minimum((share * reach).astype(np.int64), SIDE - 1) for share in (part, 1.0 - part))
    north = z >= 0
    face = np.where(north, quarter, quarter + 8)
    return face, np.where(north, SIDE - 1 - other, one), np.where(north, SIDE - 1 - one, other)


def _spread(values: Ints) -> Ints:
    """Each bit at twice its place."""
    found = np.asarray(values, dtype=np.int64)
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F),
                        (2, 0x3333333333333333), (1, 0x5555555555555555)):  # fmt: skip
        found = (found | (found << shift)) & mask
    return found
