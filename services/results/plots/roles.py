"""Which part the sources of an observation play, and where they lie."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from schema.photometry import ReferenceStar
from schema.processes import Process
from schema.skies import SourcePosition
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import analysed_best
from services.results.lightcurves.selection import SourceFacts
from services.results.plots.style import BLUE, GREEN, RED
from services.steps.detect import DETECT
from services.steps.shared.first_frame import to_first_frame

XY = tuple[float, float]
COLOURS = {"T": RED, "R": BLUE, "C": GREEN}  # by a short name's first letter: target, reference, check
WEIGHT_SHOWN = 0.9  # of all references' weight: the rest are many and count for little


@dataclass(frozen=True)
class Roles:
    """Source ids; references the heaviest first, with their shares of all weight (None where weights are unknown)."""

    references: dict[int, float | None]
    checks: tuple[int, ...]

    def heaviest(self, most: int) -> list[int]:
        """The references that carry most of the weight, at most so many."""
        chosen, carried = [], 0.0
        for source_id, share in list(self.references.items())[:most]:
            if carried >= WEIGHT_SHOWN:
                break
            chosen.append(source_id)
            carried += share or 0.0
        return chosen


@dataclass(frozen=True)
class Spot:
    """A source on the template: pixels, and ADU of the mean frame."""

    xy: XY
    flux: float | None


def read_spots(
    session: Session, observation: ObservationFacts, sources: Collection[int] | None = None
) -> dict[int, Spot]:
    """The observation's sources on its template, or those of ``sources``, the brightest first."""
    detect = select(Process.pid).where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
    query = select(SourcePosition.source_id, SourcePosition.x, SourcePosition.y, SourcePosition.flux).where(
        SourcePosition.pid == detect.scalar_subquery()
    )
    if sources is not None:
        query = query.where(SourcePosition.source_id.in_(sources))
    rows = session.execute(query.order_by(SourcePosition.flux.desc(), SourcePosition.source_id))
    return {row.source_id: Spot((row.x, row.y), row.flux) for row in rows}


def read_positions(session: Session, observation: ObservationFacts) -> dict[int, XY]:
    """Pixels of the observation's sources on its first frame, the brightest first."""
    spots = read_spots(session, observation)
    on_template = np.array([spot.xy for spot in spots.values()], dtype=np.float64).reshape(-1, 2)
    places = to_first_frame(session, observation.graph_pid).to_frame(on_template).tolist()
    return {source_id: (x, y) for source_id, (x, y) in zip(spots, places, strict=True)}


def read_targets(session: Session, observation: ObservationFacts) -> list[int]:
    """Sources that the shown calibration was told to be targets, in order of their ids."""
    query = select(ReferenceStar.source_id).where(
        ReferenceStar.pid == observation.calibration_pid, ReferenceStar.role == "target"
    )
    return list(session.scalars(query.distinct().order_by(ReferenceStar.source_id)))


def read_roles(session: Session, observation: ObservationFacts, target: SourceFacts | None) -> Roles:
    """Reference and check stars of the target's best aperture; without a target, of all apertures together."""
    aperture = None if target is None else analysed_best(session, observation, target)
    query = select(
        ReferenceStar.source_id,
        func.max(ReferenceStar.is_reference).label("is_reference"),
        func.max(ReferenceStar.role).label("role"),
        func.max(ReferenceStar.weight).label("weight"),
    ).where(
        ReferenceStar.pid == observation.calibration_pid,
        or_(ReferenceStar.is_reference.is_(True), ReferenceStar.role.is_not(None)),  # few of a rich field's stars
    )
    if aperture is not None:
        query = query.where(ReferenceStar.aperture == aperture)
    rows = session.execute(query.group_by(ReferenceStar.source_id).order_by(ReferenceStar.source_id)).all()
    references = [row for row in rows if row.is_reference]
    references.sort(key=lambda row: row.weight or 0.0, reverse=True)
    total = sum(row.weight or 0.0 for row in references)
    return Roles(
        references={row.source_id: row.weight / total if total and row.weight else None for row in references},
        checks=tuple(row.source_id for row in rows if row.role == "check"),
    )


def short_names(
    roles: Roles, place: Mapping[int, XY], target: int, most_references: int, most_checks: int
) -> dict[str, int]:
    """Sources by the names that plots give them: R1 the heaviest reference, C1 the brightest check star.

    place: positions by source, the brightest first.
    """
    references = [one for one in roles.heaviest(most_references) if one in place and one != target]
    checks = [one for one in place if one in roles.checks and one != target][:most_checks]
    return {f"R{n}": one for n, one in enumerate(references, 1)} | {f"C{n}": one for n, one in enumerate(checks, 1)}
