"""The calibrated frames of an observation as arrays: when, where the camera looked, and through which air."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registration.alignment import Alignment
from pipeline.units import HOURS_PER_DAY
from schema.frame import Frame
from services.errors import DataError
from services.results.lightcurves.observation_facts import ObservationFacts
from services.steps.shared.frame_alignment import alignment_of


@dataclass(frozen=True)
class Frames:
    """Calibrated images in order of time: ``[n]`` each, NaN where unknown."""

    image_id: NDArray[np.int64]
    jd_utc: NDArray[np.float64]
    alignments: tuple[Alignment | None, ...]
    good: NDArray[np.bool_]  # before `select` has judged them, frames count as good
    background: NDArray[np.float64]  # ADU
    fwhm: NDArray[np.float64]  # pixels
    airmass: NDArray[np.float64]
    transparency: NDArray[np.float64]

    @property
    def time(self) -> tuple[NDArray[np.float64], str]:
        """Hours since the first frame, or the frames' numbers where times are unknown, and which."""
        if np.isfinite(self.jd_utc).all():
            return (self.jd_utc - self.jd_utc[0]) * HOURS_PER_DAY, "hours since the first frame"
        return np.arange(self.jd_utc.size, dtype=np.float64), "frame (their headers tell no time)"

    def aligned(self, name: str) -> NDArray[np.float64]:
        """``dx, dy, rotation`` or ``scale`` of each alignment."""
        return _column(self.alignments, name)

    def positions(self, x: float, y: float) -> NDArray[np.float64]:
        """Where a place of the template lies on each frame: float64[n, 2], NaN where it was not aligned."""
        place = np.array([[x, y]])
        return np.array([[np.nan, np.nan] if a is None else a.to_frame(place)[0] for a in self.alignments]).reshape(
            -1, 2
        )


def read_frames(session: Session, observation: ObservationFacts) -> Frames:
    """The calibrated frames of the graph whose images count.

    Raises:
        DataError: none has been aligned yet.
    """
    images = session.scalars(
        select(Frame).where(Frame.graph_pid == observation.graph_pid).order_by(Frame.jd_utc, Frame.image_id)
    ).all()
    if all(image.dx is None for image in images):
        raise DataError(f"observation {observation.observation_id} has no aligned frame to draw")
    return Frames(
        image_id=np.array([image.image_id for image in images]),
        jd_utc=_column(images, "jd_utc"),
        alignments=tuple(alignment_of(image) if image.dx is not None else None for image in images),
        good=np.array([image.good is not False for image in images]),
        background=_column(images, "background"),
        fwhm=_column(images, "fwhm"),
        airmass=_column(images, "airmass"),
        transparency=_column(images, "transparency"),
    )


def _column(rows: Sequence[Frame] | Sequence[Alignment | None], name: str) -> NDArray[np.float64]:
    return np.array([getattr(row, name, None) for row in rows], dtype=np.float64)
