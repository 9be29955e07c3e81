"""What every tool gives: relative fluxes of the truth's stars on the compared frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LightCurves:
    """``flux``: float64[star, epoch, aperture], about 1, NaN where not measured; ``radii``: FWHM, of the apertures."""

    tool: str
    flux: Floats
    radii: tuple[float, ...]


@dataclass(frozen=True)
class RawFluxes:
    """``flux``, ``error``: float64[star, epoch, aperture], electrons or ADU, NaN where not measured."""

    tool: str
    flux: Floats
    error: Floats
    radii: tuple[float, ...]
