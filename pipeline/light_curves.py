"""Light curves of a field: the one form in which calibration, detrending and the search for variables pass them on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.flags import usable
from pipeline.statistics import BLOCK_VALUES

Rows = slice | NDArray[np.intp] | NDArray[np.int64] | NDArray[np.bool_]


@dataclass(frozen=True)
class LightCurves:
    """Light curves of n stars on t frames, of one aperture.

    Attributes:
        flux: float64[n, t], raw (any unit) or relative (about 1); NaN where missing.
        error: float64[n, t], one standard deviation.
        flag: int32[n, t], bits of `pipeline.flags.Flag`.
        good: bool[t], frames that were not rejected. What is learned comes from these; values are made for all.
        xy: float64[n, 2], template px; NaN where unknown.
        time: float64[t], days, in order; NaN where unknown.

    Raises:
        UnusableDataError: shapes that do not fit, or frames none of which is good.
    """

    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    flag: NDArray[np.int32]
    good: NDArray[np.bool_]
    xy: NDArray[np.float64]
    time: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, t = self.flux.shape if self.flux.ndim == 2 else (-1, -1)
        found = [part.shape for part in (self.flux, self.error, self.flag, self.good, self.xy, self.time)]
        if found != [(n, t), (n, t), (n, t), (t,), (n, 2), (t,)]:
            raise UnusableDataError(
                f"fluxes, errors, flags, good frames, places and times {found}: "
                "expected (n, t), (n, t), (n, t), (t,), (n, 2) and (t,)"
            )
        if t and not self.good.any():
            raise UnusableDataError(
                f"none of {t} epochs is good: expected at least one; look at why frames were rejected"
            )

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Points that tell something of their star, on rejected frames too (`pipeline.flags.usable`); bool[n, t]."""
        return usable(self.flux, self.flag)

    def stars(self, rows: Rows) -> "LightCurves":
        """Those of some of the stars."""
        return LightCurves(self.flux[rows], self.error[rows], self.flag[rows], self.good, self.xy[rows], self.time)

    def frames(self, which: NDArray[np.bool_]) -> "LightCurves":
        """Their points on some of the frames, bool[t]."""
        rest = self.good[which], self.xy, self.time[which]
        return LightCurves(self.flux[:, which], self.error[:, which], self.flag[:, which], *rest)

    def blocks(self) -> Iterator[tuple[slice, "LightCurves"]]:
        """Some stars at a time and their rows, so that what is made in between stays small."""
        return ((rows, self.stars(rows)) for rows in blocks(*self.flux.shape))


def blocks(stars: int, epochs: int) -> Iterator[slice]:
    """Rows of matrices to be worked on at a time."""
    step = max(1, BLOCK_VALUES // max(1, epochs))
    return (slice(start, min(start + step, stars)) for start in range(0, stars, step))
