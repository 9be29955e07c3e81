"""Images with known stars: Gaussians integrated over pixels, photon and read noise."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

StarImage = Callable[..., NDArray[np.float32]]


@pytest.fixture
def star_image() -> StarImage:
    """``star_image(rng, shape, xy, electrons, fwhm=, sky=, read_noise=, gain=)`` → float32[ny, nx], ADU, sky off."""

    def build(
        rng: np.random.Generator,
        shape: tuple[int, int],
        xy: NDArray[np.float64],
        electrons: NDArray[np.float64],
        *,
        fwhm: float = 3.0,
        sky: float = 100.0,
        read_noise: float = 5.0,
        gain: float = 1.0,
    ) -> NDArray[np.float32]:
        expected = np.full(shape, sky)
        width = fwhm / 2.3548200450309493 * np.sqrt(2.0)
        reach = int(np.ceil(6 * fwhm))
        span = np.arange(-reach, reach + 1)
        for (x, y), total in zip(xy, electrons, strict=True):
            columns, rows = round(x) + span, round(y) + span
            profile_x = 0.5 * (erf((columns + 0.5 - x) / width) - erf((columns - 0.5 - x) / width))
            profile_y = 0.5 * (erf((rows + 0.5 - y) / width) - erf((rows - 0.5 - y) / width))
            inside_x = (columns >= 0) & (columns < shape[1])
            inside_y = (rows >= 0) & (rows < shape[0])
            stamp = total * np.outer(profile_y[inside_y], profile_x[inside_x])
            expected[np.ix_(rows[inside_y], columns[inside_x])] += stamp
        image = rng.poisson(expected) + rng.normal(0.0, read_noise, shape) - sky
        return (image / gain).astype(np.float32)

    return build


@pytest.fixture
def grid_positions() -> Callable[..., NDArray[np.float64]]:
    """``grid_positions(rng, shape, spacing)`` → float64[n, 2], a grid whose points are moved by up to half a pixel."""

    def build(rng: np.random.Generator, shape: tuple[int, int], spacing: int) -> NDArray[np.float64]:
        margin = spacing // 2
        x, y = np.meshgrid(np.arange(margin, shape[1] - margin, spacing), np.arange(margin, shape[0] - margin, spacing))
        grid = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
        return grid + rng.uniform(-0.5, 0.5, grid.shape)

    return build
