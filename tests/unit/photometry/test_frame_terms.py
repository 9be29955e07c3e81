"""By what light at a place is divided: the light of the reference stars, whichever method compares with them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.light_curves import LightCurves
from pipeline.relative import (
    Fixed,
    SharedLight,
    calibrate_ensemble,
    calibrate_grouped,
    calibrate_manual,
    faint_error_factor,
    frame_terms,
)

STARS, FRAMES, NOISE = 30, 60, 1e-3
METHODS: dict[str, Any] = {"ensemble": calibrate_ensemble, "paper": calibrate_grouped, "manual": calibrate_manual}


def _night() -> tuple[LightCurves, NDArray[np.float64]]:
    random = np.random.default_rng(4)
    sky = 1.0 + 0.3 * np.sin(np.linspace(0.0, 6.0, FRAMES))
    level = 10 ** random.uniform(4.0, 5.0, STARS)
    flux = level[:, None] * sky * (1.0 + NOISE * random.standard_normal((STARS, FRAMES)))
    xy = random.uniform(0.0, 1000.0, (STARS, 2))
    flag, good = np.zeros(flux.shape, np.int32), np.ones(FRAMES, np.bool_)
    good[-3:] = False
    return LightCurves(flux, NOISE * flux, flag, good, xy, np.arange(FRAMES) / FRAMES), sky


def _terms(method: str, curves: LightCurves, xy: NDArray[np.float64]) -> tuple[Any, Any, Fixed]:
    found = METHODS[method](curves, np.ones(STARS, np.bool_), shared=SharedLight.none())
    fixed = Fixed.of(found, np.ones(STARS), by_weights=method == "ensemble")
    references = np.flatnonzero(fixed.is_reference)
    return *frame_terms(curves.stars(references), fixed.stars(references), xy, 5.0), fixed


@pytest.mark.parametrize("method", METHODS)
def test_terms_follow_the_sky_and_know_their_error(method: str) -> None:
    curves, sky = _night()
    term, error, _ = _terms(method, curves, np.array([[500.0, 500.0], [-50.0, 2000.0]]))
    pull = (term / (sky / np.median(sky[curves.good])) - 1.0) / error
    assert np.isfinite(pull).all()
    # Of the mean of all, or of the largest group's few.
    assert NOISE / STARS**0.5 / 1.2 < np.median(error) < NOISE
    assert 0.7 < pull.std() < 1.4
    assert np.median(term[:, curves.good], axis=1) == pytest.approx(1.0)


def test_a_reference_that_shares_light_is_left_out() -> None:
    """A flare of one reference is in the terms of all places but that on the star itself."""
    curves, sky = _night()
    brightest = int(np.argmax(np.median(curves.flux, axis=1)))
    curves.flux[brightest, 30] *= 1.1
    at, elsewhere = curves.xy[brightest], np.array([5000.0, 5000.0])
    term, _, _ = _terms("manual", curves, np.array([at, elsewhere]))
    expected = sky[30] / np.median(sky[curves.good])
    assert term[0, 30] / expected == pytest.approx(1.0, abs=1e-3)
    assert term[1, 30] > term[0, 30] * 1.002


def test_a_frame_without_a_reference_has_no_term() -> None:
    curves, _ = _night()
    curves.flux[:, 10] = np.nan
    term, error, _ = _terms("ensemble", curves, np.array([[500.0, 500.0]]))
    assert np.isnan(term[0, 10])
    assert np.isnan(error[0, 10])
    assert np.isfinite(np.delete(term[0], 10)).all()


def test_faint_light_has_the_factor_of_faint_stars() -> None:
    curves, _ = _night()
    _, _, fixed = _terms("ensemble", curves, np.array([[500.0, 500.0]]))
    brightness = np.arange(STARS, dtype=np.float64)
    brightness[0] = np.nan
    factor = np.where(brightness < 4.0, 1.5, 1.0)
    told = replace(fixed, error_factor=factor)
    assert faint_error_factor(told, brightness) == 1.5
    assert faint_error_factor(told, np.full(STARS, np.nan)) == 1.0
