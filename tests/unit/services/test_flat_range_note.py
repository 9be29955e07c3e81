"""Flats that are bright enough only if their camera has few bits are told of, unless somebody tells its range."""

from pathlib import Path

import pytest

from schema import database, models
from schema.image import CALIBRATED, MASTER_FLAT, ImageParent
from schema.queries import images
from services.frame_notes import frame_notes
from tests.unit.services import made_up

GRAPH = 7


@pytest.mark.parametrize(
    ("level", "saturation", "is_noted"), [(800.0, None, True), (800.0, 4095.0, False), (20_000.0, None, False)]
)
def test_a_faint_flat_of_an_unknown_range_is_noted(
    tmp_path: Path, level: float, saturation: float | None, is_noted: bool
) -> None:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    with database.session_factory(engine)() as session:
        made_up.base_rows(session)
        made_up.add_observation(session)
        shared = {"site_id": 1, "observation_id": 1}
        flat = images.add_image(session, kind=MASTER_FLAT, path="flat.fits", pid=5, background=level, **shared)
        frame = images.add_image(
            session, kind=CALIBRATED, path="a.fits", pid=6, graph_pid=GRAPH, saturation=saturation, **shared
        )
        session.add(ImageParent(image_id=frame, parent_id=flat))
        session.flush()
        notes = frame_notes(session, {1: GRAPH})[1]
        assert any("faint of one of 16" in note for note in notes) is is_noted
    engine.dispose()
