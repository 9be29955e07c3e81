"""How points that are not to be trusted are marked: one marker for each kind of flag."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.flags import Flag
from services.results.plots.style import ORANGE, PURPLE, RED


@dataclass(frozen=True)
class Mark:
    """Marker and colour of one kind of flagged point."""

    name: str
    marker: str
    colour: str


# Each bit that spoils a point of a good frame, the worst first: a point with several shows the first of them.
MARKS = {
    Flag.SATURATED: Mark("saturated", "^", RED),
    Flag.NONLINEAR: Mark("not linear", "v", RED),
    Flag.TRAIL: Mark("trail", "D", PURPLE),
    Flag.COSMIC_RAY: Mark("cosmic ray", "*", PURPLE),
    Flag.BAD_PIXEL: Mark("bad pixel", "s", ORANGE),
    Flag.EDGE: Mark("edge", "<", ORANGE),
}
# Of the star in all its frames, not of a point.
OF_THE_STAR = {Flag.BLENDED: "deblended from a neighbour", Flag.CROWDED: "neighbours in the aperture"}


def marked(flag: NDArray[np.int64]) -> Iterator[tuple[Mark, NDArray[np.bool_]]]:
    """Each mark with the points that show it, bool[n]; no point shows two."""
    left = np.ones(flag.shape, dtype=bool)
    for bit, mark in MARKS.items():
        chosen = left & ((flag & bit) > 0)
        left &= ~chosen
        if chosen.any():
            yield mark, chosen


def of_the_star(flag: NDArray[np.int64]) -> list[str]:
    """What most points' flags say of the star itself."""
    return [words for bit, words in OF_THE_STAR.items() if flag.size and np.mean((flag & bit) > 0) > 0.5]
