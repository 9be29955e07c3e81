"""The pixels that people name and are shown: those of the file of an observation's first frame, which anyone can open.

Of a frame that was trimmed, or has one colour of many, they are not the frame's own. The template's pixels, in which
steps compute, are those of the reference frame, which is chosen only after all frames were looked at.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pipeline.registration.alignment import Alignment
from pipeline.registration.night_alignment import PROVEN_MATCHES
from schema.frame import ANY_PID, Frame
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.raw_frames import frame_path

Points = NDArray[np.float64]


def first_frame(session: Session, graph_pid: int | None, before: int = ANY_PID) -> Frame | None:
    """The calibrated image of the first frame that could be aligned; None where none could.

    View ``source_place`` says the same in SQL. A cloudy frame may be the first, one whose few stars may have been
    matched wrongly may not: all positions would be wrong with it.
    """
    believed = or_(Frame.good.is_(None), Frame.good.is_(True), Frame.alignment_matches >= PROVEN_MATCHES)
    aligned = select(Frame).where(Frame.graph_pid == graph_pid, Frame.dx.is_not(None), believed)
    return session.scalar(aligned.order_by(Frame.start_jd_utc, Frame.pid).limit(1), {"before": before})


def to_first_frame(session: Session, graph_pid: int | None, before: int = ANY_PID) -> Alignment:
    """From template pixels to those of the first frame's file; nothing moves where no frame was aligned."""
    first = first_frame(session, graph_pid, before)
    return Alignment.identity((0, 0)) if first is None else _on_file(first, alignment_of(first))


def _on_file(frame: Frame, alignment: Alignment) -> Alignment:
    """An alignment with a frame, as one with its file's pixels."""
    if frame.file_step is None:
        return alignment
    step, centre = frame.file_step, (alignment.center_x, alignment.center_y)
    dx, dy = (
        corner + step * (middle + shift) - middle
        for corner, middle, shift in zip(
            (frame.file_x or 0.0, frame.file_y or 0.0), centre, (alignment.dx, alignment.dy), strict=True
        )
    )
    return replace(alignment, dx=dx, dy=dy, scale=step * alignment.scale)


def name_of_first_frame(session: Session, graph_pid: int | None) -> str:
    """The file of the first frame, as messages name it."""
    first = first_frame(session, graph_pid)
    return "no frame" if first is None else frame_path(session, first).rpartition("/")[2]
