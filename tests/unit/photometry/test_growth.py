from collections.abc import Callable

import numpy as np
import pytest
import sep

from pipeline.aperture.aperture_flux import Apertures, Measurement, measure
from pipeline.aperture.growth import MOST_STARS
from pipeline.frame.masked_pixels import PixelBit
from pipeline.noise import FrameNoise
from pipeline.trials.simulation.star_stamps import draw_stars

SHAPE = (700, 700)
FWHM, BETA = 3.3, 3.0
APERTURES = Apertures((2.5, 3.3, 6.6), (13.2, 19.0))


def moffats(rng: np.random.Generator, xy: np.ndarray, electrons: float) -> np.ndarray:
    light = draw_stars(SHAPE, xy[:, 0], xy[:, 1], np.full(len(xy), electrons), FWHM, BETA)
    return (rng.poisson(light + 100.0) - 100.0 + rng.normal(0.0, 5.0, SHAPE)).astype(np.float32)


def drawn(x: float, y: float) -> np.ndarray:
    """A star without noise, bright enough to be drawn to its far wings."""
    return draw_stars((61, 61), np.array([x]), np.array([y]), np.array([1e7]), FWHM, BETA)


def light_within(radius: float) -> float:
    """Of a star, averaged over where in a pixel it lies."""
    phases = np.random.default_rng(9).uniform(-0.5, 0.5, (50, 2)) + 30
    return float(np.mean([sep.sum_circle(drawn(x, y), [x], [y], radius, subpix=0)[0][0] for x, y in phases]))


def measured(image: np.ndarray, xy: np.ndarray, apertures: Apertures = APERTURES, **options: object) -> Measurement:
    isolated = np.ones(len(xy), dtype=bool)
    return measure(image, xy, apertures, FrameNoise(np.sqrt(125.0), gain=1.0), isolated=isolated, **options)  # type: ignore[arg-type]


def test_the_correction_is_the_profiles(grid_positions: Callable) -> None:
    rng = np.random.default_rng(1)
    xy = grid_positions(rng, SHAPE, 50)
    growth = measured(moffats(rng, xy, 2e5), xy).growth
    assert growth is not None
    inside = np.array([light_within(radius) for radius in (*APERTURES.radii, APERTURES.annulus[0])])
    assert growth.stars == MOST_STARS
    # What the annulus holds of the wings is taken for sky: 0.2 % of the light within the largest circle.
    np.testing.assert_allclose(growth.correction, inside[-1] / inside[:-1], rtol=0.005)
    assert (growth.error < 0.003).all()


def test_the_error_is_the_scatter_of_the_correction(grid_positions: Callable) -> None:
    corrections, errors = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        xy = grid_positions(rng, SHAPE, 70)
        growth = measured(moffats(rng, xy, 5e4), xy).growth
        assert growth is not None
        corrections.append(growth.correction)
        errors.append(growth.error)
    # Twelve frames tell a scatter to 20 %.
    ratio = np.std(corrections, axis=0, ddof=1) / np.median(errors, axis=0)
    assert ((ratio > 0.5) & (ratio < 1.6)).all()


def test_spoilt_and_crowded_stars_have_no_say(grid_positions: Callable) -> None:
    rng = np.random.default_rng(2)
    xy = grid_positions(rng, SHAPE, 70)
    image = moffats(rng, xy, 2e5)
    before = measured(image, xy).growth
    bits = np.zeros(SHAPE, dtype=np.uint8)
    half = len(xy) // 2
    for x, y in np.rint(xy[:half]).astype(int):
        image[y, x] = 3e4  # a full well, flagged
        bits[y, x] = PixelBit.SATURATED
    after = measured(image, xy, bits=bits).growth
    assert before is not None
    assert after is not None
    assert after.stars == len(xy) - half
    np.testing.assert_allclose(after.correction, before.correction, rtol=0.004)


def test_two_stars_or_faint_ones_make_no_curve(grid_positions: Callable) -> None:
    rng = np.random.default_rng(3)
    xy = grid_positions(rng, SHAPE, 70)
    assert measured(moffats(rng, xy[:2], 2e5), xy[:2]).growth is None
    assert measured(moffats(rng, xy, 500.0), xy).growth is None


def test_sharpness_is_that_of_the_profile(grid_positions: Callable) -> None:
    rng = np.random.default_rng(4)
    xy = grid_positions(rng, SHAPE, 50)
    growth = measured(moffats(rng, xy, 2e5), xy).growth
    assert growth is not None
    for index, radius in enumerate(APERTURES.radii):
        inside, squares = [], []
        for x, y in xy[:40]:
            single = drawn(30 + x % 1, 30 + y % 1)
            rows, columns = np.indices(single.shape)
            circle = np.hypot(columns - 30 - x % 1, rows - 30 - y % 1) < radius
            inside.append(single[circle].sum())
            squares.append(np.square(single[circle]).sum())
        expected = np.median(np.array(squares) / np.square(inside))
        assert growth.sharpness[index] == pytest.approx(expected, rel=0.06)
