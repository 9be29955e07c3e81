"""The template with its sources, reference stars and target."""

from pathlib import Path

from sqlalchemy.orm import Session

from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.selection import SourceFacts
from services.results.plots.roles import read_positions, read_roles
from services.results.plots.style import BLUE, LEGEND, ORANGE, RED, head, new_figure, save, tidy
from services.results.plots.template_picture import X_LABEL, Y_LABEL, circles, draw_image, mark_target, read_template
from services.steps.shared.first_frame import to_first_frame

CIRCLE_SHARE = 0.007  # radius, of the template's longer side
MAX_CIRCLES = 3000  # brightest sources; more would hide the stars
MAX_PAGE_IN = 10.0
LEAST_WIDTH_IN = 5.5  # for the legend
WORDS_IN = 1.3  # height of title, labels and legend


def stack_with_sources(
    session: Session,
    images: ImageStore | None,
    observation: ObservationFacts,
    path: Path,
    target: SourceFacts | None = None,
) -> Path:
    """Draw the template, in pixels of the first frame.

    Raises:
        DataError: there is no template yet, or its file cannot be read.
    """
    pixels, weight = read_template(session, images, observation)
    ny, nx = pixels.shape
    width = MAX_PAGE_IN * min(1.0, nx / ny)
    figure = new_figure(max(width, LEAST_WIDTH_IN), width * ny / nx + WORDS_IN)
    axes = figure.add_subplot()
    draw_image(axes, pixels, to_first_frame(session, observation.graph_pid))
    place = read_positions(session, observation)
    references = read_roles(session, observation, target).references
    radius = CIRCLE_SHARE * max(nx, ny)
    others = [xy for source_id, xy in place.items() if source_id not in references]
    used = [xy for source_id, xy in place.items() if source_id in references]
    circles(axes, others[:MAX_CIRCLES], radius, BLUE, 0.8)
    circles(axes, used[:MAX_CIRCLES], radius, ORANGE, 1.4)
    axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=BLUE, label=f"{len(place)} sources")
    axes.plot([], [], "o", mfc="none", mec=ORANGE, mew=1.6, label=f"{len(used)} of them reference stars")
    if target is not None:
        mark_target(axes, (target.x, target.y), radius)
        axes.plot([], [], "+", color=RED, markersize=9, markeredgewidth=1.6, label=f"source {target.source_id}")
    frames = f"mean of {weight:.0f} frames" if weight else "template"
    tidy(axes, X_LABEL, Y_LABEL)
    axes.grid(visible=False)
    figure.legend(**LEGEND, loc="outside lower left", ncols=3, handletextpad=0.2)
    head(figure, f"{observation.title}: {frames}")
    return save(figure, path)
