"""All plots of an observation into one folder."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from services.errors import DataError
from services.image_store import ImageStore
from services.log import get_logger
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.reading import LightCurve, read_light_curve
from services.results.lightcurves.selection import SourceFacts, find_source
from services.results.lightcurves.zero_points import zero_point_pid
from services.results.lists.forced_curves import placed
from services.results.plots.comparison_plot import draw_comparison
from services.results.plots.finding_chart import finding_chart
from services.results.plots.forced_plot import draw_forced
from services.results.plots.light_curve_plot import draw_light_curve
from services.results.plots.offsets_plot import frame_offsets
from services.results.plots.precision_plot import precision
from services.results.plots.psf_plot import point_spread
from services.results.plots.scatter_plot import scatter_against_magnitude
from services.results.plots.stack_plot import stack_with_sources
from services.results.plots.systematics_plot import draw_systematics
from services.results.plots.zero_points_plot import draw_zero_points
from services.results.variability.shown_star import shown_star
from services.whole_files import make_folder

log = get_logger("plots")


def make_plots(
    session: Session,
    images: ImageStore | None,
    observation_id: int,
    folder: Path,
    target_source_id: int | None = None,
    allow: Callable[[list[Path]], None] | None = None,
) -> list[Path]:
    """Draw what there is; a plot whose data are missing is left out, and the log says why. Returns the files written.

    Without a target the light curve is that of `shown_star`. ``allow`` refuses names that may not be replaced.
    Without ``images``, which are those of the observation's site, what shows pixels is left out.

    Raises:
        ConfigurationError: there is no such observation or target, or the folder cannot be written.
    """
    observation = observation_facts(session, observation_id)
    if target_source_id is None and (shown := shown_star(session, observation)) is not None:
        target_source_id = shown.source_id
    target = None if target_source_id is None else find_source(session, observation, source_id=target_source_id)

    def star() -> SourceFacts:
        if target is None:
            raise DataError("no star is measured well enough to be shown")
        return target

    def curve() -> LightCurve:
        return read_light_curve(session, observation, star())

    plots: dict[str, Callable[[Path], Path]] = {
        "stack.png": lambda path: stack_with_sources(session, images, observation, path, target),
        "scatter.png": lambda path: scatter_against_magnitude(session, observation, path, target_source_id),
        "precision.png": lambda path: precision(session, observation, path, target_source_id),
        "offsets.png": lambda path: frame_offsets(session, observation, path),
        "lightcurve.png": lambda path: draw_light_curve(curve(), path),
        "comparison.png": lambda path: draw_comparison(session, curve(), path),
        "systematics.png": lambda path: draw_systematics(session, curve(), path),
        "finding_chart.png": lambda path: finding_chart(session, images, observation, star(), path),
        "psf.png": lambda path: point_spread(session, images, observation, path),
    }
    if zero_point_pid(session, observation) is not None:
        plots["zero_points.png"] = lambda path: draw_zero_points(session, observation, path)
    if placed(session, [observation]):
        plots["forced.png"] = lambda path: draw_forced(session, observation, path)
    if allow is not None:
        allow([folder / name for name in plots])
    make_folder(folder)
    written = []
    for name, draw in plots.items():
        try:
            written.append(draw(folder / name))
        except DataError as error:
            log.warning("plot left out", plot=name, observation_id=observation_id, reason=str(error))
    return written
