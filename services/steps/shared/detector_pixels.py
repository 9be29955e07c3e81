"""What masters and a night's frames tell about the detector's pixels, worked out once by each worker."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.detector.detector_masks import REPEAT_FRAMES, Defects, find_defects, repeated_pixels
from pipeline.frame.masked_pixels import PIXEL_DTYPE, PixelBit, with_bit
from pipeline.rows import Rows
from pipeline.stack.stacking import Stack
from pipeline.stack.starlight import on_stars
from schema.frame import Frame
from schema.image import TEMPLATE, Image
from schema.queries import frames
from services.errors import DataError
from services.steps.shared.frame_alignment import alignment_of
from services.steps.shared.image_files import PIXELS, path_of
from services.steps.shared.step import GRAPHS_KEPT, Context

FEWEST_FRAMES = 3  # of a template that tells a frame's hits: of fewer they are a good part of it


def defects_of(context: Context, masters: Mapping[str, Image | None], pixels: Mapping[str, Rows]) -> Defects:
    """The defects that the masters of a frame show; masters and their pixels by bias, dark and flat."""
    key = tuple(master.path if master else "" for master in masters.values())
    return context.once("defects", key, lambda: find_defects(**pixels))


def find_hot_pixels(context: Context, stack: Stack) -> NDArray[Any]:
    """Pixels of the detector that stand out on several of the night's good frames, PIXEL_DTYPE[n].

    ``stack``: of the night. What its stars explain does not count: while the sky stands still, the sharp cores of stars
    stay on the same pixels too.
    """
    with context.reading() as session:
        rows = [row for row in frames.of_graph(session, context.graph_pid, context.pid) if row.good]
    some = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, REPEAT_FRAMES).astype(int))] if rows else []
    index = repeated_pixels([_off_stars(context, row, stack) for row in some])
    found = np.empty(index.size, PIXEL_DTYPE)
    found["index"], found["bits"] = index, PixelBit.BAD
    return found


def _off_stars(context: Context, frame: Frame, stack: Stack) -> NDArray[np.int32]:
    """Pixels of a frame that look like cosmic rays and are too bright to be light of the stack's stars."""
    path, nx = path_of(frame), frame.nx or 0
    index = with_bit(context.images.read_extra(path, PIXELS), PixelBit.COSMIC)
    values = context.images.read_pixels(path, index)
    return index[~on_stars(values, index, nx, stack.image, alignment_of(frame))]


def hot_pixels(context: Context, session: Session) -> NDArray[np.int32]:
    """Flat indices of the pixels that `find_hot_pixels` found for this graph, read once."""
    path = template_path(context, session)
    if path is None:
        return np.empty(0, np.int32)
    return context.once("hot pixels", path, lambda: _stored_hot_pixels(context, path))


def _stored_hot_pixels(context: Context, path: str) -> NDArray[np.int32]:
    try:
        return np.asarray(context.images.read_extra(path, PIXELS)["index"])
    except DataError:  # made before templates had them, or deleted since the sources were found
        return np.empty(0, np.int32)


def template_path(context: Context, session: Session, fewest: int = 0) -> str | None:
    """Where the template of this graph lies; None where there is none of at least so many frames."""

    def look() -> str | None:
        query = select(Image.path).where(Image.graph_pid == context.graph_pid, Image.kind == TEMPLATE)
        return session.scalar(query.where(Image.weight >= fewest) if fewest else query)

    return context.once("template", (context.graph_pid, fewest), look, 2 * GRAPHS_KEPT)


def template_pixels(context: Context, path: str | None) -> NDArray[np.float32] | None:
    """The template, kept in memory; None where it was deleted since the sources were found."""
    try:
        return None if path is None else context.images.read_master(path)
    except DataError:
        return None


def mark_hot_pixels(table: NDArray[Any], hot: NDArray[np.int32]) -> NDArray[Any]:
    """A frame's PIXELS with those cosmic rays called bad that lie on ``hot`` pixels: a copy."""
    told, cosmic = table.copy(), np.flatnonzero(table["bits"] & PixelBit.COSMIC)
    wrong = cosmic[np.isin(table["index"][cosmic], hot)]
    told["bits"][wrong] ^= np.uint8(PixelBit.COSMIC | PixelBit.BAD)
    return told


def counts(bits: NDArray[np.uint8]) -> dict[str, int]:
    """Columns of table masked_pixels: they count a frame's masked pixels, of which uint8[n] has the bits."""
    columns = {"hot_pixels": PixelBit.BAD, "cosmic_rays": PixelBit.COSMIC}
    return {name: int(np.count_nonzero(bits & np.uint8(bit))) for name, bit in columns.items()}
