"""New frames are understood beside some of those that were registered as beside all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.ingest.beside import BETWEEN, FIRST, LAST, Registered
from services.ingest.grouping import group
from services.ingest.headers import FrameFacts
from services.ingest.raw_folder import FrameReader
from tests.unit.ingest.made_frames import facts

EVENING = 2460374.3  # JD
STEP = 20.0 / 86400.0
MANY = 1500


def night(name: str = "m67_{:05d}.fits", begin: float = EVENING, number: int = MANY) -> list[FrameFacts]:
    """Light frames of one target, with different headers."""
    places = {"ra_deg": 132.8, "dec_deg": 11.8, "exposure": 15.0}
    frames = [
        facts(name.format(n), begin + n * STEP, header=f"N = {n}", mtime=float(n), **places) for n in range(number)
    ]
    return [replace(frame, size=2880 * 4 + n) for n, frame in enumerate(frames)]


def understood(frames: list[FrameFacts], new: list[FrameFacts]) -> dict[Path, object]:
    """What new frames are taken for: their facts, the observation, and whether one is a copy."""
    folder, paths = FrameReader().together(frames, []), {frame.path for frame in new}
    groups = {frame.path: (key, frame) for key, members in group(folder.frames).items() for frame in members}
    return {path: (groups[path], folder.duplicates.get(path)) for path in paths}


def over_midnight(frames: list[FrameFacts]) -> list[FrameFacts]:
    """The date is not counted up."""
    midnight = 2460374.5
    return [
        one
        if (one.start_utc or 0.0) < midnight
        else replace(one, jd_utc=one.jd_utc - 1.0, start_utc=one.start_utc - 1.0)
        for one in frames
        if one.jd_utc is not None and one.start_utc is not None
    ]


def spelt_otherwise(frames: list[FrameFacts]) -> list[FrameFacts]:
    return [replace(one, target="HAT-P-32" if number % 3 else "HAT P 32") for number, one in enumerate(frames)]


def west(frames: list[FrameFacts]) -> list[FrameFacts]:
    return [replace(one, site_longitude=-110.9, site_latitude=31.7) for one in frames]


@pytest.mark.parametrize("make", [list, over_midnight, spelt_otherwise, west])
def test_the_last_frames_of_a_night_are_what_they_are_beside_all(make: Callable[..., list[FrameFacts]]) -> None:
    frames = make(night())
    there, new = frames[:-5], frames[-5:]
    registered = Registered()
    registered.add(there)
    some = registered.beside(new)
    assert len(some) < 2 * (FIRST + 2 * BETWEEN + LAST + 2) < len(there)
    assert understood([*some, *new], new) == understood(frames, new)


def test_frames_of_one_time_are_compared() -> None:
    frames = night()
    registered = Registered()
    registered.add(frames)
    again = replace(frames[700], path=Path("/night/copy.fits"))
    assert frames[700] in registered.beside([again])


@pytest.mark.parametrize(
    "change",
    [
        {"target": "M 67"},
        {"filter": "V"},
        {"kind": "dark"},
        {"shape": (20, 40)},
        {"exposure": 30.0},
        {"setting": "gain 5"},
    ],
)
def test_a_frame_like_none_is_looked_at_beside_all(change: dict[str, object]) -> None:
    frames = night()
    registered = Registered()
    registered.add(frames)
    assert registered.beside([replace(frames[-1], path=Path("/night/new.fits"), **change)]) == frames
