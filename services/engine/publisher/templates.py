"""The template that frames are measured on which came after it was made: their own night's, or another night's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC
from schema.frame import ANY_PID
from schema.image import TEMPLATE
from schema.observing import LIGHT, Observation
from schema.processes import SUCCEEDED, UNFINISHED, Process
from schema.queries import adopting
from schema.queries.frames import ids_of_camera, reference_of
from schema.skies import Sky
from services.engine.publisher.graph import Graph, Inputs
from services.engine.publisher.old_graph import parameters_of
from services.engine.publisher.published import newest_graphs
from services.errors import ConfigurationError
from services.own_site import of_another_site
from services.steps.calibrate import CALIBRATE
from services.steps.detect import DETECT
from services.steps.shared.step import AnyStep
from services.steps.solve import SOLVE
from services.steps.stack import STACK

LONGER = 1.5  # times the exposure: other stars are saturated, and others seen, than by other seeing


@dataclass(frozen=True)
class Template:
    """The template of a graph, and PIDs that made it and its sources.

    Attributes:
        graph_pid: of the graph.
        observation_id: whose frames made it.
        frames: image ids of those that made it, in order of PID; none where it is another night's.
        solved: None where nothing tried to solve it.
    """

    graph_pid: int
    observation_id: int
    frames: tuple[int, ...]
    stacked: int
    solved: int | None
    detected: int

    @property
    def key(self) -> tuple[int, ...]:
        """What tells it from others of its observation."""
        return self.frames or (self.detected,)

    def says(self, observation_id: int, later: int) -> str:
        """Whose it is, and what to do for one of all frames."""
        if not self.frames:
            return f"observation {observation_id}: measured on the template of observation {self.observation_id}"
        return (
            f"observation {observation_id}: {later} frames that came later are measured on the template of graph "
            f"{self.graph_pid}, of {len(self.frames)} frames; `tianyu publish {observation_id} --new-template` makes "
            "one of all frames"
        )


def templates(session: Session, observation_id: int) -> Iterator[Template]:
    """Those of earlier graphs of an observation, made or being made; the newest first."""
    query = select(Process).where(
        Process.observation_id == observation_id,
        Process.command == DETECT.command,
        Process.status.in_((SUCCEEDED, *UNFINISHED)),
    )
    for detect in session.scalars(query.order_by(Process.graph_pid.desc(), Process.pid.desc())).all():
        yield _template(session, detect)


def _template(session: Session, detect: Process) -> Template:
    told = parameters_of(detect)
    # What was found after `detect` counts too.
    solved = adopting.solved_by(session, detect.graph_pid) or told.solved
    made_by = adopting.origin_of(session, detect).observation_id or 0
    frames = frames_of(session, detect.graph_pid, detect.pid)
    return Template(detect.graph_pid, made_by, frames, stacked=told.template, solved=solved, detected=detect.pid)


def frames_of(session: Session, graph_pid: int, before: int = ANY_PID) -> tuple[int, ...]:
    """Image ids of the frames that processes of a graph before this PID calibrate, in order of PID."""
    query = select(Process.parameters).where(
        Process.graph_pid == graph_pid, Process.command == CALIBRATE.command, Process.pid < before
    )
    return tuple(json.loads(raw)["frame"] for raw in session.scalars(query.order_by(Process.pid)))


def template_was_deleted(session: Session, graph_pid: int) -> bool:
    """Whether `tianyu gc` deleted what later frames of a graph are measured by: its template, or the reference."""
    reference = reference_of(session, graph_pid)
    lost = reference is not None and reference.deleted_at is not None
    return lost or TEMPLATE in adopting.deleted_kinds(session, graph_pid)


def of_another_night(session: Session, observation: Observation) -> Template:
    """The template that suits an observation: of the same camera and field; of several see `how_well`.

    Raises:
        ConfigurationError: there is none, or only at another site, where its pixels are.
    """
    query = select(Observation).where(
        Observation.instrument_id == observation.instrument_id,
        Observation.binning == observation.binning,
        Observation.observation_id != observation.observation_id,
        Observation.sky_id.is_not(None),
    )
    earlier = [one for one in session.scalars(query) if _same_field(session, observation, one)]
    earlier.sort(key=lambda one: how_well(observation, one), reverse=True)
    for candidate in (one for one in earlier if one.site_id == observation.site_id):
        detect = session.scalar(
            select(Process).where(
                Process.graph_pid == candidate.graph_pid, Process.command == DETECT.command, Process.status == SUCCEEDED
            )
        )
        if detect is not None and not template_was_deleted(session, detect.graph_pid):
            return replace(_template(session, detect), frames=())
    there = [of_another_site(session, one) for one in earlier if one.site_id != observation.site_id]
    known = f" at this site ({there[0]}, where the pixels of its template are)" if there else ""
    raise ConfigurationError(
        f"observation {observation.observation_id} has no known template: no other night of this field, camera and "
        f"binning{known} has got as far as `detect`; publish this one without --template known"
    )


def how_well(observation: Observation, earlier: Observation) -> tuple[bool, bool, bool, date, int]:
    """How well another's template suits an observation, the greater the better.

    The same filter first; then about the same exposure time, which shows the same stars; then a shorter one, for pixels
    of a star that is saturated on a longer one say nothing of its light; then the newest.
    """
    same, longer = earlier.filter_id == observation.filter_id, _is_longer(earlier, observation)
    alike = not longer and not _is_longer(observation, earlier)
    return same, alike, not longer, earlier.night, earlier.observation_id


def _is_longer(earlier: Observation, observation: Observation) -> bool:
    return earlier.exposure_s > LONGER * observation.exposure_s > 0


def warning(observation: Observation, earlier: Observation) -> str:
    """What to know of measuring on this one's template, if there is something."""
    if not _is_longer(earlier, observation):
        return ""
    return (
        f"observation {observation.observation_id}: the template is of frames of {earlier.exposure_s:g} s, its own are "
        f"of {observation.exposure_s:g} s: stars that are saturated there may lose points here as hits of cosmic rays; "
        f"`tianyu publish {observation.observation_id} --new-template` makes its own"
    )


