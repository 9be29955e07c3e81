"""Nights are told apart, and none is split."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.headers import FrameFacts
from services.ingest.nights import night_longitude, night_of, nights_of
from tests.unit.ingest.made_frames import facts

JD_2017_12_19_NOON = 2458107.0  # UT
EVENING = date(2017, 12, 19)


def local_night(longitude: float, day: int = 0, start_h: float = 18.5, hours: float = 11.0) -> np.ndarray:
    """JD(UTC) every 10 minutes of the night that begins on local 2017-12-19 plus ``day``."""
    noon = JD_2017_12_19_NOON + day - longitude / 360
    return noon + (start_h - 12.0) / 24 + np.arange(0, hours, 1 / 6) / 24


def frames_at(times: np.ndarray, **changes: object) -> list[FrameFacts]:
    return [facts(f"{time:.6f}.fits", float(time), **changes) for time in times]


@pytest.mark.parametrize(
    ("jd", "longitude", "night"),
    [
        (2458107.5651, -110.88, EVENING),  # 2017-12-20T01:33 UT in Arizona
        (2458107.9, None, EVENING),
        (2458106.99, None, date(2017, 12, 18)),
        (2458107.0, None, EVENING),
        (2458106.9, 116.4, EVENING),  # 09:36 UT, afternoon in China
        (2458107.4, 116.4, EVENING),
        (2458107.2, -155.0, date(2017, 12, 18)),  # 16:48 UT, before dawn in Hawaii
    ],
)
def test_known_nights(jd: float, longitude: float | None, night: date) -> None:
    assert night_of(jd, longitude) == night


@given(st.floats(-180, 180), st.booleans())
def test_a_night_is_whole_and_named_by_its_evening_wherever_it_is(longitude: float, is_written: bool) -> None:
    frames = frames_at(local_night(longitude), site_longitude=longitude if is_written else None)
    names = set(nights_of(frames).values())
    assert len(names) == 1
    if is_written or abs(longitude) < 150:  # near the date line a guessed noon may fall on its other side
        assert names == {EVENING}


@pytest.mark.parametrize("longitude", [-110.88, 0.0, 75.0, 116.4, -155.5])
@pytest.mark.parametrize("is_written", [True, False])
def test_nights_in_a_row_are_apart(longitude: float, is_written: bool) -> None:
    site_longitude = longitude if is_written else None
    nights = [frames_at(local_night(longitude, day), site_longitude=site_longitude) for day in range(5)]
    found = nights_of([frame for night in nights for frame in night])
    names = [{found[frame.path] for frame in night} for night in nights]
    assert all(len(name) == 1 for name in names)
    assert len(set.union(*names)) == 5


@pytest.mark.parametrize("written", [110.88, 0.0, 60.0])
def test_a_wrong_longitude_splits_no_night(written: float) -> None:
    frames = frames_at(local_night(-110.88), site_longitude=written)
    assert set(nights_of(frames).values()) == {EVENING}


def test_the_sign_of_a_longitude_is_found_in_the_times() -> None:
    assert night_longitude(frames_at(local_night(-110.88), site_longitude=110.88)) == -110.88


def test_calibration_frames_at_noon_do_not_speak_against_the_longitude() -> None:
    noon = np.array([JD_2017_12_19_NOON])
    frames = frames_at(local_night(0.0), site_longitude=0.0) + frames_at(noon, kind="bias", site_longitude=0.0)
    assert night_longitude(frames) == 0.0


def test_instruments_on_two_sides_of_the_earth_do_not_disturb_each_other() -> None:
    arizona = frames_at(local_night(-110.88), instrument="a")
    china = frames_at(local_night(116.4), instrument="b")
    found = nights_of(arizona + china)
    assert {found[frame.path] for frame in arizona} == {EVENING}
    assert {found[frame.path] for frame in china} == {EVENING}


def test_frames_without_a_time_go_with_their_folder_then_their_instrument() -> None:
    first = frames_at(local_night(0.0, 0))
    second = [facts(f"two/{jd:.6f}.fits", float(jd)) for jd in local_night(0.0, 1, hours=5.0)]
    beside = facts("two/bias.fits", kind="bias")
    alone = facts("three/bias.fits", kind="bias")
    dated = facts("three/flat.fits", kind="flat", day=date(2017, 12, 25))
    found = nights_of([*first, *second, beside, alone])
    assert (found[beside.path], found[alone.path]) == (date(2017, 12, 20), EVENING)
    assert nights_of([*first, dated])[dated.path] == date(2017, 12, 25)


def test_a_folder_without_any_time_is_one_night() -> None:
    oldest = datetime(2017, 12, 19, 23, tzinfo=UTC).timestamp()
    frames = [facts(f"{i}.fits", mtime=oldest + 3600 * 8 * i) for i in range(5)]
    assert set(nights_of(frames).values()) == {EVENING}
