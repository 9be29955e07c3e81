"""Columns of images and frames as arrays, NULL as NaN."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schema.frame import Frame
from schema.image import Image


def column(rows: Sequence[Image] | Sequence[Frame], name: str) -> NDArray[np.float64]:
    """One numeric column: ``float64[n]``."""
    values = (getattr(row, name) for row in rows)
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
