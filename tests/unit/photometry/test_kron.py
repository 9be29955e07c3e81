import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.aperture.aperture_flux import Apertures, measure
from pipeline.aperture.kron import Ellipses, kron_ellipses, kron_radii, sum_ellipses
from pipeline.flags import Flag
from pipeline.frame.masked_pixels import PixelBit
from pipeline.noise import FrameNoise

SHAPE = (160, 200)
A, B = 5.0, 2.5  # px, one standard deviation
FLUX = 1e5


def elongated(x: float, y: float, angle: float) -> np.ndarray:
    """A Gaussian of axes A and B, its major one turned from x towards y."""
    rows, columns = np.indices(SHAPE)
    u = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    v = -(columns - x) * np.sin(angle) + (rows - y) * np.cos(angle)
    return (FLUX / (2 * np.pi * A * B) * np.exp(-0.5 * ((u / A) ** 2 + (v / B) ** 2))).astype(np.float32)


def ellipse(angle: float) -> Ellipses:
    return Ellipses(np.array([A]), np.array([B]), np.array([angle]))


@pytest.mark.parametrize("angle", [0.0, 0.6, -1.2, np.pi / 2])
def test_a_kron_flux_holds_nearly_all_light(angle: float) -> None:
    """2.5 Kron radii of a Gaussian, 1.25 sigma each, hold 1 − exp(−(3.13²)/2) = 99.3 % (94 % of a galaxy)."""
    image, xy = elongated(90.0, 80.0, angle), np.array([[90.0, 80.0]])
    radius = kron_radii(image, xy, ellipse(angle))
    assert radius[0] == pytest.approx(np.sqrt(np.pi / 2), rel=0.02)
    flux = sum_ellipses(image, xy, kron_ellipses(ellipse(angle), radius))
    assert flux[0] == pytest.approx(FLUX * (1 - np.exp(-0.5 * (2.5 * radius[0]) ** 2)), rel=0.003)


def test_the_ellipse_turns_with_the_frame() -> None:
    """On a frame turned by 50 degrees the turned ellipse holds what the template's holds there."""
    on_template = kron_ellipses(ellipse(0.3), np.array([0.9]))
    image = elongated(90.0, 80.0, 0.3 + np.radians(50.0))
    xy = np.array([[90.0, 80.0]])
    expected = FLUX * (1 - np.exp(-0.5 * (2.5 * 0.9) ** 2))
    assert sum_ellipses(image, xy, on_template.on_frame(50.0, 1.0))[0] == pytest.approx(expected, rel=0.003)
    assert sum_ellipses(image, xy, on_template)[0] < 0.95 * expected
    assert on_template.on_frame(0.0, 1.01).area[0] == pytest.approx(1.01**2 * on_template.area[0])


def test_odd_sources() -> None:
    shape = Ellipses(np.array([2.0, np.nan, 0.1]), np.array([1.0, 1.0, 0.1]), np.array([0.2, 0.0, 0.0]))
    noise = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    radii = kron_radii(gaussian_filter(noise, 1), np.array([[50.0, 50.0], [60.0, 60.0], [90.0, 90.0]]), shape)
    assert 1.0 <= radii[0] <= 4.0
    assert np.isnan(radii[1])
    made = kron_ellipses(shape, np.array([2.0, np.nan, 1.0]))
    assert made.a[2] == made.b[2] == 3.5
    sums = sum_ellipses(np.ones(SHAPE, np.float32), np.array([[50.0, 50.0], [60.0, 60.0], [2.0, 90.0]]), made)
    assert sums[0] == pytest.approx(made.area[0], rel=1e-3)
    assert np.isnan(sums[1:]).all()


def test_kron_flux_beside_circles() -> None:
    rng = np.random.default_rng(2)
    image = elongated(90.0, 80.0, 0.4) + rng.normal(0.0, 3.0, SHAPE).astype(np.float32) + np.float32(2.0)
    xy = np.array([[90.0, 80.0], [195.0, 80.0]])
    two = Ellipses(np.full(2, 3.1 * A), np.full(2, 3.1 * B), np.full(2, 0.4))
    bits = np.zeros(SHAPE, np.uint8)
    bits[84, 101] = PixelBit.TRAIL  # in the ellipse, not in the circles
    found = measure(image, xy, Apertures((3.0, 8.0), (24.0, 30.0), ellipses=two), FrameNoise(3.0, gain=1.0), bits=bits)
    assert found.flux[0, 2] == pytest.approx(FLUX * (1 - np.exp(-0.5 * 3.1**2)), abs=5 * found.error[0, 2])
    # Source and sky noise; the sky's level adds the 4 % of area over annulus.
    area = np.pi * A * B * 3.1**2
    assert found.error[0, 2] == pytest.approx(np.sqrt(found.flux[0, 2] + 9 * area * (1 + area / 1000)), rel=0.03)
    np.testing.assert_array_equal(found.flag[0], [0, 0, Flag.TRAIL])
    assert np.isnan(found.flux[1, 2])
    assert found.flag[1, 2] & Flag.EDGE
