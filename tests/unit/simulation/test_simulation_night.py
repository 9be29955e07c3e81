"""A night's specification: what it promises, what it refuses, and that it repeats itself."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.conditions import airmass
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.presets import PRESETS
from pipeline.trials.simulation.psf import Moffat
from pipeline.trials.simulation.render import render_light
from pipeline.trials.simulation.star_stamps import draw_stars
from pipeline.trials.simulation.truth import make_truth

SMALL = NightSpec(shape=(96, 128), n_frames=6, n_stars=12, n_smeared=1, n_trails=1)


def electrons(spec: NightSpec, mag: float) -> float:
    return 10 ** (0.4 * (spec.zero_point - mag)) * spec.exposure_s


def test_the_numbers_of_the_default_night_are_as_documented() -> None:
    spec = NightSpec()
    assert electrons(spec, 10.5) == pytest.approx(1.2e6, rel=0.01)
    assert electrons(spec, 14.5) == pytest.approx(30_000, rel=0.01)
    assert electrons(spec, 17.5) == pytest.approx(1_900, rel=0.01)
    star = draw_stars((41, 41), np.array([20.0]), np.array([20.0]), np.array([electrons(spec, 10.5)]), 2.2 / 0.7, 3.0)
    peak = spec.bias_level + (star.max() + spec.sky_rate * spec.exposure_s) / spec.gain
    assert peak == pytest.approx(52_000, rel=0.02)
    assert peak < spec.saturation
    radius = 1.5 * 2.2 / 0.7
    alpha2 = (2.2 / 0.7) ** 2 / (4 * (2 ** (1 / 3) - 1))
    within = 1 - (1 + radius**2 / alpha2) ** -2
    for mag, expected in ((14.5, 140), (17.5, 15)):
        flux = electrons(spec, mag) * within
        pixel = (spec.sky_rate + spec.dark_current) * spec.exposure_s + spec.read_noise**2
        assert flux / np.sqrt(flux + np.pi * radius**2 * pixel) == pytest.approx(expected, rel=0.03)


def test_the_same_seed_is_the_same_night() -> None:
    first, second = make_truth(SMALL), make_truth(SMALL)
    for table in ("stars", "frames"):
        one, other = getattr(first, table), getattr(second, table)
        for field in fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    np.testing.assert_array_equal(first.relative_flux, second.relative_flux)


def test_frames_do_not_depend_on_the_order_of_rendering() -> None:
    truth = make_truth(SMALL)

    def render(i: int) -> np.ndarray:
        detector = make_detector(SMALL, SMALL.generator(Stream.DETECTOR))
        return render_light(truth, i, detector, SMALL.generator(Stream.LIGHT, i))

    forward = [render(i) for i in range(6)]
    backward = [render(i) for i in reversed(range(6))][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)
    assert forward[0].dtype == np.uint16
    assert forward[0].shape == (96, 128)
    assert not np.array_equal(forward[0], forward[1])


def test_streams_and_seeds_are_independent() -> None:
    draws = {SMALL.generator(stream, index).integers(2**60) for stream in Stream for index in range(4)} | {
        replace(SMALL, seed=1).generator(Stream.LIGHT, 0).integers(2**60)
    }
    assert len(draws) == len(Stream) * 4 + 1


def test_stars_keep_their_distance_and_their_counts() -> None:
    spec = NightSpec(shape=(1024, 1024), n_stars=600, n_transits=0, n_pulsators=0, n_binaries=0, n_flares=0)
    stars = make_truth(spec).stars
    distance = np.hypot(stars.x - stars.x[:, None], stars.y - stars.y[:, None])
    np.fill_diagonal(distance, np.inf)
    assert distance.min() >= 2.5 * spec.mean_fwhm
    assert stars.mag.min() >= spec.mag_min
    assert stars.mag.max() <= spec.mag_max
    # N(<m) ~ 10**(0.25 m) - 10**(0.25 mag_min): half of the stars lie below the median of that law.
    middle = np.log10((10 ** (0.25 * 10.5) + 10 ** (0.25 * 17.5)) / 2) / 0.25
    n = stars.mag.size
    assert (stars.mag < middle).sum() == pytest.approx(n / 2, abs=4 * np.sqrt(n / 4))


def test_a_flat_slope_spreads_magnitudes_evenly() -> None:
    stars = make_truth(NightSpec(shape=(1024, 1024), n_stars=600, mag_slope=0.0)).stars
    assert stars.mag.mean() == pytest.approx(14.0, abs=4 * 7 / np.sqrt(12 * stars.mag.size))


def test_accidents_come_in_their_numbers() -> None:
    frames = make_truth(NightSpec(n_frames=60, n_smeared=3, n_trails=4, cloudy_fraction=0.2)).frames
    assert (frames.is_cloudy.sum(), frames.is_smeared.sum(), frames.has_trail.sum()) == (12, 3, 4)
    np.testing.assert_array_equal(frames.good, ~(frames.is_cloudy | frames.is_smeared))
    assert not (frames.is_cloudy & frames.is_smeared).any()
    clear = frames.transparency[~frames.is_cloudy]
    assert 0.9 < clear.min() < clear.max() < 1.1
    assert frames.transparency[frames.is_cloudy].max() < 0.9
    np.testing.assert_allclose(np.diff(frames.jd_mid) * 86400, 45.0, atol=1e-3)


def test_seeing_drift_and_rotation_reach_their_ends() -> None:
    spec = NightSpec(drift=(270.0, -100.0), drift_walk=0.0, rotation_deg=0.6, seeing_jitter=0.0)
    frames = make_truth(spec).frames
    assert (frames.dx[0], frames.dy[0], frames.rotation[0]) == (0, 0, 0)
    assert (frames.dx[-1], frames.dy[-1], frames.rotation[-1]) == pytest.approx((270, -100, 0.6))
    assert (frames.fwhm[0], frames.fwhm[-1]) == pytest.approx((2.2 / 0.7, 2.6 / 0.7))


def test_airmass_is_that_of_the_sky() -> None:
    """Culmination at the zenith distance of the declinations; 60 degrees from the zenith the airmass is 2."""
    spec = NightSpec(dec_deg=38.6, ra_deg=0.0)
    jd = spec.start_jd + np.linspace(0, 0.12, 2000)
    assert airmass(jd, spec).min() == pytest.approx(1.0, abs=1e-3)
    south = replace(spec, dec_deg=-21.4)
    assert airmass(jd, south).min() == pytest.approx(1.994, abs=0.002)


def test_the_field_culminates_when_its_right_ascension_does() -> None:
    """At the default start and place the local sidereal time is 357.18 degrees (by astropy)."""
    for ra in (5.0, 30.0):
        spec = NightSpec(ra_deg=ra)
        jd = spec.start_jd + np.linspace(0, 0.12, 20_000)
        culmination = spec.start_jd + (ra - 357.18) % 360 / 360.9856
        assert jd[np.argmin(airmass(jd, spec))] == pytest.approx(culmination, rel=0, abs=1e-4)


def test_extinction_follows_airmass() -> None:
    spec = NightSpec(n_frames=300, ra_deg=340.0, transparency_jitter=0.0, cloudy_fraction=0.0, extinction=0.3)
    frames = make_truth(spec).frames
    assert np.ptp(frames.airmass) > 0.2
    np.testing.assert_allclose(-2.5 * np.log10(frames.transparency), 0.3 * (frames.airmass - 1), atol=1e-12)


def test_presets_are_nights() -> None:
    assert PRESETS["night"].shape == (2048, 2048)
    for name, spec in PRESETS.items():
        if name == "wide":
            continue  # the nine degrees of its sky take two seconds; the acceptance tests see them
        truth = make_truth(spec)
        assert truth.relative_flux.shape == (truth.stars.id.size, spec.n_frames)
        assert truth.frames.good.mean() > 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (8, 512)}, "shape is"),
        ({"shape": (512,)}, "shape is"),
        ({"shape": (512.0, 512.0)}, "whole numbers"),
        ({"n_frames": 0}, "n_frames is 0, expected more than zero"),
        ({"n_frames": 2.5}, "n_frames is 2.5, expected whole numbers"),
        ({"exposure_s": float("nan")}, "finite"),
        ({"gain": -1.0}, "gain is -1.0"),
        ({"read_noise": -1.0}, "read_noise is -1.0, expected nothing below zero"),
        ({"cloudy_fraction": 1.5}, "between 0 and 1"),
        ({"cadence_s": 10.0}, "cadence_s is 10.0, expected no less than exposure_s"),
        ({"mag_max": 9.0}, "mag_max is 9.0"),
        ({"psf": Moffat(1.0)}, "psf"),
        ({"seeing_change": -2.0}, "seeing"),
        ({"n_stars": 4}, "n_stars is 4, expected at least the 5 variables"),
        ({"target": "../../etc"}, "target is"),
        ({"target": "a b"}, "target is"),
        ({"target": ""}, "target is"),
        ({"filter_name": "R/B"}, "filter_name is"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_numbers_are_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableDataError, match=words.replace("(", r"\(")):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_stars": 5000}, "n_stars is 5000, but the field is full"),
        ({"dec_deg": -70.0}, "the field sinks"),
        ({"n_smeared": 7}, "n_smeared is 7, but only"),
        ({"n_trails": 6}, "n_trails is 6, but only 4"),
    ],
)
def test_nights_that_cannot_be_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnusableDataError, match=words):
        make_truth(replace(SMALL, **change))


def test_a_window_keeps_its_stars_all_night() -> None:
    truth = make_truth(PRESETS["window"])
    ny, nx = truth.spec.shape
    positions = np.array([truth.positions(i) for i in range(0, 2000, 100)])
    inside = (np.minimum(positions[:, 0], nx - 1 - positions[:, 0]) > 8) & (
        np.minimum(positions[:, 1], ny - 1 - positions[:, 1]) > 8
    )
    assert 5 <= inside.all(axis=0).sum() <= 8


def test_the_bright_star_is_the_constant_one_nearest_to_the_middle() -> None:
    plain, haloed = make_truth(SMALL), make_truth(replace(SMALL, bright_star_mag=7.25))
    [star] = np.flatnonzero(haloed.stars.g_mag != plain.stars.g_mag)
    assert haloed.stars.g_mag[star] == 7.25
    constant = plain.stars.kind == "constant"
    away = np.hypot(plain.stars.x - (SMALL.shape[1] - 1) / 2, plain.stars.y - (SMALL.shape[0] - 1) / 2)
    assert constant[star]
    assert away[star] == away[constant].min()
