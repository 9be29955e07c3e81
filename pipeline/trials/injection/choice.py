"""Which stars get a signal, and how strong: every brightness and every amplitude alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnusableDataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """m chosen stars, by their index among those given, and the bins of magnitude.

    Attributes:
        star: int64[m].
        amplitude: float64[m].
        edges: float64[b + 1], magnitudes; the last bin holds its upper edge.
        bin: int64[m], from 0.
    """

    star: NDArray[np.int64]
    amplitude: Floats
    edges: Floats
    bin: NDArray[np.int64]


def choose_stars(
    magnitude: Floats,
    allowed: NDArray[np.bool_],
    amplitudes: Sequence[float],
    count: int,
    bins: int,
    apart: int,
    rng: np.random.Generator,
) -> Choice:
    """Choose stars in turn from bins of equal width in magnitude, and give them the amplitudes in turn.

    Stars are judged beside stars of like magnitude: those that vary must stay few among them. A bin that has no more to
    give leaves the rest to the others.

    Args:
        magnitude: float64[n].
        allowed: bool[n].
        amplitudes: at least one.
        count: stars wanted; there may be fewer.
        bins: of magnitude.
        apart: places that lie between two chosen stars, at least, on the list of all stars by magnitude.
        rng: chooses within a bin.

    Raises:
        UnusableDataError: no star is allowed, or nothing is asked for.
    """
    candidates = np.flatnonzero(allowed & np.isfinite(magnitude))
    if not candidates.size or count < 1 or bins < 1 or not amplitudes:
        raise UnusableDataError(
            f"{count} of {candidates.size} stars, {len(amplitudes)} amplitudes, {bins} bins of magnitude: "
            "expected at least one of each"
        )
    low, high = float(magnitude[candidates].min()), float(magnitude[candidates].max())
    edges = np.linspace(low, high, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, magnitude[candidates], side="right") - 1, 0, bins - 1)
    place = np.empty(magnitude.size, dtype=np.int64)
    place[np.argsort(magnitude, kind="stable")] = np.arange(magnitude.size)
    queues = [rng.permutation(np.flatnonzero(bin_of == number)).tolist() for number in range(bins)]
    taken: list[int] = []
    which: list[int] = []
    turn = 0
    while len(taken) < count and any(queues):
        for number, queue in enumerate(queues):
            while queue and len(taken) < count:
                one = queue.pop()
                if all(abs(place[candidates[one]] - place[candidates[other]]) >= apart for other in taken):
                    taken.append(one)
                    # Bins begin with different amplitudes, so that few stars a bin still try them all.
                    which.append((turn + number) % len(amplitudes))
                    break
        turn += 1
    return Choice(
        star=candidates[taken],
        amplitude=np.asarray(amplitudes, dtype=np.float64)[which],
        edges=edges,
        bin=bin_of[taken],
    )
