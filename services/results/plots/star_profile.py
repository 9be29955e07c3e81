"""The shape of a star on the template: isolated bright stars brought to one place and one brightness."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_STARS = 12
CANDIDATES = 200  # brightest stars looked at
NEIGHBOUR_SHARE = 0.01  # of the star's flux: as much light of neighbours within the radius does no harm
LEAST_STARS = 6  # where fewer have so little: those that have least, for medians of several hide neighbours
RADIAL_STEP_PX = 0.5
SAME_STAR_PX = 0.5  # a source nearer than this is the star itself

Values = NDArray[np.float64]


@dataclass(frozen=True)
class StarProfile:
    """Mean star of unit flux within ``reach`` pixels of its centre, sky subtracted.

    Attributes:
        stars: how many made it.
        image: float64[2 reach + 1, 2 reach + 1], share of the flux in a pixel, median of the stars.
        radius, value: float64[n], distances of all stars' pixels from their centres and shares of the flux in them.
        grid, growth: float64[m], radii and share of the flux within them, median of the stars.
    """

    stars: int
    reach: int
    image: Values
    radius: Values
    value: Values
    grid: Values
    growth: Values

    @property
    def median(self) -> tuple[Values, Values]:
        """Radii and median share of the flux in a pixel there."""
        ring = (self.radius // RADIAL_STEP_PX).astype(np.int64)
        order = np.argsort(ring, kind="stable")
        edges = np.flatnonzero(np.diff(ring[order])) + 1
        at = [float(np.mean(part)) for part in np.split(self.radius[order], edges)]
        return np.array(at), np.array([np.median(part) for part in np.split(self.value[order], edges)])

    @property
    def fwhm(self) -> float:
        """Diameter beyond which the profile stays below half its highest, pixels; NaN where it is not reached.

        Of a defocused star's ring, this is the outer edge.
        """
        at, value = self.median
        highest = int(np.argmax(value))
        half = 0.5 * value[highest]
        below = highest + np.flatnonzero(value[highest:] < half)
        if not below.size:
            return np.nan
        i = int(below[0])
        return float(2 * np.interp(half, [value[i], value[i - 1]], [at[i], at[i - 1]]))


def isolated(xy: Values, flux: Values, usable: NDArray[np.bool_], shape: tuple[int, int], reach: int) -> list[int]:
    """Indices of bright stars with room around them; stars come in order of brightness, usable: bool[n]."""
    ny, nx = shape
    found = []
    for index in np.flatnonzero(usable & (flux > 0))[:CANDIDATES].tolist():
        x, y = xy[index]
        if reach + 1 <= x < nx - reach - 2 and reach + 1 <= y < ny - reach - 2:
            near = np.hypot(*(xy - xy[index]).T) < reach + 2
            found.append(((np.nansum(flux[near]) - flux[index]) / flux[index], index))
    alone = [index for light, index in found if light < NEIGHBOUR_SHARE]
    return alone[:MAX_STARS] if len(alone) >= LEAST_STARS else [index for _, index in sorted(found)[:MAX_STARS]]


def star_profile(
    pixels: NDArray[Any], xy: Values, reach: int, sky_inner: float, others: Values, mask_radius: float
) -> StarProfile | None:
    """Mean star of those at ``xy`` float64[n, 2], that lie ``reach + 1`` pixels within; None where none is usable.

    The sky of each is the median beyond ``sky_inner`` pixels; stars with unknown pixels are left out. Pixels within
    ``mask_radius`` of another of the sources at ``others`` float64[m, 2] are not the star's: what lies opposite of the
    centre stands for them.
    """
    import sep

    grid = np.arange(0.0, reach + 1e-9, 0.5 * RADIAL_STEP_PX)
    images, radii, values, growths = [], [], [], []
    for x, y in xy:
        column, row = int(np.floor(x)), int(np.floor(y))
        part = np.s_[row - reach - 1 : row + reach + 3, column - reach - 1 : column + reach + 3]
        cut = np.asarray(pixels[part], dtype=np.float64)
        if not np.isfinite(cut).all():
            continue
        at_y, at_x = (np.arange(cut.shape[0]) - reach - 1 - (place - np.floor(place)) for place in (y, x))
        distance = np.hypot(at_x[None, :], at_y[:, None])
        foreign = _foreign(at_x + x, at_y + y, others[np.hypot(*(others - (x, y)).T) > SAME_STAR_PX], mask_radius)
        cut = cut - np.median(cut[(distance > sky_inner) & (distance <= reach) & ~foreign])
        cut = _without(cut, foreign, x - column, y - row)
        inside, _, _ = sep.sum_circle(cut, np.full(grid.size - 1, -at_x[0]), np.full(grid.size - 1, -at_y[0]), grid[1:])
        growth = np.concatenate([[0.0], inside])
        total = np.interp(sky_inner, grid, growth)
        if total <= 0:
            continue
        images.append(_between(_between(cut, y - row).T, x - column).T / total)
        near = (distance <= reach) & ~foreign
        radii.append(distance[near])
        values.append(cut[near] / total)
        growths.append(growth / total)
    if not images:
        return None
    return StarProfile(
        stars=len(images),
        reach=reach,
        image=np.median(images, axis=0),
        radius=np.concatenate(radii),
        value=np.concatenate(values),
        grid=grid,
        growth=np.median(growths, axis=0),
    )


def _foreign(column: Values, row: Values, others: Values, radius: float) -> NDArray[np.bool_]:
    """Pixels of these columns [n] and rows [m] that lie near another source: bool[m, n]."""
    foreign = np.zeros((row.size, column.size), dtype=bool)
    for x, y in others:
        foreign |= np.hypot(column[None, :] - x, row[:, None] - y) < radius
    return foreign


def _without(cut: Values, foreign: NDArray[np.bool_], x_part: float, y_part: float) -> Values:
    """Foreign pixels replaced by those opposite of the centre, which lies these parts of a pixel beyond the middle one.

    Where both are foreign, by the sky, 0.
    """
    # The cut has one pixel more beyond the middle than before it.
    size = cut.shape[0]
    row, column = np.nonzero(foreign)
    opposite = size - 2 - row + round(2 * y_part), size - 2 - column + round(2 * x_part)
    inside = np.all([(index >= 0) & (index < size) for index in opposite], axis=0)
    opposite = tuple(index.clip(0, size - 1) for index in opposite)
    result = cut.copy()
    result[row, column] = np.where(inside & ~foreign[opposite], cut[opposite], 0.0)
    return result


def _between(rows: Values, share: float) -> Values:
    """Values this share of a row further on, three rows fewer: by cubic convolution, which widens stars little.

    Keys 1981, IEEE Trans. ASSP 29, 1153. SciPy's splines are no better here and take half a second to import.
    """
    one, two, three = share, share**2, share**3
    weights = (
        -0.5 * one + two - 0.5 * three,
        1.0 - 2.5 * two + 1.5 * three,
        0.5 * one + 2.0 * two - 1.5 * three,
        -0.5 * two + 0.5 * three,
    )
    count = len(rows) - 3
    return np.asarray(sum(weight * rows[tap : tap + count] for tap, weight in enumerate(weights)))
