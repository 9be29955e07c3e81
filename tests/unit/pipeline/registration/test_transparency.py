"""Transparency is the light of common stars, whatever the frame's stars and alignment."""

import numpy as np
import pytest

from pipeline.frame.stars import find_stars
from pipeline.registration.alignment import Alignment
from pipeline.registration.transparency import common_light, relative_to_clearest
from tests.unit.pipeline.star_fields import make_field, star_list

SHAPE = (400, 400)


@pytest.mark.parametrize("cloud", [1.0, 0.9, 0.5, 0.2])
def test_the_light_that_a_cloud_leaves(rng: np.random.Generator, cloud: float) -> None:
    """To 3 % down to a fifth of the light: the isophotal flux of bright stars loses that much to the threshold."""
    xy, flux = rng.uniform(30, 370, (80, 2)), 10 ** rng.uniform(4, 5.3, 80)
    laid = Alignment(6.3, -4.2, 0.4, 1.0, 199.5, 199.5, 0.1, 50)
    clear = make_field(rng, SHAPE, xy=xy, flux=flux)
    frame = make_field(rng, SHAPE, xy=laid.to_frame(xy), flux=flux * cloud)
    reference, stars = (find_stars(field.image, field.rms) for field in (clear, frame))
    assert common_light(reference, stars, laid) == pytest.approx(cloud, rel=0.03)


def test_without_common_stars_it_is_unknown(rng: np.random.Generator) -> None:
    stars = star_list(rng.uniform(0, 200, (30, 2)), rng.uniform(1e3, 1e4, 30))
    here = Alignment.identity(SHAPE)
    assert common_light(stars, stars, here) == 1.0
    assert np.isnan(common_light(stars, stars[:0], here))
    assert np.isnan(common_light(stars[:0], stars, here))
    assert np.isnan(common_light(stars, star_list(np.full((30, 2), 390.0), np.ones(30)), here))


def test_the_clearest_frames_are_one() -> None:
    light = np.array([*np.full(20, 0.8), 0.4, np.nan, 0.0])
    relative = relative_to_clearest(light)
    np.testing.assert_allclose(relative, [*np.full(20, 1.0), 0.5, np.nan, np.nan])
    np.testing.assert_allclose(relative_to_clearest(relative), relative)  # a second time changes nothing
    assert np.isnan(relative_to_clearest(np.full(3, np.nan))).all()
