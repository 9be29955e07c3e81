"""Constant stars beside bright neighbours as the seeing changes are no candidates; transits are; trends stand apart."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.aperture.crowding import contamination
from pipeline.variability import (
    Suspicion,
    best_dip,
    neighbour_correlation,
    nuisance,
    search_variables,
    suspicions,
    without,
)
from pipeline.variability.nuisance import trend_test
from tests.unit.made_curves import curves

Floats = NDArray[np.float64]

STARS, FRAMES, LENGTH = 500, 140, 0.28
TIME = 2459000.0 + np.linspace(0.0, LENGTH, FRAMES)
SINCE = (TIME - TIME[0]) / LENGTH
RADIUS, FWHM, SIDE = 3.6, 3.0, 700.0


@dataclass
class Field:
    """One crowded night; `covariates` as `search_variables` takes them."""

    flux: Floats
    error: Floats
    magnitude: Floats
    xy: Floats
    covariates: Floats
    light: Floats

    @property
    def quiet(self) -> NDArray[np.int64]:
        """Lone stars of 3 to 6 permille a point."""
        noise = np.median(self.error, axis=1)
        return np.flatnonzero((self.light < 0.005) & (noise > 0.003) & (noise < 0.006))

    def found(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Candidates, and stars that no constant one is likely to look like but for a trend."""
        doubt = suspicions(
            neighbour_correlation=neighbour_correlation(curves(self.flux, self.error, xy=self.xy), 4 * RADIUS)
        )
        search = search_variables(
            curves(self.flux, self.error, time=TIME),
            self.magnitude,
            doubt,
            covariates=self.covariates,
            contamination=self.light,
        )
        steep = ((search.ranking.suspicion & Suspicion.TREND) != 0) & (search.ranking.family_wise < 0.002)
        return np.flatnonzero(search.ranking.significant), np.flatnonzero(steep)


def crowded_field(seed: int) -> Field:
    """Stars of 10 to 16.5 mag as thick as in the Milky Way, seeing from 2.3 to 4 pixels, red noise of a permille."""
    rng = np.random.default_rng(seed)
    xy, magnitude = rng.uniform(0.0, SIDE, (STARS, 2)), 10 + np.log10(1 + rng.uniform(size=STARS) * 88.0) / 0.3
    kernel = np.exp(-0.5 * (np.arange(-40, 41) / 15) ** 2)
    slow = np.convolve(rng.normal(size=FRAMES + 80), kernel, "valid")
    width = np.clip(FWHM * (1 + 0.15 * slow / slow.std() + 0.02 * rng.normal(size=FRAMES)), 2.3, 4.0)
    light = 30.0 * 10 ** (-0.4 * (magnitude - 20.0))
    grid = np.linspace(width.min(), width.max(), 5)
    brought = np.stack([contamination(xy, light, RADIUS, one) for one in grid], axis=1)
    flux = 1.0 + np.stack([np.interp(width, grid, one) for one in brought])
    red = np.array([np.convolve(one, kernel, "valid") for one in rng.normal(size=(STARS, FRAMES + 80))])
    flux *= 1.0 + 0.001 * red / red.std(axis=1, keepdims=True)
    error = np.hypot(np.sqrt(light[:, None] * flux + 16_000.0) / light[:, None], 0.0015)
    flux += error * rng.normal(size=flux.shape)
    level = np.median(flux, axis=1, keepdims=True)
    covariates = np.stack([width, np.square(width - np.median(width)), 400.0 + 20.0 * rng.normal(size=FRAMES)])
    return Field(flux / level, error / level, magnitude, xy, covariates, brought[:, 2])


def transit(mid: float, depth: float) -> Floats:
    """A third of the night long, from first to last contact."""
    return 1.0 - depth * np.clip((0.165 - np.abs(SINCE - mid)) / 0.03, 0.0, 1.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_seeing_makes_no_candidates_of_neighbours_and_hides_no_transit(seed: int) -> None:
    field = crowded_field(seed)
    hosts, steep = np.split(np.random.default_rng(seed).choice(field.quiet, 6, replace=False), [4])
    for number, star in enumerate(hosts):
        field.flux[star] *= transit(0.4 + 0.07 * number, 0.02)
    field.flux[steep] *= 1.0 + np.outer([0.02, -0.03], SINCE - 0.5)
    candidates, trends = field.found()
    assert set(candidates) <= set(hosts)
    assert len(candidates) >= 3
    assert set(steep) <= set(trends)


def test_a_neighbours_eclipse_below_the_noise_is_the_neighbours() -> None:
    """A star of 5 permille a point beside a binary that brings 2 % of its light: the eclipse shows 6 permille of it."""
    field = crowded_field(4)
    rng = np.random.default_rng(4)
    victim = field.quiet[0]
    bright = np.argsort(field.magnitude)[2]
    eclipse = 0.3 * np.exp(-0.5 * ((SINCE - 0.5) / 0.1) ** 2)
    field.flux[bright] *= 1.0 - eclipse
    field.flux[victim] = 1.0 - 0.03 * eclipse + 0.005 * rng.normal(size=FRAMES)
    field.error[victim] = 0.005
    field.xy[victim] = field.xy[bright] + 9.0
    candidates, _ = field.found()
    assert bright in candidates
    assert victim not in candidates


def test_a_dip_is_measured_beside_a_trend_and_the_frames() -> None:
    """Depth within four errors, mid-time within an eighth of the duration; a trend alone is no dip."""
    rng = np.random.default_rng(5)
    frames = np.stack([np.sin(9.0 * SINCE), rng.normal(size=FRAMES)])
    columns = nuisance(TIME, frames)
    slope = 1.0 + 0.05 * (SINCE - 0.3) ** 2 + 0.02 * frames[0]
    flux = slope * np.stack([transit(0.45, 0.02), np.ones(FRAMES)]) + 0.003 * rng.normal(size=(2, FRAMES))
    flux[1, 70] = 0.5  # a wild point is no dip
    error = np.full(flux.shape, 0.001)  # quoted three times too small
    found = best_dip(curves(flux, error, time=TIME), columns.all)
    assert found.depth[0] == pytest.approx(0.02, abs=4 * 0.02 / found.snr[0])
    assert (found.start[0] + 0.5 * found.duration[0] - TIME[0]) / LENGTH == pytest.approx(0.45, abs=0.04)
    assert found.log_false_alarm[0] < np.log(1e-6)
    assert found.log_false_alarm[1] > np.log(1e-2)
    cleaned = without(curves(flux, error), columns.all).flux
    assert np.std(np.delete(cleaned[1], 70)) == pytest.approx(0.003, rel=0.15)


def test_white_noise_has_no_dips_and_no_trends() -> None:
    rng = np.random.default_rng(6)
    flux = 1.0 + 0.01 * rng.normal(size=(600, FRAMES))
    error = np.full(flux.shape, 0.01)
    columns = nuisance(TIME, rng.normal(size=(3, FRAMES)))
    dips = best_dip(curves(flux, error, time=TIME), columns.all)
    # 6 of 600 expected where the white noise's trials are counted truly; dips beside columns have fewer.
    assert np.sum(dips.log_false_alarm < np.log(0.01)) <= 14
    sigma, reach = trend_test(curves(flux, error), columns.trend)
    assert np.mean(sigma) == pytest.approx(0.0, abs=0.3)
    assert np.sum(sigma > 3.0) <= 5
    # A slope and a curvature of white noise: some 3.5 standard errors from end to end.
    assert np.median(reach) < 4.0 * 0.01 * np.sqrt(12.0 / FRAMES)
