"""Which source a user means by a pixel of the first frame: what they see when they open it."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.images import CALIBRATED, Image
from services.errors import DataError
from services.lightcurves.field import solution_of
from services.lightcurves.selection import ObservationFacts, SourceFacts, find_source
from services.steps.align import alignment_of


def source_on_first_frame(session: Session, observation: ObservationFacts, xy: tuple[float, float]) -> SourceFacts:
    """The source nearest to pixels of the observation's first frame.

    Raises:
        ConfigurationError: no source lies there.
        DataError: no frame could be aligned, or there are no sources yet.
    """
    place = template_position(session, observation.graph_pid or 0, xy)
    return find_source(session, observation, own_xy=place)


def why_not_on_sky(session: Session, observation: ObservationFacts) -> str:
    """Why two plain numbers were not taken for right ascension and declination."""
    solution = solution_of(session, observation)
    if solution is None or not solution.solved:
        return "the field has no sky coordinates, so that the numbers were taken for pixels of the first frame"
    circle = f"{solution.radius_deg:.3g} degrees around {solution.ra_deg:.4f},{solution.dec_deg:+.4f}"
    return f"as RA,DEC the numbers lie outside of the field ({circle}), so that they were taken for pixels"


def template_position(session: Session, graph_pid: int, xy: tuple[float, float]) -> tuple[float, float]:
    """Template pixels of a place on the observation's first frame.

    Raises:
        DataError: no frame could be aligned.
    """
    first = session.scalar(
        select(Image)
        .where(Image.graph_pid == graph_pid, Image.kind == CALIBRATED, Image.dx.is_not(None))
        .order_by(Image.start_jd_utc, Image.pid)
        .limit(1)
    )
    if first is None:
        raise DataError("no frame could be aligned, so that the target's place is not known")
    x, y = alignment_of(first).to_reference(np.array([xy]))[0].tolist()
    return x, y
