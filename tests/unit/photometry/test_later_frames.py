"""Frames that a calibration did not see come out as if it had seen them."""

import numpy as np
import pytest

from pipeline.flags import Flag
from pipeline.light_curves import LightCurves
from pipeline.relative import (
    Fixed,
    RelativeLightCurves,
    SharedLight,
    calibrate_ensemble,
    calibrate_grouped,
    calibrate_later,
    calibrate_manual,
    ensemble_candidates,
)

STARS, SEEN, FRAMES = 60, 200, 240
SATURATED, MISSING, HIT = (4, 210), (5, 215), (7, 220)  # a reference on a later frame
CANDIDATES = np.arange(STARS) % 3 > 0


@pytest.fixture(scope="module")
def night() -> LightCurves:
    """Under clouds; on later frames a reference is saturated, another is not measured, a third is hit."""
    rng = np.random.default_rng(1)
    clouds = np.clip(1.0 - np.abs(np.cumsum(rng.normal(0.0, 0.02, FRAMES))), 0.5, 1.0)
    brightness = 10 ** rng.uniform(4.0, 5.0, STARS)
    true = brightness[:, None] * clouds
    error = np.sqrt(true + 3000.0)
    flux = true + error * rng.normal(size=true.shape)
    flag = np.zeros(flux.shape, dtype=np.int32)
    flux[SATURATED] *= 0.7
    flag[SATURATED] = int(Flag.SATURATED)
    flux[MISSING] = error[MISSING] = np.nan
    flux[HIT] *= 1.5
    xy = rng.uniform(0.0, 500.0, (STARS, 2))
    xy[1] = xy[2] + 3.0  # two candidates that share light
    good = np.arange(FRAMES) % 50 != 7
    return LightCurves(flux, error, flag, good, xy, np.arange(float(FRAMES)))


def ensemble(curves: LightCurves, shared: SharedLight) -> RelativeLightCurves:
    candidates = ensemble_candidates(curves)
    return calibrate_ensemble(curves, candidates.mask & CANDIDATES, candidates.values, shared)


def paper(curves: LightCurves, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_grouped(curves, CANDIDATES, shared)


def manual(curves: LightCurves, shared: SharedLight) -> RelativeLightCurves:
    return calibrate_manual(curves, CANDIDATES, shared)


METHODS = {"ensemble": ensemble, "paper": paper, "manual": manual}


@pytest.mark.parametrize("method", METHODS)
def test_what_was_seen_comes_out_the_same(night: LightCurves, method: str) -> None:
    shared = SharedLight.within(night.xy, 10.0)
    seen = night.frames(np.arange(FRAMES) < SEEN)
    found = METHODS[method](seen, shared)
    later = calibrate_later(seen, Fixed.of(found, np.ones(STARS), by_weights=method == "ensemble"), shared)
    np.testing.assert_allclose(later.flux, found.flux, rtol=1e-12)
    np.testing.assert_allclose(later.error, found.error, rtol=1e-12)


@pytest.mark.parametrize("method", ["ensemble", "manual"])  # of `paper` the whole night chooses other references
def test_later_frames_come_out_as_of_the_whole_night(night: LightCurves, method: str) -> None:
    shared = SharedLight.within(night.xy, 10.0)
    seen, unseen = night.frames(np.arange(FRAMES) < SEEN), night.frames(np.arange(FRAMES) >= SEEN)
    fixed = Fixed.of(METHODS[method](seen, shared), np.full(STARS, 1.5), by_weights=method == "ensemble")
    later, whole = calibrate_later(unseen, fixed, shared), METHODS[method](night, shared)
    expected, error = whole.flux[:, SEEN:], whole.error[:, SEEN:]
    np.testing.assert_array_equal(np.isnan(later.flux), np.isnan(expected))
    # Levels are medians over 200 and over 240 frames: of a point's error they differ by a few per cent.
    assert np.nanmax(np.abs(later.flux - expected) / error) < 0.1
    np.testing.assert_allclose(later.error, 1.5 * error, rtol=0.01)


def test_one_bad_reference_moves_nobody(night: LightCurves) -> None:
    """Of a plain mean a reference that is saturated by 30 % would move the whole frame by 30 % of its share."""
    shared = SharedLight.within(night.xy, 10.0)
    fixed = Fixed.of(ensemble(night.frames(np.arange(FRAMES) < SEEN), shared), np.ones(STARS), by_weights=True)
    later = calibrate_later(night.frames(np.arange(FRAMES) >= SEEN), fixed, shared)
    for star, frame in (SATURATED, MISSING, HIT):
        assert fixed.is_reference[star]
        others = np.arange(STARS) != star
        pull = (later.flux[others, frame - SEEN] - 1.0) / later.error[others, frame - SEEN]
        assert abs(pull.mean()) < 4.0 / np.sqrt(others.sum())
    assert later.flux[HIT[0], HIT[1] - SEEN] == pytest.approx(1.5, abs=0.1)
