"""Which observations of the sky have a graph, and which is their newest."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.observing import LIGHT, Observation, Target
from schema.processes import Process
from services.own_site import is_of


def unpublished(session: Session, site: str) -> list[int]:
    """Observations of the sky of this site that have no graph yet."""
    query = (
        select(Observation.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(site), Target.kind == LIGHT, Observation.graph_pid.is_(None))
        .order_by(Observation.observation_id)
    )
    return list(session.scalars(query))


def newest_graphs(session: Session, site: str) -> dict[int, int]:
    """PIDs of the newest graphs of this site's observations of the sky, which are in order."""
    query = (
        select(Observation.observation_id, func.max(Process.graph_pid))
        .join(Process, Process.observation_id == Observation.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .where(is_of(site), Target.kind == LIGHT)
        .group_by(Observation.observation_id)
        .order_by(Observation.observation_id)
    )
    return dict(session.execute(query).all())
