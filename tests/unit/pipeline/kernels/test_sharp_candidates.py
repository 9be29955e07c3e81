"""Pixels that stand out: the kernel beside NumPy."""

import numpy as np
import pytest

from pipeline.kernels.sharp_candidates import (
    follow_tracks,
    follow_tracks_reference,
    sharp_candidates,
    sharp_candidates_reference,
)
from tests.unit.pipeline.star_fields import make_field


@pytest.mark.parametrize("shape", [(90, 75), (3, 400), (400, 3)])
def test_candidates_are_those_of_numpy_to_the_last_bit(shape: tuple[int, int], rng: np.random.Generator) -> None:
    image = np.array(make_field(rng, shape, stars=40).image, np.float32)
    hits = rng.integers(0, image.size, 60)
    image.ravel()[hits[:30]] += 900
    image.ravel()[hits[30:45]] = np.nan
    image.ravel()[hits[45:]] = -900  # dead
    image[0, 0] = image[-1, -1] = 5000
    found, expected = (f(image, 50.0, 3.7, 150.0) for f in (sharp_candidates, sharp_candidates_reference))
    assert expected.place.size > 3
    for name in ("place", "peak", "ring", "is_run"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_more_candidates_than_were_expected_are_kept() -> None:
    image = np.zeros((61, 61), np.float32)
    image[1::2, 1::2] = 100
    assert sharp_candidates(image, 50.0, 3.7, 60.0).place.size == 900


def test_tracks_are_followed_as_by_numpy(rng: np.random.Generator) -> None:
    image = rng.normal(0, 10, (60, 70)).astype(np.float32)
    steps = np.arange(0, 25)
    image[20 + steps, 20 + steps // 2] += 2000  # a slanting track
    image[5, 5:60] += 1500
    image[0, 30:40] += 1500  # along the border, which nothing is told of
    image[30, 30] = np.nan
    found = np.zeros(image.shape, np.bool_)
    found[(22, 30, 5, 5), (21, 25, 10, 40)] = True
    by_numpy, seeds = found.copy(), np.flatnonzero(found)
    for _ in range(3):
        more = follow_tracks_reference(image, by_numpy, seeds, 50.0, 3.7, 150.0)
        seeds = follow_tracks(image, found, seeds, 50.0, 3.7, 150.0)
        np.testing.assert_array_equal(np.sort(seeds), more)
        np.testing.assert_array_equal(found, by_numpy)
    assert np.count_nonzero(found) > 4  # those that it began with
