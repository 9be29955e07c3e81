"""Quoted errors beside the scatter of simulated pixels: every term of the CCD equation where it rules."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from pipeline.aperture.aperture_flux import Apertures, measure
from pipeline.aperture.noise_budget import ApertureNoise, noise_budget
from pipeline.noise import FrameNoise, noise_pixels
from tests.unit.made_curves import curves

APERTURES = Apertures((2.5, 4.0, 6.5), (10.0, 15.0))
SHAPE = (640, 640)
SPACING = 32
FWHM = 3.0
FRAMES = 4  # 361 stars each: their scatter is known to 1.9 %
Floats = NDArray[np.float64]


def expected_light(xy: Floats, electrons: float) -> Floats:
    """Pixel-integrated Gaussians of one brightness, electrons."""
    expected = np.zeros(SHAPE)
    width = FWHM / 2.3548 * np.sqrt(2.0)
    span = np.arange(-15, 16)
    for x, y in xy:
        columns, rows = round(x) + span, round(y) + span
        profile_x, profile_y = (
            0.5 * (erf((pixels + 0.5 - c) / width) - erf((pixels - 0.5 - c) / width))
            for pixels, c in ((columns, x), (rows, y))
        )
        expected[np.ix_(rows, columns)] += electrons * np.outer(profile_y, profile_x)
    return expected


@pytest.mark.parametrize(
    ("electrons", "sky", "dark", "read_noise", "gain", "flat_error", "scintillation"),
    [
        pytest.param(400.0, 30.0, 5.0, 12.0, 1.5, None, None, id="read noise"),
        pytest.param(2_000.0, 600.0, 20.0, 5.0, 1.5, None, None, id="sky"),
        pytest.param(2_000.0, 20.0, 400.0, 5.0, 1.5, None, None, id="dark"),
        pytest.param(1_000.0, 4.0, 0.0, 3.0, 4.0, None, None, id="digitisation"),
        pytest.param(100_000.0, 100.0, 5.0, 8.0, 1.5, None, None, id="source"),
        pytest.param(1_000_000.0, 100.0, 5.0, 8.0, 1.5, 0.01, None, id="flat"),
        pytest.param(1_000_000.0, 100.0, 5.0, 8.0, 1.5, None, 0.004, id="scintillation"),
        pytest.param(300_000.0, 300.0, 5.0, 8.0, 1.5, 0.006, 0.001, id="all"),
    ],
)
def test_errors_are_the_scatter(
    grid_positions: Callable,
    electrons: float,
    sky: float,
    dark: float,
    read_noise: float,
    gain: float,
    flat_error: float | None,
    scintillation: float | None,
) -> None:
    """Within 5 %, in each aperture: 1444 stars tell a scatter to 1.9 %, 2.6 sigma of it."""
    rng = np.random.default_rng(31)
    pulls = []
    xy = grid_positions(rng, SHAPE, SPACING)
    light = expected_light(xy, electrons)
    true = measure((light / gain).astype(np.float32), xy, APERTURES, FrameNoise(1e-3, gain=gain)).flux
    for _ in range(FRAMES):
        # Scintillation moves all light of a star together; stars far apart, so each one's patch is its own.
        patches = 1 + (scintillation or 0.0) * rng.standard_normal((SHAPE[0] // SPACING, SHAPE[1] // SPACING))
        shaken = np.kron(patches, np.ones((SPACING, SPACING)))
        counts = rng.poisson(light * shaken + sky + dark) + rng.normal(0.0, read_noise, SHAPE)
        flat = 1 + (flat_error or 0.0) * rng.standard_normal(SHAPE)
        image = (np.rint(counts / gain + 1000.0) - 1000.0 - dark / gain) / flat - sky / gain
        found = measure(
            image.astype(np.float32),
            xy,
            APERTURES,
            FrameNoise(
                float(np.sqrt((sky + dark + read_noise**2) / gain**2 + 1 / 12)),
                gain=gain,
                background_level=sky / gain,
                read_noise=read_noise,
                flat_error=flat_error,
                scintillation=scintillation,
            ),
            isolated=np.ones(len(xy), dtype=bool),
        )
        pulls.append((found.flux - true) / found.error)
    assert len(xy) * FRAMES > 1400
    np.testing.assert_allclose(np.std(np.concatenate(pulls), axis=0), 1.0, atol=0.05)


def test_global_sky_trusts_the_frame(grid_positions: Callable) -> None:
    """No level is taken off, no noise of a level is quoted, and an annulus beyond the border does not matter."""
    rng = np.random.default_rng(32)
    image = rng.normal(5.0, 10.0, SHAPE).astype(np.float32)
    xy = np.array([[100.0, 100.0], [9.0, 300.0]])
    found = measure(image, xy, Apertures((4.0,), (10.0, 15.0), local=False), FrameNoise(10.0))
    area = np.pi * 16
    np.testing.assert_allclose(found.flux[:, 0], 5.0 * area, atol=4 * 10 * np.sqrt(area))
    np.testing.assert_allclose(found.error[:, 0], 10.0 * np.sqrt(noise_pixels(area, edge=8 * np.pi)))
    assert not found.flag.any()


def test_radii_may_come_in_any_order(grid_positions: Callable) -> None:
    rng = np.random.default_rng(33)
    xy = np.vstack([grid_positions(rng, SHAPE, 64), [[3.0, 50.0]]])
    image = (expected_light(xy[:-1], 1e4) + rng.normal(0.0, 5.0, SHAPE)).astype(np.float32)
    noise = FrameNoise(5.0, gain=1.0)
    up = measure(image, xy, Apertures((2.0, 4.0, 7.0), (12.0, 18.0)), noise)
    down = measure(image, xy, Apertures((7.0, 2.0, 4.0), (12.0, 18.0)), noise)
    order = [2, 0, 1]
    np.testing.assert_array_equal(down.flux, up.flux[:, order])
    np.testing.assert_array_equal(down.error, up.error[:, order])
    np.testing.assert_array_equal(down.flag, up.flag[:, order])
    assert np.isfinite(up.flux[-1, 0])
    assert np.isnan(up.flux[-1, 1:]).all()


def test_the_budget_names_the_parts_that_were_put_in() -> None:
    """Known noise in, its parts out; what the comparison stars add is found as the rest."""
    rng = np.random.default_rng(34)
    stars, epochs = 5, 41
    gain, read, dark, rms, pixels, flat, air = 2.0, 8.0, 30.0, 12.0, 60.0, 4e-4, 1e-3
    flux = np.geomspace(2e3, 1e6, stars)[:, None] * np.ones(epochs)
    variance = flux / gain + pixels * rms**2 + flux**2 * (flat**2 + air**2)
    reference = 7e-4
    relative = np.ones((stars, epochs))
    relative_error = np.sqrt(variance / flux**2 + reference**2)
    gap = rng.random((stars, epochs)) < 0.1
    for values in (flux, relative, relative_error):
        values[gap] = np.nan
    frames = ApertureNoise(*(np.full(epochs, value) for value in (gain, read, dark, rms, pixels, flat, air)))
    budget = noise_budget(curves(flux, np.sqrt(variance)), curves(relative, relative_error), frames)
    level = np.geomspace(2e3, 1e6, stars)
    np.testing.assert_allclose(budget.source, 1 / np.sqrt(level * gain))
    np.testing.assert_allclose(budget.read, np.sqrt(pixels) * read / gain / level)
    np.testing.assert_allclose(budget.dark, np.sqrt(pixels * dark) / gain / level)
    sky = pixels * (rms**2 - (read**2 + dark) / gain**2)
    np.testing.assert_allclose(budget.sky, np.sqrt(sky) / level)
    np.testing.assert_allclose(budget.flat, flat)
    np.testing.assert_allclose(budget.scintillation, air)
    np.testing.assert_allclose(budget.reference, reference, rtol=1e-6)
    parts = ("source", "sky", "read", "dark", "flat", "scintillation", "reference")
    np.testing.assert_allclose(budget.total**2, sum(getattr(budget, part) ** 2 for part in parts))


def test_a_budget_of_little_knowledge() -> None:
    """Without a gain the sky holds all noise of a pixel; what is not known is not there, and no star is lost."""
    flux = np.array([[1e4, 1e4, 1e4], [np.nan, np.nan, np.nan], [-5.0, -5.0, -5.0]])
    unknown = np.full(3, np.nan)
    frames = ApertureNoise(unknown, unknown, unknown, np.full(3, 10.0), np.full(3, 50.0), unknown, unknown)
    error, one = np.full((3, 3), 80.0), np.ones((3, 3))
    budget = noise_budget(curves(flux, error), curves(one, 0.01 * one), frames)
    assert budget.sky[0] == pytest.approx(np.sqrt(50) * 10 / 1e4)
    assert np.isnan([budget.source[0], budget.read[0], budget.dark[0], budget.flat[0], budget.scintillation[0]]).all()
    assert np.isnan(budget.sky[1:]).all()
    np.testing.assert_allclose(budget.total, 0.01)


def test_what_seeing_does_to_neighbours_is_an_error_of_the_flux(grid_positions: Callable) -> None:
    xy = grid_positions(np.random.default_rng(5), SHAPE, SPACING)
    image = (expected_light(xy, 1e5) + np.random.default_rng(6).normal(0, 10, SHAPE)).astype(np.float32)
    changed = np.zeros((len(xy), 3))
    changed[0] = [0.01, -0.02, 0.0]
    quiet, disturbed = (
        measure(image, xy, APERTURES, FrameNoise(10.0, gain=1.0), neighbours=change) for change in (None, changed)
    )
    assert disturbed.error[0] == pytest.approx(np.hypot(quiet.error[0], changed[0] * quiet.flux[0]))
    np.testing.assert_array_equal(disturbed.error[1:], quiet.error[1:])
    np.testing.assert_array_equal(disturbed.flux, quiet.flux)
