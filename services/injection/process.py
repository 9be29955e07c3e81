"""The frames with signals through the same pipeline as any night's."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from schema import database
from schema.observing import LIGHT, Observation, Target
from services.choices import Choices
from services.embedded import embedded_settings, process_tree
from services.errors import DataError
from services.ingest.register import read_folder, register
from services.publisher.publish import Publisher, unpublished
from services.settings import Settings
from services.status import finished, light_curves_made, status

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from services.status import ObservationStatus

WORK_FOLDER = "work"

Look = Callable[[], "list[ObservationStatus]"]
Follow = Callable[[Look, Callable[[], bool]], None]  # shows progress until the second says that all is done


def process(frames: Path, workdir: Path, choices: Choices, consumers: int, follow: Follow) -> tuple[Settings, int]:
    """Make the light curves of a folder of frames by these choices; returns its settings and its observation.

    Raises:
        DataError: the frames gave no light curves, or not one observation.
    """
    settings = embedded_settings(workdir, **dict(choices))
    with process_tree(settings, consumers) as tree:
        _publish(settings, tree.engine, frames)
        reading = database.reading_factory(tree.engine)

        def done() -> bool:
            tree.look_after()
            with reading() as session:
                return finished(session)

        def look() -> "list[ObservationStatus]":
            with reading() as session:
                return status(session)

        follow(look, done)
        tree.dismiss()
        with reading() as session:
            lights = select(Observation.observation_id).join(Target, Target.target_id == Observation.target_id)
            made = [
                number
                for number in session.scalars(lights.where(Target.kind == LIGHT))
                if light_curves_made(session, number)
            ]
    if len(made) != 1:
        raise DataError(
            f"the frames in {str(frames)!r} gave {len(made)} observations with light curves, expected 1: "
            f"`tianyu status` with the database of {str(workdir)!r} shows why"
        )
    return settings, made[0]


def _publish(settings: Settings, engine: "Engine", frames: Path) -> None:
    folder = read_folder(frames)
    sessions = database.session_factory(engine)
    database.transact(sessions, lambda session: register(session, folder, site=settings.site, root=settings.root))
    with sessions() as session:
        wanted = unpublished(session)
    for observation in wanted:
        with sessions.begin() as session:
            Publisher(session, settings).publish(observation)
