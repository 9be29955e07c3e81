"""The reference frame that an operator gave, by a file's name or a number: which frame of an observation that is."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import LIGHT, Observation, Target
from schema.queries.frames import REJECT_REASON, REJECTED
from services.engine.publisher.publication import Publication
from services.errors import ConfigurationError
from services.steps.choose_reference import CHOOSE_REFERENCE


@dataclass(frozen=True)
class _Frame:
    image_id: int
    path: str
    rejected: bool
    reason: str | None


def given_reference(
    session: Session, observation: Observation, publication: Publication, root: Path
) -> dict[str, dict[str, object]]:
    """Parameters that tell it `choose_reference`, by command; none where none is given, or frames are no lights.

    Numbers count all frames of the observation in the order of time, from 0, so that none moves where one is rejected.

    Raises:
        ConfigurationError: there is no such frame, several have the name, or it was rejected.
    """
    given = publication.choices.reference_frame
    if given is None or session.get_one(Target, observation.target_id).kind != LIGHT:
        return {}
    name = f"observation {observation.observation_id}"
    query = select(Image.image_id, Image.path, REJECTED, REJECT_REASON).where(
        Image.observation_id == observation.observation_id, Image.kind == LIGHT, Image.pid.is_(None)
    )
    rows = session.execute(query.order_by(Image.start_jd_utc, Image.path, Image.image_id))
    everything = [_Frame(*row) for row in rows]
    found = _meant(given, everything, root)
    if not found:
        raise ConfigurationError(f"{name} has no frame {given!r} (reference_frame): {_there(everything)}")
    if len(found) > 1:
        paths = ", ".join(repr(frame.path) for frame in found[:3])
        raise ConfigurationError(
            f"{name} has {len(found)} frames {given!r} (reference_frame): name the folder too, or the number ({paths})"
        )
    [frame] = found
    if frame.rejected:
        reason = frame.reason or "no reason was kept"
        raise ConfigurationError(
            f"{name}: frame {given!r} cannot be the reference (reference_frame), {frame.path!r} was rejected "
            f"({reason}); give another one"
        )
    line = f"{name}: the reference frame is {frame.path!r}, as given ({given})"
    if line not in publication.notes:
        publication.notes.append(line)
    return {CHOOSE_REFERENCE.command: {"frames": (frame.image_id,)}}


def _meant(given: str, everything: list[_Frame], root: Path) -> list[_Frame]:
    """A number, or the end of a path: its name, and folders before it."""
    if given.isascii() and given.isdigit():
        return everything[int(given) :][:1]
    parts = PurePath(given).parts
    return [one for one in everything if parts and PurePath(root, one.path).parts[-len(parts) :] == parts]


def _there(everything: list[_Frame]) -> str:
    if not everything:
        return "it has no frames"
    first, last = (PurePath(everything[place].path).name for place in (0, -1))
    return (
        f"it has {len(everything)}, numbered from 0 ({first!r}) to {len(everything) - 1} ({last!r}) in the order of "
        "time; give one of these numbers, or a file's name"
    )
