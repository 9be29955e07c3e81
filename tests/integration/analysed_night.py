"""A made-up night whose variable stars were found by the step itself."""

from pathlib import Path

import numpy as np
from sqlalchemy import delete
from sqlalchemy.orm import Session

from schema import database
from schema.photometry import LightCurveStatistics
from services.choices import Choices
from services.deployment import Deployment
from services.image_store import LocalImageStore
from services.steps.analyze import ANALYZE, AnalyzeParameters
from services.steps.shared.step import Context
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID, MadeUp


def analysed_night(session: Session, folder: Path) -> MadeUp:
    """One star of it dips."""
    made = made_up.add_light_curves(session, made_up.add_observation(session), np.random.default_rng(1))
    analyse(session, made, folder)
    return made


def analyse(session: Session, made: MadeUp, folder: Path) -> None:
    """Run `analyze` in place of what was made up of it."""
    session.execute(delete(LightCurveStatistics))
    session.commit()
    reading = database.reading_factory(session.get_bind())  # type: ignore[arg-type]
    store, observation = LocalImageStore(folder), made.observation_id
    context = Context(made.analysis_pid, GRAPH_PID, observation, reading, store, Deployment(), Choices())
    ANALYZE.run(context, AnalyzeParameters(calibration=made.calibration_pid, default=True))(session)
    session.commit()
