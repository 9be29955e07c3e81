"""Whether errors of transits are honest: mid-times and radii of simulated nights, in white and in lasting noise."""

import numpy as np
import pytest

from pipeline.transit.joint import fit_transits
from tests.unit.photometry.test_joint_transits import PRIOR, night, pulls

NIGHTS = 14
STEPS = 200  # of 350 the pulls are the same to 0.03


@pytest.mark.parametrize(("red", "most"), [(0.0, 1.45), (0.0015, 1.75)])
def test_pulls_of_mid_times_and_radii(red: float, most: float) -> None:
    """Root of the mean square, where 14 honest nights give 0.8 to 1.2; β of residuals gave 1.6 and 1.8 in red noise."""
    found = []
    for seed in range(NIGHTS):
        fit = fit_transits([night(0, "V", np.random.default_rng(200 + seed), red=red)], PRIOR, seed=seed, steps=STEPS)
        found.append(pulls(fit))
    mid_time, radius = np.sqrt(np.mean(np.square(found), axis=0))
    assert 0.6 < mid_time < most
    assert 0.4 < radius < most
