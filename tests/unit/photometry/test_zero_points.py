"""Zero points against nights that were made with known ones; stars that were not used judge the errors."""

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.statistics import robust_scatter
from pipeline.zero_points import (
    Places,
    calibrators,
    fit_zero_points,
    gaia_colour_error,
    measured_well,
    with_colours,
)
from tests.unit.photometry.zero_point_night import ZERO_POINT, Night, Truth, level_error, make, with_seed

UNBIASED = 0.005  # mag
FRAMES = 60


def clouds() -> np.ndarray:
    """A quarter of the night dims by 0.2 to 2 mag."""
    dimmed = np.zeros(FRAMES)
    dimmed[30:45] = np.linspace(0.2, 2.0, 15)
    return dimmed


def swinging(size: float = 0.03) -> np.ndarray:
    """A gradient that turns round through the night, and a cloud with structure on six frames."""
    moving = np.zeros((FRAMES, 5))
    moving[:, 0] = np.linspace(-size, size, FRAMES)
    moving[:, 1] = size / 2 * np.sin(np.arange(FRAMES) / 8.0)
    return moving


def pulls(night: Night, calibrators: int) -> np.ndarray:
    """(mag - G) / mag_error of stars that were not used, where photon noise is below a tenth of a magnitude."""
    mag, error = night.magnitudes(night.fit(calibrators))
    sure = 1.0857 * night.error / night.flux < 0.1
    ratio = (mag - night.g_mag[:, None]) / error
    return np.asarray(ratio[calibrators:][sure[calibrators:] & np.isfinite(ratio[calibrators:])])


@pytest.mark.parametrize(
    ("truth", "dimmed", "moving"),
    [
        pytest.param(Truth(), None, None, id="plain"),
        pytest.param(Truth(colour_term=-0.15), None, None, id="red filter"),
        pytest.param(Truth(colour_term=0.25, gradient=(0.03, -0.02, 0.01, 0.01, 0.0)), None, None, id="blue, gradient"),
        pytest.param(Truth(colour_term=0.1, extinction=0.3), None, None, id="extinction"),
        pytest.param(Truth(colour_term=0.1), clouds(), None, id="clouds"),
        pytest.param(Truth(colour_term=0.1, own_scatter=0.01), None, swinging(), id="moving gradient"),
    ],
)
def test_levels_and_colours_are_unbiased(truth: Truth, dimmed: np.ndarray | None, moving: np.ndarray | None) -> None:
    """The night within 2.5 mmag, each clear frame within 5, and those that lose up to 2 mag within 12."""
    for seed in range(3):
        night = make(with_seed(truth, seed), dimmed, moving)
        found = night.fit()
        off = level_error(night, found)
        clear = np.ones(FRAMES, dtype=bool) if dimmed is None else dimmed < 0.5
        assert abs(off.mean()) < UNBIASED / 2
        assert np.abs(off[clear]).max() < UNBIASED
        assert np.abs(off).max() < 0.012
        assert found.colour_term == pytest.approx(truth.colour_term, abs=0.006)
        assert found.used.mean() > 0.95


@pytest.mark.parametrize("own_scatter", [0.004, 0.012])
@pytest.mark.parametrize(
    ("stars", "tolerance"),
    [(300, 0.05), (100, 0.06), (25, 0.1), (8, 0.15)],
)
def test_errors_describe_the_scatter_of_stars_that_were_not_used(
    stars: int, own_scatter: float, tolerance: float
) -> None:
    """Over stars, frames and twelve nights: within 5 % where there are stars, 15 % for eight that tell all of it."""
    truth = Truth(stars=stars + 200, frames=20, own_scatter=own_scatter, colour_term=0.15, faintest=15.5, flicker=0.002)
    squares = [np.mean(np.square(pulls(make(with_seed(truth, seed)), stars))) for seed in range(12)]
    assert np.sqrt(np.mean(squares)) == pytest.approx(1.0, abs=tolerance)


def test_three_stars_do() -> None:
    """Each of many nights gets zero points, off by no more than two of the quoted errors in 19 of 20."""
    off, error = [], []
    for seed in range(40):
        night = make(Truth(stars=3, frames=20, faintest=13.0, own_scatter=0.01, seed=seed))
        found = night.fit()
        assert np.isfinite(found.zero_point).all()
        off.append(level_error(night, found).mean())
        error.append(float(np.median(found.error)))
    assert np.mean(np.abs(off) < 2 * np.array(error)) >= 0.9
    assert np.median(error) < 0.03


