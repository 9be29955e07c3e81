"""How much the place of a star within its pixel matters, against stars that are drawn all over a pixel."""

import numpy as np
import pytest
import sep

from pipeline.aperture.aperture_flux import default_apertures
from pipeline.aperture.pixel_phase import phase_error, quiet_radius
from tests.unit.pipeline.star_fields import noiseless

PIXEL_FWHM = 2.3548 / np.sqrt(12)


@pytest.mark.parametrize("fwhm", [1.4, 1.8, 2.3])
@pytest.mark.parametrize("radius", [1.55, 2.2, 2.65])
def test_the_error_is_that_of_stars_all_over_a_pixel(fwhm: float, radius: float) -> None:
    sums, rng = [], np.random.default_rng(3)
    for x, y in 15 + rng.uniform(-0.5, 0.5, (150, 2)):
        star = noiseless((31, 31), np.array([[x, y]]), np.array([1e6]), fwhm)
        sums.append(sep.sum_circle(star, [x], [y], radius, subpix=0)[0][0])
    found = phase_error(np.hypot(fwhm, PIXEL_FWHM), (radius,))[0]
    assert found == pytest.approx(np.std(sums) / np.mean(sums), rel=0.2, abs=1e-4)


@pytest.mark.parametrize("fwhm", [1.5, 1.7, 2.0, 2.5])
def test_radii_of_narrow_stars_are_those_in_which_it_matters_least(fwhm: float) -> None:
    radii = default_apertures(fwhm).radii
    assert radii == tuple(quiet_radius(radius) for radius in radii)
    quiet, beside = phase_error(fwhm, radii), phase_error(fwhm, tuple(radius + 0.2 for radius in radii))
    assert (quiet < 0.007).all()
    assert quiet[0] < beside[0]


def test_it_vanishes_for_wide_stars_and_where_the_width_is_unknown() -> None:
    assert phase_error(5.0, (6.0,))[0] < 2e-4
    np.testing.assert_array_equal(phase_error(None, (1.5, 3.0)), [0.0, 0.0])
