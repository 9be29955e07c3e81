"""Frames of an observation have one shape: those of another are an observation of their own, one or two are odd."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import Observation
from schema.queries.frames import USABLE
from services.frame_geometry import with_size
from services.ingest.grouping import ObservationKey
from services.ingest.headers import FrameFacts

FEWEST_OF_SHAPE = 3  # frames; fewer are a slip of the camera's window and no observation
# What an observation beside another one of other shape has in common with it.
_CAMERA = ("site_id", "instrument_id", "night", "binning", "setting", "reduced")
SHARED = (*_CAMERA, "target_id", "filter_id", "exposure_s")

Shape = tuple[int, int]


@dataclass(frozen=True)
class SameShape:
    """Frames of one observation; ``is_apart``: under a key with their size, for frames of another shape came first.

    shape: (ny, nx) of the observation; a frame of another one is odd.
    """

    key: ObservationKey
    frames: list[FrameFacts]
    shape: Shape
    is_apart: bool = False


def by_shape(
    session: Session, key: ObservationKey, frames: Sequence[FrameFacts], joined: Observation, anew: Sequence[Shape]
) -> list[SameShape]:
    """Frames of one key apart by shape. What the observation that they join holds decides its shape, else most do.

    anew: shapes that some of them had when they were read before.
    """
    coming = Counter(frame.shape for frame in frames)
    shape = (_held(session, joined) - Counter(anew) or coming).most_common(1)[0][0]
    own = {one: with_size(key.geometry, one) for one in coming if one != shape}
    apart = {one for one in own if coming[one] >= FEWEST_OF_SHAPE or _is_there(session, joined, own[one])}
    kept = [frame for frame in frames if frame.shape not in apart]
    parts = [SameShape(key, kept, shape)] if kept else []
    for one in sorted(apart):
        of_shape = [frame for frame in frames if frame.shape == one]
        parts.append(SameShape(replace(key, geometry=own[one]), of_shape, one, is_apart=True))
    return parts


def _held(session: Session, observation: Observation) -> Counter[Shape]:
    """How many usable frames of which shape an observation has."""
    query = select(Image.ny, Image.nx, func.count()).where(
        Image.observation_id == observation.observation_id, Image.pid.is_(None), USABLE
    )
    rows = session.execute(query.group_by(Image.ny, Image.nx))
    return Counter({(ny, nx): count for ny, nx, count in rows if ny is not None and nx is not None})


def _is_there(session: Session, observation: Observation, geometry: str) -> bool:
    """Whether one of this geometry stands beside an observation."""
    same = (getattr(Observation, name) == getattr(observation, name) for name in SHARED)
    return bool(session.scalar(select(exists().where(*same, Observation.geometry == geometry))))
