"""The reference is a good frame, whatever the first one is."""

import numpy as np
import pytest

from pipeline.errors import UnusableDataError
from pipeline.registration.reference import choose_reference

GOOD = {"star_count": 300.0, "fwhm": 2.5, "background_rms": 10.0, "ellipticity": 0.1}


def _night(**changes: dict[int, float]) -> dict[str, np.ndarray]:
    night = {name: np.full(20, value) for name, value in GOOD.items()}
    for name, places in changes.items():
        for i, value in places.items():
            night[name][i] = value
    return night


def test_the_best_of_all_measures_wins() -> None:
    night = _night(star_count={7: 360, 3: 365}, fwhm={7: 2.2, 3: 4}, background_rms={7: 9}, ellipticity={3: 0.4})
    assert choose_reference(**night) == 7


def test_the_first_frame_may_be_the_worst() -> None:
    assert choose_reference(**_night(star_count={0: 20}, fwhm={0: 6}, background_rms={0: 30})) != 0


def test_of_equal_frames_the_one_at_mid_night_wins() -> None:
    assert choose_reference(**_night()) in (9, 10)
    assert choose_reference(**_night(star_count={9: 100, 10: 100})) in (8, 11)


def test_a_slow_decline_does_not_make_the_first_frame_the_reference() -> None:
    night = _night()
    night["fwhm"] = np.linspace(2.4, 2.6, 20)
    assert 4 < choose_reference(**night) < 11


def test_spurious_stars_do_not_win() -> None:
    night = _night(star_count={4: 5000, 9: 330}, background_rms={4: 45}, fwhm={4: 4.5}, ellipticity={4: 0.5})
    assert choose_reference(**night) == 9


def test_a_measure_that_failed_is_no_advantage() -> None:
    night = _night(star_count={9: 305}, fwhm={9: np.nan})
    assert choose_reference(**night) == 10
    night = _night(star_count={5: 600}, background_rms={5: 0.0}, fwhm={5: np.nan})
    assert choose_reference(**night) == 5


def test_failed_frames_are_passed_over() -> None:
    count = np.array([np.nan, 2, 120, np.nan])
    assert choose_reference(count, np.full(4, np.nan), np.full(4, np.nan)) == 2


def test_no_usable_frame_is_refused() -> None:
    with pytest.raises(UnusableDataError, match=r"none of 3 frames .* at most 2 stars"):
        choose_reference([2, np.nan, 0], [2.5, 2.5, 2.5], [10, 10, 10])
    with pytest.raises(UnusableDataError, match="none of 0 frames"):
        choose_reference([], [], [])
