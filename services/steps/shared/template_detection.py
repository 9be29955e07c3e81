"""The template of a graph and what stands on it: sources, and where they are on the reference frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.stack.detection import detect_sources
from pipeline.stack.stacking import Stack, positions_on_reference
from schema.frame import Frame
from schema.image import Image
from schema.queries import frames, images
from services.errors import DataError
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.image_columns import column
from services.steps.shared.image_files import WEIGHT, path_of
from services.steps.shared.step import Context


@dataclass(frozen=True)
class Template:
    """Rows of a template and of the good frames behind it."""

    image: Image
    frames: list[Frame]

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx), pixels."""
        return self.image.ny or 0, self.image.nx or 0

    @property
    def fwhm(self) -> float | None:
        """Median of the frames', pixels."""
        widths = column(self.frames, "fwhm")
        return float(np.nanmedian(widths)) if np.isfinite(widths).any() else None


@dataclass(frozen=True)
class Detection:
    """What stands on a template: sources as `pipeline.stack.detection` lists them, and their positions.

    xy: float64[n, 2], pixels of the reference frame: without what the stack rounded.
    """

    sources: NDArray[Any]
    xy: NDArray[np.float64]


def template_of(session: Session, context: Context, stacked: int) -> Template:
    """The template that process ``stacked`` made.

    Raises:
        DataError: it is gone.
    """
    image = images.by_pid(session, stacked)
    if image is None:
        raise DataError(f"process {context.pid}: its template is gone; publish the observation again")
    return Template(image, [row for row in frames.of_graph(session, context.graph_pid, context.pid) if row.good])


def detect_on(context: Context, template: Template) -> Detection:
    """Read the template and find its sources.

    Raises:
        DataError: there is none above the threshold.
    """
    threshold = context.choices.detection_threshold
    context.images.forget_masters()
    found = detect_sources(read_stack(context, template), threshold=threshold, fwhm=template.fwhm)
    if not found.size:
        raise DataError(
            f"process {context.pid}: no source above {threshold} sigma on the template {template.image.path}: is the "
            "field empty, or the exposure too short? A lower detection_threshold may help"
        )
    stacked = [row for row in template.frames if row.weight and row.dx is not None]
    measured = np.column_stack([found["x"], found["y"]]).astype(np.float64)
    on_reference = positions_on_reference(measured, [alignment_of(row) for row in stacked], template.shape)
    return Detection(found, on_reference)


def read_stack(context: Context, template: Template) -> Stack:
    """The template with its weights; it is large: who calls for it lets it go."""
    stored = context.images.read_all(path_of(template.image), (WEIGHT,))
    return Stack(stored.image, stored.extras[WEIGHT].astype("f4"), int(template.image.weight or 0))
