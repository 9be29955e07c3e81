"""A night as `tianyu run` reduces it, within the test's own process: the same graph and steps, no other program.

For what only the numbers tell. Starting programs, their talking and waiting cost more than a small night's pixels;
that they give the same rows is `test_distributed_night`'s to show.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from schema.observing import LIGHT, Observation, Target
from services.ingest.raw_folder import Folder
from services.operating.status import light_curves_made
from tests.integration.small_night import Night


def reduce(raw: Path | Folder, work: Path, **settings: Any) -> None:
    """Register, publish and process what is new in ``raw``; each of its observations has light curves then."""
    night = Night.open(work, **settings)
    night.publish(raw)
    night.work()
    query = select(Observation.observation_id).join(Target, Target.target_id == Observation.target_id)
    with night.sessions() as session:
        observations = session.scalars(query.where(Target.kind == LIGHT)).all()
        assert observations
        for observation in observations:
            assert light_curves_made(session, observation), f"observation {observation} has no light curves"
    night.sessions.kw["bind"].dispose()
