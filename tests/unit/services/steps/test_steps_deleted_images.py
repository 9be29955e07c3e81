"""A step that would open an image that `tianyu gc` deleted says so, and how it is made again."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session, sessionmaker

from schema import database, models
from schema.found import FoundAlignment, ReferenceFrame, Verdict
from schema.image import CALIBRATED, DEBIASED_FLAT, MASTER_BIAS, PARTIAL_BIAS, STACKED, TEMPLATE
from schema.photometry import Aperture
from schema.queries import frames, images
from schema.skies import Sky, Source, SourcePosition
from services.choices import Choices
from services.deployment import Deployment
from services.errors import ConfigurationError
from services.image_store import open_store
from services.operating.housekeeping.image_kinds import MADE
from services.steps import COMMANDS
from services.steps.align import ALIGN, AlignParameters
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.detect import DETECT, DetectParameters
from services.steps.extract import EXTRACT, ExtractParameters
from services.steps.flats import COMBINE_FLAT, CombineFlatParameters
from services.steps.shared.step import MADE_BY, AnyStep, Context, Parameters
from services.steps.stack import STACK, StackParameters
from services.steps.stack_master import STACK_BIAS, StackMasterParameters
from tests.unit.services import made_up

DELETED_AT = datetime(2024, 3, 5, 12, 30, 0)
SHAPE = (32, 32)
GONE, OTHER, CHOICE, DETECTION, ALIGNMENT, SELECTION = 11, 12, 13, 14, 15, 16  # PIDs


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    engine = database.connect(f"sqlite:///{tmp_path / 'test.db'}")
    models.metadata.create_all(engine)
    sessions: sessionmaker[Session] = database.session_factory(engine)
    with sessions.begin() as session:
        made_up.base_rows(session)
        assert made_up.add_observation(session) == 1
    yield Context(99, 1, 1, sessions, open_store(tmp_path), Deployment(root=tmp_path), Choices())
    engine.dispose()


def prepare(context: Context, kind: str) -> int:
    """An image that was deleted, and beside it all else that a step looks at; returns a frame's id."""
    with context.reading.begin() as session:
        for pid, deleted_at, reference in ((GONE, DELETED_AT, CHOICE), (OTHER, None, None)):
            image_id = images.add_image(
                session, kind=kind, site_id=1, path=f"{kind}/1/{pid}.fits", observation_id=1, pid=pid, graph_pid=1,
                ny=SHAPE[0], nx=SHAPE[1], weight=1.0, fwhm=2.0, background=1.0, deleted_at=deleted_at,
            )  # fmt: skip
            session.add(FoundAlignment(image_id=image_id, pid=ALIGNMENT, dx=0.0, dy=0.0))
            session.add(Verdict(image_id=image_id, pid=SELECTION, good=True, weight=1.0))
            if reference is not None:
                session.add(ReferenceFrame(image_id=image_id, pid=reference))
        frame = images.add_image(session, kind="light", site_id=1, path="1.fits", ny=SHAPE[0], nx=SHAPE[1])
        session.add(Sky(sky_id=1, name="sky", created_at=DELETED_AT))
        session.flush()
        session.add(Source(source_id=1, sky_id=1, pid=DETECTION, x=9.0, y=9.0))
        session.flush()
        session.add(SourcePosition(pid=DETECTION, source_id=1, x=9.0, y=9.0))
        session.add(
            Aperture(graph_pid=1, aperture=0, observation_id=1, radius=3.0, annulus_inner=6.0, annulus_outer=9.0)
        )
    context.images.write("1.fits", np.random.default_rng(3).normal(500, 5, SHAPE).astype("f4"), {}, {})
    return frame


@pytest.mark.parametrize(
    ("kind", "step", "parameters", "maker"),
    [
        (CALIBRATED, ALIGN, AlignParameters(calibrated=OTHER, reference=CHOICE), "calibrate"),
        (CALIBRATED, STACK, StackParameters(parents=(GONE, OTHER), leaf=True, root=False), "calibrate"),
        (STACKED, STACK, StackParameters(parents=(GONE, OTHER), leaf=False, root=True), "stack"),
        (TEMPLATE, DETECT, DetectParameters(template=GONE), "stack"),
        (CALIBRATED, EXTRACT, ExtractParameters(calibrated=GONE, detected=DETECTION), "calibrate"),
        (PARTIAL_BIAS, STACK_BIAS, StackMasterParameters(kind="bias", parents=(GONE, OTHER), root=True), "stack_bias"),
        (DEBIASED_FLAT, COMBINE_FLAT, CombineFlatParameters(flats=(GONE, OTHER)), "calibrate_flat"),
        (MASTER_BIAS, CALIBRATE, CalibrateParameters(frame=3, bias=GONE), "stack_bias"),
    ],
)
def test_a_step_names_the_image_and_what_makes_it_again(
    context: Context, kind: str, step: AnyStep, parameters: Parameters, maker: str
) -> None:
    assert prepare(context, kind) == 3
    with pytest.raises(ConfigurationError) as caught:
        step.start(context, parameters.model_dump_json())
    message = str(caught.value)
    assert f"image '{kind}/1/{GONE}.fits' ({kind} of process {GONE}) was deleted by `tianyu gc`" in message
    assert "at 2024-03-05 12:30:00 UTC" in message
    assert f"`tianyu rerun --from {maker} 1` makes it again" in message


def test_an_image_that_is_not_opened_may_be_deleted(context: Context) -> None:
    """The reference lies where it is: nobody reads its stars for that."""
    prepare(context, CALIBRATED)
    outputs = ALIGN.start(context, AlignParameters(calibrated=GONE, reference=CHOICE).model_dump_json())
    with context.reading.begin() as session:
        outputs(session)
        frame = frames.by_pid(session, GONE)
        assert frame is not None
        assert (frame.aligned_by, frame.dx) == (context.pid, 0.0)


def test_every_kind_that_may_be_deleted_has_a_command_that_makes_it() -> None:
    assert set(MADE_BY) == set(MADE.derived)
    assert set(MADE_BY.values()) <= set(COMMANDS)
