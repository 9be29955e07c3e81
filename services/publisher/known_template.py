"""The template of an earlier night for a further one: its frames are measured as soon as each is calibrated."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC
from schema.observing import Observation
from schema.processes import SUCCEEDED, Process
from schema.queries import adopting
from schema.skies import Sky
from services.errors import ConfigurationError
from services.publisher.graph import Graph, Inputs
from services.publisher.old_graph import parameters_of
from services.steps.base import AnyStep
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.choose_reference import CHOOSE_REFERENCE
from services.steps.detect import DETECT
from services.steps.solve import SOLVE
from services.steps.stack import STACK


@dataclass(frozen=True)
class KnownTemplate:
    """PIDs that made a template and its sources; ``solved`` is None where nothing tried to solve it."""

    observation_id: int
    graph_pid: int
    stacked: int
    solved: int | None
    detected: int


def known_template(session: Session, observation: Observation) -> KnownTemplate:
    """The template that suits an observation: of the same camera and field, the same filter first, then the newest.

    Raises:
        ConfigurationError: there is none.
    """
    query = select(Observation).where(
        Observation.instrument_id == observation.instrument_id,
        Observation.binning == observation.binning,
        Observation.observation_id != observation.observation_id,
        Observation.sky_id.is_not(None),
    )
    earlier = [one for one in session.scalars(query) if _same_field(session, observation, one)]
    earlier.sort(key=lambda one: (one.filter_id == observation.filter_id, one.night, one.observation_id), reverse=True)
    for candidate in earlier:
        template = _template(session, candidate)
        if template is not None:
            return template
    raise ConfigurationError(
        f"observation {observation.observation_id} has no known template: no other night of this field, camera and "
        "binning has got as far as `detect`; publish this one without --template known"
    )


def _same_field(session: Session, observation: Observation, earlier: Observation) -> bool:
    """Whether the pointing lies in the earlier night's sky; where either is unknown the target's name decides."""
    sky = session.get_one(Sky, earlier.sky_id)
    if sky.ra_deg is None or sky.radius_deg is None or observation.ra_deg is None:
        return earlier.target_id == observation.target_id
    there, here = np.array([[sky.ra_deg, sky.dec_deg]]), np.array([[observation.ra_deg, observation.dec_deg]])
    return float(separation_arcsec(there, here)[0]) < sky.radius_deg * ARCSEC


def _template(session: Session, observation: Observation) -> KnownTemplate | None:
    detect = session.scalar(
        select(Process).where(
            Process.graph_pid == observation.graph_pid, Process.command == DETECT.command, Process.status == SUCCEEDED
        )
    )
    if detect is None:
        return None
    found = parameters_of(detect)
    # What was found after `detect` counts too.
    solved = adopting.solved_by(session, detect.graph_pid) or found.solved
    return KnownTemplate(
        observation.observation_id, detect.graph_pid, stacked=found.template, solved=solved, detected=detect.pid
    )


@dataclass(frozen=True)
class Adopted:
    """The processes of a new graph that stand for those of the known template."""

    pids: dict[int, int]  # of the template's graph: of the new one
    stacked: int
    solved: int | None
    detected: int

    def put_into(self, graph: Graph) -> None:
        """Let what is added to a graph find them."""
        for step, pid in ((STACK, self.stacked), (SOLVE, self.solved), (DETECT, self.detected)):
            if pid is not None:
                graph.made[step.command] = [pid]


def add_known_template(graph: Graph, known: KnownTemplate) -> Adopted:
    """Add the processes that made the template; they are done before they are published (`take_over_template`)."""

    def add(step: AnyStep, **parameters: object) -> int:
        return graph.add(step, Inputs(parameters))

    stacked = add(STACK, parents=(), leaf=False, root=True)
    solved = None if known.solved is None else add(SOLVE, template=stacked)
    detected = add(DETECT, template=stacked, solved=solved)
    pids = {known.stacked: stacked, known.detected: detected}
    if known.solved is not None and solved is not None:
        pids[known.solved] = solved
    return Adopted(pids, stacked, solved, detected)


def take_over_template(
    session: Session, observation: Observation, graph: Graph, known: KnownTemplate, adopted: Adopted
) -> None:
    """Give the published processes the images and rows of those that they stand for, whose ends they have."""
    image_ids = adopting.take_over_images(session, adopted.pids, graph.graph_pid)
    if known.solved is not None and adopted.solved is not None:
        adopting.take_over_solution(session, known.solved, adopted.solved, image_ids)
    adopting.take_over_detection(session, known.detected, adopted.detected, image_ids)
    adopting.take_over_apertures(session, known.graph_pid, graph.graph_pid, observation.observation_id)
    observation.sky_id = session.get_one(Observation, known.observation_id).sky_id


def stood_for(session: Session, graph_pid: int | None) -> Adopted | None:
    """The known template of a graph that has one, so that frames which came later can join it."""
    processes = session.scalars(
        select(Process).where(
            Process.graph_pid == graph_pid,
            Process.command.in_((STACK.command, SOLVE.command, DETECT.command)),
            Process.origin_pid.is_not(None),
        )
    ).all()
    pids = {process.command: process.pid for process in processes}
    aligned_with = select(Process.pid).where(
        Process.graph_pid == graph_pid, Process.command == CHOOSE_REFERENCE.command
    )
    if DETECT.command not in pids or session.scalar(aligned_with.limit(1)) is not None:
        return None
    return Adopted({}, pids[STACK.command], pids.get(SOLVE.command), pids[DETECT.command])


def frames_of(session: Session, graph_pid: int | None) -> set[int]:
    """Image ids of the frames that a graph calibrates."""
    query = select(Process.parameters).where(Process.graph_pid == graph_pid, Process.command == CALIBRATE.command)
    return {CalibrateParameters.model_validate_json(raw).frame for raw in session.scalars(query)}
