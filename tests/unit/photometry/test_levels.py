"""The level that a relative light curve is divided by: that of its usable points, where it has any."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flags import Flag
from pipeline.relative import RelativeLightCurves, calibrate_ensemble, calibrate_grouped, calibrate_manual
from pipeline.relative.relative_light_curves import normalise
from tests.unit.made_curves import curves

STARS, EPOCHS = 8, 40
GOOD = np.arange(EPOCHS) != 0
SPOILED, HOPELESS = 0, 1  # stars: three fifths of the points are spoiled, all are
Calibrate = Callable[[NDArray[np.float64], NDArray[np.bool_]], RelativeLightCurves]


def ensemble(flux: NDArray[np.float64], usable: NDArray[np.bool_]) -> RelativeLightCurves:
    return calibrate_ensemble(curves(flux, 0.001 * flux, good=GOOD, flag=_flags(usable)), np.arange(STARS) > HOPELESS)


def grouped(flux: NDArray[np.float64], usable: NDArray[np.bool_]) -> RelativeLightCurves:
    xy = np.random.default_rng(1).uniform(0, 1000, (STARS, 2))
    raw = curves(flux, 0.001 * flux, good=GOOD, xy=xy, flag=_flags(usable))
    return calibrate_grouped(raw, np.arange(STARS) > HOPELESS)


def manual(flux: NDArray[np.float64], usable: NDArray[np.bool_]) -> RelativeLightCurves:
    return calibrate_manual(curves(flux, 0.001 * flux, good=GOOD, flag=_flags(usable)), np.arange(STARS) > HOPELESS)


def _flags(usable: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.where(usable, 0, int(Flag.BAD_PIXEL)).astype(np.int32)


@pytest.mark.parametrize("calibrate", [ensemble, grouped, manual])
def test_spoiled_points_have_no_say_in_the_level(calibrate: Calibrate) -> None:
    """Hot pixels add a fifth to most points of a star: its clean points are 1, not 0.83."""
    rng = np.random.default_rng(0)
    flux = np.geomspace(1e4, 1e6, STARS)[:, None] * (1 + 1e-3 * rng.normal(size=(STARS, EPOCHS)))
    usable = np.ones(flux.shape, dtype=bool)
    usable[SPOILED, : 3 * EPOCHS // 5] = False
    usable[HOPELESS] = False
    flux[~usable] *= 1.2
    found = calibrate(flux, usable)
    clean = usable & GOOD
    assert np.median(found.flux[SPOILED, clean[SPOILED]]) == pytest.approx(1, abs=1e-12)
    assert np.median(found.flux[SPOILED, ~usable[SPOILED]]) == pytest.approx(1.2, abs=2e-3)
    # A star without a usable point is at 1 by all that it has.
    assert np.median(found.flux[HOPELESS, GOOD]) == pytest.approx(1, abs=1e-12)


def test_points_of_bad_frames_and_nothing_but_noise() -> None:
    flux = np.array([[9.0, 2.0, 2.0, 8.0], [9.0, np.nan, np.nan, 8.0], [9.0, -1.0, -1.0, 8.0]])
    error = np.ones_like(flux)
    usable = np.array([[True, True, True, False]] * 3)
    normalise(flux, error, np.array([False, True, True, True]), usable)
    np.testing.assert_array_equal(flux[0], [4.5, 1.0, 1.0, 4.0])
    np.testing.assert_array_equal(flux[1], [9.0 / 8.0, np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(error[1], [1.0 / 8.0] * 4)
    assert np.isnan(flux[2]).all()
