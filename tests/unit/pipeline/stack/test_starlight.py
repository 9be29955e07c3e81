"""A pixel that stands out where a star shines may be the star's; where none does it is not."""

from dataclasses import replace

import numpy as np

from pipeline.registration.alignment import Alignment
from pipeline.stack.starlight import brightest_near, on_stars
from tests.unit.pipeline.star_fields import noiseless

SHAPE = (60, 80)


def test_the_brightest_nearby_is_looked_for_in_two_pixels() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[10, 10], image[30, 30], image[32, 32] = 7.0, np.nan, 5.0
    where = np.ravel_multi_index(([12, 13, 30, 0], [8, 10, 30, 0]), SHAPE)
    np.testing.assert_array_equal(brightest_near(image, where), [7.0, 0.0, 5.0, 0.0])
    assert np.isnan(brightest_near(np.full(SHAPE, np.nan, np.float32), where)).all()


def test_cores_of_stars_are_told_from_hot_pixels_beside_them() -> None:
    xy = np.array([[20.0, 20.0], [50.0, 30.0]])
    template = noiseless(SHAPE, xy, np.full(2, 1e4), 1.8).astype(np.float32)
    alignment = replace(Alignment.identity(SHAPE), dx=3.4, dy=-2.3)
    frame = noiseless(SHAPE, alignment.to_frame(xy), np.full(2, 1e4), 1.4).astype(np.float32)
    frame[40, 40] = frame[2, 79] = 500
    columns, rows = np.rint(alignment.to_frame(xy)).astype(int).T
    where = np.ravel_multi_index(([*rows, 40, 2], [*columns, 40, 79]), SHAPE)
    np.testing.assert_array_equal(
        on_stars(frame.ravel()[where], where, SHAPE[1], template, alignment), [True, True, False, False]
    )
