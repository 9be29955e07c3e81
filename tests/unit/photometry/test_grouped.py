import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.relative import calibrate_grouped
from pipeline.relative.grouped import assign_groups, choose_references, group_snr
from pipeline.statistics import row_median
from tests.unit.made_curves import curves


def test_three_references_and_a_star_by_hand() -> None:
    flux = np.array([[10.0, 20.0, 10.0, 20.0], [12.0, 24.1, 12.0, 24.0], [8.0, 16.0, 8.1, 16.0], [5.0, 10.0, 5.0, 9.0]])
    candidates = np.array([True, True, True, False])
    xy = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    found = calibrate_grouped(curves(flux, 0.01 * flux, xy=xy), candidates)
    a, b, c, k = flux

    def snr(*curves: np.ndarray) -> float:
        m = np.array([np.mean(curve) for curve in curves])
        s = np.array([np.std(curve) for curve in curves])
        return float(np.sum(np.abs(m) / s**2) / np.sqrt(np.sum(1 / s**2)))

    everything = snr(a / ((b + c) / 2), b / ((a + c) / 2), c / ((a + b) / 2), k / ((a + b + c) / 3))
    without = [
        snr(a / ((b + c) / 2), b / c, c / b, k / ((b + c) / 2)),
        snr(a / c, b / ((a + c) / 2), c / a, k / ((a + c) / 2)),
        snr(a / b, b / a, c / ((a + b) / 2), k / ((a + b) / 2)),
    ]
    assert [value < everything for value in without] == [True, True, False]
    np.testing.assert_array_equal(found.is_reference, [True, True, False, False])
    np.testing.assert_array_equal(found.weight, [0.5, 0.5, 0.0, 0.0])
    for curve, relative in ((a / b, 0), (b / a, 1), (c / ((a + b) / 2), 2), (k / ((a + b) / 2), 3)):
        np.testing.assert_allclose(found.flux[relative], curve / np.median(curve))
    # Star k: its own 1 %, and the mean's sqrt(a² + b²) / (a + b) %.
    np.testing.assert_allclose(
        found.error[3] / found.flux[3], 0.01 * np.sqrt(1 + (a**2 + b**2) / (a + b) ** 2), rtol=1e-12
    )
    np.testing.assert_allclose(found.error[0] / found.flux[0], 0.01 * np.sqrt(2))


def test_groups_are_nine_places_times_flux_quantiles() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(0.0, 1000.0, (5000, 2))
    brightness = 10 ** rng.uniform(2.0, 6.0, 5000)
    candidates = rng.random(5000) < 0.2
    group = assign_groups(brightness, xy, candidates)
    edges_x, edges_y = (np.quantile(axis[candidates], [1 / 3, 2 / 3]) for axis in xy.T)
    place = np.digitize(xy[:, 1], edges_y) * 3 + np.digitize(xy[:, 0], edges_x)
    for number in range(9):
        here = place == number
        inside = (here & candidates).sum()
        numbers = np.unique(group[here])
        assert len(numbers) == min(inside // 6, int(np.sqrt(inside)))
        sizes = [(candidates & here & (group == one)).sum() for one in numbers]
        assert min(sizes) >= 6
        assert max(sizes) - min(sizes) <= 1
        brightest_before = 0.0
        for one in numbers:
            members = brightness[group == one]
            assert members.min() > brightest_before
            brightest_before = members.max()
    assert np.array_equal(np.unique(group), np.arange(group.max() + 1))


@pytest.mark.parametrize("stars", [3, 10])
def test_poor_fields_are_one_group(stars: int) -> None:
    rng = np.random.default_rng(1)
    xy = rng.uniform(0.0, 500.0, (stars, 2))
    transparency = rng.uniform(0.5, 1.0, 80)
    true = np.geomspace(1e5, 1e6, stars)[:, None] * transparency
    flux = true + rng.normal(size=true.shape) * np.sqrt(true)
    found = calibrate_grouped(curves(flux, np.sqrt(true), xy=xy), np.ones(stars, dtype=bool))
    if stars == 3:
        assert not found.group.any()
    assert found.is_reference.sum() >= 2
    assert np.nanmax(np.std(found.flux, axis=1)) < 0.006  # the clouds alone are 15 %


def test_a_flaring_candidate_is_dropped() -> None:
    rng = np.random.default_rng(2)
    true = np.full((8, 100), 1e6)
    true[3, 40:] *= 1.1
    flux = true + 1e3 * rng.normal(size=true.shape)
    chosen = choose_references(flux, np.ones(8, dtype=bool))
    assert not chosen[3]
    assert chosen.sum() >= 2


def test_only_stars_with_the_most_epochs_count() -> None:
    rng = np.random.default_rng(3)
    relative = 1.0 + 0.01 * rng.normal(size=(3, 50))
    holed = np.vstack([relative, relative[:1]])
    holed[3, 10] = np.nan
    assert group_snr(holed) == pytest.approx(group_snr(relative))
    s = relative.std(axis=1)
    expected = (relative.mean(axis=1) / s**2).sum() / np.sqrt((1 / s**2).sum())
    assert group_snr(relative) == pytest.approx(expected)


def test_a_rich_field_is_freed_of_its_clouds() -> None:
    rng = np.random.default_rng(4)
    brightness = 10 ** rng.uniform(5.0, 6.0, 400)
    transparency = rng.uniform(0.5, 1.0, 100)
    true = brightness[:, None] * transparency
    flux = true + rng.normal(size=true.shape) * np.sqrt(true)
    xy = rng.uniform(0.0, 1000.0, (400, 2))
    candidates = rng.random(400) < 0.5
    found = calibrate_grouped(curves(flux, np.sqrt(true), xy=xy), candidates)
    floor = np.sqrt(np.mean(1.0 / true, axis=1))
    ratio = found.flux.std(axis=1) / floor
    assert np.median(ratio) < 1.25  # six references a group: sqrt(1 + 1/6) at best
    assert not found.is_reference[~candidates].any()
    np.testing.assert_allclose(row_median(found.flux), 1.0)
    for number in np.unique(found.group):
        assert found.weight[found.group == number].sum() == pytest.approx(1.0)
    pull = (found.flux - 1.0) / found.error
    assert pull.std() == pytest.approx(1.0, abs=0.05)


def test_too_few_candidates_are_refused() -> None:
    flux = np.ones((4, 6))
    with pytest.raises(UnusableDataError, match="1 reference candidates among 4 stars"):
        calibrate_grouped(curves(flux, flux, xy=np.zeros((4, 2))), np.arange(4) == 0)