def test_stars_of_one_colour_tell_no_colour_term_but_a_level() -> None:
    """The term goes to zero rather than wild, and the level is right for stars of that colour."""
    night = make(Truth(stars=30, faintest=14.0, colour_spread=0.002, colour_term=0.2))
    found = night.fit()
    assert abs(found.colour_term) < 1.0
    assert np.abs(level_error(night, found)).max() < 0.008


@pytest.mark.parametrize("own_scatter", [0.003, 0.008])
def test_a_sky_that_is_off_under_all_stars_moves_no_zero_point(own_scatter: float) -> None:
    """By 30 mmag of the faintest: crowded annuli hold light that isolated stars do not have in their apertures."""
    mean_off = []
    for seed in range(8):
        night = make(Truth(faintest=17.5, own_scatter=own_scatter, seed=seed))
        night.flux -= 0.03 * 10.0 ** (0.4 * (ZERO_POINT - 17.5))
        mean_off.append(level_error(night, night.fit()).mean())
    assert np.abs(mean_off).max() < UNBIASED / 2


def test_a_bright_variable_does_not_carry_the_night_along() -> None:
    """The brightest star swings by 30 %: among two hundred, and among six, where it outshines the others together."""
    for stars, limit in ((200, UNBIASED), (6, 0.02)):
        for seed in range(4):
            night = make(Truth(stars=stars, faintest=15.0, seed=seed))
            brightest = int(np.argmin(night.g_mag))
            swing = 1.0 + 0.3 * np.sin(np.arange(FRAMES) / 9.0)
            night.flux[brightest] *= swing
            found = night.fit()
            zero_point = found.zero_point - np.median(found.zero_point)
            assert abs(np.corrcoef(zero_point, swing)[0, 1] * np.std(zero_point)) < limit / 2
            assert np.ptp(zero_point) < 2 * limit


def test_misidentified_stars_are_found_and_do_no_harm() -> None:
    """One star in twenty is another one, 0.3 to 4 mag off."""
    for seed in range(4):
        night = make(Truth(colour_term=0.2, seed=seed))
        generator = np.random.default_rng(seed)
        wrong = generator.choice(night.g_mag.size, 10, replace=False)
        night.g_mag[wrong] += generator.uniform(0.3, 4.0, 10) * generator.choice([-1, 1], 10)
        found = night.fit()
        assert not found.used[wrong].any()
        assert found.used.sum() > 180
        assert found.colour_term == pytest.approx(0.2, abs=0.006)
        assert np.abs(level_error(night, found)).max() < UNBIASED
        assert np.median(found.error) < 0.008


def test_a_star_that_comes_and_goes_does_not_move_the_frames() -> None:
    """A bright star that is 30 mmag from Gaia's magnitude, on half the frames only: their zero points stay level."""
    night = make(Truth(stars=12, faintest=14.0, own_scatter=0.02, seed=3))
    brightest = int(np.argmin(night.g_mag))
    night.usable[brightest, ::2] = False
    zero_point = night.fit().zero_point
    assert abs(zero_point[::2].mean() - zero_point[1::2].mean()) < 0.002


def test_transparency_is_the_light_that_comes_through() -> None:
    dimmed = clouds()
    found = make(Truth(), dimmed).fit()
    np.testing.assert_allclose(found.transparency, 10 ** (-0.4 * dimmed), atol=0.01)


def test_moving_gradients_are_followed_and_cost_nothing_where_there_are_none() -> None:
    """On a still night the frames' own terms vanish: the field differs between frames by less than 1 mmag."""
    still = make(Truth(own_scatter=0.01)).fit().field
    assert np.std(still[:, 0]) < 0.001
    moving = swinging()
    followed = make(Truth(own_scatter=0.01), None, moving).fit().field
    np.testing.assert_allclose(followed[:, 0] - followed[:, 0].mean(), moving[:, 0], atol=0.006)


def test_unrest_of_a_frame_is_in_its_error() -> None:
    """Patchy clouds of 50 mmag on one frame: its error says so, the others' do not."""
    night = make(Truth(faintest=15.0))
    night.flux[:, 7] *= 10 ** (-0.4 * 0.05 * np.random.default_rng(1).standard_normal(night.g_mag.size))
    error = night.fit().error
    assert error[7] == pytest.approx(0.05, rel=0.2)
    assert np.delete(error, 7).max() < 0.01


