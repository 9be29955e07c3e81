"""The detector taken out of pixels: the kernel beside NumPy."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import DTypeLike

from pipeline.kernels.calibrated_pixels import calibrated_pixels, calibrated_pixels_reference


@pytest.mark.parametrize("dtype", ["u2", ">i2", "i4", "f4", "f8"])
def test_pixels_are_those_of_numpy_to_the_last_bit(dtype: DTypeLike, rng: np.random.Generator) -> None:
    shape = (37, 141)
    raw = rng.integers(300, 30_000, shape).astype(dtype)
    bias, dark, flat = (rng.normal(mean, 0.1, shape).astype(np.float32) for mean in (300, 0.2, 1))
    flat[3, 4], flat[5, 6], flat[7, 8] = 0, -1, np.nan
    for masters in product((bias, None), (dark, None), (flat, None)):
        arguments = (raw, masters[0], masters[1], 30.0, masters[2])
        np.testing.assert_array_equal(calibrated_pixels(*arguments), calibrated_pixels_reference(*arguments))