def require_known(session: Session, observation: Observation, kind: str, again: bool) -> None:
    """Whether frames of this kind can be measured on another night's template.

    Raises:
        ConfigurationError: they need none, or the observation has one of its own and is not made anew.
    """
    number = observation.observation_id
    if kind != LIGHT:
        raise ConfigurationError(
            f"observation {number} has {kind} frames, which need no template: publish it without --template known"
        )
    if has_own_template(session, observation) and not again:
        raise ConfigurationError(
            f"observation {number} was published before on its own template, as graph {observation.graph_pid}: "
            "`tianyu publish --again --template known` makes a new graph on purpose"
        )


def has_own_template(session: Session, observation: Observation) -> bool:
    """Whether an observation was published, and always on a template of its own frames."""
    return observation.graph_pid is not None and all(
        template.frames for template in templates(session, observation.observation_id)
    )


def has_known_template(session: Session, observation: Observation) -> bool:
    """Whether another night's template suits an observation."""
    try:
        of_another_night(session, observation)
    except ConfigurationError:
        return False
    return True


def _same_field(session: Session, observation: Observation, earlier: Observation) -> bool:
    """Whether the pointing lies in the earlier night's sky; where either is unknown the target's name decides."""
    sky = session.get_one(Sky, earlier.sky_id)
    if sky.ra_deg is None or sky.radius_deg is None or observation.ra_deg is None:
        return earlier.target_id == observation.target_id
    there, here = np.array([[sky.ra_deg, sky.dec_deg]]), np.array([[observation.ra_deg, observation.dec_deg]])
    return float(separation_arcsec(there, here)[0]) < sky.radius_deg * ARCSEC


def add_template(graph: Graph, template: Template) -> dict[int, int]:
    """Add processes that stand for those that made another night's template; they are never run.

    Returns PIDs: those of the template's graph, and the new ones.
    """
    pids: dict[int, int] = {}

    def add(step: AnyStep, old: int, **parameters: object) -> int:
        pids[old] = graph.add(step, Inputs(parameters))
        graph.made[step.command] = [pids[old]]
        return pids[old]

    stacked = add(STACK, template.stacked, parents=(), leaf=False, root=True)
    solved = None if template.solved is None else add(SOLVE, template.solved, template=stacked)
    add(DETECT, template.detected, template=stacked, solved=solved)
    return pids


def outgrown(session: Session, site: str) -> list[int]:
    """Observations of the sky of this site that have usable frames which their newest graph does not have."""
    return [
        number
        for number, graph_pid in newest_graphs(session, site).items()
        if set(ids_of_camera(session, number, LIGHT)).difference(frames_of(session, graph_pid))
    ]
