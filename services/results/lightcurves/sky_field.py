"""An observation's field on the sky: the WCS of its own template, and what its stars are called in Gaia."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.units import ARCSEC
from schema.image import TEMPLATE, Image
from schema.observing import Observation
from schema.processes import Process
from schema.skies import PlateSolution, Sky, SourceCrossmatch
from services.steps.shared.sky_registration import wcs_of
from services.steps.solve_later import SOLVERS

if TYPE_CHECKING:
    from services.results.lightcurves.observation_facts import ObservationFacts

RaDec = tuple[float, float]
IDS_AT_ONCE = 500  # of one query


@dataclass(frozen=True)
class SolvedField:
    """The WCS of the observation's own template, whose shape is (ny, nx)."""

    wcs: SkyWcs
    shape: tuple[int, int]

    @property
    def pixel_scale(self) -> float:
        """Arcsec, at the centre."""
        return self.wcs.pixel_scale(self.shape)

    def contains(self, radec: RaDec) -> bool:
        """Whether the template shows this place."""
        x, y = self.wcs.to_pixels(np.array([radec]))[0]
        ny, nx = self.shape
        return bool(-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5)  # NaN, behind the sky, is not inside


def solution_of(session: Session, observation: "ObservationFacts | Observation | Image") -> PlateSolution | None:
    """What was found of the template of an observation's or image's graph, solved or not; None: no search has ended."""
    return session.scalar(
        select(PlateSolution)
        .join(Process, Process.pid == PlateSolution.pid)
        .where(Process.graph_pid == observation.graph_pid, Process.command.in_(SOLVERS))
        .order_by(PlateSolution.solved.desc(), PlateSolution.pid.desc())
        .limit(1)
    )


def why_not_on_sky(session: Session, observation: "ObservationFacts") -> str:
    """Why two plain numbers that a user typed were not taken for right ascension and declination."""
    solution = solution_of(session, observation)
    if solution is None or not solution.solved:
        return "the field has no sky coordinates, so that the numbers were taken for pixels of the first frame"
    circle = f"{solution.radius_deg:.3g} degrees around {solution.ra_deg:.4f},{solution.dec_deg:+.4f}"
    return f"as RA,DEC the numbers lie outside of the field ({circle}), so that they were taken for pixels"


def unsolved_reasons(session: Session, observation: "ObservationFacts | Observation") -> list[str]:
    """Why those that tried did not find where the template is, in their order."""
    rows = session.scalars(
        select(PlateSolution.reason)
        .join(Process, Process.pid == PlateSolution.pid)
        .where(Process.graph_pid == observation.graph_pid, PlateSolution.solved.is_(False))
        .order_by(PlateSolution.pid)
    )
    return [reason for reason in rows if reason]


def solved_field(session: Session, observation: "ObservationFacts") -> SolvedField | None:
    """None where the observation's template is not solved."""
    wcs = wcs_of(solution_of(session, observation))
    shape = session.execute(
        select(Image.ny, Image.nx).where(Image.graph_pid == observation.graph_pid, Image.kind == TEMPLATE).limit(1)
    ).one_or_none()
    if wcs is None or shape is None or not shape.ny or not shape.nx:
        return None
    return SolvedField(wcs, (shape.ny, shape.nx))


def in_field(session: Session, observation: "ObservationFacts", radec: RaDec) -> bool | None:
    """Whether a place lies in the observation's field; None where nobody knows where that is.

    A template that is not solved itself may lie on a sky that another night solved: then that one's circle counts.
    """
    field = solved_field(session, observation)
    if field is not None:
        return field.contains(radec)
    sky = None if observation.sky_id is None else session.get(Sky, observation.sky_id)
    if sky is None or sky.ra_deg is None or sky.dec_deg is None or sky.radius_deg is None:
        return None
    apart = separation_arcsec(np.array([radec]), np.array([[sky.ra_deg, sky.dec_deg]]))[0]
    return bool(apart <= sky.radius_deg * ARCSEC)


@dataclass(frozen=True)
class GaiaName:
    """The Gaia star that a source is; magnitudes are None where Gaia has none."""

    gaia_source_id: int
    g_mag: float | None
    bp_mag: float | None
    rp_mag: float | None
    variable: bool | None

    @property
    def colour(self) -> float | None:
        """BP - RP."""
        return None if self.bp_mag is None or self.rp_mag is None else self.bp_mag - self.rp_mag


def gaia_names(session: Session, source_ids: Sequence[int]) -> dict[int, GaiaName]:
    """The Gaia stars of those sources that are matched."""
    found: dict[int, GaiaName] = {}
    for start in range(0, len(source_ids), IDS_AT_ONCE):
        rows = session.execute(
            select(
                SourceCrossmatch.source_id,
                SourceCrossmatch.gaia_source_id,
                SourceCrossmatch.g_mag,
                SourceCrossmatch.bp_mag,
                SourceCrossmatch.rp_mag,
                SourceCrossmatch.variable,
            ).where(
                SourceCrossmatch.source_id.in_(source_ids[start : start + IDS_AT_ONCE]),
                SourceCrossmatch.match_rank == 1,
                SourceCrossmatch.is_match.is_(True),
            )
        )
        found |= {row[0]: GaiaName(*row[1:]) for row in rows}
    return found
