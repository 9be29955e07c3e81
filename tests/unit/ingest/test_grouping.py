"""Observations."""

import random
from datetime import date
from typing import Any

from services.ingest.grouping import ObservationKey, group
from tests.unit.ingest.made_frames import facts

EVENING = date(2017, 12, 19)
START = 2458107.3
MINUTE = 1 / 1440


def test_a_night_of_two_targets_with_calibration_frames() -> None:
    lights = [facts(f"l{i}.fits", START + i * MINUTE) for i in range(4)]
    other = [facts(f"m{i}.fits", START + (10 + i) * MINUTE, target="M31") for i in range(2)]
    flats = [
        facts(f"f{i}.fits", START - i * MINUTE, kind="flat", target=None, exposure=1.0 + i, filter="R")
        for i in range(3)
    ]
    bias = [facts(f"b{i}.fits", START, kind="bias", target=None, filter=None, exposure=0.0) for i in range(2)]
    frames = lights + other + flats + bias
    random.Random(1).shuffle(frames)
    found = group(frames)
    assert list(found.items()) == [
        (ObservationKey("bias", None, None, "cam", "", None, "1x1", EVENING), bias),
        (ObservationKey("flat", None, "R", "cam", "", None, "1x1", EVENING), flats[::-1]),
        (ObservationKey("light", "HAT-P-32", "R", "cam", "", 60.0, "1x1", EVENING), lights),
        (ObservationKey("light", "M31", "R", "cam", "", 60.0, "1x1", EVENING), other),
    ]


def test_what_differs_is_apart() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"filter": "V"},
        {"instrument": "c2"},
        {"telescope": "another of the same make"},
        {"exposure": 30.0},
        {"binning": "2x2"},
        {"target": None},
    ]
    frames = [facts(f"{i}.fits", START + i * MINUTE, **change) for i, change in enumerate(changes)]
    found = group([*frames, facts("next.fits", START + 1.0)])
    assert sorted(len(members) for members in found.values()) == [1] * 8
    assert {key.night for key in found} == {EVENING, date(2017, 12, 20)}


def test_jitter_of_the_exposure_time_is_one_observation() -> None:
    frames = [facts(f"{i}.fits", START + i * MINUTE, exposure=60.0 + (i - 5) * 0.013) for i in range(10)]
    [key] = group(frames)
    assert key.exposure == 60.0
    assert {key.exposure for key in group([*frames, facts("x.fits", START, exposure=62.0)])} == {60.0, 62.0}


def test_darks_are_apart_by_exposure_time_and_zero_is_a_time() -> None:
    frames = [facts(f"{i}.fits", START, kind="dark", filter=None, exposure=i * 30.0) for i in range(3)]
    assert [key.exposure for key in group(frames)] == [0.0, 30.0, 60.0]


def test_frames_are_sorted_by_time_then_name_the_timeless_last() -> None:
    frames = [facts("z.fits"), facts("c.fits", START), facts("b.fits", START), facts("d.fits", START - MINUTE)]
    [members] = group(frames).values()
    assert [frame.path.name for frame in members] == ["d.fits", "b.fits", "c.fits", "z.fits"]


def test_nothing_groups_into_nothing() -> None:
    assert group([]) == {}
