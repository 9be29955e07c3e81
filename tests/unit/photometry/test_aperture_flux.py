from collections.abc import Callable

import numpy as np
import pytest

from pipeline.aperture.aperture_flux import Apertures, default_apertures, measure
from pipeline.errors import UnusableDataError
from pipeline.flags import Flag, usable
from pipeline.frame.background import FRAME_BIN, subtract_background
from pipeline.frame.masked_pixels import PixelBit
from pipeline.noise import FrameNoise

APERTURES = Apertures((2.5, 4.0, 6.5), (10.0, 15.0))
SHAPE = (640, 640)


@pytest.mark.parametrize(
    ("electrons", "gain", "sky", "read_noise"),
    [(200_000.0, 2.5, 100.0, 5.0), (20_000.0, 0.7, 400.0, 3.0), (3_000.0, 1.6, 20.0, 8.0)],
)
def test_fluxes_are_unbiased_and_scatter_as_quoted(
    star_image: Callable, grid_positions: Callable, electrons: float, gain: float, sky: float, read_noise: float
) -> None:
    rng = np.random.default_rng(21)
    pull, ratio = [], []
    for _ in range(3):
        xy = grid_positions(rng, SHAPE, 32)
        true = np.full(len(xy), electrons)
        image = star_image(rng, SHAPE, xy, true, sky=sky, read_noise=read_noise, gain=gain)
        rms = np.hypot(np.sqrt(sky), read_noise) / gain
        found = measure(image, xy, APERTURES, FrameNoise(rms, gain=gain, background_level=sky / gain))
        assert not found.flag.any()
        pull.append((found.flux[:, 2] - electrons / gain) / found.error[:, 2])
        ratio.append(found.flux * gain / electrons)
    pulls, ratios = np.concatenate(pull), np.concatenate(ratio)
    assert len(pulls) >= 1000
    # Three standard errors of the mean, in units of one measurement's error; the wings beyond 6.5 px hold 2e-6.
    assert abs(pulls.mean()) < 0.1
    if electrons > 1e4:
        assert abs(ratios[:, 2].mean() - 1.0) < 0.003
    assert np.std(pulls) == pytest.approx(1.0, abs=0.06)


def test_error_of_every_aperture_is_the_scatter_it_has(star_image: Callable, grid_positions: Callable) -> None:
    """In apertures that cut the star the sum also depends on the pixel phase, but only by 0.1 %."""
    rng = np.random.default_rng(21)
    fluxes, errors = [], []
    for _ in range(4):
        xy = grid_positions(rng, SHAPE, 32)
        image = star_image(rng, SHAPE, xy, np.full(len(xy), 5000.0), gain=2.0)
        found = measure(image, xy, APERTURES, FrameNoise(np.sqrt(125.0) / 2, gain=2.0, background_level=50.0))
        fluxes.append(found.flux)
        errors.append(found.error)
    scatter = np.std(np.concatenate(fluxes), axis=0)
    quoted = np.sqrt(np.mean(np.square(np.concatenate(errors)), axis=0))
    np.testing.assert_allclose(scatter, quoted, rtol=0.06)


def test_local_sky_takes_a_gradient_and_an_offset_away(star_image: Callable) -> None:
    rng = np.random.default_rng(22)
    xy = np.array([[100.3, 99.6]])
    image = star_image(rng, (200, 200), xy, np.array([50_000.0])) + np.float32(7.0)
    image += (0.05 * (np.arange(200) - 100)).astype(np.float32)
    found = measure(image, xy, APERTURES, FrameNoise(11.0, gain=1.0))
    assert found.sky[0] == pytest.approx(7.0, abs=2.0)
    assert found.flux[0, 2] == pytest.approx(50_000.0, abs=5 * found.error[0, 2])


