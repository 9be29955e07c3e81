"""The template with its sources, reference stars and target."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.images import TEMPLATE, Image
from schema.photometry import ReferenceStar
from schema.processes import Process
from schema.skies import SourcePosition
from services.errors import DataError
from services.image_store import ImageStore
from services.lightcurves.selection import ObservationFacts
from services.plots.style import BLUE, LEGEND, ORANGE, RED, new_figure, save, tidy
from services.steps.detect import DETECT

LARGEST_SIDE_PX = 1600  # drawn; a larger template is averaged down to it
CIRCLE_SHARE = 0.007  # radius, of the template's longer side
MAX_CIRCLES = 3000  # brightest sources; more would hide the stars
FAINT_PERCENTILE, BRIGHT_PERCENTILE = 5.0, 99.7
SAMPLE_PIXELS = 500_000  # that set the stretch
ASINH_SOFTENING = 0.05  # of the range; below it the stretch is linear
MAX_PAGE_IN = 10.0


def stack_with_sources(
    session: Session,
    images: ImageStore,
    observation: ObservationFacts,
    path: Path,
    target_source_id: int | None = None,
) -> Path:
    """Draw the template.

    Raises:
        DataError: there is no template yet, or its file cannot be read.
    """
    template = session.scalar(
        select(Image).where(Image.graph_pid == observation.graph_pid, Image.kind == TEMPLATE).limit(1)
    )
    if template is None:
        raise DataError(f"observation {observation.observation_id} has no template to draw: its frames are not stacked")
    pixels = images.read(template.path)
    ny, nx = pixels.shape
    width = MAX_PAGE_IN * min(1.0, nx / ny)
    figure = new_figure(max(width, 5.0), max(width * ny / nx, 4.0) + 0.8)
    axes = figure.add_subplot()
    _draw_image(axes, pixels)
    _draw_sources(axes, session, observation, CIRCLE_SHARE * max(nx, ny), target_source_id)
    frames = f"mean of {template.weight:.0f} frames" if template.weight else "template"
    tidy(axes, "x (pixels)", "y (pixels)", f"{observation.title}: {frames}")
    axes.grid(visible=False)
    axes.set_xlim(-0.5, nx - 0.5)
    axes.set_ylim(-0.5, ny - 0.5)
    return save(figure, path)


def _reduced(pixels: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Means of blocks of pixels, NaN left out; a rest narrower than a block is cut off."""
    ny, nx = (side // factor * factor for side in pixels.shape)
    blocks = pixels[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / known.sum(axis=(1, 3)), dtype=np.float32)


def _draw_image(axes: Axes, pixels: NDArray[Any]) -> None:
    ny, nx = pixels.shape
    factor = -(-max(ny, nx) // LARGEST_SIDE_PX)
    shown = _reduced(pixels, factor) if factor > 1 else pixels
    sample = shown.ravel()[:: max(1, shown.size // SAMPLE_PIXELS)]
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, [FAINT_PERCENTILE, BRIGHT_PERCENTILE]) if sample.size else (0.0, 1.0)
    norm = ImageNormalize(
        vmin=float(low), vmax=float(max(high, low + 1e-6)), stretch=AsinhStretch(ASINH_SOFTENING), clip=False
    )
    shown_ny, shown_nx = shown.shape
    axes.imshow(
        shown,
        origin="lower",
        cmap="gray_r",
        norm=norm,
        extent=(-0.5, shown_nx * factor - 0.5, -0.5, shown_ny * factor - 0.5),
        interpolation="antialiased",
    )


def _draw_sources(
    axes: Axes, session: Session, observation: ObservationFacts, radius: float, target_source_id: int | None
) -> None:
    detect = select(Process.pid).where(Process.graph_pid == observation.graph_pid, Process.command == DETECT.command)
    rows = session.execute(
        select(SourcePosition.source_id, SourcePosition.x, SourcePosition.y)
        .where(SourcePosition.pid == detect.scalar_subquery())
        .order_by(SourcePosition.flux.desc(), SourcePosition.source_id)
    ).all()
    references = set(
        session.scalars(
            select(ReferenceStar.source_id).where(
                ReferenceStar.pid == observation.calibration_pid, ReferenceStar.is_reference.is_(True)
            )
        )
    )
    place = {row.source_id: (row.x, row.y) for row in rows}
    others = [xy for source_id, xy in place.items() if source_id not in references]
    _circles(axes, others[:MAX_CIRCLES], radius, BLUE, f"{len(place)} sources", 0.8)
    _circles(
        axes,
        [xy for source_id, xy in place.items() if source_id in references][:MAX_CIRCLES],
        radius,
        ORANGE,
        f"{len(references)} of them reference stars",
        1.4,
    )
    if target_source_id in place:
        _mark_target(axes, place[target_source_id], radius, target_source_id)
    if place:
        axes.legend(**LEGEND, loc="upper left", bbox_to_anchor=(0.0, -0.06), ncols=3, handletextpad=0.2)


def _circles(axes: Axes, xy: list[tuple[float, float]], radius: float, colour: str, label: str, line: float) -> None:
    axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=colour, label=label)
    if not xy:
        return
    size = np.full(len(xy), 2.0 * radius)
    axes.add_collection(
        EllipseCollection(
            size,
            size,
            np.zeros(len(xy)),
            units="xy",
            offsets=np.array(xy),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=colour,
            linewidths=line if len(xy) < 500 else 0.6 * line,
        )
    )


def _mark_target(axes: Axes, xy: tuple[float, float], radius: float, source_id: int | None) -> None:
    """Four strokes around the star, so that the star itself stays visible."""
    x, y = xy
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        near, far = 1.5 * radius, 4.0 * radius
        axes.plot(
            [x + step_x * near, x + step_x * far], [y + step_y * near, y + step_y * far], color=RED, linewidth=1.6
        )
    axes.plot([], [], "+", color=RED, markersize=9, markeredgewidth=1.6, label=f"source {source_id}")
