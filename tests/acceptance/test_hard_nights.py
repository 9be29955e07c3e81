"""Nights that are hard on a pipeline: no star lost, none twice, no point wrong, and the noise of the photons.

Each is a preset of `tianyu simulate` with fewer frames, so that it takes seconds.
"""

import numpy as np
import pytest

from pipeline.flags import Flag
from pipeline.trials.simulation.psf import Haloed, Ring
from tests.acceptance.hard_night import WRONG_ERRORS, HardNight, run_hard

NIGHTS = {
    "window": {"n_frames": 100},
    "window of 120 rows": {"preset": "window", "shape": (120, 520), "n_stars": 9, "seed": 46, "n_frames": 70},
    "defocus": {"n_frames": 25},
    "small rings": {"preset": "defocus", "psf": Ring(8.0, obstruction=0.3), "n_frames": 25},
    "spider": {"n_frames": 40},  # of 25, the median of its 19 stars errs by 5 %
    "coma": {"n_frames": 25},
    "undersampled": {"n_frames": 25, "n_flat": 20, "cosmic_rays": 60.0},
    "halo": {"n_frames": 25},
    "few": {},
}
MAX_OVER_FLOOR = 1.10
QUOTED_WITHIN = 0.10
AMPLITUDE_WITHIN = 0.03
USABLE = 0.97  # of the points on good frames whose apertures lie inside, away from bad pixels and saturation
FEWEST_QUOTED = 8  # stars; of fewer the median says little, for each star's scatter is known to 1 in 7
APART = Flag.BAD_PIXEL | Flag.SATURATED | Flag.NONLINEAR  # of the camera and the star's brightness


@pytest.fixture(scope="module", params=NIGHTS)
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HardNight:
    name: str = request.param
    changes = {"preset": name} | NIGHTS[name]
    return run_hard(tmp_path_factory.mktemp("hard"), changes.pop("preset"), **changes)


def test_no_frame_is_lost(night: HardNight) -> None:
    """There are no accidents on these nights."""
    assert [reason for reason in night.compared.night.reasons if reason] == []


def test_no_star_is_missing(night: HardNight) -> None:
    assert night.missing() == []


def test_a_halo_makes_no_sources(night: HardNight) -> None:
    if isinstance(night.compared.truth.spec.psf, Haloed):
        assert night.compared.night.xy[night.compared.stars < 0].tolist() == []


def test_no_star_is_there_twice(night: HardNight) -> None:
    assert night.doubled() == []
    assert np.unique(night.compared.night.source).size == len(night.compared.night.xy)


def test_points_inside_the_frame_are_usable(night: HardNight) -> None:
    compared = night.compared
    inside = np.isin(compared.stars, night.inside(compared.night.radii.max() + 1))
    flag = compared.night.flag[inside][:, compared.night.good]
    usable = compared.night.usable[inside][:, compared.night.good][(flag & APART) == 0]
    assert usable.mean() > USABLE


def test_no_usable_point_is_wrong(night: HardNight) -> None:
    off = np.abs(night.errors_off())
    assert np.isfinite(off).any()
    assert off[np.isfinite(off)].max() < WRONG_ERRORS


def test_scatter_is_within_a_tenth_of_the_floor(night: HardNight) -> None:
    ratio = night.over_floor()
    assert ratio.size >= 2
    assert 0.85 < np.median(ratio) < MAX_OVER_FLOOR


def test_quoted_errors_are_right(night: HardNight) -> None:
    ratio = night.compared.over_quoted(night.compared.constant())
    if ratio.size >= FEWEST_QUOTED:
        assert np.median(ratio) == pytest.approx(1, abs=QUOTED_WITHIN)


def test_the_transit_keeps_its_depth(night: HardNight) -> None:
    compared = night.compared
    [transit] = compared.variables()
    size, uncertainty = compared.amplitude(int(transit))
    assert abs(size - 1) < max(AMPLITUDE_WITHIN, 3 * uncertainty)
