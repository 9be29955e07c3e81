"""Moments of stars under a Gaussian window: centres and shapes."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.library import SIZE, Kernel, array

ROUNDS = 16  # of a centre, at most; as in the source
STEP_MINIMUM = 1e-4  # px, of a centre that moves no more

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

IMAGE, DOUBLES, DOUBLE = array(np.float32), array(np.float64), ctypes.c_double
_MOMENTS = Kernel("gaussian_moments", IMAGE, SIZE, SIZE, DOUBLES, DOUBLES, SIZE, DOUBLE, SIZE, DOUBLES, DOUBLES)
_CENTRES = Kernel("windowed_centres", IMAGE, SIZE, SIZE, DOUBLES, DOUBLES, SIZE, DOUBLE, SIZE, DOUBLES)


def gaussian_moments(image: Image, x: Floats, y: Floats, variance: float, reach: int) -> Floats:
    """Sum, first moments in x and y, second in xx, yy and xy about x, y under a round Gaussian: float64[n, 6].

    image: float32[ny, nx], contiguous, NaN does not count; x, y: float64[n], px, finite; variance: of the Gaussian,
    px²; reach: pixels to each side of the one that x, y lie in.
    """
    x, y = (np.ascontiguousarray(places, np.float64) for places in (x, y))
    moments = np.empty((len(x), 6))
    _MOMENTS(image, *image.shape, x, y, len(x), variance, reach, np.empty((2, 2 * reach + 1)), moments)
    return moments


def windowed_centres(image: Image, x: Floats, y: Floats, variance: float, reach: int) -> tuple[Floats, Floats]:
    """Centres of light under a Gaussian that moves with them (SExtractor's XWIN, YWIN): float64[n] each, px.

    Arguments as of `gaussian_moments`; where there is no light a place stays.
    """
    x, y = (np.array(places, np.float64) for places in (x, y))
    _CENTRES(image, *image.shape, x, y, len(x), variance, reach, np.empty((2, 2 * reach + 1)))
    return x, y


def gaussian_moments_reference(image: Image, x: Floats, y: Floats, variance: float, reach: int) -> Floats:
    """`gaussian_moments` by NumPy."""
    moments = np.zeros((len(x), 6))
    for number, (at_x, at_y) in enumerate(zip(x, y, strict=True)):
        dy, dx = np.indices(image.shape) - np.array([at_y, at_x])[:, None, None]
        near = (np.abs(dx + at_x - np.rint(at_x)) <= reach) & (np.abs(dy + at_y - np.rint(at_y)) <= reach)
        counts = near & np.isfinite(image)
        light = np.where(counts, image, 0) * np.exp(-(dx**2 + dy**2) / (2 * variance))
        moments[number] = [(light * part).sum() for part in (1, dx, dy, dx * dx, dy * dy, dx * dy)]
    return moments


def windowed_centres_reference(
    image: Image, x: Floats, y: Floats, variance: float, reach: int
) -> tuple[Floats, Floats]:
    """`windowed_centres` by NumPy."""
    at = np.column_stack([x, y]).astype(np.float64)
    moving = np.ones(len(at), np.bool_)
    for _ in range(ROUNDS):
        moments = gaussian_moments_reference(image, at[:, 0], at[:, 1], variance, reach)
        moving &= moments[:, 0] > 0
        step = 2 * moments[moving, 1:3] / moments[moving, :1]
        at[moving] += step
        moving[moving] = (step**2).sum(axis=1) >= STEP_MINIMUM**2
    return at[:, 0], at[:, 1]
