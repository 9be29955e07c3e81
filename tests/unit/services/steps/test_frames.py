"""Frames with what processes found of them: the newest row counts, and a step reads no later than its own PID."""

import numpy as np
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from schema.base import table_of
from schema.found import FoundAlignment, FrameSight, MaskedPixels, Verdict
from schema.frame import Frame
from schema.image import Image, ImageParent
from schema.queries import frames
from schema.queries.finding import insert_found
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp

LATER = GRAPH_PID + 500
COLUMNS = {  # of view frame by those of Frame
    "image_id": "image_id",
    "bjd_tdb": "bjd_tdb",
    "airmass": "airmass",
    "transparency": "transparency",
    "dx": "dx",
    "rotation_deg": "rotation_deg",
    "good": "good",
    "reason": "reject_reason",
    "gain": "gain",
    "cosmic_rays": "cosmic_rays",
    "alignment_matches": "alignment_matches",
}


@pytest.fixture
def made(any_session: Session) -> MadeUp:
    """A night with raw frames, of whose second frame later processes found other things."""
    observation = made_up.add_observation(any_session)
    made = made_up.add_light_curves(any_session, observation, np.random.default_rng(1), n_stars=12, n_frames=24)
    raw = made_up.add_frames(any_session, observation, 24)
    pairs = zip(made.image_ids.tolist(), raw, strict=True)
    any_session.add_all(ImageParent(image_id=image, parent_id=frame) for image, frame in pairs)
    second = {"image_id": int(made.image_ids[1]), "pid": LATER}
    any_session.flush()
    for model, found in {
        FoundAlignment: {"dx": 7.0, "dy": 8.0, "matches": 30, "light": 0.5},
        Verdict: {"good": False, "reason": "clouds", "weight": 0.0, "transparency": 0.2},
        FrameSight: {"bjd_tdb": 1.5, "airmass": 1.2, "altitude_deg": 60.0},
        MaskedPixels: {"hot_pixels": 3, "cosmic_rays": 4},
    }.items():
        table = table_of(model)
        insert_found(any_session, table, [dict.fromkeys(table.c.keys()) | second | found])
    return made


def test_the_newest_row_counts(any_session: Session, made: MadeUp) -> None:
    second = frames.of_graph(any_session, GRAPH_PID)[1]
    assert (second.dx, second.aligned_by, second.good, second.judged_by) == (7.0, LATER, False, LATER)
    assert (second.reject_reason, second.transparency, second.bjd_tdb, second.airmass) == ("clouds", 0.2, 1.5, 1.2)
    assert made.good[1]


def test_a_step_reads_what_was_found_before_it(any_session: Session, made: MadeUp) -> None:
    [second] = frames.by_pids(any_session, [GRAPH_PID + 101], before=LATER)
    assert (second.aligned_by, second.judged_by) == (GRAPH_PID + made_up.ALIGN, GRAPH_PID + made_up.SELECT)
    assert second.good
    assert second.bjd_tdb == pytest.approx(made_up.JD0 + 0.004 + made_up.CADENCE_D, abs=1e-9)
    assert frames.by_pid(any_session, GRAPH_PID + 999) is None


def test_the_view_says_the_same(any_session: Session, made: MadeUp) -> None:
    any_session.execute(update(Verdict).where(Verdict.image_id == int(made.image_ids[2])).values(gain=2.5))
    any_session.execute(update(Image).where(Image.image_id == int(made.image_ids[2])).values(gain=None))
    rows = any_session.execute(text(f"SELECT {', '.join(COLUMNS)} FROM frame ORDER BY image_id")).all()
    found = any_session.scalars(select(Frame).order_by(Frame.image_id)).all()
    assert len(rows) == len(found) == made.image_ids.size
    for row, frame in zip(rows, found, strict=True):
        for shown, name in COLUMNS.items():
            assert getattr(row, shown) == getattr(frame, name), name


def test_a_frame_that_is_used_after_all_is_no_more_rejected(any_session: Session) -> None:
    observation = made_up.add_observation(any_session)
    first, second, third = made_up.add_frames(any_session, observation, 3)
    frames.reject(any_session, {first: "cut short", second: "no stars"}, 200)
    any_session.execute(update(Image).where(Image.image_id == third).values(good=False, reject_reason="another size"))
    frames.accept(any_session, [first, third], 100)  # older, and tried again since

    def usable() -> list[int]:
        return [frame.image_id for frame in frames.of_camera(any_session, observation, "light")]

    assert usable() == [first]
    shown = any_session.execute(text("SELECT frame_id, good, reason FROM frame ORDER BY frame_id")).all()
    assert [tuple(row) for row in shown] == [(first, None, None), (second, 0, "no stars"), (third, 0, "another size")]
    frames.reject(any_session, {first: "cut short again"}, 100)
    assert usable() == []
