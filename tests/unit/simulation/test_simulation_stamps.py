"""Stars as drawn, against the analytic Moffat profile."""

import numpy as np
import pytest

from pipeline.trials.simulation.star_stamps import draw_stars, moffat_alpha


def one_star(x: float, y: float, flux: float, fwhm: float, beta: float = 3.0, shape: tuple[int, int] = (201, 201)):
    return draw_stars(shape, np.array([x]), np.array([y]), np.array([flux]), fwhm, beta)


def integrated_pixel(dx: float, dy: float, fwhm: float, beta: float) -> float:
    """Moffat of flux 1 over the pixel at the origin, star at (dx, dy): 200 x 200 midpoints."""
    alpha = moffat_alpha(fwhm, beta)
    fine = (np.arange(200) + 0.5) / 200 - 0.5
    r2 = ((fine - dx) ** 2 + (fine[:, None] - dy) ** 2) / alpha**2
    return float(np.mean((beta - 1) / (np.pi * alpha**2) * (1 + r2) ** -beta))


def test_alpha_gives_half_the_peak_at_half_the_fwhm() -> None:
    for beta in (2.5, 3.0, 4.7):
        assert (1 + (1.7 / moffat_alpha(3.4, beta)) ** 2) ** -beta == pytest.approx(0.5)


@pytest.mark.parametrize("beta", [3.0, 4.0])
@pytest.mark.parametrize("fwhm", [2.0, 3.4, 6.0])
@pytest.mark.parametrize(("x", "y"), [(100.0, 100.0), (100.5, 99.5), (99.7, 100.2)])
def test_a_bright_star_has_all_its_flux(x: float, y: float, fwhm: float, beta: float) -> None:
    image = one_star(x, y, 1e6, fwhm, beta)
    assert image.sum(dtype=np.float64) == pytest.approx(1e6, rel=5e-4)


@pytest.mark.parametrize("flux", [200.0, 2e3, 3e4, 1e6])
def test_the_flux_in_an_aperture_does_not_depend_on_the_stamp(flux: float) -> None:
    """Bright and faint stars have stamps of different size, but the same core and wings where it counts."""
    fwhm, beta, radius = 3.4, 3.0, 6.0
    image = one_star(100.3, 99.8, flux, fwhm, beta)
    # Exact sum over the same whole pixels, from a fine image.
    y, x = np.mgrid[:201, :201]
    inside = np.argwhere(np.hypot(x - 100.3, y - 99.8) <= radius)
    expected = sum(integrated_pixel(100.3 - i, 99.8 - j, fwhm, beta) for j, i in inside)
    measured = image[inside[:, 0], inside[:, 1]].sum(dtype=np.float64) / flux
    assert measured == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("fwhm", "tolerance"), [(2.0, 1e-3), (3.4, 2e-4)])
@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.5, 0.5), (0.3, -0.2)])
def test_the_brightest_pixel_is_the_integral_of_the_profile(
    dx: float, dy: float, fwhm: float, tolerance: float
) -> None:
    image = one_star(100 + dx, 100 + dy, 1e5, fwhm)
    assert image[100, 100] / 1e5 == pytest.approx(integrated_pixel(dx, dy, fwhm, 3.0), rel=tolerance)


def test_the_centroid_is_the_position() -> None:
    image = one_star(97.31, 103.86, 1e6, 3.0).astype(np.float64)
    y, x = np.mgrid[:201, :201]
    assert (x * image).sum() / image.sum() == pytest.approx(97.31, abs=2e-3)
    assert (y * image).sum() / image.sum() == pytest.approx(103.86, abs=2e-3)


def test_stars_at_and_beyond_the_border_are_cut_like_a_window() -> None:
    """A star drawn on a small frame is what a larger frame shows there."""
    x, y = np.array([-4.2, 30.1, 63.9, 20.0]), np.array([10.3, 65.5, -0.4, 20.0])
    flux = np.array([1e6, 3e5, 2e4, 500.0])
    small = draw_stars((64, 60), x, y, flux, 3.0, 3.0)
    large = draw_stars((164, 160), x + 50, y + 50, flux, 3.0, 3.0)
    np.testing.assert_allclose(small, large[50:114, 50:110], rtol=1e-4, atol=1e-3)
    assert small[10, 0] > 100  # the star beyond the left border is seen by its wing


def test_many_stars_are_the_sum_of_each() -> None:
    rng = np.random.default_rng(5)
    x, y, flux = rng.uniform(0, 100, 30), rng.uniform(0, 100, 30), 10 ** rng.uniform(2, 6, 30)
    together = draw_stars((100, 100), x, y, flux, 3.0, 3.0)
    alone = sum(one_star(x[i], y[i], flux[i], 3.0, shape=(100, 100)).astype(np.float64) for i in range(30))
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_no_light_where_there_is_none() -> None:
    nothing = np.array([])
    assert not draw_stars((40, 50), nothing, nothing, nothing, 3.0, 3.0).any()
    assert not one_star(20.0, 20.0, 0.0, 3.0, shape=(40, 50)).any()
