"""The recovered fraction against amplitude and magnitude, and how true the amplitudes are."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import MAD_TO_SIGMA
from pipeline.trials.injection import binomial_interval
from services.trials.injection.plan import Plan
from services.trials.injection.recovery import Recovery


@dataclass(frozen=True)
class Fraction:
    """How many of those tried, with the 68 % interval of the probability."""

    found: int
    tried: int
    low: float
    high: float

    @classmethod
    def of(cls, which: NDArray[np.bool_]) -> "Fraction":
        """The fraction of True."""
        found, tried = int(which.sum()), which.size
        return cls(found, tried, *binomial_interval(found, tried))


@dataclass(frozen=True)
class Cell:
    """The injected stars of one amplitude, in one bin of magnitude or in all.

    ``bias`` is the median of recovered over injected amplitude, less 1; ``scatter`` is the robust standard deviation of
    that ratio, ``expected_scatter`` the median of what the errors of the fits promise. ``loss`` is the median part of
    the signal that processing took: what was found in the same light curves without it is subtracted first, and with it
    the noise. None where nothing was measured.
    """

    amplitude: float
    magnitude_from: float
    magnitude_to: float
    known: Fraction  # at the moment known, amplitude at 5 sigma
    blind: Fraction  # put forward as variable
    bias: float | None
    scatter: float | None
    expected_scatter: float | None
    loss: float | None


@dataclass(frozen=True)
class Report:
    """All of an injection; cells of one bin each, and of all magnitudes."""

    observation_id: int
    title: str
    kind: str
    cells: tuple[Cell, ...]
    totals: tuple[Cell, ...]
    lost: int  # injected stars that were not found again
    not_injected: int
    false_candidates: int
    candidates_before: int  # of the false ones, those that were candidates without any signal

    def to_json(self) -> dict[str, Any]:
        """Numbers, texts, lists and dictionaries only."""
        return asdict(self)


def make_report(observation_id: int, title: str, plan: Plan, recovery: Recovery) -> Report:
    """Put the stars into cells."""
    amplitude, edges = plan.choice.amplitude, plan.choice.edges
    loss = 1.0 - (recovery.amplitude - plan.amplitude_before) / amplitude
    cells, totals = [], []
    for value in np.unique(amplitude).tolist():
        totals.append(_cell(value, (edges[0], edges[-1]), amplitude == value, loss, recovery))
        for number in range(edges.size - 1):
            those = (amplitude == value) & (plan.choice.bin == number)
            if those.any():
                cells.append(_cell(value, (edges[number], edges[number + 1]), those, loss, recovery))
    return Report(
        observation_id=observation_id,
        title=title,
        kind=plan.signals[0].kind,
        cells=tuple(cells),
        totals=tuple(totals),
        lost=int((recovery.source_id == 0).sum()),
        not_injected=recovery.not_injected,
        false_candidates=recovery.false_candidates,
        candidates_before=recovery.candidates_before,
    )


def _cell(
    amplitude: float,
    magnitudes: tuple[float, float],
    those: NDArray[np.bool_],
    loss: NDArray[np.float64],
    recovery: Recovery,
) -> Cell:
    ratio = recovery.amplitude[those] / amplitude
    middle = _median(ratio)
    deviation = None if middle is None else _median(np.abs(ratio - middle))
    error = _median(recovery.error[those])
    return Cell(
        amplitude=amplitude,
        magnitude_from=float(magnitudes[0]),
        magnitude_to=float(magnitudes[1]),
        known=Fraction.of(recovery.known[those]),
        blind=Fraction.of(recovery.blind[those]),
        bias=None if middle is None else middle - 1.0,
        scatter=None if deviation is None else MAD_TO_SIGMA * deviation,
        expected_scatter=None if error is None else error / amplitude,
        loss=_median(loss[those]),
    )


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else None
