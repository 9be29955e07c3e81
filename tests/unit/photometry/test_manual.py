import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.relative import PickLimits, Roles, calibrate_manual, pick_roles
from tests.unit.made_curves import curves

EPOCHS = 200
GOOD = np.ones(EPOCHS, dtype=bool)
HOURS = np.linspace(0.0, 6.0, EPOCHS)


def mask(*numbers: int, n: int) -> np.ndarray:
    return np.isin(np.arange(n), numbers)


def test_a_target_over_the_sum_of_its_references_by_hand() -> None:
    flux = np.array([[10.0, 12.0, 9.0], [20.0, 20.0, 18.0], [5.0, 6.0, 4.0], [7.0, 7.0, 7.0]])
    found = calibrate_manual(curves(flux, 0.01 * flux), mask(1, 2, n=4))
    for star, comparison in ((0, flux[1] + flux[2]), (3, flux[1] + flux[2]), (1, flux[2]), (2, flux[1])):
        ratio = flux[star] / comparison
        np.testing.assert_allclose(found.flux[star], ratio / np.median(ratio))
    share = (flux[1] ** 2 + flux[2] ** 2) / (flux[1] + flux[2]) ** 2
    np.testing.assert_allclose(found.error[0] / found.flux[0], 0.01 * np.sqrt(1 + share))
    np.testing.assert_allclose(found.error[1] / found.flux[1], 0.01 * np.sqrt(2))
    np.testing.assert_array_equal(found.is_reference, [False, True, True, False])
    np.testing.assert_array_equal(found.weight, [0.0, 0.5, 0.5, 0.0])


def test_a_lone_reference_and_one_that_is_missing() -> None:
    flux = np.array([[10.0, 12.0, 9.0], [20.0, np.nan, 18.0]])
    found = calibrate_manual(curves(flux, 0.01 * flux), mask(1, n=2))
    assert np.isnan(found.flux[1]).all()
    np.testing.assert_array_equal(np.isfinite(found.flux[0]), [True, False, True])


@pytest.mark.parametrize(
    ("references", "flux", "message"),
    [
        ([], [[1.0, 1.0], [1.0, 1.0]], "no reference star among 2 stars"),
        ([0, 1], [[1.0, np.nan], [np.nan, 1.0]], r"nowhere measured together: they have \[1, 1\] of 2 good epochs"),
    ],
)
def test_references_that_cannot_serve_are_refused(references: list[int], flux: list[list[float]], message: str) -> None:
    values = np.array(flux)
    with pytest.raises(UnusableDataError, match=message):
        calibrate_manual(curves(values, values), mask(*references, n=2))


class Night:
    """30 constant stars from 2 to 40 mmag, one pulsator in the middle (4) and one at the edge (5), under clouds."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.noise = np.geomspace(0.002, 0.04, 30)
        self.signal = np.ones((30, EPOCHS))
        self.signal[4] += 0.1 * np.sin(HOURS)
        self.signal[5] += 0.1 * np.sin(1.3 * HOURS)
        level = 1.0 / self.noise**2
        true = level[:, None] * rng.uniform(0.6, 1.0, EPOCHS) * self.signal
        self.error = self.noise[:, None] * true
        self.flux = true + self.error * rng.normal(size=true.shape)
        self.flag = np.zeros(true.shape, dtype=np.int32)
        self.xy = np.column_stack([np.linspace(0, 1000, 30), np.tile([0.0, 600.0, 300.0], 10)])
        self.xy[4], self.xy[5] = (520.0, 310.0), (980.0, 20.0)

    def pick(self, named: Roles | None = None, **limits: float) -> Roles:
        nobody = np.zeros(30, dtype=bool)
        return pick_roles(
            curves(self.flux, self.error, flag=self.flag, xy=self.xy, good=GOOD),
            named or Roles(nobody, nobody, nobody),
            PickLimits(**limits),
        )


def numbers(found: np.ndarray) -> list[int]:
    return np.flatnonzero(found).tolist()


def test_variables_in_the_middle_are_targets_and_quiet_bright_stars_references() -> None:
    night = Night()
    found = night.pick()
    assert numbers(found.target) == [4]
    bright = [star for star in range(30) if night.noise[star] < 0.0184 and star not in (4, 5)]  # 0.02 mag
    assert set(numbers(found.reference)) <= set(bright)
    assert not (found.reference & found.check).any()
    assert {0, 1, 2, 3} <= set(numbers(found.reference | found.check))
    assert found.check.sum() == 1
    assert numbers(night.pick(target_radius=2.0).target) == [4, 5]
    assert night.pick(references=4).reference.sum() == 4
    # The check star is as bright as the target, so that its scatter tells what the target's would be.
    assert numbers(night.pick(references=4).check) == [6]


def test_what_shuts_a_star_out_of_the_picks() -> None:
    night = Night()
    night.flux[0, : EPOCHS // 4] = np.nan
    night.flag[1, : EPOCHS // 4] = Flag.SATURATED
    night.flux[2] *= 1.0 + 0.03 * np.sin(HOURS)  # scatters by 0.023 mag
    night.flux[3, :20] *= 1.1  # ranges over 0.1 mag, and scatters by 0.03
    for found in (night.pick(scatter_max=0.02), night.pick(scatter_max=0.05, range_max=0.06)):
        assert not (found.reference | found.check)[[0, 1, 3, 5]].any()
        assert found.reference.any()
    strict, loose = night.pick(scatter_max=0.02), night.pick(scatter_max=0.05)
    assert not (strict.reference | strict.check)[2]
    assert (loose.reference | loose.check)[2]


def test_named_stars_stay_what_they_are_and_targets_may_be_many() -> None:
    night = Night()
    named = Roles(mask(0, 7, n=30), mask(9, 11, n=30), mask(12, n=30))
    found = night.pick(named)
    assert (numbers(found.target), numbers(found.reference), numbers(found.check)) == ([0, 7], [9, 11], [12])
    only_targets = night.pick(Roles(mask(0, 7, n=30), mask(n=30), mask(n=30)))
    assert not (only_targets.reference | only_targets.check)[[0, 7]].any()
    assert only_targets.reference.any()


def test_no_star_that_keeps_to_the_limits_is_refused() -> None:
    night = Night()
    with pytest.raises(UnusableDataError, match=r"name the target \(manual_targets\)"):
        night.pick(target_scatter_min=0.5)
    with pytest.raises(UnusableDataError, match=r"none of 30 stars can be a reference.*manual_references"):
        night.pick(Roles(mask(4, n=30), mask(n=30), mask(n=30)), error_max=0.001)


def test_three_stars() -> None:
    night = Night()
    for name in ("flux", "error", "flag", "xy"):
        setattr(night, name, getattr(night, name)[:3])
    nobody = np.zeros(3, dtype=bool)
    target = np.array([True, False, False])
    measured = curves(night.flux, night.error, flag=night.flag, xy=night.xy, good=GOOD)
    found = pick_roles(measured, Roles(target, nobody, nobody), PickLimits())
    assert found.reference.sum() == 1
    assert found.check.sum() == 1
    relative = calibrate_manual(measured, found.reference)
    np.testing.assert_allclose(
        relative.flux[0].std(), np.hypot(night.noise[0], night.noise[:3][found.reference][0]), rtol=0.1
    )
