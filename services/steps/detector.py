"""What masters and a night's frames tell about the detector's pixels, worked out once by each worker."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.detector_masks import REPEAT_FRAMES, Defects, find_defects, repeated_pixels
from pipeline.masked_pixels import PIXEL_DTYPE, PixelBit
from schema.images import CALIBRATED, TEMPLATE, Image
from schema.queries import images
from services.errors import DataError
from services.image_store import ImageStore
from services.steps.base import Context
from services.steps.files import PIXELS, path_of

NIGHTS_KEPT = 2

_defects: WeakKeyDictionary[ImageStore, OrderedDict[tuple[str, ...], Defects]] = WeakKeyDictionary()
_repeated: WeakKeyDictionary[ImageStore, OrderedDict[str, NDArray[np.int32]]] = WeakKeyDictionary()


def defects_of(context: Context, masters: Mapping[str, Image | None], pixels: Mapping[str, NDArray[Any]]) -> Defects:
    """The defects that the masters of a frame show; masters and their pixels by bias, dark and flat."""
    kept = _defects.setdefault(context.images, OrderedDict())
    key = tuple(master.path if master else "" for master in masters.values())
    if key not in kept:
        kept[key] = find_defects(**pixels)
        while len(kept) > NIGHTS_KEPT:
            kept.popitem(last=False)
    return kept[key]


def hot_all_night(context: Context) -> NDArray[Any]:
    """Pixels of the detector that stand out on several of the night's good frames, PIXEL_DTYPE[n]."""
    with context.reading() as session:
        rows = [row for row in images.of_graph(session, context.graph_pid, CALIBRATED) if row.good]
    some = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, REPEAT_FRAMES).astype(int))] if rows else []
    tables = [context.images.read_extra(path_of(row), PIXELS) for row in some]
    index = repeated_pixels([table["index"][(table["bits"] & PixelBit.COSMIC) > 0] for table in tables])
    found = np.empty(index.size, PIXEL_DTYPE)
    found["index"], found["bits"] = index, PixelBit.BAD
    return found


def hot_pixels(context: Context, session: Session) -> NDArray[np.int32]:
    """Flat indices of the pixels that `hot_all_night` found for this graph, read once."""
    path = session.scalar(select(Image.path).where(Image.graph_pid == context.graph_pid, Image.kind == TEMPLATE))
    if path is None:
        return np.empty(0, np.int32)
    kept = _repeated.setdefault(context.images, OrderedDict())
    if path not in kept:
        try:
            kept[path] = context.images.read_extra(path, PIXELS)["index"]
        except DataError:  # made before templates had them, or deleted since the sources were found
            kept[path] = np.empty(0, np.int32)
        while len(kept) > NIGHTS_KEPT:
            kept.popitem(last=False)
    return kept[path]


def told_apart(table: NDArray[Any], hot: NDArray[np.int32]) -> NDArray[Any]:
    """A frame's PIXELS with those cosmic rays called bad that lie on ``hot`` pixels: a copy."""
    told = table.copy()
    wrong = ((table["bits"] & PixelBit.COSMIC) > 0) & np.isin(table["index"], hot)
    told["bits"][wrong] ^= np.uint8(PixelBit.COSMIC | PixelBit.BAD)
    return told


def counts(table: NDArray[Any]) -> dict[str, int]:
    """Columns of table image that count a frame's masked pixels."""
    columns = {"hot_pixels": PixelBit.BAD, "cosmic_rays": PixelBit.COSMIC}
    return {name: int(np.count_nonzero(table["bits"] & np.uint8(bit))) for name, bit in columns.items()}
