"""The frames with signals through the same pipeline as any night's."""

from pathlib import Path

from schema import database
from services.choices import Choices
from services.engine.embedded import embedded_settings, process_tree
from services.errors import ConfigurationError, DataError
from services.ingest.raw_folder import read_folder
from services.log import get_logger
from services.operating.reduction import Follow, reduce
from services.operating.status import light_curves_made
from services.settings import Settings

WORK_FOLDER = "work"

log = get_logger("inject")


def process(
    frames: Path, workdir: Path, choices: Choices, consumers: int | None, follow: Follow
) -> tuple[Settings, int]:
    """Make the light curves of a folder of frames by these choices; returns its settings and its observation.

    Raises:
        ConfigurationError: the frames cannot be published.
        DataError: the frames gave no light curves, or not one observation.
    """
    settings = embedded_settings(workdir, **dict(choices))
    with process_tree(settings, consumers) as tree:
        published = reduce(
            tree,
            settings,
            read_folder(frames, bounds=settings.frame_bounds, reading=settings.reading),
            follow,
            log.info,
            _refuse,
        )
        with database.reading_factory(tree.engine)() as session:
            made = [number for number in published if light_curves_made(session, number)]
    if len(made) != 1:
        raise DataError(
            f"the frames in {str(frames)!r} gave {len(made)} observations with light curves, expected 1: "
            f"`tianyu status` with the database of {str(workdir)!r} shows why"
        )
    return settings, made[0]


def _refuse(reason: str) -> None:
    raise ConfigurationError(reason)
