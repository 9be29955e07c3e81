"""Stars out of focus: rings with the shadow of the secondary mirror, spider vanes, and coma."""

import numpy as np
from numpy.typing import NDArray

from tests.unit.pipeline.star_fields import StarField

SUBPIXELS = 3  # a side
BLUR = 0.6  # px, of the rings' edges

KINDS = {"plain": (0.0, 0.0), "vanes": (0.5, 0.0), "coma": (0.2, 0.8)}  # depth of the vanes, lopsidedness


def ring(kind: str, across: float, centre: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """A stamp, float64[2 across + 5, same], of total 1: a ring ``across`` px wide, ``centre`` off the middle pixel."""
    vanes, coma = KINDS[kind]
    reach, outer = int(across) + 2, across / 2
    fine = (np.arange((2 * reach + 1) * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5 - reach
    u, v = fine[None, :] - centre[0], fine[:, None] - centre[1]
    r, inner = np.hypot(u, v), np.hypot(u - 0.3 * coma * outer, v)
    light = 1 / (1 + np.exp((r - outer) / BLUR)) / (1 + np.exp((0.42 * outer - inner) / BLUR))
    light *= (1 - vanes * np.clip(np.exp(-(u**2) / 2) + np.exp(-(v**2) / 2), 0, 1)) * np.clip(
        1 - coma * u / (1.2 * outer), 0, None
    )
    stamp = light.reshape(2 * reach + 1, SUBPIXELS, 2 * reach + 1, SUBPIXELS).sum(axis=(1, 3))
    return np.asarray(stamp / stamp.sum())


def noiseless_rings(
    shape: tuple[int, int], xy: NDArray[np.float64], flux: NDArray[np.float64], kind: str, across: float
) -> NDArray[np.float64]:
    """Sum of such stars."""
    image = np.zeros(shape)
    for (x, y), total in zip(xy, flux, strict=True):
        column, row = round(x), round(y)
        stamp = total * ring(kind, across, (x - column, y - row))
        reach = len(stamp) // 2
        rows, columns = np.arange(row - reach, row + reach + 1), np.arange(column - reach, column + reach + 1)
        in_y, in_x = (rows >= 0) & (rows < shape[0]), (columns >= 0) & (columns < shape[1])
        image[np.ix_(rows[in_y], columns[in_x])] += stamp[np.ix_(in_y, in_x)]
    return image


def ring_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    xy: NDArray[np.float64],
    flux: NDArray[np.float64],
    kind: str,
    across: float,
    sky: float = 300.0,
) -> StarField:
    """A field of such stars with photon noise of stars and sky, under a sky that is taken off again."""
    image = rng.poisson(noiseless_rings(shape, xy, flux, kind, across) + sky) - sky
    return StarField(image.astype(np.float32), float(np.sqrt(sky)), xy, flux)
