"""Fields from poor to crowded, each under other conditions: light curves reach the noise of their photons.

The densities are those of 300, 1,500 and 10,000 stars on 2048 × 2048 pixels. The frames are smaller, so that a night
takes seconds: a part of a frame has the sky, crowding and drift of the whole, and fewer reference stars: harder.
`make bench-photometry ARGS=--matrix` makes whole frames.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.noise_limit import COMMON, NIGHTS, QUOTED_BINS, Comparison, run_night
from tests.acceptance.reference_curves import COMMAND, Curves, change, curves, stored, versions

FIVE_MAGNITUDES = 15.5  # from the brightest stars, 10.5; none is saturated
MAX_OVER_FLOOR = 1.10
QUOTED_WITHIN = 0.10
AMPLITUDE_WITHIN = 0.03
SAME_SIGMA = 1e-4  # of a flux's error: what rounding may do
SAME_SHARE = 0.99  # of the points; another processor's rounding may turn a comparison here and there
FEWEST_STARS = 8  # of a bin; the median of fewer says little: each star's scatter is known to 1 in 10


@pytest.fixture(scope="module", params=NIGHTS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limit") / str(request.param)


@pytest.fixture(scope="module")
def compared(folder: Path) -> Comparison:
    return run_night(folder, **COMMON | NIGHTS[folder.name])


@pytest.fixture(scope="module")
def before_and_now(folder: Path, compared: Comparison) -> tuple[Curves, Curves]:
    """The night as it is kept, and as it is."""
    return stored()[0][folder.name], curves(compared, folder / "night")


def test_scatter_is_within_a_tenth_of_the_floor(compared: Comparison) -> None:
    """Constant stars over five magnitudes, the floor that of each star's best circle by the truth."""
    stars = compared.constant()
    stars = stars[compared.mag(stars) < FIVE_MAGNITUDES]
    assert stars.size >= FEWEST_STARS
    ratio = float(np.median(compared.over_floor(stars)))
    # Far below the floor there would be no truth in it: the best of a few apertures gains some per cent by luck.
    assert 0.85 < ratio < MAX_OVER_FLOOR


def test_quoted_errors_are_right_to_a_tenth(compared: Comparison) -> None:
    stars = compared.constant()
    mag, ratio = compared.mag(stars), compared.over_quoted(stars)
    for low, high in QUOTED_BINS:
        here = (mag >= low) & (mag < high)
        if here.sum() >= FEWEST_STARS:
            assert np.median(ratio[here]) == pytest.approx(1, abs=QUOTED_WITHIN), f"magnitude {low} to {high}"
    assert np.median(ratio) == pytest.approx(1, abs=QUOTED_WITHIN)


def test_injected_variations_keep_their_amplitude(compared: Comparison) -> None:
    """Weighted by what is known of each, and each by itself as far as noise lets it be known."""
    fits = np.array([compared.amplitude(source) for source in compared.variables()])
    assert len(fits) == 3
    size, uncertainty = fits.T
    assert (np.abs(size - 1) < np.maximum(AMPLITUDE_WITHIN, 3 * uncertainty)).all()
    assert np.average(size, weights=uncertainty**-2) == pytest.approx(1, abs=AMPLITUDE_WITHIN)


def test_no_reference_star_is_variable(compared: Comparison) -> None:
    assert compared.references.size >= FEWEST_STARS
    assert np.intersect1d(compared.references, compared.variables()).size == 0


def test_light_curves_are_no_worse_than_they_were(before_and_now: tuple[Curves, Curves], compared: Comparison) -> None:
    """Scatter, by the noise of the comparison of the same stars on the same frames; errors that follow the scatter."""
    mag = np.asarray(compared.truth.stars.mag)
    judged = 0
    for low, high in QUOTED_BINS:
        found = change(*before_and_now, mag, low, high)
        if found.stars >= FEWEST_STARS:
            judged += found.stars
            assert found.scatter < found.slack, f"magnitude {low} to {high}: {found}; {COMMAND} shows all"
            assert abs(found.error - found.scatter) < found.slack, f"magnitude {low} to {high}: {found}"
    assert judged > 0.8 * before_and_now[0].stars.size


def test_no_fewer_stars_and_points_than_there_were(before_and_now: tuple[Curves, Curves]) -> None:
    """What stands at a threshold may come and go: as many go as come, to three sigma of their sum (McNemar 1947)."""
    before, now = before_and_now
    np.testing.assert_array_equal(now.good, before.good)
    for was, is_now in ((before.points >= 0, now.points >= 0), (before.points, now.points)):
        fewer, more = np.sum(is_now < was), np.sum(is_now > was)
        assert fewer - more <= 3 * np.sqrt(fewer + more)
    # Few stars may not lose much, either.
    assert now.points.clip(0).sum() > 0.998 * before.points.clip(0).sum()


def test_the_same_steps_give_the_same_numbers(before_and_now: tuple[Curves, Curves]) -> None:
    kept = stored()[1]
    same_steps = {command: versions().get(command) for command in kept}  # a new step changes none that was there
    assert same_steps == kept, f"a step has another version: look what changed, and keep it: {COMMAND}"
    before, now = before_and_now
    if before.frames != now.frames:
        pytest.skip(f"other random numbers than those of the frames of {COMMAND}")
    np.testing.assert_array_equal(now.stars, before.stars)
    same = np.abs(now.flux - before.flux) <= SAME_SIGMA * before.error[before.stars][:, None]
    assert np.mean(same | (np.isnan(now.flux) & np.isnan(before.flux))) >= SAME_SHARE
    measured = before.points > 0
    error, level = before.error[measured], before.level[measured]
    assert np.mean(np.abs(now.level[measured] / level - 1) <= SAME_SIGMA * error) >= SAME_SHARE
    assert np.mean(np.abs(now.error[measured] / error - 1) <= SAME_SIGMA) >= SAME_SHARE
