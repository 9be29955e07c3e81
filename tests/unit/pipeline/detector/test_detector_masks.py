"""Masters tell which pixels are dead or hot; pixels that stand out all night are hot, and no cosmic rays."""

import numpy as np
import pytest

from pipeline.detector.detector_masks import HOT_RMS, find_defects, repeated_pixels

SHAPE = (200, 230)


def test_dead_and_hot_pixels_of_masters(rng: np.random.Generator) -> None:
    vignetting = 1 - 0.3 * np.hypot(*(np.indices(SHAPE) / 230 - 0.5))
    flat = (vignetting * rng.normal(1, 0.01, SHAPE)).astype(np.float32)
    flat[50:, 30] *= 0.3
    flat[7, 9] = 2.0
    flat[9, 7] = np.nan
    bias = rng.normal(1000, 2, SHAPE).astype(np.float32)
    bias[100, 100] += 60
    dark = rng.normal(0.03, 0.05, SHAPE).astype(np.float32)
    dark[20, 40], dark[21, 200] = 2.0, 50.0
    defects = find_defects(bias, dark, flat)
    dead = {int(np.ravel_multi_index(place, SHAPE)) for place in [(row, 30) for row in range(50, 200)]}
    assert set(defects.dead.tolist()) == dead | {7 * 230 + 9, 9 * 230 + 7}
    warm, hot, offset = 20 * 230 + 40, 21 * 230 + 200, 100 * 230 + 100
    assert defects.hot.tolist() == [warm, hot, offset]
    assert defects.dark == pytest.approx([2.0, 50.0, 0.0], abs=0.3)
    # 60 and 1500 ADU in 30 s, of 10 ADU of noise: only the second is given up.
    assert set(defects.unusable(30.0, 10.0)) - set(defects.dead) == {hot}
    assert set(defects.unusable(30.0, 1500 / HOT_RMS + 3)) == set(defects.dead)


def test_without_masters_nothing_is_known() -> None:
    defects = find_defects()
    assert defects.dead.size == defects.hot.size == defects.unusable(30.0, 10.0).size == 0


def test_a_small_or_even_master_has_no_defects() -> None:
    even = np.full((10, 37), 5.0, np.float32)
    defects = find_defects(even, even, np.ones((10, 37), np.float32))
    assert defects.dead.size == defects.hot.size == 0


def test_hot_pixels_repeat_and_cosmic_rays_do_not(rng: np.random.Generator) -> None:
    hot = rng.choice(4_000_000, 500, replace=False)
    frames = [
        np.unique(np.concatenate([rng.choice(hot, 250, replace=False), rng.choice(4_000_000, 400)])) for _ in range(15)
    ]
    found = repeated_pixels(frames)
    assert np.isin(hot, found).mean() > 0.99
    assert np.isin(found, hot).all()
    assert repeated_pixels(frames[:2]).size == 0


def test_what_is_not_read_out_is_dead_without_a_flat_too(rng: np.random.Generator) -> None:
    bias = rng.normal(1000, 2, SHAPE).astype(np.float32)
    bias[:, 30] = bias[100:, 150:] = 0
    dead = np.zeros(SHAPE, bool)
    dead[:, 30] = dead[100:, 150:] = True
    assert np.array_equal(find_defects(bias).dead, np.flatnonzero(dead))
    faint = np.clip(rng.normal(3, 2, SHAPE), 0, None).round()  # a pedestal near zero
    assert find_defects(faint).dead.size == 0
