"""The camera against the CCD equation, its gain, its limits and its fixed patterns."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.trials.simulation.camera import Detector, make_detector, read_out
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.render import render_bias, render_dark, render_flat, render_light
from pipeline.trials.simulation.truth import make_truth

# No stars, no weather, no defects: what is left is light, gain and noise.
PLAIN = NightSpec(
    shape=(400, 500),
    n_frames=1,
    n_stars=0,
    n_transits=0,
    n_pulsators=0,
    n_binaries=0,
    n_flares=0,
    bias_structure=0.0,
    hot_pixel_fraction=0.0,
    n_dead_columns=0,
    vignetting=0.0,
    n_dust=0,
    pixel_response_rms=0.0,
    sky_gradient=0.0,
    transparency_jitter=0.0,
    cloudy_fraction=0.0,
    n_smeared=0,
    n_trails=0,
    cosmic_rays=0.0,
)


def camera(spec: NightSpec) -> Detector:
    return make_detector(spec, spec.generator(Stream.DETECTOR))


def even(spec: NightSpec, electrons: float) -> np.ndarray:
    expected = np.full(spec.shape, electrons, dtype=np.float32)
    return read_out(expected, camera(spec), spec, np.random.default_rng(11)).astype(np.float64)


@pytest.mark.parametrize("gain", [0.7, 1.5, 4.0])
@pytest.mark.parametrize("electrons", [0.0, 3.0, 100.0, 30_000.0])
def test_noise_is_the_ccd_equation(gain: float, electrons: float) -> None:
    spec = replace(PLAIN, gain=gain)
    counts = even(spec, electrons)
    variance = (electrons + spec.read_noise**2) / gain**2 + 1 / 12  # rounding to whole ADU adds 1/12
    n = counts.size
    assert counts.mean() == pytest.approx(spec.bias_level + electrons / gain, abs=5 * np.sqrt(variance / n))
    assert counts.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n))


def test_noise_of_a_light_frame_is_that_of_its_sky_and_dark_current() -> None:
    spec = replace(PLAIN, dark_current=2.0)
    truth = make_truth(spec)
    counts = render_light(truth, 0, camera(spec), np.random.default_rng(3)).astype(np.float64)
    electrons = (truth.frames.sky[0] + spec.dark_current) * spec.exposure_s
    assert electrons == pytest.approx(10 ** (0.4 * (22 - 20)) * 0.7**2 * 30 + 60)
    assert counts.mean() == pytest.approx(spec.bias_level + electrons / spec.gain, rel=5e-4)
    expected = (electrons + spec.read_noise**2) / spec.gain**2 + 1 / 12
    assert counts.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / counts.size))


def test_nights_of_one_camera_share_its_patterns() -> None:
    spec = replace(PLAIN, vignetting=0.1, n_dust=3, pixel_response_rms=0.01, hot_pixel_fraction=1e-3, camera_seed=5)
    first, second, other = (camera(s) for s in (spec, replace(spec, seed=1), replace(spec, camera_seed=6)))
    np.testing.assert_array_equal(first.response, second.response)
    np.testing.assert_array_equal(first.dark, second.dark)
    assert (first.response != other.response).mean() > 0.9
    noise = [replace(spec, seed=seed).generator(Stream.LIGHT, 0).integers(2**60) for seed in (1, 2)]
    assert noise[0] != noise[1]


def test_pixels_are_independent() -> None:
    counts = even(PLAIN, 500.0)
    counts -= counts.mean()
    for neighbour in (counts[1:] * counts[:-1], counts[:, 1:] * counts[:, :-1]):
        assert abs(neighbour.mean() / counts.var()) < 5 / np.sqrt(counts.size)


def test_the_converter_clips_at_16_bits() -> None:
    spec = replace(PLAIN, gain=1.0, full_well=1e6)
    assert spec.saturation == 65535
    counts = even(spec, 200_000.0)
    assert (counts == 65535).all()


def test_the_full_well_limits_before_the_converter() -> None:
    spec = replace(PLAIN, gain=2.0, full_well=50_000.0)
    assert spec.saturation == 1000 + 25_000
    counts = even(spec, 200_000.0)
    assert counts.mean() == pytest.approx(spec.saturation, abs=0.1)
    assert counts.std() == pytest.approx(spec.read_noise / spec.gain, rel=0.02)


def test_counts_never_wrap_below_zero() -> None:
    counts = even(replace(PLAIN, bias_level=0.0), 0.0)
    assert counts.max() < 50
    assert (counts == 0).mean() > 0.4


def test_a_star_saturates_flat_at_the_limit() -> None:
    spec = replace(PLAIN, n_stars=3, mag_min=6.0, mag_max=6.1, min_separation_fwhm=10.0)
    truth = make_truth(spec)
    counts = render_light(truth, 0, camera(spec), np.random.default_rng(3))
    x, y = truth.positions(0)
    inside = (x > 10) & (x < 490) & (y > 10) & (y < 390)
    assert inside.any()
    assert (counts[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)] == 65535).all()


def test_bias_has_its_columns() -> None:
    spec = replace(PLAIN, bias_structure=5.0)
    frames = [render_bias(spec, camera(spec), spec.generator(Stream.BIAS, i)).astype(float) for i in range(2)]
    columns = [frame.mean(axis=0) for frame in frames]
    assert np.std(columns[0]) == pytest.approx(5.0, rel=0.15)
    # The same in every frame, to the read noise of a column's mean.
    noise = spec.read_noise / spec.gain * np.sqrt(2 / spec.shape[0])
    assert np.std(columns[0] - columns[1]) == pytest.approx(noise, rel=0.15)


def test_dark_frames_show_the_hot_pixels_of_the_light_frames() -> None:
    spec = replace(PLAIN, hot_pixel_fraction=1e-3)
    patterns = camera(spec)
    hot = patterns.dark > spec.dark_current
    assert hot.sum() == 200
    dark = render_dark(spec, patterns, np.random.default_rng(1)).astype(float)
    light = render_light(make_truth(spec), 0, patterns, np.random.default_rng(2)).astype(float)
    very_hot = patterns.dark > 20
    expected = patterns.dark[very_hot] * spec.exposure_s / spec.gain
    np.testing.assert_allclose(dark[very_hot] - spec.bias_level, expected, rtol=0.2)
    sky = make_truth(spec).frames.sky[0] * spec.exposure_s / spec.gain
    np.testing.assert_allclose(light[very_hot] - spec.bias_level - sky, expected, rtol=0.2)


def test_flats_show_the_response_of_the_light_frames() -> None:
    spec = replace(PLAIN, vignetting=0.3, n_dead_columns=2, n_dust=5, pixel_response_rms=0.01, sky_mag=14.0)
    patterns = camera(spec)
    flats = [render_flat(spec, patterns, spec.generator(Stream.FLAT, i)).astype(float) for i in range(8)]
    flat = np.mean([(f - spec.bias_level) / np.median(f - spec.bias_level) for f in flats], axis=0)
    light = render_light(make_truth(spec), 0, patterns, np.random.default_rng(2)).astype(float) - spec.bias_level
    flattened = light[flat > 0.5] / flat[flat > 0.5]
    photons = np.median(light) * spec.gain
    assert np.std(light) / np.median(light) > 0.05
    # Left are the photons of the sky and of eight flats.
    expected = np.sqrt(1 / photons + 1 / (8 * spec.flat_level * spec.gain))
    assert np.std(flattened) / np.mean(flattened) == pytest.approx(expected, rel=0.1)


def test_response_is_darkest_in_the_corner_and_dead_in_its_columns() -> None:
    spec = replace(PLAIN, vignetting=0.2, n_dead_columns=3)
    response = camera(spec).response
    assert response[200, 250] == pytest.approx(1.0, abs=1e-3)
    dead = response[-1] < 0.1
    assert dead.sum() == 3
    assert response[0, 0] == pytest.approx(0.8, abs=1e-3)
    assert np.all(response[:, ~dead] > 0.79)


def test_dust_darkens_a_ring() -> None:
    response = camera(replace(PLAIN, n_dust=1, dust_depth=0.1)).response
    assert response.min() == pytest.approx(0.9, abs=2e-3)
    y, x = np.argwhere(response < 0.95).mean(axis=0)
    assert response[int(y), int(x)] > 0.98  # the middle of the ring is clear


def test_cosmic_rays_come_at_their_rate_in_other_places() -> None:
    spec = replace(PLAIN, cosmic_rays=40.0)
    hits = []
    for seed in range(5):
        dark = render_dark(spec, camera(spec), np.random.default_rng(seed)).astype(float)
        hits.append(dark > spec.bias_level + 10 * spec.read_noise / spec.gain)
    share = np.mean(hits) * 400 * 500  # hit pixels a frame: 40 tracks of 1 to 8 pixels
    assert 60 < share < 320
    assert not (hits[0] & hits[1]).sum() > 5