def test_rejected_frames_are_measured_but_have_no_say() -> None:
    """Their stars are off by a wild field; colour and places of the night stay what they are."""
    night = make(Truth(colour_term=0.1))
    wild = slice(0, 20)
    night.good[wild] = False
    night.flux[:, wild] *= 10 ** (-0.4 * 0.5 * night.places.u[:, None])
    found = night.fit()
    assert np.isfinite(found.zero_point).all()
    assert found.colour_term == pytest.approx(0.1, abs=0.006)
    assert np.abs(found.field[20:]).max() < 0.008
    assert np.abs(level_error(night, found)[20:]).max() < UNBIASED


def test_frames_of_one_star_have_no_zero_point() -> None:
    night = make(Truth(stars=20))
    night.usable[1:, 4] = False
    found = night.fit()
    assert np.flatnonzero(np.isnan(found.zero_point)).tolist() == [4]
    assert np.isnan([found.error[4], found.transparency[4]]).all()


def test_too_few_stars_and_shapes_that_do_not_fit_are_refused() -> None:
    night = make(Truth(stars=20))
    night.usable[2:] = False
    with pytest.raises(UnusableDataError, match="2 stars of known G are measured well: expected at least 3"):
        night.fit()
    with pytest.raises(UnusableDataError, match=r"usable \(20, 60\), frames \(59,\)"):
        fit_zero_points(night.flux, night.error, night.usable, night.good[1:], night.g_mag, night.places, night.places)


def test_who_may_calibrate() -> None:
    """Gaia's variables, blends, stars without G or colour, and stars with bright neighbours may not."""
    n = 60
    g_mag, colour = np.full(n, 14.0), np.full(n, 0.8)
    variable, ratio, neighbours = np.zeros(n, dtype=bool), np.full(n, np.nan), np.zeros(n)
    g_mag[0], colour[1], variable[2], ratio[3], neighbours[4] = np.nan, np.nan, True, 1.4, 0.1
    ratio[5], neighbours[6] = 1.6, 0.01
    allowed, relaxed = calibrators(g_mag, colour, variable, ratio, neighbours)
    assert np.flatnonzero(~allowed).tolist() == [0, 1, 2, 3, 4]
    assert not relaxed
    crowded, relaxed = calibrators(g_mag, colour, variable, ratio, np.full(n, 0.1))
    assert np.flatnonzero(~crowded).tolist() == [0, 1, 2, 3]
    assert relaxed


def test_which_values_count() -> None:
    """No flagged value, no star that is measured on less than half the good frames, or that saturates now and then."""
    flux, flag = np.full((6, 20), 1e4), np.zeros((6, 20), dtype=np.int32)
    good = np.ones(20, dtype=bool)
    good[0] = False
    flag[1, 3] = Flag.COSMIC_RAY
    flag[2, :11] = Flag.EDGE
    flag[3, [4, 9]] = Flag.SATURATED
    flag[4] = Flag.CROWDED
    flag[5, 0] = Flag.SATURATED  # on a rejected frame
    usable = measured_well(flux, np.full(flux.shape, 10.0), flag, good, relaxed=False)
    assert usable.sum(axis=1).tolist() == [20, 19, 0, 0, 0, 19]
    relaxed = measured_well(flux, np.full(flux.shape, 10.0), flag, good, relaxed=True)
    assert relaxed.sum(axis=1).tolist() == [20, 19, 0, 0, 20, 19]


def test_colours_of_stars_that_have_none() -> None:
    colour = np.array([0.5, 0.8, 1.1, np.nan])
    filled, error = with_colours(colour, np.array([13.0, 17.0, 20.0, np.nan]))
    assert filled.tolist() == pytest.approx([0.5, 0.8, 1.1, 0.8])
    assert error.tolist() == pytest.approx([0.0011, 0.0134, 0.12, robust_scatter(colour[None])[0]])
    assert gaia_colour_error(np.array([8.0, 18.0])).tolist() == pytest.approx([0.0011, 0.0278], rel=0.01)


def test_more_frames_than_one_look_at_the_same_stars() -> None:
    """What one frame cannot tell the night can: the colour term of single frames scatters ten times as much."""
    truth = Truth(stars=40, colour_term=0.1, faintest=16.5, own_scatter=0.002)
    night = make(truth)
    alone = []
    for t in range(0, FRAMES, 6):
        one = slice(t, t + 1)
        found = fit_zero_points(
            night.flux[:, one],
            night.error[:, one],
            night.usable[:, one],
            night.good[one],
            night.g_mag,
            night.places,
            Places(night.places.u, night.places.v, night.places.colour),
        )
        alone.append(found.colour_term - 0.1)
    together = night.fit().colour_term - 0.1
    assert abs(together) < 0.004
    assert np.std(alone) > abs(together)
