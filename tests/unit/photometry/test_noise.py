import numpy as np
import pytest
import sep

from pipeline.noise import ccd_variance, flat_variance, least_sky_variance, noise_pixels, scintillation_variance


def test_ccd_equation_by_hand() -> None:
    # 10000/2 + 50*(9 + 9*50/200)
    assert ccd_variance(10000.0, 50.0, 9.0, 200.0, gain=2.0) == pytest.approx(5000.0 + 450.0 + 112.5)


def test_unit_of_the_flux_does_not_matter() -> None:
    gain = 3.2
    in_adu = ccd_variance(1000.0, 30.0, 4.0, 300.0, gain=gain)
    in_electrons = ccd_variance(1000.0 * gain, 30.0, 4.0 * gain**2, 300.0)
    assert in_adu * gain**2 == pytest.approx(in_electrons)


def test_unknown_gain_leaves_the_source_noise_out_and_keeps_the_shape() -> None:
    variance = ccd_variance(np.array([1e5, 10.0]), 10.0, 4.0, gain=None)
    np.testing.assert_allclose(variance, [40.0, 40.0])


def test_negative_flux_has_the_noise_of_the_sky() -> None:
    assert ccd_variance(-50.0, 10.0, 4.0, gain=1.0) == pytest.approx(40.0)


def test_scintillation_of_a_one_metre_telescope() -> None:
    # Osborn et al. (2015), equation 7, at sea level and zenith in 1 s: sigma = sqrt(10e-6) * 1.5
    at_zenith = scintillation_variance(1.0, diameter_m=1.0, altitude_m=0.0, airmass=1.0, exposure_s=1.0)
    assert np.sqrt(at_zenith) == pytest.approx(4.743e-3, rel=1e-3)
    lower = scintillation_variance(10.0, diameter_m=1.0, altitude_m=4000.0, airmass=2.0, exposure_s=60.0)
    assert lower == pytest.approx(100.0 * at_zenith * 8.0 / 60.0 * np.exp(-1.0))
    larger = scintillation_variance(1.0, diameter_m=8.0, altitude_m=0.0, airmass=1.0, exposure_s=1.0)
    assert larger == pytest.approx(at_zenith / 16.0)


@pytest.mark.parametrize("radius", [1.5, 2.5, 4.0, 7.0])
def test_pixels_that_a_circle_cuts_bring_less_noise(radius: float) -> None:
    """Sums over independent pixels at random places: 40,000 of them tell a variance to 0.7 %."""
    rng = np.random.default_rng(1)
    image = rng.standard_normal((2000, 2000)).astype(np.float32)
    x, y = rng.uniform(10.0, 1990.0, (2, 40_000))
    sums, _, _ = sep.sum_circle(image, x, y, radius, subpix=0)
    expected = noise_pixels(np.pi * radius**2, edge=2 * np.pi * radius)
    # Circles that overlap are not independent.
    assert np.var(sums) == pytest.approx(expected, rel=0.04)
    assert abs(np.var(sums) - expected) < abs(np.var(sums) - np.pi * radius**2) or radius > 4.0


def test_flat_noise_of_an_evenly_lit_aperture() -> None:
    """A hundred pixels, each wrong by 1 %: the sum is wrong by 0.1 %."""
    assert flat_variance(5000.0, flat_error=0.01, sharpness=1 / 100) == pytest.approx((0.001 * 5000.0) ** 2)


def test_least_noise_of_a_pixel() -> None:
    assert least_sky_variance(2.0, 8.0) == pytest.approx(16.0 + 1 / 12)
    assert least_sky_variance(None, 8.0) == least_sky_variance(2.0, None) == 0.0
