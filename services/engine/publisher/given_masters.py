"""Masters that the operator gave: by the process that made one, by an observation, or by a file."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import Image
from schema.observing import FLAT, Observation, Target
from schema.queries import images
from services.choices import apart, is_file
from services.engine.publisher.master_candidates import GIVEN, filter_name, unlike_pixels
from services.errors import ConfigurationError
from services.masters import MASTERS
from services.own_site import require_own, stored_path
from services.settings import Settings

FEWEST_DIGITS_OF_PID = 16


@dataclass
class GivenMaster:
    """What was given for frames: an observation that makes it, or the process that made it; and what there is to say.

    ``refused`` are those that were given and do not fit.
    """

    source: Observation | None = None
    pid: int | None = None
    says: str = ""
    refused: list[str] = field(default_factory=list)


def given(session: Session, observation: Observation, kind: str, settings: Settings, how: str) -> GivenMaster:
    """The first master of ``kind`` that was given (``how``: use, alt) and whose pixels lie on the observation's.

    Raises:
        ConfigurationError: there is no such process, observation or file, or it is none of this kind.
    """
    found = GivenMaster()
    name = filter_name(session, observation)
    for text in getattr(settings.choices, f"{how}_{kind}"):
        wanted, what = apart(text)
        option = f"--{how}-{kind} {text}"
        if kind == FLAT and wanted not in ("", name):
            continue
        source, pid = _looked_up(session, what, kind, settings, option)
        if kind == FLAT and not wanted and name and filter_name(session, source) not in ("", name):
            continue
        if source.observation_id == observation.observation_id:
            continue
        unlike = unlike_pixels(session, observation, source)
        if unlike:
            found.refused.append(f"{option} has {unlike}")
            continue
        found.source, found.pid, found.says = source, pid, f"{kind} as given ({option})"
        break
    return found


def _looked_up(
    session: Session, what: str, kind: str, settings: Settings, option: str
) -> tuple[Observation, int | None]:
    if is_file(what):
        return _of_file(session, what, kind, settings, option), None
    if len(what) >= FEWEST_DIGITS_OF_PID:
        return _of_process(session, int(what), kind, settings, option), int(what)
    source = session.get(Observation, int(what))
    if source is None:
        raise ConfigurationError(f"{option}: there is no observation {what}; a file of this name is ./{what}")
    found = session.get_one(Target, source.target_id).kind
    if found != kind:
        raise ConfigurationError(f"{option}: observation {what} has {found} frames, expected {kind}")
    require_own(session, settings.site, source)
    return source, None


def _of_process(session: Session, pid: int, kind: str, settings: Settings, option: str) -> Observation:
    image = images.by_pid(session, pid)
    if image is None or image.kind != MASTERS[kind] or image.observation_id is None:
        made = "nothing" if image is None else f"a {image.kind} image"
        raise ConfigurationError(
            f"{option}: process {pid} made {made}, expected a {MASTERS[kind]}: `tianyu calib list`"
        )
    if image.deleted_at is not None:
        raise ConfigurationError(f"{option}: the {image.kind} of process {pid} was deleted by `tianyu gc`")
    source = session.get_one(Observation, image.observation_id)
    require_own(session, settings.site, source)
    return source


def _of_file(session: Session, what: str, kind: str, settings: Settings, option: str) -> Observation:
    path = stored_path(Path(what), settings.root)
    digest = images.path_digest(images.site_id_of(session, settings.site), path)
    query = select(Observation).join(Image, Image.observation_id == Observation.observation_id)
    source = session.scalar(query.where(Image.path_digest == digest, Image.kind == kind))
    if source is None or not source.setting.startswith(GIVEN):
        raise ConfigurationError(
            f"{option}: the file is not registered as a {kind}: give it to `tianyu publish` by this option"
        )
    return source
