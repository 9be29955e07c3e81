"""Frames of one target under several names."""

from datetime import date
from typing import Any

import pytest

from services.ingest.headers import FrameFacts
from services.ingest.target_names import one_target
from tests.unit.ingest.made_frames import facts

NIGHT = date(2024, 3, 4)


def named(names: list[str], **changes: Any) -> list[FrameFacts]:
    """Frames of these names, three arcminutes apart from first to last."""
    step = 0.05 / len(names)
    places = ({"target": name, "ra_deg": 5.0 + step * n, "dec_deg": 35.0} for n, name in enumerate(names))
    return [facts(f"{n}.fits", 2460374.3 + 0.01 * n, **place | changes) for n, place in enumerate(places)]


def targets(frames: list[FrameFacts]) -> list[str | None]:
    return [frame.target for frame in one_target(frames, {frame.path: NIGHT for frame in frames})]


COUNTED = [f"tess20190600{n:03d}-s0009-ffic" for n in range(6)]


def test_names_of_files_that_count_frames_are_one_target_named_by_its_place() -> None:
    assert targets(named(COUNTED, has_object=False)) == ["J0020+3500"] * 6


def test_a_running_number_in_object_is_taken_off() -> None:
    found = one_target(frames := named([f"WASP-12 b {n:03d}" for n in range(5)]), {f.path: NIGHT for f in frames})
    assert {frame.target for frame in found} == {"WASP-12 b"}
    assert all("OBJECT differs among frames of one pointing" in frame.notes[-1] for frame in found)


def test_two_spellings_are_the_commoner_one() -> None:
    assert targets(named(["HAT-P-32", "HAT-P-32", "hat p 32", "'HAT-P-32'"])) == ["HAT-P-32"] * 4


@pytest.mark.parametrize(
    "frames",
    [
        named(["M31", "M31", "M33", "M33"]),  # a pointing that stands still while the telescope does not
        named(COUNTED, has_object=False, ra_deg=None, dec_deg=None),  # nobody knows where they point
        named(["M67", "Landolt"]),
        [*named(["N1"], ra_deg=10.0), *named(["N2"], ra_deg=20.0), *named(["N3"], ra_deg=30.0)],
        named(["F1", "F2", "F3"], pixel_scale_arcsec=1.0, shape=(100, 100)),  # fields of 1.7 arcminutes, a mosaic
        named(["F1", "F2", "F3"], kind="flat"),
    ],
)
def test_what_may_be_several_targets_stays_so(frames: list[FrameFacts]) -> None:
    assert targets(frames) == [frame.target for frame in frames]
