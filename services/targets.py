"""Which source a user means by a pixel of the first frame: what they see when they open it."""

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.images import CALIBRATED, Image
from services.errors import DataError
from services.steps.align import alignment_of


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
