"""Where stars are and how bright, on rendered frames."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.conditions import to_frame, to_reference
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.render import render_light
from pipeline.trials.simulation.truth import Truth, make_truth

FIELD = NightSpec(
    shape=(300, 400),
    n_frames=9,
    n_stars=25,
    mag_min=11.0,
    mag_max=14.0,
    min_separation_fwhm=12.0,
    bias_structure=0.0,
    hot_pixel_fraction=0.0,
    n_dead_columns=0,
    vignetting=0.0,
    n_dust=0,
    pixel_response_rms=0.0,
    sky_gradient=0.0,
    drift=(70.0, -40.0),
    drift_walk=0.7,
    rotation_deg=3.0,
    n_trails=0,
    n_smeared=0,
    cloudy_fraction=0.3,
    cosmic_rays=0.0,
)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return make_truth(FIELD)


@pytest.fixture(scope="module")
def frames(truth: Truth) -> list[np.ndarray]:
    return [electrons_above_sky(truth, i) for i in range(FIELD.n_frames)]


def electrons_above_sky(truth: Truth, i: int) -> np.ndarray:
    spec = truth.spec
    detector = make_detector(spec, spec.generator(Stream.DETECTOR))
    counts = render_light(truth, i, detector, spec.generator(Stream.LIGHT, i)).astype(np.float64)
    return (counts - spec.bias_level) * spec.gain - (truth.frames.sky[i] + spec.dark_current) * spec.exposure_s


def cutout(image: np.ndarray, x: float, y: float, radius: int = 14) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    column, row = round(x), round(y)
    part = image[row - radius : row + radius + 1, column - radius : column + radius + 1]
    yy, xx = np.mgrid[row - radius : row + radius + 1, column - radius : column + radius + 1]
    return part, xx, yy


def inside(truth: Truth, i: int) -> list[int]:
    x, y = truth.positions(i)
    return [int(k) for k in np.flatnonzero((x > 20) & (x < 380) & (y > 20) & (y < 280))]


def test_rotation_turns_about_the_middle_then_shifts(truth: Truth) -> None:
    """By hand: a quarter turn takes +x to +y."""
    quarter = replace(truth.frames, rotation=np.full(9, 90.0), dx=np.full(9, 5.0), dy=np.full(9, -2.0))
    x, y = to_frame(np.array([60.0, 49.5]), np.array([49.5, 49.5]), quarter, 0, (100, 100))
    np.testing.assert_allclose(x, [54.5, 54.5])
    np.testing.assert_allclose(y, [58.0, 47.5])


def test_reference_positions_come_back(truth: Truth) -> None:
    x, y = truth.positions(7)
    back = to_reference(x, y, truth.frames, 7, FIELD.shape)
    np.testing.assert_allclose(back, [truth.stars.x, truth.stars.y], atol=1e-9)


def test_the_first_frame_is_the_reference(truth: Truth) -> None:
    np.testing.assert_allclose(truth.positions(0), [truth.stars.x, truth.stars.y], atol=1e-9)


def test_stars_lie_where_the_truth_says(truth: Truth, frames: list[np.ndarray]) -> None:
    for i in (0, 4, 8):
        x, y = truth.positions(i)
        flux = truth.electrons(i)
        offsets = []
        for k in inside(truth, i):
            part, xx, yy = cutout(frames[i], x[k], y[k])
            # Windowed centroid: a Gaussian weight about the truth halves an offset and keeps the noise out.
            weight = part * np.exp(-0.5 * (((xx - x[k]) ** 2 + (yy - y[k]) ** 2) / 2.0**2))
            offsets.append([(weight * (xx - x[k])).sum() / weight.sum(), (weight * (yy - y[k])).sum() / weight.sum()])
            if flux[k] > 20_000:
                assert np.abs(offsets[-1]).max() < 0.05
        assert len(offsets) > 8
        assert np.abs(np.mean(offsets, axis=0)).max() < 0.02


def test_a_star_gives_the_electrons_of_its_magnitude(truth: Truth, frames: list[np.ndarray]) -> None:
    """Sum over 29 x 29 pixels; a Moffat profile keeps all but a known part of its light in there."""
    i, spec = 0, FIELD
    x, y = truth.positions(i)
    for k in inside(truth, i):
        star = truth.stars
        wanted = 10 ** (0.4 * (22.0 - star.mag[k])) * 30 * truth.frames.transparency[i] * truth.relative_flux[k, i]
        part, _, _ = cutout(frames[i], x[k], y[k])
        sky = part.size * (spec.sky_rate * 30 + spec.read_noise**2)
        assert part.sum() == pytest.approx(wanted, abs=5 * np.sqrt(wanted + sky), rel=6e-3)


def test_clouds_dim_stars_by_the_transparency(truth: Truth, frames: list[np.ndarray]) -> None:
    cloudy, clear = int(np.argmin(truth.frames.transparency)), int(np.argmax(truth.frames.transparency))
    assert truth.frames.is_cloudy[cloudy]
    assert not truth.frames.good[cloudy]
    assert truth.frames.transparency[cloudy] < 0.4
    steady = [k for k in inside(truth, cloudy) if k in inside(truth, clear) and truth.stars.kind[k] == "constant"]
    sums = {}
    for i in (cloudy, clear):
        x, y = truth.positions(i)
        sums[i] = sum(cutout(frames[i], x[k], y[k])[0].sum() for k in steady)
    measured = sums[cloudy] / sums[clear]
    assert measured == pytest.approx(truth.frames.transparency[cloudy] / truth.frames.transparency[clear], rel=0.02)
    assert truth.frames.sky[cloudy] > truth.frames.sky[clear]


def test_drift_brings_new_stars_in_everywhere(truth: Truth) -> None:
    """Every corner of every frame has as many stars to the area as the field as a whole."""
    wanted = FIELD.n_stars
    for i in range(FIELD.n_frames):
        x, y = truth.positions(i)
        seen = ((x > -0.5) & (x < 399.5) & (y > -0.5) & (y < 299.5)).sum()
        assert seen == pytest.approx(wanted, abs=5 * np.sqrt(wanted))
    assert (truth.positions(8)[0] - truth.positions(0)[0]).mean() > 60
    new = (truth.stars.x < -5) & (truth.positions(8)[0] > 0)
    assert new.any()


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_smeared_frame_has_long_stars_of_the_same_flux(seed: int) -> None:
    still = make_truth(replace(FIELD, seed=seed, n_frames=3, cloudy_fraction=0.0, rotation_deg=0.0))
    moved = make_truth(replace(still.spec, n_smeared=1))
    i = int(np.flatnonzero(moved.frames.is_smeared)[0])
    assert not moved.frames.good[i]
    lengths = {}
    for name, night in (("still", still), ("moved", moved)):
        image = electrons_above_sky(night, i)
        x, y = night.positions(i)
        brightest = max(inside(night, i), key=lambda k: night.electrons(i)[k])
        part, xx, yy = cutout(image, x[brightest], y[brightest], radius=18)
        assert part.sum() == pytest.approx(night.electrons(i)[brightest], rel=0.02)
        near = np.where(part > 300, part, 0)
        covariance = np.cov(np.stack([xx.ravel(), yy.ravel()]), aweights=near.ravel())
        lengths[name] = np.sqrt(np.linalg.eigvalsh(covariance))
    assert lengths["moved"][1] == pytest.approx(
        np.hypot(FIELD.smear_length / np.sqrt(12), lengths["still"][1]), rel=0.2
    )
    assert lengths["moved"][0] == pytest.approx(lengths["still"][0], rel=0.2)


def test_a_trail_crosses_the_frame_in_a_line() -> None:
    spec = replace(FIELD, n_frames=4, cloudy_fraction=0.0, n_trails=1)
    truth = make_truth(spec)
    i = int(np.flatnonzero(truth.frames.has_trail)[0])
    assert truth.frames.good[i]
    plain = replace(truth, frames=replace(truth.frames, has_trail=np.zeros(4, dtype=bool)))
    assert electrons_above_sky(plain, i).mean() < electrons_above_sky(truth, i).mean() - 3
    no_stars = replace(truth, relative_flux=np.zeros_like(truth.relative_flux))
    y, x = np.nonzero(electrons_above_sky(no_stars, i) > 0.6 * spec.trail_peak)
    points = np.stack([x, y]) - np.array([[x.mean()], [y.mean()]])
    across, along = np.sqrt(np.linalg.eigvalsh(np.cov(points)))
    assert across < truth.frames.fwhm[i] / 2
    assert along > 40
