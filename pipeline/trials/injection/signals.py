"""The signals: one transit, or a sinusoidal pulsation, with its moment drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.variables import pulsator, transit

TRANSIT, PULSATION = "transit", "pulsation"
KINDS = (TRANSIT, PULSATION)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Signal:
    """One star's variation; times in days.

    ``amplitude`` is the depth of a transit at its middle, or the semi-amplitude of a sine. ``epoch_jd`` is the
    mid-transit, or a moment at which the sine rises through 1. NaN stands where a kind has no such number.
    """

    kind: str
    amplitude: float
    epoch_jd: float
    duration_d: float
    period_d: float

    def flux(self, jd: Floats) -> Floats:
        """Flux relative to that of the constant star at float64[t]; the exposure is taken for a moment."""
        model = transit if self.kind == TRANSIT else pulsator
        return model(jd, self.amplitude, self.period_d, self.epoch_jd, self.duration_d)

    def shape(self, jd: Floats) -> Floats:
        """The variation over its amplitude, float64[t]: -1 at mid-transit, -1 to 1 for a sine."""
        return (self.flux(jd) - 1.0) / self.amplitude


def draw_signals(
    kind: str,
    amplitudes: Sequence[float],
    night: tuple[float, float],
    duration_d: float,
    period_d: float,
    rng: np.random.Generator,
) -> list[Signal]:
    """One signal for each amplitude: the mid-transit anywhere in the night, or any phase.

    A transit may begin before the night or end after it; at least half of it is seen.

    Args:
        kind: one of KINDS.
        amplitudes: relative, above 0 and below 1.
        night: first and last mid-exposure, JD.
        duration_d: of a transit, first to last contact.
        period_d: of a pulsation.
        rng: draws the moments.

    Raises:
        UnusableDataError: an unknown kind, or numbers that make no signal.
    """
    start, end = night
    length = {TRANSIT: duration_d, PULSATION: period_d}.get(kind)
    if length is None:
        raise UnusableDataError(f"signal kind {kind!r} is unknown: expected one of {', '.join(KINDS)}")
    if not (np.isfinite([start, end, length]).all() and end > start and length > 0):
        raise UnusableDataError(
            f"a {kind} of {length} days in a night from JD {start} to {end}: expected a length above 0 and a night"
        )
    for amplitude in amplitudes:
        if not 0 < amplitude < 1:
            raise UnusableDataError(f"amplitude {amplitude:g}: expected a part of the star's light, above 0, below 1")
    if kind == TRANSIT:
        return [Signal(kind, a, float(rng.uniform(start, end)), duration_d, np.nan) for a in amplitudes]
    return [Signal(kind, a, float(rng.uniform(start, start + period_d)), np.nan, period_d) for a in amplitudes]
