"""One exposure as it is wanted, and as it was taken."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class WantedExposure:
    """What the telescope is to do; ``radec`` in degrees (ICRS), None where it need not point."""

    kind: str  # light, bias, dark or flat
    exposure_s: float
    binning: int = 1
    target: str | None = None
    radec: tuple[float, float] | None = None
    filter: str | None = None
    gain: int | None = None  # as the camera counts it

    @property
    def opens_shutter(self) -> bool:
        """Whether light falls on the detector."""
        return self.kind in ("light", "flat")


@dataclass(frozen=True)
class TakenExposure:
    """What the camera gave; None where it does not tell.

    Attributes:
        pixels: [ny, nx], uint16, int32 or float32; the first row is the camera's y = 0.
        start: when the exposure began, UTC.
        notes: what was doubtful, and how it was decided.
    """

    pixels: NDArray[Any]
    start: datetime
    exposure_s: float
    electrons_per_adu: float | None = None
    saturation_adu: float | None = None
    temperature_c: float | None = None
    pixel_size_um: float | None = None  # as binned
    gain: int | None = None
    offset: int | None = None
    notes: list[str] = field(default_factory=list)
