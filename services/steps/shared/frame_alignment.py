"""The alignment that was found of a frame, as its row says it, and as a row to write."""

from typing import Any

import numpy as np

from pipeline.registration.alignment import Alignment
from schema.frame import Frame
from services.errors import DataError


def alignment_of(frame: Frame) -> Alignment:
    """The alignment that was found of a frame.

    Raises:
        DataError: none was.
    """
    if frame.dx is None or frame.dy is None:
        raise DataError(f"image {frame.image_id} ({frame.path}) is not aligned")
    centre = Alignment.identity((frame.ny or 0, frame.nx or 0))
    return Alignment(
        dx=frame.dx,
        dy=frame.dy,
        rotation=frame.rotation_deg or 0.0,
        scale=frame.scale or 1.0,
        center_x=centre.center_x,
        center_y=centre.center_y,
        rms=frame.alignment_rms or 0.0,
        matches=frame.alignment_matches or 0,
    )


def alignment_row(image_id: int, pid: int, found: Alignment | None, light: float) -> dict[str, Any]:
    """What process ``pid`` found of an image, None for nothing; ``light`` of common stars, over the reference's."""
    names = ("dx", "dy", "rotation", "scale", "rms", "matches")
    columns = ("dx", "dy", "rotation_deg", "scale", "rms", "matches")
    values = (None if found is None else getattr(found, name) for name in names)
    known = light if np.isfinite(light) else None
    return {"image_id": image_id, "pid": pid, **dict(zip(columns, values, strict=True)), "light": known}
