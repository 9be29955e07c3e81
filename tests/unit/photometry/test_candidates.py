import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.flags import Flag
from pipeline.relative import Relaxation, ensemble_candidates, reference_candidates
from tests.unit.made_curves import curves

EPOCHS = 20


class Field:
    """n stars on a grid whose spacing grows, so that later stars are more isolated."""

    def __init__(self, stars: int) -> None:
        self.flux = np.full((stars, EPOCHS), 1000.0)
        self.error = np.full((stars, EPOCHS), 10.0)
        self.flag = np.zeros((stars, EPOCHS), dtype=np.int32)
        self.xy = np.column_stack([np.cumsum(np.arange(stars, dtype=np.float64)), np.zeros(stars)])
        self.good = np.ones(EPOCHS, dtype=bool)

    def candidates(self, **gaia: np.ndarray) -> tuple[list[int], Relaxation]:
        found = reference_candidates(curves(self.flux, self.error, flag=self.flag, xy=self.xy, good=self.good), **gaia)
        return np.flatnonzero(found.mask).tolist(), found.relaxation


def test_the_isolated_half_of_a_flawless_field() -> None:
    assert Field(40).candidates() == (list(range(20, 40)), Relaxation.NONE)


def test_what_shuts_a_star_out() -> None:
    field = Field(40)
    field.flux[25, 3] = np.nan
    field.flux[26, 4] = -1.0
    field.error[27, 5] = np.nan
    field.flag[28, 6] = Flag.SATURATED
    field.flag[29, 7] = Flag.BAD_PIXEL
    field.flag[30, 8] = Flag.EDGE
    field.flag[31, 9] = Flag.BLENDED
    variable, ratio = np.zeros(40, dtype=bool), np.full(40, np.nan)
    variable[32] = True
    ratio[33], ratio[34] = 1.2, 1.8
    out = {25, 26, 27, 28, 29, 30, 31, 32, 33}
    expected = [star for star in range(20, 40) if star not in out]
    assert field.candidates(gaia_variable=variable, gaia_ratio=ratio) == (expected, Relaxation.NONE)


def test_bad_epochs_do_not_count() -> None:
    field = Field(40)
    field.good[3] = False
    field.flux[:, 3] = np.nan
    field.flag[:, 3] = Flag.EDGE
    assert field.candidates() == (list(range(20, 40)), Relaxation.NONE)


def test_rare_flags_are_allowed_before_neighbours() -> None:
    field = Field(100)
    field.flag[np.arange(96), np.arange(96) % EPOCHS] = Flag.BAD_PIXEL
    assert field.candidates() == (list(range(50, 100)), Relaxation.RARE_FLAGS)


def test_a_few_flawless_stars_are_not_enough_in_a_rich_field() -> None:
    field = Field(400)
    field.flag[:393, 0] = Flag.BAD_PIXEL
    assert field.candidates() == (list(range(200, 400)), Relaxation.RARE_FLAGS)


@pytest.mark.parametrize("stars", [4, 10])
def test_poor_fields_give_all_their_stars(stars: int) -> None:
    assert Field(stars).candidates() == (list(range(stars)), Relaxation.NEIGHBOURS)


def test_of_three_equally_far_stars_all_are_isolated() -> None:
    field = Field(3)
    field.xy = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    assert field.candidates() == ([0, 1, 2], Relaxation.NONE)


def test_a_variable_is_never_let_in() -> None:
    field = Field(4)
    variable = np.array([False, True, False, False])
    assert field.candidates(gaia_variable=variable) == ([0, 2, 3], Relaxation.NEIGHBOURS)


def test_gaps_are_the_last_resort() -> None:
    field = Field(10)
    field.flux[:8, :3] = np.nan
    assert field.candidates() == (list(range(10)), Relaxation.RARE_GAPS)
    field.flux[:8, :9] = np.nan
    assert field.candidates() == (list(range(10)), Relaxation.ALL)
    field.flux[:8, :11] = np.nan
    assert field.candidates() == ([8, 9], Relaxation.NONE)


def test_one_star_and_none() -> None:
    assert Field(1).candidates()[0] == [0]
    assert Field(0).candidates()[0] == []


def test_no_good_epoch_is_refused() -> None:
    field = Field(5)
    field.good[:] = False
    with pytest.raises(UnusableDataError, match="none of 20 epochs"):
        field.candidates()


def test_the_ensemble_takes_neighbours_and_rare_gaps_and_flags() -> None:
    field = Field(40)
    field.flag[5] = Flag.BLENDED | Flag.CROWDED
    field.flux[6, :4] = np.nan  # a fifth of the epochs
    field.flag[7, :4] = Flag.BAD_PIXEL
    field.flux[8, :5] = np.nan
    field.flag[9, :5] = Flag.SATURATED
    variable = np.zeros(40, dtype=bool)
    variable[10] = True
    field.flux[11, :2] = np.nan
    field.flag[11, 2:5] = Flag.COSMIC_RAY
    found = ensemble_candidates(curves(field.flux, field.error, flag=field.flag, good=field.good), variable)
    assert np.flatnonzero(~found.mask).tolist() == [8, 9, 10, 11]
    assert found.relaxation is Relaxation.NONE
    assert np.flatnonzero(~found.values[5]).size == 0
    assert np.flatnonzero(~found.values[6]).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(~found.values[7]).tolist() == [0, 1, 2, 3]


def test_an_epoch_that_is_flagged_in_all_stars_keeps_its_values() -> None:
    field = Field(40)
    field.flag[:, 3] = Flag.TRAIL
    field.flag[1:, 4] = Flag.TRAIL
    field.flag[2:, 5] = Flag.TRAIL
    found = ensemble_candidates(curves(field.flux, field.error, flag=field.flag, good=field.good))
    assert found.values[:, 3:5].all()
    assert found.values[:, 5].sum() == 2


def test_a_poor_ensemble_takes_what_there_is() -> None:
    field = Field(8)
    field.flag[3:] = Flag.SATURATED
    field.flag[0, 0] = Flag.BAD_PIXEL
    field.flux[4, 1] = np.nan
    found = ensemble_candidates(curves(field.flux, field.error, flag=field.flag, good=field.good))
    assert found.mask.all()
    assert found.relaxation is Relaxation.ALL
    assert np.argwhere(~found.values).tolist() == [[0, 0], [4, 1]]
