"""Pixels along a line."""

import numpy as np
import pytest

from pipeline.kernels.strips import strip_pixels, strip_pixels_reference

BIN_PX = 4


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2, 2.5])
@pytest.mark.parametrize("bent", [False, True])
def test_pixels_are_those_of_numpy(angle: float, bent: bool, rng: np.random.Generator) -> None:
    image = rng.normal(size=(61, 83)).astype(np.float32)
    masked = rng.random((15, 20)) < 0.2
    line, t, s = (40.25, 30.5, angle), np.arange(-70.0, 70.0), np.arange(-9.0, 10.0)
    if bent:
        s = 1e-3 * np.square(t)[:, None] + s
    found = strip_pixels(image, masked, BIN_PX, line, t, s)
    assert np.isnan(found).any()
    assert np.isfinite(found).any()
    np.testing.assert_array_equal(found, strip_pixels_reference(image, masked, BIN_PX, line, t, s))


def test_a_row_is_itself(rng: np.random.Generator) -> None:
    image = rng.normal(size=(20, 30)).astype(np.float32)
    clear = np.zeros((5, 8), np.bool_)
    found = strip_pixels(image, clear, BIN_PX, (0.0, 7.0, 0.0), np.arange(30.0), np.arange(-1.0, 2.0))
    np.testing.assert_array_equal(found, image[6:9].T)
