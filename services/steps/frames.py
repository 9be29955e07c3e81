"""What a frame's header does not tell is taken from the settings, or from the type of its pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schema.images import Image
from services.settings import Settings

CONVERTER_CEILINGS = frozenset(2**bits - 1 for bits in range(10, 17))  # ADU


def saturation_of(frame: Image, raw: NDArray[Any], settings: Settings) -> float | None:
    """Level (ADU) from which a raw pixel is saturated; None when nothing tells.

    Where neither header nor settings tell, an integer frame whose brightest pixels stand at the ceiling of a
    converter (4095, 16383, 65535, …) is saturated there.
    """
    level = frame.saturation or settings.saturation
    if level is not None or not np.issubdtype(raw.dtype, np.integer):
        return level
    brightest = int(raw.max())
    return float(brightest) if brightest in CONVERTER_CEILINGS else None


def gain_of(frame: Image, settings: Settings) -> tuple[float | None, str]:
    """Electrons per ADU, and where that is from; without it, errors lack the source's own noise."""
    if frame.gain is not None:
        return frame.gain, frame.gain_source or "header"
    if settings.gain is not None:
        return settings.gain, "settings"
    return None, "unknown"
