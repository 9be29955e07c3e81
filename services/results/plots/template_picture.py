"""The template as a picture, and marks upon it: shared by the plots that show the field."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.registration.alignment import Alignment
from schema.image import TEMPLATE, Image
from services.errors import DataError
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.plots.style import RED

X_LABEL, Y_LABEL = "x on the first frame (pixels)", "y on the first frame (pixels)"
LARGEST_SIDE_PX = 1600  # drawn; a larger template is averaged down to it
FAINT_PERCENTILE, BRIGHT_PERCENTILE = 5.0, 99.7
SAMPLE_PIXELS = 500_000  # that set the stretch
ASINH_SOFTENING = 0.05  # of the range; below it the stretch is linear


def read_template(
    session: Session, images: ImageStore | None, observation: ObservationFacts
) -> tuple[NDArray[Any], float | None]:
    """Pixels of the template and the number of frames in it.

    Raises:
        DataError: there is no template yet, it lies at another site (no ``images``), or its file cannot be read.
    """
    if images is None:
        raise DataError(
            f"observation {observation.observation_id} is of site {observation.site!r}, where its images are: draw it "
            f"on a machine of that site (TIANYU_SITE={observation.site})"
        )
    template = session.scalar(
        select(Image).where(Image.graph_pid == observation.graph_pid, Image.kind == TEMPLATE).limit(1)
    )
    if template is None:
        raise DataError(f"observation {observation.observation_id} has no template to draw: its frames are not stacked")
    return images.read(template.path), template.weight


def reduced(pixels: NDArray[Any], factor: int) -> NDArray[np.float32]:
    """Means of blocks of pixels, NaN left out; a rest narrower than a block is cut off."""
    ny, nx = (side // factor * factor for side in pixels.shape)
    blocks = pixels[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / known.sum(axis=(1, 3)), dtype=np.float32)


def on_first_frame(alignment: Alignment) -> Affine2D:
    """From template pixels to those of the first frame, for matplotlib; alignment: of the first frame."""
    shift = alignment.to_frame(np.zeros((1, 2)))[0]
    return Affine2D(np.block([[alignment.matrix, shift[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]]))


def stretch_of(pixels: NDArray[Any]) -> ImageNormalize:
    """How light becomes gray: from the faint sky to bright stars, NaN left out."""
    sample = pixels.ravel()[:: max(1, pixels.size // SAMPLE_PIXELS)]
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, [FAINT_PERCENTILE, BRIGHT_PERCENTILE]) if sample.size else (0.0, 1.0)
    return ImageNormalize(
        vmin=float(low), vmax=float(max(high, low + 1e-6)), stretch=AsinhStretch(ASINH_SOFTENING), clip=False
    )


def draw_image(
    axes: Axes, pixels: NDArray[Any], alignment: Alignment, largest_side: int = LARGEST_SIDE_PX
) -> ImageNormalize:
    """Draw all of it in pixels of the first frame, by its alignment; returns the stretch, to show a part alike."""
    factor = -(-max(pixels.shape) // largest_side)
    shown = reduced(pixels, factor) if factor > 1 else pixels
    norm = stretch_of(shown)
    ny, nx = shown.shape
    axes.imshow(
        shown,
        origin="lower",
        cmap="gray_r",
        norm=norm,
        extent=(-0.5, nx * factor - 0.5, -0.5, ny * factor - 0.5),
        interpolation="antialiased",
        transform=on_first_frame(alignment) + axes.transData,
    )
    x, y = (-0.5, pixels.shape[1] - 0.5), (-0.5, pixels.shape[0] - 0.5)
    corners = alignment.to_frame(np.array([(one, other) for one in x for other in y]))
    (left, bottom), (right, top) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    return norm


def circles(axes: Axes, xy: Sequence[tuple[float, float]], radius: float, colour: str, line: float) -> None:
    """Circles of this radius in pixels."""
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


def mark_target(axes: Axes, xy: tuple[float, float], radius: float) -> None:
    """Four strokes around the star, so that the star itself stays visible."""
    x, y = xy
    for step_x, step_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        near, far = 1.5 * radius, 4.0 * radius
        axes.plot(
            [x + step_x * near, x + step_x * far], [y + step_y * near, y + step_y * far], color=RED, linewidth=1.6
        )
