"""All plots of an observation into one folder."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from services.errors import ConfigurationError, DataError
from services.image_store import ImageStore
from services.lightcurves.reading import read_light_curve
from services.lightcurves.selection import ObservationFacts, find_source, observation_facts
from services.log import get_logger
from services.plots.light_curve import draw_light_curve
from services.plots.offsets import frame_offsets
from services.plots.scatter import scatter_against_magnitude
from services.plots.stack import stack_with_sources
from services.plots.variables import most_variable

log = get_logger("plots")
STACK, SCATTER, OFFSETS, LIGHT_CURVE = "stack.png", "scatter.png", "offsets.png", "lightcurve.png"


def make_plots(
    session: Session,
    images: ImageStore,
    observation_id: int,
    folder: Path,
    target_source_id: int | None = None,
) -> list[Path]:
    """Draw what there is; a plot whose data are missing is left out, and the log says why. Returns the files written.

    Without a target the light curve is that of the most variable star.

    Raises:
        ConfigurationError: there is no such observation or target, or the folder cannot be written.
    """
    observation = observation_facts(session, observation_id)
    if target_source_id is None:
        target_source_id = most_variable(session, observation)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"folder {str(folder)!r} cannot be made: {error.strerror or error}") from error
    plots: dict[str, Callable[[Path], Path]] = {
        STACK: lambda path: stack_with_sources(session, images, observation, path, target_source_id),
        SCATTER: lambda path: scatter_against_magnitude(session, observation, path, target_source_id),
        OFFSETS: lambda path: frame_offsets(session, observation, path),
        LIGHT_CURVE: lambda path: _light_curve(session, observation, path, target_source_id),
    }
    written = []
    for name, draw in plots.items():
        try:
            written.append(draw(folder / name))
        except DataError as error:
            log.warning("plot left out", plot=name, observation_id=observation_id, reason=str(error))
    return written


def _light_curve(session: Session, observation: ObservationFacts, path: Path, source_id: int | None) -> Path:
    if source_id is None:
        raise DataError("no star is measured well enough to be shown")
    source = find_source(session, observation, source_id=source_id)
    return draw_light_curve(read_light_curve(session, observation, source), path)
