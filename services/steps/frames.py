"""What a frame's header does not tell is taken from the settings, or from the type of its pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schema.images import Image
from services.settings import Settings


def saturation_of(frame: Image, raw: NDArray[Any], settings: Settings) -> float | None:
    """Level (ADU) from which a raw pixel is saturated; None when nothing tells."""
    level = frame.saturation or settings.saturation
    if level is None and raw.dtype == np.uint16:
        return float(np.iinfo(raw.dtype).max)
    return level


def gain_of(frame: Image, settings: Settings) -> tuple[float | None, str]:
    """Electrons per ADU, and where that is from; without it, errors lack the source's own noise."""
    if frame.gain is not None:
        return frame.gain, frame.gain_source or "header"
    if settings.gain is not None:
        return settings.gain, "settings"
    return None, "unknown"
