"""How bright a pixel may be where a star is known to shine: the widest limits, for any star and any pixel grid."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.clipping import REACH, STAR_CONTRAST
from pipeline.registration.alignment import Alignment


def brightest_near(image: NDArray[np.float32], where: NDArray[np.integer]) -> NDArray[np.float32]:
    """Maximum within REACH px in x and in y of pixels, of whose values NaN are left out.

    image: float32[ny, nx]; where: int[n], flat indices. Returns float32[n], NaN where all values are.
    """
    ny, nx = image.shape
    row, column = np.divmod(where, nx)
    brightest = np.full(where.size, np.nan, np.float32)
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            np.fmax(brightest, image[np.clip(row + dy, 0, ny - 1), np.clip(column + dx, 0, nx - 1)], out=brightest)
    return brightest


def on_stars(
    values: NDArray[np.float32],
    where: NDArray[np.integer],
    width: int,
    template: NDArray[np.float32],
    alignment: Alignment,
) -> NDArray[np.bool_]:
    """Whether pixels of a frame are no brighter than stars of the template may be there.

    image: float32[ny, nx], the frame, sky subtracted; where: int[n], flat indices; template: float32[ny, nx], NaN where
    nothing was seen; alignment: template to frame. Returns bool[n]; False beyond the template.
    """
    ny, nx = template.shape
    row, column = np.divmod(where, width)
    x, y = np.rint(alignment.to_reference(np.column_stack([column, row]).astype(np.float64))).astype(np.intp).T
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    brightest = brightest_near(template, np.where(inside, y * nx + x, 0))
    with np.errstate(invalid="ignore"):
        return np.asarray(inside & (values <= STAR_CONTRAST * brightest))