def test_an_even_sky_costs_a_large_aperture_next_to_no_noise(star_image: Callable, grid_positions: Callable) -> None:
    """Beside the flux above the true level; the mean of each annulus alone would add 16 %."""
    rng = np.random.default_rng(35)
    known, measured = [], []
    for _ in range(4):
        xy = grid_positions(rng, SHAPE, 32)
        image = star_image(rng, SHAPE, xy, np.full(len(xy), 1000.0))
        noise = FrameNoise(np.sqrt(125.0), background_level=100.0, gain=1.0)
        known.append(measure(image, xy, Apertures((6.5,), APERTURES.annulus, local=False), noise).flux[:, 0])
        measured.append(measure(image, xy, APERTURES, noise).flux[:, 2])
    assert np.std(np.concatenate(measured)) < 1.04 * np.std(np.concatenate(known))


def test_edges_of_the_image() -> None:
    image = np.random.default_rng(23).normal(0.0, 1.0, (100, 120)).astype(np.float32)
    xy = np.array([[60.0, 50.0], [112.0, 50.0], [116.0, 50.0], [2.0, 50.0], [-40.0, 50.0], [1e9, 50.0], [np.nan, 3.0]])
    found = measure(image, xy, APERTURES, FrameNoise(1.0, gain=1.0))
    np.testing.assert_array_equal(
        np.isfinite(found.flux),
        [[1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
    )
    np.testing.assert_array_equal((found.flag & Flag.EDGE) != 0, ~np.isfinite(found.flux))
    np.testing.assert_array_equal(np.isfinite(found.error), np.isfinite(found.flux))
    assert usable(found.flux, found.flag)[:4, 0].all()


def test_a_cut_annulus_costs_its_larger_error_alone(star_image: Callable) -> None:
    """Stars whose largest aperture just fits, at three borders and in a corner; too few for the frame's own level."""
    rng = np.random.default_rng(36)
    xy = np.array([[6.5, 40.0], [40.0, 6.5], [113.0, 60.0], [7.0, 93.0], [60.0, 50.0]])
    fluxes, errors = [], []
    for _ in range(120):
        image = star_image(rng, (100, 120), xy, np.full(len(xy), 3000.0))
        found = measure(image, xy, APERTURES, FrameNoise(np.sqrt(125.0), gain=1.0, background_level=100.0))
        assert usable(found.flux, found.flag).all()
        fluxes.append(found.flux[:, 2])
        errors.append(found.error[:, 2])
    quoted = np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(np.std(fluxes, axis=0), quoted, rtol=0.2)  # 6.5 %, one standard deviation of a star
    assert np.mean(np.std(fluxes, axis=0) / quoted) == pytest.approx(1.0, abs=0.08)
    assert quoted[3] > 1.1 * quoted[4]  # a quarter of an annulus


@pytest.mark.parametrize(("rows", "fwhm"), [(64, 4.0), (64, 12.0), (120, 12.0)])
def test_in_a_window_every_star_has_true_errors(star_image: Callable, rows: int, fwhm: float) -> None:
    """From raw frame to flux: the sky of a window has one row of boxes, and the annuli of wide stars are cut."""
    rng = np.random.default_rng(37)
    shape = (rows, 520)
    apertures = default_apertures(fwhm, shape)
    room = apertures.radii[-1] + 0.5
    xy = np.column_stack([np.linspace(45.0, 475.0, 7), rng.uniform(room, rows - 1.0 - room, 7)])
    true = np.geomspace(3e4, 1e6, 7)
    fluxes, errors = [], []
    for _ in range(30):
        raw = star_image(rng, shape, xy, true, fwhm=fwhm, sky=300.0) + np.float32(300.0)
        image, sky = subtract_background(raw, bin_size=FRAME_BIN)
        found = measure(
            image,
            xy,
            apertures,
            FrameNoise(sky.rms, gain=1.0, background_level=sky.level),
            isolated=np.ones(len(xy), dtype=bool),
        )
        assert usable(found.flux, found.flag).all()
        assert found.growth is not None
        fluxes.append(found.flux)
        errors.append(found.error)
    ratio = np.std(fluxes, axis=0, ddof=1) / np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(np.sqrt(np.mean(ratio**2, axis=0)), 1.0, atol=0.1)  # good to 5 %


def test_a_hot_pixel_is_flagged_where_it_touches_and_barely_changes_the_flux(star_image: Callable) -> None:
    rng = np.random.default_rng(24)
    xy = np.array([[60.2, 60.4], [60.2, 140.4]])
    clean = star_image(rng, (200, 120), xy, np.array([100_000.0, 100_000.0]))
    image = clean.copy()
    image[60, 64] = 30_000.0
    image[143, 60] = np.nan
    bad = image > 20_000.0
    noise = FrameNoise(11.0, gain=1.0)
    before = measure(clean, xy, APERTURES, noise)
    after = measure(image, xy, APERTURES, noise, bad=bad)
    expected = np.array([[0, 1, 1], [1, 1, 1]]) * int(Flag.BAD_PIXEL)
    np.testing.assert_array_equal(after.flag, expected)
    np.testing.assert_allclose(after.flux, before.flux, rtol=0.005)


def test_a_bad_pixel_without_good_neighbours_makes_the_flux_unknown(star_image: Callable) -> None:
    rng = np.random.default_rng(25)
    xy = np.array([[60.0, 60.0]])
    image = star_image(rng, (120, 120), xy, np.array([1e5]))
    image[59:62, 62:65] = np.nan
    found = measure(image, xy, APERTURES, FrameNoise(11.0, gain=1.0))
    assert np.isfinite(found.flux[0, 0])
    assert np.isnan(found.flux[0, 1:]).all()
    assert np.isnan(found.error[0, 1:]).all()
    assert (found.flag[0] & Flag.BAD_PIXEL).all()


def test_saturation_is_flagged_by_aperture(star_image: Callable) -> None:
    rng = np.random.default_rng(26)
    xy = np.array([[60.0, 60.0], [100.0, 60.0]])
    image = star_image(rng, (120, 160), xy, np.array([1e5, 1e5]))
    saturated = np.zeros(image.shape, dtype=bool)
    saturated[60, 65] = True
    found = measure(image, xy, APERTURES, FrameNoise(11.0, gain=1.0), bits=saturated * np.uint8(PixelBit.SATURATED))
    np.testing.assert_array_equal(found.flag, [[0, 0, Flag.SATURATED], [0, 0, 0]])


def test_without_sky_pixels_the_background_is_trusted(star_image: Callable) -> None:
    rng = np.random.default_rng(27)
    xy = np.array([[30.0, 30.0]])
    image = star_image(rng, (61, 61), xy, np.array([50_000.0]))
    rows, columns = np.indices(image.shape)
    image[np.hypot(rows - 30, columns - 30) > 8] = np.nan
    found = measure(image, xy, APERTURES, FrameNoise(11.2, gain=1.0))
    assert (found.flag & Flag.NO_SKY).all()
    assert found.sky[0] == 0.0
    assert found.sky_rms[0] == pytest.approx(11.2)
    assert usable(found.flux, found.flag).all()  # the error has it
    assert found.flux[0, 2] == pytest.approx(50_000.0, abs=5 * found.error[0, 2])


@pytest.mark.parametrize("number", [0, 1, 20_000])
def test_any_number_of_sources(number: int) -> None:
    rng = np.random.default_rng(28)
    image = rng.normal(0.0, 3.0, (300, 300)).astype(np.float32)
    xy = rng.uniform(20.0, 280.0, (number, 2))
    found = measure(image, xy, APERTURES, FrameNoise(3.0, gain=1.0))
    assert found.flux.shape == (number, 3)
    assert np.isfinite(found.flux).all()


def test_read_noise_is_the_least_sky_noise() -> None:
    image = np.zeros((60, 60), dtype=np.float32)
    found = measure(image, np.array([[30.0, 30.0]]), APERTURES, FrameNoise(0.1, gain=2.0, read_noise=8.0))
    assert found.sky_rms[0] == pytest.approx(np.sqrt(4.0**2 + 1 / 12))


def test_the_image_is_left_as_it_was(star_image: Callable) -> None:
    rng = np.random.default_rng(29)
    xy = np.array([[30.0, 30.0]])
    image = star_image(rng, (60, 60), xy, np.array([1000.0]))
    image[30, 31] = np.nan
    bad = np.zeros(image.shape, dtype=bool)
    before, bad_before = image.copy(), bad.copy()
    measure(image, xy, APERTURES, FrameNoise(11.0, gain=1.0), bad=bad)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(bad, bad_before)


def test_default_apertures_grow_with_the_stars_and_keep_clear_of_them() -> None:
    for fwhm in (0.8, 1.5, 2.9, 4.0, 8.0):
        apertures = default_apertures(fwhm)
        assert len(apertures.radii) >= 3
        assert apertures.radii[0] >= 1.45  # below it the sum depends on where in a pixel the star falls
        assert apertures.annulus[0] > apertures.radii[-1]
        assert np.pi * (apertures.annulus[1] ** 2 - apertures.annulus[0] ** 2) >= 595.0
    assert default_apertures(4.0).radii[0] == pytest.approx(0.85 * 4.0)


@pytest.mark.parametrize("fwhm", [3.0, 8.0, 12.0])
def test_small_images_have_nearer_annuli_and_the_same_circles(fwhm: float) -> None:
    usual = default_apertures(fwhm)
    assert default_apertures(fwhm, (500, 650)) == usual
    near = default_apertures(fwhm, (64, 520))
    assert near.radii == usual.radii
    assert max(near.radii) < near.annulus[0] <= usual.annulus[0]
    if fwhm > 3.0:
        assert near.annulus[0] == pytest.approx(2.5 * fwhm)
    np.testing.assert_allclose(*(one.annulus[1] ** 2 - one.annulus[0] ** 2 for one in (near, usual)), rtol=2e-3)


def test_default_apertures_serve_faint_and_bright_stars(star_image: Callable, grid_positions: Callable) -> None:
    """The smallest is within 15 % of the best S/N of a star lost in the sky, the largest holds a bright star whole."""
    rng = np.random.default_rng(30)
    xy = grid_positions(rng, SHAPE, 32)
    apertures = default_apertures(3.0)
    trial = Apertures((1.5, 2.0, 2.5, *apertures.radii), apertures.annulus)
    image = star_image(rng, SHAPE, xy, np.full(len(xy), 500.0))
    faint = measure(image, xy, trial, FrameNoise(11.2, gain=1.0, background_level=100.0))
    snr = faint.flux.mean(axis=0) / faint.flux.std(axis=0)
    assert snr[3] > 0.85 * snr.max()
    bright = measure(star_image(rng, SHAPE, xy, np.full(len(xy), 1e6)), xy, apertures, FrameNoise(11.2, gain=1.0))
    assert bright.flux[:, -1].mean() == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize("fwhm", [0.0, -1.0, float("nan"), float("inf")])
def test_no_apertures_without_a_fwhm(fwhm: float) -> None:
    with pytest.raises(UnusableDataError, match="FWHM"):
        default_apertures(fwhm)


@pytest.mark.parametrize(
    ("radii", "annulus"),
    [((), (5.0, 8.0)), ((0.0, 1.0), (5.0, 8.0)), ((3.0, -2.0), (5.0, 8.0)), ((2.0,), (8.0, 8.0)), ((2.0,), (0.0, 8.0))],
)
def test_impossible_apertures(radii: tuple[float, ...], annulus: tuple[float, float]) -> None:
    with pytest.raises(UnusableDataError, match="expected"):
        Apertures(radii, annulus)


def test_impossible_arguments() -> None:
    image, xy = np.zeros((50, 50), dtype=np.float32), np.array([[25.0, 25.0]])
    with pytest.raises(UnusableDataError, match="background rms"):
        measure(image, xy, APERTURES, FrameNoise(0.0, gain=1.0))
    with pytest.raises(UnusableDataError, match="gain"):
        measure(image, xy, APERTURES, FrameNoise(1.0, gain=0.0))
    with pytest.raises(UnusableDataError, match="mask of shape"):
        measure(image, xy, APERTURES, FrameNoise(1.0, gain=1.0), bad=np.zeros((2, 2), dtype=bool))
    with pytest.raises(UnusableDataError, match="positions"):
        measure(image, xy[0], APERTURES, FrameNoise(1.0, gain=1.0))
