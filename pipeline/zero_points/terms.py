"""The terms of a zero point: constants, colour, and smooth functions of the place on the field."""

import numpy as np
from numpy.typing import NDArray

FIELD_TERMS = 5  # u, v, u², uv, v²
LINEAR, QUADRATIC = 2, 5  # field terms in use
STARS_FOR_LINEAR, STARS_FOR_QUADRATIC = 15, 30  # fewer do not tell a gradient or a bowl from their own scatter

Floats = NDArray[np.float64]


def field_terms(u: Floats, v: Floats, count: int = FIELD_TERMS) -> Floats:
    """The first ``count`` of u, v, u², uv, v²: float64[n, count]; u, v: float64[n], -1 to 1 across the longer side."""
    return np.column_stack([u, v, u * u, u * v, v * v])[:, :count]


def terms_for(stars: int) -> int:
    """How many field terms so many stars can carry: 0, 2 or 5."""
    if stars < STARS_FOR_LINEAR:
        return 0
    return LINEAR if stars < STARS_FOR_QUADRATIC else QUADRATIC


def padded(coefficients: Floats) -> Floats:
    """Field terms ``[..., count]`` as all five, those out of use zero."""
    missing = FIELD_TERMS - coefficients.shape[-1]
    return np.pad(coefficients, [(0, 0)] * (coefficients.ndim - 1) + [(0, missing)])
